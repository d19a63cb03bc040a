//! `/api/v1`: what a bank contains, for programs without MCP and for the console. Every route reads as the tools do, with the
//! rights of the caller. Errors are problems (RFC 9457).

pub(crate) mod digest;
pub(crate) mod documents;
pub(crate) mod graph;
pub(crate) mod history;
mod problem;
mod queries;
pub(crate) mod search;
pub(crate) mod session;

use std::sync::Arc;

use axum::Router;
use axum::middleware::from_fn;
use axum::routing::get;

pub(crate) use self::problem::Problem;
use crate::http::shared::Shared;

/// The beginning of the paths.
pub(crate) const ROOT: &str = "/api/v1/";

/// Their paths are also in `http::routes`.
pub(crate) fn routes() -> Router<Arc<Shared>> {
    Router::new()
        .route("/api/v1/session", get(session::read))
        .route("/api/v1/documents", get(documents::list))
        .route("/api/v1/document", get(documents::read).put(documents::write))
        .route("/api/v1/digest", get(digest::read))
        .route("/api/v1/search", get(search::documents))
        .route("/api/v1/graph/search", get(graph::search))
        .route("/api/v1/graph/entity", get(graph::entity))
        .route("/api/v1/history", get(history::list))
        .route("/api/v1/history/show", get(history::show))
        .route("/api/v1/history/diff", get(history::diff))
}

/// The layer that makes problems of errors; it is outside of the one that admits requests.
pub(crate) fn with_problems(router: Router<Arc<Shared>>) -> Router<Arc<Shared>> {
    router.route_layer(from_fn(problem::layer))
}
