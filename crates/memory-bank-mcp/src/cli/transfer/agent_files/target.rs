//! The bank that files are imported into: the one of a folder, or a project of the database.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, ensure};
use memory_bank_core::caller::{Caller, Right};
use memory_bank_core::error::WorkspaceError;
use memory_bank_core::store::Bank;
use memory_bank_postgres::OperatorAction;
use memory_bank_server::services::Services;

use super::sources::Start;
use crate::assembly::folder_services;
use crate::cli::options::GlobalOptions;
use crate::cli::transfer::project::{OpenedProject, ProjectArguments, notify_servers, open, record_audit};

/// The bank.
pub(super) struct Target {
    /// The bank; none if it is not made yet.
    bank: Option<Arc<dyn Bank>>,
    pub(super) caller: Caller,
    /// Where the sources are.
    pub(super) start: Start,
    store: OpenedStore,
}

enum OpenedStore {
    Folder(Box<Services>),
    Database(Box<OpenedProject>, ProjectArguments),
}

impl Target {
    /// Opens the project of the database, or the bank of the folder.
    pub(super) async fn open(
        global: &GlobalOptions,
        project: Option<&ProjectArguments>,
        folder: Option<&Path>,
    ) -> anyhow::Result<Self> {
        let given = folder.map(std::path::absolute).transpose()?.map(|folder| canonical(&folder));
        match project {
            Some(project) => Self::database(global, project, given).await,
            None => Self::folder(global, given).await,
        }
    }

    async fn database(
        global: &GlobalOptions,
        project: &ProjectArguments,
        given: Option<PathBuf>,
    ) -> anyhow::Result<Self> {
        let folder = given.map_or_else(|| global.project(), Ok)?;
        check_folder(&folder)?;
        // A project may have the sources of several folders.
        let label = name_of(&folder);
        let opened = open(project, Right::Write).await?;
        Ok(Self {
            bank: Some(Arc::new(opened.bank.clone())),
            caller: opened.caller.clone(),
            start: Start { folder, label, own: None },
            store: OpenedStore::Database(Box::new(opened), project.clone()),
        })
    }

    async fn folder(global: &GlobalOptions, given: Option<PathBuf>) -> anyhow::Result<Self> {
        let caller = Caller::local(&global.username);
        let (services, vectors) = folder_services(global, None, false).await?;
        // The next start of a server creates them.
        vectors.stop().await;
        let bank = match services.workspace.bank(&caller, None).await {
            Ok(bank) => Some(bank),
            Err(WorkspaceError::NoBank) => None,
            Err(error) => return Err(error.into()),
        };
        let own = bank.as_ref().map(|bank| PathBuf::from(bank.location()));
        let project = match own.as_ref().and_then(|own| own.parent()) {
            Some(parent) => parent.to_owned(),
            None => global.project()?,
        };
        let folder = given.unwrap_or_else(|| project.clone());
        check_folder(&folder)?;
        let label = label_within(&project, &folder);
        Ok(Self {
            bank,
            caller,
            start: Start { folder, label, own },
            store: OpenedStore::Folder(Box::new(services)),
        })
    }

    /// Makes the bank of the folder, if it is missing.
    pub(super) async fn make_bank(&mut self, global: &GlobalOptions) -> anyhow::Result<()> {
        let (None, OpenedStore::Folder(services)) = (&self.bank, &self.store) else { return Ok(()) };
        let project = global.project()?;
        let path = project.to_str().context("the project folder's path is not UTF-8")?;
        services.workspace.initialize(&self.caller, path, false).await?;
        self.bank = Some(services.workspace.bank(&self.caller, None).await?);
        Ok(())
    }

    /// The bank, if it exists.
    pub(super) fn bank(&self) -> Option<&dyn Bank> {
        self.bank.as_deref()
    }

    /// The bank for a write.
    pub(super) fn existing_bank(&self) -> anyhow::Result<&dyn Bank> {
        self.bank().context("the memory bank was not made")
    }

    /// Where the bank is, for the report.
    pub(super) fn location(&self) -> Option<String> {
        self.bank.as_ref().map(|bank| bank.location())
    }

    /// The member in whose name the import runs.
    pub(super) fn user(&self) -> Option<&str> {
        matches!(self.store, OpenedStore::Database(..)).then_some(self.caller.user_name.as_str())
    }

    /// Records the import and notifies running servers, if something changed.
    pub(super) async fn finish(&self, has_changed: bool) {
        if let OpenedStore::Database(opened, project) = &self.store
            && has_changed
        {
            let audited = record_audit(opened, project, OperatorAction::Imported, &self.start.folder).await;
            if let Err(error) = audited {
                tracing::warn!("the import is not in the audit log: {error:#}");
            }
            notify_servers(opened).await;
        }
    }
}

fn check_folder(folder: &Path) -> anyhow::Result<()> {
    ensure!(
        folder.is_dir(),
        "there is no folder `{}`; name another with `--in` or `--path`",
        folder.display()
    );
    Ok(())
}

/// Nothing for the project itself, the path of a folder in it, and the name of another folder, which is not one of the
/// project's.
fn label_within(project: &Path, folder: &Path) -> Option<String> {
    let (project, folder) = (canonical(project), canonical(folder));
    let Ok(below) = folder.strip_prefix(&project) else {
        return name_of(&folder).map(|name| format!("../{name}"));
    };
    let parts: Vec<String> =
        below.components().map(|part| part.as_os_str().to_string_lossy().into_owned()).collect();
    (!parts.is_empty()).then(|| parts.join("/"))
}

fn canonical(path: &Path) -> PathBuf {
    path.canonicalize().unwrap_or_else(|_| path.to_owned())
}

fn name_of(folder: &Path) -> Option<String> {
    canonical(folder).file_name().map(|name| name.to_string_lossy().into_owned())
}
