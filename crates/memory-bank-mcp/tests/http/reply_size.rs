//! Sizes of replies, and replies that their clients do not read.

use std::collections::BTreeSet;
use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::client::{JSON, MCP_ACCEPT, Reply, Server, call, until};

/// Bytes of a reply other than its text: a name, an etag, brackets.
const BUDGET: usize = 256 * 1024 + 64 * 1024;

/// A server in JSON with a bank, and a session.
fn with_bank(variables: &[(&str, &str)]) -> (Server, String) {
    let mut all = vec![("MCP_JSON_RESPONSE", "true"), ("RATE_LIMIT_IP_PER_MINUTE", "0")];
    all.extend(variables);
    let server = Server::start(&all);
    let session = server.initialize();
    server.call(&session, "initialize_memory_bank", &json!({"path": "."}));
    (server, session)
}

/// Puts a document into the bank, as another program would.
fn put(server: &Server, name: &str, bytes: usize) {
    let text = format!("# {name}\n\n{}\n", "word and \"quote\" ".repeat(bytes / 17));
    fs::write(server.folder.path().join("memory-bank").join(name), text).unwrap();
}

fn json_of(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

#[test]
fn a_batch_contains_documents_up_to_the_limit_and_names_the_others() {
    let (server, session) = with_bank(&[]);
    let names: Vec<String> = (0..100).map(|n| format!("long-{n:03}.md")).collect();
    for name in &names {
        put(&server, name, 60 * 1024);
    }
    let mut left: Vec<String> = names.clone();
    let mut got = BTreeSet::new();
    while !left.is_empty() {
        let text = server.call(&session, "batch_read_files", &json!({"files": left, "maxChars": 262_144}));
        assert!(text.len() <= BUDGET, "{}", text.len());
        let reply = json_of(&text);
        for (name, result) in reply["results"].as_object().unwrap() {
            let whole = fs::read_to_string(server.folder.path().join("memory-bank").join(name)).unwrap();
            assert_eq!(result["content"], json!(whole), "{name} came in part");
            assert!(got.insert(name.clone()), "{name} came twice");
        }
        let remaining = reply["metadata"]["remaining"].as_array().cloned().unwrap_or_default();
        assert_eq!(reply["metadata"]["truncated"] == json!(true), !remaining.is_empty());
        let counts = &reply["metadata"];
        assert_eq!((&counts["requested"], &counts["failed"]), (&json!(left.len()), &json!(0)));
        let next: Vec<String> =
            remaining.iter().map(|left| left["filename"].as_str().unwrap().to_owned()).collect();
        assert!(next.len() < left.len(), "nothing came");
        left = next;
    }
    assert_eq!(got.len(), names.len());
}

#[test]
fn a_document_too_large_for_a_batch_is_named_and_readable_in_parts() {
    let (server, session) = with_bank(&[]);
    put(&server, "huge.md", 900 * 1024);
    put(&server, "small.md", 1000);
    let files = json!({"files": ["huge.md", "missing.md", "small.md", "huge.md"]});
    let reply = json_of(&server.call(&session, "batch_read_files", &files));
    assert!(reply["results"].get("huge.md").is_none() && reply["results"]["small.md"]["content"].is_string());
    assert!(reply["results"]["missing.md"]["error"].is_string());
    assert_eq!(reply["metadata"]["remaining"][0]["filename"], json!("huge.md"));
    assert_eq!(reply["metadata"]["requested"], json!(3));
    assert!(reply["metadata"]["next"].as_str().unwrap().contains("read_memory_bank_file"));
    let whole = fs::read_to_string(server.folder.path().join("memory-bank/huge.md")).unwrap();
    let (mut read, mut calls) = (String::new(), 0);
    let mut next = json!({"filename": "huge.md", "maxChars": 262_144});
    while next.is_object() {
        let text = server.call(&session, "read_memory_bank_file", &next);
        assert!(text.chars().count() <= 262_144, "{}", text.len());
        let part = json_of(&text);
        assert!(part.get("content").is_none() && part.get("etag").is_none(), "{part:.200}");
        assert_eq!(part["totalChars"], json!(whole.chars().count()));
        read.push_str(part["part"].as_str().unwrap());
        next = part["next"]["arguments"].clone();
        calls += 1;
    }
    assert_eq!(read, whole);
    assert!(calls < 10, "{calls}");
}

#[test]
fn a_bundle_shows_items_up_to_its_budget_and_names_calls_for_the_rest() {
    let (server, session) = with_bank(&[]);
    put(&server, "progress.md", 900 * 1024);
    let whole = fs::read_to_string(server.folder.path().join("memory-bank/progress.md")).unwrap();
    for arguments in [json!({}), json!({"maxChars": 100_000})] {
        let most = arguments["maxChars"].as_u64().unwrap_or(24_000);
        let text = server.call(&session, "get_context_bundle", &arguments);
        assert!(text.chars().count() as u64 <= most, "{}", text.len());
        let reply = json_of(&text);
        assert!(reply["bundle"]["decision-log.md"]["content"].is_string());
        let progress = &reply["bundle"]["progress.md"];
        assert!(progress.get("content").is_none() && progress.get("etag").is_none());
        assert!(whole.contains(progress["parts"][0]["text"].as_str().unwrap()));
        let left = &reply["leftOut"]["calls"][0];
        assert_eq!(reply["leftOut"]["tool"], json!("read_memory_bank_file"));
        let rest = json_of(&server.call(&session, "read_memory_bank_file", left));
        assert!(whole.contains(rest["part"].as_str().unwrap()), "{left}");
    }
}

#[test]
fn a_graph_hub_is_shown_up_to_the_limit_and_the_rest_is_counted() {
    let (server, session) = with_bank(&[]);
    let entity = |name: &str| json!({"name": name, "entityType": "thing"});
    server.call(&session, "graph_upsert_entity", &entity("aside"));
    server.call(&session, "graph_upsert_entity", &entity("hub"));
    server.call(
        &session,
        "graph_link_entities",
        &json!({"from": "hub", "relationType": "uses", "to": "aside"}),
    );
    let fact = "x".repeat(50_000);
    for number in 0..20 {
        let text = format!("{number} word {fact}");
        server.call(&session, "graph_add_observation", &json!({"entity": "hub", "text": text}));
    }
    let calls = [
        ("graph_open_nodes", json!({"nodes": ["hub"]})),
        ("graph_search", json!({"query": "word", "limit": 1000})),
        ("graph_search", json!({"query": "*", "limit": 1000, "includeNeighborhood": true})),
    ];
    for (tool, arguments) in calls {
        let text = server.call(&session, tool, &arguments);
        assert!(text.len() <= BUDGET, "{tool}: {}", text.len());
        let reply = json_of(&text);
        for list in ["entities", "observations", "relations"] {
            assert!(reply[list].is_array(), "{tool}: {list}");
        }
        if tool == "graph_open_nodes" {
            let shown = reply["observations"].as_array().unwrap().len();
            assert!(shown > 0, "nothing is shown");
            assert_eq!(reply["truncated"], json!(true));
            assert_eq!(reply["remaining"]["observations"], json!(20 - shown));
            assert_eq!(reply["entities"].as_array().unwrap().len(), 2);
        }
    }
}

fn count(value: &Value) -> usize {
    usize::try_from(value.as_u64().unwrap()).unwrap()
}

#[test]
fn long_lists_are_truncated_with_the_number_left_out() {
    const MANY: usize = 12_000;
    let (server, session) = with_bank(&[]);
    let bank = server.folder.path().join("memory-bank");
    for number in 0..MANY {
        fs::write(bank.join(format!("{}-{number:05}.md", "a-long-name".repeat(8))), "word\n").unwrap();
    }
    let all = fs::read_dir(&bank).unwrap().count();
    let text = server.call(&session, "list_memory_bank_files", &json!({}));
    assert!(text.chars().count() <= 25_000, "{}", text.len());
    let (first, names) = text.split_once('\n').unwrap();
    let shown = names.lines().count();
    assert!(first.contains(&format!("({shown} of 12")) && first.contains("cursor `"), "{first}");
    assert!(shown > 200 && names.lines().all(|name| bank.join(name).exists()));
    for (tool, pointer) in [("get_memory_bank_status", ""), ("debug_mcp_config", "/memoryBank/status")] {
        let text = server.call(&session, tool, &json!({}));
        assert!(text.chars().count() <= 25_000, "{tool}: {}", text.len());
        let status = json_of(text.get(text.find('{').unwrap()..).unwrap());
        let status = status.pointer(pointer).unwrap();
        let shown = status["files"].as_array().unwrap().len();
        assert!(count(&status["remaining"]["files"]) + shown >= all - 2, "{tool}");
        assert_eq!(status["isComplete"], json!(true), "{tool}");
    }
    let mut found = String::new();
    until("the index", || {
        found = server.call(&session, "search_memory_bank", &json!({"query": "word"}));
        found.starts_with('{')
    });
    assert!(found.chars().count() <= 25_000, "{}", found.len());
    let metadata = &json_of(&found)["metadata"];
    let searched = metadata["filesSearched"].as_array().unwrap().len();
    assert!(searched >= 20 && metadata["filesSearched"][0] == json!("product-context.md"), "{metadata}");
    assert!(count(&metadata["filesSearchedLeft"]) + searched >= MANY);
}

#[test]
fn a_hub_with_large_neighbours_is_not_loaded_whole() {
    let (server, session) = with_bank(&[]);
    let graph = server.folder.path().join("memory-bank/graph");
    fs::create_dir_all(&graph).unwrap();
    fs::write(graph.join("graph.jsonl"), heavy_graph(400, 60_000)).unwrap();
    server.call(&session, "graph_search", &json!({"query": "*", "limit": 1}));
    let resident = || memory(&server, "VmRSS");
    let before = resident();
    let mut most = 0;
    for (tool, arguments) in [
        ("graph_open_nodes", json!({"nodes": ["hub"], "depth": 2})),
        ("graph_search", json!({"query": "*", "limit": 1000, "includeNeighborhood": true})),
    ] {
        let text = server.call(&session, tool, &arguments);
        assert!(text.len() <= BUDGET, "{tool}: {}", text.len());
        let reply = json_of(&text);
        let shown = reply["entities"].as_array().unwrap().len();
        assert!(shown > 0, "{tool}");
        assert_eq!(reply["remaining"]["entities"], json!(401 - shown), "{tool}");
        assert_eq!(reply["entities"][0]["name"], json!("hub"), "{tool}");
        most = most.max(resident());
    }
    println!("resident before {} MiB, after at most {} MiB", before >> 20, most >> 20);
    assert!(most.saturating_sub(before) < 40 << 20, "{} MiB", most.saturating_sub(before) >> 20);
}

/// The log of a graph in which a hub is linked to so many entities, each with an attribute of so many bytes and a fact.
pub(crate) fn heavy_graph(spokes: usize, bytes: usize) -> String {
    let at = "2026-01-01T00:00:00.000Z";
    let mut log =
        "{\"type\":\"memory_bank_graph\",\"source\":\"memory-bank-mcp\",\"version\":\"1\"}\n".to_owned();
    let mut push = |event: Value| log.push_str(&format!("{event}\n"));
    let entity = |id: &str, name: &str, attrs: Value| {
        json!({"type": "entity_upsert", "ts": at, "entity": {"id": id, "name": name, "entityType": "thing",
            "attrs": attrs, "createdAt": at, "updatedAt": at}})
    };
    push(entity("ent_hub000000000", "hub", json!({})));
    for number in 0..spokes {
        let id = format!("ent_{number:012}");
        push(entity(&id, &format!("spoke {number}"), json!({"x": "x".repeat(bytes)})));
        push(json!({"type": "relation_add", "ts": at, "relation": {"id": format!("rel_{number:012}"),
            "fromId": "ent_hub000000000", "toId": id, "relationType": "uses", "createdAt": at}}));
        push(json!({"type": "observation_add", "ts": at, "observation": {"id": format!("obs_{number:012}"),
            "entityId": id, "text": format!("word {number} {}", "y".repeat(bytes)), "timestamp": at}}));
    }
    log
}

#[test]
fn pipelined_requests_with_unread_replies_use_little_memory_and_the_connection_closes() {
    let (server, session) = with_bank(&[("MAX_REPLY_BYTES", "1048576")]);
    put(&server, "huge.md", 800 * 1024);
    let body =
        call(1, "read_memory_bank_file", &json!({"filename": "huge.md", "maxChars": 1_048_576})).to_string();
    // Each with a key of its own: those of one key would wait for each other's memory.
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

/// A client of HTTP/2 that takes nothing: its windows are closed.
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

/// A figure of a process, in bytes.
pub(crate) fn memory(server: &Server, figure: &str) -> usize {
    let status = fs::read_to_string(format!("/proc/{}/status", server.process.id())).unwrap();
    let line = status.lines().find(|line| line.starts_with(figure)).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<usize>().unwrap() * 1024
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
        for connection in &mut connections {
            for number in 0..60 {
                let message = call(
                    number,
                    "read_memory_bank_file",
                    &json!({"filename": "huge.md", "maxChars": 262_144}),
                );
                connection.post(2 * number + 1, &server, &greedy, &own, &message);
            }
        }
        // The memory of the key is exhausted: its request is refused, and other keys are not affected.
        let mut refused = None;
        until("a refusal", || {
            let reply = read_huge(&server, &greedy, &own);
            refused = (reply.message()["error"]["code"] == json!(-32050)).then_some(reply);
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
