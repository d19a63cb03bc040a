//! The roles.

use serde::Serialize;

/// The role of a section.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Role {
    /// Current work.
    Focus,
    /// The state of the whole project.
    Status,
    /// Work that is open.
    Task,
    /// Problems: issues, blockers, risks, limitations.
    Issue,
    /// Next steps.
    NextStep,
    /// Recent events: changes, updates, the history.
    RecentChange,
    /// Finished work.
    Done,
    /// Decisions.
    Decision,
    /// Open questions.
    Question,
    /// Notes of a session, of any kind.
    Note,
}
