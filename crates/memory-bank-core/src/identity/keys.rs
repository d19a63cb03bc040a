//! Stored keys: look-up by servers, management by owners.

use async_trait::async_trait;
use jiff::Timestamp;

use crate::caller::{Caller, KeyId, Right};
use crate::error::StoreError;
use crate::identity::secret::ACCESS_PREFIX;
use crate::identity::{Environment, KeyHash};

/// The result of looking up a key's hash: everything that a request needs, in one row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyIdentity {
    /// The caller with this key: user, project, role, scopes, key and the user's name.
    pub caller: Caller,
    /// Requests per minute; 0 = unlimited.
    pub rate_limit: u32,
    /// When the key expires.
    pub expires_at: Option<Timestamp>,
    /// When it was revoked.
    pub revoked_at: Option<Timestamp>,
    /// For a session of the console: the id of the key that opened it, or of the user. Its requests and streams are counted under
    /// this id, so that further sessions give no more of them.
    pub counted_as: Option<KeyId>,
}

/// One use of a key, for its `last_used_at`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyUse {
    /// The key.
    pub key: KeyId,
    /// The hash of the presented key.
    pub proof: KeyHash,
    /// When it was last used.
    pub at: Timestamp,
}

/// Finds keys, across all projects. It takes no caller, since it provides the caller.
#[async_trait]
pub trait KeyDirectory: Send + Sync {
    /// The key of this hash, even if revoked or expired; `None` if there is no such key, or if its user is no longer
    /// a member of its project.
    async fn find(&self, hash: &KeyHash) -> Result<Option<KeyIdentity>, StoreError>;

    /// Whether a look-up is as cheap as a cache, so that caches are not used.
    fn is_local(&self) -> bool {
        false
    }

    /// Records when keys were last used. Called periodically for many keys at once; a later time is never replaced by
    /// an earlier one.
    async fn record_uses(&self, uses: &[KeyUse]) -> Result<(), StoreError>;
}

/// A key as its owner sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyRecord {
    /// Its id.
    pub id: KeyId,
    /// The first 12 characters of the key.
    pub prefix: String,
    /// A name for it.
    pub label: Option<String>,
    /// Empty = everything that the user's role grants.
    pub scopes: Vec<Right>,
    /// Requests per minute; 0 = unlimited.
    pub rate_limit: u32,
    /// When it was last used, accurate to about a minute.
    pub last_used_at: Option<Timestamp>,
    /// When it expires.
    pub expires_at: Option<Timestamp>,
    /// When it was created.
    pub created_at: Timestamp,
    /// When it was revoked.
    pub revoked_at: Option<Timestamp>,
}

impl KeyRecord {
    /// The purpose of the key, by its prefix.
    #[must_use]
    pub fn environment(&self) -> Environment {
        Environment::of_prefix(&self.prefix)
    }

    /// Whether it is an access token of OAuth.
    #[must_use]
    pub fn is_token(&self) -> bool {
        self.prefix.starts_with(ACCESS_PREFIX)
    }

    /// The expiry of a key that replaces this one at `now`: it gets the same validity period.
    #[must_use]
    pub fn renewed_expiry(&self, now: Timestamp) -> Option<Timestamp> {
        let term = self.expires_at?.duration_since(self.created_at);
        now.checked_add(term).ok()
    }

    /// Whether the key works at `now`.
    #[must_use]
    pub fn status(&self, now: Timestamp) -> KeyStatus {
        if self.revoked_at.is_some() {
            KeyStatus::Revoked
        } else if self.expires_at.is_some_and(|at| at <= now) {
            KeyStatus::Expired
        } else {
            KeyStatus::Active
        }
    }
}

/// Whether a key works.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum KeyStatus {
    /// It works.
    Active,
    /// It was revoked.
    Revoked,
    /// It has expired.
    Expired,
}

/// A key to store. The plain key stays with its creator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewKey {
    /// Its id.
    pub id: KeyId,
    /// The hash.
    pub hash: KeyHash,
    /// The first 12 characters of the key.
    pub prefix: String,
    /// A name for it.
    pub label: Option<String>,
    /// Empty = everything that the user's role grants.
    pub scopes: Vec<Right>,
    /// Requests per minute; 0 = unlimited.
    pub rate_limit: u32,
    /// When it expires.
    pub expires_at: Option<Timestamp>,
    /// The time of the creation.
    pub created_at: Timestamp,
}

/// Changes of a key; `None` leaves a member unchanged.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct KeyChange {
    /// Another label, or none.
    pub label: Option<Option<String>>,
    /// Other scopes.
    pub scopes: Option<Vec<Right>>,
    /// Another limit.
    pub rate_limit: Option<u32>,
}

/// A key that was changed or revoked, with the hash by which caches store it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Revoked {
    /// The key as it is now.
    pub record: KeyRecord,
    /// Its hash.
    pub hash: KeyHash,
}

/// Why a key was not created or changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// The project has the most keys that are allowed.
    #[error("a project may have {0} active keys; revoke one first")]
    TooMany(usize),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Manages the keys of the caller in the caller's project. The rights are checked before (admin for changes) and, on
/// PostgreSQL, by the policies, too. Keys of other users and projects are treated like missing ones.
#[async_trait]
pub trait KeyStore: Send + Sync {
    /// The caller's keys, newest first: all active ones, and the newest others, at most [`KEYS_LISTED`](crate::limits::KEYS_LISTED) together, and one
    /// more if there are more.
    async fn list(&self, caller: &Caller, include_revoked: bool) -> Result<Vec<KeyRecord>, StoreError>;

    /// Stores a key.
    async fn create(&self, caller: &Caller, key: &NewKey) -> Result<KeyRecord, KeyError>;

    /// Changes a key that is not revoked.
    async fn update(
        &self,
        caller: &Caller,
        id: KeyId,
        change: &KeyChange,
    ) -> Result<Option<Revoked>, StoreError>;

    /// Revokes a key; `None` if it is unknown, foreign, or revoked already.
    async fn revoke(&self, caller: &Caller, id: KeyId, now: Timestamp)
    -> Result<Option<Revoked>, StoreError>;

    /// Replaces a key that is not revoked, in one transaction: the old one is revoked at `key.created_at`, and the
    /// new one gets its label, scopes and limit (those of `key` are ignored, except `expires_at`).
    async fn rotate(
        &self,
        caller: &Caller,
        id: KeyId,
        key: &NewKey,
    ) -> Result<Option<(KeyRecord, Revoked)>, KeyError>;
}
