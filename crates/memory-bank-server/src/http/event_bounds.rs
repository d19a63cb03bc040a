//! Bounds the stored bytes of replies per session and per project. Summing them in the store for each reply costs
//! more than the reply, so this process counts the bytes that it adds, and trims the store to half of the bound when it added the other
//! half: a trim reads all events of its scope, so rare ones cost less. Beyond the whole bound of untrimmed bytes nothing is stored.
//! Other servers add to the same sessions and projects, so what is less than half is trimmed, too, after some minutes.

use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use memory_bank_core::caller::{ProjectId, UserId};
use memory_bank_core::error::StoreError;
use memory_bank_core::identity::KeyHash;
use memory_bank_core::store::{Event, EventOwner, EventStore, SessionId};
use tokio::sync::Notify;
use tokio::time::{Instant, interval_at};

/// Overhead of an event beside its message, in bytes.
const EVENT_OVERHEAD_BYTES: usize = 200;
/// The largest event that reports a reply that was not stored, with the longest request id.
const LOSS_REPORT_BYTES: usize = 768;
/// How many sessions and projects are counted at a time. If there are more, all counters restart.
const MAX_COUNTERS: usize = 50_000;
/// The part of a bound whose addition makes a trim due.
const DUE: usize = 2;
/// The part of a bound whose addition makes a trim due after [`SLOW_INTERVAL`].
const SLOWLY_DUE: usize = 32;
/// How often what was added in small parts is trimmed.
const SLOW_INTERVAL: Duration = Duration::from_secs(600);
/// When the store is tried again, after it was busy or failed.
const RETRY_INTERVAL: Duration = Duration::from_secs(1);

pub(crate) struct EventBounds {
    per_session: usize,
    per_project: usize,
    counts: Mutex<HashMap<Scope, Count>>,
    due: Notify,
}

/// A session of a project, or all sessions of it.
type Scope = (ProjectId, Option<SessionId>);

/// Bytes that were added since the last trim.
#[derive(Debug, Clone, Copy)]
struct Count {
    bytes: usize,
    /// The caller who added last, with the hash of the key.
    user: UserId,
    proof: Option<KeyHash>,
}

impl EventBounds {
    pub(crate) fn new(per_session: usize, per_project: usize) -> Self {
        Self { per_session, per_project, counts: Mutex::default(), due: Notify::new() }
    }

    /// Counts an event; false if it must not be stored, because too many bytes are not trimmed yet.
    pub(crate) fn admit(&self, event: &Event) -> bool {
        let bytes = event.message.len() + EVENT_OVERHEAD_BYTES;
        let mut counts = self.counts.lock();
        let scopes = [(event.project, Some(event.session)), (event.project, None)];
        // An event that reports a missing reply has a little more room.
        let more = if bytes <= LOSS_REPORT_BYTES { 8 } else { usize::MAX };
        let full = |scope: &Scope| {
            let bound = self.bound(scope);
            let bound = bound.saturating_add(bound / more);
            counts.get(scope).is_some_and(|count| count.bytes.saturating_add(bytes) > bound)
        };
        if scopes.iter().any(full) {
            self.due.notify_one();
            return false;
        }
        if counts.len() >= MAX_COUNTERS {
            counts.clear();
        }
        let mut due = false;
        for scope in scopes {
            let before = counts.get(&scope).map_or(0, |count| count.bytes);
            let count = Count { bytes: before.saturating_add(bytes), user: event.user, proof: event.proof };
            counts.insert(scope, count);
            due |= count.bytes >= self.bound(&scope) / DUE;
        }
        if due {
            self.due.notify_one();
        }
        true
    }

    /// Trims the store whenever enough was added. Runs until it is dropped.
    pub(crate) async fn trim(self: Arc<Self>, store: Arc<dyn EventStore>) {
        // The first tick of an interval is due at once, which would trim the first event that this server adds.
        let mut slow = interval_at(Instant::now() + SLOW_INTERVAL, SLOW_INTERVAL);
        loop {
            let part = tokio::select! {
                () = self.due.notified() => DUE,
                _ = slow.tick() => SLOWLY_DUE,
            };
            let mut left = false;
            for (scope, count) in self.scopes_to_trim(part) {
                let bound = self.bound(&scope);
                let owner = EventOwner { user: count.user, project: scope.0, session: scope.1 };
                match store.trim(owner, count.proof, bound - bound / 2).await {
                    Ok(true) => self.subtract(scope, count.bytes),
                    // A void key adds nothing more; others restart the counter.
                    Err(StoreError::KeyInvalid) => self.subtract(scope, count.bytes),
                    Ok(false) => left = true,
                    Err(error) => {
                        tracing::warn!(%error, "old events could not be deleted");
                        left = true;
                    }
                }
            }
            if left {
                tokio::time::sleep(RETRY_INTERVAL).await;
                self.due.notify_one();
            }
        }
    }

    /// Those to which this server added so large a part of their bound.
    fn scopes_to_trim(&self, part: usize) -> Vec<(Scope, Count)> {
        let counts = self.counts.lock();
        let overdue = counts.iter().filter(|(scope, count)| count.bytes >= self.bound(scope) / part);
        overdue.map(|(scope, count)| (*scope, *count)).collect()
    }

    fn subtract(&self, scope: Scope, trimmed: usize) {
        let mut counts = self.counts.lock();
        if let Some(count) = counts.get_mut(&scope) {
            count.bytes = count.bytes.saturating_sub(trimmed);
            if count.bytes == 0 {
                counts.remove(&scope);
            }
        }
    }

    fn bound(&self, (_, session): &Scope) -> usize {
        if session.is_some() { self.per_session } else { self.per_project }
    }
}

#[cfg(test)]
mod tests {
    use std::ops::RangeInclusive;

    use jiff::Timestamp;
    use memory_bank_core::caller::{ProjectId, Rights, UserId};
    use memory_bank_core::store::{EventId, MemoryEventStore, SessionId};
    use uuid::Uuid;

    use super::*;

    fn event(session: u128, place: u32, bytes: usize) -> Event {
        Event {
            id: EventId { stream: Uuid::from_u128(session), place },
            session: SessionId(Uuid::from_u128(session)),
            user: UserId(Uuid::nil()),
            project: ProjectId(Uuid::nil()),
            needs: Rights::NONE,
            proof: None,
            message: "x".repeat(bytes - EVENT_OVERHEAD_BYTES),
            last: true,
            at: Timestamp::UNIX_EPOCH,
        }
    }

    #[test]
    fn no_event_is_admitted_past_a_bound_until_the_store_drops_events() {
        let bounds = EventBounds::new(4000, 6000);
        let admitted =
            |session, times: u32| (0..times).filter(|n| bounds.admit(&event(session, *n, 1000))).count();
        assert_eq!((admitted(1, 9), admitted(2, 9), admitted(3, 9)), (4, 2, 0));
        for (scope, count) in bounds.scopes_to_trim(DUE) {
            bounds.subtract(scope, count.bytes);
        }
        assert_eq!(admitted(3, 9), 4);
    }

    fn start() -> EventId {
        EventId { stream: Uuid::from_u128(1), place: 0 }
    }

    /// The places of the stored events of session 1.
    async fn kept(store: &MemoryEventStore) -> Vec<u32> {
        let caller = memory_bank_core::caller::Caller::local("someone");
        let session = SessionId(Uuid::from_u128(1));
        let kept = store.after(&caller, session, start(), 1000).await.unwrap();
        kept.iter().map(|event| event.id.place).collect()
    }

    /// Adds events of 1,000 bytes, and waits for what follows.
    async fn add(bounds: &EventBounds, store: &MemoryEventStore, places: RangeInclusive<u32>) {
        for place in places {
            let event = event(1, place, 1000);
            while !bounds.admit(&event) {
                tokio::task::yield_now().await;
            }
            store.append(&[event]).await.unwrap();
            // A trim of the memory takes one turn.
            for _ in 0..10 {
                tokio::task::yield_now().await;
            }
        }
    }

    // With a clock that waits, the start of a server always lies within the test, and ten minutes never do.
    #[tokio::test(start_paused = true)]
    async fn the_store_drops_the_oldest_once_half_of_a_bound_was_added() {
        let bounds = Arc::new(EventBounds::new(8000, 80_000));
        let store = Arc::new(MemoryEventStore::default());
        let trimming = tokio::spawn(Arc::clone(&bounds).trim(store.clone()));
        let mut most = 0;
        for place in 1..=100 {
            add(&bounds, &store, place..=place).await;
            let kept = kept(&store).await;
            most = most.max(kept.len());
            assert_eq!(kept.last(), Some(&place));
            // Four are half of the bound.
            if place % 4 == 0 {
                assert!(kept.len() <= 4, "{kept:?}");
            }
        }
        assert_eq!(most, 7, "between two trims nothing is dropped");
        trimming.abort();
    }

    #[tokio::test(start_paused = true)]
    async fn what_servers_add_in_small_parts_is_trimmed_after_some_minutes() {
        let store = Arc::new(MemoryEventStore::default());
        let servers: Vec<_> = (0..8).map(|_| Arc::new(EventBounds::new(8000, 80_000))).collect();
        let trimming: Vec<_> =
            servers.iter().map(|bounds| tokio::spawn(Arc::clone(bounds).trim(store.clone()))).collect();
        for (number, bounds) in (0..).zip(&servers) {
            add(bounds, &store, number * 3 + 1..=number * 3 + 3).await;
        }
        assert_eq!(kept(&store).await.len(), 24, "no server added half of the bound");
        tokio::time::sleep(SLOW_INTERVAL * 2).await;
        assert!(kept(&store).await.len() <= 4);
        assert!(kept(&store).await.contains(&24));
        for trimming in trimming {
            trimming.abort();
        }
    }
}
