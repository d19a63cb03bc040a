//! The store traits. Each method is one use case and its own transaction; `&Caller` comes first.
//!
//! Two stores implement these traits: a local folder, and PostgreSQL. One contract suite runs on both.

mod audit;
mod backup;
mod call_counts;
mod changes;
mod documents;
mod draft_changes;
mod drafts;
mod events;
mod graph;
mod graph_history;
mod history;
mod maintenance;
mod new_documents;
mod past;
mod recent_contents;
mod search;
mod series;
mod sessions;
mod state;
mod text_index;
mod undo;
mod visits;
mod workspace;

use std::sync::Arc;

use crate::history::ChangeContext;

pub use crate::document::BACKUP_PREFIX;
pub use audit::{AddressUse, AuditEntry, AuditLog};
pub use backup::{Backup, BackupError, BackupStore, Restored, backup_time, check_backup_id};
pub use call_counts::{CALL_TIMES_MS, CallCounts, CallLog, CallStep, KeyCalls, StepLength};
pub use changes::{Change, ChangeSink, NoSink};
pub use documents::{ChangeKind, DocumentChange, DocumentStore, Editor, ReadOutcome};
pub use draft_changes::{DraftChanges, DraftWrite};
pub use drafts::{Drafts, Renaming};
pub use events::{Event, EventId, EventOwner, EventStore, MemoryEventStore, NotAnEvent};
pub use graph::{
    BatchApplied, BatchObservation, Compacted, EntityChange, EntityDeleted, EntityDraft, EntityRef,
    GraphBatch, GraphStats, GraphStore, GraphSummary, ObservationAdded, ObservationDraft, PointerAdded,
    PointerDraft, RelationDraft, RelationRemoved, Subgraph,
};
pub use graph_history::{
    EntityChain, GraphHistoryError, GraphHistoryStore, GraphPart, GraphRule, GraphSize, GraphThen,
};
pub use history::{HISTORY_IS_OFF, HistoryError, HistoryRetention, HistoryStore};
pub use maintenance::{MaintainError, Survey, Surveyed, carry_out, chosen, surveyed};
pub use new_documents::{check_document_count, name_clash};
pub use past::{DocumentAt, Past, PastDocument};
pub use recent_contents::RecentContents;
pub use search::{
    DocumentSearch, DocumentsFound, EntityFound, GraphFound, GraphSearch, ObservationFound, RelationFound,
    SearchStore, SearchedDocuments, Skip, SkippedDocument,
};
pub use series::Series;
pub use sessions::{
    MemorySessionStore, SessionError, SessionId, SessionLimits, SessionRecord, SessionStore, SessionUse,
};
pub use state::{MemoryStateStore, SessionState, StateChange, StateStore};
pub use text_index::TextIndex;
pub use undo::{
    FormerEntity, FormerVersions, ItemReason, LeftDocument, LeftItem, Reason, UndoError, UndoReport,
    UndoRequest, UndoneDocument, UndoneItem, lines_named, undo,
};
pub use visits::DigestVisits;
pub use workspace::{
    Initialized, ModeRules, RegisteredStore, SelectTarget, SelectedStore, StoreInfo, StoreKind, StoreList,
    Workspace,
};

/// Everything that is kept for one project.
pub trait Bank:
    DocumentStore + HistoryStore + GraphStore + GraphHistoryStore + SearchStore + BackupStore + Send + Sync
{
    /// The bank's directory in replies: a path over stdio, the project's slug over HTTP.
    fn location(&self) -> String;

    /// Returns this bank so that its changes of the graph record these facts in the history. Edits of documents have their own.
    fn in_context(&self, context: &ChangeContext) -> Arc<dyn Bank>;
}
