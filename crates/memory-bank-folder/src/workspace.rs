//! Which folder bank is meant: found at the start, created, selected, or named by a registered id.
//!
//! All of it depends on one value, the active bank, so a switch is atomic; and there is one [`FolderBank`] per
//! directory, however it is reached. This module must not know what a bank contains.
//!
//! The rules files `.mcprules-<mode>` are created only on request, in the project of the bank that is initialised.
//! Without them the built-in rules apply. The only registry is the one in the server's project path; a second one in
//! the working directory could contradict it.

mod initialize;
mod options;
mod registered_stores;
mod vectors;

use parking_lot::{Mutex, RwLock};
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use memory_bank_core::caller::{Caller, ProjectId};
use memory_bank_core::clock::iso_millis;
use memory_bank_core::error::{StoreError, WorkspaceError};
use memory_bank_core::mode::Mode;
use memory_bank_core::store::{
    Bank, Change, Initialized, ModeRules, RegisteredStore, SelectTarget, SelectedStore, StoreKind, StoreList,
    Workspace,
};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::access::{RegistryAccess, confined};
use crate::approved_folders::ApprovedFolders;
use crate::bank::{Deps, FolderBank};
use crate::bank_paths::{BankPaths, Origin, base_name, is_bank};
use crate::history::HistorySettings;
use crate::lock::blocking;
use crate::registry::{REGISTRY_FILE, Registered, Registry};
use crate::rules_files::read_rules;
use crate::search::{FolderIndexes, SealLocation};
use crate::store_list::list_stores;
use crate::upwards::Found;
use crate::watch::Watch;
pub use options::{FolderOptions, check_folder_name, project_of};

/// The folder banks of one process.
#[derive(Debug)]
pub struct FolderWorkspace {
    origin: Origin,
    project: PathBuf,
    /// How the project was found, if it is not the folder in which the server was started.
    found: Option<Found>,
    registry: Registry,
    approved: ApprovedFolders,
    deps: Deps,
    indexes: Arc<FolderIndexes>,
    history: Arc<HistorySettings>,
    shows_paths: bool,
    /// By canonical directory.
    banks: Mutex<HashMap<PathBuf, Arc<FolderBank>>>,
    active: RwLock<Option<Arc<FolderBank>>>,
    /// Watches the active bank, if watching is enabled.
    watch: Option<Mutex<Option<Watch>>>,
    /// One change of the active bank at a time.
    switching: tokio::sync::Mutex<()>,
}

impl FolderWorkspace {
    /// A workspace that has searched for its bank.
    ///
    /// # Errors
    /// `--path` or `--folder` is not usable.
    pub async fn start(options: FolderOptions, deps: Deps) -> Result<Self, WorkspaceError> {
        let folder = options.folder.unwrap_or_else(|| "memory-bank".to_owned());
        check_folder_name(&folder).map_err(|why| WorkspaceError::Refused(format!("--folder: {why}")))?;
        let origin = Origin {
            working_directory: options.working_directory,
            home: options.home,
            folder,
            follow_links: options.follow_links,
        };
        let (project, found) = origin.project(options.path.as_deref())?;
        if let Some(found) = &found {
            tracing::info!(
                project = %found.project.display(), started_in = %origin.working_directory.display(),
                main_checkout = found.in_main_checkout, "using the memory bank of another folder than the current one"
            );
        }
        let indexes = Arc::<FolderIndexes>::default();
        let seal_project = fs_err::canonicalize(&project).unwrap_or_else(|_| project.clone());
        let seal_location = SealLocation { state: options.state.clone(), project: seal_project };
        let history = Arc::new(HistorySettings::with_seal(seal_location.clone()));
        let _it_is_new = indexes.seal_location.set(seal_location);
        let workspace = Self {
            found,
            registry: Registry::new(&project),
            approved: ApprovedFolders::new(&project, options.state),
            origin,
            project,
            deps,
            indexes,
            history,
            shows_paths: options.shows_paths,
            banks: Mutex::default(),
            active: RwLock::default(),
            watch: options.watch.then(Mutex::default),
            switching: tokio::sync::Mutex::default(),
        };
        if let Err(error) = workspace.active_or_found().await
            && !matches!(error, WorkspaceError::NoBank)
        {
            tracing::warn!(%error, "the memory bank could not be opened at start");
        }
        Ok(workspace)
    }

    /// The bank in use; while there is none, the server's own place is checked again.
    async fn active_or_found(&self) -> Result<Arc<FolderBank>, WorkspaceError> {
        if let Some(bank) = self.active() {
            return Ok(bank);
        }
        let _switching = self.switching.lock().await;
        if let Some(bank) = self.active() {
            return Ok(bank);
        }
        let paths = self.locate(self.project.clone()).await?.ok_or(WorkspaceError::NoBank)?;
        let bank = self.open(paths);
        self.activate(&bank, ProjectId(Uuid::nil()));
        Ok(bank)
    }

    fn active(&self) -> Option<Arc<FolderBank>> {
        self.active.read().clone()
    }

    /// Makes this bank the one in use. Subscribers are notified if there was another one before.
    fn activate(&self, bank: &Arc<FolderBank>, project: ProjectId) {
        let before = self.active.write().replace(Arc::clone(bank));
        if before.as_ref().is_some_and(|before| Arc::ptr_eq(before, bank)) {
            return;
        }
        if let Some(watch) = &self.watch {
            let new = Watch::start(Arc::clone(bank), project);
            *watch.lock() = Some(new);
        }
        if before.is_some() {
            self.deps.sink.changed(project, Change::List);
        }
    }

    /// The one bank object of this directory.
    fn open(&self, paths: BankPaths) -> Arc<FolderBank> {
        let key = fs_err::canonicalize(&paths.bank).unwrap_or_else(|_| paths.bank.clone());
        let mut banks = self.banks.lock();
        let bank = banks.entry(key).or_insert_with(|| {
            let bank = FolderBank::new(paths.bank, paths.project, self.deps.clone()).sharing(&self.indexes);
            let bank = bank.keeping_history(&self.history);
            let bank = if self.origin.follow_links { bank.following_links() } else { bank };
            Arc::new(if self.shows_paths { bank } else { bank.for_remote_clients() })
        });
        Arc::clone(bank)
    }

    /// The place that `path` means, if there is a bank.
    ///
    /// # Errors
    /// It is reached through a link out of the project.
    async fn locate(&self, path: PathBuf) -> Result<Option<BankPaths>, WorkspaceError> {
        let (origin, project, shows_paths) = (self.origin.clone(), self.project.clone(), self.shows_paths);
        blocking(move || {
            let paths = confined(&origin, &project, &path, shows_paths)?;
            Ok(Some(paths).filter(|paths| is_bank(&origin.root(paths))))
        })
        .await
    }

    /// The path that a client's text means. The server's own project may have any name.
    fn path_from_client(&self, words: &str) -> Result<PathBuf, WorkspaceError> {
        if Path::new(words) == self.project { Ok(self.project.clone()) } else { self.origin.absolute(words) }
    }

    fn access(&self) -> RegistryAccess {
        RegistryAccess {
            origin: self.origin.clone(),
            project: self.project.clone(),
            approved: self.approved.clone(),
        }
    }

    /// Sets for how many days all versions of documents are kept, 365 without this call; then one a day stays. With 0, and with
    /// `is_read_only`, no version is added, and those that exist stay.
    pub fn set_history(&self, days: u32, is_read_only: bool) {
        self.history.set(days, is_read_only);
    }

    fn now(&self) -> String {
        iso_millis(self.deps.clock.now())
    }
}

#[async_trait]
impl Workspace for FolderWorkspace {
    async fn bank(&self, _caller: &Caller, store: Option<&str>) -> Result<Arc<dyn Bank>, WorkspaceError> {
        match store {
            None => Ok(self.active_or_found().await?),
            Some(id) => Ok(self.named(id).await?),
        }
    }

    async fn initialize(
        &self,
        caller: &Caller,
        path: &str,
        rules: bool,
    ) -> Result<Initialized, WorkspaceError> {
        self.initialize_bank(caller, path, rules).await
    }

    async fn set_path(&self, caller: &Caller, path: Option<&str>) -> Result<String, WorkspaceError> {
        let _switching = self.switching.lock().await;
        let path = match path {
            None => self.project.clone(),
            Some(path) => self.path_from_client(path)?,
        };
        let paths = self.locate(path).await?.ok_or(WorkspaceError::NotABank)?;
        let bank = self.open(paths);
        self.activate(&bank, caller.project);
        Ok(bank.location())
    }

    async fn stores(&self, _caller: &Caller) -> Result<StoreList, WorkspaceError> {
        let active = match self.active_or_found().await {
            Ok(bank) => Some(bank),
            Err(WorkspaceError::NoBank) => None,
            Err(error) => return Err(error),
        };
        let registered = match self.registered().await {
            Ok(registered) => registered,
            Err(error) if active.is_some() => {
                // The bank in use is known all the same; the registry's error is reported when it is to be changed.
                tracing::warn!(%error, "the registry cannot be read");
                Registered::default()
            }
            Err(error) => return Err(error.into()),
        };
        let (access, now) = (self.access(), self.now());
        blocking(move || Ok(list_stores(&access, active.as_deref(), &registered, &now))).await
    }

    async fn select(&self, caller: &Caller, target: SelectTarget) -> Result<SelectedStore, WorkspaceError> {
        let _switching = self.switching.lock().await;
        let bank = match &target {
            SelectTarget::Store(id) => self.named(id).await?,
            SelectTarget::Path(words) => {
                let path = self.path_from_client(words)?;
                if !path.is_dir() {
                    return Err(WorkspaceError::NoSuchPath(words.clone()));
                }
                match self.locate(path).await? {
                    Some(paths) => self.open(paths),
                    None => {
                        return Err(WorkspaceError::Refused(format!(
                            "{words} has no memory bank; initialize_memory_bank makes one"
                        )));
                    }
                }
            }
        };
        let wanted = match target {
            SelectTarget::Store(id) => Some(id),
            SelectTarget::Path(_) => None,
        };
        let id = match self.note_selection(&bank, wanted.as_deref()).await {
            Ok(id) => id,
            Err(error) => {
                // The selection is valid for this process; only its record is missing.
                tracing::warn!(%error, "the selection could not be stored in the registry");
                wanted.unwrap_or_else(|| base_name(bank.project()))
            }
        };
        self.activate(&bank, caller.project);
        Ok(SelectedStore { id, path: bank.project().display().to_string(), location: bank.location() })
    }

    async fn register(
        &self,
        _caller: &Caller,
        id: &str,
        path: &str,
        kind: StoreKind,
    ) -> Result<RegisteredStore, WorkspaceError> {
        self.register_store(id, path, kind).await
    }

    async fn unregister(&self, _caller: &Caller, id: &str) -> Result<bool, WorkspaceError> {
        self.unregister_store(id).await
    }

    async fn mode_rules(&self, _caller: &Caller, mode: Mode) -> Result<ModeRules, WorkspaceError> {
        // The project of the bank in use comes first, and then that of the server, whose rules held for every bank.
        let active = self.active().map(|bank| bank.project().to_owned());
        let own = self.project.clone();
        let rules = blocking(move || {
            for project in active.iter().chain([&own]) {
                match read_rules(project, mode)? {
                    ModeRules::Absent => {}
                    rules => return Ok(rules),
                }
            }
            Ok::<_, StoreError>(ModeRules::Absent)
        });
        Ok(rules.await?)
    }

    fn notice(&self, _caller: &Caller) -> Option<String> {
        let found = self.found.as_ref()?;
        // Another bank may have been chosen since.
        self.active().filter(|bank| bank.project() == found.project)?;
        let what = if found.in_main_checkout {
            "the server was started in a worktree, and this is the memory bank of its main checkout"
        } else {
            "the server was started in a folder below, and this is the nearest memory bank up to the repository's root"
        };
        Some(if self.shows_paths {
            format!(
                "{what} (started in {}; `--path` chooses another)",
                self.origin.working_directory.display()
            )
        } else {
            what.to_owned()
        })
    }

    fn configuration(&self, _caller: &Caller, verbose: bool) -> Value {
        let mut configuration = json!({
            "projectPath": self.project.display().to_string(),
            "folderName": self.origin.folder,
            "cwd": self.origin.working_directory.display().to_string(),
        });
        if verbose && let Some(members) = configuration.as_object_mut() {
            members
                .insert("registry".to_owned(), json!(self.project.join(REGISTRY_FILE).display().to_string()));
            members.insert("registryExists".to_owned(), json!(self.registry.exists()));
        }
        configuration
    }
}
