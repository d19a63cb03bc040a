//! The cache of sessions: `session:<id>`, in front of the authoritative store.

use std::sync::Arc;

use async_trait::async_trait;
use jiff::Timestamp;
use memory_bank_core::caller::Caller;
use memory_bank_core::clock::Clock;
use memory_bank_core::error::StoreError;
use memory_bank_core::store::{
    SessionError, SessionId, SessionLimits, SessionRecord, SessionStore, SessionUse,
};

use crate::http::redis::link::Link;

/// Longest time in the cache, in seconds.
const MAX_TTL_SECONDS: i64 = 24 * 3600;

/// The namespace of cached sessions.
const NAMESPACE: &str = "session";

pub(super) struct RedisSessions {
    link: Arc<Link>,
    store: Arc<dyn SessionStore>,
    clock: Arc<dyn Clock>,
}

impl RedisSessions {
    pub(super) fn new(link: Arc<Link>, store: Arc<dyn SessionStore>, clock: Arc<dyn Clock>) -> Self {
        Self { link, store, clock }
    }

    async fn cached(&self, id: SessionId) -> Option<SessionRecord> {
        let key = self.link.cache_key(NAMESPACE, id);
        let text: Vec<u8> =
            self.link.send::<Option<Vec<u8>>>(&key, redis::cmd("GET").arg(&key)).await.flatten()?;
        match serde_json::from_slice::<SessionRecord>(&text) {
            Ok(record) if record.id == id => Some(record),
            _ => {
                tracing::warn!("a cached session could not be parsed and was deleted");
                self.forget(id).await;
                None
            }
        }
    }

    /// Caches a record that was read. An existing one is newer, or the same.
    async fn cache(&self, record: &SessionRecord) {
        let Some((seconds, text)) = self.cache_entry(record) else { return };
        let key = self.link.cache_key(NAMESPACE, record.id);
        let set = redis::cmd("SET").arg(&key).arg(text).arg("EX").arg(seconds).arg("NX").clone();
        self.link.send::<()>(&key, &set).await;
    }

    /// Caches a record that was changed.
    async fn replace(&self, record: &SessionRecord) {
        let Some((seconds, text)) = self.cache_entry(record) else { return };
        self.link.replace_cached(NAMESPACE, record.id, text, seconds).await;
    }

    /// For how many seconds to cache a record, and its text.
    fn cache_entry(&self, record: &SessionRecord) -> Option<(i64, Vec<u8>)> {
        let seconds = record.expires_at.duration_since(self.clock.now()).as_secs().min(MAX_TTL_SECONDS);
        let text = serde_json::to_vec(record).ok()?;
        (seconds >= 1).then_some((seconds, text))
    }

    async fn forget(&self, id: SessionId) {
        self.link.delete_cached(NAMESPACE, id).await;
    }
}

#[async_trait]
impl SessionStore for RedisSessions {
    async fn open(
        &self,
        caller: &Caller,
        session: &SessionRecord,
        limits: SessionLimits,
    ) -> Result<Option<SessionId>, SessionError> {
        let ended = self.store.open(caller, session, limits).await?;
        if let Some(ended) = ended {
            self.forget(ended).await;
        }
        self.cache(session).await;
        Ok(ended)
    }

    async fn find(
        &self,
        caller: &Caller,
        id: SessionId,
        now: Timestamp,
    ) -> Result<Option<SessionRecord>, StoreError> {
        // Treat a foreign session like a missing one, so that timing reveals nothing.
        if let Some(record) = self.cached(id).await.filter(|record| record.belongs_to(caller)) {
            return Ok((record.expires_at > now).then_some(record));
        }
        let found = self.store.find(caller, id, now).await?;
        if let Some(record) = &found {
            self.cache(record).await;
        }
        Ok(found)
    }

    async fn subscribe(
        &self,
        caller: &Caller,
        id: SessionId,
        uri: &str,
        subscribed: bool,
    ) -> Result<Option<SessionRecord>, StoreError> {
        let changed = self.store.subscribe(caller, id, uri, subscribed).await?;
        match &changed {
            Some(record) => self.replace(record).await,
            None => self.forget(id).await,
        }
        Ok(changed)
    }

    async fn end(&self, caller: &Caller, id: SessionId) -> Result<bool, StoreError> {
        let ended = self.store.end(caller, id).await?;
        if ended {
            self.forget(id).await;
        }
        Ok(ended)
    }

    async fn record_uses(&self, uses: &[SessionUse]) -> Result<(), StoreError> {
        self.store.record_uses(uses).await?;
        for used in uses {
            self.forget(used.session).await;
        }
        Ok(())
    }

    async fn clean_up(
        &self,
        now: Timestamp,
        events_before: Timestamp,
        limit: usize,
    ) -> Result<usize, StoreError> {
        self.store.clean_up(now, events_before, limit).await
    }
}
