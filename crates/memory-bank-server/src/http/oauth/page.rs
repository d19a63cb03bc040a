//! The pages for people: HTML without a script. Every text from outside is escaped.

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use http::header::{CONTENT_SECURITY_POLICY, CONTENT_TYPE, LOCATION, REFERRER_POLICY};
use http::{HeaderValue, StatusCode};
use url::{Host, Url};

/// The style of all pages, at an address of its own, so that pages need no inline style.
const STYLE: &str = "\
:root { color-scheme: light dark; --line: #767676; --accent: #0b57d0; --on-accent: #ffffff; --note: #fff3cd; --on-note: #3d2f00; --error: #fce8e6; --on-error: #8c1d18 }
@media (prefers-color-scheme: dark) { :root { --accent: #a8c7fa; --on-accent: #062e6f; --note: #4a3b00; --on-note: #ffe9a8; --error: #5c1a16; --on-error: #ffdad6 } }
* { box-sizing: border-box }
body { font: 1rem/1.5 system-ui, sans-serif; margin: 0; padding: 1rem; display: flex; justify-content: center }
main { width: 100%; max-width: 30rem }
h1 { font-size: 1.375rem; line-height: 1.3; overflow-wrap: anywhere }
dl { display: grid; grid-template-columns: auto 1fr; gap: .25rem 1rem }
dt { font-weight: 600 }
dd { margin: 0; overflow-wrap: anywhere }
fieldset { border: 1px solid var(--line); border-radius: .5rem; margin: 1rem 0; padding: .5rem 1rem 1rem }
label { display: block; padding: .375rem 0 }
label.choice { display: flex; gap: .75rem; align-items: center; min-height: 2.75rem }
input[type=checkbox] { flex: none; width: 1.25rem; height: 1.25rem; margin: 0 }
input[type=text], input[type=password], select { font: inherit; width: 100%; min-height: 2.75rem; padding: .625rem; border: 1px solid var(--line); border-radius: .5rem }
code { white-space: nowrap }
a.alone { display: inline-block; padding: .625rem 0 }
button { font: inherit; font-weight: 600; min-height: 2.75rem; padding: .5rem 1.25rem; border: 1px solid var(--line); border-radius: .5rem; cursor: pointer }
button.main { background: var(--accent); color: var(--on-accent); border-color: var(--accent) }
:focus-visible { outline: 3px solid var(--accent); outline-offset: 2px }
.row { display: flex; flex-wrap: wrap; gap: .75rem; margin-top: 1rem }
.note, .error { background: var(--note); color: var(--on-note); border-radius: .5rem; padding: .75rem 1rem }
.error { background: var(--error); color: var(--on-error) }
.hint { font-size: .875rem; margin: .25rem 0 }
ul { list-style: none; padding: 0 }
li { border-top: 1px solid var(--line); padding: .75rem 0 }
li p { margin: 0 0 .75rem; overflow-wrap: anywhere }
";

/// `GET /oauth/style.css`
pub(crate) async fn style() -> Response {
    let mut response = Response::new(Body::from(STYLE));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/css; charset=utf-8"));
    response
}

/// A page. `sends_to` is the OpenID provider that its form leads to by a redirect.
pub(super) fn page(status: StatusCode, title: &str, body: &str, sends_to: Option<&Url>) -> Response {
    document(status, title, "", body, sends_to)
}

fn document(status: StatusCode, title: &str, head: &str, body: &str, sends_to: Option<&Url>) -> Response {
    let html = format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"robots\" content=\"noindex\">\n{head}<title>{} · Memory Bank</title>\n\
         <link rel=\"stylesheet\" href=\"/oauth/style.css\">\n</head>\n<body>\n<main>\n{body}\n</main>\n</body>\n</html>\n",
        escape(title)
    );
    let mut response = Response::new(Body::from(html));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    if let Ok(policy) = HeaderValue::from_str(&policy(sends_to)) {
        headers.insert(CONTENT_SECURITY_POLICY, policy);
    }
    response
}

/// Browsers apply `form-action` to redirects that follow a form, too, and to the redirects of those: a form whose answer
/// leads to an address that this server cannot foresee is answered with a page ([`onward`]).
fn policy(sends_to: Option<&Url>) -> String {
    let beyond = match sends_to.map(|url| (url.scheme(), url.host())) {
        None => String::new(),
        // A policy cannot name an address of IPv6.
        Some(("http", Some(Host::Ipv6(_)))) => " https: http:".to_owned(),
        Some(("http", _)) => " https: http://localhost:* http://127.0.0.1:*".to_owned(),
        Some(_) => " https:".to_owned(),
    };
    format!(
        "default-src 'none'; style-src 'self'; form-action 'self'{beyond}; base-uri 'none'; frame-ancestors 'none'"
    )
}

/// A page that says what went wrong.
pub(super) fn problem(status: StatusCode, title: &str, text: &str, back: Option<&Url>) -> Response {
    let link = back.map_or_else(String::new, |url| {
        format!(
            "<p><a rel=\"noreferrer\" href=\"{}\" class=\"alone\">Return to the application</a></p>",
            escape(url.as_str())
        )
    });
    let body = format!("<h1>{}</h1>\n<p>{}</p>\n{link}", escape(title), escape(&sentence(text)));
    page(status, title, &body, None)
}

/// A page that leads to an address of an application by itself, and by a link where the browser does not. No `Referer`
/// shows this server's address to the application.
pub(super) fn onward(title: &str, text: &str, to: &Url) -> Response {
    let address = escape(to.as_str());
    let body = format!(
        "<h1>{}</h1>\n<p>{}</p>\n\
         <p><a rel=\"noreferrer\" href=\"{address}\" class=\"alone\">Return to the application</a></p>",
        escape(title),
        escape(text),
    );
    let head = format!("<meta http-equiv=\"refresh\" content=\"0;url={address}\">\n");
    let mut response = document(StatusCode::OK, title, &head, &body, None);
    // Not on the pages with forms: browsers would send `Origin: null` with them.
    response.headers_mut().insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    response
}

/// A message about what the user did wrong.
pub(super) fn alert(text: Option<&str>) -> String {
    text.map_or_else(String::new, |text| {
        format!("<p class=\"error\" role=\"alert\">{}</p>\n", escape(&sentence(text)))
    })
}

/// A fragment, as messages are written, as a sentence.
fn sentence(text: &str) -> String {
    let mut chars = text.chars();
    let first = chars.next().map(|first| first.to_ascii_uppercase());
    let end = if text.ends_with('.') { "" } else { "." };
    first.into_iter().chain(chars).chain(end.chars()).collect()
}

/// Sends the browser elsewhere, with GET.
pub(super) fn see_other(to: &str) -> Response {
    let mut response = StatusCode::SEE_OTHER.into_response();
    if let Ok(to) = HeaderValue::from_str(to) {
        response.headers_mut().insert(LOCATION, to);
    }
    response
}

/// A text in HTML, also inside of quoted attributes.
pub(super) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for char in text.chars() {
        match char {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            char => escaped.push(char),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_stays_a_text() {
        assert_eq!(escape("<a href=\"x\" b='y'>&"), "&lt;a href=&quot;x&quot; b=&#39;y&#39;&gt;&amp;");
    }

    #[test]
    fn a_page_cannot_be_framed_and_runs_no_script() {
        let page = page(StatusCode::OK, "<t>", "", None);
        let policy = page.headers()[CONTENT_SECURITY_POLICY].to_str().unwrap();
        assert!(
            policy.contains("default-src 'none'") && policy.contains("frame-ancestors 'none'"),
            "{policy}"
        );
        assert!(policy.contains("form-action 'self';"), "{policy}");
    }

    #[test]
    fn a_page_leads_to_an_application_and_shows_it_no_referrer() {
        let to = Url::parse("cursor://x/cb?code=1&state='\"><b>").unwrap();
        let page = onward("<t>", "text", &to);
        assert_eq!(page.status(), StatusCode::OK);
        assert_eq!(page.headers()[REFERRER_POLICY], "no-referrer");
        assert!(page.headers()[CONTENT_SECURITY_POLICY].to_str().unwrap().contains("form-action 'self';"));
    }

    #[test]
    fn a_form_leads_to_a_provider_and_no_policy_names_an_address_that_policies_cannot_name() {
        let of = |uri: &str| policy(Some(&Url::parse(uri).unwrap()));
        assert!(
            of("http://localhost:1/cb")
                .contains("form-action 'self' https: http://localhost:* http://127.0.0.1:*;")
        );
        assert!(of("http://[::1]:1/cb").contains("form-action 'self' https: http:;"));
        assert!(of("https://a.example/cb").contains("form-action 'self' https:;"));
    }
}
