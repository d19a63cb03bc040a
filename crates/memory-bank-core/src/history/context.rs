//! The circumstances of an edit, which its versions record.

use crate::document::{DocumentPath, Etag};
use crate::history::UndoMark;

/// A part of the history of which an edit is made. If somebody erases it before the edit is written, the store refuses the edit:
/// otherwise the erased text would be back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HistorySource {
    /// A text that the document had, after one of its versions or before one.
    Text {
        /// The store's own name of the document.
        document: String,
        /// A name that it has or had.
        path: DocumentPath,
        /// The etag of the text.
        etag: Etag,
    },
    /// Versions of a document.
    Versions {
        /// The store's own name of the document.
        document: String,
        /// A name that it has or had.
        path: DocumentPath,
        /// Their numbers, each with the etag of the text before it; `None` if there was none. An erasure may leave the number of the last
        /// version.
        numbers: Vec<(i64, Option<Etag>)>,
    },
    /// Changes of the graph, by their numbers.
    GraphChanges(Vec<i64>),
}

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
    /// What the edit is made of, if it brings something back or takes something back.
    pub made_of: Vec<HistorySource>,
}

impl ChangeContext {
    /// The context of a command that is not a tool, or of a tool without a session.
    #[must_use]
    pub fn of_tool(tool: &str) -> Self {
        Self { tool: Some(tool.to_owned()), ..Self::default() }
    }
}
