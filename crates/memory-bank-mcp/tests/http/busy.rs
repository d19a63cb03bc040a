//! A bank that another process keeps locked: a REST route that needs it answers 503, so that a program tries again.

use std::fs::File;

use serde_json::json;

use crate::client::{JSON, Server};

#[test]
fn a_locked_bank_is_busy_on_routes_of_all_kinds() {
    let server = Server::start(&[]);
    let session = server.initialize();
    server.call(&session, "initialize_memory_bank", &json!({"path": "."}));
    server.call(&session, "graph_upsert_entity", &json!({"name": "Api", "entityType": "service"}));
    let keys: Vec<String> = (0..4)
        .map(|_| server.send("POST", "/api/keys", &[JSON], "{}").json()["key"].as_str().unwrap().to_owned())
        .collect();
    let lock = File::open(server.folder.path().join("memory-bank/.mbmcp/lock")).unwrap();
    lock.lock().unwrap();
    let undo = json!({"by": "local", "since": "2026-01-01"}).to_string();
    let requests = [
        ("GET", "/api/v1/history?filename=progress.md", ""),
        ("GET", "/api/v1/history/blame?filename=progress.md", ""),
        ("POST", "/api/v1/history/undo", undo.as_str()),
        ("GET", "/api/v1/document?filename=progress.md&asOf=2026-01-01", ""),
    ];
    // Each waits for the lock for some seconds, and a key has the memory for few waiting replies only.
    std::thread::scope(|scope| {
        for ((method, path, body), key) in requests.into_iter().zip(&keys) {
            let server = &server;
            scope.spawn(move || {
                let reply = server.send_bare(method, path, &[JSON, ("X-API-Key", key)], body);
                let retry = reply.header("retry-after").map(str::to_owned);
                assert_eq!((reply.status, retry.as_deref()), (503, Some("2")), "{path}: {}", reply.body);
            });
        }
    });
    drop(lock);
    assert_eq!(server.send("GET", "/api/v1/graph/entity?name=Api", &[], "").status, 200);
}
