//! Error replies: JSON throughout, and never a word of the inside.

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use http::header::{ALLOW, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderValue, StatusCode};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::mcp::tools::{UNREACHABLE, UNREACHABLE_RETRY};

/// JSON-RPC: the body is not JSON.
pub(crate) const PARSE_ERROR: i32 = -32700;
/// JSON-RPC: the JSON is no request.
pub(crate) const INVALID_REQUEST: i32 = -32600;
/// JSON-RPC: there is no such method.
pub(crate) const METHOD_NOT_FOUND: i32 = -32601;
/// JSON-RPC: a fault of the server.
pub(crate) const INTERNAL_ERROR: i32 = -32603;
/// What the SDKs use for refusals of the transport.
pub(crate) const TRANSPORT_ERROR: i32 = -32000;
/// What the SDKs use for a session that does not exist.
pub(crate) const SESSION_NOT_FOUND: i32 = -32001;

/// What is busy now and may be tried again.
pub(crate) const SERVER_BUSY: i32 = -32050;

/// A reply whose body is this value.
pub(crate) fn json(status: StatusCode, body: &Value) -> Response {
    let mut response = Response::new(Body::from(body.to_string()));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// `{"error": "…"}`
pub(crate) fn error(status: StatusCode, text: &str) -> Response {
    json(status, &json!({"error": text}))
}

/// A JSON-RPC error; `id` is that of the request, if it is known.
pub(crate) fn rpc_error(status: StatusCode, id: Option<&Value>, code: i32, text: &str) -> Response {
    let body =
        json!({"jsonrpc": "2.0", "id": id.unwrap_or(&Value::Null), "error": {"code": code, "message": text}});
    json(status, &body)
}

/// The storage cannot be reached: 500, with when to try again.
pub(crate) fn unreachable(id: Option<&Value>, request: Uuid) -> Response {
    let text = format!("{UNREACHABLE} (the log has more under the request id {request})");
    let body = json!({"jsonrpc": "2.0", "id": id.unwrap_or(&Value::Null), "error": {
        "code": INTERNAL_ERROR, "message": text, "data": {"retryAfter": UNREACHABLE_RETRY}}});
    with_retry_after(json(StatusCode::INTERNAL_SERVER_ERROR, &body), UNREACHABLE_RETRY)
}

/// A reply that says after how many seconds to try again.
pub(crate) fn with_retry_after(mut response: Response, seconds: u32) -> Response {
    response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
    response
}

/// 405, with what is allowed.
pub(crate) fn method_not_allowed(allowed: &'static str) -> Response {
    let mut response = error(StatusCode::METHOD_NOT_ALLOWED, "Method not allowed");
    response.headers_mut().insert(ALLOW, HeaderValue::from_static(allowed));
    response
}

/// 404 for an address that leads nowhere.
pub(crate) async fn not_found() -> impl IntoResponse {
    error(StatusCode::NOT_FOUND, "Not found")
}

/// 405 where the router knows the path and not the method; it adds what is allowed.
pub(crate) async fn wrong_method() -> impl IntoResponse {
    error(StatusCode::METHOD_NOT_ALLOWED, "Method not allowed")
}
