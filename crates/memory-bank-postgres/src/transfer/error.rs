//! Why a transfer fails.

use memory_bank_core::error::StoreError;
use memory_bank_core::transfer::NotTransferable;

use crate::tenant::Failure;

/// Why a transfer failed. Nothing was changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TransferError {
    /// It cannot be done as requested; the text has the reason and the remedy.
    #[error("{0}")]
    Refused(String),
    /// The bank contains data that a database cannot store.
    #[error(transparent)]
    NotTransferable(#[from] NotTransferable),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<Failure> for TransferError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Conflict(_) => Self::Refused(
                "somebody else writes to this project at this moment, and nothing was changed; try again"
                    .to_owned(),
            ),
            Failure::Store(error) => Self::Store(error),
        }
    }
}
