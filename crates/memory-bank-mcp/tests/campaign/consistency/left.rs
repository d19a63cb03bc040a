//! What a round has left behind: the state in which each of its documents and entities was read last. No fault of a later round may
//! change it, apart from calls of the round that were never answered and may take effect later.

use std::collections::{BTreeMap, HashSet};

use serde::Serialize;
use serde_json::{Value, json};

use super::checker::{AppendLog, Facts, LogCall, Object, Operation, Register, RegisterCall, check};
use super::recorder::Recorder;
use crate::harness::tool_call::Outcome;

/// The last known states of a round, one or two kilobytes.
pub(crate) struct Left {
    round: String,
    registers: Vec<Last<RegisterCall>>,
    logs: Vec<Last<LogCall>>,
    facts: Vec<Last<LogCall>>,
}

/// The last known state of one document or entity.
#[derive(Serialize)]
struct Last<C> {
    name: String,
    /// The calls that make this state of nothing.
    made: Vec<C>,
    /// Calls without a reply whose effect nobody has seen.
    open: Vec<C>,
}

impl Left {
    /// Of a round whose last calls have read everything.
    pub(crate) fn of(recorder: &Recorder) -> Self {
        let logs = |all: &BTreeMap<String, Vec<Operation<LogCall>>>| {
            all.iter().map(|(name, operations)| last_of_log(name, operations)).collect()
        };
        let registers = recorder.registers.lock();
        Self {
            round: recorder.round.clone(),
            registers: registers
                .iter()
                .map(|(name, operations)| last_of_register(name, operations))
                .collect(),
            logs: logs(&recorder.logs.lock()),
            facts: logs(&recorder.facts.lock()),
        }
    }

    /// The name of the round.
    pub(crate) fn round(&self) -> &str {
        &self.round
    }

    /// Reads all of it again and compares.
    ///
    /// # Errors
    /// What cannot be read any more, or is not what it was.
    pub(crate) fn compare(&self, server: &mut dyn FnMut(&str, Value) -> Outcome) -> Result<(), String> {
        let again = Recorder::new(&self.round);
        let compared = again.read_all(0, server).and_then(|()| {
            compare::<Register>(&self.registers, &again.registers.lock())?;
            compare::<AppendLog>(&self.logs, &again.logs.lock())?;
            compare::<Facts>(&self.facts, &again.facts.lock())
        });
        compared
            .map_err(|wrong| format!("what round {} left behind was changed after it: {wrong}", self.round))
    }

    /// One line for each document and entity, for the history of a failure.
    pub(crate) fn lines(&self) -> Vec<Value> {
        let registers = self.registers.iter().map(|last| json!({"left": last}));
        let logs = self.logs.iter().chain(&self.facts).map(|last| json!({"left": last}));
        registers.chain(logs).collect()
    }
}

fn last_of_register(name: &str, operations: &[Operation<RegisterCall>]) -> Last<RegisterCall> {
    let reads = operations.iter().filter(|operation| matches!(operation.call, RegisterCall::Read(_)));
    let last = reads.max_by_key(|operation| operation.invoked);
    let made = match last.map(|operation| &operation.call) {
        Some(RegisterCall::Read(Some(text))) => vec![RegisterCall::Write(text.clone())],
        _ => Vec::new(),
    };
    let answered = operations.iter().filter(|operation| operation.returned.is_some());
    // Texts are written once, so that a call whose text was seen has taken effect.
    let seen: HashSet<&String> = answered
        .filter_map(|operation| match &operation.call {
            RegisterCall::Read(seen) => seen.as_ref(),
            RegisterCall::Replace { former, .. } => Some(former),
            _ => None,
        })
        .collect();
    let open = operations.iter().filter(|operation| operation.returned.is_none());
    let is_unseen = |call: &&RegisterCall| match call {
        RegisterCall::Write(new) | RegisterCall::Replace { new, .. } => !seen.contains(new),
        _ => true,
    };
    let open = open.map(|operation| &operation.call).filter(is_unseen).cloned().collect();
    Last { name: name.to_owned(), made, open }
}

fn last_of_log(name: &str, operations: &[Operation<LogCall>]) -> Last<LogCall> {
    let reads = operations.iter().filter_map(|operation| match &operation.call {
        LogCall::Read(lines) => Some((operation.invoked, lines)),
        LogCall::Append(_) => None,
    });
    let lines = reads.max_by_key(|(invoked, _)| *invoked).map(|(_, lines)| lines.clone()).unwrap_or_default();
    let open = operations.iter().filter(|operation| operation.returned.is_none());
    let is_unseen = |call: &&LogCall| matches!(call, LogCall::Append(line) if !lines.contains(line));
    let open = open.map(|operation| &operation.call).filter(is_unseen).cloned().collect();
    Last { name: name.to_owned(), made: lines.into_iter().map(LogCall::Append).collect(), open }
}

/// Whether the states that were read now can have come of the last known ones.
fn compare<O: Object>(
    left: &[Last<O::Call>],
    read: &BTreeMap<String, Vec<Operation<O::Call>>>,
) -> Result<(), String> {
    for last in left {
        let made = last.made.iter().map(|call| (call, true));
        let open = last.open.iter().map(|call| (call, false));
        let reads = read.get(&last.name).into_iter().flatten().map(|read| (&read.call, true));
        let operations: Vec<Operation<O::Call>> = (1..)
            .zip(made.chain(open).chain(reads))
            .map(|(number, (call, is_answered)): (u64, _)| Operation {
                client: 0,
                call: call.clone(),
                invoked: number * 2,
                returned: is_answered.then_some(number * 2 + 1),
            })
            .collect();
        check::<O>(&operations).map_err(|wrong| format!("{}: {wrong}", last.name))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn operation<C>(call: C, invoked: u64, is_answered: bool) -> Operation<C> {
        Operation { client: 0, call, invoked, returned: is_answered.then_some(invoked + 1) }
    }

    fn lines(all: &str) -> LogCall {
        LogCall::Read(all.split_whitespace().map(str::to_owned).collect())
    }

    #[test]
    fn a_text_that_is_older_or_gone_is_not_what_was_left_and_an_unanswered_write_may_come_later() {
        let write = |text: &str| RegisterCall::Write(text.to_owned());
        let read = |text: Option<&str>| RegisterCall::Read(text.map(str::to_owned));
        let history = [
            operation(write("old"), 1, true),
            operation(write("late"), 3, false),
            operation(write("seen"), 5, false),
            operation(read(Some("seen")), 7, true),
            operation(write("new"), 9, true),
            operation(read(Some("new")), 11, true),
        ];
        let left = [last_of_register("a", &history)];
        let compared = |text| {
            compare::<Register>(
                &left,
                &BTreeMap::from([("a".to_owned(), vec![operation(read(text), 1, true)])]),
            )
        };
        compared(Some("new")).unwrap();
        compared(Some("late")).unwrap();
        for wrong in [Some("old"), Some("seen"), None] {
            compared(wrong).unwrap_err();
        }
    }

    #[test]
    fn a_line_that_is_lost_doubled_or_moved_is_not_what_was_left() {
        let append = |line: &str| LogCall::Append(line.to_owned());
        let history = [
            operation(append("a"), 1, true),
            operation(append("b"), 3, false),
            operation(append("late"), 5, false),
            operation(lines("a b"), 7, true),
        ];
        let left = [last_of_log("a", &history)];
        let read = |seen| BTreeMap::from([("a".to_owned(), vec![operation(lines(seen), 1, true)])]);
        for right in ["a b", "a b late"] {
            compare::<AppendLog>(&left, &read(right)).unwrap();
            compare::<Facts>(&left, &read(right)).unwrap();
        }
        for wrong in ["a", "a b b", "b a", "a b late late", ""] {
            compare::<AppendLog>(&left, &read(wrong)).unwrap_err();
        }
        for wrong in ["a", "a b b", "a b late late", ""] {
            compare::<Facts>(&left, &read(wrong)).unwrap_err();
        }
    }
}
