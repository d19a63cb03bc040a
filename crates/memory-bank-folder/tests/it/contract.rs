//! The contract of every store, run on folders.

use std::sync::Arc;

use memory_bank_contract_tests::{Project, RecordedChanges, contract_tests};
use memory_bank_core::caller::{Caller, Role};
use memory_bank_core::store::{MemoryStateStore, Workspace};
use memory_bank_folder::{FolderBank, FolderOptions, FolderWorkspace, StateFolder};

use crate::support::{deps, deps_with, options};

async fn fresh() -> Project {
    let temp = tempfile::TempDir::new().unwrap();
    let path = temp.path().join("memory-bank");
    std::fs::create_dir(&path).unwrap();
    // A folder becomes a bank with its first document, which is removed again below.
    std::fs::write(path.join("start.md"), "").unwrap();
    let changes = Arc::new(RecordedChanges::default());
    let state = StateFolder::new(temp.path().join("state"));
    let options = FolderOptions { home: None, state: Some(state.clone()), ..options(temp.path()) };
    let caller = Caller::local("alice");
    let workspace =
        FolderWorkspace::start(options, deps_with(Arc::<RecordedChanges>::clone(&changes))).await.unwrap();
    let bank = workspace.bank(&caller, None).await.unwrap();
    std::fs::remove_file(path.join("start.md")).unwrap();
    Project {
        caller,
        colleague: Caller { role: Role::Editor, ..Caller::local("bob") },
        workspace: Arc::new(workspace),
        bank,
        other: Arc::new(FolderBank::new(path, temp.path().to_owned(), deps()).with_state(state)),
        state: Arc::new(MemoryStateStore::default()),
        changes,
        keep: Box::new(temp),
    }
}

contract_tests!(super::fresh);
contract_tests!(@history super::fresh);
