//! Changes by other programs in the folder are notified once.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use memory_bank_contract_tests::{RecordedChanges, path};
use memory_bank_core::caller::Caller;
use memory_bank_core::store::{Bank, Change, Drafts, Workspace};
use memory_bank_folder::{FolderOptions, FolderWorkspace};
use tempfile::TempDir;

use crate::support::{deps_with, options};

/// The longest wait for an expected event. A busy machine or an emulated system is slow.
const PATIENCE: Duration = Duration::from_secs(60);
/// The documents whose change shows that everything before it was checked; each is used once. A check notifies in the order of
/// names, and theirs are the last.
const MARKERS: usize = 12;

struct Watched {
    root: TempDir,
    changes: Arc<RecordedChanges>,
    workspace: FolderWorkspace,
    bank: Arc<dyn Bank>,
    markers_used: AtomicUsize,
}

async fn watched() -> Watched {
    let mut root = TempDir::new().unwrap();
    // Wine keeps the name of a removed folder while it is watched, so that the removal of this one would never end.
    root.disable_cleanup(cfg!(windows));
    std::fs::create_dir(root.path().join("memory-bank")).unwrap();
    std::fs::write(root.path().join("memory-bank/a.md"), "one").unwrap();
    for number in 0..MARKERS {
        std::fs::write(root.path().join("memory-bank").join(marker(number)), "unused").unwrap();
    }
    let changes = Arc::new(RecordedChanges::default());
    let options = FolderOptions { home: None, watch: true, ..options(root.path()) };
    let workspace =
        FolderWorkspace::start(options, deps_with(Arc::<RecordedChanges>::clone(&changes))).await.unwrap();
    let bank = workspace.bank(&Caller::local("alice"), None).await.unwrap();
    let watched = Watched { root, changes, workspace, bank, markers_used: AtomicUsize::new(0) };
    watched.read("a.md").await;
    // The watcher starts in the background; a document that is written until it is notified shows when it runs.
    let probe = watched.file("probe.md");
    let started = Instant::now();
    while watched.changes.take().is_empty() {
        assert!(started.elapsed() < PATIENCE, "the watcher never started");
        std::fs::write(&probe, "x").unwrap();
        tokio::time::sleep(Duration::from_millis(400)).await;
    }
    std::fs::remove_file(&probe).unwrap();
    watched.changes_with(&[Change::Updated(path("probe.md"))]).await;
    watched
}

fn marker(number: usize) -> String {
    format!("zz-marker-{number}.md")
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

    /// The notified changes, once these are among them and the watcher has checked what came before.
    async fn changes_with(&self, expected: &[Change]) -> Vec<Change> {
        let mut changes = Vec::new();
        self.wait_for(expected, &mut changes).await;
        changes.extend(self.changes_until_now().await);
        changes
    }

    /// The changes that are notified before that of a marker, which is written now.
    async fn changes_until_now(&self) -> Vec<Change> {
        let name = marker(self.markers_used.fetch_add(1, Ordering::Relaxed));
        save(&self.file(&name), "used");
        let mark = Change::Updated(path(&name));
        let mut changes = Vec::new();
        self.wait_for(std::slice::from_ref(&mark), &mut changes).await;
        changes.retain(|change| *change != mark);
        changes
    }

    async fn wait_for(&self, expected: &[Change], changes: &mut Vec<Change>) {
        let started = Instant::now();
        while !expected.iter().all(|change| changes.contains(change)) {
            assert!(started.elapsed() < PATIENCE, "{expected:?} were not all notified, but {changes:?}");
            tokio::time::sleep(Duration::from_millis(20)).await;
            changes.extend(self.changes.take());
        }
    }
}

/// Saves like an editor: a new file replaces the old one. The server may hold the old one open for a moment, in which wine does
/// not replace it.
fn save(file: &Path, text: &str) {
    let draft = file.with_extension("swp");
    std::fs::write(&draft, text).unwrap();
    let started = Instant::now();
    while let Err(error) = std::fs::rename(&draft, file) {
        assert!(started.elapsed() < PATIENCE, "{} cannot be replaced: {error}", file.display());
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_by_an_editor_is_notified_once() {
    let watched = watched().await;
    let updated = Change::Updated(path("a.md"));
    save(&watched.file("a.md"), "two");
    assert_eq!(watched.changes_with(std::slice::from_ref(&updated)).await, [updated]);
    // An unchanged file causes no notification.
    save(&watched.file("a.md"), "two");
    assert_eq!(watched.changes_until_now().await, []);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn created_and_deleted_documents_are_notified() {
    let watched = watched().await;
    let expected = [Change::List, Change::Updated(path("new.md"))];
    save(&watched.file("new.md"), "x");
    assert_eq!(watched.changes_with(&expected).await, expected);
    std::fs::remove_file(watched.file("new.md")).unwrap();
    assert_eq!(watched.changes_with(&expected).await, expected);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_write_by_the_server_is_notified_once() {
    let watched = watched().await;
    for turn in 0..5 {
        watched.write("a.md", &turn.to_string()).await;
        tokio::time::sleep(Duration::from_millis(60)).await;
    }
    watched.write("b.md", "x").await;
    let changes = watched.changes_until_now().await;
    let count = |change: Change| changes.iter().filter(|reported| **reported == change).count();
    assert_eq!((count(Change::Updated(path("a.md"))), count(Change::Updated(path("b.md")))), (5, 1));
    assert_eq!((count(Change::List), changes.len()), (1, 7));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_watcher_follows_a_switch_of_banks() {
    let watched = watched().await;
    let other = watched.root.path().join("other");
    watched.workspace.initialize(&Caller::local("alice"), other.to_str().unwrap(), false).await.unwrap();
    let progress = other.join("memory-bank/progress.md");
    let updated = Change::Updated(path("progress.md"));
    // The new watcher starts in the background, too.
    let started = Instant::now();
    let mut turn = 0;
    while !watched.changes.take().contains(&updated) {
        assert!(started.elapsed() < PATIENCE, "the other bank is not watched");
        turn += 1;
        save(&progress, &format!("turn {turn}"));
        tokio::time::sleep(Duration::from_millis(400)).await;
    }
    save(&watched.file("a.md"), "unseen");
    save(&progress, "seen");
    let mut changes = Vec::new();
    watched.wait_for(std::slice::from_ref(&updated), &mut changes).await;
    assert!(changes.iter().all(|change| *change == updated), "{changes:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deleted_and_recreated_folder_is_watched_again() {
    let watched = watched().await;
    let folder = watched.root.path().join("memory-bank");
    std::fs::remove_dir_all(&folder).unwrap();
    tokio::time::sleep(Duration::from_millis(400)).await;
    std::fs::create_dir(&folder).unwrap();
    std::fs::write(watched.file("a.md"), "back").unwrap();
    watched.wait_for(&[Change::Updated(path("a.md"))], &mut Vec::new()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn documents_in_folders_are_notified_like_others() {
    let watched = watched().await;
    // A new folder, and one inside it.
    std::fs::create_dir_all(watched.file("adr/old")).unwrap();
    save(&watched.file("adr/old/0001.md"), "one");
    let document = Change::Updated(path("adr/old/0001.md"));
    let expected = [Change::List, document.clone()];
    assert_eq!(watched.changes_with(&expected).await, expected);
    save(&watched.file("adr/old/0001.md"), "two");
    assert_eq!(watched.changes_with(std::slice::from_ref(&document)).await, std::slice::from_ref(&document));
    watched.write("adr/old/0001.md", "three").await;
    assert_eq!(watched.changes_with(std::slice::from_ref(&document)).await, std::slice::from_ref(&document));
    // The folder is renamed with its contents.
    std::fs::rename(watched.file("adr"), watched.file("decisions")).unwrap();
    let moved = Change::Updated(path("decisions/old/0001.md"));
    let expected = [Change::List, document, moved.clone()];
    let changes = watched.changes_with(&expected).await;
    assert_eq!(changes.len(), 3, "{changes:?}");
    save(&watched.file("decisions/old/0001.md"), "four");
    assert_eq!(watched.changes_with(std::slice::from_ref(&moved)).await, [moved]);
    // Other folders cause no notification.
    for folder in ["graph", "backups", ".mbmcp/x", ".hidden"] {
        std::fs::create_dir_all(watched.file(folder)).unwrap();
        std::fs::write(watched.file(folder).join("x.md"), "x").unwrap();
    }
    std::fs::write(watched.file("a (conflicted copy).md"), "x").unwrap();
    let changes = watched.changes_until_now().await;
    assert_eq!(changes.iter().filter(|change| matches!(change, Change::List)).count(), 0, "{changes:?}");
}
