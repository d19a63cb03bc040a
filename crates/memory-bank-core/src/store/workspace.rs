//! Selection of the bank. Over stdio a process may open several folders; over HTTP the key's project is the bank.

use std::sync::Arc;

use async_trait::async_trait;
use serde::Serialize;
use serde_json::Value;

use crate::caller::Caller;
use crate::error::WorkspaceError;
use crate::mode::Mode;
use crate::store::Bank;

/// A bank that was created or completed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Initialized {
    /// The bank's directory in replies.
    pub location: String,
    /// Names of the created core documents.
    pub created: Vec<String>,
    /// Files and folders that were created outside of the bank: the project's folder, rules files.
    pub outside: Vec<String>,
    /// Failures outside of the bank, such as writing a rules file.
    pub warnings: Vec<String>,
    /// A notice about the location, such as another bank in a parent folder.
    pub notice: Option<String>,
}

/// A store as `list_stores` shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct StoreInfo {
    /// Its id.
    pub id: String,
    /// The project path, or the project's slug.
    pub path: String,
    /// Its kind.
    pub kind: StoreKind,
    /// Whether it is the bank in use.
    pub is_active: bool,
    /// Whether it has a graph.
    pub has_graph: bool,
    /// The number of documents.
    pub file_count: usize,
    /// ISO 8601.
    pub last_used_at: String,
}

/// The location of a store. The registry stores the word; nothing depends on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum StoreKind {
    /// On this machine.
    #[default]
    Local,
    /// Elsewhere.
    Remote,
}

/// The known stores, the active one first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct StoreList {
    /// The stores.
    pub stores: Vec<StoreInfo>,
    /// The id of the bank in use, or none.
    pub selected_store_id: Option<String>,
}

/// The selection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SelectTarget {
    /// A project path.
    Path(String),
    /// A registered store.
    Store(String),
}

/// The result of a selection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SelectedStore {
    /// Its id.
    pub id: String,
    /// The project path.
    pub path: String,
    /// The bank's directory.
    pub location: String,
}

/// An entry of the registry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, serde::Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RegisteredStore {
    /// Its id.
    pub store_id: String,
    /// The absolute project path.
    pub project_path: String,
    /// Its kind.
    pub kind: StoreKind,
    /// ISO 8601.
    pub registered_at: String,
    /// ISO 8601.
    pub last_used_at: String,
}

/// The relevant content of a mode's rules file.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ModeRules {
    /// This mode has no rules file.
    Absent,
    /// The rules are usable; `umb_trigger` is the pattern that starts UMB, if they have one.
    Valid {
        /// The pattern, repaired if it has a known error of the TypeScript server's files.
        umb_trigger: Option<String>,
    },
    /// The file exists but is invalid, with the error; it is never overwritten.
    Invalid(String),
}

/// Finds, opens, creates and selects banks. A failed call does not change the active bank.
#[async_trait]
pub trait Workspace: Send + Sync {
    /// The bank of a registered store, or the active one. Without an active bank, it searches for a new one.
    ///
    /// # Errors
    /// [`WorkspaceError::NoBank`], or [`WorkspaceError::UnknownStore`]: never another bank than the one named.
    async fn bank(&self, caller: &Caller, store: Option<&str>) -> Result<Arc<dyn Bank>, WorkspaceError>;

    /// Creates or completes the bank below `path` and activates it. It never overwrites. With `rules`, it also
    /// creates missing rules files of the modes, if the bank has a project folder.
    async fn initialize(
        &self,
        caller: &Caller,
        path: &str,
        rules: bool,
    ) -> Result<Initialized, WorkspaceError>;

    /// Activates an existing bank (its project path or the bank folder itself; `None` = the server's own project
    /// path) and returns its directory for replies. Creates nothing.
    async fn set_path(&self, caller: &Caller, path: Option<&str>) -> Result<String, WorkspaceError>;

    /// Whether paths select banks. If not, the caller's key determines the project.
    fn takes_paths(&self) -> bool {
        true
    }

    /// The known stores, with the bank that is in use.
    async fn stores(&self, caller: &Caller) -> Result<StoreList, WorkspaceError>;

    /// Selects another bank. Creates nothing.
    async fn select(&self, caller: &Caller, target: SelectTarget) -> Result<SelectedStore, WorkspaceError>;

    /// Adds or updates an entry of the registry.
    async fn register(
        &self,
        caller: &Caller,
        id: &str,
        path: &str,
        kind: StoreKind,
    ) -> Result<RegisteredStore, WorkspaceError>;

    /// Removes an entry of the registry; returns whether it existed.
    async fn unregister(&self, caller: &Caller, id: &str) -> Result<bool, WorkspaceError>;

    /// The rules of a mode.
    async fn mode_rules(&self, caller: &Caller, mode: Mode) -> Result<ModeRules, WorkspaceError>;

    /// A notice if the server was started outside of the bank's project.
    fn notice(&self, _caller: &Caller) -> Option<String> {
        None
    }

    /// Configuration for `debug_mcp_config`: `projectPath`, `folderName` and others, without secrets and values of
    /// environment variables.
    fn configuration(&self, caller: &Caller, verbose: bool) -> Value;
}
