//! The stores of `memory-bank-mcp` on a local folder, in the on-disk format of the original server.
//!
//! Architecture invariant: every change of a bank's files happens under its one [`lock::BankLock`], through a
//! [`dir::BankDir`], which cannot reach outside the bank. Rules on documents and graph live in the core.

mod approved;
mod backups;
mod bank;
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
mod moving;
mod news;
mod place;
mod registry;
mod remembered;
mod rules;
mod search;
mod state;
mod upwards;
mod watch;
mod workspace;

pub use bank::{FolderBank, Surroundings};
pub use keys::{FolderKeys, KeysFound};
pub use moving::{FolderSource, FolderTarget, MoveError, Published, Staged};
pub use remembered::RememberedStateStore;
pub use search::VectorStatus;
pub use state::StateFolder;
pub use workspace::{FolderOptions, FolderWorkspace, check_folder_name, project_of};
