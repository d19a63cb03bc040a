//! The audit log: rows that a server adds by itself, and retention.

use std::net::IpAddr;

use async_trait::async_trait;
use jiff::Timestamp;
use serde_json::Value;

use crate::caller::{KeyId, UserId};
use crate::error::StoreError;
use crate::identity::KeyHash;

/// A key was used from an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AddressUse {
    /// Which key.
    pub key: KeyId,
    /// The hash of the presented key.
    pub proof: KeyHash,
    /// The address.
    pub address: IpAddr,
    /// The time of the entry.
    pub at: Timestamp,
}

/// One row of the log.
#[derive(Debug, Clone, PartialEq)]
pub struct AuditEntry {
    /// A serial number; rows of the same time are in its order.
    pub id: i64,
    /// The time.
    pub at: Timestamp,
    /// The action, such as `key.revoked`.
    pub action: String,
    /// The project's slug, if it still exists.
    pub project: Option<String>,
    /// The user in whose name it was done, if there was one who still exists.
    pub user_name: Option<String>,
    /// The id of the user in whose name it was done, if there was one.
    pub user: Option<UserId>,
    /// The key that was used.
    pub key: Option<KeyId>,
    /// The login role, if it was done on the database itself.
    pub login: Option<String>,
    /// The object: an id or a name.
    pub subject: Option<String>,
    /// The address, if the row is about one.
    pub address: Option<String>,
    /// Further details.
    pub detail: Value,
}

/// The audit log. The store itself records its changes, in their transactions.
#[async_trait]
pub trait AuditLog: Send + Sync {
    /// Records the addresses from which keys were used: each pair of key and address once, and a bounded number per
    /// key.
    ///
    /// # Errors
    /// The log cannot be written.
    async fn record_addresses(&self, uses: &[AddressUse]) -> Result<(), StoreError>;

    /// Removes at most `limit` rows older than a time, and returns their number.
    ///
    /// # Errors
    /// The log cannot be written.
    async fn forget_before(&self, before: Timestamp, limit: usize) -> Result<usize, StoreError>;
}
