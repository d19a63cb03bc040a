//! Sizes of replies.

use std::collections::BTreeSet;
use std::fs;

use serde_json::{Value, json};

use crate::client::{Server, memory, until};

/// Bytes of a reply other than its text: a name, an etag, brackets.
const BUDGET: usize = 256 * 1024 + 64 * 1024;

/// A server in JSON with a bank, and a session.
pub(crate) fn with_bank(variables: &[(&str, &str)]) -> (Server, String) {
    let mut all = vec![("MCP_JSON_RESPONSE", "true"), ("RATE_LIMIT_IP_PER_MINUTE", "0")];
    all.extend(variables);
    let server = Server::start(&all);
    let session = server.initialize();
    server.call(&session, "initialize_memory_bank", &json!({"path": "."}));
    (server, session)
}

/// Puts a document into the bank, as another program would.
pub(crate) fn put(server: &Server, name: &str, bytes: usize) {
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

/// The log of a graph whose hub is linked to `spokes` entities, each with an attribute of `bytes` bytes and a fact.
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
