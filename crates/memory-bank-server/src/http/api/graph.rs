//! `/api/v1/graph`: entities of the graph, with their facts.

use axum::response::Response;
use memory_bank_core::document::clip;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use crate::http::api::Problem;
use crate::http::api::queries::{OpenEntity, SearchDocuments};
use crate::http::api::search::Ended;
use crate::http::rest_request::{QueryParameters, Refusal, RestRequest, parsed};
use crate::mcp::reading::{self, Facts, SearchQuery};
use crate::services::Services;

/// The entities of a page, if the request names no number.
const FOUND: u32 = 20;
/// The longest text of a fact that a query finds, in characters.
const FACT_CHARS: usize = 300;
/// The bytes of a reply.
const BYTES: usize = 512 * 1024;

/// Entities that a query finds, the best first.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct FoundEntities {
    entities: Vec<FoundEntity>,
    /// The facts that have the words, the best first; none if all entities are asked for. At most as many as the page has entities.
    facts: Vec<FoundFact>,
    /// How many facts are left out, since they have ended.
    ended_left_out: u64,
    /// Names the parts of the reply that may differ from the requested time, since the history lacks some changes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    as_of_note: Option<String>,
    /// For the next page, if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    next_cursor: Option<String>,
}

/// An entity in a list.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct FoundEntity {
    id: String,
    name: String,
    entity_type: String,
    observation_count: u64,
    relation_count: u64,
}

/// A fact that a query finds.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct FoundFact {
    id: String,
    entity_id: String,
    /// Cut after 300 characters.
    text: String,
}

/// An entity with its facts, those that hold.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct EntityView {
    entity: EntityHead,
    observations: Vec<ObservationView>,
    relations: Vec<RelationView>,
    /// Whether there are more facts than the reply has room for.
    truncated: bool,
    /// How many facts, also of its neighbours, are left out, since they have ended.
    ended_left_out: u64,
    /// Names the parts of the reply that may differ from the requested time, since the history lacks some changes.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    as_of_note: Option<String>,
}

/// The entity itself.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct EntityHead {
    id: String,
    name: String,
    entity_type: String,
    /// Its attributes, of any names and types.
    #[serde(default)]
    #[schema(value_type = Object)]
    attrs: Map<String, Value>,
    #[schema(format = DateTime)]
    created_at: String,
    #[schema(format = DateTime)]
    updated_at: String,
}

impl EntityHead {
    /// Whether a text is its id, its name, or its name with its type.
    fn is_called(&self, text: &str) -> bool {
        let Self { id, name, entity_type, .. } = self;
        text == id || text == name || text == format!("{name} [{entity_type}]")
    }
}

/// A fact about it.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ObservationView {
    id: String,
    #[serde(skip_serializing)]
    entity_id: String,
    text: String,
    #[schema(format = DateTime)]
    timestamp: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    author: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    valid_from: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    valid_until: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    expires_at: Option<String>,
    /// When it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, format = DateTime)]
    ended_at: Option<String>,
    /// The id of the fact that replaced it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    superseded_by: Option<String>,
}

/// A relation from it or to it.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct RelationView {
    id: String,
    from_id: String,
    from: String,
    to_id: String,
    to: String,
    relation_type: String,
}

/// What opening a node of MCP gives: the node, and its neighbours.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Opened {
    entities: Vec<EntityHead>,
    observations: Vec<ObservationView>,
    relations: Vec<RelationView>,
    #[serde(default)]
    ended: Ended,
    as_of_note: Option<String>,
    next_cursor: Option<String>,
}

/// What the search of MCP gives.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct FoundData {
    entities: Vec<FoundEntity>,
    #[serde(default)]
    observations: Vec<FoundFact>,
    #[serde(default)]
    ended: Ended,
    as_of_note: Option<String>,
    next_cursor: Option<String>,
}

/// Finds entities of the graph, the best first; `*` finds all.
#[utoipa::path(get, path = "/api/v1/graph/search", tag = "graph", params(SearchDocuments), responses(
    (status = 200, body = FoundEntities),
    (status = 304, description = "the client has this reply"),
    (status = 400, body = Problem, content_type = "application/problem+json", description = "the query is malformed"),
    (status = 401, body = Problem, content_type = "application/problem+json"),
    (status = 403, body = Problem, content_type = "application/problem+json"),
    (status = 404, body = Problem, content_type = "application/problem+json", description = "there is no such page"),
    (status = 409, body = Problem, content_type = "application/problem+json", description = "the stored contents cannot be used"),
    (status = 429, body = Problem, content_type = "application/problem+json"),
    (status = 503, body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn search(
    request: RestRequest,
    QueryParameters(query): QueryParameters<SearchDocuments>,
) -> Response {
    request.answer_within(BYTES, |services| found_by(&request, query, services)).await
}

/// Opens an entity, by its exact name or id.
#[utoipa::path(get, path = "/api/v1/graph/entity", tag = "graph", params(OpenEntity), responses(
    (status = 200, body = EntityView),
    (status = 304, description = "the client has this reply"),
    (status = 400, body = Problem, content_type = "application/problem+json", description = "the query is malformed"),
    (status = 401, body = Problem, content_type = "application/problem+json"),
    (status = 403, body = Problem, content_type = "application/problem+json"),
    (status = 404, body = Problem, content_type = "application/problem+json", description = "there is no such entity"),
    (status = 409, body = Problem, content_type = "application/problem+json", description = "several entities have this name"),
    (status = 429, body = Problem, content_type = "application/problem+json"),
    (status = 503, body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn entity(
    request: RestRequest,
    QueryParameters(query): QueryParameters<OpenEntity>,
) -> Response {
    request.answer_within(BYTES, |services| opened(&request, query, services)).await
}

async fn found_by(
    request: &RestRequest,
    query: SearchDocuments,
    services: Services,
) -> Result<FoundEntities, Refusal> {
    if query.query.trim().is_empty() {
        return Ok(FoundEntities {
            entities: Vec::new(),
            facts: Vec::new(),
            ended_left_out: 0,
            as_of_note: None,
            next_cursor: None,
        });
    }
    let wanted = SearchQuery {
        text: query.query,
        limit: query.limit.unwrap_or(FOUND),
        cursor: query.cursor,
        facts: reading::facts(query.include_ended, query.as_of).map_err(Refusal::Malformed)?,
    };
    let (is_all, most) = (wanted.text.trim() == "*", usize::try_from(wanted.limit).unwrap_or(usize::MAX));
    let data = reading::search_graph(&services, &request.who.caller, wanted).await?;
    let FoundData { entities, observations, ended, as_of_note, next_cursor } = parsed(data)?;
    let short = |fact: FoundFact| FoundFact { text: clip(&fact.text, FACT_CHARS), ..fact };
    let facts = observations.into_iter().take(if is_all { 0 } else { most }).map(short).collect();
    Ok(FoundEntities { entities, facts, ended_left_out: ended.left_out, as_of_note, next_cursor })
}

async fn opened(request: &RestRequest, query: OpenEntity, services: Services) -> Result<EntityView, Refusal> {
    let facts = reading::facts(query.include_ended, query.as_of).map_err(Refusal::Malformed)?;
    let data = reading::open_entity(&services, &request.who.caller, &query.name, &facts).await?;
    let Opened { entities, mut observations, mut relations, ended, as_of_note, next_cursor } = parsed(data)?;
    let entity = called(&query.name, entities)?;
    observations.retain(|observation| observation.entity_id == entity.id);
    relations.retain(|relation| relation.from_id == entity.id || relation.to_id == entity.id);
    Ok(EntityView {
        entity,
        observations,
        relations,
        truncated: next_cursor.is_some(),
        ended_left_out: ended.left_out,
        as_of_note,
    })
}

/// The name of an entity that is named by its name or id.
pub(super) async fn name_of(
    request: &RestRequest,
    name: &str,
    services: &Services,
) -> Result<String, Refusal> {
    let data = reading::open_entity(services, &request.who.caller, name, &Facts::default()).await?;
    let Opened { entities, .. } = parsed(data)?;
    Ok(called(name, entities)?.name)
}

/// The entity that a request names; the others are its neighbours.
fn called(name: &str, entities: Vec<EntityHead>) -> Result<EntityHead, Refusal> {
    let missing = || Refusal::NotFound("there is no entity of exactly this name or id".to_owned());
    entities.into_iter().find(|entity| entity.is_called(name)).ok_or_else(missing)
}
