//! The stores of `memory-bank-mcp` on a local folder, in the on-disk format of the original server.
//!
//! Architecture invariant: every change of a bank's files happens under its one [`lock::BankLock`], through a
//! [`dir::BankDir`], which cannot reach outside the bank. Rules on documents and graph live in the core.

mod approved;
mod backups;
mod bank;
mod change_notifier;
pub mod dir;
mod documents;
mod forms;
mod gate;
mod git;
#[cfg(all(unix, test))]
mod git_for_tests;
mod graph;
mod initial;
pub mod journal;
mod keys;
mod listing;
pub mod lock;
mod place;
mod registry;
mod remembered;
mod rules;
mod search;
mod state;
mod system;
mod transfer;
mod upwards;
mod watch;
mod workspace;

pub use bank::{Deps, FolderBank};
pub use keys::{FolderKeys, KeysFound};
pub use remembered::RememberedStateStore;
pub use search::VectorStatus;
pub use state::StateFolder;
pub use transfer::{FolderSource, FolderTarget, Published, Staged, TransferError};
pub use workspace::{FolderOptions, FolderWorkspace, check_folder_name, project_of};
