//! Tools on the knowledge graph, except search.

use std::collections::HashSet;

use memory_bank_core::caller::Right;
use memory_bank_core::document::DocumentPath;
use memory_bank_core::document::section::Outline;
use memory_bank_core::error::GraphError;
use memory_bank_core::graph::{Entity, ObservationSource, SourceKind};
use memory_bank_core::store::{
    BatchObservation, EntityChange, EntityDraft, EntityRef, GraphBatch, ObservationAdded, ObservationDraft,
    PointerDraft, ReadOutcome, RelationDraft,
};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::Call;
use super::cursor::Listing;
use super::progress::edit;
use super::reply::{Failure, Reply};
use super::room::Room;
use super::schema::{Argument, Kind, optional, required};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Upsert {
    name: String,
    entity_type: String,
    attrs: Option<Map<String, Value>>,
}

/// Creates or updates an entity.
pub(crate) async fn graph_upsert_entity(mut call: Call) -> Result<Reply, Failure> {
    let Upsert { name, entity_type, attrs } = call.parse()?;
    let entity = call
        .bank()?
        .upsert_entity(&call.caller, EntityDraft { name, entity_type, attrs })
        .await
        .map_err(|error| Failure::from(error).while_doing("Failed to upsert entity"))?;
    Reply::json(&json!({"success": true, "entity": entity}))
}

#[derive(Deserialize)]
struct AddObservation {
    entity: String,
    text: String,
    source: Option<Value>,
    timestamp: Option<String>,
}

/// Attaches a fact to an entity.
pub(crate) async fn graph_add_observation(mut call: Call) -> Result<Reply, Failure> {
    let AddObservation { entity, text, source, timestamp } = call.parse()?;
    let draft = ObservationDraft { text, source: source.map(parse_source).transpose()?.flatten(), timestamp };
    let ObservationAdded { observation, existed } =
        call.bank()?.add_observation(&call.caller, &EntityRef(entity), draft).await.map_err(|error| {
            match error {
                GraphError::EntityNotFound { name: asked, suggestions } => {
                    let text =
                        format!("Entity not found: \"{asked}\". Create it first with graph_upsert_entity.");
                    Failure::Hinted { text, hint: did_you_mean(&suggestions) }
                }
                other => Failure::from(other).while_doing("Failed to add observation"),
            }
        })?;
    let mut data = json!({"success": true, "observation": observation});
    if existed && let Some(object) = data.as_object_mut() {
        object.insert("existed".into(), json!(true));
    }
    Reply::json(&data)
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

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Link {
    from: String,
    relation_type: String,
    to: String,
    #[serde(default)]
    action: LinkAction,
}

#[derive(Deserialize, Default, Clone, Copy, PartialEq)]
#[serde(rename_all = "lowercase")]
enum LinkAction {
    #[default]
    Link,
    Unlink,
}

/// Creates or removes a relation.
pub(crate) async fn graph_link_entities(mut call: Call) -> Result<Reply, Failure> {
    let Link { from, relation_type, to, action } = call.parse()?;
    let bank = call.bank()?;
    let (source, target) = (EntityRef(from.clone()), EntityRef(to.clone()));
    let failed = |error: GraphError| match error {
        GraphError::EntityNotFound { name: asked, suggestions } => {
            let end = if asked == from { "Source" } else { "Target" };
            let text = format!("{end} entity not found: \"{asked}\"");
            Failure::Hinted { text, hint: did_you_mean(&suggestions) }
        }
        other => Failure::from(other).while_doing(match action {
            LinkAction::Link => "Failed to link entities",
            LinkAction::Unlink => "Failed to unlink entities",
        }),
    };
    match action {
        LinkAction::Link => {
            let relation = bank.link(&call.caller, &source, &relation_type, &target).await.map_err(failed)?;
            Reply::json(&json!({"success": true, "relation": relation}))
        }
        LinkAction::Unlink => {
            let unlinked =
                bank.unlink(&call.caller, &source, &relation_type, &target).await.map_err(failed)?;
            Reply::json(&json!({
                "success": true,
                "action": "unlink",
                "from": unlinked.from_id,
                "to": unlinked.to_id,
                "relationType": relation_type,
                "removed": unlinked.removed,
            }))
        }
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
    optional("timestamp", Kind::Text),
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

/// Carries out many changes as one.
pub(crate) async fn graph_batch(mut call: Call) -> Result<Reply, Failure> {
    let Batch { entities, observations, relations } = call.parse()?;
    let entities = entities.into_iter().map(|Upsert { name, entity_type, attrs }| EntityDraft {
        name,
        entity_type,
        attrs,
    });
    let observations = observations.into_iter().enumerate().map(|(index, one)| {
        let AddObservation { entity, text, source, timestamp } = one;
        let source = source.map(parse_source).transpose().map_err(|failure| match failure {
            Failure::Malformed(text) => Failure::Malformed(format!("`observations[{index}]`: {text}")),
            other => other,
        })?;
        let draft = ObservationDraft { text, source: source.flatten(), timestamp };
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
    Reply::json(&json!({
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
    }))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct OpenNodes {
    nodes: Vec<String>,
    #[serde(default = "one")]
    depth: u32,
    cursor: Option<String>,
    max_chars: Option<usize>,
}

/// The numbers of entities, observations and relations on previous pages.
type Passed = (usize, usize, usize);

fn one() -> u32 {
    1
}

/// Returns entities with their observations and neighbours.
pub(crate) async fn graph_open_nodes(mut call: Call) -> Result<Reply, Failure> {
    let OpenNodes { nodes, depth, cursor, max_chars } = call.parse()?;
    let bank = call.bank()?;
    let listing =
        Listing::new("graph_open_nodes", &bank.location(), &json!({"nodes": nodes, "depth": depth}));
    let passed: Passed = listing.place(cursor.as_deref())?;
    let nodes: Vec<EntityRef> = nodes.into_iter().map(EntityRef).collect();
    // The same amount is loaded for every page, so that all pages belong to one list.
    let bytes = call.services.replies.bytes;
    // The loaded graph, and the reply made of it.
    call.services.replies.need(bytes.saturating_mul(2)).await?;
    let mut part = match bank.open(&call.caller, &nodes, depth, bytes).await {
        Ok(part) => part,
        Err(error) => {
            let failure = Failure::from(error);
            return Err(match (failure, bank.importable(&call.caller).await) {
                (Failure::Own(text), Some(importable)) => {
                    Failure::Hinted { text, hint: format!(". {importable}") }
                }
                (failure, _) => failure,
            });
        }
    };
    let name_of = |id: &str| part.names.get(id).cloned().unwrap_or_else(|| id.to_owned());
    let relations = part.relations.iter().map(|relation| {
        json!({
            "id": relation.id,
            "fromId": relation.from_id,
            "toId": relation.to_id,
            "from": name_of(&relation.from_id),
            "to": name_of(&relation.to_id),
            "relationType": relation.relation_type,
            "createdAt": relation.created_at,
        })
    });
    let frame = json!({"entities": [], "observations": [], "relations": []});
    let mut room = Room::of(&call.services.replies, max_chars, &frame);
    let before = passed.0 + passed.1 + passed.2;
    let mut whole = room;
    let is_cut = before + part.entities_left + part.observations_left > 0
        || whole.cut(&part.entities, 2)?.1 + whole.cut(&part.observations, 1)?.1 > 0;
    if is_cut {
        // Requested entities come before their neighbours.
        let is_asked = |entity: &Entity| {
            nodes.iter().any(|node| {
                node.0.trim() == entity.id
                    || node.0.trim().to_lowercase() == entity.name.trim().to_lowercase()
            })
        };
        let asked: HashSet<String> =
            part.entities.iter().filter(|entity| is_asked(entity)).map(|entity| entity.id.clone()).collect();
        part.entities.sort_by_key(|entity| !asked.contains(&entity.id));
        part.observations.sort_by_key(|observation| !asked.contains(&observation.entity_id));
    }
    let (entities, entities_left) = room.cut(part.entities.iter().skip(passed.0), 2)?;
    let (relations, relations_left) = room.cut(relations.skip(passed.2), 2)?;
    let (observations, observations_left) = room.cut(part.observations.iter().skip(passed.1), 1)?;
    let after = (passed.0 + entities.len(), passed.1 + observations.len(), passed.2 + relations.len());
    let mut data = json!({"entities": entities, "observations": observations, "relations": relations});
    let more = entities_left + observations_left + relations_left > 0 && after != passed;
    if more && let Some(object) = data.as_object_mut() {
        object.insert("nextCursor".into(), json!(listing.cursor(after)?));
    }
    note_left(
        &mut data,
        &[
            ("entities", entities_left + part.entities_left),
            ("observations", observations_left + part.observations_left),
            ("relations", relations_left + part.relations_left),
        ],
        if more {
            "open them on with `nextCursor` as `cursor`, or open fewer nodes; graph_search finds the others by their words"
        } else {
            "open fewer nodes; graph_search finds the others by their words"
        },
    );
    Reply::json(&data)
}

/// Adds how much of each list did not fit into a reply, and how to get it.
pub(super) fn note_left(data: &mut Value, left: &[(&str, usize)], next: &str) {
    let left: Map<String, Value> = left
        .iter()
        .filter(|(_, count)| *count > 0)
        .map(|(name, count)| ((*name).to_owned(), json!(count)))
        .collect();
    let Some(object) = data.as_object_mut().filter(|_| !left.is_empty()) else { return };
    object.insert("truncated".into(), json!(true));
    object.insert("remaining".into(), Value::Object(left));
    object.insert("next".into(), json!(next));
}

fn did_you_mean(suggestions: &[String]) -> String {
    if suggestions.is_empty() { String::new() } else { format!(" Did you mean: {}?", suggestions.join(", ")) }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Delete {
    entity: Option<String>,
    observation_id: Option<String>,
}

/// Deletes an entity with its facts, or one fact.
pub(crate) async fn graph_delete_entity(mut call: Call) -> Result<Reply, Failure> {
    let Delete { entity, observation_id } = call.parse()?;
    let entity = entity.filter(|entity| !entity.is_empty());
    // An empty id may be a lost id of an observation; do not delete the whole entity then.
    if entity.is_some() && observation_id.as_deref().is_some_and(|id| id.trim().is_empty()) {
        return Err(Failure::message(
            "`observationId` is empty; give the id of the fact to delete, or leave it out to delete the whole node; \
             nothing was deleted",
        ));
    }
    let bank = call.bank()?;
    match (entity, observation_id.filter(|id| !id.is_empty())) {
        (entity, Some(id)) => {
            let owner = entity.map(EntityRef);
            let observation = bank
                .delete_observation(&call.caller, &id, owner.as_ref())
                .await
                .map_err(|error| Failure::from(error).while_doing("Failed to delete observation"))?;
            Reply::json(&json!({
                "success": true,
                "message": format!("Observation \"{id}\" deleted."),
                "deleted": {"id": observation.id, "entityId": observation.entity_id},
                "removed": {"items": [observation.text]},
            }))
        }
        (Some(asked), None) => {
            let deleted = bank
                .delete_entity(&call.caller, &EntityRef(asked.clone()))
                .await
                .map_err(|error| Failure::from(error).while_doing("Failed to delete entity"))?;
            let gone = &deleted.entity;
            Reply::json(&json!({
                "success": true,
                "message": format!("Entity \"{asked}\" deleted."),
                "deleted": {
                    "id": gone.id,
                    "name": gone.name,
                    "entityType": gone.entity_type,
                    "observationCount": deleted.observations,
                    "relationCount": deleted.relations,
                },
            }))
        }
        (None, None) => Err(Failure::Malformed(
            "`entity` or `observationId` is required, for example {\"entity\":\"Order Service\"}".into(),
        )),
    }
}

#[derive(Deserialize)]
struct Maintain {
    operation: Operation,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Operation {
    Rebuild,
    Compact,
    Stats,
}

/// Rebuilds, compacts or counts.
pub(crate) async fn graph_maintain(mut call: Call) -> Result<Reply, Failure> {
    let Maintain { operation } = call.parse()?;
    let bank = call.bank()?;
    match operation {
        Operation::Rebuild => {
            let stats = bank
                .rebuild(&call.caller)
                .await
                .map_err(|error| Failure::from(error).while_doing("Failed to rebuild snapshot"))?;
            Reply::json(&json!({
                "success": true,
                "operation": "rebuild",
                "message": "Graph snapshot rebuilt successfully",
                "stats": stats,
            }))
        }
        Operation::Compact => {
            let compacted = bank
                .compact(&call.caller)
                .await
                .map_err(|error| Failure::from(error).while_doing("Compaction failed"))?;
            Reply::json(&json!({
                "success": true,
                "operation": "compact",
                "message": "Graph event log compacted.",
                "before": compacted.before,
                "after": compacted.after,
            }))
        }
        Operation::Stats => {
            call.must_read("count what the graph holds")?;
            let stats = bank
                .stats(&call.caller)
                .await
                .map_err(|error| Failure::from(error).while_doing("Failed to get snapshot"))?;
            Reply::json(&json!({"success": true, "operation": "stats", "stats": stats}))
        }
    }
}

/// Whether a heading contains the words, ignoring case: the rule by which excerpts are found later.
fn has_heading(text: &str, words: &str) -> bool {
    let words = words.to_lowercase();
    Outline::of(text).headings().iter().any(|heading| heading.title.to_lowercase().contains(&words))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct AddPointer {
    entity_name_or_id: String,
    doc_path: String,
    heading: Option<String>,
    note: Option<String>,
}

/// Ties an entity to a document.
pub(crate) async fn graph_add_doc_pointer(mut call: Call) -> Result<Reply, Failure> {
    let AddPointer { entity_name_or_id, doc_path, heading, note } = call.parse()?;
    let bank = call.bank()?;
    let invalid = |reason: String| Failure::own(format!("Invalid docPath \"{doc_path}\": {reason}"));
    let path = DocumentPath::parse(&doc_path).map_err(|error| invalid(error.to_string()))?;
    let heading = heading.map(|heading| heading.trim().trim_start_matches('#').trim().to_owned());
    let heading = heading.filter(|heading| !heading.is_empty());
    let stored = if call.caller.may(Right::Read) {
        match bank.read(&call.caller, std::slice::from_ref(&path)).await?.pop() {
            Some(ReadOutcome::Found(document)) => Some((document.path, document.content)),
            Some(ReadOutcome::Unreadable(reason)) => return Err(invalid(reason)),
            _ => None,
        }
    } else {
        // Whether a part of a heading exists would be a question about the text.
        if heading.is_some() {
            call.must_read("point to a heading, since that asks what a document holds")?;
        }
        stored_to_edit(&call, &path).await?
    };
    let Some((path, content)) = stored else {
        return Err(invalid("there is no such document; list_memory_bank_files shows what there is".into()));
    };
    if let Some(heading) = &heading
        && !has_heading(&content, heading)
    {
        return Err(Failure::message(format!(
            "\"{path}\" has no heading that contains `{heading}`; leave `heading` out to point to the whole document"
        )));
    }
    let pointer = PointerDraft { path: path.to_string(), heading, note };
    let pointed =
        bank.add_pointer(&call.caller, &EntityRef(entity_name_or_id), pointer).await.map_err(|error| {
            match error {
                GraphError::EntityNotFound { name: asked, suggestions } => Failure::Hinted {
                    text: format!("Entity \"{asked}\" not found. Create it first with graph_upsert_entity."),
                    hint: did_you_mean(&suggestions),
                },
                other => other.into(),
            }
        })?;
    Reply::json(&json!({
        "success": true,
        "entity": pointed.entity.name,
        "actions": [
            format!("Pointer to {path} stored in the attributes of {}", pointed.entity.id),
            format!(
                "Observation {} {}: {}",
                pointed.observation.id,
                if pointed.existed { "was there already" } else { "added" },
                pointed.observation.text
            ),
        ],
    }))
}

/// The document of this name as an edit finds it, for a caller who may write and not read; nothing is changed.
async fn stored_to_edit(call: &Call, path: &DocumentPath) -> Result<Option<(DocumentPath, String)>, Failure> {
    edit(call, std::slice::from_ref(path), |drafts| {
        Ok(drafts.stored(path).map(|document| (document.path.clone(), document.content.clone())))
    })
    .await
}
