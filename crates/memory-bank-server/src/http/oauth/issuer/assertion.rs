//! The assertion with which a client authenticates itself at the token endpoint (RFC 7523): a JWT that the client signs.

use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;

use crate::http::oauth::issuer::signature::PublicKey;
use crate::http::oauth::issuer::token::{Reason, SKEW, Unverified, is_plain, read_kind};

/// For how long an assertion may be valid.
const LONGEST_LIFE: Duration = Duration::from_secs(300);
/// The longest id of an assertion, in bytes.
const LONGEST_ID: usize = 255;
/// The longest id of a client, in bytes; an address has the most.
const LONGEST_CLIENT_ID: usize = 1024;

/// An assertion whose signature is not verified yet.
pub(crate) struct Assertion<'a>(Unverified<'a>);

/// An assertion that its client has signed.
#[cfg_attr(test, derive(Debug, PartialEq))]
pub(crate) struct Verified {
    /// Its id (`jti`), which is used once.
    pub(crate) id: String,
    /// How long it must be remembered.
    pub(crate) valid_for: Duration,
}

impl<'a> Assertion<'a> {
    /// Reads an assertion in compact form.
    ///
    /// # Errors
    /// Why it cannot be accepted.
    pub(crate) fn read(text: &'a str) -> Result<Self, Reason> {
        read_kind(text, &["jwt", "client-authentication+jwt"], "the assertion has another type").map(Self)
    }

    /// The client that it names, which is not verified.
    pub(crate) fn client_id(&self) -> Option<&str> {
        self.0.claims.get("sub").and_then(Value::as_str).filter(|id| is_plain(id, LONGEST_CLIENT_ID))
    }

    /// The id of the key that signed it. Clients of the official TypeScript SDK name none.
    pub(crate) fn key_id(&self) -> Option<&str> {
        self.0.key_id()
    }

    /// Checks what it says, before any key is fetched. `audience` decides whether an audience is this server.
    ///
    /// # Errors
    /// Why it is not accepted.
    pub(crate) fn check(
        &self,
        client_id: &str,
        audience: impl Fn(&str) -> bool,
        now: Timestamp,
    ) -> Result<Verified, Reason> {
        let text = |name: &str| self.0.claims.get(name).and_then(Value::as_str);
        if text("iss") != Some(client_id) || text("sub") != Some(client_id) {
            return Err("`iss` and `sub` of the assertion must be the client_id");
        }
        // An assertion for several servers could be used at one of them by another.
        let for_this_server = match self.0.claims.get("aud") {
            Some(Value::String(one)) => audience(one),
            Some(Value::Array(all)) => {
                !all.is_empty() && all.iter().all(|one| one.as_str().is_some_and(&audience))
            }
            _ => false,
        };
        if !for_this_server {
            return Err("`aud` of the assertion must be the issuer or the token endpoint, and nothing else");
        }
        let valid_for = self.0.valid_for(now)?;
        if valid_for > LONGEST_LIFE + 2 * SKEW {
            return Err("the assertion may be valid for five minutes at most");
        }
        let id = text("jti").filter(|id| is_plain(id, LONGEST_ID)).ok_or("the assertion has no `jti`")?;
        // The clock of the database may be ahead of this server's.
        Ok(Verified { id: id.to_owned(), valid_for: valid_for + SKEW })
    }

    /// Whether one of these keys of its client signed it: the one that it names, or any if it names none.
    pub(crate) fn is_signed_by(&self, keys: &[PublicKey]) -> bool {
        let Unverified { algorithm, text, signature, .. } = &self.0;
        let is_named = |key: &&PublicKey| self.key_id().is_none_or(|id| key.id() == id);
        keys.iter().filter(is_named).any(|key| key.verifies(*algorithm, text, signature))
    }
}
