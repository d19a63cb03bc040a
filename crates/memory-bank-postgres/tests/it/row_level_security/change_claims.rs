//! What a transaction claims of its change (`app.current_change`) is stored only in the form that servers write.

use super::{Intruder, context};
use crate::isolation::two_tenants;

/// A row does not have the form that its table checks.
const CHECK_VIOLATION: &str = "23514";

#[tokio::test]
async fn claims_about_a_change_have_a_bounded_form_in_every_kind_of_change() {
    let (bench, alice, _) = two_tenants().await;
    let intruder = Intruder::new(&bench).await;
    let own = context(&alice, &alice, &alice);
    let insert = format!(
        "INSERT INTO documents (project_id, path, content, etag) VALUES ('{}', 'claims.md', 'abc', 'ba7816bf8f01cfea')",
        alice.project.0
    );
    let update = "UPDATE documents SET content = 'abcd', etag = '88d4266fd4e6338d', version = version + 1 WHERE path = 'claims.md'";
    let rename = "UPDATE documents SET path = 'claimed.md' WHERE path = 'claims.md'";
    let delete = "DELETE FROM documents WHERE path = 'claims.md'";
    let entity = format!(
        "INSERT INTO graph_entities (project_id, id, name, name_key, entity_type, created_at, updated_at) \
         VALUES ('{}', 'ent_claims', 'Claims', 'claims', 'thing', now(), now())",
        alice.project.0
    );
    let changed = "UPDATE graph_entities SET attrs = '{}' WHERE id = 'ent_claims'";
    let plain = "SET LOCAL app.current_change = '|edit|||'";
    let long = "x".repeat(65);
    let of_tool = |tool: &str| format!("SET LOCAL app.current_change = '|{tool}|||'");
    for tool in [long.as_str(), "two words", "ä", "<b>", "a\nb"] {
        for (before, change) in [
            ("", insert.as_str()),
            (insert.as_str(), update),
            (insert.as_str(), rename),
            (insert.as_str(), delete),
            ("", entity.as_str()),
            (entity.as_str(), changed),
        ] {
            let sql = |tool: &str| format!("{plain}; {before}; {}; {change}", of_tool(tool));
            assert!(intruder.tries(&own, &sql("history-0123")).await.is_ok(), "{change}");
            let outcome = intruder.tries(&own, &sql(tool)).await;
            assert_eq!(outcome, Err(CHECK_VIOLATION.to_owned()), "{tool}: {change}");
        }
    }
    for kind in ["planted", "Deleted", &long] {
        let sql = format!("{plain}; {insert}; SET LOCAL app.current_change = '{kind}|edit||0|0'; {update}");
        assert_eq!(intruder.tries(&own, &sql).await, Err(CHECK_VIOLATION.to_owned()), "{kind}");
    }
    let restored =
        format!("{plain}; {insert}; SET LOCAL app.current_change = 'restored|edit||0|0'; {update}");
    assert!(intruder.tries(&own, &restored).await.is_ok());
}
