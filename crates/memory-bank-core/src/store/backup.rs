//! Backups of a whole bank: documents and graph.

use async_trait::async_trait;
use jiff::Timestamp;

use crate::caller::Caller;
use crate::document::BACKUP_PREFIX;
use crate::error::StoreError;

/// Checks that this has the form of a backup id, which is also a single path component.
///
/// # Errors
/// It has another form; the text has the remedy.
pub fn check_backup_id(id: &str) -> Result<(), BackupError> {
    if id.is_empty() {
        return Err(BackupError::Refused(
            "Backup ID is required. create_backup with listOnly shows them".to_owned(),
        ));
    }
    let rest = id.strip_prefix(BACKUP_PREFIX).unwrap_or_default();
    let plain = rest.bytes().all(|byte| byte.is_ascii_digit() || matches!(byte, b'T' | b'Z' | b'-'));
    if rest.len() < 10 || rest.len() > 40 || !plain {
        return Err(BackupError::Refused(format!(
            "`{id}` is not the id of a backup; create_backup with listOnly shows the ids"
        )));
    }
    Ok(())
}

/// The time in the id of a backup, `memory-bank-backup-2026-11-22T09-30-07-045Z`, which may end with a number; `None`
/// if it has no time.
#[must_use]
pub fn backup_time(id: &str) -> Option<Timestamp> {
    let (date, time) = id.strip_prefix(BACKUP_PREFIX)?.split_once('T')?;
    let time = time.split_once('Z').map_or(time, |(time, _)| time);
    let mut parts = time.split('-');
    let (hours, minutes, seconds) = (parts.next()?, parts.next()?, parts.next()?);
    let millis = parts.next().unwrap_or("0");
    format!("{date}T{hours}:{minutes}:{seconds}.{millis}Z").parse().ok()
}

/// One backup.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Backup {
    /// `memory-bank-backup-2026-11-22T09-30-07-045Z`
    pub id: String,
    /// When it was created.
    pub timestamp: Timestamp,
    /// Where it is: an absolute path over stdio, the id over HTTP.
    pub location: String,
}

/// The result of a restore.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Restored {
    /// The restored documents (and graph files), sorted.
    pub files: Vec<String>,
    /// Documents that are newer than the backup and were not changed, sorted.
    pub kept: Vec<String>,
    /// The backup of the state before the restore, if requested.
    pub safety: Option<Backup>,
}

/// Why a backup or restore failed. The bank did not change.
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
    /// Copies documents and graph. Over stdio, `directory` is a folder below the project; elsewhere it is ignored.
    async fn create_backup(&self, caller: &Caller, directory: Option<&str>) -> Result<Backup, BackupError>;

    /// All backups, newest first.
    async fn list_backups(
        &self,
        caller: &Caller,
        directory: Option<&str>,
    ) -> Result<Vec<Backup>, BackupError>;

    /// Restores documents and graph from a backup, all or nothing. `safety` backs up the current state first, and
    /// aborts if that fails.
    async fn restore_backup(&self, caller: &Caller, id: &str, safety: bool) -> Result<Restored, BackupError>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_that_could_be_paths_are_refused() {
        for id in [
            "",
            "../x",
            "memory-bank-backup-../../etc",
            "memory-bank-backup-",
            "x",
            "memory-bank-backup-2026/11",
        ] {
            check_backup_id(id).unwrap_err();
        }
        check_backup_id("memory-bank-backup-2026-11-22T09-30-07-045Z-2").unwrap();
    }
}
