//! The circumstances of an edit, which its versions record.

use crate::history::UndoMark;

/// The facts of an edit that the history records beside its texts. User and key are those of the caller.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ChangeContext {
    /// The name of the tool; `None` if no tool made the edit.
    pub tool: Option<String>,
    /// The id of the client's session; `None` over stdio and without a session.
    pub session: Option<String>,
    /// Whether the edit brings back a former version.
    pub restores: bool,
    /// What the edit takes back, if it is an undo.
    pub undoes: Option<UndoMark>,
}

impl ChangeContext {
    /// The context of a command that is not a tool, or of a tool without a session.
    #[must_use]
    pub fn of_tool(tool: &str) -> Self {
        Self { tool: Some(tool.to_owned()), ..Self::default() }
    }
}
