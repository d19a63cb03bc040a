//! The memory that the indexes of all banks of a process share. An index that has no room takes that of another bank which
//! was not searched lately; one that is in use stays, so that two banks do not evict each other at every search.

use parking_lot::{Mutex, RwLock};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, OnceLock, Weak};
use std::time::{Duration, Instant};

use memory_bank_core::clock::Entropy;
use memory_bank_core::compact_sort::CompactSort as _;
use memory_bank_core::search::{DenseCount, IndexBudget, IndexMemory, MemoryShare};
use memory_bank_vectors::Maker;

use super::folder_index::FolderIndex;
use super::seal::{Seal, SealLocation};

/// An index that was searched within this time stays.
const IN_USE_FOR: Duration = Duration::from_secs(60);

/// The indexes of the banks of one process.
#[derive(Debug)]
pub(crate) struct FolderIndexes {
    memory: Arc<IndexMemory>,
    banks: Mutex<Vec<SearchedBank>>,
    in_use: Duration,
    /// Makes vectors, if that is set.
    pub(crate) maker: OnceLock<Maker>,
    /// Where the key of stored vectors is, and the key once it was needed.
    pub(crate) seal_location: OnceLock<SealLocation>,
    seal: OnceLock<Seal>,
    /// Whether vectors stay in memory: the files beside the banks are read and never written.
    pub(crate) is_read_only: AtomicBool,
}

/// One bank whose index may be there.
#[derive(Debug)]
struct SearchedBank {
    indexed: Weak<RwLock<FolderIndex>>,
    searched: Instant,
}

impl Default for FolderIndexes {
    fn default() -> Self {
        Self::new(IndexBudget::default(), IN_USE_FOR)
    }
}

impl FolderIndexes {
    /// Creates the memory of indexes within a budget; indexes that were searched within `in_use` are kept.
    pub(super) fn new(budget: IndexBudget, in_use: Duration) -> Self {
        let (banks, maker, seal_location, seal, is_read_only) = Default::default();
        Self { memory: IndexMemory::new(budget), banks, in_use, maker, seal_location, seal, is_read_only }
    }

    /// The key that stored vectors are sealed with; one is made with `may_store`. Blocks.
    pub(super) fn seal(&self, entropy: &dyn Entropy, may_store: bool) -> Option<Seal> {
        if let Some(seal) = self.seal.get() {
            return Some(seal.clone());
        }
        let nowhere = SealLocation::default();
        let found = Seal::of_user(self.seal_location.get().unwrap_or(&nowhere), entropy, may_store)?;
        Some(self.seal.get_or_init(|| found).clone())
    }

    /// The memory that the indexes may take.
    pub(super) fn budget(&self) -> IndexBudget {
        self.memory.budget()
    }

    /// How much they take.
    #[cfg(test)]
    pub(super) fn used_bytes(&self) -> u64 {
        self.memory.used_bytes()
    }

    /// Notes that a bank is searched.
    pub(super) fn searched(&self, indexed: &Arc<RwLock<FolderIndex>>) {
        let mut banks = self.banks.lock();
        banks.retain(|known| known.indexed.strong_count() > 0);
        let own = Arc::downgrade(indexed);
        let searched = Instant::now();
        match banks.iter_mut().find(|known| known.indexed.ptr_eq(&own)) {
            Some(known) => known.searched = searched,
            None => banks.push(SearchedBank { indexed: own, searched }),
        }
    }

    /// How far the vectors of all banks are that are in memory.
    pub(crate) fn dense_count(&self) -> DenseCount {
        let banks: Vec<_> = {
            let banks = self.banks.lock();
            banks.iter().filter_map(|known| known.indexed.upgrade()).collect()
        };
        let counts = banks.iter().map(|bank| bank.read().index.dense_count());
        counts.fold(DenseCount::default(), DenseCount::plus)
    }

    /// Accounts for `bytes` of an index; false if others in use leave no space for it.
    pub(super) fn account(&self, share: &mut Option<MemoryShare>, bytes: u64) -> bool {
        let share = share.get_or_insert_with(|| MemoryShare::none(&self.memory));
        while !share.resize(bytes) {
            if !self.evict() {
                return false;
            }
        }
        true
    }

    /// Drops the index that was searched longest ago, unless it is in use.
    fn evict(&self) -> bool {
        let mut idle: Vec<(Instant, Arc<RwLock<FolderIndex>>)> = {
            let banks = self.banks.lock();
            let idle = banks.iter().filter(|known| known.searched.elapsed() >= self.in_use);
            idle.filter_map(|known| Some((known.searched, known.indexed.upgrade()?))).collect()
        };
        idle.compact_sort_by_key(|(searched, _)| *searched);
        idle.iter().any(|(_, indexed)| {
            // One that is being built or searched, the asking bank's own among them, is in use.
            let Some(mut indexed) = indexed.try_write() else { return false };
            let is_there = indexed.share.as_ref().is_some_and(|share| share.bytes() > 0);
            if is_there {
                *indexed = FolderIndex::default();
            }
            is_there
        })
    }
}
