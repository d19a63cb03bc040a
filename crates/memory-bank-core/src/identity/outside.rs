//! Users as outside issuers know them: who signs in with an OpenID provider, or presents a token of an outside
//! authorization server. What is here was verified before; nothing here verifies a signature.

use async_trait::async_trait;
use jiff::Timestamp;
use uuid::Uuid;

use crate::error::StoreError;
use crate::identity::claim_mapping::{MappedProject, VerifiedClaims};
use crate::identity::{AdminError, KeyHash, Void};

/// Which mapping of the server gives memberships. One never takes back what the other gave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MappingSource {
    /// That of sign-ins with an OpenID provider.
    SignIn,
    /// That of tokens of an outside authorization server.
    Token,
}

impl MappingSource {
    /// The word in the database.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::SignIn => "sign_in",
            Self::Token => "token",
        }
    }
}

/// The rights that a mapping gives to a user: in those of these projects that exist. Earlier rights by mapping end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mapped {
    /// Which mapping.
    pub source: MappingSource,
    /// The projects, each once.
    pub projects: Vec<MappedProject>,
}

/// A user, as an issuer knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutsideUser {
    /// The issuer, exactly as it writes itself.
    pub issuer: String,
    /// The user's id at the issuer. Issuer and subject are the only things that a user is found by.
    pub subject: String,
    /// The name of a user who is created; if another user has it, an id is added.
    pub name: String,
    /// The verified address, for people.
    pub email: Option<String>,
    /// The memberships; without a mapping they stay as they are, and no user is created.
    pub mapped: Option<Mapped>,
}

impl OutsideUser {
    /// The user of verified claims. `host` is that of the issuer, for people.
    #[must_use]
    pub fn of(claims: &VerifiedClaims<'_>, host: &str, mapped: Option<Mapped>) -> Self {
        /// Bytes of a name and of a host in the name of a user, which has at most 255 with an id.
        const LONGEST: [usize; 2] = [110, 90];
        let email = claims.email().map(str::to_owned);
        let texts = ["preferred_username", "name"].map(|name| claims.text(name));
        let base =
            email.as_deref().or_else(|| texts.into_iter().flatten().find(|text| !text.trim().is_empty()));
        let base = base.map(plain).filter(|name| !name.is_empty()).unwrap_or_else(|| plain(claims.subject));
        // Users with a plain name are those that an operator has named.
        let name = format!("{} ({})", cut(&base, LONGEST[0]), cut(host, LONGEST[1]));
        Self { issuer: claims.issuer.to_owned(), subject: claims.subject.to_owned(), name, email, mapped }
    }
}

/// A name without characters that hide or reorder others.
fn plain(text: &str) -> String {
    let visible =
        |char: char| if char.is_control() || crate::unicode::hidden(char).is_some() { ' ' } else { char };
    let shown: String = text.chars().map(visible).collect();
    shown.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn cut(text: &str, longest: usize) -> &str {
    let end = (0..=longest.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap_or_default();
    text.get(..end).unwrap_or_default()
}

/// The result of a search for the user of an identity.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OutsideSignIn {
    /// The user is signed in.
    SignedIn {
        /// The user's name.
        user_name: String,
        /// Whether the user is new.
        is_new: bool,
        /// Keys and tokens whose rights have changed, for caches.
        changed: Vec<Void>,
    },
    /// Nobody is signed in, and why.
    Refused(OutsideRefusal),
}

/// Why an identity has no user.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OutsideRefusal {
    /// It is not linked to a user, and the mapping gives it no project.
    Unknown,
    /// An operator removed it, or its user.
    Barred,
    /// There are too many identities.
    Full,
    /// The database does not trust the issuer.
    Untrusted,
}

/// The users of outside issuers.
#[async_trait]
pub trait OutsideUsers: Send + Sync {
    /// Finds the user or creates it, applies the mapping, and signs the user in: one round trip.
    async fn sign_in_outside(
        &self,
        user: &OutsideUser,
        cookie: &KeyHash,
        until: Timestamp,
    ) -> Result<OutsideSignIn, StoreError>;
}

/// An identity as an operator sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdentityRecord {
    /// Its id.
    pub id: Uuid,
    /// The name of its user.
    pub user_name: String,
    /// The issuer.
    pub issuer: String,
    /// The user's id at the issuer.
    pub subject: String,
    /// The verified address.
    pub email: Option<String>,
    /// When it was linked to its user.
    pub linked_at: Timestamp,
    /// When its user last signed in with it.
    pub seen_at: Option<Timestamp>,
}

/// The operator's commands for outside identities, directly on the database.
#[async_trait]
pub trait IdentityAdministration: Send + Sync {
    /// Identities, of a user if one is named.
    async fn identities(&self, user: Option<&str>) -> Result<Vec<IdentityRecord>, AdminError>;

    /// Lets an identity sign in as a user.
    async fn link_identity(&self, user: &str, issuer: &str, subject: &str) -> Result<Uuid, AdminError>;

    /// Removes an identity, with the grants that were given with it. It cannot sign in again.
    async fn unlink_identity(&self, id: Uuid) -> Result<Vec<Void>, AdminError>;

    /// Lets an identity that was removed be mapped again.
    async fn allow_identity(&self, issuer: &str, subject: &str) -> Result<(), AdminError>;

    /// Trusts an issuer, or no longer.
    async fn trust_issuer(&self, issuer: &str, trusted: bool) -> Result<(), AdminError>;

    /// The trusted issuers, and since when.
    async fn issuers(&self) -> Result<Vec<(String, Timestamp)>, AdminError>;
}

#[cfg(test)]
mod tests {
    use serde_json::{Map, Value, json};

    use super::*;

    fn user(claims: Value) -> OutsideUser {
        let Value::Object(claims) = claims else { return user(json!({})) };
        named(&claims)
    }

    fn named(claims: &Map<String, Value>) -> OutsideUser {
        let verified = VerifiedClaims { issuer: "https://login.example.com", subject: "s1", all: claims };
        OutsideUser::of(&verified, "login.example.com", None)
    }

    #[test]
    fn a_name_shows_where_its_user_comes_from() {
        assert_eq!(user(json!({})).name, "s1 (login.example.com)");
        assert_eq!(user(json!({"preferred_username": "root"})).name, "root (login.example.com)");
        let verified = user(json!({"email": "a@example.com", "email_verified": true, "name": "A"}));
        assert_eq!(
            (verified.name.as_str(), verified.email.as_deref()),
            ("a@example.com (login.example.com)", Some("a@example.com"))
        );
        for word in [json!(false), json!("true"), json!(1), Value::Null] {
            let claimed = user(json!({"email": "a@example.com", "email_verified": word, "name": "A"}));
            assert_eq!((claimed.name.as_str(), claimed.email), ("A (login.example.com)", None));
        }
    }

    #[test]
    fn a_name_is_short_and_shows_what_it_is() {
        assert_eq!(user(json!({"name": "a\u{202e}b\u{0}c"})).name, "a b c (login.example.com)");
        assert!(user(json!({"name": "ä".repeat(500)})).name.len() <= 255 - 37);
        assert_eq!(user(json!({"name": " \u{200b} "})).name, "s1 (login.example.com)");
    }
}
