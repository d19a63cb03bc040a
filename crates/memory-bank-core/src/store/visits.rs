//! The times at which a caller last read the digest of a bank, so that the next session sees the changes since then.

use std::collections::BTreeMap;

use jiff::{Span, Timestamp, ToSpan};
use serde::{Deserialize, Serialize};

/// The most banks whose visits are kept per caller.
const MAX_BANKS: usize = 50;

/// The visits of one caller, by bank.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct DigestVisits(BTreeMap<String, Visit>);

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Visit {
    /// The last read, accurate to a few minutes.
    seen: Timestamp,
    /// The last read of the previous session.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    before: Option<Timestamp>,
}

/// Reads with a longer pause in between belong to two sessions.
fn session_gap() -> Span {
    30.minutes()
}

/// A read is recorded if the last recorded one is at least this old.
fn record_interval() -> Span {
    5.minutes()
}

impl DigestVisits {
    /// Whether there are no visits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The last read in the session before that of a read at `now`.
    #[must_use]
    pub fn last_session(&self, bank: &str, now: Timestamp) -> Option<Timestamp> {
        let visit = self.0.get(bank)?;
        if is_past(visit.seen, session_gap(), now) { Some(visit.seen) } else { visit.before }
    }

    /// The last read that is recorded.
    #[must_use]
    pub fn last_read(&self, bank: &str) -> Option<Timestamp> {
        self.0.get(bank).map(|visit| visit.seen)
    }

    /// Whether a read at `now` must be recorded. Most need not, so that repeated reads write nothing.
    #[must_use]
    pub fn needs_recording(&self, bank: &str, now: Timestamp) -> bool {
        self.0.get(bank).is_none_or(|visit| is_past(visit.seen, record_interval(), now) || visit.seen > now)
    }

    /// Records a read. Beyond the bound, the least recently read bank is removed.
    pub fn note(&mut self, bank: &str, now: Timestamp) {
        let before = self.last_session(bank, now);
        self.0.insert(bank.to_owned(), Visit { seen: now, before });
        while self.0.len() > MAX_BANKS {
            let oldest = self.0.iter().min_by_key(|(_, visit)| visit.seen).map(|(bank, _)| bank.clone());
            let Some(oldest) = oldest else { return };
            self.0.remove(&oldest);
        }
    }
}

fn is_past(seen: Timestamp, span: Span, now: Timestamp) -> bool {
    seen.checked_add(span).is_ok_and(|end| end <= now)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(minute: i64) -> Timestamp {
        Timestamp::UNIX_EPOCH + minute.minutes()
    }

    #[test]
    fn a_session_is_shown_the_changes_since_the_previous_one() {
        let mut visits = DigestVisits::default();
        assert_eq!(visits.last_session("a", at(0)), None);
        visits.note("a", at(0));
        assert!(!visits.needs_recording("a", at(4)) && visits.needs_recording("b", at(4)));
        visits.note("a", at(10));
        assert_eq!(visits.last_session("a", at(20)), None);
        // The next session, and another read in it.
        assert_eq!(visits.last_session("a", at(500)), Some(at(10)));
        visits.note("a", at(500));
        visits.note("a", at(506));
        assert_eq!(visits.last_session("a", at(510)), Some(at(10)));
        assert_eq!(visits.last_session("a", at(900)), Some(at(506)));
    }

    #[test]
    fn visits_have_a_bound() {
        let mut visits = DigestVisits::default();
        for number in 0..200 {
            visits.note(&number.to_string(), at(number));
        }
        assert_eq!(visits.0.len(), MAX_BANKS);
        assert!(visits.0.contains_key("199"));
    }
}
