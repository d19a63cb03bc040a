//! The outcome of a call, which the SDK reports in the body of a reply with status 200. Monitoring and caches need it
//! as a status and a value.

use axum::body::{Body, HttpBody};
use axum::response::Response;
use bytes::Bytes;
use http::StatusCode;
use http_body_util::BodyExt;
use memory_bank_core::error::StoreError;
use serde_json::{Value, json};

use crate::http::reply::{self, INTERNAL_ERROR, KEY_VOID, SERVER_BUSY};
use crate::mcp::message::member;

/// The outcome of a call, from its reply in JSON.
pub(crate) enum CallOutcome {
    /// The call succeeded.
    Success,
    /// The call failed for a reason of its own.
    Error,
    /// A store rejected the caller: the cached identity is outdated.
    Denied,
    /// The key is void.
    KeyInvalid,
}

/// Reports an internal error as status 500, for monitoring; the SDK uses 200. Other JSON-RPC errors are client
/// errors. Also reports whether a store rejected the caller: then the cached identity is outdated.
pub(crate) async fn inspect(response: Response) -> (Response, CallOutcome) {
    /// Internal errors are short; longer replies are not parsed.
    const MAX_INSPECTED_BYTES: u64 = 2048;
    if response.body().size_hint().upper().is_none_or(|length| length > MAX_INSPECTED_BYTES) {
        return (response, CallOutcome::Success);
    }
    let (mut parts, body) = response.into_parts();
    let Ok(body) = body.collect().await.map(http_body_util::Collected::to_bytes) else {
        return (reply::error(StatusCode::INTERNAL_SERVER_ERROR, "the server failed"), CallOutcome::Success);
    };
    let message = serde_json::from_slice::<Value>(&body).unwrap_or_default();
    let code = member(&message, &["error", "code"]).and_then(Value::as_i64);
    if code == Some(i64::from(INTERNAL_ERROR)) {
        parts.status = StatusCode::INTERNAL_SERVER_ERROR;
    }
    if code == Some(i64::from(SERVER_BUSY)) {
        let of_key = member(&message, &["error", "data", "of"]) == Some(&json!("key"));
        parts.status = if of_key { StatusCode::TOO_MANY_REQUESTS } else { StatusCode::SERVICE_UNAVAILABLE };
    }
    let is_error = member(&message, &["result", "isError"]).and_then(Value::as_bool) == Some(true);
    let text = member(&message, &["error", "message"]).or_else(|| message.pointer("/result/content/0/text"));
    let denied =
        || text.and_then(Value::as_str).is_some_and(|text| text.ends_with(&StoreError::Denied.to_string()));
    let outcome = match code {
        Some(code) if code == i64::from(KEY_VOID) => CallOutcome::KeyInvalid,
        None if !is_error => CallOutcome::Success,
        _ if denied() => CallOutcome::Denied,
        _ => CallOutcome::Error,
    };
    let retry = member(&message, &["error", "data", "retryAfter"]).and_then(Value::as_u64);
    let retry = retry.and_then(|seconds| u32::try_from(seconds).ok());
    let response = Response::from_parts(parts, Body::from(body));
    match retry {
        Some(seconds) => (reply::with_retry_after(response, seconds), outcome),
        None => (response, outcome),
    }
}

/// Whether the refusal of a busy server is about the store, and not about memory for replies.
pub(crate) fn is_about_store(body: &Bytes) -> bool {
    let message = serde_json::from_slice::<Value>(body).unwrap_or_default();
    member(&message, &["error", "data", "of"]) == Some(&json!("storage"))
}
