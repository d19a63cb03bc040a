//! The history of the graph, read from its log: each line is a change of what the lines before it lead to. A compaction moves the
//! lines that it drops to a file of the history, a segment, which is the log as it was.
//!
//! A log that begins with the state of a compaction continues the segments before it. If another program made that state, its
//! differences are changes that nobody is known to have made.

use std::io::{self, BufRead};

use jiff::Timestamp;
use memory_bank_core::error::StoreError;
use memory_bank_core::graph::event::{Event, Line, Signature, read_line, removed_relation_id};
use memory_bank_core::graph::history::{GraphChange, GraphItem, ItemChange};
use memory_bank_core::graph::state::GraphState;
use memory_bank_core::graph::timestamp::instant;
use memory_bank_core::history::tool_and_mark;

use super::log::{LOG, next_line};
use super::pieces::{Piece, pieces};
use crate::dir::BankDir;

/// What a replay led to.
#[derive(Debug, Default)]
pub(super) struct Replayed {
    /// The graph now.
    pub(super) state: GraphState,
    /// The number of the last change before the log's own events.
    pub(super) before_log: i64,
    /// The number of the last change.
    pub(super) last: i64,
}

/// Visits all changes, oldest first. The caller holds the bank's lock. Blocks.
pub(super) fn replay(dir: &BankDir, visit: &mut dyn FnMut(GraphChange)) -> Result<Replayed, StoreError> {
    let cannot = || StoreError::io(format!("cannot read `{LOG}`"));
    let mut replay = Replay { state: GraphState::default(), number: 0, is_begun: false, visit };
    let mut before_log = 0;
    for piece in pieces(dir)? {
        before_log = replay.piece(dir, &piece, false).map_err(cannot())?;
    }
    Ok(Replayed { last: replay.number, state: replay.state, before_log })
}

/// Visits the changes by pieces of the history, the newest piece first, and of each piece the oldest change first, until
/// `is_enough` after a piece. Pieces that have no change before the number `after` are left out. A piece begins with the state
/// at its time, so none before it is read; where that is not known, all pieces are one. The caller holds the bank's lock. Blocks.
pub(super) fn replay_back(
    dir: &BankDir,
    after: Option<i64>,
    visit: &mut dyn FnMut(GraphChange),
    is_enough: &mut dyn FnMut() -> bool,
) -> Result<(), StoreError> {
    let cannot = || StoreError::io(format!("cannot read `{LOG}`"));
    let pieces = pieces(dir)?;
    let are_known = pieces.iter().all(|piece| piece.number.is_some());
    if !are_known {
        replay(dir, visit)?;
        is_enough();
        return Ok(());
    }
    for (place, piece) in pieces.iter().enumerate().rev() {
        let begins_after = |piece: &Piece| after.is_some_and(|after| piece.number >= Some(after - 1));
        if begins_after(piece) {
            continue;
        }
        let mut replay =
            Replay { state: GraphState::default(), number: 0, is_begun: false, visit: &mut *visit };
        replay.piece(dir, piece, false).map_err(cannot())?;
        // What another program changed between them.
        if let Some(next) = pieces.get(place + 1) {
            replay.piece(dir, next, true).map_err(cannot())?;
        }
        if is_enough() {
            return Ok(());
        }
    }
    Ok(())
}

struct Replay<'v> {
    state: GraphState,
    number: i64,
    /// Whether a segment was read, so that the next one continues it.
    is_begun: bool,
    visit: &'v mut dyn FnMut(GraphChange),
}

impl Replay<'_> {
    /// Replays a segment or the log, or only the state that it begins with; returns the number of the last change before its own
    /// events.
    fn piece(&mut self, dir: &BankDir, piece: &Piece, is_state_only: bool) -> io::Result<i64> {
        let number = piece.number;
        let snapshot = end_of_snapshot(&mut piece.open(dir)?)?;
        // A piece without the state of a compaction that follows another one is compared as a whole.
        let base = match snapshot {
            Some(line) => Some(line),
            None if self.is_begun => Some(usize::MAX),
            None => None,
        };
        let (mut lines, mut line, mut at) = (piece.open(dir)?, Vec::new(), 0);
        let (mut folded, mut last) = (GraphState::default(), String::new());
        if base.is_none() {
            self.begin(GraphState::default(), &last, number);
        }
        let mut before = self.number;
        let mut is_base = base.is_some();
        while next_line(&mut lines, &mut line)?.is_some() {
            let read = read_line(&line);
            if is_base && base == Some(at) {
                self.begin(std::mem::take(&mut folded), &last, number);
                (is_base, before) = (false, self.number);
                if is_state_only {
                    return Ok(before);
                }
            }
            at += 1;
            let Line::Event(event) = read else { continue };
            if is_base {
                last = event.time().to_owned();
                folded.apply(event);
            } else {
                self.apply(event, &Signature::of_line(&line));
            }
        }
        if is_base {
            self.begin(folded, &last, number);
            before = self.number;
        }
        self.is_begun = true;
        Ok(before)
    }

    /// Continues with this state: differences are changes of nobody.
    fn begin(&mut self, state: GraphState, ts: &str, number: Option<i64>) {
        if self.is_begun && self.state != state {
            let mut ids: Vec<(Option<GraphItem>, Option<GraphItem>)> = Vec::new();
            for item in items(&self.state) {
                let now = find(&state, &item);
                if now.as_ref() != Some(&item) {
                    ids.push((Some(item), now));
                }
            }
            ids.extend(
                items(&state).filter(|item| find(&self.state, item).is_none()).map(|item| (None, Some(item))),
            );
            let before = std::mem::replace(&mut self.state, state);
            for (was, is) in ids {
                self.note(&before, was, is, ts, &Signature::default());
            }
        } else {
            self.state = state;
        }
        if let Some(number) = number {
            self.number = number;
        }
    }

    fn apply(&mut self, event: Event, by: &Signature) {
        let touched = touched(&self.state, &event);
        let ts = event.time().to_owned();
        let names: Vec<(Option<String>, Option<String>)> =
            touched.iter().map(|(_, item)| names_of(&self.state, item.as_ref())).collect();
        self.state.apply(event);
        for ((id, was), names) in touched.into_iter().zip(names) {
            let is = find_id(&self.state, &id);
            if was != is {
                self.note_named(was, is, names, &ts, by);
            }
        }
    }

    fn note(
        &mut self,
        before: &GraphState,
        was: Option<GraphItem>,
        is: Option<GraphItem>,
        ts: &str,
        by: &Signature,
    ) {
        let names = names_of(before, was.as_ref());
        self.note_named(was, is, names, ts, by);
    }

    fn note_named(
        &mut self,
        was: Option<GraphItem>,
        is: Option<GraphItem>,
        (mut entity, mut other): (Option<String>, Option<String>),
        ts: &str,
        by: &Signature,
    ) {
        let now = names_of(&self.state, is.as_ref().or(was.as_ref()));
        entity = now.0.or(entity);
        other = now.1.or(other);
        let Some(id) = was.as_ref().or(is.as_ref()).map(|item| item.id().to_owned()) else { return };
        self.number += 1;
        let change = match (&was, &is) {
            (None, _) => ItemChange::Created,
            (_, None) => ItemChange::Deleted,
            _ => ItemChange::Changed,
        };
        let at = instant(by.at.as_deref().unwrap_or(ts));
        let at = at.and_then(|at| Timestamp::from_millisecond(at).ok()).unwrap_or_default();
        let (tool, undoes) = by.tool.as_deref().map(tool_and_mark).unzip();
        (self.visit)(GraphChange {
            number: self.number,
            at,
            change,
            id,
            before: was,
            after: is,
            entity,
            other,
            author: by.user.clone(),
            key: None,
            key_prefix: None,
            session: by.session.clone(),
            tool,
            undoes: undoes.flatten(),
        });
    }
}

/// The line that ends the state of a compaction, counted from 0.
fn end_of_snapshot(lines: &mut dyn BufRead) -> io::Result<Option<usize>> {
    let (mut line, mut at) = (Vec::new(), 0);
    while next_line(&mut &mut *lines, &mut line)?.is_some() {
        if line.starts_with(br#"{"type":"snapshot_written""#) && read_line(&line) == Line::SnapshotWritten {
            return Ok(Some(at));
        }
        at += 1;
    }
    Ok(None)
}

/// The items that an event may change, as they are.
fn touched(state: &GraphState, event: &Event) -> Vec<(String, Option<GraphItem>)> {
    let one = |id: String| {
        let item = find_id(state, &id);
        vec![(id, item)]
    };
    match event {
        Event::EntityUpsert { entity, .. } => one(entity.id.clone()),
        Event::ObservationAdd { observation, .. } => one(observation.id.clone()),
        Event::RelationAdd { relation, .. } => one(relation.id.clone()),
        Event::RelationRemove { from_id, to_id, relation_type, .. } => {
            one(removed_relation_id(from_id, relation_type, to_id))
        }
        Event::ObservationDelete { observation_id, .. } => one(observation_id.clone()),
        Event::EntityDelete { entity_id, .. } => {
            let observations = state.observations_of(entity_id).cloned().map(GraphItem::Observation);
            let relations = state.relations_of(entity_id).cloned().map(GraphItem::Relation);
            let entity = state.entity(entity_id).cloned().map(GraphItem::Entity);
            let all = observations.chain(relations).chain(entity);
            all.map(|item| (item.id().to_owned(), Some(item))).collect()
        }
        _ => Vec::new(),
    }
}

fn find_id(state: &GraphState, id: &str) -> Option<GraphItem> {
    let entity = || state.entity(id).cloned().map(GraphItem::Entity);
    let observation = || state.observation(id).cloned().map(GraphItem::Observation);
    let relation = || state.relation(id).cloned().map(GraphItem::Relation);
    entity().or_else(observation).or_else(relation)
}

fn find(state: &GraphState, item: &GraphItem) -> Option<GraphItem> {
    find_id(state, item.id())
}

fn items(state: &GraphState) -> impl Iterator<Item = GraphItem> {
    let entities = state.entities().cloned().map(GraphItem::Entity);
    let observations = state.observations().cloned().map(GraphItem::Observation);
    entities.chain(observations).chain(state.relations().cloned().map(GraphItem::Relation))
}

/// The names of the item's entity and of a relation's target.
fn names_of(state: &GraphState, item: Option<&GraphItem>) -> (Option<String>, Option<String>) {
    let name = |id: &str| state.entity(id).map(|entity| entity.name.clone());
    (item.and_then(|item| name(item.entity_id())), item.and_then(GraphItem::other_id).and_then(name))
}
