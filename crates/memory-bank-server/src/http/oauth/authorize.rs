//! `/oauth/authorize` and `/oauth/sign-in`: a user signs in and lets a client in.
//!
//! The request travels in the address and in the forms, so any replica continues what another began.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Request, State};
use axum::response::Response;
use http::StatusCode;
use memory_bank_core::caller::{KeyId, Right};
use memory_bank_core::identity::{
    Consent, DEFAULT_RATE_LIMIT, Membership, NewCode, NewGrant, PlainToken, TokenKind,
};

use crate::http::oauth::consent_page::{self, TERMS};
use crate::http::oauth::cookie::Purpose;
use crate::http::oauth::expiry::after;
use crate::http::oauth::form::{self, Form};
use crate::http::oauth::page::{onward, problem, see_other};
use crate::http::oauth::page_request::{PageRequest, failed, stale};
use crate::http::oauth::reply::ErrorCode;
use crate::http::oauth::request::{AuthorizationRequest, Invalid};
use crate::http::oauth::{openid, redirect_uri};
use crate::http::shared::Shared;

/// How long a code is valid.
const CODE_LIFE: Duration = Duration::from_secs(60);
const DAY: Duration = Duration::from_secs(24 * 3600);

/// `GET /oauth/authorize`
pub(crate) async fn begin(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    let (page, parts, _) = match PageRequest::of(shared, request) {
        Ok(page) => page,
        Err(response) => return *response,
    };
    page.show(parts.uri.query().unwrap_or_default(), None).await
}

/// `POST /oauth/sign-in`
pub(crate) async fn sign_in(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    let (page, parts, body) = match PageRequest::of(shared, request) {
        Ok(page) => page,
        Err(response) => return *response,
    };
    if let Some(refusal) = page.too_many_sign_ins().await {
        return refusal;
    }
    let form = match form::read_for_page(&page.shared, &parts, body).await {
        Ok(form) => form,
        Err(response) => return response,
    };
    let purpose = purpose_of(&form);
    let Some(cookie) = page.cookie_of_form(&form, &purpose) else { return stale() };
    match page.sign_in(&form, &cookie, &purpose).await {
        Ok(response) => response,
        Err(message) => page.show(purpose.of_forms(), Some(message)).await,
    }
}

/// `POST /oauth/authorize`: the user's decision.
pub(crate) async fn decide(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    let (page, parts, body) = match PageRequest::of(shared, request) {
        Ok(page) => page,
        Err(response) => return *response,
    };
    let form = match form::read_for_page(&page.shared, &parts, body).await {
        Ok(form) => form,
        Err(response) => return response,
    };
    let purpose = purpose_of(&form);
    let Some(cookie) = page.cookie_of_form(&form, &purpose) else { return decided() };
    let authorization = match page.authorization(purpose.of_forms()).await {
        Ok(authorization) => authorization,
        Err(response) => return *response,
    };
    if form.get("decision") == Some("allow") {
        return page.allow(&cookie, &authorization, &purpose, &form).await;
    }
    // Every decision ends the sign-in, before the browser goes to the application.
    if let Err(failure) = page.store.sign_out(&purpose.sign_in_hash(&cookie)).await {
        return failed(&failure);
    }
    let mut response = if form.get("decision") == Some("switch") {
        see_other(&format!("/oauth/authorize?{}", openid::switched(purpose.of_forms())))
    } else {
        let why = [("error", ErrorCode::AccessDenied.as_str()), ("error_description", "the user refused")];
        let text = format!("“{}” gets no access.", authorization.client.name);
        onward("You have refused", &text, &authorization.answer(&page.server, &why))
    };
    purpose.remove_cookie(&mut response, &page.server);
    response
}

/// The request that a form carries on.
fn purpose_of(form: &Form) -> Purpose {
    Purpose::Authorize(form.get("request").unwrap_or_default().to_owned())
}

/// The reply to a form of consent without its sign-in: a decision ends that, and so does its age.
fn decided() -> Response {
    let text = "You have decided already, this page is too old, or your browser refuses cookies. If the application is not \
                connected, start again there.";
    problem(StatusCode::FORBIDDEN, "This form has been used already", text, None)
}

impl PageRequest {
    async fn authorization(&self, query: &str) -> Result<AuthorizationRequest, Box<Response>> {
        const TITLE: &str = "This request cannot be used";
        let Some(form) = Form::parse(query.as_bytes()) else {
            let text = "a parameter occurs twice, or they are too long";
            return Err(Box::new(problem(StatusCode::BAD_REQUEST, TITLE, text, None)));
        };
        AuthorizationRequest::read(self, &form).await.map_err(|invalid| {
            Box::new(match invalid {
                Invalid::Untrusted(why) => problem(StatusCode::BAD_REQUEST, TITLE, &why, None),
                // Strangers register clients: a browser goes there when its user decides to, not by itself.
                Invalid::Client { back, why } => problem(StatusCode::BAD_REQUEST, TITLE, &why, Some(&back)),
                Invalid::Store(failure) => failed(&failure),
            })
        })
    }

    /// The next page for a request: to sign in, or to consent.
    async fn show(&self, query: &str, message: Option<&str>) -> Response {
        let authorization = match self.authorization(query).await {
            Ok(authorization) => authorization,
            Err(response) => return *response,
        };
        let purpose = Purpose::Authorize(query.to_owned());
        if message.is_none() {
            match self.signed_in(&purpose).await {
                Ok(Some((_, user))) if user.projects.is_empty() => {
                    let text =
                        "You are a member of no project that you can open with what you signed in with.";
                    return problem(StatusCode::FORBIDDEN, "There is no project", text, None);
                }
                Ok(Some((cookie, user))) => {
                    return consent_page::consent(&self.shared, &authorization, query, &cookie, &user, None);
                }
                Ok(None) => {}
                Err(failure) => return failed(&failure),
            }
        }
        let cookie = self.cookie(&purpose);
        let mut response = consent_page::sign_in(&self.shared, &authorization, query, &cookie, message);
        purpose.set_cookie(&mut response, &self.server, &cookie);
        response
    }

    async fn allow(
        &self,
        cookie: &PlainToken,
        authorization: &AuthorizationRequest,
        purpose: &Purpose,
        form: &Form,
    ) -> Response {
        let user = match self.store.signed_in(&purpose.sign_in_hash(cookie)).await {
            Ok(Some(user)) => user,
            Ok(None) => return decided(),
            Err(failure) => return failed(&failure),
        };
        let query = purpose.of_forms();
        let again =
            |why: &str| consent_page::consent(&self.shared, authorization, query, cookie, &user, Some(why));
        let project = form.get("project").unwrap_or_default();
        let Some(membership) = user.projects.iter().find(|known| known.project.0.to_string() == project)
        else {
            return again("choose one of your projects");
        };
        let rights = chosen(authorization, membership, form);
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
            client_id: authorization.client_id.clone(),
            client_name: authorization.client.name.clone(),
            client_host: redirect_uri::shown_host(&authorization.redirect_uri),
            rights,
            resource: self.server.resource(),
            rate_limit: DEFAULT_RATE_LIMIT,
            expires_at: days.map(|days| after(now, DAY * days)),
            needs_assertion: authorization.client.keys.is_some(),
        };
        let stored = NewCode {
            hash: code.hash(),
            redirect_uri: authorization.redirect_text.clone(),
            challenge: authorization.challenge,
            expires_at: after(now, CODE_LIFE),
        };
        match self.store.consent(&purpose.sign_in_hash(cookie), &grant, &stored).await {
            Ok(Consent::Granted) => {
                let to = authorization.answer(&self.server, &[("code", code.expose())]);
                let text = format!("“{}” gets access now.", authorization.client.name);
                let mut response = onward("You have allowed it", &text, &to);
                purpose.remove_cookie(&mut response, &self.server);
                response
            }
            Ok(Consent::SignedOut) => decided(),
            Ok(Consent::NotAMember) => again("you are not a member of this project any more"),
            Ok(Consent::TooMuch) => again("you do not have these rights in this project any more"),
            Err(failure) => failed(&failure),
        }
    }
}

/// The rights that are requested, chosen, and the user's to give.
fn chosen(authorization: &AuthorizationRequest, membership: &Membership, form: &Form) -> Vec<Right> {
    let chosen = |right: &Right| form.get(right.as_str()) == Some("yes");
    authorization.rights.iter().filter(|right| membership.rights.contains(right)).filter(chosen).collect()
}
