//! The audit log: rows that a server adds by itself, and retention.

use std::net::IpAddr;

use async_trait::async_trait;
use jiff::Timestamp;

use crate::caller::KeyId;
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
    /// When.
    pub at: Timestamp,
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
