//! The container of the Compose files has 1 GiB. A viewer at the default limits makes the heaviest calls, all at once,
//! and reads no reply, while another tenant works.

use std::fs;
use std::time::{Duration, Instant};

use memory_bank_test_postgres::TestDatabase;
use serde_json::json;
use tempfile::TempDir;

use crate::client::{JSON, MCP_ACCEPT, Server, call, handshake, memory};
use crate::database::{key_of, operate};
use crate::reply_size::heavy_graph;
use crate::unread_replies::{ClosedWindow, MemoryGroup};

/// A project with documents of 20 MB and a hub with neighbours of 36 MB.
fn heavy_project(documents: usize) -> TempDir {
    let project = TempDir::new().unwrap();
    let bank = project.path().join("memory-bank");
    fs::create_dir_all(bank.join("graph")).unwrap();
    fs::write(bank.join("graph/graph.jsonl"), heavy_graph(300, 60_000)).unwrap();
    for number in 0..documents {
        let text = "word and \"quote\" ".repeat(1000 * 1024 / 17);
        fs::write(bank.join(format!("long-{number:03}.md")), format!("# {number}\n\n{text}\n")).unwrap();
    }
    project
}

#[test]
fn the_heaviest_calls_of_a_viewer_leave_a_server_of_one_gibibyte_alive_and_other_tenants_served() {
    let database = TestDatabase::migrated();
    let run = |arguments: &[&str]| operate(&database, arguments).unwrap();
    run(&["bootstrap", "--user", "alice", "--project", "atlas"]);
    run(&["bootstrap", "--user", "carol", "--project", "borealis"]);
    run(&["users", "create", "bob"]);
    run(&["members", "add", "--project", "atlas", "--user", "bob", "--role", "viewer"]);
    let viewer = key_of(&run(&["keys", "create", "--user", "bob", "--project", "atlas"]));
    let project = heavy_project(20);
    run(&["import", "--from", project.path().to_str().unwrap(), "--project", "atlas"]);
    let mut server =
        Server::start(&[("DATABASE_URL", &database.url()), ("REDIS_URL", ""), ("MCP_HOST", "127.0.0.1")]);
    let group = MemoryGroup::of(server.process.id());
    let unlimited = ["keys", "create", "--user", "carol", "--project", "borealis", "--rate-limit", "1000000"];
    server.key = key_of(&run(&unlimited));
    let session = server.initialize();
    server.call(&session, "initialize_memory_bank", &json!({"path": "."}));

    let hello = handshake("2025-11-25").to_string();
    let opened = server.send_bare("POST", "/mcp", &[("X-API-Key", &viewer), JSON, MCP_ACCEPT], &hello);
    let own = opened.header("mcp-session-id").unwrap().to_owned();
    let names: Vec<String> = (0..20).map(|number| format!("long-{number:03}.md")).collect();
    let heavy = [
        ("batch_read_files", json!({"files": names, "maxChars": 262_144})),
        ("graph_open_nodes", json!({"nodes": ["hub"], "depth": 2})),
        ("graph_search", json!({"query": "*", "limit": 1000, "includeNeighborhood": true})),
        ("search_memory_bank", json!({"query": "word", "maxResults": 1000})),
        ("get_targeted_context", json!({"query": "word quote", "maxFiles": 50})),
        ("read_memory_bank_file", json!({"filename": "long-000.md"})),
    ];
    let mut client = ClosedWindow::connect(&server);
    for number in 0..59_u32 {
        let (tool, arguments) = &heavy[number as usize % heavy.len()];
        client.post(2 * number + 1, &server, &viewer, &own, &call(number, tool, arguments));
    }
    // Not more than the limit of the address allows in a minute.
    let pause = Duration::from_millis(60);
    let began = Instant::now();
    let (mut answered, mut slowest) = (0, Duration::ZERO);
    while began.elapsed() < Duration::from_secs(20) {
        let started = Instant::now();
        let noted = server.call(&session, "add_session_note", &json!({"note": format!("note {answered}")}));
        assert!(noted.contains("ote"), "{noted}");
        let read = server.call(&session, "read_memory_bank_file", &json!({"filename": "active-context.md"}));
        assert!(read.contains(&format!("note {answered}")), "{read}");
        slowest = slowest.max(started.elapsed());
        answered += 1;
        std::thread::sleep(pause);
    }
    let resident = memory(&server, "VmHWM");
    let used = group.as_ref().map(|group| group.most_used() >> 20);
    println!(
        "resident at most {} MiB, of 1 GiB used at most {used:?} MiB; another tenant wrote and read {answered} times, the \
         slowest in {slowest:?}",
        resident >> 20
    );
    assert_eq!(server.process.try_wait().unwrap(), None, "the server ended");
    assert!(resident < 900 << 20, "{} MiB", resident >> 20);
    drop(server);
}
