//! One fixed bank: over HTTP a path is only a label and opens nothing.

use std::sync::Arc;

use async_trait::async_trait;
use memory_bank_core::caller::Caller;
use memory_bank_core::error::WorkspaceError;
use memory_bank_core::mode::Mode;
use memory_bank_core::store::{
    Bank, Initialized, ModeRules, RegisteredStore, SelectTarget, SelectedStore, StoreKind, StoreList,
    Workspace,
};
use serde_json::{Value, json};

/// A workspace that always uses the bank that it was created with.
pub struct PinnedWorkspace {
    inner: Arc<dyn Workspace>,
    project: String,
}

impl PinnedWorkspace {
    /// Pins `inner` to the bank of the project at `project`.
    #[must_use]
    pub fn new(inner: Arc<dyn Workspace>, project: String) -> Self {
        Self { inner, project }
    }

    fn named(&self, location: &str) -> String {
        let project = self.project.trim_end_matches('/');
        let below = location.strip_prefix(project).unwrap_or(location).trim_start_matches('/');
        below.rsplit('/').next().unwrap_or(below).to_owned()
    }
}

fn refused() -> WorkspaceError {
    WorkspaceError::Refused(
        "this server serves one memory bank; another one takes another server or key".to_owned(),
    )
}

#[async_trait]
impl Workspace for PinnedWorkspace {
    async fn bank(&self, caller: &Caller, store: Option<&str>) -> Result<Arc<dyn Bank>, WorkspaceError> {
        if let Some(id) = store {
            let known = self.stores(caller).await?.stores.iter().any(|store| store.id == id);
            if !known {
                return Err(WorkspaceError::UnknownStore(id.to_owned()));
            }
        }
        self.inner.bank(caller, None).await
    }

    async fn initialize(
        &self,
        caller: &Caller,
        _path: &str,
        rules: bool,
    ) -> Result<Initialized, WorkspaceError> {
        let made = self.inner.initialize(caller, &self.project, rules).await?;
        Ok(Initialized { location: self.named(&made.location), ..made })
    }

    async fn set_path(&self, caller: &Caller, _path: Option<&str>) -> Result<String, WorkspaceError> {
        Ok(self.named(&self.inner.set_path(caller, None).await?))
    }

    fn takes_paths(&self) -> bool {
        false
    }

    async fn stores(&self, caller: &Caller) -> Result<StoreList, WorkspaceError> {
        let mut list = self.inner.stores(caller).await?;
        list.stores.retain(|store| store.is_active);
        for store in &mut list.stores {
            store.path = self.named(&store.path);
        }
        Ok(list)
    }

    async fn select(&self, caller: &Caller, target: SelectTarget) -> Result<SelectedStore, WorkspaceError> {
        let own = self.stores(caller).await?.stores.into_iter().next().ok_or(WorkspaceError::NoBank)?;
        let is_own = match &target {
            SelectTarget::Path(path) => *path == own.path,
            SelectTarget::Store(id) => *id == own.id,
        };
        if !is_own {
            return Err(refused());
        }
        let location = self.named(&self.inner.bank(caller, None).await?.location());
        Ok(SelectedStore { id: own.id, path: own.path, location })
    }

    async fn register(
        &self,
        _caller: &Caller,
        _id: &str,
        _path: &str,
        _kind: StoreKind,
    ) -> Result<RegisteredStore, WorkspaceError> {
        Err(refused())
    }

    async fn unregister(&self, _caller: &Caller, _id: &str) -> Result<bool, WorkspaceError> {
        Err(refused())
    }

    async fn mode_rules(&self, caller: &Caller, mode: Mode) -> Result<ModeRules, WorkspaceError> {
        self.inner.mode_rules(caller, mode).await
    }

    fn notice(&self, caller: &Caller) -> Option<String> {
        self.inner.notice(caller)
    }

    fn configuration(&self, _caller: &Caller, _verbose: bool) -> Value {
        json!({"projectPath": self.named(&self.project), "folderName": "memory-bank"})
    }
}
