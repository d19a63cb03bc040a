//! The history of documents: list, read and erase versions. Versions are added by the edits of documents.

use std::collections::BTreeMap;

use async_trait::async_trait;
use jiff::Timestamp;

use crate::caller::Caller;
use crate::document::{DocumentEntry, DocumentPath};
use crate::error::StoreError;
use crate::history::{Chain, ChainQuery, Damage, VersionPage, VersionQuery, VersionText};
use crate::store::DocumentAt;

/// Versions of the documents of one project. [`DocumentStore::edit`](crate::store::DocumentStore::edit) and every other
/// committed change of a document adds one, in the same transaction.
#[async_trait]
pub trait HistoryStore: Send + Sync {
    /// Whether changes add versions; not if the operator turned the history off. Versions that exist can be read all the same.
    fn keeps_history(&self) -> bool;

    /// A page of versions, newest first. Needs the right to read.
    async fn list_versions(&self, caller: &Caller, query: &VersionQuery)
    -> Result<VersionPage, HistoryError>;

    /// A version of the document that has this name, or that had it last, with its text. Its etag was verified. Needs
    /// the right to read.
    async fn read_version(
        &self,
        caller: &Caller,
        path: &DocumentPath,
        number: i64,
    ) -> Result<VersionText, HistoryError>;

    /// Reads a version of the document that the store calls so, which has or had this name, also if another one has it now.
    async fn read_version_of(
        &self,
        caller: &Caller,
        document: &str,
        path: &DocumentPath,
        number: i64,
    ) -> Result<VersionText, HistoryError>;

    /// For each document that has versions, also deleted ones, the last version before a time and the first one from then on.
    /// Needs the right to read.
    async fn versions_at(&self, caller: &Caller, until: Timestamp) -> Result<Vec<DocumentAt>, HistoryError>;

    /// All documents, as [`DocumentStore::list`](crate::store::DocumentStore::list) has them, and who last changed each of the
    /// `most` that changed last, as far as the history knows: names of users by the names of documents. Needs the right to
    /// read, and no more round trips than the list alone.
    async fn list_with_authors(
        &self,
        caller: &Caller,
        most: usize,
    ) -> Result<(Vec<DocumentEntry>, BTreeMap<String, String>), StoreError>;

    /// The latest versions of a document with the steps back from each, as the query bounds them, and its present text. Needs
    /// the right to read.
    async fn chain(&self, caller: &Caller, query: &ChainQuery) -> Result<Chain, HistoryError>;

    /// Erases all versions of the document that has this name, or that had it last, and of the deleted documents that had it before;
    /// the current text stays. The audit log records it. Returns the number of erased versions. Needs the right to administer.
    async fn erase(&self, caller: &Caller, path: &DocumentPath) -> Result<u64, HistoryError>;
}

/// Removes old versions of documents and old changes of the graph.
#[async_trait]
pub trait HistoryRetention: Send + Sync {
    /// Removes about `limit` versions and changes of any project that are [superseded](crate::history::superseded) at a time, and
    /// returns their number. The texts beside a gap are rebuilt and checked first; a version that cannot be rebuilt stays.
    ///
    /// # Errors
    /// The store failed.
    async fn thin_versions(&self, before: Timestamp, limit: usize) -> Result<usize, StoreError>;

    /// Deletes at most `limit` versions of projects whose history has more bytes than the project's quota, the oldest first,
    /// and returns their number.
    ///
    /// # Errors
    /// The store failed.
    async fn trim_versions(&self, limit: usize) -> Result<usize, StoreError>;
}

/// The notice of a store whose operator wants no history.
pub const HISTORY_IS_OFF: &str =
    "the history is off (HISTORY_RETENTION_DAYS=0), so changes add no versions and cannot be undone";

/// Why a call on the history was not carried out.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HistoryError {
    /// Neither a document nor a version has this name.
    #[error("`{0}` has no history; list versions without a document to see those that have one")]
    NoDocument(DocumentPath),
    /// The document has no version of this number.
    #[error(
        "`{path}` has no version {number}; its versions are {oldest} to {newest}, and some may be missing"
    )]
    NoVersion {
        /// The document.
        path: DocumentPath,
        /// The requested number.
        number: i64,
        /// The lowest number that it has.
        oldest: i64,
        /// The highest number that it has.
        newest: i64,
    },
    /// The stored versions do not lead to the requested text.
    #[error("version {number} of `{path}` cannot be read: {damage}")]
    Damaged {
        /// The document.
        path: DocumentPath,
        /// The requested version.
        number: i64,
        /// The damage.
        damage: Damage,
    },
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}
