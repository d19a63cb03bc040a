//! `POST` and `DELETE /api/v1/graph/observation`: records a fact about an entity, which may replace others, and ends one. Both are changes of
//! the graph by the rules of the core, and the history has them.

use axum::body::Body;
use axum::response::Response;
use memory_bank_core::caller::Right;
use memory_bank_core::clock::iso_millis;
use memory_bank_core::error::{GraphError, StoreError};
use memory_bank_core::graph::{FactView, Observation, Validity};
use memory_bank_core::limits;
use memory_bank_core::store::{EntityRef, ObservationAdded, ObservationDraft};
use serde::Serialize;
use utoipa::ToSchema;

use crate::http::api::Problem;
use crate::http::api::queries::{EndObservation, RecordObservation};
use crate::http::rest_request::{QueryParameters, Refusal, RestRequest};
use crate::services::Services;

/// The bytes of a request that records a fact: the facts that it is compared with, and its reply.
const RECORD_BYTES: usize = 8 * limits::OBSERVATION_BYTES;

/// A fact that was recorded, or ended.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ObservationRecorded {
    /// The id of the fact as it is stored; one that ends a fact has the same text, and an end.
    id: String,
    /// The id of its entity.
    entity_id: String,
    text: String,
    /// When it was recorded. An undo of the user's changes of the entity since then takes it back.
    #[schema(format = DateTime)]
    timestamp: String,
    /// Whether the entity had it already, so that nothing changed.
    existed: bool,
    /// The ids of the facts that it replaces.
    superseded: Vec<String>,
}

/// Records a fact about an entity. It ends those that it replaces, which stay in the graph.
#[utoipa::path(post, path = "/api/v1/graph/observation", tag = "graph", request_body = RecordObservation, responses(
    (status = 200, body = ObservationRecorded),
    (status = 400, body = Problem, content_type = "application/problem+json", description = "the body is malformed"),
    (status = 401, body = Problem, content_type = "application/problem+json"),
    (status = 403, body = Problem, content_type = "application/problem+json"),
    (status = 404, body = Problem, content_type = "application/problem+json", description = "there is no such entity"),
    (status = 409, body = Problem, content_type = "application/problem+json",
        description = "several entities have this name, a replaced fact does not exist, or a rule is against the text"),
    (status = 413, body = Problem, content_type = "application/problem+json"),
    (status = 415, body = Problem, content_type = "application/problem+json"),
    (status = 429, body = Problem, content_type = "application/problem+json"),
    (status = 503, body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn record(request: RestRequest, body: Body) -> Response {
    let work = |wanted, _| recorded(&request, wanted);
    request.answer_to_change(right(&request), (body, RECORD_BYTES), work).await
}

/// Ends a fact now. It stays in the graph, as one that has ended.
#[utoipa::path(delete, path = "/api/v1/graph/observation", tag = "graph", params(EndObservation), responses(
    (status = 200, body = ObservationRecorded),
    (status = 400, body = Problem, content_type = "application/problem+json", description = "the query is malformed"),
    (status = 401, body = Problem, content_type = "application/problem+json"),
    (status = 403, body = Problem, content_type = "application/problem+json"),
    (status = 404, body = Problem, content_type = "application/problem+json", description = "the entity has no such fact, or it has ended"),
    (status = 409, body = Problem, content_type = "application/problem+json", description = "several entities have this name"),
    (status = 429, body = Problem, content_type = "application/problem+json"),
    (status = 503, body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn end(
    request: RestRequest,
    QueryParameters(query): QueryParameters<EndObservation>,
) -> Response {
    let work = |services| ended(&request, query, services);
    request.answer_to_write(right(&request), RECORD_BYTES, work).await
}

/// Naming a fact asks whether it exists, so both rights are needed: this is the one that lacks, or that of changing.
fn right(request: &RestRequest) -> Right {
    if request.who.caller.may(Right::Read) { Right::Write } else { Right::Read }
}

async fn recorded(request: &RestRequest, wanted: RecordObservation) -> Result<ObservationRecorded, Refusal> {
    let RecordObservation { entity, text, supersedes, valid_from, valid_until, expires_at } = wanted;
    let validity = Validity { valid_from, valid_until, expires_at, supersedes };
    let draft = ObservationDraft { text, source: None, timestamp: None, validity };
    added(request, &EntityRef(entity), draft).await
}

async fn ended(
    request: &RestRequest,
    EndObservation { entity, id }: EndObservation,
    services: Services,
) -> Result<ObservationRecorded, Refusal> {
    let (entity, now) = (EntityRef(entity), services.clock.now());
    let bytes = services.replies.bytes;
    services.replies.need(bytes.saturating_mul(2)).await?;
    let nodes = std::slice::from_ref(&entity);
    let opened = request.bank().await?.open(&request.who.caller, nodes, 0, bytes, FactView::now(now)).await;
    let fact = opened.map_err(refused)?.observations.into_iter().find(|fact| fact.id == id);
    let missing = || Refusal::NotFound(format!("the entity has no fact `{id}` that holds"));
    let Observation { text, source, .. } = fact.ok_or_else(missing)?;
    let validity =
        Validity { valid_until: Some(iso_millis(now)), supersedes: vec![id.clone()], ..Validity::NONE };
    added(request, &entity, ObservationDraft { text, source, timestamp: None, validity }).await
}

async fn added(
    request: &RestRequest,
    entity: &EntityRef,
    draft: ObservationDraft,
) -> Result<ObservationRecorded, Refusal> {
    let added = request.bank().await?.add_observation(&request.who.caller, entity, draft).await;
    let ObservationAdded { observation, existed, superseded, .. } = added.map_err(refused)?;
    Ok(ObservationRecorded {
        id: observation.id,
        entity_id: observation.entity_id,
        text: observation.text,
        timestamp: observation.timestamp,
        existed,
        superseded: superseded.into_iter().map(|fact| fact.id).collect(),
    })
}

fn refused(error: GraphError) -> Refusal {
    match error {
        GraphError::Store(error @ (StoreError::TooLarge { .. } | StoreError::HistoryErased)) => {
            Refusal::Conflict(error.to_string())
        }
        GraphError::Store(error @ (StoreError::Busy | StoreError::ChangedMeanwhile)) => {
            Refusal::Busy(error.to_string())
        }
        GraphError::Store(error) => Refusal::Store(error),
        GraphError::EntityNotFound { .. }
        | GraphError::EntitiesNotFound { .. }
        | GraphError::ObservationNotFound(_) => Refusal::NotFound(error.to_string()),
        other => Refusal::Conflict(other.to_string()),
    }
}
