//! The stores of `memory-bank-mcp` on a local folder, in the on-disk format of the original server.
//!
//! Architecture invariant: every change of a bank's files happens under its one [`lock::BankLock`], through a
//! [`dir::BankDir`], which cannot reach outside the bank. Rules on documents and graph live in the core.

mod access;
mod approved_folders;
mod backups;
mod bank;
mod bank_paths;
mod change_notifier;
pub mod dir;
mod documents;
mod git;
#[cfg(all(unix, test))]
mod git_for_tests;
mod graph;
mod history;
mod hook_sessions;
pub mod journal;
mod keys;
mod known_file;
pub mod lock;
mod new_bank;
mod path_check;
mod registry;
mod rules_files;
mod search;
mod state_folder;
mod state_store;
mod store_list;
mod system;
mod transfer;
mod upwards;
mod watch;
mod workspace;

pub use bank::{Deps, FolderBank};
pub use git::{GitActivity, GitCommit, git_activity, git_head, is_versioned, tracked_by};
pub use hook_sessions::HookSessions;
pub use keys::{FolderKeys, KeysFound};
pub use search::VectorStatus;
pub use state_folder::StateFolder;
pub use state_store::RememberedStateStore;
pub use transfer::{
    FolderSource, FolderTarget, Published, SourceHistory, Staged, StagedHistory, TransferError,
};
pub use workspace::{FolderOptions, FolderWorkspace, check_folder_name, project_of};
