//! Imports from the files of agents and note programs: which file belongs to which layout, which document it becomes, and
//! which documents may be written again. Pure functions: nothing here opens a file or knows a store.
//!
//! A bank stores a [`ImportRecord`] of its imports: for each document the hash of its source and of the text that was
//! written. So a document that somebody edited, renamed or deleted in the bank is never overwritten.

mod decision;
mod graph_items;
mod layout;
mod memory_lines;
mod names;
mod notes;
mod record;
mod text;

pub use decision::{DocumentState, WriteDecision, decide};
pub use graph_items::{EntityName, GraphItem, ItemBatch, KnownGraph, batches, entity_ref, items_hash};
pub use layout::{
    Layout, LayoutMatch, SourceFolders, bank_layout, is_candidate, is_personal, is_visited, layout_of,
};
pub use memory_lines::{BadLine, MemoryLines};
pub use names::{Names, candidates, name_beside};
pub use notes::{Link, Note, Vault, link_text, remembered_link};
pub use record::{GRAPH_PREFIX, ImportEntry, ImportRecord, RecordDamaged, is_record};
pub use text::{decode, with_origin};

/// The folder of a bank for documents that have no better place, and for the record.
pub const IMPORT_FOLDER: &str = "imported";
