//! Reads the body of a request, within bounds of size, time and memory.

use std::sync::Arc;

use axum::body::{Body, HttpBody};
use axum::response::Response;
use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use serde::de::DeserializeOwned;

use crate::http::config::{BODY_BYTES, BODY_TIMEOUT};
use crate::http::content_type::is_json;
use crate::http::metrics::Limit;
use crate::http::reply;
use crate::http::reply_budget::{Holder, Reservation, plain_refusal};
use crate::http::shared::Shared;

/// Reads a body.
pub(crate) async fn read(body: Body) -> Result<Bytes, Response> {
    read_within(body, BODY_BYTES).await
}

/// Reads a body within a bound. Its memory is reserved first, until the reservation is dropped.
pub(crate) async fn read_reserved(
    shared: &Shared,
    holder: Holder,
    body: Body,
    most: usize,
) -> Result<(Bytes, Arc<Reservation>), Response> {
    if usize::try_from(body.size_hint().lower()).is_ok_and(|least| least > most) {
        return Err(too_long(most));
    }
    let memory = shared.replies.reserve(holder, memory_within(&body, most)).await.map_err(|full| {
        shared.metrics.limit_reached(Limit::Replies);
        plain_refusal(full)
    })?;
    Ok((read_within(body, most).await?, memory))
}

async fn read_within(body: Body, most: usize) -> Result<Bytes, Response> {
    match tokio::time::timeout(BODY_TIMEOUT, Limited::new(body, most).collect()).await {
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(too_long(most)),
        Ok(Err(_)) => Err(reply::error(StatusCode::BAD_REQUEST, "the body did not arrive whole")),
        Err(_) => Err(reply::error(StatusCode::REQUEST_TIMEOUT, "the body took too long to arrive")),
    }
}

fn too_long(most: usize) -> Response {
    reply::error(StatusCode::PAYLOAD_TOO_LARGE, &format!("the body is longer than {most} bytes"))
}

/// The memory to reserve for a body and the message that is parsed from it.
pub(crate) fn memory_for(body: &Body) -> usize {
    memory_within(body, BODY_BYTES)
}

fn memory_within(body: &Body, most: usize) -> usize {
    let length = body.size_hint().exact().and_then(|length| usize::try_from(length).ok());
    length.unwrap_or(most).min(most).saturating_mul(2)
}

/// Reads a body that is a JSON object within a bound, in memory that is reserved first; none if it is empty.
pub(crate) async fn read_object_reserved<T: DeserializeOwned>(
    shared: &Shared,
    holder: Holder,
    headers: &HeaderMap,
    body: Body,
    most: usize,
) -> Result<Option<T>, Response> {
    let (body, _memory) = read_reserved(shared, holder, body, most).await?;
    object_of(headers, &body).map_err(|refusal| *refusal)
}

/// Reads a body that is a JSON object, in memory that the caller has reserved; none if it is empty.
pub(crate) async fn read_object<T: DeserializeOwned>(
    headers: &HeaderMap,
    body: Body,
) -> Result<Option<T>, Response> {
    object_of(headers, &read(body).await?).map_err(|refusal| *refusal)
}

fn object_of<T: DeserializeOwned>(headers: &HeaderMap, body: &[u8]) -> Result<Option<T>, Box<Response>> {
    if body.is_empty() {
        return Ok(None);
    }
    if !is_json(headers) {
        let text = "send `Content-Type: application/json`";
        return Err(Box::new(reply::error(StatusCode::UNSUPPORTED_MEDIA_TYPE, text)));
    }
    let text = std::str::from_utf8(body).unwrap_or_default().trim_start();
    if !text.starts_with('{') {
        let text = "the body must be a JSON object";
        return Err(Box::new(reply::error(StatusCode::BAD_REQUEST, text)));
    }
    serde_json::from_slice(body).map(Some).map_err(|error| {
        Box::new(reply::error(StatusCode::BAD_REQUEST, &format!("the body cannot be used: {error}")))
    })
}
