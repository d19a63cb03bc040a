//! What a run has done and checked.

use std::collections::BTreeMap;
use std::fmt;

use super::checker::Operation;

/// The end of the name of a fault that is a kill.
const KILLED: &str = " is killed";

/// Calls and faults.
#[derive(Debug, Default, Clone)]
pub(crate) struct Counts {
    by_call: BTreeMap<&'static str, usize>,
    unanswered: usize,
    by_fault: BTreeMap<&'static str, usize>,
    /// How often something happened beside the faults.
    noted: BTreeMap<&'static str, usize>,
}

impl Counts {
    /// A run in which a kind of call was never answered proves nothing about it.
    pub(crate) fn assert_enough(&self) {
        for call in [
            "read",
            "write",
            "replace",
            "refused",
            "delete",
            "append",
            "read a log",
            "add a fact",
            "read facts",
        ] {
            assert!(self.by_call.contains_key(call), "no reply to `{call}`: {self}");
        }
    }

    /// Adds a round.
    pub(crate) fn add(&mut self, other: Self) {
        for (call, count) in other.by_call {
            *self.by_call.entry(call).or_default() += count;
        }
        self.unanswered += other.unanswered;
    }

    /// Counts the operations on one object.
    pub(crate) fn add_calls<C>(&mut self, operations: &[Operation<C>], name: impl Fn(&C) -> &'static str) {
        for operation in operations {
            match operation.returned {
                Some(_) => *self.by_call.entry(name(&operation.call)).or_default() += 1,
                None => self.unanswered += 1,
            }
        }
    }

    /// Counts a fault.
    pub(crate) fn add_fault(&mut self, kind: &'static str) {
        *self.by_fault.entry(kind).or_default() += 1;
    }

    /// Counts something else.
    pub(crate) fn note(&mut self, what: &'static str) {
        *self.noted.entry(what).or_default() += 1;
    }

    /// How often it happened.
    pub(crate) fn noted(&self, what: &str) -> usize {
        self.noted.get(what).copied().unwrap_or_default()
    }

    /// The number of kills.
    pub(crate) fn kills(&self) -> usize {
        self.by_fault.iter().filter(|(kind, _)| kind.ends_with(KILLED)).map(|(_, count)| count).sum()
    }

    /// The number of faults, kills among them.
    pub(crate) fn faults(&self) -> usize {
        self.by_fault.values().sum()
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = |all: &BTreeMap<&'static str, usize>, is_listed: &dyn Fn(&str) -> bool| {
            let listed = all.iter().filter(|(name, _)| is_listed(name));
            listed.map(|(name, count)| format!("{name}: {count}")).collect::<Vec<_>>().join("; ")
        };
        let (kills, answered) = (self.kills(), self.by_call.values().sum::<usize>());
        let is_kill = |name: &str| name.ends_with(KILLED);
        writeln!(to, "  {kills} kills: {}", list(&self.by_fault, &is_kill))?;
        let others = self.faults() - kills;
        writeln!(to, "  {others} other faults: {}", list(&self.by_fault, &|name| !is_kill(name)))?;
        if !self.noted.is_empty() {
            writeln!(to, "  among them {}", list(&self.noted, &|_| true))?;
        }
        writeln!(to, "  {answered} calls answered: {}", list(&self.by_call, &|_| true))?;
        write!(to, "  {} calls not answered; all in one order", self.unanswered)
    }
}
