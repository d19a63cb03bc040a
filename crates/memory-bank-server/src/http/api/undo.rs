//! `POST /api/v1/history/undo`: takes back all that one session, or one user since a time, has changed.

use axum::body::Body;
use axum::response::Response;
use memory_bank_core::caller::Right;
use memory_bank_core::error::StoreError;
use memory_bank_core::limits;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use crate::http::api::Problem;
use crate::http::api::queries::UndoChanges;
use crate::http::history::time;
use crate::http::rest_request::{Refusal, RestRequest, parsed};
use crate::mcp::reading;
use crate::services::Services;

/// The changes that an undo took back, or would take back.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Undone {
    /// Whether nothing was changed, since it was only asked.
    #[serde(default)]
    dry_run: bool,
    /// What was undone: documents, and items of the graph.
    undone: Vec<UndoneChange>,
    /// What stays as it is, and why.
    #[serde(default)]
    left: Vec<LeftChange>,
    /// How many documents and items had the former state already.
    #[serde(default)]
    unchanged: u64,
    /// How many versions of the session are of other users, and not the caller's to undo.
    #[serde(default)]
    versions_of_others: u64,
    /// How many of these the reply has no room for.
    #[serde(default)]
    not_shown: u64,
}

/// A document, or an entity, observation or relation of the graph.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Undoable {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    filename: Option<String>,
    /// The name of the entity, or of the source of a relation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    entity: Option<String>,
    /// The text of an observation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    observation: Option<String>,
    /// The type of a relation, and the entity that it leads to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    relation: Option<String>,
    /// The type of an entity, and its attributes.
    #[serde(rename = "type", default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    entity_type: Option<String>,
}

/// Something that was undone.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct UndoneChange {
    #[serde(flatten)]
    of: Undoable,
    /// `brought back`, `changed`, `renamed` or `deleted`.
    change: String,
    /// The name before, of a renaming.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    former_name: Option<String>,
    /// How many versions were taken back.
    versions: u64,
    /// Of the text of a document after it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    etag: Option<String>,
    /// Whether later changes of others stay.
    #[serde(default)]
    later_changes_stay: bool,
    /// Whether it is a fact that had ended before.
    #[serde(default)]
    ended: bool,
    /// What would change in the text of a document, unified. Long differences are cut, all together at 60,000 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    diff: Option<String>,
}

/// Something that stays as it is.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct LeftChange {
    #[serde(flatten)]
    of: Undoable,
    /// The id of an item of the graph that is gone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    id: Option<String>,
    reason: String,
    /// Who has changed it since, with the numbers of the versions.
    #[serde(default)]
    changed_by: Vec<String>,
    /// The numbers of versions of the document that bring a former text back, if they are restored: the one before the newest of these
    /// changes, and the one before the first of them. Of an item of the graph the version of its entity before this.
    #[serde(default)]
    restorable: Vec<i64>,
    /// The same in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    advice: Option<String>,
}

/// Undoes changes, or shows with `dryRun` what would be undone.
#[utoipa::path(post, path = "/api/v1/history/undo", tag = "history", request_body = UndoChanges, responses(
    (status = 200, body = Undone),
    (status = 400, body = Problem, content_type = "application/problem+json", description = "the body is malformed"),
    (status = 401, body = Problem, content_type = "application/problem+json"),
    (status = 403, body = Problem, content_type = "application/problem+json"),
    (status = 404, body = Problem, content_type = "application/problem+json", description = "whose changes, or which, is unclear"),
    (status = 409, body = Problem, content_type = "application/problem+json",
        description = "there are no such changes, they are too many, or not all of them can be undone"),
    (status = 413, body = Problem, content_type = "application/problem+json"),
    (status = 415, body = Problem, content_type = "application/problem+json"),
    (status = 429, body = Problem, content_type = "application/problem+json"),
    (status = 503, body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn undo(request: RestRequest, body: Body) -> Response {
    let caller = &request.who.caller;
    // The reply shows what the changes were about.
    let right = if caller.may(Right::Read) { Right::Write } else { Right::Read };
    let work = |wanted, services| undone(&request, wanted, services);
    request.answer_to_change(right, (body, limits::REPLY_BYTES), work).await
}

async fn undone(request: &RestRequest, wanted: UndoChanges, services: Services) -> Result<Undone, Refusal> {
    time("since", wanted.since.as_deref(), false)?;
    time("until", wanted.until.as_deref(), true)?;
    let failed = |error: serde_json::Error| StoreError::Unavailable(error.to_string());
    let Value::Object(arguments) = serde_json::to_value(wanted).map_err(failed)? else {
        return Err(Refusal::Malformed("the body must be a JSON object".to_owned()));
    };
    parsed(reading::undo(&services, &request.who.caller, arguments).await?)
}
