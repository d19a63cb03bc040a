//! `doctor` on real servers: every finding with its advice; and poolers, from `serve` to an edit.

use std::io::Write;
use std::net::TcpListener;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use memory_bank_test_postgres::{MIGRATOR, PgBouncer, SERVER, SUPABASE, TLS_ONLY, TestDatabase, TestRedis};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::client::{Server, command};

/// A report of the doctor.
pub(crate) struct Report {
    pub(crate) code: Option<i32>,
    pub(crate) json: Value,
}

impl Report {
    /// The findings of one check, as `level: message -> advice`.
    pub(crate) fn of(&self, check: &str) -> String {
        let findings = self.json["findings"].as_array().unwrap().iter().filter(|one| one["check"] == check);
        let lines = findings.map(|one| {
            let text = |name: &str| one[name].as_str().unwrap_or_default();
            format!("{}: {} -> {}", text("level"), text("message"), text("advice"))
        });
        lines.collect::<Vec<_>>().join("\n")
    }

    #[track_caller]
    pub(crate) fn expect_finding(&self, check: &str, words: &[&str]) {
        let message = self.of(check);
        for word in words {
            assert!(message.contains(word), "`{word}` is missing from {check}: {message:?}\n{}", self.json);
        }
    }
}

fn doctor_in(folder: &TempDir, variables: &[(&str, &str)], key: Option<&str>) -> Report {
    let mut command = command(folder, variables);
    command.args(["doctor", "--json"]);
    if key.is_some() {
        command.args(["--key", "-"]);
    }
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(key.unwrap_or_default().as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let message = String::from_utf8(output.stdout).unwrap();
    let output_text = format!("{message}{}", String::from_utf8_lossy(&output.stderr));
    assert!(
        !output_text.contains("s3cret") && !output_text.contains("mbmcp_live_xxxx"),
        "a secret is shown: {output_text}"
    );
    let json = serde_json::from_str(&message).unwrap_or_else(|error| panic!("{error}: {output_text}"));
    Report { code: output.status.code(), json }
}

pub(crate) fn doctor(variables: &[(&str, &str)]) -> Report {
    doctor_in(&TempDir::new().unwrap(), variables, None)
}

pub(crate) fn of_database(url: &str, more: &[(&str, &str)]) -> Report {
    let mut variables = vec![("DATABASE_URL", url), ("REDIS_URL", ""), ("MCP_HOST", "127.0.0.1")];
    variables.extend(more);
    doctor(&variables)
}

#[test]
fn a_healthy_database_and_redis_pass_every_check() {
    let (database, redis) = (TestDatabase::migrated(), TestRedis::start());
    let (url, redis_url) = (database.url(), redis.url());
    let report = of_database(&url, &[("REDIS_URL", redis_url.as_str())]);
    assert_eq!(report.code, Some(0), "{}", report.json);
    let findings = report.json["findings"].as_array().unwrap();
    // How fast the answers come is the machine's: other tests may keep it busy.
    let is_of_server = |finding: &&Value| !finding["check"].as_str().unwrap().ends_with(".latency");
    let others: Vec<&Value> =
        findings.iter().filter(is_of_server).filter(|finding| finding["level"] != "ok").collect();
    assert!(others.is_empty(), "{others:?}");
    report.expect_finding("database.latency", &["per round trip"]);
    report.expect_finding("redis.latency", &["per round trip"]);
    report.expect_finding("database", &["ok: PostgreSQL 1"]);
    report.expect_finding("database.pooler", &["ok"]);
    report.expect_finding("database.role", &["ok", SERVER]);
    report.expect_finding("database.tls", &["ok: the connection is not encrypted, in a private network"]);
    report.expect_finding("database.migrations", &["ok: all"]);
    report.expect_finding("database.isolation", &["ok"]);
    report.expect_finding("database.events", &["ok: 0 events"]);
    report.expect_finding("database.connections", &["ok: 20 connections"]);
    report.expect_finding("clock", &["ok"]);
    report.expect_finding("redis", &["ok: Redis"]);
    report.expect_finding("redis.memory", &["ok"]);
    report.expect_finding("address", &["ok"]);
}

#[test]
fn the_text_report_shows_an_action_below_each_finding() {
    let folder = TempDir::new().unwrap();
    let output = command(&folder, &[("ALLOWED_HOSTS", "*")]).arg("doctor").output().unwrap();
    let message = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{message}");
    assert!(
        message.contains("warning  hosts") && message.contains("-> list the host names that clients use"),
        "{message}"
    );
}

#[test]
fn an_invalid_variable_is_reported_and_a_misspelt_one_is_named() {
    let report = doctor(&[("TRUST_PROXY_HOPS", "many"), ("MCP_HOTS", "0.0.0.0")]);
    assert_eq!(report.code, Some(1));
    report.expect_finding(
        "configuration",
        &["error: `TRUST_PROXY_HOPS` is `many`", "warning: `MCP_HOTS`", "`MCP_HOST`?"],
    );
}

#[test]
fn each_cause_of_a_failed_database_connection_is_reported_with_an_action() {
    let database = TestDatabase::migrated();
    let good = database.url();
    let port = format!(":{}/", database.port());
    let cases = [
        (good.replace(&port, ":1/"), "nothing listens there"),
        (good.replace("127.0.0.1", "nowhere.invalid"), "correct the host"),
        (good.replace(database.name(), "nothing"), "createdb"),
        (good.replace(SERVER, "nobody_of_this_name:s3cret"), "correct user and password"),
        (database.url_of(TLS_ONLY), "remove `sslmode=disable`"),
        (good.replace("sslmode=disable", "sslmode=verify-full"), "DB_SSL_ROOT_CERT"),
    ];
    for (url, advice) in &cases {
        let report = of_database(url, &[]);
        assert_eq!(report.code, Some(1), "{}", report.json);
        report.expect_finding("database", &["error: it cannot be reached", advice]);
    }
    let report = of_database(&good.replace("sslmode=disable", "sslmode=sometimes"), &[]);
    report.expect_finding("database", &["error: `DATABASE_URL` cannot be used"]);
}

#[test]
fn a_server_that_never_answers_times_out_within_seconds() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = silent.local_addr().unwrap().port();
    let began = Instant::now();
    let redis = format!("redis://127.0.0.1:{port}");
    let report =
        of_database(&format!("postgres://u:s3cret@127.0.0.1:{port}/d"), &[("REDIS_URL", redis.as_str())]);
    assert_eq!(report.code, Some(1));
    report.expect_finding("database", &["error", "nothing answers there"]);
    report.expect_finding("redis", &["error: it does not answer"]);
    assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
}

#[test]
fn a_verified_certificate_passes() {
    let database = TestDatabase::migrated();
    let url = database.url_of(TLS_ONLY).replace("?sslmode=disable", "");
    let authority = database.authority().to_str().unwrap();
    let report = of_database(&url, &[("DB_SSL_ROOT_CERT", authority)]);
    report.expect_finding(
        "database.tls",
        &["ok: the connection is encrypted, and the certificate is checked with the host's name"],
    );
}

#[test]
fn an_empty_database_is_reported_as_missing_the_schema() {
    let database = TestDatabase::empty();
    let url = database.url_of(MIGRATOR);
    let report = of_database(&url, &[]);
    assert_eq!(report.code, Some(0), "the server applies them: {}", report.json);
    report.expect_finding(
        "database.migrations",
        &[
            "warning: the database lacks 001_schema",
            "supabase/setup/001_schema.sql",
            "memory-bank-mcp migrate",
        ],
    );
    let supabase = [("DB_PROVIDER", "supabase"), ("SUPABASE_DB_URL", url.as_str()), ("REDIS_URL", "")];
    let report = doctor(&supabase);
    assert_eq!(report.code, Some(1));
    report.expect_finding(
        "database.migrations",
        &["error", "supabase/setup/001_schema.sql, supabase/setup/002_policies.sql"],
    );
}

#[test]
fn a_database_without_tenant_isolation_is_an_error() {
    let database = TestDatabase::migrated();
    database.psql("ALTER TABLE public.documents NO FORCE ROW LEVEL SECURITY");
    let report = of_database(&database.url(), &[]);
    assert_eq!(report.code, Some(1));
    report.expect_finding("database.isolation", &["error", "public.documents", "002_policies.sql"]);
}

#[test]
fn a_superuser_login_is_a_warning() {
    let database = TestDatabase::migrated();
    let report = of_database(&database.url_of("postgres"), &[]);
    assert_eq!(report.code, Some(0), "{}", report.json);
    report.expect_finding("database.role", &["warning: `postgres` is a superuser", "app_server"]);
}

#[test]
fn rights_granted_to_other_roles_are_an_error() {
    let database = TestDatabase::migrated();
    database.psql("GRANT SELECT ON public.api_keys TO PUBLIC");
    let report = of_database(&database.url(), &[]);
    assert_eq!(report.code, Some(1));
    report
        .expect_finding("database.rights", &["error: everybody may SELECT on api_keys", "002_policies.sql"]);
}

#[test]
fn a_pool_larger_than_the_database_allows_is_a_warning() {
    let database = TestDatabase::migrated();
    let report = of_database(&database.url(), &[("DB_MAX_CONNECTIONS", "1000")]);
    report.expect_finding("database.connections", &["warning: 1000 connections", "DB_MAX_CONNECTIONS"]);
}

#[test]
fn expired_events_are_a_warning_with_their_number_and_age() {
    let database = TestDatabase::migrated();
    database.psql(
        "INSERT INTO public.mcp_events (session_id, stream_id, place, user_id, project_id, message, created_at) \
         SELECT gen_random_uuid(), gen_random_uuid(), 1, gen_random_uuid(), gen_random_uuid(), '{}', \
           now() - make_interval(hours => h) FROM unnest(ARRAY[1, 30]) AS h",
    );
    let report = of_database(&database.url(), &[]);
    report.expect_finding(
        "database.events",
        &["warning: 2 events", "EVENT_RETENTION_HOURS", "no server has cleaned up"],
    );
    let report = of_database(&database.url(), &[("EVENT_RETENTION_HOURS", "48")]);
    report.expect_finding("database.events", &["ok: 2 events"]);
}

#[test]
fn an_unreachable_or_misconfigured_redis_is_reported_with_an_action() {
    let away = doctor(&[("REDIS_URL", "redis://:s3cret@127.0.0.1:1")]);
    assert_eq!(away.code, Some(1));
    away.expect_finding("redis", &["error: it cannot be reached", "start Redis"]);

    let redis = TestRedis::start();
    let url = redis.url();
    let send_command = |words: &str| {
        use std::io::Read;
        let mut stream = std::net::TcpStream::connect(("127.0.0.1", redis.port())).unwrap();
        stream.write_all(format!("{words}\r\nQUIT\r\n").as_bytes()).unwrap();
        let mut reply = String::new();
        stream.read_to_string(&mut reply).unwrap();
        assert!(!reply.starts_with('-'), "{words}: {reply}");
    };
    send_command("CONFIG SET maxmemory 100mb");
    send_command("CONFIG SET maxmemory-policy noeviction");
    doctor(&[("REDIS_URL", &url)])
        .expect_finding("redis.memory", &["warning", "of 100 MiB", "maxmemory-policy allkeys-lru"]);
    send_command("CONFIG SET maxmemory-policy allkeys-lru");
    doctor(&[("REDIS_URL", &url)]).expect_finding("redis.memory", &["ok", "policy allkeys-lru"]);
    send_command("REPLICAOF 127.0.0.1 1");
    doctor(&[("REDIS_URL", &url)]).expect_finding("redis", &["error: it is a read-only replica", "primary"]);
    send_command("REPLICAOF NO ONE");
    send_command("ACL SETUSER bank on >pass ~mbmcp:* +@all resetchannels");
    let of_user = format!("redis://bank:pass@127.0.0.1:{}", redis.port());
    let channels = ["error: its user lacks rights", "`&mbmcp:news:*`", "`&mbmcp:signals:*`", "ACL SETUSER"];
    doctor(&[("REDIS_URL", &of_user)]).expect_finding("redis", &channels);
    send_command("ACL SETUSER bank &mbmcp:news:* &mbmcp:signals:*");
    doctor(&[("REDIS_URL", &of_user)]).expect_finding("redis", &["ok: Redis"]);
    send_command("CONFIG SET requirepass s3cret");
    doctor(&[("REDIS_URL", &url)]).expect_finding("redis", &["error: it asks for another user or password"]);
    let with_password = format!("redis://:s3cret@127.0.0.1:{}", redis.port());
    doctor(&[("REDIS_URL", &with_password)]).expect_finding("redis", &["ok: Redis"]);
    let stopped = Command::new("kill").args(["-STOP", &redis.process().to_string()]).status().unwrap();
    assert!(stopped.success());
    doctor(&[("REDIS_URL", &with_password)]).expect_finding("redis", &["error: it does not answer"]);
}

#[test]
fn the_port_check_distinguishes_free_own_and_foreign() {
    let server = Server::start(&[]);
    let (_, port) = server.address.rsplit_once(':').unwrap();
    let report = doctor(&[("MCP_PORT", port)]);
    report.expect_finding("address", &["ok: memory-bank-mcp already listens", "`ok`"]);
    let other = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = other.local_addr().unwrap().port().to_string();
    let report = doctor(&[("MCP_PORT", &port)]);
    assert_eq!(report.code, Some(1));
    report.expect_finding("address", &["error: another program listens", "MCP_PORT"]);
    let report = doctor(&[("MCP_HOST", "192.0.2.1")]);
    report.expect_finding("address", &["error: this machine does not have the address"]);
}

#[test]
fn wildcard_hosts_and_origins_are_warnings() {
    let report = doctor(&[("ALLOWED_HOSTS", "*"), ("ALLOWED_ORIGINS", "*")]);
    report.expect_finding("hosts", &["warning: `ALLOWED_HOSTS` is `*`"]);
    report.expect_finding("origins", &["warning: `ALLOWED_ORIGINS` is `*`"]);
    let report =
        doctor(&[("MCP_HOST", "0.0.0.0"), ("ALLOWED_HOSTS", "mcp.example"), ("TRUST_PROXY_HOPS", "0")]);
    report.expect_finding("hosts", &["ok: requests for mcp.example"]);
    report.expect_finding("proxy", &["ok: no proxy is trusted"]);
    let report = doctor(&[("MCP_HOST", "0.0.0.0")]);
    report.expect_finding("hosts", &["ok: requests for any host are allowed with a valid key"]);
    let report = doctor(&[("PUBLIC_URL", "https://memory.example.com")]);
    report.expect_finding("hosts", &["ok: requests for localhost and https://memory.example.com"]);
}

#[test]
fn without_a_database_the_folder_is_checked() {
    let folder = TempDir::new().unwrap();
    let report = doctor_in(&folder, &[], None);
    assert_eq!(report.code, Some(0), "{}", report.json);
    report.expect_finding("folder", &["ok", "can be written"]);
    report.expect_finding("folder.bank", &["ok: there is no bank yet"]);
    report.expect_finding("folder.keys", &["ok: there is no key yet"]);
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "the doctor left something behind");
    std::fs::write(folder.path().join("memory-bank"), "").unwrap();
    doctor_in(&folder, &[], None).expect_finding("folder.bank", &["error", "is not a folder"]);
}

#[test]
fn a_rejected_key_is_reported_with_the_reason_and_not_shown() {
    let database = TestDatabase::migrated();
    let folder = TempDir::new().unwrap();
    let operate = |arguments: &[&str]| -> Value {
        let url = database.url_of(MIGRATOR);
        let variables = [("DATABASE_URL", url.as_str()), ("REDIS_URL", "")];
        let output = command(&folder, &variables).args(arguments).arg("--json").output().unwrap();
        serde_json::from_slice(&output.stdout).unwrap()
    };
    let made = operate(&["bootstrap", "--user", "alice", "--project", "atlas"]);
    let (id, key) = (made["key"]["id"].as_str().unwrap(), made["key"]["key"].as_str().unwrap());
    let url = database.url();
    let variables = [("DATABASE_URL", url.as_str()), ("REDIS_URL", ""), ("MCP_HOST", "127.0.0.1")];
    let judged = |key: &str| doctor_in(&folder, &variables, Some(key));
    let good = judged(&format!("{key}\n"));
    good.expect_finding("key", &["ok: it is valid: owner `alice`, 60 requests per minute, does not expire"]);
    assert!(!good.json.to_string().contains(key));
    judged("sk-12345").expect_finding("key", &["error: this is not a key", "mbmcp_live_"]);
    judged(&format!("mbmcp_live_{}", "x".repeat(32))).expect_finding("key", &["error: it is unknown"]);
    operate(&["keys", "revoke", id]);
    let revoked = judged(key);
    assert_eq!(revoked.code, Some(1));
    revoked.expect_finding("key", &["error: it was revoked at 2", "keys create"]);
    let short = operate(&["keys", "create", "--user", "alice", "--project", "atlas", "--expires-days", "1"]);
    database
        .psql("UPDATE public.api_keys SET expires_at = now() - interval '1 minute' WHERE revoked_at IS NULL");
    judged(short["key"].as_str().unwrap()).expect_finding("key", &["error: it expired at 2", "keys rotate"]);
}

/// Serves through a pooler; returns the output of `serve` and the doctor's report.
fn served_through(pooler: &PgBouncer, database: &TestDatabase, more: &str) -> (Option<i32>, String, Report) {
    let url = format!("{}{more}", pooler.url_of(database, SERVER));
    let folder = TempDir::new().unwrap();
    let variables = [("DATABASE_URL", url.as_str()), ("REDIS_URL", ""), ("MCP_HOST", "127.0.0.1")];
    let output = command(&folder, &variables).arg("serve").output().unwrap();
    (output.status.code(), String::from_utf8(output.stderr).unwrap(), of_database(&url, &[]))
}

#[test]
fn a_transaction_pooler_is_refused_with_advice_to_use_the_session_pooler() {
    let database = TestDatabase::migrated();
    let pooler = PgBouncer::start(&database, "transaction");
    for more in ["", "&pgbouncer=true"] {
        let began = Instant::now();
        let (code, message, report) = served_through(&pooler, &database, more);
        assert_eq!((code, report.code), (Some(1), Some(1)));
        assert!(message.contains("session pooler") && message.contains("DATABASE_URL"), "{message}");
        assert!(began.elapsed() < Duration::from_secs(25), "it was tried again: {:?}", began.elapsed());
        assert!(report.json.to_string().contains("take the session pooler"), "{}", report.json);
    }
}

#[test]
fn through_a_session_pooler_a_project_is_served_and_edited() {
    served_through_a_pooler("session")
        .expect_finding("database.pooler", &["ok: connections keep their sessions"]);
}

#[test]
fn through_a_transaction_pooler_that_was_asked_for_a_project_is_served_and_edited() {
    let report = served_through_a_pooler("transaction");
    report.expect_finding("database.pooler", &["ok: `DB_POOLER=transaction`"]);
    report.expect_finding("database.isolation", &["ok"]);
}

/// Sets a project up through a pooler, serves and edits it; returns the doctor's report.
fn served_through_a_pooler(mode: &str) -> Report {
    let database = TestDatabase::migrated();
    let pooler = PgBouncer::start(&database, mode);
    let folder = TempDir::new().unwrap();
    let owner = pooler.url_of(&database, MIGRATOR);
    let output =
        command(&folder, &[("DATABASE_URL", owner.as_str()), ("REDIS_URL", ""), ("DB_POOLER", mode)])
            .args(["bootstrap", "--user", "alice", "--project", "atlas", "--json"])
            .output()
            .unwrap();
    let made: Value = serde_json::from_slice(&output.stdout).unwrap();
    let url = pooler.url_of(&database, SERVER);
    let variables =
        [("DATABASE_URL", url.as_str()), ("REDIS_URL", ""), ("MCP_HOST", "127.0.0.1"), ("DB_POOLER", mode)];
    let mut server = Server::start(&variables);
    made["key"]["key"].as_str().unwrap().clone_into(&mut server.key);
    served_and_edited(&server);
    of_database(&url, &[("DB_POOLER", mode)])
}

#[test]
fn a_supabase_project_is_set_up_with_its_scripts_served_and_edited() {
    let database = TestDatabase::supabase();
    let folder = TempDir::new().unwrap();
    let url = database.url_of(SUPABASE);
    let variables = [
        ("DB_PROVIDER", "supabase"),
        ("SUPABASE_DB_URL", url.as_str()),
        ("REDIS_URL", ""),
        ("MCP_HOST", "127.0.0.1"),
    ];
    // The doctor creates nothing.
    let refused = command(&folder, &variables).arg("serve").output().unwrap();
    let message = String::from_utf8(refused.stderr).unwrap();
    assert_eq!(refused.status.code(), Some(1));
    assert!(message.contains("supabase/setup/001_schema.sql, supabase/setup/002_policies.sql"), "{message}");
    assert_eq!(database.psql("SELECT to_regclass('public.documents') IS NULL"), "t");

    let scripts = concat!(env!("CARGO_MANIFEST_DIR"), "/../../supabase/setup");
    let mut files: Vec<_> = std::fs::read_dir(scripts).unwrap().map(|file| file.unwrap().path()).collect();
    files.sort();
    for file in files {
        database.psql_as(SUPABASE, &std::fs::read_to_string(file).unwrap());
    }
    let output = command(&folder, &variables)
        .args(["bootstrap", "--user", "alice", "--project", "atlas", "--json"])
        .output()
        .unwrap();
    let made: Value = serde_json::from_slice(&output.stdout).unwrap();
    let mut server = Server::start(&variables);
    made["key"]["key"].as_str().unwrap().clone_into(&mut server.key);
    served_and_edited(&server);
    let report = doctor(&variables);
    assert_eq!(report.code, Some(0), "{}", report.json);
    report.expect_finding("database.connections", &["10 connections"]);
    report.expect_finding("database.role", &["ok", SUPABASE]);
}

#[test]
fn the_certificate_of_supabase_is_verified_unless_tls_is_disabled() {
    let database = TestDatabase::migrated();
    let url = database.url_of(TLS_ONLY).replace("?sslmode=disable", "");
    let mut variables =
        vec![("DB_PROVIDER", "supabase"), ("SUPABASE_DB_URL", url.as_str()), ("REDIS_URL", "")];
    doctor(&variables).expect_finding("database", &["error: it cannot be reached", "DB_SSL_ROOT_CERT"]);
    variables.push(("DB_SSL_ROOT_CERT", database.authority().to_str().unwrap()));
    doctor(&variables).expect_finding(
        "database.tls",
        &["ok: the connection is encrypted, and the certificate is checked with the host's name"],
    );
}

fn served_and_edited(server: &Server) {
    let session = server.initialize();
    server.call(&session, "initialize_memory_bank", &json!({"path": "."}));
    let name = json!({"filename": "plan.md", "content": "# Plan\n\nfirst\n"});
    server.call(&session, "write_memory_bank_file", &name);
    let edit = json!({"filename": "plan.md", "edits": [{"op": "replace", "old": "first", "new": "second"}]});
    server.call(&session, "edit_memory_bank_file", &edit);
    let read = server.call(&session, "read_memory_bank_file", &json!({"filename": "plan.md"}));
    assert!(read.contains("second"), "{read}");
}
