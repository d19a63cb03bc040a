//! The history of the graph of a folder: lists of changes, an entity as it was, its restore and its erasure.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashSet, VecDeque};

use async_trait::async_trait;
use jiff::Timestamp;
use memory_bank_core::caller::{Caller, Right};
use memory_bank_core::document::DocumentPath;
use memory_bank_core::error::{EditError, GraphError, StoreError};
use memory_bank_core::graph::Entity;
use memory_bank_core::graph::event::{Event, Line, read_line};
use memory_bank_core::graph::history::{
    EntityRestored, EntitySnapshot, GraphChange, GraphChangePage, GraphChangeQuery, GraphItem, GraphSubject,
    ItemChange, plan_restore,
};
use memory_bank_core::graph::naming::Lookup;
use memory_bank_core::graph::state::GraphState;
use memory_bank_core::graph::timestamp::instant;
use memory_bank_core::limits;
use memory_bank_core::store::{
    DocumentChange, Editor, EntityChain, EntityRef, GraphHistoryError, GraphHistoryStore, GraphPart,
    GraphRule,
};

use super::folder_graph::FolderGraph;
use super::pieces::{MAX_SEGMENT_BYTES, record, segment_name, segment_text, segments};
use super::replay::{Replayed, replay, replay_back};
use crate::bank::FolderBank;
use crate::dir::BankDir;
use crate::lock::blocking;

impl FolderBank {
    async fn read_graph_history<T: Send + 'static>(
        &self,
        read: impl FnOnce(&BankDir, &FolderGraph) -> Result<T, GraphHistoryError> + Send + 'static,
    ) -> Result<T, GraphHistoryError> {
        let guard = self.lock.shared().await?;
        // A log that is damaged is reported as such.
        let graph = self.graph.clone();
        blocking(move || {
            graph.with_view(guard.dir(), |_| Ok::<_, StoreError>(()))?;
            read(guard.dir(), &graph)
        })
        .await
    }
}

#[async_trait]
impl GraphHistoryStore for FolderBank {
    async fn list_graph_changes(
        &self,
        _caller: &Caller,
        query: &GraphChangeQuery,
    ) -> Result<GraphChangePage, GraphHistoryError> {
        let query = query.clone();
        self.read_graph_history(move |dir, graph| list(dir, graph, &query)).await
    }

    async fn entity_chain(
        &self,
        _caller: &Caller,
        entity: &EntityRef,
        number: i64,
    ) -> Result<EntityChain, GraphHistoryError> {
        let entity = entity.clone();
        self.read_graph_history(move |dir, graph| chain(dir, graph, &entity, number)).await
    }

    async fn restore_entity(
        &self,
        caller: &Caller,
        target: &EntitySnapshot,
    ) -> Result<EntityRestored, GraphError> {
        let (by, target) = (caller.clone(), target.clone());
        self.write_graph(caller, move |state, now| {
            let (events, restored) = plan_restore(state, &target, now);
            restored.check(&by)?;
            Ok((events, restored))
        })
        .await
    }

    async fn item_changes(
        &self,
        _caller: &Caller,
        items: &[(String, String)],
        from: i64,
    ) -> Result<Vec<GraphChange>, GraphHistoryError> {
        let ids: HashSet<String> = items.iter().map(|(_, id)| id.clone()).collect();
        self.read_graph_history(move |dir, _| {
            let (mut changes, mut bytes) = (VecDeque::new(), 0);
            replay(dir, &mut |change| {
                let is_meant = change.number >= from && ids.contains(&change.id);
                if is_meant && changes.len() <= limits::GRAPH_CHAIN_CHANGES && bytes <= limits::CHAIN_BYTES {
                    bytes += change.before.as_ref().map_or(0, GraphItem::bytes);
                    changes.push_front(change);
                }
            })?;
            if changes.len() > limits::GRAPH_CHAIN_CHANGES || bytes > limits::CHAIN_BYTES {
                return Err(GraphHistoryError::TooManyOfItems);
            }
            Ok(changes.into())
        })
        .await
    }

    async fn graph_part(&self, _caller: &Caller, part: &GraphPart) -> Result<GraphState, GraphError> {
        let part = part.clone();
        self.read_graph(move |view| Ok(view.state().part(&part))).await
    }

    async fn edit_with_graph(
        &self,
        caller: &Caller,
        paths: &[DocumentPath],
        editor: &mut Editor<'_>,
        _part: &GraphPart,
        rule: &mut GraphRule<'_>,
    ) -> Result<Vec<DocumentChange>, EditError> {
        let changes = self.edit_and(caller, paths, editor, Some(rule)).await?;
        self.graph.refresh_when_idle(&self.lock, self.info());
        Ok(changes)
    }

    async fn erase_entity(&self, caller: &Caller, entity: &EntityRef) -> Result<u64, GraphHistoryError> {
        if !caller.may(Right::Admin) {
            return Err(StoreError::Denied.into());
        }
        let entity = entity.clone();
        let id = self.read_graph_history(move |dir, graph| Ok(entity_named(dir, graph, &entity)?.id)).await?;
        let erased = self
            .maintain(move |graph, dir, info| {
                let mut erased = 0;
                replay(dir, &mut |change| erased += u64::from(is_of(&change, &id)))?;
                let keep_from = Some(Timestamp::MIN);
                graph.compact_keeping(dir, info, keep_from)?;
                for (_, name, _) in segments(dir)? {
                    erase_from(dir, &name, &id)?;
                }
                Ok(erased)
            })
            .await?;
        Ok(erased)
    }
}

/// Removes the lines about an entity from a segment.
fn erase_from(dir: &BankDir, name: &str, id: &str) -> Result<(), StoreError> {
    let text = segment_text(dir, name)?;
    let lines = text.split_inclusive(|byte| *byte == b'\n');
    let kept: Vec<u8> = lines
        .filter(|line| !matches!(read_line(line), Line::Event(event) if mentions(&event, id)))
        .flatten()
        .copied()
        .collect();
    if kept.len() == text.len() {
        return Ok(());
    }
    dir.replace_history(name, &kept).map_err(StoreError::io("cannot erase a part of the history"))
}

fn mentions(event: &Event, id: &str) -> bool {
    match event {
        Event::EntityUpsert { entity, .. } => entity.id == id,
        Event::ObservationAdd { observation, .. } => observation.entity_id == id,
        Event::RelationAdd { relation, .. } => relation.from_id == id || relation.to_id == id,
        Event::RelationRemove { from_id, to_id, .. } => from_id == id || to_id == id,
        Event::EntityDelete { entity_id, .. } | Event::ObservationDelete { entity_id, .. } => entity_id == id,
        _ => false,
    }
}

fn is_of(change: &GraphChange, id: &str) -> bool {
    change.item().is_some_and(|item| item.is_of(id))
}

fn list(
    dir: &BankDir,
    graph: &FolderGraph,
    query: &GraphChangeQuery,
) -> Result<GraphChangePage, GraphHistoryError> {
    let entity = match &query.subject {
        GraphSubject::Entity(entity) => Some(entity_named(dir, graph, entity)?.id),
        _ => None,
    };
    let session = match &query.subject {
        GraphSubject::Session(session) => Some(session),
        _ => None,
    };
    let limit = query.limit.clamp(1, limits::VERSIONS_LISTED);
    // The newest of the piece that is read, and of those before it. Both closures use it.
    let found: RefCell<Found> = RefCell::default();
    let mut visit = |change: GraphChange| {
        let is_meant = query.after.is_none_or(|after| change.number < after)
            && entity.as_ref().is_none_or(|id| is_of(&change, id))
            && session.is_none_or(|session| change.session.as_ref() == Some(session))
            && query.since.is_none_or(|since| change.at >= since)
            && query.until.is_none_or(|until| change.at < until)
            && query.by.as_ref().is_none_or(|by| change.author.as_ref() == Some(by));
        if is_meant {
            let mut found = found.borrow_mut();
            let room = limit + 1 - found.changes.len();
            found.of_piece.push_front(change);
            found.of_piece.truncate(room);
        }
    };
    replay_back(dir, query.after, &mut visit, &mut || {
        let mut found = found.borrow_mut();
        let of_piece = std::mem::take(&mut found.of_piece);
        found.changes.extend(of_piece);
        found.changes.len() > limit
    })?;
    let mut changes = found.into_inner().changes;
    let is_cut = changes.len() > limit;
    changes.truncate(limit);
    let next = changes.last().map(|change| change.number).filter(|_| is_cut);
    Ok(GraphChangePage { changes, next })
}

/// What a list has found, newest first: in the pieces that were read, and in the one that is being read.
#[derive(Default)]
struct Found {
    changes: Vec<GraphChange>,
    of_piece: VecDeque<GraphChange>,
}

fn chain(
    dir: &BankDir,
    graph: &FolderGraph,
    entity: &EntityRef,
    number: i64,
) -> Result<EntityChain, GraphHistoryError> {
    let Entity { id, name, .. } = entity_named(dir, graph, entity)?;
    let (mut changes, mut exists) = (VecDeque::new(), number <= 0);
    let replayed = replay(dir, &mut |change| {
        if is_of(&change, &id) {
            exists |= change.number == number;
            if change.number > number && changes.len() <= limits::GRAPH_CHAIN_CHANGES {
                changes.push_front(change);
            }
        }
    })?;
    if !exists {
        return Err(GraphHistoryError::NoChange { entity: name, number });
    }
    if changes.len() > limits::GRAPH_CHAIN_CHANGES {
        return Err(GraphHistoryError::TooMany { entity: name });
    }
    Ok(EntityChain { now: EntitySnapshot::of(&replayed.state, &id), changes: changes.into() })
}

/// The entity that a word means, or a deleted one that had this name.
fn entity_named(dir: &BankDir, graph: &FolderGraph, entity: &EntityRef) -> Result<Entity, GraphHistoryError> {
    let chosen = graph.with_view(dir, |view| Ok::<_, StoreError>(view.state().resolve(entity).cloned()))?;
    let Err(GraphError::EntityNotFound { .. }) = &chosen else { return Ok(chosen?) };
    let mut deleted: BTreeMap<String, Entity> = BTreeMap::new();
    replay(dir, &mut |change| {
        if let (ItemChange::Deleted, Some(GraphItem::Entity(entity))) = (change.change, change.before) {
            deleted.insert(entity.id.clone(), entity);
        }
    })?;
    match Lookup::of(entity).choose(&deleted.values().collect::<Vec<_>>()) {
        Err(GraphError::EntityNotFound { .. }) => Ok(chosen?),
        found => Ok(found?.clone()),
    }
}

/// Stores the log as a segment before a compaction replaces it, and returns the number of its last change. Blocks.
pub(super) fn keep_log(dir: &BankDir, log: &[u8]) -> Result<Option<i64>, StoreError> {
    if log.len() as u64 > MAX_SEGMENT_BYTES {
        tracing::warn!(bytes = log.len(), "the graph log is too long to be kept; its history ends here");
        return Ok(None);
    }
    let Replayed { before_log, last, .. } = replay(dir, &mut |_| ())?;
    let name = segment_name(before_log);
    dir.open_history(&name, true)
        .and_then(|_| dir.replace_history(&name, log))
        .and_then(|()| dir.sync_history())
        .map_err(StoreError::io("cannot write the history"))?;
    Ok(Some(last))
}

/// Notes where a compaction left the log, so that lists of the newest changes read no segment. Without the note they read all.
pub(super) fn note_compaction(dir: &BankDir, last: i64, content: &[u8]) {
    if let Err(error) = record(dir, last, content) {
        tracing::warn!(%error, "lists of changes of the graph read all of its history until the next compaction");
    }
}

/// Removes the segments whose last change is older, and the oldest beyond the bound. Blocks.
pub(super) fn thin(dir: &BankDir, before: Timestamp) -> Result<(), StoreError> {
    let found = segments(dir)?;
    let mut bytes: u64 = found.iter().map(|(_, _, bytes)| bytes).sum();
    for (_, name, length) in found {
        let text = segment_text(dir, &name)?;
        let last = text.split(|byte| *byte == b'\n').rev().find_map(|line| match read_line(line) {
            Line::Event(event) => Some(event.time().to_owned()),
            _ => None,
        });
        let is_old = last.is_none_or(|last| instant(&last).is_none_or(|last| last < before.as_millisecond()));
        if !is_old && bytes <= MAX_SEGMENT_BYTES {
            return Ok(());
        }
        dir.remove_history(&name).map_err(StoreError::io("cannot thin the history"))?;
        bytes -= length;
    }
    Ok(())
}
