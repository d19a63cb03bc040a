//! Random histories of documents in transfers, in both directions.

use memory_bank_core::caller::{Caller, Role};
use memory_bank_core::history::{Subject, Version, VersionQuery};
use memory_bank_core::store::{Bank, Drafts};
use memory_bank_core::transfer::{ExistingContentPolicy, HistoryCount};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, TestRunner};

use super::{TransferFolders, assert_same, delete, documents, edit, rename, set, undo_of, versions};
use crate::support::{Bench, path};

/// One change of a random history; numbers choose names, lines and callers.
#[derive(Debug, Clone)]
enum Step {
    Write(u8, Vec<u8>),
    Append(u8, u8),
    Rewrite(u8, u8),
    Rename(u8, u8),
    Delete(u8),
    Restore(u8, u8),
}

fn steps() -> impl Strategy<Value = Vec<(bool, Step)>> {
    let step = prop_oneof![
        4 => (0..5_u8, proptest::collection::vec(0..4_u8, 0..6)).prop_map(|(name, lines)| Step::Write(name, lines)),
        4 => (0..5_u8, any::<u8>()).prop_map(|(name, line)| Step::Append(name, line)),
        1 => (0..5_u8, any::<u8>()).prop_map(|(name, line)| Step::Rewrite(name, line)),
        3 => (0..5_u8, 0..5_u8).prop_map(|(from, to)| Step::Rename(from, to)),
        2 => (0..5_u8).prop_map(Step::Delete),
        2 => (0..5_u8, any::<u8>()).prop_map(|(name, version)| Step::Restore(name, version)),
    ];
    proptest::collection::vec((any::<bool>(), step), 1..60)
}

/// Makes one random change.
async fn take(bank: &dyn Bank, owner: &Caller, editor: &Caller, is_owner: bool, step: &Step) {
    let name = |number: u8| format!("sub/{}.md", char::from(b'a' + number));
    let caller = if is_owner { owner } else { editor };
    let now = documents(bank, owner).await;
    match step {
        Step::Write(one, lines) => {
            let text: String = lines.iter().map(|line| format!("line {line} é\r\n")).collect();
            set(bank, caller, &name(*one), &text).await;
        }
        Step::Append(one, line) => {
            let text = now.get(&name(*one)).cloned().unwrap_or_default();
            set(bank, caller, &name(*one), &format!("{text}- entry {line} \u{1F600}\n")).await;
        }
        Step::Rewrite(one, line) => set(bank, caller, &name(*one), &format!("{line} ").repeat(3000)).await,
        Step::Rename(from, to) => {
            if now.contains_key(&name(*from)) && !now.contains_key(&name(*to)) {
                rename(bank, caller, &name(*from), &name(*to)).await;
            }
        }
        Step::Delete(one) => {
            if now.contains_key(&name(*one)) {
                delete(bank, owner, &name(*one)).await;
            }
        }
        Step::Restore(one, which) => {
            let subject = Subject::Document(path(&name(*one)));
            let query = VersionQuery { subject, since: None, until: None, by: None, after: None, limit: 200 };
            let Ok(page) = bank.list_versions(caller, &query).await else { return };
            let version = &page.versions[usize::from(*which) % page.versions.len()];
            let read = bank.read_version(caller, &path(&name(*one)), version.number).await.unwrap();
            if let Some(text) = read.text {
                let set = |drafts: &mut Drafts| drafts.set(&path(&name(*one)), text.clone()).unwrap();
                edit(bank, caller, &[&name(*one)], true, set).await;
            }
        }
    }
}

/// How many random histories are tried.
fn cases() -> u32 {
    std::env::var("TRANSFER_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(12)
}

/// Random histories, the same ones in each run.
fn histories() -> Vec<Vec<(bool, Step)>> {
    let mut runner = TestRunner::new_with_rng(
        Config::default(),
        proptest::test_runner::TestRng::deterministic_rng(proptest::test_runner::RngAlgorithm::ChaCha),
    );
    let mut history = || {
        // Without a version there is no bank.
        let mut all = vec![(true, Step::Write(0, vec![1]))];
        all.extend(steps().new_tree(&mut runner).unwrap().current());
        all
    };
    let mut histories: Vec<Vec<(bool, Step)>> = (0..cases()).map(|_| history()).collect();
    // In one of them nothing is left but the history.
    if let Some(first) = histories.first_mut() {
        first.extend((0..5).map(|name| (true, Step::Delete(name))));
    }
    histories
}

/// Both banks have the same documents and versions; what the second one has is marked as imported.

#[tokio::test]
async fn random_histories_of_a_database_return_from_a_folder_as_they_were() {
    let (bench, folders) = (Bench::new().await, TransferFolders::new());
    let bank = bench.bank();
    for (case, steps) in histories().into_iter().enumerate() {
        let name = |letter: char| format!("{letter}{case}");
        let alice = bench.tenant("alice", &name('a')).await;
        let bob = bench.member("bob", &name('a'), Role::Editor).await;
        for (is_alice, step) in &steps {
            take(&bank, &alice, &bob, *is_alice, step).await;
        }
        undo_of(&bank, &alice, "bob").await;
        let what = format!("history {case}: {steps:?}");
        let before = versions(&bank, &alice).await;
        let count = folders.export(&bank, &alice, &name('f')).await;
        assert_eq!(count, HistoryCount { versions: before.len(), ..HistoryCount::default() }, "{what}");
        assert_same((&bank, &alice), (&folders.bank(&name('f')), &alice), &what).await;

        let carol = bench.tenant("carol", &name('b')).await;
        let imported = folders.import(&name('f'), &bank, &carol, ExistingContentPolicy::Empty).await.unwrap();
        assert_eq!(imported.history, count, "{what}");
        assert_same((&bank, &alice), (&bank, &carol), &what).await;
        let replaced = |versions: &[Version]| versions.iter().map(|one| one.replaced).collect::<Vec<_>>();
        assert_eq!(replaced(&before), replaced(&versions(&bank, &carol).await), "{what}");

        folders.export(&bank, &carol, &name('g')).await;
        assert_same((&bank, &alice), (&folders.bank(&name('g')), &alice), &what).await;
        // A second import changes nothing.
        let again = folders.import(&name('g'), &bank, &carol, ExistingContentPolicy::Merge).await.unwrap();
        assert_eq!((again.added, again.changed, again.history.versions), (0, 0, 0), "{what}");
        assert_same((&bank, &alice), (&bank, &carol), &what).await;
    }
}

#[tokio::test]
async fn random_histories_of_a_folder_come_into_a_database_as_they_were() {
    let (bench, folders) = (Bench::new().await, TransferFolders::new());
    let bank = bench.bank();
    for (case, steps) in histories().into_iter().enumerate() {
        let name = |letter: char| format!("{letter}{case}");
        std::fs::create_dir_all(folders.project(&name('f')).join("memory-bank")).unwrap();
        let folder = folders.bank(&name('f'));
        let owner = Caller::local("alice");
        let editor = Caller { user_name: "bob".to_owned(), role: Role::Editor, ..owner.clone() };
        for (is_owner, step) in &steps {
            take(&folder, &owner, &editor, *is_owner, step).await;
        }
        undo_of(&folder, &owner, "bob").await;
        let what = format!("history {case}: {steps:?}");
        let carol = bench.tenant("carol", &name('b')).await;
        folders.import(&name('f'), &bank, &carol, ExistingContentPolicy::Empty).await.unwrap();
        assert_same((&folder, &owner), (&bank, &carol), &what).await;
        folders.export(&bank, &carol, &name('g')).await;
        assert_same((&folder, &owner), (&folders.bank(&name('g')), &owner), &what).await;
    }
}
