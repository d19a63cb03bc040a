//! Turns a panic into a reply, and keeps the connection.

use std::panic::AssertUnwindSafe;

use axum::extract::Request;
use axum::middleware::Next;
use axum::response::Response;
use futures::FutureExt;
use http::StatusCode;

use crate::http::reply;

pub(crate) async fn layer(request: Request, next: Next) -> Response {
    match AssertUnwindSafe(next.run(request)).catch_unwind().await {
        Ok(response) => response,
        Err(_) => {
            tracing::error!("a request panicked");
            reply::error(StatusCode::INTERNAL_SERVER_ERROR, "the server failed")
        }
    }
}
