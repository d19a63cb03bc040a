//! `GET /api/v1/search`: lines of documents.

use axum::response::Response;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::http::api::Problem;
use crate::http::api::queries::SearchDocuments;
use crate::http::rest_request::{QueryParameters, Refusal, RestRequest, parsed};
use crate::mcp::reading::{self, SearchQuery};
use crate::services::Services;

/// The results of a page, if the request names no number.
const FOUND: u32 = 20;
/// The bytes of a reply.
const BYTES: usize = 512 * 1024;

/// Lines that a query finds, the best first.
#[derive(Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Found {
    results: Vec<FoundLine>,
    /// Whether there are more.
    truncated: bool,
    /// Words of the query that no document has.
    words_not_found: Vec<String>,
    /// How many lines are left out, since their decisions have ended or have not begun.
    ended_left_out: u64,
    /// The time of which the documents are, if one was requested.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, format = DateTime)]
    as_of: Option<String>,
    /// Documents that were not searched, with the reasons.
    skipped: Vec<SkippedDocument>,
    /// For the next page, if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    next_cursor: Option<String>,
}

/// A line of a document.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct FoundLine {
    /// The name of the document.
    file: String,
    /// Counted from 1.
    line: u64,
    content: String,
    /// The line with those around it.
    context: String,
    score: f64,
    /// The headings above it, the outermost first.
    heading_path: Vec<String>,
    /// How many other places have the same text but for dates and ids; none of them is a result.
    #[serde(default)]
    similar: u64,
    /// The first of them.
    #[serde(default)]
    similar_in: Vec<SimilarPlace>,
}

/// A place with the same text as a result.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct SimilarPlace {
    /// The name of the document.
    file: String,
    /// Counted from 1.
    line: u64,
}

/// A document that was not searched.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct SkippedDocument {
    name: String,
    reason: String,
}

/// How many entries a reply leaves out.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Ended {
    pub(super) left_out: u64,
}

/// What the search of MCP gives.
#[derive(Debug, Deserialize)]
struct Data {
    results: Vec<FoundLine>,
    metadata: Notes,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Notes {
    truncated: bool,
    #[serde(default)]
    words_not_found: Vec<String>,
    #[serde(default)]
    ended: Ended,
    as_of: Option<String>,
    #[serde(default)]
    skipped: Vec<SkippedDocument>,
    next_cursor: Option<String>,
}

/// Finds lines of documents, the best first. A blank query finds nothing.
#[utoipa::path(get, path = "/api/v1/search", tag = "search", params(SearchDocuments), responses(
    (status = 200, body = Found),
    (status = 304, description = "the client has this reply"),
    (status = 400, body = Problem, content_type = "application/problem+json", description = "the query is malformed"),
    (status = 401, body = Problem, content_type = "application/problem+json"),
    (status = 403, body = Problem, content_type = "application/problem+json"),
    (status = 404, body = Problem, content_type = "application/problem+json", description = "there is no such page"),
    (status = 409, body = Problem, content_type = "application/problem+json", description = "the stored contents cannot be used"),
    (status = 429, body = Problem, content_type = "application/problem+json"),
    (status = 503, body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn documents(
    request: RestRequest,
    QueryParameters(query): QueryParameters<SearchDocuments>,
) -> Response {
    request.answer_within(BYTES, |services| found_by(&request, query, services)).await
}

async fn found_by(
    request: &RestRequest,
    query: SearchDocuments,
    services: Services,
) -> Result<Found, Refusal> {
    if query.query.trim().is_empty() {
        return Ok(Found::default());
    }
    let wanted = SearchQuery {
        text: query.query,
        limit: query.limit.unwrap_or(FOUND),
        cursor: query.cursor,
        facts: reading::facts(query.include_ended, query.as_of).map_err(Refusal::Malformed)?,
    };
    let data = reading::search_documents(&services, &request.who.caller, wanted).await?;
    let Data { results, metadata } = parsed(data)?;
    let Notes { truncated, words_not_found, ended, as_of, skipped, next_cursor } = metadata;
    let ended_left_out = ended.left_out;
    Ok(Found { results, truncated, words_not_found, ended_left_out, as_of, skipped, next_cursor })
}
