//! Counts the outcomes of calls: a campaign in which nothing succeeds finds nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use crate::harness::wire::Answer;

/// The outcomes of one kind of call.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Counts {
    pub(crate) succeeded: usize,
    pub(crate) refused: usize,
    pub(crate) failed: usize,
    pub(crate) broken: usize,
}

/// The outcomes of all calls.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    pub(crate) calls: BTreeMap<String, Counts>,
    pub(crate) faults: BTreeMap<&'static str, usize>,
    /// The places whose canaries a member of the same project has seen.
    pub(crate) seen: BTreeSet<(usize, char)>,
    pub(crate) bytes: usize,
    /// The last refusal of each kind of call, to explain why none succeeds.
    pub(crate) refusals: BTreeMap<String, String>,
}

impl Tally {
    pub(crate) fn count(&mut self, what: &str, answer: &Answer) {
        self.bytes += answer.head.len() + answer.body.len();
        let counts = self.calls.entry(what.to_owned()).or_default();
        if answer.status == 0 {
            counts.broken += 1;
        } else if answer.status >= 500 {
            counts.failed += 1;
        } else if has_succeeded(answer) {
            counts.succeeded += 1;
        } else {
            counts.refused += 1;
            let text = answer.text().chars().take(400).collect();
            self.refusals.insert(what.to_owned(), text);
        }
    }

    pub(crate) fn total(&self) -> Counts {
        self.calls.values().fold(Counts::default(), |sum, one| Counts {
            succeeded: sum.succeeded + one.succeeded,
            refused: sum.refused + one.refused,
            failed: sum.failed + one.failed,
            broken: sum.broken + one.broken,
        })
    }
}

/// Whether a call succeeded.
pub(crate) fn has_succeeded(answer: &Answer) -> bool {
    if !(200..300).contains(&answer.status) {
        return false;
    }
    answer
        .message()
        .is_none_or(|message| message.get("error").is_none() && message["result"]["isError"] != true)
}

impl fmt::Display for Tally {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        let line = |to: &mut fmt::Formatter<'_>, what: &str, counts: Counts| {
            let Counts { succeeded, refused, failed, broken } = counts;
            writeln!(to, "{what:<32} {succeeded:>7} {refused:>7} {failed:>7} {broken:>7}")
        };
        writeln!(to, "{:<32} {:>7} {:>7} {:>7} {:>7}", "", "done", "refused", "failed", "broken")?;
        for (what, counts) in &self.calls {
            line(to, what, *counts)?;
        }
        line(to, "all", self.total())?;
        writeln!(to, "faults: {:?}", self.faults)?;
        write!(to, "{} MiB searched", self.bytes / 1024 / 1024)
    }
}
