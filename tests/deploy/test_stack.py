"""Runs the stack with the commands of the documentation."""

import json
import re
import shutil
import subprocess
import time

import pytest
from conftest import wait_for
from mcp import call, initialize, send
from documented_commands import Shell, blocks, marked, shown

EDGE = ("127.0.0.1", 80)
NAMED = ["mbmcp-traefik", "mbmcp-server", "mbmcp-postgres", "mbmcp-redis"]


@pytest.fixture(scope="module")
def shell(engine, stand_ins, checkout):
    def logs():
        done = engine.try_("compose", "--profile", "local-db", "logs", "--tail", "15", cwd=checkout)
        return done.stdout + done.stderr

    # Images that cannot be built here exist already.
    shell = Shell(checkout, engine.environment | {"DOCKER_PULL_POLICY": "never"}, logs)
    yield shell
    engine.try_("compose", "--profile", "local-db", "down", "--volumes", cwd=checkout)
    shell.close()


@pytest.fixture(scope="module")
def quick_start(engine, shell, checkout):
    """Runs the quick start without its end; returns the output of each block and the created key."""
    began = time.monotonic()
    outputs = {}
    for block in blocks(checkout / "docs" / "quick-start.md"):
        if " down" in block:
            break
        outputs[block.splitlines()[-1] if "curl" not in block else block] = shell.run(block)
        if " up " in block:
            outputs["seconds"] = time.monotonic() - began
    outputs["key"] = shell.run("echo $KEY")
    print(f"the stack was up after {outputs['seconds']:.0f} s")
    return outputs


def answers(address, path):
    """Whether there is a good answer yet; the port may be open before anybody listens behind it."""
    try:
        return send(address, "GET", path)[0] == 200
    except OSError:
        return False


@pytest.fixture
def from_nothing(engine, shell, checkout):
    """No data of another test, and the settings as they are in the example."""
    shell.run("cp .env.example .env")
    yield
    engine.try_("compose", "--profile", "local-db", "down", "--volumes", cwd=checkout)


def psql(engine, query):
    return engine("exec", "mbmcp-postgres", "psql", "-U", "mbmcp", "-d", "memory_bank_mcp", "-Atc", query)


def test_the_quick_start_brings_up_the_four_containers(engine, quick_start):
    shown = quick_start["docker compose ps"]
    assert all(name in shown for name in NAMED), shown
    for name in NAMED:
        wait_for(f"{name} is healthy", lambda name=name: engine.health(name) == "healthy", 30)


def test_the_health_check_of_the_quick_start_reports_healthy(quick_start):
    output = next(output for block, output in quick_start.items() if "/health" in block)
    health = json.loads(output[output.index("{"):])
    assert (health["status"], health["db"], health["redis"]) == ("ok", "ok", "ok")


def test_the_key_of_the_quick_start_opens_a_session_through_the_proxy(quick_start):
    assert re.fullmatch(r"mbmcp_live_[0-9A-Za-z]{32}", quick_start["key"])
    output = next(output for block, output in quick_start.items() if "initialize" in block)
    assert '"serverInfo"' in output and "memory-bank-mcp" in output


def test_traefik_routes_only_the_paths_of_the_server(quick_start):
    assert send(EDGE, "GET", "/health/live")[0] == 200
    assert send(EDGE, "GET", "/api/keys")[0] == 401
    assert send(EDGE, "GET", "/api/keys", quick_start["key"])[0] == 200
    # The server answers, with or without OAuth; Traefik has another text for what it does not route.
    for path in ["/.well-known/oauth-protected-resource/mcp", "/.well-known/openid-configuration", "/oauth/grants"]:
        assert send(EDGE, "GET", path)[2].strip() != "404 page not found", path
    assert send(EDGE, "GET", "/.well-known/acme-challenge/x")[2].strip() == "404 page not found"
    status, _, text = send(EDGE, "GET", "/metrics")
    assert (status, text.strip()) == (404, "404 page not found")


def test_the_server_logs_in_as_a_role_that_can_only_serve(engine, quick_start):
    assert psql(engine, "SELECT DISTINCT usename FROM pg_stat_activity WHERE application_name = 'memory-bank-mcp'") == "mbmcp_server"
    assert psql(engine, "SELECT rolsuper, rolbypassrls, rolcreaterole, rolcreatedb FROM pg_roles WHERE rolname = 'mbmcp_server'") == "f|f|f|f"


def test_the_init_folder_leaves_nothing_for_migrate_to_do(engine, quick_start):
    assert "up to date" in engine("logs", "mbmcp-migrate-1")
    assert engine.inspect("mbmcp-migrate-1")["State"]["ExitCode"] == 0


def test_a_restart_for_an_upgrade_applies_missing_migrations(engine, shell, quick_start):
    last = psql(engine, "SELECT max(version) FROM schema_migrations")
    psql(engine, f"DELETE FROM schema_migrations WHERE version = '{last}'")
    shell.run("docker compose --profile local-db up -d")
    assert psql(engine, "SELECT max(version) FROM schema_migrations") == last
    assert last in engine("logs", "mbmcp-migrate-1")


def test_every_migration_is_in_the_init_folder_in_order(engine, checkout, quick_start):
    folder = engine("exec", "mbmcp-postgres", "ls", "/docker-entrypoint-initdb.d").split()
    assert folder == sorted(file.name for file in (checkout / "migrations").glob("[0-9]*.sql"))


def test_redis_is_a_bounded_cache(engine, quick_start):
    for setting, value in [("maxmemory", str(128 * 1024 * 1024)), ("maxmemory-policy", "allkeys-lru"), ("save", "")]:
        assert engine("exec", "mbmcp-redis", "redis-cli", "config", "get", setting).split() == [setting, value][:1 + bool(value)]


@pytest.mark.parametrize("name", NAMED)
def test_a_container_is_confined(engine, quick_start, name):
    one = engine.inspect(name)
    host = one["HostConfig"]
    assert host["ReadonlyRootfs"] and host["CapDrop"] == ["ALL"] and "no-new-privileges:true" in host["SecurityOpt"]
    assert host["Memory"] and host["NanoCpus"] and host["PidsLimit"]
    assert name == "mbmcp-traefik" or one["Config"]["User"] not in ("", "root", "0")
    published = {port for port, at in one["NetworkSettings"]["Ports"].items() if at}
    assert published == {"mbmcp-traefik": {"80/tcp", "443/tcp", "8080/tcp"}, "mbmcp-server": set(),
                         "mbmcp-postgres": {"5432/tcp"}, "mbmcp-redis": {"6379/tcp"}}[name]
    for port in published - {"80/tcp", "443/tcp"}:
        assert [at["HostIp"] for at in one["NetworkSettings"]["Ports"][port]] == ["127.0.0.1"], port


def test_the_server_writes_nothing_outside_the_database(engine, quick_start):
    session = initialize(EDGE, quick_start["key"])
    call(EDGE, quick_start["key"], session, "initialize_memory_bank", path=".")
    call(EDGE, quick_start["key"], session, "track_progress", action="Deployed", description="With Compose")
    assert psql(engine, "SELECT count(*) > 0 FROM documents") == "t"
    assert engine("diff", "mbmcp-server") == ""


def test_without_redis_the_server_is_degraded_and_still_serves(engine, quick_start):
    engine("stop", "mbmcp-redis")
    try:
        status, _, text = send(EDGE, "GET", "/health")
        assert (status, json.loads(text)["status"]) == (200, "degraded")
        initialize(EDGE, quick_start["key"])
    finally:
        engine("start", "mbmcp-redis")


def test_the_quick_start_stops_the_stack_and_keeps_the_data(engine, shell, checkout, quick_start):
    shell.run(blocks(checkout / "docs" / "quick-start.md")[-1])
    assert engine("ps", "--all", "--quiet") == ""
    assert "mbmcp_postgres-data" in engine("volume", "ls", "--quiet")


def test_the_page_on_compose_works_as_written(engine, shell, checkout, from_nothing):
    key = None
    for block in blocks(checkout / "docs" / "compose.md"):
        output = shell.run(block)
        if "schema_migrations" in block:
            assert "001_schema" in output
        if "bootstrap" in block:
            key = re.search(r"mbmcp_live_[0-9A-Za-z]{32}", output).group()
        if "--scale" in block:
            three_servers_share_the_sessions(engine, key)
        if "pg_dump" in block:
            assert (checkout / "memory-bank.dump").stat().st_size > 1000
            # Text written after the backup is gone after the restore.
            assert "later" in shell.run("docker compose run --rm migrate users create later --json")
        if "pg_restore" in block:
            wait_for("the servers on the restored database", lambda: answers(EDGE, "/health"))
            assert psql(engine, "SELECT string_agg(name, ',') FROM users") == "alice"
            assert int(psql(engine, "SELECT count(*) FROM pg_inherits WHERE inhparent = 'mcp_events'::regclass")) > 1
            assert "demo" in call(EDGE, key, initialize(EDGE, key), "list_stores")
        if "compose.secrets.yml" in block and "up -d" in block:
            wait_for("the server with its secrets in files", lambda: answers(EDGE, "/health"))
            password = (checkout / "secrets" / "postgres_password").read_text().strip()
            for container in engine("ps", "--all", "--quiet").split():
                assert password not in engine("inspect", container)
    assert engine("ps", "--all", "--quiet") == ""
    assert engine("volume", "ls", "--quiet", "--filter", "name=mbmcp_") == ""


def servers(engine):
    return engine("ps", "--quiet", "--filter", "label=com.docker.compose.service=mbmcp-server").split()


def three_servers_share_the_sessions(engine, key):
    three = servers(engine)
    assert len(three) == 3
    wait_for("all are healthy", lambda: all(engine.health(one) == "healthy" for one in three))
    session = initialize(EDGE, key)
    for server in three:
        address = (engine.inspect(server)["NetworkSettings"]["Networks"]["mbmcp_edge"]["IPAddress"], 3100)
        assert "demo" in call(address, key, session, "list_stores")
    assert "demo" in call(EDGE, key, session, "list_stores")


def test_in_production_one_name_is_served_over_tls_and_http_redirects_to_it(shell, from_nothing):
    # As `.env` would set it.
    shell.run("export COMPOSE_FILE=docker-compose.yml:deploy/compose.production.yml DOMAIN=memory.test ACME_EMAIL=a@memory.test")
    try:
        shell.run("docker compose --profile local-db up -d")
        curl = "curl --silent --insecure --connect-to ::127.0.0.1:"
        shell.run(f"{curl} --fail --retry 10 --retry-delay 1 --retry-all-errors https://memory.test/health")
        code = f"{curl} --output /dev/null --write-out '%{{http_code}} %{{redirect_url}}'"
        assert shell.run(f"{code} http://memory.test/mcp").split() == ["301", "https://memory.test/mcp"]
        assert shell.run(f"{code} https://memory.test/api/keys").split() == ["401"]
        assert shell.run(f"{code} https://other.test/health").split() == ["404"]
        assert shell.run("curl --silent --max-time 2 http://127.0.0.1:8080/ || echo closed") == "closed"
    finally:
        shell.run("unset COMPOSE_FILE DOMAIN ACME_EMAIL")


@pytest.fixture
def supabase(engine, stand_ins, tmp_path):
    """A database elsewhere that is reached over TLS, as a role like Supabase's `postgres`: its address, and the authority
    that vouches for it."""
    port, name = 6543, "elsewhere"
    engine("run", "--detach", "--name", name, "--user", "postgres", "--env", "POSTGRES_PASSWORD=secret",
           "--publish", f"{port}:5432", "postgres:17-alpine")
    # This machine, as containers of every network see it.
    host = engine.inspect(name)["NetworkSettings"]["Gateway"]
    key, certificate = tmp_path / "server.key", tmp_path / "server.crt"

    def sql(text):
        return engine("exec", name, "psql", "-v", "ON_ERROR_STOP=1", "-Atc", text,
                      "postgresql://postgres:secret@127.0.0.1/postgres")

    try:
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
                        "-subj", "/CN=elsewhere", "-addext", f"subjectAltName=IP:{host}",
                        "-addext", "basicConstraints=critical,CA:FALSE", "-keyout", key, "-out", certificate],
                       check=True, capture_output=True)
        wait_for("the database elsewhere", lambda: engine.try_(
            "exec", name, "pg_isready", "-q", "-h", "127.0.0.1").returncode == 0)
        for file in [key, certificate]:
            engine("exec", "--interactive", name, "bash", "-c", f"umask 077; cat > $PGDATA/{file.name}", input=file.read_text())
        sql("ALTER SYSTEM SET ssl = on")
        sql("SELECT pg_reload_conf()")
        sql("CREATE ROLE manager LOGIN CREATEROLE BYPASSRLS PASSWORD 'managing'")
        sql("ALTER DATABASE postgres OWNER TO manager")
        yield f"postgresql://manager:managing@{host}:{port}/postgres", certificate, sql
    finally:
        engine("rm", "--force", "--volumes", name)


def test_with_supabase_the_stack_has_no_database_and_changes_the_schema_only_on_request(
        engine, shell, checkout, from_nothing, supabase):
    address, certificate, sql = supabase
    guide = checkout / "docs" / "compose.md"
    set_up, changed = re.subn(r"postgresql://postgres\.REF\S*?(?=')", address, shown(guide, "secrets/supabase_db_url"))
    assert changed == 1
    # Supabase's own authority is built in; this database has another, added as the page describes.
    (added,) = [block for block in marked("yaml", guide) if "DB_SSL_ROOT_CERT" in block]
    (checkout / "deploy" / "compose.certificate.yml").write_text(added)
    shutil.copy(certificate, checkout / "ca.crt")
    (checkout / "ca.crt").chmod(0o444)
    shell.run("rm -rf secrets\n" + set_up + "\nsed -i 's|^COMPOSE_FILE=.*|&:deploy/compose.certificate.yml|' .env")
    refused = shell.run("docker compose run --rm --no-deps mbmcp-server || echo ended with $?")
    assert "supabase/setup/001_schema.sql, supabase/setup/002_policies.sql" in refused and "ended with 1" in refused, refused
    assert sql("SELECT to_regclass('public.documents') IS NULL") == "t"

    output = shell.run(shown(guide, "mbmcp-server bootstrap"))
    wait_for("the server with a database elsewhere", lambda: answers(EDGE, "/health"))
    assert json.loads(send(EDGE, "GET", "/health")[2])["db"] == "ok"
    services = engine("ps", "--format", '{{.Label "com.docker.compose.service"}}').split()
    assert sorted(services) == ["mbmcp-server", "redis", "traefik"]
    assert "managing" not in " ".join(engine.inspect("mbmcp-server")["Config"]["Env"])
    key = re.search(r"mbmcp_live_[0-9A-Za-z]{32}", output).group()
    assert "demo" in call(EDGE, key, initialize(EDGE, key), "list_stores")
    assert sql("SELECT bool_and(s.ssl) FROM pg_stat_ssl s JOIN pg_stat_activity a USING (pid) WHERE a.usename = 'manager'") == "t"
