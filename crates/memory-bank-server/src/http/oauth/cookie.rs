//! The cookie of a browser, and the tokens of its forms.
//!
//! The same cookie stands for a browser before and after its user has signed in, but never the same value: signing in
//! makes a new one, so that nobody can prepare the cookie that a user signs in with.
//!
//! Browsers send a cookie to every port of its host, so a program that waits for an answer at another port can get it.
//! That is why a sign-in belongs to one [`Purpose`], and ends with the decision.

use axum::response::Response;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::header::{COOKIE, SET_COOKIE};
use http::{HeaderMap, HeaderValue};
use memory_bank_core::identity::{KeyHash, PlainToken, TokenKind};

use crate::http::oauth::ServerUrl;
use crate::http::oauth::form::Form;

/// How long a sign-in at an OpenID provider may take, in seconds.
const ATTEMPT_SECONDS: u32 = 900;
/// The console as what a sign-in at an OpenID provider is for; no query is encoded like this.
const CONSOLE: &str = "~console";
/// How many cookies of one name are tried.
const MOST_TRIED: usize = 8;
/// The longest cookie that browsers keep, with its name and attributes, less some room.
const LONGEST: usize = 3800;

/// The name of the cookie of a sign-in at an OpenID provider.
fn attempt_name(server: &ServerUrl) -> &'static str {
    if server.is_https() { "__Host-mbmcp-openid" } else { "mbmcp-openid" }
}

/// The values of all cookies of this name. A program at another port of this host can set one for a longer path, which the browser sends
/// first: so each is tried, and only the one that the server has set opens anything.
fn values<'a>(headers: &'a HeaderMap, name: &str) -> impl Iterator<Item = &'a str> {
    let lines = headers.get_all(COOKIE).iter().filter_map(|value| value.to_str().ok());
    lines.flat_map(|line| line.split(';')).filter_map(move |pair| {
        let (known, value) = pair.trim().split_once('=')?;
        (known == name).then_some(value)
    })
}

/// The parameters that make an authorization request what it is.
const OF_REQUEST: [&str; 6] = ["client_id", "redirect_uri", "state", "code_challenge", "scope", "resource"];

/// What a user signs in for. A sign-in for one purpose opens nothing else.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Purpose {
    /// To decide about this request of a client.
    Authorize(String),
    /// To see what the user has allowed.
    Grants,
    /// To use the web console.
    Console,
}

impl Purpose {
    /// The address, which is always of this server.
    pub(super) fn address(&self) -> String {
        match self {
            Self::Authorize(query) => format!("/oauth/authorize?{query}"),
            Self::Grants => "/oauth/grants".to_owned(),
            Self::Console => "/app/".to_owned(),
        }
    }

    /// The address for a user who has just signed in elsewhere. The console's page finishes the sign-in.
    pub(super) fn address_when_signed_in(&self) -> String {
        match self {
            Self::Console => "/app/#signed-in".to_owned(),
            other => other.address(),
        }
    }

    /// What the tokens of its forms are for.
    pub(super) fn of_forms(&self) -> &str {
        match self {
            Self::Authorize(query) => query,
            Self::Grants => "grants",
            Self::Console => "console",
        }
    }

    /// How long a sign-in lasts, in seconds.
    pub(super) fn seconds(&self) -> u32 {
        match self {
            Self::Authorize(_) => 900,
            // No decision ends it.
            Self::Grants | Self::Console => 300,
        }
    }

    /// The name of the cookie. With `__Host-` a browser takes it from this host alone, over https.
    fn cookie_name(&self, server: &ServerUrl) -> &'static str {
        match (self, server.is_https()) {
            (Self::Authorize(_), true) => "__Host-mbmcp",
            (Self::Authorize(_), false) => "mbmcp",
            (Self::Grants, true) => "__Host-mbmcp-grants",
            (Self::Grants, false) => "mbmcp-grants",
            (Self::Console, true) => "__Host-mbmcp-console-choice",
            (Self::Console, false) => "mbmcp-console-choice",
        }
    }

    /// The name under which the database knows the sign-in of a cookie: for this purpose alone.
    pub(super) fn sign_in_hash(&self, cookie: &PlainToken) -> KeyHash {
        let mut text = format!("sign-in\n{}\n", cookie.expose());
        match self {
            Self::Grants | Self::Console => text.push_str(self.of_forms()),
            Self::Authorize(query) => {
                let parameters = Form::parse(query.as_bytes()).unwrap_or_default();
                for name in OF_REQUEST {
                    let value = parameters.get(name).unwrap_or_default();
                    // The length keeps a value from reaching into the next one.
                    text.push_str(&format!("{name} {} {value}\n", value.len()));
                }
            }
        }
        KeyHash::of(text.as_bytes())
    }

    /// The cookies of a request, of which one may be this server's.
    pub(super) fn cookies(&self, headers: &HeaderMap, server: &ServerUrl) -> Vec<PlainToken> {
        tokens(headers, self.cookie_name(server))
    }

    /// Sets the cookie. `Lax`, so that a browser that returns from another site still sends it; that of the console is sent by
    /// its page alone.
    pub(super) fn set_cookie(&self, response: &mut Response, server: &ServerUrl, cookie: &PlainToken) {
        let site = if matches!(self, Self::Console) { SameSite::Strict } else { SameSite::Lax };
        set(response, server, (self.cookie_name(server), cookie.expose()), self.seconds(), site);
    }

    /// Removes the cookie.
    pub(super) fn remove_cookie(&self, response: &mut Response, server: &ServerUrl) {
        write(response, server, self.cookie_name(server), "", 0);
    }
}

/// A sign-in that has begun at an OpenID provider.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Attempt {
    pub(super) secret: PlainToken,
    pub(super) next: Purpose,
}

impl Attempt {
    /// Whether a browser keeps it.
    pub(super) fn fits(&self) -> bool {
        self.text().len() <= LONGEST
    }

    fn text(&self) -> String {
        let next = match &self.next {
            Purpose::Authorize(query) => URL_SAFE_NO_PAD.encode(query),
            Purpose::Grants => String::new(),
            Purpose::Console => CONSOLE.to_owned(),
        };
        format!("{}.{next}", self.secret.expose())
    }
}

/// The sign-ins at an OpenID provider that a browser may have begun.
pub(super) fn attempts(headers: &HeaderMap, server: &ServerUrl) -> Vec<Attempt> {
    values(headers, attempt_name(server)).filter_map(attempt_of).take(MOST_TRIED).collect()
}

fn attempt_of(value: &str) -> Option<Attempt> {
    let (secret, next) = value.split_once('.')?;
    let secret = PlainToken::parse(TokenKind::SignIn, secret)?;
    if next == CONSOLE {
        return Some(Attempt { secret, next: Purpose::Console });
    }
    let query = String::from_utf8(URL_SAFE_NO_PAD.decode(next).ok()?).ok()?;
    let next = if query.is_empty() { Purpose::Grants } else { Purpose::Authorize(query) };
    Some(Attempt { secret, next })
}

/// Sets the cookie of a sign-in at an OpenID provider.
pub(super) fn set_attempt(response: &mut Response, server: &ServerUrl, attempt: &Attempt) {
    write(response, server, attempt_name(server), &attempt.text(), ATTEMPT_SECONDS);
}

/// Removes it.
pub(super) fn remove_attempt(response: &mut Response, server: &ServerUrl) {
    write(response, server, attempt_name(server), "", 0);
}

/// Which requests of other sites have a cookie.
#[derive(Debug, Clone, Copy)]
pub(super) enum SameSite {
    /// Requests that open a page.
    Lax,
    /// No requests.
    Strict,
}

/// The tokens in the cookies of this name.
pub(super) fn tokens(headers: &HeaderMap, name: &str) -> Vec<PlainToken> {
    let parsed = |value: &str| PlainToken::parse(TokenKind::SignIn, value);
    values(headers, name).filter_map(parsed).take(MOST_TRIED).collect()
}

fn write(response: &mut Response, server: &ServerUrl, name: &str, value: &str, seconds: u32) {
    set(response, server, (name, value), seconds, SameSite::Lax);
}

/// Sets a cookie; with no seconds it is removed.
pub(super) fn set(
    response: &mut Response,
    server: &ServerUrl,
    (name, value): (&str, &str),
    seconds: u32,
    same_site: SameSite,
) {
    let site = match same_site {
        SameSite::Lax => "Lax",
        SameSite::Strict => "Strict",
    };
    let secure = if server.is_https() { "; Secure" } else { "" };
    let text = format!("{name}={value}; Path=/; Max-Age={seconds}; HttpOnly; SameSite={site}{secure}");
    if let Ok(value) = HeaderValue::from_str(&text) {
        response.headers_mut().append(SET_COOKIE, value);
    }
}

/// The token of a form: who knows it has seen a page that was made for this cookie, and for this purpose.
pub(super) fn form_token(cookie: &PlainToken, purpose: &str) -> String {
    KeyHash::of(format!("form\n{}\n{purpose}", cookie.expose()).as_bytes()).to_hex()
}

/// Whether a form has the token of this cookie and purpose.
pub(super) fn is_of_form(cookie: &PlainToken, purpose: &str, given: Option<&str>) -> bool {
    is_same(&form_token(cookie, purpose), given)
}

/// Whether a secret was given. Hashes are compared, so that the time shows nothing.
pub(super) fn is_same(secret: &str, given: Option<&str>) -> bool {
    let hash = |text: &str| KeyHash::of(text.as_bytes());
    given.is_some_and(|given| hash(given) == hash(secret))
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

    #[test]
    fn a_sign_in_is_for_one_request_of_one_client_or_for_the_page_of_grants() {
        const REQUEST: &str = "client_id=c&redirect_uri=u&state=s&code_challenge=x&scope=read&resource=r";
        let cookie = PlainToken::generate(TokenKind::SignIn, &SystemEntropy);
        let hash = |query: &str| Purpose::Authorize(query.to_owned()).sign_in_hash(&cookie);
        let this = hash(REQUEST);
        assert_eq!(this, hash(&format!("{REQUEST}&mbmcp_switch=1")));
        let others = OF_REQUEST.map(|name| REQUEST.replace(&format!("{name}="), &format!("{name}=other")));
        let moved = "client_id=c&redirect_uri=u&state=s%0Acode_challenge%201%20x&scope=read&resource=r";
        let fixed = [Purpose::Grants, Purpose::Console].map(|purpose| purpose.sign_in_hash(&cookie));
        let mut seen = [vec![this, cookie.hash(), hash(moved)], fixed.to_vec()].concat();
        seen.extend(others.iter().map(|other| hash(other)));
        for (index, one) in seen.iter().enumerate() {
            assert!(!seen[..index].contains(one), "{index}");
        }
        let other = PlainToken::generate(TokenKind::SignIn, &SystemEntropy);
        assert_ne!(this, Purpose::Authorize(REQUEST.to_owned()).sign_in_hash(&other));
    }

    #[test]
    fn a_sign_in_at_a_provider_comes_back_to_where_it_began() {
        let server =
            ServerUrl::at(&crate::http::origin::WebOrigin::parse("https://memory.example").unwrap()).unwrap();
        for next in [Purpose::Console, Purpose::Grants, Purpose::Authorize("client_id=c~console".to_owned())]
        {
            let secret = PlainToken::generate(TokenKind::SignIn, &SystemEntropy);
            let begun = Attempt { secret, next };
            let mut response = Response::default();
            set_attempt(&mut response, &server, &begun);
            let set = response.headers()[SET_COOKIE].to_str().unwrap();
            let cookie = HeaderValue::from_str(set.split(';').next().unwrap()).unwrap();
            assert_eq!(attempts(&HeaderMap::from_iter([(COOKIE, cookie)]), &server), [begun]);
        }
    }

    #[test]
    fn each_cookie_of_a_name_is_tried_and_their_number_is_bounded() {
        let made: Vec<PlainToken> =
            (0..10).map(|_| PlainToken::generate(TokenKind::SignIn, &SystemEntropy)).collect();
        let pairs: Vec<String> =
            made.iter().map(|token| format!("c={}; c=junk; d=x", token.expose())).collect();
        let line = HeaderValue::from_str(&pairs.join("; ")).unwrap();
        assert_eq!(tokens(&HeaderMap::from_iter([(COOKIE, line)]), "c"), made[..MOST_TRIED]);
    }
}
