//! Which folder bank is meant: found at the start, created, selected, or named by a registered id.
//!
//! All of it depends on one value, the active bank, so a switch is atomic; and there is one [`FolderBank`] per
//! directory, however it is reached. This module must not know what a bank contains.
//!
//! The rules files `.mcprules-<mode>` are created only on request, in the project of the bank that is initialised.
//! Without them the built-in rules apply. The only registry is the one in the server's project path; a second one in
//! the working directory could contradict it.

use parking_lot::{Mutex, RwLock};
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use async_trait::async_trait;
use memory_bank_core::caller::{Caller, ProjectId};
use memory_bank_core::clock::iso_millis;
use memory_bank_core::document::Etag;
use memory_bank_core::error::{StoreError, WorkspaceError};
use memory_bank_core::limits;
use memory_bank_core::mode::Mode;
use memory_bank_core::store::{
    Bank, Change, Initialized, ModeRules, RegisteredStore, SelectTarget, SelectedStore, StoreKind, StoreList,
    Workspace,
};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::approved::Approved;
use crate::bank::{Deps, FolderBank};
use crate::dir::{is_reserved, reason};
use crate::forms;
use crate::gate::{Gate, confined};
use crate::initial::complete;
use crate::listing::{id_of, list_stores};
use crate::lock::blocking;
use crate::place::{Origin, Place, base_name, is_bank, make_project};
use crate::registry::{REGISTRY_FILE, Registered, Registry};
use crate::rules::{read_rules, write_missing_rules};
use crate::search::{FolderIndexes, SealPlace, VectorStatus};
use crate::state::StateFolder;
use crate::upwards::{self, Found};
use crate::watch::Watch;
use memory_bank_core::search::{DenseCount, Embedder, ModelId};
use memory_bank_vectors::{Maker, MakerOptions, VectorUse};

/// How a server was started.
#[derive(Debug, Clone)]
pub struct FolderOptions {
    /// `--path`; the working directory when absent. The only place that is searched for a bank by default.
    pub path: Option<String>,
    /// `--folder`; `memory-bank` when absent.
    pub folder: Option<String>,
    /// The directory in which the process was started.
    pub working_directory: PathBuf,
    /// What `~` stands for.
    pub home: Option<PathBuf>,
    /// Whether to watch the active bank for changes by others.
    pub watch: bool,
    /// Whether clients are on this machine, and so may see and send paths.
    pub shows_paths: bool,
    /// Whether a bank may be reached through a link out of its project. Nothing in a repository decides this.
    pub follow_links: bool,
    /// Where registered folders outside of the project are stored; without, they are valid for this process only.
    pub state: Option<StateFolder>,
}

/// The project that `path` means, as [`FolderWorkspace::start`] finds it: the bank's folder itself may have been named, and
/// without `path` the bank may be above the working directory.
///
/// # Errors
/// `path` is not usable.
pub fn project_of(
    path: Option<&str>,
    folder: &str,
    working_directory: &Path,
    home: Option<PathBuf>,
) -> Result<PathBuf, WorkspaceError> {
    let origin = Origin {
        working_directory: working_directory.to_owned(),
        home,
        folder: folder.to_owned(),
        follow_links: false,
    };
    Ok(origin.project(path)?.0)
}

/// Whether a bank's folder may be called so: one name below the project.
///
/// # Errors
/// It may not; the text says why.
pub fn check_folder_name(name: &str) -> Result<(), String> {
    forms::check(name)?;
    if name.contains(['/', '\\']) || matches!(name, "." | ".." | "~") {
        return Err(format!("`{name}` is not one name; give the name of one folder, without `/`"));
    }
    if is_reserved(name) {
        return Err(format!("`{name}` belongs to version control or to the server; choose another name"));
    }
    Ok(())
}

/// The folder banks of one process.
#[derive(Debug)]
pub struct FolderWorkspace {
    origin: Origin,
    project: PathBuf,
    /// How the project was found, if it is not the folder in which the server was started.
    found: Option<Found>,
    registry: Registry,
    approved: Approved,
    deps: Deps,
    indexes: Arc<FolderIndexes>,
    shows_paths: bool,
    /// By canonical directory.
    banks: Mutex<HashMap<PathBuf, Arc<FolderBank>>>,
    active: RwLock<Option<Arc<FolderBank>>>,
    /// Watches the active bank, if that is wanted.
    watch: Option<Mutex<Option<Watch>>>,
    /// One change of the active bank at a time.
    switching: tokio::sync::Mutex<()>,
}

impl FolderWorkspace {
    /// A workspace that has looked for its bank.
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
        let _it_is_new =
            indexes.seal_place.set(SealPlace { state: options.state.clone(), project: seal_project });
        let workspace = Self {
            found,
            registry: Registry::new(&project),
            approved: Approved::new(&project, options.state),
            origin,
            project,
            deps,
            indexes,
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
        let place = self.locate(self.project.clone()).await?.ok_or(WorkspaceError::NoBank)?;
        let bank = self.open(place);
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

    /// Has vectors made with this embedder: for the bank in use at once, so that the first search has them, and for others when
    /// they are searched. The first embedder counts. With `is_read_only`, what is made stays in memory, and nothing is written beside a bank.
    pub fn set_embedder(&self, embedder: Arc<dyn Embedder>, options: MakerOptions, is_read_only: bool) {
        self.indexes.is_read_only.store(is_read_only, Ordering::Relaxed);
        let _the_first_one = self.indexes.maker.set(Maker::new(embedder, options));
        if let Some(bank) = self.active() {
            bank.prepare_vectors();
        }
    }

    /// What is there of the vectors of the bank in use.
    ///
    /// # Errors
    /// There is no bank, or it cannot be read.
    pub async fn vector_status(&self, model: Option<&ModelId>) -> Result<VectorStatus, WorkspaceError> {
        Ok(self.active_or_found().await?.vector_status(model).await?)
    }

    /// Drops the stored vectors of the bank in use, so that an embedder that is set next makes all anew; false while another
    /// process makes them.
    ///
    /// # Errors
    /// There is no bank, or it cannot be read or written.
    pub async fn forget_vectors(&self, model: &ModelId) -> Result<bool, WorkspaceError> {
        Ok(self.active_or_found().await?.forget_vectors(model).await?)
    }

    /// Makes no more vectors; waits at most so long for the batch that is under way.
    pub async fn stop_vectors(&self, wait: Duration) {
        if let Some(maker) = self.indexes.maker.get() {
            maker.stop(wait).await;
        }
    }

    /// How far the vectors of the banks are that are in memory.
    #[must_use]
    pub fn vectors_in_memory(&self) -> DenseCount {
        self.indexes.dense_count()
    }

    /// What was done for vectors since the start; none without a model.
    #[must_use]
    pub fn vector_use(&self) -> Option<VectorUse> {
        self.indexes.maker.get().map(Maker::usage)
    }

    /// The one bank object of this directory.
    fn open(&self, place: Place) -> Arc<FolderBank> {
        let key = fs_err::canonicalize(&place.bank).unwrap_or_else(|_| place.bank.clone());
        let mut banks = self.banks.lock();
        let bank = banks.entry(key).or_insert_with(|| {
            let bank = FolderBank::new(place.bank, place.project, self.deps.clone()).sharing(&self.indexes);
            let bank = if self.origin.follow_links { bank.following_links() } else { bank };
            Arc::new(if self.shows_paths { bank } else { bank.for_strangers() })
        });
        Arc::clone(bank)
    }

    /// The place that `path` means, if there is a bank.
    ///
    /// # Errors
    /// It is reached through a link out of the project.
    async fn locate(&self, path: PathBuf) -> Result<Option<Place>, WorkspaceError> {
        let (origin, project, shows_paths) = (self.origin.clone(), self.project.clone(), self.shows_paths);
        blocking(move || {
            let place = confined(&origin, &project, &path, shows_paths)?;
            Ok(Some(place).filter(|place| is_bank(&origin.root(place))))
        })
        .await
    }

    /// The path that a client's text means. The server's own project may have any name.
    fn given(&self, words: &str) -> Result<PathBuf, WorkspaceError> {
        if Path::new(words) == self.project { Ok(self.project.clone()) } else { self.origin.absolute(words) }
    }

    /// Whether an entry of the registry may be used: the registry may have come with the project, and must not lead
    /// out of it by itself.
    async fn check_entry(&self, store: &RegisteredStore) -> Result<(), WorkspaceError> {
        let gate = self.gate();
        let (id, path) = (store.store_id.clone(), store.project_path.clone());
        blocking(move || {
            if gate.lets_in(&path) {
                return Ok(());
            }
            Err(WorkspaceError::Refused(format!(
                "store \"{id}\" leads out of the project, to {path}, and was not registered on this machine: the file \
                 {REGISTRY_FILE} may be somebody else's. If it is yours, register it again (select_store with action \
                 register), or start the server with `--follow-links`"
            )))
        })
        .await
    }

    fn gate(&self) -> Gate {
        Gate { origin: self.origin.clone(), project: self.project.clone(), approved: self.approved.clone() }
    }

    async fn registered(&self) -> Result<Registered, StoreError> {
        let registry = self.registry.clone();
        blocking(move || registry.read()).await
    }

    /// The bank that a store id means, and never another one.
    async fn named(&self, id: &str) -> Result<Arc<FolderBank>, WorkspaceError> {
        let registered = self.registered().await?;
        let path = match registered.find(id) {
            Some(store) if store.kind == StoreKind::Remote => {
                return Err(WorkspaceError::Refused(format!(
                    "store \"{id}\" is remote; only local stores can be opened"
                )));
            }
            Some(store) => {
                self.check_entry(&store).await?;
                PathBuf::from(store.project_path)
            }
            None => match self.active().filter(|bank| base_name(bank.project()) == id) {
                Some(bank) => return Ok(bank),
                None if base_name(&self.project) == id => self.project.clone(),
                None => return Err(WorkspaceError::UnknownStore(id.to_owned())),
            },
        };
        match self.locate(path.clone()).await? {
            Some(place) => Ok(self.open(place)),
            None => Err(WorkspaceError::Refused(format!(
                "store \"{id}\" has no memory bank at {}; initialize_memory_bank makes one",
                path.display()
            ))),
        }
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
        let _switching = self.switching.lock().await;
        let is_here = matches!(path.trim(), "" | "." | "./");
        // "Here" is the bank that the server found above, not a second one below it.
        let own = self.found.as_ref().filter(|_| is_here).map(|found| found.project.clone());
        let is_found = own.is_some();
        let path = own.map_or_else(|| self.given(path), Ok)?;
        let (origin, project, shows_paths) = (self.origin.clone(), self.project.clone(), self.shows_paths);
        let (place, made_project, above) = blocking(move || {
            let place = confined(&origin, &project, &path, shows_paths)?;
            let is_new = !is_bank(&origin.root(&place));
            let above = if is_new { upwards::above(&origin, &place.project) } else { None };
            let made_project = make_project(&place.project).map_err(|why| {
                let why = if shows_paths { why } else { "the project's folder cannot be made".to_owned() };
                WorkspaceError::Refused(why)
            })?;
            origin.root(&place).create().map_err(|error| {
                let bank =
                    if shows_paths { place.bank.display().to_string() } else { base_name(&place.bank) };
                WorkspaceError::Refused(format!("{bank} cannot be made: {}", reason(&error)))
            })?;
            Ok::<_, WorkspaceError>((place, made_project, above))
        })
        .await?;
        let bank = self.open(place);
        let guard = bank.lock.exclusive().await?;
        let (notifier, told) = (Arc::clone(&bank.notifier), caller.project);
        let created = blocking(move || {
            let created = complete(guard.dir())?;
            for core in &created {
                notifier.name(&core.path(), true);
                notifier.document(told, &core.path(), Some(&Etag::of(core.template())));
            }
            drop(guard);
            Ok::<_, WorkspaceError>(created)
        })
        .await?;
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
        let notice = match above {
            _ if is_found => self.notice(caller),
            Some(above) if self.shows_paths => Some(format!(
                "there is a memory bank above this one, in {}; this new one is used from now on \
                 (set_memory_bank_path switches back)",
                above.display()
            )),
            Some(_) => {
                Some("there is a memory bank above this new one, which is used from now on".to_owned())
            }
            None => None,
        };
        Ok(Initialized { location: bank.location(), created, outside, warnings, notice })
    }

    async fn set_path(&self, caller: &Caller, path: Option<&str>) -> Result<String, WorkspaceError> {
        let _switching = self.switching.lock().await;
        let path = match path {
            None => self.project.clone(),
            Some(path) => self.given(path)?,
        };
        let place = self.locate(path).await?.ok_or(WorkspaceError::NotABank)?;
        let bank = self.open(place);
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
        let (gate, now) = (self.gate(), self.now());
        blocking(move || Ok(list_stores(&gate, active.as_deref(), &registered, &now))).await
    }

    async fn select(&self, caller: &Caller, target: SelectTarget) -> Result<SelectedStore, WorkspaceError> {
        let _switching = self.switching.lock().await;
        let bank = match &target {
            SelectTarget::Store(id) => self.named(id).await?,
            SelectTarget::Path(words) => {
                let path = self.given(words)?;
                if !path.is_dir() {
                    return Err(WorkspaceError::NoSuchPath(words.clone()));
                }
                match self.locate(path).await? {
                    Some(place) => self.open(place),
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
        if id.trim().is_empty() || id.len() > limits::LABEL_BYTES || id.chars().any(char::is_control) {
            return Err(WorkspaceError::Refused(format!(
                "a storeId is a short text without control characters, at most {} bytes",
                limits::LABEL_BYTES
            )));
        }
        let project_path = match kind {
            StoreKind::Remote => path.to_owned(),
            StoreKind::Local => {
                let path = self.given(path)?;
                let (origin, project, shows_paths) =
                    (self.origin.clone(), self.project.clone(), self.shows_paths);
                let place = blocking(move || confined(&origin, &project, &path, shows_paths)).await?;
                place.project.display().to_string()
            }
        };
        let (now, registry, store_id) = (self.now(), self.registry.clone(), id.to_owned());
        let gate = self.gate();
        blocking(move || {
            if kind == StoreKind::Local && !gate.lets_in(&project_path) {
                gate.approved.add(&project_path);
            }
            registry.change(|all| {
                let registered_at =
                    all.find(&store_id).map_or_else(|| now.clone(), |store| store.registered_at);
                let store =
                    RegisteredStore { store_id, project_path, kind, registered_at, last_used_at: now };
                all.put(&store)?;
                Ok(store)
            })
        })
        .await
    }

    async fn unregister(&self, _caller: &Caller, id: &str) -> Result<bool, WorkspaceError> {
        let (registry, approved, id) = (self.registry.clone(), self.approved.clone(), id.to_owned());
        blocking(move || {
            if !registry.exists() {
                return Ok(false);
            }
            let (removed, path) = registry.change(|all| {
                let path = all.find(&id).map(|store| store.project_path);
                let removed = all.remove(&id);
                Ok((removed, path.filter(|path| !all.stores().any(|store| store.project_path == *path))))
            })?;
            if let Some(path) = path {
                approved.remove(&path)?;
            }
            Ok(removed)
        })
        .await
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

impl FolderWorkspace {
    /// Records the selection in the registry, and returns its id. Without any registration no file is created.
    async fn note_selection(
        &self,
        bank: &Arc<FolderBank>,
        wanted: Option<&str>,
    ) -> Result<String, WorkspaceError> {
        let registered = self.registered().await?;
        let id = match wanted {
            Some(id) => id.to_owned(),
            None => {
                let (gate, bank) = (self.gate(), Arc::clone(bank));
                blocking(move || Ok::<_, StoreError>(id_of(&gate, &bank, &registered))).await?
            }
        };
        if !self.registry.exists() {
            return Ok(id);
        }
        let (registry, now, noted) = (self.registry.clone(), self.now(), id.clone());
        blocking(move || {
            registry.change(|all| match all.find(&noted) {
                Some(store) => {
                    all.put(&RegisteredStore { last_used_at: now, ..store })?;
                    all.select(Some(&noted));
                    Ok(())
                }
                None => {
                    all.select(None);
                    Ok(())
                }
            })
        })
        .await?;
        Ok(id)
    }
}
