//! `GET /api/v1/search`: lines of documents.

use axum::extract::Query;
use axum::extract::rejection::QueryRejection;
use axum::response::Response;
use memory_bank_core::error::StoreError;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::http::api::Problem;
use crate::http::api::queries::SearchDocuments;
use crate::http::rest_request::{Refusal, RestRequest, malformed};
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
    (status = 429, body = Problem, content_type = "application/problem+json"),
    (status = 503, body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn documents(
    request: RestRequest,
    query: Result<Query<SearchDocuments>, QueryRejection>,
) -> Response {
    match query {
        Ok(Query(query)) => {
            request.answer_within(BYTES, |services| found_by(&request, query, services)).await
        }
        Err(_) => malformed(),
    }
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
        with_ended: query.ended,
    };
    let data = reading::search_documents(&services, &request.who.caller, wanted).await?;
    let Data { results, metadata } = serde_json::from_value(data)
        .map_err(|error| Refusal::Store(StoreError::Unavailable(error.to_string())))?;
    let Notes { truncated, words_not_found, next_cursor } = metadata;
    Ok(Found { results, truncated, words_not_found, next_cursor })
}
