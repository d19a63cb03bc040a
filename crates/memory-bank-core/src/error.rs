//! Errors of a store. One enum per boundary; the text has the remedy and never shows a path of the host.

use crate::document::{DocumentPath, Etag};
use crate::store::Series;

/// A fault below the rules: the store could not do its work.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// Another process kept the bank locked for longer than [`crate::limits::LOCK_WAIT_MS`].
    #[error("the memory bank is locked by another process; try again in a moment")]
    Busy,
    /// The caller lacks the right, or the store's own policies refused.
    #[error("you may not do that")]
    Denied,
    /// The key of the call was revoked, or expired, after the call was admitted.
    #[error("the key or token of this call has been revoked or has expired")]
    KeyInvalid,
    /// Stored data cannot be used; has the error and its place.
    #[error("{what} is damaged: {detail}")]
    Damaged {
        /// The damaged file, such as `graph/graph.jsonl`.
        what: String,
        /// Where, and what to do.
        detail: String,
    },
    /// A bound of [`crate::limits`] was exceeded.
    #[error("{what} is {got} bytes long, at most {limit} are allowed")]
    TooLarge {
        /// The oversized item.
        what: String,
        /// The bound.
        limit: u64,
        /// The received size.
        got: u64,
    },
    /// The search index is being built, which takes longer than a search waits.
    #[error("the search index of this project is being built; try again in {seconds} s")]
    IndexBuilding {
        /// The seconds until the index is expected to be ready.
        seconds: u64,
    },
    /// The search index would take more memory than an index may.
    #[error(
        "the project is too large to be searched: an index of its {texts_mib} MiB of text takes about {needed_mib} MiB \
        of memory, a project may have {allowed_mib} MiB, all projects of this server together {total_mib} MiB; \
        remove what is not needed any more, or ask the operator to raise `SEARCH_INDEX_MEMORY_PER_PROJECT`"
    )]
    IndexTooLarge {
        /// The texts of the project.
        texts_mib: u64,
        /// The memory that an index would need.
        needed_mib: u64,
        /// The limit of an index.
        allowed_mib: u64,
        /// The limit of all indexes.
        total_mib: u64,
    },
    /// Other indexes that are in use occupy the memory for search indexes, or too many searches wait.
    #[error("the server is busy with other searches and has no room for this one; try again in {seconds} s")]
    SearchBusy {
        /// The seconds until a retry is useful.
        seconds: u64,
    },
    /// The storage failed. The source is for the log and, over stdio, for the user.
    #[error("{what}: {source}")]
    Io {
        /// The failed operation, without a host path.
        what: String,
        /// The cause.
        #[source]
        source: std::io::Error,
    },
    /// Other programs wrote the documents of the change at the same time, again and again. Nothing was changed.
    #[error(
        "other programs are changing the documents of the memory bank at the same time; try again in a moment"
    )]
    ChangedMeanwhile,
    /// The edit brings back or takes back something of the history that was erased meanwhile. Nothing was changed.
    #[error(
        "the history of which this is made was erased or thinned meanwhile, so nothing was changed; list the versions again"
    )]
    HistoryErased,
    /// The storage cannot be reached at the moment; the detail is for the log.
    #[error("the storage cannot be reached: {0}")]
    Unreachable(String),
    /// The storage is reachable, but no connection to it became free within the time that a request waits.
    #[error(
        "the server is busy: no connection to its database came free in time; try again in a few seconds"
    )]
    Overloaded,
    /// The storage returned an invalid answer, or an internal operation failed; the text is for the log.
    #[error("the storage is unavailable: {0}")]
    Unavailable(String),
}

impl StoreError {
    /// Whether the search index is missing or unavailable, while everything else works.
    #[must_use]
    pub fn is_about_the_index(&self) -> bool {
        matches!(self, Self::IndexBuilding { .. } | Self::IndexTooLarge { .. } | Self::SearchBusy { .. })
    }

    /// Wraps an I/O error with the failed operation.
    pub fn io(what: impl Into<String>) -> impl FnOnce(std::io::Error) -> Self {
        let what = what.into();
        move |source| Self::Io { what, source }
    }
}

/// Why an edit of documents was not made. Nothing was written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EditError {
    /// The stored document has another etag than the caller expects.
    #[error("`{path}` has changed: expected etag {expected}, the stored one is {current}")]
    EtagMismatch {
        /// The document.
        path: DocumentPath,
        /// The expected etag.
        expected: String,
        /// The stored etag.
        current: Etag,
        /// The stored text, to show the changes.
        content: String,
    },
    /// The document does not exist.
    #[error("`{0}` does not exist; list_memory_bank_files shows what does")]
    NotFound(DocumentPath),
    /// The document exists already.
    #[error("`{0}` exists already; choose another name or delete it first")]
    Exists(DocumentPath),
    /// A rule refused the edit; the text has the remedy.
    #[error("{0}")]
    Refused(String),
    /// The text at the place of the edit prevents it; the message has the conflicting lines and the remedy.
    #[error("{0}")]
    Blocked(String),
    /// The edit cannot be made without the last documents of these series. A store loads them under the same lock and
    /// runs the editor again, so that callers never get this error.
    #[error("the edit needs {}, which was not loaded", needed.iter().map(Series::stem).collect::<Vec<_>>().join(", "))]
    Incomplete {
        /// The series.
        needed: Vec<Series>,
    },
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why a call on the graph was not carried out. Nothing was written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum GraphError {
    /// No entity has this id or exact name.
    #[error("Entity not found: {name}")]
    EntityNotFound {
        /// The requested name.
        name: String,
        /// Similar names, best first, at most five.
        suggestions: Vec<String>,
    },
    /// Some of several requested entities do not exist.
    #[error("Some entities not found: {}", missing.join(", "))]
    EntitiesNotFound {
        /// The missing ones.
        missing: Vec<String>,
        /// Names similar to one of them, at most five.
        suggestions: Vec<String>,
    },
    /// Several entities have the name; the caller must add the type.
    #[error("several entities are called `{name}`: {}; give the id or `name [type]`", candidates.join(", "))]
    Ambiguous {
        /// The requested name.
        name: String,
        /// `name [type] (id)` of each.
        candidates: Vec<String>,
    },
    /// No observation has this id.
    #[error("Observation not found: {0}")]
    ObservationNotFound(String),
    /// An argument breaks a rule; the text names it and has the remedy.
    #[error("{0}")]
    Invalid(String),
    /// An item of a batch is invalid; nothing was changed.
    #[error("{at}: {error}")]
    InBatch {
        /// The item: its list and its place in it, from 0.
        at: String,
        /// The reason.
        error: Box<GraphError>,
    },
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why a bank could not be found, opened, created or selected.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WorkspaceError {
    /// No bank is active and none was found.
    #[error("no memory bank is active")]
    NoBank,
    /// The path holds no bank.
    #[error("Memory Bank not found in the provided directory")]
    NotABank,
    /// The registry has no store of that id.
    #[error("Store \"{0}\" not found in registry")]
    UnknownStore(String),
    /// The path does not exist.
    #[error("Path does not exist: {0}")]
    NoSuchPath(String),
    /// The request cannot be carried out; the text has the reason and the remedy.
    #[error("{0}")]
    Refused(String),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}
