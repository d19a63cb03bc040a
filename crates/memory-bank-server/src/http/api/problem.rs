//! Errors as problems (RFC 9457): the refusals of all layers below, whose texts stay the same.

use axum::body::Body;
use axum::extract::Request;
use axum::middleware::Next;
use axum::response::Response;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderValue, StatusCode};
use http_body_util::{BodyExt, Limited};
use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;

use crate::http::api::root::ROOT;
use crate::http::content_type::is_json;

/// The longest refusal, in bytes.
const LONGEST: usize = 64 * 1024;

/// Why a request failed.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Problem {
    /// The kind of error, in words.
    title: String,
    /// The status of the reply.
    #[schema(minimum = 400, maximum = 599)]
    status: u16,
    /// What went wrong, and what to do.
    detail: String,
    /// After how many seconds to try again.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    retry_after: Option<u64>,
}

/// The layer that makes problems of errors, also where there is no route.
pub(crate) async fn layer(request: Request, next: Next) -> Response {
    let is_ours = request.uri().path().starts_with(ROOT);
    let response = next.run(request).await;
    if is_ours { problem_of(response).await } else { response }
}

/// The reply, as a problem if it is an error.
pub(crate) async fn problem_of(response: Response) -> Response {
    let status = response.status();
    if !(status.is_client_error() || status.is_server_error()) || !is_json(response.headers()) {
        return response;
    }
    let (mut parts, body) = response.into_parts();
    let read = Limited::new(body, LONGEST).collect().await.ok().map(|body| body.to_bytes());
    let members: Map<String, Value> =
        read.and_then(|text| serde_json::from_slice(&text).ok()).unwrap_or_default();
    let problem = Problem {
        title: status.canonical_reason().unwrap_or("Error").to_owned(),
        status: status.as_u16(),
        detail: members.get("error").and_then(Value::as_str).unwrap_or("the server failed").to_owned(),
        retry_after: members.get("retryAfter").and_then(Value::as_u64),
    };
    let text = match serde_json::to_vec(&problem) {
        Ok(text) => text,
        Err(_) => {
            parts.status = StatusCode::INTERNAL_SERVER_ERROR;
            Vec::new()
        }
    };
    parts.headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
    parts.headers.remove(CONTENT_LENGTH);
    Response::from_parts(parts, Body::from(text))
}
