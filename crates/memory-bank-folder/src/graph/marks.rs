//! Lines of a segment that stand for changes which an owner erased, so that the numbers of all others stay: a number never means
//! another change.

use std::collections::VecDeque;

use memory_bank_core::error::StoreError;
use memory_bank_core::graph::event::{Event, Line, read_line};
use memory_bank_core::graph::state::GraphState;
use memory_bank_core::limits;
use serde::{Deserialize, Serialize};

use super::items::end_of_snapshot;
use super::line_seal::LineSeal;
use super::replay::{Author, Replay};

/// A line in the place of erased changes.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Mark {
    r#type: MarkType,
    /// The number of the change before the next line.
    pub(super) number: i64,
    /// The numbers of the changes of the next line, if they do not follow that one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) numbers: Vec<i64>,
    /// The entities whose changes were erased. What the next piece has of them is no change.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) entities: Vec<String>,
}

#[derive(Debug, Serialize, Deserialize)]
enum MarkType {
    #[serde(rename = "changes_erased")]
    ChangesErased,
}

impl Mark {
    /// The mark in this line, if it is one.
    pub(super) fn read(line: &[u8]) -> Option<Self> {
        let is_mark = line.starts_with(br#"{"type":"changes_erased""#);
        is_mark.then(|| serde_json::from_slice(line).ok()).flatten()
    }

    /// Whether the mark may follow the change with this number. Numbers only grow, so that no number names two changes, also in a log
    /// that other programs write.
    pub(super) fn follows(&self, number: i64) -> bool {
        let begins = (number..=limits::TRANSFER_NUMBER).contains(&self.number);
        let mut last = number;
        begins
            && self.numbers.iter().all(|next| {
                let grows = *next > std::mem::replace(&mut last, *next);
                grows && *next <= limits::TRANSFER_NUMBER
            })
    }

    /// The largest number that it names.
    pub(super) fn last(&self) -> i64 {
        self.numbers.last().copied().unwrap_or(self.number)
    }

    fn write(
        number: i64,
        numbers: Vec<i64>,
        entities: Vec<String>,
        out: &mut Vec<u8>,
    ) -> Result<(), StoreError> {
        let mark = Self { r#type: MarkType::ChangesErased, number, numbers, entities };
        let line = serde_json::to_vec(&mark).map_err(|error| StoreError::Unavailable(error.to_string()))?;
        out.extend_from_slice(&line);
        out.push(b'\n');
        Ok(())
    }
}

/// A segment without the lines that `goes` names, which are about an entity. `place`: the number of the change before the segment, and
/// whether no segment is before it, and whether it states where it begins. `None` if it has no such line.
pub(super) fn without_lines(
    (segment, seal): (&[u8], Option<&LineSeal>),
    (start, is_first, has_begins): (i64, bool, bool),
    entity: &str,
    goes: &dyn Fn(&Event) -> bool,
) -> Result<Option<Vec<u8>>, StoreError> {
    let snapshot = end_of_snapshot(&mut &*segment).map_err(StoreError::io("cannot read the history"))?;
    // As in a replay, the lines before that one are a state.
    let is_sealed = |line: &[u8]| seal.is_some_and(|seal| seal.of_line(line).is_some());
    let own =
        has_begins.then(|| segment.split_inclusive(|byte| *byte == b'\n').position(is_sealed)).flatten();
    let before_own = own.map_or(Some(usize::MAX), |own| own.checked_sub(1));
    let base = snapshot.or(before_own.filter(|_| !is_first));
    let (mut before, mut after) = (Numbering::at(start), Numbering::at(start));
    let (mut kept, mut entities, mut is_changed) = (Vec::with_capacity(segment.len()), Vec::new(), false);
    for (at, line) in segment.split_inclusive(|byte| *byte == b'\n').enumerate() {
        let is_base = base.is_some_and(|base| at <= base);
        if let Some(mark) = Mark::read(line) {
            // It is made anew where it is needed.
            entities.extend(mark.entities.iter().cloned());
            before.mark(mark, is_base);
            continue;
        }
        let was = before.pass(line, is_base);
        if matches!(read_line(line), Line::Event(event) if goes(&event)) {
            is_changed = true;
            if let Some(seal) = seal {
                // The next line follows it.
                seal.erased(line, &mut kept);
            }
            continue;
        }
        let number = after.number;
        let changes = after.pass(line, is_base);
        let of = |id: &String| was.iter().find(|(known, _)| known == id).map(|(_, number)| *number);
        let numbers: Vec<i64> = changes.iter().filter_map(|(id, _)| of(id)).collect();
        if !(number + 1..).zip(&numbers).all(|(next, number)| next == *number) {
            Mark::write(number, numbers, Vec::new(), &mut kept)?;
        }
        after.number = before.number;
        kept.extend_from_slice(line);
    }
    if !is_changed {
        return Ok(None);
    }
    if !kept.is_empty() && !kept.ends_with(b"\n") {
        kept.push(b'\n');
    }
    entities.push(entity.to_owned());
    Mark::write(before.number, Vec::new(), entities, &mut kept)?;
    Ok(Some(kept))
}

/// The numbers of the changes of a segment, line by line.
struct Numbering {
    state: GraphState,
    number: i64,
    given: VecDeque<i64>,
}

impl Numbering {
    fn at(number: i64) -> Self {
        Self { state: GraphState::default(), number, given: VecDeque::new() }
    }

    fn mark(&mut self, mark: Mark, is_base: bool) {
        if !is_base && mark.follows(self.number) {
            (self.number, self.given) = (mark.number, mark.numbers.into());
        }
    }

    /// The ids and the numbers of the changes of a line.
    fn pass(&mut self, line: &[u8], is_base: bool) -> Vec<(String, i64)> {
        let mut changes = Vec::new();
        match read_line(line) {
            Line::Event(event) if is_base => self.state.apply(event),
            Line::Event(event) => {
                let mut visit = |change: memory_bank_core::graph::history::GraphChange| {
                    changes.push((change.id, change.number));
                };
                let mut replay = Replay::new(None, &mut visit);
                (replay.state, replay.number) = (std::mem::take(&mut self.state), self.number);
                replay.given = std::mem::take(&mut self.given);
                replay.apply(event, &Author::default());
                (self.state, self.number) = (std::mem::take(&mut replay.state), replay.number);
            }
            _ => {}
        }
        changes
    }
}
