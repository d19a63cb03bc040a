//! A linearizability checker: whether recorded operations of concurrent clients can be put into one order that keeps real time
//! and that a sequential object would have answered in the same way.
//!
//! It is the search of Wing and Gong with the memory of Lowe ("Testing for linearizability", 2017): each state of the search is
//! a set of operations that have taken effect and the value after them, and is visited once. An operation without a reply may
//! take effect at any time, so that some of them would be tried in every combination: a value that a later reply contradicts
//! is left at once, and an operation without a reply is not tried where the next one overwrites what it wrote.

use std::collections::HashSet;
use std::fmt::Debug;
use std::hash::Hash;

use serde::Serialize;

/// One operation of a client.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Operation<C> {
    pub(crate) client: usize,
    /// The call with its reply.
    pub(crate) call: C,
    /// When the call was sent, by a clock that all clients share.
    pub(crate) invoked: u64,
    /// When its reply came. `None` = no reply, so that it may take effect at any later time, or never.
    pub(crate) returned: Option<u64>,
}

/// A sequential object.
pub(crate) trait Object {
    type Call: Debug + Clone;
    type Value: Debug + Clone + Eq + Hash + Default;

    /// The value after a call; `None` if the object would have answered in another way.
    fn after(value: &Self::Value, call: &Self::Call) -> Option<Self::Value>;

    /// Whether the object can answer the call in this way at some time after it had this value.
    fn may_precede(_value: &Self::Value, _call: &Self::Call) -> bool {
        true
    }

    /// Whether the call fits every value, and the value after it depends on the call alone.
    fn overwrites(_call: &Self::Call) -> bool {
        false
    }
}

/// The most states of a search. A history beyond it is too long to be checked.
const MAX_STATES: usize = 500_000;

/// Checks the operations on one object that begins with the default value.
///
/// # Errors
/// A description of the longest order that was found and of the operations that do not fit behind it, or that the history is
/// too long.
pub(crate) fn check<O: Object>(operations: &[Operation<O::Call>]) -> Result<(), String> {
    let mut search =
        Search::<O> { operations, visited: HashSet::new(), longest: Vec::new(), value: O::Value::default() };
    match search.extend(&mut Vec::new(), &mut Set::of(operations.len()), &O::Value::default()) {
        Found::Order => Ok(()),
        Found::TooLong => Err(format!("no order was found among {MAX_STATES}. {}", search.longest_order())),
        Found::Nothing => Err(format!("no order explains these operations. {}", search.longest_order())),
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Found {
    Order,
    Nothing,
    TooLong,
}

/// A set of operations, by their indices.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Set(Box<[u64]>);

impl Set {
    fn of(operations: usize) -> Self {
        Self(vec![0; operations.div_ceil(64)].into())
    }

    fn has(&self, index: usize) -> bool {
        self.0[index / 64] >> (index % 64) & 1 == 1
    }

    fn flip(&mut self, index: usize) {
        self.0[index / 64] ^= 1 << (index % 64);
    }
}

struct Search<'a, O: Object> {
    operations: &'a [Operation<O::Call>],
    /// The operations that have taken effect, the value after them, and whether the last one has no reply.
    visited: HashSet<(Set, O::Value, bool)>,
    /// The longest order, and the value after it.
    longest: Vec<usize>,
    value: O::Value,
}

impl<O: Object> Search<'_, O> {
    fn extend(&mut self, order: &mut Vec<usize>, done: &mut Set, value: &O::Value) -> Found {
        if order.len() > self.longest.len() || self.visited.is_empty() {
            (self.longest, self.value) = (order.clone(), value.clone());
        }
        let open = || self.operations.iter().enumerate().filter(|(index, _)| !done.has(*index));
        // An operation without a reply may never have taken effect.
        let Some(deadline) = open().filter_map(|(_, operation)| operation.returned).min() else {
            return Found::Order;
        };
        if self.visited.len() >= MAX_STATES {
            return Found::TooLong;
        }
        let is_possible = |operation: &Operation<O::Call>| {
            operation.returned.is_none() || O::may_precede(value, &operation.call)
        };
        if !open().all(|(_, operation)| is_possible(operation)) {
            return Found::Nothing;
        }
        let has_no_reply = order.last().is_some_and(|last| self.operations[*last].returned.is_none());
        if !self.visited.insert((done.clone(), value.clone(), has_no_reply)) {
            return Found::Nothing;
        }
        let mut candidates: Vec<usize> =
            open().filter(|(_, operation)| operation.invoked < deadline).map(|(index, _)| index).collect();
        // What was answered first has probably taken effect first.
        candidates.sort_by_key(|index| self.operations[*index].returned.unwrap_or(u64::MAX));
        for index in candidates {
            let call = &self.operations[index].call;
            if has_no_reply && O::overwrites(call) {
                continue;
            }
            let Some(next) = O::after(value, call) else { continue };
            order.push(index);
            done.flip(index);
            let found = self.extend(order, done, &next);
            if found != Found::Nothing {
                return found;
            }
            done.flip(index);
            order.pop();
        }
        Found::Nothing
    }

    fn longest_order(&self) -> String {
        let describe = |index: &usize| {
            let Operation { client, call, invoked, returned } = &self.operations[*index];
            let until = returned.map_or("…".to_owned(), |at| at.to_string());
            format!("  client {client}, {invoked} to {until}: {call:?}")
        };
        let lines = |indices: &[usize]| indices.iter().map(describe).collect::<Vec<_>>().join("\n");
        let mut rest: Vec<usize> =
            (0..self.operations.len()).filter(|index| !self.longest.contains(index)).collect();
        rest.sort_by_key(|index| self.operations[*index].invoked);
        let mut contradicted = rest.clone();
        contradicted.retain(|index| {
            let Operation { call, returned, .. } = &self.operations[*index];
            returned.is_some() && !O::may_precede(&self.value, call)
        });
        contradicted.truncate(12);
        rest.truncate(12);
        let last = self.longest.len().saturating_sub(12);
        format!(
            "The longest one of {} ends with\n{}\nand with the value {:?}, behind which none of these fits first:\n{}\nThese contradict the value:\n{}",
            self.operations.len(),
            lines(&self.longest[last..]),
            self.value,
            lines(&rest),
            lines(&contradicted)
        )
    }
}

/// A document as a whole: `None` = it does not exist.
pub(crate) struct Register;

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum RegisterCall {
    Read(Option<String>),
    Write(String),
    /// A write that names the text which it replaces.
    Replace {
        former: String,
        new: String,
    },
    /// The same, refused because the text was another one.
    Refused {
        former: String,
    },
    /// The deletion of a document that exists.
    Delete,
}

impl Object for Register {
    type Call = RegisterCall;
    type Value = Option<String>;

    fn after(value: &Self::Value, call: &RegisterCall) -> Option<Self::Value> {
        match call {
            RegisterCall::Read(seen) => (seen == value).then(|| value.clone()),
            RegisterCall::Write(new) => Some(Some(new.clone())),
            RegisterCall::Replace { former, new } => {
                (value.as_ref() == Some(former)).then(|| Some(new.clone()))
            }
            RegisterCall::Refused { former } => (value.as_ref() != Some(former)).then(|| value.clone()),
            RegisterCall::Delete => value.is_some().then_some(None),
        }
    }

    fn overwrites(call: &RegisterCall) -> bool {
        matches!(call, RegisterCall::Write(_))
    }
}

/// A document to which lines are appended.
pub(crate) struct AppendLog;

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum LogCall {
    Append(String),
    Read(Vec<String>),
}

impl Object for AppendLog {
    type Call = LogCall;
    type Value = Vec<String>;

    fn after(value: &Self::Value, call: &LogCall) -> Option<Self::Value> {
        match call {
            LogCall::Append(line) => Some([value.as_slice(), std::slice::from_ref(line)].concat()),
            LogCall::Read(seen) => (seen == value).then(|| value.clone()),
        }
    }

    fn may_precede(value: &Self::Value, call: &LogCall) -> bool {
        match call {
            LogCall::Append(_) => true,
            LogCall::Read(seen) => seen.starts_with(value),
        }
    }
}

/// The facts of an entity, which have no order. A read has them sorted.
pub(crate) struct Facts;

impl Object for Facts {
    type Call = LogCall;
    type Value = Vec<String>;

    fn after(value: &Self::Value, call: &LogCall) -> Option<Self::Value> {
        let mut next = AppendLog::after(value, call)?;
        next.sort();
        Some(next)
    }

    fn may_precede(value: &Self::Value, call: &LogCall) -> bool {
        match call {
            LogCall::Append(_) => true,
            LogCall::Read(seen) => value.iter().all(|fact| seen.binary_search(fact).is_ok()),
        }
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn read(seen: &str) -> RegisterCall {
        RegisterCall::Read((!seen.is_empty()).then(|| seen.to_owned()))
    }

    fn write(new: &str) -> RegisterCall {
        RegisterCall::Write(new.to_owned())
    }

    fn replace(former: &str, new: &str) -> RegisterCall {
        RegisterCall::Replace { former: former.to_owned(), new: new.to_owned() }
    }

    fn refused(former: &str) -> RegisterCall {
        RegisterCall::Refused { former: former.to_owned() }
    }

    fn append(line: &str) -> LogCall {
        LogCall::Append(line.to_owned())
    }

    fn lines(all: &str) -> LogCall {
        LogCall::Read(all.split_whitespace().map(str::to_owned).collect())
    }

    /// Operations by the time of the call and of the reply; 0 = no reply.
    fn checked<O: Object>(all: &[(u64, u64, O::Call)]) -> Result<(), String> {
        let operation = |(client, (invoked, returned, call)): (usize, &(u64, u64, O::Call))| Operation {
            client,
            call: call.clone(),
            invoked: *invoked,
            returned: (*returned > 0).then_some(*returned),
        };
        check::<O>(&all.iter().enumerate().map(operation).collect::<Vec<_>>())
    }

    #[rstest]
    #[case::nothing(&[])]
    #[case::a_write_and_a_read(&[(1, 2, write("a")), (3, 4, read("a"))])]
    #[case::a_read_during_a_write_sees_either(&[(1, 9, write("a")), (2, 3, read("")), (4, 5, read("a"))])]
    #[case::an_unanswered_write_that_took_effect(&[(1, 0, write("a")), (2, 3, read("")), (4, 5, read("a"))])]
    #[case::an_unanswered_write_that_did_not(&[(1, 0, write("a")), (2, 3, read("")), (4, 5, read(""))])]
    #[case::an_unanswered_write_that_took_effect_late(&[(1, 0, write("a")), (2, 3, write("b")), (4, 5, read("b")), (6, 7, read("a"))])]
    #[case::two_replacements_in_a_row(&[(1, 2, write("a")), (3, 9, replace("b", "c")), (4, 8, replace("a", "b")), (10, 11, read("c"))])]
    #[case::a_refusal_beside_the_winner(&[(1, 2, write("a")), (3, 6, replace("a", "b")), (4, 5, refused("a"))])]
    #[case::a_deletion(&[(1, 2, write("a")), (3, 4, RegisterCall::Delete), (5, 6, read(""))])]
    fn a_register_that_keeps_its_promise_is_accepted(#[case] history: &[(u64, u64, RegisterCall)]) {
        assert_eq!(checked::<Register>(history), Ok(()));
    }

    #[rstest]
    #[case::a_deletion_of_nothing(&[(1, 2, RegisterCall::Delete)])]
    #[case::a_stale_read(&[(1, 2, write("a")), (3, 4, write("b")), (5, 6, read("a"))])]
    #[case::a_lost_write(&[(1, 2, write("a")), (3, 4, read(""))])]
    #[case::two_readers_who_see_two_orders(&[(1, 9, write("a")), (1, 9, write("b")), (10, 11, read("a")), (12, 13, read("b"))])]
    #[case::a_value_that_comes_back(&[(1, 9, write("a")), (2, 3, read("a")), (4, 5, read(""))])]
    #[case::a_value_that_nobody_wrote(&[(1, 2, write("a")), (3, 4, read("x"))])]
    #[case::two_winners(&[(1, 2, write("a")), (3, 6, replace("a", "b")), (4, 5, replace("a", "c"))])]
    #[case::a_refusal_without_a_reason(&[(1, 2, write("a")), (3, 4, refused("a"))])]
    #[case::a_read_of_a_write_that_was_not_sent(&[(1, 2, read("a")), (3, 4, write("a"))])]
    #[case::an_unanswered_write_twice(&[(1, 0, write("a")), (2, 3, read("a")), (4, 5, write("b")), (6, 7, read("a"))])]
    fn a_register_that_breaks_its_promise_is_detected(#[case] history: &[(u64, u64, RegisterCall)]) {
        let wrong = checked::<Register>(history).unwrap_err();
        assert!(wrong.starts_with("no order explains"), "{wrong}");
    }

    #[rstest]
    #[case::in_either_order(&[(1, 9, append("a")), (1, 9, append("b")), (10, 11, lines("b a"))])]
    #[case::an_unanswered_line(&[(1, 0, append("a")), (2, 3, append("b")), (4, 5, lines("b")), (6, 7, lines("b a"))])]
    fn a_log_that_keeps_its_promise_is_accepted(#[case] history: &[(u64, u64, LogCall)]) {
        assert_eq!(checked::<AppendLog>(history), Ok(()));
    }

    #[rstest]
    #[case::a_lost_line(&[(1, 2, append("a")), (3, 4, append("b")), (5, 6, lines("b"))])]
    #[case::a_line_twice(&[(1, 2, append("a")), (3, 4, lines("a a"))])]
    #[case::an_unanswered_line_twice(&[(1, 0, append("a")), (3, 4, lines("a a"))])]
    #[case::another_order_than_that_of_the_calls(&[(1, 2, append("a")), (3, 4, append("b")), (5, 6, lines("b a"))])]
    #[case::an_order_that_changes(&[(1, 9, append("a")), (1, 9, append("b")), (10, 11, lines("a b")), (12, 13, lines("b a"))])]
    #[case::a_stale_read(&[(1, 2, append("a")), (3, 4, lines("a")), (5, 6, lines(""))])]
    fn a_log_that_breaks_its_promise_is_detected(#[case] history: &[(u64, u64, LogCall)]) {
        let wrong = checked::<AppendLog>(history).unwrap_err();
        assert!(wrong.starts_with("no order explains"), "{wrong}");
    }

    #[test]
    fn facts_are_compared_without_their_order_and_none_is_there_twice_or_lost() {
        let both = [(1, 2, append("b")), (3, 4, append("a"))];
        let with = |seen| [both[0].clone(), both[1].clone(), (5, 6, lines(seen))];
        assert_eq!(checked::<Facts>(&with("a b")), Ok(()));
        for wrong in ["a", "a b b", ""] {
            checked::<Facts>(&with(wrong)).unwrap_err();
        }
    }

    #[test]
    fn long_histories_with_many_unanswered_calls_are_checked() {
        // Eight clients, of whose calls every tenth is not answered and takes no effect.
        let mut history = Vec::new();
        let mut value = String::new();
        for number in 0..400_u64 {
            let at = number * 10;
            match number % 10 {
                3 => history.push((at, 0, write(&format!("lost {number}")))),
                even if even % 2 == 0 => {
                    value = format!("value {number}");
                    history.push((at, at + 15, write(&value)));
                }
                _ => history.push((at + 7, at + 9, read(&value))),
            }
        }
        assert_eq!(checked::<Register>(&history), Ok(()));
    }

    /// Eight clients at once append lines, of which every third has no reply and takes no effect, and read them.
    fn appended(count: u64) -> Vec<(u64, u64, LogCall)> {
        let mut history = Vec::new();
        let mut seen = Vec::new();
        for number in 0..count {
            let (at, line) = (number * 10, format!("line {number:03}"));
            if number % 3 == 0 {
                history.push((at, 0, append(&line)));
            } else {
                history.push((at, at + 75, append(&line)));
                seen.push(line);
                history.push((at + 76, at + 78, LogCall::Read(seen.clone())));
            }
        }
        history
    }

    #[test]
    fn lines_that_are_never_seen_are_not_tried_in_every_combination() {
        let mut history = appended(120);
        assert_eq!(checked::<AppendLog>(&history), Ok(()));
        assert_eq!(checked::<Facts>(&history), Ok(()));
        let (lost, mut last) = (40, lines(""));
        if let Some((.., LogCall::Read(seen))) = history.last() {
            last = LogCall::Read([&seen[..lost], &seen[lost + 1..]].concat());
        }
        history.push((2_000, 2_001, last));
        for wrong in [checked::<AppendLog>(&history), checked::<Facts>(&history)] {
            let wrong = wrong.unwrap_err();
            assert!(wrong.starts_with("no order explains"), "{wrong}");
        }
    }

    #[test]
    fn texts_that_are_never_seen_are_not_tried_in_every_combination() {
        let mut history: Vec<_> = (1..60).map(|number| (1, 0, write(&format!("lost {number}")))).collect();
        let written =
            (0..60_u64).map(|number| (number * 10 + 2, number * 10 + 40, write(&format!("text {number}"))));
        history.extend(written);
        assert_eq!(checked::<Register>(&history), Ok(()));
        history.push((1_000, 1_001, read("")));
        let wrong = checked::<Register>(&history).unwrap_err();
        assert!(wrong.starts_with("no order explains"), "{wrong}");
    }

    #[test]
    fn the_explanation_names_the_operations_that_do_not_fit() {
        let wrong = checked::<AppendLog>(&[(1, 2, append("a")), (3, 4, lines(""))]).unwrap_err();
        assert!(wrong.contains("client 0, 1 to 2: Append(\"a\")"), "{wrong}");
        assert!(wrong.contains("client 1, 3 to 4: Read([])"), "{wrong}");
    }
}
