//! Banks by their ids in the registry: opened, added, removed, and recorded when they are selected.

use std::path::PathBuf;
use std::sync::Arc;

use memory_bank_core::error::{StoreError, WorkspaceError};
use memory_bank_core::limits;
use memory_bank_core::store::{RegisteredStore, StoreKind};

use super::FolderWorkspace;
use crate::access::confined;
use crate::bank::FolderBank;
use crate::bank_paths::base_name;
use crate::lock::blocking;
use crate::registry::{REGISTRY_FILE, Registered};
use crate::store_list::id_of;

impl FolderWorkspace {
    /// Whether an entry of the registry may be used: the registry may have come with the project, and must not lead
    /// out of it by itself.
    async fn check_entry(&self, store: &RegisteredStore) -> Result<(), WorkspaceError> {
        let access = self.access();
        let (id, path) = (store.store_id.clone(), store.project_path.clone());
        blocking(move || {
            if access.allows(&path) {
                return Ok(());
            }
            Err(WorkspaceError::Refused(format!(
                "store \"{id}\" leads out of the project, to {path}, and was not registered on this machine: the file \
                 {REGISTRY_FILE} may be another person's. If it is yours, register it again (select_store with action \
                 register), or start the server with `--follow-links`"
            )))
        })
        .await
    }

    /// The registry as it is now.
    pub(super) async fn registered(&self) -> Result<Registered, StoreError> {
        let registry = self.registry.clone();
        blocking(move || registry.read()).await
    }

    /// The bank that a store id means, and never another one.
    pub(super) async fn named(&self, id: &str) -> Result<Arc<FolderBank>, WorkspaceError> {
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
            Some(paths) => Ok(self.open(paths)),
            None => Err(WorkspaceError::Refused(format!(
                "store \"{id}\" has no memory bank at {}; initialize_memory_bank makes one",
                path.display()
            ))),
        }
    }

    /// Records the selection in the registry, and returns its id. Without any registration no file is created.
    pub(super) async fn note_selection(
        &self,
        bank: &Arc<FolderBank>,
        wanted: Option<&str>,
    ) -> Result<String, WorkspaceError> {
        let registered = self.registered().await?;
        let id = match wanted {
            Some(id) => id.to_owned(),
            None => {
                let (access, bank) = (self.access(), Arc::clone(bank));
                blocking(move || Ok::<_, StoreError>(id_of(&access, &bank, &registered))).await?
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

    /// Adds an entry to the registry, or replaces it.
    pub(super) async fn register_store(
        &self,
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
                let path = self.path_from_client(path)?;
                let (origin, project, shows_paths) =
                    (self.origin.clone(), self.project.clone(), self.shows_paths);
                let paths = blocking(move || confined(&origin, &project, &path, shows_paths)).await?;
                paths.project.display().to_string()
            }
        };
        let (now, registry, store_id) = (self.now(), self.registry.clone(), id.to_owned());
        let access = self.access();
        blocking(move || {
            if kind == StoreKind::Local && !access.allows(&project_path) {
                access.approved.add(&project_path);
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

    /// Removes an entry of the registry; false if there is none.
    pub(super) async fn unregister_store(&self, id: &str) -> Result<bool, WorkspaceError> {
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
}
