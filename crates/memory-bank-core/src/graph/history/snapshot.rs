//! An entity with its observations and relations at some time.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use crate::compact_sort::CompactSort as _;
use crate::graph::history::{GraphChange, GraphItem, ItemChange, Origin};
use crate::graph::state::GraphState;
use crate::graph::timestamp::instant;
use crate::graph::{Entity, Observation, Relation};

/// An entity with its observations and relations. Without the entity nothing else is there, either.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct EntitySnapshot {
    /// The id of the entity.
    pub id: String,
    items: BTreeMap<String, GraphItem>,
    /// Names of entities at the ends of relations, by id, as far as they are known.
    pub names: BTreeMap<String, String>,
}

impl EntitySnapshot {
    /// The entity with this id, made of these items. Those of other entities are left out.
    #[must_use]
    pub fn new(id: &str, items: impl IntoIterator<Item = GraphItem>) -> Self {
        let items = items.into_iter().filter(|item| item.is_of(id));
        let items = items.map(|item| (item.id().to_owned(), item)).collect();
        Self { id: id.to_owned(), items, names: BTreeMap::new() }
    }

    /// With these names of entities, by id.
    #[must_use]
    pub fn with_names(self, names: BTreeMap<String, String>) -> Self {
        Self { names, ..self }
    }

    /// The entity with this id in a graph.
    #[must_use]
    pub fn of(state: &GraphState, id: &str) -> Self {
        let entity = state.entity(id).cloned().map(GraphItem::Entity);
        let observations = state.observations_of(id).cloned().map(GraphItem::Observation);
        let relations: Vec<&Relation> = state.relations_of(id).collect();
        let ends = relations.iter().flat_map(|relation| [&relation.from_id, &relation.to_id]);
        let names = ends
            .filter_map(|end| state.entity(end))
            .map(|entity| (entity.id.clone(), entity.name.clone()))
            .collect();
        let relations = relations.into_iter().cloned().map(GraphItem::Relation);
        Self { names, ..Self::new(id, entity.into_iter().chain(observations).chain(relations)) }
    }

    /// The items that the other snapshot of the entity does not have in this form.
    pub fn beyond<'a>(&'a self, other: &'a Self) -> impl Iterator<Item = &'a GraphItem> {
        self.items.iter().filter(|(id, item)| other.items.get(*id) != Some(*item)).map(|(_, item)| item)
    }

    /// The changes, of nobody, that would have made this one of another snapshot of the entity.
    #[must_use]
    pub fn changes_since(&self, before: &Self) -> Vec<GraphChange> {
        let ids: BTreeSet<&String> = self.items.keys().chain(before.items.keys()).collect();
        let changes = ids.into_iter().filter_map(|id| {
            let (was, is) = (before.items.get(id), self.items.get(id));
            let item = was.or(is).filter(|_| was != is)?;
            let name = |id: &str| before.names.get(id).or_else(|| self.names.get(id)).cloned();
            Some(GraphChange {
                number: 0,
                at: Timestamp::default(),
                change: match (was, is) {
                    (None, _) => ItemChange::Created,
                    (_, None) => ItemChange::Deleted,
                    _ => ItemChange::Changed,
                },
                id: id.clone(),
                before: was.cloned(),
                after: is.cloned(),
                entity: name(item.entity_id()),
                other: item.other_id().and_then(name),
                author: None,
                key: None,
                key_prefix: None,
                session: None,
                tool: None,
                undoes: None,
                imported: false,
                origin: Origin::Foreign,
            })
        });
        changes.collect()
    }

    /// The entity; `None` if it did not exist.
    #[must_use]
    pub fn entity(&self) -> Option<&Entity> {
        match self.items.get(&self.id) {
            Some(GraphItem::Entity(entity)) => Some(entity),
            _ => None,
        }
    }

    /// Its observations, oldest first.
    #[must_use]
    pub fn observations(&self) -> Vec<&Observation> {
        let observations = self.items.values().filter_map(|item| match item {
            GraphItem::Observation(observation) => Some(observation),
            _ => None,
        });
        let mut observations: Vec<&Observation> = observations.collect();
        observations.compact_sort_by_key(|one| (instant(&one.timestamp), &one.id));
        observations
    }

    /// Its relations, in the order of their times.
    #[must_use]
    pub fn relations(&self) -> Vec<&Relation> {
        let relations = self.items.values().filter_map(|item| match item {
            GraphItem::Relation(relation) => Some(relation),
            _ => None,
        });
        let mut relations: Vec<&Relation> = relations.collect();
        relations.compact_sort_by_key(|one| (instant(&one.created_at), &one.id));
        relations
    }

    /// The name of an entity, or its id.
    #[must_use]
    pub fn name_of<'a>(&'a self, id: &'a str) -> &'a str {
        match self.entity() {
            Some(entity) if entity.id == id => &entity.name,
            _ => self.names.get(id).map_or(id, String::as_str),
        }
    }

    /// Takes back these changes, newest first.
    #[must_use]
    pub fn before<'c>(mut self, changes: impl IntoIterator<Item = &'c GraphChange>) -> Self {
        for change in changes {
            let names = [(&change.entity, change.item().map(GraphItem::entity_id))];
            let other = [(&change.other, change.item().and_then(GraphItem::other_id))];
            for (name, id) in names.into_iter().chain(other) {
                if let (Some(name), Some(id)) = (name, id) {
                    self.names.entry(id.to_owned()).or_insert_with(|| name.clone());
                }
            }
            match &change.before {
                Some(item) if item.is_of(&self.id) => {
                    self.items.insert(change.id.clone(), item.clone());
                }
                _ => {
                    self.items.remove(&change.id);
                }
            }
        }
        self
    }
}
