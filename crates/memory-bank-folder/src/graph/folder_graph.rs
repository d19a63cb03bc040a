//! The graph of one folder in memory: it follows the log, appends what was planned, and refreshes the files that are
//! derived from it.
//!
//! This module must not know banks or the store's trait; the caller holds the bank's lock for a change.

use parking_lot::{Mutex, RwLock};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use memory_bank_core::clock::{Clock, iso_millis};
use memory_bank_core::error::{GraphError, StoreError};
use memory_bank_core::graph::compact::write_compacted;
use memory_bank_core::graph::event::{Event, Line, read_line};
use memory_bank_core::graph::state::GraphState;
use memory_bank_core::store::{Compacted, GraphStats};

use super::begins::Begins;
use super::derived::{self, DERIVED_FILES, DerivedFileValues};
use super::kept;
use super::line_seal::LineSeal;
use super::log::{self, LOG, View};
use super::signer::Signer;
use crate::dir::BankDir;
use crate::lock::{BankLock, blocking};

/// How long no write must have come before the derived files are refreshed.
pub(super) const QUIET_TIME: Duration = Duration::from_secs(2);
/// The least time between two refreshes.
const MIN_PAUSE: Duration = Duration::from_secs(30);

/// The graph's part of a bank.
#[derive(Debug, Clone, Default)]
pub(crate) struct FolderGraph {
    view: Arc<RwLock<View>>,
    refresh: Arc<Refresh>,
}

/// When the derived files were, and are to be, refreshed.
#[derive(Debug, Default)]
struct Refresh {
    scheduled: AtomicBool,
    last: Mutex<Option<LastRun>>,
}

#[derive(Debug, Clone, Copy)]
struct LastRun {
    at: Instant,
    took: Duration,
}

impl FolderGraph {
    /// Reads the graph of the current log. Blocks on the disk.
    ///
    /// # Errors
    /// The log cannot be read or is damaged, or the error of `read`.
    pub(crate) fn with_view<T, E: From<StoreError>>(
        &self,
        dir: &BankDir,
        read: impl FnOnce(&View) -> Result<T, E>,
    ) -> Result<T, E> {
        {
            let view = self.view.read();
            if view.is_current(dir) {
                return read(&view);
            }
        }
        let mut view = self.locked();
        view.follow(dir)?;
        read(&view)
    }

    /// Plans on the graph as it is now and appends what was planned. The caller holds the bank's lock. Blocks on the
    /// disk.
    pub(super) fn change<T>(
        &self,
        dir: &BankDir,
        by: &Signer,
        plan: impl FnOnce(&GraphState) -> Result<(Vec<Event>, T), GraphError>,
    ) -> Result<(bool, T), GraphError> {
        let (repair, events, answer) = {
            let mut view = self.locked();
            view.follow(dir)?;
            let (events, answer) = plan(view.state())?;
            (log::repair_of(&view), events, answer)
        };
        if events.is_empty() {
            return Ok((false, answer));
        }
        // Readers continue while the disk is busy.
        log::append(dir, repair, &events, &mut by.for_bank(dir))?;
        // Read our own events from the file like those of others, so that memory cannot differ from the log.
        if let Err(error) = self.locked().follow(dir) {
            tracing::warn!(%error, "the graph log was written, but cannot be read back");
        }
        Ok((true, answer))
    }

    /// Reads the log again and writes the derived files. The caller holds the bank's lock.
    pub(super) fn rebuild(&self, dir: &BankDir, bank: &BankInfo) -> Result<GraphStats, GraphError> {
        let mut view = self.locked();
        view.reload(dir)?;
        if view.has_log() {
            self.write_derived(dir, Rendered::of(&view, bank)?)?;
        }
        Ok(view.state().stats())
    }

    /// Replaces the log by the shortest one with the same state. What it drops becomes a segment of the history; segments that
    /// ended before that time are removed. Without a time nothing becomes one. The caller holds the bank's lock.
    pub(super) fn compact_keeping(
        &self,
        dir: &BankDir,
        bank: &BankInfo,
        keep: &KeptHistory,
    ) -> Result<Compacted, GraphError> {
        let mut view = self.locked();
        view.reload(dir)?;
        if !view.has_log() {
            return Ok(Compacted { before: 0, after: 0 });
        }
        let (unknown, before) = log::unknown_lines(dir)?;
        let mut content = Vec::new();
        let ts = iso_millis(bank.clock.now());
        let after = write_compacted(view.state(), unknown.iter().map(Vec::as_slice), &ts, &mut content)
            .map_err(unwritable)?;
        // History will be dropped, so read its replacement first.
        if fold(&content) != *view.state() {
            return Err(StoreError::Unavailable(
                "the compacted log does not lead to the same graph".to_owned(),
            )
            .into());
        }
        let log = keep.from.map(|_| log::bytes(dir)).transpose()?;
        let begins = kept::keep_log(dir, keep.seal.as_ref(), log.as_deref())?;
        let number = begins.number;
        if let Some(seal) = &keep.seal {
            seal_state(seal, &begins, &mut content).map_err(unwritable)?;
        }
        dir.replace(LOG, &content).map_err(StoreError::io(format!("cannot replace `{LOG}`")))?;
        if log.is_some() {
            kept::note_compaction(dir, number, &content);
        }
        view.follow(dir)?;
        self.write_derived(dir, Rendered::of(&view, bank)?)?;
        drop(view);
        if let Some(from) = keep.from
            && let Err(error) = kept::thin(dir, keep.seal.as_ref(), from)
        {
            tracing::warn!(%error, "old changes of the graph could not be removed");
        }
        Ok(Compacted { before, after })
    }

    /// Replaces the derived files. The caller holds the bank's lock, so that they belong together.
    fn write_derived(&self, dir: &BankDir, rendered: Rendered) -> Result<(), StoreError> {
        let begun = Instant::now();
        for (name, content) in DERIVED_FILES.iter().zip(rendered.contents) {
            dir.replace_own(name, &content).map_err(StoreError::io(format!("cannot write `{name}`")))?;
        }
        let done = LastRun { at: Instant::now(), took: begun.elapsed() + rendered.took };
        *self.refresh.last.lock() = Some(done);
        Ok(())
    }

    /// Schedules a refresh of the derived files for when the graph is idle.
    pub(super) fn refresh_when_idle(&self, lock: &BankLock, bank: BankInfo) {
        if self.refresh.scheduled.swap(true, Ordering::AcqRel) {
            return;
        }
        let (graph, lock) = (self.clone(), lock.clone());
        tokio::spawn(async move {
            graph.wait_until_idle().await;
            graph.refresh.scheduled.store(false, Ordering::Release);
            if let Err(error) = graph.refresh_derived(&lock, bank).await {
                tracing::warn!(%error, "the derived graph files could not be refreshed");
            }
        });
    }

    async fn refresh_derived(&self, lock: &BankLock, bank: BankInfo) -> Result<(), StoreError> {
        // The bank may have been deleted; taking its lock would create it again.
        if !lock.path().join(LOG).exists() {
            return Ok(());
        }
        // Rendering a large graph takes long; documents can be written meanwhile.
        let graph = self.clone();
        let rendered = blocking(move || Rendered::of(&graph.view.read(), &bank)).await?;
        let guard = lock.exclusive().await?;
        let graph = self.clone();
        blocking(move || {
            graph.locked().follow(guard.dir())?;
            let generation = graph.view.read().state().generation();
            if generation == rendered.generation {
                graph.write_derived(guard.dir(), rendered)?;
            }
            // Otherwise another write came meanwhile, and schedules the refresh.
            drop(guard);
            Ok(())
        })
        .await
    }

    async fn wait_until_idle(&self) {
        let last = *self.refresh.last.lock();
        let pause =
            last.map_or(Duration::ZERO, |done| pause_after(done.took).saturating_sub(done.at.elapsed()));
        tokio::time::sleep(pause).await;
        let generation = || self.view.read().state().generation();
        let mut before = generation();
        loop {
            tokio::time::sleep(QUIET_TIME).await;
            let now = generation();
            if now == before {
                return;
            }
            before = now;
        }
    }

    /// Reads the changes of the log since the last time. Blocks.
    pub(super) fn follow(&self, dir: &BankDir) -> Result<(), StoreError> {
        self.locked().follow(dir)
    }

    /// The graph as it was read last.
    pub(super) fn read(&self) -> parking_lot::RwLockReadGuard<'_, View> {
        self.view.read()
    }

    fn locked(&self) -> parking_lot::RwLockWriteGuard<'_, View> {
        self.view.write()
    }
}

/// How long to wait after a refresh that took so long: a large graph is written less often.
fn pause_after(took: Duration) -> Duration {
    MIN_PAUSE.max(took.saturating_mul(50))
}

/// The contents of the derived files, and the graph that they show.
struct Rendered {
    contents: [Vec<u8>; 3],
    generation: u64,
    took: Duration,
}

impl Rendered {
    fn of(view: &View, bank: &BankInfo) -> Result<Self, StoreError> {
        let begun = Instant::now();
        let about =
            DerivedFileValues { store_id: &bank.store_id, now: bank.clock.now(), lines: view.line_count() };
        let contents = derived::render(view.state(), &about).map_err(unwritable)?;
        Ok(Self { contents, generation: view.state().generation(), took: begun.elapsed() })
    }
}

/// Which history a compaction keeps.
pub(super) struct KeptHistory {
    /// Older segments are removed; without it the compaction drops what the log had.
    pub(super) from: Option<Timestamp>,
    /// The seal on the compacted log.
    pub(super) seal: Option<LineSeal>,
}

/// Seals the line that ends the state of a compaction. The seal shows that what another program changes follows a state that this one
/// made, where its changes begin, and which segments are before it.
pub(super) fn seal_state(
    seal: &LineSeal,
    begins: &Begins,
    content: &mut Vec<u8>,
) -> Result<(), serde_json::Error> {
    begins.write(content)?;
    let line = content.strip_suffix(b"\n").and_then(|lines| lines.iter().rposition(|byte| *byte == b'\n'));
    seal.seal(&mut None, line.map_or(0, |end| end + 1), content);
    Ok(())
}

/// The data of the bank that the derived files need.
pub(super) struct BankInfo {
    /// The id under which the files name the bank.
    pub(super) store_id: String,
    /// The clock for the time at which they are made.
    pub(super) clock: Arc<dyn Clock>,
}

/// The state that the events of a log lead to.
fn fold(log: &[u8]) -> GraphState {
    let mut state = GraphState::default();
    for line in log.split(|byte| *byte == b'\n') {
        if let Line::Event(event) = read_line(line) {
            state.apply(event);
        }
    }
    state
}

#[expect(clippy::needless_pass_by_value, reason = "used as the function of `map_err`")]
fn unwritable(error: serde_json::Error) -> StoreError {
    StoreError::Unavailable(format!("the graph cannot be written as JSON: {error}"))
}
