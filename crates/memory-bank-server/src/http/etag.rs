//! Etags of replies (RFC 9110): a client that has a reply already gets 304 without a body.

use axum::response::{IntoResponse, Response};
use http::header::{ETAG, IF_NONE_MATCH};
use http::{HeaderMap, HeaderValue, StatusCode};
use memory_bank_core::document::Etag;

/// The etag of a text, as a header.
pub(crate) fn of(text: &str) -> Option<HeaderValue> {
    HeaderValue::from_str(&format!("\"{}\"", Etag::of(text))).ok()
}

/// Whether the client has the reply with this etag.
pub(crate) fn is_known(headers: &HeaderMap, etag: &HeaderValue) -> bool {
    let known = headers.get_all(IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
    known
        .flat_map(|value| value.split(','))
        .map(str::trim)
        .any(|known| known == "*" || known.strip_prefix("W/").unwrap_or(known).as_bytes() == etag.as_bytes())
}

/// 304, with the etag.
pub(crate) fn not_modified(etag: &HeaderValue) -> Response {
    let mut response = StatusCode::NOT_MODIFIED.into_response();
    response.headers_mut().insert(ETAG, etag.clone());
    response
}
