//! Deletes old versions of documents in small batches.

use std::sync::Arc;
use std::time::Duration;

use jiff::SignedDuration;
use memory_bank_core::clock::Clock;
use memory_bank_core::store::HistoryRetention;

/// Versions per batch.
const BATCH: usize = 500;
/// Batches per round.
const BATCHES: usize = 20;

/// Which versions are old, and the store that deletes them.
pub struct HistoryCleanUp {
    /// The store.
    pub store: Arc<dyn HistoryRetention>,
    /// The age of an old version.
    pub keep: Duration,
}

impl HistoryCleanUp {
    /// Deletes some of the old versions.
    pub(crate) async fn run_round(&self, clock: &dyn Clock) {
        let Ok(keep) = SignedDuration::try_from(self.keep) else { return };
        let Ok(before) = clock.now().checked_sub(keep) else { return };
        for _ in 0..BATCHES {
            match self.store.purge_versions(before, BATCH).await {
                Ok(deleted) if deleted >= BATCH => {}
                Ok(_) => return,
                Err(error) => {
                    tracing::warn!(%error, "old versions of documents could not be deleted; retrying");
                    return;
                }
            }
        }
    }
}
