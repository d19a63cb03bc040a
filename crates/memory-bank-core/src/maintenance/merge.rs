//! Moves what belongs to one entity to another one.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use super::Precondition;
use crate::error::EditError;
use crate::graph::event::Event;
use crate::graph::ids::{observation_id, relation_id};
use crate::graph::rules::check_size;
use crate::graph::state::GraphState;
use crate::graph::{Entity, Observation, Relation, Validity};

/// The attribute with the names of merged entities.
const ALSO_CALLED: &str = "alsoCalled";

/// The ids that moved items get.
pub(super) struct MovedIds {
    pub(super) observations: Vec<String>,
    pub(super) relations: Vec<String>,
}

/// The ids of the items of the precondition at the entity that they move to.
pub(super) fn moved_ids(precondition: &Precondition, from: &str, into: &str) -> MovedIds {
    MovedIds {
        observations: precondition.observations.iter().map(|fact| moved_id(fact, into)).collect(),
        relations: precondition.relations.iter().map(|one| moved(one, from, into).id).collect(),
    }
}

fn moved_id(fact: &Observation, into: &str) -> String {
    observation_id(into, &fact.text, &fact.timestamp)
}

fn moved(relation: &Relation, from: &str, into: &str) -> Relation {
    let end = |id: &String| if id == from { into.to_owned() } else { id.clone() };
    let (from_id, to_id) = (end(&relation.from_id), end(&relation.to_id));
    let id = relation_id(&from_id, &relation.relation_type, &to_id);
    Relation { id, from_id, to_id, ..relation.clone() }
}

/// The attributes of both entities, with the name of the first one; `None` if one value would be lost, or they are too large.
pub(super) fn attributes(from: &Entity, into: &Entity) -> Option<Map<String, Value>> {
    let mut attrs = into.attrs.clone().unwrap_or_default();
    for (key, value) in from.attrs.iter().flatten() {
        match (attrs.get_mut(key), value) {
            (None, value) => {
                attrs.insert(key.clone(), value.clone());
            }
            (Some(known), value) if known == value => {}
            (Some(Value::Array(known)), Value::Array(values)) => {
                let new: Vec<Value> = values.iter().filter(|value| !known.contains(value)).cloned().collect();
                known.extend(new);
            }
            (Some(_), _) => return None,
        }
    }
    let called = attrs.entry(ALSO_CALLED).or_insert_with(|| Value::Array(Vec::new()));
    let names = called.as_array_mut()?;
    let name = Value::String(from.name.clone());
    if !names.contains(&name) {
        names.push(name);
    }
    check_size(&attrs, into.attrs.as_ref()).is_ok().then_some(attrs)
}

/// The events that move everything and delete the first entity; `None` if the attributes do not go together any more.
pub(super) fn events(
    precondition: &Precondition,
    graph: &GraphState,
    from: &str,
    into: &str,
    now: &str,
) -> Result<Option<Vec<Event>>, EditError> {
    let (Some(source), Some(target)) = (graph.entity(from), graph.entity(into)) else { return Ok(None) };
    let Some(attrs) = attributes(source, target) else { return Ok(None) };
    let ts = || now.to_owned();
    let entity = Entity { attrs: Some(attrs), updated_at: ts(), ..target.clone() };
    let mut events = vec![
        Event::EntityDelete { entity_id: from.to_owned(), ts: ts() },
        Event::EntityUpsert { entity, ts: ts() },
    ];
    let ids: BTreeMap<&str, String> =
        precondition.observations.iter().map(|fact| (fact.id.as_str(), moved_id(fact, into))).collect();
    let mut added: BTreeSet<String> = BTreeSet::new();
    for fact in &precondition.observations {
        let id = moved_id(fact, into);
        if graph.observation(&id).is_some() || !added.insert(id.clone()) {
            continue;
        }
        let supersedes = fact.validity().supersedes.iter();
        let supersedes = supersedes.map(|old| ids.get(old.as_str()).unwrap_or(old).clone()).collect();
        let validity = Validity { supersedes, ..fact.validity().clone() }.stored();
        let observation = Observation { id, entity_id: into.to_owned(), validity, ..fact.clone() };
        events.push(Event::ObservationAdd { ts: observation.timestamp.clone(), observation });
    }
    for relation in precondition.relations.iter().map(|relation| moved(relation, from, into)) {
        if graph.relation(&relation.id).is_none() && added.insert(relation.id.clone()) {
            events.push(Event::RelationAdd { relation, ts: ts() });
        }
    }
    Ok(Some(events))
}
