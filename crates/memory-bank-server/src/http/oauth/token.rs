//! `POST /oauth/token`: a code or a refresh token for tokens; and `POST /oauth/revoke` (RFC 7009).

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use memory_bank_core::caller::{Right, Rights};
use memory_bank_core::identity::{
    Exchange, Issued, KeyHash, NewTokens, OAuthStore, PlainToken, Presentation, Refusal, TokenKind, Void,
};
use memory_bank_core::limiter::AttemptKind;
use serde_json::json;
use uuid::Uuid;

use crate::http::client_address::client_address;
use crate::http::invalidation::Invalidation;
use crate::http::oauth::challenge::scope;
use crate::http::oauth::client_authentication::{Requester, TokenRequestContext};
use crate::http::oauth::expiry::after;
use crate::http::oauth::form::{self, Form};
use crate::http::oauth::reply::{ErrorCode, error, not_offered, unavailable};
use crate::http::oauth::{ServerUrl, attempts, issuer, pkce, scopes};
use crate::http::reply;
use crate::http::shared::Shared;

/// How long an access token is valid.
const ACCESS_LIFE: Duration = Duration::from_secs(3600);
/// How long a refresh token is valid: a client that is not used for so long must sign in again.
const REFRESH_LIFE: Duration = Duration::from_secs(30 * 24 * 3600);

/// `POST /oauth/token`
pub(crate) async fn exchange(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    let Some((server, store)) = offered(&shared, &request) else { return not_offered() };
    let address = client_address(&request, shared.config.trust_proxy_hops);
    if let Some(refusal) = attempts::refusal(&shared, AttemptKind::Token, address).await {
        return refusal;
    }
    let (parts, body) = request.into_parts();
    let form = match form::read(&shared, &parts, body).await {
        Ok(form) => form,
        Err(response) => return response,
    };
    let resource = match form.get("resource") {
        Some(resource) if !server.accepts_resource(resource) => {
            return error(ErrorCode::InvalidTarget, "`resource` is not this server");
        }
        named => named.map(|_| server.resource()),
    };
    let context = TokenRequestContext { shared: &shared, store: &*store, server: &server, address };
    let requester = match context.requester(&form).await {
        Ok(requester) => requester,
        Err(response) => return response,
    };
    let exchange = Requested { shared: &shared, store: &*store, context, requester, resource };
    match form.get("grant_type") {
        Some("authorization_code") => exchange.code(&form).await,
        Some("refresh_token") => exchange.refresh(&form).await,
        Some(_) => {
            let text = "`grant_type` takes `authorization_code` or `refresh_token`";
            error(ErrorCode::UnsupportedGrantType, text)
        }
        None => error(ErrorCode::InvalidRequest, "`grant_type` is missing"),
    }
}

/// `POST /oauth/revoke`: the reply is the same whether there was such a token.
pub(crate) async fn revoke(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    let Some((server, store)) = offered(&shared, &request) else { return not_offered() };
    let address = client_address(&request, shared.config.trust_proxy_hops);
    if let Some(refusal) = attempts::refusal(&shared, AttemptKind::Token, address).await {
        return refusal;
    }
    let (parts, body) = request.into_parts();
    let form = match form::read(&shared, &parts, body).await {
        Ok(form) => form,
        Err(response) => return response,
    };
    let Some(token) = form.get("token") else {
        return error(ErrorCode::InvalidRequest, "`token` is missing");
    };
    let context = TokenRequestContext { shared: &shared, store: &*store, server: &server, address };
    // The one who has a token may end it, so a client need not authenticate itself; an assertion must be right.
    let requester = match context.requester(&form).await {
        Ok(requester) => requester,
        Err(response) => return response,
    };
    match store.revoke(&issuer::token_hash(token), &requester.client_id).await {
        Ok(revoked) => {
            if let Some(void) = revoked {
                evict(&shared, &void).await;
            }
            StatusCode::OK.into_response()
        }
        Err(failure) => unavailable(&failure),
    }
}

fn offered(shared: &Shared, request: &Request) -> Option<(ServerUrl, Arc<dyn OAuthStore>)> {
    shared.oauth_url(request).zip(shared.oauth.clone())
}

/// Evicts the tokens of a grant here and on other replicas, and ends their streams.
pub(crate) async fn evict(shared: &Shared, void: &Void) {
    for hash in &void.hashes {
        shared.auth.forget_everywhere(hash).await;
        shared.invalidations.send(Invalidation::key_changed(hash, Some(void.grant.0))).await;
    }
}

/// Evicts the tokens of what a user gave with a key, after that key was revoked or changed.
pub(crate) async fn evict_tokens_of(shared: &Shared, key: &KeyHash) {
    let Some(store) = &shared.oauth else { return };
    match store.tokens_of_key(key).await {
        Ok(voids) => {
            for void in &voids {
                evict(shared, void).await;
            }
        }
        Err(error) => {
            tracing::warn!(%error, "tokens of a changed key could not be evicted; the database refuses them");
        }
    }
}

/// An exchange that a client requests.
struct Requested<'a> {
    shared: &'a Shared,
    store: &'a dyn OAuthStore,
    context: TokenRequestContext<'a>,
    requester: Requester,
    resource: Option<String>,
}

impl Requested<'_> {
    async fn code(&self, form: &Form) -> Response {
        let Some(code) = form.get("code") else {
            return error(ErrorCode::InvalidRequest, "`code` is missing");
        };
        let Some(challenge) = form.get("code_verifier").and_then(pkce::challenge_of) else {
            return error(ErrorCode::InvalidGrant, "`code_verifier` is missing or malformed");
        };
        let presented = self.presented(code);
        if let Err(response) = self.context.expect_authentic(&self.requester, &presented.hash).await {
            return response;
        }
        let entropy = &*self.shared.services.entropy;
        let access = PlainToken::generate(TokenKind::Access, entropy);
        let refresh = PlainToken::generate(TokenKind::Refresh, entropy);
        let tokens = self.stored(&access, &refresh);
        let redirect_uri = form.get("redirect_uri");
        match self.store.redeem(&presented, redirect_uri, &challenge, &tokens).await {
            Ok(Exchange::Issued(issued)) => self.issued(&access, &refresh, &issued),
            Ok(Exchange::Refused(refusal)) => self.refused("code", &refusal).await,
            Err(failure) => unavailable(&failure),
        }
    }

    async fn refresh(&self, form: &Form) -> Response {
        let Some(token) = form.get("refresh_token") else {
            return error(ErrorCode::InvalidRequest, "`refresh_token` is missing");
        };
        let rights: Option<Vec<Right>> = match form.get("scope").map(scopes::parse) {
            Some(rights) if rights == Rights::NONE => {
                return error(ErrorCode::InvalidScope, "`scope` takes `read`, `write` and `admin`");
            }
            wanted => wanted.map(|rights| rights.iter().collect()),
        };
        let Some(token) = PlainToken::parse(TokenKind::Refresh, token) else {
            return error(ErrorCode::InvalidGrant, "the refresh token is void; sign in again");
        };
        let salt = *self.shared.services.entropy.id().as_bytes();
        let [access, refresh] = successors(&token, &salt);
        let presented = self.presented(token.expose());
        if let Err(response) = self.context.expect_authentic(&self.requester, &presented.hash).await {
            return response;
        }
        let tokens = self.stored(&access, &refresh);
        match self.store.refresh(&presented, rights.as_deref(), &salt, &tokens).await {
            Ok(Exchange::Issued(issued)) => {
                // Another request of the client may have used the token a moment ago; both get the same tokens.
                let [access, refresh] = successors(&token, &issued.salt.unwrap_or(salt));
                self.issued(&access, &refresh, &issued)
            }
            Ok(Exchange::Refused(refusal)) => self.refused("refresh token", &refusal).await,
            Err(failure) => unavailable(&failure),
        }
    }

    fn presented(&self, secret: &str) -> Presentation {
        Presentation {
            hash: KeyHash::of(secret.as_bytes()),
            client_id: self.requester.client_id.clone(),
            resource: self.resource.clone(),
        }
    }

    fn stored(&self, access: &PlainToken, refresh: &PlainToken) -> NewTokens {
        let now = self.shared.services.clock.now();
        let access_id: Uuid = self.shared.services.entropy.id();
        NewTokens {
            access_id,
            access_hash: access.hash(),
            access_prefix: access.prefix(),
            access_expires_at: after(now, ACCESS_LIFE),
            refresh_hash: refresh.hash(),
            refresh_expires_at: after(now, REFRESH_LIFE),
        }
    }

    fn issued(&self, access: &PlainToken, refresh: &PlainToken, issued: &Issued) -> Response {
        let left = issued.expires_at.duration_since(self.shared.services.clock.now()).as_secs().max(0);
        let rights: Rights = issued.rights.iter().copied().collect();
        let body = json!({
            "access_token": access.expose(),
            "token_type": "Bearer",
            "expires_in": left,
            "refresh_token": refresh.expose(),
            "scope": scope(rights),
        });
        reply::json(StatusCode::OK, &body)
    }

    async fn refused(&self, what: &str, refusal: &Refusal) -> Response {
        let why = match refusal {
            Refusal::Reused(void) => {
                evict(self.shared, void).await;
                tracing::warn!(grant = %void.grant.0, "a {what} was used twice; its grant has ended");
                "was used before, so all that it gave has ended"
            }
            Refusal::TooMuch => {
                return error(ErrorCode::InvalidScope, "the user did not give this scope; sign in again");
            }
            // Who does not have the other parts learns nothing.
            Refusal::Unknown | Refusal::Mismatch => "is void",
            Refusal::Expired => "has expired",
            Refusal::Ended => "was taken back",
        };
        error(ErrorCode::InvalidGrant, &format!("the {what} {why}; sign in again"))
    }
}

fn successors(token: &PlainToken, salt: &[u8; 16]) -> [PlainToken; 2] {
    [TokenKind::Access, TokenKind::Refresh].map(|kind| token.successor(kind, salt))
}
