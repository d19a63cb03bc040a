//! Authentication, rate limits, connections, and the headers of every reply.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use serde_json::json;

use crate::client::{JSON, MCP_ACCEPT, Server, TIMEOUT, call, handshake};

const FIVE: [(&str, &str); 5] = [
    ("x-content-type-options", "nosniff"),
    ("x-frame-options", "DENY"),
    ("x-xss-protection", "0"),
    ("referrer-policy", "strict-origin-when-cross-origin"),
    ("cache-control", "no-store"),
];

#[test]
fn every_reply_has_the_five_headers_and_an_id_and_errors_are_json() {
    let server = Server::start(&[]);
    let replies = [
        server.send_bare("GET", "/health", &[], ""),
        server.send_bare("GET", "/nowhere", &[], ""),
        server.send_bare("PUT", "/mcp", &[], ""),
        server.send_bare("POST", "/mcp", &[], ""),
        server.send_bare("GET", "/health", &[("Host", "evil.example")], ""),
        server.send_bare("GET", "/api/keys", &[("Host", "evil.example")], ""),
        server.send("POST", "/mcp", &[JSON, MCP_ACCEPT], "{"),
    ];
    assert_eq!(replies.each_ref().map(|reply| reply.status), [200, 404, 405, 401, 200, 403, 400]);
    for reply in &replies {
        for (name, value) in FIVE {
            assert_eq!(reply.header(name), Some(value), "{name} of {}", reply.body);
        }
        assert!(reply.header("x-request-id").is_some());
        assert!(reply.json().is_object());
    }
}

#[test]
fn the_health_of_a_folder_s_server_has_the_shape_of_the_deployment_guide() {
    let server = Server::start(&[]);
    let health = server.send_bare("GET", "/health", &[], "").json();
    assert_eq!((&health["status"], &health["db"]), (&json!("ok"), &json!("not configured")));
    assert!(health["uptime"].is_number());
    assert_eq!(server.send_bare("GET", "/health/live", &[], "").status, 200);
    assert_eq!(server.send_bare("GET", "/health/ready", &[], "").status, 200);
}

#[test]
fn missing_malformed_and_unknown_keys_have_different_messages() {
    let server = Server::start(&[]);
    let made = server.send("POST", "/api/keys", &[JSON], "{}").json();
    let (id, other) = (made["id"].as_str().unwrap(), made["key"].as_str().unwrap());
    assert_eq!(server.send("DELETE", &format!("/api/keys/{id}"), &[], "").status, 200);
    let unknown = format!("mbmcp_live_{}", "x".repeat(32));
    let cases: [(&[(&str, &str)], &str); 4] = [
        (&[], "Missing X-API-Key or Authorization header"),
        (&[("X-API-Key", "nonsense")], "Invalid API key format"),
        (&[("X-API-Key", &unknown)], "Invalid API key"),
        (&[("X-API-Key", other)], "API key has been revoked"),
    ];
    for (headers, words) in cases {
        let reply = server.send_bare("POST", "/mcp", headers, "");
        assert_eq!((reply.status, reply.header("www-authenticate")), (401, Some("Bearer")));
        assert_eq!(reply.json(), json!({"error": words}));
    }
    let bearer = format!("Bearer {}", server.key);
    let let_in = server.send_bare("GET", "/api/keys", &[("Authorization", &bearer)], "");
    assert_eq!(let_in.status, 200);
}

#[test]
fn foreign_origins_and_hosts_are_refused() {
    let server = Server::start(&[]);
    let message = handshake("2025-11-25").to_string();
    let send = |extra: (&str, &str)| server.send("POST", "/mcp", &[JSON, MCP_ACCEPT, extra], &message);
    let foreign = send(("Origin", "https://evil.example"));
    assert_eq!((foreign.status, foreign.json()), (403, json!({"error": "Origin not allowed"})));
    let rebound = send(("Host", "evil.example"));
    assert_eq!((rebound.status, rebound.json()), (403, json!({"error": "Host not allowed"})));
    let own = format!("http://{}", server.address);
    assert_eq!(send(("Origin", &own)).status, 200);
}

#[test]
fn an_allowed_origin_gets_cors_headers() {
    let server = Server::start(&[("ALLOWED_ORIGINS", "https://app.example")]);
    let preflight = |origin| {
        let wanted = ("Access-Control-Request-Headers", "x-api-key,mcp-session-id");
        let method = ("Access-Control-Request-Method", "DELETE");
        server.send_bare("OPTIONS", "/mcp", &[("Origin", origin), method, wanted], "")
    };
    let preflight_reply = preflight("https://app.example");
    assert_eq!(
        (preflight_reply.status, preflight_reply.header("access-control-allow-origin")),
        (200, Some("https://app.example"))
    );
    assert!(preflight_reply.header("access-control-allow-methods").unwrap().contains("DELETE"));
    assert_eq!(preflight_reply.header("access-control-allow-headers"), Some("x-api-key,mcp-session-id"));
    assert_eq!(preflight_reply.header("access-control-allow-credentials"), None);
    assert_eq!(preflight_reply.header("x-content-type-options"), Some("nosniff"));
    assert_eq!(preflight("https://evil.example").status, 403);

    let message = handshake("2025-11-25").to_string();
    let page = [JSON, MCP_ACCEPT, ("Origin", "https://app.example")];
    let reply = server.send("POST", "/mcp", &page, &message);
    assert_eq!((reply.status, reply.header("access-control-allow-origin")), (200, Some(page[2].1)));
    assert!(reply.header("access-control-expose-headers").unwrap().contains("mcp-session-id"));
    let refused = server.send_bare("POST", "/mcp", &page, &message);
    assert_eq!((refused.status, refused.header("access-control-allow-origin")), (401, Some(page[2].1)));
    // Requests without an origin are answered as usual.
    assert_eq!(
        server.send("POST", "/mcp", &[JSON, MCP_ACCEPT], &message).header("access-control-allow-origin"),
        None
    );
}

#[test]
fn without_allowed_origins_no_cors_headers_are_sent() {
    let server = Server::start(&[]);
    let own = format!("http://{}", server.address);
    let preflight_reply = server.send_bare("OPTIONS", "/mcp", &[("Origin", &own)], "");
    assert_eq!((preflight_reply.status, preflight_reply.header("access-control-allow-origin")), (405, None));
}

#[test]
fn requests_of_a_key_are_limited_and_the_headers_show_it() {
    let server = Server::start(&[]);
    let made = server.send("POST", "/api/keys", &[JSON], &json!({"rateLimit": 3}).to_string()).json();
    let key = made["key"].as_str().unwrap();
    let send = || server.send_bare("GET", "/api/keys", &[("X-API-Key", key)], "");
    let replies: Vec<_> = (0..4).map(|_| send()).collect();
    assert_eq!(replies.iter().map(|reply| reply.status).collect::<Vec<_>>(), [200, 200, 200, 429]);
    let left: Vec<_> = replies.iter().map(|reply| reply.header("x-ratelimit-remaining").unwrap()).collect();
    assert_eq!(left, ["2", "1", "0", "0"]);
    let last = replies.last().unwrap();
    let wait: u64 = last.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=60).contains(&wait));
    assert_eq!(last.json()["retryAfter"], json!(wait));
    assert_eq!(last.header("x-ratelimit-limit"), Some("3"));
}

#[test]
fn failed_authentication_counts_against_the_address() {
    let server = Server::start(&[("RATE_LIMIT_IP_PER_MINUTE", "3")]);
    let guess =
        |address: &str| server.send_bare("GET", "/api/keys", &[("X-Forwarded-For", address)], "").status;
    let statuses: Vec<u16> = (0..4).map(|_| guess("203.0.113.7")).collect();
    assert_eq!(statuses, [401, 401, 401, 429]);
    assert_eq!(guess("203.0.113.8"), 401);
    // Each guess is another key.
    let guessed = |number: u32| {
        let key = format!("mbmcp_live_{number:032}");
        let headers = [("X-Forwarded-For", "203.0.113.9"), ("X-API-Key", key.as_str())];
        server.send_bare("GET", "/api/keys", &headers, "").status
    };
    assert_eq!([1, 2, 3, 4].map(guessed), [401, 401, 401, 429]);
}

#[test]
fn all_keys_of_an_address_share_a_limit() {
    let limits = [("RATE_LIMIT_IP_PER_MINUTE", "3"), ("RATE_LIMIT_IP_WITH_KEY_PER_MINUTE", "6")];
    let server = Server::start(&limits);
    let from = |address: &str| {
        (
            server.send("GET", "/api/keys", &[("X-Forwarded-For", address)], "").status,
            server.send_bare("GET", "/api/keys", &[("X-Forwarded-For", address)], "").status,
        )
    };
    let (good, bad): (Vec<u16>, Vec<u16>) = (0..7).map(|_| from("203.0.113.7")).unzip();
    assert_eq!(bad, [401, 401, 401, 429, 429, 429, 429], "guessing is slowed down as ever");
    assert_eq!(good, [200, 200, 200, 200, 200, 200, 429], "and keeps nobody out who has a key");
    assert_eq!(from("203.0.113.8"), (200, 401));
}

#[test]
fn the_first_use_of_a_valid_key_does_not_count_as_a_failure() {
    let server = Server::start(&[("RATE_LIMIT_IP_PER_MINUTE", "3")]);
    let made = || server.send("POST", "/api/keys", &[JSON], "{}").json()["key"].as_str().unwrap().to_owned();
    for key in (0..6).map(|_| made()) {
        let headers = [("X-API-Key", key.as_str()), ("X-Forwarded-For", "203.0.113.7")];
        assert_eq!(server.send_bare("GET", "/api/keys", &headers, "").status, 200);
    }
}

type Headers<'a> = &'a [(&'a str, &'a str)];

#[test]
fn requests_without_a_key_are_limited_by_address() {
    let server =
        Server::start(&[("RATE_LIMIT_IP_PER_MINUTE", "2"), ("ALLOWED_ORIGINS", "https://app.example")]);
    let evil = ("Host", "evil.example");
    let page = ("Origin", "https://app.example");
    let wanted = ("Access-Control-Request-Method", "POST");
    let cases: [(&str, &str, Headers<'_>, u16); 5] = [
        ("GET", "/api/openapi.json", &[], 200),
        ("GET", "/nowhere", &[], 404),
        ("PUT", "/mcp", &[], 405),
        ("OPTIONS", "/mcp", &[page, wanted], 200),
        ("GET", "/api/keys", &[evil], 403),
    ];
    for (number, (method, path, headers, status)) in cases.into_iter().enumerate() {
        let address = format!("203.0.113.{number}");
        let send = || {
            let mut headers = headers.to_vec();
            headers.push(("X-Forwarded-For", &address));
            server.send_bare(method, path, &headers, "")
        };
        assert_eq!([send().status, send().status], [status; 2], "{method} {path}");
        let refused = send();
        assert_eq!(refused.status, 429, "{method} {path}");
        assert!(refused.header("retry-after").is_some());
        for _ in 0..5 {
            let headers = [("X-Forwarded-For", address.as_str())];
            assert_eq!(server.send_bare("GET", "/health/ready", &headers, "").status, 200);
        }
        let keyed = [("X-Forwarded-For", address.as_str())];
        assert_eq!(server.send("GET", "/api/keys", &keyed, "").status, 200);
    }
}

#[test]
fn connections_of_an_address_are_limited() {
    let server = Server::start(&[("MAX_CONNECTIONS_PER_ADDRESS", "3")]);
    let connect = || {
        let mut connection = server.connect();
        let _ = connection.write_all(LIVE);
        matches!(connection.read(&mut [0; 16]), Ok(1..)).then_some(connection)
    };
    // The server can still count a connection of its start, whose client is gone.
    let mut connections = Vec::new();
    crate::client::until("three connections", || {
        connections.extend(connect());
        connections.len() == 3
    });
    // One more is closed at once, and there is room again when one of the others ends.
    assert!(connect().is_none(), "a fourth connection was served");
    drop(connections);
    crate::client::until("room", || connect().is_some());
}

#[test]
fn an_ipv6_prefix_counts_as_one_address() {
    let server = Server::start(&[("RATE_LIMIT_IP_PER_MINUTE", "3")]);
    let guess =
        |address: &str| server.send_bare("GET", "/api/keys", &[("X-Forwarded-For", address)], "").status;
    let same = ["2001:db8::1", "2001:db8::2", "2001:db8::ffff:1", "2001:db8::4"].map(guess);
    assert_eq!(same, [401, 401, 401, 429]);
    assert_eq!(guess("2001:db8:0:1::1"), 401);
    let v4 = ["203.0.113.7", "::ffff:203.0.113.7", "203.0.113.7", "::ffff:203.0.113.7"].map(guess);
    assert_eq!(v4, [401, 401, 401, 429]);
}

#[test]
fn ports_and_brackets_in_forwarded_addresses_are_ignored() {
    let server = Server::start(&[("RATE_LIMIT_IP_PER_MINUTE", "3")]);
    let guess =
        |address: &str| server.send_bare("GET", "/api/keys", &[("X-Forwarded-For", address)], "").status;
    let v4 = ["203.0.113.7:1", "203.0.113.7:2", "[::ffff:203.0.113.7]:3", "203.0.113.7"].map(guess);
    assert_eq!(v4, [401, 401, 401, 429]);
    assert_eq!(guess("203.0.113.8:1"), 401);
    let v6 = ["[2001:db8::1]:1", "[2001:db8::1]", "\"[2001:db8::1]:2\"", "2001:db8::1"].map(guess);
    assert_eq!(v6, [401, 401, 401, 429]);
    // An invalid address counts as the address of the connection, in all variations.
    let garbage = ["x1", "x2", "1.2.3.4.5", "unknown"].map(guess);
    assert_eq!(garbage, [401, 401, 401, 429]);
}

#[test]
fn an_origin_with_another_scheme_or_port_is_foreign() {
    let server = Server::start(&[("RATE_LIMIT_IP_PER_MINUTE", "0")]);
    let status = |origin: &str, proto: &str| {
        let headers = [("Origin", origin), ("X-Forwarded-Proto", proto)];
        server.send("GET", "/api/keys", &headers, "").status
    };
    let own = |scheme: &str| format!("{scheme}://{}", server.address);
    assert_eq!((status(&own("http"), "http"), status(&own("https"), "https")), (200, 200));
    assert_eq!((status(&own("https"), "http"), status(&own("http"), "https")), (403, 403));
    assert_eq!(status("http://127.0.0.1", "http"), 403);
    assert_eq!(status("null", "http"), 403);
}

const PREFACE_AND_SETTINGS: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";

const LIVE: &[u8] = b"GET /health/live HTTP/1.1\r\nHost: localhost\r\n\r\n";

/// Reads the reply to [`LIVE`], and leaves the connection as it is.
fn read_live(connection: &mut TcpStream) {
    let mut reply = Vec::new();
    while !reply.ends_with(b"{\"status\":\"ok\"}") {
        let mut bytes = [0; 4096];
        let length = connection.read(&mut bytes).unwrap();
        assert!(length > 0, "{}", String::from_utf8_lossy(&reply));
        reply.extend_from_slice(&bytes[..length]);
    }
    assert!(reply.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&reply));
}

/// Waits until the server has closed each of these connections.
fn await_closed(connections: impl IntoIterator<Item = TcpStream>) {
    for (number, mut connection) in connections.into_iter().enumerate() {
        connection.set_read_timeout(Some(TIMEOUT)).unwrap();
        let ended = connection.read_to_end(&mut Vec::new());
        let reset = |error: &std::io::Error| error.kind() == ErrorKind::ConnectionReset;
        assert!(ended.is_ok() || ended.as_ref().is_err_and(reset), "{number}: {ended:?}");
    }
}

#[test]
fn a_connection_with_incomplete_headers_is_closed() {
    let server = Server::start(&[]);
    let connect = |sent: &[&[u8]]| {
        let mut connection = server.connect();
        for sent in sent {
            connection.write_all(sent).unwrap();
            if *sent == LIVE {
                read_live(&mut connection);
            }
        }
        connection
    };
    let beginnings: [&[&[u8]]; 5] = [
        &[b"P"],
        &[b"PRI * HTTP/2.0\r\n\r"],
        &[b"GET / HTTP/1.1\r\nHost: x\r\n"],
        &[LIVE, b"G"],
        &[LIVE, LIVE, b"POST /mcp HTTP/1.1\r\n"],
    ];
    await_closed(beginnings.map(connect));
}

#[test]
fn a_connection_without_requests_is_closed_after_the_idle_time_out() {
    let server = Server::start(&[("HTTP_KEEPALIVE_SECONDS", "5")]);
    let sent: [&[u8]; 3] = [b"", PREFACE_AND_SETTINGS, LIVE];
    await_closed(sent.map(|sent| {
        let mut connection = server.connect();
        connection.write_all(sent).unwrap();
        connection
    }));
}

#[test]
fn a_connection_idle_for_longer_than_the_header_time_out_still_works() {
    let server = Server::start(&[]);
    let send = |connection: &mut TcpStream| {
        connection.write_all(LIVE).unwrap();
        read_live(connection);
    };
    // One over which a request came, and one that a proxy opened and did not need yet.
    let (mut used, mut fresh) = (server.connect(), server.connect());
    send(&mut used);
    std::thread::sleep(Duration::from_secs(22));
    send(&mut used);
    send(&mut fresh);
}

#[test]
fn a_body_over_a_mebibyte_is_refused() {
    let server = Server::start(&[]);
    let reply = server.send("POST", "/mcp", &[JSON, MCP_ACCEPT], &" ".repeat(1024 * 1024 + 1));
    assert_eq!(reply.status, 413);
    assert!(reply.json()["error"].is_string());
}

#[test]
fn malformed_json_batches_and_other_types_get_json_rpc_errors() {
    let server = Server::start(&[]);
    let broken = server.send("POST", "/mcp", &[JSON, MCP_ACCEPT], "{\"jsonrpc\"");
    assert_eq!((broken.status, &broken.json()["error"]["code"]), (400, &json!(-32700)));
    let batch = server.send("POST", "/mcp", &[JSON, MCP_ACCEPT], "[]");
    assert_eq!((batch.status, &batch.json()["error"]["code"]), (400, &json!(-32600)));
    let text = server.send("POST", "/mcp", &[("Content-Type", "text/plain"), MCP_ACCEPT], "{}");
    assert_eq!(text.status, 415);
}

#[test]
fn a_lone_surrogate_becomes_the_replacement_character_as_over_stdio() {
    let server = Server::start(&[]);
    let session = server.initialize();
    server.call(&session, "initialize_memory_bank", &json!({"path": "."}));
    let arguments = json!({"filename": "half.md", "content": "HALF"});
    let write = call(2, "write_memory_bank_file", &arguments).to_string().replace("HALF", "a\\ud800b");
    let named = ("Mcp-Session-Id", session.as_str());
    assert_eq!(server.send("POST", "/mcp", &[JSON, MCP_ACCEPT, named], &write).status, 200);
    let read = server.call(&session, "read_memory_bank_file", &json!({"filename": "half.md"}));
    assert!(read.contains("a\u{fffd}b"), "{read}");
}
