//! The contract of every store, run on folders.
#![expect(clippy::unwrap_used, reason = "a test may fail loudly; the lint knows test functions only")]

use std::sync::Arc;

use memory_bank_contract_tests::{Project, Told, contract_tests};
use memory_bank_core::caller::Caller;
use memory_bank_core::clock::{SystemClock, SystemEntropy};
use memory_bank_core::store::{MemoryStateStore, NoSink, Workspace};
use memory_bank_folder::{Deps, FolderBank, FolderOptions, FolderWorkspace};

async fn fresh() -> Project {
    let temp = tempfile::TempDir::new().unwrap();
    let path = temp.path().join("memory-bank");
    std::fs::create_dir(&path).unwrap();
    // A folder without a document is no bank yet; a first document makes it one, and goes again.
    std::fs::write(path.join("start.md"), "").unwrap();
    let told = Arc::new(Told::default());
    let options = FolderOptions {
        path: None,
        folder: None,
        working_directory: temp.path().to_owned(),
        home: None,
        watch: false,
        shows_paths: true,
        follow_links: false,
        state: None,
    };
    let deps = Deps {
        clock: Arc::new(SystemClock),
        entropy: Arc::new(SystemEntropy),
        sink: Arc::<Told>::clone(&told),
    };
    let elsewhere = Deps { sink: Arc::new(NoSink), ..deps.clone() };
    let caller = Caller::local("alice");
    let workspace = FolderWorkspace::start(options, deps).await.unwrap();
    let bank = workspace.bank(&caller, None).await.unwrap();
    std::fs::remove_file(path.join("start.md")).unwrap();
    Project {
        caller,
        workspace: Arc::new(workspace),
        bank,
        other: Arc::new(FolderBank::new(path, temp.path().to_owned(), elsewhere)),
        state: Arc::new(MemoryStateStore::default()),
        told,
        keep: Box::new(temp),
    }
}

contract_tests!(super::fresh);
