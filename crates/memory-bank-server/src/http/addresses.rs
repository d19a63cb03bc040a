//! The addresses from which keys are used. A new pair of key and address is written to the audit log, in groups; the
//! log detects duplicates. Bounded, and one set look-up on the hot path.

use parking_lot::Mutex;
use std::collections::{HashMap, HashSet};
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use memory_bank_core::caller::KeyId;
use memory_bank_core::clock::Clock;
use memory_bank_core::identity::KeyHash;
use memory_bank_core::store::{AddressUse, AuditLog};

/// How many pairs of key and address this process caches; past this it clears the cache.
const CACHE_CAPACITY: usize = 20_000;
/// How many new pairs may wait to be written. Further pairs are seen again at their next request.
const MAX_QUEUED: usize = 1000;

type Pair = (KeyId, IpAddr);

pub(crate) struct Addresses {
    log: Option<Arc<dyn AuditLog>>,
    clock: Arc<dyn Clock>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    seen: HashSet<Pair>,
    waiting: HashMap<Pair, (KeyHash, Timestamp)>,
}

impl Addresses {
    pub(crate) fn new(log: Option<Arc<dyn AuditLog>>, clock: Arc<dyn Clock>) -> Self {
        Self { log, clock, state: Mutex::default() }
    }

    /// Records a use of a key.
    pub(crate) fn used(&self, key: Option<KeyId>, proof: &KeyHash, address: Option<IpAddr>) {
        let (Some(key), Some(address), true) = (key, address, self.log.is_some()) else { return };
        let pair = (key, network(address));
        let mut state = self.state.lock();
        if state.seen.contains(&pair) || state.waiting.len() >= MAX_QUEUED {
            return;
        }
        if state.seen.len() >= CACHE_CAPACITY {
            state.seen.clear();
        }
        state.seen.insert(pair);
        state.waiting.insert(pair, (*proof, self.clock.now()));
    }

    /// Writes new pairs to the log; called periodically. A pair stays queued until it is written, so that the next call
    /// repeats what an error or a cancelled call left.
    pub(crate) async fn write_to_audit(&self) {
        let Some(log) = &self.log else { return };
        let uses: Vec<AddressUse> = {
            let state = self.state.lock();
            let waiting = state.waiting.iter();
            waiting.map(|(&(key, address), &(proof, at))| AddressUse { key, proof, address, at }).collect()
        };
        if uses.is_empty() {
            return;
        }
        if let Err(error) = log.record_addresses(&uses).await {
            tracing::warn!(%error, "addresses of keys could not be written; retrying");
            return;
        }
        let mut state = self.state.lock();
        for used in &uses {
            state.waiting.remove(&(used.key, used.address));
        }
    }

    /// Deletes entries past the retention of the log, in small batches.
    pub(crate) async fn clean_up(&self, keep: Duration) {
        /// Rows per batch.
        const BATCH: usize = 500;
        /// Batches per round.
        const BATCHES: usize = 20;
        let (Some(log), Ok(keep)) = (&self.log, SignedDuration::try_from(keep)) else { return };
        let Ok(before) = self.clock.now().checked_sub(keep) else { return };
        for _ in 0..BATCHES {
            match log.forget_before(before, BATCH).await {
                Ok(gone) if gone >= BATCH => {}
                Ok(_) => return,
                Err(error) => {
                    tracing::warn!(%error, "old rows of the audit log could not be deleted");
                    return;
                }
            }
        }
    }
}

/// The address to count: of IPv6 the /64 network, since a host may change the rest at will.
pub(crate) fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
        v4 => v4,
    }
}

#[cfg(test)]
mod tests {
    use async_trait::async_trait;
    use futures::FutureExt;
    use memory_bank_core::clock::SystemClock;
    use memory_bank_core::error::StoreError;
    use uuid::Uuid;

    use super::*;

    #[derive(Default)]
    struct Recorded {
        uses: Mutex<Vec<AddressUse>>,
        answer: Mutex<Answer>,
    }

    #[derive(Default, Clone, Copy)]
    enum Answer {
        #[default]
        Done,
        Fails,
        Never,
    }

    #[async_trait]
    impl AuditLog for Recorded {
        async fn record_addresses(&self, uses: &[AddressUse]) -> Result<(), StoreError> {
            let answer = *self.answer.lock();
            match answer {
                Answer::Done => self.uses.lock().extend_from_slice(uses),
                Answer::Fails => return Err(StoreError::Busy),
                Answer::Never => std::future::pending().await,
            }
            Ok(())
        }

        async fn forget_before(&self, _before: Timestamp, _limit: usize) -> Result<usize, StoreError> {
            Ok(0)
        }
    }

    fn key(number: u128) -> Option<KeyId> {
        Some(KeyId(Uuid::from_u128(number)))
    }

    fn shown() -> KeyHash {
        KeyHash::of(b"a key")
    }

    fn address(text: &str) -> Option<IpAddr> {
        text.parse().ok()
    }

    #[tokio::test]
    async fn a_key_is_recorded_once_per_address_and_an_ipv6_network_counts_as_one() {
        let log = Arc::new(Recorded::default());
        let addresses = Addresses::new(Some(log.clone()), Arc::new(SystemClock));
        for text in ["192.0.2.1", "::ffff:192.0.2.1", "2001:db8::1", "2001:db8::2", "2001:db8:0:1::1"] {
            addresses.used(key(1), &shown(), address(text));
            addresses.write_to_audit().await;
        }
        addresses.used(key(2), &shown(), address("192.0.2.1"));
        addresses.write_to_audit().await;
        assert_eq!(log.uses.lock().len(), 4);
    }

    #[tokio::test]
    async fn an_address_stays_queued_when_its_write_fails_or_is_cancelled() {
        let log = Arc::new(Recorded::default());
        let addresses = Addresses::new(Some(log.clone()), Arc::new(SystemClock));
        addresses.used(key(1), &shown(), address("192.0.2.1"));
        *log.answer.lock() = Answer::Fails;
        addresses.write_to_audit().await;
        *log.answer.lock() = Answer::Never;
        assert!(addresses.write_to_audit().now_or_never().is_none());
        *log.answer.lock() = Answer::Done;
        addresses.write_to_audit().await;
        addresses.write_to_audit().await;
        assert_eq!(log.uses.lock().len(), 1);
    }

    #[tokio::test]
    async fn the_number_of_waiting_records_is_bounded() {
        let log = Arc::new(Recorded::default());
        let addresses = Addresses::new(Some(log.clone()), Arc::new(SystemClock));
        for number in 0..2 * MAX_QUEUED as u128 {
            addresses.used(key(number), &shown(), address("192.0.2.1"));
        }
        addresses.write_to_audit().await;
        assert_eq!(log.uses.lock().len(), MAX_QUEUED);
    }
}
