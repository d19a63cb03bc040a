//! The graph of a bank on disk: `graph/graph.jsonl` is the only source, and a state in memory follows it.
//!
//! A write takes the bank's lock, reads the appends of others, plans by the core's rules, and appends its events in
//! one flushed write. Its cost does not depend on the size of the graph. A read costs one stat if nothing has
//! changed.
//!
//! Snapshot, index and the page for people are never read here. They are written by `rebuild` and `compact`, and
//! otherwise after a period without graph writes if the last time is long ago (`QUIET_TIME` and `pause_after` in
//! [`folder_graph`]), never during an append. If a process ends before that, the next one that writes updates them.
//!
//! The core decides what an entity is, what may be written and how names resolve; this module must not know it.

mod addition;
mod begins;
mod derived;
mod ending;
mod folder_graph;
mod history;
mod items;
mod kept;
mod line_seal;
mod log;
mod marks;
mod memory_file;
mod pieces;
mod replay;
mod signer;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use async_trait::async_trait;
use memory_bank_core::caller::Caller;
use memory_bank_core::clock::iso_millis;
use memory_bank_core::error::{GraphError, StoreError};
use memory_bank_core::graph::batch::BatchPlan;
use memory_bank_core::graph::event::{Event, Signature};
use memory_bank_core::graph::pointers::PointerPlan;
use memory_bank_core::graph::rules::{EntityPlan, ObservationPlan, check_owner, plan_relation};
use memory_bank_core::graph::state::GraphState;
use memory_bank_core::graph::{Entity, FactView, Observation, Relation};
use memory_bank_core::history::{ChangeContext, stored_tool};
use memory_bank_core::store::{
    BatchApplied, Change, Compacted, EntityDeleted, EntityDraft, EntityRef, GraphBatch, GraphStats,
    GraphStore, GraphSummary, ObservationAdded, ObservationDraft, PointerAdded, PointerDraft,
    RelationRemoved, Subgraph,
};

use crate::bank::FolderBank;
use crate::dir::BankDir;
use crate::journal;
use crate::lock::blocking;
pub(crate) use addition::Addition;
pub(crate) use derived::DERIVED_FILES;
use folder_graph::BankInfo;
pub(crate) use folder_graph::FolderGraph;
use folder_graph::KeptHistory;
pub(crate) use kept::{carried, put_carried};
pub(crate) use line_seal::LineSeal;
pub(crate) use log::LOG;
use log::View;
use memory_file::memory_file;
pub(crate) use replay::numbers_of;
pub(crate) use signer::Signer;

impl FolderBank {
    /// Reads the graph as it is now, for those who follow it (see [`GraphState::changes_since`]). Blocks on the disk.
    ///
    /// # Errors
    /// The log cannot be read or is damaged.
    pub fn with_graph<T>(&self, read: impl FnOnce(&GraphState) -> T) -> Result<T, StoreError> {
        let dir = self.root().open().map_err(StoreError::io("cannot open the memory bank"))?;
        self.graph.with_view(&dir, |view| Ok(read(view.state())))
    }

    fn info(&self) -> BankInfo {
        let name = self.path().file_name().map(|name| name.to_string_lossy().into_owned());
        BankInfo { store_id: name.unwrap_or_default(), clock: Arc::clone(&self.deps().clock) }
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
        caller: &Caller,
        plan: impl FnOnce(&GraphState, &str) -> Result<(Vec<Event>, T), GraphError> + Send + 'static,
    ) -> Result<T, GraphError> {
        self.write_graph_if(caller, |_| Ok(()), plan).await
    }

    /// [`Self::write_graph`] if the check passes, under the same lock.
    async fn write_graph_if<T: Send + 'static>(
        &self,
        caller: &Caller,
        check: impl FnOnce(&BankDir) -> Result<(), StoreError> + Send + 'static,
        plan: impl FnOnce(&GraphState, &str) -> Result<(Vec<Event>, T), GraphError> + Send + 'static,
    ) -> Result<T, GraphError> {
        let guard = self.lock.exclusive().await?;
        let graph = self.graph.clone();
        let now = iso_millis(self.deps().clock.now());
        let by = self.signer(caller, &self.context, &now);
        let (changed, answer) = blocking(move || {
            check(guard.dir())?;
            let result = graph.change(guard.dir(), &by, |state| plan(state, &now));
            drop(guard);
            result
        })
        .await?;
        if changed {
            self.graph.refresh_when_idle(&self.lock, self.info());
            self.deps().sink.changed(caller.project, Change::Graph);
        }
        Ok(answer)
    }

    /// What the log's lines record of a change; nothing if no history is kept.
    pub(crate) fn signer(&self, caller: &Caller, context: &ChangeContext, now: &str) -> Signer {
        let history = Some(self.history.clone());
        if !self.history.is_kept() {
            // The seal alone shows that the change did not come with the folder.
            return Signer { history, ..Signer::default() };
        }
        let by = Signature {
            user: Some(caller.user_name.clone()),
            tool: stored_tool(context),
            session: context.session.clone(),
            at: Some(now.to_owned()),
            ..Signature::default()
        };
        Signer { by, history }
    }

    async fn maintain<T: Send + 'static>(
        &self,
        work: impl FnOnce(&FolderGraph, &BankDir, &BankInfo) -> Result<T, GraphError> + Send + 'static,
    ) -> Result<T, GraphError> {
        let guard = self.lock.exclusive().await?;
        let (graph, info) = (self.graph.clone(), self.info());
        blocking(move || {
            let result = work(&graph, guard.dir(), &info);
            drop(guard);
            result
        })
        .await
    }
}

#[async_trait]
impl GraphStore for FolderBank {
    async fn upsert_entity(&self, caller: &Caller, draft: EntityDraft) -> Result<Entity, GraphError> {
        let plan = EntityPlan::new(draft)?;
        self.write_graph(caller, move |state, now| {
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
        self.write_graph(caller, move |state, now| {
            let owner = state.resolve(&entity)?;
            let observed = ObservationPlan::new(draft)?.signed(&author).apply(&owner.id, &[state], now)?;
            let events = if observed.existed { Vec::new() } else { vec![add(&observed.observation)] };
            Ok((events, observed))
        })
        .await
    }

    async fn link(
        &self,
        caller: &Caller,
        from: &EntityRef,
        relation_type: &str,
        to: &EntityRef,
    ) -> Result<Relation, GraphError> {
        let (from, relation_type, to) = (from.clone(), relation_type.to_owned(), to.clone());
        self.write_graph(caller, move |state, now| {
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
        self.write_graph(caller, move |state, now| plan.apply(state, now)).await
    }

    async fn unlink(
        &self,
        caller: &Caller,
        from: &EntityRef,
        relation_type: &str,
        to: &EntityRef,
    ) -> Result<RelationRemoved, GraphError> {
        let (from, relation_type, to) = (from.clone(), relation_type.to_owned(), to.clone());
        self.write_graph(caller, move |state, now| {
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

    async fn delete_entity(&self, caller: &Caller, entity: &EntityRef) -> Result<EntityDeleted, GraphError> {
        let entity = entity.clone();
        self.write_graph(caller, move |state, now| {
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
        caller: &Caller,
        id: &str,
        owner: Option<&EntityRef>,
    ) -> Result<Observation, GraphError> {
        let (id, owner) = (id.to_owned(), owner.cloned());
        self.write_graph(caller, move |state, now| {
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
        self.write_graph(caller, move |state, now| {
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
        view: FactView,
    ) -> Result<Subgraph, GraphError> {
        let nodes = nodes.to_vec();
        self.read_graph(move |graph| graph.state().open(&nodes, depth, bytes, view)).await
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

    async fn summary(
        &self,
        _caller: &Caller,
        holding_at: Option<i64>,
    ) -> Result<Option<GraphSummary>, GraphError> {
        self.read_graph(move |view| Ok(view.has_log().then(|| view.state().summary(holding_at)))).await
    }

    async fn names(&self, _caller: &Caller, prefix: &str, limit: usize) -> Result<Vec<String>, GraphError> {
        let prefix = prefix.to_owned();
        self.read_graph(move |view| Ok(view.state().names(&prefix, limit))).await
    }

    async fn rebuild(&self, _caller: &Caller) -> Result<GraphStats, GraphError> {
        self.maintain(|graph, dir, info| graph.rebuild(dir, info)).await
    }

    async fn compact(&self, _caller: &Caller) -> Result<Compacted, GraphError> {
        let history = self.history.clone();
        let from = history.keep_from(self.deps().clock.now());
        self.maintain(move |graph, dir, info| {
            graph.compact_keeping(dir, info, &KeptHistory { from, seal: history.line_seal(dir) })
        })
        .await
    }
}

fn upsert(entity: &Entity, now: &str) -> Event {
    Event::EntityUpsert { entity: entity.clone(), ts: now.to_owned() }
}

fn add(observation: &Observation) -> Event {
    Event::ObservationAdd { observation: observation.clone(), ts: observation.timestamp.clone() }
}
