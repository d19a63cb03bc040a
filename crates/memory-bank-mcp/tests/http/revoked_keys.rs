//! Keys that are revoked by plain SQL, which notifies no server: every form of reply becomes a 401 when the database
//! refuses the key, and all caches evict it.

use serde_json::{Value, json};

use crate::client::{JSON, MCP_ACCEPT, Reply, Server, call, handshake, until};
use crate::database::{key_of, operate};
use crate::replica_set::{ReplicaSet, await_waiting};

const READ: (&str, &str) = ("filename", "progress.md");

fn request(method: &str, params: &Value) -> Value {
    json!({"jsonrpc": "2.0", "id": 7, "method": method, "params": params})
}

/// Requests that query the database.
fn data_calls() -> Vec<(&'static str, Value)> {
    let uri = json!({"uri": "memory-bank://progress"});
    let reference = json!({"type": "ref/resource", "uri": "memory-bank://{name}"});
    vec![
        ("read", call(7, "read_memory_bank_file", &json!({(READ.0): READ.1}))),
        ("list", call(7, "list_memory_bank_files", &json!({}))),
        ("search", call(7, "search_memory_bank", &json!({"query": "progress"}))),
        ("digest", call(7, "get_context_digest", &json!({}))),
        ("graph", call(7, "graph_search", &json!({"query": "x"}))),
        ("edit", call(7, "track_progress", &json!({"action": "did", "description": "x"}))),
        ("upsert", call(7, "graph_upsert_entity", &json!({"name": "x", "entityType": "y"}))),
        ("backup", call(7, "create_backup", &json!({}))),
        ("state", call(7, "get_current_mode", &json!({}))),
        ("resources/read", request("resources/read", &uri)),
        ("resources/list", request("resources/list", &json!({}))),
        ("prompts/get", request("prompts/get", &json!({"name": "start_session", "arguments": {}}))),
        (
            "completion",
            request(
                "completion/complete",
                &json!({"ref": reference, "argument": {"name": "name", "value": "pro"}}),
            ),
        ),
        ("subscribe", request("resources/subscribe", &uri)),
        ("unsubscribe", request("resources/unsubscribe", &uri)),
    ]
}

fn key_for(replicas: &ReplicaSet, user: &str) -> String {
    let arguments = ["keys", "create", "--user", user, "--project", "atlas", "--rate-limit", "1000000"];
    key_of(&operate(&replicas.database, &arguments).unwrap())
}

fn replica_set() -> ReplicaSet {
    let replicas = ReplicaSet::new();
    let server = replicas.replica();
    let session = server.initialize();
    server.call(&session, "initialize_memory_bank", &json!({"path": "."}));
    operate(&replicas.database, &["users", "create", "bob"]).unwrap();
    operate(
        &replicas.database,
        &["members", "add", "--project", "atlas", "--user", "bob", "--role", "editor"],
    )
    .unwrap();
    replicas
}

fn is_refused(what: &str, reply: &Reply, text: &str) {
    assert_eq!(reply.status, 401, "{what}: {}", reply.body);
    let challenge = reply.header("www-authenticate").unwrap_or_default();
    assert!(challenge.starts_with("Bearer error=\"invalid_token\""), "{what}: {challenge}");
    assert_eq!(reply.header("content-type"), Some("application/json"), "{what}");
    assert_eq!(reply.json(), json!({"error": text}), "{what}");
}

/// Gives the server a new key of the user; the handshake, whose session is returned, caches it.
fn with_cached_key(replicas: &ReplicaSet, server: &mut Server, user: &str) -> String {
    server.key = key_for(replicas, user);
    server.initialize()
}

fn revoke_all(replicas: &ReplicaSet) {
    replicas.database.psql("UPDATE api_keys SET revoked_at = now() WHERE revoked_at IS NULL");
}

#[test]
fn a_revoked_key_is_a_401_for_every_call_in_json_and_in_streams() {
    let replicas = replica_set();
    for json_replies in ["true", "false"] {
        let mut server = replicas.replica_with(&[("MCP_JSON_RESPONSE", json_replies)]);
        for (what, message) in data_calls() {
            let session = with_cached_key(&replicas, &mut server, "bob");
            revoke_all(&replicas);
            let what = format!("{what}, JSON replies: {json_replies}");
            is_refused(&what, &server.post(Some(&session), &message), "API key has been revoked");
            // The result also applies to requests that do not query the database.
            for method in ["ping", "tools/list"] {
                let reply = server.post(Some(&session), &request(method, &json!({})));
                is_refused(&format!("{method} after {what}"), &reply, "API key has been revoked");
            }
        }
        for method in ["GET", "DELETE"] {
            let session = with_cached_key(&replicas, &mut server, "bob");
            revoke_all(&replicas);
            let headers = [("Mcp-Session-Id", session.as_str()), ("Accept", "text/event-stream")];
            is_refused(method, &server.send(method, "/mcp", &headers, ""), "API key has been revoked");
        }
        with_cached_key(&replicas, &mut server, "bob");
        revoke_all(&replicas);
        is_refused("initialize", &server.post(None, &handshake("2025-11-25")), "API key has been revoked");
        with_cached_key(&replicas, &mut server, "bob");
        revoke_all(&replicas);
        let params = json!({"name": "read_memory_bank_file", "arguments": {"filename": "progress.md"}});
        let reply = server.send_sessionless("tools/call", Some("read_memory_bank_file"), &params);
        is_refused("without session", &reply, "API key has been revoked");
    }
    assert_eq!(replicas.database.psql("SELECT count(*) FROM documents WHERE content LIKE '%did: x%'"), "0");
}

#[test]
fn expired_keys_removed_members_and_deleted_users_get_401_with_the_reason() {
    let replicas = replica_set();
    let mut server = replicas.replica();
    let message = &data_calls()[0].1;
    let session = with_cached_key(&replicas, &mut server, "bob");
    replicas
        .database
        .psql("UPDATE api_keys SET expires_at = now() - interval '1 second' WHERE revoked_at IS NULL");
    is_refused("expired", &server.post(Some(&session), message), "API key has expired");
    is_refused("ping", &server.post(Some(&session), &request("ping", &json!({}))), "API key has expired");

    let session = with_cached_key(&replicas, &mut server, "bob");
    replicas
        .database
        .psql("DELETE FROM memberships WHERE user_id = (SELECT id FROM users WHERE name = 'bob')");
    is_refused("removed", &server.post(Some(&session), message), "Invalid API key");
    is_refused("ping", &server.post(Some(&session), &request("ping", &json!({}))), "Invalid API key");
    operate(
        &replicas.database,
        &["members", "add", "--project", "atlas", "--user", "bob", "--role", "editor"],
    )
    .unwrap();
    let session = with_cached_key(&replicas, &mut server, "bob");
    replicas.database.psql("DELETE FROM users WHERE name = 'bob'");
    is_refused("deleted", &server.post(Some(&session), message), "Invalid API key");
}

#[test]
fn a_key_found_revoked_by_one_replica_is_evicted_on_the_others() {
    let replicas = replica_set();
    let (mut first, mut second) = (replicas.replica(), replicas.replica());
    let session = with_cached_key(&replicas, &mut first, "bob");
    first.key.clone_into(&mut second.key);
    let ping = |server: &Server| server.post(Some(&session), &request("ping", &json!({}))).status;
    assert_eq!([ping(&first), ping(&second)], [200, 200]);
    let mut stream = second.listen(&session, None);
    revoke_all(&replicas);
    assert_eq!(first.post(Some(&session), &data_calls()[0].1).status, 401);
    until("the end of the revoked key", || ping(&second) == 401);
    stream.await_end();
}

/// The database answers late: it is the call's first answer that decides on the status, not a timer.
#[test]
fn the_stream_of_a_slow_call_starts_after_the_database_verified_the_key() {
    let replicas = replica_set();
    let mut server = replicas.replica();
    let session = with_cached_key(&replicas, &mut server, "bob");
    let held = replicas.hold_documents();
    let body = call(9, "track_progress", &json!({"action": "slow", "description": "x"})).to_string();
    let headers =
        [("X-API-Key", server.key.as_str()), JSON, MCP_ACCEPT, ("Mcp-Session-Id", session.as_str())];
    // A good key: the headers come while the call waits for a lock.
    let mut stream = server.open_stream("POST", &headers, &body);
    await_waiting(&replicas.database, 1);
    // One that was taken back meanwhile: no header of a success is sent.
    revoke_all(&replicas);
    let refused = server
        .post(Some(&session), &call(10, "track_progress", &json!({"action": "late", "description": "x"})));
    is_refused("slow", &refused, "API key has been revoked");
    drop(held);
    // Headers are sent already; the reply ends as a message.
    let last = stream.next();
    assert!(last.as_ref().is_none_or(|message| message["jsonrpc"] == json!("2.0")), "{last:?}");
}

/// Milliseconds since 1970 by the clock of Redis.
fn redis_now(redis: &crate::redis::Redis) -> i64 {
    let reply = redis.run("TIME");
    let numbers: Vec<i64> = reply.lines().filter_map(|line| line.parse().ok()).collect();
    numbers[0] * 1000 + numbers[1] / 1000
}

#[test]
fn a_cache_entry_is_valid_for_five_minutes_after_the_database_lookup() {
    let database = memory_bank_test_postgres::TestDatabase::migrated();
    let redis = crate::redis::Redis::start();
    operate(&database, &["bootstrap", "--user", "alice", "--project", "atlas"]).unwrap();
    let [known, cached] = [(); 2].map(|()| crate::replica_set::key(&database));
    let first = crate::replica_set::replica(&database.url(), &redis.url(), &cached, &[]);
    let mut second = crate::replica_set::replica(&database.url(), &redis.url(), &known, &[]);
    // The second server learns the user's name by another key, and finds this one in Redis.
    second.initialize();
    redis.run("FLUSHALL");
    let session = first.initialize();
    let name = redis.cached_key(|| {
        first.post(Some(&session), &request("ping", &json!({})));
    });
    let aged = |age_ms: i64| {
        let reply = redis.run(&format!("GET {name}"));
        let entry = reply.lines().find(|line| line.starts_with('{')).unwrap();
        let mut entry: Value = serde_json::from_str(entry).unwrap();
        let now = redis_now(&redis);
        let read_at = entry["readAt"].as_i64().unwrap();
        assert!((0..20_000).contains(&(now - read_at)), "{read_at} is not Redis's time {now}");
        entry["readAt"] = json!(now - age_ms);
        // Without an expiry: the entry contains its own age.
        assert!(redis.run(&format!("SET {name} '{entry}'")).starts_with("+OK"));
    };
    let left: i64 =
        redis.run(&format!("PTTL {name}")).lines().next().unwrap().trim_start_matches(':').parse().unwrap();
    assert!((1..=300_000).contains(&left), "{left}");
    aged(296_000);
    second.key = cached;
    let ping = || second.post(Some(&session), &request("ping", &json!({}))).status;
    assert_eq!(ping(), 200);
    let began = std::time::Instant::now();
    revoke_all_in(&database);
    // Much sooner than the half minute for which a server caches database results.
    until("the end of the entry", || ping() == 401);
    assert!(began.elapsed() < std::time::Duration::from_secs(20), "{:?}", began.elapsed());
}

#[test]
fn a_read_only_redis_does_not_revive_a_revoked_key() {
    let database = memory_bank_test_postgres::TestDatabase::migrated();
    let redis = crate::redis::Redis::start();
    operate(&database, &["bootstrap", "--user", "alice", "--project", "atlas"]).unwrap();
    let key = crate::replica_set::key(&database);
    let server = crate::replica_set::replica(&database.url(), &redis.url(), &key, &[]);
    let session = server.initialize();
    redis.cached_key(|| {
        server.post(Some(&session), &request("ping", &json!({})));
    });
    // As a replica, or a master that lost its replicas: it answers, and refuses to delete.
    assert!(redis.run("CONFIG SET min-replicas-to-write 1").starts_with("+OK"));
    revoke_all_in(&database);
    let call = call(7, "list_memory_bank_files", &json!({}));
    is_refused("read", &server.post(Some(&session), &call), "API key has been revoked");
    for method in ["ping", "tools/list"] {
        let reply = server.post(Some(&session), &request(method, &json!({})));
        is_refused(method, &reply, "API key has been revoked");
    }
    assert!(redis.keys("apikey").len() == 1, "Redis took the deletion");
}

fn revoke_all_in(database: &memory_bank_test_postgres::TestDatabase) {
    database.psql("UPDATE api_keys SET revoked_at = now() WHERE revoked_at IS NULL");
}
