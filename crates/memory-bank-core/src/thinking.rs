//! Thinking sessions: numbered thoughts, counted but never stored as text.

use serde::{Deserialize, Serialize};

use crate::limits;

/// The thinking sessions of one user in one project, the most recently used last.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct ThinkingSessions {
    sessions: Vec<ThinkingSession>,
    /// The session of calls without a session id.
    unnamed: Option<String>,
}

/// The state of one session.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct ThinkingSession {
    id: String,
    /// The numbers of the thoughts, in the order of the calls.
    thoughts: Vec<u32>,
    /// The names of the branches, in the order they were opened.
    branches: Vec<String>,
}

/// The counted properties of one thought.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Thought {
    /// Its number, from 1.
    pub number: u32,
    /// The expected number of thoughts.
    pub total: u32,
    /// The thought that it revises.
    pub revises: Option<u32>,
    /// The thought that it branches off from.
    pub branches_from: Option<u32>,
    /// The name of the branch; recorded only together with `branches_from`.
    pub branch: Option<String>,
}

/// The state of a session after a thought.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Counted {
    /// The session.
    pub session: String,
    /// The expected number of thoughts: at least the number of this one.
    pub total: u32,
    /// The branches so far.
    pub branches: Vec<String>,
    /// How many thoughts the session has had.
    pub length: usize,
}

/// Why a thought was not counted. Nothing changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ThinkingError {
    /// It points to a thought that the session has not had.
    #[error("`{argument}` names thought {number}, which this session has not had")]
    NoSuchThought {
        /// The argument.
        argument: &'static str,
        /// The number.
        number: u32,
    },
    /// The session is full.
    #[error("the session has had {max} thoughts, which is the most; finalize it or start another", max = limits::THOUGHTS)]
    Full,
    /// A name is too long.
    #[error("`{argument}` is longer than {max} bytes", max = limits::LABEL_BYTES)]
    TooLong {
        /// The argument.
        argument: &'static str,
    },
}

impl ThinkingSessions {
    /// Counts a thought. Calls without a session id share one session, which gets the id `fresh` if it does not
    /// exist. If there are too many, the least recently used session is removed.
    ///
    /// # Errors
    /// See [`ThinkingError`].
    pub fn count(
        &mut self,
        session: Option<&str>,
        fresh: &str,
        thought: &Thought,
    ) -> Result<Counted, ThinkingError> {
        let id = session.or(self.unnamed.as_deref()).unwrap_or(fresh).to_owned();
        let found = self.sessions.iter().position(|session| session.id == id);
        let mut current = match found.and_then(|at| self.sessions.get(at)) {
            Some(session) => session.clone(),
            None => ThinkingSession { id: id.clone(), ..ThinkingSession::default() },
        };
        current.add(thought)?;
        let counted = Counted {
            session: id.clone(),
            total: thought.total.max(thought.number),
            branches: current.branches.clone(),
            length: current.thoughts.len(),
        };
        if let Some(at) = found {
            self.sessions.remove(at);
        } else if self.sessions.len() >= limits::THINKING_SESSIONS {
            self.sessions.remove(0);
        }
        self.sessions.push(current);
        if session.is_none() {
            self.unnamed = Some(id);
        }
        Ok(counted)
    }

    /// Removes one session; returns whether it existed.
    pub fn reset(&mut self, session: &str) -> bool {
        let before = self.sessions.len();
        self.sessions.retain(|kept| kept.id != session);
        if self.unnamed.as_deref() == Some(session) {
            self.unnamed = None;
        }
        self.sessions.len() < before
    }

    /// Removes all sessions; returns their number.
    pub fn reset_all(&mut self) -> usize {
        self.unnamed = None;
        std::mem::take(&mut self.sessions).len()
    }
}

impl ThinkingSession {
    fn add(&mut self, thought: &Thought) -> Result<(), ThinkingError> {
        for (argument, number) in
            [("revisesThought", thought.revises), ("branchFromThought", thought.branches_from)]
        {
            if let Some(number) = number
                && !self.thoughts.contains(&number)
            {
                return Err(ThinkingError::NoSuchThought { argument, number });
            }
        }
        if self.id.len() > limits::LABEL_BYTES {
            return Err(ThinkingError::TooLong { argument: "sessionId" });
        }
        if thought.branch.as_ref().is_some_and(|branch| branch.len() > limits::LABEL_BYTES) {
            return Err(ThinkingError::TooLong { argument: "branchId" });
        }
        if self.thoughts.len() >= limits::THOUGHTS {
            return Err(ThinkingError::Full);
        }
        self.thoughts.push(thought.number);
        if thought.branches_from.is_some()
            && let Some(branch) = &thought.branch
            && !self.branches.contains(branch)
        {
            self.branches.push(branch.clone());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn thought(number: u32) -> Thought {
        Thought { number, total: 3, revises: None, branches_from: None, branch: None }
    }

    #[test]
    fn calls_without_a_session_share_one_until_it_is_reset() {
        let mut sessions = ThinkingSessions::default();
        assert_eq!(sessions.count(None, "a", &thought(1)).unwrap().session, "a");
        let second = sessions.count(None, "b", &thought(2)).unwrap();
        assert_eq!((second.session.as_str(), second.length), ("a", 2));
        assert!(sessions.reset("a"));
        assert_eq!(sessions.count(None, "c", &thought(1)).unwrap().session, "c");
    }

    #[test]
    fn the_total_is_raised_to_the_number() {
        let counted = ThinkingSessions::default().count(Some("s"), "f", &thought(9)).unwrap();
        assert_eq!(counted.total, 9);
    }

    #[test]
    fn a_branch_may_have_any_name_and_is_counted_once() {
        let mut sessions = ThinkingSessions::default();
        sessions.count(Some("s"), "f", &thought(1)).unwrap();
        let branch = Thought { branches_from: Some(1), branch: Some("__proto__".into()), ..thought(2) };
        sessions.count(Some("s"), "f", &branch).unwrap();
        let counted = sessions.count(Some("s"), "f", &branch).unwrap();
        assert_eq!((counted.branches, counted.length), (vec!["__proto__".to_owned()], 3));
    }

    #[test]
    fn a_revision_of_a_missing_thought_is_refused_and_not_counted() {
        let mut sessions = ThinkingSessions::default();
        let revision = Thought { revises: Some(7), ..thought(1) };
        assert!(sessions.count(Some("s"), "f", &revision).is_err());
        assert_eq!(sessions.count(Some("s"), "f", &thought(1)).unwrap().length, 1);
    }

    #[test]
    fn the_history_and_the_number_of_sessions_are_bounded() {
        let mut sessions = ThinkingSessions::default();
        for number in 1..=u32::try_from(limits::THOUGHTS).unwrap() {
            sessions.count(Some("s"), "f", &thought(number)).unwrap();
        }
        assert_eq!(sessions.count(Some("s"), "f", &thought(1)), Err(ThinkingError::Full));
        for session in 0..limits::THINKING_SESSIONS {
            sessions.count(Some(&format!("t{session}")), "f", &thought(1)).unwrap();
        }
        assert_eq!(sessions.reset_all(), limits::THINKING_SESSIONS);
    }
}
