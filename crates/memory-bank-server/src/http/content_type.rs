//! The type of a body, by its `Content-Type`.

use axum::response::Response;
use http::HeaderMap;
use http::header::CONTENT_TYPE;

/// Whether a body is JSON.
pub(crate) fn is_json(headers: &HeaderMap) -> bool {
    has_type(headers, "application/json")
}

/// Whether a reply is a stream of server-sent events.
pub(crate) fn is_event_stream(response: &Response) -> bool {
    has_type(response.headers(), "text/event-stream")
}

fn has_type(headers: &HeaderMap, essence: &str) -> bool {
    let named = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    named.is_some_and(|named| {
        named.split(';').next().is_some_and(|named| named.trim().eq_ignore_ascii_case(essence))
    })
}
