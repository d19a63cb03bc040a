//! What a replay asks of lines and of the graph.

use std::io::{self, BufRead};

use memory_bank_core::graph::event::{Event, Line, read_line, removed_relation_id};
use memory_bank_core::graph::history::GraphItem;
use memory_bank_core::graph::state::GraphState;

use super::log::next_line;

/// The line that ends the state of a compaction, counted from 0.
pub(super) fn end_of_snapshot(lines: &mut dyn BufRead) -> io::Result<Option<usize>> {
    let (mut line, mut at) = (Vec::new(), 0);
    while next_line(&mut &mut *lines, &mut line)?.is_some() {
        if line.starts_with(br#"{"type":"snapshot_written""#) && read_line(&line) == Line::SnapshotWritten {
            return Ok(Some(at));
        }
        at += 1;
    }
    Ok(None)
}

/// The id of the item that an event names.
pub(super) fn item_id(event: &Event) -> Option<String> {
    match event {
        Event::EntityUpsert { entity, .. } => Some(entity.id.clone()),
        Event::ObservationAdd { observation, .. } => Some(observation.id.clone()),
        Event::RelationAdd { relation, .. } => Some(relation.id.clone()),
        Event::RelationRemove { from_id, to_id, relation_type, .. } => {
            Some(removed_relation_id(from_id, relation_type, to_id))
        }
        Event::EntityDelete { entity_id: id, .. } | Event::ObservationDelete { observation_id: id, .. } => {
            Some(id.clone())
        }
        _ => None,
    }
}

/// The items that an event may change, as they are.
pub(super) fn touched(state: &GraphState, event: &Event) -> Vec<(String, Option<GraphItem>)> {
    match event {
        Event::EntityDelete { entity_id, .. } => {
            let observations = state.observations_of(entity_id).cloned().map(GraphItem::Observation);
            let relations = state.relations_of(entity_id).cloned().map(GraphItem::Relation);
            let entity = state.entity(entity_id).cloned().map(GraphItem::Entity);
            let all = observations.chain(relations).chain(entity);
            all.map(|item| (item.id().to_owned(), Some(item))).collect()
        }
        _ => item_id(event).map(|id| (id.clone(), state.item(&id))).into_iter().collect(),
    }
}

pub(super) fn items(state: &GraphState) -> impl Iterator<Item = GraphItem> {
    let entities = state.entities().cloned().map(GraphItem::Entity);
    let observations = state.observations().cloned().map(GraphItem::Observation);
    entities.chain(observations).chain(state.relations().cloned().map(GraphItem::Relation))
}

/// The names of the item's entity and of a relation's target.
pub(super) fn names_of(state: &GraphState, item: Option<&GraphItem>) -> (Option<String>, Option<String>) {
    let name = |id: &str| state.entity(id).map(|entity| entity.name.clone());
    (item.and_then(|item| name(item.entity_id())), item.and_then(GraphItem::other_id).and_then(name))
}
