//! The keys that this process looked up, and the hashes that belong to no key. They are two caches, so that guesses
//! evict no key. A full cache evicts what is used least.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use memory_bank_core::caller::{Caller, KeyId};
use memory_bank_core::identity::{KeyHash, KeyIdentity};
use quick_cache::UnitWeighter;
use quick_cache::sync::Cache;
use tokio::time::Instant;

/// How long this process caches a key. Revocations do not wait for it, unless the invalidation is lost.
pub(super) const CACHE_TTL: Duration = Duration::from_secs(30);
/// How long this process caches an unknown key.
const NEGATIVE_CACHE_TTL: Duration = Duration::from_secs(10);
/// How many entries a cache of this process holds.
pub(super) const CACHE_CAPACITY: u64 = 20_000;

/// An empty cache that grows to [`CACHE_CAPACITY`].
pub(super) fn cache<K: Eq + std::hash::Hash, V: Clone>() -> Cache<K, V> {
    /// For how many entries memory is reserved at once.
    const INITIAL_CAPACITY: usize = 256;
    Cache::with_weighter(INITIAL_CAPACITY, CACHE_CAPACITY, UnitWeighter)
}

/// A key that the directory knows.
pub(super) struct CachedIdentity {
    pub(super) caller: Arc<Caller>,
    pub(super) identity: KeyIdentity,
    until: Instant,
}

pub(super) struct IdentityCache {
    keys: Cache<KeyHash, Arc<CachedIdentity>>,
    /// The hashes of no key, and until when that counts.
    unknown: Cache<KeyHash, Instant>,
    evictions: AtomicU64,
}

/// The evictions before a query. What a query finds is not cached if a key was evicted meanwhile, since the query may
/// have been answered before the key was revoked.
#[derive(Clone, Copy)]
pub(super) struct Evictions(u64);

impl IdentityCache {
    pub(super) fn new() -> Self {
        Self { keys: cache(), unknown: cache(), evictions: AtomicU64::new(0) }
    }

    /// The entry of a hash: `Some(None)` if it belongs to no key.
    pub(super) fn get(&self, hash: &KeyHash) -> Option<Option<Arc<CachedIdentity>>> {
        let now = Instant::now();
        if let Some(known) = self.keys.get(hash).filter(|known| known.until > now) {
            return Some(Some(known));
        }
        self.unknown.get(hash).filter(|until| *until > now).map(|_| None)
    }

    /// Call it before a query.
    pub(super) fn evictions(&self) -> Evictions {
        Evictions(self.evictions.load(Ordering::SeqCst))
    }

    /// Caches an entry that was queried at `queried_at`, after `before`, and is valid for a given time from then.
    pub(super) fn put(
        &self,
        hash: KeyHash,
        identity: Option<(Arc<Caller>, KeyIdentity)>,
        before: Evictions,
        queried_at: Instant,
        valid_for: Duration,
    ) {
        match identity {
            Some((caller, identity)) => {
                let until = queried_at + valid_for.min(CACHE_TTL);
                self.unknown.remove(&hash);
                self.keys.insert(hash, Arc::new(CachedIdentity { caller, identity, until }));
            }
            None => {
                self.keys.remove(&hash);
                self.unknown.insert(hash, queried_at + valid_for.min(NEGATIVE_CACHE_TTL));
            }
        }
        // Checked after the insertion: an eviction either comes later and removes the entry, or is seen here.
        if self.evictions.load(Ordering::SeqCst) != before.0 {
            self.keys.remove(&hash);
            self.unknown.remove(&hash);
        }
    }

    /// Evicts a hash.
    pub(super) fn evict(&self, hash: &KeyHash) {
        self.evictions.fetch_add(1, Ordering::SeqCst);
        self.keys.remove(hash);
        self.unknown.remove(hash);
    }

    /// Evicts everything.
    pub(super) fn clear(&self) {
        self.evictions.fetch_add(1, Ordering::SeqCst);
        self.keys.clear();
        self.unknown.clear();
    }

    /// The hashes under which a key is cached.
    pub(super) fn hashes_of(&self, key: KeyId) -> Vec<KeyHash> {
        let of_key = self.keys.iter().filter(|(_, known)| known.caller.key == Some(key));
        of_key.map(|(hash, _)| hash).collect()
    }

    /// Until when a key is cached.
    #[cfg(test)]
    pub(super) fn until(&self, hash: &KeyHash) -> Option<Instant> {
        self.keys.get(hash).map(|known| known.until)
    }

    /// How many entries both caches have.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.keys.len() + self.unknown.len()
    }
}
