//! Markdown documents: their names, their etags, and the pure rules that edit them.

mod active_context;
mod archive;
mod archive_heading;
mod argument;
pub(crate) mod carriage_returns;
mod clip;
mod condense;
mod conflict;
mod core_document;
mod core_draft;
mod date;
mod date_names;
pub(crate) mod decision_marks;
mod decisions;
mod dialect;
mod diff;
mod digest;
mod edits;
mod entry;
mod entry_archive;
mod etag;
mod finalize;
mod keep_bytes;
mod known_section;
mod leftover;
mod line_bounds;
mod list;
mod list_rewriter;
mod new_name;
mod note_category;
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
mod section_edits;
mod section_items;
mod section_titles;
mod splice;
mod stored;
mod structure;
mod suggestions;
mod tasks;
mod templates;
#[cfg(test)]
mod tests;
mod write;

pub use active_context::{
    AddSessionNote, Clear, UpdateActiveContext, add_session_note, update_active_context,
};
pub use archive::{Archived, with_archiving};
pub use clip::clip;
pub use condense::{Condensed, Piece, condense};
pub use conflict::Conflict;
pub use core_document::{CORE_DOCUMENTS, CoreDocument, OLD_NAMES, core_rank};
pub use decision_marks::HoldingDecisions;
pub use decisions::{DecisionLogged, LogDecision, ReplacedDecision, log_decision};
pub(crate) use dialect::front_matter;
pub use diff::{unified_diff, unified_diff_within};
pub(crate) use digest::is_decision_log;
pub use digest::{
    CurrentContext, DIGEST_TOKENS, DecisionSummary, Digest, DigestBounds, DigestContent, DigestExtras,
    DigestSource, DocumentFacts, Excerpt, MAX_SOURCE_BYTES, digest, digest_documents, estimated_tokens,
    holding_decisions, plain_digest,
};
pub use edits::{DocumentEdited, Edit, apply_edits, edit_document};
pub use etag::Etag;
pub use finalize::{FinalizeThinkingSession, SessionFinalized, finalize_thinking_session};
pub use keep_bytes::keep_bytes;
pub use leftover::is_leftover;
pub use note_category::NoteCategory;
pub use notes::is_resolved;
pub use parts::{DocumentSize, LeftOut, Part, PartBounds, Selection, json_bytes, json_chars, part};
pub use path::{BACKUP_PREFIX, DocumentPath, INTERNAL_FOLDER, NameError, holds_documents, is_reserved};
pub use progress::{
    AddProgressEntry, EntryType, ProgressEntryAdded, ProgressTracked, TrackProgress, add_progress_entry,
    track_progress,
};
pub use removed::{Former, Removed};
pub use stored::{Document, DocumentEntry};
pub use suggestions::NotFound;
pub use tasks::{TaskChanges, TasksUpdated, UpdateTasks, update_tasks};
pub use write::{
    BatchPlan, BatchWrite, DocumentDeleted, DocumentWritten, FileWrite, FileWritten, NO_DOCUMENT,
    NamesMigrated, check_etag, delete_document, migrate_file_naming, migration_paths, rename_document,
    write_document,
};
