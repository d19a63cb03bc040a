//! The cache of keys: `apikey:<sha256 hex>`. A value that cannot be used is deleted and counts as none.

use std::sync::Arc;

use async_trait::async_trait;
use jiff::Timestamp;
use memory_bank_core::caller::{Caller, KeyId, ProjectId, Right, Role, UserId};
use memory_bank_core::identity::{KeyHash, KeyIdentity};
use serde::{Deserialize, Serialize};

use crate::http::auth::KeyCache;
use crate::http::redis::link::Link;

/// How long a key is believed, in seconds.
const BELIEVED: i64 = 300;
/// How long it is believed that something is no key, in seconds.
const DISBELIEVED: i64 = 30;

pub(super) struct RedisKeys {
    link: Arc<Link>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Cached {
    /// Absent when it is known that there is no such key.
    identity: Option<CachedIdentity>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct CachedIdentity {
    user: UserId,
    project: ProjectId,
    role: Role,
    scopes: Vec<Right>,
    /// A caller without a key is an operator, whom nobody becomes by way of a cache.
    key: KeyId,
    user_name: String,
    rate_limit: u32,
    expires_at: Option<Timestamp>,
    revoked_at: Option<Timestamp>,
}

impl RedisKeys {
    pub(super) fn new(link: Arc<Link>) -> Self {
        Self { link }
    }
}

#[async_trait]
impl KeyCache for RedisKeys {
    async fn get(&self, hash: &KeyHash) -> Option<Option<KeyIdentity>> {
        let key = cached_as(&self.link, hash);
        let text: Vec<u8> = self.link.ask::<Option<Vec<u8>>>(redis::cmd("GET").arg(&key)).await.flatten()?;
        match serde_json::from_slice::<Cached>(&text) {
            Ok(cached) => Some(cached.identity.map(KeyIdentity::from)),
            Err(_) => {
                tracing::warn!("a cached key could not be read and was deleted");
                self.forget(hash).await;
                None
            }
        }
    }

    async fn put(&self, hash: &KeyHash, identity: Option<&KeyIdentity>, now: Timestamp) {
        let seconds = match identity {
            None => DISBELIEVED,
            Some(identity) => {
                let left = identity.expires_at.map_or(BELIEVED, |at| at.duration_since(now).as_secs());
                left.min(BELIEVED)
            }
        };
        if seconds < 1 {
            return;
        }
        let cached = match identity.cloned().map(CachedIdentity::try_from) {
            Some(Err(NoKey)) => return,
            Some(Ok(identity)) => Cached { identity: Some(identity) },
            None => Cached { identity: None },
        };
        let Ok(text) = serde_json::to_vec(&cached) else { return };
        let key = cached_as(&self.link, hash);
        self.link.ask::<()>(redis::cmd("SET").arg(&key).arg(text).arg("EX").arg(seconds)).await;
    }

    async fn forget(&self, hash: &KeyHash) {
        self.link.delete(cached_as(&self.link, hash)).await;
    }
}

/// The name under which an identity is cached.
pub(super) fn cached_as(link: &Link, hash: &KeyHash) -> String {
    link.key("apikey", hash.to_hex())
}

/// An identity that did not come from a key.
struct NoKey;

impl TryFrom<KeyIdentity> for CachedIdentity {
    type Error = NoKey;

    fn try_from(identity: KeyIdentity) -> Result<Self, NoKey> {
        let KeyIdentity { caller, rate_limit, expires_at, revoked_at } = identity;
        // What was presented is computed from each request, and never taken from here.
        let Caller { user, project, role, scopes, key, user_name, proof: _ } = caller;
        let key = key.ok_or(NoKey)?;
        Ok(Self { user, project, role, scopes, key, user_name, rate_limit, expires_at, revoked_at })
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
        } = cached;
        Self {
            caller: Caller { user, project, role, scopes, key: Some(key), user_name, proof: None },
            rate_limit,
            expires_at,
            revoked_at,
        }
    }
}
