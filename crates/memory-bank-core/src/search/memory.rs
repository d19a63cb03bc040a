//! The memory of search indexes: estimates before a build, and the sum of all indexes. Nothing here builds or drops
//! an index.

use parking_lot::Mutex;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::error::StoreError;
use crate::limits;

/// Memory of an index per byte of a document's text, measured on prose and lists (`bench/results/first-searches.md`): the text, its
/// lower-case copy, its units and their postings.
const INDEX_BYTES_PER_DOCUMENT_BYTE: u64 = 7;
/// Memory of an index per byte of the texts of a graph, which the graph stores, too.
const INDEX_BYTES_PER_GRAPH_BYTE: u64 = 7;
/// Memory of a graph row beside its text, in the graph and in the index.
const INDEX_BYTES_PER_ROW: u64 = 700;
/// Memory of a document beside its text.
const INDEX_BYTES_PER_DOCUMENT: u64 = 1024;

/// How much text a project has.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TextSize {
    /// Its documents.
    pub documents: u64,
    /// The bytes of their texts.
    pub document_bytes: u64,
    /// The rows of its graph.
    pub rows: u64,
    /// The bytes of their texts.
    pub row_bytes: u64,
}

impl TextSize {
    /// All texts together.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.document_bytes.saturating_add(self.row_bytes)
    }

    /// About how many bytes an index of these texts takes.
    #[must_use]
    pub fn index_bytes(&self) -> u64 {
        let documents = self.documents * INDEX_BYTES_PER_DOCUMENT
            + self.document_bytes.saturating_mul(INDEX_BYTES_PER_DOCUMENT_BYTE);
        let graph =
            self.rows * INDEX_BYTES_PER_ROW + self.row_bytes.saturating_mul(INDEX_BYTES_PER_GRAPH_BYTE);
        documents.saturating_add(graph)
    }
}

/// The memory limits of a process' indexes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IndexBudget {
    /// All of them together, in bytes.
    pub total: u64,
    /// One of them, in bytes.
    pub per_project: u64,
}

impl Default for IndexBudget {
    fn default() -> Self {
        Self { total: limits::SEARCH_INDEX_BYTES, per_project: limits::SEARCH_INDEX_PROJECT_BYTES }
    }
}

impl IndexBudget {
    /// The bytes reserved during a build beside the index, for texts that are not indexed yet.
    pub const BUILD_RESERVE_BYTES: u64 = 16 * 1024 * 1024;

    /// Refuses an index of this size if no eviction could make room for it.
    ///
    /// # Errors
    /// [`StoreError::IndexTooLarge`] with the figures.
    pub fn check(&self, needed: u64, texts: u64) -> Result<(), StoreError> {
        let allowed = self.per_project.min(self.total.saturating_sub(Self::BUILD_RESERVE_BYTES));
        if needed <= allowed {
            return Ok(());
        }
        let mib = |bytes: u64| bytes.div_ceil(1024 * 1024);
        Err(StoreError::IndexTooLarge {
            texts_mib: mib(texts),
            needed_mib: mib(needed),
            allowed_mib: allowed / (1024 * 1024),
            total_mib: self.total / (1024 * 1024),
        })
    }
}

/// The memory of all indexes.
#[derive(Debug, Default)]
pub struct IndexMemory {
    budget: IndexBudget,
    taken: Mutex<u64>,
    peak: AtomicU64,
}

impl IndexMemory {
    /// No memory in use.
    #[must_use]
    pub fn new(budget: IndexBudget) -> Arc<Self> {
        Arc::new(Self { budget, taken: Mutex::default(), peak: AtomicU64::default() })
    }

    /// The limit.
    #[must_use]
    pub fn budget(&self) -> IndexBudget {
        self.budget
    }

    /// The memory in use.
    #[must_use]
    pub fn used_bytes(&self) -> u64 {
        *self.taken.lock()
    }

    /// The largest memory that was ever in use.
    #[must_use]
    pub fn peak(&self) -> u64 {
        self.peak.load(Ordering::Relaxed)
    }

    fn change(&self, before: u64, after: u64) -> bool {
        let mut taken = self.taken.lock();
        let changed = taken.saturating_sub(before).saturating_add(after);
        if after > before && changed > self.budget.total {
            return false;
        }
        *taken = changed;
        self.peak.fetch_max(changed, Ordering::Relaxed);
        true
    }
}

/// A share of the memory; released on drop.
#[derive(Debug)]
pub struct MemoryShare {
    memory: Arc<IndexMemory>,
    bytes: u64,
}

impl MemoryShare {
    /// A share of nothing.
    #[must_use]
    pub fn none(memory: &Arc<IndexMemory>) -> Self {
        Self { memory: Arc::clone(memory), bytes: 0 }
    }

    /// The memory that it is a share of.
    #[must_use]
    pub fn memory(&self) -> &Arc<IndexMemory> {
        &self.memory
    }

    /// Its size in bytes.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Resizes the share; returns false and changes nothing if there is not enough memory. Shrinking always succeeds.
    #[must_use]
    pub fn resize(&mut self, bytes: u64) -> bool {
        let done = self.memory.change(self.bytes, bytes);
        if done {
            self.bytes = bytes;
        }
        done
    }
}

impl Drop for MemoryShare {
    fn drop(&mut self) {
        self.memory.change(self.bytes, 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_never_exceed_the_total_and_are_released() {
        let memory = IndexMemory::new(IndexBudget { total: 100, per_project: 80 });
        let (mut first, mut second) = (MemoryShare::none(&memory), MemoryShare::none(&memory));
        assert!(first.resize(70) && !second.resize(40) && second.resize(30));
        assert!(!second.resize(31) && second.bytes() == 30);
        assert!(first.resize(10) && second.resize(90));
        assert_eq!((memory.used_bytes(), memory.peak()), (100, 100));
        drop(second);
        assert_eq!(memory.used_bytes(), 10);
    }

    #[test]
    fn an_index_that_cannot_fit_is_refused_with_the_figures() {
        const MIB: u64 = 1024 * 1024;
        let budget = IndexBudget { total: 512 * MIB, per_project: 384 * MIB };
        assert!(budget.check(384 * MIB, 1).is_ok());
        let error = budget.check(720 * MIB, 120 * MIB).unwrap_err().to_string();
        for figure in ["120 MiB", "720 MiB", "384 MiB", "512 MiB"] {
            assert!(error.contains(figure), "{error}");
        }
    }
}
