//! Calls of tools, counted by the hour for the charts of a project's owners. They are numbers only: no names, no contents.

use async_trait::async_trait;
use jiff::Timestamp;

use crate::error::StoreError;
use crate::identity::KeyHash;

/// The bounds of the times that are counted, in milliseconds: calls that took at most so long.
pub const CALL_TIMES_MS: [u64; 6] = [10, 30, 100, 300, 1000, 3000];

/// Counted calls.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct CallCounts {
    /// All calls.
    pub calls: u64,
    /// The calls that ended with an error.
    pub failures: u64,
    /// The estimated tokens of the replies.
    pub tokens: u64,
    /// For each of [`CALL_TIMES_MS`], the calls that took at most so long and longer than the bound before.
    pub times: [u64; CALL_TIMES_MS.len()],
}

impl CallCounts {
    /// Adds a call.
    pub fn add(&mut self, has_failed: bool, took_ms: u64, tokens: u64) {
        self.calls += 1;
        self.failures += u64::from(has_failed);
        self.tokens = self.tokens.saturating_add(tokens);
        let place = CALL_TIMES_MS.iter().position(|bound| took_ms <= *bound);
        if let Some(count) = place.and_then(|place| self.times.get_mut(place)) {
            *count += 1;
        }
    }

    /// Adds counted calls.
    pub fn merge(&mut self, others: &Self) {
        self.calls += others.calls;
        self.failures += others.failures;
        self.tokens = self.tokens.saturating_add(others.tokens);
        for (count, other) in self.times.iter_mut().zip(others.times) {
            *count += other;
        }
    }
}

/// The calls by a key in an hour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyCalls {
    /// The hash of the presented key, which names the project.
    pub proof: KeyHash,
    /// A time in the hour.
    pub hour: Timestamp,
    /// The calls.
    pub counts: CallCounts,
}

/// The calls in a project in a step of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CallStep {
    /// When the step begins.
    pub at: Timestamp,
    /// The calls.
    pub counts: CallCounts,
}

/// How long the steps of a chart are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StepLength {
    /// An hour.
    Hour,
    /// A day (UTC).
    Day,
}

/// Keeps counted calls.
#[async_trait]
pub trait CallLog: Send + Sync {
    /// Adds calls to the hours of the projects of their keys. Those of unknown keys are dropped.
    ///
    /// # Errors
    /// The log cannot be written; nothing was added.
    async fn add_calls(&self, calls: &[KeyCalls]) -> Result<(), StoreError>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_is_counted_by_its_time_and_outcome() {
        let mut counts = CallCounts::default();
        for (has_failed, took, tokens) in
            [(false, 0, 5), (false, 10, 0), (true, 11, 1), (false, 3000, 0), (true, 3001, 4)]
        {
            counts.add(has_failed, took, tokens);
        }
        assert_eq!(counts, CallCounts { calls: 5, failures: 2, tokens: 10, times: [2, 1, 0, 0, 0, 1] });
    }
}
