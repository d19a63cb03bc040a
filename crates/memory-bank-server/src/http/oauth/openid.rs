//! `/oauth/openid`: signing in with an OpenID provider. The browser goes there with a form and comes back to
//! `/oauth/openid/callback`.
//!
//! Nothing is stored in between: the browser keeps the secret of the sign-in, and where it continues, in a cookie of its
//! own, so any replica finishes what another began, and nobody can finish it in another browser.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::response::Response;
use http::StatusCode;
use memory_bank_core::identity::{OutsideRefusal, OutsideSignIn, OutsideUser, PlainToken, TokenKind};
use memory_bank_core::limiter::AttemptKind;

use crate::http::oauth::attempts;
use crate::http::oauth::cookie::{self, Attempt, Purpose, form_token};
use crate::http::oauth::form::{self, Form};
use crate::http::oauth::issuer::{Answer, NotSignedIn, OpenIdProvider, state};
use crate::http::oauth::page::{escape, page, problem, see_other};
use crate::http::oauth::page_request::{PageRequest, failed, stale};
use crate::http::oauth::token::evict;
use crate::http::shared::Shared;

/// Where the provider sends the browser.
pub(in crate::http) const CALLBACK: &str = "/oauth/openid/callback";
/// The parameter of a request whose user wants to be somebody else.
const SWITCH: &str = "mbmcp_switch";

/// The part of a page that offers the provider; nothing without one.
pub(super) fn offer(shared: &Shared, cookie: &PlainToken, purpose: &Purpose) -> String {
    let Some(provider) = &shared.openid else { return String::new() };
    let request = match purpose {
        Purpose::Authorize(query) => {
            format!("<input type=\"hidden\" name=\"request\" value=\"{}\">\n", escape(query))
        }
        Purpose::Grants | Purpose::Console => String::new(),
    };
    format!(
        "<form method=\"post\" action=\"/oauth/openid\">\n{request}\
         <input type=\"hidden\" name=\"token\" value=\"{}\">\n\
         <div class=\"row\"><button class=\"main\" type=\"submit\">Sign in with {}</button></div>\n</form>\n\
         <p class=\"hint\">Or with a key or a code:</p>\n",
        form_token(cookie, purpose.of_forms()),
        escape(provider.name()),
    )
}

/// What the page of consent says about how long a grant lasts; the database holds it.
pub(super) fn longest(shared: &Shared) -> String {
    shared.openid.as_ref().map_or_else(String::new, |provider| {
        format!(
            " What you allow after signing in with {} ends after 90 days at the latest.",
            escape(provider.name())
        )
    })
}

/// `POST /oauth/openid`
pub(crate) async fn begin(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    let Some(provider) = shared.openid.clone() else { return not_offered() };
    let (page, parts, body) = match PageRequest::of(shared, request) {
        Ok(page) => page,
        Err(response) => return *response,
    };
    if let Some(refusal) = attempts::refusal_page(&page.shared, AttemptKind::OpenId, page.address).await {
        return refusal;
    }
    let form = match form::read_for_page(&page.shared, &parts, body).await {
        Ok(form) => form,
        Err(response) => return response,
    };
    let next = form.get("request").map_or(Purpose::Grants, |query| Purpose::Authorize(query.to_owned()));
    if page.cookie_of_form(&form, &next).is_none() {
        return stale();
    }
    let secret = PlainToken::generate(TokenKind::SignIn, &*page.shared.services.entropy);
    let attempt = Attempt { secret, next };
    if !attempt.fits() {
        let text = "The request of the application is too long for this way to sign in. Use a login code.";
        return problem(StatusCode::BAD_REQUEST, "The request is too long", text, None);
    }
    let is_switch = matches!(&attempt.next, Purpose::Authorize(query) if is_switch(query));
    let Some(to) = provider.begin(&attempt.secret, &page.server.path(CALLBACK), is_switch).await else {
        page.shared.metrics.openid_sign_in("unavailable");
        return unavailable(&provider, &attempt.next);
    };
    let mut response = see_other(to.as_str());
    cookie::set_attempt(&mut response, &page.server, &attempt);
    response
}

/// `GET /oauth/openid/callback`
pub(crate) async fn callback(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    let Some(provider) = shared.openid.clone() else { return not_offered() };
    let (page, parts, _) = match PageRequest::of(shared, request) {
        Ok(page) => page,
        Err(response) => return *response,
    };
    let Some(answer) = Form::parse(parts.uri.query().unwrap_or_default().as_bytes()) else { return stale() };
    let is_answered = |attempt: &Attempt| cookie::is_same(&state(&attempt.secret), answer.get("state"));
    let begun = cookie::attempts(&page.headers, &page.server).into_iter().find(is_answered);
    // Of another sign-in, or of another browser. The cookie stays, since the sign-in may still come back.
    let Some(attempt) = begun else { return stale() };
    if let Some(refusal) = attempts::refusal_page(&page.shared, AttemptKind::OpenId, page.address).await {
        return refusal;
    }
    let (mut response, outcome) = page.finish(&provider, &attempt, &answer).await;
    page.shared.metrics.openid_sign_in(outcome);
    cookie::remove_attempt(&mut response, &page.server);
    response
}

impl PageRequest {
    /// The page for an answer, and the outcome for the metrics.
    async fn finish(
        &self,
        provider: &OpenIdProvider,
        attempt: &Attempt,
        answer: &Form,
    ) -> (Response, &'static str) {
        let next = &attempt.next;
        if let Some(error) = answer.get("error") {
            if error == "access_denied" {
                let text = format!("You did not sign in with {}, or it did not let you.", provider.name());
                return (ended(StatusCode::FORBIDDEN, "Not signed in", &text, next), "refused_by_user");
            }
            tracing::warn!(
                issuer = provider.issuer(),
                error = word(error),
                "the OpenID provider refuses a sign-in"
            );
            let text = format!("{} cannot sign you in: {}.", provider.name(), word(error));
            return (ended(StatusCode::BAD_GATEWAY, "Not signed in", &text, next), "invalid");
        }
        let Some(code) = answer.get("code") else { return (invalid(provider, next), "invalid") };
        let redirect_uri = self.server.path(CALLBACK);
        let given = Answer { code, issuer: answer.get("iss"), redirect_uri: &redirect_uri };
        match provider.user(&attempt.secret, &given, self.shared.services.clock.now()).await {
            Ok(user) => self.sign_in_outside(provider, &user, next).await,
            Err(NotSignedIn::Unavailable) => (unavailable(provider, next), "unavailable"),
            Err(NotSignedIn::Invalid(why)) => {
                tracing::warn!(
                    issuer = provider.issuer(),
                    why,
                    "an answer of the OpenID provider is refused"
                );
                (invalid(provider, next), "invalid")
            }
        }
    }

    async fn sign_in_outside(
        &self,
        provider: &OpenIdProvider,
        user: &OutsideUser,
        next: &Purpose,
    ) -> (Response, &'static str) {
        let cookie = self.new_cookie();
        let until = self.signed_in_until(next);
        let changed = match self.store.sign_in_outside(user, &next.sign_in_hash(&cookie), until).await {
            Ok(OutsideSignIn::SignedIn { changed, .. }) => changed,
            Ok(OutsideSignIn::Refused(why)) => return (no_access(provider, user, why, next), "no_access"),
            Err(failure) => return (failed(&failure), "unavailable"),
        };
        // Roles have changed: the database knows, and caches forget.
        for void in &changed {
            evict(&self.shared, void).await;
        }
        // The user of the former cookie is signed out.
        for former in next.cookies(&self.headers, &self.server) {
            if let Err(failure) = self.store.sign_out(&next.sign_in_hash(&former)).await {
                return (failed(&failure), "unavailable");
            }
        }
        let mut response = see_other(&next.address_when_signed_in());
        next.set_cookie(&mut response, &self.server, &cookie);
        (response, "signed_in")
    }
}

/// The address with which a user signs in as somebody else: the provider must not take the one whom it knows already.
pub(super) fn switched(query: &str) -> String {
    if is_switch(query) { query.to_owned() } else { format!("{query}&{SWITCH}=1") }
}

fn is_switch(query: &str) -> bool {
    query.split('&').any(|pair| pair.split('=').next() == Some(SWITCH))
}

fn no_access(provider: &OpenIdProvider, user: &OutsideUser, why: OutsideRefusal, next: &Purpose) -> Response {
    let name = provider.name();
    let text = match why {
        OutsideRefusal::Unknown => format!(
            "{name} knows you as “{}”, but no project here is open to you. Ask an operator of this server for access.",
            user.subject
        ),
        OutsideRefusal::Barred => {
            format!("An operator of this server has removed your access (“{}” at {name}).", user.subject)
        }
        OutsideRefusal::Full => "This server has too many users. Contact its operator.".to_owned(),
        OutsideRefusal::Untrusted => {
            tracing::error!(
                issuer = user.issuer,
                "the database does not trust the issuer; run `memory-bank-mcp identities trust ISSUER` as the operator"
            );
            format!(
                "This server is not set up for {name} yet. Contact its operator; the log names the missing setting."
            )
        }
    };
    ended(StatusCode::FORBIDDEN, "There is no access", &text, next)
}

fn unavailable(provider: &OpenIdProvider, next: &Purpose) -> Response {
    let text = format!(
        "{} cannot be reached at the moment. Try again in a few seconds, or sign in with a key or a login code.",
        provider.name()
    );
    ended(StatusCode::SERVICE_UNAVAILABLE, "Try again", &text, next)
}

fn invalid(provider: &OpenIdProvider, next: &Purpose) -> Response {
    let text = format!("The answer of {} cannot be used. The log of the server says why.", provider.name());
    ended(StatusCode::BAD_GATEWAY, "Not signed in", &text, next)
}

fn not_offered() -> Response {
    let text = "No provider is set up here. Sign in with a key or a login code.";
    problem(StatusCode::NOT_FOUND, "Signing in is not possible here", text, None)
}

/// A page that ends a sign-in, and leads to another one.
fn ended(status: StatusCode, title: &str, text: &str, next: &Purpose) -> Response {
    let body = format!(
        "<h1>{}</h1>\n<p>{}</p>\n<p><a href=\"{}\" class=\"alone\">Sign in again, or in another way</a></p>",
        escape(title),
        escape(text),
        escape(&next.address())
    );
    page(status, title, &body, None)
}

/// A word of the provider, as far as it is one.
fn word(text: &str) -> &str {
    let is_word = text.len() <= 64 && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
    if is_word { text } else { "an unknown error" }
}
