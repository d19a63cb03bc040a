//! Makes the description of the attributes of the handlers.

use utoipa::openapi::Required;
use utoipa::openapi::security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::{Modify, OpenApi};

use crate::http::{api, history, keys};

#[derive(OpenApi)]
#[openapi(
    info(title = "Memory Bank MCP", 
        description = "The documents of a project, their history, search and digest (`/api/v1`), and management of API keys. MCP itself is at \
            `/mcp`; the endpoints of OAuth are described by `/.well-known/oauth-authorization-server` (RFC 8414)."
    ),
    paths(
        keys::list, keys::create, keys::update, keys::revoke, keys::rotate, history::list, history::show, history::diff,
        history::proposals::list, api::session::read, api::documents::list, api::documents::read, api::names::check, api::document_changes::write, api::document_changes::rename, api::document_changes::delete,
        api::digest::read, api::search::documents, api::graph::search, api::graph::entity, api::mentions::list, api::graph_changes::record, api::graph_changes::end, api::picture::picture,
        api::history::list, api::history::show, api::history::diff, api::origins::blame, api::undo::undo,
        api::events::watch, api::sessions::list, api::members::list, api::members::invite, api::members::change, api::members::remove, api::members::replace_invitation, api::access::list_keys,
        api::access::create_key, api::access::change_key, api::access::revoke_key, api::access::list_grants, api::access::revoke_grant, api::audit::list, api::calls::list, api::health::read
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

/// The file `openapi.json`.
pub(super) fn text() -> String {
    let mut text = serde_json::to_string_pretty(&Description::openapi()).unwrap();
    text.push('\n');
    text
}
