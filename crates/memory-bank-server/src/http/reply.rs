//! Error replies: JSON throughout, without internal details.

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use http::header::{ALLOW, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderValue, StatusCode};
use serde::Serialize;
use serde_json::{Value, json};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::mcp::errors::{self, UNREACHABLE, UNREACHABLE_RETRY};

/// JSON-RPC: the body is not JSON.
pub(crate) const PARSE_ERROR: i32 = -32700;
/// JSON-RPC: the JSON is not a request.
pub(crate) const INVALID_REQUEST: i32 = -32600;
/// JSON-RPC: the method does not exist.
pub(crate) const METHOD_NOT_FOUND: i32 = -32601;
/// JSON-RPC: an internal error.
pub(crate) const INTERNAL_ERROR: i32 = -32603;
/// The code that the SDKs use for refusals of the transport.
pub(crate) const TRANSPORT_ERROR: i32 = -32000;
/// The code that the SDKs use for a session that does not exist.
pub(crate) const SESSION_NOT_FOUND: i32 = -32001;

/// The server is busy; try again.
pub(crate) const SERVER_BUSY: i32 = errors::SERVER_BUSY.0;
/// The key of the request is void.
pub(crate) const KEY_VOID: i32 = errors::KEY_VOID.0;

/// A reply with this body.
pub(crate) fn json(status: StatusCode, body: &Value) -> Response {
    let mut response = Response::new(Body::from(body.to_string()));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// Why a request failed.
#[derive(Serialize, ToSchema)]
pub(crate) struct Failure {
    error: String,
}

/// A reply with a [`Failure`].
pub(crate) fn error(status: StatusCode, text: &str) -> Response {
    json(status, &json!(Failure { error: text.to_owned() }))
}

/// A JSON-RPC error; `id` is that of the request, if it is known.
pub(crate) fn rpc_error(status: StatusCode, id: Option<&Value>, code: i32, text: &str) -> Response {
    let body =
        json!({"jsonrpc": "2.0", "id": id.unwrap_or(&Value::Null), "error": {"code": code, "message": text}});
    json(status, &body)
}

/// The storage is unreachable: 500, with the time to retry.
pub(crate) fn unreachable(id: Option<&Value>, request: Uuid) -> Response {
    let text = format!("{UNREACHABLE} (the log has more under the request id {request})");
    let body = json!({"jsonrpc": "2.0", "id": id.unwrap_or(&Value::Null), "error": {
        "code": INTERNAL_ERROR, "message": text, "data": {"retryAfter": UNREACHABLE_RETRY}}});
    with_retry_after(json(StatusCode::INTERNAL_SERVER_ERROR, &body), UNREACHABLE_RETRY)
}

/// A reply with the number of seconds to wait.
pub(crate) fn with_retry_after(mut response: Response, seconds: u32) -> Response {
    response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
    response
}

/// 405, with the allowed methods.
pub(crate) fn method_not_allowed(allowed: &'static str) -> Response {
    let mut response = error(StatusCode::METHOD_NOT_ALLOWED, "Method not allowed");
    response.headers_mut().insert(ALLOW, HeaderValue::from_static(allowed));
    response
}

/// 404 for an unknown path.
pub(crate) async fn not_found() -> impl IntoResponse {
    error(StatusCode::NOT_FOUND, "Not found")
}

/// 405 where the router knows the path and not the method; it adds the allowed methods.
pub(crate) async fn wrong_method() -> impl IntoResponse {
    error(StatusCode::METHOD_NOT_ALLOWED, "Method not allowed")
}
