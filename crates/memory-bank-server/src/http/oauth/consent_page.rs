//! What a user sees: the form to sign in, and the form of consent.

use axum::response::Response;
use http::StatusCode;
use memory_bank_core::caller::{Right, Role};
use memory_bank_core::identity::{Membership, PlainToken, SignedIn};
use url::Url;

use crate::http::oauth::cookie::{Purpose, form_token};
use crate::http::oauth::page::{alert, escape, page};
use crate::http::oauth::request::AuthorizationRequest;
use crate::http::oauth::{document_address, openid, redirect_uri};
use crate::http::shared::Shared;

/// How long a grant lasts, as the form offers it: value, text, days.
pub(super) const TERMS: [(&str, &str, Option<u32>); 4] = [
    ("open", "until I take it back", None),
    ("30", "30 days", Some(30)),
    ("7", "7 days", Some(7)),
    ("1", "1 day", Some(1)),
];

/// The form to sign in. `query` is the request, which the form carries on.
pub(super) fn sign_in(
    shared: &Shared,
    authorization: &AuthorizationRequest,
    query: &str,
    cookie: &PlainToken,
    message: Option<&str>,
) -> Response {
    let body = format!(
        "<h1>Sign in to let “{client}” use your memory bank</h1>\n{message}{warning}{offer}\
         <form method=\"post\" action=\"/oauth/sign-in\">\n\
         <input type=\"hidden\" name=\"request\" value=\"{request}\">\n\
         <input type=\"hidden\" name=\"token\" value=\"{token}\">\n\
         <label for=\"secret\">API key or login code</label>\n\
         <input id=\"secret\" name=\"secret\" type=\"password\" required autofocus autocomplete=\"off\" \
         autocapitalize=\"off\" spellcheck=\"false\" aria-describedby=\"hint\">\n\
         <p id=\"hint\" class=\"hint\">An operator makes a login code with <code>memory-bank-mcp login-code</code>. With a key you can \
         open the project of that key only.</p>\n\
         <div class=\"row\"><button class=\"main\" type=\"submit\">Sign in</button></div>\n</form>",
        client = escape(&authorization.client.name),
        message = alert(message),
        warning = warning(authorization),
        offer = openid::offer(shared, cookie, &Purpose::Authorize(query.to_owned())),
        request = escape(query),
        token = form_token(cookie, query),
    );
    let status = if message.is_some() { StatusCode::FORBIDDEN } else { StatusCode::OK };
    let leads_to = shared.openid.as_ref().and_then(|provider| provider.address());
    page(status, "Sign in", &body, leads_to.as_ref())
}

/// The form of consent.
pub(super) fn consent(
    shared: &Shared,
    authorization: &AuthorizationRequest,
    query: &str,
    cookie: &PlainToken,
    user: &SignedIn,
    message: Option<&str>,
) -> Response {
    let host = redirect_uri::shown_host(&authorization.redirect_uri);
    let body = format!(
        "<h1>Let “{client}” use a memory bank?</h1>\n{message}{warning}\
         <dl><dt>Application</dt><dd>{client}</dd>{described}<dt>Answers go to</dt><dd>{host}</dd>\
         <dt>Signed in as</dt><dd>{user}</dd></dl>\n\
         <form method=\"post\" action=\"/oauth/authorize\">\n\
         <input type=\"hidden\" name=\"request\" value=\"{request}\">\n\
         <input type=\"hidden\" name=\"token\" value=\"{token}\">\n\
         <label for=\"project\">Project</label>\n<select id=\"project\" name=\"project\">{projects}</select>\n\
         <fieldset><legend>It may</legend>\n{rights}\
         <p class=\"hint\">It never gets a right that you do not have in the project yourself.</p></fieldset>\n\
         <label for=\"term\">For how long</label>\n<select id=\"term\" name=\"term\" aria-describedby=\"unused\">{terms}</select>\n\
         <p id=\"unused\" class=\"hint\">An application that is not used for 30 days has to ask again.{longest}</p>\n\
         <div class=\"row\"><button class=\"main\" type=\"submit\" name=\"decision\" value=\"allow\">Allow</button>\n\
         <button type=\"submit\" name=\"decision\" value=\"deny\">Deny</button>\n\
         <button type=\"submit\" name=\"decision\" value=\"switch\">Sign in as somebody else</button></div>\n</form>\n\
         <p>You can take this back at any time:<br><a href=\"/oauth/grants\" class=\"alone\">what you have allowed</a></p>",
        client = escape(&authorization.client.name),
        message = alert(message),
        warning = warning(authorization),
        described = described(authorization),
        host = escape(&host),
        user = escape(&user.user_name),
        longest = openid::longest(shared),
        request = escape(query),
        token = form_token(cookie, query),
        projects = user.projects.iter().map(project).collect::<String>(),
        rights = authorization.rights.iter().map(|one| right(one, &user.projects)).collect::<String>(),
        terms = TERMS
            .iter()
            .map(|(value, text, _)| format!("<option value=\"{value}\">{text}</option>"))
            .collect::<String>(),
    );
    let status = if message.is_some() { StatusCode::BAD_REQUEST } else { StatusCode::OK };
    page(status, "Allow access", &body, None)
}

/// Where a client describes itself: the one part of it that somebody must control.
fn described(authorization: &AuthorizationRequest) -> String {
    let address = document_address::address(&authorization.client_id);
    let host = address.as_ref().and_then(Url::host_str);
    host.map_or_else(String::new, |host| format!("<dt>Described at</dt><dd>{}</dd>", escape(host)))
}

/// Anybody can register under any name, and any program on this machine can wait at one of its ports.
fn warning(authorization: &AuthorizationRequest) -> String {
    if authorization.client.by_operator {
        return String::new();
    }
    let where_to = if redirect_uri::is_loopback(&authorization.redirect_uri) {
        "a program on this computer"
    } else {
        "another site or program"
    };
    format!(
        "<p class=\"note\">This application chose its name itself, and nobody has checked it. Continue only if you have \
         just connected it yourself: what you allow goes to {where_to}.</p>\n"
    )
}

fn project(membership: &Membership) -> String {
    let role = match membership.role {
        Role::Viewer => "viewer",
        Role::Editor => "editor",
        Role::Owner => "owner",
    };
    format!(
        "<option value=\"{}\">{} (you are {} {role})</option>",
        membership.project.0,
        escape(&membership.slug),
        if role == "viewer" { "a" } else { "an" },
    )
}

/// Reading and writing are chosen to begin with, where the user has them in the project that is; what can lose something,
/// the user chooses.
fn right(right: Right, projects: &[Membership]) -> String {
    let text = match right {
        Right::Read => "read documents and the graph",
        Right::Write => "change documents and the graph",
        Right::Admin => "delete documents and restore backups",
    };
    let name = right.as_str();
    let has = |project: &Membership| project.rights.contains(&right);
    let (state, note) = if !projects.iter().any(has) {
        (" disabled", ": you cannot give this")
    } else if right != Right::Admin && projects.first().is_some_and(has) {
        (" checked", "")
    } else {
        ("", "")
    };
    format!(
        "<label class=\"choice\"><input type=\"checkbox\" name=\"{name}\" value=\"yes\"{state}>\
         <span>{text} ({name}){note}</span></label>\n"
    )
}
