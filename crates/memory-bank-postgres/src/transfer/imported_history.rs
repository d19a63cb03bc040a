//! What an import knows of the history that it brings.

use std::collections::{BTreeMap, BTreeSet};

use memory_bank_core::document::Etag;
use memory_bank_core::transfer::HistoryCount;
use uuid::Uuid;

/// The history that an import brought.
#[derive(Debug, Default)]
pub(super) struct ImportedHistory {
    /// The documents that the project has or had; read when the first history comes.
    pub(super) known: Option<BTreeSet<Uuid>>,
    /// Whether it had none before.
    pub(super) begins: bool,
    /// The documents that get their row with the history, by name: id, number and etag of the last version.
    pub(super) live: BTreeMap<String, (Uuid, i64, Etag)>,
    pub(super) count: HistoryCount,
}
