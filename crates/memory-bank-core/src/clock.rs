//! Time and randomness as parameters, so that tests can fix both.

use parking_lot::Mutex;

use jiff::Timestamp;
use uuid::Uuid;

/// The source of the current time, in UTC.
pub trait Clock: Send + Sync {
    /// The current time.
    fn now(&self) -> Timestamp;
}

/// A source of ids and secrets.
pub trait Entropy: Send + Sync {
    /// A fresh random id (UUID version 4).
    fn id(&self) -> Uuid;
}

/// The clock of the operating system.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "this is the one place that asks the operating system")]
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }
}

/// The random source of the operating system.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemEntropy;

impl Entropy for SystemEntropy {
    #[expect(clippy::disallowed_methods, reason = "this is the one place that asks the operating system")]
    fn id(&self) -> Uuid {
        Uuid::new_v4()
    }
}

/// A clock that changes only when it is set; for tests.
#[derive(Debug)]
pub struct FixedClock(Mutex<Timestamp>);

impl FixedClock {
    /// A clock that is set to `at`.
    #[must_use]
    pub fn new(at: Timestamp) -> Self {
        Self(Mutex::new(at))
    }

    /// Sets the clock.
    pub fn set(&self, at: Timestamp) {
        *self.0.lock() = at;
    }
}

impl Clock for FixedClock {
    fn now(&self) -> Timestamp {
        *self.0.lock()
    }
}

/// `2026-11-22T09:30:07.062Z`: UTC ISO 8601 with exactly three decimals, as every reply and stored event has it.
#[must_use]
pub fn iso_millis(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%S%.3fZ").to_string()
}

/// `2026-11-22 09:30:07 UTC`, as entries and decisions have it.
#[must_use]
pub fn date_time(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d %H:%M:%S UTC").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timestamps_have_three_decimals_and_a_z() {
        let at: Timestamp = "2026-11-22T09:30:07.062999Z".parse().unwrap();
        assert_eq!(iso_millis(at), "2026-11-22T09:30:07.062Z");
        assert_eq!(iso_millis("2026-11-22T09:30:07Z".parse().unwrap()), "2026-11-22T09:30:07.000Z");
        assert_eq!(date_time(at), "2026-11-22 09:30:07 UTC");
    }
}
