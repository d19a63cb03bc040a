//! The replies while the store cannot be reached or has no free connection. Both are temporary.

use axum::extract::Request;
use axum::response::Response;
use http::{Method, StatusCode};
use memory_bank_core::error::StoreError;
use serde_json::Value;
use uuid::Uuid;

use crate::http::reply::{self, SERVER_BUSY};
use crate::http::reply_budget::{self, Holder};
use crate::http::request_id::RequestId;
use crate::http::shared::Shared;
use crate::http::{body, incoming};

/// The reply to a request of MCP.
pub(crate) fn reply_to(id: Option<&Value>, request: Uuid, error: &StoreError) -> Response {
    if matches!(error, StoreError::Overloaded) {
        let text = error.to_string();
        let busy = reply::rpc_error(StatusCode::SERVICE_UNAVAILABLE, id, SERVER_BUSY, &text);
        return reply_budget::with_retry(busy);
    }
    reply::unreachable(id, request)
}

/// The reply to a request whose key cannot be looked up. Only the id of the body is read.
pub(crate) async fn without_key(shared: &Shared, request: Request, error: &StoreError) -> Response {
    let RequestId(own) = request.extensions().get().copied().unwrap_or(RequestId(Uuid::nil()));
    tracing::error!(request.id = %own, %error, "keys cannot be looked up");
    let holder = Holder::without_key(request.extensions());
    let is_post = request.method() == Method::POST;
    let request_body = request.into_body();
    let memory = match shared.replies.reserve(holder, body::memory_for(&request_body)).await {
        Ok(memory) if is_post => memory,
        _ => return reply_to(None, own, error),
    };
    let id = body::read(request_body).await.ok().and_then(incoming::id_of);
    let response = reply_to(id.as_ref(), own, error);
    drop(memory);
    response
}
