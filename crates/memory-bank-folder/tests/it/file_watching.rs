//! Changes by other programs in the folder are notified once.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use memory_bank_contract_tests::{RecordedChanges, path};
use memory_bank_core::caller::Caller;
use memory_bank_core::store::{Bank, Change, Drafts, Workspace};
use memory_bank_folder::{FolderOptions, FolderWorkspace};
use tempfile::TempDir;

use crate::support::{deps_with, options};

struct Watched {
    root: TempDir,
    changes: Arc<RecordedChanges>,
    workspace: FolderWorkspace,
    bank: Arc<dyn Bank>,
}

async fn watched() -> Watched {
    let root = TempDir::new().unwrap();
    std::fs::create_dir(root.path().join("memory-bank")).unwrap();
    std::fs::write(root.path().join("memory-bank/a.md"), "one").unwrap();
    let changes = Arc::new(RecordedChanges::default());
    let options = FolderOptions { home: None, watch: true, ..options(root.path()) };
    let workspace =
        FolderWorkspace::start(options, deps_with(Arc::<RecordedChanges>::clone(&changes))).await.unwrap();
    let bank = workspace.bank(&Caller::local("alice"), None).await.unwrap();
    let watched = Watched { root, changes, workspace, bank };
    watched.read("a.md").await;
    // The watcher starts in the background; a temporary file shows when it runs.
    let probe = watched.file("probe.md");
    let started = Instant::now();
    while watched.changes.take().is_empty() {
        assert!(started.elapsed() < Duration::from_secs(10), "the watcher never started");
        std::fs::write(&probe, "x").unwrap();
        settle().await;
    }
    std::fs::remove_file(&probe).unwrap();
    settle().await;
    watched.changes.take();
    watched
}

/// Longer than the watcher waits for quiet.
async fn settle() {
    tokio::time::sleep(Duration::from_millis(400)).await;
}

impl Watched {
    fn file(&self, name: &str) -> std::path::PathBuf {
        self.root.path().join("memory-bank").join(name)
    }

    async fn read(&self, name: &str) {
        self.bank.read(&Caller::local("alice"), &[path(name)]).await.unwrap();
    }

    async fn write(&self, name: &str, text: &str) {
        let name = path(name);
        let mut editor = |drafts: &mut Drafts| drafts.set(&name, text.to_owned());
        self.bank.edit(&Caller::local("alice"), std::slice::from_ref(&name), &mut editor).await.unwrap();
    }
}

/// Saves like an editor: a new file replaces the old one.
fn save(file: &Path, text: &str) {
    let draft = file.with_extension("swp");
    std::fs::write(&draft, text).unwrap();
    std::fs::rename(draft, file).unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_by_an_editor_is_notified_once() {
    let watched = watched().await;
    save(&watched.file("a.md"), "two");
    settle().await;
    assert_eq!(watched.changes.take(), [Change::Updated(path("a.md"))]);
    // An unchanged file causes no notification.
    std::fs::write(watched.file("a.md"), "two").unwrap();
    settle().await;
    assert_eq!(watched.changes.take(), []);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn created_and_deleted_documents_are_notified() {
    let watched = watched().await;
    std::fs::write(watched.file("new.md"), "x").unwrap();
    settle().await;
    assert_eq!(watched.changes.take(), [Change::List, Change::Updated(path("new.md"))]);
    std::fs::remove_file(watched.file("new.md")).unwrap();
    settle().await;
    assert_eq!(watched.changes.take(), [Change::List, Change::Updated(path("new.md"))]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_write_by_the_server_is_notified_once() {
    let watched = watched().await;
    for turn in 0..5 {
        watched.write("a.md", &turn.to_string()).await;
        tokio::time::sleep(Duration::from_millis(60)).await;
    }
    watched.write("b.md", "x").await;
    settle().await;
    let changes = watched.changes.take();
    let count = |change: Change| changes.iter().filter(|reported| **reported == change).count();
    assert_eq!((count(Change::Updated(path("a.md"))), count(Change::Updated(path("b.md")))), (5, 1));
    assert_eq!((count(Change::List), changes.len()), (1, 7));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_watcher_follows_a_switch_of_banks() {
    let watched = watched().await;
    let other = watched.root.path().join("other");
    watched.workspace.initialize(&Caller::local("alice"), other.to_str().unwrap(), false).await.unwrap();
    settle().await;
    watched.changes.take();
    save(&watched.file("a.md"), "unseen");
    save(&other.join("memory-bank/progress.md"), "seen");
    settle().await;
    assert_eq!(watched.changes.take(), [Change::Updated(path("progress.md"))]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deleted_and_recreated_folder_is_watched_again() {
    let watched = watched().await;
    let folder = watched.root.path().join("memory-bank");
    std::fs::remove_dir_all(&folder).unwrap();
    settle().await;
    std::fs::create_dir(&folder).unwrap();
    std::fs::write(watched.file("a.md"), "back").unwrap();
    let started = Instant::now();
    while !watched.changes.take().contains(&Change::Updated(path("a.md"))) {
        assert!(started.elapsed() < Duration::from_secs(10), "the change was never notified");
        settle().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn documents_in_folders_are_notified_like_others() {
    let watched = watched().await;
    // A new folder, and one inside it.
    std::fs::create_dir_all(watched.file("adr/old")).unwrap();
    std::fs::write(watched.file("adr/old/0001.md"), "one").unwrap();
    settle().await;
    let document = Change::Updated(path("adr/old/0001.md"));
    assert_eq!(watched.changes.take(), [Change::List, document.clone()]);
    save(&watched.file("adr/old/0001.md"), "two");
    settle().await;
    assert_eq!(watched.changes.take(), std::slice::from_ref(&document));
    watched.write("adr/old/0001.md", "three").await;
    settle().await;
    assert_eq!(watched.changes.take(), std::slice::from_ref(&document));
    // The folder is renamed with its contents.
    std::fs::rename(watched.file("adr"), watched.file("decisions")).unwrap();
    settle().await;
    let moved = Change::Updated(path("decisions/old/0001.md"));
    let changes = watched.changes.take();
    assert_eq!(changes.len(), 3, "{changes:?}");
    assert!(
        [Change::List, document, moved.clone()].iter().all(|change| changes.contains(change)),
        "{changes:?}"
    );
    save(&watched.file("decisions/old/0001.md"), "four");
    settle().await;
    assert_eq!(watched.changes.take(), [moved]);
    // Other folders cause no notification.
    for folder in ["graph", "backups", ".mbmcp/x", ".hidden"] {
        std::fs::create_dir_all(watched.file(folder)).unwrap();
        std::fs::write(watched.file(folder).join("x.md"), "x").unwrap();
    }
    std::fs::write(watched.file("a (conflicted copy).md"), "x").unwrap();
    settle().await;
    assert_eq!(watched.changes.take().iter().filter(|change| matches!(change, Change::List)).count(), 0);
}
