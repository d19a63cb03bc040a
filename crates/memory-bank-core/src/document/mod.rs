//! Markdown documents: their names, their etags, and the pure rules that edit them.

mod active_context;
mod archive;
mod argument;
mod condense;
mod conflict;
mod date;
mod decisions;
mod diff;
mod digest;
mod edits;
mod entry;
mod etag;
mod faithful;
mod finalize;
mod known_section;
mod leftover;
mod list;
mod near;
mod new_name;
mod notes;
mod open_block;
mod outline_cache;
mod parts;
mod path;
mod placement;
mod progress;
mod removed;
pub mod roles;
pub mod section;
mod splice;
mod tasks;
mod templates;
#[cfg(test)]
mod tests;
mod weave;
mod write;

use jiff::Timestamp;

pub use active_context::{
    AddSessionNote, Clear, NoteCategory, UpdateActiveContext, add_session_note, update_active_context,
};
pub use archive::{Archived, with_archiving};
pub use condense::{Condensed, Piece, condense};
pub use conflict::Conflict;
pub use decisions::{DecisionLogged, LogDecision, log_decision};
pub use diff::unified_diff;
pub use digest::{
    CurrentContext, DIGEST_TOKENS, DecisionSummary, Digest, DigestBounds, DigestExtras, DigestSource,
    DocumentFacts, Excerpt, clip, digest, digest_documents, estimated_tokens, plain_digest,
};
pub use edits::{DocumentEdited, Edit, apply_edits, edit_document};
pub use etag::Etag;
pub use faithful::keep_bytes;
pub use finalize::{FinalizeThinkingSession, SessionFinalized, finalize_thinking_session};
pub use leftover::is_leftover;
pub use near::NotFound;
pub use notes::is_resolved;
pub use parts::{Extent, LeftOut, Part, PartBounds, Selection, json_chars, part};
pub use path::{
    CORE_DOCUMENTS, DocumentPath, INTERNAL_FOLDER, NameError, core_rank, holds_documents, is_reserved,
};
pub use progress::{
    AddProgressEntry, EntryType, ProgressEntryAdded, ProgressTracked, TrackProgress, add_progress_entry,
    track_progress,
};
pub use removed::{Former, Removed};
pub use tasks::{TaskChanges, TasksUpdated, UpdateTasks, update_tasks};
pub use templates::CoreDocument;
pub use write::{
    BatchPlan, BatchWrite, DocumentDeleted, DocumentWritten, FileWrite, FileWritten, NamesMigrated,
    OLD_NAMES, check_etag, delete_document, migrate_file_naming, migration_paths, rename_document,
    write_document,
};

/// One document as a store holds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Document {
    /// The name under which it is stored.
    pub path: DocumentPath,
    /// The text; invalid UTF-8 in storage was replaced by U+FFFD.
    pub content: String,
    /// The content address of `content`.
    pub etag: Etag,
    /// Counts the writes, from 1; a folder does not count and returns 0.
    pub version: i64,
    /// When it was last written.
    pub updated_at: Timestamp,
}

/// One name in the bank.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DocumentEntry {
    /// The name as stored, with its folders: a document, or a folder such as `graph`.
    pub name: String,
    /// The parsed name, if this is a document of the bank.
    pub path: Option<DocumentPath>,
    /// Size in bytes.
    pub bytes: u64,
    /// When it was last written.
    pub updated_at: Timestamp,
}
