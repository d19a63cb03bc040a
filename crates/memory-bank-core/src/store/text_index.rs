//! The text index of a database, which is updated periodically, so that writes do not wait for it.

use async_trait::async_trait;

use crate::error::StoreError;

/// Updates the text index.
#[async_trait]
pub trait TextIndex: Send + Sync {
    /// Indexes a bounded number of changed documents of any project.
    ///
    /// # Errors
    /// The index cannot be written.
    async fn index_some(&self) -> Result<(), StoreError>;

    /// The number of documents that are not indexed, up to a bound of the store.
    ///
    /// # Errors
    /// The index cannot be read.
    async fn count_stale(&self) -> Result<u64, StoreError>;
}
