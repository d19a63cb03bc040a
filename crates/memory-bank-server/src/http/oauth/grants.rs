//! `/oauth/grants`: what a user has given to clients, and how it takes that back.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Request, State};
use axum::response::Response;
use http::StatusCode;
use memory_bank_core::caller::KeyId;
use memory_bank_core::clock::date_time;
use memory_bank_core::identity::{GrantView, PlainToken, TokenKind};

use crate::http::admission::client_address;
use crate::http::oauth::authorize::{Step, failed, secret, stale};
use crate::http::oauth::cookie::{self, form_token};
use crate::http::oauth::page::{alert, escape, page, see_other};
use crate::http::oauth::token::{after, evict};
use crate::http::oauth::{attempts, form};
use crate::http::shared::Shared;

/// The purpose of the forms of this page.
const PURPOSE: &str = "grants";

/// `GET /oauth/grants`
pub(crate) async fn list(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    match Step::of(shared, request) {
        Ok((step, ..)) => show(&step, None).await,
        Err(response) => *response,
    }
}

/// `POST /oauth/grants`: signs in, signs out, or takes a grant back.
pub(crate) async fn change(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    let address = client_address(&request, shared.config.trust_proxy_hops);
    let (step, parts, body) = match Step::of(shared, request) {
        Ok(step) => step,
        Err(response) => return *response,
    };
    let form = match form::read(&parts.headers, body).await {
        Ok(form) => form,
        Err(response) => return response,
    };
    let Some(present) = step.cookie_of_form(&form, PURPOSE) else { return stale() };
    if let Some(given) = form.get("secret") {
        if let Some(refusal) = attempts::refusal(&step.shared, attempts::Kind::SignIn, address).await {
            return refusal;
        }
        return signed_in(&step, &present, given).await;
    }
    if form.get("sign_out").is_some() {
        if let Err(failure) = step.store.sign_out(&present.hash()).await {
            return failed(&failure);
        }
        let mut response = see_other("/oauth/grants");
        cookie::remove(&mut response, &step.server);
        return response;
    }
    let Some(grant) = form.get("grant").and_then(|id| id.parse().ok()) else { return stale() };
    match step.store.take_back(&present.hash(), KeyId(grant)).await {
        Ok(taken) => {
            if let Some(void) = taken {
                evict(&step.shared, &void).await;
            }
            see_other("/oauth/grants")
        }
        Err(failure) => failed(&failure),
    }
}

async fn signed_in(step: &Step, before: &PlainToken, given: &str) -> Response {
    let Some(shown) = secret(given) else {
        return show(step, Some("this is neither an API key nor a login code")).await;
    };
    let fresh = PlainToken::generate(TokenKind::SignIn, &*step.shared.services.entropy);
    let until = after(step.shared.services.clock.now(), Duration::from_secs(cookie::SIGN_IN_SECONDS.into()));
    match step.store.sign_in(shown, &fresh.hash(), until).await {
        Ok(Some(_)) => {
            // Who was signed in before with the old value is not any more.
            if let Err(failure) = step.store.sign_out(&before.hash()).await {
                return failed(&failure);
            }
            let mut response = see_other("/oauth/grants");
            cookie::set(&mut response, &step.server, &fresh);
            response
        }
        Ok(None) => {
            show(
                step,
                Some("this API key or login code is not valid: mistyped, used before, expired or revoked"),
            )
            .await
        }
        Err(failure) => failed(&failure),
    }
}

async fn show(step: &Step, wrong: Option<&str>) -> Response {
    let present = cookie::of(&step.headers, &step.server);
    if let (Some(cookie), None) = (&present, wrong) {
        match step.store.signed_in(&cookie.hash()).await {
            Ok(Some(who)) => {
                return match step.store.grants(&cookie.hash()).await {
                    Ok(grants) => listed(&who.user_name, &grants, cookie),
                    Err(failure) => failed(&failure),
                };
            }
            Ok(None) => {}
            Err(failure) => return failed(&failure),
        }
    }
    let cookie =
        present.unwrap_or_else(|| PlainToken::generate(TokenKind::SignIn, &*step.shared.services.entropy));
    let wrong = alert(wrong);
    let body = format!(
        "<h1>Sign in to see what you have allowed</h1>\n{wrong}<form method=\"post\" action=\"/oauth/grants\">\n\
         <input type=\"hidden\" name=\"token\" value=\"{}\">\n\
         <label for=\"secret\">API key or login code</label>\n\
         <input id=\"secret\" name=\"secret\" type=\"password\" required autofocus autocomplete=\"off\">\n\
         <div class=\"row\"><button class=\"main\" type=\"submit\">Sign in</button></div>\n</form>",
        form_token(&cookie, PURPOSE)
    );
    let mut response = page(StatusCode::OK, "What you have allowed", &body, None);
    cookie::set(&mut response, &step.server, &cookie);
    response
}

fn listed(user: &str, grants: &[GrantView], cookie: &PlainToken) -> Response {
    let token = form_token(cookie, PURPOSE);
    let items: String = grants.iter().map(|grant| item(grant, &token)).collect();
    let list = if grants.is_empty() {
        "<p>You have allowed nothing.</p>".to_owned()
    } else {
        format!("<ul>\n{items}</ul>")
    };
    let body = format!(
        "<h1>What you have allowed</h1>\n<p>Signed in as {}</p>\n{list}\n<form method=\"post\" action=\"/oauth/grants\">\
         <input type=\"hidden\" name=\"token\" value=\"{token}\">\
         <button type=\"submit\" name=\"sign_out\" value=\"yes\">Sign out</button></form>",
        escape(user)
    );
    page(StatusCode::OK, "What you have allowed", &body, None)
}

fn item(grant: &GrantView, token: &str) -> String {
    let rights: Vec<&str> = grant.rights.iter().map(|right| right.as_str()).collect();
    let used = grant.last_used_at.map_or_else(|| "never".to_owned(), date_time);
    let until = grant
        .expires_at
        .map_or_else(|| "until you take it back".to_owned(), |at| format!("until {}", date_time(at)));
    format!(
        "<li><p><strong>{client}</strong> ({host}) may {rights} in {project}, {until}. Last use: {used}.</p>\n\
         <form method=\"post\" action=\"/oauth/grants\"><input type=\"hidden\" name=\"token\" value=\"{token}\">\
         <button type=\"submit\" name=\"grant\" value=\"{id}\" aria-label=\"Take back {client}\">Take back</button></form></li>\n",
        client = escape(&grant.client_name),
        host = escape(&grant.client_host),
        rights = rights.join(", "),
        project = escape(&grant.project_slug),
        id = grant.id.0,
    )
}
