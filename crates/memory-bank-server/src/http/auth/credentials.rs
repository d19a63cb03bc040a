//! The key in the headers of a request, and why a request is not admitted.

use http::HeaderMap;
use http::header::AUTHORIZATION;
use memory_bank_core::error::StoreError;
use memory_bank_core::identity::{KeyHash, PlainKey};

/// Why a request is not admitted.
#[derive(Debug)]
pub(crate) enum AuthError {
    Missing,
    Malformed,
    Unknown,
    Revoked,
    Expired,
    Unavailable(StoreError),
}

impl AuthError {
    /// All values of [`Self::kind`].
    pub(crate) const KINDS: [&'static str; 6] =
        ["missing", "malformed", "unknown", "revoked", "expired", "unavailable"];

    /// A label for each, for metrics.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::Malformed => "malformed",
            Self::Unknown => "unknown",
            Self::Revoked => "revoked",
            Self::Expired => "expired",
            Self::Unavailable(_) => "unavailable",
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
    let key = std::str::from_utf8(given).ok().and_then(|text| text.trim().parse::<PlainKey>().ok());
    match key {
        Some(token) if token.is_token() => Presented::Token(token.hash()),
        Some(key) => Presented::Key(key.hash()),
        None => Presented::Malformed,
    }
}
