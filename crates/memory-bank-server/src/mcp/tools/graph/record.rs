//! Records entities, observations and relations, one by one or in a batch.

use std::collections::BTreeMap;

use memory_bank_core::caller::Right;
use memory_bank_core::error::GraphError;
use memory_bank_core::graph::{Observation, ObservationSource, SourceKind, Validity};
use memory_bank_core::store::{
    BatchObservation, EntityChange, EntityDraft, EntityRef, GraphBatch, ObservationAdded, ObservationDraft,
    RelationDraft,
};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::mcp::tools::blind::WithoutRead;
use crate::mcp::tools::common_arguments::{EXPIRES_AT, STORE_ID, SUPERSEDES, VALID_FROM, VALID_UNTIL};
use crate::mcp::tools::extra_members::{did_you_mean, put};
use crate::mcp::tools::reply::{Failure, Reply};
use crate::mcp::tools::schema::{Argument, Kind, optional, required};
use crate::mcp::tools::tool::{ADDS, Call, Family, GRAPH, SETS, ToolSpec, boxed};

pub(crate) const GRAPH_UPSERT_ENTITY: ToolSpec = ToolSpec {
    name: "graph_upsert_entity",
    title: "Create or update entity",
    description: "Create or update a thing in the graph; attrs merge, null deletes a key.",
    family: Family::Graph,
    right: Right::Write,
    without_read: WithoutRead::Members(&["entity/id"]),
    hints: SETS,
    bank: GRAPH,
    arguments: &[
        required("name", Kind::Text, ""),
        required("entityType", Kind::Text, ""),
        optional("attrs", Kind::Free).about("JSON object"),
        STORE_ID,
    ],
    handler: boxed!(graph_upsert_entity),
};

/// Creates or updates an entity.
async fn graph_upsert_entity(mut call: Call) -> Result<Reply, Failure> {
    let Upsert { name, entity_type, attrs } = call.parse()?;
    let entity = call
        .bank()?
        .upsert_entity(&call.caller, EntityDraft { name, entity_type, attrs })
        .await
        .map_err(|error| Failure::from(error).while_doing("Failed to upsert entity"))?;
    Reply::json(&json!({"success": true, "entity": entity}))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Upsert {
    name: String,
    entity_type: String,
    attrs: Option<Map<String, Value>>,
}

pub(crate) const GRAPH_ADD_OBSERVATION: ToolSpec = ToolSpec {
    name: "graph_add_observation",
    title: "Add observation",
    description: "Attach a lasting fact to a node; supersedes: id or text of a fact that it replaces.",
    family: Family::Graph,
    right: Right::Write,
    without_read: WithoutRead::Members(&[]),
    hints: ADDS,
    bank: GRAPH,
    arguments: &[
        required("entity", Kind::Text, "").about("id, name or `name [type]`"),
        required("text", Kind::Text, ""),
        optional("source", Kind::TextOrFree),
        optional("timestamp", Kind::Text).unlisted(),
        VALID_FROM,
        VALID_UNTIL,
        EXPIRES_AT,
        SUPERSEDES,
        STORE_ID,
    ],
    handler: boxed!(graph_add_observation),
};

/// Attaches a fact to an entity.
async fn graph_add_observation(mut call: Call) -> Result<Reply, Failure> {
    let AddObservation { entity, text, source, timestamp, validity } = call.parse()?;
    let source = source.map(parse_source).transpose()?.flatten();
    if !validity.supersedes.is_empty() {
        call.must_read(REPLACING)?;
    }
    let draft = ObservationDraft { text, source, timestamp, validity };
    let ObservationAdded { observation, existed, superseded, already, similar } =
        call.bank()?.add_observation(&call.caller, &EntityRef(entity), draft).await.map_err(|error| {
            match error {
                GraphError::EntityNotFound { name: missing, suggestions } => {
                    let text =
                        format!("Entity not found: \"{missing}\". Create it first with graph_upsert_entity.");
                    Failure::Hinted { text, hint: did_you_mean(&suggestions) }
                }
                other => Failure::from(other).while_doing("Failed to add observation"),
            }
        })?;
    let mut data = json!({"success": true, "observation": observation});
    if existed {
        put(&mut data, "existed", json!(true));
    }
    // A key that may only write learns nothing of other facts.
    if call.caller.may(Right::Read) {
        if !superseded.is_empty() {
            let facts = superseded.iter().map(|fact| replaced(fact, &already));
            put(&mut data, "superseded", json!(facts.collect::<Vec<_>>()));
        }
        if !similar.is_empty() {
            put(&mut data, "similar", json!(similar));
            put(&mut data, "hint", json!(SIMILAR_HINT));
        }
        if !already.is_empty() {
            put(&mut data, "note", json!(ALREADY_NOTE));
        }
    }
    Reply::json(&data)
}

/// Naming a fact asks whether it exists.
const REPLACING: &str = "replace a fact, since that asks what the graph holds";

/// What to do about similar facts.
const SIMILAR_HINT: &str = "if the new fact replaces one of `similar`, write it again with that id in `supersedes`; otherwise nothing is to be done";

/// What to do about a fact that another one had replaced before.
const ALREADY_NOTE: &str = "`alreadyBy` had replaced the fact before, and both new facts hold; if that one does not, write this one again with that id in `supersedes`";

/// A fact that was replaced, with the fact that had replaced it before.
fn replaced(fact: &Observation, already: &BTreeMap<String, String>) -> Value {
    let mut data = json!({"id": fact.id, "text": fact.text});
    if let Some(by) = already.get(&fact.id) {
        put(&mut data, "alreadyBy", json!(by));
    }
    data
}

#[derive(Deserialize)]
struct AddObservation {
    entity: String,
    text: String,
    source: Option<Value>,
    timestamp: Option<String>,
    #[serde(flatten)]
    validity: Validity,
}

/// The four words name the kind, another text is a reference, an object is used as stored; "" means none.
fn parse_source(source: Value) -> Result<Option<ObservationSource>, Failure> {
    match source {
        Value::String(text) if text.trim().is_empty() => Ok(None),
        Value::String(text) => Ok(Some(match serde_json::from_value::<SourceKind>(json!(text.trim())) {
            Ok(kind) => ObservationSource { kind, reference: None },
            Err(_) => ObservationSource { kind: SourceKind::Manual, reference: written(&text) },
        })),
        object => serde_json::from_value(object).map(|source| Some(tidied(source))).map_err(|_| {
            Failure::Malformed(
                "`source` must be a string, or an object with `kind` (manual, tool, import, agent) and optional `ref`; for \
                 example {\"source\":\"the review\"}"
                    .into(),
            )
        }),
    }
}

/// Trim a reference and ignore an empty one, or else a repeated fact would count as a new one.
fn tidied(source: ObservationSource) -> ObservationSource {
    let ObservationSource { kind, reference } = source;
    ObservationSource { kind, reference: reference.as_deref().and_then(written) }
}

fn written(text: &str) -> Option<String> {
    let text = text.trim();
    (!text.is_empty()).then(|| text.to_owned())
}

pub(crate) const GRAPH_BATCH: ToolSpec = ToolSpec {
    name: "graph_batch",
    title: "Record in the graph",
    description: "Record entities, facts and relations in one call, all or none.",
    family: Family::Graph,
    right: Right::Write,
    without_read: WithoutRead::Members(&["entityIds"]),
    hints: SETS,
    bank: GRAPH,
    arguments: &[
        optional("entities", Kind::Objects(BATCH_ENTITY)),
        optional("observations", Kind::Objects(BATCH_OBSERVATION)),
        optional("relations", Kind::Objects(BATCH_RELATION)),
        STORE_ID,
    ],
    handler: boxed!(graph_batch),
};

/// Carries out many changes as one.
async fn graph_batch(mut call: Call) -> Result<Reply, Failure> {
    let Batch { entities, observations, relations } = call.parse()?;
    if observations.iter().any(|one| !one.validity.supersedes.is_empty()) {
        call.must_read(REPLACING)?;
    }
    let entities = entities.into_iter().map(|Upsert { name, entity_type, attrs }| EntityDraft {
        name,
        entity_type,
        attrs,
    });
    let observations = observations.into_iter().enumerate().map(|(index, one)| {
        let AddObservation { entity, text, source, timestamp, validity } = one;
        let source = source.map(parse_source).transpose().map_err(|failure| match failure {
            Failure::Malformed(text) => Failure::Malformed(format!("`observations[{index}]`: {text}")),
            other => other,
        })?;
        let draft = ObservationDraft { text, source: source.flatten(), timestamp, validity };
        Ok(BatchObservation { entity: EntityRef(entity), draft })
    });
    let relations = relations.into_iter().map(|NewRelation { from, relation_type, to }| RelationDraft {
        from: EntityRef(from),
        relation_type,
        to: EntityRef(to),
    });
    let batch = GraphBatch {
        entities: entities.collect(),
        observations: observations.collect::<Result<_, Failure>>()?,
        relations: relations.collect(),
    };
    let applied = call.bank()?.apply_batch(&call.caller, batch).await.map_err(Failure::from)?;
    let ids: Vec<&str> = applied.entities.iter().map(|(entity, _)| entity.id.as_str()).collect();
    let with = |change: EntityChange| applied.entities.iter().filter(|(_, done)| *done == change).count();
    let facts = |existed: bool| applied.observations.iter().filter(|one| one.existed == existed).count();
    let links = |existed: bool| applied.relations.iter().filter(|(_, known)| *known == existed).count();
    let mut data = json!({
        "success": true,
        "created": {
            "entities": with(EntityChange::Created),
            "observations": facts(false),
            "relations": links(false),
        },
        "updated": {"entities": with(EntityChange::Updated)},
        "existed": {
            "entities": with(EntityChange::Existed),
            "observations": facts(true),
            "relations": links(true),
        },
        "entityIds": ids,
    });
    if call.caller.may(Right::Read) {
        note_other_facts(&mut data, &applied.observations);
    }
    Reply::json(&data)
}

/// Adds the facts that a batch replaced, and those that are similar to its own, each with its place in the batch.
fn note_other_facts(data: &mut Value, added: &[ObservationAdded]) {
    /// The most facts that a reply lists.
    const MOST: usize = 20;
    let superseded: Vec<Value> = added
        .iter()
        .flat_map(|one| one.superseded.iter().map(|fact| replaced(fact, &one.already)))
        .take(MOST)
        .collect();
    let similar: Vec<Value> = (0..)
        .zip(added)
        .flat_map(|(index, one)| one.similar.iter().map(move |fact| (index, fact)))
        .map(|(index, fact): (usize, _)| {
            json!({"at": format!("observations[{index}]"), "id": fact.id, "text": fact.text, "newFact": fact.similarity})
        })
        .take(MOST)
        .collect();
    if !superseded.is_empty() {
        put(data, "superseded", json!(superseded));
    }
    if added.iter().any(|one| !one.already.is_empty()) {
        put(data, "note", json!(ALREADY_NOTE));
    }
    if !similar.is_empty() {
        put(data, "similar", json!(similar));
        put(data, "hint", json!(SIMILAR_HINT));
    }
}

/// Members of an item of `entities`.
pub(crate) const BATCH_ENTITY: &[Argument] = &[
    required("name", Kind::Text, ""),
    required("entityType", Kind::Text, ""),
    optional("attrs", Kind::Free),
];

/// Members of an item of `observations`.
pub(crate) const BATCH_OBSERVATION: &[Argument] = &[
    required("entity", Kind::Text, ""),
    required("text", Kind::Text, ""),
    optional("source", Kind::TextOrFree),
    optional("timestamp", Kind::Text).unlisted(),
    VALID_FROM,
    VALID_UNTIL,
    EXPIRES_AT,
    SUPERSEDES,
];

/// Members of an item of `relations`.
pub(crate) const BATCH_RELATION: &[Argument] = &[
    required("from", Kind::Text, ""),
    required("relationType", Kind::Text, ""),
    required("to", Kind::Text, ""),
];

#[derive(Deserialize)]
struct Batch {
    #[serde(default)]
    entities: Vec<Upsert>,
    #[serde(default)]
    observations: Vec<AddObservation>,
    #[serde(default)]
    relations: Vec<NewRelation>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct NewRelation {
    from: String,
    relation_type: String,
    to: String,
}
