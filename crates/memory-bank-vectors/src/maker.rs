//! The queue of projects, and the task that processes it: one batch of each project in turn.

mod refusals;

use parking_lot::{Mutex, MutexGuard};
use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use memory_bank_core::error::StoreError;
use memory_bank_core::search::{EmbedError, Embedder, ModelId, Passage, UnitHash, Vector};
use tokio::sync::Notify;
use tokio::time::Instant;

use self::refusals::Refusals;
use crate::{Progress, VectorProject};

/// The most projects in the queue.
const PROJECTS: usize = 1000;
/// The most passages and bytes of text of a batch.
const BATCH: usize = 64;
const BATCH_BYTES: usize = 64 * 1024;
/// After this many consecutive errors of its store, a project is dropped until the next request.
const ATTEMPTS: u32 = 8;
/// The longest wait after an error.
const MAX_PAUSE: Duration = Duration::from_secs(300);
/// The longest that one batch may take.
const BATCH_TIMEOUT: Duration = Duration::from_secs(120);

/// Delays of the background task.
#[derive(Debug, Clone, Copy)]
pub struct MakerOptions {
    /// The delay after a request, so that several edits count as one.
    pub delay: Duration,
    /// The wait for another process that computes the same vectors.
    pub retry: Duration,
    /// The first wait after an error; it doubles up to five minutes.
    pub pause: Duration,
}

impl Default for MakerOptions {
    fn default() -> Self {
        Self {
            delay: Duration::from_millis(500),
            retry: Duration::from_secs(3),
            pause: Duration::from_secs(1),
        }
    }
}

/// Counters since the start, and the remaining work.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct VectorUse {
    /// Computed vectors.
    pub made: u64,
    /// Passages of queued projects without a vector, as far as counted.
    pub waiting: u64,
    /// Projects in the queue.
    pub projects: usize,
    /// Batches that failed, and passages that the model refused.
    pub failed: u64,
    /// Requests that were refused because the queue was full.
    pub refused: u64,
    /// The last error, until a batch succeeds.
    pub last_error: Option<String>,
}

/// Computes vectors in the background. Clones share one queue.
#[derive(Clone)]
pub struct Maker(Arc<Inner>);

struct Inner {
    embedder: Arc<dyn Embedder>,
    options: MakerOptions,
    state: Mutex<State>,
    changed: Notify,
    /// Wakes the task from the wait after an error.
    stopping: Notify,
    /// Signals that the task ended.
    ended: Notify,
}

#[derive(Default)]
struct State {
    queue: VecDeque<String>,
    jobs: HashMap<String, Job>,
    is_running: bool,
    is_stopped: bool,
    usage: VectorUse,
    refusals: Refusals,
}

struct Job {
    project: Arc<dyn VectorProject>,
    /// Whether the project was opened since its last request.
    is_open: bool,
    not_before: Instant,
    failures: u32,
    waiting: u64,
}

/// The next step after a turn.
#[derive(Clone, Copy)]
enum Next {
    Again,
    After(Duration),
    Failed,
    Done,
}

impl std::fmt::Debug for Maker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Maker").field("embedder", &self.0.embedder).finish_non_exhaustive()
    }
}

impl Maker {
    /// A maker that uses this embedder. Its task starts with the first request.
    #[must_use]
    pub fn new(embedder: Arc<dyn Embedder>, options: MakerOptions) -> Self {
        let (state, changed, stopping, ended) = Default::default();
        Self(Arc::new(Inner { embedder, options, state, changed, stopping, ended }))
    }

    /// The embedder.
    #[must_use]
    pub fn embedder(&self) -> &Arc<dyn Embedder> {
        &self.0.embedder
    }

    /// Queues a project, to compute its missing vectors. A project that is queued already is opened again, with the
    /// `project` of the last request.
    pub fn request(&self, key: &str, project: Arc<dyn VectorProject>) {
        let mut state = self.0.lock_state();
        if state.is_stopped {
            return;
        }
        if let Some(job) = state.jobs.get_mut(key) {
            job.project = project;
            job.is_open = false;
            return;
        }
        if state.jobs.len() >= PROJECTS {
            state.usage.refused += 1;
            return;
        }
        let not_before = Instant::now() + self.0.options.delay;
        let job = Job { project, is_open: false, not_before, failures: 0, waiting: 0 };
        state.jobs.insert(key.to_owned(), job);
        state.queue.push_back(key.to_owned());
        if !std::mem::replace(&mut state.is_running, true) {
            let inner = Arc::clone(&self.0);
            tokio::spawn(async move { inner.run().await });
        }
        drop(state);
        self.0.changed.notify_one();
    }

    /// Stops after the current batch, and releases the rights to compute vectors. Waits for this at most `wait`; a
    /// longer batch ends later.
    pub async fn stop(&self, wait: Duration) {
        self.0.lock_state().is_stopped = true;
        self.0.changed.notify_one();
        self.0.stopping.notify_one();
        let ended = async {
            loop {
                let ended = self.0.ended.notified();
                if !self.0.lock_state().is_running {
                    return;
                }
                ended.await;
            }
        };
        if tokio::time::timeout(wait, ended).await.is_err() {
            tracing::debug!("a batch of vectors is still running at the end of the process");
        }
    }

    /// The current counters.
    #[must_use]
    pub fn usage(&self) -> VectorUse {
        let state = self.0.lock_state();
        let waiting = state.jobs.values().map(|job| job.waiting).sum();
        VectorUse { waiting, projects: state.jobs.len(), ..state.usage.clone() }
    }
}

impl Inner {
    fn lock_state(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }

    async fn run(&self) {
        // Consecutive failures of the embedder, for any project.
        let mut failures = 0_u32;
        loop {
            if self.lock_state().is_stopped {
                self.close_all().await;
            }
            let next = {
                let mut state = self.lock_state();
                if state.queue.is_empty() {
                    state.is_running = false;
                    drop(state);
                    self.ended.notify_waiters();
                    return;
                }
                let now = Instant::now();
                let jobs = &state.jobs;
                let is_due = |key: &String| jobs.get(key).is_none_or(|job| job.not_before <= now);
                match state.queue.iter().position(is_due) {
                    Some(at) => Ok(state.queue.remove(at).unwrap_or_default()),
                    None => Err(jobs.values().map(|job| job.not_before).min().unwrap_or(now)),
                }
            };
            let key = match next {
                Ok(key) => key,
                Err(until) => {
                    tokio::select! {
                        () = tokio::time::sleep_until(until) => {}
                        () = self.changed.notified() => {}
                    }
                    continue;
                }
            };
            match self.process_turn(&key).await {
                Ok(next) => {
                    if matches!(next, Next::Again) {
                        failures = 0;
                    }
                    self.requeue(&key, next);
                }
                Err(error) => {
                    failures = failures.saturating_add(1);
                    let pause = pause_of(self.options.pause, failures, error.is_temporary());
                    self.record_failure(&error.to_string(), pause);
                    self.requeue(&key, Next::After(pause));
                    tokio::select! {
                        () = tokio::time::sleep(pause) => {}
                        () = self.stopping.notified() => {}
                    }
                }
            }
        }
    }

    /// Empties the queue, and releases the rights to compute vectors.
    async fn close_all(&self) {
        let jobs: Vec<Job> = {
            let mut state = self.lock_state();
            state.queue.clear();
            state.jobs.drain().map(|(_, job)| job).collect()
        };
        // Without a model no project was opened.
        if jobs.is_empty() {
            return;
        }
        let Ok(model) = self.embedder.model().await else { return };
        for job in jobs {
            job.project.close(&model).await;
        }
    }

    /// Opens the project if requested, and computes one batch of its vectors.
    async fn process_turn(&self, key: &str) -> Result<Next, EmbedError> {
        let (project, was_open, skipped) = {
            let mut state = self.lock_state();
            let skipped = state.refusals.of(key, Instant::now());
            let Some(job) = state.jobs.get_mut(key) else { return Ok(Next::Done) };
            (Arc::clone(&job.project), std::mem::replace(&mut job.is_open, true), skipped)
        };
        let model = self.embedder.model().await?;
        match self.advance(key, &*project, &model, was_open, &skipped).await? {
            Ok(next) => {
                if matches!(next, Next::Done) {
                    project.close(&model).await;
                }
                Ok(next)
            }
            // A caller with a valid key requests it again.
            Err(StoreError::KeyInvalid | StoreError::Denied) => Ok(Next::Done),
            Err(error) => {
                tracing::warn!(%error, "storing the vectors of a project failed");
                project.close(&model).await;
                Ok(Next::Failed)
            }
        }
    }

    async fn advance(
        &self,
        key: &str,
        project: &dyn VectorProject,
        model: &ModelId,
        was_open: bool,
        skipped: &HashSet<UnitHash>,
    ) -> Result<Result<Next, StoreError>, EmbedError> {
        let next_of = |progress| match progress {
            Progress::Ready => None,
            Progress::Later => Some(Next::After(self.options.retry)),
            Progress::Refused(why) => {
                tracing::info!(why, "a project is searched without vectors");
                Some(Next::Done)
            }
            Progress::Gone => Some(Next::Done),
        };
        if !was_open {
            match project.open(model).await.map(next_of) {
                Err(error) => return Ok(Err(error)),
                Ok(Some(next)) => {
                    if matches!(next, Next::After(_)) {
                        self.update_job(key, |job| job.is_open = false);
                    }
                    return Ok(Ok(next));
                }
                Ok(None) => {}
            }
        }
        self.count(key, project).await;
        let most = self.embedder.batch().clamp(1, BATCH);
        let passages = match project.missing(model, most, BATCH_BYTES, skipped).await {
            Err(error) => return Ok(Err(error)),
            Ok(passages) if passages.is_empty() => return Ok(Ok(Next::Done)),
            Ok(passages) => passages,
        };
        let (made, is_any_forgotten) = self.embed(key, passages, model).await?;
        if made.is_empty() && is_any_forgotten {
            // They would be offered again at once, and for ever.
            return Ok(Ok(Next::Done));
        }
        let count = made.len() as u64;
        self.lock_state().refusals.remove(key, made.iter().map(|(hash, _)| *hash));
        let kept = project.keep(model, made).await.map(next_of);
        self.count(key, project).await;
        let mut state = self.lock_state();
        state.usage.made += count;
        state.usage.last_error = None;
        drop(state);
        self.update_job(key, |job| job.failures = 0);
        Ok(kept.map(|next| match next {
            Some(Next::After(wait)) => {
                self.update_job(key, |job| job.is_open = false);
                Next::After(wait)
            }
            Some(next) => next,
            None => Next::Again,
        }))
    }

    /// The vectors of these passages. A passage that the model refuses by itself is skipped for a time. Also returns
    /// whether there was no room to remember all refused ones.
    async fn embed(
        &self,
        key: &str,
        passages: Vec<Passage>,
        model: &ModelId,
    ) -> Result<(Vec<(UnitHash, Vector)>, bool), EmbedError> {
        let texts = passages.iter().map(|passage| passage.text.clone()).collect();
        match self.embed_texts(texts, model).await {
            Ok(vectors) => {
                return Ok((passages.iter().map(|one| one.hash).zip(vectors).collect(), false));
            }
            Err(error) if error.is_temporary() => return Err(error),
            // Either the settings are wrong, or the model refuses one of the texts.
            Err(error) => self.embed_texts(vec!["a".to_owned()], model).await.map_err(|_| error)?,
        };
        let (mut made, mut is_any_forgotten) = (Vec::new(), false);
        for Passage { hash, text } in passages {
            match self.embed_texts(vec![text], model).await {
                Ok(vectors) => made.extend(vectors.into_iter().map(|vector| (hash, vector))),
                Err(error) if error.is_temporary() => return Err(error),
                Err(error) => {
                    tracing::warn!(%error, "the model refused a passage");
                    let mut state = self.lock_state();
                    state.usage.failed += 1;
                    is_any_forgotten |= !state.refusals.add(key, hash, Instant::now());
                }
            }
        }
        Ok((made, is_any_forgotten))
    }

    async fn embed_texts(&self, texts: Vec<String>, model: &ModelId) -> Result<Vec<Vector>, EmbedError> {
        let expected = texts.len();
        let made = tokio::time::timeout(BATCH_TIMEOUT, self.embedder.passages(texts)).await;
        let vectors =
            made.map_err(|_| EmbedError::Temporary("the model did not answer a batch in time".to_owned()))??;
        let fits = |vector: &Vector| vector.dimension() == model.dimension();
        if vectors.len() == expected && vectors.iter().all(fits) {
            return Ok(vectors);
        }
        Err(EmbedError::Permanent("the model returned a wrong number or dimension of vectors".to_owned()))
    }

    async fn count(&self, key: &str, project: &dyn VectorProject) {
        let count = project.count().await;
        let waiting = count.passages.saturating_sub(count.vectors) as u64;
        self.update_job(key, |job| job.waiting = waiting);
    }

    fn update_job(&self, key: &str, change: impl FnOnce(&mut Job)) {
        if let Some(job) = self.lock_state().jobs.get_mut(key) {
            change(job);
        }
    }

    fn requeue(&self, key: &str, next: Next) {
        let mut state = self.lock_state();
        let Some(job) = state.jobs.get_mut(key) else { return };
        let wait = match next {
            Next::Again => Duration::ZERO,
            Next::After(wait) => wait,
            Next::Failed => {
                job.failures += 1;
                job.is_open = false;
                if job.failures >= ATTEMPTS {
                    state.jobs.remove(key);
                    return;
                }
                pause_of(self.options.pause, job.failures, true)
            }
            // There was another request meanwhile.
            Next::Done if !job.is_open => self.options.delay,
            Next::Done => {
                state.jobs.remove(key);
                return;
            }
        };
        job.not_before = Instant::now() + wait;
        state.queue.push_back(key.to_owned());
    }

    fn record_failure(&self, error: &str, pause: Duration) {
        let mut state = self.lock_state();
        state.usage.failed += 1;
        let is_new = state.usage.last_error.as_deref() != Some(error);
        state.usage.last_error = Some(error.to_owned());
        drop(state);
        if is_new {
            tracing::warn!(error, pause_s = pause.as_secs(), "computing vectors failed; retrying");
        }
    }
}

/// The pause after an error. Errors that persist until the settings change are retried rarely.
fn pause_of(first: Duration, failures: u32, is_temporary: bool) -> Duration {
    let doublings = if is_temporary { failures.saturating_sub(1).min(16) } else { 16 };
    first.saturating_mul(1 << doublings).min(MAX_PAUSE)
}

#[cfg(test)]
mod tests;
