//! Reads the body of a request, within bounds of size and time.

use axum::body::{Body, HttpBody};
use axum::response::Response;
use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use serde::de::DeserializeOwned;

use crate::http::config::{BODY_BYTES, BODY_TIMEOUT};
use crate::http::content_type::is_json;
use crate::http::reply;

/// Reads a body.
pub(crate) async fn read(body: Body) -> Result<Bytes, Response> {
    match tokio::time::timeout(BODY_TIMEOUT, Limited::new(body, BODY_BYTES).collect()).await {
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => {
            let text = format!("the body is longer than {BODY_BYTES} bytes");
            Err(reply::error(StatusCode::PAYLOAD_TOO_LARGE, &text))
        }
        Ok(Err(_)) => Err(reply::error(StatusCode::BAD_REQUEST, "the body did not arrive whole")),
        Err(_) => Err(reply::error(StatusCode::REQUEST_TIMEOUT, "the body took too long to arrive")),
    }
}

/// The memory to reserve for a body and the message that is parsed from it.
pub(crate) fn memory_for(body: &Body) -> usize {
    let length = body.size_hint().exact().and_then(|length| usize::try_from(length).ok());
    length.unwrap_or(BODY_BYTES).min(BODY_BYTES).saturating_mul(2)
}

/// Reads a body that is a JSON object; none if it is empty.
pub(crate) async fn read_object<T: DeserializeOwned>(
    headers: &HeaderMap,
    body: Body,
) -> Result<Option<T>, Response> {
    let body = read(body).await?;
    if body.is_empty() {
        return Ok(None);
    }
    if !is_json(headers) {
        return Err(reply::error(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "send `Content-Type: application/json`",
        ));
    }
    let text = std::str::from_utf8(&body).unwrap_or_default().trim_start();
    if !text.starts_with('{') {
        return Err(reply::error(StatusCode::BAD_REQUEST, "the body must be a JSON object"));
    }
    serde_json::from_slice(&body)
        .map(Some)
        .map_err(|error| reply::error(StatusCode::BAD_REQUEST, &format!("the body cannot be used: {error}")))
}
