//! Thinking sessions: numbered thoughts, counted but never kept as text.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// The thinking sessions of one user in one project, by session id.
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
