//! Who may add imported versions of documents by SQL, and which.

use super::{DENIED, Intruder, NOTE, context, contexts, was_refused};
use crate::isolation::two_tenants;
use crate::support::{path, write};
use memory_bank_core::caller::{Caller, Right, Role};
use memory_bank_core::store::{DocumentStore, HistoryStore};

/// The version of a document as an import brings it.
fn version(document: &str, path: &str, key: &Caller) -> serde_json::Value {
    serde_json::json!({
        "document": document, "number": 1, "kind": "created", "path": path, "at": "2999-01-01T00:00:00Z", "author": "alice",
        "key": key.key.unwrap().0, "tool": "edit", "etag": "0123456789abcdef", "bytes": 3, "start": 0, "end": 0,
    })
}

fn import_of(versions: &[serde_json::Value]) -> String {
    format!("SELECT app.import_versions($v${}$v$)", serde_json::Value::Array(versions.to_vec()))
}

#[tokio::test]
async fn only_an_import_by_a_member_who_may_write_adds_versions() {
    let (bench, alice, bob) = two_tenants().await;
    let edith = bench.member("edith", "one", Role::Editor).await;
    let vera = bench.member("vera", "one", Role::Viewer).await;
    let reader = bench.with_scopes(&alice, vec![Right::Read]).await;
    let intruder = Intruder::new(&bench).await;
    let new = "00000000-0000-4000-8000-000000000001";
    let import = import_of(&[version(new, "planted.md", &alice)]);
    let both = format!("{NOTE}; {import}");
    for (whose, context) in contexts(&alice, &bob) {
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
    let other = context(&alice, &bob, &alice);
    let outcome =
        intruder.tries(&context(&alice, &alice, &alice), &format!("{NOTE}; {other} {import}")).await;
    assert!(was_refused(&outcome), "{outcome:?}");
}

#[tokio::test]
async fn an_imported_version_is_of_no_user_and_changes_no_history_of_the_project() {
    let (bench, alice, bob) = two_tenants().await;
    let edith = bench.member("edith", "one", Role::Editor).await;
    let bank = bench.bank();
    write(&bank, &alice, "gone.md", "gone").await.unwrap();
    let deleting = path("gone.md");
    let mut editor = |drafts: &mut memory_bank_core::store::Drafts| drafts.delete(&deleting);
    bank.edit(&alice, std::slice::from_ref(&deleting), &mut editor).await.unwrap();
    let id_of = |name: &str| {
        bench.test.psql(&format!(
            "SELECT DISTINCT document_id FROM app.document_versions WHERE path = '{name}' AND project_id = '{}'",
            alice.project.0
        ))
    };
    let (present, deleted) = (id_of("secret.md"), id_of("gone.md"));
    let theirs = bench.test.psql(&format!(
        "SELECT document_id FROM app.document_versions WHERE path = 'secret.md' AND project_id = '{}'",
        bob.project.0
    ));
    let intruder = Intruder::new(&bench).await;
    let own = context(&edith, &edith, &edith);
    for (what, document) in [("a document", &present), ("a deleted document", &deleted)] {
        let number = |number: u32| {
            let mut one = version(document, "secret.md", &alice);
            one["number"] = number.into();
            one
        };
        for number in [number(1), number(2), number(99)] {
            let outcome = intruder.tries(&own, &format!("{NOTE}; {}", import_of(&[number]))).await;
            assert_eq!(outcome, Err(DENIED.to_owned()), "{what}");
        }
    }
    // Ids of another project are only ids.
    let planted = format!("{NOTE}; {}", import_of(&[version(&theirs, "planted.md", &alice)]));
    intruder
        .client
        .batch_execute(&format!("BEGIN; {own} SET LOCAL ROLE app_user; {planted}; COMMIT"))
        .await
        .unwrap();
    let row = bench.test.psql(
        "SELECT concat_ws(' ', user_id IS NULL, imported_by = (SELECT id FROM users WHERE name = 'edith'), claimed_author, \
         at <= now()) FROM app.document_versions WHERE path = 'planted.md'",
    );
    assert_eq!(row, "t t alice t");
    let again = intruder.tries(&own, &planted).await;
    assert_eq!(again, Err(DENIED.to_owned()), "the history of a document is imported once");
    let listed = bank.list_versions(&edith, &query_of("planted.md")).await.unwrap().versions;
    let one = &listed[0];
    assert_eq!((one.author.as_deref(), one.imported, one.key_prefix.is_none()), (Some("alice"), true, true));
    assert!(!one.is_by("alice"));
    let (_, authors) = bank.list_with_authors(&edith, 10).await.unwrap();
    assert!(!authors.contains_key("planted.md"));
    // The importer cannot delete the document as its own creation.
    let delete = format!(
        "INSERT INTO documents (project_id, id, version, path, content, etag) VALUES ('{}', '{theirs}', 1, 'planted.md', 'abc', \
         '0123456789abcdef'); SET LOCAL app.current_change = '|history|||'; DELETE FROM documents WHERE path = 'planted.md'",
        edith.project.0
    );
    let off = format!("{own} SET LOCAL app.current_change = '-';");
    assert_eq!(intruder.tries(&off, &delete).await, Ok(1), "one row is inserted, none is deleted");
}

fn query_of(name: &str) -> memory_bank_core::history::VersionQuery {
    memory_bank_core::history::VersionQuery {
        subject: memory_bank_core::history::Subject::Document(path(name)),
        since: None,
        until: None,
        by: None,
        after: None,
        limit: 10,
    }
}

#[tokio::test]
async fn a_malformed_version_is_not_imported() {
    let (bench, alice, _) = two_tenants().await;
    let intruder = Intruder::new(&bench).await;
    let own = context(&alice, &alice, &alice);
    let new = "00000000-0000-4000-8000-000000000001";
    for (member, value) in [
        ("path", serde_json::json!("../x.md")),
        ("path", serde_json::json!(null)),
        ("formerPath", serde_json::json!("a\\b.md")),
        ("number", serde_json::json!(0)),
        ("kind", serde_json::json!("planted")),
        ("etag", serde_json::json!("x")),
        ("formerEtag", serde_json::json!("0123456789abcdef")),
        ("former", serde_json::json!("a text without its etag")),
        ("tool", serde_json::json!("a|b")),
        ("author", serde_json::json!("a".repeat(256))),
        ("bytes", serde_json::json!(-1)),
        ("end", serde_json::json!(null)),
        ("at", serde_json::json!(null)),
        ("document", serde_json::json!(null)),
    ] {
        let mut one = version(new, "planted.md", &alice);
        one[member] = value.clone();
        let all = [version("00000000-0000-4000-8000-000000000002", "b.md", &alice), one];
        let outcome = intruder.tries(&own, &format!("{NOTE}; {}", import_of(&all))).await;
        assert_eq!(outcome, Err("22023".to_owned()), "{member}: {value}");
    }
}
