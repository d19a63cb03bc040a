//! `GET /api/v1/session`: who asks, in which project, with which rights.

use axum::response::Response;
use memory_bank_core::caller::Right;
use memory_bank_core::clock::iso_millis;
use serde::Serialize;
use utoipa::ToSchema;

use crate::http::api::Problem;
use crate::http::rest_request::{Refusal, RestRequest};

/// The bytes of a reply.
const BYTES: usize = 8 * 1024;

/// The caller.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Session {
    /// The name of the user.
    user: String,
    /// The short name of the project.
    project: String,
    /// `viewer`, `editor` or `owner`.
    role: String,
    /// `read`, `write` and `admin`, as far as the caller has them and the server is not read-only.
    rights: Vec<String>,
    /// Whether the server was started with `--read-only`, so that nobody changes anything here.
    read_only: bool,
    /// Whether the project has members, keys, grants and an audit log, as `/api/v1/members` and others list them.
    has_members: bool,
    /// When the key, token or session ends by itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, format = DateTime)]
    expires_at: Option<String>,
}

/// Shows who the key, token or session belongs to.
#[utoipa::path(get, path = "/api/v1/session", tag = "session", responses(
    (status = 200, body = Session),
    (status = 304, description = "the client has this reply"),
    (status = 401, body = Problem, content_type = "application/problem+json"),
    (status = 403, body = Problem, content_type = "application/problem+json"),
    (status = 404, body = Problem, content_type = "application/problem+json", description = "there is no such bank"),
    (status = 429, body = Problem, content_type = "application/problem+json"),
    (status = 503, body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn read(request: RestRequest) -> Response {
    request.answer(BYTES, session_of(&request)).await
}

async fn session_of(request: &RestRequest) -> Result<Session, Refusal> {
    // No store is asked that would refuse a session that has ended.
    request.proven().await.map_err(Refusal::Reply)?;
    let caller = &request.who.caller;
    let project = request.bank().await?.location();
    let is_usable = |right: &Right| *right == Right::Read || !request.is_read_only();
    let rights = caller.rights().iter().filter(is_usable).map(Right::as_str).map(str::to_owned).collect();
    Ok(Session {
        user: caller.user_name.clone(),
        project,
        role: caller.role.as_str().to_owned(),
        rights,
        read_only: request.is_read_only(),
        has_members: request.shared.administration.is_some(),
        expires_at: request.who.expires_at.map(iso_millis),
    })
}
