//! Replies that their clients do not read: memory is bounded, and the connection closes.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::client::{JSON, MCP_ACCEPT, Reply, Server, call, memory, until};
use crate::reply_size::{put, with_bank};

#[test]
fn pipelined_requests_with_unread_replies_use_little_memory_and_the_connection_closes() {
    let (server, session) = with_bank(&[("MAX_REPLY_BYTES", "1048576")]);
    put(&server, "huge.md", 800 * 1024);
    let body =
        call(1, "read_memory_bank_file", &json!({"filename": "huge.md", "maxChars": 1_048_576})).to_string();
    // Each with a separate key: requests of one key would wait for each other's memory.
    let requests: Vec<String> = (0..4)
        .map(|_| {
            let key = new_key(&server);
            let hello = crate::client::handshake("2025-11-25").to_string();
            let opened = server.send_bare("POST", "/mcp", &[("X-API-Key", &key), JSON, MCP_ACCEPT], &hello);
            let own = opened.header("mcp-session-id").unwrap();
            let (kind, accept) = (JSON, MCP_ACCEPT);
            format!(
                "POST /mcp HTTP/1.1\r\nHost: {}\r\nX-API-Key: {key}\r\n{}: {}\r\n{}: {}\r\nMcp-Session-Id: {own}\r\n\
                 Content-Length: {}\r\n\r\n{body}",
                server.address,
                kind.0,
                kind.1,
                accept.0,
                accept.1,
                body.len()
            )
        })
        .collect();
    read_huge(&server, &server.key, &session);
    let before = memory(&server, "VmHWM");
    let began = Instant::now();
    let mut streams: Vec<TcpStream> = Vec::new();
    for request in &requests {
        let mut stream = server.connect();
        stream.set_write_timeout(Some(Duration::from_millis(500))).unwrap();
        for _ in 0..60 {
            // The socket is full once the server stops reading, as intended.
            if stream.write_all(request.as_bytes()).is_err() {
                break;
            }
        }
        streams.push(stream);
    }
    // Others are served meanwhile, and the connections end.
    while !streams.is_empty() {
        assert!(began.elapsed() < Duration::from_secs(100), "a client that reads nothing is kept");
        assert_eq!(read_huge(&server, &server.key, &session).status, 200);
        // Less often than the limit of the key allows.
        std::thread::sleep(Duration::from_secs(2));
        streams.retain_mut(|stream| !matches!(stream.write(b"\r\n"), Err(error) if !is_full(&error)));
    }
    let grown = memory(&server, "VmHWM").saturating_sub(before);
    println!("240 pipelined requests of 1 MiB took {} MiB, for {:?}", grown >> 20, began.elapsed());
    assert!(grown < 64 << 20, "{} MiB", grown >> 20);
}

fn is_full(error: &std::io::Error) -> bool {
    matches!(error.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut)
}

/// A client of HTTP/2 that reads nothing: its windows are closed.
pub(crate) struct ClosedWindow(TcpStream);

impl ClosedWindow {
    pub(crate) fn connect(server: &Server) -> Self {
        let mut stream = server.connect();
        stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").unwrap();
        let mut client = Self(stream);
        // SETTINGS_INITIAL_WINDOW_SIZE = 0
        client.frame(4, 0, 0, &[0, 4, 0, 0, 0, 0]);
        client
    }

    fn frame(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
        let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
        let mut frame = length[1..].to_vec();
        frame.extend([kind, flags]);
        frame.extend(stream.to_be_bytes());
        frame.extend(payload);
        // A server that gave the connection up has closed it.
        let _ = self.0.write_all(&frame);
    }

    pub(crate) fn post(&mut self, stream: u32, server: &Server, key: &str, session: &str, message: &Value) {
        let body = message.to_string();
        let length = body.len().to_string();
        let mut headers = Vec::new();
        let all = [
            (":method", "POST"),
            (":scheme", "http"),
            (":path", "/mcp"),
            (":authority", server.address.as_str()),
            ("x-api-key", key),
            ("content-type", JSON.1),
            ("accept", MCP_ACCEPT.1),
            ("mcp-session-id", session),
            ("content-length", length.as_str()),
        ];
        for (name, value) in all {
            // A literal that is not to be indexed.
            headers.push(0);
            for text in [name, value] {
                headers.push(u8::try_from(text.len()).ok().filter(|length| *length < 127).unwrap());
                headers.extend(text.as_bytes());
            }
        }
        self.frame(1, 4, stream, &headers);
        self.frame(0, 1, stream, body.as_bytes());
    }
}

fn new_key(server: &Server) -> String {
    let made = server.send("POST", "/api/keys", &[JSON], "{\"rateLimit\": 0}").json();
    made["key"].as_str().unwrap().to_owned()
}

fn read_huge(server: &Server, key: &str, session: &str) -> Reply {
    let headers = [("X-API-Key", key), JSON, MCP_ACCEPT, ("Mcp-Session-Id", session)];
    let message = call(9, "read_memory_bank_file", &json!({"filename": "huge.md", "maxChars": 262_144}));
    server.send_bare("POST", "/mcp", &headers, &message.to_string())
}

#[test]
fn unread_replies_count_against_their_own_key_only() {
    for mode in ["true", "false"] {
        let (server, _) = with_bank(&[("MCP_JSON_RESPONSE", mode), ("MAX_SESSIONS_PER_PROJECT", "10")]);
        put(&server, "huge.md", 1000 * 1024);
        let greedy = new_key(&server);
        let session_of = |key: &str| {
            let headers = [("X-API-Key", key), JSON, MCP_ACCEPT];
            let hello = crate::client::handshake("2025-11-25").to_string();
            server.send_bare("POST", "/mcp", &headers, &hello).header("mcp-session-id").unwrap().to_owned()
        };
        let (own, other) = (session_of(&greedy), session_of(&server.key));
        let before = memory(&server, "VmHWM");
        let mut connections: Vec<ClosedWindow> = (0..3).map(|_| ClosedWindow::connect(&server)).collect();
        let fill = |connection: &mut ClosedWindow, numbers: std::ops::Range<u32>| {
            for number in numbers {
                let message = call(
                    number,
                    "read_memory_bank_file",
                    &json!({"filename": "huge.md", "maxChars": 262_144}),
                );
                connection.post(2 * number + 1, &server, &greedy, &own, &message);
            }
        };
        for connection in &mut connections {
            fill(connection, 0..60);
        }
        // The memory of the key is exhausted: its request is refused, and other keys are not affected.
        let mut refused = None;
        until("a refusal", || {
            let reply = read_huge(&server, &greedy, &own);
            refused = (reply.message()["error"]["code"] == json!(-32050)).then_some(reply);
            if refused.is_none() {
                // On a slow machine the server has disconnected the first ones already, since they read nothing.
                let mut connection = ClosedWindow::connect(&server);
                fill(&mut connection, 60..90);
                connections.push(connection);
            }
            refused.is_some()
        });
        let refused = refused.unwrap();
        if mode == "true" {
            assert_eq!(refused.status, 429);
            assert!(refused.header("retry-after").is_some(), "{:?}", refused.headers);
        }
        assert_eq!(read_huge(&server, &server.key, &other).status, 200);
        let grown = memory(&server, "VmHWM").saturating_sub(before);
        println!("MCP_JSON_RESPONSE={mode}: 180 untaken replies of 1 MiB took {} MiB", grown >> 20);
        assert!(grown < 160 << 20, "{} MiB", grown >> 20);
        drop(connections);
        until("the memory", || read_huge(&server, &greedy, &own).status == 200);
    }
}

#[test]
fn a_client_that_reads_nothing_is_disconnected() {
    let (server, session) = with_bank(&[]);
    put(&server, "huge.md", 1000 * 1024);
    let mut client = ClosedWindow::connect(&server);
    let message = call(1, "read_memory_bank_file", &json!({"filename": "huge.md", "maxChars": 262_144}));
    client.post(1, &server, &server.key, &session, &message);
    client.0.set_read_timeout(Some(Duration::from_secs(90))).unwrap();
    let began = Instant::now();
    let mut bytes = [0; 4096];
    while matches!(client.0.read(&mut bytes), Ok(1..)) {}
    assert!(began.elapsed() < Duration::from_secs(85), "{:?}", began.elapsed());
    assert!(began.elapsed() > Duration::from_secs(20), "{:?}", began.elapsed());
}

/// A group of processes that has so much memory and is removed when dropped; none where such groups cannot be made.
pub(crate) struct MemoryGroup {
    folder: PathBuf,
    used: &'static str,
}

impl MemoryGroup {
    const LIMIT: usize = 1 << 30;

    pub(crate) fn of(process: u32) -> Option<Self> {
        let name = format!("memory-bank-test-{process}");
        let kinds = [
            ("/sys/fs/cgroup/memory", "memory.limit_in_bytes", "memory.max_usage_in_bytes"),
            ("/sys/fs/cgroup", "memory.max", "memory.peak"),
        ];
        kinds.into_iter().find_map(|(root, limit, used)| {
            let group = Self { folder: PathBuf::from(root).join(&name), used };
            fs::create_dir(&group.folder).ok()?;
            fs::write(group.folder.join(limit), Self::LIMIT.to_string()).ok()?;
            fs::write(group.folder.join("cgroup.procs"), process.to_string()).ok()?;
            Some(group)
        })
    }

    pub(crate) fn most_used(&self) -> usize {
        fs::read_to_string(self.folder.join(self.used)).unwrap().trim().parse().unwrap()
    }
}

impl Drop for MemoryGroup {
    fn drop(&mut self) {
        // It can be removed once its process has ended.
        let _ = fs::remove_dir(&self.folder);
    }
}

/// The container of the compose files has 1 GiB. A key at the default limit makes its heaviest calls, all at once, and
/// takes no reply.
#[test]
fn the_heaviest_calls_of_one_key_leave_a_server_of_one_gibibyte_alive() {
    let (mut server, _) = with_bank(&[]);
    server.key = new_key(&server);
    let session = server.initialize();
    let group = MemoryGroup::of(server.process.id());
    let names: Vec<String> = (0..100).map(|n| format!("long-{n:03}.md")).collect();
    for name in &names {
        put(&server, name, 1000 * 1024);
    }
    server.call(&session, "graph_upsert_entity", &json!({"name": "hub", "entityType": "thing"}));
    let fact = "x".repeat(60_000);
    for number in 0..200 {
        let text = format!("{number} {fact}");
        server.call(&session, "graph_add_observation", &json!({"entity": "hub", "text": text}));
    }
    let greedy = {
        let made = server.send("POST", "/api/keys", &[JSON], "{}").json();
        made["key"].as_str().unwrap().to_owned()
    };
    let hello = crate::client::handshake("2025-11-25").to_string();
    let headers = [("X-API-Key", greedy.as_str()), JSON, MCP_ACCEPT];
    let opened = server.send_bare("POST", "/mcp", &headers, &hello);
    let own = opened.header("mcp-session-id").unwrap().to_owned();
    let heavy = [
        ("batch_read_files", json!({"files": names, "maxChars": 262_144})),
        ("graph_open_nodes", json!({"nodes": ["hub"]})),
        ("read_memory_bank_file", json!({"filename": "long-000.md", "maxChars": 262_144})),
        ("get_context_bundle", json!({"maxChars": 262_144})),
    ];
    let mut client = ClosedWindow::connect(&server);
    for number in 0..59_u32 {
        let (tool, arguments) = &heavy[number as usize % heavy.len()];
        client.post(2 * number + 1, &server, &greedy, &own, &call(number, tool, arguments));
    }
    // Meanwhile others are answered, until the last of these calls has had its time.
    let began = Instant::now();
    let (mut answered, mut slowest) = (0, Duration::ZERO);
    while began.elapsed() < Duration::from_secs(20) {
        let started = Instant::now();
        let text = server.call(&session, "list_memory_bank_files", &json!({}));
        assert!(text.contains("long-099.md"));
        slowest = slowest.max(started.elapsed());
        answered += 1;
    }
    let resident = memory(&server, "VmHWM");
    let used = group.as_ref().map(MemoryGroup::most_used);
    println!(
        "resident at most {} MiB, of 1 GiB used at most {:?} MiB (with cached files); another key had {answered} \
         answers, the slowest after {slowest:?}",
        resident >> 20,
        used.map(|used| used >> 20),
    );
    assert!(resident < 512 << 20, "{} MiB", resident >> 20);
    drop(server);
}
