//! The key in the headers of a request, and why a request is not admitted.

use std::fmt;

use http::HeaderMap;
use http::header::AUTHORIZATION;
use memory_bank_core::error::StoreError;
use memory_bank_core::identity::{KeyHash, PlainKey};

use crate::http::oauth::issuer;

/// Why a request is not admitted.
#[derive(Debug)]
pub(crate) enum AuthError {
    Missing,
    Malformed,
    Unknown,
    Revoked,
    Expired,
    /// A token of the outside issuer that is not genuine or not for this server.
    InvalidToken(&'static str),
    /// A genuine token of the outside issuer that opens nothing here.
    NotAdmitted(&'static str),
    /// A genuine token of the outside issuer, whose scope has no right of this server.
    NoScope,
    /// Whether a token is genuine is unknown, since the keys of its issuer are out of reach.
    IssuerUnavailable,
    Unavailable(StoreError),
}

impl AuthError {
    /// All values of [`Self::kind`].
    pub(crate) const KINDS: [&'static str; 8] = [
        "missing",
        "malformed",
        "unknown",
        "revoked",
        "expired",
        "invalid_token",
        "forbidden",
        "unavailable",
    ];

    /// A label for each, for metrics.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::Malformed => "malformed",
            Self::Unknown => "unknown",
            Self::Revoked => "revoked",
            Self::Expired => "expired",
            Self::InvalidToken(_) => "invalid_token",
            Self::NotAdmitted(_) | Self::NoScope => "forbidden",
            Self::IssuerUnavailable | Self::Unavailable(_) => "unavailable",
        }
    }

    /// The texts that clients match.
    pub(crate) fn text(&self) -> &'static str {
        match self {
            Self::Missing => "Missing X-API-Key or Authorization header",
            Self::Malformed => "Invalid API key format",
            Self::Unknown => "Invalid API key",
            Self::Revoked => "API key has been revoked",
            Self::Expired => "API key has expired",
            Self::InvalidToken(why) | Self::NotAdmitted(why) => why,
            Self::NoScope => "the token has none of the scopes `read`, `write` and `admin`",
            Self::IssuerUnavailable => {
                "the keys of the token's issuer cannot be fetched at the moment; try again"
            }
            Self::Unavailable(_) => "The server cannot check keys at the moment; try again",
        }
    }
}

/// The credential of a request.
#[derive(Debug)]
pub(crate) enum Presented {
    Nothing,
    Malformed,
    Key(KeyHash),
    /// An access token of OAuth, which is looked up like a key.
    Token(KeyHash),
    /// What has the form of a token of an outside issuer. Nothing of it is known before its signature is verified.
    Outside(OutsideToken),
}

/// A token of an outside issuer, in plain text. Its `Debug` shows nothing.
pub(crate) struct OutsideToken {
    text: String,
    hash: KeyHash,
}

impl OutsideToken {
    fn new(text: &str) -> Self {
        Self { text: text.to_owned(), hash: issuer::token_hash(text) }
    }

    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// The stored form.
    pub(crate) fn hash(&self) -> KeyHash {
        self.hash
    }
}

impl fmt::Debug for OutsideToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OutsideToken(…)")
    }
}

/// Reads the key from the headers, and from nowhere else. `X-API-Key` takes precedence.
pub(crate) fn presented(headers: &HeaderMap) -> Presented {
    let bearer = || {
        let value = headers.get(AUTHORIZATION)?.as_bytes();
        let (scheme, key) = value.split_at_checked(7)?;
        scheme.eq_ignore_ascii_case(b"bearer ").then_some(key)
    };
    let given = headers.get("x-api-key").map(http::HeaderValue::as_bytes).or_else(bearer);
    let Some(given) = given else {
        return if headers.contains_key(AUTHORIZATION) { Presented::Malformed } else { Presented::Nothing };
    };
    let text = std::str::from_utf8(given).map(str::trim).unwrap_or_default();
    match text.parse::<PlainKey>() {
        Ok(token) if token.is_token() => Presented::Token(token.hash()),
        Ok(key) => Presented::Key(key.hash()),
        Err(_) if issuer::has_form(text) => Presented::Outside(OutsideToken::new(text)),
        Err(_) => Presented::Malformed,
    }
}
