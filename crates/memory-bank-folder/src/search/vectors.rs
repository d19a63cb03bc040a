//! The vectors of a folder's bank: loaded from its file into the index, made when it was searched or changed, appended to the
//! file. A folder that cannot be written has them in memory alone. While one process makes them, others wait for its file.

use parking_lot::Mutex;
use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use async_trait::async_trait;
use memory_bank_core::clock::{Clock, Entropy};
use memory_bank_core::error::StoreError;
use memory_bank_core::search::{DenseCount, ModelId, Passage, UnitHash, Vector, VectorGap};
use memory_bank_vectors::{PROJECT_PASSAGES, Progress, VectorProject};

use super::folder_index::FolderIndex;
use super::folder_search::FolderSearch;
use super::index_update::IndexUpdate;
use super::seal::Seal;
use super::vector_file::{self, WriteLock};
use crate::bank::FolderBank;
use crate::dir::{BankDir, Root};
use crate::graph::FolderGraph;
use crate::lock::blocking;

/// The bytes of a vector beside its values.
const VECTOR_OVERHEAD_BYTES: u64 = 96;

/// The state of a bank's vectors.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct VectorStatus {
    /// Passages of the documents, and those of them that have a vector; none without a model, since passages depend on it.
    pub count: DenseCount,
    /// The bytes of the file.
    pub file_bytes: u64,
    /// Vectors in the file of texts that are gone.
    pub stale: usize,
    /// Whether the file is another model's, so that it is replaced.
    pub is_another_model: bool,
    /// Whether another process makes vectors at this moment.
    pub is_being_made: bool,
}

impl FolderBank {
    /// The state of the vectors: of this model, if one is named. Reads all documents, and writes nothing.
    ///
    /// # Errors
    /// The bank cannot be read.
    pub(crate) async fn vector_status(&self, model: Option<&ModelId>) -> Result<VectorStatus, StoreError> {
        let vectors = self.folder_vectors();
        vectors.update_index().await?;
        let model = model.cloned();
        vectors
            .in_bank(move |vectors, dir| {
                let mut status =
                    VectorStatus { file_bytes: vector_file::size(dir), ..VectorStatus::default() };
                status.is_being_made = vector_file::is_locked(dir);
                let Some(model) = model else { return Ok(status) };
                // Without a key nothing was stored by this user.
                let seal = vectors.seal(false).unwrap_or_else(|| Seal::new(&*vectors.entropy));
                status.is_another_model = vector_file::is_foreign(dir, &seal, &model);
                if vectors.prepare(&model) {
                    let _as_far_as_there_is_room = vectors.load(dir, &seal, &model)?;
                }
                let mut stored = 0;
                vector_file::read(dir, &seal, &model, |page| {
                    stored += page.len();
                    Ok::<(), std::io::Error>(())
                })
                .map_err(StoreError::io("cannot read the vectors"))?;
                status.count = vectors.count_now();
                status.stale = stored.saturating_sub(status.count.vectors);
                Ok(status)
            })
            .await
    }

    /// Drops the stored vectors, so that all are made again; false while another process makes them.
    ///
    /// # Errors
    /// The file cannot be written.
    pub(crate) async fn forget_vectors(&self, model: &ModelId) -> Result<bool, StoreError> {
        let model = model.clone();
        self.folder_vectors()
            .in_bank(move |vectors, dir| {
                let failed = || StoreError::io("cannot drop the vectors");
                let Some(lock) = vector_file::lock(dir).map_err(failed())? else { return Ok(false) };
                if let Some(seal) = vectors.seal(true) {
                    vector_file::clear(dir, &lock, &seal, &model).map_err(failed())?;
                }
                Ok(true)
            })
            .await
    }

    fn folder_vectors(&self) -> FolderVectors {
        FolderVectors {
            search: self.search.clone(),
            graph: self.graph.clone(),
            root: self.root().clone(),
            clock: Arc::clone(&self.deps().clock),
            entropy: Arc::clone(&self.deps().entropy),
            lock: Arc::default(),
        }
    }

    /// Has the missing vectors of the bank made, if a model is set and the bank is in memory.
    pub(crate) fn request_vectors(&self) {
        if !self.search.indexed.read().files.is_empty() {
            self.prepare_vectors();
        }
    }

    /// Reads the bank and its vectors into memory and has the missing ones made, if a model is set.
    pub(crate) fn prepare_vectors(&self) {
        let Some(maker) = self.search.indexes.maker.get() else { return };
        maker.request(&self.path().to_string_lossy(), Arc::new(self.folder_vectors()));
    }
}

#[derive(Clone)]
struct FolderVectors {
    search: FolderSearch,
    graph: FolderGraph,
    root: Root,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
    lock: Arc<Mutex<Option<WriteLock>>>,
}

impl FolderVectors {
    async fn in_bank<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Self, &BankDir) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let vectors = self.clone();
        blocking(move || {
            let dir = vectors.root.open().map_err(StoreError::io("cannot open the memory bank"))?;
            work(&vectors, &dir)
        })
        .await
    }

    /// Brings the index up to date.
    async fn update_index(&self) -> Result<(), StoreError> {
        let turn = Arc::clone(&self.search.turn).lock_owned().await;
        let now = self.clock.now();
        let (search, graph, root) = (self.search.clone(), self.graph.clone(), self.root.clone());
        IndexUpdate { search, graph, root, now }.run(false).await?;
        drop(turn);
        Ok(())
    }

    /// The key that stored vectors are sealed with; one is made with `may_store`.
    fn seal(&self, may_store: bool) -> Option<Seal> {
        self.search.indexes.seal(&*self.entropy, may_store)
    }

    fn count_now(&self) -> DenseCount {
        self.search.indexed.read().index.dense_count()
    }

    /// Puts vectors into the index; false if there is no memory for them.
    fn put(&self, model: &ModelId, vectors: &[(UnitHash, Vector)]) -> bool {
        let mut indexed = self.search.indexed.write();
        let indexed: &mut FolderIndex = &mut indexed;
        // Vectors are kept a thousand to a piece of memory.
        let more = (model.dimension() as u64 + VECTOR_OVERHEAD_BYTES) * (vectors.len() as u64 + 1024);
        let needed = indexed.index.bytes().saturating_add(more);
        let indexes = &self.search.indexes;
        if indexes.budget().check(needed, 0).is_err() || !indexes.account(&mut indexed.share, needed) {
            indexed.index.set_vector_gap(Some(VectorGap::NoMemory));
            return false;
        }
        indexed.index.put_vectors(model, vectors.iter().map(|(hash, vector)| (*hash, vector)));
        let bytes = indexed.index.bytes();
        let _less_than_before = indexes.account(&mut indexed.share, bytes);
        true
    }

    /// Sets the model, if the bank is small enough for it.
    fn prepare(&self, model: &ModelId) -> bool {
        let mut indexed = self.search.indexed.write();
        if indexed.index.model() != Some(model) {
            indexed.has_stored_vectors = false;
            if indexed.index.units() <= PROJECT_PASSAGES as u64 {
                indexed.index.set_model(Some(model));
            }
        }
        let is_small =
            indexed.index.model().is_some() && indexed.index.dense_count().passages <= PROJECT_PASSAGES;
        if !is_small {
            indexed.index.set_model(None);
        }
        indexed.index.set_vector_gap((!is_small).then_some(VectorGap::TooManyPassages));
        is_small
    }

    /// Loads the stored vectors; false if there is no memory for them.
    fn load(&self, dir: &BankDir, seal: &Seal, model: &ModelId) -> Result<bool, StoreError> {
        let passages: HashSet<UnitHash> = {
            let indexed = self.search.indexed.read();
            indexed.index.passage_hashes().collect()
        };
        let (mut used, mut fits) = (0, true);
        let records = vector_file::read(dir, seal, model, |mut page| {
            page.retain(|(hash, _)| passages.contains(hash));
            used += page.len();
            fits = fits && self.put(model, &page);
            Ok::<(), std::io::Error>(())
        })
        .map_err(StoreError::io("cannot read the vectors"))?;
        if let Some(lock) = &*self.lock.lock()
            && let Err(error) =
                vector_file::compact(dir, lock, seal, model, |hash| passages.contains(hash), records, used)
        {
            tracing::warn!(%error, "the file of vectors was not compacted");
        }
        self.search.indexed.write().has_stored_vectors = fits;
        Ok(fits)
    }
}

#[async_trait]
impl VectorProject for FolderVectors {
    async fn open(&self, model: &ModelId) -> Result<Progress, StoreError> {
        self.update_index().await?;
        let model = model.clone();
        self.in_bank(move |vectors, dir| {
            if !vectors.prepare(&model) {
                return Ok(Progress::Refused(format!("it has more than {PROJECT_PASSAGES} passages")));
            }
            let is_another_s = {
                let mut lock = vectors.lock.lock();
                let may_write = !vectors.search.indexes.is_read_only.load(Ordering::Relaxed);
                match (lock.is_none() && may_write).then(|| vector_file::lock(dir)) {
                    Some(Ok(Some(taken))) => {
                        *lock = Some(taken);
                        false
                    }
                    Some(Ok(None)) => true,
                    // It cannot be written: new vectors stay in memory.
                    Some(Err(error)) => {
                        tracing::debug!(%error, "vectors are stored in memory only");
                        false
                    }
                    None => false,
                }
            };
            let may_store = !vectors.search.indexes.is_read_only.load(Ordering::Relaxed);
            let seal = vectors.seal(may_store).unwrap_or_else(|| Seal::new(&*vectors.entropy));
            let count = || {
                let indexed = vectors.search.indexed.read();
                (indexed.has_stored_vectors, indexed.index.dense_count())
            };
            let (has_stored, counted) = count();
            if (!has_stored || counted.vectors < counted.passages) && !vectors.load(dir, &seal, &model)? {
                return Ok(Progress::Refused("there is no room for its vectors in memory".to_owned()));
            }
            let (_, counted) = count();
            let is_done = counted.vectors >= counted.passages;
            Ok(if is_another_s && !is_done { Progress::Later } else { Progress::Ready })
        })
        .await
    }

    async fn count(&self) -> DenseCount {
        self.count_now()
    }

    async fn missing(
        &self,
        _model: &ModelId,
        most: usize,
        bytes: usize,
        skipped: &HashSet<UnitHash>,
    ) -> Result<Vec<Passage>, StoreError> {
        let (search, skipped) = (self.search.clone(), skipped.clone());
        blocking(move || {
            let indexed = search.indexed.read();
            Ok(indexed.index.without_vector(most, bytes, |hash| skipped.contains(&hash)))
        })
        .await
    }

    async fn keep(&self, model: &ModelId, made: Vec<(UnitHash, Vector)>) -> Result<Progress, StoreError> {
        let model = model.clone();
        self.in_bank(move |vectors, dir| {
            if let Some(lock) = &*vectors.lock.lock()
                && let Some(seal) = vectors.seal(true)
                && let Err(error) = vector_file::append(dir, lock, &seal, &model, &made)
            {
                tracing::warn!(%error, "vectors were not written; they stay in memory");
            }
            Ok(match vectors.put(&model, &made) {
                true => Progress::Ready,
                false => Progress::Refused("there is no room for its vectors in memory".to_owned()),
            })
        })
        .await
    }

    async fn close(&self, _model: &ModelId) {
        *self.lock.lock() = None;
    }
}

#[cfg(test)]
mod tests;
