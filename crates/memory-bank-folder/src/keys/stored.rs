//! One key in the file of the keys, and all of them as they were read last.

use jiff::Timestamp;
use memory_bank_core::caller::{KeyId, Right};
use memory_bank_core::error::StoreError;
use memory_bank_core::identity::{KeyHash, KeyRecord, NewKey, Revoked};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::dir::FileStamp;

/// The keys as they were read.
#[derive(Debug, Default)]
pub(super) struct CachedKeys {
    /// The version of the file that they are from; none while there is no file.
    pub(super) stamp: Option<FileStamp>,
    pub(super) keys: Vec<StoredKey>,
}

/// One key, as the file has it.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct StoredKey {
    pub(super) id: Uuid,
    pub(super) hash: String,
    pub(super) prefix: String,
    pub(super) label: Option<String>,
    pub(super) scopes: Vec<Right>,
    pub(super) rate_limit: u32,
    pub(super) last_used_at: Option<Timestamp>,
    pub(super) expires_at: Option<Timestamp>,
    pub(super) created_at: Timestamp,
    pub(super) revoked_at: Option<Timestamp>,
}

impl StoredKey {
    pub(super) fn record(&self) -> KeyRecord {
        KeyRecord {
            id: KeyId(self.id),
            prefix: self.prefix.clone(),
            label: self.label.clone(),
            scopes: self.scopes.clone(),
            rate_limit: self.rate_limit,
            last_used_at: self.last_used_at,
            expires_at: self.expires_at,
            created_at: self.created_at,
            revoked_at: self.revoked_at,
        }
    }

    pub(super) fn revoked(&self) -> Result<Revoked, StoreError> {
        let hash = KeyHash::from_hex(&self.hash).ok_or_else(|| StoreError::Damaged {
            what: "the file of the API keys".to_owned(),
            detail: format!("the hash of `{}` is none", self.prefix),
        })?;
        Ok(Revoked { record: self.record(), hash })
    }

    /// Lets it end no later than the key that makes it, which is one of `keys` unless a session of the console makes it.
    pub(super) fn ends_with(&mut self, keys: &[Self], maker: Option<KeyId>) {
        let maker = keys.iter().find(|key| Some(KeyId(key.id)) == maker);
        let latest = maker.and_then(|maker| maker.expires_at);
        self.expires_at = self.expires_at.into_iter().chain(latest).min();
    }

    pub(super) fn new(key: &NewKey) -> Self {
        Self {
            id: key.id.0,
            hash: key.hash.to_hex(),
            prefix: key.prefix.clone(),
            label: key.label.clone(),
            scopes: key.scopes.clone(),
            rate_limit: key.rate_limit,
            last_used_at: None,
            expires_at: key.expires_at,
            created_at: key.created_at,
            revoked_at: None,
        }
    }
}
