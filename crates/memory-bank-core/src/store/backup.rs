//! Backups of a whole bank: documents and graph.

use async_trait::async_trait;
use jiff::Timestamp;

use crate::caller::Caller;
use crate::error::StoreError;

/// One backup.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Backup {
    /// `memory-bank-backup-2026-11-22T09-30-07-045Z`
    pub id: String,
    /// When it was made.
    pub timestamp: Timestamp,
    /// Where it is: an absolute path over stdio, the id over HTTP.
    pub location: String,
}

/// The result of a restore.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Restored {
    /// The documents (and graph files) that were put back, sorted.
    pub files: Vec<String>,
    /// Documents that are newer than the backup and were left in place, sorted.
    pub kept: Vec<String>,
    /// The backup that was created beforehand, if requested.
    pub safety: Option<Backup>,
}

/// Why a backup or restore was not made. The bank is as before.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BackupError {
    /// No backup has this id.
    #[error("Backup not found: {0}; create_backup with listOnly shows the ids")]
    NotFound(String),
    /// The id, or the directory, is invalid; the text has the reason.
    #[error("{0}")]
    Refused(String),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Backups of one project.
#[async_trait]
pub trait BackupStore: Send + Sync {
    /// Copies documents and graph aside. `directory` names a place below the project over stdio; elsewhere it is a
    /// label that changes nothing.
    async fn create_backup(&self, caller: &Caller, directory: Option<&str>) -> Result<Backup, BackupError>;

    /// All backups, newest first.
    async fn list_backups(
        &self,
        caller: &Caller,
        directory: Option<&str>,
    ) -> Result<Vec<Backup>, BackupError>;

    /// Puts a backup back: all or nothing, documents and graph. `safety` makes a backup of the present state first
    /// and refuses to go on if that fails.
    async fn restore_backup(&self, caller: &Caller, id: &str, safety: bool) -> Result<Restored, BackupError>;
}
