//! Which bank is meant. Over stdio a process may open several folders; over HTTP the key's project is the bank.

use std::sync::Arc;

use async_trait::async_trait;
use serde::Serialize;
use serde_json::Value;

use crate::caller::Caller;
use crate::error::WorkspaceError;
use crate::mode::Mode;
use crate::store::Bank;

/// A bank that was made or completed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Initialized {
    /// The bank's directory in replies.
    pub location: String,
    /// Names of the core documents that were missing and are there now.
    pub created: Vec<String>,
    /// Files and folders that were created outside of the bank: the project's folder, rules files.
    pub outside: Vec<String>,
    /// Failures beside the bank itself, such as writing a rules file.
    pub warnings: Vec<String>,
    /// A notice for the caller about the location, such as another bank above.
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
    /// Where it lives.
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

/// Where a store lives; the registry keeps the word, nothing depends on it.
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
    /// Where it lives.
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
        /// The pattern, repaired where the original's files are known to be wrong.
        umb_trigger: Option<String>,
    },
    /// The file exists but is invalid; it is never overwritten. Has the error.
    Invalid(String),
}

/// Finds, opens, makes and chooses banks. A failed call leaves the active bank as it was.
#[async_trait]
pub trait Workspace: Send + Sync {
    /// The bank of a registered store, or the active one. Looks for a bank that appeared since.
    ///
    /// # Errors
    /// [`WorkspaceError::NoBank`], or [`WorkspaceError::UnknownStore`]: never another bank than the one named.
    async fn bank(&self, caller: &Caller, store: Option<&str>) -> Result<Arc<dyn Bank>, WorkspaceError>;

    /// Makes or completes the bank below `path` and activates it. Never overwrites. With `rules`, the bank's project gets
    /// the rules files of the modes that it lacks, where a bank has a project folder.
    async fn initialize(
        &self,
        caller: &Caller,
        path: &str,
        rules: bool,
    ) -> Result<Initialized, WorkspaceError>;

    /// Activates an existing bank (its project path or the bank folder itself; `None` = the server's own project
    /// path) and returns what replies show as its directory. Creates nothing.
    async fn set_path(&self, caller: &Caller, path: Option<&str>) -> Result<String, WorkspaceError>;

    /// Whether a path chooses the bank. Where it does not, the caller's key decides the project.
    fn takes_paths(&self) -> bool {
        true
    }

    /// The known stores, derived from the bank really in use.
    async fn stores(&self, caller: &Caller) -> Result<StoreList, WorkspaceError>;

    /// Chooses another bank. Creates none.
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

    /// A notice for users of the bank if the server was started elsewhere.
    fn notice(&self, _caller: &Caller) -> Option<String> {
        None
    }

    /// Configuration for `debug_mcp_config`: `projectPath`, `folderName` and what else may be shown. No secret, no
    /// environment variable's value.
    fn configuration(&self, caller: &Caller, verbose: bool) -> Value;
}
