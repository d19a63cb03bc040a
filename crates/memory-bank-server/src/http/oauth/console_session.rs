//! `/app/session`: signing in to the web console, and out of it.
//!
//! A session is a grant to the console as a client, so the database, the caches and everything else treat it as a key:
//! it has one user and one project, it is listed by `/oauth/grants`, and it ends with the key that made it.
//!
//! What opens it has two halves. A script never sees the cookie, and another site or another port of this host never sees
//! the half that the page sends in a header; so the header is also what shows that a request comes from the console's own
//! page.

mod credentials;
mod local_session;
mod provider_sign_in;

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::Response;
use http::StatusCode;
use jiff::Timestamp;
use memory_bank_core::caller::{KeyId, Right};
use memory_bank_core::error::StoreError;
use memory_bank_core::identity::{
    Consent, DEFAULT_RATE_LIMIT, Exchange, KeyHash, Membership, NewCode, NewGrant, NewTokens, PlainToken,
    Presentation, SignedIn, TokenKind,
};
use memory_bank_core::limiter::AttemptKind;
use serde_json::{Value, json};

use self::credentials::{
    BODY_BYTES, Halves, SESSION_SECONDS, SubmittedCredentials, closed, is_own_page, opened, sessions_of,
};
use crate::http::body::read_object_reserved;
use crate::http::oauth::cookie::Purpose;
use crate::http::oauth::expiry::after;
use crate::http::oauth::page_request::{PageRequest, sign_in_secret};
use crate::http::oauth::token::evict;
use crate::http::oauth::{attempts, pkce};
use crate::http::reply;
use crate::http::reply_budget::Holder;
use crate::http::shared::Shared;
use crate::mcp::errors::UNREACHABLE_RETRY;

/// The console as a client. No application can register under this id, since ids are made by the server.
const CLIENT_ID: &str = "memory-bank-console";
const CLIENT_NAME: &str = "Web console";
/// How long the code lives that is redeemed at once.
const CODE_LIFE: Duration = Duration::from_secs(60);
/// A page makes several requests, and a search makes one at each pause of typing.
const RATE_LIMIT: u32 = 4 * DEFAULT_RATE_LIMIT;

pub(crate) use self::provider_sign_in::{begin as begin_with_provider, offer as offered_provider};

/// The hash by which it knows a user who has yet to choose a project.
fn choice_hash(cookie: &PlainToken) -> KeyHash {
    Purpose::Console.sign_in_hash(cookie)
}

/// The sessions that a request may present, one with each cookie of their name; none without one of the halves, or for a page of another
/// site.
pub(crate) fn presented(shared: &Shared, request: &Request) -> Vec<KeyHash> {
    let Some(server) = shared.console_url(request) else { return Vec::new() };
    sessions_of(request.headers(), &server).iter().map(Halves::hash).collect()
}

/// `POST /app/session`: signs a user in.
pub(crate) async fn open(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    if let Some(local) = shared.local_console.clone() {
        return local_session::open(&shared, &local, request).await;
    }
    let (page, given) = match request_of(shared, request).await {
        Ok(read) => read,
        Err(response) => return response,
    };
    let signed_in = match given {
        SubmittedCredentials { secret: Some(secret), project: None, signed_in: false } => {
            page.sign_in_to_console(&secret).await
        }
        SubmittedCredentials { secret: None, project: Some(project), signed_in: false } => {
            page.choose(&project).await
        }
        SubmittedCredentials { secret: None, project: None, signed_in: true } => {
            page.continue_sign_in().await
        }
        _ => Err(reply::error(StatusCode::BAD_REQUEST, "send either `secret` or `project`")),
    };
    signed_in.unwrap_or_else(|refusal| refusal)
}

/// `DELETE /app/session`: signs the user out.
pub(crate) async fn close(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    if let Some(local) = shared.local_console.clone() {
        return local_session::close(&shared, &local, request).await;
    }
    let page = match page_of(shared, request) {
        Ok((page, ..)) => page,
        Err(response) => return *response,
    };
    let sessions = sessions_of(&page.headers, &page.server);
    if sessions.is_empty() {
        return reply::error(StatusCode::UNAUTHORIZED, "you are not signed in");
    }
    for session in sessions {
        match page.store.revoke(&session.grant_hash(), CLIENT_ID).await {
            Ok(Some(void)) => evict(&page.shared, &void).await,
            Ok(None) => {}
            Err(failure) => return unavailable(&failure),
        }
    }
    closed(&page.server)
}

/// A request of a page of this server, where signing in is possible.
fn page_of(shared: Arc<Shared>, request: Request) -> Result<(PageRequest, Holder, Body), Box<Response>> {
    let (page, parts, body) = PageRequest::of(shared, request).map_err(|_| {
        let text = "signing in is not possible here; open /app, which says why";
        Box::new(reply::error(StatusCode::NOT_FOUND, text))
    })?;
    if !is_own_page(&page.headers, &page.server) {
        let text = "sign in on a page of this server";
        return Err(Box::new(reply::error(StatusCode::FORBIDDEN, text)));
    }
    Ok((page, Holder::without_key(&parts.extensions), body))
}

async fn request_of(
    shared: Arc<Shared>,
    request: Request,
) -> Result<(PageRequest, SubmittedCredentials), Response> {
    let (page, holder, body) = page_of(shared, request).map_err(|refusal| *refusal)?;
    if let Some(refusal) = attempts::refusal(&page.shared, AttemptKind::SignIn, page.address).await {
        return Err(refusal);
    }
    let given = read_object_reserved(&page.shared, holder, &page.headers, body, BODY_BYTES).await?;
    let given =
        given.ok_or_else(|| reply::error(StatusCode::BAD_REQUEST, "send either `secret` or `project`"))?;
    Ok((page, given))
}

impl PageRequest {
    async fn sign_in_to_console(&self, secret: &str) -> Result<Response, Response> {
        let invalid = |text: &str| reply::error(StatusCode::UNAUTHORIZED, text);
        let secret =
            sign_in_secret(secret).ok_or_else(|| invalid("this is neither an API key nor a login code"))?;
        let cookie = self.new_cookie();
        let hash = choice_hash(&cookie);
        let until = self.signed_in_until(&Purpose::Console);
        let known =
            self.store.sign_in(secret, &hash, until).await.map_err(|failure| unavailable(&failure))?;
        if known.is_none() {
            let text = "this API key or login code is not valid: mistyped, used before, expired or revoked";
            return Err(invalid(text));
        }
        let user = self.store.signed_in(&hash).await.map_err(|failure| unavailable(&failure))?;
        self.entered(&cookie, user.ok_or_else(signed_out)?).await
    }

    /// The session of a user who has signed in, or the projects to choose from.
    async fn entered(&self, cookie: &PlainToken, user: SignedIn) -> Result<Response, Response> {
        let hash = choice_hash(cookie);
        match user.projects.as_slice() {
            [] => {
                let text = "you are a member of no project that you can open like this";
                Err(reply::error(StatusCode::FORBIDDEN, text))
            }
            [only] => self.open_session(&hash, &user, only).await,
            several => {
                let projects: Vec<Value> = several.iter().map(project).collect();
                let mut response = reply::json(StatusCode::OK, &json!({"projects": projects}));
                Purpose::Console.set_cookie(&mut response, &self.server, cookie);
                Ok(response)
            }
        }
    }

    async fn choose(&self, project: &str) -> Result<Response, Response> {
        let (cookie, user) = self.signed_in_to_console().await?;
        let hash = choice_hash(&cookie);
        let chosen = user.projects.iter().find(|known| known.project.0.to_string() == project);
        let chosen =
            chosen.ok_or_else(|| reply::error(StatusCode::BAD_REQUEST, "choose one of your projects"))?;
        let mut response = self.open_session(&hash, &user, chosen).await?;
        Purpose::Console.remove_cookie(&mut response, &self.server);
        Ok(response)
    }

    /// The user who has yet to choose a project, with the cookie.
    async fn signed_in_to_console(&self) -> Result<(PlainToken, SignedIn), Response> {
        let found = self.signed_in(&Purpose::Console).await.map_err(|failure| unavailable(&failure))?;
        found.ok_or_else(signed_out)
    }

    /// The grant of a session.
    fn grant(&self, chosen: &Membership, rights: Vec<Right>, ends: Timestamp) -> NewGrant {
        NewGrant {
            id: KeyId(self.shared.services.entropy.id()),
            project: chosen.project,
            client_id: CLIENT_ID.to_owned(),
            client_name: CLIENT_NAME.to_owned(),
            client_host: self.server.issuer().split("://").nth(1).unwrap_or_default().to_owned(),
            rights,
            resource: self.server.resource(),
            rate_limit: RATE_LIMIT,
            expires_at: Some(ends),
            needs_assertion: false,
        }
    }

    /// Makes the grant of a session, which ends the sign-in, and the session itself.
    async fn open_session(
        &self,
        sign_in: &KeyHash,
        user: &SignedIn,
        chosen: &Membership,
    ) -> Result<Response, Response> {
        // All that the user's role gives, as far as the key has it that the user signed in with.
        let rights = chosen.rights.clone();
        if !rights.contains(&Right::Read) {
            return Err(reply::error(
                StatusCode::FORBIDDEN,
                "this key may not read; sign in with one that may",
            ));
        }
        let now = self.shared.services.clock.now();
        let ends = after(now, Duration::from_secs(u64::from(SESSION_SECONDS)));
        let entropy = &*self.shared.services.entropy;
        let (code, verifier) =
            (PlainToken::generate(TokenKind::Code, entropy), PlainToken::generate(TokenKind::Code, entropy));
        let Some(challenge) = pkce::challenge_of(&verifier.expose().repeat(2)) else {
            return Err(reply::error(StatusCode::INTERNAL_SERVER_ERROR, "the server failed"));
        };
        let address = self.server.path("/app/");
        let grant = self.grant(chosen, rights, ends);
        let stored = NewCode {
            hash: code.hash(),
            redirect_uri: address.clone(),
            challenge,
            expires_at: after(now, CODE_LIFE),
        };
        let consent = self.store.consent(sign_in, &grant, &stored).await;
        match consent.map_err(|failure| unavailable(&failure))? {
            Consent::Granted => {}
            Consent::SignedOut => return Err(signed_out()),
            Consent::NotAMember | Consent::TooMuch => {
                let text = "you may not read this project any more";
                return Err(reply::error(StatusCode::FORBIDDEN, text));
            }
        }
        let halves = Halves::generate(entropy);
        let tokens = NewTokens {
            access_id: entropy.id(),
            access_hash: halves.hash(),
            // It identifies the session in the history, and is no part of a secret.
            access_prefix: PlainToken::generate(TokenKind::Access, entropy).prefix(),
            access_expires_at: ends,
            refresh_hash: halves.grant_hash(),
            refresh_expires_at: ends,
        };
        let presentation =
            Presentation { hash: code.hash(), client_id: CLIENT_ID.to_owned(), resource: None };
        let redeemed = self.store.redeem(&presentation, Some(&address), &challenge, &tokens).await;
        match redeemed.map_err(|failure| unavailable(&failure))? {
            Exchange::Issued(_) => {
                self.end_former_session().await;
                // The audit log has the address of each sign-in, also of one that is not used.
                self.shared.addresses.used(Some(grant.id), &halves.hash(), self.address);
                Ok(opened(&self.server, &halves, &user.user_name, &chosen.slug))
            }
            Exchange::Refused(_) => Err(signed_out()),
        }
    }
}

impl PageRequest {
    /// Ends the session that the browser had before this one, whose cookie it loses now.
    async fn end_former_session(&self) {
        for former in sessions_of(&self.headers, &self.server) {
            match self.store.revoke(&former.grant_hash(), CLIENT_ID).await {
                Ok(Some(void)) => evict(&self.shared, &void).await,
                Ok(None) => {}
                // The new session is open, and the former one ends by itself.
                Err(error) => tracing::warn!(%error, "the former session of a browser could not be ended"),
            }
        }
    }
}

fn project(known: &Membership) -> Value {
    json!({"id": known.project.0.to_string(), "slug": known.slug, "name": known.name, "role": known.role.as_str()})
}

fn signed_out() -> Response {
    reply::error(StatusCode::UNAUTHORIZED, "the sign-in has expired; sign in again")
}

fn unavailable(failure: &StoreError) -> Response {
    tracing::error!(error = %failure, "the sign-in of the console could not use the store");
    let text = "the server cannot reach its database at the moment; try again in a few seconds";
    reply::with_retry_after(reply::error(StatusCode::SERVICE_UNAVAILABLE, text), UNREACHABLE_RETRY)
}
