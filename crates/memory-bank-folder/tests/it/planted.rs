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

pub(crate) const MARKER: &str = r#"{"type":"memory_bank_graph","source":"memory-bank-mcp","version":"1"}"#;

fn new() -> EntityRef {
    EntityRef("New".into())
}

pub(crate) async fn observe(bank: &FolderBank, text: &str) {
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

pub(crate) fn is_own(change: &GraphChange) -> bool {
    change.origin == Origin::Own
}

/// The own changes of the entity, in pages of several sizes, which have the same changes.
async fn own_changes(kept: &Kept, case: &str) -> Vec<GraphChange> {
    let bank = open(kept.root.path(), "state");
    let all = listed(&bank, 50).await;
    for page in [1, 3] {
        assert_eq!(listed(&bank, page).await, all, "{case}: pages of {page}");
    }
    let mut numbers: Vec<i64> = all.iter().map(|change| change.number).collect();
    numbers.sort_unstable();
    assert!(numbers.is_sorted_by(|one, next| one < next), "{case}: {numbers:?}");
    all.into_iter().filter(is_own).collect()
}

pub(crate) async fn create(bank: &FolderBank) -> String {
    let draft = EntityDraft { name: "New".into(), entity_type: "thing".into(), attrs: None };
    bank.upsert_entity(&caller(), draft).await.unwrap().id
}

/// Writes a log that begins with a state, and a record that says at which number it begins.
fn bring_log(kept: &Kept, number: i64) {
    use sha2::{Digest as _, Sha256};
    let at = "2026-11-01T00:00:00Z";
    let entity = serde_json::json!({"type": "entity_upsert", "ts": at,
        "entity": {"id": "ent_AAAAAAAAAAAA", "name": "Old", "entityType": "thing", "createdAt": at, "updatedAt": at}});
    let stats = serde_json::json!({"entityCount": 1, "observationCount": 0, "relationCount": 0,
        "entityTypes": [], "relationTypes": []});
    let end = format!(
        r#"{{"type":"snapshot_written","ts":"{at}","snapshotPath":"graph/snapshot.json","stats":{stats}}}"#
    );
    let state = format!("{MARKER}\n{entity}\n{end}\n");
    let hash: String = Sha256::digest(&state).iter().map(|byte| format!("{byte:02x}")).collect();
    let record = serde_json::json!({"number": number, "bytes": state.len(), "hash": hash});
    let folder = kept.root.path().join("memory-bank");
    std::fs::create_dir_all(folder.join("graph")).unwrap();
    std::fs::write(folder.join("graph/graph.jsonl"), state).unwrap();
    std::fs::write(folder.join(".mbmcp/history/graph-log.json"), record.to_string()).unwrap();
}

#[tokio::test]
async fn numbers_that_a_repository_brings_leave_room_for_own_changes_and_no_segment_is_replaced() {
    const LAST: i64 = 1 << 31;
    let names = [LAST - 2, LAST, LAST + 1, 1 << 29, (1 << 29) + 1]
        .into_iter()
        .flat_map(|number| ["", ".imported"].map(|kind| format!("graph-{number:015}{kind}.jsonl")));
    let mut cases: Vec<(String, Option<&str>)> = names.map(|name| (name, None)).collect();
    for line in [r#""number":2147483647"#, r#""number":536870912"#, r#""number":1099511627776"#] {
        cases.push(("graph-000000000000000.imported.jsonl".into(), Some(line)));
    }
    cases.push(("graph-000000000000000.jsonl".into(), Some("mark")));
    for number in [-5, 1 << 29, LAST - 2, LAST, LAST + 1, 1 << 62] {
        cases.push((number.to_string(), Some("log")));
    }
    for (name, what) in cases {
        let case = format!("{name} {what:?}");
        let kept = kept();
        let history = kept.root.path().join("memory-bank/.mbmcp/history");
        std::fs::create_dir_all(&history).unwrap();
        if what == Some("log") {
            bring_log(&kept, name.parse().unwrap());
        } else {
            plant(&kept, &name, "ent_AAAAAAAAAAAA");
            let text = std::fs::read_to_string(history.join(&name)).unwrap();
            let text = match what {
                Some("mark") => {
                    let mark = r#"{"type":"changes_erased","number":2147483646}"#;
                    text.replacen(MARKER, &format!("{MARKER}\n{mark}"), 1)
                }
                Some(line) => text.replace(r#""number":3"#, line),
                None => text,
            };
            std::fs::write(history.join(&name), text).unwrap();
        }
        create(&kept.bank).await;
        let mut own: Vec<GraphChange> = Vec::new();
        for round in 1..4 {
            for text in ["one", "two"] {
                observe(&open(kept.root.path(), "state"), &format!("{text} {round}")).await;
            }
            let now = own_changes(&kept, &case).await;
            assert_eq!(now.len(), own.len() + if round == 1 { 3 } else { 2 }, "{case}");
            assert!(now.ends_with(&own), "{case}");
            assert!(now.iter().all(|change| change.number <= LAST), "{case}: {now:?}");
            open(kept.root.path(), "state").compact(&caller()).await.unwrap();
            assert_eq!(own_changes(&kept, &case).await, now, "{case}: a compaction changes nothing");
            own = now;
        }
        let request = UndoRequest { by: Some("alice".into()), dry_run: true, ..UndoRequest::default() };
        let report = undo(&kept.bank, &caller(), &request).await.unwrap();
        assert_eq!((report.undone_items.len(), report.left_items.len()), (7, 0), "{case}: {report:?}");
    }
}

#[tokio::test]
async fn a_compaction_takes_another_name_where_a_segment_has_the_usual_one() {
    let (kept, id) = three_changes().await;
    plant(&kept, "graph-000000000000002.jsonl", &id);
    let path = kept.root.path().join("memory-bank/.mbmcp/history/graph-000000000000002.jsonl");
    let planted = std::fs::read(&path).unwrap();
    let own = own_changes(&kept, "before").await;
    kept.bank.compact(&caller()).await.unwrap();
    assert_eq!(std::fs::read(&path).unwrap(), planted);
    assert_eq!(own_changes(&kept, "after").await, own);
    observe(&kept.bank, "good three").await;
    kept.bank.compact(&caller()).await.unwrap();
    let now = own_changes(&kept, "later").await;
    assert_eq!((&now[1..], now[0].number), (&own[..], 4));
}

/// A bank whose four own changes are in two segments and the log, and the entity's id.
async fn four_changes() -> (Kept, String) {
    let (kept, id) = three_changes().await;
    kept.bank.compact(&caller()).await.unwrap();
    observe(&kept.bank, "good three").await;
    (kept, id)
}

pub(crate) fn log_of(kept: &Kept) -> std::path::PathBuf {
    kept.root.path().join("memory-bank/graph/graph.jsonl")
}

#[tokio::test]
async fn a_file_in_the_place_of_an_own_segment_is_foreign_whatever_end_it_has() {
    for number in [0, 2] {
        for with_end in [false, true] {
            let case = format!("{number} {with_end}");
            let (kept, id) = four_changes().await;
            let own = own_changes(&kept, &case).await;
            assert_eq!(own.len(), 4, "{case}");
            let name = format!("graph-{number:015}.jsonl");
            let path = kept.root.path().join("memory-bank/.mbmcp/history").join(&name);
            let was = std::fs::read_to_string(&path).unwrap();
            plant(&kept, &name, &id);
            let mut text = std::fs::read_to_string(&path).unwrap();
            if with_end {
                // As long as the own one, with the line that shows it to be one.
                let (before, end) = was.trim_end().rsplit_once('\n').unwrap();
                text = text.split_inclusive('\n').take(3).collect();
                assert!(end.contains("segment_written"), "{case}");
                text = format!("{text}{}\n{end}\n", " ".repeat(before.len() - text.len()));
                assert_eq!(text.len(), was.len(), "{case}");
                std::fs::write(&path, text).unwrap();
            }
            for round in 0..2 {
                let now = own_changes(&kept, &case).await;
                assert!(now.iter().all(|change| own.contains(change)), "{case} {round}: {now:?}");
                let all = listed(&open(kept.root.path(), "state"), 50).await;
                let evil = |was: &EntitySnapshot| was.observations().iter().any(|fact| fact.text == "evil");
                for (change, (was, origin)) in all.iter().zip(snapshots(&kept.bank, &all).await) {
                    assert!(!evil(&was) || origin == Origin::Foreign, "{case} {round}: {change:?}");
                }
                assert_eq!(
                    all.iter().filter(|change| change.origin == Origin::Foreign).count(),
                    if with_end { 2 } else { 4 },
                    "{case} {round}: {all:?}"
                );
                kept.bank.compact(&caller()).await.unwrap();
            }
            // The own one returns.
            std::fs::write(&path, was).unwrap();
            assert_eq!(own_changes(&kept, &case).await, own, "{case}");
        }
    }
}
