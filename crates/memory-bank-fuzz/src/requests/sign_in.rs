//! How a client of OAuth and the web console get what opens the project: step by step over HTTP, as a browser does it.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};

use super::fixture::{HOST, Site};
use super::wire::Reply;

/// The verifier and the challenge of the example in RFC 7636.
pub(super) const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";
/// Where the answers of the client's requests go.
const CALLBACK: &str = "http://localhost:1234/cb";
/// The cookie of a browser that decides about a request.
const DECISION: &str = "__Host-mbmcp";
/// The cookie of a session of the console.
const CONSOLE: &str = "__Host-mbmcp-console";

/// A browser whose user has signed in, in front of the form of consent.
pub(super) struct Browser {
    /// The value of its cookie.
    pub(super) cookie: String,
    /// The token of the form.
    pub(super) form: String,
}

/// Registers a client, and returns its id.
pub(super) fn register(site: &Site) -> String {
    let body = json!({"client_name": "Fuzz", "redirect_uris": [CALLBACK]});
    let reply = site.send(&format!(
        "POST /oauth/register HTTP/1.1\nHost: {HOST}\nContent-Type: application/json\n\n{body}"
    ));
    text_of(&reply, 201, "client_id")
}

/// The request with which the client sends a browser to the server.
pub(super) fn query(client: &str) -> String {
    parameters(&[
        ("response_type", "code"),
        ("client_id", client),
        ("redirect_uri", CALLBACK),
        ("state", "xyz"),
        ("code_challenge", CHALLENGE),
        ("code_challenge_method", "S256"),
        ("scope", "read write admin"),
    ])
}

/// Signs the owner in for the client's request.
pub(super) fn sign_in(site: &Site, client: &str) -> Browser {
    let query = query(client);
    let page = site.send(&format!("GET /oauth/authorize?{query} HTTP/1.1\nHost: {HOST}"));
    let begun = browser(&page, 200);
    let body = parameters(&[("request", &query), ("token", &begun.form), ("secret", &site.own.key)]);
    let signed_in = post(site, "/oauth/sign-in", &begun.cookie, &body);
    let cookie = cookie(&signed_in, 303, DECISION);
    let page = site
        .send(&format!("GET /oauth/authorize?{query} HTTP/1.1\nHost: {HOST}\nCookie: {DECISION}={cookie}"));
    Browser { form: form(&page, 200), cookie }
}

/// The code that the client gets when the owner consents.
pub(super) fn code(site: &Site, client: &str) -> String {
    let browser = sign_in(site, client);
    let body = parameters(&[
        ("request", &query(client)),
        ("token", &browser.form),
        ("project", &site.own.project),
        ("decision", "allow"),
        ("read", "yes"),
        ("write", "yes"),
        ("admin", "yes"),
    ]);
    let allowed = post(site, "/oauth/authorize", &browser.cookie, &body);
    let code = allowed.between("?code=", "&").filter(|_| allowed.status() == Some(200));
    code.unwrap_or_else(|| panic!("no code: {}", allowed.0)).to_owned()
}

/// An access token, and the refresh token that came with it.
pub(super) fn tokens(site: &Site, client: &str) -> [String; 2] {
    let body = parameters(&[
        ("grant_type", "authorization_code"),
        ("client_id", client),
        ("code", &code(site, client)),
        ("redirect_uri", CALLBACK),
        ("code_verifier", VERIFIER),
    ]);
    let reply = post(site, "/oauth/token", "", &body);
    ["access_token", "refresh_token"].map(|name| text_of(&reply, 200, name))
}

/// The two halves of a session of the console: its cookie, and the token of its page.
pub(super) fn console(site: &Site) -> [String; 2] {
    let body = json!({"secret": site.own.key});
    let reply = site
        .send(&format!("POST /app/session HTTP/1.1\nHost: {HOST}\nContent-Type: application/json\n\n{body}"));
    [cookie(&reply, 200, CONSOLE), text_of(&reply, 200, "token")]
}

fn post(site: &Site, path: &str, cookie: &str, body: &str) -> Reply {
    site.send(&format!(
        "POST {path} HTTP/1.1\nHost: {HOST}\nContent-Type: application/x-www-form-urlencoded\nCookie: {DECISION}={cookie}\n\n{body}"
    ))
}

/// The browser that has just got this page.
fn browser(page: &Reply, status: u16) -> Browser {
    Browser { cookie: cookie(page, status, DECISION), form: form(page, status) }
}

fn form(page: &Reply, status: u16) -> String {
    let token = page.between("name=\"token\" value=\"", "\"").filter(|_| page.status() == Some(status));
    token.unwrap_or_else(|| panic!("no form: {}", page.0)).to_owned()
}

fn cookie(reply: &Reply, status: u16, name: &str) -> String {
    let set = reply.header("set-cookie").filter(|_| reply.status() == Some(status));
    let value = set.and_then(|set| set.strip_prefix(name)?.strip_prefix('=')?.split(';').next());
    value.unwrap_or_else(|| panic!("no cookie `{name}`: {}", reply.0)).to_owned()
}

/// A member of the JSON of a reply.
fn text_of(reply: &Reply, status: u16, name: &str) -> String {
    let body = reply.0.split_once("\r\n\r\n").map_or("", |(_, body)| body);
    let body: Value = serde_json::from_str(body).unwrap_or_default();
    let text = body.get(name).and_then(Value::as_str).filter(|_| reply.status() == Some(status));
    text.unwrap_or_else(|| panic!("no `{name}`: {}", reply.0)).to_owned()
}

/// Parameters as a query, or a form.
pub(super) fn parameters(pairs: &[(&str, &str)]) -> String {
    let pairs: Vec<String> = pairs.iter().map(|(name, value)| format!("{name}={}", escaped(value))).collect();
    pairs.join("&")
}

/// A value in a query.
pub(super) fn escaped(text: &str) -> String {
    const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
    utf8_percent_encode(text, ESCAPED).to_string()
}
