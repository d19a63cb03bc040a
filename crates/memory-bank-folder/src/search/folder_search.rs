//! State that searches of one folder share: the index, the turn to update it, and the threads.
//!
//! This module must not know banks or how the index follows the files.

use std::sync::Arc;
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
        }
    }
}

impl FolderSearch {
    /// The same search, with the memory for indexes that other banks have, too.
    pub(crate) fn sharing(self, indexes: Arc<FolderIndexes>) -> Self {
        Self { indexes, ..self }
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
