//! `/api/v1/history`: the same as `/api/history`, with problems as errors.

use axum::response::Response;

use crate::http::api::Problem;
use crate::http::history;
use crate::http::history::bodies::{
    AnyDifference, DiffVersions, ListVersions, ShowVersion, ShownVersion, VersionList,
};
use crate::http::rest_request::{QueryParameters, RestRequest};

/// Lists versions, newest first: of documents those of one, a session, a user, or all, also with those of the graph; or those of an entity.
#[utoipa::path(get, path = "/api/v1/history", tag = "history", operation_id = "list_history", params(ListVersions), responses(
    (status = 200, body = VersionList),
    (status = 304, description = "the client has this reply"),
    (status = 400, body = Problem, content_type = "application/problem+json", description = "the query is malformed"),
    (status = 401, body = Problem, content_type = "application/problem+json"),
    (status = 403, body = Problem, content_type = "application/problem+json"),
    (status = 404, body = Problem, content_type = "application/problem+json", description = "there is no such document, entity or page"),
    (status = 429, body = Problem, content_type = "application/problem+json"),
    (status = 503, body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn list(request: RestRequest, asked: QueryParameters<ListVersions>) -> Response {
    history::list(request, asked).await
}

/// Shows a version with its text.
#[utoipa::path(get, path = "/api/v1/history/show", tag = "history", operation_id = "show_history", params(ShowVersion), responses(
    (status = 200, body = ShownVersion),
    (status = 304, description = "the client has this reply"),
    (status = 400, body = Problem, content_type = "application/problem+json", description = "the query is malformed"),
    (status = 401, body = Problem, content_type = "application/problem+json"),
    (status = 403, body = Problem, content_type = "application/problem+json"),
    (status = 404, body = Problem, content_type = "application/problem+json", description = "there is no such document, entity or version"),
    (status = 429, body = Problem, content_type = "application/problem+json"),
    (status = 503, body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn show(request: RestRequest, asked: QueryParameters<ShowVersion>) -> Response {
    history::show(request, asked).await
}

/// Compares a version with another one, or with the present text.
#[utoipa::path(get, path = "/api/v1/history/diff", tag = "history", operation_id = "diff_history", params(DiffVersions), responses(
    (status = 200, body = AnyDifference),
    (status = 304, description = "the client has this reply"),
    (status = 400, body = Problem, content_type = "application/problem+json", description = "the query is malformed"),
    (status = 401, body = Problem, content_type = "application/problem+json"),
    (status = 403, body = Problem, content_type = "application/problem+json"),
    (status = 404, body = Problem, content_type = "application/problem+json", description = "there is no such document, entity or version"),
    (status = 429, body = Problem, content_type = "application/problem+json"),
    (status = 503, body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn diff(request: RestRequest, asked: QueryParameters<DiffVersions>) -> Response {
    history::diff(request, asked).await
}
