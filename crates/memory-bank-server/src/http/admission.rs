//! The layer in front of everything that needs a key: authentication, then the limits, both told in the reply.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use http::header::{AUTHORIZATION, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use memory_bank_core::caller::KeyId;
use memory_bank_core::limiter::{Admission, Verdict};
use serde_json::json;

use crate::http::addresses::network;
use crate::http::auth::{AuthError, Authenticated, Presented, presented};
use crate::http::shared::Shared;
use crate::http::{forwarded, reply};

const LIMIT: HeaderName = HeaderName::from_static("x-ratelimit-limit");
const REMAINING: HeaderName = HeaderName::from_static("x-ratelimit-remaining");
const RESET: HeaderName = HeaderName::from_static("x-ratelimit-reset");

/// The other end of the connection that a request came over.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PeerAddress(pub(crate) SocketAddr);

pub(crate) async fn layer(State(shared): State<Arc<Shared>>, mut request: Request, next: Next) -> Response {
    let address = client_address(&request, shared.config.trust_proxy_hops);
    let (verdict, outcome) = admit(&shared, request.headers(), address).await;
    let mut response = if !verdict.admitted {
        shared.metrics.too_many(&verdict);
        too_many(&verdict)
    } else {
        match outcome {
            Ok(authenticated) => {
                shared.addresses.used(authenticated.caller.key, &authenticated.hash, address);
                // Nothing behind this layer needs the key.
                request.headers_mut().remove("x-api-key");
                request.headers_mut().remove(AUTHORIZATION);
                request.extensions_mut().insert(authenticated);
                next.run(request).await
            }
            Err(error) => {
                shared.metrics.not_let_in(&error);
                unauthorized(&error)
            }
        }
    };
    tell(&shared, response.headers_mut(), &verdict);
    response
}

/// Authenticates and counts. A key that this process knows is counted together with the address; anything else counts
/// against the address first, so that guessing is slowed down before it costs a look-up.
async fn admit(
    shared: &Shared,
    headers: &HeaderMap,
    address: Option<IpAddr>,
) -> (Verdict, Result<Authenticated, AuthError>) {
    let by_address = address.map(network).zip(limit(shared.config.address_limit));
    let hash = match presented(headers) {
        Presented::Key(hash) => hash,
        Presented::Nothing => return (count(shared, None, by_address).await, Err(AuthError::Missing)),
        Presented::Malformed => return (count(shared, None, by_address).await, Err(AuthError::Malformed)),
    };
    if let Some(known) = shared.auth.known(&hash) {
        let by_key = known.as_ref().ok().and_then(key_limit);
        return (count(shared, by_key, by_address).await, known);
    }
    let first = count(shared, None, by_address).await;
    if !first.admitted {
        return (first, Err(AuthError::Unknown));
    }
    let found = shared.auth.look_up(&hash).await;
    let verdict = match found.as_ref().ok().and_then(key_limit) {
        Some(by_key) => Verdict { address: first.address, ..count(shared, Some(by_key), None).await },
        None => first,
    };
    (verdict, found)
}

async fn count(shared: &Shared, key: Option<(KeyId, u32)>, address: Option<(IpAddr, u32)>) -> Verdict {
    if key.is_none() && address.is_none() {
        return Verdict::PASS;
    }
    shared.limiter.admit(Admission { key, address }).await
}

fn limit(limit: u32) -> Option<u32> {
    (limit > 0).then_some(limit)
}

fn key_limit(authenticated: &Authenticated) -> Option<(KeyId, u32)> {
    authenticated.caller.key.zip(limit(authenticated.rate_limit))
}

/// The reply to a request whose key was let in, and which the store then found void.
pub(crate) async fn void(shared: &Shared, who: &Authenticated) -> Response {
    shared.auth.forget_everywhere(&who.hash).await;
    // Under its own hash the key may be known, too, should a cache have given it to another.
    if let Some(key) = who.caller.key {
        shared.auth.forget_void(key).await;
    }
    unauthorized(&AuthError::Revoked)
}

/// Has the directory prove the key, past every cache: before something begins that asks no store.
pub(crate) async fn proven(shared: &Shared, who: &Authenticated) -> Result<(), Response> {
    match shared.auth.proven(who).await {
        Ok(true) => Ok(()),
        Ok(false) => Err(void(shared, who).await),
        Err(error) => Err(unauthorized(&AuthError::Unavailable(error))),
    }
}

fn unauthorized(error: &AuthError) -> Response {
    if let AuthError::Unavailable(detail) = error {
        tracing::error!(error = %detail, "keys cannot be looked up");
        return reply::error(StatusCode::SERVICE_UNAVAILABLE, error.text());
    }
    let mut response = reply::error(StatusCode::UNAUTHORIZED, error.text());
    response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
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

/// The tightest window, as headers; the reset is a moment, in seconds since 1970.
fn tell(shared: &Shared, headers: &mut HeaderMap, verdict: &Verdict) {
    let Some(window) = verdict.tightest() else { return };
    let reset = shared.services.clock.now().as_second().saturating_add_unsigned(window.reset.as_secs() + 1);
    headers.insert(LIMIT, HeaderValue::from(window.limit));
    headers.insert(REMAINING, HeaderValue::from(window.remaining));
    headers.insert(RESET, HeaderValue::from(reset));
}

/// The client's address: what the outermost trusted proxy says, or the other end of the socket.
fn client_address(request: &Request, hops: usize) -> Option<IpAddr> {
    let socket = request.extensions().get::<PeerAddress>().map(|info| info.0.ip());
    forwarded::address(request.headers(), hops).or(socket)
}

#[cfg(test)]
mod tests {
    use axum::body::Body;

    use super::*;

    fn address(forwarded: &[&str], hops: usize) -> Option<String> {
        let mut request = Request::new(Body::empty());
        for value in forwarded {
            let value = HeaderValue::from_bytes(value.as_bytes()).unwrap();
            request.headers_mut().append("x-forwarded-for", value);
        }
        request.extensions_mut().insert(PeerAddress(SocketAddr::from(([10, 0, 0, 9], 1))));
        client_address(&request, hops).map(|address| address.to_string())
    }

    #[test]
    fn the_address_is_the_one_that_the_outermost_trusted_proxy_saw() {
        assert_eq!(address(&["1.1.1.1, 2.2.2.2"], 1).as_deref(), Some("2.2.2.2"));
        assert_eq!(address(&["1.1.1.1", "2.2.2.2"], 2).as_deref(), Some("1.1.1.1"));
        assert_eq!(address(&["1.1.1.1"], 0).as_deref(), Some("10.0.0.9"));
        assert_eq!(address(&["1.1.1.1"], 2).as_deref(), Some("10.0.0.9"));
        assert_eq!(address(&["1.1.1.1, 2.2.2.2:5678"], 1).as_deref(), Some("2.2.2.2"));
        assert_eq!(address(&["1.1.1.1, [2001:db8::1]:443"], 1).as_deref(), Some("2001:db8::1"));
        assert_eq!(address(&["nonsense"], 1).as_deref(), Some("10.0.0.9"));
        assert_eq!(address(&["\u{e4}\u{fffd}, 2.2.2.2"], 1).as_deref(), Some("2.2.2.2"));
        assert_eq!(address(&["\u{e4}, 1.1.1.1", "2.2.2.2"], 2).as_deref(), Some("1.1.1.1"));
        assert_eq!(address(&[], 1).as_deref(), Some("10.0.0.9"));
    }
}
