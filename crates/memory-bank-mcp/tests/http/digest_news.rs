//! What a digest over HTTP names as changed since the last session.

use memory_bank_test_postgres::TestDatabase;
use serde_json::json;

use crate::database::operate;
use crate::history::{Member, member};

#[test]
fn the_digest_names_who_changed_a_document_since_the_last_session() {
    let database = TestDatabase::migrated();
    let made = operate(&database, &["bootstrap", "--user", "alice", "--project", "atlas"]).unwrap();
    let alice = Member::new(&database, &made["key"]);
    let bob = Member::new(&database, &member(&database, "bob", "editor"));
    alice.call("initialize_memory_bank", &json!({"path": "."}));
    alice.call("get_context_digest", &json!({}));
    // Alice comes back a day later.
    database.psql(
        "UPDATE app.project_state SET state = regexp_replace(state::text, '\"seen\": *\"[^\"]*\"', '\"seen\":\"2026-01-01T00:00:00Z\"')::json",
    );
    database.psql("UPDATE documents SET updated_at = '2025-12-01'");
    bob.write("# Plan\n");
    alice.call("write_memory_bank_file", &json!({"filename": "own.md", "content": "own"}));
    let digest = alice.call("get_context_digest", &json!({}));
    assert_eq!(
        digest["digest"]["sinceLastSession"], "since 2026-01-01 00:00 UTC: own.md, plan.md (bob)",
        "{digest}"
    );
}

#[test]
fn a_digest_names_deleted_and_renamed_documents_and_the_graph() {
    let database = TestDatabase::migrated();
    let made = operate(&database, &["bootstrap", "--user", "alice", "--project", "atlas"]).unwrap();
    let alice = Member::new(&database, &made["key"]);
    let bob = Member::new(&database, &member(&database, "bob", "owner"));
    alice.call("initialize_memory_bank", &json!({"path": "."}));
    let write = |filename: &str, content: &str| {
        bob.call("write_memory_bank_file", &json!({"filename": filename, "content": content}));
    };
    write("old.md", "# Old\n");
    write("plan.md", "# Plan\n");
    bob.call("get_context_digest", &json!({}));
    let news =
        |client: &Member| client.call("get_context_digest", &json!({}))["digest"]["sinceLastSession"].clone();
    assert!(news(&alice).is_null());
    write("short-lived.md", "x");
    bob.call("delete_memory_bank_file", &json!({"filename": "short-lived.md"}));
    bob.call("delete_memory_bank_file", &json!({"filename": "old.md"}));
    bob.call("rename_memory_bank_file", &json!({"filename": "plan.md", "newFilename": "tmp.md"}));
    bob.call("rename_memory_bank_file", &json!({"filename": "tmp.md", "newFilename": "roadmap.md"}));
    bob.call("graph_upsert_entity", &json!({"name": "Api", "entityType": "service"}));
    bob.call("graph_add_observation", &json!({"entity": "Api", "text": "the port is 80"}));
    // At once, in the same session: what others changed.
    let seen = news(&alice);
    let seen = seen.as_str().unwrap();
    for part in
        ["deleted: old.md (bob)", "renamed: plan.md to roadmap.md (bob)", "graph: 2 changes of Api (bob)"]
    {
        assert!(seen.contains(part), "{part} in {seen}");
    }
    assert!(!seen.contains("short-lived") && !seen.contains("tmp.md"), "{seen}");
    assert!(news(&bob).is_null(), "own changes of the session are no news");
    // In the next session all changes count, without the user's own name.
    database.psql(
        "UPDATE app.project_state SET state = regexp_replace(state::text, '\"seen\": *\"[^\"]*\"', '\"seen\":\"2026-01-01T00:00:00Z\"', 'g')::json",
    );
    let own = news(&bob);
    let own = own.as_str().unwrap();
    assert!(own.contains("deleted: old.md;") || own.starts_with("since"), "{own}");
    assert!(!own.contains("(bob)") && own.contains("graph: "), "{own}");
    assert!(seen.len() < 600, "{seen}");
}
