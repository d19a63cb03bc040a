use proptest::prelude::*;

use super::table::Row;
use super::*;
use crate::graph::compact::write_compacted;
use crate::graph::event::{Line, read_line};
use crate::graph::ids::{entity_id, observation_id, relation_id};

const TS: &str = "2026-01-01T00:00:00.000Z";

/// Events over few ids, so that they affect each other; ends and owners need not exist.
fn events() -> impl Strategy<Value = Vec<Event>> {
    let id = |n: u8| entity_id(&format!("e{}", n % 6), "t");
    let event = (0..6_u8, 0..6_u8, 0..6_u8, 0..4_u8).prop_map(move |(kind, a, b, c)| match kind {
        0 | 1 => Event::EntityUpsert {
            entity: Entity {
                id: id(a),
                name: format!("e{b}"),
                entity_type: format!("t{c}"),
                attrs: None,
                created_at: TS.into(),
                updated_at: TS.into(),
            },
            ts: TS.into(),
        },
        2 => Event::ObservationAdd {
            observation: Observation {
                author: None,
                validity: None,
                // The owner is not part of this id, as in logs of other programs.
                id: observation_id("", &format!("o{b}"), TS),
                entity_id: id(a),
                text: format!("o{b}"),
                source: None,
                timestamp: format!("202{c}"),
            },
            ts: TS.into(),
        },
        3 => Event::RelationAdd {
            relation: Relation {
                id: relation_id(&id(a), &format!("r{c}"), &id(b)),
                from_id: id(a),
                to_id: id(b),
                relation_type: format!("R{c}"),
                created_at: TS.into(),
            },
            ts: TS.into(),
        },
        4 if c == 0 => Event::EntityDelete { entity_id: id(a), ts: TS.into() },
        4 => Event::RelationRemove {
            from_id: id(a),
            to_id: id(b),
            relation_type: format!("r{c}"),
            ts: TS.into(),
        },
        _ => Event::ObservationDelete {
            entity_id: id(a),
            observation_id: observation_id("", &format!("o{b}"), TS),
            ts: TS.into(),
        },
    });
    proptest::collection::vec(event, 0..60)
}

fn fold(events: &[Event]) -> GraphState {
    let mut state = GraphState::default();
    events.iter().cloned().for_each(|event| state.apply(event));
    state
}

/// The fold as the format defines it, without any index.
fn naive(events: &[Event]) -> (Vec<Entity>, Vec<Observation>, Vec<Relation>) {
    fn put<T: Row + Clone>(rows: &mut Vec<T>, row: &T) {
        match rows.iter_mut().find(|old| old.id() == row.id()) {
            Some(old) => *old = row.clone(),
            None => rows.push(row.clone()),
        }
    }
    let (mut entities, mut observations, mut relations) = (Vec::new(), Vec::new(), Vec::new());
    for event in events {
        match event {
            Event::EntityUpsert { entity, .. } => put(&mut entities, entity),
            Event::ObservationAdd { observation, .. } => put(&mut observations, observation),
            Event::RelationAdd { relation, .. } => put(&mut relations, relation),
            Event::RelationRemove { from_id, to_id, relation_type, .. } => {
                let id = relation_id(from_id, relation_type, to_id);
                relations.retain(|one: &Relation| one.id != id);
            }
            Event::EntityDelete { entity_id, .. } => {
                entities.retain(|one: &Entity| one.id != *entity_id);
                observations.retain(|one: &Observation| one.entity_id != *entity_id);
                relations.retain(|one: &Relation| one.from_id != *entity_id && one.to_id != *entity_id);
            }
            Event::ObservationDelete { observation_id, .. } => {
                observations.retain(|one: &Observation| one.id != *observation_id);
            }
            Event::SnapshotWritten { .. } => {}
        }
    }
    (entities, observations, relations)
}

proptest! {
    #[test]
    fn the_state_is_the_fold_of_the_events(events in events()) {
        let state = fold(&events);
        let (entities, observations, relations) = naive(&events);
        prop_assert!(state.entities().eq(&entities));
        prop_assert!(state.observations().eq(&observations));
        prop_assert!(state.relations().eq(&relations));
        for n in 0..6 {
            let id = entity_id(&format!("e{n}"), "t");
            prop_assert!(state.observations_of(&id).eq(observations.iter().filter(|one| one.entity_id == id)));
            prop_assert!(
                state.relations_of(&id).eq(relations.iter().filter(|one| one.from_id == id || one.to_id == id))
            );
            let name = format!("e{n}");
            prop_assert!(state.named(&name).eq(entities.iter().filter(|one| one.name == name)));
        }
    }

    #[test]
    fn compaction_keeps_the_state_and_unknown_lines(
        events in events(),
        unknown in proptest::collection::vec("\\{\"type\":\"future[a-z]{0,5}\"\\}|[a-z{]{1,9}", 0..5),
    ) {
        let state = fold(&events);
        let mut log = Vec::new();
        let lines = write_compacted(&state, unknown.iter().map(String::as_bytes), TS, &mut log).unwrap();
        let text = String::from_utf8(log).unwrap();
        prop_assert_eq!(text.lines().count(), lines);
        let mut again = GraphState::default();
        let mut kept = Vec::new();
        for line in text.lines() {
            match read_line(line.as_bytes()) {
                Line::Event(event) => again.apply(event),
                Line::Unknown(_) => kept.push(line.to_owned()),
                Line::Marker | Line::SnapshotWritten | Line::Blank => {}
            }
        }
        prop_assert_eq!(again, state);
        prop_assert_eq!(kept, unknown);
    }

    #[test]
    fn changes_name_every_difference(first in events(), then in events()) {
        let before = fold(&first);
        let mut after = before.clone();
        then.into_iter().for_each(|event| after.apply(event));
        let touched: Vec<&ChangedObject> = after.changes_since(before.generation()).unwrap().collect();
        for (old, new) in [(&before, &after), (&after, &before)] {
            for one in old.entities().filter(|one| new.entity(&one.id) != Some(*one)) {
                prop_assert!(touched.contains(&&ChangedObject::Entity(one.id.clone())));
            }
            for one in old.observations().filter(|one| new.observation(&one.id) != Some(*one)) {
                prop_assert!(touched.contains(&&ChangedObject::Observation(one.id.clone())));
            }
            for one in old.relations().filter(|one| new.relation(&one.id) != Some(*one)) {
                prop_assert!(touched.contains(&&ChangedObject::Relation(one.id.clone())));
            }
        }
    }
}

#[test]
fn an_old_or_foreign_generation_requires_reading_the_whole_graph() {
    let mut state = GraphState::default();
    for n in 0..=MAX_RECENT_CHANGES {
        let (entity_id, text) = (entity_id("e", "t"), n.to_string());
        let observation = Observation {
            id: observation_id(&entity_id, &text, TS),
            entity_id,
            text,
            source: None,
            timestamp: TS.into(),
            author: None,
            validity: None,
        };
        state.apply(Event::ObservationAdd { observation, ts: TS.into() });
    }
    assert!(state.changes_since(0).is_none());
    assert_eq!(state.changes_since(1).unwrap().count(), MAX_RECENT_CHANGES);
    assert_eq!(state.changes_since(state.generation()).unwrap().count(), 0);
    let reloaded = GraphState::default().following(&state);
    assert!(reloaded.changes_since(state.generation()).is_none());
    assert!(state.changes_since(reloaded.generation()).is_none());
}
