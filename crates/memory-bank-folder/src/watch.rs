//! Watches a bank's folder for changes by others (an editor, another process), and notifies subscribers.
//!
//! Reports of the system only trigger a check: the folder is read under the bank's lock, and differences from the
//! last notified state are notified. So a change of our own is not notified twice. Without a working watcher the
//! server continues.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use memory_bank_core::caller::ProjectId;
use memory_bank_core::document::{DocumentPath, holds_documents};
use memory_bank_core::error::StoreError;
use memory_bank_core::store::ReadOutcome;
use notify::event::ModifyKind;
use notify::{Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher as _};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::bank::FolderBank;
use crate::dir::{BankDir, FolderEntry, Root};
use crate::documents::{self, is_document};
use crate::lock::blocking;
use crate::system;

/// How long the folder must be quiet before a check.
const QUIET_TIME: Duration = Duration::from_millis(100);
/// The longest delay of a check if the folder is never quiet.
const MAX_DELAY: Duration = Duration::from_secs(1);
/// How often a missing folder is checked.
const MISSING_INTERVAL: Duration = Duration::from_secs(2);
/// How often a watched folder is checked, where the system does not report that it is gone.
const PRESENCE_INTERVAL: Duration =
    if system::REPORTS_A_REMOVED_FOLDER { Duration::MAX } else { MISSING_INTERVAL };
/// The most watched folders of one bank: each uses a watch of the system.
const MAX_WATCHED_FOLDERS: usize = 1000;
/// How many reports may wait; beyond that everything is checked.
const MAX_QUEUED_REPORTS: usize = 256;
const MAX_ATTEMPTS: usize = 3;

/// A running watch; ends when dropped.
#[derive(Debug)]
pub(crate) struct Watch {
    task: JoinHandle<()>,
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Watch {
    /// Begins to watch the bank's folder. Must be called within the runtime.
    pub(crate) fn start(bank: Arc<FolderBank>, project: ProjectId) -> Self {
        // Not in the task: clients that are served from now on expect a notification of a change right after.
        let attempt = Attempt::new(bank.root());
        match bank
            .root()
            .open()
            .map_err(StoreError::io("cannot open the memory bank"))
            .and_then(|dir| present(&dir))
        {
            Ok(names) => {
                bank.notifier.compare_names(project, &names);
            }
            Err(error) => tracing::debug!(%error, "the names in the memory bank could not be read yet"),
        }
        Self { task: tokio::spawn(run(bank, project, attempt)) }
    }
}

/// A watcher of the system, or why there is none, and its reports.
struct Attempt {
    watcher: notify::Result<Folders>,
    reports: mpsc::Receiver<Report>,
    lost: Arc<AtomicBool>,
}

impl Attempt {
    fn new(root: &Root) -> Self {
        let (sender, reports) = mpsc::channel(MAX_QUEUED_REPORTS);
        let lost = Arc::new(AtomicBool::new(false));
        let watcher = begin(root.path(), sender, Arc::clone(&lost)).map(|watcher| {
            let number = root.open().and_then(|dir| dir.number()).ok();
            let mut folders = Folders { watcher, root: root.clone(), number, watched: BTreeMap::new() };
            folders.renew();
            folders
        });
        Self { watcher, reports, lost }
    }
}

/// The folders with documents that are watched beside the bank itself, each by itself, so that the server's own folder is not watched.
struct Folders {
    watcher: RecommendedWatcher,
    root: Root,
    /// The number of the bank's folder when its watch began.
    number: Option<u64>,
    /// Their names and numbers.
    watched: BTreeMap<String, u64>,
}

impl Folders {
    /// Watches the folders that are there now, and gives the documents in those that were not watched before.
    fn renew(&mut self) -> BTreeSet<String> {
        let root = self.root.clone();
        self.renew_by(|| root.open().and_then(|dir| dir.walk()))
    }

    /// Renews the watches with the given way to list the bank. Folders that are created in a new one before it is watched are not
    /// reported, so the
    /// bank is listed again as long as there are new ones.
    fn renew_by(&mut self, mut walk: impl FnMut() -> std::io::Result<Vec<FolderEntry>>) -> BTreeSet<String> {
        let mut documents = BTreeSet::new();
        for _ in 0..=MAX_WATCHED_FOLDERS {
            let walked = match walk() {
                Ok(walked) => walked,
                Err(error) => {
                    tracing::debug!(%error, "the folders of the memory bank could not be read");
                    break;
                }
            };
            let new = self.watch_folders(&walked);
            if new.is_empty() {
                break;
            }
            let in_new = |entry: &&FolderEntry| {
                is_document(entry)
                    && entry.name.rsplit_once('/').is_some_and(|(folder, _)| new.contains(folder))
            };
            documents.extend(walked.iter().filter(in_new).map(|entry| entry.name.clone()));
        }
        documents
    }

    /// Watches the folders among the entries, no others, and gives those that were not watched before.
    fn watch_folders(&mut self, walked: &[FolderEntry]) -> BTreeSet<String> {
        let is_watched = |entry: &&FolderEntry| entry.is_folder && holds_documents(&entry.name);
        let mut present: BTreeMap<String, u64> =
            walked.iter().filter(is_watched).map(|entry| (entry.name.clone(), entry.stamp.inode)).collect();
        if let Some(first_left) = present.keys().nth(MAX_WATCHED_FOLDERS).cloned() {
            tracing::warn!(
                folders = MAX_WATCHED_FOLDERS,
                "not every folder of the memory bank is watched; changes by others in the rest are seen when they are read"
            );
            drop(present.split_off(&first_left));
        }
        for gone in self.watched.keys().filter(|name| !present.contains_key(*name)) {
            // The system may have ended it with the folder.
            let _ended = self.watcher.unwatch(&self.root.path().join(gone));
        }
        let mut new = BTreeSet::new();
        for (folder, number) in &present {
            let path = self.root.path().join(folder);
            if !system::WATCHES_ARE_RENEWED {
                // The number of a folder is never used again there, and a second watch would add to the first one.
                match self.watched.get(folder) {
                    Some(known) if known == number => continue,
                    Some(_) => drop(self.watcher.unwatch(&path)),
                    None => {}
                }
            }
            // Again for those that are watched: another folder may have the name by now.
            match self.watcher.watch(&path, RecursiveMode::NonRecursive) {
                Ok(()) if !self.watched.contains_key(folder) => {
                    new.insert(folder.clone());
                }
                Ok(()) => {}
                Err(error) => tracing::debug!(folder, %error, "a folder of the memory bank is not watched"),
            }
        }
        self.watched = present;
        new
    }
}

#[derive(Debug)]
enum Report {
    /// This name changed.
    Name(String),
    /// A folder may have changed.
    Folder,
    /// The folder itself disappeared.
    Gone,
}

async fn run(bank: Arc<FolderBank>, project: ProjectId, mut attempt: Attempt) {
    loop {
        let Attempt { watcher, reports, lost } = attempt;
        match watcher {
            Ok(folders) => {
                check(&bank, project, BTreeSet::new(), true).await;
                follow(&bank, project, folders, reports, &lost).await;
            }
            Err(error) if bank.path().is_dir() => {
                tracing::warn!(%error, "the memory bank is not watched; changes by others are seen when it is read");
                return;
            }
            Err(_) => {}
        }
        tokio::time::sleep(MISSING_INTERVAL).await;
        let root = bank.root().clone();
        attempt = match blocking(move || Ok::<_, StoreError>(Attempt::new(&root))).await {
            Ok(attempt) => attempt,
            Err(error) => {
                tracing::warn!(%error, "the memory bank is not watched any more");
                return;
            }
        };
    }
}

/// Checks reported names, until the folder disappears.
async fn follow(
    bank: &Arc<FolderBank>,
    project: ProjectId,
    mut folders: Folders,
    mut reports: mpsc::Receiver<Report>,
    lost: &AtomicBool,
) {
    loop {
        let Ok(first) = tokio::time::timeout(PRESENCE_INTERVAL, reports.recv()).await else {
            if folder_exists(bank, &folders).await {
                continue;
            }
            return;
        };
        let Some(first) = first else { return };
        let mut reported = Reported::default();
        reported.note(first);
        let started = tokio::time::Instant::now();
        while !reported.gone && started.elapsed() < MAX_DELAY {
            match tokio::time::timeout(QUIET_TIME, reports.recv()).await {
                Err(_) => break,
                Ok(None) => return,
                Ok(Some(report)) => reported.note(report),
            }
        }
        if reported.gone {
            return;
        }
        let everything = lost.swap(false, Ordering::Relaxed);
        if reported.folders || everything {
            let renewed = blocking(move || {
                let documents = folders.renew();
                Ok::<_, StoreError>((folders, documents))
            });
            let Ok((renewed, documents)) = renewed.await else { return };
            folders = renewed;
            reported.names.extend(documents);
        }
        check(bank, project, reported.names, everything).await;
    }
}

/// Whether the watched folder still has its name.
async fn folder_exists(bank: &Arc<FolderBank>, folders: &Folders) -> bool {
    let (root, number) = (bank.root().clone(), folders.number);
    let number_now = blocking(move || Ok::<_, StoreError>(root.open().and_then(|dir| dir.number()).ok()));
    number_now.await.is_ok_and(|now| now == number)
}

/// The reports while the bank was not quiet.
#[derive(Default)]
struct Reported {
    names: BTreeSet<String>,
    folders: bool,
    gone: bool,
}

impl Reported {
    fn note(&mut self, report: Report) {
        match report {
            Report::Gone => self.gone = true,
            Report::Folder => self.folders = true,
            Report::Name(name) => {
                self.names.insert(name);
            }
        }
    }
}

/// Reads the changed names and notifies of differences. With `everything`, checks all names that were ever notified.
async fn check(bank: &Arc<FolderBank>, project: ProjectId, names: BTreeSet<String>, everything: bool) {
    for _ in 0..MAX_ATTEMPTS {
        match check_once(bank, project, names.clone(), everything).await {
            Ok(()) => return,
            Err(StoreError::Busy) => {}
            Err(error) => {
                tracing::debug!(%error, "the changed memory bank could not be read");
                return;
            }
        }
    }
    tracing::warn!(
        "the memory bank was locked too long; subscribers were not notified of a change by others"
    );
}

async fn check_once(
    bank: &Arc<FolderBank>,
    project: ProjectId,
    mut names: BTreeSet<String>,
    everything: bool,
) -> Result<(), StoreError> {
    // Under the lock no edit of ours is half notified.
    let guard = bank.lock.shared().await?;
    let notifier = Arc::clone(&bank.notifier);
    let contents = blocking(move || {
        let mut contents = Vec::new();
        let present = present(guard.dir())?;
        if everything {
            names.extend(notifier.known_documents());
        }
        names.extend(notifier.compare_names(project, &present));
        for name in names {
            let Ok(path) = DocumentPath::parse(&name) else { continue };
            if !present.contains(&name) {
                notifier.notify_document(project, &path, None);
                contents.push((path, None));
            } else if let ReadOutcome::Found(document) = documents::read(guard.dir(), &path)? {
                notifier.notify_document(project, &document.path, Some(&document.etag));
                contents.push((document.path, Some(document.etag)));
            }
        }
        drop(guard);
        Ok::<_, StoreError>(contents)
    })
    .await?;
    bank.compare_with_history(contents);
    Ok(())
}

/// The names of all documents in the folder.
fn present(dir: &BankDir) -> Result<BTreeSet<String>, StoreError> {
    let entries = documents::entries(dir)?;
    Ok(entries.into_iter().filter(|entry| entry.path.is_some()).map(|entry| entry.name).collect())
}

fn begin(
    path: &Path,
    sender: mpsc::Sender<Report>,
    lost: Arc<AtomicBool>,
) -> notify::Result<RecommendedWatcher> {
    // Some systems report paths without the links on their way.
    let folders = [Some(path.to_owned()), fs_err::canonicalize(path).ok()];
    let mut watcher = notify::recommended_watcher(move |event: notify::Result<Event>| {
        let reports = match event {
            Ok(event) => reports_of(&folders, &event),
            Err(error) => {
                tracing::debug!(%error, "the watcher lost reports");
                lost.store(true, Ordering::Relaxed);
                Vec::new()
            }
        };
        for report in reports {
            if sender.try_send(report).is_err() {
                lost.store(true, Ordering::Relaxed);
            }
        }
    })?;
    watcher.watch(path, RecursiveMode::NonRecursive)?;
    Ok(watcher)
}

fn reports_of(folders: &[Option<PathBuf>], event: &Event) -> Vec<Report> {
    // Reading a file is an event too; answering it with a read would never end.
    if matches!(event.kind, EventKind::Access(_)) {
        return Vec::new();
    }
    let of_path = |path: &PathBuf| {
        let folder = folders.iter().flatten().find(|folder| path.starts_with(folder))?;
        if path == folder {
            let gone = matches!(event.kind, EventKind::Remove(_) | EventKind::Modify(ModifyKind::Name(_)));
            return gone.then_some(Report::Gone);
        }
        let parts: Option<Vec<&str>> =
            path.strip_prefix(folder).ok()?.components().map(|part| part.as_os_str().to_str()).collect();
        let name = parts?.join("/");
        if DocumentPath::parse(&name).is_ok() {
            return Some(Report::Name(name));
        }
        // A name that is written to is not a folder.
        let is_written =
            matches!(event.kind, EventKind::Modify(ModifyKind::Data(_) | ModifyKind::Metadata(_)));
        (!is_written && holds_documents(&name)).then_some(Report::Folder)
    };
    event.paths.iter().filter_map(of_path).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_that_is_created_before_the_one_around_it_is_watched_is_watched_too() {
        let folder = tempfile::TempDir::new().unwrap();
        let bank = folder.path().canonicalize().unwrap().join("memory-bank");
        std::fs::create_dir(&bank).unwrap();
        let root = Root::anywhere(bank.clone());
        let Attempt { watcher, .. } = Attempt::new(&root);
        let mut folders = watcher.unwrap();
        std::fs::create_dir(bank.join("adr")).unwrap();
        let documents = folders.renew_by(|| {
            let walked = root.open().and_then(|dir| dir.walk())?;
            // By another program, between the list and the watch.
            std::fs::create_dir_all(bank.join("adr/old"))?;
            std::fs::write(bank.join("adr/old/0001.md"), "one")?;
            Ok(walked)
        });
        assert_eq!(folders.watched.keys().collect::<Vec<_>>(), ["adr", "adr/old"]);
        assert_eq!(documents, BTreeSet::from(["adr/old/0001.md".to_owned()]));
    }
}
