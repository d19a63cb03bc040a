//! Random changes of the graph in transfers, in both directions.

use memory_bank_core::caller::{Caller, Role};
use memory_bank_core::graph::Validity;
use memory_bank_core::graph::history::{EntityRestored, GraphItem};
use memory_bank_core::history::ChangeContext;
use memory_bank_core::store::{
    Bank, EntityDraft, EntityRef, GraphStore, ObservationDraft, UndoRequest, undo,
};
use memory_bank_core::transfer::{ExistingContentPolicy, HistoryCount};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, TestRunner};
use serde_json::json;
use uuid::Uuid;

use super::{assert_same, changes, graph_in, graph_of};
use crate::history_transfer::TransferFolders;
use crate::support::Bench;

/// One change of a random history; numbers choose names, texts and callers.
#[derive(Debug, Clone)]
enum Step {
    Upsert(u8, u8),
    Fact(u8, u8, bool),
    Forget(u8),
    Link(u8, u8),
    Unlink(u8, u8),
    Delete(u8),
    Restore(u8),
    Undo(bool),
}

fn steps() -> impl Strategy<Value = Vec<(bool, Step)>> {
    let step = prop_oneof![
        6 => (0..4_u8, any::<u8>()).prop_map(|(name, value)| Step::Upsert(name, value)),
        6 => (0..4_u8, 0..20_u8, any::<bool>()).prop_map(|(name, text, ends)| Step::Fact(name, text, ends)),
        2 => any::<u8>().prop_map(Step::Forget),
        4 => (0..4_u8, 0..4_u8).prop_map(|(from, to)| Step::Link(from, to)),
        1 => (0..4_u8, 0..4_u8).prop_map(|(from, to)| Step::Unlink(from, to)),
        2 => (0..4_u8).prop_map(Step::Delete),
        2 => any::<u8>().prop_map(Step::Restore),
        1 => any::<bool>().prop_map(Step::Undo),
    ];
    proptest::collection::vec((any::<bool>(), step), 1..50)
}

fn named(number: u8) -> EntityRef {
    EntityRef(["Api", "Store", "Queue é", "Cache \u{1F600}"][usize::from(number)].to_owned())
}

/// Makes one random change. A step that the graph does not allow changes nothing.
async fn take(bank: &dyn Bank, owner: &Caller, editor: &Caller, is_owner: bool, step: &Step) {
    let caller = if is_owner { owner } else { editor };
    let session = Uuid::from_u128((7 << 76) | (2 << 62) | u128::from(is_owner)).to_string();
    let context = ChangeContext { session: Some(session), ..ChangeContext::of_tool("graph_tool") };
    let bank = bank.in_context(&context);
    match step {
        Step::Upsert(name, value) => {
            let EntityRef(name) = named(*name);
            // Another spelling is the same entity.
            let name = if value % 5 == 0 { name.to_uppercase() } else { name };
            let attrs = json!({"b": value, "a": [null, {"deep": "x\n"}]});
            let attrs = attrs.as_object().cloned().filter(|_| value % 3 > 0);
            let draft = EntityDraft { name, entity_type: "thing".into(), attrs };
            bank.upsert_entity(caller, draft).await.unwrap();
        }
        Step::Fact(name, text, ends) => {
            let until = ends.then(|| "2026-12-01".to_owned());
            let validity = Validity { valid_until: until, ..Validity::default() };
            let text = format!("fact {text} \u{1F600}\r\nline");
            let draft = ObservationDraft { text, validity, ..ObservationDraft::default() };
            let _missing = bank.add_observation(caller, &named(*name), draft).await;
        }
        Step::Forget(which) => {
            let all = changes(&*bank, owner).await;
            let facts: Vec<&str> = all
                .iter()
                .filter(|change| matches!(change.item(), Some(GraphItem::Observation(_))))
                .map(|change| change.id.as_str())
                .collect();
            if let Some(id) = facts.get(usize::from(*which) % facts.len().max(1)) {
                let _missing = bank.delete_observation(owner, id, None).await;
            }
        }
        Step::Link(from, to) => {
            let _missing = bank.link(caller, &named(*from), "uses", &named(*to)).await;
        }
        Step::Unlink(from, to) => {
            let _missing = bank.unlink(caller, &named(*from), "uses", &named(*to)).await;
        }
        Step::Delete(name) => {
            let _missing = bank.delete_entity(owner, &named(*name)).await;
        }
        Step::Restore(which) => {
            let all = changes(&*bank, owner).await;
            if let Some(change) = all.get(usize::from(*which) % all.len().max(1)) {
                let entity = EntityRef(change.item().unwrap().entity_id().to_owned());
                let was = bank.entity_chain(owner, &entity, change.number).await.unwrap().start();
                let _done: EntityRestored = bank.restore_entity(owner, &was, &[]).await.unwrap();
            }
        }
        Step::Undo(of_owner) => {
            let user = if *of_owner { owner } else { editor };
            let context = ChangeContext { restores: true, ..ChangeContext::of_tool("history") };
            let by = Some(user.user_name.clone());
            undo(&*bank, owner, &UndoRequest { by, context, ..UndoRequest::default() }).await.unwrap();
        }
    }
}

/// Random histories, the same ones in each run.
fn histories() -> Vec<Vec<(bool, Step)>> {
    let cases = std::env::var("TRANSFER_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(10);
    let mut runner = TestRunner::new_with_rng(
        Config::default(),
        proptest::test_runner::TestRng::deterministic_rng(proptest::test_runner::RngAlgorithm::ChaCha),
    );
    let mut history = || {
        // Without a change there is nothing to carry.
        let mut all = vec![(true, Step::Upsert(0, 1)), (false, Step::Fact(0, 1, true))];
        all.extend(steps().new_tree(&mut runner).unwrap().current());
        all
    };
    let mut histories: Vec<Vec<(bool, Step)>> = (0..cases).map(|_| history()).collect();
    // In one of them nothing is left but the history.
    if let Some(first) = histories.first_mut() {
        first.extend((0..4).map(|name| (true, Step::Delete(name))));
    }
    histories
}

#[tokio::test]
async fn random_changes_of_the_graph_of_a_database_return_from_a_folder_as_they_were() {
    let (bench, folders) = (Bench::new().await, TransferFolders::new());
    let bank = bench.bank();
    for (case, steps) in histories().into_iter().enumerate() {
        let name = |letter: char| format!("{letter}{case}");
        let alice = bench.tenant("alice", &name('a')).await;
        let bob = bench.member("bob", &name('a'), Role::Editor).await;
        for (is_alice, step) in &steps {
            take(&bank, &alice, &bob, *is_alice, step).await;
        }
        let what = format!("history {case}: {steps:?}");
        let before = changes(&bank, &alice).await;
        let count = folders.export(&bank, &alice, &name('f')).await;
        assert_eq!(count, HistoryCount { changes: before.len(), ..HistoryCount::default() }, "{what}");
        assert_same((&bank, &alice), (&folders.bank(&name('f')), &alice), &what).await;
        assert_eq!(graph_of(&bank, &alice).await, graph_in(&folders, &name('f')).await, "{what}");

        let carol = bench.tenant("carol", &name('b')).await;
        let imported = folders.import(&name('f'), &bank, &carol, ExistingContentPolicy::Empty).await.unwrap();
        assert_eq!(imported.history, count, "{what}");
        assert_same((&bank, &alice), (&bank, &carol), &what).await;
        assert_eq!(graph_of(&bank, &alice).await, graph_of(&bank, &carol).await, "{what}");

        folders.export(&bank, &carol, &name('g')).await;
        assert_same((&bank, &alice), (&folders.bank(&name('g')), &alice), &what).await;
        // A second import adds no history.
        let again = folders.import(&name('g'), &bank, &carol, ExistingContentPolicy::Merge).await.unwrap();
        assert_eq!((again.history.changes, again.history.changes_left_out), (0, before.len()), "{what}");
    }
}

#[tokio::test]
async fn random_changes_of_the_graph_of_a_folder_come_into_a_database_as_they_were() {
    let (bench, folders) = (Bench::new().await, TransferFolders::new());
    let bank = bench.bank();
    for (case, steps) in histories().into_iter().enumerate() {
        let name = |letter: char| format!("{letter}{case}");
        std::fs::create_dir_all(folders.project(&name('f')).join("memory-bank")).unwrap();
        let folder = folders.bank(&name('f'));
        let owner = Caller::local("alice");
        let editor = Caller { user_name: "bob".to_owned(), role: Role::Editor, ..owner.clone() };
        for (folders, (is_owner, step)) in steps.iter().enumerate() {
            if folders == steps.len() / 2 {
                folder.compact(&owner).await.unwrap();
            }
            take(&folder, &owner, &editor, *is_owner, step).await;
        }
        let what = format!("history {case}: {steps:?}");
        let carol = bench.tenant("carol", &name('b')).await;
        let imported = folders.import(&name('f'), &bank, &carol, ExistingContentPolicy::Empty).await.unwrap();
        let all = changes(&folder, &owner).await;
        assert_eq!((imported.history.changes, imported.history.changes_left_out), (all.len(), 0), "{what}");
        assert_same((&folder, &owner), (&bank, &carol), &what).await;
        assert_eq!(graph_in(&folders, &name('f')).await, graph_of(&bank, &carol).await, "{what}");
        folders.export(&bank, &carol, &name('g')).await;
        assert_same((&folder, &owner), (&folders.bank(&name('g')), &owner), &what).await;
        assert_eq!(graph_in(&folders, &name('f')).await, graph_in(&folders, &name('g')).await, "{what}");
    }
}
