//! The cache of keys: `apikey:<sha256 hex>`. A value that cannot be used is deleted and counts as missing.
//!
//! A value contains the time at which the database was queried, by the clock of Redis, which all replicas share. It
//! expires five minutes after that, wherever it is copied and however late it arrives.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use memory_bank_core::caller::{Caller, KeyId, ProjectId, Right, Role, UserId};
use memory_bank_core::identity::{KeyHash, KeyIdentity};
use redis::Script;
use serde::{Deserialize, Serialize};

use crate::http::auth::{CacheAnswer, CacheTime, CachedKey, KEY_CACHE_TTL, KeyCache};
use crate::http::redis::link::Link;

/// How long an unknown key is cached.
const NEGATIVE_CACHE_TTL: Duration = Duration::from_secs(30);
/// Shorter times are not worth a command.
const MIN_TTL: Duration = Duration::from_secs(1);

/// The clock and a value of one node.
const TIME_AND_VALUE: &str = "return {redis.call('TIME'), redis.call('GET', KEYS[1])}";

/// The namespace of cached keys.
const NAMESPACE: &str = "apikey";

pub(super) struct RedisKeys {
    link: Arc<Link>,
    script: Script,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Cached {
    /// When the database was queried, in milliseconds since 1970 by the clock of Redis.
    read_at: i64,
    /// Absent if the key is known not to exist.
    identity: Option<CachedIdentity>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct CachedIdentity {
    user: UserId,
    project: ProjectId,
    role: Role,
    scopes: Vec<Right>,
    /// A caller without a key is an operator; a cache must never create one.
    key: KeyId,
    user_name: String,
    rate_limit: u32,
    expires_at: Option<Timestamp>,
    revoked_at: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    counted_as: Option<KeyId>,
}

impl RedisKeys {
    pub(super) fn new(link: Arc<Link>) -> Self {
        Self { link, script: Script::new(TIME_AND_VALUE) }
    }

    /// The seconds and microseconds of the server that has the key, and the value.
    async fn time_and_value(&self, key: &str) -> Option<((i64, i64), Option<Vec<u8>>)> {
        if self.link.is_cluster() {
            // Two commands could go to two nodes, which have clocks of their own.
            let mut call = self.script.prepare_invoke();
            call.key(key);
            return self.link.with(key, async |connection| call.invoke_async(connection).await).await;
        }
        let mut both = redis::pipe();
        both.cmd("TIME").cmd("GET").arg(key);
        self.link.with(key, async |connection| both.query_async(connection).await).await
    }
}

#[async_trait]
impl KeyCache for RedisKeys {
    async fn get(&self, hash: &KeyHash) -> Option<CacheAnswer> {
        let key = cache_key(&self.link, hash);
        let ((seconds, micros), text) = self.time_and_value(&key).await?;
        let at = CacheTime(seconds.saturating_mul(1000).saturating_add(micros / 1000));
        // A value that waits to be deleted is outdated, and a Redis that refuses writes still has it.
        let text = text.filter(|_| !self.link.is_queued_for_deletion(&key));
        let Some(text) = text else { return Some(CacheAnswer { at, entry: None }) };
        let cached = serde_json::from_slice::<Cached>(&text).ok();
        let entry = cached.and_then(|cached| {
            let valid_for = remaining_ttl(cached.read_at, cached.identity.is_some(), at)?;
            Some(CachedKey { identity: cached.identity.map(KeyIdentity::from), valid_for })
        });
        if entry.is_none() {
            tracing::warn!("a cached key could not be used and was deleted");
            self.forget(hash).await;
        }
        Some(CacheAnswer { at, entry })
    }

    async fn put(
        &self,
        hash: &KeyHash,
        identity: Option<&KeyIdentity>,
        CacheTime(read_at): CacheTime,
        now: Timestamp,
    ) {
        let expires_at = identity.and_then(|identity| identity.expires_at);
        let to_expiry =
            expires_at.map(|at| Duration::try_from(at.duration_since(now)).unwrap_or(Duration::ZERO));
        let ttl = ttl(identity.is_some()).min(to_expiry.unwrap_or(Duration::MAX));
        if ttl < MIN_TTL {
            return;
        }
        let identity = match identity.cloned().map(CachedIdentity::try_from) {
            Some(Err(NoKey)) => return,
            Some(Ok(identity)) => Some(identity),
            None => None,
        };
        let Ok(text) = serde_json::to_vec(&Cached { read_at, identity }) else { return };
        let key = cache_key(&self.link, hash);
        let until = read_at.saturating_add(i64::try_from(ttl.as_millis()).unwrap_or(i64::MAX));
        // Expire at a time, not after a period: a command that waits in a hanging Redis must not start the period
        // again.
        self.link.send::<()>(&key, redis::cmd("SET").arg(&key).arg(text).arg("PXAT").arg(until)).await;
    }

    async fn forget(&self, hash: &KeyHash) {
        self.link.delete_cached(NAMESPACE, hash.to_hex()).await;
    }
}

fn ttl(is_key: bool) -> Duration {
    if is_key { KEY_CACHE_TTL } else { NEGATIVE_CACHE_TTL }
}

/// How long a value is still valid; none if it expired, or if its time is in the future.
fn remaining_ttl(read_at: i64, is_key: bool, CacheTime(now): CacheTime) -> Option<Duration> {
    let age = Duration::from_millis(u64::try_from(now.checked_sub(read_at)?).ok()?);
    ttl(is_key).checked_sub(age).filter(|remaining| !remaining.is_zero())
}

/// The name under which an identity is cached.
pub(super) fn cache_key(link: &Link, hash: &KeyHash) -> String {
    link.cache_key(NAMESPACE, hash.to_hex())
}

/// An identity that did not come from a key.
struct NoKey;

impl TryFrom<KeyIdentity> for CachedIdentity {
    type Error = NoKey;

    fn try_from(identity: KeyIdentity) -> Result<Self, NoKey> {
        let KeyIdentity { caller, rate_limit, expires_at, revoked_at, counted_as } = identity;
        // The hash is computed from each request, and never read from here. Read-only is of a server or a client, not of a key.
        let Caller { user, project, role, scopes, key, user_name, proof: _, is_read_only: _ } = caller;
        let key = key.ok_or(NoKey)?;
        Ok(Self {
            user,
            project,
            role,
            scopes,
            key,
            user_name,
            rate_limit,
            expires_at,
            revoked_at,
            counted_as,
        })
    }
}

impl From<CachedIdentity> for KeyIdentity {
    fn from(cached: CachedIdentity) -> Self {
        let CachedIdentity {
            user,
            project,
            role,
            scopes,
            key,
            user_name,
            rate_limit,
            expires_at,
            revoked_at,
            counted_as,
        } = cached;
        Self {
            caller: Caller {
                user,
                project,
                role,
                scopes,
                key: Some(key),
                user_name,
                proof: None,
                is_read_only: false,
            },
            rate_limit,
            expires_at,
            revoked_at,
            counted_as,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cached_value_is_valid_for_the_rest_of_five_minutes_and_never_from_the_future() {
        let now = CacheTime(1_800_000_000_000);
        let read = |age: i64, is_key| remaining_ttl(now.0 - age, is_key, now);
        assert_eq!(read(0, true), Some(Duration::from_secs(300)));
        assert_eq!(read(299_000, true), Some(Duration::from_secs(1)));
        assert_eq!(read(300_000, true), None);
        assert_eq!(read(29_999, false), Some(Duration::from_millis(1)));
        assert_eq!(read(30_000, false), None);
        assert_eq!(read(-1, true), None);
        assert_eq!(remaining_ttl(i64::MIN, true, now), None);
        assert_eq!(remaining_ttl(i64::MAX, true, now), None);
    }
}
