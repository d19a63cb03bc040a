//! Bounds of the data that a key can store: replies for replay, sessions, documents and snapshots.

use memory_bank_test_postgres::MIGRATOR;
use serde_json::{Value, json};

use crate::client::{JSON, MCP_ACCEPT, Server, call, command, handshake, until};
use crate::database::{key_of, operate};
use crate::replica_set::ReplicaSet;

/// Text of this many bytes that does not compress to much less.
fn noise(bytes: usize, mut seed: u64) -> String {
    let mut text = String::with_capacity(bytes + 16);
    while text.len() < bytes {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        text += &format!("{:016x}", seed ^ (seed >> 29));
    }
    text.truncate(bytes);
    text
}

/// Another member of the project, with a key that is not slowed down.
fn member(replicas: &ReplicaSet, user: &str, role: &str) -> String {
    operate(&replicas.database, &["users", "create", user]).unwrap();
    operate(&replicas.database, &["members", "add", "--project", "atlas", "--user", user, "--role", role])
        .unwrap();
    another_key(replicas, user)
}

fn another_key(replicas: &ReplicaSet, user: &str) -> String {
    let arguments = ["keys", "create", "--user", user, "--project", "atlas", "--rate-limit", "1000000"];
    key_of(&operate(&replicas.database, &arguments).unwrap())
}

fn open_as(server: &Server, key: &str) -> crate::client::Reply {
    let headers = [("X-API-Key", key), MCP_ACCEPT, JSON];
    server.send_bare("POST", "/mcp", &headers, &handshake("2025-11-25").to_string())
}

fn session_of(reply: &crate::client::Reply) -> String {
    assert_eq!(reply.status, 200, "{}", reply.body);
    reply.header("mcp-session-id").unwrap().to_owned()
}

fn session_exists(server: &Server, key: &str, session: &str) -> bool {
    let headers = [("X-API-Key", key), MCP_ACCEPT, JSON, ("Mcp-Session-Id", session)];
    let ping = json!({"jsonrpc": "2.0", "id": 1, "method": "ping"}).to_string();
    match server.send_bare("POST", "/mcp", &headers, &ping).status {
        200 => true,
        404 => false,
        other => panic!("{other}"),
    }
}

fn age(replicas: &ReplicaSet, sessions: &[&String]) {
    for (number, session) in sessions.iter().enumerate() {
        replicas.database.psql(&format!(
            "UPDATE public.sessions SET last_seen = now() - interval '10 minutes' + interval '1 second' * {number}
             WHERE id = '{session}'"
        ));
    }
}

#[test]
fn names_that_the_server_echoes_are_bounded() {
    let server = Server::start(&[("RATE_LIMIT_IP_PER_MINUTE", "0")]);
    let session = server.initialize();
    let long = "x".repeat(3000);
    let request = |id: Value, method: &str, params: Value| json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params});
    let too_long = [
        request(json!("x".repeat(255)), "ping", json!({})),
        request(json!(1), "tools/list", json!({"_meta": {"progressToken": "x".repeat(255)}})),
        request(json!(1), "resources/subscribe", json!({"uri": format!("memory-bank://document/{long}")})),
        request(json!(1), "resources/unsubscribe", json!({"uri": format!("memory-bank://document/{long}")})),
        request(json!(1), "resources/read", json!({"uri": format!("memory-bank://document/{long}")})),
        request(json!(1), "resources/list", json!({"cursor": long})),
        request(json!(1), "tools/call", json!({"name": long, "arguments": {}})),
        request(json!(1), &long, json!({})),
    ];
    for message in &too_long {
        for session in [Some(session.as_str()), None] {
            let reply = server.post(session, message);
            assert_eq!(reply.status, 400, "{message}: {}", reply.body);
            let error = &reply.json()["error"];
            assert_eq!(error["code"], json!(-32600), "{message}");
            let text = error["message"].as_str().unwrap();
            assert!(text.contains("bytes") && text.contains("at most") && text.len() < 300, "{text}");
            assert!(reply.body.len() < 600, "{}", reply.body);
        }
    }
    let handshake = json!({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {
        "protocolVersion": long, "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}}});
    assert_eq!(server.post(None, &handshake).status, 400);
    for fits in [json!("x".repeat(254)), json!(7), json!(-3), json!("")] {
        let reply = server.post(Some(&session), &request(fits.clone(), "ping", json!({})));
        assert_eq!((reply.status, &reply.message()["id"]), (200, &fits));
    }
    let odd = server.post(Some(&session), &request(json!({"a": long}), "ping", json!({})));
    assert_eq!(odd.status, 400, "{}", odd.body);
    assert!(odd.body.len() < 600, "{}", odd.body);
}

/// Replies of about 64 KiB, more than may be stored.
fn fill(server: &Server, session: &str, times: u32) {
    server.call(session, "initialize_memory_bank", &json!({"path": "."}));
    let content = noise(64 * 1024, 7);
    server.call(session, "write_memory_bank_file", &json!({"filename": "noise.md", "content": content}));
    for _ in 0..times {
        assert!(
            server
                .call(session, "read_memory_bank_file", &json!({"filename": "noise.md", "maxChars": 200_000}))
                .len()
                > 60_000
        );
    }
}

#[test]
fn stored_events_are_bounded_in_bytes_per_session_and_project_and_the_oldest_are_dropped_first() {
    let replicas = ReplicaSet::new();
    let limits = [("MAX_EVENT_BYTES_PER_SESSION", "1048576"), ("MAX_EVENT_BYTES_PER_PROJECT", "2097152")];
    let server = replicas.replica_with(&limits);
    let session = server.initialize();
    fill(&server, &session, 60);
    let bytes = "SELECT coalesce(sum(pg_column_size(message)), 0) <= 1048576, count(*) > 4, \
                 max(id) = (SELECT max(id) FROM public.mcp_events) FROM public.mcp_events";
    until("the bound of a session", || {
        replicas.database.psql(&format!("{bytes} WHERE session_id = '{session}'")) == "t|t|t"
    });
    let others: Vec<String> = (0..4).map(|_| server.initialize()).collect();
    for other in &others {
        for _ in 0..12 {
            server.call(other, "read_memory_bank_file", &json!({"filename": "noise.md"}));
        }
    }
    let all = "SELECT coalesce(sum(pg_column_size(message)), 0) <= 2097152 FROM public.mcp_events";
    until("the bound of a project", || replicas.database.psql(all) == "t");
    let last = server.post(Some(others.last().unwrap()), &call(5, "get_instructions", &json!({})));
    let before = last.events()[0].0.replace("-1", "-0");
    assert_eq!(server.listen(others.last().unwrap(), Some(&before)).next().unwrap(), last.message());
}

#[test]
fn shared_lists_are_stored_by_reference_and_replayed_by_any_replica() {
    let replicas = ReplicaSet::new();
    let (server, other) = (replicas.replica(), replicas.replica_with(&[("REDIS_KEY_PREFIX", "other")]));
    let session = server.initialize();
    for (number, list) in ["tools/list", "prompts/list", "resources/templates/list"].into_iter().enumerate() {
        let request = json!({"jsonrpc": "2.0", "id": format!("list \"{number}\""), "method": list});
        let reply = server.post(Some(&session), &request);
        assert!(reply.message()["result"].is_object(), "{}", reply.body);
        let stored = "SELECT octet_length(message::text) FROM public.mcp_events ORDER BY id DESC LIMIT 1";
        let stored: usize = replicas.database.psql(stored).parse().unwrap();
        assert!(stored < 512, "{list}: {stored} bytes");
        let before = reply.events()[0].0.replace("-1", "-0");
        for replica in [&server, &other] {
            let mut stream = replica.listen(&session, Some(&before));
            assert_eq!(stream.event_id(), reply.events()[0].0);
            assert_eq!(stream.next().unwrap(), reply.message(), "{list}");
        }
    }
}

#[test]
fn an_unresolvable_reference_is_an_error_that_asks_for_a_retry() {
    let replicas = ReplicaSet::new();
    let server = replicas.replica();
    let session = server.initialize();
    let reply = server.post(Some(&session), &json!({"jsonrpc": "2.0", "id": 9, "method": "tools/list"}));
    // As a newer version might write it.
    replicas.database.psql(
        "UPDATE public.mcp_events SET message = '{\"listOf\": \"futures/list\", \"id\": 9}'
         WHERE id = (SELECT max(id) FROM public.mcp_events)",
    );
    let before = reply.events()[0].0.replace("-1", "-0");
    let reply = server.listen(&session, Some(&before)).next().unwrap();
    assert_eq!(reply["id"], json!(9), "{reply}");
    assert!(reply["error"]["message"].as_str().unwrap().contains("send the request again"), "{reply}");
}

#[test]
fn the_oldest_idle_session_of_the_same_key_is_evicted_and_never_another_key_s() {
    let replicas = ReplicaSet::new();
    let bob = member(&replicas, "bob", "viewer");
    let limits = [("MAX_SESSIONS_PER_KEY", "2")];
    let servers = [replicas.replica_with(&limits), replicas.replica_with(&limits)];
    let bobs = session_of(&open_as(&servers[0], &bob));
    let [first, second] = [0, 1].map(|_| session_of(&open_as(&servers[0], &replicas.key)));
    // None of them is idle.
    let refused = open_as(&servers[1], &replicas.key);
    assert_eq!(refused.status, 429, "{}", refused.body);
    let text = refused.json()["error"]["message"].as_str().unwrap().to_owned();
    assert!(text.contains("2 open sessions") && text.contains("key"), "{text}");
    age(&replicas, &[&bobs, &second, &first]);
    let third = session_of(&open_as(&servers[1], &replicas.key));
    until("the end of the oldest", || {
        servers.iter().all(|server| !session_exists(server, &replicas.key, &second))
    });
    for server in &servers {
        assert!(
            session_exists(server, &replicas.key, &first)
                && session_exists(server, &replicas.key, &third)
                && session_exists(server, &bob, &bobs)
        );
    }
}

#[test]
fn a_full_project_refuses_a_new_session_unless_the_key_has_an_idle_one() {
    let replicas = ReplicaSet::new();
    let bob = member(&replicas, "bob", "viewer");
    let server = replicas.replica_with(&[("MAX_SESSIONS_PER_PROJECT", "2")]);
    let bobs = [0, 1].map(|_| session_of(&open_as(&server, &bob)));
    age(&replicas, &[&bobs[0], &bobs[1]]);
    let refused = open_as(&server, &replicas.key);
    assert_eq!(refused.status, 503, "{}", refused.body);
    assert!(refused.body.contains("2 open sessions"), "{}", refused.body);
    let third = session_of(&open_as(&server, &bob));
    assert!(session_exists(&server, &bob, &third) && session_exists(&server, &bob, &bobs[1]));
    assert!(!session_exists(&server, &bob, &bobs[0]));
}

#[test]
fn a_removed_member_cannot_open_a_session_and_gets_the_reason() {
    let replicas = ReplicaSet::new();
    let bob = member(&replicas, "bob", "viewer");
    let server = replicas.replica_with(&[("MAX_SESSIONS_PER_PROJECT", "1")]);
    session_of(&open_as(&server, &bob));
    replicas
        .database
        .psql("DELETE FROM memberships m USING users u WHERE u.id = m.user_id AND u.name = 'bob'");
    // The key is still cached; the database refuses it.
    let refused = open_as(&server, &bob);
    assert_eq!(refused.status, 403, "{}", refused.body);
    assert!(!refused.body.contains("sessions"), "{}", refused.body);
}

#[test]
fn a_session_counts_against_the_key_that_used_it_last() {
    let replicas = ReplicaSet::new();
    let server = replicas.replica();
    let session = session_of(&open_as(&server, &replicas.key));
    let key_of_session = format!("SELECT key_id FROM public.sessions WHERE id = '{session}'");
    let opened = replicas.database.psql(&key_of_session);
    drop(server);
    age(&replicas, &[&session]);
    let second = another_key(&replicas, "alice");
    let mut server = replicas.replica_with(&[("REDIS_KEY_PREFIX", "other")]);
    assert!(session_exists(&server, &second, &session));
    server.terminate();
    let used = replicas.database.psql(&key_of_session);
    assert!(!opened.is_empty() && !used.is_empty() && opened != used, "{opened} {used}");
}

#[test]
fn a_rate_limited_key_can_still_end_its_session() {
    let replicas = ReplicaSet::new();
    let slow = key_of(
        &operate(
            &replicas.database,
            &["keys", "create", "--user", "alice", "--project", "atlas", "--rate-limit", "2"],
        )
        .unwrap(),
    );
    let server = replicas.replica_with(&[("RATE_LIMIT_IP_PER_MINUTE", "10")]);
    let session = session_of(&open_as(&server, &slow));
    let headers = [("X-API-Key", slow.as_str()), MCP_ACCEPT, JSON, ("Mcp-Session-Id", session.as_str())];
    let ping = json!({"jsonrpc": "2.0", "id": 1, "method": "ping"}).to_string();
    let statuses: Vec<u16> =
        (0..3).map(|_| server.send_bare("POST", "/mcp", &headers, &ping).status).collect();
    assert_eq!(statuses.last(), Some(&429), "{statuses:?}");
    let end = [("X-API-Key", slow.as_str()), ("Mcp-Session-Id", session.as_str())];
    assert_eq!(server.send_bare("DELETE", "/mcp", &end, "").status, 204);
    // A missing session is not cached forever.
    let again: Vec<u16> = (0..400).map(|_| server.send_bare("DELETE", "/mcp", &end, "").status).collect();
    assert_eq!((again[0], again.last()), (404, Some(&429)));
    let strangers: Vec<u16> = (0..12)
        .map(|_| server.send_bare("DELETE", "/mcp", &[("X-API-Key", "mbmcp_live_nobody")], "").status)
        .collect();
    assert_eq!(strangers.last(), Some(&429), "{strangers:?}");
}

/// The file of a backup, large or small, to be imported.
fn folder_with(bytes: usize) -> tempfile::TempDir {
    let folder = tempfile::TempDir::new().unwrap();
    std::fs::create_dir(folder.path().join("memory-bank")).unwrap();
    std::fs::write(folder.path().join("memory-bank/progress.md"), noise(bytes, 5)).unwrap();
    std::fs::write(folder.path().join("memory-bank/notes.md"), "small").unwrap();
    folder
}

#[test]
fn an_import_over_the_quota_is_refused_completely() {
    let replicas = ReplicaSet::new();
    let set = ["projects", "set-quota", "--project", "atlas", "--bytes", "400000"];
    operate(&replicas.database, &set).unwrap();
    let import = |folder: &tempfile::TempDir| {
        let from = folder.path().to_str().unwrap().to_owned();
        operate(&replicas.database, &["import", "--from", &from, "--project", "atlas"])
    };
    let refused = import(&folder_with(500_000)).unwrap_err();
    for words in ["quota is 400000 bytes", "nothing was written", "set-quota"] {
        assert!(refused.contains(words), "{refused}");
    }
    assert_eq!(replicas.database.psql("SELECT count(*) FROM documents"), "0");
    import(&folder_with(300_000)).unwrap();
    assert_eq!(replicas.database.psql("SELECT count(*) FROM documents"), "2");
    // A second import would keep the first as a backup, which exceeds the quota.
    let from = folder_with(300_000);
    let again = ["import", "--from", from.path().to_str().unwrap(), "--project", "atlas", "--replace"];
    let refused = operate(&replicas.database, &again).unwrap_err();
    assert!(refused.contains("quota"), "{refused}");
    assert_eq!(replicas.database.psql("SELECT count(*) FROM app.backups"), "0");
}

#[test]
fn documents_and_snapshots_of_a_project_have_a_configurable_quota() {
    let replicas = ReplicaSet::new();
    let server = replicas.replica_with(&[("METRICS_ADDR", "127.0.0.1:0")]);
    let session = server.initialize();
    server.call(&session, "initialize_memory_bank", &json!({"path": "."}));
    let set = ["projects", "set-quota", "--project", "atlas", "--bytes", "1500000"];
    assert_eq!(operate(&replicas.database, &set).unwrap()["quotaBytes"], json!(1_500_000));
    let write = |name: &str, bytes: usize| {
        let content = noise(bytes, 3);
        server.call(&session, "write_memory_bank_file", &json!({"filename": name, "content": content}))
    };
    write("a.md", 600_000);
    write("b.md", 600_000);
    let refused = write("c.md", 600_000);
    for words in ["1500000 bytes", "quota", "set-quota", "nothing was written"] {
        assert!(refused.contains(words), "{refused}");
    }
    let metrics = crate::client::request(server.metrics.as_ref().unwrap(), "GET", "/metrics", &[], "");
    assert!(metrics.body.contains("memory_bank_quota_refusals_total 1\n"), "{}", metrics.body);
    assert!(server.call(&session, "list_memory_bank_files", &json!({})).contains("b.md"));
    assert!(!server.call(&session, "list_memory_bank_files", &json!({})).contains("c.md"));
    let refused = server.call(&session, "create_backup", &json!({}));
    assert!(refused.contains("quota"), "{refused}");
    server.call(&session, "graph_upsert_entity", &json!({"name": "hub", "entityType": "t"}));
    let add = |seed| {
        let facts = json!({"entity": "hub", "text": noise(60_000, seed)});
        server.call(&session, "graph_add_observation", &facts)
    };
    assert!((0..8).any(|seed| add(seed).contains("quota")), "the graph has no bound");
    // A change that shrinks a document is allowed over the quota, too.
    let lower = ["projects", "set-quota", "--project", "atlas", "--bytes", "1000000"];
    operate(&replicas.database, &lower).unwrap();
    assert!(!write("a.md", 500_000).contains("quota"));
    let deleted = server.call(&session, "delete_memory_bank_file", &json!({"filename": "b.md"}));
    assert!(!deleted.contains("quota"), "{deleted}");
    let folder = tempfile::TempDir::new().unwrap();
    let url = replicas.database.url_of(MIGRATOR);
    let variables = [("DATABASE_URL", url.as_str()), ("REDIS_URL", "")];
    let doctor = command(&folder, &variables).arg("doctor").output().unwrap();
    let text = String::from_utf8([doctor.stdout, doctor.stderr].concat()).unwrap();
    assert!(text.contains("atlas") && text.contains("1000000"), "{text}");
    assert!(operate(&replicas.database, &["projects", "set-quota", "--project", "atlas", "--default"]).unwrap()["quotaBytes"].is_null());
    assert!(!write("c.md", 600_000).contains("quota"));
}
