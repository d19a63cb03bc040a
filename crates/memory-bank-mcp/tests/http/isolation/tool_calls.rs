//! Arguments with which every tool is called.

use serde_json::{Value, json};

use super::projects::Ids;

/// Arguments for every tool. A tool without a case fails the test; a new tool gets a case here.
///
/// Every text is `word`; with `own` the calls name items of the caller, which it may delete.
pub(super) fn cases(tool: &str, word: &str, ids: &Ids, own: bool) -> Vec<Value> {
    let entity = if own { word } else { ids.entity.as_str() };
    match tool {
        "get_instructions"
        | "list_memory_bank_files"
        | "get_memory_bank_status"
        | "migrate_file_naming"
        | "list_stores" => vec![json!({})],
        "initialize_memory_bank" => vec![json!({"path": ids.slug}), json!({"path": "."})],
        "set_memory_bank_path" => vec![json!({}), json!({"path": ids.slug})],
        "debug_mcp_config" => vec![json!({}), json!({"verbose": true})],
        "read_memory_bank_file" => vec![
            json!({"filename": "notes.md"}),
            json!({"filename": "progress.md"}),
            json!({"filename": "alone.md", "includeEtag": false}),
        ],
        "write_memory_bank_file" => vec![
            json!({"filename": format!("{word}.md"), "content": format!("common {word}")}),
            json!({"filename": "notes.md", "content": format!("# common {word}\n\ncommon {word}\n")}),
            json!({"filename": "old.md", "content": word}),
            json!({"filename": "gone.md", "content": word}),
            json!({"filename": if own { "alone.md" } else { "other.md" }, "content": word}),
            json!({"filename": "system-patterns.md", "content": format!("# common {word}\n")}),
        ],
        "edit_memory_bank_file" => vec![
            json!({"filename": "notes.md", "edits": [{"op": "replace", "old": "common", "new": format!("common {word}"), "count": 2}]}),
        ],
        "rename_memory_bank_file" => {
            vec![json!({"filename": "old.md", "newFilename": format!("{word}-new.md")})]
        }
        "delete_memory_bank_file" => vec![json!({"filename": if own { "gone.md" } else { "alone.md" }})],
        "get_context_bundle" => vec![json!({}), json!({"includeEtags": false})],
        "get_context_digest" => vec![json!({"includeSystemPatterns": true, "maxDecisions": 50})],
        "search_memory_bank" => {
            vec![
                json!({"query": "common", "maxResults": 1000}),
                json!({"query": "common", "files": ["alone.md"]}),
            ]
        }
        "create_backup" => vec![json!({}), json!({"listOnly": true}), json!({"backupDir": word})],
        "restore_backup" => vec![json!({"backupId": ids.backup, "createPreRestoreBackup": false})],
        "add_progress_entry" => {
            vec![
                json!({"type": "feature", "summary": word, "details": word, "files": [word], "tags": [word]}),
            ]
        }
        "add_session_note" => vec![json!({"note": format!("common {word}"), "category": "todo"})],
        "update_tasks" => vec![json!({"add": [word]})],
        "batch_read_files" => vec![json!({"files": ["notes.md", "alone.md", "progress.md"]})],
        "batch_write_files" => vec![json!({"files": [{"filename": "batch.md", "content": word}]})],
        "track_progress" => vec![json!({"action": word, "description": format!("common {word}")})],
        "update_active_context" => vec![json!({"issues": [word], "nextSteps": [word]})],
        "log_decision" => vec![json!({"title": word, "context": word, "decision": format!("common {word}"),
            "alternatives": [word], "consequences": [word]})],
        "switch_mode" => vec![json!({}), json!({"umb": true}), json!({"mode": "architect"})],
        "graph_upsert_entity" => vec![
            json!({"name": word, "entityType": word, "attrs": {word: word, "common": word}}),
            json!({"name": "Shared Thing", "entityType": "thing", "attrs": {"common": word}}),
            json!({"name": "Passing", "entityType": "thing", "storeId": ids.slug}),
        ],
        "graph_add_observation" => vec![
            json!({"entity": entity, "text": format!("common {word}"), "source": word}),
            json!({"entity": "Shared Thing", "text": format!("shared common {word}")}),
        ],
        "graph_batch" => vec![json!({
            "entities": [{"name": format!("{word} batch"), "entityType": word, "attrs": {"common": word}}],
            "observations": [{"entity": "Shared Thing", "text": format!("batch common {word}")}],
            "relations": [{"from": format!("{word} batch"), "relationType": word, "to": "Shared Thing"}],
        })],
        "graph_link_entities" => vec![
            json!({"from": entity, "relationType": word, "to": "Shared Thing"}),
            json!({"from": "Shared Thing", "relationType": "unknown", "to": entity, "action": "unlink"}),
        ],
        "graph_search" => vec![
            json!({"query": "*", "limit": 1000, "includeNeighborhood": true, "neighborhoodDepth": 2}),
            json!({"query": "common", "limit": 1000}),
            json!({"query": "*", "storeId": ids.slug}),
        ],
        "graph_open_nodes" => {
            vec![json!({"nodes": [ids.entity], "depth": 2}), json!({"nodes": ["Shared Thing"], "depth": 2})]
        }
        "graph_delete_entity" if own => vec![json!({"entity": "Passing"})],
        "graph_delete_entity" => vec![
            json!({"entity": ids.entity}),
            json!({"observationId": ids.observation}),
            json!({"entity": ids.entity, "observationId": ids.observation}),
            json!({"entity": ids.relation}),
        ],
        "graph_maintain" => {
            ["stats", "rebuild", "compact"].iter().map(|operation| json!({"operation": operation})).collect()
        }
        "select_store" => vec![
            json!({"storeId": ids.slug}),
            json!({"path": ids.slug}),
            json!({"action": "register", "storeId": word, "path": ids.slug}),
            json!({"action": "unregister", "storeId": ids.slug}),
        ],
        "sequential_thinking" => vec![
            json!({"thought": word, "nextThoughtNeeded": true, "thoughtNumber": 1, "totalThoughts": 2,
                "sessionId": "shared-session"}),
            json!({"thought": word, "nextThoughtNeeded": true, "thoughtNumber": 2, "totalThoughts": 2,
                "sessionId": "shared-session", "branchFromThought": 1, "branchId": word}),
            json!({"thought": word, "nextThoughtNeeded": true, "thoughtNumber": 1, "totalThoughts": 2,
                "sessionId": word}),
        ],
        "finalize_thinking_session" => vec![json!({"summary": format!("common {word}"), "sessionId": word,
            "decision": {"title": word, "context": word, "decision": word}, "tasks": {"add": [word]},
            "nextSteps": [word], "progressEntry": {"type": "fix", "summary": word}})],
        "get_targeted_context" => vec![json!({"query": "common shared thing", "maxChars": 20000})],
        "graph_add_doc_pointer" => {
            vec![json!({"entityNameOrId": entity, "docPath": "notes.md", "heading": word, "note": word})]
        }
        "history" => vec![
            json!({}),
            json!({"filename": "notes.md"}),
            json!({"action": "show", "filename": "notes.md", "version": 1}),
            json!({"action": "diff", "filename": "notes.md", "version": 1}),
            json!({"action": "show", "filename": "alone.md", "version": 1}),
            json!({"action": "restore", "filename": "alone.md", "version": 1}),
            json!({"action": "blame", "filename": "notes.md"}),
            json!({"action": "blame", "filename": "alone.md"}),
            json!({"action": "undo", "by": "anna", "since": "2020-01-01", "dryRun": own}),
            json!({"action": "erase", "filename": "gone.md"}),
        ],
        "maintain" => vec![json!({})],
        other => panic!(
            "`{other}` is a new tool: add the calls to `cases` that could show or change another project"
        ),
    }
}
