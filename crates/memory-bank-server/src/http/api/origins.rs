//! `GET /api/v1/history/blame`: the version from which each line of a document comes.

use axum::response::Response;
use memory_bank_core::limits;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::http::api::Problem;
use crate::http::api::queries::BlameDocument;
use crate::http::rest_request::{QueryParameters, Refusal, RestRequest, parsed};
use crate::mcp::reading::{self, NotRead};
use crate::services::Services;

/// The lines of a document, in order, with their origins.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Origins {
    filename: String,
    /// Of the text that has these lines.
    etag: String,
    /// What the list leaves out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    note: Option<String>,
    ranges: Vec<OriginRange>,
    /// For the next page, if there is one. The pages of one list are those of one text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    next_cursor: Option<String>,
}

/// Lines that one version has brought.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct OriginRange {
    /// The first of the lines, counted from 1.
    from_line: u64,
    /// The lines themselves.
    text: String,
    #[serde(flatten)]
    origin: OriginVersion,
    /// The version that wrote the lines first, if the other one brought back a whole text that the document had before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    first: Option<OriginVersion>,
}

/// A version that wrote lines.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct OriginVersion {
    /// The number of the version; absent if it is older than those that are kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    version: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, format = DateTime)]
    at: Option<String>,
    /// The name of the user.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    by: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    tool: Option<String>,
    /// `true` if the version came with an import or a restore: `by` is then as the source named it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    imported: Option<bool>,
}

/// Shows who wrote each line of a document, and when.
#[utoipa::path(get, path = "/api/v1/history/blame", tag = "history", params(BlameDocument), responses(
    (status = 200, body = Origins),
    (status = 304, description = "the client has this reply"),
    (status = 400, body = Problem, content_type = "application/problem+json", description = "the query is malformed"),
    (status = 401, body = Problem, content_type = "application/problem+json"),
    (status = 403, body = Problem, content_type = "application/problem+json"),
    (status = 404, body = Problem, content_type = "application/problem+json", description = "there is no such document or page"),
    (status = 409, body = Problem, content_type = "application/problem+json", description = "the stored contents cannot be used"),
    (status = 429, body = Problem, content_type = "application/problem+json"),
    (status = 503, body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn blame(
    request: RestRequest,
    QueryParameters(query): QueryParameters<BlameDocument>,
) -> Response {
    request.answer_within(limits::REPLY_BYTES, |services| origins_of(&request, query, services)).await
}

async fn origins_of(
    request: &RestRequest,
    BlameDocument { filename, cursor }: BlameDocument,
    services: Services,
) -> Result<Origins, Refusal> {
    let data = reading::blame(&services, &request.who.caller, &filename, cursor).await;
    parsed(data.map_err(|why| match why {
        // The history has no such document, or none of its lines.
        NotRead::Conflict(text) => Refusal::NotFound(text),
        why => why.into(),
    })?)
}
