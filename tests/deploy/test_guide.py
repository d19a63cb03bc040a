"""The deployment guide, in its order: its commands and queries are taken from the page and run as they are written there.
The stack of one test is that of the next, up to the end of the guide."""

import json
import re
import shlex
import subprocess

import pytest
import yaml
from conftest import IMAGE, ROOT, wait_for
from documented_commands import Shell
from guide_page import (EDGE, GONE, NAMED, PAGE, UP, answer, code, commands, healthy, line, login, of_ours, psql, server_password,
                        the)
from mcp import call, initialize, send


@pytest.fixture(scope="module")
def shell(engine, stand_ins, checkout):
    def logs():
        done = engine.try_("compose", "--profile", "local-db", "logs", "--tail", "15", cwd=checkout)
        return done.stdout + done.stderr

    (checkout / ".env").unlink(missing_ok=True)
    # Images that cannot be built here exist already.
    shell = Shell(checkout, engine.environment | {"DOCKER_PULL_POLICY": "never"}, logs)
    shell.key = None
    yield shell
    engine.try_("compose", "--profile", "local-db", "down", "--volumes", cwd=checkout)
    shell.close()


# Checks without a running stack.


def test_each_line_of_the_guide_has_a_test():
    page = PAGE.read_text()
    table = page[page.index("## Tests of each line"):page.index("## Tests of each chapter")]
    rows = dict(re.findall(r"^\| ``(.+?)`` \| (.+) \|$", table, re.MULTILINE))
    tests = "\n".join((ROOT / "tests" / "deploy" / name).read_text() for name in ["test_guide.py", "test_image.py"])
    lines = set()
    for kind, block in code():
        if "──" in block:
            continue
        one_query = kind == "sql" and block.startswith("SELECT")
        lines |= {" ".join(block.split())} if one_query else set(commands(block))
    assert lines == set(rows), "left over, or no longer there"
    for one, shown in rows.items():
        named = re.findall(r"test_\w+", shown)
        assert named or shown.startswith("not run: "), one
        for test in named:
            assert f"\ndef {test}(" in tests, test


def rendered(folder, engine, environment=None, *files):
    chosen = [part for file in files for part in ("-f", file)]
    done = subprocess.run(["docker", "compose", *chosen, "--profile", "local-db", "config", "--format", "json"], cwd=folder,
                          env=engine.environment | (environment or {}), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def variables():
    page = PAGE.read_text()
    chapter = page[page.index("## Environment Variable Reference"):page.index("## API Key Management")]
    return dict(re.findall(r"^\| `(\w+)` \| (.+?) \|", chapter, re.MULTILINE))


def published(stack, service):
    return {f"{port.get('host_ip', '')}:{port['published']}": port["target"] for port in stack["services"][service]["ports"]}


def test_each_default_of_the_table_is_true(engine, binary, checkout, tmp_path):
    """Defaults of the server as it reports them, and of the stack as Compose expands them without settings."""
    table = variables()
    assert len(table) == 22
    configured = subprocess.run([binary, "config", "--json"], env={"DATABASE_URL": "postgresql://a:b@c/d"}, cwd=tmp_path,
                                capture_output=True, text=True, check=True)
    server = {one["name"]: one for one in json.loads(configured.stdout)["variables"]}
    for name in ["MCP_TRANSPORT", "MCP_PORT", "MCP_JSON_RESPONSE", "DB_PROVIDER", "REDIS_KEY_PREFIX"]:
        assert table[name] == server[name]["default"], name
    # Beside a folder these differ.
    for name in ["MCP_HOST", "REDIS_URL"]:
        assert server[name]["default"].startswith(f"{table[name]}; "), name
    assert server["DB_MAX_CONNECTIONS"]["default"] == "`20`; `10` with `DB_PROVIDER=supabase`"
    assert table["DB_MAX_CONNECTIONS"] == "`10` (Supabase) / `20` (local)"
    assert table["SUPABASE_DB_URL"] == table["ACME_EMAIL"] == "—"

    example = dict(re.findall(r"^([A-Z_]+)=(.*)$", (checkout / ".env.example").read_text(), re.MULTILINE))
    assert table["DATABASE_URL"] == "see .env.example" and example["DATABASE_URL"]
    assert example["SUPABASE_DB_URL"] == example["ACME_EMAIL"] == ""
    empty = tmp_path / "empty"
    empty.touch()
    stack = rendered(checkout, engine, {"COMPOSE_ENV_FILES": str(empty)})
    services = stack["services"]
    environment = services["mbmcp-server"]["environment"]
    for name in ["MCP_PORT", "MCP_HOST", "MCP_JSON_RESPONSE", "DB_PROVIDER", "REDIS_URL", "REDIS_KEY_PREFIX", "NODE_ENV"]:
        assert table[name] == f"`{environment[name]}`", name
    for name in ["POSTGRES_DB", "POSTGRES_USER", "POSTGRES_PASSWORD"]:
        assert table[name] == f"`{services['postgres']['environment'][name]}`", name
    assert published(stack, "postgres") == {f"127.0.0.1:{table['POSTGRES_PORT'].strip('`')}": 5432}
    assert published(stack, "redis") == {f"127.0.0.1:{table['REDIS_PORT'].strip('`')}": 6379}
    assert published(stack, "traefik") == {
        f":{table['TRAEFIK_HTTP_PORT'].strip('`')}": 80, f":{table['TRAEFIK_HTTPS_PORT'].strip('`')}": 443,
        f"127.0.0.1:{table['TRAEFIK_DASHBOARD_PORT'].strip('`')}": 8080}
    assert services["mbmcp-server"]["image"] == f"{table['DOCKER_IMAGE']}:{table['DOCKER_TAG']}".replace("`", "") == IMAGE
    # The example changes none of it.
    (tmp_path / ".env").write_text((checkout / ".env.example").read_text())
    assert rendered(checkout, engine, {"COMPOSE_ENV_FILES": str(tmp_path / ".env")})["services"] == services


@pytest.mark.parametrize("name,service,target", [
    ("TRAEFIK_HTTP_PORT", "traefik", 80), ("TRAEFIK_HTTPS_PORT", "traefik", 443), ("TRAEFIK_DASHBOARD_PORT", "traefik", 8080),
    ("POSTGRES_PORT", "postgres", 5432), ("REDIS_PORT", "redis", 6379)])
def test_a_port_s_variable_takes_effect_without_an_override(engine, checkout, name, service, target):
    ports = published(rendered(checkout, engine, {name: "12345"}), service)
    at = next(place for place, inside in ports.items() if inside == target)
    assert at == (":12345" if name in ("TRAEFIK_HTTP_PORT", "TRAEFIK_HTTPS_PORT") else "127.0.0.1:12345")


@pytest.mark.parametrize("written,password", [
    ("'p$w#@/%:?&= $HOME ${HOME} \"x'", 'p$w#@/%:?&= $HOME ${HOME} "x'),
    ('"it\'s \\"\\$1\\""', "it's \"$1\""),
    ("p@ss/w%20rd:#x", "p@ss/w%20rd:#x"),
])
def test_a_password_in_env_is_used_unchanged(engine, checkout, tmp_path, written, password):
    example = (checkout / ".env.example").read_text()
    changed = example.replace("POSTGRES_PASSWORD='mbmcp_secret'", f"POSTGRES_PASSWORD={written}")
    assert changed != example
    settings = tmp_path / "settings"
    settings.write_text(changed)
    services = rendered(checkout, engine, {"COMPOSE_ENV_FILES": str(settings)})["services"]
    # Compose prints each $ twice, so that its output can be parsed again.
    assert services["postgres"]["environment"]["POSTGRES_PASSWORD"].replace("$$", "$") == password
    assert services["migrate"]["environment"]["PGPASSWORD"].replace("$$", "$") == password


def test_acme_email_takes_effect_once_its_lines_are_uncommented(engine, checkout, tmp_path):
    text = (checkout / "docker-compose.yml").read_text()
    (edited, count) = re.subn(r"^( +)# (- --certificatesresolvers\.)", r"\1\2", text, flags=re.MULTILINE)
    assert count == 3
    (checkout / "edited.yml").write_text(edited)
    stack = rendered(checkout, engine, {"ACME_EMAIL": "a@memory.test", "DOMAIN": "memory.test"}, "edited.yml")
    traefik = stack["services"]["traefik"]
    assert {"--certificatesresolvers.letsencrypt.acme.email=a@memory.test",
            "--certificatesresolvers.letsencrypt.acme.storage=/letsencrypt/acme.json",
            "--certificatesresolvers.letsencrypt.acme.httpchallenge.entrypoint=web"} <= set(traefik["command"])
    assert {one["target"] for one in traefik["volumes"]} >= {"/letsencrypt"}


# The commands of the guide, in order.


def test_the_stack_starts_in_a_fresh_clone_without_any_settings(engine, shell, checkout):
    assert not (checkout / ".env").exists()
    shell.run(line(UP))
    healthy(engine)


def test_the_stack_starts_with_the_example_of_the_settings(engine, shell):
    """It is the same stack: nothing is made anew."""
    before = [engine.inspect(name)["Id"] for name in NAMED]
    shell.run(line("cp .env.example .env"))
    shell.run(line(UP))
    healthy(engine)
    assert [engine.inspect(name)["Id"] for name in NAMED] == before
    listed = shell.run(line("docker compose ps"))
    assert the("text", "mbmcp-traefik").split() == NAMED
    for name in NAMED:
        assert any(one.startswith(name) and "healthy" in one for one in listed.splitlines()), listed
    output = shell.run(line("docker compose run --rm migrate bootstrap --user alice --project demo"))
    shell.key = re.search(r"mbmcp_live_[0-9A-Za-z]{32}", output).group()
    assert "demo" in call(EDGE, shell.key, initialize(EDGE, shell.key), "list_stores")


def test_every_name_and_address_of_the_machine_serves_requests_with_a_key_only(engine, shell):
    # This machine's address in the network of the proxy; ALLOWED_HOSTS is not set.
    address = engine.inspect("mbmcp-traefik")["NetworkSettings"]["Networks"]["mbmcp_edge"]["Gateway"]
    for place, name in [(EDGE, "memory.example.com"), ((address, 80), address), ((address, 80), f"{address}:8888")]:
        session = initialize(place, shell.key, name)
        assert send(place, "DELETE", "/mcp", shell.key, session=session, name=name)[0] in (200, 204), name
        assert send(place, "GET", "/api/keys", shell.key, name=name)[0] == 200, name
        assert send(place, "GET", "/health", name=name)[0] == 200, name
        assert send(place, "POST", "/mcp", body={}, name=name)[0] in (401, 403), name
        assert send(place, "GET", "/api/keys", name=name)[0] in (401, 403), name


def test_the_database_has_the_ten_tables_and_their_text_search(engine):
    page = PAGE.read_text()
    chapter = page[page.index("### Database Schema (10 tables)"):page.index("## Prerequisites")]
    promised = set(re.findall(r"^\| `(\w+)` \|", chapter, re.MULTILINE))
    assert len(promised) == 10
    there = "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p')"
    assert set(psql(engine, there).split()) == promised | {"schema_migrations"}
    assert psql(engine, "SELECT bool_and(relrowsecurity AND relforcerowsecurity) FROM pg_class WHERE oid IN ("
                        + ", ".join(f"'public.{name}'::regclass" for name in sorted(promised)) + ")") == "t"
    kinds = "SELECT attname, atttypid::regtype FROM pg_attribute WHERE attrelid = 'documents'::regclass AND attname IN ('content', 'fts')"
    assert set(psql(engine, kinds).split()) == {"content|text", "fts|tsvector"}


def test_the_server_answers_and_the_dashboard_opens(shell):
    wait_for("the edge", lambda: answer(80, "/health") == 200)
    health = json.loads(shell.run(line("curl http://localhost/health")).splitlines()[-1])
    assert (health["status"], health["db"], health["redis"]) == ("ok", "ok", "ok") and health["uptime"] > 0
    assert "Traefik" in shell.run(line("open http://localhost:8080").replace("open", "curl --silent --show-error --fail --location"))


def test_postgresql_and_redis_listen_on_local_ports(engine, shell):
    psql_there = "PGPASSWORD=mbmcp_secret psql -h 127.0.0.1 -p 5432 -U mbmcp -d memory_bank_mcp -Atc 'SELECT 1'"
    assert shell.run(psql_there) == "1"
    assert "PONG" in shell.run("exec 3<>/dev/tcp/127.0.0.1/6379; printf 'PING\\r\\n' >&3; head -n 1 <&3")


def test_each_command_of_the_trouble_shooting_works(engine, shell):
    page = PAGE.read_text()
    chapter = page[page.index("## Troubleshooting"):page.index("## Rollback Plan")]
    outputs = {}
    for block in re.findall(r"^```bash\n(.*?)^```$", chapter, re.MULTILINE | re.DOTALL):
        for command in commands(block):
            outputs[command] = shell.run(command)
    wanted = {"logs mbmcp-server": "listening", "curl -v": '"status":"ok"', "logs postgres": "ready to accept connections",
              "redis-cli ping": "PONG", "api_keys": "mbmcp_live_", "schema_migrations;": "003_functions",
              "001_schema.sql": "", "mcp_events": "(1 row)", "echo": "mbmcp_test_"}
    for part, shown in wanted.items():
        (output,) = [output for command, output in outputs.items() if part in command]
        assert shown in output and "ERROR" not in output, f"{part}: {output}"
    assert psql(engine, "SELECT count(*) FROM schema_migrations") == "3"
    assert '"status"' in shell.run("docker compose exec mbmcp-server memory-bank-mcp doctor --json")


def test_a_transaction_names_user_and_project_by_set_local(engine):
    block = the("sql", "BEGIN;\nSET LOCAL")
    assert "COMMIT;" in block
    undone = block.replace("COMMIT;", "ROLLBACK; SELECT current_setting('app.current_user_id', true) = '';")
    assert engine("exec", "--interactive", "mbmcp-postgres", "psql", "-U", "mbmcp", "-d", "memory_bank_mcp", "-v", "ON_ERROR_STOP=1", "-qAt",
                  input=undone) == "t"
    inside = block.replace("COMMIT;", "SELECT current_setting('app.current_user_id') || current_setting('app.current_project_id'); COMMIT;")
    output = engine("exec", "--interactive", "mbmcp-postgres", "psql", "-U", "mbmcp", "-d", "memory_bank_mcp", "-v", "ON_ERROR_STOP=1", "-At",
                  input=inside + "SELECT current_setting('app.current_user_id', true) = '';")
    assert "<user-uuid><project-uuid>" in output and output.splitlines()[-1] == "t"


def test_the_password_of_the_server_role_is_generated_kept_and_never_shown(engine, shell):
    password = server_password(engine)
    assert re.fullmatch(r"[0-9a-f]{64}", password)
    owner_and_mode = engine("run", "--rm", "--volume", "mbmcp_server-credentials:/credentials", "--entrypoint", "stat", "postgres:17-alpine",
                            "--format", "%u %a", "/credentials/server_password")
    assert owner_and_mode.split() == ["65532", "400"]
    for container in engine("ps", "--all", "--quiet").split():
        assert password not in engine("inspect", container) and password not in engine("logs", container)
    assert "SCRAM-SHA-256" in psql(engine, "SELECT rolpassword FROM pg_authid WHERE rolname = 'mbmcp_server'")
    assert psql(engine, "SELECT DISTINCT usename FROM pg_stat_activity WHERE application_name = 'memory-bank-mcp'") == "mbmcp_server"
    # A restart, a new container, and the step once more.
    shell.run("docker compose --profile local-db up -d --force-recreate mbmcp-server migrate")
    healthy(engine)
    assert server_password(engine) == password
    # Without the volume there is another password.
    shell.run("docker compose --profile local-db rm --stop --force mbmcp-server migrate")
    engine("volume", "rm", "mbmcp_server-credentials")
    shell.run(line(UP))
    healthy(engine)
    assert server_password(engine) != password
    wait_for("the server with its new password", lambda: answer(80, "/health") == 200)


def test_the_dashboard_requires_a_password_after_the_edit(engine, shell, checkout):
    file = checkout / "docker-compose.yml"
    before = file.read_text()
    assert answer(8080, "/api/rawdata") == 200
    hashed = subprocess.run(["openssl", "passwd", "-apr1", "open sesame"], capture_output=True, text=True, check=True).stdout.strip()
    label = commands(the("yaml", "labels:"))[1]
    closed = before.replace("      - --api.insecure=true\n", "")
    assert closed != before and f"# {label}" in closed
    ours = label.replace("$$apr1$$...", hashed.replace("$", "$$"))
    try:
        # The flag alone: no access.
        file.write_text(closed)
        shell.run(UP)
        wait_for("the dashboard requires a password", lambda: answer(8080) == 401)
        assert answer(8080, "/api/rawdata", login("admin", "open sesame")) == 401
        assert answer(8080, "/api/rawdata", login("nobody", "")) == answer(8080, "/api/rawdata", login("nobody", "*")) == 401
        file.write_text(closed.replace(f"# {label}", ours))
        shell.run(UP)
        wait_for("the dashboard knows its user", lambda: answer(8080, "/api/rawdata", login("admin", "open sesame")) == 200)
        assert "admin" in str(yaml.safe_load(file.read_text())["services"]["traefik"]["labels"])
        for path in ["/", "/dashboard/", "/api/rawdata", "/api/overview"]:
            assert answer(8080, path) == 401, path
            assert answer(8080, path, login("admin", "close sesame")) == 401, path
        assert answer(8080, "/", login("admin", "open sesame")) == 200
        assert answer(80, "/health") == 200
    finally:
        file.write_text(before)
        shell.run(UP)
    wait_for("the dashboard is open again", lambda: answer(8080, "/api/rawdata") == 200)


def test_the_domain_has_its_certificate_from_let_s_encrypt_once_its_lines_are_uncommented(engine, shell, checkout):
    """No certificate can be fetched here; Traefik's own account shows that it would be."""
    file = checkout / "docker-compose.yml"
    before = file.read_text()

    def router():
        done = subprocess.run(["curl", "--silent", "http://127.0.0.1:8080/api/http/routers/mbmcp-server-domain@file"],
                              capture_output=True, text=True)
        found = json.loads(done.stdout) if done.stdout.startswith("{") else {}
        # While Traefik reads its routes there is none.
        return found if "rule" in found else {}

    assert router() == {}
    try:
        file.write_text(re.sub(r"^( +)# (- --certificatesresolvers\.)", r"\1\2", before, flags=re.MULTILINE))
        shell.run("ACME_EMAIL=a@memory.test DOMAIN=memory.test " + UP)
        found = wait_for("the router of the domain", router)
        assert found["tls"]["certResolver"] == "letsencrypt" and found["status"] == "enabled" and "error" not in found, found
        assert "Host(`memory.test`)" in found["rule"]
        healthy(engine, ["mbmcp-traefik"])
    finally:
        file.write_text(before)
        shell.run(UP)


def test_without_the_server_traefik_answers_502_or_503(engine):
    wait_for("the edge", lambda: answer(80, "/health") == 200)
    engine("stop", "mbmcp-server")
    # Nothing here resolves names of no container, so that Traefik would wait (504): the name stays, and nobody listens.
    engine("run", "--detach", "--name", "away", "--network", "mbmcp_edge", "--network-alias", "mbmcp-server",
           "--entrypoint", "sleep", "postgres:17-alpine", "600")
    try:
        assert answer(80, "/health", seconds=30) in (502, 503)
        assert send(EDGE, "POST", "/mcp", body={})[0] in (502, 503)
    finally:
        engine("rm", "--force", "--volumes", "away")


def test_the_rollback_leaves_nothing_in_the_database(engine):
    assert int(psql(engine, "SELECT count(*) FROM pg_inherits WHERE inhparent = 'mcp_events'::regclass")) > 1
    engine("exec", "--interactive", "mbmcp-postgres", "psql", "-U", "mbmcp", "-d", "memory_bank_mcp", "-v", "ON_ERROR_STOP=1",
           input=the("sql", "BEGIN;\n  DROP"))
    left = """SELECT string_agg(name, ', ') FROM (
      SELECT nspname FROM pg_namespace WHERE nspname !~ '^pg_' AND nspname NOT IN ('public', 'information_schema')
      UNION SELECT defaclobjtype::text FROM pg_default_acl
      UNION SELECT evtname FROM pg_event_trigger
      UNION SELECT extname FROM pg_extension WHERE extname <> 'plpgsql'
      UNION SELECT cfgname FROM pg_ts_config WHERE cfgnamespace <> 'pg_catalog'::regnamespace
      UNION SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace
      UNION SELECT typname FROM pg_type WHERE typnamespace = 'public'::regnamespace
      UNION SELECT proname FROM pg_proc WHERE pronamespace = 'public'::regnamespace) AS ours(name)"""
    assert psql(engine, left) == ""


def test_the_stack_stops_and_removes_its_volumes(engine, shell):
    shell.run(line("docker compose --profile local-db down"))
    assert engine("ps", "--all", "--quiet") == "" and "mbmcp_postgres-data" in engine("volume", "ls", "--quiet")
    shell.run(line(GONE))
    assert of_ours(engine) == ""


def test_a_password_with_any_characters_works(engine, shell, checkout):
    password = 'p$w#@/%:?&= $HOME "x\\ ü'
    example = (checkout / ".env.example").read_text()
    changed = example.replace("'mbmcp_secret'", f"'{password}'")
    changed = changed.replace("POSTGRES_DB=memory_bank_mcp", "POSTGRES_DB=other-bank").replace("POSTGRES_USER=mbmcp", "POSTGRES_USER=other/owner")
    (checkout / ".env").write_text(changed)
    try:
        shell.run(UP)
        healthy(engine)
        quoted = shlex.quote(password)
        there = f"PGPASSWORD={quoted} psql -h 127.0.0.1 -U other/owner -d other-bank -Atc 'SELECT count(*) FROM schema_migrations'"
        assert shell.run(there) == "3"
        assert "bob" in shell.run("docker compose run --rm migrate users create bob --json")
        wait_for("the server on the other database", lambda: answer(80, "/health") == 200)
    finally:
        shell.run(GONE)
        shell.run("cp .env.example .env")


@pytest.fixture
def elsewhere(engine, shell):
    """A PostgreSQL elsewhere, with a role like Supabase's `postgres` and one that needs no password: its address for each."""
    engine("run", "--detach", "--name", "elsewhere", "--user", "postgres", "--env", "POSTGRES_PASSWORD=secret", "--publish", "6543:5432",
           "postgres:17-alpine")
    try:
        host = engine.inspect("elsewhere")["NetworkSettings"]["Gateway"]
        wait_for("the database elsewhere", lambda: engine.try_("exec", "elsewhere", "pg_isready", "-q", "-h", "127.0.0.1").returncode == 0)
        engine("exec", "elsewhere", "bash", "-c", "sed -i '1i host all trusted all trust' $PGDATA/pg_hba.conf")
        for text in ["CREATE ROLE manager LOGIN CREATEROLE BYPASSRLS PASSWORD 'managing'", "CREATE ROLE trusted LOGIN",
                     "ALTER DATABASE postgres OWNER TO manager", "SELECT pg_reload_conf()"]:
            engine("exec", "elsewhere", "psql", "-c", text, "postgresql://postgres:secret@127.0.0.1/postgres")
        yield lambda login: f"postgresql://{login}@{host}:6543/postgres?sslmode=disable"
    finally:
        engine("rm", "--force", "--volumes", "elsewhere")
        shell.run("unset SUPABASE_DB_URL; " + GONE)
        shell.run("cp .env.example .env")


def test_supabase_needs_two_variables_and_the_scripts(engine, shell, checkout, elsewhere):
    # It has no certificate: that Supabase's is checked is tested elsewhere.
    url = elsewhere("manager:managing")
    given = commands(the("dotenv", "DB_PROVIDER"))
    assert [one.partition("=")[0] for one in given] == ["DB_PROVIDER", "SUPABASE_DB_URL"]
    # Nothing but these two.
    (checkout / ".env").write_text(f"{given[0]}\nSUPABASE_DB_URL={url}\n")
    shell.run(f"export SUPABASE_DB_URL={shlex.quote(url)}")
    for command in commands(the("bash", "psql")):
        assert "ERROR" not in shell.run(command)
    queries = [text for kind, text in code() if kind == "sql" and text.startswith("SELECT")]
    rows, secured = [shell.run(f"psql \"$SUPABASE_DB_URL\" -At -c {shlex.quote(query)}").splitlines() for query in queries]
    assert [row.split("|")[0] for row in rows] == ["001_schema", "002_policies", "003_functions"]
    assert len(secured) == 4 and all(row.endswith("|t") for row in secured)
    shell.run("unset SUPABASE_DB_URL")
    shell.run(line("docker compose up -d"))
    healthy(engine, ["mbmcp-traefik", "mbmcp-server", "mbmcp-redis"])
    assert "mbmcp-postgres" not in engine("ps", "--all", "--format", "{{.Names}}")
    wait_for("the edge", lambda: answer(80, "/health") == 200)
    assert json.loads(send(EDGE, "GET", "/health")[2])["db"] == "ok"

    # The same database as one that asks for no password, with the server as a role that may only serve.
    engine("exec", "elsewhere", "psql", "-c", "GRANT app_server TO trusted", "postgresql://postgres:secret@127.0.0.1/postgres")
    settings = f"DATABASE_URL={elsewhere('trusted')}\n"
    (checkout / ".env").write_text(settings)
    shell.run("docker compose up -d || true")
    reason = wait_for("the reason in the log", lambda: named_reason(engine))
    for way in ["`/credentials/server_password`", "`DATABASE_URL`", "variable empty", "`--profile local-db`"]:
        assert way in reason, reason
    (checkout / ".env").write_text(settings + "PGPASSWORD_FILE=\n")
    shell.run("docker compose up -d")
    healthy(engine, ["mbmcp-traefik", "mbmcp-server"])
    wait_for("the edge", lambda: answer(80, "/health") == 200)
    assert json.loads(send(EDGE, "GET", "/health")[2])["db"] == "ok"


def named_reason(engine):
    """The log lines of the server about its password file."""
    done = engine.try_("logs", "mbmcp-server")
    output = done.stdout + done.stderr
    return output if "PGPASSWORD_FILE" in output else None


def test_the_image_is_removed(engine, shell, checkout, stand_ins):
    """The image that Compose builds under the name of the guide."""
    shell.run(line(GONE))
    shell.run("docker tag diaz3618/memory-bank-mcp:1.8.0-http-pg-redis kept-for-other-tests")
    try:
        shell.run(line("docker rmi diaz3618/memory-bank-mcp:1.8.0-http-pg-redis"))
        assert engine("images", "--quiet", IMAGE) == ""
    finally:
        engine("tag", "kept-for-other-tests", IMAGE)
        engine("rmi", "kept-for-other-tests")
