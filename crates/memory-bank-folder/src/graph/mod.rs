//! The graph of a bank on disk: `graph/graph.jsonl` is the only source, and a state in memory follows it.
//!
//! A write takes the bank's lock, reads the appends of others, plans by the core's rules, and appends its events in
//! one flushed write. Its cost does not depend on the size of the graph. A read costs one stat if nothing has
//! changed.
//!
//! Snapshot, index and the page for people are never read here. They are written by `rebuild` and `compact`, and
//! otherwise after a period without graph writes ([`IDLE`]) if the last time is long ago (see [`pause_after`]), never
//! during an append. If a process ends before that, the next one that writes updates them.
//!
//! The core decides what an entity is, what may be written and how names resolve; this module must not know it.

mod derived;
mod log;
#[cfg(test)]
mod tests;

use parking_lot::{Mutex, RwLock};
use std::io::Read;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use cap_std::fs::OpenOptions;
use memory_bank_core::caller::Caller;
use memory_bank_core::clock::{Clock, iso_millis};
use memory_bank_core::error::{GraphError, StoreError};
use memory_bank_core::graph::batch::BatchPlan;
use memory_bank_core::graph::compact::write_compacted;
use memory_bank_core::graph::event::{Event, Line, read_line};
use memory_bank_core::graph::pointers::PointerPlan;
use memory_bank_core::graph::rules::{EntityPlan, ObservationPlan, check_owner, plan_relation};
use memory_bank_core::graph::state::GraphState;
use memory_bank_core::graph::{Entity, Observation, Relation};
use memory_bank_core::store::{
    BatchApplied, Compacted, EntityDeleted, EntityDraft, EntityRef, GraphBatch, GraphStats, GraphStore,
    GraphSummary, ObservationAdded, ObservationDraft, PointerAdded, PointerDraft, RelationRemoved, Subgraph,
};
use memory_bank_core::transfer::{MEMORY_FILES, MemoryFile};

use crate::bank::FolderBank;
use crate::dir::{BankDir, Root};
use crate::journal;
use crate::lock::{BankLock, blocking};
use derived::{About, DERIVED};
use log::{LOG, View};

/// How long no write must have come before the derived files are refreshed.
const IDLE: Duration = Duration::from_secs(2);
/// The least time between two refreshes.
const PAUSE: Duration = Duration::from_secs(30);

/// The graph's part of a [`FolderBank`].
#[derive(Debug, Clone, Default)]
pub(crate) struct FolderGraph {
    view: Arc<RwLock<View>>,
    refresh: Arc<Refresh>,
}

/// When the derived files were, and are to be, refreshed.
#[derive(Debug, Default)]
struct Refresh {
    scheduled: AtomicBool,
    last: Mutex<Option<Done>>,
}

#[derive(Debug, Clone, Copy)]
struct Done {
    at: Instant,
    took: Duration,
}

impl FolderGraph {
    /// Reads the graph of the current log. Blocks on the disk.
    ///
    /// # Errors
    /// The log cannot be read or is damaged, or the error of `look`.
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
    fn change<T>(
        &self,
        dir: &BankDir,
        plan: impl FnOnce(&GraphState) -> Result<(Vec<Event>, T), GraphError>,
    ) -> Result<(bool, T), GraphError> {
        let (healing, events, answer) = {
            let mut view = self.locked();
            view.follow(dir)?;
            let (events, answer) = plan(view.state())?;
            (log::healing(&view), events, answer)
        };
        if events.is_empty() {
            return Ok((false, answer));
        }
        // Readers continue while the disk is busy.
        log::append(dir, healing, &events)?;
        // Read our own events from the file like those of others, so that memory cannot differ from the log.
        if let Err(error) = self.locked().follow(dir) {
            tracing::warn!(%error, "the graph log was written, but cannot be read back");
        }
        Ok((true, answer))
    }

    fn rebuild(&self, dir: &BankDir, about: &Bank) -> Result<GraphStats, GraphError> {
        let mut view = self.locked();
        view.reload(dir)?;
        if view.has_log() {
            self.write_derived(dir, Rendered::of(&view, about)?)?;
        }
        Ok(view.state().stats())
    }

    fn compact(&self, dir: &BankDir, about: &Bank) -> Result<Compacted, GraphError> {
        let mut view = self.locked();
        view.reload(dir)?;
        if !view.has_log() {
            return Ok(Compacted { before: 0, after: 0 });
        }
        let (unknown, before) = log::unknown_lines(dir)?;
        let mut content = Vec::new();
        let ts = iso_millis(about.clock.now());
        let after = write_compacted(view.state(), unknown.iter().map(Vec::as_slice), &ts, &mut content)
            .map_err(unwritable)?;
        // History will be dropped, so read its replacement first.
        if fold(&content) != *view.state() {
            return Err(StoreError::Unavailable("the compacted log does not say the same".to_owned()).into());
        }
        dir.replace(LOG, &content).map_err(StoreError::io(format!("cannot replace `{LOG}`")))?;
        view.follow(dir)?;
        self.write_derived(dir, Rendered::of(&view, about)?)?;
        Ok(Compacted { before, after })
    }

    /// Replaces the derived files. The caller holds the bank's lock, so that they belong together.
    fn write_derived(&self, dir: &BankDir, rendered: Rendered) -> Result<(), StoreError> {
        let begun = Instant::now();
        for (name, content) in DERIVED.iter().zip(rendered.contents) {
            dir.replace_own(name, &content).map_err(StoreError::io(format!("cannot write `{name}`")))?;
        }
        let done = Done { at: Instant::now(), took: begun.elapsed() + rendered.took };
        *self.refresh.last.lock() = Some(done);
        Ok(())
    }

    /// Schedules a refresh of the derived files for when the graph is idle.
    fn refresh_when_idle(&self, lock: &BankLock, about: Bank) {
        if self.refresh.scheduled.swap(true, Ordering::AcqRel) {
            return;
        }
        let (graph, lock) = (self.clone(), lock.clone());
        tokio::spawn(async move {
            graph.wait_until_idle().await;
            graph.refresh.scheduled.store(false, Ordering::Release);
            if let Err(error) = graph.refresh_derived(&lock, about).await {
                tracing::warn!(%error, "the derived graph files could not be refreshed");
            }
        });
    }

    async fn refresh_derived(&self, lock: &BankLock, about: Bank) -> Result<(), StoreError> {
        // The bank may have been deleted; taking its lock would create it again.
        if !lock.path().join(LOG).exists() {
            return Ok(());
        }
        // A large graph takes its time, in which nobody is kept from writing documents.
        let graph = self.clone();
        let rendered = blocking(move || Rendered::of(&graph.view.read(), &about)).await?;
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
            tokio::time::sleep(IDLE).await;
            let now = generation();
            if now == before {
                return;
            }
            before = now;
        }
    }

    fn locked(&self) -> parking_lot::RwLockWriteGuard<'_, View> {
        self.view.write()
    }
}

/// How long to wait after a refresh that took so long: a large graph is written less often.
fn pause_after(took: Duration) -> Duration {
    PAUSE.max(took.saturating_mul(50))
}

/// The contents of the derived files, and the graph that they show.
struct Rendered {
    contents: [Vec<u8>; 3],
    generation: u64,
    took: Duration,
}

impl Rendered {
    fn of(view: &View, bank: &Bank) -> Result<Self, StoreError> {
        let begun = Instant::now();
        let about = About { store_id: &bank.store_id, now: bank.clock.now(), lines: view.line_count() };
        let contents = derived::render(view.state(), &about).map_err(unwritable)?;
        Ok(Self { contents, generation: view.state().generation(), took: begun.elapsed() })
    }
}

/// What the derived files need to know of the bank.
struct Bank {
    store_id: String,
    clock: Arc<dyn Clock>,
}

impl FolderBank {
    /// Reads the graph as it is now, for those who follow it (see [`GraphState::changes_since`]). Blocks on the disk.
    ///
    /// # Errors
    /// The log cannot be read or is damaged.
    pub fn with_graph<T>(&self, read: impl FnOnce(&GraphState) -> T) -> Result<T, StoreError> {
        let dir = self.root().open().map_err(StoreError::io("cannot open the memory bank"))?;
        self.graph.with_view(&dir, |view| Ok(read(view.state())))
    }

    fn about(&self) -> Bank {
        let name = self.path().file_name().map(|name| name.to_string_lossy().into_owned());
        Bank { store_id: name.unwrap_or_default(), clock: Arc::clone(&self.surroundings().clock) }
    }

    async fn read_graph<T: Send + 'static>(
        &self,
        read: impl FnOnce(&View) -> Result<T, GraphError> + Send + 'static,
    ) -> Result<T, GraphError> {
        // A change of several files that was interrupted (a restored backup) is carried out first.
        let (graph, root) = (self.graph.clone(), self.root().clone());
        let is_whole = blocking(move || {
            let dir = root.open().map_err(StoreError::io("cannot open the memory bank"))?;
            if journal::is_pending(&dir) {
                return Ok(Err(read));
            }
            graph.with_view(&dir, read).map(Ok)
        })
        .await?;
        let read = match is_whole {
            Ok(answer) => return Ok(answer),
            Err(read) => read,
        };
        let guard = self.lock.shared().await?;
        let graph = self.graph.clone();
        blocking(move || graph.with_view(guard.dir(), read)).await
    }

    async fn write_graph<T: Send + 'static>(
        &self,
        plan: impl FnOnce(&GraphState, &str) -> Result<(Vec<Event>, T), GraphError> + Send + 'static,
    ) -> Result<T, GraphError> {
        let guard = self.lock.exclusive().await?;
        let graph = self.graph.clone();
        let now = iso_millis(self.surroundings().clock.now());
        let (changed, answer) = blocking(move || {
            let result = graph.change(guard.dir(), |state| plan(state, &now));
            drop(guard);
            result
        })
        .await?;
        if changed {
            self.graph.refresh_when_idle(&self.lock, self.about());
        }
        Ok(answer)
    }

    async fn maintain<T: Send + 'static>(
        &self,
        work: impl FnOnce(&FolderGraph, &BankDir, &Bank) -> Result<T, GraphError> + Send + 'static,
    ) -> Result<T, GraphError> {
        let guard = self.lock.exclusive().await?;
        let (graph, about) = (self.graph.clone(), self.about());
        blocking(move || {
            let result = work(&graph, guard.dir(), &about);
            drop(guard);
            result
        })
        .await
    }
}

/// What is looked at of a file to tell what it is.
const BEGINNING_BYTES: u64 = 64 * 1024;

/// How a file of the reference memory server in the bank or its project is brought in, if there is one.
fn memory_file(root: &Root, project: &Path) -> Option<String> {
    let places =
        [(root.open().ok(), "the memory bank"), (BankDir::open(project).ok(), "the project's folder")];
    for (dir, place) in places {
        let Some(dir) = dir else { continue };
        for name in MEMORY_FILES {
            if dir.stamp_own(name).is_none() {
                continue;
            }
            let Ok(mut file) = dir.open_file(name, OpenOptions::new().read(true)) else { continue };
            let mut beginning = Vec::new();
            let read = (&mut file).take(BEGINNING_BYTES).read_to_end(&mut beginning);
            if read.is_ok() && MemoryFile::is_memory_file(&beginning) {
                return Some(format!(
                    "`{name}` in {place} holds the graph of a reference memory server; `memory-bank-mcp import --from {name}`, \
                     run there, brings it into this one"
                ));
            }
        }
    }
    None
}

#[async_trait]
impl GraphStore for FolderBank {
    async fn upsert_entity(&self, _caller: &Caller, draft: EntityDraft) -> Result<Entity, GraphError> {
        let plan = EntityPlan::new(draft)?;
        self.write_graph(move |state, now| {
            let existing = state.entity(&plan.id).cloned();
            let entity = plan.apply(existing.as_ref(), now)?;
            Ok((vec![upsert(&entity, now)], entity))
        })
        .await
    }

    async fn add_observation(
        &self,
        caller: &Caller,
        entity: &EntityRef,
        draft: ObservationDraft,
    ) -> Result<ObservationAdded, GraphError> {
        let (entity, author) = (entity.clone(), caller.author());
        self.write_graph(move |state, now| {
            let owner = state.resolve(&entity)?;
            let observed = ObservationPlan::new(draft)?.signed(&author).apply(&owner.id, state, now);
            let events = if observed.existed { Vec::new() } else { vec![add(&observed.observation)] };
            Ok((events, observed))
        })
        .await
    }

    async fn link(
        &self,
        _caller: &Caller,
        from: &EntityRef,
        relation_type: &str,
        to: &EntityRef,
    ) -> Result<Relation, GraphError> {
        let (from, relation_type, to) = (from.clone(), relation_type.to_owned(), to.clone());
        self.write_graph(move |state, now| {
            let (from, to) = (state.resolve(&from)?, state.resolve(&to)?);
            let relation = plan_relation(&from.id, &relation_type, &to.id, now)?;
            Ok(match state.relation(&relation.id) {
                Some(known) => (Vec::new(), known.clone()),
                None => {
                    (vec![Event::RelationAdd { relation: relation.clone(), ts: now.to_owned() }], relation)
                }
            })
        })
        .await
    }

    async fn apply_batch(&self, caller: &Caller, batch: GraphBatch) -> Result<BatchApplied, GraphError> {
        let plan = BatchPlan::new(batch)?.signed(&caller.author());
        self.write_graph(move |state, now| plan.apply(state, now)).await
    }

    async fn unlink(
        &self,
        _caller: &Caller,
        from: &EntityRef,
        relation_type: &str,
        to: &EntityRef,
    ) -> Result<RelationRemoved, GraphError> {
        let (from, relation_type, to) = (from.clone(), relation_type.to_owned(), to.clone());
        self.write_graph(move |state, now| {
            let (from, to) = (state.resolve(&from)?, state.resolve(&to)?);
            let Relation { id, from_id, to_id, relation_type, .. } =
                plan_relation(&from.id, &relation_type, &to.id, now)?;
            let removed = state.relation(&id).is_some();
            let answer = RelationRemoved { from_id: from_id.clone(), to_id: to_id.clone(), removed };
            let event = Event::RelationRemove { from_id, to_id, relation_type, ts: now.to_owned() };
            Ok((if removed { vec![event] } else { Vec::new() }, answer))
        })
        .await
    }

    async fn delete_entity(&self, _caller: &Caller, entity: &EntityRef) -> Result<EntityDeleted, GraphError> {
        let entity = entity.clone();
        self.write_graph(move |state, now| {
            let entity = state.resolve(&entity)?.clone();
            let event = Event::EntityDelete { entity_id: entity.id.clone(), ts: now.to_owned() };
            let observations = state.observation_count_of(&entity.id);
            let relations = state.relation_count_of(&entity.id);
            Ok((vec![event], EntityDeleted { entity, observations, relations }))
        })
        .await
    }

    async fn delete_observation(
        &self,
        _caller: &Caller,
        id: &str,
        owner: Option<&EntityRef>,
    ) -> Result<Observation, GraphError> {
        let (id, owner) = (id.to_owned(), owner.cloned());
        self.write_graph(move |state, now| {
            let Some(observation) = state.observation(&id).cloned() else {
                return Err(GraphError::ObservationNotFound(id));
            };
            if let Some(owner) = &owner {
                let named = state.resolve(owner)?;
                check_owner(&observation, named, state.name_or_id(&observation.entity_id))?;
            }
            let event = Event::ObservationDelete {
                entity_id: observation.entity_id.clone(),
                observation_id: observation.id.clone(),
                ts: now.to_owned(),
            };
            Ok((vec![event], observation))
        })
        .await
    }

    async fn add_pointer(
        &self,
        caller: &Caller,
        entity: &EntityRef,
        pointer: PointerDraft,
    ) -> Result<PointerAdded, GraphError> {
        let (entity, author) = (entity.clone(), caller.author());
        self.write_graph(move |state, now| {
            let entity = state.resolve(&entity)?;
            let pointed = PointerPlan::new(&pointer)?.signed(&author).apply(entity, state, now)?;
            let mut events = Vec::new();
            if pointed.entity != *entity {
                events.push(upsert(&pointed.entity, now));
            }
            if !pointed.existed {
                events.push(add(&pointed.observation));
            }
            Ok((events, pointed))
        })
        .await
    }

    async fn open(
        &self,
        _caller: &Caller,
        nodes: &[EntityRef],
        depth: u32,
        bytes: usize,
    ) -> Result<Subgraph, GraphError> {
        let nodes = nodes.to_vec();
        self.read_graph(move |view| view.state().open(&nodes, depth, bytes)).await
    }

    async fn export(&self, _caller: &Caller) -> Result<Subgraph, GraphError> {
        self.read_graph(|view| Ok(view.state().export())).await
    }

    async fn stats(&self, _caller: &Caller) -> Result<GraphStats, GraphError> {
        self.read_graph(|view| Ok(view.state().stats())).await
    }

    async fn importable(&self, caller: &Caller) -> Option<String> {
        if self.stats(caller).await.ok()?.entity_count > 0 {
            return None;
        }
        let (root, project) = (self.root().clone(), self.project().to_owned());
        blocking(move || Ok::<_, StoreError>(memory_file(&root, &project))).await.ok()?
    }

    async fn summary(&self, _caller: &Caller) -> Result<Option<GraphSummary>, GraphError> {
        self.read_graph(|view| Ok(view.has_log().then(|| view.state().summary()))).await
    }

    async fn names(&self, _caller: &Caller, prefix: &str, limit: usize) -> Result<Vec<String>, GraphError> {
        let prefix = prefix.to_owned();
        self.read_graph(move |view| Ok(view.state().names(&prefix, limit))).await
    }

    async fn rebuild(&self, _caller: &Caller) -> Result<GraphStats, GraphError> {
        self.maintain(|graph, dir, bank| graph.rebuild(dir, bank)).await
    }

    async fn compact(&self, _caller: &Caller) -> Result<Compacted, GraphError> {
        self.maintain(|graph, dir, bank| graph.compact(dir, bank)).await
    }
}

fn upsert(entity: &Entity, now: &str) -> Event {
    Event::EntityUpsert { entity: entity.clone(), ts: now.to_owned() }
}

fn add(observation: &Observation) -> Event {
    Event::ObservationAdd { observation: observation.clone(), ts: observation.timestamp.clone() }
}

/// The state that a log says.
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
