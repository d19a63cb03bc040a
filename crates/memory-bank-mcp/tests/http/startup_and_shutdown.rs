//! Start-up and shutdown of a server with a database.

use std::io::{self, BufRead, BufReader, Lines};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, ChildStderr, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use memory_bank_test_postgres::{TLS_ONLY, TestDatabase, free_port};
use serde_json::json;
use tempfile::TempDir;

use crate::client::{JSON, MCP_ACCEPT, call, command, signal, until};
use crate::database::operate;
use crate::replica_set::{ReplicaSet, await_waiting, key, replica};

const WAITING: &str = "waiting for the database";

/// A server that is starting, and its log.
struct Starting {
    process: Child,
    message: Lines<BufReader<ChildStderr>>,
    _folder: TempDir,
}

impl Starting {
    fn with(url: &str, more: &[(&str, &str)]) -> Self {
        let folder = TempDir::new().unwrap();
        let mut variables = vec![("DATABASE_URL", url), ("REDIS_URL", ""), ("MCP_HOST", "127.0.0.1")];
        variables.extend(more);
        let mut process = command(&folder, &variables)
            .arg("serve")
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let message = BufReader::new(process.stderr.take().unwrap()).lines();
        Self { process, message, _folder: folder }
    }

    fn await_line(&mut self, text: &str) {
        assert!(self.message.any(|line| line.unwrap().contains(text)), "the server ended without `{text}`");
    }

    /// Waits for the end; returns the last log lines and the exit code.
    fn end(&mut self) -> (Vec<String>, Option<i32>) {
        let rest = self.message.by_ref().map(Result::unwrap).collect();
        (rest, self.process.wait().unwrap().code())
    }
}

impl Drop for Starting {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn url_at(port: u16, database: &TestDatabase) -> String {
    database.url().replace(&format!(":{}/", database.port()), &format!(":{port}/"))
}

/// Forwards one port to another while the test runs.
fn forward(from: u16, to: u16) {
    let listener = TcpListener::bind(("127.0.0.1", from)).unwrap();
    thread::spawn(move || {
        for client in listener.incoming().flatten() {
            let server = TcpStream::connect(("127.0.0.1", to)).unwrap();
            for (mut from, mut to) in [
                (client.try_clone().unwrap(), server.try_clone().unwrap()),
                (server.try_clone().unwrap(), client.try_clone().unwrap()),
            ] {
                thread::spawn(move || {
                    let _ = io::copy(&mut from, &mut to);
                    let _ = to.shutdown(std::net::Shutdown::Both);
                });
            }
        }
    });
}

#[test]
fn a_server_waits_for_its_database_and_starts_when_it_is_available() {
    let database = TestDatabase::migrated();
    let port = free_port();
    let mut starting = Starting::with(&url_at(port, &database), &[]);
    starting.await_line(WAITING);
    starting.await_line(WAITING);
    forward(port, database.port());
    let mut out = BufReader::new(starting.process.stdout.take().unwrap()).lines();
    assert!(out.any(|line| line.unwrap().starts_with("Listening on http://")));
}

#[test]
fn a_server_without_a_database_logs_each_attempt_and_exits_after_half_a_minute() {
    let began = Instant::now();
    let url = format!("postgres://u:secret@127.0.0.1:{}/d", free_port());
    let (message, code) = Starting::with(&url, &[]).end();
    assert_eq!(code, Some(1));
    assert!(began.elapsed() > Duration::from_secs(25), "{:?}", began.elapsed());
    assert!(message.iter().filter(|line| line.contains(WAITING)).count() > 5, "{message:#?}");
    let last = message.last().unwrap();
    assert!(last.contains("could not be reached in") && last.contains("`DATABASE_URL`"), "{last}");
    assert!(last.contains("refused") && !message.concat().contains("secret"), "{last}");
}

#[test]
fn a_server_waiting_for_its_database_stops_on_sigterm() {
    let mut starting = Starting::with(&format!("postgres://u@127.0.0.1:{}/d", free_port()), &[]);
    starting.await_line(WAITING);
    signal(starting.process.id(), "-TERM");
    let (message, code) = starting.end();
    assert_eq!(code, Some(0));
    assert!(!message.concat().contains("could not be reached"), "{message:#?}");
}

#[test]
fn shutdown_answers_calls_in_flight_and_ends_streams() {
    let replicas = ReplicaSet::new();
    let mut server = replicas.replica();
    let session = server.initialize();
    server.call(&session, "initialize_memory_bank", &json!({"path": "."}));
    let mut streams = [server.listen(&session, None), server.listen_without_session(&[])];
    let (address, key) = (server.address.clone(), server.key.clone());
    let held = replicas.hold_documents();
    let arguments = json!({"action": "did", "description": "the last thing"});
    let in_session = call(9, "track_progress", &arguments).to_string();
    let headers = [("X-API-Key", key.as_str()), JSON, MCP_ACCEPT, ("Mcp-Session-Id", session.as_str())];
    let mut pending = server.open_stream("POST", &headers, &in_session);
    let process = server.process.id();
    let began = Instant::now();
    let (alone, code) = thread::scope(|scope| {
        // Another document: edits of one key that wait for the same one share a statement.
        let arguments = json!({"filename": "other.md", "content": "the last thing"});
        let params = json!({"name": "write_memory_bank_file", "arguments": arguments});
        let alone = {
            let (address, key, params) = (address.clone(), key.clone(), params);
            scope.spawn(move || {
                crate::client::send_sessionless_to(
                    &address,
                    &key,
                    "tools/call",
                    Some("write_memory_bank_file"),
                    &params,
                )
            })
        };
        await_waiting(&replicas.database, 2);
        signal(process, "-TERM");
        for stream in &mut streams {
            stream.await_end();
        }
        until("the end of listening", || TcpStream::connect(&address).is_err());
        drop(held);
        (alone.join().unwrap(), server.process.wait().unwrap().code())
    });
    assert!(began.elapsed() < Duration::from_secs(20));
    assert_eq!(code, Some(0));
    let answer = pending.next().unwrap();
    assert!(answer["id"] == json!(9) && answer["result"]["isError"] != json!(true), "{answer}");
    assert_eq!(alone.status, 200, "{}", alone.body);
    let other = replicas.replica();
    let progress = other.call(&session, "read_memory_bank_file", &json!({"filename": "progress.md"}));
    assert!(progress.contains("the last thing"), "{progress}");
    let written = other.call(&session, "read_memory_bank_file", &json!({"filename": "other.md"}));
    assert!(written.contains("the last thing"), "{written}");
}

#[test]
fn a_stuck_call_does_not_delay_shutdown_by_ten_seconds() {
    let replicas = ReplicaSet::new();
    let mut server = replicas.replica();
    let session = server.initialize();
    server.call(&session, "initialize_memory_bank", &json!({"path": "."}));
    let _held = replicas.hold_documents();
    let message = call(9, "track_progress", &json!({"action": "did", "description": "x"})).to_string();
    let key = server.key.clone();
    let headers = [("X-API-Key", key.as_str()), JSON, MCP_ACCEPT, ("Mcp-Session-Id", session.as_str())];
    let _asked = server.open_stream("POST", &headers, &message);
    await_waiting(&replicas.database, 1);
    let (code, took) = server.terminate();
    assert_eq!(code, Some(0));
    assert!(took < Duration::from_secs(10), "{took:?}");
}

#[test]
fn a_server_role_without_privileges_serves_over_a_tls_only_database() {
    let database = TestDatabase::migrated();
    operate(&database, &["bootstrap", "--user", "alice", "--project", "atlas"]).unwrap();
    let url = database.url_of(TLS_ONLY).replace("sslmode=disable", "sslmode=verify-full");
    let authority = database.authority().to_str().unwrap();
    let server = replica(&url, "", &key(&database), &[("DB_SSL_ROOT_CERT", authority)]);
    let session = server.initialize();
    server.call(&session, "initialize_memory_bank", &json!({"path": "."}));
    server.call(&session, "track_progress", &json!({"action": "did", "description": "over TLS"}));
    let progress = server.call(&session, "read_memory_bank_file", &json!({"filename": "progress.md"}));
    assert!(progress.contains("over TLS"));
    let found = server.call(&session, "search_memory_bank", &json!({"query": "TLS"}));
    assert!(found.contains("over TLS"), "{found}");
    assert_eq!(crate::replica_set::health(&server)["db"], json!("ok"));
    let who = "SELECT count(*) > 0, bool_and(s.ssl), bool_or(r.rolsuper OR r.rolbypassrls)
        FROM pg_stat_activity a JOIN pg_stat_ssl s USING (pid) JOIN pg_roles r ON r.oid = a.usesysid
        WHERE a.datname = current_database() AND a.application_name = 'memory-bank-mcp'";
    assert_eq!(database.psql(who), "t|t|f");
}

#[test]
fn a_database_with_an_untrusted_certificate_is_refused_at_once() {
    let database = TestDatabase::migrated();
    let url = database.url_of(TLS_ONLY).replace("sslmode=disable", "sslmode=verify-full");
    let (message, code) = Starting::with(&url, &[]).end();
    assert_eq!(code, Some(1));
    let message = message.concat();
    assert!(message.contains("certificate") && message.contains("DB_SSL_ROOT_CERT"), "{message}");
    assert!(!message.contains(WAITING), "{message}");
}

#[test]
fn a_server_does_not_start_on_a_database_that_does_not_isolate_tenants() {
    let database = TestDatabase::migrated();
    database.psql("ALTER TABLE public.documents NO FORCE ROW LEVEL SECURITY");
    let (log, code) = Starting::with(&database.url(), &[]).end();
    let log = log.join("\n");
    assert_eq!(code, Some(1), "{log}");
    assert!(log.contains("does not isolate tenants") && log.contains("public.documents"), "{log}");
}
