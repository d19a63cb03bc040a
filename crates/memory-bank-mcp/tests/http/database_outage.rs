//! PostgreSQL is down: every MCP request fails with a 500 that requests a retry, none with a false 401, and the server
//! recovers by itself.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use memory_bank_test_postgres::{DedicatedServer, MIGRATOR, SERVER, TestRedis};
use serde_json::{Value, json};

use crate::client::{JSON, Reply, Server, call, handshake, until};
use crate::database::{key_of, operate_at};
use crate::replica_set::{Held, ReplicaSet, await_waiting, is_healthy, replica};

struct OutageSetup {
    database: DedicatedServer,
    server: Server,
    /// A key that no cache knows.
    unknown: String,
    session: String,
}

fn setup(redis: &str) -> OutageSetup {
    let database = DedicatedServer::start();
    let operator = database.url_of(MIGRATOR);
    operate_at(&operator, &["migrate"]).unwrap();
    database.admit_server();
    operate_at(&operator, &["bootstrap", "--user", "alice", "--project", "atlas"]).unwrap();
    let make = || {
        let arguments =
            ["keys", "create", "--user", "alice", "--project", "atlas", "--rate-limit", "1000000"];
        key_of(&operate_at(&operator, &arguments).unwrap())
    };
    let server = replica(&database.url_of(SERVER), redis, &make(), &[]);
    let session = server.initialize();
    server.call(&session, "initialize_memory_bank", &json!({"path": "."}));
    OutageSetup { unknown: make(), database, server, session }
}

fn messages() -> Vec<Value> {
    let request = |method: &str, params: Value| json!({"jsonrpc": "2.0", "id": "an id", "method": method, "params": params});
    let mut read = call(0, "read_memory_bank_file", &json!({"filename": "progress.md"}));
    read["id"] = json!("an id");
    let tool =
        |name: &str, arguments: Value| request("tools/call", json!({"name": name, "arguments": arguments}));
    vec![
        read,
        tool("track_progress", json!({"action": "did", "description": "x"})),
        tool("get_instructions", json!({})),
        tool("get_current_mode", json!({})),
        tool("read_memory_bank_file", json!({})),
        tool("no_such_tool", json!({})),
        request("ping", json!({})),
        request("tools/list", json!({})),
        request("prompts/list", json!({})),
        request("resources/list", json!({})),
        request("resources/templates/list", json!({})),
        request("resources/read", json!({"uri": "memory-bank://progress"})),
        request("resources/read", json!({"uri": "nonsense"})),
        request("resources/subscribe", json!({"uri": "memory-bank://progress"})),
        request("prompts/get", json!({"name": "start_session"})),
        request("nonsense", json!({})),
    ]
}

fn is_away(what: &str, reply: &Reply, id: &Value) {
    assert_eq!(reply.status, 500, "{what}: {}", reply.body);
    let body = reply.json();
    assert_eq!((&body["jsonrpc"], &body["id"]), (&json!("2.0"), id), "{what}: {body}");
    let text = body["error"]["message"].as_str().unwrap_or_default();
    assert!(text.contains("try again") && body["error"]["code"] == json!(-32603), "{what}: {body}");
    assert!(reply.header("retry-after").is_some(), "{what}");
    for word in ["postgres", ":5432", "connection refused", "127.0.0.1"] {
        assert!(!reply.body.to_lowercase().contains(word), "{what}: {body}");
    }
}

/// Every request fails as it should, with this key.
fn all_are_refused(setup: &mut OutageSetup, key: &str) {
    let own = std::mem::replace(&mut setup.server.key, key.to_owned());
    let (server, session) = (&setup.server, setup.session.as_str());
    for message in messages() {
        is_away(&message.to_string(), &server.post(Some(session), &message), &json!("an id"));
    }
    let mut hello = handshake("2025-11-25");
    hello["id"] = json!(4711);
    is_away("initialize", &server.post(None, &hello), &json!(4711));
    is_away("discover", &server.send_sessionless("server/discover", None, &json!({})), &json!(1));
    is_away("sessionless list", &server.send_sessionless("tools/list", None, &json!({})), &json!(1));
    let headers = [("Mcp-Session-Id", session), ("Accept", "text/event-stream")];
    for method in ["GET", "DELETE"] {
        is_away(method, &server.send(method, "/mcp", &headers, ""), &Value::Null);
    }
    let rest = server.send("GET", "/api/keys", &[], "");
    assert!(rest.status >= 500 && rest.json()["error"].is_string(), "{} {}", rest.status, rest.body);
    let rest = server.send("POST", "/api/keys", &[JSON], "{}");
    assert!(rest.status >= 500 && rest.json()["error"].is_string(), "{} {}", rest.status, rest.body);
    assert_eq!(server.send_bare("GET", "/health", &[], "").status, 503);
    setup.server.key = own;
}

fn all_goes_on(setup: &mut OutageSetup) {
    until("PostgreSQL", || is_healthy(&setup.server));
    let read = json!({"filename": "progress.md"});
    assert!(setup.server.call(&setup.session, "read_memory_bank_file", &read).contains("rogress"));
    assert_eq!(
        setup.server.post(Some(&setup.session), &json!({"jsonrpc": "2.0", "id": 1, "method": "ping"})).status,
        200
    );
    setup.server.key.clone_from(&setup.unknown);
    setup.server.initialize();
}

#[test]
fn a_stopped_database_is_a_500_for_every_request_until_it_starts_again() {
    let mut setup = setup("");
    setup.database.crash();
    let (known, unknown) = (setup.server.key.clone(), setup.unknown.clone());
    all_are_refused(&mut setup, &known);
    all_are_refused(&mut setup, &unknown);
    setup.database.start_again();
    all_goes_on(&mut setup);
}

#[test]
fn a_stopped_database_is_a_500_also_without_redis() {
    let redis = TestRedis::start();
    let mut setup = setup(&redis.url());
    setup.database.crash();
    let (known, unknown) = (setup.server.key.clone(), setup.unknown.clone());
    all_are_refused(&mut setup, &known);
    drop(redis);
    all_are_refused(&mut setup, &known);
    all_are_refused(&mut setup, &unknown);
    setup.database.start_again();
    until("PostgreSQL", || setup.server.send_bare("GET", "/health", &[], "").status == 200);
    let read = json!({"filename": "progress.md"});
    assert!(setup.server.call(&setup.session, "read_memory_bank_file", &read).contains("rogress"));
}

#[test]
fn a_read_only_database_is_a_500_for_writes_and_nothing_is_written() {
    let mut setup = setup("");
    setup.database.query("ALTER SYSTEM SET default_transaction_read_only = on");
    setup.database.query("SELECT pg_reload_conf()");
    let edit = |text: &str| call(3, "track_progress", &json!({"action": "did", "description": text}));
    // Until the server's sessions have the setting, edits are written.
    until("the standby", || setup.server.post(Some(&setup.session), &edit("early")).status == 500);
    is_away("edit", &setup.server.post(Some(&setup.session), &edit("refused")), &json!(3));
    let written = |text: &str| {
        setup.database.query(&format!("SELECT count(*) > 0 FROM documents WHERE content LIKE '%{text}%'"))
    };
    assert_eq!(written("refused"), "f");
    setup.database.query("ALTER SYSTEM RESET default_transaction_read_only");
    setup.database.query("SELECT pg_reload_conf()");
    until("the end of the standby", || setup.server.post(Some(&setup.session), &edit("late")).status == 200);
    assert_eq!((written("refused"), written("late")), ("f".to_owned(), "t".to_owned()));
    all_goes_on(&mut setup);
}

/// Forwards bytes to a database; when set to hang, connections stay open and nothing is forwarded.
struct Valve {
    port: u16,
    shut: Arc<AtomicBool>,
}

impl Valve {
    fn to(target: u16) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let shut = Arc::new(AtomicBool::new(false));
        let closed = Arc::clone(&shut);
        thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let server = TcpStream::connect(("127.0.0.1", target)).unwrap();
                for (from, to) in [(&client, &server), (&server, &client)] {
                    let (from, to) = (from.try_clone().unwrap(), to.try_clone().unwrap());
                    let closed = Arc::clone(&closed);
                    thread::spawn(move || Self::pass(from, to, &closed));
                }
            }
        });
        Self { port, shut }
    }

    fn pass(mut from: TcpStream, mut to: TcpStream, shut: &AtomicBool) {
        let mut buffer = vec![0; 64 * 1024];
        while let Ok(length) = from.read(&mut buffer) {
            while shut.load(Ordering::SeqCst) {
                thread::sleep(Duration::from_millis(20));
            }
            if length == 0 || to.write_all(&buffer[..length]).is_err() {
                break;
            }
        }
        let _ = to.shutdown(std::net::Shutdown::Both);
    }
}

#[test]
fn a_hanging_database_is_a_500_within_the_time_out_and_recovers() {
    let replicas = ReplicaSet::new();
    let valve = Valve::to(replicas.database.port());
    let url =
        format!("postgres://{SERVER}@127.0.0.1:{}/{}?sslmode=disable", valve.port, replicas.database.name());
    let server = replica(&url, "", &replicas.key, &[]);
    let session = server.initialize();
    server.call(&session, "initialize_memory_bank", &json!({"path": "."}));
    valve.shut.store(true, Ordering::SeqCst);
    let unknown = crate::replica_set::key(&replicas.database);
    // Each within the time that the client waits for a reply.
    let send = |key: &str, message: Value| {
        let mut reply = crate::client::request(
            &server.address,
            "POST",
            "/mcp",
            &[("X-API-Key", key), JSON, crate::client::MCP_ACCEPT, ("Mcp-Session-Id", &session)],
            &message.to_string(),
        );
        // That the database hangs is known when a probe has had no answer.
        if message["method"] == json!("ping") && reply.status == 200 {
            until("the report that the database hangs", || {
                server.send_bare("GET", "/health", &[], "").status == 503
            });
            reply = server.post(Some(&session), &message);
        }
        is_away(&message.to_string(), &reply, &message["id"]);
    };
    thread::scope(|scope| {
        let read = call(1, "read_memory_bank_file", &json!({"filename": "progress.md"}));
        let edit = call(2, "track_progress", &json!({"action": "did", "description": "x"}));
        let ping = json!({"jsonrpc": "2.0", "id": 3, "method": "ping"});
        for (key, message) in
            [(&replicas.key, read.clone()), (&replicas.key, edit), (&replicas.key, ping), (&unknown, read)]
        {
            let send = &send;
            scope.spawn(move || send(key, message));
        }
    });
    valve.shut.store(false, Ordering::SeqCst);
    until("PostgreSQL", || server.send_bare("GET", "/health", &[], "").status == 200);
    let read = json!({"filename": "progress.md"});
    assert!(server.call(&session, "read_memory_bank_file", &read).contains("rogress"));
}

#[test]
fn an_exhausted_pool_is_a_503_with_retry_after() {
    let replicas = ReplicaSet::new();
    let server = replicas.replica_with(&[("DB_MAX_CONNECTIONS", "1")]);
    let session = server.initialize();
    server.call(&session, "initialize_memory_bank", &json!({"path": "."}));
    let held: Held = replicas.hold_documents();
    let edit = |id: u32| call(id, "track_progress", &json!({"action": "did", "description": "x"}));
    thread::scope(|scope| {
        let first = scope.spawn(|| server.post(Some(&session), &edit(1)));
        await_waiting(&replicas.database, 1);
        // The only connection waits for a lock, which the database answers in the end.
        let busy = server.post(Some(&session), &call(2, "get_current_mode", &json!({})));
        assert_eq!(busy.status, 503, "{}", busy.body);
        assert_eq!((&busy.json()["id"], &busy.json()["error"]["code"]), (&json!(2), &json!(-32050)));
        assert!(busy.header("retry-after").is_some());
        drop(held);
        assert_eq!(first.join().unwrap().status, 200);
    });
}
