//! A new bank: its folder, its core documents, and the rules files if they are requested.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use memory_bank_core::caller::Caller;
use memory_bank_core::document::{CoreDocument, Etag};
use memory_bank_core::error::{StoreError, WorkspaceError};
use memory_bank_core::history::ChangeContext;
use memory_bank_core::store::{Bank, Change, Initialized, Workspace};

use super::FolderWorkspace;
use crate::access::confined;
use crate::bank::FolderBank;
use crate::bank_paths::{BankPaths, base_name, is_bank, make_project};
use crate::dir::reason;
use crate::history::ChangeAuthor;
use crate::lock::blocking;
use crate::new_bank::write_missing_core_documents;
use crate::rules_files::write_missing_rules;
use crate::upwards;

/// The folders of a bank, which exist now.
struct Prepared {
    paths: BankPaths,
    /// Whether the project's folder was made.
    made_project: bool,
    /// The project above a new bank that has a bank, too.
    above: Option<PathBuf>,
}

impl FolderWorkspace {
    /// Makes the missing parts of a bank and selects it.
    pub(super) async fn initialize_bank(
        &self,
        caller: &Caller,
        path: &str,
        rules: bool,
    ) -> Result<Initialized, WorkspaceError> {
        let _switching = self.switching.lock().await;
        let is_here = matches!(path.trim(), "" | "." | "./");
        // "Here" is the bank that the server found above, not a second one below it.
        let own = self.found.as_ref().filter(|_| is_here).map(|found| found.project.clone());
        let is_found = own.is_some();
        let path = own.map_or_else(|| self.path_from_client(path), Ok)?;
        let Prepared { paths, made_project, above } = self.prepare_folders(path).await?;
        let bank = self.open(paths);
        let created = write_core_documents(&bank, caller).await?;
        let mut outside = Vec::new();
        if made_project && self.shows_paths {
            outside.push(bank.project().display().to_string());
        }
        let mut warnings = Vec::new();
        if rules {
            let project = bank.project().to_owned();
            let (made, failed) = blocking(move || Ok::<_, StoreError>(write_missing_rules(&project))).await?;
            let shown = |name: String| match self.shows_paths {
                true => bank.project().join(name).display().to_string(),
                false => name,
            };
            outside.extend(made.into_iter().map(shown));
            warnings = failed;
        }
        self.activate(&bank, caller.project);
        if !created.is_empty() {
            self.deps.sink.changed(caller.project, Change::List);
        }
        let created = created.into_iter().map(|core| core.name().to_owned()).collect();
        let notice = if is_found { self.notice(caller) } else { self.notice_of_bank_above(above.as_deref()) };
        Ok(Initialized { location: bank.location(), created, outside, warnings, notice })
    }

    /// Makes the folders of the project and of the bank, if they are missing.
    async fn prepare_folders(&self, path: PathBuf) -> Result<Prepared, WorkspaceError> {
        let (origin, project, shows_paths) = (self.origin.clone(), self.project.clone(), self.shows_paths);
        blocking(move || {
            let paths = confined(&origin, &project, &path, shows_paths)?;
            let is_new = !is_bank(&origin.root(&paths));
            let above = if is_new { upwards::above(&origin, &paths.project) } else { None };
            let made_project = make_project(&paths.project).map_err(|why| {
                let why = if shows_paths { why } else { "the project's folder cannot be made".to_owned() };
                WorkspaceError::Refused(why)
            })?;
            origin.root(&paths).create().map_err(|error| {
                let bank =
                    if shows_paths { paths.bank.display().to_string() } else { base_name(&paths.bank) };
                WorkspaceError::Refused(format!("{bank} cannot be made: {}", reason(&error)))
            })?;
            Ok(Prepared { paths, made_project, above })
        })
        .await
    }

    /// The notice that a new bank hides another one, which is in the project `above`.
    fn notice_of_bank_above(&self, above: Option<&Path>) -> Option<String> {
        above.map(|above| {
            if self.shows_paths {
                return format!(
                    "there is a memory bank above this one, in {}; this new one is used from now on \
                     (set_memory_bank_path switches back)",
                    above.display()
                );
            }
            "there is a memory bank above this new one, which is used from now on".to_owned()
        })
    }
}

/// Writes the missing core documents, notifies of them, and returns them.
async fn write_core_documents(
    bank: &FolderBank,
    caller: &Caller,
) -> Result<Vec<CoreDocument>, WorkspaceError> {
    let guard = bank.lock.exclusive().await?;
    let (notifier, project) = (Arc::clone(&bank.notifier), caller.project);
    let context = ChangeContext::of_tool("initialize_memory_bank");
    let (history, by) =
        (bank.history.clone(), ChangeAuthor::caller(caller, context, bank.deps().clock.now()));
    blocking(move || {
        let created = write_missing_core_documents(guard.dir(), &history, &by)?;
        for core in &created {
            notifier.record_name(&core.path(), true);
            notifier.notify_document(project, &core.path(), Some(&Etag::of(core.template())));
        }
        drop(guard);
        Ok(created)
    })
    .await
}
