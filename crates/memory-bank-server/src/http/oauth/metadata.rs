//! The documents by which clients find the authorization server and its endpoints (RFC 9728, RFC 8414).

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::response::Response;
use http::StatusCode;
use memory_bank_core::caller::Rights;
use serde_json::{Value, json};

use crate::http::oauth::challenge::{FIRST_RIGHTS, scope};
use crate::http::oauth::client_keys::PRIVATE_KEY_JWT;
use crate::http::oauth::issuer::Algorithm;
use crate::http::oauth::{FirstSights, ServerUrl};
use crate::http::reply;
use crate::http::shared::Shared;

/// `GET /.well-known/oauth-protected-resource`: for clients that ask for the origin, whatever the path of the endpoint.
pub(crate) async fn of_server(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    described(&shared, &request, |server| resource(&shared, server, server.issuer()))
}

/// `GET /.well-known/oauth-protected-resource/mcp`
pub(crate) async fn of_endpoint(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    described(&shared, &request, |server| resource(&shared, server, &server.resource()))
}

/// `GET /.well-known/oauth-authorization-server`, and the path of OpenID, which some clients try first. There are no id
/// tokens.
pub(crate) async fn authorization_server(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    described(&shared, &request, |server| {
        json!({
            "issuer": server.issuer(),
            "authorization_endpoint": server.path("/oauth/authorize"),
            "token_endpoint": server.path("/oauth/token"),
            "revocation_endpoint": server.path("/oauth/revoke"),
            "registration_endpoint": server.path("/oauth/register"),
            "scopes_supported": scopes(Rights::ALL),
            "response_types_supported": ["code"],
            "response_modes_supported": ["query"],
            "grant_types_supported": ["authorization_code", "refresh_token"],
            "token_endpoint_auth_methods_supported": ["none", PRIVATE_KEY_JWT],
            "token_endpoint_auth_signing_alg_values_supported": Algorithm::NAMES,
            "revocation_endpoint_auth_methods_supported": ["none", PRIVATE_KEY_JWT],
            "revocation_endpoint_auth_signing_alg_values_supported": Algorithm::NAMES,
            "code_challenge_methods_supported": ["S256"],
            "authorization_response_iss_parameter_supported": true,
            "client_id_metadata_document_supported": shared.config.client_documents,
        })
    })
}

fn described(shared: &Shared, request: &Request, body: impl FnOnce(&ServerUrl) -> Value) -> Response {
    match shared.oauth_url(request) {
        Some(server) => reply::json(StatusCode::OK, &body(&server)),
        None => reply::error(StatusCode::NOT_FOUND, "Not found"),
    }
}

/// The scopes are those that a client needs to begin with; a challenge names further ones. Clients take the first
/// authorization server, so an outside one comes before the server's own.
fn resource(shared: &Shared, server: &ServerUrl, resource: &str) -> Value {
    let outside = shared.first_sights.as_ref().and_then(FirstSights::listed_issuer);
    let servers: Vec<&str> = outside.into_iter().chain([server.issuer()]).collect();
    json!({
        "resource": resource,
        "authorization_servers": servers,
        "scopes_supported": scopes(FIRST_RIGHTS),
        "bearer_methods_supported": ["header"],
        "resource_name": "Memory Bank",
    })
}

fn scopes(rights: Rights) -> Vec<String> {
    scope(rights).split(' ').map(str::to_owned).collect()
}
