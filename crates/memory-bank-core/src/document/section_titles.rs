//! The exact titles of the sections that edits know: the one that is written, then those of older banks.

/// Titles of the task list.
pub(super) const TASKS: [&str; 3] = ["Ongoing Tasks", "Tasks", "Current Tasks"];
/// Titles of the list of issues.
pub(super) const ISSUES: [&str; 2] = ["Known Issues", "Issues"];
/// The title of the list of next steps.
pub(super) const NEXT_STEPS: [&str; 1] = ["Next Steps"];
/// Titles of the session notes.
pub(super) const NOTES: [&str; 2] = ["Current Session Notes", "Session Notes"];
/// The title of the history.
pub(super) const HISTORY: [&str; 1] = ["Update History"];
