//! Stores events before they are sent. Events are written in groups, which bounds the cost: all waiting events are
//! written together, and while many calls are in flight, the first replies wait briefly for the next ones, like group
//! commit in a database.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use memory_bank_core::caller::Caller;
use memory_bank_core::error::StoreError;
use memory_bank_core::store::{Event, EventId, EventStore, SessionId};
use tokio::sync::{mpsc, oneshot};

use crate::http::event_bounds::EventBounds;
use crate::http::metrics::Metrics;

/// How many events may wait to be written.
const QUEUE_CAPACITY: usize = 4096;
/// How many events one write stores.
const MAX_GROUP: usize = 256;
/// How long the first event of a group waits for others. The runtime's clock has no finer step.
const GROUP_WAIT: Duration = Duration::from_millis(1);
/// The longest message that is stored, in bytes. A longer one was read from the bank, and can be read again.
const MAX_BYTES: usize = 1024 * 1024;
/// The most events of one replay.
const MAX_REPLAYED: usize = 1000;

/// The log of events.
#[derive(Clone)]
pub(crate) struct EventLog {
    store: Arc<dyn EventStore>,
    queue: mpsc::Sender<QueuedEvent>,
    expected: Arc<AtomicUsize>,
    bounds: Arc<EventBounds>,
}

/// An event, and the sender that waits for the result.
type QueuedEvent = (Event, oneshot::Sender<bool>);

/// Announces an event, until it is dropped.
#[derive(Debug)]
pub(crate) struct ExpectedEvent(Arc<AtomicUsize>);

impl Drop for ExpectedEvent {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl EventLog {
    /// Creates a log over a store; starts the writing task.
    pub(crate) fn start(store: Arc<dyn EventStore>, bounds: EventBounds, metrics: Arc<Metrics>) -> Self {
        let (queue, waiting) = mpsc::channel(QUEUE_CAPACITY);
        let expected = Arc::new(AtomicUsize::new(0));
        let bounds = Arc::new(bounds);
        tokio::spawn(write(Arc::clone(&store), waiting, Arc::clone(&expected), metrics));
        tokio::spawn(Arc::clone(&bounds).trim(Arc::clone(&store)));
        Self { store, queue, expected, bounds }
    }

    /// Announces an event; held until it is stored.
    pub(crate) fn expect(&self) -> ExpectedEvent {
        self.expected.fetch_add(1, Ordering::Relaxed);
        ExpectedEvent(Arc::clone(&self.expected))
    }

    /// How many events wait to be written.
    pub(crate) fn waiting(&self) -> usize {
        QUEUE_CAPACITY.saturating_sub(self.queue.capacity())
    }

    /// Stores an event; false if that failed, if it is too long or if too much is stored, so that the client cannot
    /// resume from it.
    pub(crate) async fn append(&self, event: Event) -> bool {
        if event.message.len() > MAX_BYTES || !self.bounds.admit(&event) {
            return false;
        }
        let (stored, outcome) = oneshot::channel();
        self.queue.send((event, stored)).await.is_ok() && outcome.await.unwrap_or(false)
    }

    /// The events after a given one in its stream.
    pub(crate) async fn after(
        &self,
        caller: &Caller,
        session: SessionId,
        id: EventId,
    ) -> Result<Vec<Event>, StoreError> {
        self.store.after(caller, session, id, MAX_REPLAYED).await
    }
}

async fn write(
    store: Arc<dyn EventStore>,
    mut waiting: mpsc::Receiver<QueuedEvent>,
    expected: Arc<AtomicUsize>,
    metrics: Arc<Metrics>,
) {
    let mut group = Vec::with_capacity(MAX_GROUP);
    while waiting.recv_many(&mut group, MAX_GROUP).await > 0 {
        gather(&mut group, &mut waiting, &expected).await;
        let (events, waiters): (Vec<Event>, Vec<oneshot::Sender<bool>>) = group.drain(..).unzip();
        let stored = match store.append(&events).await {
            Ok(()) => true,
            Err(error) => {
                tracing::warn!(%error, count = events.len(), "events could not be stored and cannot be replayed");
                false
            }
        };
        metrics.events_stored_or_lost(events.len(), stored);
        for waiter in waiters {
            // The sender may be gone.
            let _ = waiter.send(stored);
        }
    }
}

/// Waits briefly until half of the announced events have arrived: the other half arrives while they are written. A
/// single event does not wait.
async fn gather(
    group: &mut Vec<QueuedEvent>,
    waiting: &mut mpsc::Receiver<QueuedEvent>,
    expected: &AtomicUsize,
) {
    let enough =
        |here: usize| here.saturating_mul(2) >= expected.load(Ordering::Relaxed) || here >= MAX_GROUP;
    if enough(group.len()) {
        return;
    }
    let end = tokio::time::Instant::now() + GROUP_WAIT;
    while !enough(group.len()) {
        let room = MAX_GROUP.saturating_sub(group.len());
        match tokio::time::timeout_at(end, waiting.recv_many(group, room)).await {
            Ok(1..) => {}
            // No sender is left, or those in flight take longer.
            Ok(0) | Err(_) => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use parking_lot::Mutex;

    use async_trait::async_trait;
    use jiff::Timestamp;
    use memory_bank_core::caller::{ProjectId, Rights, UserId};
    use memory_bank_core::identity::KeyHash;
    use memory_bank_core::store::EventOwner;
    use uuid::Uuid;

    use super::*;

    /// Counts the events per write.
    #[derive(Default)]
    struct Groups(Mutex<Vec<usize>>);

    #[async_trait]
    impl EventStore for Groups {
        async fn append(&self, events: &[Event]) -> Result<(), StoreError> {
            self.0.lock().push(events.len());
            Ok(())
        }

        async fn after(
            &self,
            _caller: &Caller,
            _session: SessionId,
            _after: EventId,
            _limit: usize,
        ) -> Result<Vec<Event>, StoreError> {
            Ok(Vec::new())
        }

        async fn trim(&self, _: EventOwner, _: Option<KeyHash>, _: usize) -> Result<bool, StoreError> {
            Ok(true)
        }
    }

    fn event() -> Event {
        Event {
            id: EventId { stream: Uuid::nil(), place: 1 },
            session: SessionId(Uuid::nil()),
            user: UserId(Uuid::nil()),
            project: ProjectId(Uuid::nil()),
            proof: None,
            needs: Rights::NONE,
            message: "{}".to_owned(),
            last: true,
            at: Timestamp::UNIX_EPOCH,
        }
    }

    fn log() -> (EventLog, Arc<Groups>) {
        let groups = Arc::new(Groups::default());
        (
            EventLog::start(
                groups.clone(),
                EventBounds::new(usize::MAX, usize::MAX),
                Arc::new(Metrics::new()),
            ),
            groups,
        )
    }

    fn written(groups: &Groups) -> Vec<usize> {
        groups.0.lock().clone()
    }

    #[tokio::test(start_paused = true)]
    async fn a_single_event_does_not_wait() {
        let (log, groups) = log();
        let began = tokio::time::Instant::now();
        let _coming = log.expect();
        assert!(log.append(event()).await);
        assert_eq!((began.elapsed(), written(&groups)), (Duration::ZERO, vec![1]));
    }

    #[tokio::test(start_paused = true)]
    async fn the_first_of_many_events_waits_for_half_of_them() {
        let (log, groups) = log();
        let expected: Vec<ExpectedEvent> = (0..8).map(|_| log.expect()).collect();
        let others = async {
            tokio::time::sleep(GROUP_WAIT / 2).await;
            futures::future::join_all((0..3).map(|_| log.append(event()))).await
        };
        let (first, others) = tokio::join!(log.append(event()), others);
        assert!(first && others.iter().all(|stored| *stored));
        assert_eq!(written(&groups), [4]);
        drop(expected);
    }

    #[tokio::test(start_paused = true)]
    async fn no_event_waits_long_for_slow_calls() {
        let (log, groups) = log();
        let expected: Vec<ExpectedEvent> = (0..8).map(|_| log.expect()).collect();
        let began = tokio::time::Instant::now();
        assert!(log.append(event()).await);
        assert!(began.elapsed() <= GROUP_WAIT * 2, "{:?}", began.elapsed());
        assert_eq!(written(&groups), [1]);
        drop(expected);
        assert!(log.append(event()).await);
    }

    #[tokio::test(start_paused = true)]
    async fn a_message_that_is_too_long_is_not_stored() {
        let (log, _) = log();
        let long = |bytes| Event { message: "x".repeat(bytes), ..event() };
        assert!(log.append(long(MAX_BYTES)).await);
        assert!(!log.append(long(MAX_BYTES + 1)).await);
    }
}
