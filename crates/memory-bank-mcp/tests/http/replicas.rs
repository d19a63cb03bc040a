//! Several replicas serve one project and share sessions, notifications and revocations.

use std::net::{TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

use memory_bank_test_postgres::{MIGRATOR, TestDatabase};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::client::{JSON, Server, call, command, until};
use crate::replica_set::{ReplicaSet, await_waiting, is_healthy};

const PROGRESS: &str = "memory-bank://progress";
const UPDATED: &str = "notifications/resources/updated";
const LIST_CHANGED: &str = "notifications/resources/list_changed";

fn make_bank(server: &Server) -> String {
    let session = server.initialize();
    server.call(&session, "initialize_memory_bank", &json!({"path": "."}));
    session
}

fn track(server: &Server, session: &str, what: &str) {
    server.call(session, "track_progress", &json!({"action": "did", "description": what}));
}

fn status(server: &Server, session: &str) -> u16 {
    server.post(Some(session), &call(2, "list_memory_bank_files", &json!({}))).status
}

#[test]
fn any_replica_serves_any_session_also_after_its_creator_died() {
    let replicas = ReplicaSet::new();
    let (mut first, second, third) = (replicas.replica(), replicas.replica(), replicas.replica());
    let session = make_bank(&first);
    track(&second, &session, "from the second");
    track(&third, &session, "from the third");
    let unknown = make_bank(&first);
    first.process.kill().unwrap();
    first.process.wait().unwrap();
    for server in [&second, &third] {
        let progress = server.call(&session, "read_memory_bank_file", &json!({"filename": "progress.md"}));
        assert!(progress.contains("from the second") && progress.contains("from the third"), "{progress}");
        assert_eq!(status(server, &unknown), 200);
    }
}

#[test]
fn a_session_ended_on_one_replica_is_gone_on_the_others() {
    let replicas = ReplicaSet::new();
    let (first, second) = (replicas.replica(), replicas.replica());
    let session = make_bank(&first);
    assert_eq!(status(&second, &session), 200);
    let mut stream = second.listen(&session, None);
    assert_eq!(first.send("DELETE", "/mcp", &[("Mcp-Session-Id", &session)], "").status, 204);
    stream.await_end();
    assert_eq!(status(&second, &session), 404);
    assert_eq!(second.send("DELETE", "/mcp", &[("Mcp-Session-Id", &session)], "").status, 404);
}

#[test]
fn a_session_ended_while_redis_hangs_is_gone_on_the_others_after_recovery() {
    let replicas = ReplicaSet::new();
    let (first, second) = (replicas.replica(), replicas.replica());
    let session = make_bank(&first);
    assert_eq!(status(&second, &session), 200);
    replicas.signal_redis("-STOP");
    // After the first unanswered calls the replica stops calling Redis, so no command waits in a socket.
    until("the report that Redis hangs", || !is_healthy(&first));
    until("the report that Redis hangs", || !is_healthy(&first));
    let ended = first.send("DELETE", "/mcp", &[("Mcp-Session-Id", &session)], "").status;
    replicas.signal_redis("-CONT");
    assert_eq!(ended, 204);
    until("the end of the session", || status(&second, &session) == 404);
}

#[test]
fn missed_events_are_replayed_in_order_on_another_replica_before_live_ones() {
    let replicas = ReplicaSet::new();
    let (first, second) = (replicas.replica(), replicas.replica());
    let session = make_bank(&first);
    let stream = store_answer(&replicas.database, &session);
    first.subscribe(&session, PROGRESS);
    for from in [0, 2] {
        let mut resumed = second.listen(&session, Some(&format!("{stream}-{from}")));
        let places: Vec<Value> =
            (from..5).map(|_| resumed.next().unwrap()["params"]["data"].clone()).collect();
        assert_eq!(places, (from + 1..=5).map(|place| json!(place)).collect::<Vec<_>>());
        track(&first, &session, "something new");
        let replayed = resumed.next().unwrap();
        assert_eq!((&replayed["method"], &replayed["params"]["uri"]), (&json!(UPDATED), &json!(PROGRESS)));
    }
}

/// Stores an answer of five messages, out of order, as several replicas' groups may.
fn store_answer(database: &TestDatabase, session: &str) -> String {
    let stream = "11111111222233334444555555555555";
    database.psql(&format!(
        "INSERT INTO public.mcp_events (session_id, stream_id, place, last, user_id, project_id, message)
         SELECT s.id, '{stream}', p, p = 5, s.user_id, s.project_id,
           jsonb_build_object('jsonrpc', '2.0', 'method', 'notifications/message', 'params', jsonb_build_object('data', p))
         FROM public.sessions s, unnest(ARRAY[3, 1, 5, 2, 4]) AS p WHERE s.id = '{session}'"
    ));
    stream.to_owned()
}

#[test]
fn a_pending_reply_reaches_its_client_through_another_replica() {
    let replicas = ReplicaSet::new();
    let (first, second) = (replicas.replica(), replicas.replica());
    let session = make_bank(&first);
    let held = replicas.hold_documents();
    let body = call(9, "track_progress", &json!({"action": "did", "description": "slow"})).to_string();
    let headers = [
        ("X-API-Key", replicas.key.as_str()),
        JSON,
        crate::client::MCP_ACCEPT,
        ("Mcp-Session-Id", session.as_str()),
    ];
    let mut request = first.open_stream("POST", &headers, &body);
    let place = request.event_id();
    await_waiting(&replicas.database, 1);
    drop(request);
    let mut resumed = second.listen(&session, Some(&place));
    drop(held);
    let answer = resumed.next().unwrap();
    assert_eq!(answer["id"], json!(9), "{answer}");
    assert!(answer["result"]["isError"] != json!(true), "{answer}");
}

#[test]
fn a_write_on_one_replica_notifies_session_subscribers_on_another() {
    let replicas = ReplicaSet::new();
    let (first, second, third) = (replicas.replica(), replicas.replica(), replicas.replica());
    let (writer, reader) = (make_bank(&first), second.initialize());
    let mut stream = second.listen(&reader, None);
    third.subscribe(&reader, PROGRESS);
    track(&first, &writer, "something");
    stream.await_notification(UPDATED, Some(PROGRESS));
    first.call(&writer, "write_memory_bank_file", &json!({"filename": "new.md", "content": "x"}));
    stream.await_notification(LIST_CHANGED, None);
}

#[test]
fn a_write_on_one_replica_notifies_sessionless_listeners_on_another() {
    let replicas = ReplicaSet::new();
    let (first, second) = (replicas.replica(), replicas.replica());
    let writer = make_bank(&first);
    let mut stream = second.listen_without_session(&[PROGRESS]);
    track(&first, &writer, "something");
    stream.await_notification(UPDATED, Some(PROGRESS));
    let made = json!({"name": "write_memory_bank_file", "arguments": {"filename": "new.md", "content": "x"}});
    assert_eq!(first.send_sessionless("tools/call", Some("write_memory_bank_file"), &made).status, 200);
    stream.await_notification(LIST_CHANGED, None);
}

#[test]
fn a_call_can_be_cancelled_through_another_replica() {
    let replicas = ReplicaSet::new();
    let (first, second) = (replicas.replica(), replicas.replica());
    let session = make_bank(&first);
    let held = replicas.hold_documents();
    let message = call(42, "track_progress", &json!({"action": "did", "description": "too slow"}));
    let reply = thread::scope(|scope| {
        let request = scope.spawn(|| first.post(Some(&session), &message));
        await_waiting(&replicas.database, 1);
        let cancel =
            json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 42}});
        assert_eq!(second.post(Some(&session), &cancel).status, 202);
        request.join().unwrap()
    });
    assert_eq!(reply.status, 200);
    assert_eq!(reply.events(), [], "a cancelled call was answered");
    drop(held);
    track(&first, &session, "the next call");
}

#[test]
fn revoking_a_key_on_one_replica_ends_its_streams_on_the_others() {
    let replicas = ReplicaSet::new();
    let (first, mut second) = (replicas.replica(), replicas.replica());
    let made = first.send("POST", "/api/keys", &[JSON], "{\"rateLimit\": 100000}").json();
    made["key"].as_str().unwrap().clone_into(&mut second.key);
    let session = make_bank(&second);
    let mut streams = [second.listen(&session, None), second.listen_without_session(&[PROGRESS])];
    let path = format!("/api/keys/{}", made["id"].as_str().unwrap());
    assert_eq!(first.send("DELETE", &path, &[], "").status, 200);
    for stream in &mut streams {
        stream.await_end();
    }
    until("the end of the revoked key", || status(&second, &session) == 401);
}

#[test]
fn the_revoke_command_waits_for_a_redis_that_accepts_connections_slowly() {
    let replicas = ReplicaSet::new();
    let (first, mut second) = (replicas.replica(), replicas.replica());
    let made = first.send("POST", "/api/keys", &[JSON], "{\"rateLimit\": 100000}").json();
    made["key"].as_str().unwrap().clone_into(&mut second.key);
    let session = make_bank(&second);
    let mut stream = second.listen(&session, None);

    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let slow = format!("redis://{}", listener.local_addr().unwrap());
    let redis = ("127.0.0.1", replicas.redis.as_ref().unwrap().port());
    thread::spawn(move || {
        for client in listener.incoming().map_while(Result::ok) {
            thread::spawn(move || {
                thread::sleep(Duration::from_millis(200));
                let server = TcpStream::connect(redis).unwrap();
                let (mut from, mut to) = (client.try_clone().unwrap(), server.try_clone().unwrap());
                thread::spawn(move || std::io::copy(&mut from, &mut to));
                std::io::copy(&mut &server, &mut &client)
            });
        }
    });
    let folder = TempDir::new().unwrap();
    let url = replicas.database.url_of(MIGRATOR);
    let revoked = command(&folder, &[("DATABASE_URL", &url), ("REDIS_URL", &slow)])
        .args(["keys", "revoke", made["id"].as_str().unwrap()])
        .output()
        .unwrap();
    let message = String::from_utf8_lossy(&revoked.stderr);
    assert!(revoked.status.success() && !message.contains("Redis does not answer"), "{message}");
    stream.await_end();
    until("the end of the revoked key", || status(&second, &session) == 401);
}

#[test]
fn a_key_revoked_while_redis_hangs_is_refused_everywhere_after_recovery() {
    let replicas = ReplicaSet::new();
    let (first, mut second) = (replicas.replica(), replicas.replica());
    let made = first.send("POST", "/api/keys", &[JSON], "{\"rateLimit\": 100000}").json();
    made["key"].as_str().unwrap().clone_into(&mut second.key);
    let session = make_bank(&second);
    let mut streams = [second.listen(&session, None), second.listen_without_session(&[PROGRESS])];
    replicas.signal_redis("-STOP");
    until("the report that Redis hangs", || !is_healthy(&first));
    until("the report that Redis hangs", || !is_healthy(&first));
    let path = format!("/api/keys/{}", made["id"].as_str().unwrap());
    let revoked = first.send("DELETE", &path, &[], "").status;
    replicas.signal_redis("-CONT");
    assert_eq!(revoked, 200);
    until("the end of the revoked key", || status(&second, &session) == 401);
    for stream in &mut streams {
        stream.await_end();
    }
}

#[test]
fn subscribers_are_notified_to_reread_after_redis_restarts() {
    let mut replicas = ReplicaSet::new();
    let (first, second) = (replicas.replica(), replicas.replica());
    let (writer, reader) = (make_bank(&first), second.initialize());
    second.subscribe(&reader, PROGRESS);
    let mut streams = [second.listen(&reader, None), second.listen_without_session(&[PROGRESS])];
    replicas.stop_redis();
    track(&first, &writer, "unheard of");
    replicas.start_redis();
    for stream in &mut streams {
        stream.await_notification(UPDATED, Some(PROGRESS));
        stream.await_notification(LIST_CHANGED, None);
    }
    // Afterwards notifications arrive as before.
    until("Redis", || is_healthy(&first) && is_healthy(&second));
    for stream in &mut streams {
        track(&first, &writer, "heard of");
        stream.await_notification(UPDATED, Some(PROGRESS));
    }
}

#[test]
fn subscribers_are_notified_to_reread_after_redis_resumes() {
    let replicas = ReplicaSet::new();
    let (first, second) = (replicas.replica(), replicas.replica());
    let (writer, reader) = (make_bank(&first), second.initialize());
    second.subscribe(&reader, PROGRESS);
    let mut stream = second.listen(&reader, None);
    replicas.signal_redis("-STOP");
    until("the report that Redis hangs", || !is_healthy(&first));
    until("the report that Redis hangs", || !is_healthy(&first));
    track(&first, &writer, "unheard of");
    replicas.signal_redis("-CONT");
    stream.await_notification(UPDATED, Some(PROGRESS));
}

#[test]
fn replicas_started_without_redis_connect_when_it_becomes_available() {
    let mut replicas = ReplicaSet::new();
    replicas.stop_redis();
    let (first, second) = (replicas.replica(), replicas.replica());
    assert_eq!(crate::replica_set::health(&first)["status"], json!("degraded"));
    let (writer, reader) = (make_bank(&first), second.initialize());
    second.subscribe(&reader, PROGRESS);
    let mut stream = second.listen(&reader, None);
    replicas.start_redis();
    // The notification to read again shows that the second replica has joined.
    stream.await_notification(UPDATED, Some(PROGRESS));
    until("Redis", || is_healthy(&first) && is_healthy(&second));
    first.call(&writer, "write_memory_bank_file", &json!({"filename": "new.md", "content": "x"}));
    stream.await_notification(LIST_CHANGED, None);
}
