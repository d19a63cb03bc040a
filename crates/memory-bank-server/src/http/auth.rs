//! Authentication: from the key in a request's headers to a [`Caller`].
//!
//! Keys are looked up in a short cache of the process, then in the shared one, then in the directory. Unknown keys
//! are cached briefly, too, so that guessing does not reach the directory.

mod credentials;
mod identity_cache;
mod key_cache;
mod turns;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use memory_bank_core::caller::{Caller, KeyId, Rights, UserId};
use memory_bank_core::clock::Clock;
use memory_bank_core::error::StoreError;
use memory_bank_core::identity::{KeyDirectory, KeyHash, KeyIdentity, KeyUse};
use parking_lot::Mutex;
use quick_cache::sync::Cache;
use tokio::time::Instant;

pub(crate) use self::credentials::{AuthError, OutsideToken, Presented, presented};
use self::identity_cache::{Evictions, IdentityCache, cache};
pub use self::key_cache::{CacheAnswer, CacheTime, CachedKey, KeyCache};
pub(crate) use self::turns::Turns;

/// How long a directory entry is valid in any cache, counted from the query.
pub(crate) const KEY_CACHE_TTL: Duration = Duration::from_secs(300);

/// How many uses of keys may wait to be written. Further ones are queued at the key's next request.
const MAX_WAITING: usize = 20_000;

/// An admitted key.
#[derive(Debug, Clone)]
pub(crate) struct Authenticated {
    pub(crate) caller: Arc<Caller>,
    pub(crate) hash: KeyHash,
    pub(crate) rate_limit: u32,
    /// The id under which requests and streams are counted: that of the key, or what all sessions of a key or user have in common.
    pub(crate) counted_as: Option<KeyId>,
    pub(crate) expires_at: Option<Timestamp>,
    /// Whether the key is an access token of OAuth; its caller has the id of the grant.
    pub(crate) is_token: bool,
    /// Whether it is a session of the console, which is a token, too.
    pub(crate) is_console: bool,
}

pub(crate) struct Authenticator {
    directory: Arc<dyn KeyDirectory>,
    shared: Option<Arc<dyn KeyCache>>,
    clock: Arc<dyn Clock>,
    cache: IdentityCache,
    uses: Mutex<HashMap<KeyId, (KeyHash, Timestamp)>>,
    /// Names of users from the directory, for users that were looked up here. Names are written into documents, so
    /// they are never taken from a shared cache.
    names: Cache<UserId, Arc<str>>,
    /// Look-ups of keys in flight; they leave a failure.
    look_ups: Turns<Option<Failed>>,
    /// Verifications of keys in flight.
    proofs: Turns<Option<Proof>>,
}

/// A look-up for which the directory was unreachable.
struct Failed {
    at: Instant,
    error: StoreError,
}

/// The directory's answer to a verification.
#[derive(Clone, Copy)]
struct Proof {
    queried_at: Instant,
    /// None = the directory was unreachable.
    good: Option<bool>,
}

/// Whether the shared cache gets a hash that the directory does not know.
#[derive(Clone, Copy)]
enum Unknown {
    /// Guesses do not reach the directory from any replica.
    Shared,
    /// Another replica may make the row of this token now: a late entry would refuse requests after that.
    NotShared,
}

/// The state of a key at the end of its call.
pub(crate) enum KeyState {
    /// It has the rights that the reply needs.
    Sufficient,
    /// It is valid, and has fewer rights.
    FewerRights,
    /// It is void.
    Void(AuthError),
}

impl Authenticator {
    pub(crate) fn new(
        directory: Arc<dyn KeyDirectory>,
        shared: Option<Arc<dyn KeyCache>>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self {
            directory,
            shared,
            clock,
            cache: IdentityCache::new(),
            uses: Mutex::default(),
            names: cache(),
            look_ups: Turns::default(),
            proofs: Turns::default(),
        }
    }

    /// The entry in this process; `None` = no entry.
    pub(crate) fn known(&self, hash: &KeyHash) -> Option<Result<Authenticated, AuthError>> {
        let verdict = match self.cache.get(hash)? {
            Some(known) => check_validity(*hash, &known.caller, &known.identity, self.clock.now()),
            None => Err(AuthError::Unknown),
        };
        if let Ok(Authenticated { caller, .. }) = &verdict {
            self.note_use(caller);
        }
        Some(verdict)
    }

    /// Looks up a hash. Concurrent look-ups of a hash share one query.
    pub(crate) async fn look_up(&self, hash: &KeyHash) -> Result<Authenticated, AuthError> {
        self.look_up_with(hash, Unknown::Shared).await
    }

    /// Looks up the hash of a token whose signature was verified.
    pub(crate) async fn look_up_verified(&self, hash: &KeyHash) -> Result<Authenticated, AuthError> {
        self.look_up_with(hash, Unknown::NotShared).await
    }

    async fn look_up_with(&self, hash: &KeyHash, unknown: Unknown) -> Result<Authenticated, AuthError> {
        let began = Instant::now();
        let ticket = self.look_ups.ticket(*hash);
        let mut failed = ticket.turn().await;
        // The look-up before this one may have found it.
        if let Some(known) = self.known(hash) {
            return known;
        }
        if let Some(Failed { at, error }) = &*failed
            && *at >= began
        {
            return Err(AuthError::Unavailable(copy_of(error)));
        }
        let verdict = self.query(hash, unknown).await;
        if let Err(AuthError::Unavailable(error)) = &verdict {
            *failed = Some(Failed { at: Instant::now(), error: copy_of(error) });
        }
        verdict
    }

    /// Queries the shared cache, then the directory.
    async fn query(&self, hash: &KeyHash, unknown: Unknown) -> Result<Authenticated, AuthError> {
        let now = self.clock.now();
        let before = self.cache.evictions();
        let queried_at = Instant::now();
        let answer = match &self.shared {
            Some(shared) => shared.get(hash).await,
            None => None,
        };
        let read_at = answer.as_ref().map(|answer| answer.at);
        let cached = answer
            .and_then(|answer| answer.entry)
            .filter(|_| !self.directory.is_local())
            .and_then(|cached| self.named(cached));
        let CachedKey { identity, valid_for } = match cached {
            Some(cached) => cached,
            None => {
                let found = self.directory.find(hash).await.map_err(AuthError::Unavailable)?;
                if let Some(identity) = &found {
                    self.keep_name(&identity.caller);
                }
                // Without the time of the cache the read time is unknown, so do not cache.
                let is_shared = found.is_some() || matches!(unknown, Unknown::Shared);
                if let Some((shared, read_at)) = self.shared.as_ref().zip(read_at).filter(|_| is_shared) {
                    shared.put(hash, found.as_ref(), read_at, now).await;
                }
                CachedKey { identity: found, valid_for: KEY_CACHE_TTL }
            }
        };
        let verdict = self.check_and_cache(*hash, identity, before, queried_at, valid_for);
        if let Ok(Authenticated { caller, .. }) = &verdict {
            self.note_use(caller);
        }
        verdict
    }

    /// Checks the entry of the directory or of a cache, and caches it.
    fn check_and_cache(
        &self,
        hash: KeyHash,
        identity: Option<KeyIdentity>,
        before: Evictions,
        queried_at: Instant,
        valid_for: Duration,
    ) -> Result<Authenticated, AuthError> {
        // The database accepts the caller only with the hash of a key that has the same project and rights.
        let found = identity.map(|mut identity| {
            identity.caller.proof = Some(hash);
            (Arc::new(identity.caller.clone()), identity)
        });
        let verdict = match &found {
            Some((caller, identity)) => check_validity(hash, caller, identity, self.clock.now()),
            None => Err(AuthError::Unknown),
        };
        self.cache.put(hash, found, before, queried_at, valid_for);
        verdict
    }

    /// Whether the key that opened a stream is valid and has the same rights: queries the directory, past every cache.
    /// `None` = the directory is unreachable.
    pub(crate) async fn unchanged(&self, opened: &Authenticated) -> Option<bool> {
        let found = match self.directory.find(&opened.hash).await {
            Ok(found) => found,
            Err(error) => {
                tracing::debug!(%error, "a stream's key could not be looked up");
                return None;
            }
        };
        let unchanged = found.is_some_and(|identity| {
            let caller = Arc::new(identity.caller.clone());
            let same = caller.key == opened.caller.key && caller.project == opened.caller.project;
            let rights = caller.rights() == opened.caller.rights();
            same && rights && check_validity(opened.hash, &caller, &identity, self.clock.now()).is_ok()
        });
        if !unchanged {
            self.forget_everywhere(&opened.hash).await;
        }
        Some(unchanged)
    }

    /// The state of the key at the end of its call: rights may have been revoked meanwhile. If the directory is
    /// unreachable, the state does not change.
    pub(crate) async fn state_after_call(&self, called: &Authenticated, needs: Rights) -> KeyState {
        let now = match self.known(&called.hash) {
            Some(known) => known,
            None => self.look_up(&called.hash).await,
        };
        match now {
            Ok(Authenticated { caller, .. }) if needs.are_within(caller.rights()) => KeyState::Sufficient,
            Err(AuthError::Unavailable(_)) => KeyState::Sufficient,
            Ok(_) => KeyState::FewerRights,
            Err(error) => KeyState::Void(error),
        }
    }

    /// Why an admitted key is void that a store rejected: evicts it from every cache and queries the directory.
    pub(crate) async fn why_void(&self, who: &Authenticated) -> AuthError {
        self.forget_everywhere(&who.hash).await;
        // The key may be cached under its own hash, too, if a cache assigned it to another hash.
        if let Some(key) = who.caller.key {
            self.forget_void(key).await;
        }
        // Query the directory: a shared cache that cannot delete now would return the same entry again.
        let before = self.cache.evictions();
        let queried_at = Instant::now();
        let found = match self.directory.find(&who.hash).await {
            Ok(found) => found,
            Err(error) => return AuthError::Unavailable(error),
        };
        match self.check_and_cache(who.hash, found, before, queried_at, KEY_CACHE_TTL) {
            // The refusal was for a forged entry of a cache, or for a state that has passed.
            Ok(_) => AuthError::Unavailable(StoreError::Busy),
            Err(error) => error,
        }
    }

    /// Like [`Self::proven`], for many concurrent calls of a key: they share one query. None = the directory is
    /// unreachable.
    pub(crate) async fn proven_together(&self, who: &Authenticated) -> Option<bool> {
        let began = Instant::now();
        let ticket = self.proofs.ticket(who.hash);
        let mut last = ticket.turn().await;
        if let Some(Proof { queried_at, good }) = *last
            && queried_at >= began
        {
            return good;
        }
        let queried_at = Instant::now();
        let good = self.proven(who).await.ok();
        *last = Some(Proof { queried_at, good });
        good
    }

    /// Whether the directory knows the admitted key: queries it, past every cache.
    pub(crate) async fn proven(&self, who: &Authenticated) -> Result<bool, StoreError> {
        let Some(identity) = self.directory.find(&who.hash).await? else { return Ok(false) };
        let (found, known) = (&identity.caller, &who.caller);
        let same = found.key == known.key && found.user == known.user && found.project == known.project;
        let caller = Arc::new(found.clone());
        Ok(same && check_validity(who.hash, &caller, &identity, self.clock.now()).is_ok())
    }

    /// Evicts a key from this process.
    pub(crate) fn forget(&self, hash: &KeyHash) {
        self.cache.evict(hash);
    }

    /// Evicts a key here and from the shared cache.
    pub(crate) async fn forget_everywhere(&self, hash: &KeyHash) {
        if let Some(shared) = &self.shared {
            shared.forget(hash).await;
        }
        self.forget(hash);
    }

    /// Evicts a key that the directory's own store found void, here and from the shared cache.
    pub(crate) async fn forget_void(&self, key: KeyId) {
        for hash in self.cache.hashes_of(key) {
            self.forget_everywhere(&hash).await;
        }
    }

    /// Clears the cache of this process, after invalidations may have been lost.
    pub(crate) fn forget_all(&self) {
        self.cache.clear();
    }

    /// Writes the last uses of keys; called periodically. A use stays queued until it is written, so that the next call
    /// repeats what an error or a cancelled call left.
    pub(crate) async fn write_uses(&self) {
        let uses: Vec<KeyUse> = {
            let uses = self.uses.lock();
            uses.iter().map(|(&key, &(proof, at))| KeyUse { key, proof, at }).collect()
        };
        if uses.is_empty() {
            return;
        }
        if let Err(error) = self.directory.record_uses(&uses).await {
            tracing::warn!(%error, "the last uses of keys could not be written; retrying");
            return;
        }
        let mut waiting = self.uses.lock();
        for used in &uses {
            if waiting.get(&used.key) == Some(&(used.proof, used.at)) {
                waiting.remove(&used.key);
            }
        }
    }

    /// The entry of a shared cache, with the user name from the directory; none if the name is unknown.
    fn named(&self, mut cached: CachedKey) -> Option<CachedKey> {
        if let Some(identity) = &mut cached.identity {
            let name = self.names.get(&identity.caller.user)?;
            identity.caller.user_name = name.as_ref().to_owned();
        }
        Some(cached)
    }

    fn keep_name(&self, caller: &Caller) {
        self.names.insert(caller.user, Arc::from(caller.user_name.as_str()));
    }

    fn note_use(&self, caller: &Caller) {
        if let Some((key, proof)) = caller.key.zip(caller.proof) {
            let used = (proof, self.clock.now());
            let mut uses = self.uses.lock();
            if uses.len() < MAX_WAITING || uses.contains_key(&key) {
                uses.insert(key, used);
            }
        }
    }
}

fn check_validity(
    hash: KeyHash,
    caller: &Arc<Caller>,
    identity: &KeyIdentity,
    now: Timestamp,
) -> Result<Authenticated, AuthError> {
    if identity.revoked_at.is_some() {
        return Err(AuthError::Revoked);
    }
    if identity.expires_at.is_some_and(|at| at <= now) {
        return Err(AuthError::Expired);
    }
    let caller = Arc::clone(caller);
    // Only the presented text shows whether it is a token.
    let KeyIdentity { rate_limit, expires_at, counted_as, .. } = *identity;
    let counted_as = counted_as.or(caller.key);
    Ok(Authenticated { caller, hash, rate_limit, counted_as, expires_at, is_token: false, is_console: false })
}

/// A copy of the error, for another request that waited for it.
fn copy_of(error: &StoreError) -> StoreError {
    match error {
        StoreError::Unreachable(detail) => StoreError::Unreachable(detail.clone()),
        StoreError::Overloaded => StoreError::Overloaded,
        StoreError::Busy => StoreError::Busy,
        other => StoreError::Unavailable(other.to_string()),
    }
}

#[cfg(test)]
mod tests;
