//! `/api/v1`: what a bank contains, for programs without MCP and for the console. Every route reads as the tools do, with the
//! rights of the caller. Errors are problems (RFC 9457).

pub(crate) mod access;
pub(crate) mod audit;
pub(crate) mod calls;
pub(crate) mod digest;
pub(crate) mod document_changes;
pub(crate) mod documents;
pub(crate) mod events;
pub(crate) mod graph;
pub(crate) mod graph_changes;
pub(crate) mod health;
pub(crate) mod history;
pub(crate) mod members;
pub(crate) mod mentions;
pub(crate) mod names;
pub(crate) mod origins;
pub(crate) mod picture;
mod problem;
mod queries;
pub(crate) mod root;
pub(crate) mod search;
pub(crate) mod session;
pub(crate) mod sessions;
pub(crate) mod undo;

use std::sync::Arc;

use axum::Router;
use axum::routing::{delete, get, patch, post};

pub(crate) use self::problem::{Problem, layer as problems, problem_of};
use crate::http::shared::Shared;

/// Their paths are also in `http::routes`.
pub(crate) fn routes() -> Router<Arc<Shared>> {
    Router::new()
        .route("/api/v1/session", get(session::read))
        .route("/api/v1/documents", get(documents::list))
        .route(
            "/api/v1/document",
            get(documents::read).put(document_changes::write).delete(document_changes::delete),
        )
        .route("/api/v1/document/name", get(names::check))
        .route("/api/v1/document/rename", post(document_changes::rename))
        .route("/api/v1/digest", get(digest::read))
        .route("/api/v1/search", get(search::documents))
        .route("/api/v1/graph/search", get(graph::search))
        .route("/api/v1/graph/entity", get(graph::entity))
        .route("/api/v1/graph/mentions", get(mentions::list))
        .route("/api/v1/graph/observation", post(graph_changes::record).delete(graph_changes::end))
        .route("/api/v1/graph/picture", get(picture::picture))
        .route("/api/v1/history", get(history::list))
        .route("/api/v1/history/show", get(history::show))
        .route("/api/v1/history/diff", get(history::diff))
        .route("/api/v1/history/blame", get(origins::blame))
        .route("/api/v1/history/undo", post(undo::undo))
        .route("/api/v1/events", get(events::watch))
        .route("/api/v1/sessions", get(sessions::list))
        .route("/api/v1/members", get(members::list).post(members::invite))
        .route("/api/v1/member", patch(members::change).delete(members::remove))
        .route("/api/v1/member/key", post(members::replace_invitation))
        .route("/api/v1/keys", get(access::list_keys).post(access::create_key))
        .route("/api/v1/key", patch(access::change_key).delete(access::revoke_key))
        .route("/api/v1/grants", get(access::list_grants))
        .route("/api/v1/grant", delete(access::revoke_grant))
        .route("/api/v1/audit", get(audit::list))
        .route("/api/v1/calls", get(calls::list))
        .route("/api/v1/health", get(health::read))
}
