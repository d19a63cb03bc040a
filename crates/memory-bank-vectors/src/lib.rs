//! Makes vectors in the background: which project comes next, how large a batch is, and what happens after an error. It must
//! not know where vectors are kept, nor what computes them.

mod maker;

pub use maker::{Maker, MakerOptions, VectorUse};

use std::collections::HashSet;

use async_trait::async_trait;
use memory_bank_core::error::StoreError;
use memory_bank_core::search::{DenseCount, ModelId, Passage, UnitHash, Vector};

/// The most passages that a project may have: past it, it is searched by its words alone.
pub const PROJECT_PASSAGES: usize = 100_000;

/// Whether something can go on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Progress {
    /// It can.
    Ready,
    /// Not now: another process makes the vectors of this project, or the index is being built.
    Later,
    /// Not at all, until somebody asks again; says why.
    Refused(String),
    /// The project is not in memory any more.
    Gone,
}

/// A project whose vectors are made. No lock may be held between two calls that anybody but another maker waits for.
#[async_trait]
pub trait VectorProject: Send + Sync {
    /// Brings the index up to date, loads what is stored, and takes the right to make what is missing.
    async fn open(&self, model: &ModelId) -> Result<Progress, StoreError>;

    /// How far the vectors in memory are.
    async fn count(&self) -> DenseCount;

    /// Passages without a vector, in memory or stored: at most so many, with about so many bytes of text.
    async fn missing(
        &self,
        model: &ModelId,
        most: usize,
        bytes: usize,
        skipped: &HashSet<UnitHash>,
    ) -> Result<Vec<Passage>, StoreError>;

    /// Stores vectors and takes them into the index.
    async fn keep(&self, model: &ModelId, made: Vec<(UnitHash, Vector)>) -> Result<Progress, StoreError>;

    /// Gives the right to make vectors back.
    async fn close(&self, model: &ModelId);
}
