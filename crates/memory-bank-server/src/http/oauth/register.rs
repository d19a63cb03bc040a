//! `POST /oauth/register`: a client registers itself (RFC 7591). Most clients are public; what they call themselves is
//! nowhere trusted.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Request, State};
use axum::response::Response;
use http::StatusCode;
use memory_bank_core::identity::{ClientKeys, NewClient, PlainToken, TokenKind};
use memory_bank_core::limiter::AttemptKind;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::http::body::read_object_reserved;
use crate::http::client_address::client_address;
use crate::http::oauth::client_keys::{Authentication, PRIVATE_KEY_JWT};
use crate::http::oauth::expiry::after;
use crate::http::oauth::names::clean_name;
use crate::http::oauth::reply::{ErrorCode, error, not_offered, unavailable};
use crate::http::oauth::{attempts, redirect_uri};
use crate::http::reply;
use crate::http::reply_budget::Holder;
use crate::http::shared::Shared;

/// How long a client is kept that no user lets in.
const WAITING_LIFE: Duration = Duration::from_secs(24 * 3600);
/// The most redirect URIs of a client.
const MAX_URIS: usize = 10;
/// The longest body, in bytes: a client may send its keys.
const BODY_BYTES: usize = 64 * 1024;

/// What a client reports of itself, as far as it matters here.
#[derive(Deserialize)]
struct Metadata {
    #[serde(default)]
    redirect_uris: Vec<String>,
    #[serde(default)]
    client_name: Option<String>,
    #[serde(default)]
    grant_types: Option<Vec<String>>,
    #[serde(default)]
    response_types: Option<Vec<String>>,
    #[serde(flatten)]
    authentication: Authentication,
}

/// `POST /oauth/register`
pub(crate) async fn register(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    let Some((_, store)) = shared.oauth_url(&request).zip(shared.oauth.clone()) else {
        return not_offered();
    };
    let address = client_address(&request, shared.config.trust_proxy_hops);
    if let Some(refusal) = attempts::refusal(&shared, AttemptKind::Registration, address).await {
        return refusal;
    }
    let (parts, body) = request.into_parts();
    let holder = Holder::without_key(&parts.extensions);
    let metadata: Metadata =
        match read_object_reserved(&shared, holder, &parts.headers, body, BODY_BYTES).await {
            Ok(Some(metadata)) => metadata,
            Ok(None) => return error(ErrorCode::InvalidClientMetadata, "the body must be a JSON object"),
            Err(response) if response.status() == StatusCode::BAD_REQUEST => {
                return error(ErrorCode::InvalidClientMetadata, "the body is not the metadata of a client");
            }
            Err(response) => return response,
        };
    if let Some(refusal) = refused(&metadata) {
        return refusal;
    }
    let keys = match metadata.authentication.keys() {
        Ok(Some(ClientKeys::Address(_))) if !shared.config.client_documents => {
            let text = "this server fetches no keys of applications; register `jwks` instead of `jwks_uri`";
            return error(ErrorCode::InvalidClientMetadata, text);
        }
        Ok(keys) => keys,
        Err(why) => return error(ErrorCode::InvalidClientMetadata, why),
    };
    let now = shared.services.clock.now();
    let host = metadata.redirect_uris.first().and_then(|uri| redirect_uri::parse(uri));
    let name = metadata.client_name.as_deref().and_then(clean_name);
    let name = name.or_else(|| host.as_ref().map(redirect_uri::shown_host)).unwrap_or_default();
    let client = NewClient {
        id: PlainToken::generate(TokenKind::Client, &*shared.services.entropy).expose().to_owned(),
        name,
        redirect_uris: metadata.redirect_uris,
        expires_at: after(now, WAITING_LIFE),
        keys,
    };
    match store.register(&client).await {
        Ok(true) => reply::json(StatusCode::CREATED, &registered(&client, now.as_second())),
        Ok(false) => {
            let text = "too many clients register at the moment; try again in ten minutes";
            reply::with_retry_after(error(ErrorCode::TemporarilyUnavailable, text), 600)
        }
        Err(failure) => unavailable(&failure),
    }
}

fn refused(metadata: &Metadata) -> Option<Response> {
    let uris = &metadata.redirect_uris;
    if uris.is_empty() || uris.len() > MAX_URIS {
        let text = format!("`redirect_uris` takes 1 to {MAX_URIS}");
        return Some(error(ErrorCode::InvalidRedirectUri, &text));
    }
    if uris.iter().any(|uri| redirect_uri::parse(uri).is_none()) {
        let text = "a redirect URI has https, http on this machine, or the scheme of a program, without fragment and user";
        return Some(error(ErrorCode::InvalidRedirectUri, text));
    }
    let lacks = |list: &Option<Vec<String>>, word: &str| {
        list.as_ref().is_some_and(|list| !list.is_empty() && !list.iter().any(|known| known == word))
    };
    if lacks(&metadata.grant_types, "authorization_code") || lacks(&metadata.response_types, "code") {
        let text =
            "`grant_types` takes `authorization_code` and `refresh_token`, `response_types` takes `code`";
        return Some(error(ErrorCode::InvalidClientMetadata, text));
    }
    None
}

/// What was registered. A client that wanted a secret learns that it has none.
fn registered(client: &NewClient, now: i64) -> Value {
    let method = if client.keys.is_some() { PRIVATE_KEY_JWT } else { "none" };
    let mut registered = json!({
        "client_id": client.id,
        "client_id_issued_at": now,
        "client_name": client.name,
        "redirect_uris": client.redirect_uris,
        "grant_types": ["authorization_code", "refresh_token"],
        "response_types": ["code"],
        "token_endpoint_auth_method": method,
    });
    let keys = match &client.keys {
        Some(ClientKeys::Set(set)) => serde_json::from_str(set).ok().map(|set| ("jwks", set)),
        Some(ClientKeys::Address(address)) => Some(("jwks_uri", json!(address))),
        None => None,
    };
    if let Some(members) = registered.as_object_mut() {
        members.extend(keys.map(|(name, keys): (&str, Value)| (name.to_owned(), keys)));
    }
    registered
}
