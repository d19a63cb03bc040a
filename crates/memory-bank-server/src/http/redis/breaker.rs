//! Circuit breakers: after repeated failures nobody waits for a Redis that does not answer. This module must not know commands.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crc16::{State, XMODEM};

/// Failures in a row after which a breaker opens.
const FAILURES_TO_OPEN: u32 = 3;
/// For how long it stays open; then one command decides.
const OPEN_FOR: Duration = Duration::from_secs(1);
/// The slots of a cluster.
const SLOTS: u16 = 16_384;
/// The slots that share a breaker. A node has few ranges of slots, so nearly all that share one are of one node.
const SLOTS_PER_BREAKER: u16 = 256;

/// The use of a connection, which decides about its breaker.
#[derive(Debug, Clone, Copy)]
pub(super) enum Use<'k> {
    /// Of one key.
    Key(&'k str),
    /// Publish a message, at any server.
    Publish,
    /// Ask any server whether it is there.
    Ask,
}

/// The breakers of a place: one for a single server. In a cluster one for each part of the slots, so that a silent node keeps nobody
/// from the others, and one each for messages and questions.
pub(super) struct Breakers {
    publish: Breaker,
    ask: Breaker,
    of_slots: Vec<Breaker>,
    is_cluster: bool,
}

impl Breakers {
    pub(super) fn new(is_cluster: bool) -> Self {
        let parts = if is_cluster { SLOTS / SLOTS_PER_BREAKER } else { 1 };
        Self {
            publish: Breaker::default(),
            ask: Breaker::default(),
            of_slots: (0..parts).map(|_| Breaker::default()).collect(),
            is_cluster,
        }
    }

    /// The breaker of a use.
    pub(super) fn of(&self, purpose: Use<'_>) -> &Breaker {
        let part = match purpose {
            Use::Key(key) if self.is_cluster => usize::from(slot(key.as_bytes()) / SLOTS_PER_BREAKER),
            Use::Publish if self.is_cluster => return &self.publish,
            Use::Ask if self.is_cluster => return &self.ask,
            _ => 0,
        };
        self.of_slots.get(part).unwrap_or(&self.ask)
    }

    /// How many are open.
    pub(super) fn open(&self) -> usize {
        self.all().filter(|breaker| breaker.is_open()).count()
    }

    /// Closes all: there is another server.
    pub(super) fn close(&self) {
        self.all().for_each(Breaker::close);
    }

    fn all(&self) -> impl Iterator<Item = &Breaker> {
        [&self.publish, &self.ask].into_iter().chain(&self.of_slots)
    }
}

/// The slot of a key in a cluster: of the part in braces, if there is one.
fn slot(key: &[u8]) -> u16 {
    let braced = key.iter().position(|byte| *byte == b'{').and_then(|open| {
        let rest = key.get(open + 1..)?;
        let close = rest.iter().position(|byte| *byte == b'}')?;
        rest.get(..close).filter(|tag| !tag.is_empty())
    });
    State::<XMODEM>::calculate(braced.unwrap_or(key)) % SLOTS
}

/// What a failure did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Failed {
    /// It was counted.
    Counted,
    /// The breaker has opened.
    Opened,
    /// The breaker stays open.
    StaysOpen,
}

pub(super) struct Breaker {
    began: Instant,
    failures: AtomicU32,
    /// Milliseconds after `began` until which it is open; 0 = closed.
    open_until: AtomicU64,
}

impl Default for Breaker {
    fn default() -> Self {
        Self { began: Instant::now(), failures: AtomicU32::new(0), open_until: AtomicU64::new(0) }
    }
}

impl Breaker {
    /// Whether a command may be sent. When the time of an open breaker is over, one command tries, and the others are spared.
    pub(super) fn admits(&self) -> bool {
        let (now, until) = (self.millis_after(Duration::ZERO), self.open_until.load(Ordering::Relaxed));
        if until == 0 {
            return true;
        }
        let next = self.millis_after(OPEN_FOR);
        now >= until
            && self.open_until.compare_exchange(until, next, Ordering::Relaxed, Ordering::Relaxed).is_ok()
    }

    /// Whether it has opened, and no answer came since.
    pub(super) fn is_open(&self) -> bool {
        self.failures.load(Ordering::Relaxed) >= FAILURES_TO_OPEN
    }

    /// Records an answer. Whether it was open.
    pub(super) fn record_answer(&self) -> bool {
        let was_open = self.is_open();
        self.close();
        was_open
    }

    /// Records a failure.
    pub(super) fn record_failure(&self) -> Failed {
        let failures = self.failures.fetch_add(1, Ordering::Relaxed).saturating_add(1);
        if failures < FAILURES_TO_OPEN {
            return Failed::Counted;
        }
        self.open_until.store(self.millis_after(OPEN_FOR), Ordering::Relaxed);
        if failures == FAILURES_TO_OPEN { Failed::Opened } else { Failed::StaysOpen }
    }

    fn close(&self) {
        self.failures.store(0, Ordering::Relaxed);
        self.open_until.store(0, Ordering::Relaxed);
    }

    fn millis_after(&self, time: Duration) -> u64 {
        u64::try_from((self.began.elapsed() + time).as_millis()).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_are_those_of_the_specification() {
        // From the specification of Redis Cluster, and `CLUSTER KEYSLOT`.
        for (key, expected) in [("123456789", 12_739), ("foo", 12_182), ("", 0)] {
            assert_eq!(slot(key.as_bytes()), expected, "{key}");
        }
        assert_eq!(slot(b"{user1000}.following"), slot(b"user1000"));
        assert_eq!(slot(b"foo{}{bar}"), State::<XMODEM>::calculate(b"foo{}{bar}") % SLOTS);
        assert_eq!(slot(b"foo{{bar}}zap"), slot(b"{bar"));
        assert_eq!(slot(b"foo{bar}{zap}"), slot(b"bar"));
    }

    #[test]
    fn a_silent_part_of_a_cluster_opens_its_own_breaker_only() {
        let breakers = Breakers::new(true);
        let (silent, well) = (breakers.of(Use::Key("foo")), breakers.of(Use::Key("123")));
        assert!(!std::ptr::eq(silent, well));
        let failures: Vec<_> = (0..4).map(|_| silent.record_failure()).collect();
        assert_eq!(failures, [Failed::Counted, Failed::Counted, Failed::Opened, Failed::StaysOpen]);
        assert!(!silent.admits() && well.admits());
        assert!(breakers.of(Use::Publish).admits() && breakers.of(Use::Ask).admits());
        assert_eq!(breakers.open(), 1);
        assert!(silent.record_answer() && silent.admits() && breakers.open() == 0);
    }

    #[test]
    fn a_single_server_has_one_breaker_for_all_keys() {
        let breakers = Breakers::new(false);
        let failures: Vec<_> = (0..3).map(|_| breakers.of(Use::Key("foo")).record_failure()).collect();
        assert_eq!(failures.last(), Some(&Failed::Opened));
        assert!(
            [Use::Key("123"), Use::Publish, Use::Ask].iter().all(|purpose| !breakers.of(*purpose).admits())
        );
        breakers.close();
        assert!(breakers.of(Use::Publish).admits());
    }
}
