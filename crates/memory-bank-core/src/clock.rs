//! Time and randomness as parameters, so that tests can fix both.

use parking_lot::Mutex;

use jiff::Timestamp;
use serde::de::Error;
use serde::{Deserialize, Deserializer};
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

/// A time, if it is in the years 1 to 9999: a database stores no others, and nobody means them.
#[must_use]
pub fn within_years(at: Timestamp) -> Option<Timestamp> {
    /// The beginning of the year 1.
    const FIRST: i64 = -62_135_596_800;
    (at.as_second() >= FIRST).then_some(at)
}

/// Deserialises a time that a client sends, within the years that a database stores.
///
/// # Errors
/// It is not a valid time, or its year is out of range.
pub fn in_years<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Timestamp, D::Error> {
    let at = Timestamp::deserialize(deserializer)?;
    within_years(at).ok_or_else(|| D::Error::custom("a time is in the years 1 to 9999"))
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
    use serde_json::Value;

    use super::*;

    #[test]
    fn timestamps_have_three_decimals_and_a_z() {
        let at: Timestamp = "2026-11-22T09:30:07.062999Z".parse().unwrap();
        assert_eq!(iso_millis(at), "2026-11-22T09:30:07.062Z");
        assert_eq!(iso_millis("2026-11-22T09:30:07Z".parse().unwrap()), "2026-11-22T09:30:07.000Z");
        assert_eq!(date_time(at), "2026-11-22 09:30:07 UTC");
    }

    #[test]
    fn times_are_in_the_years_that_a_database_stores() {
        let read = |text: &str| serde_json::from_str::<Value>(text).ok().and_then(|at| in_years(at).ok());
        for good in ["0001-01-01T00:00:00Z", "2026-11-22T09:30:07Z", "9999-12-30T00:00:00Z"] {
            assert_eq!(read(&format!("\"{good}\"")), good.parse().ok());
        }
        for bad in ["0000-12-31T23:59:59Z", "-009000-01-01T00:00:00Z"] {
            assert!(bad.parse::<Timestamp>().is_ok() && read(&format!("\"{bad}\"")).is_none(), "{bad}");
        }
    }
}
