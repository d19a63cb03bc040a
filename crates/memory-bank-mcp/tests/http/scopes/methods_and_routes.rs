//! Methods other than tools, REST routes, and writes with a write-only key.

use serde_json::json;

use super::scoped_client::{CANARY, Client, assert_silent, plant, worlds};

#[test]
fn no_method_or_route_reads_with_a_key_without_read() {
    for world in worlds() {
        let owner = Client::with(&world.server, &["read", "write", "admin"]);
        plant(&owner);
        for scopes in [&["write"][..], &["admin"], &["write", "admin"]] {
            let blind = Client::with(&world.server, scopes);
            for (method, list) in [
                ("resources/list", "resources"),
                ("resources/templates/list", "resourceTemplates"),
                ("prompts/list", "prompts"),
            ] {
                let listed = owner.request(method, &json!({}))["result"][list].clone();
                assert!(!listed.as_array().unwrap().is_empty(), "{method}");
                for reply in [
                    blind.request(method, &json!({})),
                    blind.request_without_session(method, &json!({})).message(),
                ] {
                    assert_eq!(reply["result"][list], json!([]), "{scopes:?} {method}: {reply}");
                }
            }
            let refused = [
                ("resources/read", json!({"uri": "memory-bank://notes"})),
                ("resources/read", json!({"uri": "memory-bank://nowhere"})),
                ("resources/list", json!({"cursor": "after:a.md"})),
                (
                    "prompts/get",
                    json!({"name": "start_session", "arguments": {"document": "notes", "entity": "Thing"}}),
                ),
                ("prompts/get", json!({"name": "hand_over"})),
                (
                    "completion/complete",
                    json!({"ref": {"type": "ref/resource", "uri": "memory-bank://{name}"},
                    "argument": {"name": "name", "value": "z"}}),
                ),
                (
                    "completion/complete",
                    json!({"ref": {"type": "ref/prompt", "name": "start_session"},
                    "argument": {"name": "entity", "value": "T"}}),
                ),
                ("resources/subscribe", json!({"uri": "memory-bank://notes"})),
            ];
            for (method, params) in &refused {
                let mut replies = vec![blind.request(method, params)];
                if *method != "resources/subscribe" {
                    replies.push(blind.request_without_session(method, params).message());
                }
                for reply in replies {
                    assert_silent(method, &reply.to_string());
                    let message = reply["error"]["message"].as_str().unwrap_or_default();
                    let empty = reply["result"]["resources"] == json!([]);
                    assert!(
                        message.contains("scope `read`") || empty,
                        "{scopes:?} {method} {params}: {reply}"
                    );
                }
            }
            let wanted = json!({"notifications": {"resourcesListChanged": true,
                "resourceSubscriptions": ["memory-bank://notes"]}});
            let reply = blind.request_without_session("subscriptions/listen", &wanted);
            assert!(reply.body.contains("scope `read`"), "{}", reply.body);
        }
    }
}

#[test]
fn only_keys_with_scope_admin_list_keys() {
    for world in worlds() {
        for (scopes, status) in
            [(&["read"][..], 403), (&["write"], 403), (&["read", "write"], 403), (&["admin"], 200)]
        {
            let key = Client::with(&world.server, scopes).key;
            let reply = world.server.send_bare("GET", "/api/keys", &[("X-API-Key", &key)], "");
            assert_eq!(reply.status, status, "{scopes:?}: {}", reply.body);
        }
    }
}

#[test]
fn only_keys_with_scope_read_see_documents_and_their_history() {
    for world in worlds() {
        let owner = Client::with(&world.server, &["read", "write", "admin"]);
        owner.data("initialize_memory_bank", &json!({"path": "."}));
        owner.data("write_memory_bank_file", &json!({"filename": "notes.md", "content": CANARY}));
        owner.data("graph_upsert_entity", &json!({"name": "Notes", "entityType": "thing"}));
        for path in [
            "/api/history",
            "/api/maintain",
            "/api/history?entity=Notes",
            "/api/history/show?entity=Notes&version=1",
            "/api/history/diff?entity=Notes&version=1",
            "/api/history/show?filename=notes.md&version=1",
            "/api/history/diff?filename=notes.md&version=1",
            "/api/history/show?filename=missing.md&version=1",
            "/api/v1/session",
            "/api/v1/documents",
            "/api/v1/document?filename=notes.md",
            "/api/v1/document/name?filename=notes.md",
            "/api/v1/document/name?filename=con.md",
            "/api/v1/document?filename=missing.md",
            "/api/v1/digest",
            "/api/v1/search?query=notes",
            "/api/v1/graph/search?query=notes",
            "/api/v1/graph/entity?name=Notes",
            "/api/v1/graph/mentions?name=Notes",
            "/api/v1/graph/mentions?name=missing",
            "/api/v1/graph/picture",
            "/api/v1/graph/picture?asOf=2100-01-01&cluster=missing",
            "/api/v1/history",
            "/api/v1/history/show?filename=notes.md&version=1",
            "/api/v1/history/diff?filename=notes.md&version=1",
            "/api/v1/history/blame?filename=notes.md",
            "/api/v1/history/blame?filename=missing.md",
            "/api/v1/sessions",
        ] {
            for (scopes, sees) in [(&["read"][..], true), (&["write", "admin"], false)] {
                let key = Client::with(&world.server, scopes).key;
                let reply = world.server.send_bare("GET", path, &[("X-API-Key", &key)], "");
                let expected = if !sees {
                    403
                } else if path.contains("missing") {
                    404
                } else {
                    200
                };
                assert_eq!(reply.status, expected, "{path} {scopes:?}: {}", reply.body);
                assert!(sees || !reply.body.contains("notes"), "{}", reply.body);
            }
            assert_eq!(world.server.send_bare("GET", path, &[], "").status, 401, "{path}");
        }
    }
}

#[test]
fn a_write_only_key_appends_to_a_document_and_loses_nothing() {
    for world in worlds() {
        let owner = Client::with(&world.server, &["read", "write", "admin"]);
        owner.data("initialize_memory_bank", &json!({"path": "."}));
        let before = format!("# Notes\n\nintro {CANARY}\n\n## Log\n\n- one\n\n## End\n\n{CANARY}\n");
        owner.data("write_memory_bank_file", &json!({"filename": "notes.md", "content": before}));
        owner.data("track_progress", &json!({"action": "did", "description": "the first"}));
        let writer = Client::with(&world.server, &["write"]);
        let edits = json!([{"op": "append", "heading": "Log", "text": "- two"}]);
        let reply = writer.data("edit_memory_bank_file", &json!({"filename": "notes.md", "edits": edits}));
        assert_eq!(reply["success"], json!(true), "{reply}");
        writer.data("track_progress", &json!({"action": "did", "description": "the second"}));
        let observed = json!({"entity": "Thing", "text": "a fact"});
        owner
            .data("graph_upsert_entity", &json!({"name": "Thing", "entityType": "thing", "attrs": {"a": 1}}));
        writer
            .data("graph_upsert_entity", &json!({"name": "Thing", "entityType": "thing", "attrs": {"b": 2}}));
        writer.data("graph_add_observation", &observed);
        let read = |name: &str| {
            let read = owner.data("read_memory_bank_file", &json!({"filename": name}));
            read["content"].as_str().unwrap().to_owned()
        };
        assert_eq!(read("notes.md"), before.replace("- one\n", "- one\n- two\n"));
        let progress = read("progress.md");
        assert!(progress.contains("the first") && progress.contains("the second"), "{progress}");
        let open = owner.data("graph_open_nodes", &json!({"nodes": ["Thing"]}));
        assert_eq!(open["entities"][0]["attrs"], json!({"a": 1, "b": 2}), "{open}");
        assert_eq!(open["observations"][0]["text"], json!("a fact"), "{open}");
        let files = owner.data("list_memory_bank_files", &json!({}))["files"].to_string();
        assert_eq!(files.matches("notes").count(), 1, "{files}");
    }
}
