//! A process that is killed during edits of several files: each edit is applied completely or not at all. The child
//! process is this test program, started with an environment variable.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use memory_bank_core::caller::Caller;
use memory_bank_core::clock::SystemClock;
use memory_bank_core::document::{DocumentPath, TrackProgress, track_progress, with_archiving};
use memory_bank_core::limits;
use memory_bank_core::store::{DocumentStore, Drafts, ReadOutcome};
use memory_bank_folder::FolderBank;
use tempfile::TempDir;

use crate::support::deps;

const BANK: &str = "MEMORY_BANK_KILLED_CHILD";
const ARCHIVING: &str = "MEMORY_BANK_KILLED_WHILE_ARCHIVING";
const NAMES: [&str; 3] = ["a.md", "adr/b.md", "adr/deep/c.md"];
/// The document alternates between them, so that edits create and remove folders.
const MOVED: [&str; 2] = ["even/x/d.md", "odd/x/d.md"];

fn bank(path: &Path) -> FolderBank {
    FolderBank::new(path.to_owned(), path.parent().unwrap().to_owned(), deps())
}

fn names() -> [DocumentPath; 3] {
    NAMES.map(|name| DocumentPath::parse(name).unwrap())
}

async fn write_all(bank: &FolderBank, text: &str) {
    let (names, moved) = (names(), MOVED.map(|name| DocumentPath::parse(name).unwrap()));
    let paths: Vec<DocumentPath> = names.iter().chain(&moved).cloned().collect();
    let [even, odd] = &moved;
    let (here, there) =
        if text.bytes().map(u32::from).sum::<u32>() % 2 == 0 { (even, odd) } else { (odd, even) };
    let mut editor = |drafts: &mut Drafts| {
        names.iter().try_for_each(|name| drafts.set(name, text.to_owned()))?;
        drafts.set(here, text.to_owned())?;
        drafts.delete(there)
    };
    bank.edit(&Caller::local("child"), &paths, &mut editor).await.unwrap();
}

async fn read_all(bank: &FolderBank) -> Vec<String> {
    let moved = MOVED.map(|name| DocumentPath::parse(name).unwrap());
    let paths: Vec<DocumentPath> = names().into_iter().chain(moved).collect();
    let outcomes = bank.read(&Caller::local("parent"), &paths).await.unwrap();
    assert_eq!(outcomes.iter().filter(|outcome| **outcome == ReadOutcome::Missing).count(), 1);
    outcomes
        .into_iter()
        .filter(|outcome| *outcome != ReadOutcome::Missing)
        .map(|outcome| match outcome {
            ReadOutcome::Found(document) => document.content,
            other => format!("{other:?}"),
        })
        .collect()
}

#[tokio::test]
async fn a_killed_edit_of_several_files_is_applied_completely_or_not_at_all() {
    if let Some(path) = std::env::var_os(BANK) {
        // The child edits until it is killed; the bound applies if the parent died.
        let bank = bank(&PathBuf::from(path));
        let started = Instant::now();
        for turn in 0_u64.. {
            write_all(&bank, &format!("{turn} ").repeat(2000)).await;
            assert!(started.elapsed() < Duration::from_secs(20));
        }
        return;
    }
    let temp = TempDir::new().unwrap();
    let path = temp.path().join("memory-bank");
    write_all(&bank(&path), "first").await;
    let mut interrupted = 0;
    for round in 0..25_u64 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args([
                "--exact",
                "crash_recovery::a_killed_edit_of_several_files_is_applied_completely_or_not_at_all",
            ])
            .env(BANK, &path)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        // Each round kills at another moment, after the child has begun.
        let before = std::fs::read(path.join(NAMES[2])).unwrap();
        let started = Instant::now();
        while std::fs::read(path.join(NAMES[2])).unwrap() == before {
            assert!(started.elapsed() < Duration::from_secs(10), "the child never wrote");
            std::thread::sleep(Duration::from_millis(1));
        }
        std::thread::sleep(Duration::from_micros(round * 737 % 9000));
        child.kill().unwrap();
        child.wait().unwrap();
        interrupted += usize::from(path.join(".mbmcp/commit.json").exists());
        // The next reader finds a complete edit, and the next writer is not blocked.
        let texts = read_all(&bank(&path)).await;
        assert!(texts.iter().all(|text| *text == texts[0]), "round {round}");
        assert!(!path.join(".mbmcp/commit.json").exists());
        write_all(&bank(&path), &format!("round {round}")).await;
        assert_eq!(std::fs::read_dir(path.join(".mbmcp/stage")).unwrap().count(), 0, "leftovers are removed");
    }
    eprintln!("{interrupted} of 25 kills fell between the commit and its end");
}

/// Adds an entry as the tool does; returns the number of archived entries.
async fn track(bank: &FolderBank, mark: &str) -> usize {
    let now = memory_bank_core::clock::Clock::now(&SystemClock);
    let entry = TrackProgress {
        action: mark.to_owned(),
        description: "x".repeat(8000),
        update_active_context: false,
    };
    let mut moved = 0;
    let mut editor = |drafts: &mut Drafts| {
        let (_, archived) =
            with_archiving(drafts, now, |drafts| track_progress(drafts, &entry, now, "child"))?;
        moved = archived.iter().map(|one| one.entries).sum();
        Ok(())
    };
    bank.edit(&Caller::local("child"), &entry.paths(), &mut editor).await.unwrap();
    moved
}

/// Counts each `<mark>` in all documents.
async fn marks(bank: &FolderBank) -> BTreeMap<String, usize> {
    let caller = Caller::local("parent");
    let names: Vec<DocumentPath> =
        bank.list(&caller).await.unwrap().into_iter().filter_map(|entry| entry.path).collect();
    let mut found = BTreeMap::new();
    for outcome in bank.read(&caller, &names).await.unwrap() {
        let content = match outcome {
            ReadOutcome::Found(document) => document.content,
            other => format!("<{other:?}>"),
        };
        for rest in content.split('<').skip(1) {
            *found.entry(rest.split('>').next().unwrap_or_default().to_owned()).or_default() += 1;
        }
    }
    found
}

#[tokio::test]
async fn a_killed_archive_step_moves_all_entries_or_none() {
    if let Some(path) = std::env::var_os(ARCHIVING) {
        let bank = bank(&PathBuf::from(path));
        assert!(track(&bank, "<new>").await > 0, "the child archives");
        return;
    }
    let mut text = "# P\n\n## Update History\n".to_owned();
    let mut written = Vec::new();
    while text.len() < limits::DOCUMENT_BYTES - 8000 {
        let mark = format!("old-{}", written.len());
        text.push_str(&format!("- [2026-01-01 10:00:00] [a] - Did: <{mark}> {}\n", "y".repeat(4000)));
        written.push(mark);
    }
    let (mut all, mut none) = (0, 0);
    for round in 0..8_u64 {
        let temp = TempDir::new().unwrap();
        let path = temp.path().join("memory-bank");
        std::fs::create_dir(&path).unwrap();
        std::fs::write(path.join("progress.md"), &text).unwrap();
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "crash_recovery::a_killed_archive_step_moves_all_entries_or_none"])
            .env(ARCHIVING, &path)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        // Each round kills at another moment of the commit.
        let started = Instant::now();
        while !path.join(".mbmcp/stage").exists()
            || std::fs::read_dir(path.join(".mbmcp/stage")).unwrap().next().is_none()
        {
            if child.try_wait().unwrap().is_some() {
                break;
            }
            assert!(started.elapsed() < Duration::from_secs(30), "the child never began to write");
            std::thread::sleep(Duration::from_micros(100));
        }
        std::thread::sleep(Duration::from_micros(round * 1511 % 12_000));
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(path.join(".mbmcp/stage").exists(), "round {round}: the child never began to write");
        let bank = bank(&path);
        let found = marks(&bank).await;
        let doubled: Vec<_> = found.iter().filter(|(_, times)| **times != 1).collect();
        assert!(doubled.is_empty(), "round {round}: {doubled:?}");
        assert!(written.iter().all(|mark| found.contains_key(mark)), "round {round}: an entry is lost");
        let is_moved = bank
            .list(&Caller::local("parent"))
            .await
            .unwrap()
            .iter()
            .any(|entry| entry.name.contains("archive"));
        assert_eq!(
            found.contains_key("new"),
            is_moved,
            "round {round}: the entry and the archive come together"
        );
        if is_moved {
            all += 1;
        } else {
            none += 1;
        }
        // The next writer is not blocked.
        track(&bank, "<later>").await;
        assert_eq!(marks(&bank).await.len(), written.len() + usize::from(is_moved) + 1);
    }
    eprintln!("{all} archive steps were complete, {none} had not begun");
}

#[tokio::test]
async fn a_listing_completes_an_interrupted_change_first() {
    let temp = TempDir::new().unwrap();
    let path = temp.path().join("memory-bank");
    std::fs::create_dir_all(path.join(".mbmcp/stage")).unwrap();
    // The state after a kill between two files: `a.md` is written, `b.md` is only staged.
    std::fs::write(path.join("a.md"), "the rest").unwrap();
    std::fs::write(path.join(".mbmcp/stage/1-1.tmp"), "the oldest entries").unwrap();
    std::fs::write(
        path.join(".mbmcp/commit.json"),
        r#"{"version":2,"steps":[{"target":"a.md","staged":"0-0.tmp","before":null},{"target":"b.md","staged":"1-1.tmp","before":null}]}"#,
    )
    .unwrap();
    let listed = bank(&path).list(&Caller::local("parent")).await.unwrap();
    let names: Vec<&str> = listed.iter().map(|entry| entry.name.as_str()).collect();
    assert_eq!(names, ["a.md", "b.md"]);
}
