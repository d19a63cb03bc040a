//! Parameters of OAuth, in a query or in the body of a form: each at most once.

use axum::body::Body;
use axum::response::Response;
use http::StatusCode;
use http::header::CONTENT_TYPE;
use http::request::Parts;

use crate::http::oauth::page::problem;
use crate::http::oauth::reply::{ErrorCode, error};
use crate::http::reply_budget::Holder;
use crate::http::shared::Shared;
use crate::http::{body, reply as http_reply};

/// The longest parameters, in bytes.
const LONGEST: usize = 32 * 1024;
/// The longest body of a form, in bytes: one has an assertion, or the request of an application.
const BODY_BYTES: usize = 32 * 1024;

/// Parameters. One without a value counts as missing (RFC 6749, 3.1).
#[derive(Debug, Default)]
pub(super) struct Form(Vec<(String, String)>);

impl Form {
    /// Parses parameters; `None` if one occurs twice or contains NUL, which the database cannot store, or if they are too long.
    pub(super) fn parse(text: &[u8]) -> Option<Self> {
        if text.len() > LONGEST {
            return None;
        }
        let mut found: Vec<(String, String)> = Vec::new();
        for (name, value) in url::form_urlencoded::parse(text) {
            if found.len() > 64 || value.contains('\0') || found.iter().any(|(known, _)| *known == name) {
                return None;
            }
            found.push((name.into_owned(), value.into_owned()));
        }
        Some(Self(found))
    }

    /// The value of a parameter.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        let found = self.0.iter().find(|(known, _)| known == name)?;
        Some(found.1.as_str()).filter(|value| !value.is_empty())
    }
}

/// Reads the body of a form.
pub(super) async fn read(shared: &Shared, parts: &Parts, body: Body) -> Result<Form, Response> {
    let of_form =
        parts.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).is_some_and(|value| {
            let media = value.split(';').next().unwrap_or_default().trim();
            media.eq_ignore_ascii_case("application/x-www-form-urlencoded")
        });
    if !of_form {
        let text = "send `Content-Type: application/x-www-form-urlencoded`";
        return Err(http_reply::error(StatusCode::UNSUPPORTED_MEDIA_TYPE, text));
    }
    let holder = Holder::without_key(&parts.extensions);
    let (body, _memory) = body::read_reserved(shared, holder, body, BODY_BYTES).await?;
    let text = "a parameter occurs twice or contains a NUL character, or they are too long";
    Form::parse(&body).ok_or_else(|| error(ErrorCode::InvalidRequest, text))
}

/// Reads a form that a page sent. A person reads its refusals.
pub(super) async fn read_for_page(shared: &Shared, parts: &Parts, body: Body) -> Result<Form, Response> {
    read(shared, parts, body).await.map_err(|refusal| {
        let text = match refusal.status() {
            StatusCode::PAYLOAD_TOO_LARGE => "What you have sent is too long.",
            StatusCode::UNSUPPORTED_MEDIA_TYPE => "This address takes the forms of this server only.",
            _ => "A field of the form occurs twice, is too long, or has a character that cannot be stored.",
        };
        problem(refusal.status(), "This form cannot be used", text, None)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_parameter_occurs_once_and_an_empty_one_is_missing() {
        let form = Form::parse(b"a=1&b=&c=%2F+x").unwrap();
        assert_eq!((form.get("a"), form.get("b"), form.get("c")), (Some("1"), None, Some("/ x")));
        assert!(Form::parse(b"a=1&a=1").is_none());
        assert!(Form::parse(b"a=1&b=x%00y").is_none());
        assert!(Form::parse("a".repeat(LONGEST + 1).as_bytes()).is_none());
    }
}
