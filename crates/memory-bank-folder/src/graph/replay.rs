//! The history of the graph, read from its log: each line is a change of what the lines before it lead to. A compaction moves the
//! lines that it drops to a file of the history, a segment, which is the log as it was.
//!
//! A log that begins with the state of a compaction continues the segments before it. If another program made that state, its
//! differences are changes that nobody is known to have made.

use std::io::{self, BufRead, BufReader, Cursor, Read as _};

use cap_std::fs::OpenOptions;
use jiff::Timestamp;
use memory_bank_core::error::StoreError;
use memory_bank_core::graph::event::{Event, Line, Signature, read_line, removed_relation_id};
use memory_bank_core::graph::history::{GraphChange, GraphItem, ItemChange};
use memory_bank_core::graph::state::GraphState;
use memory_bank_core::graph::timestamp::instant;
use memory_bank_core::history::tool_and_mark;
use memory_bank_core::limits;

use super::log::{LOG, next_line};
use crate::dir::BankDir;

/// The end of the names of segments.
const SEGMENT: &str = ".jsonl";
/// The most files of the history that are looked at.
const MAX_FILES: usize = 100_000;
/// The longest log that a compaction keeps as a segment, and the most bytes of all segments.
pub(super) const MAX_SEGMENT_BYTES: u64 = 64 * 1024 * 1024;

/// The name of a segment by the number of the last change before it.
pub(super) fn segment_name(number: i64) -> String {
    format!("graph-{number:015}{SEGMENT}")
}

/// The segments of a bank, oldest first: the number of the last change before each, its name, its bytes.
pub(super) fn segments(dir: &BankDir) -> Result<Vec<(i64, String, u64)>, StoreError> {
    let files = dir.history_files(MAX_FILES, SEGMENT).map_err(StoreError::io("cannot read the history"))?;
    let mut segments: Vec<(i64, String, u64)> = files
        .into_iter()
        .filter_map(|(name, bytes)| {
            let number = name.strip_prefix("graph-")?.strip_suffix(SEGMENT)?.parse().ok()?;
            Some((number, name, bytes))
        })
        .collect();
    segments.sort_unstable();
    Ok(segments)
}

/// The text of a segment.
pub(super) fn segment_text(dir: &BankDir, name: &str) -> Result<Vec<u8>, StoreError> {
    let read = || {
        let mut bytes = Vec::new();
        dir.open_history(name, false)?.take(MAX_SEGMENT_BYTES).read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    read().map_err(StoreError::io("cannot read the history"))
}

/// What a replay led to.
#[derive(Debug, Default)]
pub(super) struct Replayed {
    /// The graph now.
    pub(super) state: GraphState,
    /// The number of the last change before the log's own events.
    pub(super) before_log: i64,
}

/// Visits all changes, oldest first. The caller holds the bank's lock. Blocks.
pub(super) fn replay(dir: &BankDir, visit: &mut dyn FnMut(GraphChange)) -> Result<Replayed, StoreError> {
    let cannot = || StoreError::io(format!("cannot read `{LOG}`"));
    let mut replay = Replay { state: GraphState::default(), number: 0, is_begun: false, visit };
    for (number, name, _) in segments(dir)? {
        let text = segment_text(dir, &name)?;
        // A compaction that was killed left the segment and the log.
        if log_begins_with(dir, &text).map_err(cannot())? {
            continue;
        }
        replay.piece(&mut || Ok(Box::new(Cursor::new(text.clone()))), Some(number)).map_err(cannot())?;
    }
    let before_log = replay.piece(&mut || open_log(dir), None).map_err(cannot())?;
    Ok(Replayed { state: replay.state, before_log })
}

type Lines = Box<dyn BufRead>;

fn open_log(dir: &BankDir) -> io::Result<Lines> {
    match dir.open_file(LOG, OpenOptions::new().read(true)) {
        Ok(file) => Ok(Box::new(BufReader::new(file.into_std().take(limits::GRAPH_LOG_BYTES)))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Box::new(io::empty())),
        Err(error) => Err(error),
    }
}

fn log_begins_with(dir: &BankDir, text: &[u8]) -> io::Result<bool> {
    let mut log = open_log(dir)?;
    let mut rest = text;
    while !rest.is_empty() {
        let found = log.fill_buf()?;
        let length = found.len().min(rest.len());
        if length == 0 || found.get(..length) != rest.get(..length) {
            return Ok(false);
        }
        rest = rest.get(length..).unwrap_or_default();
        log.consume(length);
    }
    Ok(true)
}

struct Replay<'v> {
    state: GraphState,
    number: i64,
    /// Whether a segment was read, so that the next one continues it.
    is_begun: bool,
    visit: &'v mut dyn FnMut(GraphChange),
}

impl Replay<'_> {
    /// Replays a segment or the log; returns the number of the last change before its own events.
    fn piece(&mut self, open: &mut dyn FnMut() -> io::Result<Lines>, number: Option<i64>) -> io::Result<i64> {
        let snapshot = end_of_snapshot(&mut open()?)?;
        // A piece without the state of a compaction that follows another one is compared as a whole.
        let base = match snapshot {
            Some(line) => Some(line),
            None if self.is_begun => Some(usize::MAX),
            None => None,
        };
        let (mut lines, mut line, mut at) = (open()?, Vec::new(), 0);
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
