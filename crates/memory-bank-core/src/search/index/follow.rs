//! Updates the index from a graph. Changes come from the graph's list of changes, so that the cost of a new
//! observation does not depend on their number.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;

use super::text_hashes::languages_of;
use super::{Body, Index, SourceId};
use crate::graph::state::{ChangedObject, GraphState};
use crate::graph::{Entity, Observation};
use crate::search::entity::recency;
use crate::search::unit::{Unit, UnitKind};

impl Index {
    /// Indexes the changes of the graph since the generation `since`, or the whole graph if that is `None` or too
    /// old.
    pub fn follow_graph(&mut self, graph: &GraphState, since: Option<u64>) {
        match since.and_then(|since| graph.changes_since(since)) {
            Some(changes) => {
                let changes: Vec<&ChangedObject> = changes.collect();
                self.follow_changes(graph, &changes);
            }
            None => self.follow_all(graph),
        }
    }

    /// Indexes these entities as they are now, and removes deleted ones. Used for graphs that are too large to be indexed at
    /// once.
    pub fn follow_entities<'a>(&mut self, graph: &GraphState, ids: impl IntoIterator<Item = &'a str>) {
        for id in ids {
            self.take_entity(graph, id);
        }
    }

    fn follow_all(&mut self, graph: &GraphState) {
        let mut owners: HashSet<&str> = graph.entities().map(|entity| entity.id.as_str()).collect();
        owners.extend(graph.observations().map(|observation| observation.entity_id.as_str()));
        let gone: Vec<String> =
            self.entities().filter(|id| !owners.contains(id)).map(str::to_owned).collect();
        for id in gone {
            self.remove_entity(&id);
        }
        for id in owners {
            self.take_entity(graph, id);
        }
    }

    fn follow_changes(&mut self, graph: &GraphState, changes: &[&ChangedObject]) {
        let mut whole: BTreeSet<String> = BTreeSet::new();
        let mut fresh: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
        for change in changes {
            match change {
                ChangedObject::Entity(id) => {
                    whole.insert(id.clone());
                }
                ChangedObject::Observation(id) => {
                    let known = self.owners.get(id);
                    whole.extend(known.cloned());
                    if let Some(observation) = graph.observation(id) {
                        fresh.entry(&observation.entity_id).or_default().insert(&observation.id);
                    }
                }
                ChangedObject::Relation(_) => {}
            }
        }
        for (owner, ids) in fresh {
            let last = graph.observations_of(owner).next_back();
            let appended = last.filter(|last| ids.len() == 1 && ids.contains(last.id.as_str()));
            let done = !whole.contains(owner) && appended.is_some_and(|last| self.append_observation(last));
            if !done {
                whole.insert(owner.to_owned());
            }
        }
        for id in whole {
            self.take_entity(graph, &id);
        }
    }

    /// Indexes an entity in its current state. Observations of a missing entity are kept under its id.
    fn take_entity(&mut self, graph: &GraphState, id: &str) {
        let observations = graph.observations_of(id);
        if let Some(entity) = graph.entity(id) {
            self.put_entity(entity, observations);
        } else if graph.observation_count_of(id) > 0 {
            let missing = Entity {
                id: id.to_owned(),
                name: String::new(),
                entity_type: String::new(),
                attrs: None,
                created_at: String::new(),
                updated_at: String::new(),
            };
            self.put_entity(&missing, observations);
        } else {
            self.remove_entity(id);
        }
    }

    /// Adds an observation after the others of its entity; returns whether the entity is known.
    fn append_observation(&mut self, observation: &Observation) -> bool {
        let id = SourceId::Entity(observation.entity_id.clone());
        let Some(entity) = self.sources.get(&id).and_then(|source| source.units.first()).copied() else {
            return false;
        };
        let Some(path) = self.slot(entity).map(|slot| Arc::clone(&slot.path)) else { return false };
        let unit = Unit {
            kind: UnitKind::Observation,
            text: observation.text.clone(),
            line: 0,
            lines: 0,
            from: 0,
            path,
            parent: None,
            previous: None,
            next: None,
        };
        let language = languages_of(std::slice::from_ref(&unit)).first().copied().unwrap_or_default();
        let added = self.add(&unit, language, &Arc::new(id.clone()), None);
        let Some(source) = self.sources.get_mut(&id) else { return false };
        let ordinal = u32::try_from(source.units.len()).unwrap_or(u32::MAX);
        let previous = source.units.last().copied().filter(|last| *last != entity);
        source.units.push(added);
        let before = source.body.bytes();
        if let Body::Entity { texts, observations } = &mut source.body {
            texts.push(&observation.text);
            observations.push(observation.id.clone());
        }
        self.held = (self.held + source.body.bytes()).saturating_sub(before);
        self.owners.insert(observation.id.clone(), observation.entity_id.clone());
        if let Some(slot) = self.slots.get_mut(added as usize).and_then(Option::as_mut) {
            slot.ordinal = ordinal;
            slot.at = recency(&observation.timestamp);
            slot.root = entity;
            slot.parent = Some(entity);
            slot.previous = previous;
        }
        let before =
            previous.and_then(|previous| self.slots.get_mut(previous as usize)).and_then(Option::as_mut);
        if let Some(before) = before {
            before.next = Some(added);
        }
        true
    }
}
