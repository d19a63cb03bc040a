//! The text index of a database: computed after the writes, periodically, so that no write waits for it.

use async_trait::async_trait;

use crate::error::StoreError;

/// Updates the text index.
#[async_trait]
pub trait TextIndex: Send + Sync {
    /// Indexes a bounded number of documents that changed, of any project.
    ///
    /// # Errors
    /// The index cannot be written.
    async fn index_some(&self) -> Result<(), StoreError>;

    /// How many documents are not indexed; a store counts no further than it is cheap.
    ///
    /// # Errors
    /// The index cannot be read.
    async fn count_stale(&self) -> Result<u64, StoreError>;
}
