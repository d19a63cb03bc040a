//! Sessions as requests use them: the store, with a short cache of this process in front and grouped writes of last
//! uses.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use memory_bank_core::caller::Caller;
use memory_bank_core::clock::{Clock, Entropy};
use memory_bank_core::error::StoreError;
use memory_bank_core::search::clip;
use memory_bank_core::store::{
    SessionError, SessionId, SessionLimits, SessionRecord, SessionStore, SessionUse,
};
use parking_lot::Mutex;
use quick_cache::UnitWeighter;
use quick_cache::sync::Cache;
use serde_json::{Value, json};

use crate::http::config::SESSION_TTL;
use crate::http::invalidation::{Invalidation, InvalidationBus};

/// How long this process caches a session, in case an invalidation is lost.
const CACHE_TTL: Duration = Duration::from_secs(10);
/// How many sessions this process caches.
const CACHE_CAPACITY: u64 = 20_000;
/// For how many sessions memory is reserved at once.
const INITIAL_CAPACITY: usize = 256;
/// A session that was not used for this long is idle. Longer than a call, and than the time within which an open
/// stream updates `last_seen`, on any replica.
const IDLE_AFTER: SignedDuration = SignedDuration::from_secs(240);
/// How old `last_seen` may become before it is written again.
const LAST_SEEN_INTERVAL: SignedDuration = SignedDuration::from_secs(60);
/// How many uses may wait to be written. Further ones are queued at the session's next request.
const MAX_WAITING: usize = 20_000;
/// The member of a session's metadata that keeps it read-only, on every replica.
const READ_ONLY: &str = "memory-bank/readOnly";

pub(crate) struct Sessions {
    store: Arc<dyn SessionStore>,
    invalidations: Arc<InvalidationBus>,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
    per_project: usize,
    per_key: usize,
    cache: Cache<SessionId, (Arc<SessionRecord>, Instant)>,
    uses: Mutex<HashMap<SessionId, SessionUse>>,
}

impl Sessions {
    pub(crate) fn new(
        store: Arc<dyn SessionStore>,
        invalidations: Arc<InvalidationBus>,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
        per_project: usize,
        per_key: usize,
    ) -> Self {
        Self {
            store,
            invalidations,
            clock,
            entropy,
            per_project,
            per_key,
            cache: Cache::with_weighter(INITIAL_CAPACITY, CACHE_CAPACITY, UnitWeighter),
            uses: Mutex::default(),
        }
    }

    /// Opens a session after a handshake: `params` is the client's message, `version` the negotiated version. A
    /// session that is opened `read_only` stays so.
    pub(crate) async fn open(
        &self,
        caller: &Caller,
        params: &Value,
        version: &str,
        read_only: bool,
    ) -> Result<SessionId, SessionError> {
        let now = self.clock.now();
        let record = SessionRecord {
            id: SessionId(self.entropy.id()),
            user: caller.user,
            project: caller.project,
            protocol_version: version.to_owned(),
            client: params.get("clientInfo").cloned().unwrap_or(Value::Null),
            metadata: metadata(params, read_only),
            subscriptions: std::collections::BTreeSet::new(),
            created_at: now,
            last_seen: now,
            expires_at: lives_until(now),
        };
        let limits = SessionLimits {
            per_project: self.per_project,
            per_key: self.per_key,
            idle_before: now - IDLE_AFTER,
        };
        let ended = self.store.open(caller, &record, limits).await?;
        if let Some(ended) = ended {
            tracing::info!(session = %ended, "an idle session was ended for a new one of the same key");
            self.forget(ended);
            self.invalidations.send(Invalidation::SessionChanged { session: ended, ended: true }).await;
        }
        let id = record.id;
        self.remember(record);
        Ok(id)
    }

    /// The caller's session with this id. Treat a foreign session like a missing one.
    pub(crate) async fn find(
        &self,
        caller: &Caller,
        id: SessionId,
    ) -> Result<Option<Arc<SessionRecord>>, StoreError> {
        let now = self.clock.now();
        // Treat a foreign session like a missing one, so that timing reveals nothing.
        let known = self.cache.get(&id);
        let known = known.filter(|(record, until)| *until > Instant::now() && record.belongs_to(caller));
        let record = match known {
            Some((record, _)) => record,
            None => match self.store.find(caller, id, now).await? {
                Some(record) => self.remember(record),
                None => return Ok(None),
            },
        };
        if !record.belongs_to(caller) || record.expires_at <= now {
            return Ok(None);
        }
        if now.duration_since(record.last_seen) > LAST_SEEN_INTERVAL {
            let used = SessionUse {
                session: id,
                proof: caller.proof,
                key: caller.key,
                at: now,
                expires_at: lives_until(now),
            };
            let mut uses = self.uses.lock();
            if uses.len() < MAX_WAITING || uses.contains_key(&id) {
                uses.insert(id, used);
            }
        }
        Ok(Some(record))
    }

    /// The name of the client of the caller's session with this id, as it was sent, cut if it is long. This is no use of the session.
    pub(crate) async fn client_of(
        &self,
        caller: &Caller,
        id: SessionId,
    ) -> Result<Option<String>, StoreError> {
        /// The longest name that is shown, in characters.
        const CLIENT_CHARS: usize = 100;
        let now = self.clock.now();
        let known = self.cache.get(&id).map(|(record, _)| record);
        let record = match known.filter(|record| record.belongs_to(caller)) {
            Some(record) => Some(record),
            None => self.store.find(caller, id, now).await?.map(Arc::new),
        };
        let record = record.filter(|record| record.belongs_to(caller));
        let name =
            record.and_then(|record| Some(clip(record.client.get("name")?.as_str()?, 0, CLIENT_CHARS)));
        Ok(name.filter(|name| !name.is_empty()))
    }

    /// Subscribes a session to a resource, or unsubscribes it.
    pub(crate) async fn subscribe(
        &self,
        caller: &Caller,
        id: SessionId,
        uri: &str,
        subscribed: bool,
    ) -> Result<Option<Arc<SessionRecord>>, StoreError> {
        let Some(record) = self.store.subscribe(caller, id, uri, subscribed).await? else { return Ok(None) };
        let record = self.remember(record);
        self.invalidations.send(Invalidation::SessionChanged { session: id, ended: false }).await;
        Ok(Some(record))
    }

    /// Ends a session; false if it does not exist.
    pub(crate) async fn end(&self, caller: &Caller, id: SessionId) -> Result<bool, StoreError> {
        let ended = self.store.end(caller, id).await?;
        if ended {
            self.forget(id);
            self.invalidations.send(Invalidation::SessionChanged { session: id, ended: true }).await;
        }
        Ok(ended)
    }

    /// Evicts a session from the cache of this process.
    pub(crate) fn forget(&self, id: SessionId) {
        self.cache.remove(&id);
    }

    /// Clears the cache, after invalidations may have been lost.
    pub(crate) fn forget_all(&self) {
        self.cache.clear();
    }

    /// How many sessions this process caches.
    pub(crate) fn remembered(&self) -> usize {
        self.cache.len()
    }

    /// Writes the sessions that were used since the last time; called periodically. A use stays queued until it is
    /// written, so that the next call repeats what an error or a cancelled call left.
    pub(crate) async fn write_uses(&self) {
        let uses: Vec<SessionUse> = self.uses.lock().values().copied().collect();
        if uses.is_empty() {
            return;
        }
        if let Err(error) = self.store.record_uses(&uses).await {
            tracing::warn!(%error, "the last uses of sessions could not be written; retrying");
            return;
        }
        let mut waiting = self.uses.lock();
        for used in &uses {
            if waiting.get(&used.session) == Some(used) {
                waiting.remove(&used.session);
            }
            self.forget(used.session);
        }
    }

    /// Deletes expired sessions and events, in small batches.
    pub(crate) async fn clean_up(&self, keep_events: Duration) {
        /// Rows per batch.
        const BATCH: usize = 500;
        /// Batches per round; more than a busy server fills between two rounds.
        const BATCHES: usize = 4000;
        let now = self.clock.now();
        let Ok(keep) = SignedDuration::try_from(keep_events) else { return };
        for _ in 0..BATCHES {
            match self.store.clean_up(now, now - keep, BATCH).await {
                Ok(gone) if gone >= BATCH => {}
                Ok(_) => return,
                Err(error) => {
                    tracing::warn!(%error, "expired sessions and events could not be deleted");
                    return;
                }
            }
        }
    }

    fn remember(&self, record: SessionRecord) -> Arc<SessionRecord> {
        let record = Arc::new(record);
        self.cache.insert(record.id, (Arc::clone(&record), Instant::now() + CACHE_TTL));
        record
    }
}

/// The client's capabilities, with the server's own member. If the client sent a member of that name, it counts as
/// well: it removes rights and grants none.
fn metadata(params: &Value, read_only: bool) -> Value {
    let mut metadata = params.get("capabilities").cloned().unwrap_or(Value::Null);
    if read_only {
        match &mut metadata {
            Value::Object(members) => drop(members.insert(READ_ONLY.to_owned(), Value::Bool(true))),
            other => *other = json!({ READ_ONLY: true }),
        }
    }
    metadata
}

/// Whether a session was opened read-only.
pub(crate) fn is_read_only(session: &SessionRecord) -> bool {
    session.metadata.get(READ_ONLY).and_then(Value::as_bool) == Some(true)
}

fn lives_until(now: Timestamp) -> Timestamp {
    SignedDuration::try_from(SESSION_TTL).map_or(now, |life| now + life)
}

#[cfg(test)]
mod tests {
    use async_trait::async_trait;
    use futures::FutureExt;
    use jiff::ToSpan;
    use memory_bank_core::clock::{FixedClock, SystemClock, SystemEntropy};
    use memory_bank_core::store::MemorySessionStore;

    use super::*;

    /// The outcome of a write.
    #[derive(Default, Clone, Copy)]
    enum Writes {
        #[default]
        Succeed,
        Fail,
        NeverEnd,
    }

    /// A store whose writes of uses may fail or never end.
    #[derive(Default)]
    struct Unreliable {
        store: MemorySessionStore,
        writes: Mutex<Writes>,
        written: Mutex<Vec<Vec<SessionUse>>>,
    }

    #[async_trait]
    impl SessionStore for Unreliable {
        async fn open(
            &self,
            caller: &Caller,
            session: &SessionRecord,
            limits: SessionLimits,
        ) -> Result<Option<SessionId>, SessionError> {
            self.store.open(caller, session, limits).await
        }

        async fn find(
            &self,
            caller: &Caller,
            id: SessionId,
            now: Timestamp,
        ) -> Result<Option<SessionRecord>, StoreError> {
            self.store.find(caller, id, now).await
        }

        async fn subscribe(
            &self,
            caller: &Caller,
            id: SessionId,
            uri: &str,
            subscribed: bool,
        ) -> Result<Option<SessionRecord>, StoreError> {
            self.store.subscribe(caller, id, uri, subscribed).await
        }

        async fn end(&self, caller: &Caller, id: SessionId) -> Result<bool, StoreError> {
            self.store.end(caller, id).await
        }

        async fn record_uses(&self, uses: &[SessionUse]) -> Result<(), StoreError> {
            let writes = *self.writes.lock();
            match writes {
                Writes::Succeed => self.written.lock().push(uses.to_vec()),
                Writes::Fail => return Err(StoreError::Busy),
                Writes::NeverEnd => std::future::pending().await,
            }
            self.store.record_uses(uses).await
        }

        async fn clean_up(&self, _: Timestamp, _: Timestamp, _: usize) -> Result<usize, StoreError> {
            Ok(0)
        }
    }

    #[tokio::test]
    async fn the_use_of_a_session_stays_queued_when_its_write_fails_or_is_cancelled() {
        let store = Arc::new(Unreliable::default());
        let clock = Arc::new(FixedClock::new("2026-11-22T09:30:07Z".parse().unwrap()));
        let bus = Arc::new(InvalidationBus::new(None));
        let sessions = Sessions::new(store.clone(), bus, clock.clone(), Arc::new(SystemEntropy), 9, 9);
        let caller = Caller::local("alice");
        let id = sessions.open(&caller, &json!({}), "2025-11-25", false).await.unwrap();
        clock.set(clock.now() + 2.minutes());
        sessions.find(&caller, id).await.unwrap().unwrap();
        *store.writes.lock() = Writes::Fail;
        sessions.write_uses().await;
        *store.writes.lock() = Writes::NeverEnd;
        assert!(sessions.write_uses().now_or_never().is_none());
        *store.writes.lock() = Writes::Succeed;
        sessions.write_uses().await;
        sessions.write_uses().await;
        assert_eq!(store.written.lock().len(), 1);
        let record = sessions.find(&caller, id).await.unwrap().unwrap();
        assert_eq!(record.last_seen, clock.now());
    }

    #[tokio::test]
    async fn a_read_only_session_stays_read_only_on_another_replica() {
        let store = Arc::new(MemorySessionStore::default());
        let replica = || {
            let (clock, entropy) = (Arc::new(SystemClock), Arc::new(SystemEntropy));
            Sessions::new(store.clone(), Arc::new(InvalidationBus::new(None)), clock, entropy, 9, 9)
        };
        let caller = Caller::local("alice");
        for params in [json!({}), json!({"capabilities": {"roots": {}}}), json!({"capabilities": [1]})] {
            for read_only in [true, false] {
                let id = replica().open(&caller, &params, "2025-11-25", read_only).await.unwrap();
                let found = replica().find(&caller, id).await.unwrap().unwrap();
                assert_eq!(is_read_only(&found), read_only, "{params}");
            }
        }
    }
}
