//! Backups.
#![expect(missing_docs, reason = "the name of each function is its rule")]

use memory_bank_core::store::{BackupError, EntityDraft, EntityRef, ObservationDraft};

use crate::Project;

async fn remember(p: &Project, name: &str, fact: &str) {
    let draft = EntityDraft { name: name.into(), entity_type: "thing".into(), attrs: None };
    let entity = p.bank.upsert_entity(&p.caller, draft).await.unwrap();
    let fact = ObservationDraft { text: fact.into(), ..ObservationDraft::default() };
    p.bank.add_observation(&p.caller, &EntityRef(entity.id), fact).await.unwrap();
}

pub async fn a_backup_restores_documents_and_graph(p: Project) {
    p.write("a.md", "old").await;
    p.write("Odd..name.json", "{}").await;
    remember(&p, "Kept", "before").await;
    let graph = p.bank.export(&p.caller).await.unwrap();
    let backup = p.bank.create_backup(&p.caller, None).await.unwrap();
    p.write("a.md", "new").await;
    p.write("odd..name.json", "[]").await;
    remember(&p, "Later", "after").await;
    let restored = p.bank.restore_backup(&p.caller, &backup.id, false).await.unwrap();
    assert!(restored.files.iter().any(|name| name == "a.md"), "{restored:?}");
    assert_eq!(p.text("a.md").await.as_deref(), Some("old"));
    assert_eq!(p.text("odd..name.json").await.as_deref(), Some("{}"));
    assert_eq!(p.bank.export(&p.caller).await.unwrap(), graph);
    assert_eq!(p.other.export(&p.caller).await.unwrap(), graph);
    // The graph can be changed afterwards.
    remember(&p, "Later", "again").await;
    assert_eq!(p.bank.stats(&p.caller).await.unwrap().entity_count, 2);
}

pub async fn the_returned_backup_id_is_listed_and_restores(p: Project) {
    p.write("a.md", "old").await;
    let backup = p.bank.create_backup(&p.caller, None).await.unwrap();
    assert!(backup.id.starts_with("memory-bank-backup-") && backup.id.ends_with('Z'), "{}", backup.id);
    assert_eq!(p.bank.list_backups(&p.caller, None).await.unwrap(), std::slice::from_ref(&backup));
    for id in [backup.id.as_str(), backup.id.trim_end_matches('Z')] {
        p.write("a.md", "new").await;
        p.bank.restore_backup(&p.caller, id, false).await.unwrap();
        assert_eq!(p.text("a.md").await.as_deref(), Some("old"));
    }
}

pub async fn a_restore_keeps_and_reports_newer_documents(p: Project) {
    p.write("a.md", "x").await;
    let backup = p.bank.create_backup(&p.caller, None).await.unwrap();
    p.write("later.md", "y").await;
    let restored = p.bank.restore_backup(&p.caller, &backup.id, false).await.unwrap();
    assert_eq!(restored.kept, ["later.md"]);
    assert_eq!(restored.safety, None);
    assert_eq!(p.text("later.md").await.as_deref(), Some("y"));
}

pub async fn documents_in_folders_are_restored(p: Project) {
    p.write("adr/0001.md", "old").await;
    let backup = p.bank.create_backup(&p.caller, None).await.unwrap();
    // A backup contains no backups, and its files are not documents of the bank.
    let second = p.bank.create_backup(&p.caller, None).await.unwrap();
    let documents = p.bank.list(&p.caller).await.unwrap();
    assert_eq!(documents.iter().filter(|entry| entry.path.is_some()).count(), 1);
    let name = crate::path("adr/0001.md");
    let mut delete = |drafts: &mut memory_bank_core::store::Drafts| drafts.delete(&name);
    p.bank.edit(&p.caller, std::slice::from_ref(&name), &mut delete).await.unwrap();
    for id in [second.id, backup.id] {
        let restored = p.bank.restore_backup(&p.caller, &id, false).await.unwrap();
        assert_eq!(restored.files, ["adr/0001.md"]);
        assert_eq!(p.text("adr/0001.md").await.as_deref(), Some("old"));
    }
}

pub async fn a_restore_creates_a_safety_copy_first(p: Project) {
    p.write("a.md", "one").await;
    let backup = p.bank.create_backup(&p.caller, None).await.unwrap();
    p.write("a.md", "two").await;
    let restored = p.bank.restore_backup(&p.caller, &backup.id, true).await.unwrap();
    assert_eq!(p.text("a.md").await.as_deref(), Some("one"));
    let safety = restored.safety.unwrap();
    p.bank.restore_backup(&p.caller, &safety.id, false).await.unwrap();
    assert_eq!(p.text("a.md").await.as_deref(), Some("two"));
}

pub async fn an_unknown_or_malformed_id_changes_nothing(p: Project) {
    p.write("a.md", "x").await;
    let missing = p.bank.restore_backup(&p.caller, "memory-bank-backup-2020-01-01T00-00-00-000Z", true).await;
    assert!(matches!(missing, Err(BackupError::NotFound(_))), "{missing:?}");
    for id in ["", "  ", "../a", "a.md", "memory-bank-backup-../../etc"] {
        let refused = p.bank.restore_backup(&p.caller, id, true).await;
        assert!(matches!(refused, Err(BackupError::Refused(_))), "{id}: {refused:?}");
    }
    assert_eq!(p.bank.list_backups(&p.caller, None).await.unwrap(), []);
    assert_eq!(p.text("a.md").await.as_deref(), Some("x"));
}

pub async fn concurrent_backups_have_different_ids(p: Project) {
    p.write("a.md", "x").await;
    let (one, two, three) = futures::join!(
        p.bank.create_backup(&p.caller, None),
        p.bank.create_backup(&p.caller, None),
        p.other.create_backup(&p.caller, None)
    );
    let ids = std::collections::BTreeSet::from([one.unwrap().id, two.unwrap().id, three.unwrap().id]);
    assert_eq!(ids.len(), 3);
    assert_eq!(p.bank.list_backups(&p.caller, None).await.unwrap().len(), 3);
}
