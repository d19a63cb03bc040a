//! Distributes committed changes from the stores to subscribers.

use memory_bank_core::caller::ProjectId;
use memory_bank_core::store::{Change, ChangeSink};
use tokio::sync::broadcast;

/// How many changes a slow subscriber may lag behind. Then it is notified to read everything again.
const BACKLOG: usize = 1024;

/// One hub per process. A change is a hint to read again; a subscriber that lags loses hints, not data.
#[derive(Debug)]
pub struct Hub {
    sender: broadcast::Sender<(ProjectId, Change)>,
}

impl Hub {
    /// A hub without subscribers.
    #[must_use]
    pub fn new() -> Self {
        Self { sender: broadcast::channel(BACKLOG).0 }
    }

    /// Changes from now on, of every project; the receiver filters its own.
    #[must_use]
    pub fn subscribe(&self) -> broadcast::Receiver<(ProjectId, Change)> {
        self.sender.subscribe()
    }

    /// Notifies every subscriber of every project to read again, since changes may have been missed.
    pub fn missed(&self) {
        self.changed(ProjectId(uuid::Uuid::nil()), Change::Missed);
    }
}

impl Default for Hub {
    fn default() -> Self {
        Self::new()
    }
}

impl ChangeSink for Hub {
    fn changed(&self, project: ProjectId, change: Change) {
        if self.sender.send((project, change)).is_err() {
            tracing::trace!("nobody is subscribed");
        }
    }
}
