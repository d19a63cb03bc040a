//! Allowed hosts, and allowed origins of web pages.

use std::io::Write;

use serde_json::json;

use crate::client::{JSON, MCP_ACCEPT, Reply, Server, handshake, read_reply};

type Headers<'a> = &'a [(&'a str, &'a str)];

/// Names that a server does not know.
const FOREIGN: [&str; 6] =
    ["memory.example.com", "192.168.1.20:8080", "evil.example.", "[2001:db8::1]", "MEMORY.example", "mcp"];

fn list_keys(server: &Server, headers: Headers<'_>) -> Reply {
    server.send("GET", "/api/keys", headers, "")
}

fn initialize(server: &Server, headers: Headers<'_>) -> Reply {
    let mut all = vec![JSON, MCP_ACCEPT];
    all.extend(headers);
    server.send("POST", "/mcp", &all, &handshake("2025-11-25").to_string())
}

/// Sends a request verbatim.
fn raw(server: &Server, request: &str) -> Reply {
    let mut stream = server.connect();
    stream.write_all(request.as_bytes()).unwrap();
    read_reply(stream)
}

#[test]
fn a_public_listener_accepts_any_host_with_a_key() {
    for listen in ["0.0.0.0", "::"] {
        let server = Server::start(&[("MCP_HOST", listen)]);
        for host in FOREIGN {
            let named = [("Host", host)];
            assert_eq!(list_keys(&server, &named).status, 200, "{host} at {listen}");
            assert_eq!(initialize(&server, &named).status, 200, "{host} at {listen}");
            let bare = server.send_bare("POST", "/mcp", &[("Host", host), JSON, MCP_ACCEPT], "{}");
            assert_eq!(bare.status, 401, "{host}: no key, nothing served");
            let wrong = [("Host", host), ("X-API-Key", "mbmcp_live_nobody_has_this_key_0123456789abcdef")];
            assert_eq!(server.send_bare("GET", "/api/keys", &wrong, "").status, 401, "{host}");
        }
    }
}

#[test]
fn without_a_key_a_foreign_host_gets_only_health() {
    let server = Server::start(&[("MCP_HOST", "0.0.0.0")]);
    let host = ("Host", "memory.example.com");
    for path in ["/api/openapi.json", "/nowhere", "/docs", "/"] {
        let refused = server.send_bare("GET", path, &[host], "");
        assert_eq!((refused.status, refused.json()), (403, json!({"error": "Host not allowed"})), "{path}");
    }
    assert_eq!(server.send_bare("PUT", "/mcp", &[host], "").status, 403);
    assert_eq!(server.send_bare("GET", "/health", &[host], "").status, 200);
    // A key that is good shows that no page was rebound.
    assert_eq!(server.send("GET", "/api/openapi.json", &[host], "").status, 200);
    assert_eq!(server.send("GET", "/nowhere", &[host], "").status, 404);
    assert_eq!(server.send("PUT", "/mcp", &[host], "").status, 405);
}

#[test]
fn a_loopback_listener_accepts_only_loopback_hosts_even_with_a_key() {
    for listen in ["127.0.0.1", "::1", "localhost", "::ffff:127.0.0.1"] {
        let server = Server::start(&[("MCP_HOST", listen)]);
        for host in FOREIGN {
            let refused = list_keys(&server, &[("Host", host)]);
            assert_eq!(
                (refused.status, refused.json()),
                (403, json!({"error": "Host not allowed"})),
                "{host}"
            );
        }
        for host in ["localhost", "127.0.0.1:3100", "[::1]:3100"] {
            assert_eq!(list_keys(&server, &[("Host", host)]).status, 200, "{host} at {listen}");
        }
    }
}

#[test]
fn only_allowed_hosts_are_accepted_on_any_listener() {
    let server = Server::start(&[("MCP_HOST", "0.0.0.0"), ("ALLOWED_HOSTS", "memory.example.com")]);
    assert_eq!(list_keys(&server, &[("Host", "memory.example.com")]).status, 200);
    assert_eq!(list_keys(&server, &[("Host", "evil.example")]).status, 403);
    assert_eq!(list_keys(&server, &[("Host", "localhost")]).status, 403);
}

#[test]
fn the_public_url_is_an_allowed_host_and_origin() {
    let url = ("PUBLIC_URL", "https://memory.example.com");
    let host = ("Host", "memory.example.com");
    // Behind a proxy on the same machine.
    let server = Server::start(&[("MCP_HOST", "127.0.0.1"), url]);
    assert_eq!(list_keys(&server, &[host]).status, 200);
    assert_eq!(list_keys(&server, &[("Host", "evil.example")]).status, 403);
    assert_eq!(list_keys(&server, &[("Host", "localhost")]).status, 200);
    // A proxy that gives the request another host, and does not name the scheme.
    let page = ("Origin", "https://memory.example.com");
    assert_eq!(list_keys(&server, &[("Host", "localhost:3100"), page]).status, 200);
    assert_eq!(list_keys(&server, &[host, ("Origin", "https://evil.example")]).status, 403);
    let open = Server::start(&[("MCP_HOST", "0.0.0.0"), url]);
    assert_eq!(list_keys(&open, &[("Host", "mcp:3100"), page]).status, 200);
    assert_eq!(open.send_bare("GET", "/api/openapi.json", &[host], "").status, 200);
}

#[test]
fn dns_rebinding_and_foreign_origins_are_refused() {
    let server = Server::start(&[("MCP_HOST", "0.0.0.0")]);
    let rebound = [("Host", "evil.example"), ("Origin", "http://evil.example")];
    let mut post = vec![JSON, MCP_ACCEPT];
    post.extend(rebound);
    assert_eq!(server.send_bare("POST", "/mcp", &post, "{}").status, 401);
    assert_eq!(server.send_bare("GET", "/api/keys", &rebound, "").status, 401);
    assert_eq!(server.send_bare("GET", "/api/openapi.json", &rebound, "").status, 403);
    let preflight = [rebound[0], rebound[1], ("Access-Control-Request-Method", "POST")];
    let preflight_reply = server.send_bare("OPTIONS", "/mcp", &preflight, "");
    assert_eq!((preflight_reply.status, preflight_reply.header("access-control-allow-origin")), (403, None));
    // A page of the server itself, which has a key.
    assert_eq!(list_keys(&server, &rebound).status, 200);
    for (host, origin) in [
        ("memory.example.com", "http://evil.example"),
        ("memory.example.com", "https://memory.example.com"),
        ("memory.example.com", "http://memory.example.com:8080"),
        ("memory.example.com", "null"),
        ("memory.example.com:80", "http://memory.example.com."),
        ("localhost", "http://memory.example.com"),
    ] {
        let refused = list_keys(&server, &[("Host", host), ("Origin", origin)]);
        let answer = (refused.status, refused.json());
        assert_eq!(answer, (403, json!({"error": "Origin not allowed"})), "{origin} at {host}");
    }
}

#[test]
fn x_forwarded_proto_counts_and_x_forwarded_host_does_not() {
    let server = Server::start(&[("MCP_HOST", "0.0.0.0")]);
    let https = ("X-Forwarded-Proto", "https");
    let page = ("Origin", "https://memory.example.com");
    // As Traefik sends it.
    let forwarded = [("Host", "memory.example.com"), ("X-Forwarded-Host", "memory.example.com"), https, page];
    assert_eq!(list_keys(&server, &forwarded).status, 200);
    let claimed = [("Host", "mcp:3100"), ("X-Forwarded-Host", "memory.example.com"), https, page];
    assert_eq!(list_keys(&server, &claimed).status, 403);
    let strict = Server::start(&[("MCP_HOST", "127.0.0.1")]);
    let claimed = [("Host", "evil.example"), ("X-Forwarded-Host", "localhost")];
    assert_eq!(list_keys(&strict, &claimed).status, 403);
}

#[test]
fn an_allowed_origin_passes_preflight_under_any_host() {
    let server = Server::start(&[("MCP_HOST", "0.0.0.0"), ("ALLOWED_ORIGINS", "https://app.example")]);
    let (host, page) = (("Host", "memory.example.com"), ("Origin", "https://app.example"));
    let method = ("Access-Control-Request-Method", "POST");
    let preflight_reply = server.send_bare("OPTIONS", "/mcp", &[host, page, method], "");
    assert_eq!(
        (preflight_reply.status, preflight_reply.header("access-control-allow-origin")),
        (200, Some(page.1))
    );
    assert_eq!(initialize(&server, &[host, page]).status, 200);
}

#[test]
fn a_request_with_two_hosts_or_a_malformed_one_is_refused() {
    for listen in ["0.0.0.0", "127.0.0.1"] {
        let server = Server::start(&[("MCP_HOST", listen)]);
        let key = &server.key;
        let tail = format!("X-API-Key: {key}\r\nConnection: close\r\n\r\n");
        for head in [
            "GET http://evil.example/api/keys HTTP/1.1\r\nHost: localhost\r\n",
            "GET http://localhost/api/keys HTTP/1.1\r\nHost: evil.example\r\n",
            "GET http://localhost:81/api/keys HTTP/1.1\r\nHost: localhost\r\n",
            "GET /api/keys HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\n",
            "GET /api/keys HTTP/1.1\r\nHost: evil@localhost\r\n",
            "GET /api/keys HTTP/1.1\r\nHost: localhost:99999\r\n",
            "GET /api/keys HTTP/1.1\r\nHost: localhost/x\r\n",
            "GET /api/keys HTTP/1.1\r\nHost: \r\n",
            "GET /api/keys HTTP/1.1\r\n",
        ] {
            let refused = raw(&server, &format!("{head}{tail}"));
            assert!(matches!(refused.status, 400 | 403), "{head} at {listen}: {}", refused.status);
        }
        let same = "GET http://localhost/api/keys HTTP/1.1\r\nHost: LOCALHOST:80\r\n";
        assert_eq!(raw(&server, &format!("{same}{tail}")).status, 200, "{listen}");
        // A browser does not send this: its requests name a host.
        let nameless = raw(&server, &format!("GET /api/keys HTTP/1.0\r\n{tail}")).status;
        assert_eq!(nameless, if listen == "0.0.0.0" { 200 } else { 403 });
    }
}

/// The status of an HTTP/2 request to `/api/keys` with this `:authority`, and with a `Host` beside it if there is one.
async fn status_over_http2(server: &Server, authority: &str, host: Option<&str>) -> u16 {
    let stream = tokio::net::TcpStream::connect(&server.address).await.unwrap();
    let (executor, io) = (hyper_util::rt::TokioExecutor::new(), hyper_util::rt::TokioIo::new(stream));
    let (mut sender, connection) = hyper::client::conn::http2::handshake(executor, io).await.unwrap();
    let connection = tokio::spawn(connection);
    let mut request =
        http::Request::get(format!("http://{authority}/api/keys")).header("x-api-key", &server.key);
    if let Some(host) = host {
        request = request.header("host", host);
    }
    let request = request.body(http_body_util::Empty::<bytes::Bytes>::new()).unwrap();
    let status = sender.send_request(request).await.unwrap().status().as_u16();
    connection.abort();
    status
}

#[tokio::test(flavor = "multi_thread")]
async fn over_http2_the_authority_is_the_host_and_a_different_host_header_is_refused() {
    let open = Server::start(&[("MCP_HOST", "0.0.0.0")]);
    let listed = Server::start(&[("MCP_HOST", "0.0.0.0"), ("ALLOWED_HOSTS", "memory.example.com")]);
    let local = Server::start(&[("MCP_HOST", "127.0.0.1")]);
    for (authority, host, at_open, at_listed, at_local) in [
        ("memory.example.com", None, 200, 200, 403),
        ("memory.example.com", Some("memory.example.com"), 200, 200, 403),
        ("MEMORY.example.com:80", Some("memory.example.com"), 200, 200, 403),
        ("evil.example", None, 200, 403, 403),
        ("localhost", None, 200, 403, 200),
        // It is unknown which of the two a proxy in front used.
        ("memory.example.com", Some("evil.example"), 403, 403, 403),
        ("localhost", Some("evil.example"), 403, 403, 403),
        ("evil.example", Some("localhost"), 403, 403, 403),
        ("evil.example", Some("memory.example.com"), 403, 403, 403),
    ] {
        for (server, expected, name) in
            [(&open, at_open, "open"), (&listed, at_listed, "listed"), (&local, at_local, "local")]
        {
            let status = status_over_http2(server, authority, host).await;
            assert_eq!(status, expected, "{name}: {authority} {host:?}");
        }
    }
}

#[test]
fn a_listener_on_a_network_address_accepts_any_host_with_a_key() {
    // Nothing is sent: the system returns the address that it would send from.
    let socket = std::net::UdpSocket::bind("0.0.0.0:0").unwrap();
    let routed = socket.connect("203.0.113.1:9").and_then(|()| socket.local_addr());
    let address = match routed.map(|address| address.ip()) {
        Ok(ip) if !ip.is_loopback() => ip.to_string(),
        // A machine without a network has no such address.
        _ => "0.0.0.0".to_owned(),
    };
    let server = Server::start(&[("MCP_HOST", address.as_str())]);
    for host in FOREIGN {
        assert_eq!(list_keys(&server, &[("Host", host)]).status, 200, "{host} at {address}");
        let bare = server.send_bare("GET", "/api/keys", &[("Host", host)], "");
        assert_eq!(bare.status, 401, "{host} at {address}");
        let openapi = server.send_bare("GET", "/api/openapi.json", &[("Host", host)], "");
        assert_eq!(openapi.status, 403, "{host} at {address}");
    }
    let page = [("Host", "memory.example.com"), ("Origin", "http://evil.example")];
    assert_eq!(list_keys(&server, &page).status, 403);
}
