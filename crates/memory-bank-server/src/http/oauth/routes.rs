//! The routes of OAuth. None needs a key.

use std::sync::Arc;

use axum::Router;
use axum::routing::{get, post};

use crate::http::oauth::{authorize, grants, metadata, openid, page, register, token};
use crate::http::shared::Shared;

/// Their paths are also in `http::routes`.
pub(crate) fn routes() -> Router<Arc<Shared>> {
    Router::new()
        .route("/.well-known/oauth-protected-resource", get(metadata::of_server))
        .route("/.well-known/oauth-protected-resource/mcp", get(metadata::of_endpoint))
        .route("/.well-known/oauth-authorization-server", get(metadata::authorization_server))
        .route("/.well-known/openid-configuration", get(metadata::authorization_server))
        .route("/oauth/authorize", get(authorize::begin).post(authorize::decide))
        .route("/oauth/sign-in", post(authorize::sign_in))
        .route("/oauth/openid", post(openid::begin))
        .route("/oauth/openid/callback", get(openid::callback))
        .route("/oauth/token", post(token::exchange))
        .route("/oauth/revoke", post(token::revoke))
        .route("/oauth/register", post(register::register))
        .route("/oauth/grants", get(grants::list).post(grants::change))
        .route("/oauth/style.css", get(page::style))
}
