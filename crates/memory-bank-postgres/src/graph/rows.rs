//! Rows as the entities, observations and relations of the core.

use jiff::Timestamp;
use memory_bank_core::clock::iso_millis;
use memory_bank_core::error::StoreError;
use memory_bank_core::graph::event::Event;
use memory_bank_core::graph::history::GraphItem;
use memory_bank_core::graph::state::GraphState;
use memory_bank_core::graph::{Entity, Observation, ObservationSource, Relation, SourceKind, Validity};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use tokio_postgres::Row;

use crate::column::column;

/// The result of a write's query: the entities that may be meant, as a graph of their own.
#[derive(Debug, Default)]
pub(crate) struct Found {
    pub(crate) state: GraphState,
}

/// The graph that these rows are, in their order.
pub(crate) fn graph_of<'r>(
    entities: &[Row],
    observations: impl IntoIterator<Item = &'r Row>,
    relations: &[Row],
) -> Result<GraphState, StoreError> {
    let mut state = GraphState::default();
    let ts = String::new;
    for row in entities {
        state.apply(Event::EntityUpsert { entity: entity_of(row)?, ts: ts() });
    }
    for row in observations {
        state.apply(Event::ObservationAdd { observation: observation_of(row)?, ts: ts() });
    }
    for row in relations {
        state.apply(Event::RelationAdd { relation: relation_of(row)?, ts: ts() });
    }
    Ok(state)
}

/// A row of `id, name, entity_type, attrs::text, created_at, updated_at`.
pub(crate) fn entity_of(row: &Row) -> Result<Entity, StoreError> {
    Ok(Entity {
        id: column(row, 0)?,
        name: column(row, 1)?,
        entity_type: column(row, 2)?,
        attrs: json(column(row, 3)?, "the attributes of an entity")?,
        created_at: iso_millis(column::<Timestamp>(row, 4)?),
        updated_at: iso_millis(column::<Timestamp>(row, 5)?),
    })
}

/// A row of `id, entity_id, content, source::text, timestamp, bounds::text`.
pub(crate) fn observation_of(row: &Row) -> Result<Observation, StoreError> {
    let origin: Origin = json(column(row, 3)?, "the source of an observation")?.unwrap_or_default();
    Ok(Observation {
        id: column(row, 0)?,
        entity_id: column(row, 1)?,
        text: column(row, 2)?,
        source: origin.kind.map(|kind| ObservationSource { kind, reference: origin.reference }),
        timestamp: column(row, 4)?,
        author: origin.author,
        validity: json::<Validity>(column(row, 5)?, "the bounds of an observation")?
            .and_then(Validity::stored),
    })
}

/// The column `bounds` of an observation, as JSON text.
pub(crate) fn bounds_of(observation: &Observation) -> Result<Option<String>, StoreError> {
    let bounds = observation.validity.as_ref().map(serde_json::to_string).transpose();
    bounds.map_err(|error| StoreError::Unavailable(error.to_string()))
}

/// The column `supersedes` of an observation.
pub(crate) fn replaced_by(observation: &Observation) -> Option<&[String]> {
    let replaced = observation.validity().supersedes.as_slice();
    (!replaced.is_empty()).then_some(replaced)
}

/// The column `source` of an observation: its source and its author. The author does not distinguish two facts.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Origin {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    kind: Option<SourceKind>,
    #[serde(rename = "ref", default, skip_serializing_if = "Option::is_none")]
    reference: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    author: Option<String>,
}

/// The column `source` of an observation, as JSON text.
pub(crate) fn source_of(observation: &Observation) -> Result<Option<String>, StoreError> {
    let source = observation.source.as_ref();
    let origin = Origin {
        kind: source.map(|source| source.kind),
        reference: source.and_then(|source| source.reference.clone()),
        author: observation.author.clone(),
    };
    if origin.kind.is_none() && origin.author.is_none() {
        return Ok(None);
    }
    serde_json::to_string(&origin).map(Some).map_err(|error| StoreError::Unavailable(error.to_string()))
}

/// A row of `id, from_entity_id, to_entity_id, relation_type, created_at`.
pub(crate) fn relation_of(row: &Row) -> Result<Relation, StoreError> {
    Ok(Relation {
        id: column(row, 0)?,
        from_id: column(row, 1)?,
        to_id: column(row, 2)?,
        relation_type: column(row, 3)?,
        created_at: iso_millis(column::<Timestamp>(row, 4)?),
    })
}

fn json<T: DeserializeOwned>(text: Option<&str>, what: &str) -> Result<Option<T>, StoreError> {
    text.map(serde_json::from_str)
        .transpose()
        .map_err(|error| StoreError::Damaged { what: what.to_owned(), detail: error.to_string() })
}

/// A row of the history, as JSON of all columns of its table.
pub(crate) fn item_of(kind: &str, text: Option<&str>) -> Result<Option<GraphItem>, StoreError> {
    let what = "a row in the history of the graph";
    Ok(match kind {
        "entity" => json::<EntityRow>(text, what)?.map(|row| GraphItem::Entity(row.into())),
        "observation" => json::<ObservationRow>(text, what)?.map(|row| GraphItem::Observation(row.into())),
        _ => json::<RelationRow>(text, what)?.map(|row| GraphItem::Relation(row.into())),
    })
}

#[derive(Deserialize)]
struct EntityRow {
    id: String,
    name: String,
    entity_type: String,
    attrs: Option<Map<String, Value>>,
    created_at: Timestamp,
    updated_at: Timestamp,
}

#[derive(Deserialize)]
struct ObservationRow {
    id: String,
    entity_id: String,
    content: String,
    source: Option<Origin>,
    timestamp: String,
    bounds: Option<Validity>,
}

#[derive(Deserialize)]
struct RelationRow {
    id: String,
    from_entity_id: String,
    to_entity_id: String,
    relation_type: String,
    created_at: Timestamp,
}

impl From<EntityRow> for Entity {
    fn from(row: EntityRow) -> Self {
        let EntityRow { id, name, entity_type, attrs, created_at, updated_at } = row;
        let (created_at, updated_at) = (iso_millis(created_at), iso_millis(updated_at));
        Self { id, name, entity_type, attrs, created_at, updated_at }
    }
}

impl From<ObservationRow> for Observation {
    fn from(row: ObservationRow) -> Self {
        let ObservationRow { id, entity_id, content, source, timestamp, bounds } = row;
        let origin = source.unwrap_or_default();
        let source = origin.kind.map(|kind| ObservationSource { kind, reference: origin.reference });
        let validity = bounds.and_then(Validity::stored);
        Self { id, entity_id, text: content, source, timestamp, author: origin.author, validity }
    }
}

impl From<RelationRow> for Relation {
    fn from(row: RelationRow) -> Self {
        let RelationRow { id, from_entity_id, to_entity_id, relation_type, created_at } = row;
        let created_at = iso_millis(created_at);
        Self { id, from_id: from_entity_id, to_id: to_entity_id, relation_type, created_at }
    }
}
