//! Keeps what is sent to sessions, before it is sent. All events that wait at a moment are written in one go, so that
//! keeping them costs little however many requests there are.

use std::sync::Arc;

use memory_bank_core::caller::Caller;
use memory_bank_core::error::StoreError;
use memory_bank_core::store::{Event, EventId, EventStore, SessionId};
use tokio::sync::{mpsc, oneshot};

use crate::http::metrics::Metrics;

/// How many events may wait to be written.
const WAITING: usize = 4096;
/// How many are written in one go.
const GROUP: usize = 256;
/// The most events that one replay brings.
const REPLAYED: usize = 1000;

/// The log of events.
#[derive(Clone)]
pub(crate) struct EventLog {
    store: Arc<dyn EventStore>,
    queue: mpsc::Sender<(Event, oneshot::Sender<bool>)>,
}

impl EventLog {
    /// A log over a store; starts the task that writes.
    pub(crate) fn start(store: Arc<dyn EventStore>, metrics: Arc<Metrics>) -> Self {
        let (queue, waiting) = mpsc::channel(WAITING);
        tokio::spawn(write(Arc::clone(&store), waiting, metrics));
        Self { store, queue }
    }

    /// How many events wait to be written.
    pub(crate) fn waiting(&self) -> usize {
        WAITING.saturating_sub(self.queue.capacity())
    }

    /// Keeps an event; false if that failed, and the client cannot come back to it.
    pub(crate) async fn keep(&self, event: Event) -> bool {
        let (kept, outcome) = oneshot::channel();
        self.queue.send((event, kept)).await.is_ok() && outcome.await.unwrap_or(false)
    }

    /// What followed an event in its stream.
    pub(crate) async fn after(
        &self,
        caller: &Caller,
        session: SessionId,
        id: EventId,
    ) -> Result<Vec<Event>, StoreError> {
        self.store.after(caller, session, id, REPLAYED).await
    }
}

async fn write(
    store: Arc<dyn EventStore>,
    mut waiting: mpsc::Receiver<(Event, oneshot::Sender<bool>)>,
    metrics: Arc<Metrics>,
) {
    let mut group = Vec::with_capacity(GROUP);
    while waiting.recv_many(&mut group, GROUP).await > 0 {
        let (events, askers): (Vec<Event>, Vec<oneshot::Sender<bool>>) = group.drain(..).unzip();
        let kept = match store.append(&events).await {
            Ok(()) => true,
            Err(error) => {
                tracing::warn!(%error, count = events.len(), "events could not be kept; they cannot be replayed");
                false
            }
        };
        metrics.events_kept(events.len(), kept);
        for asker in askers {
            // Whoever does not wait any more does not need to know.
            let _ = asker.send(kept);
        }
    }
}
