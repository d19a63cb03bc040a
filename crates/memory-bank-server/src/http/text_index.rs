//! Fills the text index in small steps, and counts the waiting documents.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use memory_bank_core::store::TextIndex;
use tokio::time::Instant;

/// The longest round; the rest waits for the next one.
const ROUND_TIMEOUT: Duration = Duration::from_secs(60);
/// A round without progress ends: another server indexes, or the rest is locked.
const STEPS_WITHOUT_PROGRESS: u32 = 3;

/// The index of the store, if it has one, and the last count.
pub(crate) struct TextIndexing {
    index: Option<Arc<dyn TextIndex>>,
    stale: AtomicU64,
}

impl TextIndexing {
    pub(crate) fn new(index: Option<Arc<dyn TextIndex>>) -> Self {
        Self { index, stale: AtomicU64::new(u64::MAX) }
    }

    /// How many documents waited when the last round ended; none before that, and without an index.
    pub(crate) fn stale(&self) -> Option<u64> {
        Some(self.stale.load(Ordering::Relaxed)).filter(|count| *count != u64::MAX)
    }

    /// Indexes the waiting documents, and pauses after each step for as long as the step took, so that it uses half a
    /// processor at most.
    pub(crate) async fn run_round(&self) {
        let Some(index) = &self.index else { return };
        let end = Instant::now() + ROUND_TIMEOUT;
        let mut idle_steps = 0;
        let mut left = u64::MAX;
        loop {
            let began = Instant::now();
            let now_left = match step(index.as_ref()).await {
                Ok(count) => count,
                Err(error) => {
                    tracing::warn!(%error, "documents could not be indexed for full-text search; retrying");
                    return;
                }
            };
            self.stale.store(now_left, Ordering::Relaxed);
            // The count is capped, and beyond the cap it shows no progress.
            idle_steps = if now_left < left || now_left >= MAX_COUNT { 0 } else { idle_steps + 1 };
            left = now_left;
            if left == 0 || idle_steps >= STEPS_WITHOUT_PROGRESS || Instant::now() >= end {
                return;
            }
            tokio::time::sleep(began.elapsed()).await;
        }
    }
}

/// The cap of the store's count.
const MAX_COUNT: u64 = 10_000;

async fn step(index: &dyn TextIndex) -> Result<u64, memory_bank_core::error::StoreError> {
    if index.count_stale().await? == 0 {
        return Ok(0);
    }
    index.index_some().await?;
    index.count_stale().await
}

#[cfg(test)]
mod tests {
    use parking_lot::Mutex;

    use async_trait::async_trait;
    use memory_bank_core::error::StoreError;

    use super::*;

    /// A store in which `waiting` documents wait; each step indexes a fixed number of them.
    struct Fake {
        waiting: Mutex<u64>,
        step: u64,
        steps: AtomicU64,
    }

    #[async_trait]
    impl TextIndex for Fake {
        async fn index_some(&self) -> Result<(), StoreError> {
            self.steps.fetch_add(1, Ordering::Relaxed);
            let mut waiting = self.waiting.lock();
            *waiting = waiting.saturating_sub(self.step);
            Ok(())
        }

        async fn count_stale(&self) -> Result<u64, StoreError> {
            Ok((*self.waiting.lock()).min(MAX_COUNT))
        }
    }

    async fn round(waiting: u64, step: u64) -> (u64, Option<u64>) {
        let fake = Arc::new(Fake { waiting: Mutex::new(waiting), step, steps: AtomicU64::new(0) });
        let indexing = TextIndexing::new(Some(fake.clone()));
        assert_eq!(indexing.stale(), None);
        indexing.run_round().await;
        (fake.steps.load(Ordering::Relaxed), indexing.stale())
    }

    #[tokio::test(start_paused = true)]
    async fn a_round_indexes_waiting_documents_and_ends_without_progress() {
        assert_eq!(round(0, 50).await, (0, Some(0)));
        assert_eq!(round(120, 50).await, (3, Some(0)));
        assert_eq!(round(25_000, 1000).await, (25, Some(0)), "past the counted number it continues");
        assert_eq!(round(120, 0).await, (4, Some(120)), "another server is at it");
        TextIndexing::new(None).run_round().await;
    }
}
