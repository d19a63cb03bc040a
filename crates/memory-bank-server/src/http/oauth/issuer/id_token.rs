//! What an ID token of an OpenID provider says (OpenID Connect Core, 3.1.3.7). Its signature is verified elsewhere.

use jiff::Timestamp;
use serde_json::{Map, Value};

use crate::http::oauth::issuer::token::{LONGEST_SUBJECT, Reason, Unverified, is_plain};

/// The claims that an ID token needs to be accepted.
pub(super) struct ExpectedIdToken<'a> {
    pub(super) issuer: &'a str,
    pub(super) client_id: &'a str,
    /// What the browser's request for it had.
    pub(super) nonce: &'a str,
    pub(super) now: Timestamp,
}

/// The claims of a token, if it is for this client and this sign-in.
///
/// # Errors
/// It is not.
pub(super) fn check(
    token: &Unverified<'_>,
    expected: &ExpectedIdToken<'_>,
) -> Result<Map<String, Value>, Reason> {
    let claims = &token.claims;
    let text = |name: &str| claims.get(name).and_then(Value::as_str);
    if text("iss") != Some(expected.issuer) {
        return Err("the ID token is of another issuer");
    }
    let (is_for_us, is_for_us_alone) = match claims.get("aud") {
        Some(Value::String(audience)) => (audience == expected.client_id, true),
        Some(Value::Array(all)) => (
            all.iter().all(Value::is_string)
                && all.iter().any(|one| one.as_str() == Some(expected.client_id)),
            all.len() == 1,
        ),
        _ => (false, false),
    };
    if !is_for_us {
        return Err("the ID token is for another audience");
    }
    // It names the client that the token was issued to; with several audiences nothing else does.
    let party = claims.get("azp");
    if party.is_none() && !is_for_us_alone
        || party.is_some_and(|party| party.as_str() != Some(expected.client_id))
    {
        return Err("the ID token was issued to another client");
    }
    token.valid_for(expected.now)?;
    if !claims.contains_key("iat") {
        return Err("the ID token does not say when it was issued");
    }
    if text("nonce") != Some(expected.nonce) {
        return Err("the ID token is of another sign-in");
    }
    if !text("sub").is_some_and(|subject| is_plain(subject, LONGEST_SUBJECT)) {
        return Err("the ID token names no user");
    }
    Ok(claims.clone())
}

#[cfg(test)]
mod tests {
    use base64::Engine;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    use serde_json::json;

    use super::*;
    use crate::http::oauth::issuer::token::read;

    const NOW: i64 = 1_800_000_000;

    fn good() -> Value {
        json!({"iss": "https://login.example.com", "aud": "us", "sub": "u1", "exp": NOW + 300, "iat": NOW, "nonce": "n1"})
    }

    fn checked(claims: &Value) -> Result<Map<String, Value>, Reason> {
        let encode = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let token = format!("{}.{}.c2ln", encode(&json!({"alg": "RS256", "kid": "k"})), encode(claims));
        let now = Timestamp::from_second(NOW).unwrap();
        let expected =
            ExpectedIdToken { issuer: "https://login.example.com", client_id: "us", nonce: "n1", now };
        check(&read(&token)?, &expected)
    }

    fn with(name: &str, value: Value) -> Result<Map<String, Value>, Reason> {
        let mut claims = good();
        claims[name] = value;
        checked(&claims)
    }

    #[test]
    fn a_token_for_this_sign_in_is_accepted() {
        assert!(checked(&good()).is_ok());
        assert!(with("aud", json!(["us"])).is_ok() && with("azp", json!("us")).is_ok());
        let mut claims = good();
        claims["aud"] = json!(["us", "other"]);
        claims["azp"] = json!("us");
        assert!(checked(&claims).is_ok());
        assert!(with("exp", json!(NOW - 59)).is_ok() && with("iat", json!(NOW + 59)).is_ok());
    }

    #[test]
    fn any_other_token_is_refused() {
        for (name, value) in [
            ("iss", json!("https://login.example.com/")),
            ("iss", json!("https://evil.example")),
            ("aud", json!("other")),
            ("aud", json!(["other"])),
            ("aud", json!(["us", "other"])),
            ("aud", json!(["us", 1])),
            ("aud", json!([])),
            ("azp", json!("other")),
            ("azp", json!(["us"])),
            ("nonce", json!("n2")),
            ("nonce", json!("")),
            ("nonce", json!(["n1"])),
            ("exp", json!(NOW - 60)),
            ("exp", json!("never")),
            ("iat", json!(NOW + 61)),
            ("nbf", json!(NOW + 61)),
            ("sub", json!("")),
            ("sub", json!(7)),
            ("sub", json!("a\u{0}")),
            ("sub", json!("x".repeat(256))),
        ] {
            assert!(with(name, value.clone()).is_err(), "{name} {value}");
        }
        for name in ["iss", "aud", "exp", "iat", "nonce", "sub"] {
            let mut claims = good();
            claims.as_object_mut().unwrap().remove(name);
            assert!(checked(&claims).is_err(), "{name}");
        }
    }
}
