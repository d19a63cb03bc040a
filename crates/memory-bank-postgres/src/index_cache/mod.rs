//! The projects whose index is in memory: running refreshes, their waiters, and eviction. This module must not know
//! how a project is read.
//!
//! A new index is kept for ten times its build time, at most two minutes, so that projects which do not fit together
//! take turns instead of evicting each other at every search.

pub(crate) mod contents;
pub(crate) mod workers;

use parking_lot::{Mutex, MutexGuard};
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use memory_bank_core::caller::ProjectId;
use memory_bank_core::error::StoreError;
use memory_bank_core::search::{DenseCount, IndexBudget, IndexMemory, IndexUse};
use tokio::sync::{RwLock, Semaphore, watch};

use self::contents::Contents;
use self::workers::{ProjectQueue, Workers};

/// The most projects in memory.
const MAX_PROJECTS: usize = 256;
/// The most refreshes, running or queued.
const MAX_REFRESHES: usize = 128;
/// The most running refreshes with much text; the others wait in a queue.
const MAX_LARGE_REFRESHES: usize = 4;
/// How many times its build time an index is kept, and the longest time.
const KEEP_FACTOR: u32 = 10;
const MAX_KEEP: Duration = Duration::from_secs(120);
/// How long to wait for released memory.
const MEMORY_TIMEOUT: Duration = Duration::from_secs(5);
/// A refresh without waiters for this long, beside its expected duration, is aborted.
const ABANDON_AFTER: Duration = Duration::from_secs(60);
/// For how long a project that is too large is refused without reading it again, unless its documents become smaller.
const REFUSAL_TTL: Duration = Duration::from_secs(60);
/// Bytes of text that are indexed per second, before any measurement.
const INITIAL_SPEED: u64 = 4 * 1024 * 1024;

/// Settings of search; see [`crate::Database::with_search`].
#[derive(Debug, Clone, Copy, Default)]
pub struct SearchOptions {
    /// The memory for indexes.
    pub memory: IndexBudget,
}

#[derive(Debug)]
pub(crate) struct Indexes {
    projects: Mutex<Projects>,
    pub(crate) memory: Arc<IndexMemory>,
    pub(crate) workers: Workers,
    pub(crate) large: Semaphore,
    speed: AtomicU64,
    built: AtomicU64,
    evicted: AtomicU64,
    answered_building: AtomicU64,
    refused_too_large: AtomicU64,
    refused_busy: AtomicU64,
}

#[derive(Debug, Default)]
struct Projects {
    entries: HashMap<ProjectId, Entry>,
    uses: u64,
}

#[derive(Debug)]
struct Entry {
    project: Arc<Project>,
    used: u64,
    keep_until: Instant,
    refresh: Option<Refresh>,
    refused: Option<Refusal>,
}

/// A project that is too large, with its bytes of documents.
#[derive(Debug, Clone, Copy)]
struct Refusal {
    until: Instant,
    document_bytes: u64,
    needed: u64,
    texts: u64,
}

/// A project's data in memory, and its place in the queues.
#[derive(Debug)]
pub(crate) struct Project {
    pub(crate) contents: Arc<RwLock<Contents>>,
    pub(crate) lane: ProjectQueue,
    /// The memory budget that the contents use.
    held: AtomicU64,
    /// How far its vectors were when that was last counted.
    dense: Mutex<DenseCount>,
}

#[derive(Debug, Clone)]
struct Refresh {
    progress: Arc<Progress>,
    done: watch::Receiver<bool>,
}

/// The progress of a refresh.
#[derive(Debug)]
pub(crate) struct Progress {
    began: Instant,
    total: AtomicU64,
    done: AtomicU64,
    /// Milliseconds from the beginning to the last waiter.
    last_request_ms: AtomicU64,
}

impl Progress {
    fn new(total: u64) -> Self {
        let (done, last_request_ms) = (AtomicU64::new(0), AtomicU64::new(0));
        Self { began: Instant::now(), total: AtomicU64::new(total), done, last_request_ms }
    }

    pub(crate) fn set_total(&self, bytes: u64) {
        self.total.store(bytes, Ordering::Relaxed);
    }

    fn left(&self) -> u64 {
        self.total.load(Ordering::Relaxed).saturating_sub(self.done.load(Ordering::Relaxed))
    }

    fn note_interest(&self) {
        let now = u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.last_request_ms.fetch_max(now, Ordering::Relaxed);
    }
}

/// The result of requesting a refresh.
pub(crate) enum Joined {
    /// A refresh is running; its end is signalled.
    Running(Arc<Progress>, watch::Receiver<bool>),
    /// No refresh is running; the caller must run it.
    Started(Turn),
}

/// The duty to run one refresh. Dropping it ends the refresh, with any result.
#[derive(Debug)]
pub(crate) struct Turn {
    indexes: Arc<Indexes>,
    id: ProjectId,
    pub(crate) project: Arc<Project>,
    pub(crate) progress: Arc<Progress>,
    done: watch::Sender<bool>,
}

impl Drop for Turn {
    fn drop(&mut self) {
        if let Some(entry) = self.indexes.locked().entries.get_mut(&self.id) {
            entry.refresh = None;
        }
        self.done.send_replace(true);
    }
}

impl Project {
    /// Sets the reservation of the contents; false without enough memory.
    pub(crate) fn resize(&self, contents: &mut Contents, bytes: u64) -> bool {
        let done = contents.share.resize(bytes);
        self.held.store(contents.share.bytes(), Ordering::Relaxed);
        done
    }

    /// Notes how far its vectors are, for those who must not wait for the contents.
    pub(crate) fn note_dense_count(&self, count: DenseCount) {
        *self.dense.lock() = count;
    }

    /// How far its vectors were when that was last noted.
    pub(crate) fn dense_count(&self) -> DenseCount {
        *self.dense.lock()
    }
}

impl Turn {
    /// Records that `bytes` were processed since `began`. Returns an error if nobody waits for the result any more.
    pub(crate) fn advance(&self, bytes: u64, began: Instant) -> Result<(), StoreError> {
        self.progress.done.fetch_add(bytes, Ordering::Relaxed);
        self.indexes.note_speed(bytes, began.elapsed());
        let allowed = ABANDON_AFTER + self.indexes.expected(&self.progress) * 2;
        let last_request_ms = Duration::from_millis(self.progress.last_request_ms.load(Ordering::Relaxed));
        if self.progress.began.elapsed() > last_request_ms + allowed {
            return Err(StoreError::IndexBuilding { seconds: 1 });
        }
        Ok(())
    }

    /// Makes room for the whole to grow to this size: other indexes are evicted, if their time is over.
    pub(crate) async fn make_room(&self, contents: &mut Contents, needed: u64) -> Result<(), StoreError> {
        let deadline = Instant::now() + MEMORY_TIMEOUT;
        while !self.resize(contents, needed) {
            let evicted = self.indexes.evict(self.id);
            if Instant::now() >= deadline || (!evicted && !self.indexes.is_being_freed()) {
                return Err(StoreError::SearchBusy { seconds: self.indexes.seconds_to_eviction() });
            }
            // Evicted indexes are freed by other threads, and after the searches that still use them.
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(())
    }

    /// Sets the reservation of the contents; false without enough memory.
    pub(crate) fn resize(&self, contents: &mut Contents, bytes: u64) -> bool {
        self.project.resize(contents, bytes)
    }

    /// Starts again with empty contents.
    pub(crate) fn start_over(&self, contents: &mut Contents) {
        *contents = Contents::empty(&self.indexes.memory);
        self.project.held.store(0, Ordering::Relaxed);
    }

    pub(crate) fn indexes(&self) -> &Indexes {
        &self.indexes
    }

    /// Records that the index was built, and how long it took.
    pub(crate) fn is_built(&self, took: Duration) {
        self.indexes.built.fetch_add(1, Ordering::Relaxed);
        if let Some(entry) = self.indexes.locked().entries.get_mut(&self.id) {
            entry.keep_until = Instant::now() + (took * KEEP_FACTOR).min(MAX_KEEP);
        }
    }

    /// Records that the project is too large now.
    pub(crate) fn refuse(&self, document_bytes: u64, needed: u64, texts: u64) {
        let until = Instant::now() + REFUSAL_TTL;
        if let Some(entry) = self.indexes.locked().entries.get_mut(&self.id) {
            entry.refused = Some(Refusal { until, document_bytes, needed, texts });
        }
    }
}

impl Indexes {
    pub(crate) fn new(options: &SearchOptions) -> Self {
        Self {
            projects: Mutex::default(),
            memory: IndexMemory::new(options.memory),
            workers: Workers::default(),
            large: Semaphore::new(MAX_LARGE_REFRESHES),
            speed: AtomicU64::new(INITIAL_SPEED),
            built: AtomicU64::default(),
            evicted: AtomicU64::default(),
            answered_building: AtomicU64::default(),
            refused_too_large: AtomicU64::default(),
            refused_busy: AtomicU64::default(),
        }
    }

    pub(crate) fn budget(&self) -> IndexBudget {
        self.memory.budget()
    }

    /// A project, which becomes the most recently searched one.
    pub(crate) fn project(&self, id: ProjectId) -> Arc<Project> {
        let mut projects = self.locked();
        projects.uses += 1;
        let used = projects.uses;
        let new = || Entry {
            project: Arc::new(Project {
                contents: Arc::new(RwLock::new(Contents::empty(&self.memory))),
                lane: self.workers.lane(),
                held: AtomicU64::default(),
                dense: Mutex::default(),
            }),
            used,
            keep_until: Instant::now(),
            refresh: None,
            refused: None,
        };
        let entry = projects.entries.entry(id).or_insert_with(new);
        entry.used = used;
        let project = Arc::clone(&entry.project);
        while projects.entries.len() > MAX_PROJECTS {
            let Some(oldest) = oldest(&projects, id, |_| true) else { break };
            projects.entries.remove(&oldest);
            self.evicted.fetch_add(1, Ordering::Relaxed);
        }
        project
    }

    /// A project that is in memory, without counting as a search.
    pub(crate) fn cached_project(&self, id: ProjectId) -> Option<Arc<Project>> {
        self.locked().entries.get(&id).map(|entry| Arc::clone(&entry.project))
    }

    /// Joins the running refresh of a project, or starts one of `document_bytes`.
    ///
    /// # Errors
    /// The project is too large, or too many refreshes are queued.
    pub(crate) fn join(self: &Arc<Self>, id: ProjectId, document_bytes: u64) -> Result<Joined, StoreError> {
        let project = self.project(id);
        let mut projects = self.locked();
        let running = projects.entries.values().filter(|entry| entry.refresh.is_some()).count();
        let Some(entry) = projects.entries.get_mut(&id) else {
            return Err(StoreError::SearchBusy { seconds: 1 });
        };
        if let Some(Refresh { progress, done }) = entry.refresh.clone() {
            progress.note_interest();
            return Ok(Joined::Running(progress, done));
        }
        let is_valid =
            |refused: &Refusal| refused.until > Instant::now() && document_bytes >= refused.document_bytes;
        if let Some(refused) = entry.refused.filter(is_valid) {
            self.budget().check(refused.needed, refused.texts)?;
        }
        entry.refused = None;
        if running >= MAX_REFRESHES {
            return Err(StoreError::SearchBusy { seconds: 1 });
        }
        let progress = Arc::new(Progress::new(document_bytes));
        let (done, over) = watch::channel(false);
        entry.refresh = Some(Refresh { progress: Arc::clone(&progress), done: over });
        Ok(Joined::Started(Turn { indexes: Arc::clone(self), id, project, progress, done }))
    }

    /// The expected remaining time of a refresh.
    pub(crate) fn expected(&self, progress: &Progress) -> Duration {
        let speed = self.speed.load(Ordering::Relaxed).max(1);
        let sharing = (MAX_LARGE_REFRESHES - self.large.available_permits()).max(1) as u64;
        let millis = progress.left().saturating_mul(1000).saturating_mul(sharing) / speed;
        Duration::from_millis(millis.min(3_600_000))
    }

    /// Counts the refusal of a search.
    pub(crate) fn count(&self, error: &StoreError) {
        let counter = match error {
            StoreError::IndexBuilding { .. } => &self.answered_building,
            StoreError::IndexTooLarge { .. } => &self.refused_too_large,
            StoreError::SearchBusy { .. } => &self.refused_busy,
            _ => return,
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    /// How far the vectors of all projects are, as they were counted last.
    pub(crate) fn dense_count(&self) -> DenseCount {
        let projects = self.locked();
        let counts = projects.entries.values().map(|entry| entry.project.dense_count());
        counts.fold(DenseCount::default(), DenseCount::plus)
    }

    pub(crate) fn usage(&self) -> IndexUse {
        let projects = self.locked();
        let entries = || projects.entries.values();
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        IndexUse {
            projects: entries().count(),
            bytes: self.memory.used_bytes(),
            max_bytes: self.budget().total,
            building: entries().filter(|entry| entry.refresh.is_some()).count(),
            built: count(&self.built),
            evicted: count(&self.evicted),
            answered_building: count(&self.answered_building),
            refused_too_large: count(&self.refused_too_large),
            refused_busy: count(&self.refused_busy),
        }
    }

    /// A moving average of measurements.
    fn note_speed(&self, bytes: u64, took: Duration) {
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX).max(1);
        if bytes >= 64 * 1024 {
            let now = bytes.saturating_mul(1_000_000) / micros;
            let before = self.speed.load(Ordering::Relaxed);
            self.speed.store((before * 3 + now) / 4, Ordering::Relaxed);
        }
    }

    /// Evicts the least recently searched index whose time is over; returns whether there was one.
    fn evict(&self, but: ProjectId) -> bool {
        let mut projects = self.locked();
        let now = Instant::now();
        let Some(oldest) = oldest(&projects, but, |entry| entry.keep_until <= now) else { return false };
        projects.entries.remove(&oldest);
        self.evicted.fetch_add(1, Ordering::Relaxed);
        true
    }

    /// Whether evicted indexes still use memory.
    fn is_being_freed(&self) -> bool {
        let projects = self.locked();
        let held = projects.entries.values().map(|entry| entry.project.held.load(Ordering::Relaxed));
        self.memory.used_bytes() > held.sum()
    }

    /// In how many seconds the next index may be evicted.
    fn seconds_to_eviction(&self) -> u64 {
        let now = Instant::now();
        let projects = self.locked();
        let next =
            projects.entries.values().map(|entry| entry.keep_until.saturating_duration_since(now)).min();
        next.map_or(1, |next| next.as_secs() + 1)
    }

    fn locked(&self) -> MutexGuard<'_, Projects> {
        self.projects.lock()
    }
}

/// The least recently searched project that is not being refreshed.
fn oldest(projects: &Projects, but: ProjectId, may_evict: impl Fn(&Entry) -> bool) -> Option<ProjectId> {
    let entries = projects.entries.iter();
    let free = entries.filter(|(id, entry)| **id != but && entry.refresh.is_none() && may_evict(entry));
    free.min_by_key(|(_, entry)| entry.used).map(|(id, _)| *id)
}
