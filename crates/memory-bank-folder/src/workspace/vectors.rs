//! Vectors of the banks of a workspace: their maker, and their state.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use memory_bank_core::error::WorkspaceError;
use memory_bank_core::search::{DenseCount, Embedder, ModelId};
use memory_bank_vectors::{Maker, MakerOptions, VectorUse};

use super::FolderWorkspace;
use crate::search::VectorStatus;

impl FolderWorkspace {
    /// Makes vectors with this embedder from now on: for the bank in use at once, so that the first search has them, and
    /// for others when they are searched. Only the first call sets an embedder. With `is_read_only`, vectors stay in memory,
    /// and nothing is written beside a bank.
    pub fn set_embedder(&self, embedder: Arc<dyn Embedder>, options: MakerOptions, is_read_only: bool) {
        self.indexes.is_read_only.store(is_read_only, Ordering::Relaxed);
        let _the_first_one = self.indexes.maker.set(Maker::new(embedder, options));
        if let Some(bank) = self.active() {
            bank.prepare_vectors();
        }
    }

    /// The state of the vectors of the bank in use.
    ///
    /// # Errors
    /// There is no bank, or it cannot be read.
    pub async fn vector_status(&self, model: Option<&ModelId>) -> Result<VectorStatus, WorkspaceError> {
        Ok(self.active_or_found().await?.vector_status(model).await?)
    }

    /// Drops the stored vectors of the bank in use, so that an embedder that is set next makes all of them again; false while another
    /// process makes them.
    ///
    /// # Errors
    /// There is no bank, or it cannot be read or written.
    pub async fn forget_vectors(&self, model: &ModelId) -> Result<bool, WorkspaceError> {
        Ok(self.active_or_found().await?.forget_vectors(model).await?)
    }

    /// Makes no more vectors; waits at most so long for the batch that is under way.
    pub async fn stop_vectors(&self, wait: Duration) {
        if let Some(maker) = self.indexes.maker.get() {
            maker.stop(wait).await;
        }
    }

    /// How far the vectors of the banks are that are in memory.
    #[must_use]
    pub fn vectors_in_memory(&self) -> DenseCount {
        self.indexes.dense_count()
    }

    /// The work on vectors since the start; none without a model.
    #[must_use]
    pub fn vector_use(&self) -> Option<VectorUse> {
        self.indexes.maker.get().map(Maker::usage)
    }
}
