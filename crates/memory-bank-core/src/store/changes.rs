//! Committed changes, for subscribers of documents.

use crate::caller::ProjectId;
use crate::document::DocumentPath;

/// A change: a hint to read again, without content.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Change {
    /// The content of this document changed.
    Updated(DocumentPath),
    /// Documents were created or deleted, or another bank was selected.
    List,
    /// The graph changed.
    Graph,
    /// The whole project was replaced: the content of any document may have changed.
    Whole,
    /// Changes of any project may have been missed: everything may have changed.
    Missed,
}

/// Receives committed changes. Called after the commit, must not block.
pub trait ChangeSink: Send + Sync {
    /// Reports a change in a project.
    fn changed(&self, project: ProjectId, change: Change);
}

/// Ignores changes.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoSink;

impl ChangeSink for NoSink {
    fn changed(&self, _project: ProjectId, _change: Change) {}
}
