//! Seals on the history: what somebody who edits the files can make of sealed lines and records.

use memory_bank_core::graph::history::{GraphChangeQuery, GraphSubject, Origin};
use memory_bank_core::history::VersionKind;
use memory_bank_core::store::{
    EntityDraft, EntityRef, GraphHistoryStore as _, GraphStore as _, ObservationDraft, UndoRequest, undo,
};
use memory_bank_folder::FolderBank;
use tempfile::TempDir;

use crate::graph_history::copy_of;
use crate::history::{file, kept, open, some, texts, versions, write};
use crate::support::caller;

async fn entity(bank: &FolderBank, name: &str, value: &str) {
    let attrs = serde_json::json!({"value": value}).as_object().cloned();
    let draft = EntityDraft { name: name.into(), entity_type: "thing".into(), attrs };
    bank.upsert_entity(&caller(), draft).await.unwrap();
}

/// Entity, origin and author of each change of the graph, oldest first.
async fn origins(bank: &FolderBank) -> Vec<String> {
    let query = GraphChangeQuery::newest(GraphSubject::Project, 200);
    let mut changes = bank.list_graph_changes(&caller(), &query).await.unwrap().changes;
    changes.reverse();
    let word = |change: &memory_bank_core::graph::history::GraphChange| {
        let entity = change.entity.as_deref().unwrap_or("?");
        format!("{entity} {} {}", change.origin.as_str(), change.author.as_deref().unwrap_or("nobody"))
    };
    changes.iter().map(word).collect()
}

#[tokio::test]
async fn a_sealed_line_that_is_repeated_or_moved_is_nobodys() {
    let own = "A own alice";
    let nobodys = "A outside nobody";
    for (order, expected) in [
        (&[0, 1, 2, 3][..], vec![own; 3]),
        (&[0, 1, 2, 3, 1], vec![own, own, own, nobodys]),
        (&[0, 1, 3, 2], vec![own, nobodys, nobodys]),
        (&[0, 1, 3], vec![own, nobodys]),
    ] {
        let kept = kept();
        for value in ["one", "two", "three"] {
            entity(&kept.bank, "A", value).await;
        }
        let log = kept.root.path().join("memory-bank/graph/graph.jsonl");
        let text = std::fs::read_to_string(&log).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        let changed: String = order.iter().map(|line| format!("{}\n", lines[*line])).collect();
        std::fs::write(&log, changed).unwrap();
        let bank = open(kept.root.path(), "state");
        let mut expected = expected;
        assert_eq!(origins(&bank).await, expected, "{order:?}");
        // What this user changes next is its own again, also after a compaction, which begins a new order.
        for name in ["B", "C"] {
            entity(&bank, name, "new").await;
            expected.push(if name == "B" { "B own alice" } else { "C own alice" });
            assert_eq!(origins(&bank).await, expected, "{order:?}");
            bank.compact(&caller()).await.unwrap();
            assert_eq!(origins(&bank).await, expected, "{order:?}");
        }
    }
}

#[tokio::test]
async fn a_file_of_the_history_of_another_bank_of_the_same_user_is_foreign() {
    let state = TempDir::new().unwrap();
    let banks = [kept().root, kept().root];
    for (root, text) in banks.iter().zip(["one\n", "another\n"]) {
        write(&open(root.path(), state.path().to_str().unwrap()), "a.md", text).await;
    }
    let files = banks.each_ref().map(|root| {
        let history = root.path().join("memory-bank/.mbmcp/history");
        let logs = std::fs::read_dir(&history).unwrap().map(|entry| entry.unwrap().path());
        logs.filter(|path| path.extension().is_some_and(|ending| ending == "log")).collect::<Vec<_>>()
    });
    assert_eq!((files[0].len(), files[1].len()), (1, 1));
    std::fs::copy(&files[1][0], &files[0][0]).unwrap();
    std::fs::write(banks[0].path().join("memory-bank/a.md"), "another\n").unwrap();
    let bank = open(banks[0].path(), state.path().to_str().unwrap());
    let found = versions(&bank, "a.md").await;
    let seen: Vec<_> = found.iter().map(|(version, _)| (version.kind, version.author.clone())).collect();
    assert_eq!(seen, [(VersionKind::Foreign, None)]);
    // What this user writes next is its own.
    write(&bank, "a.md", "three\n").await;
    let found = versions(&bank, "a.md").await;
    assert_eq!(found.last().unwrap().0.author.as_deref(), Some("alice"));
    // Where a bank was moved, its versions stay the user's.
    let moved = TempDir::new().unwrap();
    copy_of(banks[1].path(), moved.path());
    let found = versions(&open(moved.path(), state.path().to_str().unwrap()), "a.md").await;
    assert_eq!(found[0].0.author.as_deref(), Some("alice"));
}

#[tokio::test]
async fn a_bank_that_its_user_moved_with_its_history_is_still_its_own() {
    let elsewhere = TempDir::new().unwrap();
    // A key in the project counts for its own folder only.
    for (state, expected) in
        [(elsewhere.path().to_str().unwrap(), "A own alice"), ("state", "A foreign nobody")]
    {
        let root = kept().root;
        entity(&open(root.path(), state), "A", "one").await;
        let moved = TempDir::new().unwrap();
        copy_of(root.path(), moved.path());
        assert_eq!(origins(&open(moved.path(), state)).await, [expected]);
    }
}

#[tokio::test]
async fn an_erased_entity_leaves_the_changes_beside_it_to_their_author() {
    let kept = kept();
    for (name, value) in [("A", "one"), ("B", "one"), ("A", "two"), ("B", "two"), ("C", "one")] {
        entity(&kept.bank, name, value).await;
    }
    assert!(kept.bank.erase_entity(&caller(), &EntityRef("A".into())).await.unwrap() > 0);
    assert_eq!(origins(&kept.bank).await, ["B own alice", "B own alice", "C own alice"]);
    // Once more, with what the first erasure left in place of lines.
    kept.bank.erase_entity(&caller(), &EntityRef("B".into())).await.unwrap();
    entity(&kept.bank, "C", "two").await;
    assert_eq!(origins(&kept.bank).await, ["C own alice", "C own alice"]);
}

#[tokio::test]
async fn what_a_server_without_a_history_writes_is_not_foreign() {
    let kept = kept();
    kept.bank.set_history(0, false);
    entity(&kept.bank, "A", "one").await;
    assert_eq!(origins(&kept.bank).await, ["A own nobody"]);
    let last = 1;
    let chain = kept.bank.entity_chain(&caller(), &EntityRef("A".into()), last).await.unwrap();
    assert_eq!(chain.origin, Origin::Own);
    // It is of no user, so nobody takes it back as its own.
    let request = UndoRequest { by: Some("alice".into()), ..UndoRequest::default() };
    assert!(!undo(&kept.bank, &caller(), &request).await.unwrap().is_written);
    kept.bank.set_history(365, false);
    entity(&kept.bank, "A", "two").await;
    assert_eq!(origins(&kept.bank).await, ["A own nobody", "A own alice"]);
}

#[tokio::test]
async fn a_sealed_record_that_is_repeated_hides_no_later_version() {
    let kept = kept();
    for text in ["one\n", "two\n", "three\n"] {
        write(&kept.bank, "a.md", text).await;
    }
    let path = file(&kept);
    let whole = std::fs::read(&path).unwrap();
    let starts: Vec<usize> =
        whole.windows(4).enumerate().filter(|(_, four)| *four == b"mbh1").map(|(at, _)| at).collect();
    let (first, second) = (&whole[..starts[1]], &whole[starts[1]..starts[2]]);
    for copies in [first.to_vec(), [first, second].concat()] {
        std::fs::write(&path, [&whole[..], &copies].concat()).unwrap();
        let bank = open(kept.root.path(), "state");
        assert_eq!(texts(&bank, "a.md").await, some(&["one\n", "two\n", "three\n"]));
        write(&bank, "a.md", "four\n").await;
        assert_eq!(texts(&bank, "a.md").await, some(&["one\n", "two\n", "three\n", "four\n"]));
        let found = versions(&bank, "a.md").await;
        assert!(found.iter().all(|(version, _)| version.author.as_deref() == Some("alice")), "{found:?}");
        std::fs::write(document(&kept), "three\n").unwrap();
    }
    // Without one in the middle, those after it are nobody's, and what comes next is the user's.
    std::fs::write(&path, [first, &whole[starts[2]..]].concat()).unwrap();
    let bank = open(kept.root.path(), "state");
    write(&bank, "a.md", "four\n").await;
    let found = versions(&bank, "a.md").await;
    let last = &found.last().unwrap().0;
    assert_eq!((last.author.as_deref(), last.kind), (Some("alice"), VersionKind::Changed));
    assert!(found.iter().any(|(version, _)| version.kind == VersionKind::Foreign), "{found:?}");
    let numbers: Vec<i64> = found.iter().map(|(version, _)| version.number).collect();
    assert!(numbers.windows(2).all(|pair| pair[0] < pair[1]), "{numbers:?}");
}

fn document(kept: &crate::history::Kept) -> std::path::PathBuf {
    crate::history::document(kept, "a.md")
}

#[tokio::test]
async fn folders_in_the_places_of_the_historys_files_do_not_turn_it_off() {
    for planted in ["records.id", "seen.json", "graph-seal.id", "graph-log.json"] {
        let kept = kept();
        let history = kept.root.path().join("memory-bank/.mbmcp/history");
        std::fs::create_dir_all(history.join(planted).join("x")).unwrap();
        write(&kept.bank, "a.md", "one\n").await;
        write(&kept.bank, "a.md", "two\n").await;
        assert_eq!(texts(&kept.bank, "a.md").await, some(&["one\n", "two\n"]), "{planted}");
        let bank = open(kept.root.path(), "state");
        let own = versions(&bank, "a.md").await;
        assert!(own.iter().all(|(version, _)| version.kind != VersionKind::Foreign), "{planted}: {own:?}");
    }
    // In the place of the folder, or of the versions of a document.
    let kept = kept();
    let internal = kept.root.path().join("memory-bank/.mbmcp");
    std::fs::create_dir_all(&internal).unwrap();
    std::fs::write(internal.join("history"), "x").unwrap();
    write(&kept.bank, "a.md", "one\n").await;
    let versions = file(&kept);
    std::fs::remove_file(&versions).unwrap();
    std::fs::create_dir_all(versions.join("x")).unwrap();
    write(&kept.bank, "a.md", "two\n").await;
    assert_eq!(texts(&kept.bank, "a.md").await, some(&["one\n", "two\n"]));
}

#[tokio::test]
async fn a_planted_segment_brings_no_fact_back_by_the_number_of_an_own_change() {
    for planted in ["0", "1", "2"].map(|number| format!("graph-{number:0>15}.imported.jsonl")) {
        let kept = kept();
        entity(&kept.bank, "New", "1").await;
        let new = EntityRef("New".into());
        let fact = |text: &str| ObservationDraft { text: text.into(), ..ObservationDraft::default() };
        kept.bank.add_observation(&caller(), &new, fact("good one")).await.unwrap();
        kept.bank.compact(&caller()).await.unwrap();
        kept.bank.add_observation(&caller(), &new, fact("good two")).await.unwrap();
        let id = kept.bank.entity_chain(&caller(), &new, 0).await.unwrap().now.id;
        let at = "2026-11-01T00:00:00Z";
        let mut lines = vec![
            serde_json::json!({"type": "memory_bank_graph", "source": "memory-bank-mcp", "version": "1"}),
            serde_json::json!({"type": "entity_upsert", "ts": at, "number": 1, "key": "k",
                "entity": {"id": id, "name": "New", "entityType": "thing", "createdAt": at, "updatedAt": at}}),
        ];
        for number in 2..5 {
            let evil = serde_json::json!({"id": format!("obs_EVILEVIL000{number}"), "entityId": id, "text": "evil", "timestamp": at});
            lines.push(serde_json::json!({"type": "observation_add", "ts": at, "number": number, "key": "k", "observation": evil}));
        }
        let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
        std::fs::write(kept.root.path().join("memory-bank/.mbmcp/history").join(&planted), text).unwrap();
        let bank = open(kept.root.path(), "state");
        let now = bank.entity_chain(&caller(), &new, 0).await.unwrap().now;
        assert!(now.observations().iter().all(|one| one.text.starts_with("good")), "{planted}");
        for number in 1..10 {
            let Ok(chain) = bank.entity_chain(&caller(), &new, number).await else { continue };
            let has_evil = chain.start().observations().iter().any(|one| one.text == "evil");
            assert!(!has_evil || chain.origin == Origin::Foreign, "{planted}: {number}");
        }
    }
}

#[tokio::test]
async fn a_planted_segment_leaves_own_changes_own_also_before_the_first_compaction() {
    for (planted, line) in [
        (
            "graph-000000000000001.imported.jsonl",
            r#"{"type":"entity_upsert","ts":"2026-11-01T00:00:00Z","number":1,"key":"k","entity":{"id":"ent_AAAAAAAAAAAA","name":"Theirs","entityType":"t","createdAt":"2026-11-01T00:00:00Z","updatedAt":"2026-11-01T00:00:00Z"}}"#,
        ),
        (
            "graph-000000000000005.jsonl",
            r#"{"type":"changes_erased","number":9223372036854775807,"numbers":[9223372036854775807,1,2]}"#,
        ),
    ] {
        let kept = kept();
        let history = kept.root.path().join("memory-bank/.mbmcp/history");
        std::fs::create_dir_all(&history).unwrap();
        let marker = r#"{"type":"memory_bank_graph","source":"memory-bank-mcp","version":"1"}"#;
        std::fs::write(history.join(planted), format!("{marker}\n{line}\n")).unwrap();
        for value in ["1", "2"] {
            entity(&kept.bank, "Mine", value).await;
        }
        let bank = open(kept.root.path(), "state");
        let own = origins(&bank).await.into_iter().filter(|word| word == "Mine own alice").count();
        assert_eq!(own, 2, "{planted}: {:?}", origins(&bank).await);
        let request = UndoRequest { by: Some("alice".into()), ..UndoRequest::default() };
        let report = undo(&bank, &caller(), &request).await.unwrap();
        assert_eq!((report.undone_items.len(), report.left_items.len()), (1, 0), "{planted}: {report:?}");
    }
}
