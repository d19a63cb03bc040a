//! How far an index is, and when it will be complete.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Bytes of text that are indexed per second, before any measurement.
const INITIAL_SPEED: u64 = 4 * 1024 * 1024;

/// How far the index is, in bytes.
#[derive(Debug, Default)]
pub(super) struct Progress {
    total: AtomicU64,
    done: AtomicU64,
    millis: AtomicU64,
}

impl Progress {
    /// Starts with `bytes` to be indexed.
    pub(super) fn begin(&self, bytes: u64) {
        self.total.store(bytes, Ordering::Relaxed);
        self.done.store(0, Ordering::Relaxed);
        self.millis.store(0, Ordering::Relaxed);
    }

    /// How many bytes were to be read the last time.
    pub(super) fn total(&self) -> u64 {
        self.total.load(Ordering::Relaxed)
    }

    /// Counts bytes that are in the index now, and how long that took.
    pub(super) fn advance(&self, bytes: u64, took: Duration) {
        self.done.fetch_add(bytes, Ordering::Relaxed);
        self.millis.fetch_add(u64::try_from(took.as_millis()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// In how many seconds the whole is expected.
    pub(super) fn seconds_left(&self) -> u64 {
        let done = self.done.load(Ordering::Relaxed);
        let left = self.total.load(Ordering::Relaxed).saturating_sub(done);
        let millis = match self.millis.load(Ordering::Relaxed) {
            0 => left.saturating_mul(1000) / INITIAL_SPEED,
            millis => left.saturating_mul(millis) / done.max(1),
        };
        millis / 1000 + 1
    }
}
