//! The OpenAPI description of the REST routes.

use std::io::Read as _;
use std::sync::LazyLock;

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use flate2::read::GzDecoder;
use http::header::{CONTENT_TYPE, ETAG};
use http::{HeaderMap, HeaderValue, StatusCode};

use crate::http::{etag, reply};

/// `openapi.json`, which is made of the handlers' attributes by a test. The code that makes it would be 0.3 MB of the program.
static COMPRESSED: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/openapi.json.gz"));

/// The description as it is sent, and its etag. It is the same for all clients.
static DESCRIPTION: LazyLock<Option<(Bytes, HeaderValue)>> = LazyLock::new(|| {
    let mut text = String::new();
    GzDecoder::new(COMPRESSED).read_to_string(&mut text).ok()?;
    let etag = etag::of(&text)?;
    Some((Bytes::from(text), etag))
});

/// `GET /api/openapi.json`
pub(crate) async fn describe(headers: HeaderMap) -> Response {
    let Some((text, etag)) = &*DESCRIPTION else {
        return reply::error(StatusCode::INTERNAL_SERVER_ERROR, "the server failed");
    };
    if etag::is_known(&headers, etag) {
        return etag::not_modified(etag);
    }
    let mut response = Response::new(Body::from(text.clone()));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response.headers_mut().insert(ETAG, etag.clone());
    response
}

#[cfg(test)]
mod description;

#[cfg(test)]
mod tests {
    use http::header::IF_NONE_MATCH;

    use super::*;

    #[test]
    fn the_description_is_that_of_the_handlers() {
        let generated = description::text();
        let file = concat!(env!("CARGO_MANIFEST_DIR"), "/openapi.json");
        if std::env::var_os("UPDATE_DOCS").is_some() {
            std::fs::write(file, &generated).unwrap();
            return;
        }
        let (embedded, _) = DESCRIPTION.as_ref().unwrap();
        let is_current = *embedded == generated.as_bytes();
        assert!(is_current, "openapi.json is out of date: run this test with UPDATE_DOCS=1");
    }

    #[test]
    fn the_description_has_the_bounds_of_the_core() {
        use memory_bank_core::limits;
        use serde_json::{Value, json};

        let (text, _) = DESCRIPTION.as_ref().unwrap();
        let description: Value = serde_json::from_slice(text).unwrap();
        for body in ["CreateKey", "UpdateKey"] {
            let bound = |member: &str, name: &str| {
                description
                    .pointer(&format!("/components/schemas/{body}/properties/{member}/{name}"))
                    .cloned()
            };
            assert_eq!(bound("label", "maxLength"), Some(json!(limits::KEY_LABEL_CHARS)), "{body}");
            assert_eq!(bound("rateLimit", "maximum"), Some(json!(limits::KEY_RATE_LIMIT_MAX)), "{body}");
        }
        let days = "/components/schemas/CreateKey/properties/expiresInDays/maximum";
        assert_eq!(description.pointer(days), Some(&json!(limits::KEY_LIFETIME_DAYS_MAX)));
    }

    #[tokio::test]
    async fn the_description_has_the_same_bytes_for_all_clients_and_is_not_sent_again() {
        let first = describe(HeaderMap::new()).await;
        let etag = first.headers()[ETAG].clone();
        let body =
            |response: Response| async { axum::body::to_bytes(response.into_body(), 1 << 20).await.unwrap() };
        let first = body(first).await;
        assert_eq!(first.as_ptr(), body(describe(HeaderMap::new()).await).await.as_ptr());
        let known = HeaderMap::from_iter([(IF_NONE_MATCH, etag)]);
        let again = describe(known).await;
        assert_eq!(again.status(), StatusCode::NOT_MODIFIED);
        assert!(body(again).await.is_empty());
        let other = HeaderMap::from_iter([(IF_NONE_MATCH, HeaderValue::from_static("\"other\""))]);
        assert_eq!(describe(other).await.status(), StatusCode::OK);
    }
}
