//! Taking a restored backup back.
#![expect(missing_docs, reason = "the name of each function is its rule")]

use memory_bank_core::history::VersionKind;
use memory_bank_core::store::{UndoReport, UndoRequest};
use serde_json::json;

use crate::Project;
use crate::undo::{
    context, delete, rename, request, restore as restore_text, run, undo_session, versions, write,
};
use crate::undo_graph::{entity, fact, link, named, shown, sorted, within};

const DOCUMENTS: [&str; 4] = ["a.md", "b.md", "kept.md", "new.md"];
const ENTITIES: [&str; 3] = ["A", "B", "C"];

/// The texts of the documents and the lines of the entities.
type Bank = (Vec<Option<String>>, Vec<Option<Vec<String>>>);

async fn bank(p: &Project) -> Bank {
    let (mut texts, mut entities) = (Vec::new(), Vec::new());
    for name in DOCUMENTS {
        texts.push(p.text(name).await);
    }
    for name in ENTITIES {
        entities.push(sorted(shown(p, name).await));
    }
    (texts, entities)
}

/// A bank, its backup, and other changes by session 2. Returns the id of the backup.
async fn changed_since_a_backup(p: &Project) -> String {
    for name in ["a.md", "b.md", "kept.md"] {
        write(p, &p.caller, 1, name, "one\n").await;
    }
    entity(p, &p.caller, 1, "A", json!({"port": 80})).await;
    entity(p, &p.caller, 1, "B", json!({})).await;
    let old = fact(p, &p.caller, 1, "A", "old").await;
    fact(p, &p.caller, 1, "A", "stays").await;
    fact(p, &p.caller, 1, "B", "of b").await;
    link(p, &p.caller, 1, "A", "B").await;
    let backup = p.bank.create_backup(&p.caller, None).await.unwrap();
    write(p, &p.caller, 2, "a.md", "two\n").await;
    delete(p, &p.caller, 2, "b.md").await;
    write(p, &p.caller, 2, "new.md", "new\n").await;
    entity(p, &p.caller, 2, "A", json!({"port": 81})).await;
    within(p, 2).delete_observation(&p.caller, &old, None).await.unwrap();
    within(p, 2).delete_entity(&p.caller, &named("B")).await.unwrap();
    entity(p, &p.caller, 2, "C", json!({})).await;
    fact(p, &p.caller, 2, "C", "of c").await;
    link(p, &p.caller, 2, "C", "A").await;
    // So that a time lies between these changes and those of a restore.
    tokio::time::sleep(std::time::Duration::from_millis(3)).await;
    backup.id
}

async fn restore(p: &Project, number: u128, id: &str) {
    let bank = p.bank.in_context(&context(number, "restore_backup"));
    bank.restore_backup(&p.caller, id, false).await.unwrap();
}

fn is_whole(report: &UndoReport) -> bool {
    report.is_written && report.left.is_empty() && report.left_items.is_empty()
}

pub async fn a_restored_backup_is_taken_back_by_its_session(p: Project) {
    let id = changed_since_a_backup(&p).await;
    let before = bank(&p).await;
    restore(&p, 3, &id).await;
    let restored = bank(&p).await;
    assert_eq!(
        restored.0,
        [Some("one\n"), Some("one\n"), Some("one\n"), Some("new\n")].map(|text| text.map(str::to_owned))
    );
    assert!(restored.1[1].is_some() && restored.1[2].is_none(), "{restored:?}");
    let newest = versions(&p, "a.md").await.swap_remove(0);
    assert_eq!((newest.tool.as_deref(), newest.session), (Some("restore_backup"), context(3, "").session));
    let report = undo_session(&p, 3, 4).await;
    assert!(is_whole(&report), "{report:?}");
    assert_eq!(bank(&p).await, before);
    // What the backup and the bank had in common has no change of the restore.
    let unchanged = |report: &UndoReport| {
        report.undone_items.iter().all(|one| !format!("{:?}", one.item).contains("stays"))
    };
    assert!(unchanged(&report), "{report:?}");
    assert_eq!(versions(&p, "kept.md").await.len(), 1);
    // The undo is taken back, too.
    let again = undo_session(&p, 4, 5).await;
    assert!(is_whole(&again), "{again:?}");
    assert_eq!(bank(&p).await, restored);
}

pub async fn what_others_changed_after_a_restore_stays_and_is_named(p: Project) {
    let id = changed_since_a_backup(&p).await;
    restore(&p, 3, &id).await;
    write(&p, &p.colleague, 4, "a.md", "three\n").await;
    entity(&p, &p.colleague, 4, "A", json!({"port": 82})).await;
    fact(&p, &p.colleague, 4, "B", "later").await;
    let report = undo_session(&p, 3, 5).await;
    assert!(report.is_written, "{report:?}");
    let left: Vec<&str> = report.left.iter().map(|left| left.path.as_str()).collect();
    assert_eq!(left, ["a.md"]);
    let mut items: Vec<Option<&str>> = report.left_items.iter().map(|left| left.entity.as_deref()).collect();
    items.sort_unstable();
    assert_eq!(items, [Some("A"), Some("B")]);
    assert_eq!(p.text("a.md").await.as_deref(), Some("three\n"));
    assert_eq!(p.text("b.md").await, None);
    assert!(shown(&p, "B").await.unwrap().contains("later"));
    assert!(shown(&p, "C").await.unwrap().contains("of c"));
}

pub async fn a_restored_backup_is_taken_back_by_its_user_and_time_and_by_restores_of_single_versions(
    p: Project,
) {
    let id = changed_since_a_backup(&p).await;
    let before = bank(&p).await;
    restore(&p, 3, &id).await;
    // Changes of a graph have milliseconds in a folder.
    let since = versions(&p, "a.md").await[0].at.as_millisecond();
    let since = jiff::Timestamp::from_millisecond(since).unwrap();
    let by = UndoRequest {
        session: None,
        by: Some(p.caller.user_name.clone()),
        since: Some(since),
        ..request(3, 4)
    };
    let report = run(&p, &p.caller, &by).await;
    assert!(is_whole(&report), "{report:?}");
    assert_eq!(bank(&p).await, before);
    // One by one: the entity as it was before the restore.
    restore(&p, 5, &id).await;
    let chain = p.other.entity_chain(&p.caller, &named("C"), 0).await.unwrap();
    assert!(chain.now.entity().is_none());
    let number =
        chain.changes.iter().rev().find(|change| change.session == context(5, "").session).unwrap().number;
    let chain = p.other.entity_chain(&p.caller, &named("C"), number - 1).await.unwrap();
    p.bank.restore_entity(&p.caller, &chain.start(), &[]).await.unwrap();
    assert!(shown(&p, "C").await.unwrap().contains("of c"));
}

/// One step of a user: W writes a text, U takes back all that the user changed since the beginning, R brings a text back.
async fn step(p: &Project, number: u128, name: &str, since: jiff::Timestamp, step: &str) {
    match step.split_at(1) {
        ("W", text) => write(p, &p.caller, number, name, &format!("core\n{text}\n")).await,
        ("R", text) => restore_text(p, &p.caller, number, name, &format!("core\n{text}\n")).await,
        _ => {
            let by = Some(p.caller.user_name.clone());
            let own = UndoRequest { session: None, by, since: Some(since), ..request(0, number) };
            let report = run(p, &p.caller, &own).await;
            assert!(report.left.is_empty(), "{report:?}");
        }
    }
}

pub async fn a_text_that_was_brought_back_between_undos_of_its_user_goes_with_the_next_one(p: Project) {
    for (number, steps) in [
        "Wa U Ra U",
        "Wa U Ws U Ra U",
        "Wa W U Ws U R Wz U",
        "Ws U Wa W U R U",
        "Wa W U Ws U Ra R U",
        "Wa U Ws U Wa U",
        "Wa U Ra U Ra U U",
        "Wa U Ws U Ra U Rs U Ra",
    ]
    .iter()
    .enumerate()
    {
        let name = format!("restored-{number}.md");
        write(&p, &p.caller, 90, &name, "core\n").await;
        // Changes of a graph have milliseconds in a folder.
        tokio::time::sleep(std::time::Duration::from_millis(3)).await;
        let begin = versions(&p, &name).await[0].at;
        let since = begin.checked_add(jiff::SignedDuration::from_millis(2)).unwrap();
        for (at, word) in steps.split(' ').enumerate() {
            // Each in a session of its own, or all in one.
            let session = if number % 2 == 0 { 100 + at as u128 } else { 99 };
            step(&p, session, &name, since, word).await;
            if word == "U" {
                assert_eq!(p.text(&name).await.as_deref(), Some("core\n"), "{steps}, step {at}");
            }
        }
    }
}

pub async fn a_name_begins_anew_once_its_document_came_back_under_a_former_one(p: Project) {
    // The document lives when its later name is given again, or was deleted under its former one.
    for (first, second, is_deleted) in [("a.md", "b.md", false), ("c.md", "d.md", true)] {
        write(&p, &p.caller, 1, first, "first\n").await;
        rename(&p, &p.caller, 2, first, second).await;
        delete(&p, &p.caller, 2, second).await;
        let report = undo_session(&p, 2, 3).await;
        assert!(is_whole(&report), "{report:?}");
        assert_eq!((p.text(first).await.as_deref(), p.text(second).await), (Some("first\n"), None));
        if is_deleted {
            delete(&p, &p.caller, 4, first).await;
        }
        write(&p, &p.caller, 5, second, "second\n").await;
        let expected = (!is_deleted).then_some("first\n");
        assert_eq!(
            (p.text(first).await.as_deref(), p.text(second).await.as_deref()),
            (expected, Some("second\n"))
        );
        let newest = versions(&p, second).await.swap_remove(0);
        assert_eq!((newest.number, newest.kind), (1, VersionKind::Created), "{newest:?}");
        // The former document keeps its own history.
        write(&p, &p.caller, 6, first, "third\n").await;
        assert_eq!(p.text(first).await.as_deref(), Some("third\n"));
        let former = versions(&p, first).await.swap_remove(0);
        assert_ne!(former.document, newest.document);
        assert_eq!(former.number, if is_deleted { 6 } else { 5 }, "{former:?}");
    }
}
