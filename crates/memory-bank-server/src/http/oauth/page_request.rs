//! What the pages of OAuth have in common: the server and the browser of a request, its forms, and signing in.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::Request;
use axum::response::Response;
use http::request::Parts;
use http::{HeaderMap, Method, StatusCode};
use jiff::Timestamp;
use memory_bank_core::error::StoreError;
use memory_bank_core::identity::{LoginCode, OAuthStore, PlainKey, PlainToken, SignIn, SignedIn, TokenKind};
use memory_bank_core::limiter::AttemptKind;

use crate::http::client_address::client_address;
use crate::http::forwarded::{self, Scheme};
use crate::http::oauth::cookie::{self, Purpose};
use crate::http::oauth::expiry::after;
use crate::http::oauth::form::Form;
use crate::http::oauth::page::{problem, see_other};
use crate::http::oauth::{ServerUrl, attempts};
use crate::http::shared::Shared;

/// The page instead of one on which a user would enter a secret that others could read, or that sets a cookie that the
/// browser would not keep.
fn without_https(status: StatusCode, address: Option<&str>) -> Response {
    let text = match address {
        Some(address) => format!(
            "This page was opened without https, so that others could read what you enter. Open it at {address}. If \
             you have done so, the proxy must report https in X-Forwarded-Proto."
        ),
        None => {
            "Signing in needs https, or a server on this computer, and a server that knows its own address. \
                 Ask its operator to set PUBLIC_URL to an address with https."
                .to_owned()
        }
    };
    problem(status, "Signing in is not possible here", &text, None)
}

/// The page for a host that the server does not know, instead of the bare refusal that programs get. It is the same for
/// every host, so that it shows nothing to a page of a stranger.
pub(crate) fn on_unknown_host(shared: &Shared, route: &str, method: &Method) -> Option<Response> {
    let is_page = matches!(route, "/oauth/authorize" | "/oauth/grants" | "/app" | "/app/{*page}")
        && method == Method::GET;
    let address = shared.config.public_url.as_deref().filter(|url| url.starts_with("https:"));
    (is_page && shared.oauth.is_some()).then(|| without_https(StatusCode::FORBIDDEN, address))
}

/// The page instead of the console where nobody can sign in to it.
pub(crate) fn console_page_refusal(shared: &Shared, request: &Request) -> Option<Response> {
    if shared.local_console.is_some() {
        let address = shared.console_url(request);
        return address.is_none().then(|| without_https(StatusCode::NOT_FOUND, None));
    }
    if shared.oauth.is_none() {
        let text = "This server has a folder and no database. Stop it, and run `memory-bank-mcp open` there.";
        return Some(problem(StatusCode::NOT_FOUND, "There is no console here", text, None));
    }
    offered(shared, request).err().map(|refusal| *refusal)
}

/// The server and the store of a request, where a user can sign in; else the page that says why not.
fn offered(shared: &Shared, request: &Request) -> Result<(ServerUrl, Arc<dyn OAuthStore>), Box<Response>> {
    let scheme = forwarded::reported_scheme(request.headers(), shared.config.trust_proxy_hops);
    match shared.oauth_url(request).zip(shared.oauth.clone()) {
        Some((server, _)) if server.is_https() && scheme == Some(Scheme::Http) => {
            Err(Box::new(without_https(StatusCode::FORBIDDEN, Some(server.issuer()))))
        }
        Some(both) => Ok(both),
        None => Err(Box::new(without_https(StatusCode::NOT_FOUND, None))),
    }
}

/// A request for a page, where OAuth is offered.
pub(super) struct PageRequest {
    pub(super) shared: Arc<Shared>,
    pub(super) server: ServerUrl,
    pub(super) store: Arc<dyn OAuthStore>,
    pub(super) headers: HeaderMap,
    /// The address of the browser.
    pub(super) address: Option<IpAddr>,
}

impl PageRequest {
    pub(super) fn of(
        shared: Arc<Shared>,
        request: Request,
    ) -> Result<(Self, Parts, axum::body::Body), Box<Response>> {
        let (server, store) = offered(&shared, &request)?;
        let address = client_address(&request, shared.config.trust_proxy_hops);
        let (parts, body) = request.into_parts();
        let headers = parts.headers.clone();
        Ok((Self { shared, server, store, headers, address }, parts, body))
    }

    /// The cookie of a form that a page of this server has made for it.
    pub(super) fn cookie_of_form(&self, form: &Form, purpose: &Purpose) -> Option<PlainToken> {
        // Browsers that report it show where a form comes from.
        let site = self.headers.get("sec-fetch-site").and_then(|site| site.to_str().ok());
        if site.is_some_and(|site| site != "same-origin") {
            return None;
        }
        let is_of_form =
            |cookie: &PlainToken| cookie::is_of_form(cookie, purpose.of_forms(), form.get("token"));
        purpose.cookies(&self.headers, &self.server).into_iter().find(is_of_form)
    }

    /// The cookie of this browser, or a new one: with several it is unknown which one this server has set.
    pub(super) fn cookie(&self, purpose: &Purpose) -> PlainToken {
        let mut cookies = purpose.cookies(&self.headers, &self.server);
        cookies.pop().filter(|_| cookies.is_empty()).unwrap_or_else(|| self.new_cookie())
    }

    /// The user who has signed in for this purpose, with the cookie. With two, of which somebody else may have set one, there is none.
    pub(super) async fn signed_in(
        &self,
        purpose: &Purpose,
    ) -> Result<Option<(PlainToken, SignedIn)>, StoreError> {
        let mut found = None;
        for cookie in purpose.cookies(&self.headers, &self.server) {
            let Some(user) = self.store.signed_in(&purpose.sign_in_hash(&cookie)).await? else { continue };
            if found.is_some() {
                return Ok(None);
            }
            found = Some((cookie, user));
        }
        Ok(found)
    }

    pub(super) fn new_cookie(&self) -> PlainToken {
        PlainToken::generate(TokenKind::SignIn, &*self.shared.services.entropy)
    }

    /// When a sign-in of now ends by itself.
    pub(super) fn signed_in_until(&self, purpose: &Purpose) -> Timestamp {
        let lifetime = Duration::from_secs(purpose.seconds().into());
        after(self.shared.services.clock.now(), lifetime)
    }

    /// The page if the browser's address has tried to sign in too often. It counts an attempt.
    pub(super) async fn too_many_sign_ins(&self) -> Option<Response> {
        attempts::refusal_page(&self.shared, AttemptKind::SignIn, self.address).await
    }

    /// Signs the user in, whose attempt was counted, with the secret of a form, and sends the browser on with a new cookie.
    ///
    /// # Errors
    /// Why the secret is not accepted, for the page that is shown again.
    pub(super) async fn sign_in(
        &self,
        form: &Form,
        former_cookie: &PlainToken,
        purpose: &Purpose,
    ) -> Result<Response, &'static str> {
        let secret = form.get("secret").and_then(sign_in_secret);
        let secret = secret.ok_or("this is neither an API key nor a login code")?;
        let cookie = self.new_cookie();
        let until = self.signed_in_until(purpose);
        match self.store.sign_in(secret, &purpose.sign_in_hash(&cookie), until).await {
            Ok(Some(_)) => {
                // The user of the former cookie is signed out.
                if let Err(failure) = self.store.sign_out(&purpose.sign_in_hash(former_cookie)).await {
                    return Ok(failed(&failure));
                }
                let mut response = see_other(&purpose.address());
                purpose.set_cookie(&mut response, &self.server, &cookie);
                Ok(response)
            }
            Ok(None) => {
                Err("this API key or login code is not valid: mistyped, used before, expired or revoked")
            }
            Err(failure) => Ok(failed(&failure)),
        }
    }
}

/// A key, or a login code as people type it.
pub(super) fn sign_in_secret(text: &str) -> Option<SignIn> {
    let text = text.trim();
    if let Ok(key) = text.parse::<PlainKey>() {
        return (!key.is_token()).then(|| SignIn::Key(key.hash()));
    }
    LoginCode::parse(text).map(|code| SignIn::LoginCode(code.hash()))
}

/// The reply to a form that was not made for this browser, or is too old.
pub(super) fn stale() -> Response {
    let text = "This page is too old, or your browser refuses cookies. Start again in the application.";
    problem(StatusCode::FORBIDDEN, "Start again", text, None)
}

/// The reply while the database cannot be reached.
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
        assert!(matches!(sign_in_secret(" abcd-efgh-jkmn-pqrs "), Some(SignIn::LoginCode(_))));
        assert!(matches!(sign_in_secret("mbmcp_live_0123"), Some(SignIn::Key(_))));
        for text in ["", "abcd", "mbmcp_at_0123", "mbmcp_rt_0123456789012345", "ABCDEFGHJKMNPQRST"] {
            assert_eq!(sign_in_secret(text), None, "{text}");
        }
    }
}
