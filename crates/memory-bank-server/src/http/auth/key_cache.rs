//! A cache of keys that several replicas share, as the authentication sees it.

use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use memory_bank_core::identity::{KeyHash, KeyIdentity};

/// The time of a shared cache, in milliseconds since 1970. Clocks of servers differ; this one is common to all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct CacheTime(pub i64);

/// A reply of a shared cache.
#[derive(Debug, Clone)]
pub struct CacheAnswer {
    /// The cache's time of the query.
    pub at: CacheTime,
    /// The entry of the hash.
    pub entry: Option<CachedKey>,
}

/// An entry of a shared cache.
#[derive(Debug, Clone)]
pub struct CachedKey {
    /// The key's identity; none if the hash is known to belong to no key.
    pub identity: Option<KeyIdentity>,
    /// How long the entry is still valid: five minutes less the time since the directory was queried.
    pub valid_for: Duration,
}

/// A cache of keys that several replicas share.
#[async_trait]
pub trait KeyCache: Send + Sync {
    /// The entry of a hash; none if the cache is unreachable.
    async fn get(&self, hash: &KeyHash) -> Option<CacheAnswer>;

    /// Caches a directory entry that was read at `read_at` or later: until five minutes after that, and not past the
    /// key's expiry.
    async fn put(&self, hash: &KeyHash, identity: Option<&KeyIdentity>, read_at: CacheTime, now: Timestamp);

    /// Evicts a hash.
    async fn forget(&self, hash: &KeyHash);
}
