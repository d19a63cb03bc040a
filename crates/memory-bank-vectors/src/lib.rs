//! Computes missing vectors in the background: the queue of projects, the size of a batch, retries after errors. It
//! must not know where vectors are stored or what computes them.

mod maker;

pub use maker::{Maker, MakerOptions, VectorUse};

use std::collections::HashSet;

use async_trait::async_trait;
use memory_bank_core::error::StoreError;
use memory_bank_core::search::{DenseCount, ModelId, Passage, UnitHash, Vector};

/// The most passages of a project with vectors. Larger projects are searched by words only.
pub const PROJECT_PASSAGES: usize = 100_000;

/// Whether the work on a project can continue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Progress {
    /// It can continue.
    Ready,
    /// Not now: another process computes the vectors of this project, or the index is being built.
    Later,
    /// Not until the next request; has the reason.
    Refused(String),
    /// The project is not in memory any more.
    Gone,
}

/// A project whose vectors are computed. Between two calls it must hold no lock except the right to compute vectors.
#[async_trait]
pub trait VectorProject: Send + Sync {
    /// Updates the index, loads stored vectors, and acquires the right to compute missing ones.
    async fn open(&self, model: &ModelId) -> Result<Progress, StoreError>;

    /// The number of passages and vectors in memory.
    async fn count(&self) -> DenseCount;

    /// Passages without a vector in memory or in storage: at most `most`, with about `bytes` of text, without the
    /// `skipped` ones.
    async fn missing(
        &self,
        model: &ModelId,
        most: usize,
        bytes: usize,
        skipped: &HashSet<UnitHash>,
    ) -> Result<Vec<Passage>, StoreError>;

    /// Stores vectors and adds them to the index.
    async fn keep(&self, model: &ModelId, made: Vec<(UnitHash, Vector)>) -> Result<Progress, StoreError>;

    /// Releases the right to compute vectors.
    async fn close(&self, model: &ModelId);
}
