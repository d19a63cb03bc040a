//! `GET /api/v1/digest`: the short view of a bank.

use axum::response::Response;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::http::api::Problem;
use crate::http::api::queries::ReadDigest;
use crate::http::rest_request::{QueryParameters, Refusal, RestRequest, parsed};
use crate::mcp::reading::{self, LISTING_BYTES};
use crate::services::Services;

/// The digest with notes about it.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct DigestReply {
    digest: DigestView,
    metadata: DigestNotes,
}

/// What the documents and the graph of a project show first. Texts are Markdown.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct DigestView {
    /// The state of the project.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    project_state: Option<String>,
    /// Current work.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    focus: Option<String>,
    current_context: OpenItems,
    /// Lines of progress, the latest first.
    recent_progress: Vec<String>,
    /// Decisions, the newest first.
    recent_decisions: Vec<Decision>,
    /// Parts of the most informative document, if no section has a role.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    excerpt: Option<ExcerptView>,
    /// The changes since the caller's last session.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    since_last_session: Option<String>,
    /// A few lines on the graph.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    graph_summary: Option<String>,
}

/// Open items.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct OpenItems {
    tasks: Vec<String>,
    /// Issues and blockers.
    issues: Vec<String>,
    next_steps: Vec<String>,
    #[serde(default)]
    questions: Vec<String>,
}

/// A decision in short.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct Decision {
    title: String,
    /// As written; empty without a date.
    date: String,
    summary: String,
}

/// Parts of a document.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct ExcerptView {
    document: String,
    headings: Vec<String>,
    beginning: String,
    #[serde(default)]
    latest: String,
}

/// Notes about a digest.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct DigestNotes {
    #[schema(format = DateTime)]
    timestamp: String,
    /// What the digest leaves out.
    #[serde(default)]
    warnings: Vec<String>,
    /// The decisions that are left out, since they have ended or have not begun.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    ended: Option<EndedDecisions>,
    /// Some of those that will hold.
    #[serde(default)]
    upcoming: Vec<String>,
    /// The time of which the digest is, if one was requested.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, format = DateTime)]
    as_of: Option<String>,
}

/// How many decisions a digest leaves out.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct EndedDecisions {
    left_out: u64,
}

/// Shows what is worked on, open items, and the latest progress and decisions.
#[utoipa::path(get, path = "/api/v1/digest", tag = "digest", params(ReadDigest), responses(
    (status = 200, body = DigestReply),
    (status = 304, description = "the client has this reply"),
    (status = 400, body = Problem, content_type = "application/problem+json", description = "the query is malformed"),
    (status = 401, body = Problem, content_type = "application/problem+json"),
    (status = 403, body = Problem, content_type = "application/problem+json"),
    (status = 404, body = Problem, content_type = "application/problem+json", description = "there is no such bank"),
    (status = 409, body = Problem, content_type = "application/problem+json", description = "the stored contents cannot be used"),
    (status = 429, body = Problem, content_type = "application/problem+json"),
    (status = 503, body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn read(
    request: RestRequest,
    QueryParameters(query): QueryParameters<ReadDigest>,
) -> Response {
    request.answer_within(LISTING_BYTES, |services| digest_of(&request, query, services)).await
}

async fn digest_of(
    request: &RestRequest,
    query: ReadDigest,
    services: Services,
) -> Result<DigestReply, Refusal> {
    let facts = reading::facts(query.include_ended, query.as_of).map_err(Refusal::Malformed)?;
    parsed(reading::digest(&services, &request.who.caller, &facts).await?)
}
