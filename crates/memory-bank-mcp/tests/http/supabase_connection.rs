//! Connections to Supabase: every command uses the port of the session pooler and verifies the certificate, host names are
//! resolved, and `doctor` reports it. A test server has a certificate with Supabase's names.

use std::io::copy;
use std::net::{Shutdown, TcpListener, TcpStream};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use memory_bank_test_postgres::{MIGRATOR, TLS_ONLY, TestDatabase};
use serde_json::json;
use tempfile::TempDir;

use crate::client::{Server, command};
use crate::database::{key_of, operate, serve};

const HOST: &str = "aws-0-test.pooler.supabase.com";
const PASSWORD: &str = "s3cret?of#alice";
const MOVED: &str = "port 6543 is Supabase's transaction pooler";

/// An address of this machine where port 5432 leads to the test server, as Supabase's session pooler does.
fn session_pooler(database: &TestDatabase, last: u8) -> String {
    let id = std::process::id();
    let address = format!("127.{}.{}.{last}", 64 + id % 64, id / 64 % 250);
    let listener = TcpListener::bind((address.as_str(), 5432)).unwrap();
    let target = database.port();
    thread::spawn(move || {
        for client in listener.incoming().flatten() {
            let server = TcpStream::connect(("127.0.0.1", target)).unwrap();
            for (mut from, mut to) in [
                (client.try_clone().unwrap(), server.try_clone().unwrap()),
                (server.try_clone().unwrap(), client.try_clone().unwrap()),
            ] {
                thread::spawn(move || {
                    let _ended = copy(&mut from, &mut to);
                    let _closed = to.shutdown(Shutdown::Both);
                });
            }
        }
    });
    address
}

fn url(role: &str, database: &TestDatabase, more: &str) -> String {
    format!("postgresql://{role}:{PASSWORD}@{HOST}:6543/{}{more}", database.name())
}

/// Runs a command to its end; returns whether it succeeded, and its output.
fn run(variables: &[(&str, &str)], arguments: &[&str]) -> (bool, String) {
    let folder = TempDir::new().unwrap();
    finished(command(&folder, variables).args(arguments))
}

fn finished(command: &mut Command) -> (bool, String) {
    let output = command.output().unwrap();
    let written = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
    assert!(!written.contains("s3cret"), "a password is shown: {written}");
    (output.status.success(), written)
}

#[test]
fn every_command_uses_the_session_pooler_and_logs_it_once_without_a_password() {
    let database = TestDatabase::empty();
    let address = session_pooler(&database, 81);
    let authority = database.authority().display().to_string();
    let url = url(MIGRATOR, &database, &format!("?hostaddr={address}"));
    let variables = [
        ("DB_PROVIDER", "supabase"),
        ("SUPABASE_DB_URL", url.as_str()),
        ("DB_SSL_ROOT_CERT", authority.as_str()),
        ("REDIS_URL", ""),
        ("MCP_HOST", "127.0.0.1"),
    ];
    let folder = TempDir::new().unwrap();
    let to = folder.path().join("bank").display().to_string();
    let commands: [&[&str]; 10] = [
        &["migrate"],
        &["migrate", "--status"],
        &["bootstrap", "--user", "alice", "--project", "atlas"],
        &["users", "create", "bob"],
        &["users", "list"],
        &["projects", "list"],
        &["members", "list", "--project", "atlas"],
        &["keys", "list", "--project", "atlas"],
        &["export", "--project", "atlas", "--to", &to],
        &["doctor"],
    ];
    for arguments in commands {
        let (well, written) = run(&variables, arguments);
        assert!(well, "{arguments:?}: {written}");
        assert_eq!(written.matches(MOVED).count(), 1, "{arguments:?}: {written}");
    }
    let from = folder.path().join("other");
    std::fs::create_dir_all(from.join("memory-bank")).unwrap();
    std::fs::write(from.join("memory-bank/product-context.md"), "# Product\n").unwrap();
    let import = ["import", "--project", "atlas", "--from", &from.display().to_string()];
    let (_, written) = run(&variables, &import);
    assert_eq!(written.matches(MOVED).count(), 1, "{import:?}: {written}");
    // Without that file only the unknown authority prevents the connection.
    let without: Vec<(&str, &str)> =
        variables.into_iter().filter(|(name, _)| *name != "DB_SSL_ROOT_CERT").collect();
    for arguments in [&["migrate"] as &[&str], &["doctor"], &["serve", "--transport", "http"]] {
        let (well, written) = run(&without, arguments);
        assert!(!well && written.contains("certificate"), "{arguments:?}: {written}");
    }
    let server = Server::start(&variables);
    assert_eq!(server.send_bare("GET", "/health", &[], "").json()["db"], json!("ok"));
}

#[test]
fn a_supabase_host_is_resolved_and_its_certificate_verified() {
    let database = TestDatabase::migrated();
    let address = session_pooler(&database, 82);
    let folder = TempDir::new().unwrap();
    let hosts = folder.path().join("hosts");
    std::fs::write(&hosts, format!("127.0.0.1 localhost\n{address} {HOST}\n")).unwrap();
    let authority = database.authority().display().to_string();
    let url = url(TLS_ONLY, &database, "");
    for (more, well) in [(Some(authority.as_str()), true), (None, false)] {
        let mut variables =
            vec![("DB_PROVIDER", "supabase"), ("SUPABASE_DB_URL", url.as_str()), ("REDIS_URL", "")];
        variables.extend(more.map(|file| ("DB_SSL_ROOT_CERT", file)));
        let inner = command(&folder, &variables);
        // A separate mount namespace gives the names other addresses.
        let mut outer = Command::new("unshare");
        let script = "mount --bind \"$0\" /etc/hosts && exec \"$@\"";
        outer.args(["--map-root-user", "--mount", "sh", "-c", script]).arg(&hosts);
        outer.arg(inner.get_program()).arg("doctor").env_clear().current_dir(folder.path());
        outer.env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").envs(variables.iter().copied());
        let (ended_well, written) = finished(&mut outer);
        assert_eq!(ended_well, well, "{written}");
        let words = if well { "the certificate is checked with the host's name" } else { "certificate" };
        assert!(written.contains(words) && written.contains(MOVED), "{written}");
    }
}

#[test]
fn doctor_decides_by_host_and_not_by_provider() {
    let database = TestDatabase::migrated();
    let authority = database.authority().display().to_string();
    let at = |mode: &str| {
        format!(
            "host=db.test.supabase.co hostaddr=127.0.0.1 port={} user={TLS_ONLY} password='{PASSWORD}' dbname={} {mode}",
            database.port(),
            database.name()
        )
    };
    let checked = "the certificate is checked with the host's name";
    for (url, file, words) in [
        (at(""), true, checked),
        (at("sslmode=require"), true, checked),
        (at("sslmode=verify-ca"), true, checked),
        (at(&format!("sslmode=verify-ca sslrootcert={authority}")), false, checked),
        // In the password of a URL, the name of a mode is ordinary text.
        (
            format!(
                "postgres://{TLS_ONLY}:sslmode=verify-full@127.0.0.1:{}/{}?sslmode=require",
                database.port(),
                database.name()
            ),
            false,
            "the connection is encrypted, in a private network",
        ),
        (
            at(&format!("sslmode=verify-ca sslrootcert={authority}"))
                .replace("host=db.test.supabase.co ", ""),
            false,
            "the certificate's authority is checked",
        ),
    ] {
        let mut variables =
            vec![("DATABASE_URL", url.as_str()), ("REDIS_URL", ""), ("MCP_HOST", "127.0.0.1")];
        if file {
            variables.push(("DB_SSL_ROOT_CERT", &authority));
        }
        let (well, written) = run(&variables, &["doctor"]);
        assert!(well && written.contains(words), "{url}: {written}");
    }
}

#[test]
fn a_server_fills_missing_search_vectors() {
    let database = TestDatabase::migrated();
    let made = operate(&database, &["bootstrap", "--user", "alice", "--project", "atlas"]).unwrap();
    let key = key_of(&made["key"]);
    let first = serve(&database, &key);
    let session = first.initialize();
    first.call(&session, "initialize_memory_bank", &json!({"path": "."}));
    for name in ["old.md", "new.md"] {
        let document = json!({"filename": name, "content": "a brown fox"});
        first.call(&session, "write_memory_bank_file", &document);
    }
    drop(first);
    // The first server may have filled some of them before it ended.
    database.psql("UPDATE documents SET fts = NULL");
    let stale = "SELECT count(*) FROM documents WHERE fts IS NULL";
    let (_, written) = run(&[("DATABASE_URL", database.url().as_str()), ("REDIS_URL", "")], &["doctor"]);
    assert!(written.contains("documents have no search vector yet"), "{written}");
    let _second = serve(&database, &key);
    let began = Instant::now();
    while database.psql(stale) != "0" {
        assert!(began.elapsed() < Duration::from_secs(60), "{}", database.psql(stale));
        thread::sleep(Duration::from_millis(100));
    }
}
