//! Events of the graph as statements that write rows.

use jiff::Timestamp;
use memory_bank_core::error::StoreError;
use memory_bank_core::graph::event::{Event, removed_relation_id};
use memory_bank_core::graph::ids::normalise;
use memory_bank_core::graph::timestamp::instant;
use memory_bank_core::graph::{Entity, Observation, Relation};

use super::rows::{Found, bounds_of, replaced_by, source_of};
use crate::tenant::Value;

const INSERT_ENTITY: &str = "INSERT INTO public.graph_entities \
    (project_id, id, name, name_key, entity_type, attrs, created_at, updated_at) \
    VALUES ($1, $2, $3, $4, $5, $6::text::json, $7, $8)";
const UPDATE_ENTITY: &str = "WITH changed AS (UPDATE public.graph_entities SET name = $3, name_key = $4, entity_type = $5, \
    attrs = $6::text::json, created_at = $7, updated_at = $8 WHERE project_id = $1 AND id = $2 RETURNING 1) \
    SELECT app.must_be((SELECT count(*) FROM changed), 1)";
const INSERT_OBSERVATION: &str = "INSERT INTO public.graph_observations \
    (project_id, id, entity_id, content, source, \"timestamp\", at, bounds, starts_at, ends_at, supersedes) \
    VALUES ($1, $2, $3, $4, $5::text::json, $6, $7, $8::text::json, $9, $10, $11) \
    ON CONFLICT (project_id, id) DO NOTHING";
const INSERT_RELATION: &str = "INSERT INTO public.graph_relations \
    (project_id, id, from_entity_id, to_entity_id, relation_type, created_at) VALUES ($1, $2, $3, $4, $5, $6) \
    ON CONFLICT (project_id, id) DO NOTHING";
const DELETE_ENTITY: &str = "WITH changed AS (DELETE FROM public.graph_entities WHERE project_id = $1 AND id = $2 RETURNING 1) \
    SELECT app.must_be((SELECT count(*) FROM changed), 1)";
const DELETE_OBSERVATION: &str = "WITH changed AS (DELETE FROM public.graph_observations WHERE project_id = $1 AND id = $2 \
    RETURNING 1) SELECT app.must_be((SELECT count(*) FROM changed), 1)";
const DELETE_RELATION: &str = "WITH changed AS (DELETE FROM public.graph_relations WHERE project_id = $1 AND id = $2 \
    RETURNING 1) SELECT app.must_be((SELECT count(*) FROM changed), 1)";

/// An event as a statement with its values.
pub(super) enum Write {
    Entity {
        is_new: bool,
        entity: Box<Entity>,
        key: String,
        attrs: Option<String>,
        created_at: Timestamp,
        updated_at: Timestamp,
    },
    Observation {
        observation: Observation,
        source: Option<String>,
        at: i64,
        bounds: Option<String>,
        starts_at: Option<i64>,
        ends_at: Option<i64>,
        supersedes: Option<Vec<String>>,
    },
    Relation {
        relation: Relation,
        created_at: Timestamp,
    },
    Delete {
        sql: &'static str,
        id: String,
    },
}

impl Write {
    pub(super) fn of(event: &Event, found: &Found) -> Result<Self, StoreError> {
        Ok(match event {
            Event::EntityUpsert { entity, .. } => Self::Entity {
                is_new: found.state.entity(&entity.id).is_none(),
                key: normalise(&entity.name),
                attrs: json(entity.attrs.as_ref())?,
                created_at: time(&entity.created_at)?,
                updated_at: time(&entity.updated_at)?,
                entity: Box::new(entity.clone()),
            },
            Event::ObservationAdd { observation, .. } => Self::Observation {
                source: source_of(observation)?,
                at: milliseconds(&observation.timestamp),
                bounds: bounds_of(observation)?,
                starts_at: observation.validity().starts_at(),
                ends_at: observation.validity().ends_at(),
                supersedes: replaced_by(observation).map(<[String]>::to_vec),
                observation: observation.clone(),
            },
            Event::RelationAdd { relation, .. } => {
                Self::Relation { created_at: time(&relation.created_at)?, relation: relation.clone() }
            }
            Event::RelationRemove { from_id, to_id, relation_type, .. } => {
                Self::Delete { sql: DELETE_RELATION, id: removed_relation_id(from_id, relation_type, to_id) }
            }
            Event::EntityDelete { entity_id, .. } => {
                Self::Delete { sql: DELETE_ENTITY, id: entity_id.clone() }
            }
            Event::ObservationDelete { observation_id, .. } => {
                Self::Delete { sql: DELETE_OBSERVATION, id: observation_id.clone() }
            }
            other => return Err(StoreError::Unavailable(format!("no rows are known for {other:?}"))),
        })
    }

    pub(super) fn sql(&self) -> &'static str {
        match self {
            Self::Entity { is_new: true, .. } => INSERT_ENTITY,
            Self::Entity { .. } => UPDATE_ENTITY,
            Self::Observation { .. } => INSERT_OBSERVATION,
            Self::Relation { .. } => INSERT_RELATION,
            Self::Delete { sql, .. } => sql,
        }
    }

    pub(super) fn values<'a>(&'a self, project: &'a uuid::Uuid) -> Vec<Value<'a>> {
        match self {
            Self::Entity { entity, key, attrs, created_at, updated_at, .. } => {
                vec![
                    project,
                    &entity.id,
                    &entity.name,
                    key,
                    &entity.entity_type,
                    attrs,
                    created_at,
                    updated_at,
                ]
            }
            Self::Observation { observation: o, source, at, bounds, starts_at, ends_at, supersedes } => {
                let fact: [Value<'a>; 7] = [project, &o.id, &o.entity_id, &o.text, source, &o.timestamp, at];
                let limits: [Value<'a>; 4] = [bounds, starts_at, ends_at, supersedes];
                fact.into_iter().chain(limits).collect()
            }
            Self::Relation { relation: r, created_at } => {
                vec![project, &r.id, &r.from_id, &r.to_id, &r.relation_type, created_at]
            }
            Self::Delete { id, .. } => vec![project, id],
        }
    }
}

fn json<T: serde::Serialize>(value: Option<&T>) -> Result<Option<String>, StoreError> {
    value.map(serde_json::to_string).transpose().map_err(|error| StoreError::Unavailable(error.to_string()))
}

fn time(stored: &str) -> Result<Timestamp, StoreError> {
    stored.parse().map_err(|_| StoreError::Damaged {
        what: "a time in the graph".to_owned(),
        detail: format!("`{stored}` is none"),
    })
}

/// The time of an observation, to sort the newest first.
fn milliseconds(stored: &str) -> i64 {
    instant(stored).unwrap_or(i64::MIN)
}
