//! The changes that lead from one graph to another one, item by item: the history gets no change of an item that both contain.

use crate::graph::Relation;
use crate::graph::event::Event;
use crate::graph::state::GraphState;

/// The events that make the graph `now` the graph `target`; none if they have the same entities, observations and relations.
/// `None` if no events lead there: a row of `target` belongs to an entity that it does not have.
#[must_use]
pub fn events_between(now: &GraphState, target: &GraphState, ts: &str) -> Option<Vec<Event>> {
    let events = difference(now, target, ts);
    let mut reached = now.clone();
    for event in &events {
        reached.apply(event.clone());
    }
    difference(&reached, target, ts).is_empty().then_some(events)
}

fn difference(now: &GraphState, target: &GraphState, ts: &str) -> Vec<Event> {
    let ts = || ts.to_owned();
    let gone_relations = now.relations().filter(|one| target.relation(&one.id) != Some(*one)).map(|one| {
        let Relation { from_id, to_id, relation_type, .. } = one.clone();
        Event::RelationRemove { from_id, to_id, relation_type, ts: ts() }
    });
    // An observation cannot be replaced, so one that differs goes, and comes back.
    let gone_observations =
        now.observations().filter(|one| target.observation(&one.id) != Some(*one)).map(|one| {
            let (entity_id, observation_id) = (one.entity_id.clone(), one.id.clone());
            Event::ObservationDelete { entity_id, observation_id, ts: ts() }
        });
    let gone_entities = now
        .entities()
        .filter(|one| target.entity(&one.id).is_none())
        .map(|one| Event::EntityDelete { entity_id: one.id.clone(), ts: ts() });
    let entities = target
        .entities()
        .filter(|one| now.entity(&one.id) != Some(*one))
        .map(|one| Event::EntityUpsert { entity: one.clone(), ts: ts() });
    let observations = target
        .observations()
        .filter(|one| now.observation(&one.id) != Some(*one))
        .map(|one| Event::ObservationAdd { observation: one.clone(), ts: ts() });
    let relations = target
        .relations()
        .filter(|one| now.relation(&one.id) != Some(*one))
        .map(|one| Event::RelationAdd { relation: one.clone(), ts: ts() });
    // What depends on an entity goes before it, and comes back after it.
    gone_relations
        .chain(gone_observations)
        .chain(gone_entities)
        .chain(entities)
        .chain(observations)
        .chain(relations)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::rules::plan_relation;
    use crate::graph::{Entity, Observation};

    const NOW: &str = "2026-11-22T09:30:07.000Z";

    fn graph(events: &[Event]) -> GraphState {
        let mut state = GraphState::default();
        events.iter().cloned().for_each(|event| state.apply(event));
        state
    }

    fn entity(name: &str, updated_at: &str) -> Event {
        let entity = Entity {
            id: format!("ent_{name}"),
            name: name.to_owned(),
            entity_type: "thing".to_owned(),
            attrs: None,
            created_at: NOW.to_owned(),
            updated_at: updated_at.to_owned(),
        };
        Event::EntityUpsert { entity, ts: NOW.to_owned() }
    }

    fn observation(of: &str) -> Event {
        let observation = Observation {
            id: "obs_1".to_owned(),
            entity_id: format!("ent_{of}"),
            text: "one".to_owned(),
            source: None,
            author: None,
            timestamp: NOW.to_owned(),
            validity: None,
        };
        Event::ObservationAdd { observation, ts: NOW.to_owned() }
    }

    fn link() -> Event {
        let relation = plan_relation("ent_A", "uses", "ent_B", NOW).unwrap();
        Event::RelationAdd { relation, ts: NOW.to_owned() }
    }

    #[test]
    fn the_events_lead_from_each_graph_to_each_other_and_leave_what_both_have() {
        let graphs = [
            graph(&[]),
            graph(&[entity("A", NOW)]),
            graph(&[entity("A", NOW), observation("A")]),
            graph(&[entity("A", "2026-11-23T09:30:07.000Z"), observation("A")]),
            graph(&[entity("B", NOW), entity("A", NOW), observation("B")]),
            graph(&[entity("A", NOW), entity("B", NOW), observation("A"), link()]),
        ];
        for (place, now) in graphs.iter().enumerate() {
            for (other, target) in graphs.iter().enumerate() {
                let events = events_between(now, target, "now").unwrap();
                assert_eq!(events.is_empty(), place == other, "{place} {other}");
                let mut reached = now.clone();
                events.into_iter().for_each(|event| reached.apply(event));
                assert_eq!(events_between(&reached, target, "now"), Some(Vec::new()), "{place} {other}");
            }
        }
        let events = events_between(&graphs[2], &graphs[3], "now").unwrap();
        assert!(matches!(events.as_slice(), [Event::EntityUpsert { .. }]), "{events:?}");
        // An observation whose entity is missing cannot be added by events, if the deletion of the entity takes it along.
        assert_eq!(events_between(&graphs[2], &graph(&[observation("A")]), "now"), None);
    }
}
