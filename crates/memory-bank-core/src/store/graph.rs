//! The knowledge graph of one project.

use std::collections::{BTreeMap, HashMap};

use async_trait::async_trait;
use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Map, Value};

use crate::caller::Caller;
use crate::error::GraphError;
use crate::graph::similar::SimilarFact;
use crate::graph::{Ending, Endings, Entity, FactView, Observation, ObservationSource, Relation, Validity};

/// How a caller names an entity: an id, an exact name (after normalisation), or `name [type]`. Never a part of a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EntityRef(pub String);

/// An entity to create or update.
#[derive(Debug, Clone, PartialEq)]
pub struct EntityDraft {
    /// The name; trimmed when stored.
    pub name: String,
    /// The type; trimmed when stored.
    pub entity_type: String,
    /// Attributes to merge key by key; `null` deletes a key, `None` leaves all as they are.
    pub attrs: Option<Map<String, Value>>,
}

/// An observation to add.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ObservationDraft {
    /// The fact; trimmed when stored.
    pub text: String,
    /// Where it comes from.
    pub source: Option<ObservationSource>,
    /// RFC 3339 or a plain date; the current time if absent.
    pub timestamp: Option<String>,
    /// From when until when it holds, and what it replaces, by ids or exact texts.
    pub validity: Validity,
}

/// An observation to add in a batch.
#[derive(Debug, Clone, PartialEq)]
pub struct BatchObservation {
    /// Its entity, which the same batch may create.
    pub entity: EntityRef,
    /// The fact.
    pub draft: ObservationDraft,
}

/// A relation to create in a batch. Its ends may be entities that the same batch creates.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RelationDraft {
    /// Its source.
    pub from: EntityRef,
    /// Its type; trimmed when stored.
    pub relation_type: String,
    /// Its target.
    pub to: EntityRef,
}

/// Changes of the graph that are made together or not at all.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct GraphBatch {
    /// Entities to create or update.
    pub entities: Vec<EntityDraft>,
    /// Facts to add.
    pub observations: Vec<BatchObservation>,
    /// Relations to make.
    pub relations: Vec<RelationDraft>,
}

impl GraphBatch {
    /// The bytes of its texts and attributes.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let attrs = |attrs: &Option<Map<String, Value>>| {
            attrs
                .as_ref()
                .map_or(0, |attrs| serde_json::to_string(attrs).map_or(usize::MAX, |text| text.len()))
        };
        let entities = self.entities.iter().map(|one| {
            one.name.len().saturating_add(one.entity_type.len()).saturating_add(attrs(&one.attrs))
        });
        let observations = self.observations.iter().map(|one| {
            let source = one.draft.source.as_ref().and_then(|source| source.reference.as_ref());
            one.entity.0.len()
                + one.draft.text.len()
                + source.map_or(0, String::len)
                + one.draft.validity.bytes()
        });
        let relations = self.relations.iter();
        let relations = relations.map(|one| one.from.0.len() + one.relation_type.len() + one.to.0.len());
        entities.chain(observations).chain(relations).fold(0, usize::saturating_add)
    }
}

/// The effect of a batch on an entity.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EntityChange {
    /// It was created.
    Created,
    /// Its attributes changed.
    Updated,
    /// It existed and did not change.
    Existed,
}

/// The result of a batch, in the order of its items.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct BatchApplied {
    /// The entities as they are now.
    pub entities: Vec<(Entity, EntityChange)>,
    /// The facts.
    pub observations: Vec<ObservationAdded>,
    /// The relations, and whether each existed already.
    pub relations: Vec<(Relation, bool)>,
}

/// A pointer from an entity to a document, to add.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PointerDraft {
    /// The document's stored name.
    pub path: String,
    /// A heading in it.
    pub heading: Option<String>,
    /// A remark.
    pub note: Option<String>,
}

/// The result of adding an observation.
#[derive(Debug, Clone, PartialEq)]
pub struct ObservationAdded {
    /// The observation as it is stored.
    pub observation: Observation,
    /// Whether it existed already.
    pub existed: bool,
    /// The facts that it replaces.
    pub superseded: Vec<Observation>,
    /// The ids of the superseded facts that another fact had replaced before, each with the id of that fact. Both may hold.
    pub already: BTreeMap<String, String>,
    /// Facts that say nearly the same or the contrary, and hold.
    pub similar: Vec<SimilarFact>,
}

/// The result of adding a pointer.
#[derive(Debug, Clone, PartialEq)]
pub struct PointerAdded {
    /// The entity, with its attributes as they are now.
    pub entity: Entity,
    /// The observation of the pointer.
    pub observation: Observation,
    /// Whether that observation existed already.
    pub existed: bool,
}

/// The result of removing a relation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RelationRemoved {
    /// Id of the source.
    pub from_id: String,
    /// Id of the target.
    pub to_id: String,
    /// Whether the relation existed.
    pub removed: bool,
}

/// The result of deleting an entity.
#[derive(Debug, Clone, PartialEq)]
pub struct EntityDeleted {
    /// The entity.
    pub entity: Entity,
    /// How many observations it had.
    pub observations: usize,
    /// How many relations it had.
    pub relations: usize,
}

/// A part of the graph, or all of it.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct Subgraph {
    /// In storage order.
    pub entities: Vec<Entity>,
    /// Newest first for each entity; in an export, in storage order.
    pub observations: Vec<Observation>,
    /// In storage order.
    pub relations: Vec<Relation>,
    /// The names of the entities at the ends of the relations, even if the entities are omitted. Empty in an export.
    #[serde(skip)]
    pub names: HashMap<String, String>,
    /// How many entities a store omitted to stay within the requested size.
    #[serde(skip)]
    pub entities_left: usize,
    /// How many observations.
    #[serde(skip)]
    pub observations_left: usize,
    /// How many relations.
    #[serde(skip)]
    pub relations_left: usize,
    /// The ends of observations that are shown although they have ended, by id. Empty in an export.
    #[serde(skip)]
    pub endings: HashMap<String, Ending>,
    /// How many ended observations of these entities are not shown.
    #[serde(skip)]
    pub ended_left: usize,
}

impl Subgraph {
    /// The part without the observations that have ended at this time.
    #[must_use]
    pub fn without_ended(mut self, now: Timestamp) -> Self {
        let by_id: HashMap<&str, &Observation> =
            self.observations.iter().map(|fact| (fact.id.as_str(), fact)).collect();
        let endings = Endings::of(&self.observations, now.as_millisecond(), |id| by_id.get(id).copied());
        let holds: Vec<bool> = self.observations.iter().map(|fact| endings.get(fact).is_none()).collect();
        let mut holds = holds.into_iter();
        self.observations.retain(|_| holds.next().unwrap_or(true));
        self
    }
}

/// Counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct GraphStats {
    /// Number of entities.
    pub entity_count: usize,
    /// Number of observations.
    pub observation_count: usize,
    /// Number of relations.
    pub relation_count: usize,
}

/// The graph's part of the digest.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct GraphSummary {
    /// Counts.
    pub stats: GraphStats,
    /// Entity types, most frequent first, at most five, with their counts.
    pub types: Vec<(String, usize)>,
    /// Name, type and number of observations of the entities with the most relations and observations, at most five;
    /// of equal ones, the most recently changed.
    pub busiest: Vec<(String, String, usize)>,
    /// Name, type and number of observations of the entities that were most recently changed, observed or linked.
    pub recent: Vec<(String, String, usize)>,
}

/// The result of a compaction, in log lines that are not blank; a store without a log counts its rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Compacted {
    /// Before.
    pub before: usize,
    /// After.
    pub after: usize,
}

/// The graph of one project. The cost of an append does not depend on the size of the graph.
#[async_trait]
pub trait GraphStore: Send + Sync {
    /// Creates or updates an entity; its identity is the normalised name with the type.
    async fn upsert_entity(&self, caller: &Caller, draft: EntityDraft) -> Result<Entity, GraphError>;

    /// Adds an observation. Without a timestamp, a text that the entity has from the same source and that holds is not added
    /// again; with one, the same entity, text and timestamp is stored once. Concurrent calls with the same observation add
    /// it once. A text that exists with other bounds is added with the new ones and replaces the existing one.
    async fn add_observation(
        &self,
        caller: &Caller,
        entity: &EntityRef,
        draft: ObservationDraft,
    ) -> Result<ObservationAdded, GraphError>;

    /// Links two entities; an existing relation is returned unchanged.
    async fn link(
        &self,
        caller: &Caller,
        from: &EntityRef,
        relation_type: &str,
        to: &EntityRef,
    ) -> Result<Relation, GraphError>;

    /// Applies a batch, all or nothing. Existing observations and relations do not change, and neither does an entity
    /// whose attributes would not change; a repeated batch changes nothing.
    async fn apply_batch(&self, caller: &Caller, batch: GraphBatch) -> Result<BatchApplied, GraphError>;

    /// Removes a relation, if it exists.
    async fn unlink(
        &self,
        caller: &Caller,
        from: &EntityRef,
        relation_type: &str,
        to: &EntityRef,
    ) -> Result<RelationRemoved, GraphError>;

    /// Deletes an entity with its observations and relations, and returns their number.
    async fn delete_entity(&self, caller: &Caller, entity: &EntityRef) -> Result<EntityDeleted, GraphError>;

    /// Deletes one observation and returns it; with `owner` given, only if it belongs to that entity.
    async fn delete_observation(
        &self,
        caller: &Caller,
        id: &str,
        owner: Option<&EntityRef>,
    ) -> Result<Observation, GraphError>;

    /// Adds a document pointer: attributes and the observation that records it, both or none.
    async fn add_pointer(
        &self,
        caller: &Caller,
        entity: &EntityRef,
        pointer: PointerDraft,
    ) -> Result<PointerAdded, GraphError>;

    /// The given entities with `depth` rounds of neighbours over relations in both directions (0 = none), with their
    /// observations and the relations among them. Unknown names and ids are an error that lists all of them. Entities
    /// and relations take at most half of `bytes` each, observations at most `bytes`, the nearest and newest first;
    /// omitted ones are counted. `view` selects the facts.
    async fn open(
        &self,
        caller: &Caller,
        nodes: &[EntityRef],
        depth: u32,
        bytes: usize,
        view: FactView,
    ) -> Result<Subgraph, GraphError>;

    /// The whole graph in storage order, with observations and relations whose entities are not there.
    async fn export(&self, caller: &Caller) -> Result<Subgraph, GraphError>;

    /// Counts.
    async fn stats(&self, caller: &Caller) -> Result<GraphStats, GraphError>;

    /// For an empty graph: how to import a graph that another program stored beside it, if there is one.
    async fn importable(&self, _caller: &Caller) -> Option<String> {
        None
    }

    /// The digest's part; `None` if the graph was never used. Observations that have ended at the moment `holding_at`, in milliseconds
    /// since 1970, are not counted; without one all are.
    async fn summary(
        &self,
        caller: &Caller,
        holding_at: Option<i64>,
    ) -> Result<Option<GraphSummary>, GraphError>;

    /// Entity names for completion: those that begin with `prefix` (ignoring case), sorted, at most `limit`.
    async fn names(&self, caller: &Caller, prefix: &str, limit: usize) -> Result<Vec<String>, GraphError>;

    /// Rebuilds derived data.
    async fn rebuild(&self, caller: &Caller) -> Result<GraphStats, GraphError>;

    /// Drops the history; keeps the state and every unknown line.
    async fn compact(&self, caller: &Caller) -> Result<Compacted, GraphError>;
}
