//! State that searches of one folder share: the index, the turn to update it, and the threads.
//!
//! This module must not know banks or how the index follows the files.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::available_parallelism;
use std::time::Duration;

use memory_bank_core::graph::state::GraphState;
use memory_bank_core::store::{DocumentSearch, DocumentsFound};
use parking_lot::RwLock;
use tokio::sync::{Mutex, Semaphore};

use super::folder_index::FolderIndex;
use super::index_memory::FolderIndexes;
use super::progress::Progress;

/// How long a search waits for the index. A user's own folder is worth a longer wait than a server's project.
pub(super) const INDEX_TIMEOUT: Duration = Duration::from_secs(10);

/// The search's part of a bank.
#[derive(Debug, Clone)]
pub(crate) struct FolderSearch {
    /// The index; empty until the first search.
    pub(super) indexed: Arc<RwLock<FolderIndex>>,
    /// Held by the search that updates the index.
    pub(super) turn: Arc<Mutex<()>>,
    /// How many searches may use a thread at a time.
    pub(super) threads: Arc<Semaphore>,
    /// The progress of the present update, or of the last one.
    pub(super) progress: Arc<Progress>,
    /// The memory for this index and those of the other banks.
    pub(super) indexes: Arc<FolderIndexes>,
    /// How long a search waits for the index.
    pub(super) wait: Duration,
    /// How often an update found that names of documents came or went, and how often that was when they were last compared with the history.
    name_changes: Arc<AtomicU64>,
    compared_names: Arc<AtomicU64>,
}

impl Default for FolderSearch {
    fn default() -> Self {
        let threads = available_parallelism().map_or(1, usize::from).max(2);
        Self {
            indexed: Arc::default(),
            turn: Arc::default(),
            threads: Arc::new(Semaphore::new(threads)),
            progress: Arc::default(),
            indexes: Arc::default(),
            wait: INDEX_TIMEOUT,
            name_changes: Arc::default(),
            compared_names: Arc::default(),
        }
    }
}

impl FolderSearch {
    /// Returns this search with the memory for indexes that other banks share.
    pub(crate) fn sharing(self, indexes: Arc<FolderIndexes>) -> Self {
        Self { indexes, ..self }
    }

    /// Notes that names of documents came or went.
    pub(super) fn note_names(&self) {
        self.name_changes.fetch_add(1, Ordering::AcqRel);
    }

    /// Whether names came or went since the last call.
    pub(super) fn has_new_names(&self) -> bool {
        let changes = self.name_changes.load(Ordering::Acquire);
        self.compared_names.swap(changes, Ordering::AcqRel) != changes
    }

    /// Searches the index as it is.
    pub(super) fn documents(&self, request: &DocumentSearch) -> DocumentsFound {
        let indexed = self.indexed.read();
        request.run(&indexed.index, &*indexed)
    }

    /// Indexes the changes of the graph.
    pub(super) fn follow_graph(&self, graph: &GraphState) {
        let generation = graph.generation();
        let known = self.indexed.read().graph;
        if known == Some(generation) {
            return;
        }
        let mut indexed = self.indexed.write();
        // Another search may have indexed a later state meanwhile.
        if indexed.graph.is_none_or(|known| known < generation) {
            let since = indexed.graph;
            indexed.index.follow_graph(graph, since);
            indexed.graph = Some(generation);
        }
    }
}
