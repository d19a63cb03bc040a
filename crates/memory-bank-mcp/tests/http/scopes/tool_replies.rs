//! Replies of every tool to keys without `read`.

use serde_json::{Value, json};

use super::scoped_client::{CANARY, Client, assert_silent, plant, worlds};

/// Calls of a key without `read`: some that succeed, and some that a tool refuses. A tool without a case fails the
/// test: add the calls here that could show the bank.
fn calls(tool: &str, ids: &Value) -> (Vec<Value>, Vec<Value>) {
    let wrong = "\"0000000000000000000000000000000000000000000000000000000000000000\"";
    match tool {
        "initialize_memory_bank" => (vec![json!({"path": "."})], vec![]),
        "write_memory_bank_file" => (
            vec![
                json!({"filename": "own.md", "content": "own"}),
                json!({"filename": "gone.md", "content": "own"}),
            ],
            vec![json!({"filename": "notes.md", "content": "own", "ifMatchEtag": wrong})],
        ),
        "edit_memory_bank_file" => (
            vec![json!({"filename": "own.md", "edits": [{"op": "append", "heading": "Own", "text": "own"}]})],
            vec![
                json!({"filename": "notes.md", "edits": [{"op": "replace", "old": "nowhere", "new": "own"}]}),
                json!({"filename": "notes.md", "edits": [{"op": "replace", "old": "first", "new": "own"}]}),
                json!({"filename": "notes.md", "edits": [{"op": "replace", "old": "s", "new": "own"}]}),
                json!({"filename": "notes.md", "edits": [{"op": "insert_after", "match": "first", "text": "own"}]}),
                json!({"filename": "notes.md", "edits": [{"op": "insert_after", "match": "s", "text": "own"}]}),
                json!({"filename": "notes.md", "edits": [{"op": "append", "heading": "Nowhere", "text": "own"}]}),
                json!({"filename": "notes.md", "ifMatchEtag": wrong,
                    "edits": [{"op": "prepend", "heading": "Nowhere", "text": "own"}]}),
                json!({"filename": "nowhere.md", "edits": [{"op": "append", "heading": "X", "text": "own"}]}),
            ],
        ),
        "rename_memory_bank_file" => (
            vec![json!({"filename": "old.md", "newFilename": "new.md"})],
            vec![
                json!({"filename": "notes.md", "newFilename": "gone.md"}),
                json!({"filename": "notes.md", "newFilename": "newer.md", "ifMatchEtag": wrong}),
            ],
        ),
        "delete_memory_bank_file" => (
            vec![json!({"filename": "own.md"})],
            vec![json!({"filename": "notes.md", "ifMatchEtag": wrong}), json!({"filename": "progress.md"})],
        ),
        "migrate_file_naming" => (vec![json!({})], vec![]),
        "create_backup" => (vec![json!({})], vec![json!({"listOnly": true})]),
        "restore_backup" => (
            vec![json!({"backupId": ids["backup"], "createPreRestoreBackup": true})],
            vec![json!({"backupId": "nowhere"})],
        ),
        "add_progress_entry" => {
            (vec![json!({"type": "fix", "summary": "own"})], vec![json!({"type": "fix", "summary": " "})])
        }
        "add_session_note" => (vec![json!({"note": "own"})], vec![json!({"note": " "})]),
        "update_tasks" => {
            (vec![json!({"add": ["own"], "remove": [CANARY]}), json!({"remove": [CANARY.get(..4)]})], vec![])
        }
        "batch_write_files" => (
            vec![json!({"files": [{"filename": "batch.md", "content": "own"},
                {"filename": "notes.md", "content": "own", "ifMatchEtag": wrong}]})],
            vec![json!({"allOrNothing": true,
                "files": [{"filename": "notes.md", "content": "own", "ifMatchEtag": wrong}]})],
        ),
        "track_progress" => (vec![json!({"action": "did", "description": "own"})], vec![]),
        "update_active_context" => (vec![json!({"nextSteps": ["own"], "issues": ["own"]})], vec![]),
        "log_decision" => (vec![json!({"title": "own", "context": "own", "decision": "own"})], vec![]),
        "graph_upsert_entity" => (
            vec![json!({"name": "Thing", "entityType": "thing", "attrs": {"own": 1}})],
            vec![
                json!({"name": "Thing", "entityType": "thing", "attrs": {"own": {"a": "x".repeat(70_000)}}}),
            ],
        ),
        "graph_add_observation" => (
            vec![json!({"entity": "Thing", "text": "own"})],
            vec![json!({"entity": "Thin", "text": "own"}), json!({"entity": "Twin", "text": "own"})],
        ),
        "graph_batch" => (
            vec![json!({"entities": [{"name": "Thing", "entityType": "thing", "attrs": {"own": 2}}],
                "observations": [{"entity": "Thing", "text": "own"}],
                "relations": [{"from": "Thing", "relationType": "own batch", "to": "Other"}]})],
            vec![
                json!({"observations": [{"entity": "Thin", "text": "own"}]}),
                json!({"observations": [{"entity": "Twin", "text": "own"}]}),
                json!({"relations": [{"from": "Thing", "relationType": "own", "to": "Twin"}]}),
            ],
        ),
        "graph_link_entities" => (
            vec![
                json!({"from": "Thing", "relationType": "own", "to": "Other"}),
                json!({"from": "Thing", "relationType": "own", "to": "Other", "action": "unlink"}),
            ],
            vec![
                json!({"from": "Thin", "relationType": "own", "to": "Other"}),
                json!({"from": "Thing", "relationType": "own", "to": "Twin"}),
            ],
        ),
        "graph_delete_entity" => (
            vec![json!({"entity": "Passing"})],
            vec![
                json!({"entity": "Thin"}),
                json!({"entity": "Twin"}),
                json!({"entity": "Other", "observationId": ids["observation"]}),
                json!({"observationId": "nowhere"}),
            ],
        ),
        "graph_maintain" => (
            vec![json!({"operation": "rebuild"}), json!({"operation": "compact"})],
            vec![json!({"operation": "stats"})],
        ),
        "finalize_thinking_session" => (
            vec![
                json!({"summary": "own", "tasks": {"add": ["own"], "remove": [format!("{CANARY} again")]}, "nextSteps": ["own"]}),
                json!({"summary": "own", "tasks": {"remove": [CANARY.get(..4)]}}),
            ],
            vec![],
        ),
        "graph_add_doc_pointer" => (
            vec![json!({"entityNameOrId": "Thing", "docPath": "notes.md"})],
            vec![
                json!({"entityNameOrId": "Thin", "docPath": "notes.md"}),
                json!({"entityNameOrId": "Thing", "docPath": "nowhere.md"}),
                json!({"entityNameOrId": "Thing", "docPath": "notes.md", "heading": "own"}),
            ],
        ),
        other => panic!("`{other}` is a new tool: add the calls to `calls` that could show the bank"),
    }
}

#[test]
fn no_tool_reply_shows_the_bank_to_a_key_without_read() {
    for world in worlds() {
        let owner = Client::with(&world.server, &["read", "write", "admin"]);
        let ids = plant(&owner);
        for scopes in [&["write"][..], &["admin"], &["write", "admin"]] {
            owner.data("write_memory_bank_file", &json!({"filename": "old.md", "content": CANARY}));
            owner.call("delete_memory_bank_file", &json!({"filename": "new.md"}));
            let tasks = ["", " again", " more"].map(|more| format!("{CANARY}{more}"));
            owner.data("update_tasks", &json!({"add": tasks}));
            owner.data(
                "write_memory_bank_file",
                &json!({"filename": "own.md", "content": format!("# Own\n\n{CANARY}\n")}),
            );
            owner.data("graph_upsert_entity", &json!({"name": "Passing", "entityType": "thing"}));
            let blind = Client::with(&world.server, scopes);
            let tools = blind.tools();
            assert!(!tools.is_empty());
            assert!(tools.iter().all(|tool| !tool.contains("search") && !tool.contains("read")), "{tools:?}");
            // Calls that replace or delete whole documents come last, so that the canary is still there for the others.
            let last = ["write_memory_bank_file", "delete_memory_bank_file", "restore_backup"];
            let (late, early): (Vec<_>, Vec<_>) =
                tools.iter().partition(|tool| last.contains(&tool.as_str()));
            for tool in early.into_iter().chain(late) {
                let (fine, refused) = calls(tool, &ids);
                for (arguments, is_error) in
                    refused.iter().map(|call| (call, true)).chain(fine.iter().map(|call| (call, false)))
                {
                    let reply = blind.call(tool, arguments);
                    assert_silent(&format!("{tool} {arguments}"), &reply.to_string());
                    let failed = reply["result"]["isError"] == json!(true) || reply.get("error").is_some();
                    assert_eq!(failed, is_error, "{scopes:?} {tool} {arguments}: {reply}");
                    let etag = reply.to_string().to_lowercase().contains("etag\"");
                    assert!(
                        !etag || tool.contains("write") && !failed,
                        "{tool} reveals stored text: {reply}"
                    );
                }
            }
            // The older names lead to the same.
            for (tool, arguments) in [
                ("list_backups", json!({})),
                ("get_current_mode", json!({})),
                ("graph_unlink_entities", json!({"from": "Thin", "relationType": CANARY, "to": "Other"})),
                ("graph_delete_observation", json!({"observationId": "nowhere"})),
            ] {
                let reply = blind.call(tool, &arguments);
                assert_eq!(reply["result"]["isError"], json!(true), "{tool}: {reply}");
                assert_silent(tool, &reply.to_string());
            }
        }
    }
}
