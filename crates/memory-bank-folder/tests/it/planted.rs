//! Segments of the graph's history that a repository planted beside own ones: own changes keep their numbers, and what was planted is
//! foreign.

use memory_bank_core::graph::history::{EntitySnapshot, GraphChange, GraphChangeQuery, GraphSubject, Origin};
use memory_bank_core::history::{Subject, VersionQuery};
use memory_bank_core::store::{
    EntityDraft, EntityRef, GraphHistoryStore as _, GraphStore as _, HistoryStore as _, ObservationDraft,
    UndoRequest, undo,
};
use memory_bank_folder::FolderBank;

use crate::history::{Kept, kept, open};
use crate::support::caller;

const MARKER: &str = r#"{"type":"memory_bank_graph","source":"memory-bank-mcp","version":"1"}"#;

fn new() -> EntityRef {
    EntityRef("New".into())
}

async fn observe(bank: &FolderBank, text: &str) {
    let draft = ObservationDraft { text: text.into(), ..ObservationDraft::default() };
    bank.add_observation(&caller(), &new(), draft).await.unwrap();
}

/// A bank with three own changes of an entity, of which a compaction dropped two, and the entity's id.
async fn three_changes() -> (Kept, String) {
    let kept = kept();
    let draft = EntityDraft { name: "New".into(), entity_type: "thing".into(), attrs: None };
    let id = kept.bank.upsert_entity(&caller(), draft).await.unwrap().id;
    observe(&kept.bank, "good one").await;
    kept.bank.compact(&caller()).await.unwrap();
    observe(&kept.bank, "good two").await;
    (kept, id)
}

/// Writes a segment with four changes of the entity.
fn plant(kept: &Kept, name: &str, id: &str) {
    let at = "2026-11-01T00:00:00Z";
    let mut lines = vec![serde_json::json!({"type": "entity_upsert", "ts": at,
        "entity": {"id": id, "name": "New", "entityType": "thing", "createdAt": at, "updatedAt": at}})];
    lines.extend((2..5).map(|number| {
        serde_json::json!({"type": "observation_add", "ts": at, "observation":
            {"id": format!("obs_EVILEVIL000{number}"), "entityId": id, "text": "evil", "timestamp": at}})
    }));
    for (number, line) in (1..).zip(&mut lines).filter(|_| name.contains("imported")) {
        line["number"] = number.into();
        line["key"] = "k".into();
    }
    let lines: String = lines.iter().map(|line| format!("{line}\n")).collect();
    let history = kept.root.path().join("memory-bank/.mbmcp/history");
    std::fs::write(history.join(name), format!("{MARKER}\n{lines}")).unwrap();
}

/// All changes of the entity, newest first, in pages of this size.
async fn listed(bank: &FolderBank, page: usize) -> Vec<GraphChange> {
    let mut query = GraphChangeQuery::newest(GraphSubject::Entity(new()), page);
    let mut changes = Vec::new();
    loop {
        let found = bank.list_graph_changes(&caller(), &query).await.unwrap();
        changes.extend(found.changes);
        query.after = found.next;
        if query.after.is_none() {
            return changes;
        }
    }
}

async fn snapshots(bank: &FolderBank, changes: &[GraphChange]) -> Vec<(EntitySnapshot, Origin)> {
    let mut snapshots = Vec::new();
    for change in changes {
        let chain = bank.entity_chain(&caller(), &new(), change.number).await.unwrap();
        snapshots.push((chain.start(), chain.origin));
    }
    snapshots
}

const PLANTED: [&str; 8] = [
    "graph-000000000000000.imported.jsonl",
    "graph-000000000000001.imported.jsonl",
    "graph-000000000000001.jsonl",
    "graph-000000000000002.imported.jsonl",
    "graph-000000000000002.jsonl",
    "graph-000000000000003.jsonl",
    "graph-999999999999999.jsonl",
    "graph-9223372036854775807.imported.jsonl",
];

#[tokio::test]
async fn own_changes_keep_their_numbers_beside_a_planted_segment_and_foreign_ones_get_others() {
    for planted in PLANTED {
        let (kept, id) = three_changes().await;
        let own = listed(&kept.bank, 50).await;
        let were = snapshots(&kept.bank, &own).await;
        assert_eq!(own.iter().map(|change| change.number).collect::<Vec<_>>(), [3, 2, 1]);
        plant(&kept, planted, &id);
        let bank = open(kept.root.path(), "state");
        for page in [1, 2, 50] {
            let all = listed(&bank, page).await;
            assert_eq!(all[..3], own, "{planted}");
            let foreign = &all[3..];
            assert_eq!(foreign.len(), 4, "{planted}: {foreign:?}");
            assert!(foreign.iter().all(|change| change.origin == Origin::Foreign), "{planted}");
            assert!(foreign.windows(2).all(|two| two[0].number > two[1].number), "{planted}");
            assert!(foreign.iter().all(|change| u32::try_from(change.number).is_ok()), "{planted}");
            assert_eq!(snapshots(&bank, &own).await, were, "{planted}");
            let theirs = snapshots(&bank, foreign).await;
            assert!(theirs.iter().all(|(_, origin)| *origin == Origin::Foreign), "{planted}");
            let evil: Vec<usize> = theirs.iter().map(|(was, _)| was.observations().len()).collect();
            assert_eq!(evil, [3, 2, 1, 0], "{planted}: a planted change shows what its segment had");
        }
        // An undo takes back what is own, and no more.
        let request = UndoRequest { by: Some("alice".into()), dry_run: true, ..UndoRequest::default() };
        let report = undo(&bank, &caller(), &request).await.unwrap();
        assert_eq!((report.undone_items.len(), report.left_items.len()), (3, 0), "{planted}: {report:?}");
    }
}

#[tokio::test]
async fn a_compaction_beside_a_planted_segment_changes_no_number() {
    for planted in PLANTED {
        let (kept, id) = three_changes().await;
        plant(&kept, planted, &id);
        let mut own = listed(&kept.bank, 50).await;
        own.truncate(3);
        for text in ["good three", "good four"] {
            let bank = open(kept.root.path(), "state");
            bank.compact(&caller()).await.unwrap();
            observe(&bank, text).await;
            let newest = listed(&bank, 1).await.remove(0);
            assert_eq!(newest.number, own[0].number + 1, "{planted}");
            own.insert(0, newest);
            for page in [1, 50] {
                let all = listed(&open(kept.root.path(), "state"), page).await;
                assert_eq!(all[..own.len()], own, "{planted}");
                assert!(all[own.len()..].iter().all(|change| change.origin == Origin::Foreign), "{planted}");
            }
        }
    }
}

#[tokio::test]
async fn changes_after_segments_that_came_with_a_repository_keep_their_numbers_when_others_come_and_go() {
    for first in PLANTED {
        for second in PLANTED {
            let kept = kept();
            std::fs::create_dir_all(kept.root.path().join("memory-bank/.mbmcp/history")).unwrap();
            plant(&kept, first, "ent_AAAAAAAAAAAA");
            let draft = EntityDraft { name: "New".into(), entity_type: "thing".into(), attrs: None };
            let id = kept.bank.upsert_entity(&caller(), draft).await.unwrap().id;
            observe(&kept.bank, "good one").await;
            let is_own = |change: &GraphChange| change.origin == Origin::Own;
            let own: Vec<_> = listed(&kept.bank, 50).await.into_iter().filter(is_own).collect();
            assert_eq!(own.len(), 2, "{first}");
            plant(&kept, second, &id);
            kept.bank.compact(&caller()).await.unwrap();
            let history = kept.root.path().join("memory-bank/.mbmcp/history");
            for removed in [None, Some(first), Some(second)] {
                // A compaction may have replaced it by an own segment.
                let path = removed.map(|name| history.join(name));
                let is_planted = |path: &std::path::Path| {
                    std::fs::read_to_string(path).is_ok_and(|text| text.contains("evil"))
                };
                if let Some(path) = path.filter(|path| is_planted(path)) {
                    std::fs::remove_file(path).unwrap();
                }
                let all = listed(&open(kept.root.path(), "state"), 50).await;
                let mut numbers: Vec<i64> = all.iter().map(|change| change.number).collect();
                let found: Vec<_> = all.into_iter().filter(is_own).collect();
                assert_eq!(found, own, "{first} {second} {removed:?}");
                numbers.sort_unstable();
                assert!(numbers.windows(2).all(|two| two[0] < two[1]), "{first} {second}: {numbers:?}");
            }
        }
    }
}

#[tokio::test]
async fn a_line_about_erased_changes_in_the_log_moves_no_number() {
    let (kept, _) = three_changes().await;
    let own = listed(&kept.bank, 50).await;
    let log = kept.root.path().join("memory-bank/graph/graph.jsonl");
    let text = std::fs::read_to_string(&log).unwrap();
    let (before, last) = text.trim_end().rsplit_once('\n').unwrap();
    let mark = r#"{"type":"changes_erased","number":1000}"#;
    std::fs::write(&log, format!("{before}\n{mark}\n{last}\n")).unwrap();
    assert_eq!(listed(&open(kept.root.path(), "state"), 50).await, own);
    let bank = open(kept.root.path(), "state");
    bank.compact(&caller()).await.unwrap();
    assert_eq!(listed(&bank, 50).await, own);
}

#[tokio::test]
async fn a_planted_segment_takes_no_room_of_own_ones() {
    let (kept, id) = three_changes().await;
    plant(&kept, "graph-000000000000009.jsonl", &id);
    let history = kept.root.path().join("memory-bank/.mbmcp/history");
    let large = std::fs::OpenOptions::new().append(true).open(history.join("graph-000000000000009.jsonl"));
    large.unwrap().set_len(80 * 1024 * 1024).unwrap();
    let own = listed(&kept.bank, 50).await;
    kept.bank.compact(&caller()).await.unwrap();
    assert_eq!(listed(&kept.bank, 50).await[..3], own[..3]);
}

#[tokio::test]
async fn a_file_in_the_place_of_the_servers_folder_is_named_by_every_call_of_the_history() {
    let kept = kept();
    std::fs::write(kept.root.path().join("memory-bank/.mbmcp"), "x").unwrap();
    let bank = open(kept.root.path(), "state");
    let query =
        VersionQuery { subject: Subject::Project, since: None, until: None, by: None, after: None, limit: 5 };
    let newest = GraphChangeQuery::newest(GraphSubject::Project, 5);
    let request = UndoRequest { by: Some("alice".into()), ..UndoRequest::default() };
    for told in [
        bank.list_versions(&caller(), &query).await.unwrap_err().to_string(),
        bank.list_graph_changes(&caller(), &newest).await.unwrap_err().to_string(),
        bank.entity_chain(&caller(), &new(), 1).await.unwrap_err().to_string(),
        undo(&bank, &caller(), &request).await.unwrap_err().to_string(),
    ] {
        assert!(told.contains("`.mbmcp` is not a folder; remove it"), "{told}");
    }
}
