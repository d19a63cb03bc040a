//! Documents: list, read, and edit, the only way to change them.

use async_trait::async_trait;

use crate::caller::Caller;
use crate::document::{Document, DocumentEntry, DocumentPath, Etag};
use crate::error::{EditError, StoreError};
use crate::store::Drafts;

/// The result of reading one name.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ReadOutcome {
    /// The document. Its `path` is the name under which it is stored.
    Found(Document),
    /// The document does not exist.
    Missing,
    /// It exists and cannot be read; the text has the reason, without a host path.
    Unreadable(String),
}

/// The rule of an edit, passed to [`DocumentStore::edit`]. It may run more than once (databases retry serialisation
/// failures), so it must be a pure function of the drafts.
pub type Editor<'a> = dyn FnMut(&mut Drafts) -> Result<(), EditError> + Send + 'a;

/// Documents of one project.
#[async_trait]
pub trait DocumentStore: Send + Sync {
    /// All names in the bank, sorted: documents with their folders, and other names directly in the bank. Temporary
    /// and internal files are excluded. Leftovers of editors and sync tools are included, and marked.
    async fn list(&self, caller: &Caller) -> Result<Vec<DocumentEntry>, StoreError>;

    /// Reads several documents, in the requested order, one outcome each.
    async fn read(&self, caller: &Caller, paths: &[DocumentPath]) -> Result<Vec<ReadOutcome>, StoreError>;

    /// Reads the named documents under lock, runs the editor on them, and writes what it changed: all or nothing,
    /// also after a crash. Returns one entry for each path, in order.
    ///
    /// An editor that returns [`EditError::Incomplete`] is run once more, on fresh drafts that include what it needs.
    ///
    /// # Errors
    /// The error of the editor, an exceeded bound, or an error of the store. Nothing was written in this case.
    async fn edit(
        &self,
        caller: &Caller,
        paths: &[DocumentPath],
        editor: &mut Editor<'_>,
    ) -> Result<Vec<DocumentChange>, EditError>;

    /// The text of a document with this etag, if the store still has it. Used to show the changes in a conflict.
    async fn content_at(
        &self,
        caller: &Caller,
        path: &DocumentPath,
        etag: &Etag,
    ) -> Result<Option<String>, StoreError>;
}

/// The result of an edit for one document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DocumentChange {
    /// The name under which the document is (or was) stored.
    pub path: DocumentPath,
    /// The kind of change.
    pub kind: ChangeKind,
    /// The current etag; `None` if the document does not exist (any more).
    pub etag: Option<Etag>,
}

/// The kind of change of a document in an edit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChangeKind {
    /// It did not exist before.
    Created,
    /// Its content changed.
    Modified,
    /// It was deleted.
    Deleted,
    /// It did not change.
    Unchanged,
}
