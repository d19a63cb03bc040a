//! Sources as items of the graph: entities, observations and relations that are compared with the graph and with earlier
//! imports, and written in batches.

use std::collections::HashSet;

use serde_json::{Map, Value};

use crate::document::Etag;
use crate::graph::ids::{entity_id, relation_id, trim};
use crate::graph::{ObservationSource, SourceKind};
use crate::limits;
use crate::store::{
    BatchObservation, EntityDraft, EntityRef, GraphBatch, ObservationDraft, RelationDraft, Subgraph,
};

/// The most items and bytes of a batch. An item may need two entities more.
const BATCH_ITEMS: usize = limits::GRAPH_BATCH_ITEMS - 3;
const BATCH_BYTES: usize = limits::GRAPH_BATCH_BYTES / 2;

/// The attribute of an entity that an import made.
const ORIGIN_ATTRIBUTE: &str = "importedFrom";

/// The name and type of an entity.
pub type EntityName = (String, String);

/// One item. It names entities by name and type, since a name alone may be ambiguous.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GraphItem {
    /// An entity.
    Entity(EntityName),
    /// An observation of an entity.
    Observation {
        /// The entity.
        entity: EntityName,
        /// The text.
        text: String,
    },
    /// A relation.
    Relation {
        /// Its source.
        from: EntityName,
        /// Its type.
        relation_type: String,
        /// Its target.
        to: EntityName,
    },
}

impl GraphItem {
    /// The hash by which a record remembers it, the same for every spelling that the graph treats as one.
    #[must_use]
    pub fn key(&self) -> String {
        let parts = match self {
            Self::Entity(entity) => vec!["e".to_owned(), id(entity)],
            Self::Observation { entity, text } => vec!["o".to_owned(), id(entity), trim(text).to_owned()],
            Self::Relation { from, relation_type, to } => {
                vec!["r".to_owned(), relation_id(&id(from), trim(relation_type), &id(to))]
            }
        };
        Etag::of(&parts.join("\0")).as_str().to_owned()
    }

    /// The entities that it needs.
    fn entities(&self) -> Vec<&EntityName> {
        match self {
            Self::Entity(entity) | Self::Observation { entity, .. } => vec![entity],
            Self::Relation { from, to, .. } => vec![from, to],
        }
    }

    fn bytes(&self) -> usize {
        let names: usize = self.entities().iter().map(|(name, kind)| 2 * (name.len() + kind.len())).sum();
        names
            + match self {
                Self::Entity(_) => 0,
                Self::Observation { text, .. } => text.len(),
                Self::Relation { relation_type, .. } => relation_type.len(),
            }
    }
}

fn id((name, entity_type): &EntityName) -> String {
    entity_id(trim(name), trim(entity_type))
}

/// The items of a graph.
#[derive(Debug, Default)]
pub struct KnownGraph {
    entities: HashSet<String>,
    /// Facts count without their source, since importing one from another source would double it.
    facts: HashSet<(String, String)>,
    relations: HashSet<String>,
}

impl KnownGraph {
    /// The items of an exported graph.
    #[must_use]
    pub fn of(graph: &Subgraph) -> Self {
        Self {
            entities: graph.entities.iter().map(|entity| entity.id.clone()).collect(),
            facts: graph
                .observations
                .iter()
                .map(|fact| (fact.entity_id.clone(), trim(&fact.text).to_owned()))
                .collect(),
            relations: graph.relations.iter().map(|relation| relation.id.clone()).collect(),
        }
    }

    /// Adds an item; whether it is new.
    pub fn add(&mut self, item: &GraphItem) -> bool {
        match item {
            GraphItem::Entity(entity) => self.entities.insert(id(entity)),
            GraphItem::Observation { entity, text } => self.facts.insert((id(entity), trim(text).to_owned())),
            GraphItem::Relation { from, relation_type, to } => {
                self.relations.insert(relation_id(&id(from), trim(relation_type), &id(to)))
            }
        }
    }
}

/// New items with their origins, in batches that the graph accepts. New entities and observations have the origin as
/// their source.
#[must_use]
pub fn batches<'a>(items: impl IntoIterator<Item = (&'a GraphItem, &'a str)>) -> Vec<ItemBatch> {
    let mut batches = Vec::new();
    let mut open = OpenBatch::default();
    for (item, origin) in items {
        if !open.keys.is_empty()
            && (open.items() + 3 > BATCH_ITEMS || open.bytes + item.bytes() > BATCH_BYTES)
        {
            batches.push(std::mem::take(&mut open).finish());
        }
        open.add(item, origin);
    }
    if !open.keys.is_empty() {
        batches.push(open.finish());
    }
    batches
}

/// A batch of items.
#[derive(Debug)]
pub struct ItemBatch {
    /// The batch.
    pub batch: GraphBatch,
    /// The keys of its items.
    pub keys: Vec<String>,
}

/// The hash of items, by which a record sees that they changed.
#[must_use]
pub fn items_hash(items: &[GraphItem]) -> Etag {
    Etag::of(&items.iter().map(GraphItem::key).collect::<Vec<_>>().join("\n"))
}

/// How a store finds an entity.
#[must_use]
pub fn entity_ref(entity: &EntityName) -> EntityRef {
    EntityRef(id(entity))
}

#[derive(Default)]
struct OpenBatch {
    batch: GraphBatch,
    keys: Vec<String>,
    named: HashSet<String>,
    bytes: usize,
}

impl OpenBatch {
    fn finish(self) -> ItemBatch {
        ItemBatch { batch: self.batch, keys: self.keys }
    }

    fn items(&self) -> usize {
        self.batch.entities.len() + self.batch.observations.len() + self.batch.relations.len()
    }

    fn add(&mut self, item: &GraphItem, origin: &str) {
        self.bytes += item.bytes();
        self.keys.push(item.key());
        let is_new = matches!(item, GraphItem::Entity(_));
        for entity in item.entities() {
            if self.named.insert(id(entity)) {
                let (name, entity_type) = entity.clone();
                let attrs = is_new.then(|| {
                    let origin = Value::String(origin.to_owned());
                    Map::from_iter([(ORIGIN_ATTRIBUTE.to_owned(), origin)])
                });
                self.bytes += if is_new { origin.len() + 2 * ORIGIN_ATTRIBUTE.len() } else { 0 };
                self.batch.entities.push(EntityDraft { name, entity_type, attrs });
            }
        }
        match item {
            GraphItem::Entity(_) => {}
            GraphItem::Observation { entity, text } => {
                let source =
                    ObservationSource { kind: SourceKind::Import, reference: Some(origin.to_owned()) };
                let draft = ObservationDraft {
                    text: text.clone(),
                    source: Some(source),
                    ..ObservationDraft::default()
                };
                self.bytes += origin.len();
                self.batch.observations.push(BatchObservation { entity: EntityRef(id(entity)), draft });
            }
            GraphItem::Relation { from, relation_type, to } => self.batch.relations.push(RelationDraft {
                from: EntityRef(id(from)),
                relation_type: relation_type.clone(),
                to: EntityRef(id(to)),
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entity(name: &str) -> EntityName {
        (name.to_owned(), "service".to_owned())
    }

    #[test]
    fn spellings_of_one_item_have_one_key() {
        let fact =
            |name: &str, text: &str| GraphItem::Observation { entity: entity(name), text: text.to_owned() };
        assert_eq!(fact("Auth", "a").key(), fact(" auth ", "a ").key());
        assert_ne!(fact("Auth", "a").key(), fact("Auth", "b").key());
        assert_ne!(fact("Auth", "a").key(), GraphItem::Entity(entity("Auth")).key());
    }

    #[test]
    fn batches_stay_within_the_bounds_of_the_graph() {
        let mut items = Vec::new();
        for n in 0..2000 {
            let name = entity(&format!("entity {n}"));
            items.push(GraphItem::Entity(name.clone()));
            items.push(GraphItem::Observation { entity: name.clone(), text: "x".repeat(n + 1) });
            let to = entity(&format!("entity {}", (n * 7) % 2000));
            items.push(GraphItem::Relation { from: name, relation_type: "uses".to_owned(), to });
        }
        let made = batches(items.iter().map(|item| (item, "memory.json")));
        assert_eq!(made.iter().map(|made| made.keys.len()).sum::<usize>(), items.len());
        for ItemBatch { batch, .. } in made {
            let items = batch.entities.len() + batch.observations.len() + batch.relations.len();
            assert!(items <= limits::GRAPH_BATCH_ITEMS, "{items}");
            assert!(batch.bytes() <= limits::GRAPH_BATCH_BYTES);
            crate::graph::batch::BatchPlan::new(batch).unwrap();
        }
    }

    #[test]
    fn a_fact_from_another_source_is_not_new() {
        let mut known = KnownGraph::default();
        let fact = GraphItem::Observation { entity: entity("Auth"), text: "uses JWT".to_owned() };
        assert!(known.add(&fact));
        assert!(!known.add(&fact));
    }
}
