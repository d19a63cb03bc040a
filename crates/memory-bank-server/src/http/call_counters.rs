//! Counts the calls of tools for the charts of a project's owners, by key and hour, and writes the numbers in groups.

use std::collections::HashMap;
use std::sync::Arc;

use jiff::Timestamp;
use memory_bank_core::clock::Clock;
use memory_bank_core::identity::KeyHash;
use memory_bank_core::store::{CallCounts, CallLog, KeyCalls};
use parking_lot::Mutex;

/// How many pairs of key and hour may wait to be written. Calls of further keys are not counted until then.
const MAX_WAITING: usize = 5000;
/// How many are written at once.
const BATCH: usize = 1000;
const SECONDS_OF_HOUR: i64 = 3600;

/// A key, and the hour since 1970.
type KeyHour = (KeyHash, i64);

pub(crate) struct CallCounters {
    log: Option<Arc<dyn CallLog>>,
    clock: Arc<dyn Clock>,
    waiting: Mutex<HashMap<KeyHour, CallCounts>>,
}

impl CallCounters {
    pub(crate) fn new(log: Option<Arc<dyn CallLog>>, clock: Arc<dyn Clock>) -> Self {
        Self { log, clock, waiting: Mutex::default() }
    }

    /// Whether calls are counted: a folder has no log of them.
    pub(crate) fn counts(&self) -> bool {
        self.log.is_some()
    }

    /// Counts a call.
    pub(crate) fn add(&self, proof: &KeyHash, has_failed: bool, took_ms: u64, tokens: u64) {
        if !self.counts() {
            return;
        }
        let hour = self.clock.now().as_second().div_euclid(SECONDS_OF_HOUR);
        let mut waiting = self.waiting.lock();
        let has_room = waiting.len() < MAX_WAITING;
        match waiting.get_mut(&(*proof, hour)) {
            Some(counts) => counts.add(has_failed, took_ms, tokens),
            None if has_room => {
                waiting.entry((*proof, hour)).or_default().add(has_failed, took_ms, tokens);
            }
            None => {}
        }
    }

    /// Writes the counts; called periodically. Numbers that could not be written wait for the next call.
    pub(crate) async fn write(&self) {
        let Some(log) = &self.log else { return };
        let counted: Vec<(KeyHour, CallCounts)> = self.waiting.lock().drain().collect();
        for batch in counted.chunks(BATCH) {
            let calls = batch.iter().filter_map(|&((proof, hour), counts)| {
                let hour = Timestamp::from_second(hour.checked_mul(SECONDS_OF_HOUR)?).ok()?;
                Some(KeyCalls { proof, hour, counts })
            });
            if let Err(error) = log.add_calls(&calls.collect::<Vec<_>>()).await {
                tracing::warn!(%error, "counted calls could not be written; retrying");
                self.put_back(batch);
            }
        }
    }

    fn put_back(&self, batch: &[(KeyHour, CallCounts)]) {
        let mut waiting = self.waiting.lock();
        for &(key, before) in batch {
            let has_room = waiting.len() < MAX_WAITING;
            if has_room || waiting.contains_key(&key) {
                waiting.entry(key).or_default().merge(&before);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use async_trait::async_trait;
    use memory_bank_core::clock::{FixedClock, SystemClock};
    use memory_bank_core::error::StoreError;

    use super::*;

    #[derive(Default)]
    struct Recorded {
        calls: Mutex<Vec<KeyCalls>>,
        fails: Mutex<bool>,
    }

    #[async_trait]
    impl CallLog for Recorded {
        async fn add_calls(&self, calls: &[KeyCalls]) -> Result<(), StoreError> {
            if *self.fails.lock() {
                return Err(StoreError::Denied);
            }
            self.calls.lock().extend_from_slice(calls);
            Ok(())
        }
    }

    fn proof(number: usize) -> KeyHash {
        KeyHash::of(number.to_string().as_bytes())
    }

    #[tokio::test]
    async fn calls_of_a_key_in_an_hour_are_one_row_and_an_error_loses_none() {
        let log = Arc::new(Recorded::default());
        let clock = Arc::new(FixedClock::new("2026-11-22T09:30:07Z".parse().unwrap()));
        let counters = CallCounters::new(Some(log.clone()), clock);
        *log.fails.lock() = true;
        counters.add(&proof(1), false, 5, 100);
        counters.write().await;
        counters.add(&proof(1), true, 5000, 0);
        counters.add(&proof(2), false, 50, 7);
        *log.fails.lock() = false;
        counters.write().await;
        counters.write().await;
        let mut calls = log.calls.lock().clone();
        calls.sort_by_key(|call| call.counts.calls);
        let hour: Timestamp = "2026-11-22T09:00:00Z".parse().unwrap();
        let counts = [
            (proof(2), CallCounts { calls: 1, failures: 0, tokens: 7, times: [0, 0, 1, 0, 0, 0] }),
            (proof(1), CallCounts { calls: 2, failures: 1, tokens: 100, times: [1, 0, 0, 0, 0, 0] }),
        ];
        assert_eq!(calls, counts.map(|(proof, counts)| KeyCalls { proof, hour, counts }));
    }

    #[tokio::test]
    async fn the_keys_that_wait_are_bounded_also_after_an_error() {
        let log = Arc::new(Recorded::default());
        *log.fails.lock() = true;
        let counters = CallCounters::new(Some(log.clone()), Arc::new(SystemClock));
        for number in 0..MAX_WAITING + 10 {
            counters.add(&proof(number), false, 1, 1);
        }
        counters.write().await;
        counters.add(&proof(0), false, 1, 1);
        assert_eq!(counters.waiting.lock().len(), MAX_WAITING);
        assert_eq!(
            counters.waiting.lock().values().map(|counts| counts.calls).sum::<u64>(),
            MAX_WAITING as u64 + 1
        );
    }
}
