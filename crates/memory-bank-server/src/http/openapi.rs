//! The OpenAPI description of the REST routes.

use std::sync::LazyLock;

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use http::header::{CONTENT_TYPE, ETAG};
use http::{HeaderMap, HeaderValue, StatusCode};
use utoipa::openapi::Required;
use utoipa::openapi::security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::{Modify, OpenApi};

use crate::http::{api, etag, history, keys, reply};

#[derive(OpenApi)]
#[openapi(
    info(title = "Memory Bank MCP", 
        description = "The documents of a project, their history, search and digest (`/api/v1`), and management of API keys. MCP itself is at \
            `/mcp`; the endpoints of OAuth are described by `/.well-known/oauth-authorization-server` (RFC 8414)."
    ),
    paths(
        keys::list, keys::create, keys::update, keys::revoke, keys::rotate, history::list, history::show, history::diff,
        history::proposals::list, api::session::read, api::documents::list, api::documents::read, api::documents::write, api::digest::read, api::search::documents, api::graph::search, api::graph::entity,
        api::history::list, api::history::show, api::history::diff
    ),
    security(("bearer" = []), ("apiKey" = [])),
    modifiers(&Security, &OptionalBody)
)]
struct Description;

struct Security;

impl Modify for Security {
    fn modify(&self, openapi: &mut utoipa::openapi::OpenApi) {
        let components = openapi.components.get_or_insert_with(Default::default);
        let bearer = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).build();
        components.add_security_scheme("bearer", SecurityScheme::Http(bearer));
        components.add_security_scheme(
            "apiKey",
            SecurityScheme::ApiKey(ApiKey::Header(ApiKeyValue::new("X-API-Key"))),
        );
    }
}

/// The body that creates a key is optional; the macro makes every body required.
struct OptionalBody;

impl Modify for OptionalBody {
    fn modify(&self, openapi: &mut utoipa::openapi::OpenApi) {
        let create = openapi.paths.paths.get_mut("/api/keys").and_then(|path| path.post.as_mut());
        if let Some(body) = create.and_then(|create| create.request_body.as_mut()) {
            body.required = Some(Required::False);
        }
    }
}

/// The description as it is sent, and its etag. It is the same for all clients, so it is made once.
static DESCRIPTION: LazyLock<Option<(Bytes, HeaderValue)>> = LazyLock::new(|| {
    let text = serde_json::to_string(&Description::openapi()).ok()?;
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
mod tests {
    use http::header::IF_NONE_MATCH;

    use super::*;

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
