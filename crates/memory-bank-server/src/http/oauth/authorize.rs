//! `/oauth/authorize` and `/oauth/sign-in`: a user signs in and lets a client in.
//!
//! The request travels in the address and in the forms, so any replica continues what another began.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Request, State};
use axum::response::Response;
use http::request::Parts;
use http::{HeaderMap, StatusCode};
use memory_bank_core::caller::{KeyId, Right};
use memory_bank_core::error::StoreError;
use memory_bank_core::identity::{
    Consent, DEFAULT_RATE_LIMIT, LoginCode, Membership, NewCode, NewGrant, OAuthStore, PlainKey, PlainToken,
    SignIn, TokenKind,
};
use url::Url;

use crate::http::admission::client_address;
use crate::http::oauth::consent_page::{self, TERMS};
use crate::http::oauth::form::{self, Form};
use crate::http::oauth::page::{problem, see_other};
use crate::http::oauth::reply::ErrorCode;
use crate::http::oauth::request::{AuthorizationRequest, Invalid};
use crate::http::oauth::token::after;
use crate::http::oauth::{ServerUrl, attempts, cookie, redirect_uri};
use crate::http::shared::Shared;

/// How long a code is valid.
const CODE_LIFE: Duration = Duration::from_secs(60);
const DAY: Duration = Duration::from_secs(24 * 3600);

/// What every step needs.
pub(super) struct Step {
    pub(super) shared: Arc<Shared>,
    pub(super) server: ServerUrl,
    pub(super) store: Arc<dyn OAuthStore>,
    pub(super) headers: HeaderMap,
}

/// `GET /oauth/authorize`
pub(crate) async fn begin(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    let (step, parts, _) = match Step::of(shared, request) {
        Ok(step) => step,
        Err(response) => return *response,
    };
    step.show(parts.uri.query().unwrap_or_default(), None).await
}

/// `POST /oauth/sign-in`
pub(crate) async fn sign_in(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    let address = client_address(&request, shared.config.trust_proxy_hops);
    let (step, parts, body) = match Step::of(shared, request) {
        Ok(step) => step,
        Err(response) => return *response,
    };
    let form = match form::read(&parts.headers, body).await {
        Ok(form) => form,
        Err(response) => return response,
    };
    let query = form.get("request").unwrap_or_default().to_owned();
    let Some(before) = step.cookie_of_form(&form, &query) else { return stale() };
    if let Some(refusal) = attempts::refusal(&step.shared, attempts::Kind::SignIn, address).await {
        return refusal;
    }
    let Some(shown) = form.get("secret").and_then(secret) else {
        return step.show(&query, Some("this is neither an API key nor a login code")).await;
    };
    let fresh = PlainToken::generate(TokenKind::SignIn, &*step.shared.services.entropy);
    let until = after(step.shared.services.clock.now(), Duration::from_secs(cookie::SIGN_IN_SECONDS.into()));
    match step.store.sign_in(shown, &fresh.hash(), until).await {
        Ok(Some(_)) => {
            // Who was signed in before with the old value is not any more.
            if let Err(failure) = step.store.sign_out(&before.hash()).await {
                return failed(&failure);
            }
            let mut response = see_other(&format!("/oauth/authorize?{query}"));
            cookie::set(&mut response, &step.server, &fresh);
            response
        }
        Ok(None) => {
            step.show(
                &query,
                Some("this API key or login code is not valid: mistyped, used before, expired or revoked"),
            )
            .await
        }
        Err(failure) => failed(&failure),
    }
}

/// `POST /oauth/authorize`: the user's decision.
pub(crate) async fn decide(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    let (step, parts, body) = match Step::of(shared, request) {
        Ok(step) => step,
        Err(response) => return *response,
    };
    let form = match form::read(&parts.headers, body).await {
        Ok(form) => form,
        Err(response) => return response,
    };
    let query = form.get("request").unwrap_or_default().to_owned();
    let Some(cookie) = step.cookie_of_form(&form, &query) else { return stale() };
    let wanted = match step.wanted(&query).await {
        Ok(wanted) => wanted,
        Err(response) => return *response,
    };
    match form.get("decision") {
        Some("allow") => step.allow(&cookie, &wanted, &query, &form).await,
        Some("switch") => match step.store.sign_out(&cookie.hash()).await {
            Ok(()) => see_other(&format!("/oauth/authorize?{query}")),
            Err(failure) => failed(&failure),
        },
        _ => {
            let why =
                [("error", ErrorCode::AccessDenied.as_str()), ("error_description", "the user refused")];
            see_other(wanted.answer(&step.server, &why).as_str())
        }
    }
}

impl Step {
    pub(super) fn of(
        shared: Arc<Shared>,
        request: Request,
    ) -> Result<(Self, Parts, axum::body::Body), Box<Response>> {
        let server = ServerUrl::of(&shared, &request);
        let (parts, body) = request.into_parts();
        let Some((server, store)) = server.zip(shared.oauth.clone()) else {
            let text = "Signing in needs https, or a server on this computer, and a server that knows its own address. \
                        Ask its operator to set PUBLIC_URL to an address with https.";
            return Err(Box::new(problem(
                StatusCode::NOT_FOUND,
                "Signing in is not possible here",
                text,
                None,
            )));
        };
        let headers = parts.headers.clone();
        Ok((Self { shared, server, store, headers }, parts, body))
    }

    /// The cookie of a form that a page of this server has made for it.
    pub(super) fn cookie_of_form(&self, form: &Form, purpose: &str) -> Option<PlainToken> {
        // Browsers that report it show where a form comes from.
        let site = self.headers.get("sec-fetch-site").and_then(|site| site.to_str().ok());
        if site.is_some_and(|site| site != "same-origin") {
            return None;
        }
        let cookie = cookie::of(&self.headers, &self.server)?;
        cookie::is_of_form(&cookie, purpose, form.get("token")).then_some(cookie)
    }

    async fn wanted(&self, query: &str) -> Result<AuthorizationRequest, Box<Response>> {
        const TITLE: &str = "This request cannot be used";
        let Some(form) = Form::parse(query.as_bytes()) else {
            let text = "a parameter occurs twice, or they are too long";
            return Err(Box::new(problem(StatusCode::BAD_REQUEST, TITLE, text, None)));
        };
        let read =
            AuthorizationRequest::read(&*self.store, &self.shared.client_documents, &self.server, &form)
                .await;
        read.map_err(|invalid| {
            Box::new(match invalid {
                Invalid::Untrusted(why) => problem(StatusCode::BAD_REQUEST, TITLE, &why, None),
                // Strangers register clients: a browser goes there when its user decides to, not by itself.
                Invalid::Client { back, why } => problem(StatusCode::BAD_REQUEST, TITLE, &why, Some(&back)),
                Invalid::Store(failure) => failed(&failure),
            })
        })
    }

    /// The next page for a request: to sign in, or to consent.
    async fn show(&self, query: &str, wrong: Option<&str>) -> Response {
        let wanted = match self.wanted(query).await {
            Ok(wanted) => wanted,
            Err(response) => return *response,
        };
        let present = cookie::of(&self.headers, &self.server);
        if let (Some(cookie), None) = (&present, wrong) {
            match self.store.signed_in(&cookie.hash()).await {
                Ok(Some(who)) if who.projects.is_empty() => {
                    let text =
                        "You are a member of no project that you can open with what you signed in with.";
                    return problem(StatusCode::FORBIDDEN, "There is no project", text, None);
                }
                Ok(Some(who)) => return consent_page::consent(&wanted, query, cookie, &who, None),
                Ok(None) => {}
                Err(failure) => return failed(&failure),
            }
        }
        let cookie = present
            .unwrap_or_else(|| PlainToken::generate(TokenKind::SignIn, &*self.shared.services.entropy));
        let mut response = consent_page::sign_in(&wanted, query, &cookie, wrong);
        cookie::set(&mut response, &self.server, &cookie);
        response
    }

    async fn allow(
        &self,
        cookie: &PlainToken,
        wanted: &AuthorizationRequest,
        query: &str,
        form: &Form,
    ) -> Response {
        let who = match self.store.signed_in(&cookie.hash()).await {
            Ok(Some(who)) => who,
            Ok(None) => return self.show(query, None).await,
            Err(failure) => return failed(&failure),
        };
        let again = |why: &str| consent_page::consent(wanted, query, cookie, &who, Some(why));
        let project = form.get("project").unwrap_or_default();
        let Some(membership) = who.projects.iter().find(|known| known.project.0.to_string() == project)
        else {
            return again("choose one of your projects");
        };
        let rights = chosen(wanted, membership, form);
        if rights.is_empty() {
            return again("choose at least one right that you have in this project");
        }
        let Some(&(_, _, days)) =
            TERMS.iter().find(|(value, ..)| form.get("term").unwrap_or("open") == *value)
        else {
            return again("choose for how long");
        };
        let now = self.shared.services.clock.now();
        let entropy = &*self.shared.services.entropy;
        let code = PlainToken::generate(TokenKind::Code, entropy);
        let grant = NewGrant {
            id: KeyId(entropy.id()),
            project: membership.project,
            client_id: wanted.client_id.clone(),
            client_name: wanted.client.name.clone(),
            client_host: redirect_uri::shown_host(&wanted.redirect_uri),
            rights,
            resource: self.server.resource(),
            rate_limit: DEFAULT_RATE_LIMIT,
            expires_at: days.map(|days| after(now, DAY * days)),
        };
        let stored = NewCode {
            hash: code.hash(),
            redirect_uri: wanted.redirect_text.clone(),
            challenge: wanted.challenge,
            expires_at: after(now, CODE_LIFE),
        };
        match self.store.consent(&cookie.hash(), &grant, &stored).await {
            Ok(Consent::Granted) => {
                let to: Url = wanted.answer(&self.server, &[("code", code.expose())]);
                see_other(to.as_str())
            }
            Ok(Consent::SignedOut) => self.show(query, None).await,
            Ok(Consent::NotAMember) => again("you are no member of this project any more"),
            Ok(Consent::TooMuch) => again("you do not have these rights in this project any more"),
            Err(failure) => failed(&failure),
        }
    }
}

/// The rights that are requested, chosen, and the user's to give.
fn chosen(wanted: &AuthorizationRequest, membership: &Membership, form: &Form) -> Vec<Right> {
    let chosen = |right: &Right| form.get(right.as_str()) == Some("yes");
    wanted.rights.iter().filter(|right| membership.rights.contains(right)).filter(chosen).collect()
}

/// A key, or a login code as people type it.
pub(super) fn secret(text: &str) -> Option<SignIn> {
    let text = text.trim();
    if let Ok(key) = text.parse::<PlainKey>() {
        return (!key.is_token()).then(|| SignIn::Key(key.hash()));
    }
    LoginCode::parse(text).map(|code| SignIn::LoginCode(code.hash()))
}

/// The reply to a form that no page of this server has made for this browser, or long ago.
pub(super) fn stale() -> Response {
    let text = "This page is too old, or your browser refuses cookies. Start again in the application.";
    problem(StatusCode::FORBIDDEN, "Start again", text, None)
}

pub(super) fn failed(failure: &StoreError) -> Response {
    tracing::error!(error = %failure, "a page of OAuth could not use the store");
    let text = "The server cannot reach its database at the moment. Try again in a few seconds.";
    problem(StatusCode::SERVICE_UNAVAILABLE, "Try again", text, None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_signs_in_with_a_key_or_a_login_code_and_not_with_a_token() {
        assert!(matches!(secret(" abcd-efgh-jkmn-pqrs "), Some(SignIn::LoginCode(_))));
        assert!(matches!(secret("mbmcp_live_0123"), Some(SignIn::Key(_))));
        for text in ["", "abcd", "mbmcp_at_0123", "mbmcp_rt_0123456789012345", "ABCDEFGHJKMNPQRST"] {
            assert_eq!(secret(text), None, "{text}");
        }
    }
}
