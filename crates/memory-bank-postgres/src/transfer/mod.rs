//! Exports and imports whole projects for one of their members: each is one transaction under row-level security.
//!
//! An import holds its data in memory (`limits::MOVED_BYTES` for the bank and for each backup) and is all or nothing;
//! an export sees one snapshot. Data that rows cannot express goes to `app.files`; the core decides which.

mod import;
mod read;
mod write;

use memory_bank_core::error::StoreError;
use memory_bank_core::transfer::NotTransferable;

use crate::tenant::Failure;

pub use import::{Import, Imported};
pub use read::Export;

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

/// Longer than a client's call: a transfer has more to do, and waits for files meanwhile.
pub(super) const PATIENT: &str = "SELECT set_config('statement_timeout', '300s', true), \
    set_config('idle_in_transaction_session_timeout', '300s', true)";
