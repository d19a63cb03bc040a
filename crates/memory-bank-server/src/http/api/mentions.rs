//! `GET /api/v1/graph/mentions`: the documents that point to an entity of the graph.

use axum::response::Response;
use memory_bank_core::search::{MentionPlace, MentionSearch, MentioningDocument, Mentions};
use serde::Serialize;
use utoipa::ToSchema;

use crate::http::api::Problem;
use crate::http::api::graph::name_of;
use crate::http::api::queries::FindMentions;
use crate::http::rest_request::{QueryParameters, Refusal, RestRequest};
use crate::services::Services;

/// The documents of a reply, if the request names no number.
const FOUND: u32 = 50;
/// The bytes of a reply: at most 100 documents with three lines each.
const BYTES: usize = 512 * 1024;

/// Documents whose text has the name of the entity as a whole word, in a link such as `[[name]]` or beside one; the core documents first.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct EntityMentions {
    documents: Vec<MentionedIn>,
    /// How many more documents have the name.
    documents_left: u64,
}

/// A document that has the name.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct MentionedIn {
    /// The name of the document.
    file: String,
    /// How many of its lines have the name of the entity.
    lines: u64,
    /// The first such line of each section, at most three.
    places: Vec<MentionedAt>,
}

/// A line that has the name.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct MentionedAt {
    /// Counted from 1.
    line: u64,
    /// Cut around the name to 300 characters.
    content: String,
    /// The headings above it, the outermost first.
    heading_path: Vec<String>,
}

/// Finds the documents that point to an entity.
#[utoipa::path(get, path = "/api/v1/graph/mentions", tag = "graph", operation_id = "find_mentions", params(FindMentions), responses(
    (status = 200, body = EntityMentions),
    (status = 304, description = "the client has this reply"),
    (status = 400, body = Problem, content_type = "application/problem+json", description = "the query is malformed"),
    (status = 401, body = Problem, content_type = "application/problem+json"),
    (status = 403, body = Problem, content_type = "application/problem+json"),
    (status = 404, body = Problem, content_type = "application/problem+json", description = "there is no such entity"),
    (status = 409, body = Problem, content_type = "application/problem+json", description = "several entities have this name"),
    (status = 429, body = Problem, content_type = "application/problem+json"),
    (status = 503, body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn list(
    request: RestRequest,
    QueryParameters(query): QueryParameters<FindMentions>,
) -> Response {
    request.answer_within(BYTES, |services| found_by(&request, query, services)).await
}

async fn found_by(
    request: &RestRequest,
    query: FindMentions,
    services: Services,
) -> Result<EntityMentions, Refusal> {
    let name = name_of(request, &query.name, &services).await?;
    let limit = usize::try_from(query.limit.unwrap_or(FOUND)).unwrap_or(usize::MAX);
    let search = MentionSearch { name, limit };
    let Mentions { documents, documents_left } =
        request.bank().await?.mentions(&request.who.caller, &search).await?;
    let documents = documents.into_iter().map(shown).collect();
    Ok(EntityMentions { documents, documents_left: documents_left as u64 })
}

fn shown(document: MentioningDocument) -> MentionedIn {
    let place = |MentionPlace { line, heading_path, content }| MentionedAt {
        line: line as u64,
        content,
        heading_path,
    };
    MentionedIn {
        file: document.name,
        lines: document.lines as u64,
        places: document.places.into_iter().map(place).collect(),
    }
}
