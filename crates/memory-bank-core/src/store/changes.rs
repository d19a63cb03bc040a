//! Committed changes, for subscribers of documents.

use crate::caller::ProjectId;
use crate::document::DocumentPath;

/// A change: a hint to read again, without the new content.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Change {
    /// This document has other content than before.
    Updated(DocumentPath),
    /// Documents came into being, went away, or another bank was chosen.
    List,
    /// The project became another as a whole: any document may have other content than before.
    Whole,
    /// Changes of any project may have been missed: everything may be other than it was.
    Missed,
}

/// Receives committed changes. Called after the commit, must not block.
pub trait ChangeSink: Send + Sync {
    /// Something changed in the project.
    fn changed(&self, project: ProjectId, change: Change);
}

/// Ignores changes.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoSink;

impl ChangeSink for NoSink {
    fn changed(&self, _project: ProjectId, _change: Change) {}
}
