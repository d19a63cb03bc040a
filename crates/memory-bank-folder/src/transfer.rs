//! A project's folder as the source or the target of a transfer: read as a whole, or written as a whole and renamed
//! into place.
//!
//! The core's rules decide what a bank's files mean ([`memory_bank_core::transfer`]); this module reads them under
//! the bank's lock, stages them beside their place, and publishes them by renaming.

mod history;
mod source;
mod target;

use memory_bank_core::error::StoreError;
use memory_bank_core::transfer::NotTransferable;

pub use history::{SourceHistory, StagedHistory};
pub use source::FolderSource;
pub use target::{FolderTarget, Published, Staged};

/// Where an export stores mode and thinking sessions, in the server's own folder of the bank.
const STATE: &str = ".mbmcp/state.json";

/// Why a transfer of a folder failed. The previous content is unchanged.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TransferError {
    /// It cannot be done as requested; the text has the reason and the remedy.
    #[error("{0}")]
    Refused(String),
    /// The bank contains data that cannot be transferred.
    #[error(transparent)]
    NotTransferable(#[from] NotTransferable),
    /// The disk failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}
