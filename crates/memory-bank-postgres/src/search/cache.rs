//! The projects that are kept ready to be searched: which refresh is under way, who waits for it, and which project gives
//! way when the memory does not suffice. It must not know how a project is read.
//!
//! An index that was built stays for ten times as long as that took, at most two minutes, so that projects which do not fit
//! in together take turns instead of evicting each other at every search.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use memory_bank_core::caller::ProjectId;
use memory_bank_core::error::StoreError;
use memory_bank_core::search::{DenseCount, IndexBudget, IndexMemory};
use tokio::sync::{RwLock, Semaphore, watch};

use super::contents::Contents;
use super::workers::{Lane, Workers};

/// How many projects are kept ready to be searched.
const PROJECTS: usize = 256;
/// How many refreshes may be under way or queued.
const REFRESHES: usize = 128;
/// How many refreshes with much text to read are under way at a time; the others wait in a queue.
const LARGE_REFRESHES: usize = 4;
/// For how many times the time that it took to build an index stays, and at most for how long.
const STAYS: u32 = 10;
const STAYS_AT_MOST: Duration = Duration::from_secs(120);
/// How long memory that is given back is waited for.
const ROOM_WAIT: Duration = Duration::from_secs(5);
/// A refresh that nobody asked for during this time, beside what it is expected to take, is given up.
const ABANDONED: Duration = Duration::from_secs(60);
/// For how long a project that turned out to be too large is refused without being read again, unless its documents become smaller.
const REFUSED: Duration = Duration::from_secs(60);
/// Text that is read, cut and indexed in a second, in bytes, before any was.
const FIRST_SPEED: u64 = 4 * 1024 * 1024;

/// How search is done; see [`crate::Database::with_search`].
#[derive(Debug, Clone, Copy, Default)]
pub struct SearchOptions {
    /// The memory that indexes may take.
    pub memory: IndexBudget,
}

/// What search indexes take at a moment, and what was refused since the start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct IndexUse {
    /// Projects that are ready to be searched.
    pub projects: usize,
    /// The memory that they take, and what is set aside for those being built.
    pub bytes: u64,
    /// The memory that they may take.
    pub max_bytes: u64,
    /// Indexes that are being built or brought up to date, those in the queue among them.
    pub building: usize,
    /// Indexes that were built from nothing.
    pub built: u64,
    /// Indexes that gave way to others.
    pub evicted: u64,
    /// Searches that were answered that the index is being built.
    pub answered_building: u64,
    /// Searches of projects that are too large.
    pub refused_too_large: u64,
    /// Searches for which there was no room.
    pub refused_busy: u64,
}

#[derive(Debug)]
pub(crate) struct Indexes {
    projects: Mutex<Projects>,
    pub(super) memory: Arc<IndexMemory>,
    pub(super) workers: Workers,
    pub(super) large: Semaphore,
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
    stays_until: Instant,
    refresh: Option<Refresh>,
    refused: Option<Refusal>,
}

/// A project that was found to be too large, with these bytes of documents.
#[derive(Debug, Clone, Copy)]
struct Refusal {
    until: Instant,
    document_bytes: u64,
    needed: u64,
    texts: u64,
}

/// What of a project is in memory, and its place in the queues.
#[derive(Debug)]
pub(super) struct Project {
    pub(super) contents: Arc<RwLock<Contents>>,
    pub(super) lane: Lane,
    /// The memory that the contents have their share of.
    held: AtomicU64,
    /// How far its vectors were when that was last counted.
    dense: Mutex<DenseCount>,
}

#[derive(Debug, Clone)]
struct Refresh {
    progress: Arc<Progress>,
    done: watch::Receiver<bool>,
}

/// How far a refresh is.
#[derive(Debug)]
pub(super) struct Progress {
    began: Instant,
    total: AtomicU64,
    done: AtomicU64,
    /// Milliseconds from the beginning to when somebody last waited for it.
    wanted: AtomicU64,
}

impl Progress {
    fn new(total: u64) -> Self {
        let (done, wanted) = (AtomicU64::new(0), AtomicU64::new(0));
        Self { began: Instant::now(), total: AtomicU64::new(total), done, wanted }
    }

    pub(super) fn set_total(&self, bytes: u64) {
        self.total.store(bytes, Ordering::Relaxed);
    }

    fn left(&self) -> u64 {
        self.total.load(Ordering::Relaxed).saturating_sub(self.done.load(Ordering::Relaxed))
    }

    fn note_interest(&self) {
        let now = u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.wanted.fetch_max(now, Ordering::Relaxed);
    }
}

/// What came of asking for a refresh.
pub(super) enum Joined {
    /// It is under way; it will say when it is over.
    UnderWay(Arc<Progress>, watch::Receiver<bool>),
    /// There is none; this is the right and duty to carry it out.
    Ours(Turn),
}

/// The duty to carry out one refresh. Dropped, the refresh is over, whatever came of it.
#[derive(Debug)]
pub(super) struct Turn {
    indexes: Arc<Indexes>,
    id: ProjectId,
    pub(super) project: Arc<Project>,
    pub(super) progress: Arc<Progress>,
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
    /// Sets the share of the contents; false if the memory does not suffice.
    pub(super) fn resize(&self, contents: &mut Contents, bytes: u64) -> bool {
        let done = contents.share.resize(bytes);
        self.held.store(contents.share.bytes(), Ordering::Relaxed);
        done
    }

    /// Notes how far its vectors are, for those who must not wait for the contents.
    pub(super) fn note_dense_count(&self, count: DenseCount) {
        *self.dense.lock().unwrap_or_else(PoisonError::into_inner) = count;
    }

    /// How far its vectors were when that was last noted.
    pub(super) fn dense_count(&self) -> DenseCount {
        *self.dense.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Turn {
    /// Notes that so many bytes were done since `began`. An error when nobody waits for the whole any more.
    pub(super) fn advance(&self, bytes: u64, began: Instant) -> Result<(), StoreError> {
        self.progress.done.fetch_add(bytes, Ordering::Relaxed);
        self.indexes.note_speed(bytes, began.elapsed());
        let patience = ABANDONED + self.indexes.expected(&self.progress) * 2;
        let wanted = Duration::from_millis(self.progress.wanted.load(Ordering::Relaxed));
        if self.progress.began.elapsed() > wanted + patience {
            return Err(StoreError::IndexBuilding { seconds: 1 });
        }
        Ok(())
    }

    /// Makes room for the whole to grow to this size: others give way, if their time is over.
    pub(super) async fn make_room(&self, contents: &mut Contents, needed: u64) -> Result<(), StoreError> {
        let deadline = Instant::now() + ROOM_WAIT;
        while !self.resize(contents, needed) {
            let evicted = self.indexes.evict(self.id);
            if Instant::now() >= deadline || (!evicted && !self.indexes.is_being_freed()) {
                return Err(StoreError::SearchBusy { seconds: self.indexes.room_in() });
            }
            // What was evicted is freed by other threads, and after the searches that still use it.
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(())
    }

    /// Sets the share of the contents; false if the memory does not suffice.
    pub(super) fn resize(&self, contents: &mut Contents, bytes: u64) -> bool {
        self.project.resize(contents, bytes)
    }

    /// Begins anew, with nothing.
    pub(super) fn begin_anew(&self, contents: &mut Contents) {
        *contents = Contents::empty(&self.indexes.memory);
        self.project.held.store(0, Ordering::Relaxed);
    }

    pub(super) fn indexes(&self) -> &Indexes {
        &self.indexes
    }

    /// Notes that the index was built from nothing, which took so long.
    pub(super) fn is_built(&self, took: Duration) {
        self.indexes.built.fetch_add(1, Ordering::Relaxed);
        if let Some(entry) = self.indexes.locked().entries.get_mut(&self.id) {
            entry.stays_until = Instant::now() + (took * STAYS).min(STAYS_AT_MOST);
        }
    }

    /// Notes that the project is too large as it is now.
    pub(super) fn refuse(&self, document_bytes: u64, needed: u64, texts: u64) {
        let until = Instant::now() + REFUSED;
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
            large: Semaphore::new(LARGE_REFRESHES),
            speed: AtomicU64::new(FIRST_SPEED),
            built: AtomicU64::default(),
            evicted: AtomicU64::default(),
            answered_building: AtomicU64::default(),
            refused_too_large: AtomicU64::default(),
            refused_busy: AtomicU64::default(),
        }
    }

    pub(super) fn budget(&self) -> IndexBudget {
        self.memory.budget()
    }

    /// A project, which from now on counts as the one that was searched last.
    pub(super) fn project(&self, id: ProjectId) -> Arc<Project> {
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
            stays_until: Instant::now(),
            refresh: None,
            refused: None,
        };
        let entry = projects.entries.entry(id).or_insert_with(new);
        entry.used = used;
        let project = Arc::clone(&entry.project);
        while projects.entries.len() > PROJECTS {
            let Some(oldest) = oldest(&projects, id, |_| true) else { break };
            projects.entries.remove(&oldest);
            self.evicted.fetch_add(1, Ordering::Relaxed);
        }
        project
    }

    /// A project that is in memory, without counting as a search of it.
    pub(super) fn held(&self, id: ProjectId) -> Option<Arc<Project>> {
        self.locked().entries.get(&id).map(|entry| Arc::clone(&entry.project))
    }

    /// Joins the refresh of a project that is under way, or gives the turn to begin one of so many bytes.
    ///
    /// # Errors
    /// The project was found to be too large, or too many refreshes are queued.
    pub(super) fn join(self: &Arc<Self>, id: ProjectId, document_bytes: u64) -> Result<Joined, StoreError> {
        let project = self.project(id);
        let mut projects = self.locked();
        let under_way = projects.entries.values().filter(|entry| entry.refresh.is_some()).count();
        let Some(entry) = projects.entries.get_mut(&id) else {
            return Err(StoreError::SearchBusy { seconds: 1 });
        };
        if let Some(Refresh { progress, done }) = entry.refresh.clone() {
            progress.note_interest();
            return Ok(Joined::UnderWay(progress, done));
        }
        let stands =
            |refused: &Refusal| refused.until > Instant::now() && document_bytes >= refused.document_bytes;
        if let Some(refused) = entry.refused.filter(stands) {
            self.budget().check(refused.needed, refused.texts)?;
        }
        entry.refused = None;
        if under_way >= REFRESHES {
            return Err(StoreError::SearchBusy { seconds: 1 });
        }
        let progress = Arc::new(Progress::new(document_bytes));
        let (done, over) = watch::channel(false);
        entry.refresh = Some(Refresh { progress: Arc::clone(&progress), done: over });
        Ok(Joined::Ours(Turn { indexes: Arc::clone(self), id, project, progress, done }))
    }

    /// How long a refresh is expected to take from now on.
    pub(super) fn expected(&self, progress: &Progress) -> Duration {
        let speed = self.speed.load(Ordering::Relaxed).max(1);
        let sharing = (LARGE_REFRESHES - self.large.available_permits()).max(1) as u64;
        let millis = progress.left().saturating_mul(1000).saturating_mul(sharing) / speed;
        Duration::from_millis(millis.min(3_600_000))
    }

    /// Counts what a search is refused with.
    pub(super) fn count(&self, error: &StoreError) {
        let counter = match error {
            StoreError::IndexBuilding { .. } => &self.answered_building,
            StoreError::IndexTooLarge { .. } => &self.refused_too_large,
            StoreError::SearchBusy { .. } => &self.refused_busy,
            _ => return,
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    /// How far the vectors of all projects are, as they were counted last.
    pub(super) fn dense_count(&self) -> DenseCount {
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
            bytes: self.memory.taken(),
            max_bytes: self.budget().total,
            building: entries().filter(|entry| entry.refresh.is_some()).count(),
            built: count(&self.built),
            evicted: count(&self.evicted),
            answered_building: count(&self.answered_building),
            refused_too_large: count(&self.refused_too_large),
            refused_busy: count(&self.refused_busy),
        }
    }

    /// The average of what was measured, the last weighing most.
    fn note_speed(&self, bytes: u64, took: Duration) {
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX).max(1);
        if bytes >= 64 * 1024 {
            let now = bytes.saturating_mul(1_000_000) / micros;
            let before = self.speed.load(Ordering::Relaxed);
            self.speed.store((before * 3 + now) / 4, Ordering::Relaxed);
        }
    }

    /// Lets go of the project that was searched longest ago of those whose time is over; says whether there was one.
    fn evict(&self, but: ProjectId) -> bool {
        let mut projects = self.locked();
        let now = Instant::now();
        let Some(oldest) = oldest(&projects, but, |entry| entry.stays_until <= now) else { return false };
        projects.entries.remove(&oldest);
        self.evicted.fetch_add(1, Ordering::Relaxed);
        true
    }

    /// Whether memory is taken by indexes that were let go.
    fn is_being_freed(&self) -> bool {
        let projects = self.locked();
        let held = projects.entries.values().map(|entry| entry.project.held.load(Ordering::Relaxed));
        self.memory.taken() > held.sum()
    }

    /// In how many seconds the next index gives way.
    fn room_in(&self) -> u64 {
        let now = Instant::now();
        let projects = self.locked();
        let next =
            projects.entries.values().map(|entry| entry.stays_until.saturating_duration_since(now)).min();
        next.map_or(1, |next| next.as_secs() + 1)
    }

    fn locked(&self) -> MutexGuard<'_, Projects> {
        self.projects.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The project that was searched longest ago, of those that are not being refreshed.
fn oldest(projects: &Projects, but: ProjectId, may_go: impl Fn(&Entry) -> bool) -> Option<ProjectId> {
    let entries = projects.entries.iter();
    let free = entries.filter(|(id, entry)| **id != but && entry.refresh.is_none() && may_go(entry));
    free.min_by_key(|(_, entry)| entry.used).map(|(id, _)| *id)
}
