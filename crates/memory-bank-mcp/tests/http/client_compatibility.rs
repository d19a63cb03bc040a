//! Requests in the variations that HTTP clients send: `Accept` headers, a trailing slash, ids, shapes of arguments.

use serde_json::{Value, json};

use crate::client::{JSON, Reply, Server, call, handshake};

/// Posts a message with these headers.
fn post(server: &Server, path: &str, headers: &[(&str, &str)], message: &Value) -> Reply {
    let mut all = vec![JSON];
    all.extend(headers);
    server.send("POST", path, &all, &message.to_string())
}

fn is_events(reply: &Reply) -> bool {
    reply.header("content-type") == Some("text/event-stream")
}

const LIST: &str = "tools/list";
/// Without a bound on requests, since all of them come from one address.
const ROOMY: (&str, &str) = ("RATE_LIMIT_IP_PER_MINUTE", "0");

/// An `Accept` header, and whether the client gets events; `None` means the server's default.
const FORMS: &[(Option<&str>, Option<bool>)] = &[
    (None, Some(false)),
    (Some("*/*"), Some(false)),
    (Some("application/*"), Some(false)),
    (Some("application/json"), Some(false)),
    (Some("Application/JSON; charset=utf-8"), Some(false)),
    (Some("text/html,*/*;q=0.8"), Some(false)),
    (Some("application/json;q=1, text/event-stream;q=0.5"), Some(false)),
    (Some("application/json, text/event-stream;q=0"), Some(false)),
    (Some("text/event-stream"), Some(true)),
    (Some("TEXT/EVENT-STREAM;q=0.1"), Some(true)),
    (Some("text/*"), Some(true)),
    (Some("application/json;q=0, */*;q=0.1"), Some(true)),
    (Some("application/json, text/event-stream"), None),
    (Some("text/event-stream;q=0.9,application/json;q=0.9"), None),
    (Some("APPLICATION/JSON, TEXT/EVENT-STREAM"), None),
];

#[test]
fn a_client_gets_json_or_events_as_its_accept_header_prefers() {
    for in_json in [false, true] {
        // A key may send sixty requests a minute, and each client sends six.
        for forms in FORMS.chunks(8) {
            let server =
                Server::start(&[ROOMY, ("MCP_JSON_RESPONSE", if in_json { "true" } else { "false" })]);
            for (accept, events) in forms {
                check_form(&server, *accept, events.unwrap_or(!in_json));
            }
        }
    }
}

fn check_form(server: &Server, accept: Option<&str>, events: bool) {
    let mut headers: Vec<(&str, &str)> = accept.map(|accept| ("Accept", accept)).into_iter().collect();
    let hello = post(server, "/mcp", &headers, &handshake("2025-11-25"));
    assert_eq!((hello.status, is_events(&hello)), (200, events), "{accept:?}: {}", hello.body);
    let session = hello.header("mcp-session-id").unwrap().to_owned();
    headers.push(("Mcp-Session-Id", session.as_str()));
    let ready = json!({"jsonrpc": "2.0", "method": "notifications/initialized"});
    assert_eq!(post(server, "/mcp", &headers, &ready).status, 202, "{accept:?}");
    let subscribe = json!({"jsonrpc": "2.0", "id": 3, "method": "resources/subscribe",
        "params": {"uri": "memory-bank://progress"}});
    let list = json!({"jsonrpc": "2.0", "id": 2, "method": LIST});
    for message in [list, subscribe, call(4, "get_instructions", &json!({}))] {
        let reply = post(server, "/mcp", &headers, &message);
        assert_eq!((reply.status, is_events(&reply)), (200, events), "{accept:?} {message}: {}", reply.body);
        assert!(reply.message()["result"].is_object(), "{accept:?}: {}", reply.body);
    }
    assert_eq!(server.send("DELETE", "/mcp", &[("Mcp-Session-Id", &session)], "").status, 204);
}

#[test]
fn a_client_that_accepts_neither_json_nor_events_gets_406() {
    let server = Server::start(&[ROOMY]);
    let session = server.initialize();
    for accept in ["text/html", "image/png, application/xml", "*/*;q=0", "application/json;q=0"] {
        for message in [handshake("2025-11-25"), json!({"jsonrpc": "2.0", "id": "a", "method": LIST})] {
            let headers = [("Accept", accept), ("Mcp-Session-Id", session.as_str())];
            let reply = post(&server, "/mcp", &headers, &message);
            assert_eq!(reply.status, 406, "{accept}: {}", reply.body);
            assert_eq!(reply.json()["id"], message["id"]);
        }
        // A notification has no reply whose form could be wrong.
        let headers = [("Accept", accept), ("Mcp-Session-Id", session.as_str())];
        let ready = json!({"jsonrpc": "2.0", "method": "notifications/initialized"});
        assert_eq!(post(&server, "/mcp", &headers, &ready).status, 202);
    }
    // A stream is opened only for clients that accept one.
    for accept in [vec![], vec![("Accept", "application/json")], vec![("Accept", "text/event-stream;q=0")]] {
        let mut headers = accept.clone();
        headers.push(("Mcp-Session-Id", session.as_str()));
        assert_eq!(server.send("GET", "/mcp", &headers, "").status, 406, "{accept:?}");
    }
}

#[test]
fn the_accept_header_also_counts_without_a_session() {
    let server = Server::start(&[ROOMY]);
    let meta = json!({"io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientInfo": {"name": "test", "version": "1"},
        "io.modelcontextprotocol/clientCapabilities": {}});
    let send = |method: &str, accept: Option<&str>, params: Value| {
        let mut params = params;
        params["_meta"] = meta.clone();
        let mut headers = vec![("MCP-Protocol-Version", "2026-07-28"), ("Mcp-Method", method)];
        headers.extend(accept.map(|accept| ("Accept", accept)));
        post(
            &server,
            "/mcp",
            &headers,
            &json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}),
        )
    };
    for (accept, events) in [
        (None, false),
        (Some("*/*"), false),
        (Some("application/json"), false),
        (Some("application/json, text/event-stream"), false),
        (Some("text/event-stream"), true),
    ] {
        let reply = send(LIST, accept, json!({}));
        assert_eq!((reply.status, is_events(&reply)), (200, events), "{accept:?}: {}", reply.body);
        assert!(reply.message()["result"]["tools"].is_array(), "{accept:?}");
    }
    assert_eq!(send(LIST, Some("text/html"), json!({})).status, 406);
    let listen = send("subscriptions/listen", Some("application/json"), json!({"notifications": {}}));
    assert_eq!(listen.status, 406, "{}", listen.body);
}

#[test]
fn a_trailing_slash_in_the_path_is_accepted() {
    let server = Server::start(&[ROOMY]);
    let hello = post(&server, "/mcp/", &[], &handshake("2025-11-25"));
    assert_eq!(hello.status, 200, "{}", hello.body);
    let session = hello.header("mcp-session-id").unwrap().to_owned();
    let named = ("Mcp-Session-Id", session.as_str());
    for path in ["/mcp/", "/mcp", "/mcp/?x=1"] {
        let reply = post(&server, path, &[named], &json!({"jsonrpc": "2.0", "id": 2, "method": LIST}));
        assert_eq!(reply.status, 200, "{path}");
    }
    // It is behind the same door.
    assert_eq!(server.send_bare("POST", "/mcp/", &[JSON], &handshake("2025-11-25").to_string()).status, 401);
    assert_eq!(server.send("PUT", "/mcp/", &[named], "").status, 405);
    assert_eq!(server.send("GET", "/mcp/", &[named], "").status, 406);
    for path in ["/mcp//", "/mcp/x", "//mcp"] {
        assert_eq!(post(&server, path, &[named], &handshake("2025-11-25")).status, 404, "{path}");
    }
    assert_eq!(server.send("DELETE", "/mcp/", &[named], "").status, 204);
    assert_eq!(server.send("DELETE", "/mcp", &[named], "").status, 404);
}

#[test]
fn an_invalid_request_id_is_refused_and_not_echoed() {
    let server = Server::start(&[ROOMY]);
    let session = server.initialize();
    for id in [
        "null",
        "{}",
        "{\"a\":1}",
        "[]",
        "[1]",
        "true",
        "false",
        "1.5",
        "-0.5",
        "12345678901234567890",
        "1e300",
    ] {
        for (method, named) in
            [("ping", true), (LIST, true), ("notifications/initialized", true), ("initialize", false)]
        {
            let body = format!("{{\"jsonrpc\":\"2.0\",\"id\":{id},\"method\":\"{method}\",\"params\":{{}}}}");
            let mut headers = vec![JSON];
            headers.extend(named.then_some(("Mcp-Session-Id", session.as_str())));
            let reply = server.send("POST", "/mcp", &headers, &body);
            assert_eq!(reply.status, 400, "{body}: {}", reply.body);
            let message = reply.json();
            assert_eq!((&message["error"]["code"], &message["id"]), (&json!(-32600), &Value::Null), "{body}");
        }
    }
    for id in [json!("a"), json!(""), json!(0), json!(-7), json!(i64::MAX), json!("1.5")] {
        let ping = json!({"jsonrpc": "2.0", "id": id, "method": "ping"});
        let reply = post(&server, "/mcp", &[("Mcp-Session-Id", session.as_str())], &ping);
        assert_eq!((reply.status, &reply.json()["id"]), (200, &id));
    }
    // An error for an invalid message does not echo an object as its id.
    let reply = server.send("POST", "/mcp", &[JSON], "{\"id\":{\"a\":1},\"method\":\"ping\"}");
    assert_eq!((reply.status, &reply.json()["id"]), (400, &Value::Null));
}

#[test]
fn a_byte_order_mark_before_a_body_is_ignored() {
    let server = Server::start(&[ROOMY]);
    let body = format!("\u{feff}{}", handshake("2025-11-25"));
    assert_eq!(server.send("POST", "/mcp", &[JSON], &body).status, 200);
}

#[test]
fn arguments_are_validated_as_over_stdio() {
    let server = Server::start(&[ROOMY]);
    let session = server.initialize();
    let tool = |name: &str, arguments: Value| {
        let reply = post(&server, "/mcp", &[("Mcp-Session-Id", &session)], &call(7, name, &arguments));
        assert_eq!(reply.status, 200, "{}", reply.body);
        reply.json()
    };
    tool("initialize_memory_bank", json!({"path": "."}));
    let text = |reply: &Value| reply["result"]["content"][0]["text"].as_str().unwrap_or_default().to_owned();
    let added = tool("update_tasks", json!({"add": "[\"write the tests\"]"}));
    assert!(text(&added).contains("write the tests"), "{added}");
    let noted = tool("track_progress", json!({"action": "a", "description": "b", "toolCallId": "x"}));
    assert_eq!(noted["result"]["structuredContent"]["ignoredArguments"], json!(["toolCallId"]));
    for arguments in [json!("{}"), json!([]), json!(null), json!("")] {
        let listed = tool("list_memory_bank_files", arguments.clone());
        assert!(text(&listed).starts_with("Files in Memory Bank:"), "{arguments}: {listed}");
    }
    for (name, arguments, named) in [
        ("read_memory_bank_file", json!({}), "`filename` is required"),
        (
            "write_memory_bank_file",
            json!({"filename": "progress.md", "content": "x", "etag": "a"}),
            "unknown argument `etag`",
        ),
        ("list_memory_bank_files", json!(7), "`arguments` must be an object"),
    ] {
        let refused = tool(name, arguments);
        assert_eq!(refused["result"]["isError"], json!(true), "{refused}");
        assert!(text(&refused).contains(named), "{refused}");
    }
    let unknown = tool("no_such_tool", json!({}));
    assert_eq!(unknown["error"]["code"], json!(-32602), "{unknown}");
    assert!(unknown["error"]["message"].as_str().unwrap().contains("Unknown tool"), "{unknown}");
}

#[test]
fn a_duplicate_argument_stops_the_call_and_is_named() {
    let server = Server::start(&[ROOMY]);
    let session = server.initialize();
    server.call(&session, "initialize_memory_bank", &json!({"path": "."}));
    let write = |arguments: &str| {
        let body = format!(
            "{{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/call\",\"params\":{{\"name\":\"write_memory_bank_file\",\"arguments\":{arguments}}}}}"
        );
        server.send("POST", "/mcp", &[JSON, ("Mcp-Session-Id", session.as_str())], &body)
    };
    let twice = write(r#"{"filename":"progress.md","content":"x","ifMatchEtag":"aa","ifMatchEtag":null}"#);
    assert_eq!(twice.json()["result"]["isError"], json!(true), "{}", twice.body);
    assert!(twice.body.contains("`ifMatchEtag` twice"), "{}", twice.body);
    let body = r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"track_progress","arguments":{"action":"Did","description":"first text","description":"second text"}}}"#;
    let tracked = server.send("POST", "/mcp", &[JSON, ("Mcp-Session-Id", session.as_str())], body);
    assert_eq!(tracked.json()["result"]["isError"], json!(true), "{}", tracked.body);
    assert!(tracked.body.contains("`description` twice"), "{}", tracked.body);
    for (body, id) in [
        (r#"{"jsonrpc":"2.0","id":1,"id":2,"method":"ping"}"#, json!(null)),
        (r#"{"jsonrpc":"2.0","id":1,"method":"ping","method":"ping"}"#, json!(1)),
        (
            r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"a","name":"track_progress"}}"#,
            json!(1),
        ),
    ] {
        let refused = server.send("POST", "/mcp", &[JSON, ("Mcp-Session-Id", session.as_str())], body);
        let error = refused.json();
        assert_eq!(
            (refused.status, &error["error"]["code"], &error["id"]),
            (400, &json!(-32600), &id),
            "{error}"
        );
    }
    let text = write(r#""{\"filename\":\"progress.md\",\"filename\":\"x.md\",\"content\":\"x\"}""#);
    assert_eq!(text.json()["result"]["isError"], json!(true), "{}", text.body);
    let read = server.call(&session, "read_memory_bank_file", &json!({"filename": "progress.md"}));
    assert!(read.contains("Update History") && !read.contains("second text"), "{read}");
    let once = write(r#"{"filename":"new.md","content":"{\"a\":1,\"a\":1}"}"#);
    assert_eq!(once.json()["result"]["isError"], json!(false), "{}", once.body);
}
