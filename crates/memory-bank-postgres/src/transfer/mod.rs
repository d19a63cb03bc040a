//! A whole project in and out, in the name of one of its members: each move is one transaction under row-level security.
//!
//! An import holds what it writes in memory (`limits::MOVED_BYTES` for the bank and for each backup of it) and is all or
//! nothing; an export sees everything as at one moment. What rows cannot say goes to `app.files`; which that is, the
//! core decides.

mod import;
mod read;
mod write;

use memory_bank_core::error::StoreError;
use memory_bank_core::transfer::NotMovable;

use crate::tenant::Failure;

pub use import::{Import, Imported};
pub use read::Export;

/// Why a project was not moved. Nothing was changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TransferError {
    /// It cannot be carried out as asked; the text says why and what to do.
    #[error("{0}")]
    Refused(String),
    /// The bank holds what a database cannot keep.
    #[error(transparent)]
    NotMovable(#[from] NotMovable),
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

/// Longer than a call of a client may take: a move has more to do, and waits for files meanwhile.
pub(super) const PATIENT: &str = "SELECT set_config('statement_timeout', '300s', true), \
    set_config('idle_in_transaction_session_timeout', '300s', true)";
