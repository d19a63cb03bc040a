//! What opens a session of the console, and what presents it: a cookie, and a header of its page.

use axum::response::{IntoResponse, Response};
use http::header::ORIGIN;
use http::{HeaderMap, HeaderName, StatusCode};
use memory_bank_core::clock::Entropy;
use memory_bank_core::identity::{KeyHash, PlainToken, TokenKind};
use serde::Deserialize;
use serde_json::json;

use crate::http::oauth::ServerUrl;
use crate::http::oauth::cookie::{self, SameSite};
use crate::http::reply;

/// The header with the half that the page has.
pub(crate) const HEADER: HeaderName = HeaderName::from_static("x-console-token");
/// How long a session lasts, in seconds.
pub(super) const SESSION_SECONDS: u32 = 12 * 3600;
/// The longest body of a sign-in, in bytes.
pub(super) const BODY_BYTES: usize = 8 * 1024;

/// What the console sends to sign in.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct SubmittedCredentials {
    /// A key or a login code.
    pub(super) secret: Option<String>,
    /// The project, for a user who has signed in and has several.
    pub(super) project: Option<String>,
    /// `true` for a user who has just signed in with an OpenID provider.
    #[serde(default)]
    pub(super) signed_in: bool,
}

/// The name of the cookie of a session. With `__Host-` a browser takes it from this host alone, over https. Without https it has the
/// port: a browser has the same cookies for all ports of a host, and the consoles of several folders are open at once.
fn cookie_name(server: &ServerUrl) -> String {
    if server.is_https() {
        "__Host-mbmcp-console".to_owned()
    } else {
        format!("mbmcp-console-{}", server.port().unwrap_or_default())
    }
}

/// Both halves of what opens a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Halves {
    cookie: PlainToken,
    page: PlainToken,
}

impl Halves {
    pub(super) fn generate(entropy: &dyn Entropy) -> Self {
        let [cookie, page] = [(); 2].map(|()| PlainToken::generate(TokenKind::SignIn, entropy));
        Self { cookie, page }
    }

    /// The hash by which the database knows the session.
    pub(super) fn hash(&self) -> KeyHash {
        self.hash_for("console")
    }

    /// The hash by which it knows the grant, as that of a refresh token, which ends it. A session is never refreshed.
    pub(super) fn grant_hash(&self) -> KeyHash {
        self.hash_for("grant of the console")
    }

    fn hash_for(&self, purpose: &str) -> KeyHash {
        KeyHash::of(format!("{purpose}\n{}\n{}", self.cookie.expose(), self.page.expose()).as_bytes())
    }
}

/// The sessions that a request may have, one with each cookie of their name; none without one of the halves, or for a page of another
/// site.
pub(super) fn sessions_of(headers: &HeaderMap, server: &ServerUrl) -> Vec<Halves> {
    let page = headers.get(HEADER).and_then(|page| PlainToken::parse(TokenKind::SignIn, page.to_str().ok()?));
    let Some(page) = page.filter(|_| is_own_page(headers, server)) else { return Vec::new() };
    let cookies = cookie::tokens(headers, &cookie_name(server));
    cookies.into_iter().map(|cookie| Halves { cookie, page: page.clone() }).collect()
}

/// Whether a request comes from a page of this server, as far as the browser reports it.
pub(super) fn is_own_page(headers: &HeaderMap, server: &ServerUrl) -> bool {
    let site = headers.get("sec-fetch-site").map(|site| site == "same-origin");
    let origin = headers.get(ORIGIN).map(|origin| origin == server.issuer());
    site != Some(false) && origin != Some(false)
}

/// The reply to a user who has signed out.
pub(super) fn closed(server: &ServerUrl) -> Response {
    let mut response = StatusCode::NO_CONTENT.into_response();
    cookie::set(&mut response, server, (&cookie_name(server), ""), 0, SameSite::Strict);
    response
}

/// The reply to a user who has signed in.
pub(super) fn opened(server: &ServerUrl, halves: &Halves, user_name: &str, project: &str) -> Response {
    let body = json!({"token": halves.page.expose(), "user": user_name, "project": project});
    let mut response = reply::json(StatusCode::OK, &body);
    let name = cookie_name(server);
    let pair = (name.as_str(), halves.cookie.expose());
    cookie::set(&mut response, server, pair, SESSION_SECONDS, SameSite::Strict);
    response
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use http::header::COOKIE;
    use memory_bank_core::clock::SystemEntropy;

    use super::*;
    use crate::http::origin::WebOrigin;

    #[test]
    fn a_session_needs_both_halves_and_a_page_of_this_server() {
        let server = ServerUrl::at(&WebOrigin::parse("https://memory.example").unwrap()).unwrap();
        let [cookie, page] = [(); 2].map(|()| PlainToken::generate(TokenKind::SignIn, &SystemEntropy));
        let text = |text: &str| HeaderValue::from_str(text).unwrap();
        let both = HeaderMap::from_iter([
            (COOKIE, text(&format!("__Host-mbmcp-console={}", cookie.expose()))),
            (HEADER, text(page.expose())),
        ]);
        let halves = Halves { cookie: cookie.clone(), page: page.clone() };
        assert_eq!(sessions_of(&both, &server), std::slice::from_ref(&halves));
        for missing in [COOKIE, HEADER] {
            let mut half = both.clone();
            half.remove(missing);
            assert_eq!(sessions_of(&half, &server), []);
        }
        for (name, value) in [("sec-fetch-site", "same-site"), ("origin", "https://memory.example:8443")] {
            let mut foreign = both.clone();
            foreign.insert(HeaderName::from_static(name), text(value));
            assert_eq!(sessions_of(&foreign, &server), [], "{value}");
        }
        let mut own = both;
        own.insert(HeaderName::from_static("sec-fetch-site"), text("same-origin"));
        own.insert(ORIGIN, text("https://memory.example"));
        assert_eq!(sessions_of(&own, &server), std::slice::from_ref(&halves));
        let exchanged = Halves { cookie: page, page: cookie };
        assert_ne!(halves.hash(), exchanged.hash());
        assert_ne!(halves.hash(), halves.grant_hash());
    }
}
