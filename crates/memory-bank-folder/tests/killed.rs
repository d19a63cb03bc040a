//! A process that is killed in the middle of edits of several files: afterwards each edit is there as a whole or not
//! at all. The child is this very test program, told so by an environment variable.
#![expect(clippy::unwrap_used, reason = "a test may fail loudly; the lint knows test functions only")]

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use memory_bank_core::caller::Caller;
use memory_bank_core::clock::{SystemClock, SystemEntropy};
use memory_bank_core::document::DocumentPath;
use memory_bank_core::store::{DocumentStore, Drafts, NoSink, ReadOutcome};
use memory_bank_folder::{FolderBank, Surroundings};
use tempfile::TempDir;

const BANK: &str = "MEMORY_BANK_KILLED_CHILD";
const NAMES: [&str; 3] = ["a.md", "b.md", "c.md"];

fn bank(path: &Path) -> FolderBank {
    let around = Surroundings {
        clock: Arc::new(SystemClock),
        entropy: Arc::new(SystemEntropy),
        sink: Arc::new(NoSink),
    };
    FolderBank::new(path.to_owned(), path.parent().unwrap().to_owned(), around)
}

fn names() -> [DocumentPath; 3] {
    NAMES.map(|name| DocumentPath::parse(name).unwrap())
}

async fn write_all(bank: &FolderBank, text: &str) {
    let names = names();
    let mut editor =
        |drafts: &mut Drafts| names.iter().try_for_each(|name| drafts.set(name, text.to_owned()));
    bank.edit(&Caller::local("child"), &names, &mut editor).await.unwrap();
}

async fn read_all(bank: &FolderBank) -> Vec<String> {
    let outcomes = bank.read(&Caller::local("parent"), &names()).await.unwrap();
    outcomes
        .into_iter()
        .map(|outcome| match outcome {
            ReadOutcome::Found(document) => document.content,
            other => format!("{other:?}"),
        })
        .collect()
}

#[tokio::test]
async fn a_killed_edit_of_several_files_is_there_as_a_whole_or_not_at_all() {
    if let Some(path) = std::env::var_os(BANK) {
        // The child: edits until it is killed; the bound is for a parent that died.
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
            .args(["--exact", "a_killed_edit_of_several_files_is_there_as_a_whole_or_not_at_all"])
            .env(BANK, &path)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        // Killed at another moment each time, once it has begun.
        let before = std::fs::read(path.join("c.md")).unwrap();
        let started = Instant::now();
        while std::fs::read(path.join("c.md")).unwrap() == before {
            assert!(started.elapsed() < Duration::from_secs(10), "the child never wrote");
            std::thread::sleep(Duration::from_millis(1));
        }
        std::thread::sleep(Duration::from_micros(round * 737 % 9000));
        child.kill().unwrap();
        child.wait().unwrap();
        interrupted += usize::from(path.join(".mbmcp/commit.json").exists());
        // The next to read finds a whole edit, and the next to write is not held up.
        let texts = read_all(&bank(&path)).await;
        assert!(texts.iter().all(|text| *text == texts[0]), "round {round}");
        assert!(!path.join(".mbmcp/commit.json").exists());
        write_all(&bank(&path), &format!("round {round}")).await;
        assert_eq!(std::fs::read_dir(path.join(".mbmcp/stage")).unwrap().count(), 0, "leftovers are swept");
    }
    eprintln!("{interrupted} of 25 kills fell between the commit and its end");
}
