//! The history of the graph, read from its log: each line is a change of what the lines before it lead to. A compaction moves the
//! lines that it drops to a file of the history, a segment, which is the log as it was.
//!
//! A log that begins with the state of a compaction continues the segments before it. If another program made that state, its
//! differences are changes that nobody is known to have made.

use std::collections::{BTreeMap, HashSet, VecDeque};
use std::io;

use jiff::Timestamp;
use memory_bank_core::caller::KeyId;
use memory_bank_core::error::StoreError;
use memory_bank_core::graph::event::{Event, Line, Signature, read_line};
use memory_bank_core::graph::history::{GraphChange, GraphItem, ItemChange, Origin};
use memory_bank_core::graph::state::GraphState;
use memory_bank_core::graph::timestamp::instant;
use memory_bank_core::history::tool_and_mark;
use memory_bank_core::limits;

use super::begins::begins_of;
use super::items::{end_of_snapshot, item_id, items, names_of, touched};
use super::line_seal::{LineSeal, Mark as SealMark, Order};
use super::log::{LOG, next_line};
use super::marks::Mark;
use super::pieces::{BROUGHT_NUMBER, Piece, Pieces, pieces};
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
    /// How many changes the log has, with those before its own events that no segment has.
    pub(super) in_log: u64,
}

/// The first number of changes for which there is no room before the next piece: somebody put lines into a segment. There are so many
/// for a piece.
const BEYOND: i64 = limits::GRAPH_OWN_NUMBER + (1 << 30);
const BEYOND_OF_PIECE: i64 = 1 << 12;

/// Visits all changes, oldest first. The caller holds the bank's lock. Blocks.
pub(super) fn replay(
    dir: &BankDir,
    seal: Option<&LineSeal>,
    visit: &mut dyn FnMut(GraphChange),
) -> Result<Replayed, StoreError> {
    let cannot = || StoreError::io(format!("cannot read `{LOG}`"));
    let mut replay = Replay::new(seal, visit);
    let (mut before_log, mut visited) = (0, 0);
    let pieces = pieces(dir, seal)?;
    for (place, piece) in pieces.own.iter().enumerate() {
        (replay.place, visited) = (place, replay.visited);
        before_log = replay.piece(dir, piece, ends(&pieces, place), false).map_err(cannot())?;
    }
    let in_log = replay.visited - visited;
    Ok(Replayed { last: replay.number, state: replay.state, before_log, in_log })
}

/// The number of the last change of a piece, or before the piece after it, if it is known.
pub(super) fn ends(pieces: &Pieces, place: usize) -> Option<i64> {
    let last = pieces.own.get(place)?.ending.as_ref().and_then(|ending| ending.last);
    if last.is_some() || pieces.are_mixed {
        return last;
    }
    let next = pieces.own.get(place + 1)?;
    let begins = pieces.begins.as_ref().filter(|_| next.name().is_none());
    begins.map(|begins| begins.number).or(next.number)
}

/// Visits the changes of planted segments, oldest first, each as if nothing was before it, and the graph at the end of each. All are
/// foreign. The caller holds the bank's lock. Blocks.
pub(super) fn replay_planted(
    dir: &BankDir,
    seal: Option<&LineSeal>,
    visit: &mut dyn FnMut(GraphChange),
    end: &mut dyn FnMut(&GraphState),
) -> Result<(), StoreError> {
    let mut number = limits::GRAPH_OWN_NUMBER;
    for piece in pieces(dir, seal)?.planted {
        let mut replay = Replay::new(None, &mut *visit);
        (replay.is_planted, replay.number) = (true, number);
        let piece = piece.without_number();
        replay.piece(dir, &piece, Some(BEYOND), false).map_err(StoreError::io("cannot read the history"))?;
        number = replay.number;
        end(&replay.state);
    }
    Ok(())
}

/// The numbers of all changes, own and planted. The caller holds the bank's lock. Blocks.
pub(crate) fn numbers_of(dir: &BankDir, seal: Option<&LineSeal>) -> Result<HashSet<i64>, StoreError> {
    let mut numbers = HashSet::new();
    replay(dir, seal, &mut |change| numbers.extend([change.number]))?;
    replay_planted(dir, seal, &mut |change| numbers.extend([change.number]), &mut |_| ())?;
    Ok(numbers)
}

/// Visits the changes by pieces of the history, the newest piece first, and of each piece the oldest change first, until
/// `is_enough` after a piece. Pieces that have no change before the number `after` are left out. A piece begins with the state
/// at its time, so none before it is read; where that is not known, all pieces are one. The caller holds the bank's lock. Blocks.
pub(super) fn replay_back(
    dir: &BankDir,
    seal: Option<&LineSeal>,
    after: Option<i64>,
    visit: &mut dyn FnMut(GraphChange),
    is_enough: &mut dyn FnMut() -> bool,
) -> Result<(), StoreError> {
    let cannot = || StoreError::io(format!("cannot read `{LOG}`"));
    let pieces = pieces(dir, seal)?;
    let are_known = !pieces.are_mixed && pieces.own.iter().all(|piece| piece.number.is_some());
    if !are_known {
        replay(dir, seal, visit)?;
        is_enough();
        return Ok(());
    }
    for (place, piece) in pieces.own.iter().enumerate().rev() {
        let begins_after = |piece: &Piece| after.is_some_and(|after| piece.number >= Some(after - 1));
        if begins_after(piece) {
            continue;
        }
        let mut replay = Replay::new(seal, &mut *visit);
        replay.place = place;
        replay.piece(dir, piece, ends(&pieces, place), false).map_err(cannot())?;
        // What another program changed between them.
        if let Some(next) = pieces.own.get(place + 1) {
            replay.piece(dir, next, None, true).map_err(cannot())?;
        }
        if is_enough() {
            return Ok(());
        }
    }
    Ok(())
}

/// Who made a change, as far as it is known.
#[derive(Debug, Default)]
pub(super) struct Author {
    facts: Signature,
    origin: Origin,
}

/// The state of a replay.
pub(super) struct Replay<'v> {
    pub(super) state: GraphState,
    pub(super) number: i64,
    /// The largest number before the next piece, the place of the piece, and how many of its changes have no room before that.
    most: i64,
    place: usize,
    beyond: i64,
    /// How many changes were visited.
    visited: u64,
    /// Whether the segment was planted.
    is_planted: bool,
    /// The numbers of the changes of the next line, where others were erased.
    pub(super) given: VecDeque<i64>,
    /// Entities whose changes were erased in the piece that is read.
    erased: HashSet<String>,
    /// Whether a segment was read, so that the next one continues it.
    is_begun: bool,
    /// The seal of this user's lines, and whether the piece has shown it so far: then what lacks it came from outside.
    seal: Option<&'v LineSeal>,
    has_own: bool,
    /// Whether any piece has shown it.
    has_ever_own: bool,
    /// The sealed lines of the pieces that were read.
    seen: HashSet<SealMark>,
    /// The names of entities that a line of a transfer deleted. Lines about what belonged to them may follow.
    gone: BTreeMap<String, String>,
    visit: &'v mut dyn FnMut(GraphChange),
}

impl<'v> Replay<'v> {
    /// Starts a replay with an empty graph.
    pub(super) fn new(seal: Option<&'v LineSeal>, visit: &'v mut dyn FnMut(GraphChange)) -> Self {
        Self {
            state: GraphState::default(),
            number: 0,
            most: limits::GRAPH_OWN_NUMBER,
            place: 0,
            beyond: 0,
            visited: 0,
            is_planted: false,
            given: VecDeque::new(),
            erased: HashSet::new(),
            is_begun: false,
            seal,
            has_own: false,
            has_ever_own: false,
            seen: HashSet::new(),
            gone: BTreeMap::new(),
            visit,
        }
    }

    /// Replays a segment or the log, or only the state that it begins with; returns the number of the last change before its own
    /// events. `ends`: the number of its last change, if it is known.
    fn piece(
        &mut self,
        dir: &BankDir,
        piece: &Piece,
        ends: Option<i64>,
        is_state_only: bool,
    ) -> io::Result<i64> {
        // The first sealed line states a number. That of a log which an older one replaced is behind those of the segments.
        let begins = self.seal.map(|seal| begins_of(&mut piece.open(dir)?, seal)).transpose()?.flatten();
        let reached = self.number.max(piece.number.unwrap_or_default());
        let begins = begins.filter(|begins| begins.number >= reached);
        let repeated = if begins.is_none() { self.repeated(dir, piece)? } else { None };
        let (state, mut first) = match begins {
            Some(begins) if begins.is_state => (Some(begins.number), None),
            begins => (None, begins.map(|begins| begins.number)),
        };
        let number = state.or(piece.number).filter(|number| *number >= self.number);
        let ends = ends.unwrap_or(limits::GRAPH_OWN_NUMBER);
        self.most = number.or(first).unwrap_or(limits::GRAPH_OWN_NUMBER);
        self.beyond = 0;
        let snapshot = end_of_snapshot(&mut piece.open(dir)?)?;
        // A piece without the state of a compaction that follows another one is compared as a whole.
        let base = match repeated.or(snapshot) {
            Some(line) => Some(line),
            None if self.is_begun || self.place > 0 => Some(usize::MAX),
            None => None,
        };
        let (mut lines, mut line, mut at) = (piece.open(dir)?, Vec::new(), 0);
        let (mut folded, mut last, mut order) = (GraphState::default(), String::new(), Order::default());
        let erased = std::mem::take(&mut self.erased);
        if base.is_none() {
            self.begin(GraphState::default(), &last, number, &erased);
        }
        let mut before = self.number;
        let mut is_base = base.is_some();
        if !is_base {
            self.most = first.unwrap_or(ends);
        }
        // Segments that came with a repository, or a log that is gone, do not make the own lines of the log a state of nobody.
        let has_begins = first.is_some() || piece.ending.as_ref().is_some_and(|ending| ending.has_begins);
        let ends_at_own =
            base == Some(usize::MAX) && repeated.is_none() && (has_begins || !self.has_ever_own);
        while next_line(&mut lines, &mut line)?.is_some() {
            let read = read_line(&line);
            let is_own = self.seal.is_some_and(|seal| order.own(seal, &line).is_some());
            let is_sealed = is_own || self.seal.is_some_and(|seal| seal.of_line(&line).is_some());
            if is_base && (base == Some(at) || ends_at_own && (is_own || has_begins && is_sealed)) {
                self.begin(std::mem::take(&mut folded), &last, number, &erased);
                (is_base, before) = (false, self.number);
                if is_state_only {
                    return Ok(before);
                }
                self.has_own = is_sealed;
                self.most = first.unwrap_or(ends);
            }
            at += 1;
            if is_own && let Some(first) = first.take() {
                (self.number, self.most) = (first, ends);
                self.given.clear();
            }
            let Line::Event(event) = read else {
                // An erasure leaves marks in segments only.
                if let Some(mark) = Mark::read(&line).filter(|_| piece.name().is_some() && !self.is_planted) {
                    self.mark(mark, is_base, piece.is_named);
                }
                continue;
            };
            if is_base {
                last = event.time().to_owned();
                folded.apply(event);
                continue;
            }
            self.has_own |= is_sealed;
            self.has_ever_own |= is_own;
            let by = self.author_of(&line, is_own);
            if piece.is_imported {
                self.apply_imported(event, &by, is_own);
            } else {
                // A transfer alone numbers its lines.
                let facts = Signature { key: None, number: None, ..by.facts };
                self.apply(event, &Author { facts, ..by });
            }
        }
        if is_base {
            self.begin(folded, &last, number, &erased);
            before = self.number;
        }
        self.is_begun = true;
        self.seen.extend(order.into_seen());
        Ok(before)
    }

    /// The first own line of a piece that no piece before it has, if others are in one: git, or a backup, brought an older log back. What
    /// is before that line is a state.
    fn repeated(&self, dir: &BankDir, piece: &Piece) -> io::Result<Option<usize>> {
        let Some(seal) = self.seal.filter(|_| !self.seen.is_empty()) else { return Ok(None) };
        let (mut lines, mut line, mut order) = (piece.open(dir)?, Vec::new(), Order::default());
        let (mut is_repeated, mut new, mut at) = (false, None, 0);
        while next_line(&mut lines, &mut line)?.is_some() {
            match order.own(seal, &line) {
                Some(mark) if self.seen.contains(&mark) => is_repeated = true,
                Some(_) => new = new.or(Some(at)),
                None => {}
            }
            at += 1;
        }
        Ok(is_repeated.then_some(new.unwrap_or(usize::MAX)))
    }

    /// What a line has of who wrote it. The author of a line without the seal is a claim.
    fn author_of(&self, line: &[u8], is_own: bool) -> Author {
        let facts = Signature::of_line(line);
        if is_own {
            if facts.number.is_none() {
                return Author { facts, origin: Origin::Own };
            }
            let origin = Origin::of_imported(facts.user.as_deref(), facts.tool.as_deref());
            let tool = facts.tool.filter(|_| origin != Origin::Outside);
            return Author { facts: Signature { tool, ..facts }, origin };
        }
        let Signature { at, number, .. } = facts;
        Author { facts: Signature { at, number, ..Signature::default() }, origin: self.origin_of_others() }
    }

    fn origin_of_others(&self) -> Origin {
        if self.has_own && !self.is_planted { Origin::Outside } else { Origin::Foreign }
    }

    fn mark(&mut self, mark: Mark, is_base: bool, is_named: bool) {
        let most = if is_named { self.most } else { self.most.min(BROUGHT_NUMBER) };
        let follows = mark.follows(self.number) && mark.last() <= most;
        self.erased.extend(mark.entities);
        if !is_base && follows {
            (self.number, self.given) = (mark.number, mark.numbers.into());
        }
    }

    /// Continues with this state: differences are changes of nobody, but for those of entities whose changes were erased.
    fn begin(&mut self, state: GraphState, ts: &str, number: Option<i64>, erased: &HashSet<String>) {
        if self.is_begun && self.state != state {
            let mut ids: Vec<(Option<GraphItem>, Option<GraphItem>)> = Vec::new();
            for item in items(&self.state) {
                let now = state.item(item.id());
                if now.as_ref() != Some(&item) {
                    ids.push((Some(item), now));
                }
            }
            ids.extend(
                items(&state)
                    .filter(|item| self.state.item(item.id()).is_none())
                    .map(|item| (None, Some(item))),
            );
            let before = std::mem::replace(&mut self.state, state);
            let is_erased = |item: &GraphItem| {
                let has = |id: &str| erased.contains(id) || self.erased.contains(id);
                has(item.entity_id()) || item.other_id().is_some_and(has)
            };
            ids.retain(|(was, is)| !was.as_ref().or(is.as_ref()).is_some_and(is_erased));
            let by = Author { facts: Signature::default(), origin: self.origin_of_others() };
            for (was, is) in ids {
                self.note(&before, was, is, ts, &by);
            }
        } else {
            self.state = state;
        }
        if let Some(number) = number {
            self.number = number.max(self.number);
        }
    }

    /// The number of the next change.
    fn next(&mut self) -> i64 {
        if self.number < self.most {
            self.number += 1;
            return self.number;
        }
        self.beyond = (self.beyond + 1).min(BEYOND_OF_PIECE);
        let place = i64::try_from(self.place).unwrap_or(i64::MAX).min(1 << 17);
        BEYOND + place * BEYOND_OF_PIECE + self.beyond
    }

    /// Applies an event, and visits its changes.
    pub(super) fn apply(&mut self, event: Event, by: &Author) {
        let touched = touched(&self.state, &event);
        let ts = event.time().to_owned();
        let names: Vec<(Option<String>, Option<String>)> =
            touched.iter().map(|(_, item)| names_of(&self.state, item.as_ref())).collect();
        self.state.apply(event);
        let mut given = std::mem::take(&mut self.given);
        for ((id, was), names) in touched.into_iter().zip(names) {
            let is = self.state.item(&id);
            if was != is {
                // The change gets the next number.
                self.number = given.pop_front().map_or(self.number, |number| number - 1);
                self.note_named(was, is, names, &ts, by);
            }
        }
    }

    /// A line that a transfer wrote is the change of one item, with its own number.
    fn apply_imported(&mut self, event: Event, by: &Author, is_own: bool) {
        if let Event::EntityDelete { entity_id, .. } = &event
            && let Some(entity) = self.state.entity(entity_id)
        {
            self.gone.insert(entity_id.clone(), entity.name.clone());
        }
        let number = match by.facts.number {
            None => return self.apply(event, by),
            Some(1..) if self.is_planted => return self.apply(event, by),
            Some(0) => return self.state.apply(event),
            Some(number) => number,
        };
        let Some(id) = item_id(&event) else { return };
        let was = self.state.item(&id);
        let names = names_of(&self.state, was.as_ref());
        let ts = event.time().to_owned();
        self.state.apply(event);
        let is = self.state.item(&id);
        let most = if is_own { self.most } else { self.most.min(BROUGHT_NUMBER) };
        if number > self.number && number <= most {
            self.number = number - 1;
        }
        self.note_named(was, is, names, &ts, by);
    }

    fn note(
        &mut self,
        before: &GraphState,
        was: Option<GraphItem>,
        is: Option<GraphItem>,
        ts: &str,
        by: &Author,
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
        Author { facts: by, origin }: &Author,
    ) {
        let now = names_of(&self.state, is.as_ref().or(was.as_ref()));
        let item = is.as_ref().or(was.as_ref());
        let gone = |id: Option<&str>| id.and_then(|id| self.gone.get(id)).cloned();
        entity = now.0.or(entity).or_else(|| gone(item.map(GraphItem::entity_id)));
        other = now.1.or(other).or_else(|| gone(item.and_then(GraphItem::other_id)));
        let Some(id) = was.as_ref().or(is.as_ref()).map(|item| item.id().to_owned()) else { return };
        let number = self.next();
        self.visited += 1;
        let change = match (&was, &is) {
            (None, _) => ItemChange::Created,
            (_, None) => ItemChange::Deleted,
            _ => ItemChange::Changed,
        };
        let exact = by.at.as_deref().and_then(|at| at.parse::<Timestamp>().ok());
        let millis = || instant(by.at.as_deref().unwrap_or(ts));
        let at = exact.or_else(|| Timestamp::from_millisecond(millis()?).ok()).unwrap_or_default();
        let (tool, undoes) = tool_and_mark(by.tool.as_deref());
        (self.visit)(GraphChange {
            number,
            at,
            change,
            id,
            before: was,
            after: is,
            entity,
            other,
            author: by.user.clone(),
            key: by.key.map(KeyId),
            key_prefix: None,
            session: by.session.clone(),
            tool,
            undoes,
            imported: by.number.is_some(),
            origin: *origin,
        });
    }
}
