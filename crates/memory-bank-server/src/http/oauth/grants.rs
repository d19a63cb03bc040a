//! `/oauth/grants`: what a user has given to clients, and how it takes that back.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::response::Response;
use http::StatusCode;
use memory_bank_core::caller::KeyId;
use memory_bank_core::clock::date_time;
use memory_bank_core::identity::{GrantView, PlainToken};

use crate::http::oauth::cookie::{Purpose, form_token};
use crate::http::oauth::page::{alert, escape, page, see_other};
use crate::http::oauth::page_request::{PageRequest, failed, stale};
use crate::http::oauth::token::evict;
use crate::http::oauth::{form, openid};
use crate::http::shared::Shared;

const PURPOSE: Purpose = Purpose::Grants;

/// `GET /oauth/grants`
pub(crate) async fn list(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    match PageRequest::of(shared, request) {
        Ok((page_request, ..)) => show(&page_request, None).await,
        Err(response) => *response,
    }
}

/// `POST /oauth/grants`: signs in, signs out, or takes a grant back.
pub(crate) async fn change(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    let (page_request, parts, body) = match PageRequest::of(shared, request) {
        Ok(page_request) => page_request,
        Err(response) => return *response,
    };
    let form = match form::read_for_page(&page_request.shared, &parts, body).await {
        Ok(form) => form,
        Err(response) => return response,
    };
    let Some(cookie) = page_request.cookie_of_form(&form, &PURPOSE) else { return stale() };
    if form.get("secret").is_some() {
        if let Some(refusal) = page_request.too_many_sign_ins().await {
            return refusal;
        }
        return match page_request.sign_in(&form, &cookie, &PURPOSE).await {
            Ok(response) => response,
            Err(message) => show(&page_request, Some(message)).await,
        };
    }
    let signed_in = PURPOSE.sign_in_hash(&cookie);
    if form.get("sign_out").is_some() {
        if let Err(failure) = page_request.store.sign_out(&signed_in).await {
            return failed(&failure);
        }
        let mut response = see_other("/oauth/grants");
        PURPOSE.remove_cookie(&mut response, &page_request.server);
        return response;
    }
    let Some(grant) = form.get("grant").and_then(|id| id.parse().ok()) else { return stale() };
    match page_request.store.take_back(&signed_in, KeyId(grant)).await {
        Ok(taken) => {
            if let Some(void) = taken {
                evict(&page_request.shared, &void).await;
            }
            see_other("/oauth/grants")
        }
        Err(failure) => failed(&failure),
    }
}

async fn show(page_request: &PageRequest, message: Option<&str>) -> Response {
    if message.is_none() {
        match page_request.signed_in(&PURPOSE).await {
            Ok(Some((cookie, user))) => {
                return match page_request.store.grants(&PURPOSE.sign_in_hash(&cookie)).await {
                    Ok(grants) => listed(&user.user_name, &grants, &cookie),
                    Err(failure) => failed(&failure),
                };
            }
            Ok(None) => {}
            Err(failure) => return failed(&failure),
        }
    }
    let cookie = page_request.cookie(&PURPOSE);
    let message = alert(message);
    let body = format!(
        "<h1>Sign in to see what you have allowed</h1>\n{message}{offer}<form method=\"post\" action=\"/oauth/grants\">\n\
         <input type=\"hidden\" name=\"token\" value=\"{}\">\n\
         <label for=\"secret\">API key or login code</label>\n\
         <input id=\"secret\" name=\"secret\" type=\"password\" required autofocus autocomplete=\"off\">\n\
         <div class=\"row\"><button class=\"main\" type=\"submit\">Sign in</button></div>\n</form>",
        form_token(&cookie, PURPOSE.of_forms()),
        offer = openid::offer(&page_request.shared, &cookie, &PURPOSE),
    );
    let leads_to = page_request.shared.openid.as_ref().and_then(|provider| provider.address());
    let mut response = page(StatusCode::OK, "What you have allowed", &body, leads_to.as_ref());
    PURPOSE.set_cookie(&mut response, &page_request.server, &cookie);
    response
}

fn listed(user: &str, grants: &[GrantView], cookie: &PlainToken) -> Response {
    let token = form_token(cookie, PURPOSE.of_forms());
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
        "<li><p><strong>{client}</strong> ({host}) may {rights} in {project}, {until}. Allowed: {allowed}. Last use: {used}.</p>\n\
         <form method=\"post\" action=\"/oauth/grants\"><input type=\"hidden\" name=\"token\" value=\"{token}\">\
         <button type=\"submit\" name=\"grant\" value=\"{id}\" aria-label=\"Take back {client}, allowed {allowed}\">Take back</button></form></li>\n",
        client = escape(&grant.client_name),
        host = escape(&grant.client_host),
        rights = all_of(&rights),
        allowed = date_time(grant.created_at),
        project = escape(&grant.project_slug),
        id = grant.id.0,
    )
}

/// Words as a list in a sentence.
fn all_of(words: &[&str]) -> String {
    match words {
        [] => "do nothing".to_owned(),
        [one] => (*one).to_owned(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::all_of;

    #[test]
    fn rights_are_a_list_in_a_sentence() {
        assert_eq!(all_of(&["read"]), "read");
        assert_eq!(all_of(&["read", "write"]), "read and write");
        assert_eq!(all_of(&["read", "write", "admin"]), "read, write and admin");
    }
}
