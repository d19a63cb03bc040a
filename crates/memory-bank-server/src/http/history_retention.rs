//! Removes old versions in small batches: all but one a day of those that are older than the setting, and the oldest of projects
//! whose history is larger than their quota.

use std::sync::Arc;
use std::time::Duration;

use jiff::SignedDuration;
use memory_bank_core::clock::Clock;
use memory_bank_core::store::HistoryRetention;

/// Versions per batch.
const BATCH: usize = 500;
/// Batches per round.
const BATCHES: usize = 20;
/// Versions of projects over their quota per batch; each measures all histories.
const TRIMMED: usize = 10_000;

/// Which versions are old, and the store that removes them.
pub struct HistoryCleanUp {
    /// The store.
    pub store: Arc<dyn HistoryRetention>,
    /// The age of an old version.
    pub keep: Duration,
}

impl HistoryCleanUp {
    /// Removes some of the old versions.
    pub(crate) async fn run_round(&self, clock: &dyn Clock) {
        self.thin(clock).await;
        if let Err(error) = self.store.trim_versions(TRIMMED).await {
            tracing::warn!(%error, "versions of documents beyond the quota could not be deleted; retrying");
        }
    }

    async fn thin(&self, clock: &dyn Clock) {
        let Ok(keep) = SignedDuration::try_from(self.keep) else { return };
        let Ok(before) = clock.now().checked_sub(keep) else { return };
        for _ in 0..BATCHES {
            match self.store.thin_versions(before, BATCH).await {
                Ok(deleted) if deleted >= BATCH => {}
                Ok(_) => return,
                Err(error) => {
                    tracing::warn!(%error, "old versions could not be thinned; retrying");
                    return;
                }
            }
        }
    }
}
