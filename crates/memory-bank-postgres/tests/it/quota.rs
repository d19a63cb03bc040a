//! The bytes of a project, counted by triggers, and writes refused over its quota.

use memory_bank_core::error::EditError;
use memory_bank_core::store::{BackupError, BackupStore, DocumentStore, Drafts, EntityDraft, GraphStore};

use memory_bank_test_postgres::MIGRATOR;

use crate::support::{Bench, path, read, write};

/// The counters and the real sizes.
const COUNTED: &str = "SELECT \
    (SELECT coalesce(sum(bytes), 0) FROM app.stored_bytes WHERE kind = 'documents') = \
      (SELECT coalesce(sum(octet_length(content)), 0) FROM documents), \
    (SELECT coalesce(sum(bytes), 0) FROM app.stored_bytes WHERE kind = 'snapshots') = \
      (SELECT coalesce(sum(octet_length(item::text)), 0) FROM app.backup_items), \
    (SELECT coalesce(sum(bytes), 0) FROM app.stored_bytes WHERE kind = 'document_count') = (SELECT count(*) FROM documents), \
    (SELECT coalesce(sum(bytes), 0) > 0 FROM app.stored_bytes WHERE kind = 'graph') = EXISTS (SELECT FROM graph_entities)";

#[track_caller]
fn assert_counted(bench: &Bench) {
    assert_eq!(bench.test.psql(COUNTED), "t|t|t|t");
}

#[tokio::test]
async fn stored_and_deleted_bytes_are_counted() {
    let bench = Bench::new().await;
    let alice = bench.tenant("alice", "one").await;
    let bank = bench.bank();
    write(&bank, &alice, "a.md", "some text with \u{e4}").await.unwrap();
    write(&bank, &alice, "b.md", &"long ".repeat(20_000)).await.unwrap();
    assert_counted(&bench);
    let entity = EntityDraft { name: "x".into(), entity_type: "t".into(), attrs: None };
    bank.upsert_entity(&alice, entity).await.unwrap();
    let backup = bank.create_backup(&alice, None).await.unwrap();
    assert_counted(&bench);
    write(&bank, &alice, "b.md", "short").await.unwrap();
    bank.restore_backup(&alice, &backup.id, true).await.unwrap();
    assert_counted(&bench);
    let name = path("b.md");
    let mut delete = |drafts: &mut Drafts| drafts.delete(&name);
    bank.edit(&alice, std::slice::from_ref(&name), &mut delete).await.unwrap();
    assert_counted(&bench);
    bench.test.psql("DELETE FROM app.backups");
    assert_counted(&bench);
    let held = bench.owner.stored_bytes().await.unwrap();
    assert_eq!((held.len(), held[0].stored.snapshots, held[0].stored.documents), (1, 0, 17));
    bench.test.psql("DELETE FROM documents; DELETE FROM graph_entities; UPDATE projects SET name = name");
    assert_counted(&bench);
    bench.test.psql("DELETE FROM projects");
    assert_eq!(bench.test.psql("SELECT count(*) FROM app.stored_bytes"), "0");
}

#[tokio::test]
async fn over_the_quota_writes_are_refused_and_deletes_allowed() {
    let bench = Bench::new().await;
    let alice = bench.tenant("alice", "one").await;
    let bank = bench.bank();
    write(&bank, &alice, "a.md", &"x".repeat(60_000)).await.unwrap();
    let backup = bank.create_backup(&alice, None).await.unwrap();
    write(&bank, &alice, "a.md", &"x".repeat(1000)).await.unwrap();
    bench.owner.set_quota("one", Some(100_000)).await.unwrap();
    let refused = write(&bank, &alice, "b.md", &"x".repeat(60_000)).await;
    assert!(
        matches!(&refused, Err(EditError::Refused(text)) if text.contains("quota is 100000 bytes")),
        "{refused:?}"
    );
    assert_eq!(read(&bank, &alice, "b.md").await, None);
    // The document and the backup together exceed the quota.
    let refused = bank.restore_backup(&alice, &backup.id, false).await;
    assert!(matches!(&refused, Err(BackupError::Refused(text)) if text.contains("quota")), "{refused:?}");
    assert_eq!(read(&bank, &alice, "a.md").await.map(|text| text.len()), Some(1000));
    write(&bank, &alice, "b.md", &"x".repeat(30_000)).await.unwrap();
    let refused = bank.create_backup(&alice, None).await;
    assert!(matches!(&refused, Err(BackupError::Refused(text)) if text.contains("quota")), "{refused:?}");
    bench.owner.set_quota("one", Some(10)).await.unwrap();
    write(&bank, &alice, "b.md", "x").await.unwrap();
    bench.owner.set_quota("one", None).await.unwrap();
    bank.restore_backup(&alice, &backup.id, false).await.unwrap();
    assert!(bench.database.set_quota("one", None).await.is_err(), "the server set a quota");
    assert!(bench.owner.set_quota("two", None).await.is_err());
    assert_counted(&bench);
}

#[tokio::test]
async fn the_server_default_quota_applies_without_a_project_quota() {
    let bench = Bench::new().await;
    let alice = bench.tenant("alice", "one").await;
    let small = memory_bank_postgres::PostgresBank::new(
        bench.database.clone().with_default_quota(1000),
        "one".to_owned(),
    );
    assert!(write(&small, &alice, "a.md", &"x".repeat(1001)).await.is_err());
    write(&small, &alice, "a.md", &"x".repeat(1000)).await.unwrap();
    bench.owner.set_quota("one", Some(0)).await.unwrap();
    write(&small, &alice, "b.md", &"x".repeat(5000)).await.unwrap();
}

#[tokio::test]
async fn edits_are_counted_in_one_row_per_connection() {
    let bench = Bench::new().await;
    let alice = bench.tenant("alice", "one").await;
    let bank = bench.bank();
    let texts: Vec<String> = (0..32).map(|number| format!("doc-{number}.md")).collect();
    let edits = texts.iter().map(|name| write(&bank, &alice, name, "0123456789"));
    for edit in futures::future::join_all(edits).await {
        edit.unwrap();
    }
    assert_counted(&bench);
    let rows =
        bench.test.psql("SELECT count(*) > 1, sum(bytes) FROM app.stored_bytes WHERE kind = 'documents'");
    assert_eq!(rows, "t|320");
}

#[tokio::test]
async fn documents_changed_or_moved_by_sql_are_counted_in_their_projects() {
    const OF_PROJECTS: &str = "SELECT bool_and(s.bytes = d.bytes AND s.documents = d.documents) AND count(*) = 2 FROM \
        (SELECT project_id, sum(bytes) FILTER (WHERE kind = 'documents') AS bytes, \
          sum(bytes) FILTER (WHERE kind = 'document_count') AS documents FROM app.stored_bytes GROUP BY 1) s JOIN \
        (SELECT project_id, sum(octet_length(content)) AS bytes, count(*) AS documents FROM documents GROUP BY 1) d USING (project_id)";
    let bench = Bench::new().await;
    let (alice, bob) = (bench.tenant("alice", "one").await, bench.tenant("bob", "two").await);
    let bank = bench.bank();
    for (caller, name) in [(&alice, "a.md"), (&alice, "b.md"), (&bob, "c.md"), (&bob, "d.md")] {
        write(&bank, caller, name, "0123456789").await.unwrap();
    }
    for change in [
        "UPDATE documents SET content = content || path || repeat('x', 5000)",
        "UPDATE documents SET content = 'short', path = path || '.md'",
        "UPDATE documents SET content = 'other'",
        "UPDATE documents SET content = 'longer', project_id = (SELECT id FROM projects WHERE slug = 'one') WHERE path = 'c.md.md'",
        "UPDATE documents SET project_id = (SELECT id FROM projects WHERE slug = 'two') WHERE path = 'a.md.md'",
        "UPDATE documents SET path = 'e.md' WHERE path = 'd.md.md'",
    ] {
        bench.test.psql(change);
        assert_eq!(bench.test.psql(OF_PROJECTS), "t", "{change}");
    }
}

#[tokio::test]
async fn texts_are_compressed_with_lz4_where_the_database_has_it() {
    let bench = Bench::new().await;
    let wanted = "SELECT CASE WHEN 'lz4' = ANY (enumvals) THEN 'l' ELSE '' END FROM pg_settings \
        WHERE name = 'default_toast_compression'";
    let found = "SELECT attcompression FROM pg_attribute WHERE attrelid = 'documents'::regclass AND attname = 'content'";
    assert_eq!(bench.test.psql(found), bench.test.psql(wanted));
}

#[tokio::test]
async fn empty_documents_are_counted_in_the_order_of_all_others() {
    // Both sessions count in the same row: each locks the bytes before the number, so that none waits for the other in a circle.
    let bench = Bench::new().await;
    let alice = bench.tenant("alice", "one").await;
    let bank = bench.bank();
    for (name, text) in [("empty-1.md", ""), ("empty-2.md", ""), ("a.md", "text"), ("b.md", "text")] {
        write(&bank, &alice, name, text).await.unwrap();
    }
    let locked = bench.test.psql(
        "BEGIN; DELETE FROM documents WHERE path = 'empty-1.md'; \
         SELECT string_agg(s.kind, ', ' ORDER BY s.kind DESC) FROM app.stored_bytes s \
         WHERE s.xmin::text::bigint = pg_current_xact_id()::text::bigint % 4294967296; ROLLBACK",
    );
    assert!(locked.contains("documents, document_count"), "{locked}");
    assert_counted(&bench);
}

#[tokio::test]
async fn a_wrong_number_of_documents_is_corrected_when_the_scripts_run_again() {
    let bench = Bench::new().await;
    let alice = bench.tenant("alice", "one").await;
    let bank = bench.bank();
    for name in ["a.md", "b.md", "c.md"] {
        write(&bank, &alice, name, "text").await.unwrap();
    }
    for wrong in [
        "DELETE FROM app.stored_bytes WHERE kind = 'document_count'",
        "UPDATE app.stored_bytes SET bytes = bytes + 1000 WHERE kind = 'document_count'",
    ] {
        bench.test.psql(wrong);
        bench.test.migrate_with_psql(MIGRATOR);
        assert_counted(&bench);
    }
    // Nothing is left of documents that went without a trigger.
    bench.test.psql("TRUNCATE documents; DELETE FROM app.stored_bytes WHERE kind = 'documents'");
    bench.test.migrate_with_psql(MIGRATOR);
    assert_counted(&bench);
}
