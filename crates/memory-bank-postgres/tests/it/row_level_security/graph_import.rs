//! Who may add imported changes of the graph by SQL, and which.

use memory_bank_core::caller::{Caller, Right, Role};
use memory_bank_core::graph::history::{GraphChangeQuery, GraphSubject};
use memory_bank_core::store::{EntityDraft, GraphHistoryStore, GraphStore};

use super::{DENIED, Intruder, NOTE, context, contexts, was_refused};
use crate::isolation::two_tenants;
use crate::support::Bench;

/// A change of the graph as an import brings it.
fn graph_change(number: i64, change: &str) -> serde_json::Value {
    let at = "2026-11-27T09:00:00.123Z";
    let former = serde_json::json!({
        "id": "ent_planted", "name": "Planted", "name_key": "planted", "entity_type": "thing", "attrs": {"a": 1},
        "created_at": at, "updated_at": at,
    });
    serde_json::json!({
        "number": number, "at": "2999-01-01T00:00:00Z", "kind": "entity", "change": change, "id": "ent_planted",
        "entity": "ent_planted", "author": "alice", "tool": "edit",
        "former": if change == "created" { serde_json::Value::Null } else { former },
    })
}

fn graph_import_of(changes: &[serde_json::Value]) -> String {
    format!("SELECT app.import_graph_changes($v${}$v$)", serde_json::Value::Array(changes.to_vec()))
}

/// A project whose graph never changed, with its owner and an editor, beside the two tenants.
async fn empty_graph(bench: &Bench) -> (Caller, Caller) {
    let olga = bench.tenant("olga", "three").await;
    (olga, bench.member("edith", "three", Role::Editor).await)
}

#[tokio::test]
async fn only_an_import_by_a_member_who_may_write_adds_changes_of_the_graph() {
    let (bench, alice, bob) = two_tenants().await;
    let (olga, edith) = empty_graph(&bench).await;
    let vera = bench.member("vera", "three", Role::Viewer).await;
    let reader = bench.with_scopes(&olga, vec![Right::Read]).await;
    let intruder = Intruder::new(&bench).await;
    let import = graph_import_of(&[graph_change(1, "created"), graph_change(2, "deleted")]);
    let both = format!("{NOTE}; {import}");
    for (whose, context) in contexts(&olga, &bob) {
        let outcome = intruder.tries(&context, &import).await;
        assert!(was_refused(&outcome), "without a note in the audit log, {whose}: {outcome:?}");
        let outcome = intruder.tries(&context, &both).await;
        assert_eq!(outcome.is_ok(), whose == "her own context", "{whose}: {outcome:?}");
        assert!(outcome.is_ok() || was_refused(&outcome), "{whose}: {outcome:?}");
    }
    for (who, caller, may) in
        [("vera", &vera, false), ("a key to read", &reader, false), ("edith", &edith, true)]
    {
        let outcome = intruder.tries(&context(caller, caller, caller), &both).await;
        assert_eq!(outcome.is_ok(), may, "{who}: {outcome:?}");
        assert!(may || was_refused(&outcome), "{who}: {outcome:?}");
    }
    // A note in the own project is none in another one.
    let other = context(&olga, &alice, &olga);
    let outcome = intruder.tries(&context(&olga, &olga, &olga), &format!("{NOTE}; {other} {import}")).await;
    assert!(was_refused(&outcome), "{outcome:?}");
}

#[tokio::test]
async fn an_imported_change_of_the_graph_is_of_no_user_and_mixes_with_no_history_of_the_project() {
    let (bench, alice, _) = two_tenants().await;
    let (olga, edith) = empty_graph(&bench).await;
    let (bank, intruder) = (bench.bank(), Intruder::new(&bench).await);
    let own = context(&alice, &alice, &alice);
    for number in [1, 2, 99] {
        let planted = format!("{NOTE}; {}", graph_import_of(&[graph_change(number, "created")]));
        assert_eq!(intruder.tries(&own, &planted).await, Err(DENIED.to_owned()), "her graph has a history");
    }
    // Its history was removed, and its numbers are not used again.
    let erased = format!(
        "{NOTE}; SELECT app.erase_graph_history(id) FROM graph_entities; {}",
        graph_import_of(&[graph_change(1, "created")])
    );
    assert_eq!(intruder.tries(&own, &erased).await, Err(DENIED.to_owned()));

    let own = context(&edith, &edith, &edith);
    let pages =
        [graph_import_of(&[graph_change(1, "created")]), graph_import_of(&[graph_change(2, "changed")])];
    let planted = format!("{NOTE}; {}; {}", pages[0], pages[1]);
    let twice = format!("{NOTE}; {}; {}", pages[0], pages[0]);
    assert_eq!(intruder.tries(&own, &twice).await, Err("23505".to_owned()), "each number is one change");
    intruder
        .client
        .batch_execute(&format!("BEGIN; {own} SET LOCAL ROLE app_user; {planted}; COMMIT"))
        .await
        .unwrap();
    let rows = bench.test.psql(
        "SELECT string_agg(concat_ws(' ', number, user_id IS NULL, imported_by = (SELECT id FROM users WHERE name = 'edith'), \
         claimed_author, at <= now(), name_key), ',' ORDER BY number) FROM app.graph_history WHERE imported_by IS NOT NULL",
    );
    assert_eq!(rows, "1 t t alice t,2 t t alice t planted");
    assert_eq!(intruder.tries(&own, &planted).await, Err(DENIED.to_owned()), "a history is imported once");
    // The entity is there, and its last change would be the importer's own if the imported ones were.
    let insert = format!(
        "INSERT INTO graph_entities (project_id, id, name, name_key, entity_type) \
         VALUES ('{}', 'ent_planted', 'Planted', 'planted', 'thing')",
        edith.project.0
    );
    let delete = format!(
        "{insert}; SET LOCAL app.current_change = '|history|||'; DELETE FROM graph_entities WHERE id = 'ent_planted'"
    );
    let off = format!("{own} SET LOCAL app.current_change = '-';");
    assert_eq!(intruder.tries(&off, &delete).await, Ok(1), "one row is inserted, none is deleted");
    let query = GraphChangeQuery {
        by: Some("alice".to_owned()),
        ..GraphChangeQuery::newest(GraphSubject::Project, 10)
    };
    let listed = bank.list_graph_changes(&olga, &query).await.unwrap().changes;
    assert_eq!(listed.len(), 2);
    assert!(listed.iter().all(|one| one.imported && one.key_prefix.is_none() && !one.is_by("alice")));
    // The changes that follow have higher numbers.
    let draft = EntityDraft { name: "Later".into(), entity_type: "thing".into(), attrs: None };
    bank.upsert_entity(&edith, draft).await.unwrap();
    let all = GraphChangeQuery { by: None, ..query };
    let newest = bank.list_graph_changes(&olga, &all).await.unwrap().changes.remove(0);
    assert_eq!((newest.number, newest.imported, newest.is_by("edith")), (3, false, true));
}

#[tokio::test]
async fn a_malformed_change_of_the_graph_is_not_imported() {
    let (bench, _, _) = two_tenants().await;
    let (olga, _) = empty_graph(&bench).await;
    let intruder = Intruder::new(&bench).await;
    let own = context(&olga, &olga, &olga);
    let null = || serde_json::Value::Null;
    for (pointer, value) in [
        ("/number", 0.into()),
        ("/number", serde_json::json!(1_i64 << 41)),
        ("/number", null()),
        ("/at", null()),
        ("/kind", "planted".into()),
        ("/kind", "observation".into()),
        ("/kind", "relation".into()),
        ("/change", "created".into()),
        ("/change", "planted".into()),
        ("/id", "planted".into()),
        ("/id", "ent_other".into()),
        ("/entity", "ent_other".into()),
        ("/entity", null()),
        ("/author", "a".repeat(256).into()),
        ("/tool", "a|b".into()),
        ("/former", null()),
        ("/former/id", "ent_other".into()),
        ("/former/name", "".into()),
        ("/former/name", null()),
        ("/former/name_key", null()),
        ("/former/entity_type", null()),
        ("/former/attrs", "text".into()),
        ("/former/created_at", null()),
    ] {
        let mut one = graph_change(2, "changed");
        *one.pointer_mut(pointer).unwrap() = value.clone();
        let outcome = intruder
            .tries(&own, &format!("{NOTE}; {}", graph_import_of(&[graph_change(1, "created"), one])))
            .await;
        assert_eq!(outcome, Err("22023".to_owned()), "{pointer}: {value}");
    }
    let mut planted = graph_change(1, "changed");
    planted["former"]["updated_at"] = "never".into();
    let outcome = intruder.tries(&own, &format!("{NOTE}; {}", graph_import_of(&[planted]))).await;
    assert_eq!(outcome, Err("22007".to_owned()));
    assert_eq!(
        intruder.tries(&own, &format!("{NOTE}; {}", graph_import_of(&[]))).await,
        Err("22023".to_owned())
    );
}
