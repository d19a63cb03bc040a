//! An undo of several documents, in a process that is killed: it is made as a whole or not at all.

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use memory_bank_core::history::{ChangeContext, VersionKind};
use memory_bank_core::store::{
    Bank, DocumentStore, Drafts, EntityDraft, EntityRef, GraphHistoryStore, ReadOutcome, UndoReport,
    UndoRequest, undo,
};
use memory_bank_folder::FolderBank;

use crate::history::{kept, open, versions, write_with};
use crate::support::{caller, name};

/// The folder of the child that is killed.
const KILLED: &str = "MEMORY_BANK_KILLED_IN_UNDO";
const NAMES: [&str; 3] = ["a.md", "b.md", "c.md"];

fn context(turn: u64) -> ChangeContext {
    ChangeContext { session: Some(format!("session {turn}")), ..ChangeContext::of_tool("edit") }
}

async fn undo_turn(bank: &FolderBank, turn: u64) -> UndoReport {
    let context = ChangeContext { restores: true, ..ChangeContext::of_tool("history") };
    let request = UndoRequest { session: context_of(turn), context, ..UndoRequest::default() };
    undo(bank, &caller(), &request).await.unwrap()
}

fn context_of(turn: u64) -> Option<String> {
    context(turn).session
}

async fn state(bank: &FolderBank) -> Vec<Option<String>> {
    let read = bank.read(&caller(), &NAMES.map(name)).await.unwrap();
    let text = |outcome: ReadOutcome| match outcome {
        ReadOutcome::Found(document) => Ok(Some(document.content)),
        ReadOutcome::Missing => Ok(None),
        other => Err(other),
    };
    read.into_iter().map(|outcome| text(outcome).unwrap()).collect()
}

/// A session that renames and changes a document and creates another one, which is undone.
async fn turn(bank: &FolderBank, number: u64) {
    let context = context(number);
    let (a, b) = (name("a.md"), name("b.md"));
    let mut rename = |drafts: &mut Drafts| {
        drafts.set_context(&context);
        let text = drafts.text(&a).unwrap().to_owned();
        drafts.delete(&a)?;
        drafts.set(&b, text)
    };
    bank.edit(&caller(), &[a.clone(), b.clone()], &mut rename).await.unwrap();
    write_with(bank, "b.md", Some("changed\n"), &context).await;
    write_with(bank, "c.md", Some("new\n"), &context).await;
    assert_eq!(undo_turn(bank, number).await.undone.len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_undo_is_made_as_a_whole_or_not_at_all() {
    if let Some(path) = std::env::var_os(KILLED) {
        // The child undoes until it is killed; the bound applies if the parent died.
        let bank = open(&PathBuf::from(path), "state");
        let started = Instant::now();
        write_with(&bank, "a.md", Some("first\n"), &ChangeContext::default()).await;
        for number in 1_u64.. {
            turn(&bank, number).await;
            assert!(started.elapsed() < Duration::from_secs(20));
        }
        return;
    }
    for round in 0..20_u64 {
        let kept = kept();
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "undo_killed::a_killed_undo_is_made_as_a_whole_or_not_at_all"])
            .env(KILLED, kept.root.path())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let started = Instant::now();
        while !kept.root.path().join("memory-bank/c.md").exists() {
            assert!(started.elapsed() < Duration::from_secs(20), "the child never wrote");
            std::thread::sleep(Duration::from_millis(1));
        }
        std::thread::sleep(Duration::from_micros(round * 977 % 9000));
        child.kill().unwrap();
        child.wait().unwrap();
        let bank = open(kept.root.path(), "state");
        let some = |text: &str| Some(text.to_owned());
        let now = state(&bank).await;
        let possible = [
            vec![some("first\n"), None, None],
            vec![None, some("first\n"), None],
            vec![None, some("changed\n"), None],
            vec![None, some("changed\n"), some("new\n")],
        ];
        assert!(possible.contains(&now), "round {round}: {now:?}");
        for (document, text) in NAMES.iter().zip(&now).filter(|(_, text)| text.is_some()) {
            let found = versions(&bank, document).await;
            assert_eq!(found.last().map(|(_, text)| text), Some(text), "round {round}: {document}");
            let all_read = found.iter().all(|(version, text)| text.is_some() || version.etag.is_none());
            assert!(all_read, "round {round}: {found:?}");
            let noted = found.iter().all(|(version, _)| version.kind != VersionKind::Outside);
            assert!(noted, "round {round}: {found:?}");
        }
        let last = versions(&bank, if now[0].is_some() { "a.md" } else { "b.md" }).await;
        let sessions = last.iter().filter_map(|(version, _)| version.session.clone());
        let turns = sessions.filter_map(|session| session.strip_prefix("session ")?.parse().ok());
        undo_turn(&bank, turns.max().unwrap_or(1)).await;
        assert_eq!(state(&bank).await, possible[0], "round {round}");
    }
}

/// The folder of the child that is killed in an undo of swapped names.
const KILLED_IN_SWAP: &str = "MEMORY_BANK_KILLED_IN_SWAP";

/// A session that swaps the names of two documents, which is undone.
async fn swap_turn(bank: &FolderBank, number: u64) {
    let context = context(number);
    for (from, to) in [("a.md", "c.md"), ("b.md", "a.md"), ("c.md", "b.md")] {
        let (from, to) = (name(from), name(to));
        let mut rename = |drafts: &mut Drafts| {
            drafts.set_context(&context);
            let text = drafts.text(&from).unwrap().to_owned();
            drafts.delete(&from)?;
            drafts.set(&to, text)
        };
        bank.edit(&caller(), &[from.clone(), to.clone()], &mut rename).await.unwrap();
    }
    let report = undo_turn(bank, number).await;
    assert_eq!((report.undone.len(), report.left.len()), (2, 0), "{report:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_undo_of_swapped_names_is_made_as_a_whole_or_not_at_all() {
    if let Some(path) = std::env::var_os(KILLED_IN_SWAP) {
        let bank = open(&PathBuf::from(path), "state");
        let started = Instant::now();
        write_with(&bank, "a.md", Some("first\n"), &ChangeContext::default()).await;
        write_with(&bank, "b.md", Some("second\n"), &ChangeContext::default()).await;
        for number in 1_u64.. {
            swap_turn(&bank, number).await;
            assert!(started.elapsed() < Duration::from_secs(20));
        }
        return;
    }
    for round in 0..20_u64 {
        let kept = kept();
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "undo_killed::a_killed_undo_of_swapped_names_is_made_as_a_whole_or_not_at_all"])
            .env(KILLED_IN_SWAP, kept.root.path())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let started = Instant::now();
        while !kept.root.path().join("memory-bank/c.md").exists() {
            assert!(started.elapsed() < Duration::from_secs(20), "the child never wrote");
            std::thread::sleep(Duration::from_millis(1));
        }
        std::thread::sleep(Duration::from_micros(round * 1979 % 23_000));
        child.kill().unwrap();
        child.wait().unwrap();
        let bank = open(kept.root.path(), "state");
        let (first, second) = (Some("first\n".to_owned()), Some("second\n".to_owned()));
        let now = state(&bank).await;
        let possible = [
            vec![first.clone(), second.clone(), None],
            vec![None, second.clone(), first.clone()],
            vec![second.clone(), None, first.clone()],
            vec![second, first, None],
        ];
        assert!(possible.contains(&now), "round {round}: {now:?}");
        let mut last = 0;
        for (document, text) in NAMES.iter().zip(&now).filter(|(_, text)| text.is_some()) {
            let found = versions(&bank, document).await;
            assert_eq!(found.last().map(|(_, text)| text), Some(text), "round {round}: {document}");
            for (version, read) in &found {
                assert!(read == text && version.kind != VersionKind::Outside, "round {round}: {version:?}");
                let session = version.session.as_deref().and_then(|session| session.strip_prefix("session "));
                last = last.max(session.map_or(0, |number| number.parse().unwrap()));
            }
        }
        undo_turn(&bank, last).await;
        assert_eq!(state(&bank).await, possible[0], "round {round}");
        swap_turn(&bank, last + 1).await;
        assert_eq!(state(&bank).await, possible[0], "round {round}");
    }
}

/// The folder of the child that is killed in an undo of documents and graph.
const KILLED_WITH_GRAPH: &str = "MEMORY_BANK_KILLED_IN_UNDO_OF_GRAPH";

async fn both(bank: &FolderBank) -> (bool, bool) {
    let text = state(bank).await.swap_remove(0);
    let chain = bank.entity_chain(&caller(), &EntityRef("A".into()), 0).await;
    let has_entity = chain.is_ok_and(|chain| chain.now.entity().is_some());
    (text.as_deref() == Some("changed\n"), has_entity)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_undo_of_documents_and_graph_takes_back_both_or_none() {
    if let Some(path) = std::env::var_os(KILLED_WITH_GRAPH) {
        let bank = open(&PathBuf::from(path), "state");
        let started = Instant::now();
        write_with(&bank, "a.md", Some("first\n"), &ChangeContext::default()).await;
        for number in 1_u64.. {
            // The document changes first, so only an undo leads from both to none.
            write_with(&bank, "a.md", Some("changed\n"), &context(number)).await;
            let draft = EntityDraft { name: "A".into(), entity_type: "thing".into(), attrs: None };
            bank.in_context(&context(number)).upsert_entity(&caller(), draft).await.unwrap();
            let report = undo_turn(&bank, number).await;
            assert_eq!((report.undone.len(), report.undone_items.len()), (1, 1), "{report:?}");
            assert!(started.elapsed() < Duration::from_secs(20));
        }
        return;
    }
    for round in 0..20_u64 {
        let kept = kept();
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "undo_killed::a_killed_undo_of_documents_and_graph_takes_back_both_or_none"])
            .env(KILLED_WITH_GRAPH, kept.root.path())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let started = Instant::now();
        while !kept.root.path().join("memory-bank/graph/graph.jsonl").exists() {
            assert!(started.elapsed() < Duration::from_secs(20), "the child never wrote");
            std::thread::sleep(Duration::from_millis(1));
        }
        std::thread::sleep(Duration::from_micros(round * 977 % 9000));
        child.kill().unwrap();
        child.wait().unwrap();
        let bank = open(kept.root.path(), "state");
        let now = both(&bank).await;
        assert!(matches!(now, (false, false) | (true, false) | (true, true)), "round {round}: {now:?}");
        // The same undo can be made again.
        let newest = versions(&bank, "a.md").await;
        let sessions = newest.iter().filter_map(|(version, _)| version.session.clone());
        let turns = sessions.filter_map(|session| session.strip_prefix("session ")?.parse().ok());
        undo_turn(&bank, turns.max().unwrap_or(1)).await;
        assert_eq!(both(&bank).await, (false, false), "round {round}");
    }
}
