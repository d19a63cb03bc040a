//! Logs of the graph that git or a backup brought back, or that are gone: what this program writes after them is own, and is listed once.

use memory_bank_core::graph::history::{GraphChange, GraphChangeQuery, GraphSubject, Origin};
use memory_bank_core::store::{
    EntityDraft, EntityRef, GraphHistoryStore as _, GraphStore as _, ObservationDraft, UndoRequest, undo,
};

use crate::history::{Kept, kept, open};
use crate::planted::{MARKER, create, is_own, log_of, observe};
use crate::support::caller;

/// What an undo of the user's changes of these facts takes back.
async fn undone(kept: &Kept) -> usize {
    let request = UndoRequest { by: Some("alice".into()), dry_run: true, ..UndoRequest::default() };
    undo(&kept.bank, &caller(), &request).await.unwrap().undone_items.len()
}

#[tokio::test]
async fn own_changes_after_a_log_that_was_removed_or_replaced_by_an_older_one_are_own_and_listed_once() {
    for older in ["gone", "empty", "before the first compaction", "after the first compaction", "of others"] {
        let kept = kept();
        create(&kept.bank).await;
        observe(&kept.bank, "good one").await;
        let first = std::fs::read(log_of(&kept)).unwrap();
        kept.bank.compact(&caller()).await.unwrap();
        observe(&kept.bank, "good two").await;
        let second = std::fs::read(log_of(&kept)).unwrap();
        kept.bank.compact(&caller()).await.unwrap();
        observe(&kept.bank, "good three").await;
        let last = std::fs::read(log_of(&kept)).unwrap();
        let others = r#"{"type":"entity_upsert","ts":"2026-11-01T00:00:00Z","entity":{"id":"ent_AAAAAAAAAAAA","name":"New","entityType":"thing","createdAt":"2026-11-01T00:00:00Z","updatedAt":"2026-11-01T00:00:00Z"}}"#;
        match older {
            "gone" => std::fs::remove_file(log_of(&kept)).unwrap(),
            "empty" => std::fs::write(log_of(&kept), "").unwrap(),
            "of others" => std::fs::write(log_of(&kept), format!("{MARKER}\n{others}\n")).unwrap(),
            "before the first compaction" => std::fs::write(log_of(&kept), &first).unwrap(),
            _ => std::fs::write(log_of(&kept), &second).unwrap(),
        }
        let is_empty = ["gone", "empty"].contains(&older);
        if is_empty {
            create(&kept.bank).await;
        }
        let before = undone(&kept).await;
        for text in ["later one", "later two"] {
            observe(&open(kept.root.path(), "state"), text).await;
        }
        let written = |all: &[GraphChange]| {
            all.iter().filter(|change| format!("{:?}", change.after).contains("later")).count()
        };
        let now = all_of_project(&kept, older).await;
        let own: Vec<GraphChange> = now.iter().filter(|change| is_own(change)).cloned().collect();
        assert_eq!((written(&own), written(&now)), (2, 2), "{older}: {now:?}");
        assert_eq!(own[0].author.as_deref(), Some("alice"), "{older}");
        assert!(
            now.iter().all(|change| change.origin != Origin::Foreign || older == "of others"),
            "{older}: {now:?}"
        );
        assert_eq!(undone(&kept).await, before + 2, "{older}: {now:?}");
        open(kept.root.path(), "state").compact(&caller()).await.unwrap();
        assert_eq!(all_of_project(&kept, older).await, now, "{older}: a compaction changes nothing");
        observe(&open(kept.root.path(), "state"), "later three").await;
        assert_eq!(all_of_project(&kept, older).await[1..], now, "{older}");
        open(kept.root.path(), "state").compact(&caller()).await.unwrap();
        // The newest log returns.
        std::fs::write(log_of(&kept), &last).unwrap();
        let back = all_of_project(&kept, older).await;
        let own_back = back.iter().filter(|change| is_own(change)).count();
        assert!(
            back.iter().filter(|change| written(&[(*change).clone()]) == 1).all(is_own),
            "{older}: {back:?}"
        );
        assert!(own_back > own.len(), "{older}: {back:?}");
        assert!(
            back.iter().all(|change| change.origin != Origin::Foreign || older == "of others"),
            "{older}"
        );
        for text in ["last one", "last two"] {
            observe(&open(kept.root.path(), "state"), text).await;
            let now = all_of_project(&kept, older).await;
            assert!(is_own(&now[0]), "{older}: {now:?}");
            open(kept.root.path(), "state").compact(&caller()).await.unwrap();
            assert_eq!(all_of_project(&kept, older).await, now, "{older}: a compaction changes nothing");
        }
    }
}

/// All changes, newest first; pages of several sizes have the same ones.
async fn all_of_project(kept: &Kept, case: &str) -> Vec<GraphChange> {
    let bank = open(kept.root.path(), "state");
    let mut pages = Vec::new();
    for page in [50, 1, 3] {
        let mut query = GraphChangeQuery::newest(GraphSubject::Project, page);
        let mut changes = Vec::new();
        loop {
            let found = bank.list_graph_changes(&caller(), &query).await.unwrap();
            changes.extend(found.changes);
            query.after = found.next;
            if query.after.is_none() {
                break;
            }
        }
        pages.push(changes);
    }
    let all = pages.swap_remove(0);
    assert!(pages.iter().all(|found| *found == all), "{case}: {all:?} {pages:?}");
    let mut numbers: Vec<i64> = all.iter().map(|change| change.number).collect();
    numbers.sort_unstable();
    assert!(numbers.is_sorted_by(|one, next| one < next), "{case}: {numbers:?}");
    all
}

#[tokio::test]
async fn an_erasure_after_a_log_that_was_removed_leaves_the_changes_beside_it_their_numbers() {
    for erases_first in [true, false] {
        let case = format!("{erases_first}");
        let kept = kept();
        create(&kept.bank).await;
        kept.bank.compact(&caller()).await.unwrap();
        observe(&kept.bank, "good one").await;
        kept.bank.compact(&caller()).await.unwrap();
        std::fs::remove_file(log_of(&kept)).unwrap();
        let draft = |name: &str| EntityDraft { name: name.into(), entity_type: "thing".into(), attrs: None };
        let names = if erases_first { ["Gone", "Stays"] } else { ["Stays", "Gone"] };
        for name in names {
            kept.bank.upsert_entity(&caller(), draft(name)).await.unwrap();
        }
        for name in names {
            let fact = ObservationDraft { text: format!("of {name}"), ..ObservationDraft::default() };
            kept.bank.add_observation(&caller(), &EntityRef(name.into()), fact).await.unwrap();
        }
        let stays = |all: Vec<GraphChange>| -> Vec<GraphChange> {
            all.into_iter().filter(|change| change.entity.as_deref() != Some("Gone")).collect()
        };
        let before = stays(all_of_project(&kept, &case).await);
        assert_eq!(before.iter().filter(|change| is_own(change)).count(), 4, "{case}: {before:?}");
        assert_eq!(kept.bank.erase_entity(&caller(), &EntityRef("Gone".into())).await.unwrap(), 2, "{case}");
        assert_eq!(all_of_project(&kept, &case).await, before, "{case}");
        observe_stays(&kept).await;
        kept.bank.compact(&caller()).await.unwrap();
        assert_eq!(all_of_project(&kept, &case).await[1..], before, "{case}");
    }
}

async fn observe_stays(kept: &Kept) {
    let fact = ObservationDraft { text: "later".into(), ..ObservationDraft::default() };
    kept.bank.add_observation(&caller(), &EntityRef("Stays".into()), fact).await.unwrap();
}
