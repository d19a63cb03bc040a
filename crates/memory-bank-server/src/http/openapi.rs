//! The description of the REST routes, for people and for tools.

use axum::response::Response;
use http::StatusCode;
use utoipa::openapi::Required;
use utoipa::openapi::security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::{Modify, OpenApi};

use crate::http::{keys, reply};

#[derive(OpenApi)]
#[openapi(
    info(title = "Memory Bank MCP", description = "Management of API keys. MCP itself is at `/mcp`."),
    paths(keys::list, keys::create, keys::update, keys::revoke, keys::rotate),
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

/// A key can be made without a word about it; the macro takes every body for required.
struct OptionalBody;

impl Modify for OptionalBody {
    fn modify(&self, openapi: &mut utoipa::openapi::OpenApi) {
        let create = openapi.paths.paths.get_mut("/api/keys").and_then(|path| path.post.as_mut());
        if let Some(body) = create.and_then(|create| create.request_body.as_mut()) {
            body.required = Some(Required::False);
        }
    }
}

/// `GET /api/openapi.json`
pub(crate) async fn describe() -> Response {
    match serde_json::to_value(Description::openapi()) {
        Ok(description) => reply::json(StatusCode::OK, &description),
        Err(_) => reply::error(StatusCode::INTERNAL_SERVER_ERROR, "the server failed"),
    }
}
