//! Thinking sessions: numbered thoughts, counted but never kept as text.
//!
//! The rules are pure: the state goes in, the new state and the answer come out. A refused thought changes nothing.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::clock::Entropy;
use crate::limits;

/// The session of thoughts that come without a session id.
const UNNAMED: &str = "";

/// The thinking sessions of one user in one project, by session id. Thoughts that name no session share one, whose id
/// is empty.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ThinkingSessions(pub BTreeMap<String, ThinkingSession>);

/// What is remembered of one session.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ThinkingSession {
    /// The numbers of the thoughts, in the order they came.
    pub thoughts: Vec<u32>,
    /// The names of the branches, in the order they were opened.
    pub branches: Vec<String>,
}

/// A thought, without its text.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Thought {
    /// Its number, from 1.
    pub number: u32,
    /// How many thoughts there will be, as far as is known.
    pub total: u32,
    /// Whether another one follows.
    pub next_needed: bool,
    /// The number of the earlier thought that it revises.
    pub revises: Option<u32>,
    /// The number of the thought from which it branches off.
    pub branches_from: Option<u32>,
    /// The name of the branch.
    pub branch: Option<String>,
    /// The session it belongs to.
    pub session: Option<String>,
}

/// The answer to a thought.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Counted {
    /// The thought's number.
    pub thought_number: u32,
    /// The total, raised to the number if it was smaller.
    pub total_thoughts: u32,
    /// Whether another one follows.
    pub next_thought_needed: bool,
    /// The names of the branches, in the order they were opened.
    pub branches: Vec<String>,
    /// How many thoughts the session has.
    pub thought_history_length: usize,
    /// The session's id, if it has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session_id: Option<String>,
}

/// Why a thought was not counted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ThinkingError {
    /// A number that counts from 1 is 0.
    #[error("{0} must be at least 1")]
    Zero(&'static str),
    /// A thought that is referred to was never thought.
    #[error("{field} is {number}, but there is no such thought in this session")]
    NoSuchThought {
        /// The argument.
        field: &'static str,
        /// What it says.
        number: u32,
    },
    /// A name is empty or too long.
    #[error("{field} must have 1 to {max} bytes", max = limits::LABEL_BYTES)]
    Name {
        /// The argument.
        field: &'static str,
    },
    /// The session is full.
    #[error("this session has {max} thoughts already; reset it or begin another one", max = limits::THOUGHTS)]
    TooManyThoughts,
    /// There are too many sessions.
    #[error("there are {max} thinking sessions already; reset those that are done", max = limits::THINKING_SESSIONS)]
    TooManySessions,
}

impl ThinkingSessions {
    /// Counts a thought.
    ///
    /// # Errors
    /// The thought breaks a rule; then nothing was counted.
    pub fn think(&mut self, thought: &Thought) -> Result<Counted, ThinkingError> {
        check(thought)?;
        let id = thought.session.as_deref().unwrap_or(UNNAMED);
        let present = self.0.get(id);
        if present.is_none() && self.0.len() >= limits::THINKING_SESSIONS {
            return Err(ThinkingError::TooManySessions);
        }
        let thoughts = present.map_or(&[][..], |session| session.thoughts.as_slice());
        if thoughts.len() >= limits::THOUGHTS {
            return Err(ThinkingError::TooManyThoughts);
        }
        for (field, number) in
            [("revisesThought", thought.revises), ("branchFromThought", thought.branches_from)]
        {
            if let Some(number) = number.filter(|number| !thoughts.contains(number)) {
                return Err(ThinkingError::NoSuchThought { field, number });
            }
        }
        let session = self.0.entry(id.to_owned()).or_default();
        session.thoughts.push(thought.number);
        if let (Some(_), Some(branch)) = (thought.branches_from, &thought.branch)
            && !session.branches.contains(branch)
        {
            session.branches.push(branch.clone());
        }
        Ok(Counted {
            thought_number: thought.number,
            total_thoughts: thought.total.max(thought.number),
            next_thought_needed: thought.next_needed,
            branches: session.branches.clone(),
            thought_history_length: session.thoughts.len(),
            session_id: thought.session.clone(),
        })
    }

    /// Forgets one session; says whether there was one.
    pub fn reset(&mut self, session: &str) -> bool {
        self.0.remove(session).is_some()
    }

    /// Forgets all sessions; says how many there were.
    pub fn reset_all(&mut self) -> usize {
        std::mem::take(&mut self.0).len()
    }

    /// A fresh id for a session whose caller brought none, e.g. `thinking-0193…`.
    #[must_use]
    pub fn mint(entropy: &dyn Entropy) -> String {
        format!("thinking-{}", entropy.id().simple())
    }
}

fn check(thought: &Thought) -> Result<(), ThinkingError> {
    let numbers = [
        ("thoughtNumber", Some(thought.number)),
        ("totalThoughts", Some(thought.total)),
        ("revisesThought", thought.revises),
        ("branchFromThought", thought.branches_from),
    ];
    if let Some((field, _)) = numbers.into_iter().find(|(_, number)| *number == Some(0)) {
        return Err(ThinkingError::Zero(field));
    }
    for (field, name) in [("branchId", &thought.branch), ("sessionId", &thought.session)] {
        if name.as_ref().is_some_and(|name| name.is_empty() || name.len() > limits::LABEL_BYTES) {
            return Err(ThinkingError::Name { field });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::clock::SystemEntropy;

    fn thought(number: u32) -> Thought {
        Thought { number, total: 3, next_needed: true, ..Thought::default() }
    }

    #[test]
    fn thoughts_are_counted_and_the_total_follows_the_number() {
        let mut sessions = ThinkingSessions::default();
        sessions.think(&thought(1)).unwrap();
        let counted = sessions.think(&thought(5)).unwrap();
        assert_eq!((counted.thought_history_length, counted.total_thoughts), (2, 5));
        assert_eq!(counted.session_id, None);
    }

    #[test]
    fn d42_every_name_is_a_branch_like_any_other() {
        let mut sessions = ThinkingSessions::default();
        sessions.think(&thought(1)).unwrap();
        for name in ["__proto__", "constructor", "a"] {
            let branch = Thought { branches_from: Some(1), branch: Some(name.into()), ..thought(2) };
            sessions.think(&branch).unwrap();
            sessions.think(&branch).unwrap();
        }
        let counted = sessions.think(&thought(3)).unwrap();
        assert_eq!(counted.branches, ["__proto__", "constructor", "a"]);
    }

    #[test]
    fn a_branch_needs_both_its_name_and_its_origin() {
        let mut sessions = ThinkingSessions::default();
        sessions.think(&thought(1)).unwrap();
        let nameless = Thought { branches_from: Some(1), ..thought(2) };
        let rootless = Thought { branch: Some("a".into()), ..thought(2) };
        assert!(sessions.think(&nameless).unwrap().branches.is_empty());
        assert!(sessions.think(&rootless).unwrap().branches.is_empty());
    }

    #[test]
    fn d42_a_refused_thought_is_not_counted() {
        let mut sessions = ThinkingSessions::default();
        sessions.think(&thought(1)).unwrap();
        let before = sessions.clone();
        for refused in [
            thought(0),
            Thought { total: 0, ..thought(1) },
            Thought { revises: Some(7), ..thought(2) },
            Thought { branches_from: Some(7), branch: Some("a".into()), ..thought(2) },
            Thought { branch: Some(String::new()), ..thought(2) },
            Thought { session: Some("x".repeat(limits::LABEL_BYTES + 1)), ..thought(2) },
        ] {
            sessions.think(&refused).unwrap_err();
            assert_eq!(sessions, before);
        }
    }

    #[test]
    fn d42_the_history_is_bounded() {
        let mut sessions = ThinkingSessions::default();
        for _ in 0..limits::THOUGHTS {
            sessions.think(&thought(1)).unwrap();
        }
        assert_eq!(sessions.think(&thought(1)), Err(ThinkingError::TooManyThoughts));
        for number in 1..limits::THINKING_SESSIONS {
            sessions.think(&Thought { session: Some(number.to_string()), ..thought(1) }).unwrap();
        }
        let another = Thought { session: Some("another".into()), ..thought(1) };
        assert_eq!(sessions.think(&another), Err(ThinkingError::TooManySessions));
    }

    #[test]
    fn a_reset_forgets_one_session_or_all() {
        let mut sessions = ThinkingSessions::default();
        for session in [None, Some("a".to_owned()), Some("b".to_owned())] {
            sessions.think(&Thought { session, ..thought(1) }).unwrap();
        }
        assert!(sessions.reset("a"));
        assert!(!sessions.reset("a"));
        assert_eq!(sessions.reset_all(), 2);
        assert_eq!(sessions.reset_all(), 0);
    }

    #[test]
    fn minted_ids_differ() {
        assert_ne!(ThinkingSessions::mint(&SystemEntropy), ThinkingSessions::mint(&SystemEntropy));
    }

    proptest! {
        #[test]
        fn the_history_has_as_many_thoughts_as_were_accepted(numbers in prop::collection::vec(0_u32..5, 0..60)) {
            let mut sessions = ThinkingSessions::default();
            let accepted = numbers.iter().filter(|number| sessions.think(&thought(**number)).is_ok()).count();
            let counted = sessions.0.get("").map_or(0, |session| session.thoughts.len());
            prop_assert_eq!(counted, accepted);
        }
    }
}
