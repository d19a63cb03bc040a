//! The history of the graph of a folder: lists of changes, an entity as it was, its restore and its erasure.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use memory_bank_core::caller::{Caller, Right};
use memory_bank_core::document::DocumentPath;
use memory_bank_core::error::{EditError, GraphError, StoreError};
use memory_bank_core::graph::Entity;
use memory_bank_core::graph::event::Event;
use memory_bank_core::graph::history::{
    EntityRestored, EntitySnapshot, FormerItems, GraphChange, GraphChangePage, GraphChangeQuery, GraphItem,
    GraphSubject, ItemChange, Origin, plan_restore,
};
use memory_bank_core::graph::naming::Lookup;
use memory_bank_core::graph::outline::{Outline, OutlineBuilder};
use memory_bank_core::graph::state::GraphState;
use memory_bank_core::history::HistorySource;
use memory_bank_core::limits;
use memory_bank_core::store::{
    Change, DocumentChange, Editor, EntityChain, EntityRef, GraphHistoryError, GraphHistoryStore, GraphPart,
    GraphRule, GraphSize, GraphThen,
};

use super::ending::with_ending;
use super::folder_graph::{FolderGraph, KeptHistory};
use super::line_seal::LineSeal;
use super::log::{LOG, View};
use super::marks::without_lines;
use super::pieces::{Piece, Pieces, pieces, segment_text};
use super::replay::{Replayed, replay, replay_back, replay_planted};
use crate::bank::FolderBank;
use crate::dir::BankDir;
use crate::lock::blocking;

/// A file may get its time before the clock that a change got its time from.
const CLOCK_TICK: SignedDuration = SignedDuration::from_secs(2);

impl FolderBank {
    async fn read_graph_history<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Source<'_>) -> Result<T, GraphHistoryError> + Send + 'static,
    ) -> Result<T, GraphHistoryError> {
        let guard = self.lock.shared().await?;
        // A log that is damaged is reported as such.
        let (graph, history) = (self.graph.clone(), self.history.clone());
        blocking(move || {
            graph.with_view(guard.dir(), |_| Ok::<_, StoreError>(()))?;
            let seal = history.line_seal_to_read(guard.dir());
            read(&Source { dir: guard.dir(), graph: &graph, seal })
        })
        .await
    }
}

/// Where the history is read.
struct Source<'s> {
    dir: &'s BankDir,
    graph: &'s FolderGraph,
    seal: Option<LineSeal>,
}

impl Source<'_> {
    fn replay(&self, visit: &mut dyn FnMut(GraphChange)) -> Result<Replayed, StoreError> {
        replay(self.dir, self.seal.as_ref(), visit)
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
        self.read_graph_history(move |source| {
            // A log that did not change since has no later change, and need not be read.
            let is_older =
                |since: Timestamp| source.dir.stamp(LOG).is_some_and(|log| log.updated_at() < since);
            let since = query.since.and_then(|since| since.checked_sub(CLOCK_TICK).ok());
            if since.is_some_and(is_older) { Ok(GraphChangePage::default()) } else { list(source, &query) }
        })
        .await
    }

    async fn entity_chain(
        &self,
        _caller: &Caller,
        entity: &EntityRef,
        number: i64,
    ) -> Result<EntityChain, GraphHistoryError> {
        let entity = entity.clone();
        self.read_graph_history(move |source| chain(source, &entity, number)).await
    }

    async fn restore_entity(
        &self,
        caller: &Caller,
        target: &EntitySnapshot,
        made_of: &[i64],
    ) -> Result<EntityRestored, GraphError> {
        let (by, target) = (caller.clone(), target.clone());
        let (history, made_of) = (self.history.clone(), [HistorySource::GraphChanges(made_of.to_vec())]);
        let check = move |dir: &BankDir| history.check_sources(dir, &made_of);
        self.write_graph_if(caller, check, move |state, now| {
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
        self.read_graph_history(move |source| {
            let (mut changes, mut bytes) = (VecDeque::new(), 0);
            source.replay(&mut |change| {
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

    async fn outline(&self, _caller: &Caller, at: Option<Timestamp>) -> Result<Outline, StoreError> {
        self.read_graph_history(move |source| outline(source, at)).await.map_err(store_error)
    }

    async fn graph_size(&self, _caller: &Caller, until: Timestamp) -> Result<GraphSize, StoreError> {
        let read = self.read_graph_history(move |source| {
            let is_older = |log: Timestamp| until.checked_sub(CLOCK_TICK).is_ok_and(|until| log < until);
            let is_unchanged = source.dir.stamp(LOG).is_none_or(|log| is_older(log.updated_at()));
            let bytes_of = |view: &View| Ok::<_, StoreError>(view.state().bytes());
            let bytes = usize::try_from(source.graph.with_view(source.dir, bytes_of)?).unwrap_or(usize::MAX);
            Ok(GraphSize { bytes, is_unchanged })
        });
        read.await.map_err(store_error)
    }

    async fn graph_before(
        &self,
        _caller: &Caller,
        until: Timestamp,
    ) -> Result<Option<GraphThen>, StoreError> {
        self.read_graph_history(move |source| Ok(graph_before(source, until)?)).await.map_err(store_error)
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
        self.deps().sink.changed(caller.project, Change::Graph);
        Ok(changes)
    }

    async fn erase_entity(&self, caller: &Caller, entity: &EntityRef) -> Result<u64, GraphHistoryError> {
        if !caller.may(Right::Admin) {
            return Err(StoreError::Denied.into());
        }
        let entity = entity.clone();
        let id = self.read_graph_history(move |source| Ok(entity_named(source, &entity)?.id)).await?;
        let history = self.history.clone();
        let erased = self
            .maintain(move |graph, dir, info| {
                let mut erased = 0;
                let keep = KeptHistory { from: Some(Timestamp::MIN), seal: history.line_seal(dir) };
                let seal = keep.seal.as_ref();
                replay(dir, seal, &mut |change| erased += u64::from(is_of(&change, &id)))?;
                let count = &mut |change: GraphChange| erased += u64::from(is_of(&change, &id));
                replay_planted(dir, seal, count, &mut |_| ())?;
                graph.compact_keeping(dir, info, &keep)?;
                let Pieces { own, planted, .. } = pieces(dir, seal)?;
                // Nothing is before a planted segment.
                for (is_first, piece) in own.iter().enumerate().map(|(place, piece)| (place == 0, piece)) {
                    erase_from(dir, (piece, seal), &id, is_first)?;
                }
                for piece in &planted {
                    erase_from(dir, (piece, None), &id, true)?;
                }
                Ok(erased)
            })
            .await?;
        Ok(erased)
    }
}

/// Removes the lines about an entity from a segment. `is_first`: no segment is before it.
fn erase_from(
    dir: &BankDir,
    (piece, seal): (&Piece, Option<&LineSeal>),
    id: &str,
    is_first: bool,
) -> Result<(), StoreError> {
    let Some(name) = piece.name() else { return Ok(()) };
    let text = segment_text(dir, name)?;
    let has_begins = piece.ending.as_ref().is_some_and(|ending| ending.has_begins && !ending.is_mixed);
    let place = (piece.number.unwrap_or_default(), is_first, has_begins);
    let Some(kept) = without_lines((&text, seal), place, id, &|event| mentions(event, id))? else {
        return Ok(());
    };
    let kept = match (seal, &piece.ending) {
        (Some(seal), Some(ending)) => with_ending(seal, name, &kept, ending.facts())
            .map_err(|error| StoreError::Unavailable(error.to_string()))?,
        _ => kept,
    };
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

fn list(source: &Source<'_>, query: &GraphChangeQuery) -> Result<GraphChangePage, GraphHistoryError> {
    let entity = match &query.subject {
        GraphSubject::Entity(entity) => Some(entity_named(source, entity)?.id),
        _ => None,
    };
    let session = match &query.subject {
        GraphSubject::Session(session) => Some(session),
        _ => None,
    };
    let limit = query.limit.clamp(1, limits::VERSIONS_LISTED);
    // The newest of the piece that is read, and of those before it. Both closures use it.
    let found: RefCell<Found> = RefCell::default();
    let is_planted = |number: i64| number > limits::GRAPH_OWN_NUMBER;
    // Planted changes are behind all others, though their numbers are larger.
    let is_after = |number: i64| {
        query.after.is_none_or(|after| (!is_planted(number), number) < (!is_planted(after), after))
    };
    let mut visit = |change: GraphChange| {
        let is_meant = is_after(change.number)
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
    let is_enough = || {
        let mut found = found.borrow_mut();
        let of_piece = std::mem::take(&mut found.of_piece);
        found.changes.extend(of_piece);
        found.changes.len() > limit
    };
    if !query.after.is_some_and(is_planted) {
        replay_back(source.dir, source.seal.as_ref(), query.after, &mut visit, &mut &is_enough)?;
    }
    if !is_enough() {
        replay_planted(source.dir, source.seal.as_ref(), &mut visit, &mut |_| ())?;
        is_enough();
    }
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

fn chain(source: &Source<'_>, entity: &EntityRef, number: i64) -> Result<EntityChain, GraphHistoryError> {
    let Entity { id, name, .. } = entity_named(source, entity)?;
    let (mut changes, mut exists, mut origin) = (VecDeque::new(), number <= 0, Origin::Own);
    let mut foreign: HashMap<String, GraphItem> = HashMap::new();
    let replayed = source.replay(&mut |change| {
        if is_of(&change, &id) {
            if change.origin == Origin::Foreign
                && let Some(item) = &change.after
            {
                foreign.insert(change.id.clone(), item.clone());
            }
            if change.number == number {
                (exists, origin) = (true, change.origin);
                changes.clear();
            } else if exists && changes.len() <= limits::GRAPH_CHAIN_CHANGES {
                changes.push_front(change);
            }
        }
    })?;
    if !exists && let Some(planted) = planted_snapshot(source, &id, number)? {
        let now = EntitySnapshot::of(&replayed.state, &id);
        let changes = now.changes_since(&planted);
        return Ok(EntityChain { now, changes, origin: Origin::Foreign });
    }
    if !exists {
        return Err(GraphHistoryError::NoChange { entity: name, number });
    }
    if changes.len() > limits::GRAPH_CHAIN_CHANGES {
        return Err(GraphHistoryError::TooMany { entity: name });
    }
    let mut chain =
        EntityChain { now: EntitySnapshot::of(&replayed.state, &id), changes: changes.into(), origin };
    // An item that only foreign lines contain, and that the graph has no more, is restored only with `acceptForeign`.
    if chain.start().beyond(&chain.now).any(|item| foreign.get(item.id()) == Some(item)) {
        chain.origin = Origin::Foreign;
    }
    Ok(chain)
}

/// An entity as it was after a planted change, among the changes of its segment alone; none if no planted change has the number.
fn planted_snapshot(
    source: &Source<'_>,
    id: &str,
    number: i64,
) -> Result<Option<EntitySnapshot>, GraphHistoryError> {
    let later: RefCell<VecDeque<GraphChange>> = RefCell::default();
    let (exists, mut found) = (Cell::new(false), None);
    let mut visit = |change: GraphChange| {
        if !is_of(&change, id) {
            return;
        }
        if change.number == number {
            exists.set(true);
        } else if exists.get() && later.borrow().len() <= limits::GRAPH_CHAIN_CHANGES {
            later.borrow_mut().push_front(change);
        }
    };
    replay_planted(source.dir, source.seal.as_ref(), &mut visit, &mut |state| {
        if exists.take() {
            found = Some(EntitySnapshot::of(state, id).before(&later.take()));
        }
    })?;
    Ok(found)
}

/// The graph now, or at a time: present items that existed then, and items that were deleted since.
fn outline(source: &Source<'_>, at: Option<Timestamp>) -> Result<Outline, GraphHistoryError> {
    let mut builder = OutlineBuilder::at(at.map(Timestamp::as_millisecond));
    let mut deleted = Vec::new();
    if let Some(at) = at {
        source.replay(&mut |change| match (change.change, change.before) {
            (ItemChange::Deleted, _) if change.at <= at => builder.leave_out(&change.id),
            (ItemChange::Created, _) if change.at <= at => builder.let_in(&change.id),
            (ItemChange::Deleted, Some(item)) if deleted.len() < limits::OUTLINE_RELATIONS => {
                deleted.push(item);
            }
            _ => (),
        })?;
    }
    source.graph.with_view(source.dir, |view| {
        view.state().entities().for_each(|entity| builder.entity(entity));
        view.state().relations().for_each(|relation| builder.relation(relation));
        Ok::<_, StoreError>(())
    })?;
    for item in &deleted {
        match item {
            GraphItem::Entity(entity) => builder.entity(entity),
            GraphItem::Relation(relation) => builder.relation(relation),
            GraphItem::Observation(_) => (),
        }
    }
    Ok(builder.finish())
}

/// The graph before all changes since a time. Numbers without changes are of some that were erased, or dropped without a history.
fn graph_before(source: &Source<'_>, until: Timestamp) -> Result<Option<GraphThen>, StoreError> {
    let (mut former, mut last_before, mut since) = (FormerItems::before(until), 0, 0);
    let replayed = source.replay(&mut |GraphChange { number, at, id, before, .. }| {
        if at < until {
            last_before = number;
        } else {
            since += 1;
        }
        former.note(at, &id, before);
    })?;
    if former.are_too_many() {
        return Ok(None);
    }
    let begins_with_state = last_before + since == 0 && replayed.state.entities().next().is_some();
    let is_whole = replayed.last - last_before == since && !begins_with_state;
    Ok(Some(GraphThen { state: former.graph(&replayed.state), is_whole }))
}

fn store_error(error: GraphHistoryError) -> StoreError {
    match error {
        GraphHistoryError::Graph(GraphError::Store(error)) => error,
        other => StoreError::Unavailable(other.to_string()),
    }
}

/// The entity that a word means, or a deleted one that had this name.
fn entity_named(source: &Source<'_>, entity: &EntityRef) -> Result<Entity, GraphHistoryError> {
    let view_of = |view: &View| Ok::<_, StoreError>(view.state().resolve(entity).cloned());
    let chosen = source.graph.with_view(source.dir, view_of)?;
    let Err(GraphError::EntityNotFound { .. }) = &chosen else { return Ok(chosen?) };
    let mut deleted: BTreeMap<String, Entity> = BTreeMap::new();
    source.replay(&mut |change| {
        if let (ItemChange::Deleted, Some(GraphItem::Entity(entity))) = (change.change, change.before) {
            deleted.insert(entity.id.clone(), entity);
        }
    })?;
    let found = Lookup::of(entity).choose(&deleted.values().collect::<Vec<_>>()).cloned();
    let Err(GraphError::EntityNotFound { .. }) = &found else { return Ok(found?) };
    let mut planted: BTreeMap<String, Entity> = BTreeMap::new();
    let mut visit = |change: GraphChange| {
        if let Some(GraphItem::Entity(entity)) = change.item() {
            planted.insert(entity.id.clone(), entity.clone());
        }
    };
    replay_planted(source.dir, source.seal.as_ref(), &mut visit, &mut |_| ())?;
    match Lookup::of(entity).choose(&planted.values().collect::<Vec<_>>()) {
        Err(GraphError::EntityNotFound { .. }) => Ok(chosen?),
        found => Ok(found?.clone()),
    }
}
