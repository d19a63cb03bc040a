//! Versions of documents in a folder: every one reads back, whatever happens to documents and files.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use memory_bank_core::document::Etag;
use memory_bank_core::history::{ChangeContext, Subject, Version, VersionKind, VersionQuery};
use memory_bank_core::limits;
use memory_bank_core::store::{DocumentStore, Drafts, HistoryError, HistoryStore, ReadOutcome};
use memory_bank_folder::{Deps, FolderBank, StateFolder};
use proptest::prelude::*;
use tempfile::TempDir;

use crate::support::{caller, deps, name};

pub(crate) struct Kept {
    pub(crate) root: TempDir,
    pub(crate) bank: FolderBank,
}

pub(crate) fn kept() -> Kept {
    let root = TempDir::new().unwrap();
    std::fs::create_dir(root.path().join("memory-bank")).unwrap();
    let bank = open(root.path(), "state");
    Kept { root, bank }
}

/// The bank of the project as a process with this state folder opens it.
pub(crate) fn open(project: &Path, state: &str) -> FolderBank {
    open_at(project, state, deps())
}

pub(crate) fn open_at(project: &Path, state: &str, deps: Deps) -> FolderBank {
    let state = StateFolder::new(project.join(state));
    FolderBank::new(project.join("memory-bank"), project.to_owned(), deps).with_state(state)
}

pub(crate) async fn write_with(
    bank: &FolderBank,
    document: &str,
    text: Option<&str>,
    context: &ChangeContext,
) {
    let path = name(document);
    let mut editor = |drafts: &mut Drafts| {
        drafts.set_context(context);
        match text {
            Some(text) => drafts.set(&path, text.to_owned()),
            None => drafts.delete(&path),
        }
    };
    bank.edit(&caller(), std::slice::from_ref(&path), &mut editor).await.unwrap();
}

pub(crate) async fn write(bank: &FolderBank, document: &str, text: &str) {
    write_with(bank, document, Some(text), &ChangeContext::default()).await;
}

pub(crate) async fn rename(bank: &FolderBank, from: &str, to: &str) {
    let (from, to) = (name(from), name(to));
    let mut editor = |drafts: &mut Drafts| {
        let text = drafts.text(&from).unwrap().to_owned();
        drafts.delete(&from)?;
        drafts.set(&to, text)
    };
    bank.edit(&caller(), &[from.clone(), to.clone()], &mut editor).await.unwrap();
}

/// The versions of a document, oldest first, with their texts.
pub(crate) async fn versions(bank: &FolderBank, document: &str) -> Vec<(Version, Option<String>)> {
    let mut found = Vec::new();
    let mut query = VersionQuery {
        subject: Subject::Document(name(document)),
        since: None,
        until: None,
        by: None,
        after: None,
        limit: limits::VERSIONS_LISTED,
    };
    loop {
        let page = bank.list_versions(&caller(), &query).await.unwrap();
        for version in page.versions {
            let text = bank.read_version(&caller(), &name(document), version.number).await.unwrap().text;
            assert_eq!(version.etag, text.as_deref().map(Etag::of));
            found.push((version, text));
        }
        query.after = page.next;
        if query.after.is_none() {
            break;
        }
    }
    found.reverse();
    found
}

pub(crate) async fn texts(bank: &FolderBank, document: &str) -> Vec<Option<String>> {
    versions(bank, document).await.into_iter().map(|(_, text)| text).collect()
}

pub(crate) fn some(texts: &[&str]) -> Vec<Option<String>> {
    texts.iter().map(|text| Some((*text).to_owned())).collect()
}

/// The only file of the history.
pub(crate) fn file(kept: &Kept) -> PathBuf {
    let files = std::fs::read_dir(kept.root.path().join("memory-bank/.mbmcp/history")).unwrap();
    files.map(|one| one.unwrap().path()).find(|one| one.extension().is_some_and(|end| end == "log")).unwrap()
}

pub(crate) fn document(kept: &Kept, name: &str) -> PathBuf {
    kept.root.path().join("memory-bank").join(name)
}

#[derive(Debug, Clone)]
enum Action {
    Write(&'static str, String),
    Append(&'static str, String),
    Delete(&'static str),
    Rename(&'static str, &'static str),
    Outside(&'static str, Option<String>),
    Restore(&'static str, usize),
    Reopen,
}

fn actions() -> impl Strategy<Value = Vec<Action>> {
    let names = || prop::sample::select(&NAMES[..]);
    let text = || "(a|é|\u{1F600}|\n|b){0,30}";
    let action = prop_oneof![
        3 => (names(), text()).prop_map(|(at, text)| Action::Write(at, text)),
        3 => (names(), text()).prop_map(|(at, text)| Action::Append(at, text)),
        1 => names().prop_map(Action::Delete),
        2 => (names(), names()).prop_map(|(from, to)| Action::Rename(from, to)),
        2 => (names(), proptest::option::of(text())).prop_map(|(at, text)| Action::Outside(at, text)),
        1 => (names(), 0..10_usize).prop_map(|(at, back)| Action::Restore(at, back)),
        1 => Just(Action::Reopen),
    ];
    proptest::collection::vec(action, 1..25)
}

const NAMES: [&str; 3] = ["a.md", "deep/b.md", "c.json"];

/// The texts that each document had, by the name that it has or had last.
#[derive(Default)]
struct Model {
    texts: BTreeMap<&'static str, Vec<Option<String>>>,
}

impl Model {
    fn now(&self, at: &str) -> Option<String> {
        self.texts.get(at).and_then(|texts| texts.last().cloned().flatten())
    }

    /// A text that is the same is no change.
    fn note(&mut self, at: &'static str, text: Option<String>) {
        if self.now(at) != text {
            self.texts.entry(at).or_default().push(text);
        }
    }
}

async fn run(actions: Vec<Action>) {
    let Kept { root, mut bank } = kept();
    let mut model = Model::default();
    for action in actions {
        match action {
            Action::Write(at, text) => {
                write(&bank, at, &text).await;
                model.note(at, Some(text));
            }
            Action::Append(at, text) => {
                let text = model.now(at).unwrap_or_default() + &text;
                write(&bank, at, &text).await;
                model.note(at, Some(text));
            }
            Action::Delete(at) => {
                write_with(&bank, at, None, &ChangeContext::default()).await;
                model.note(at, None);
            }
            Action::Rename(from, to) => {
                let Some(text) = model.now(from).filter(|_| from != to && model.now(to).is_none()) else {
                    continue;
                };
                rename(&bank, from, to).await;
                let mut texts = model.texts.remove(from).unwrap();
                texts.push(Some(text));
                model.texts.insert(to, texts);
            }
            Action::Outside(at, text) => {
                // Seen by the server before, or it cannot know of it.
                if model.now(at).is_none() {
                    continue;
                }
                let path = root.path().join("memory-bank").join(at);
                match &text {
                    Some(text) => std::fs::write(path, text).unwrap(),
                    None => std::fs::remove_file(path).unwrap(),
                }
                model.note(at, text);
                assert_eq!(Some(&texts(&bank, at).await), model.texts.get(at));
            }
            Action::Restore(at, back) => {
                let Some(texts) = model.texts.get(at) else { continue };
                let Some(place) = texts.len().checked_sub(1 + back) else { continue };
                let Some(text) = texts.get(place).cloned().flatten() else { continue };
                let found = versions(&bank, at).await;
                assert_eq!(found.get(place).and_then(|(_, found)| found.as_ref()), Some(&text));
                let context = ChangeContext { restores: true, ..ChangeContext::of_tool("history") };
                write_with(&bank, at, Some(&text), &context).await;
                model.note(at, Some(text));
            }
            Action::Reopen => bank = open(root.path(), "state"),
        }
    }
    for (name, expected) in &model.texts {
        assert_eq!(&texts(&bank, name).await, expected, "{name}");
        assert_eq!(&texts(&open(root.path(), "state"), name).await, expected, "{name} in another process");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]
    #[test]
    fn every_version_of_any_sequence_of_changes_reads_back_byte_for_byte(actions in actions()) {
        tokio::runtime::Runtime::new().unwrap().block_on(run(actions));
    }
}

#[tokio::test]
async fn an_edit_from_outside_is_a_version_with_the_text_before_and_after() {
    let kept = kept();
    write(&kept.bank, "a.md", "one\n").await;
    write(&kept.bank, "a.md", "one\ntwo\n").await;
    std::fs::write(document(&kept, "a.md"), "one\n2\n").unwrap();
    // Noticed by the next write, also of another process.
    let other = open(kept.root.path(), "state");
    write(&other, "a.md", "one\n2\nthree\n").await;
    let found = versions(&kept.bank, "a.md").await;
    let seen: Vec<(VersionKind, &str)> =
        found.iter().map(|(version, text)| (version.kind, text.as_deref().unwrap())).collect();
    assert_eq!(
        seen,
        [
            (VersionKind::Created, "one\n"),
            (VersionKind::Changed, "one\ntwo\n"),
            (VersionKind::Outside, "one\n2\n"),
            (VersionKind::Changed, "one\n2\nthree\n"),
        ]
    );
    assert_eq!(found[2].0.author, None);
}

#[tokio::test]
async fn a_read_notices_an_edit_from_outside() {
    let kept = kept();
    write(&kept.bank, "a.md", "one\n").await;
    std::fs::write(document(&kept, "a.md"), "two\n").unwrap();
    let before = std::fs::metadata(file(&kept)).unwrap().len();
    let read = kept.bank.read(&caller(), &[name("a.md")]).await.unwrap();
    assert!(matches!(&read[..], [ReadOutcome::Found(_)]));
    let started = Instant::now();
    while std::fs::metadata(file(&kept)).unwrap().len() == before {
        assert!(started.elapsed() < Duration::from_secs(20), "the read was not compared with the history");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(texts(&kept.bank, "a.md").await, some(&["one\n", "two\n"]));
}

#[tokio::test]
async fn a_document_that_is_older_than_its_history_keeps_its_first_text() {
    let kept = kept();
    std::fs::write(document(&kept, "a.md"), "old\n").unwrap();
    write(&kept.bank, "a.md", "new\n").await;
    assert_eq!(texts(&kept.bank, "a.md").await, some(&["old\n", "new\n"]));
    assert_eq!(versions(&kept.bank, "a.md").await[0].0.kind, VersionKind::Outside);
}

#[tokio::test]
async fn an_append_to_a_large_log_costs_some_hundred_bytes() {
    let kept = kept();
    let log = "- an entry of a log\n".repeat(23_000);
    write(&kept.bank, "log.md", &log).await;
    let before = std::fs::metadata(file(&kept)).unwrap().len();
    write(&kept.bank, "log.md", &format!("{log}- one more\n")).await;
    let cost = std::fs::metadata(file(&kept)).unwrap().len() - before;
    assert!(cost < 600, "{cost} bytes");
}

#[tokio::test]
async fn a_torn_end_is_cut_by_the_next_write_and_loses_no_document() {
    for cut in [1, 4, 30, 200] {
        let kept = kept();
        for text in ["one\n", "two\n", "three\n"] {
            write(&kept.bank, "a.md", text).await;
        }
        let bytes = std::fs::read(file(&kept)).unwrap();
        std::fs::write(file(&kept), &bytes[..bytes.len() - cut]).unwrap();
        let bank = open(kept.root.path(), "state");
        write(&bank, "a.md", "four\n").await;
        let found = versions(&bank, "a.md").await;
        let seen: Vec<_> = found.iter().map(|(_, text)| text.as_deref().unwrap()).collect();
        // The text of the torn version was still there, and is noted again.
        assert_eq!(seen, ["one\n", "two\n", "three\n", "four\n"], "{cut} bytes");
        assert_eq!(found[2].0.kind, VersionKind::Outside);
        assert_eq!(std::fs::read_to_string(document(&kept, "a.md")).unwrap(), "four\n");
    }
}

#[tokio::test]
async fn a_flipped_byte_makes_at_most_one_version_unreadable() {
    let kept = kept();
    let expected: Vec<String> = (0..6).map(|number| format!("text {number} of the document\n")).collect();
    for text in &expected {
        write(&kept.bank, "a.md", text).await;
    }
    let intact = std::fs::read(file(&kept)).unwrap();
    for at in (0..intact.len()).step_by(41) {
        let mut bytes = intact.clone();
        bytes[at] ^= 0x5a;
        std::fs::write(file(&kept), &bytes).unwrap();
        std::fs::write(document(&kept, "a.md"), expected.last().unwrap()).unwrap();
        let bank = open(kept.root.path(), "state");
        write(&bank, "a.md", "later\n").await;
        let mut readable = 0;
        for (place, text) in expected.iter().enumerate() {
            let number = i64::try_from(place).unwrap() + 1;
            match bank.read_version(&caller(), &name("a.md"), number).await {
                Ok(found) => {
                    // A version of the same number may be an outside one with the same text, never another text.
                    readable += usize::from(found.text.as_ref() == Some(text));
                    assert!([Some(text.clone()), Some("later\n".into())].contains(&found.text), "byte {at}");
                }
                Err(HistoryError::Damaged { .. } | HistoryError::NoVersion { .. }) => {}
                Err(error) => panic!("byte {at}: {error}"),
            }
        }
        assert!(readable >= expected.len() - 1, "byte {at}: {readable} of {} read back", expected.len());
        assert_eq!(std::fs::read_to_string(document(&kept, "a.md")).unwrap(), "later\n");
    }
}

#[tokio::test]
async fn a_history_that_came_with_a_repository_is_foreign() {
    let kept = kept();
    for text in ["one\n", "two\n"] {
        write(&kept.bank, "a.md", text).await;
    }
    // Another user, with another key.
    let bank = open(kept.root.path(), "other-state");
    let found = versions(&bank, "a.md").await;
    assert!(
        found.iter().all(|(version, _)| version.kind == VersionKind::Foreign && version.author.is_none())
    );
    // Reading continues nothing; a write continues the numbers with an own whole text.
    write(&bank, "a.md", "three\n").await;
    let found = versions(&bank, "a.md").await;
    let kinds: Vec<_> = found.iter().map(|(version, _)| (version.number, version.kind)).collect();
    assert_eq!(kinds, [(1, VersionKind::Foreign), (2, VersionKind::Foreign), (3, VersionKind::Changed)]);
    assert_eq!(texts(&bank, "a.md").await, some(&["one\n", "two\n", "three\n"]));
}

#[tokio::test]
async fn a_planted_file_changes_no_document_and_is_bounded() {
    for planted in [vec![0; 100], b"mbh1".repeat(100_000), vec![0xff; 4096]] {
        let kept = kept();
        write(&kept.bank, "a.md", "one\n").await;
        std::fs::write(file(&kept), &planted).unwrap();
        let bank = open(kept.root.path(), "state");
        write(&bank, "a.md", "two\n").await;
        assert_eq!(texts(&bank, "a.md").await, some(&["one\n", "two\n"]));
    }
    let kept = kept();
    write(&kept.bank, "a.md", "one\n").await;
    std::fs::OpenOptions::new().write(true).open(file(&kept)).unwrap().set_len(1 << 32).unwrap();
    let bank = open(kept.root.path(), "state");
    write(&bank, "a.md", "two\n").await;
    assert_eq!(std::fs::read_to_string(document(&kept, "a.md")).unwrap(), "two\n");
    let error = bank.read_version(&caller(), &name("a.md"), 1).await.unwrap_err().to_string();
    assert!(error.contains("history") && error.contains("remove"), "{error}");
}

#[cfg(unix)]
#[tokio::test]
async fn a_link_in_place_of_the_history_is_not_followed() {
    use std::os::unix::fs::symlink;
    let kept = kept();
    let elsewhere = kept.root.path().join("memory-bank/elsewhere");
    std::fs::create_dir_all(&elsewhere).unwrap();
    std::fs::create_dir_all(kept.root.path().join("memory-bank/.mbmcp")).unwrap();
    symlink(&elsewhere, kept.root.path().join("memory-bank/.mbmcp/history")).unwrap();
    write(&kept.bank, "a.md", "one\n").await;
    assert_eq!(std::fs::read_dir(&elsewhere).unwrap().count(), 0);
    assert_eq!(std::fs::read_to_string(document(&kept, "a.md")).unwrap(), "one\n");
    // The history is beside it.
    write(&kept.bank, "a.md", "two\n").await;
    assert_eq!(texts(&kept.bank, "a.md").await, some(&["one\n", "two\n"]));
    assert_eq!(std::fs::read_dir(&elsewhere).unwrap().count(), 0);

    let kept = self::kept();
    write(&kept.bank, "a.md", "one\n").await;
    std::fs::write(document(&kept, "victim.md"), "precious").unwrap();
    let planted = file(&kept);
    std::fs::remove_file(&planted).unwrap();
    symlink("../../victim.md", &planted).unwrap();
    write(&kept.bank, "a.md", "two\n").await;
    assert_eq!(std::fs::read_to_string(document(&kept, "victim.md")).unwrap(), "precious");
    assert_eq!(std::fs::read_to_string(document(&kept, "a.md")).unwrap(), "two\n");
}

#[cfg(unix)]
#[tokio::test]
async fn a_document_that_cannot_be_read_is_not_noted_as_deleted() {
    let kept = kept();
    write(&kept.bank, "a.md", "one\n").await;
    std::fs::remove_file(document(&kept, "a.md")).unwrap();
    std::fs::create_dir(document(&kept, "a.md")).unwrap();
    assert_eq!(texts(&kept.bank, "a.md").await, some(&["one\n"]));
}

#[tokio::test]
async fn an_erased_text_is_in_no_file_of_the_history() {
    let kept = kept();
    write(&kept.bank, "a.md", "the secret is hunter2\n").await;
    rename(&kept.bank, "a.md", "b.md").await;
    write(&kept.bank, "b.md", "nothing\n").await;
    assert_eq!(kept.bank.erase(&caller(), &name("b.md")).await.unwrap(), 3);
    for entry in std::fs::read_dir(kept.root.path().join("memory-bank/.mbmcp/history")).unwrap() {
        let bytes = std::fs::read(entry.unwrap().path()).unwrap();
        assert!(!String::from_utf8_lossy(&bytes).contains("hunter2"));
    }
    write(&kept.bank, "b.md", "more\n").await;
    // The text before is the one that the erasure left, as in a database; the numbers continue.
    assert_eq!(versions(&kept.bank, "b.md").await[1].0.number, 4, "the numbers continue");
    assert_eq!(texts(&kept.bank, "b.md").await, some(&["nothing\n", "more\n"]));
}

const KILLED: &str = "MEMORY_BANK_KILLED_WITH_HISTORY";

/// The number that a text of the child begins with.
fn turn_of(text: &str) -> u64 {
    text.split(' ').next().unwrap().parse().unwrap()
}

#[tokio::test]
async fn a_killed_edit_leaves_no_version_without_its_document_and_no_document_without_its_version() {
    if let Some(path) = std::env::var_os(KILLED) {
        // The child edits until it is killed; the bound applies if the parent died.
        let bank = open(&PathBuf::from(path), "state");
        let started = Instant::now();
        for turn in 1_u64.. {
            write(&bank, "one.md", &format!("{turn} {}", "x".repeat(3000))).await;
            let paths = [name("two.md"), name("deep/three.md")];
            let mut editor = |drafts: &mut Drafts| {
                paths.iter().try_for_each(|path| drafts.set(path, format!("{turn} {}", "y".repeat(500))))
            };
            bank.edit(&caller(), &paths, &mut editor).await.unwrap();
            assert!(started.elapsed() < Duration::from_secs(20));
        }
        return;
    }
    let mut pending = 0;
    for round in 0..20_u64 {
        let kept = kept();
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args([
                "--exact",
                "history::a_killed_edit_leaves_no_version_without_its_document_and_no_document_without_its_version",
            ])
            .env(KILLED, kept.root.path())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let started = Instant::now();
        while !document(&kept, "deep/three.md").exists() {
            assert!(started.elapsed() < Duration::from_secs(20), "the child never wrote");
            std::thread::sleep(Duration::from_millis(1));
        }
        std::thread::sleep(Duration::from_micros(round * 977 % 9000));
        child.kill().unwrap();
        child.wait().unwrap();
        let bank = open(kept.root.path(), "state");
        pending += usize::from(kept.root.path().join("memory-bank/.mbmcp/commit.json").exists());
        for document in ["one.md", "two.md", "deep/three.md"] {
            let read = bank.read(&caller(), &[name(document)]).await.unwrap();
            let [ReadOutcome::Found(now)] = &read[..] else { panic!("round {round}: {read:?}") };
            let found = versions(&bank, document).await;
            let turns: Vec<u64> = found.iter().map(|(_, text)| turn_of(text.as_deref().unwrap())).collect();
            let expected: Vec<u64> = (1..=turn_of(&now.content)).collect();
            assert_eq!(turns, expected, "round {round}: {document}");
            assert!(found.iter().all(|(version, _)| version.kind != VersionKind::Outside), "round {round}");
        }
        write(&bank, "one.md", "0 later").await;
        let found = versions(&bank, "one.md").await;
        assert_eq!(found.last().unwrap().1.as_deref(), Some("0 later"));
        assert_ne!(found[found.len() - 2].0.kind, VersionKind::Outside);
    }
    eprintln!("{pending} of 20 kills fell between the commit of several files and its end");
}
