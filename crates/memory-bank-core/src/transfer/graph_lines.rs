//! The history of a graph as lines that lead to it: the state before the oldest change, then each change as an event. A folder
//! keeps them beside its log.
//!
//! A change has its own number. What changed while no history was kept has the number 0: it is a part of the state, and does not count
//! as a change.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::{GraphChangeCopy, GraphHistory, NotTransferable};
use crate::clock::iso_millis;
use crate::graph::Relation;
use crate::graph::compact::write_compacted;
use crate::graph::event::{Event, Signature};
use crate::graph::history::{GraphItem, ItemChange};
use crate::graph::state::GraphState;

/// The lines of a history.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GraphLines {
    /// The lines, with their ends.
    pub bytes: Vec<u8>,
    /// The number of the last change before them.
    pub before: i64,
    /// The number of their last change.
    pub last: i64,
    /// How many changes they have.
    pub changes: usize,
}

impl GraphLines {
    /// The lines of the newest changes that fit into the given bytes; `None` if there are none. `present` is the graph
    /// now. A change whose result is not known is left out.
    ///
    /// # Errors
    /// They cannot be written as JSON.
    pub fn of(
        history: &GraphHistory,
        present: &GraphState,
        most: usize,
    ) -> Result<Option<Self>, NotTransferable> {
        let known = with_results(&history.changes, present);
        let mut newest = known.as_slice();
        while let [first, .., last] | [first @ last] = newest {
            let lines = lines_of(newest, present)
                .map_err(|error| NotTransferable(format!("the history of the graph: {error}")))?;
            if lines.len() <= most {
                let (before, number) = (last.change.number.saturating_sub(1), first.change.number);
                return Ok(Some(Self { bytes: lines, before, last: number, changes: newest.len() }));
            }
            newest = newest.get(..newest.len() / 2).unwrap_or_default();
        }
        Ok(None)
    }
}

/// A change with the item after it.
struct Known<'h> {
    change: &'h GraphChangeCopy,
    after: Option<GraphItem>,
}

/// The changes with what they led to, newest first, without those of which that is not known.
fn with_results<'h>(changes: &'h [GraphChangeCopy], present: &GraphState) -> Vec<Known<'h>> {
    let mut later: BTreeMap<&str, Option<&GraphItem>> = BTreeMap::new();
    let mut known = Vec::with_capacity(changes.len());
    for change in changes {
        let next = later.insert(&change.id, change.before.as_ref());
        let after = match (change.change, next) {
            (ItemChange::Deleted, _) => None,
            (_, Some(next)) => next.cloned(),
            (_, None) => present.item(&change.id),
        };
        if after.is_some() || change.change == ItemChange::Deleted {
            known.push(Known { change, after });
        }
    }
    known
}

fn lines_of(changes: &[Known<'_>], present: &GraphState) -> Result<Vec<u8>, serde_json::Error> {
    let mut state = present.clone();
    let (mut first, mut last) = (Timestamp::UNIX_EPOCH, Timestamp::UNIX_EPOCH);
    for Known { change, after } in changes {
        if let Some(event) = event_to(after.as_ref(), change.before.as_ref(), "") {
            state.apply(event);
        }
        first = change.at;
    }
    let mut lines = Lines { bytes: Vec::new(), state };
    write_compacted(&lines.state, [], &iso_millis(first), &mut lines.bytes)?;
    for known in changes.iter().rev() {
        lines.change(known)?;
        last = known.change.at;
    }
    lines.lead_to(present, &iso_millis(last))?;
    Ok(lines.bytes)
}

/// Lines, and the state that they lead to.
struct Lines {
    bytes: Vec<u8>,
    state: GraphState,
}

impl Lines {
    fn change(&mut self, known: &Known<'_>) -> Result<(), serde_json::Error> {
        let Known { change, after } = known;
        let ts = iso_millis(change.at);
        let now = self.state.item(&change.id);
        if now != change.before {
            self.unseen(event_to(now.as_ref(), change.before.as_ref(), &ts))?;
        }
        let Some(event) = event_to(change.before.as_ref(), after.as_ref(), &ts) else { return Ok(()) };
        // The time is written where the milliseconds of `ts` are not all of it.
        let is_whole = ts.parse::<Timestamp>().is_ok_and(|ts| ts == change.at);
        let by = Signature {
            user: change.author.clone(),
            tool: change.tool.clone(),
            session: change.session.clone(),
            at: (!is_whole).then(|| change.at.to_string()),
            key: change.key.map(|key| key.0),
            number: Some(change.number),
        };
        event.write_signed(&by, &mut self.bytes)?;
        self.state.apply(event);
        Ok(())
    }

    /// Something that changed without a history.
    fn unseen(&mut self, event: Option<Event>) -> Result<(), serde_json::Error> {
        let Some(event) = event else { return Ok(()) };
        event.write_signed(&Signature { number: Some(0), ..Signature::default() }, &mut self.bytes)?;
        self.state.apply(event);
        Ok(())
    }

    /// What else changed since the last change.
    fn lead_to(&mut self, present: &GraphState, ts: &str) -> Result<(), serde_json::Error> {
        // Entities come first: one that is deleted takes its observations and relations with it.
        let entities = |state: &GraphState| -> Vec<GraphItem> {
            state.entities().cloned().map(GraphItem::Entity).collect()
        };
        let others = |state: &GraphState| -> Vec<GraphItem> {
            let observations = state.observations().cloned().map(GraphItem::Observation);
            observations.chain(state.relations().cloned().map(GraphItem::Relation)).collect()
        };
        for items in [&entities as &dyn Fn(&GraphState) -> Vec<GraphItem>, &others] {
            for was in items(&self.state) {
                if present.item(was.id()).is_none() {
                    self.unseen(event_to(Some(&was), None, ts))?;
                }
            }
            for is in items(present) {
                if self.state.item(is.id()).as_ref() != Some(&is) {
                    self.unseen(event_to(None, Some(&is), ts))?;
                }
            }
        }
        Ok(())
    }
}

/// The event that makes an item another one; `None` if there is none.
fn event_to(from: Option<&GraphItem>, to: Option<&GraphItem>, ts: &str) -> Option<Event> {
    let ts = ts.to_owned();
    Some(match (from, to) {
        (_, Some(GraphItem::Entity(entity))) => Event::EntityUpsert { entity: entity.clone(), ts },
        (_, Some(GraphItem::Observation(observation))) => {
            Event::ObservationAdd { observation: observation.clone(), ts }
        }
        (_, Some(GraphItem::Relation(relation))) => Event::RelationAdd { relation: relation.clone(), ts },
        (Some(GraphItem::Entity(entity)), None) => Event::EntityDelete { entity_id: entity.id.clone(), ts },
        (Some(GraphItem::Observation(one)), None) => {
            Event::ObservationDelete { entity_id: one.entity_id.clone(), observation_id: one.id.clone(), ts }
        }
        (Some(GraphItem::Relation(relation)), None) => {
            let Relation { from_id, to_id, relation_type, .. } = relation.clone();
            Event::RelationRemove { from_id, to_id, relation_type, ts }
        }
        (None, None) => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::Entity;
    use crate::graph::event::{Line, read_line};
    use crate::transfer::ItemKind;

    fn entity(number: i64) -> GraphItem {
        GraphItem::Entity(Entity {
            id: "ent_one_and_two".to_owned(),
            name: format!("One {number}"),
            entity_type: "thing".to_owned(),
            attrs: None,
            created_at: "2026-11-27T09:00:00.123Z".to_owned(),
            updated_at: "2026-11-27T09:00:00.123Z".to_owned(),
        })
    }

    /// Eight changes of one entity, newest first.
    fn history() -> GraphHistory {
        let changes = (1..=8).rev().map(|number| GraphChangeCopy {
            number: 10 * number,
            at: Timestamp::from_microsecond(1_700_000_000_000_001 + number).unwrap(),
            change: if number == 1 { ItemChange::Created } else { ItemChange::Changed },
            kind: ItemKind::Entity,
            id: "ent_one_and_two".to_owned(),
            entity_id: "ent_one_and_two".to_owned(),
            other_id: None,
            before: (number > 1).then(|| entity(number - 1)),
            author: Some("bob".to_owned()),
            key: None,
            session: None,
            tool: None,
        });
        GraphHistory { changes: changes.collect(), left_out: 0 }
    }

    fn graph(item: Option<&GraphItem>) -> GraphState {
        let mut state = GraphState::default();
        if let Some(event) = event_to(None, item, "") {
            state.apply(event);
        }
        state
    }

    /// The numbers of the lines that have one, and the graph that all lines lead to.
    fn replayed(lines: &GraphLines) -> (Vec<i64>, GraphState) {
        let (mut numbers, mut state) = (Vec::new(), GraphState::default());
        for line in lines.bytes.split(|byte| *byte == b'\n') {
            if let Line::Event(event) = read_line(line) {
                numbers.extend(Signature::of_line(line).number);
                state.apply(event);
            }
        }
        (numbers, state)
    }

    #[test]
    fn the_lines_lead_to_the_graph_and_have_the_numbers_of_the_changes() {
        for present in [Some(entity(8)), Some(entity(99)), None] {
            let now = graph(present.as_ref());
            let lines = GraphLines::of(&history(), &now, usize::MAX).unwrap().unwrap();
            let (numbers, state) = replayed(&lines);
            // The present item is the result of the last change; without it the result is unknown.
            let known: Vec<i64> =
                (1..=if present.is_some() { 8 } else { 7 }).map(|number| 10 * number).collect();
            let seen: Vec<i64> = numbers.into_iter().filter(|number| *number > 0).collect();
            assert_eq!(seen, known);
            assert_eq!((lines.before, lines.last, lines.changes), (9, known[known.len() - 1], known.len()));
            assert!(state == now);
        }
    }

    #[test]
    fn lines_beyond_the_bound_are_those_of_the_newest_changes() {
        let now = graph(Some(&entity(8)));
        let whole = GraphLines::of(&history(), &now, usize::MAX).unwrap().unwrap();
        let some = GraphLines::of(&history(), &now, whole.bytes.len() - 1).unwrap().unwrap();
        assert_eq!((some.before, some.last, some.changes), (49, 80, 4));
        assert_eq!(replayed(&some).0, [50, 60, 70, 80]);
        assert!(replayed(&some).1 == now);
        assert_eq!(GraphLines::of(&history(), &now, 10).unwrap(), None);
        assert_eq!(GraphLines::of(&GraphHistory::default(), &now, usize::MAX).unwrap(), None);
    }
}
