//! The state of the graph: the fold of a log's events, in insertion order, with an index for every query.
//!
//! The cost of applying an event depends on the observations and relations that it touches, not on the size of the
//! graph. The state does not know files; a store applies the events in their order.

pub(in crate::graph) mod size;
mod table;
#[cfg(test)]
mod tests;

use std::cmp::Reverse;
use std::collections::hash_map::RandomState;
use std::collections::{BTreeMap, BinaryHeap, HashMap, VecDeque};
use std::hash::BuildHasher;
use std::ops::Bound;

use self::size::members_bytes;
use self::table::{Table, index_add, index_remove};
use crate::graph::event::{Event, TypeStats, removed_relation_id};
use crate::graph::ids::normalise;
use crate::graph::timestamp::instant;
use crate::graph::{Endings, Entity, Observation, ObservationSource, Relation};
use crate::store::GraphStats;

/// The most changes that [`GraphState::changes_since`] remembers.
pub const MAX_RECENT_CHANGES: usize = 4096;

/// All entities, observations and relations of one graph.
#[derive(Debug, Clone, Default)]
pub struct GraphState {
    entities: Table<Entity>,
    observations: Table<Observation>,
    relations: Table<Relation>,
    /// Entities by normalised name.
    names: BTreeMap<String, Vec<u64>>,
    /// Observations by entity id, whether the entity exists or not.
    by_entity: HashMap<String, Vec<u64>>,
    /// Observations by a hash of entity, text and source.
    by_fact: HashMap<u64, Vec<u64>>,
    /// Observations with bounds or that replace others, by entity id.
    by_bounds: HashMap<String, Vec<u64>>,
    hasher: RandomState,
    /// Relations by either end, whether it exists or not; a self-link is listed once.
    by_end: HashMap<String, Vec<u64>>,
    next: u64,
    generation: u64,
    changes: VecDeque<ChangedObject>,
}

/// The object that an event touched. Followers look up the id: a missing object was removed.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ChangedObject {
    /// The entity with this id.
    Entity(String),
    /// The observation with this id.
    Observation(String),
    /// The relation with this id.
    Relation(String),
}

impl GraphState {
    /// This graph as the replacement of another one: generations of the other are too old for it.
    #[must_use]
    pub fn following(mut self, previous: &Self) -> Self {
        self.generation = previous.generation + 1;
        self.changes.clear();
        self
    }

    /// Applies one event. Events on missing ids change nothing.
    pub fn apply(&mut self, event: Event) {
        match event {
            Event::EntityUpsert { entity, .. } => self.put_entity(entity),
            Event::ObservationAdd { observation, .. } => self.put_observation(observation),
            Event::RelationAdd { relation, .. } => self.put_relation(relation),
            Event::RelationRemove { from_id, to_id, relation_type, .. } => {
                if let Some(at) = self.relations.seq(&removed_relation_id(&from_id, &relation_type, &to_id)) {
                    self.remove_relation(at);
                }
            }
            Event::EntityDelete { entity_id, .. } => self.remove_entity(&entity_id),
            Event::ObservationDelete { observation_id, .. } => {
                if let Some(at) = self.observations.seq(&observation_id) {
                    self.remove_observation(at);
                }
            }
            Event::SnapshotWritten { .. } => {}
        }
    }

    /// About how many bytes of memory this takes. Visits every row.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        /// The bytes of a row beside its texts: the record, the ids, and the entries in the indexes.
        const ENTITY_ROW_BYTES: usize = 600;
        const OBSERVATION_ROW_BYTES: usize = 440;
        const RELATION_ROW_BYTES: usize = 600;
        let entities = self
            .entities()
            .map(|one| ENTITY_ROW_BYTES + 2 * one.name.len() + one.attrs.as_ref().map_or(0, members_bytes));
        let observations =
            self.observations().map(|one| OBSERVATION_ROW_BYTES + one.text.len() + one.validity().bytes());
        (entities.sum::<usize>()
            + observations.sum::<usize>()
            + self.relations().count() * RELATION_ROW_BYTES) as u64
    }

    /// The entity with this id.
    #[must_use]
    pub fn entity(&self, id: &str) -> Option<&Entity> {
        self.entities.get(id)
    }

    /// The observation with this id.
    #[must_use]
    pub fn observation(&self, id: &str) -> Option<&Observation> {
        self.observations.get(id)
    }

    /// The relation with this id.
    #[must_use]
    pub fn relation(&self, id: &str) -> Option<&Relation> {
        self.relations.get(id)
    }

    /// All entities in storage order.
    pub fn entities(&self) -> impl Iterator<Item = &Entity> {
        self.entities.rows.values()
    }

    /// All observations in storage order.
    pub fn observations(&self) -> impl Iterator<Item = &Observation> {
        self.observations.rows.values()
    }

    /// All relations in storage order.
    pub fn relations(&self) -> impl Iterator<Item = &Relation> {
        self.relations.rows.values()
    }

    /// The entities with this normalised name, in storage order.
    pub fn named<'a>(&'a self, normalised: &str) -> impl Iterator<Item = &'a Entity> + use<'a> {
        self.names.get(normalised).into_iter().flatten().filter_map(|at| self.entities.rows.get(at))
    }

    /// The entities whose normalised name begins with `prefix`, by normalised name.
    pub fn named_from<'a>(&'a self, prefix: &'a str) -> impl Iterator<Item = &'a Entity> {
        self.names
            .range::<str, _>((Bound::Included(prefix), Bound::Unbounded))
            .take_while(move |(name, _)| name.starts_with(prefix))
            .flat_map(|(_, seqs)| seqs)
            .filter_map(|at| self.entities.rows.get(at))
    }

    /// The normalised names in use, sorted.
    pub fn normalised_names(&self) -> impl Iterator<Item = &str> {
        self.names.keys().map(String::as_str)
    }

    /// The observations of an entity, in storage order, even if the entity is missing.
    pub fn observations_of(&self, entity_id: &str) -> impl DoubleEndedIterator<Item = &Observation> {
        self.by_entity.get(entity_id).into_iter().flatten().filter_map(|at| self.observations.rows.get(at))
    }

    /// The newest observations of an entity, at most `most`, newest first; of equally old ones the one stored last
    /// comes first. No more than these are held at a time.
    #[must_use]
    pub fn newest_observations_of(&self, entity_id: &str, most: usize) -> Vec<&Observation> {
        let rows = self.by_entity.get(entity_id).into_iter().flatten();
        let mut newest = BinaryHeap::new();
        for (row, observation) in rows.filter_map(|at| Some((*at, self.observations.rows.get(at)?))) {
            newest.push(Reverse((instant(&observation.timestamp), row)));
            if newest.len() > most {
                newest.pop();
            }
        }
        let newest = newest.into_sorted_vec();
        newest.iter().filter_map(|Reverse((_, row))| self.observations.rows.get(row)).collect()
    }

    /// The observations of an entity with this text and source (or none), in storage order.
    pub fn same_facts(
        &self,
        entity_id: &str,
        text: &str,
        source: Option<&ObservationSource>,
    ) -> impl DoubleEndedIterator<Item = &Observation> {
        let seqs = self.by_fact.get(&self.fact_hash(entity_id, text, source)).into_iter().flatten();
        seqs.filter_map(|at| self.observations.rows.get(at)).filter(move |known| {
            known.entity_id == entity_id && known.text == text && known.source.as_ref() == source
        })
    }

    /// The facts of an entity with bounds or that replace others.
    pub fn bounded_of(&self, entity_id: &str) -> impl Iterator<Item = &Observation> {
        let bounded = self.by_bounds.get(entity_id).into_iter().flatten();
        bounded.filter_map(|at| self.observations.rows.get(at))
    }

    /// The facts of an entity that have ended at this moment. The cost depends on [`Self::bounded_of`].
    #[must_use]
    pub fn endings_of(&self, entity_id: &str, at: i64) -> Endings<'_> {
        Endings::of(self.bounded_of(entity_id), at, |id| self.observation(id))
    }

    /// How many facts of an entity have ended by these ends.
    #[must_use]
    pub fn ended_count_of(&self, entity_id: &str, endings: &Endings<'_>) -> usize {
        endings
            .ids()
            .filter_map(|id| self.observation(id))
            .filter(|fact| fact.entity_id == entity_id && endings.get(fact).is_some())
            .count()
    }

    fn fact_hash(&self, entity_id: &str, text: &str, source: Option<&ObservationSource>) -> u64 {
        let source = source.map(|source| (source.kind, source.reference.as_deref()));
        self.hasher.hash_one((entity_id, text, source))
    }

    /// How many observations an entity has.
    #[must_use]
    pub fn observation_count_of(&self, entity_id: &str) -> usize {
        self.by_entity.get(entity_id).map_or(0, Vec::len)
    }

    /// The relations that start from or lead to an entity, in storage order, even if the entity is missing.
    pub fn relations_of(&self, entity_id: &str) -> impl Iterator<Item = &Relation> {
        self.by_end.get(entity_id).into_iter().flatten().filter_map(|at| self.relations.rows.get(at))
    }

    /// How many relations touch an entity.
    #[must_use]
    pub fn relation_count_of(&self, entity_id: &str) -> usize {
        self.by_end.get(entity_id).map_or(0, Vec::len)
    }

    /// The position of an entity in the storage order.
    pub(super) fn entity_order(&self, id: &str) -> Option<u64> {
        self.entities.seq(id)
    }

    /// The entity at this position of the storage order.
    pub(super) fn entity_at(&self, order: u64) -> Option<&Entity> {
        self.entities.rows.get(&order)
    }

    /// The end of the storage order.
    pub(super) fn orders(&self) -> u64 {
        self.next
    }

    /// The relations that touch an entity, with their positions in the storage order.
    pub(super) fn relations_with_order(&self, entity_id: &str) -> impl Iterator<Item = (u64, &Relation)> {
        let orders = self.by_end.get(entity_id).into_iter().flatten();
        orders.filter_map(|order| Some((*order, self.relations.rows.get(order)?)))
    }

    /// The name of an entity, or its id if it is missing.
    #[must_use]
    pub fn name_or_id<'a>(&'a self, entity_id: &'a str) -> &'a str {
        self.entity(entity_id).map_or(entity_id, |entity| &entity.name)
    }

    /// Counts.
    #[must_use]
    pub fn stats(&self) -> GraphStats {
        GraphStats {
            entity_count: self.entities.rows.len(),
            observation_count: self.observations.rows.len(),
            relation_count: self.relations.rows.len(),
        }
    }

    /// Counts with the types in use. Visits every entity and relation.
    #[must_use]
    pub fn type_stats(&self) -> TypeStats {
        let GraphStats { entity_count, observation_count, relation_count } = self.stats();
        TypeStats {
            entity_count,
            observation_count,
            relation_count,
            entity_types: distinct(self.entities().map(|entity| entity.entity_type.as_str())),
            relation_types: distinct(self.relations().map(|relation| relation.relation_type.as_str())),
        }
    }

    /// Increases with every change. Equal generations of one store mean equal graphs.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// The changes since `generation`, oldest first; an id may occur more than once. `None` if that was more than
    /// [`MAX_RECENT_CHANGES`] changes ago, or in another log: then followers must read the whole graph.
    #[must_use]
    pub fn changes_since(&self, generation: u64) -> Option<impl Iterator<Item = &ChangedObject>> {
        let missed = usize::try_from(self.generation.checked_sub(generation)?).ok()?;
        let skip = self.changes.len().checked_sub(missed)?;
        Some(self.changes.iter().skip(skip))
    }

    fn put_entity(&mut self, entity: Entity) {
        let name = normalise(&entity.name);
        let id = entity.id.clone();
        let at = self.entities.seq(&id);
        if let Some(at) = at {
            let old = self.entities.rows.get(&at).map(|old| normalise(&old.name));
            if let Some(old) = old.filter(|old| *old != name) {
                self.remove_name(&old, at);
            }
        }
        let at = at.unwrap_or_else(|| self.next_position());
        let same_name = self.names.entry(name).or_default();
        if let Err(position) = same_name.binary_search(&at) {
            same_name.insert(position, at);
        }
        self.entities.put(at, &id, entity);
        self.record_change(ChangedObject::Entity(id));
    }

    fn put_observation(&mut self, observation: Observation) {
        let id = observation.id.clone();
        let at = self.observations.seq(&id).unwrap_or_else(|| self.next_position());
        let owner = observation.entity_id.clone();
        let same = self.fact_hash(&owner, &observation.text, observation.source.as_ref());
        let is_bounded = observation.validity.is_some();
        if let Some(old) = self.observations.put(at, &id, observation) {
            index_remove(&mut self.by_entity, &old.entity_id, at);
            index_remove(&mut self.by_bounds, &old.entity_id, at);
            let old = self.fact_hash(&old.entity_id, &old.text, old.source.as_ref());
            index_remove(&mut self.by_fact, &old, at);
        }
        index_add(&mut self.by_entity, &owner, at);
        index_add(&mut self.by_fact, &same, at);
        if is_bounded {
            index_add(&mut self.by_bounds, &owner, at);
        }
        self.record_change(ChangedObject::Observation(id));
    }

    fn put_relation(&mut self, relation: Relation) {
        let id = relation.id.clone();
        let at = self.relations.seq(&id).unwrap_or_else(|| self.next_position());
        let (from, to) = (relation.from_id.clone(), relation.to_id.clone());
        if let Some(old) = self.relations.put(at, &id, relation) {
            index_remove(&mut self.by_end, &old.from_id, at);
            index_remove(&mut self.by_end, &old.to_id, at);
        }
        index_add(&mut self.by_end, &from, at);
        index_add(&mut self.by_end, &to, at);
        self.record_change(ChangedObject::Relation(id));
    }

    fn remove_entity(&mut self, id: &str) {
        for at in self.by_entity.get(id).cloned().unwrap_or_default() {
            self.remove_observation(at);
        }
        for at in self.by_end.get(id).cloned().unwrap_or_default() {
            self.remove_relation(at);
        }
        if let Some((at, entity)) = self.entities.remove_id(id) {
            self.remove_name(&normalise(&entity.name), at);
            self.record_change(ChangedObject::Entity(entity.id));
        }
    }

    fn remove_observation(&mut self, at: u64) {
        if let Some(observation) = self.observations.remove(at) {
            index_remove(&mut self.by_entity, &observation.entity_id, at);
            index_remove(&mut self.by_bounds, &observation.entity_id, at);
            let same = self.fact_hash(&observation.entity_id, &observation.text, observation.source.as_ref());
            index_remove(&mut self.by_fact, &same, at);
            self.record_change(ChangedObject::Observation(observation.id));
        }
    }

    fn remove_relation(&mut self, at: u64) {
        if let Some(relation) = self.relations.remove(at) {
            index_remove(&mut self.by_end, &relation.from_id, at);
            index_remove(&mut self.by_end, &relation.to_id, at);
            self.record_change(ChangedObject::Relation(relation.id));
        }
    }

    fn remove_name(&mut self, normalised: &str, at: u64) {
        if let Some(seqs) = self.names.get_mut(normalised) {
            seqs.retain(|seq| *seq != at);
            if seqs.is_empty() {
                self.names.remove(normalised);
            }
        }
    }

    fn next_position(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    fn record_change(&mut self, touched: ChangedObject) {
        self.generation += 1;
        if self.changes.len() == MAX_RECENT_CHANGES {
            self.changes.pop_front();
        }
        self.changes.push_back(touched);
    }
}

/// Two graphs are equal if they have the same rows in the same order; their history does not matter.
impl PartialEq for GraphState {
    fn eq(&self, other: &Self) -> bool {
        self.entities().eq(other.entities())
            && self.observations().eq(other.observations())
            && self.relations().eq(other.relations())
    }
}

/// Sorts observations newest first; of equally old ones the one stored last comes first.
#[must_use]
pub fn newest_first(mut observations: Vec<&Observation>) -> Vec<&Observation> {
    observations.reverse();
    observations.sort_by_cached_key(|observation| Reverse(instant(&observation.timestamp)));
    observations
}

fn distinct<'a>(labels: impl Iterator<Item = &'a str>) -> Vec<String> {
    let mut seen = std::collections::HashSet::new();
    labels.filter(|label| seen.insert(*label)).map(str::to_owned).collect()
}
