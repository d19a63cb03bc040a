//! The layer in front of every route that needs a key: authentication, then rate limits; the reply reports both.

use std::net::IpAddr;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use http::header::{AUTHORIZATION, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use memory_bank_core::caller::KeyId;
use memory_bank_core::identity::KeyHash;
use memory_bank_core::limiter::{Admission, Limiter, Origin, Verdict};
use serde_json::json;

use crate::http::addresses::network;
use crate::http::api::root::ROOT;
use crate::http::auth::{AuthError, Authenticated, OutsideToken, Presented, presented};
use crate::http::client_address::client_address;
use crate::http::invalidation::Invalidation;
use crate::http::oauth::{Challenge, FirstSight, ServerUrl};
use crate::http::shared::Shared;
use crate::http::{oauth, reply, unavailable};
use crate::mcp::errors::UNREACHABLE_RETRY;

const LIMIT: HeaderName = HeaderName::from_static("x-ratelimit-limit");
const REMAINING: HeaderName = HeaderName::from_static("x-ratelimit-remaining");
const RESET: HeaderName = HeaderName::from_static("x-ratelimit-reset");

pub(crate) async fn layer(State(shared): State<Arc<Shared>>, mut request: Request, next: Next) -> Response {
    let address = client_address(&request, shared.config.trust_proxy_hops);
    let own_url = shared.oauth_url(&request);
    let (credential, is_console) = match presented(request.headers()) {
        Presented::Nothing if is_api(&request) => {
            let sessions = oauth::console_session::presented(&shared, &request);
            let session = session_among(&shared, &sessions, address).await;
            (session.map_or(Presented::Nothing, Presented::Token), session.is_some())
        }
        found => (found, false),
    };
    let (verdict, outcome) = admit(&shared, credential, address, own_url.as_ref()).await;
    let outcome = outcome.map(|known| Authenticated { is_console, ..known });
    let ends_session = request.method() == Method::DELETE && is_mcp(&request);
    let spared = match &outcome {
        Ok(known) if !verdict.admitted && ends_session => may_end_session(&shared, known).await,
        _ => false,
    };
    let mut response = if !verdict.admitted && !spared {
        shared.metrics.rate_limited(&verdict);
        too_many(&verdict)
    } else {
        match outcome {
            Ok(Authenticated { is_token: true, .. }) if !takes_tokens(&request) => {
                reply::error(StatusCode::FORBIDDEN, oauth::NOT_FOR_TOKENS)
            }
            Ok(authenticated) => {
                shared.addresses.used(authenticated.caller.key, &authenticated.hash, address);
                // The layers below do not need the key.
                request.headers_mut().remove("x-api-key");
                request.headers_mut().remove(AUTHORIZATION);
                request.extensions_mut().insert(authenticated);
                next.run(request).await
            }
            Err(error) => {
                shared.metrics.auth_failed(&error);
                match error {
                    AuthError::Unavailable(error) if is_mcp(&request) => {
                        unavailable::without_key(&shared, request, &error).await
                    }
                    error => unauthorized(&error),
                }
            }
        }
    };
    oauth::complete_challenge(&mut response, own_url.as_ref());
    set_rate_limit_headers(&shared, response.headers_mut(), &verdict);
    response
}

/// The session of the console that a request has, which opens what the console shows. A browser may send several cookies of the name;
/// if none of them is a session, it is the first.
async fn session_among(shared: &Shared, sessions: &[KeyHash], address: Option<IpAddr>) -> Option<KeyHash> {
    let first = sessions.first().copied();
    if sessions.len() < 2 {
        return first;
    }
    for session in sessions {
        match find(shared, session, address.map(network)).await {
            Ok(Ok(_)) => return Some(*session),
            // The database cannot be reached, or too many were looked up.
            Ok(Err(AuthError::Unavailable(_))) | Err(_) => break,
            Ok(Err(_)) => {}
        }
    }
    first
}

/// Routes that change no keys: a key that a token made would outlive the token.
fn takes_tokens(request: &Request) -> bool {
    is_mcp(request) || is_api(request)
}

fn is_api(request: &Request) -> bool {
    request.uri().path().starts_with(ROOT)
}

fn is_mcp(request: &Request) -> bool {
    matches!(request.uri().path(), "/mcp" | "/mcp/")
}

/// Whether a request over its key's limit is admitted because it ends a session, which costs less than the session. A
/// key has no more sessions to end per minute than it may have and open.
async fn may_end_session(shared: &Shared, known: &Authenticated) -> bool {
    let sessions = u32::try_from(shared.config.sessions_per_key).unwrap_or(u32::MAX);
    let Some((key, limit)) = key_limit(known) else { return true };
    let key = Some((key, limit.saturating_add(sessions)));
    shared.endings.admit(Admission { key, address: None, origin: Origin::Keyed }).await.admitted
}

/// Authenticates and counts. A valid key counts against itself and, with a high bound, against its address; all else
/// counts against the address with a low bound. A key that this process does not know must be looked up; look-ups
/// have the high bound, so that guessing does not lock out clients with a key.
async fn admit(
    shared: &Shared,
    presented: Presented,
    address: Option<IpAddr>,
    own_url: Option<&ServerUrl>,
) -> (Verdict, Result<Authenticated, AuthError>) {
    let network = address.map(network);
    let found = match &presented {
        Presented::Nothing => return (admit_without_key(shared, network).await, Err(AuthError::Missing)),
        Presented::Malformed => return (admit_without_key(shared, network).await, Err(AuthError::Malformed)),
        Presented::Key(hash) | Presented::Token(hash) => find(shared, hash, network).await,
        Presented::Outside(token) => find_outside(shared, token, network, own_url).await,
    };
    let found = match found {
        Ok(found) => found,
        Err(too_many) => return (too_many, Err(AuthError::Unknown)),
    };
    let verdict = match &found {
        Ok(known) => admit_with_key(shared, known, network).await,
        // The key can neither be accepted nor rejected.
        Err(AuthError::Unavailable(_) | AuthError::IssuerUnavailable) => Verdict::PASS,
        Err(_) => admit_without_key(shared, network).await,
    };
    let is_token = !matches!(presented, Presented::Key(_));
    (verdict, found.map(|known| Authenticated { is_token, ..known }))
}

/// A key, or why it is not admitted; the verdict if too many were looked up.
async fn find(
    shared: &Shared,
    hash: &KeyHash,
    network: Option<IpAddr>,
) -> Result<Result<Authenticated, AuthError>, Verdict> {
    if let Some(known) = shared.auth.known(hash) {
        return Ok(known);
    }
    let look_up = count_look_up(shared, network).await;
    if look_up.admitted { Ok(shared.auth.look_up(hash).await) } else { Err(look_up) }
}

/// Finds the caller of a token of the outside issuer. A known token is treated like a key. Only a token whose signature was
/// verified is looked up, so that forged ones do not reach the directory.
async fn find_outside(
    shared: &Shared,
    token: &OutsideToken,
    network: Option<IpAddr>,
    own_url: Option<&ServerUrl>,
) -> Result<Result<Authenticated, AuthError>, Verdict> {
    let Some((sights, own_url)) = shared.first_sights.as_ref().zip(own_url) else {
        return Ok(Err(AuthError::Malformed));
    };
    let known = match shared.auth.known(&token.hash()) {
        Some(Ok(known)) if sights.is_settled(&known, shared.services.clock.now()) => return Ok(Ok(known)),
        Some(Err(AuthError::Revoked)) => return Ok(Err(AuthError::Revoked)),
        Some(Ok(known)) => Some(known),
        _ => None,
    };
    let look_up = count_look_up(shared, network).await;
    if !look_up.admitted {
        return known.map(Ok).ok_or(look_up);
    }
    match oauth::first_sight(shared, sights, token, own_url, known).await {
        FirstSight::Is(found) => Ok(found),
        FirstSight::TooMany(verdict) => Err(verdict),
    }
}

/// Whether a request has a valid key, for routes that need none. It does not count against the key.
pub(crate) async fn has_good_key(
    shared: &Shared,
    presented: Presented,
    own_url: Option<&ServerUrl>,
    address: Option<IpAddr>,
) -> bool {
    let network = address.map(network);
    let found = match presented {
        Presented::Nothing | Presented::Malformed => return false,
        Presented::Key(hash) | Presented::Token(hash) => find(shared, &hash, network).await,
        Presented::Outside(token) => find_outside(shared, &token, network, own_url).await,
    };
    matches!(found, Ok(Ok(_)))
}

/// Counts a look-up of a key, in this process only.
async fn count_look_up(shared: &Shared, network: Option<IpAddr>) -> Verdict {
    /// The bound if requests with a valid key have none and others do.
    const DEFAULT_LOOK_UPS: u32 = 1200;
    let config = &shared.config;
    let unbounded = config.keyed_address_limit == 0 && config.address_limit > 0;
    let most = if unbounded { DEFAULT_LOOK_UPS } else { config.keyed_address_limit };
    let Some(address) = network.zip(limit(most)) else { return Verdict::PASS };
    shared.keyless_limiter.admit(Admission { key: None, address: Some(address), origin: Origin::Keyed }).await
}

async fn admit_with_key(shared: &Shared, known: &Authenticated, network: Option<IpAddr>) -> Verdict {
    let window = network.zip(limit(shared.config.keyed_address_limit));
    count(shared, key_limit(known), window, Origin::Keyed).await
}

/// Counts a request without a valid key, in this process and for all replicas. The local count applies while Redis is
/// down, too.
async fn admit_without_key(shared: &Shared, network: Option<IpAddr>) -> Verdict {
    let inside = admit_without_key_locally(shared, network).await;
    if !inside.admitted {
        return inside;
    }
    global_or_local(inside, count(shared, None, unkeyed_window(shared, network), Origin::Unkeyed).await)
}

/// Counts a request without a valid key in this process only.
async fn admit_without_key_locally(shared: &Shared, network: Option<IpAddr>) -> Verdict {
    let Some(address) = unkeyed_window(shared, network) else { return Verdict::PASS };
    shared
        .keyless_limiter
        .admit(Admission { key: None, address: Some(address), origin: Origin::Unkeyed })
        .await
}

/// Counts a request to a route that needs no key; returns the reply if there were too many.
pub(crate) async fn refusal_without_key(shared: &Shared, address: Option<IpAddr>) -> Option<Response> {
    let verdict = admit_without_key_locally(shared, address.map(network)).await;
    if verdict.admitted {
        return None;
    }
    shared.metrics.rate_limited(&verdict);
    let mut response = too_many(&verdict);
    set_rate_limit_headers(shared, response.headers_mut(), &verdict);
    Some(response)
}

fn unkeyed_window(shared: &Shared, network: Option<IpAddr>) -> Option<(IpAddr, u32)> {
    network.zip(limit(shared.config.address_limit))
}

/// The count of all replicas, or of this one while Redis is down.
fn global_or_local(inside: Verdict, all: Verdict) -> Verdict {
    if all.address.is_some() { all } else { inside }
}

async fn count(
    shared: &Shared,
    key: Option<(KeyId, u32)>,
    address: Option<(IpAddr, u32)>,
    origin: Origin,
) -> Verdict {
    if key.is_none() && address.is_none() {
        return Verdict::PASS;
    }
    shared.limiter.admit(Admission { key, address, origin }).await
}

fn limit(limit: u32) -> Option<u32> {
    (limit > 0).then_some(limit)
}

fn key_limit(authenticated: &Authenticated) -> Option<(KeyId, u32)> {
    authenticated.counted_as.zip(limit(authenticated.rate_limit))
}

/// The store found an admitted key void: evict it here, in the shared cache and on other replicas. Returns why it is
/// void.
pub(crate) async fn void(shared: &Shared, who: &Authenticated) -> AuthError {
    let error = shared.auth.why_void(who).await;
    shared.metrics.auth_failed(&error);
    let revoked = who.caller.key.filter(|_| matches!(error, AuthError::Revoked));
    shared.invalidations.send(Invalidation::key_changed(&who.hash, revoked.map(|key| key.0))).await;
    error
}

/// Verifies the key with the directory, past every cache: for requests that do not use the store.
pub(crate) async fn proven(shared: &Shared, who: &Authenticated) -> Result<(), AuthError> {
    match shared.auth.proven(who).await {
        Ok(true) => Ok(()),
        Ok(false) => Err(void(shared, who).await),
        Err(error) => Err(AuthError::Unavailable(error)),
    }
}

/// The reply to a refused request, in the form of the REST routes. For MCP clients, a server that cannot look up keys
/// has failed: [`unavailable::without_key`].
pub(crate) fn unauthorized(error: &AuthError) -> Response {
    if let AuthError::Unavailable(detail) = error {
        tracing::error!(error = %detail, "keys cannot be looked up");
        let response = reply::error(StatusCode::SERVICE_UNAVAILABLE, error.text());
        return reply::with_retry_after(response, UNREACHABLE_RETRY);
    }
    if matches!(error, AuthError::IssuerUnavailable) {
        let response = reply::error(StatusCode::SERVICE_UNAVAILABLE, error.text());
        return reply::with_retry_after(response, UNREACHABLE_RETRY);
    }
    if matches!(error, AuthError::NotAdmitted(_) | AuthError::NoScope) {
        // Another sign-in helps only against a missing scope.
        let mut response = reply::error(StatusCode::FORBIDDEN, error.text());
        if matches!(error, AuthError::NoScope) {
            response.extensions_mut().insert(Challenge::Insufficient(oauth::FIRST_RIGHTS));
        }
        return response;
    }
    let mut response = reply::error(StatusCode::UNAUTHORIZED, error.text());
    response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    response.extensions_mut().insert(match error {
        AuthError::Missing => Challenge::Missing,
        error => Challenge::Invalid(error.text()),
    });
    response
}

fn too_many(verdict: &Verdict) -> Response {
    let seconds = verdict.tightest().map_or(1, |window| window.reset.as_millis().div_ceil(1000)).max(1);
    let body = json!({"error": "Too many requests", "retryAfter": u64::try_from(seconds).unwrap_or(60)});
    let mut response = reply::json(StatusCode::TOO_MANY_REQUESTS, &body);
    if let Ok(value) = HeaderValue::from_str(&seconds.to_string()) {
        response.headers_mut().insert(RETRY_AFTER, value);
    }
    response
}

/// The tightest window, as headers; the reset is a time, in seconds since 1970.
fn set_rate_limit_headers(shared: &Shared, headers: &mut HeaderMap, verdict: &Verdict) {
    let Some(window) = verdict.tightest() else { return };
    let reset = shared.services.clock.now().as_second().saturating_add_unsigned(window.reset.as_secs() + 1);
    headers.insert(LIMIT, HeaderValue::from(window.limit));
    headers.insert(REMAINING, HeaderValue::from(window.remaining));
    headers.insert(RESET, HeaderValue::from(reset));
}
