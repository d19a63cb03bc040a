//! The cookie of a browser, and the tokens of its forms.
//!
//! The same cookie stands for a browser before and after its user has signed in, but never the same value: signing in
//! makes a new one, so that nobody can prepare the cookie that a user signs in with.

use axum::response::Response;
use http::header::{COOKIE, SET_COOKIE};
use http::{HeaderMap, HeaderValue};
use memory_bank_core::identity::{KeyHash, PlainToken, TokenKind};

use crate::http::oauth::ServerUrl;

/// How long a browser is signed in, in seconds.
pub(super) const SIGN_IN_SECONDS: u32 = 900;

/// The name of the cookie. With `__Host-` a browser takes it from this host alone, over https.
fn name(server: &ServerUrl) -> &'static str {
    if server.is_https() { "__Host-mbmcp" } else { "mbmcp" }
}

/// The cookie of a request.
pub(super) fn of(headers: &HeaderMap, server: &ServerUrl) -> Option<PlainToken> {
    let pairs = headers.get_all(COOKIE).iter().filter_map(|value| value.to_str().ok());
    let mut values = pairs.flat_map(|line| line.split(';')).filter_map(|pair| {
        let (known, value) = pair.trim().split_once('=')?;
        (known == name(server)).then_some(value)
    });
    let value = values.next()?;
    // With two of them it is unknown which one this server has set.
    if values.next().is_some() { None } else { PlainToken::parse(TokenKind::SignIn, value) }
}

/// Sets the cookie. `Lax`, so that a browser that returns from another site still sends it.
pub(super) fn set(response: &mut Response, server: &ServerUrl, cookie: &PlainToken) {
    write(response, server, cookie.expose(), SIGN_IN_SECONDS);
}

/// Removes the cookie.
pub(super) fn remove(response: &mut Response, server: &ServerUrl) {
    write(response, server, "", 0);
}

fn write(response: &mut Response, server: &ServerUrl, value: &str, seconds: u32) {
    let secure = if server.is_https() { "; Secure" } else { "" };
    let text = format!("{}={value}; Path=/; Max-Age={seconds}; HttpOnly; SameSite=Lax{secure}", name(server));
    if let Ok(value) = HeaderValue::from_str(&text) {
        response.headers_mut().append(SET_COOKIE, value);
    }
}

/// The token of a form: who knows it has seen a page that was made for this cookie, and for this purpose.
pub(super) fn form_token(cookie: &PlainToken, purpose: &str) -> String {
    KeyHash::of(format!("form\n{}\n{purpose}", cookie.expose()).as_bytes()).to_hex()
}

/// Whether a form has the token of this cookie and purpose. Hashes are compared, so that the time shows nothing.
pub(super) fn is_of_form(cookie: &PlainToken, purpose: &str, given: Option<&str>) -> bool {
    let hash = |text: &str| KeyHash::of(text.as_bytes());
    given.is_some_and(|given| hash(given) == hash(&form_token(cookie, purpose)))
}

#[cfg(test)]
mod tests {
    use memory_bank_core::clock::SystemEntropy;

    use super::*;

    #[test]
    fn a_token_is_for_one_cookie_and_one_purpose() {
        let [one, other] = [(); 2].map(|()| PlainToken::generate(TokenKind::SignIn, &SystemEntropy));
        let token = form_token(&one, "a=b");
        assert!(is_of_form(&one, "a=b", Some(&token)));
        assert!(!is_of_form(&one, "a=c", Some(&token)) && !is_of_form(&other, "a=b", Some(&token)));
        assert!(!is_of_form(&one, "a=b", None) && !is_of_form(&one, "a=b", Some("")));
    }
}
