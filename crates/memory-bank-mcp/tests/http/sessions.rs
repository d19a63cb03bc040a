//! Sessions: opening, use, resuming, subscriptions, end, and isolation.

use std::io::Write;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::client::{JSON, MCP_ACCEPT, Server, TIMEOUT, call, handshake};

const ROOMY: &[(&str, &str)] = &[("RATE_LIMIT_IP_PER_MINUTE", "0")];

#[test]
fn a_session_is_opened_used_and_ended() {
    let server = Server::start(&[]);
    let session = server.initialize();
    let started = json!({"jsonrpc": "2.0", "method": "notifications/initialized"});
    assert_eq!(server.post(Some(&session), &started).status, 202);
    assert!(
        server.call(&session, "initialize_memory_bank", &json!({"path": "."})).contains("initialized at")
    );
    assert!(server.folder.path().join("memory-bank/progress.md").exists());
    let named = [("Mcp-Session-Id", session.as_str())];
    assert_eq!(server.send("DELETE", "/mcp", &named, "").status, 204);
    let gone = server.post(Some(&session), &call(2, "list_memory_bank_files", &json!({})));
    assert_eq!((gone.status, &gone.json()["error"]["code"]), (404, &json!(-32001)));
    assert_eq!(server.send("DELETE", "/mcp", &named, "").status, 404);
}

#[test]
fn a_request_of_the_handshake_era_needs_a_session() {
    let server = Server::start(&[]);
    let reply = server.post(None, &call(1, "list_memory_bank_files", &json!({})));
    assert_eq!(reply.status, 400);
    for nonsense in ["x", "00000000-0000-4000-8000-000000000000"] {
        assert_eq!(server.post(Some(nonsense), &call(1, "list_memory_bank_files", &json!({}))).status, 404);
    }
}

#[test]
fn replies_are_events_with_ids_or_json_as_configured() {
    let events = Server::start(&[]);
    let reply = events.post(None, &handshake("2025-06-18"));
    assert_eq!(reply.header("content-type"), Some("text/event-stream"));
    assert!(reply.events()[0].0.ends_with("-1"), "{}", reply.body);
    assert_eq!(reply.message()["result"]["protocolVersion"], json!("2025-06-18"));

    let plain = Server::start(&[("MCP_JSON_RESPONSE", "true")]);
    let reply = plain.post(None, &handshake("2025-06-18"));
    assert_eq!(reply.header("content-type"), Some("application/json"));
    assert!(reply.header("mcp-session-id").is_some());
    let session = plain.initialize();
    assert!(plain.call(&session, "initialize_memory_bank", &json!({"path": "."})).contains("initialized at"));
}

#[test]
fn a_missed_reply_is_replayed_only_to_its_own_session() {
    let server = Server::start(&[]);
    let session = server.initialize();
    let reply = server.post(Some(&session), &call(5, "get_instructions", &json!({})));
    let id = reply.events()[0].0.clone();
    let before = id.replace("-1", "-0");
    let again = server.listen(&session, Some(&before)).next().unwrap();
    assert_eq!(again, reply.message());

    let other = server.initialize();
    server.call(&other, "initialize_memory_bank", &json!({"path": "."}));
    let mut stream = server.listen(&other, Some(&before));
    server.call(&other, "write_memory_bank_file", &json!({"filename": "new.md", "content": "x"}));
    assert_eq!(stream.next().unwrap()["method"], json!("notifications/resources/list_changed"));
}

#[test]
fn a_reply_is_stored_when_its_client_disconnects_first() {
    let server = Server::start(ROOMY);
    let session = server.initialize();
    server.call(&session, "initialize_memory_bank", &json!({"path": "."}));
    let body = call(9, "track_progress", &json!({"action": "left", "description": "early"})).to_string();
    let mut stream = server.connect();
    let head = format!(
        "POST /mcp HTTP/1.1\r\nHost: {}\r\nX-API-Key: {}\r\nMcp-Session-Id: {session}\r\n{}: {}\r\n{}: {}\r\nContent-Length: {}\r\n\r\n",
        server.address,
        server.key,
        JSON.0,
        JSON.1,
        MCP_ACCEPT.0,
        MCP_ACCEPT.1,
        body.len()
    );
    stream.write_all((head + &body).as_bytes()).unwrap();
    std::thread::sleep(Duration::from_millis(20));
    drop(stream);
    let written = || server.call(&session, "read_memory_bank_file", &json!({"filename": "progress.md"}));
    let began = Instant::now();
    while !written().contains("early") {
        assert!(began.elapsed() < TIMEOUT, "the call was dropped with its client");
        // The key has a rate limit.
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn subscribers_are_notified_of_writes_by_other_sessions() {
    let server = Server::start(ROOMY);
    let (reader, writer) = (server.initialize(), server.initialize());
    server.call(&writer, "initialize_memory_bank", &json!({"path": "."}));
    let subscribe = json!({"jsonrpc": "2.0", "id": 3, "method": "resources/subscribe",
        "params": {"uri": "memory-bank://progress"}});
    assert_eq!(server.post(Some(&reader), &subscribe).message()["result"], json!({}));
    let mut stream = server.listen(&reader, None);
    let began = Instant::now();
    server.call(&writer, "track_progress", &json!({"action": "did", "description": "something"}));
    let notification = stream.next().unwrap();
    assert_eq!(notification["method"], json!("notifications/resources/updated"));
    assert_eq!(notification["params"]["uri"], json!("memory-bank://progress"));
    assert!(began.elapsed() < Duration::from_secs(2));
    let bad = json!({"jsonrpc": "2.0", "id": 4, "method": "resources/subscribe", "params": {"uri": "file:///etc/passwd"}});
    assert_eq!(server.post(Some(&reader), &bad).message()["error"]["code"], json!(-32602));
}

#[test]
fn a_stream_ends_with_its_session_and_with_its_key() {
    let server = Server::start(ROOMY);
    let session = server.initialize();
    let mut stream = server.listen(&session, None);
    server.send("DELETE", "/mcp", &[("Mcp-Session-Id", &session)], "");
    assert_eq!(stream.next(), None);

    let session = server.initialize();
    let mut stream = server.listen(&session, None);
    let keys = server.send("GET", "/api/keys", &[], "").json();
    let id = keys["keys"][0]["id"].as_str().unwrap();
    assert_eq!(server.send("DELETE", &format!("/api/keys/{id}"), &[], "").status, 200);
    assert_eq!(stream.next(), None);
    assert_eq!(server.post(Some(&session), &handshake("2025-11-25")).status, 401);
}

#[test]
fn the_stored_client_info_is_bounded() {
    let server = Server::start(&[]);
    let mut hello = handshake("2025-11-25");
    hello["params"]["capabilities"]["experimental"]["x"] = json!({"y": vec![0; 10_000]});
    let refused = server.post(None, &hello);
    assert_eq!((refused.status, refused.header("mcp-session-id")), (400, None), "{}", refused.body);
    assert_eq!(refused.json()["error"]["code"], json!(-32600));
}

#[test]
fn a_stream_resumed_at_the_highest_event_id_continues() {
    let server = Server::start(ROOMY);
    let session = server.initialize();
    server.call(&session, "initialize_memory_bank", &json!({"path": "."}));
    let last = format!("{}-{}", session.replace('-', ""), u32::MAX);
    let mut stream = server.listen(&session, Some(&last));
    for name in ["one.md", "two.md"] {
        server.call(&session, "write_memory_bank_file", &json!({"filename": name, "content": "x"}));
        assert_eq!(stream.next().unwrap()["method"], json!("notifications/resources/list_changed"));
    }
}

#[test]
fn a_stream_resumed_at_an_unstored_reply_gets_an_error_at_once() {
    let server = Server::start(&[("RATE_LIMIT_IP_PER_MINUTE", "0"), ("MAX_REPLY_BYTES", "1048576")]);
    let session = server.initialize();
    server.call(&session, "initialize_memory_bank", &json!({"path": "."}));
    // Quotes are escaped twice, in the tool's JSON and in the message, so this is too long to be stored.
    let long = "\"".repeat(400 * 1024);
    std::fs::write(server.folder.path().join("memory-bank/long.md"), long).unwrap();
    let whole = json!({"files": ["long.md"], "maxChars": 1_048_576});
    let reply = server.post(Some(&session), &call(31, "batch_read_files", &whole));
    assert!(reply.body.len() > 1024 * 1024, "{}", reply.body.len());
    // The place from which the stream can be resumed comes before the reply.
    let opening = reply.body.lines().find_map(|line| line.strip_prefix("id: ")).unwrap().to_owned();
    assert!(opening.ends_with("-0"), "{opening}");
    let mut resumed = server.listen(&session, Some(&opening));
    let message = resumed.next().expect("what became of the reply");
    assert_eq!((&message["id"], &message["error"]["code"]), (&json!(31), &json!(-32000)), "{message}");
    assert_eq!(message["error"]["data"]["reason"], json!("replay_gone"));
    // The stream continues with new events.
    server.call(&session, "write_memory_bank_file", &json!({"filename": "new.md", "content": "x"}));
    assert_eq!(resumed.next().unwrap()["method"], json!("notifications/resources/list_changed"));
}

#[test]
fn a_stream_resumed_at_an_expired_reply_gets_an_error_unless_it_was_complete() {
    let server = Server::start(ROOMY);
    let session = server.initialize();
    server.call(&session, "initialize_memory_bank", &json!({"path": "."}));
    // A backup named for the year 2023, and a name that this server never creates.
    let old = format!("{:012x}7abc8def0123456789ab", 1_700_000_000_000_u64);
    for stream in [old.as_str(), "0123456789ab4abc8def0123456789ab"] {
        let place = format!("{stream}-2");
        let mut resumed = server.listen(&session, Some(&place));
        let message = resumed.next().expect("that it is gone");
        assert_eq!(
            (&message["id"], &message["error"]["data"]["reason"]),
            (&json!(place), &json!("replay_gone")),
            "{message}"
        );
    }
    let reply = server.post(Some(&session), &call(5, "get_instructions", &json!({})));
    let last = reply.events().last().unwrap().0.clone();
    let mut resumed = server.listen(&session, Some(&last));
    server.call(&session, "write_memory_bank_file", &json!({"filename": "new.md", "content": "x"}));
    assert_eq!(resumed.next().unwrap()["method"], json!("notifications/resources/list_changed"));
}

#[test]
fn the_number_of_streams_and_sessions_is_bounded() {
    let server = Server::start(&[("MAX_STREAMS_PER_KEY", "1"), ("MAX_SESSIONS_PER_PROJECT", "2")]);
    let session = server.initialize();
    let held = server.listen(&session, None);
    let headers = [("Accept", "text/event-stream"), ("Mcp-Session-Id", session.as_str())];
    assert_eq!(server.send("GET", "/mcp", &headers, "").status, 429);
    server.initialize();
    assert_eq!(server.post(None, &handshake("2025-11-25")).status, 503);
    drop(held);
}

#[test]
fn clients_of_the_sessionless_protocol_are_served_without_a_session() {
    let server = Server::start(&[]);
    let meta = json!({"io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientInfo": {"name": "test", "version": "1"},
        "io.modelcontextprotocol/clientCapabilities": {}});
    let send = |method: &str, name: Option<&str>, mut params: Value| {
        params["_meta"] = meta.clone();
        let message = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params});
        let mut headers =
            vec![JSON, MCP_ACCEPT, ("MCP-Protocol-Version", "2026-07-28"), ("Mcp-Method", method)];
        headers.extend(name.map(|name| ("Mcp-Name", name)));
        server.send("POST", "/mcp", &headers, &message.to_string())
    };
    let discovered = send("server/discover", None, json!({}));
    assert_eq!(discovered.status, 200, "{}", discovered.body);
    let made = send(
        "tools/call",
        Some("initialize_memory_bank"),
        json!({"name": "initialize_memory_bank", "arguments": {"path": "."}}),
    );
    assert_eq!(made.status, 200, "{}", made.body);
    assert_eq!(made.header("content-type"), Some("application/json"));
    assert_eq!(made.header("mcp-session-id"), None);
    assert_eq!(server.send("GET", "/mcp", &[("MCP-Protocol-Version", "2026-07-28")], "").status, 405);
    for removed in ["initialize", "ping", "logging/setLevel", "resources/subscribe", "resources/unsubscribe"]
    {
        let gone = send(removed, None, json!({}));
        assert_eq!((gone.status, &gone.json()["error"]["code"]), (404, &json!(-32601)), "{removed}");
    }
}

#[test]
fn a_path_argument_opens_nothing_on_the_server() {
    let server = Server::start(ROOMY);
    let elsewhere = tempfile::TempDir::new().unwrap();
    std::fs::create_dir(elsewhere.path().join("memory-bank")).unwrap();
    std::fs::write(elsewhere.path().join("memory-bank/secret.md"), "secret").unwrap();
    let session = server.initialize();
    let path = elsewhere.path().to_str().unwrap();
    for (tool, first) in [
        ("initialize_memory_bank", "Memory Bank initialized at memory-bank"),
        ("set_memory_bank_path", "Memory Bank path set to memory-bank"),
    ] {
        let text = server.call(&session, tool, &json!({"path": path}));
        let (line, note) = text.split_once('\n').unwrap_or_else(|| panic!("{text}"));
        assert!(line == first && note.contains("was not used") && note.contains("key"), "{text}");
        for own in [".", "memory-bank"] {
            let text = server.call(&session, tool, &json!({"path": own}));
            assert!(text.starts_with(first) && !text.contains("not used"), "{text}");
        }
    }
    server.call(&session, "select_store", &json!({"path": path}));
    let files = server.call(&session, "list_memory_bank_files", &json!({}));
    assert!(files.contains("progress.md") && !files.contains("secret.md"), "{files}");
    assert!(server.folder.path().join("memory-bank/progress.md").exists());
    assert!(!elsewhere.path().join("memory-bank/progress.md").exists());
}
