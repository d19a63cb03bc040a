//! The reply of a REST route whose store failed.

use axum::response::Response;
use http::StatusCode;
use memory_bank_core::error::StoreError;
use serde_json::json;

use crate::http::auth::Authenticated;
use crate::http::reply_budget::with_retry;
use crate::http::request_id::RequestId;
use crate::http::shared::Shared;
use crate::http::{admission, reply};
use crate::mcp::errors::UNREACHABLE_RETRY;

/// The reply; `what` is for the log, `forbidden` for a caller without the right.
pub(crate) async fn of(
    shared: &Shared,
    who: &Authenticated,
    RequestId(request): RequestId,
    error: &StoreError,
    what: &str,
    forbidden: impl FnOnce() -> Response,
) -> Response {
    if matches!(error, StoreError::KeyInvalid) {
        return admission::unauthorized(&admission::void(shared, who).await);
    }
    if matches!(error, StoreError::Denied) {
        // The role or scopes changed since they were cached.
        shared.auth.forget_everywhere(&who.hash).await;
        return forbidden();
    }
    tracing::error!(request.id = %request, %error, "{what}");
    if matches!(error, StoreError::Busy) {
        let text = "Others change the same at the moment; try again";
        return with_retry(reply::error(StatusCode::SERVICE_UNAVAILABLE, text));
    }
    if matches!(error, StoreError::Unreachable(_) | StoreError::Overloaded) {
        let text = "The server cannot reach its database at the moment; try again";
        let response = reply::error(StatusCode::SERVICE_UNAVAILABLE, text);
        return reply::with_retry_after(response, UNREACHABLE_RETRY);
    }
    let text = format!("internal error; see the server log for the request id {request}");
    reply::json(StatusCode::INTERNAL_SERVER_ERROR, &json!({"error": text}))
}
