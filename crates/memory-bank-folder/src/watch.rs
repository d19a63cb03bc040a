//! Watches a bank's folder for changes that others make (an editor, another process), and has them told.
//!
//! What the system reports is only a hint to look: the folder is read under the bank's lock, and told is what differs
//! from what was told before. So a change of our own is not told twice. Without a working watcher the server goes on.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use memory_bank_core::caller::ProjectId;
use memory_bank_core::document::DocumentPath;
use memory_bank_core::error::StoreError;
use memory_bank_core::store::ReadOutcome;
use notify::event::ModifyKind;
use notify::{Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher as _};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::bank::FolderBank;
use crate::dir::BankDir;
use crate::documents;
use crate::lock::blocking;

/// How long the folder must be quiet before it is looked at.
const QUIET: Duration = Duration::from_millis(100);
/// How long a folder that is never quiet is left alone.
const PATIENCE: Duration = Duration::from_secs(1);
/// How often a folder that went away is looked for.
const RETURN: Duration = Duration::from_secs(2);
/// How many reports may wait; more of them mean "look at everything".
const REPORTS: usize = 256;
const TRIES: usize = 3;

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
        // Not in the task: whoever is served from now on counts on hearing of a change made right after.
        let attempt = Attempt::new(bank.path());
        match bank
            .root()
            .open()
            .map_err(StoreError::io("cannot open the memory bank"))
            .and_then(|dir| present(&dir))
        {
            Ok(names) => {
                bank.news.names(project, &names);
            }
            Err(error) => tracing::debug!(%error, "the names in the memory bank could not be read yet"),
        }
        Self { task: tokio::spawn(run(bank, project, attempt)) }
    }
}

/// A watcher of the system, if there is one, and what comes from it.
struct Attempt {
    watcher: notify::Result<RecommendedWatcher>,
    reports: mpsc::Receiver<Report>,
    lost: Arc<AtomicBool>,
}

impl Attempt {
    fn new(path: &Path) -> Self {
        let (sender, reports) = mpsc::channel(REPORTS);
        let lost = Arc::new(AtomicBool::new(false));
        Self { watcher: begin(path, sender, Arc::clone(&lost)), reports, lost }
    }
}

#[derive(Debug)]
enum Report {
    /// Something happened to this name.
    Name(String),
    /// The folder itself went away.
    Gone,
}

async fn run(bank: Arc<FolderBank>, project: ProjectId, mut attempt: Attempt) {
    loop {
        let Attempt { watcher, reports, lost } = attempt;
        match watcher {
            Ok(_watcher) => {
                look(&bank, project, BTreeSet::new(), true).await;
                follow(&bank, project, reports, &lost).await;
            }
            Err(error) if bank.path().is_dir() => {
                tracing::warn!(%error, "the memory bank is not watched; changes by others are seen when it is read");
                return;
            }
            Err(_) => {}
        }
        tokio::time::sleep(RETURN).await;
        let path = bank.path().to_owned();
        attempt = match blocking(move || Ok::<_, StoreError>(Attempt::new(&path))).await {
            Ok(attempt) => attempt,
            Err(error) => {
                tracing::warn!(%error, "the memory bank is not watched any more");
                return;
            }
        };
    }
}

/// Looks at what is reported, until the folder goes away.
async fn follow(
    bank: &Arc<FolderBank>,
    project: ProjectId,
    mut reports: mpsc::Receiver<Report>,
    lost: &AtomicBool,
) {
    loop {
        let Some(first) = reports.recv().await else { return };
        let mut names = BTreeSet::new();
        let mut gone = note(first, &mut names);
        let started = tokio::time::Instant::now();
        while !gone && started.elapsed() < PATIENCE {
            match tokio::time::timeout(QUIET, reports.recv()).await {
                Err(_) => break,
                Ok(None) => return,
                Ok(Some(report)) => gone = note(report, &mut names),
            }
        }
        if gone {
            return;
        }
        look(bank, project, names, lost.swap(false, Ordering::Relaxed)).await;
    }
}

fn note(report: Report, names: &mut BTreeSet<String>) -> bool {
    match report {
        Report::Gone => true,
        Report::Name(name) => {
            names.insert(name);
            false
        }
    }
}

/// Reads what changed and has the differences told. With `everything`, all that anyone was told of before.
async fn look(bank: &Arc<FolderBank>, project: ProjectId, names: BTreeSet<String>, everything: bool) {
    for _ in 0..TRIES {
        match look_once(bank, project, names.clone(), everything).await {
            Ok(()) => return,
            Err(StoreError::Busy) => {}
            Err(error) => {
                tracing::debug!(%error, "the changed memory bank could not be read");
                return;
            }
        }
    }
    tracing::warn!("the memory bank was locked too long; a change by others was not told");
}

async fn look_once(
    bank: &Arc<FolderBank>,
    project: ProjectId,
    mut names: BTreeSet<String>,
    everything: bool,
) -> Result<(), StoreError> {
    // Under the lock no edit of ours is half told.
    let guard = bank.lock.shared().await?;
    let news = Arc::clone(&bank.news);
    blocking(move || {
        let present = present(guard.dir())?;
        if everything {
            names.extend(news.known());
        }
        names.extend(news.names(project, &present));
        for name in names {
            let Ok(path) = DocumentPath::parse(&name) else { continue };
            if !present.contains(&name) {
                news.document(project, &path, None);
            } else if let ReadOutcome::Found(document) = documents::read(guard.dir(), &path)? {
                news.document(project, &document.path, Some(&document.etag));
            }
        }
        drop(guard);
        Ok(())
    })
    .await
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
    let folder = path.to_owned();
    let mut watcher = notify::recommended_watcher(move |event: notify::Result<Event>| {
        let reports = match event {
            Ok(event) => reports_of(&folder, &event),
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

fn reports_of(folder: &PathBuf, event: &Event) -> Vec<Report> {
    // Reading a file is an event too; to answer it by reading would never end.
    if matches!(event.kind, EventKind::Access(_)) {
        return Vec::new();
    }
    let of_path = |path: &PathBuf| {
        if path == folder {
            let gone = matches!(event.kind, EventKind::Remove(_) | EventKind::Modify(ModifyKind::Name(_)));
            return gone.then_some(Report::Gone);
        }
        let name = path.file_name()?.to_str()?;
        DocumentPath::parse(name).ok()?;
        Some(Report::Name(name.to_owned()))
    };
    event.paths.iter().filter_map(of_path).collect()
}
