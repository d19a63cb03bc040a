//! A bank or workspace in a temporary folder, shared by the tests of this crate.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use memory_bank_core::caller::Caller;
use memory_bank_core::clock::{FixedClock, SystemClock, SystemEntropy};
use memory_bank_core::document::DocumentPath;
use memory_bank_core::error::EditError;
use memory_bank_core::store::{
    Bank, ChangeSink, DocumentStore, Drafts, EntityDraft, NoSink, ReadOutcome, Workspace,
};
use memory_bank_folder::{Deps, FolderBank, FolderOptions, FolderWorkspace};
use tempfile::TempDir;

pub(crate) fn caller() -> Caller {
    Caller::local("alice")
}

/// The dependencies of a store that notifies nobody.
pub(crate) fn deps() -> Deps {
    deps_with(Arc::new(NoSink))
}

/// The dependencies of a store that reports its changes to `sink`.
pub(crate) fn deps_with(sink: Arc<dyn ChangeSink>) -> Deps {
    Deps { clock: Arc::new(SystemClock), entropy: Arc::new(SystemEntropy), sink }
}

/// A bank in the folder `memory-bank` of a temporary project, with a fixed clock.
pub(crate) struct Fixture {
    pub(crate) root: TempDir,
    pub(crate) bank: FolderBank,
}

pub(crate) fn fixture() -> Fixture {
    let root = TempDir::new().unwrap();
    let path = root.path().join("memory-bank");
    std::fs::create_dir(&path).unwrap();
    let at = "2026-11-22T09:30:07.045Z".parse().unwrap();
    let deps = Deps { clock: Arc::new(FixedClock::new(at)), ..deps() };
    let bank = FolderBank::new(path, root.path().to_owned(), deps);
    Fixture { root, bank }
}

impl Fixture {
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.root.path().join("memory-bank").join(name)
    }

    pub(crate) async fn read(&self, document: &str) -> ReadOutcome {
        self.bank.read(&caller(), &[name(document)]).await.unwrap().remove(0)
    }

    pub(crate) async fn text(&self, document: &str) -> String {
        match self.read(document).await {
            ReadOutcome::Found(document) => document.content,
            other => format!("{other:?}"),
        }
    }

    pub(crate) async fn write(&self, document: &str, text: &str) -> Result<(), EditError> {
        let name = name(document);
        let mut editor = |drafts: &mut Drafts| drafts.set(&name, text.to_owned());
        self.bank.edit(&caller(), std::slice::from_ref(&name), &mut editor).await.map(|_| ())
    }

    pub(crate) async fn names(&self) -> Vec<String> {
        self.bank.list(&caller()).await.unwrap().into_iter().map(|entry| entry.name).collect()
    }
}

pub(crate) fn name(name: &str) -> DocumentPath {
    DocumentPath::parse(name).unwrap()
}

/// The default options of a server started in this folder.
pub(crate) fn options(working_directory: &Path) -> FolderOptions {
    FolderOptions {
        path: None,
        folder: None,
        working_directory: working_directory.to_owned(),
        home: Some(working_directory.join("home")),
        watch: false,
        shows_paths: true,
        follow_links: false,
        state: None,
    }
}

/// A workspace that starts with these options.
pub(crate) async fn start(options: FolderOptions) -> FolderWorkspace {
    FolderWorkspace::start(options, deps()).await.unwrap()
}

/// A project with a bank of one document.
pub(crate) fn project(root: &TempDir, name: &str) -> PathBuf {
    let path = root.path().join(name);
    std::fs::create_dir_all(path.join("memory-bank")).unwrap();
    std::fs::write(path.join("memory-bank/progress.md"), format!("# {name}\n")).unwrap();
    path
}

/// A path as text.
pub(crate) fn as_text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// Writes a document.
pub(crate) async fn write(bank: &Arc<dyn Bank>, name: &str) {
    let path = DocumentPath::parse(name).unwrap();
    let mut editor = |drafts: &mut Drafts| drafts.set(&path, "x".into());
    bank.edit(&caller(), std::slice::from_ref(&path), &mut editor).await.unwrap();
}

/// Creates an entity.
pub(crate) async fn upsert(bank: &Arc<dyn Bank>, name: &str) {
    let draft = EntityDraft { name: name.into(), entity_type: "t".into(), attrs: None };
    bank.upsert_entity(&caller(), draft).await.unwrap();
}

/// The location of the active bank.
pub(crate) async fn active(workspace: &FolderWorkspace) -> String {
    workspace.bank(&caller(), None).await.unwrap().location()
}

/// The error of a workspace that refuses a path.
pub(crate) async fn refused(workspace: &FolderWorkspace, path: &str) -> String {
    workspace.initialize(&caller(), path, false).await.unwrap_err().to_string()
}

/// Every name below a folder; links are not followed.
pub(crate) fn names_below(folder: &Path) -> Vec<PathBuf> {
    let mut names = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap().flatten() {
        names.push(entry.path());
        if entry.file_type().unwrap().is_dir() {
            names.extend(names_below(&entry.path()));
        }
    }
    names.sort();
    names
}
