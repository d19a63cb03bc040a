//! The history of the graph in transfers: from a database into a folder and back, and from a folder, every change stays as it was.

mod random;

use std::collections::BTreeMap;

use jiff::{Timestamp, ToSpan};
use memory_bank_core::caller::{Caller, Role};
use memory_bank_core::clock::{Clock, SystemClock};
use memory_bank_core::graph::history::{
    GraphChange, GraphChangeQuery, GraphItem, GraphSubject, ItemChange, Origin, render,
};
use memory_bank_core::graph::state::GraphState;
use memory_bank_core::history::ChangeContext;
use memory_bank_core::limits;
use memory_bank_core::store::{
    Bank, EntityDraft, EntityRef, GraphStore, ObservationDraft, UndoRequest, undo,
};
use memory_bank_core::transfer::{ExistingContentPolicy, GraphHistory, read_graph_line, write_graph_line};
use memory_bank_folder::FolderSource;
use memory_bank_postgres::{Imported, OperatorAction, PostgresBank, TransferError};
use serde_json::json;

use crate::history_transfer::TransferFolders;
use crate::support::Bench;

/// All changes of the graph, newest first.
pub(crate) async fn changes(bank: &dyn Bank, caller: &Caller) -> Vec<GraphChange> {
    let mut query = GraphChangeQuery::newest(GraphSubject::Project, limits::VERSIONS_LISTED);
    let mut found = Vec::new();
    loop {
        let page = bank.list_graph_changes(caller, &query).await.unwrap();
        found.extend(page.changes);
        query.after = page.next;
        if query.after.is_none() {
            return found;
        }
    }
}

/// What a transfer keeps of a change: not the prefix of a key, which is of the database, nor the marks, which a change
/// gets that nobody is known to have made. A database shows an entity by its
/// present name, a folder by the name at that time.
fn kept(changes: &[GraphChange]) -> Vec<GraphChange> {
    let keep = |change: &GraphChange| GraphChange {
        key_prefix: None,
        imported: false,
        origin: Origin::Own,
        entity: None,
        other: None,
        ..change.clone()
    };
    changes.iter().map(keep).collect()
}

/// Each entity after each of its changes, as lines of text, by id and number.
async fn snapshots(bank: &dyn Bank, caller: &Caller) -> BTreeMap<(String, i64), String> {
    let mut found = BTreeMap::new();
    for change in changes(bank, caller).await {
        let item = change.item().unwrap();
        for id in [Some(item.entity_id()), item.other_id()].into_iter().flatten() {
            let chain = bank.entity_chain(caller, &EntityRef(id.to_owned()), change.number).await.unwrap();
            // The names of the ends of a relation are shown as they are now, or as they were.
            found.insert((id.to_owned(), change.number), render(&chain.start()).to_lowercase());
        }
    }
    found
}

/// The graph with the items of each kind in the order of their ids.
fn sorted(state: &GraphState) -> Vec<GraphItem> {
    let entities = state.entities().cloned().map(GraphItem::Entity);
    let observations = state.observations().cloned().map(GraphItem::Observation);
    let relations = state.relations().cloned().map(GraphItem::Relation);
    let mut items: Vec<GraphItem> = entities.chain(observations).chain(relations).collect();
    items.sort_by(|one, other| one.id().cmp(other.id()));
    items
}

async fn graph_of(bank: &PostgresBank, caller: &Caller) -> Vec<GraphItem> {
    let mut export = bank.begin_export(caller).await.unwrap();
    let copy = export.project(&|_| {}).await.unwrap();
    export.end().await;
    sorted(&copy.bank.graph)
}

async fn graph_in(folders: &TransferFolders, name: &str) -> Vec<GraphItem> {
    let source = FolderSource::open(&folders.project(name), "memory-bank", false).unwrap();
    sorted(&source.project().await.unwrap().bank.graph)
}

/// Both banks have the same changes; those of the second one are marked as imported.
async fn assert_same(one: (&dyn Bank, &Caller), other: (&dyn Bank, &Caller), what: &str) {
    let (mine, theirs) = (changes(one.0, one.1).await, changes(other.0, other.1).await);
    assert_eq!(kept(&mine), kept(&theirs), "{what}");
    assert!(theirs.iter().all(|change| change.imported), "{what}");
    assert_eq!(snapshots(one.0, one.1).await, snapshots(other.0, other.1).await, "{what}");
}

pub(crate) async fn entity(bank: &dyn Bank, caller: &Caller, name: &str, attrs: serde_json::Value) {
    let draft =
        EntityDraft { name: name.into(), entity_type: "thing".into(), attrs: attrs.as_object().cloned() };
    bank.upsert_entity(caller, draft).await.unwrap();
}

async fn fact(bank: &dyn Bank, caller: &Caller, name: &str, text: &str) {
    let draft = ObservationDraft { text: text.into(), ..ObservationDraft::default() };
    bank.add_observation(caller, &EntityRef(name.into()), draft).await.unwrap();
}

#[tokio::test]
async fn the_history_of_the_graph_goes_on_after_a_transfer_and_an_editor_undoes_no_imported_change() {
    let (bench, folders) = (Bench::new().await, TransferFolders::new());
    let (bank, alice) = (bench.bank(), bench.tenant("alice", "a").await);
    let bob = bench.member("bob", "a", Role::Editor).await;
    entity(&bank, &bob, "Api", json!({"a": 1})).await;
    fact(&bank, &bob, "Api", "one").await;
    folders.export(&bank, &alice, "f").await;
    // The user has the name that the source claims.
    let carol = bench.tenant("carol", "b").await;
    let namesake = bench.member("bob", "b", Role::Editor).await;
    folders.import("f", &bank, &carol, ExistingContentPolicy::Empty).await.unwrap();
    let in_folder = Caller { user_name: "bob".to_owned(), role: Role::Editor, ..Caller::local("bob") };
    let folder = folders.bank("f");
    for (bank, owner, editor) in
        [(&bank as &dyn Bank, &carol, &namesake), (&folder as &dyn Bank, &Caller::local("alice"), &in_folder)]
    {
        let context = ChangeContext::of_tool("history");
        let own = UndoRequest { by: Some("bob".to_owned()), context, ..UndoRequest::default() };
        let report = undo(bank, editor, &own).await.unwrap();
        assert_eq!((report.undone_items.len(), report.of_others), (0, 2));
        let numbers =
            |all: &[GraphChange]| all.iter().map(|one| (one.number, one.imported)).collect::<Vec<_>>();
        assert_eq!(numbers(&changes(bank, owner).await), [(2, true), (1, true)]);
        // The history has all changes since any time, although the transfer wrote its rows without one.
        let then = async |until: Timestamp| {
            let then = bank.graph_before(owner, until).await.unwrap().unwrap();
            assert!(then.is_whole, "{until}");
            then.state.entities().count()
        };
        assert_eq!((then(Timestamp::UNIX_EPOCH).await, then(Timestamp::MAX).await), (0, 1));
        entity(bank, editor, "Api", json!({"a": 2})).await;
        assert_eq!((then(Timestamp::UNIX_EPOCH).await, then(Timestamp::MAX).await), (0, 1));
        let all = numbers(&changes(bank, owner).await);
        assert!(all[0].0 > 2 && !all[0].1 && all[1..] == [(2, true), (1, true)], "{all:?}");
        let report = undo(bank, editor, &own).await.unwrap();
        assert_eq!((report.undone_items.len(), report.of_others), (1, 2));
        // What the namesake took back was its own. An owner takes back anybody's changes, and each once.
        let report = undo(bank, owner, &own).await.unwrap();
        assert_eq!((report.undone_items.len(), report.left_items.len()), (2, 0), "{report:?}");
        assert!(changes(bank, owner).await.iter().take(2).all(|one| one.change == ItemChange::Deleted));
        let report = undo(bank, owner, &own).await.unwrap();
        assert_eq!((report.undone_items.len(), report.left_items.len()), (0, 0), "{report:?}");
    }
}

#[tokio::test]
async fn a_replacement_changes_in_the_graph_only_what_differs() {
    let (bench, folders) = (Bench::new().await, TransferFolders::new());
    let (bank, alice) = (bench.bank(), bench.tenant("alice", "a").await);
    let bob = bench.member("bob", "a", Role::Editor).await;
    for name in ["Api", "Db", "Cache"] {
        entity(&bank, &bob, name, json!({"a": 1})).await;
        fact(&bank, &bob, name, "one").await;
    }
    bank.link(&bob, &EntityRef("Api".into()), "uses", &EntityRef("Db".into())).await.unwrap();
    folders.export(&bank, &alice, "f").await;
    let (graph, before) = (graph_of(&bank, &alice).await, changes(&bank, &alice).await.len());
    folders.import("f", &bank, &alice, ExistingContentPolicy::Replace).await.unwrap();
    assert_eq!(changes(&bank, &alice).await.len(), before, "{:#?}", changes(&bank, &alice).await);
    // Items made, changed or removed since return to their former state; no other item has a change.
    entity(&bank, &alice, "New", json!({})).await;
    entity(&bank, &alice, "Api", json!({"a": 2})).await;
    fact(&bank, &alice, "Db", "two").await;
    bank.delete_entity(&alice, &EntityRef("Cache".into())).await.unwrap();
    let before = changes(&bank, &alice).await.len();
    folders.import("f", &bank, &alice, ExistingContentPolicy::Replace).await.unwrap();
    assert_eq!(graph_of(&bank, &alice).await, graph);
    // New and the second fact go; Api changes back; Cache and its fact come back.
    let all = changes(&bank, &alice).await;
    assert_eq!(all.len() - before, 5, "{all:?}");
    // What an editor made, and no replacement touched, is the editor's to take back.
    let context = ChangeContext::of_tool("history");
    let own = UndoRequest { by: Some("bob".to_owned()), context, ..UndoRequest::default() };
    let of_db = UndoRequest { entity: Some(EntityRef("Db".into())), ..own };
    let report = undo(&bank, &bob, &of_db).await.unwrap();
    assert!(report.left_items.is_empty() && report.undone_items.len() >= 2, "{report:?}");
}

#[tokio::test]
async fn a_graph_that_ever_changed_keeps_its_own_history() {
    let (bench, folders) = (Bench::new().await, TransferFolders::new());
    let (bank, alice) = (bench.bank(), bench.tenant("alice", "a").await);
    entity(&bank, &alice, "Api", json!({"a": 1})).await;
    entity(&bank, &alice, "Api", json!({"a": 2})).await;
    folders.export(&bank, &alice, "f").await;
    let none = PostgresBank::new(bench.database.clone().with_history_days(0), "b".to_owned());
    for (project, change_before) in [("b", &bank), ("c", &none)] {
        let carol = bench.tenant("carol", project).await;
        entity(change_before, &carol, "Hers", json!({})).await;
        change_before.delete_entity(&carol, &EntityRef("Hers".into())).await.unwrap();
        let before = changes(&bank, &carol).await.len();
        let imported = folders.import("f", &bank, &carol, ExistingContentPolicy::Merge).await.unwrap();
        assert_eq!((imported.history.changes, imported.history.changes_left_out), (0, 2));
        let all = changes(&bank, &carol).await;
        assert_eq!((all.len(), all[0].imported, all[0].change), (before + 1, false, ItemChange::Created));
    }
    // A server that keeps no history adds none.
    let dora = bench.tenant("dora", "d").await;
    let imported = folders.import("f", &none, &dora, ExistingContentPolicy::Empty).await.unwrap();
    assert_eq!((imported.history.changes, imported.history.changes_left_out), (0, 2));
    assert_eq!(changes(&bank, &dora).await, []);
}

#[tokio::test]
async fn what_changed_without_a_history_is_carried_as_it_is_and_shown_as_no_change() {
    let (bench, folders) = (Bench::new().await, TransferFolders::new());
    let (bank, alice) = (bench.bank(), bench.tenant("alice", "a").await);
    let none = PostgresBank::new(bench.database.clone().with_history_days(0), "a".to_owned());
    let api = || EntityRef("Api".into());
    entity(&bank, &alice, "Api", json!({"a": 1})).await;
    fact(&none, &alice, "Api", "unseen").await;
    none.delete_entity(&alice, &api()).await.unwrap();
    entity(&bank, &alice, "Api", json!({"a": 2})).await;
    fact(&bank, &alice, "Api", "seen").await;
    entity(&none, &alice, "Api", json!({"a": 3})).await;
    entity(&bank, &alice, "Api", json!({"a": 4})).await;
    fact(&none, &alice, "Api", "last").await;
    entity(&none, &alice, "Other", json!({})).await;
    none.link(&alice, &api(), "uses", &EntityRef("Other".into())).await.unwrap();
    let all = changes(&bank, &alice).await;
    let words: Vec<ItemChange> = all.iter().map(|change| change.change).collect();
    assert_eq!(words, [ItemChange::Changed, ItemChange::Created, ItemChange::Created, ItemChange::Created]);
    let count = folders.export(&bank, &alice, "f").await;
    // The entity of the first creation is not known.
    assert_eq!((count.changes, count.changes_left_out), (3, 1));
    let folder = folders.bank("f");
    let kept_of = |all: &[GraphChange]| kept(all).into_iter().take(3).collect::<Vec<_>>();
    let in_folder = changes(&folder, &alice).await;
    assert_eq!((in_folder.len(), kept_of(&in_folder)), (3, kept_of(&all)));
    assert_eq!(graph_of(&bank, &alice).await, graph_in(&folders, "f").await);
    let carol = bench.tenant("carol", "b").await;
    let imported = folders.import("f", &bank, &carol, ExistingContentPolicy::Empty).await.unwrap();
    assert_eq!(imported.history.changes, 3);
    assert_eq!(kept_of(&changes(&bank, &carol).await), kept_of(&all));
    assert_eq!(graph_of(&bank, &alice).await, graph_of(&bank, &carol).await);
}

async fn import_only(
    bank: &PostgresBank,
    caller: &Caller,
    history: &GraphHistory,
) -> Result<Imported, TransferError> {
    let mut import =
        bank.begin_import(caller, ExistingContentPolicy::Empty, OperatorAction::Imported, None).await?;
    import.put_graph_history(history).await?;
    import.commit().await
}

#[tokio::test]
async fn a_change_of_the_future_becomes_one_of_today_and_a_malformed_history_is_refused_as_a_whole() {
    let (bench, _place) = (Bench::new().await, TransferFolders::new());
    let (bank, alice) = (bench.bank(), bench.tenant("alice", "a").await);
    entity(&bank, &alice, "Api", json!({"a": 1})).await;
    entity(&bank, &alice, "Api", json!({"a": 2})).await;
    bank.delete_entity(&alice, &EntityRef("Api".into())).await.unwrap();
    let mut export = bank.begin_export(&alice).await.unwrap();
    let whole = export.graph_history(3).await.unwrap();
    export.end().await;
    // The form of a backup file is exact, too.
    let lines =
        whole.changes.iter().map(|change| read_graph_line(&write_graph_line(change).unwrap()).unwrap());
    assert_eq!(lines.collect::<Vec<_>>(), whole.changes);

    let carol = bench.tenant("carol", "b").await;
    let broken = |change: &dyn Fn(&mut GraphHistory)| {
        let mut history = whole.clone();
        change(&mut history);
        history
    };
    for (why, history) in [
        ("order", broken(&|history| history.changes.reverse())),
        ("order", broken(&|history| history.changes[0].number = 2)),
        ("number", broken(&|history| history.changes[0].number = i64::MAX)),
        ("id", broken(&|history| history.changes[1].entity_id = "ent_other".to_owned())),
        (
            "another item",
            broken(&|history| {
                for change in &mut history.changes {
                    change.id = "ent_other".to_owned();
                    change.entity_id = "ent_other".to_owned();
                }
            }),
        ),
        ("lacks", broken(&|history| history.changes[0].before = None)),
        (
            "1024",
            broken(&|history| {
                history.changes.truncate(1);
                history.changes[0].change = ItemChange::Created;
                history.changes[0].before = None;
                history.changes[0].id = format!("ent_{}", "x".repeat(1024));
                history.changes[0].entity_id = history.changes[0].id.clone();
            }),
        ),
        ("author", broken(&|history| history.changes[2].author = Some("a".repeat(256)))),
    ] {
        let refused = import_only(&bank, &carol, &history).await.unwrap_err().to_string();
        assert!(refused.contains(why) && refused.contains("--no-history"), "{why}: {refused}");
        assert_eq!(changes(&bank, &carol).await, [], "{why}");
    }
    let future = broken(&|history| {
        for change in &mut history.changes {
            change.at += 300.hours() * 24;
        }
    });
    import_only(&bank, &carol, &future).await.unwrap();
    let at: Vec<Timestamp> = changes(&bank, &carol).await.iter().map(|change| change.at).collect();
    assert_eq!(at.len(), 3);
    assert!(at.iter().all(|at| *at < SystemClock.now() + 1.hour()), "{at:?}");
}

#[tokio::test]
async fn a_history_of_the_graph_beyond_the_quota_is_refused_and_nothing_is_stored() {
    let (bench, folders) = (Bench::new().await, TransferFolders::new());
    let (bank, alice) = (bench.bank(), bench.tenant("alice", "a").await);
    for number in 0..20 {
        entity(&bank, &alice, "Api", json!({"a": "x".repeat(10_000 + number)})).await;
    }
    folders.export(&bank, &alice, "f").await;
    let carol = bench.tenant("carol", "b").await;
    bench.test.psql(&format!(
        "INSERT INTO app.stored_bytes (project_id, slot, kind, bytes) VALUES ('{}', -1, 'quota', 100000)",
        carol.project.0
    ));
    let refused =
        folders.import("f", &bank, &carol, ExistingContentPolicy::Empty).await.unwrap_err().to_string();
    assert!(refused.contains("--no-history") && refused.contains("100000"), "{refused}");
    assert_eq!((changes(&bank, &carol).await, graph_of(&bank, &carol).await), (vec![], vec![]));
}

#[tokio::test]
async fn lines_of_a_log_that_claim_to_be_imported_are_read_as_lines_of_a_log() {
    let (bench, folders) = (Bench::new().await, TransferFolders::new());
    std::fs::create_dir_all(folders.project("f").join("memory-bank")).unwrap();
    let (folder, alice) = (folders.bank("f"), Caller::local("alice"));
    entity(&folder, &alice, "Api", json!({"a": 1})).await;
    let log = folders.project("f").join("memory-bank/graph/graph.jsonl");
    let planted = std::fs::read_to_string(&log).unwrap().replace("\"user\"", "\"number\":0,\"user\"");
    let again = planted
        .lines()
        .last()
        .unwrap()
        .replace("\"number\":0", "\"number\":900")
        .replace("\"a\":1", "\"a\":2");
    std::fs::write(&log, format!("{planted}{again}\n")).unwrap();
    for _ in 0..2 {
        let all = changes(&folder, &alice).await;
        let facts: Vec<(i64, bool)> = all.iter().map(|change| (change.number, change.imported)).collect();
        assert_eq!(facts, [(2, false), (1, false)]);
        // A compaction moves the lines to the history.
        folder.compact(&alice).await.unwrap();
    }
    let carol = bench.tenant("carol", "b").await;
    folders.import("f", &bench.bank(), &carol, ExistingContentPolicy::Empty).await.unwrap();
    assert_eq!(changes(&bench.bank(), &carol).await.len(), 2);
}

#[tokio::test]
async fn an_entity_is_erased_from_an_imported_history_and_the_others_keep_their_numbers() {
    let (bench, folders) = (Bench::new().await, TransferFolders::new());
    let (bank, alice) = (bench.bank(), bench.tenant("alice", "a").await);
    entity(&bank, &alice, "Api", json!({"password": "hunter2-secret"})).await;
    entity(&bank, &alice, "Other", json!({"a": 1})).await;
    entity(&bank, &alice, "Api", json!({"password": null})).await;
    entity(&bank, &alice, "Other", json!({"a": 2})).await;
    folders.export(&bank, &alice, "f").await;
    let carol = bench.tenant("carol", "b").await;
    folders.import("f", &bank, &carol, ExistingContentPolicy::Empty).await.unwrap();
    let (folder, local) = (folders.bank("f"), Caller::local("alice"));
    for (bank, owner) in [(&bank as &dyn Bank, &carol), (&folder as &dyn Bank, &local)] {
        assert_eq!(bank.erase_entity(owner, &EntityRef("Api".into())).await.unwrap(), 2);
        let query = GraphChangeQuery::newest(GraphSubject::Entity(EntityRef("Other".into())), 10);
        let left = bank.list_graph_changes(owner, &query).await.unwrap().changes;
        let numbers: Vec<(i64, bool)> = left.iter().map(|one| (one.number, one.imported)).collect();
        assert_eq!(numbers, [(4, true), (2, true)]);
    }
    let history = folders.project("f").join("memory-bank/.mbmcp/history");
    for file in std::fs::read_dir(history).unwrap() {
        let text = std::fs::read(file.unwrap().path()).unwrap();
        assert!(!String::from_utf8_lossy(&text).contains("hunter2-secret"));
    }
    let stored = "SELECT count(*) FROM app.graph_history WHERE former::text LIKE '%hunter2-secret%' AND imported_by IS NOT NULL";
    assert_eq!(bench.test.psql(stored), "0");
}

#[tokio::test]
async fn imported_changes_of_different_authors_are_not_joined_when_old_ones_are_thinned() {
    let (bench, folders) = (Bench::new().await, TransferFolders::new());
    let (bank, alice) = (bench.bank(), bench.tenant("alice", "a").await);
    let bob = bench.member("bob", "a", Role::Editor).await;
    for (caller, value) in [(&alice, 1), (&alice, 2), (&bob, 3), (&bob, 4), (&alice, 5), (&alice, 6)] {
        entity(&bank, caller, "Api", json!({"a": value})).await;
    }
    bench.test.psql("UPDATE app.graph_history SET at = '2025-01-01T10:00:00Z'");
    folders.export(&bank, &alice, "f").await;
    let carol = bench.tenant("carol", "b").await;
    folders.import("f", &bank, &carol, ExistingContentPolicy::Empty).await.unwrap();
    let stays = |caller: &Caller| {
        bench.test.psql(&format!(
            "SELECT string_agg(number::text, ',' ORDER BY number) FROM app.old_graph_changes(now() - interval '30 days', NULL, NULL, \
             NULL, 100) WHERE project_id = '{}' AND stays",
            caller.project.0
        ))
    };
    assert_eq!(stays(&alice), "1,2,4");
    assert_eq!(stays(&carol), stays(&alice));
}

/// Makes changes of an entity by SQL, each with a long attribute.
fn change_often(bench: &Bench, project: &Caller, changes: usize, bytes: usize) {
    bench.test.psql(&format!(
        "DO $$ BEGIN FOR one IN 1..{changes} LOOP UPDATE graph_entities SET attrs = \
         json_build_object('n', one, 'long', repeat('x', {bytes})) WHERE project_id = '{}'; END LOOP; END $$",
        project.project.0
    ));
}

#[tokio::test]
async fn a_long_history_of_the_graph_is_carried_in_pages() {
    let (bench, folders) = (Bench::new().await, TransferFolders::new());
    let (bank, alice) = (bench.bank(), bench.tenant("alice", "a").await);
    entity(&bank, &alice, "Api", json!({})).await;
    change_often(&bench, &alice, 4500, 1500);
    let count = folders.export(&bank, &alice, "f").await;
    assert_eq!((count.changes, count.changes_left_out), (4501, 0));
    let carol = bench.tenant("carol", "b").await;
    folders.import("f", &bank, &carol, ExistingContentPolicy::Empty).await.unwrap();
    let all = changes(&bank, &alice).await;
    assert_eq!(all.len(), 4501);
    assert_eq!(kept(&all), kept(&changes(&folders.bank("f"), &alice).await));
    assert_eq!(kept(&all), kept(&changes(&bank, &carol).await));
}

#[tokio::test]
async fn the_oldest_changes_of_the_graph_beyond_the_bound_are_left_out_and_counted() {
    let (bench, folders) = (Bench::new().await, TransferFolders::new());
    let (bank, alice) = (bench.bank(), bench.tenant("alice", "a").await);
    entity(&bank, &alice, "Api", json!({})).await;
    change_often(&bench, &alice, 40, 1_000_000);
    let count = folders.export(&bank, &alice, "f").await;
    assert_eq!(count.changes + count.changes_left_out, 41);
    assert!(count.changes > 25 && count.changes_left_out > 5, "{count:?}");
    let newest = |all: &[GraphChange]| kept(all).into_iter().take(count.changes).collect::<Vec<_>>();
    let all = changes(&bank, &alice).await;
    let in_folder = changes(&folders.bank("f"), &alice).await;
    assert_eq!(in_folder.len(), count.changes);
    assert!(newest(&all) == newest(&in_folder));
    let carol = bench.tenant("carol", "b").await;
    let imported = folders.import("f", &bank, &carol, ExistingContentPolicy::Empty).await.unwrap();
    assert_eq!(imported.history.changes, count.changes);
    assert!(newest(&all) == newest(&changes(&bank, &carol).await));
}

#[tokio::test]
async fn the_rows_of_changes_are_the_same_in_a_copy() {
    let (bench, folders) = (Bench::new().await, TransferFolders::new());
    let (alice, carol) = (bench.tenant("alice", "a").await, bench.tenant("carol", "b").await);
    let bank = bench.bank();
    for value in [1, 2] {
        entity(&bank, &alice, "Gone", json!({"value": value})).await;
    }
    fact(&bank, &alice, "Gone", "fact").await;
    bank.delete_entity(&alice, &EntityRef("Gone".into())).await.unwrap();
    folders.export(&bank, &alice, "f").await;
    folders.import("f", &bank, &carol, ExistingContentPolicy::Empty).await.unwrap();
    let rows = |project: &str| {
        bench.test.psql(&format!(
            "SELECT string_agg(concat_ws('|', g.number, g.kind, g.change, g.id, g.entity_id, g.other_id, g.name_key), ' ' ORDER BY g.number)
             FROM app.graph_history g JOIN projects p ON p.id = g.project_id WHERE p.slug = '{project}'"
        ))
    };
    assert!(rows("a").contains("|gone"), "{}", rows("a"));
    assert_eq!(rows("a"), rows("b"));
}
