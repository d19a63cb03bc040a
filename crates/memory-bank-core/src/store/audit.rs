//! The log of who did what: what a server adds to it by itself, and how it ages.

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
    /// The hash of what was presented.
    pub proof: KeyHash,
    /// Whence.
    pub address: IpAddr,
    /// When.
    pub at: Timestamp,
}

/// The log. What changes a store is told by the store itself, in the transaction that changes it.
#[async_trait]
pub trait AuditLog: Send + Sync {
    /// Notes from which addresses keys were used; each pair of key and address is kept once, and a bounded number a key.
    ///
    /// # Errors
    /// The log cannot be written.
    async fn note_addresses(&self, uses: &[AddressUse]) -> Result<(), StoreError>;

    /// Removes at most `limit` rows from before a moment, and returns how many.
    ///
    /// # Errors
    /// The log cannot be written.
    async fn forget_before(&self, before: Timestamp, limit: usize) -> Result<usize, StoreError>;
}
