//! A project's folder that is read as a whole, under the bank's lock.

use std::path::Path;

use jiff::Timestamp;
use memory_bank_core::compact_sort::CompactSort as _;
use memory_bank_core::error::StoreError;
use memory_bank_core::limits;
use memory_bank_core::mode::{Mode, RULES_PREFIXES};
use memory_bank_core::store::{SessionState, backup_time, check_backup_id};
use memory_bank_core::transfer::{BankCopy, FileCopy, ProjectCopy};

use super::{STATE, TransferError};
use crate::backups::{BACKUPS_FOLDER, Survey, survey};
use crate::bank_paths::{BankPaths, Origin, is_bank, leads_out};
use crate::dir::{BankDir, FileRead, Root};
use crate::lock::{BankLock, blocking};

/// The largest state file that is read.
const STATE_BYTES: u64 = 16 * 1024 * 1024;

/// A project's folder as a source. Nothing in it is changed.
#[derive(Debug, Clone)]
pub struct FolderSource {
    paths: BankPaths,
    root: Root,
}

impl FolderSource {
    /// The project that `path` means: its folder, or the bank's folder itself, which is called `folder`.
    ///
    /// # Errors
    /// There is no bank, or only through a link out of the project, and `follow_links` does not allow it.
    pub fn open(path: &Path, folder: &str, follow_links: bool) -> Result<Self, TransferError> {
        let origin = Origin {
            working_directory: path.to_owned(),
            home: None,
            folder: folder.to_owned(),
            follow_links,
        };
        let paths = origin.paths(path);
        let root = origin.root(&paths);
        if let Some(to) = root.leads_out() {
            return Err(TransferError::Refused(leads_out(&paths.bank, &to, true)));
        }
        let has_graph = || root.open().is_ok_and(|dir| dir.stamp("graph/graph.jsonl").is_some());
        // All its documents may have been deleted.
        let has_history = || root.open().is_ok_and(|dir| dir.has_history());
        if is_bank(&root) || has_graph() || has_history() {
            return Ok(Self { paths, root });
        }
        Err(TransferError::Refused(format!(
            "there is no memory bank in `{}`; name the bank's folder or the project's folder that holds it",
            path.display()
        )))
    }

    /// The bank's folder.
    #[must_use]
    pub fn bank(&self) -> &Path {
        &self.paths.bank
    }

    pub(super) fn root(&self) -> &Root {
        &self.root
    }

    /// The project's folder.
    pub(super) fn project_folder(&self) -> &Path {
        &self.paths.project
    }

    /// Reads the bank under its lock, the rules files, and the mode that an export stored.
    ///
    /// # Errors
    /// Something cannot be read or moved, with its name; nothing is left out silently.
    pub async fn project(&self) -> Result<ProjectCopy, TransferError> {
        let lock = BankLock::new(self.root.clone());
        let project = self.paths.project.clone();
        for last in [false, true] {
            let guard = lock.shared().await?;
            let project = project.clone();
            let (copy, is_whole) = blocking(move || {
                let bank = read_bank(guard.dir())?;
                let copy =
                    ProjectCopy { bank, rules: read_rules(&project)?, state: read_state(guard.dir())? };
                Ok::<_, TransferError>((copy, guard.excluded_processes()))
            })
            .await?;
            // Otherwise the first writer ever created the lock file meanwhile, and now it can be locked.
            if is_whole || last {
                return Ok(copy);
            }
        }
        Err(StoreError::Busy.into())
    }

    /// Names in the bank's folder that do not belong to the bank and are not read: its internal folder, version
    /// control, and temporary files.
    ///
    /// # Errors
    /// The folder cannot be read.
    pub async fn left_out(&self) -> Result<Vec<String>, TransferError> {
        let root = self.root.clone();
        blocking(move || {
            let found = root.open().and_then(|dir| survey(&dir, limits::FILE_LEVELS));
            Ok(found.map_err(StoreError::io("cannot list the memory bank"))?.reserved)
        })
        .await
    }

    /// The backups in the bank's folder for backups and beside the bank, newest first.
    ///
    /// # Errors
    /// The project's folder cannot be read.
    pub async fn backups(&self) -> Result<Vec<(String, Timestamp)>, TransferError> {
        let source = self.clone();
        blocking(move || {
            let mut backups: Vec<(String, Timestamp)> = Vec::new();
            for holder in source.holders()? {
                let entries = holder.entries("").map_err(StoreError::io("cannot list the backups"))?;
                for entry in entries {
                    let is_new = !backups.iter().any(|(id, _)| *id == entry.name);
                    if entry.is_folder && check_backup_id(&entry.name).is_ok() && is_new {
                        let at = backup_time(&entry.name).unwrap_or_else(|| entry.stamp.updated_at());
                        backups.push((entry.name, at));
                    }
                }
            }
            backups.compact_sort_by(|a, b| (b.1, &b.0).cmp(&(a.1, &a.0)));
            Ok(backups)
        })
        .await
    }

    /// Reads one backup.
    ///
    /// # Errors
    /// As [`Self::project`].
    pub async fn backup(&self, id: &str) -> Result<BankCopy, TransferError> {
        let (source, id) = (self.clone(), id.to_owned());
        blocking(move || {
            let mut holders = source.holders()?.into_iter();
            let dir = holders.find_map(|holder| holder.open_own_folder(&id).ok());
            let dir = dir.ok_or_else(|| TransferError::Refused(format!("`{id}` cannot be opened")))?;
            read_bank(&dir).map_err(|error| match error {
                TransferError::NotTransferable(why) => TransferError::Refused(format!("in `{id}`: {why}")),
                other => other,
            })
        })
        .await
    }

    /// The folders in which backups may be: the bank's own for them, and the one that holds the bank.
    fn holders(&self) -> Result<Vec<BankDir>, StoreError> {
        let cannot = || StoreError::io("cannot list the backups");
        let beside = self.paths.bank.parent().unwrap_or(&self.paths.bank);
        let below = self.root.open().map_err(cannot())?.open_own_folder(BACKUPS_FOLDER);
        Ok(below.into_iter().chain([BankDir::open(beside).map_err(cannot())?]).collect())
    }
}

/// Reads every file of a bank or a backup.
fn read_bank(dir: &BankDir) -> Result<BankCopy, TransferError> {
    let Survey { files: names, left_out, .. } =
        survey(dir, limits::FILE_LEVELS).map_err(StoreError::io("cannot list the memory bank"))?;
    if let Some(first) = left_out.first() {
        return Err(TransferError::Refused(format!(
            "{} names in the bank cannot be moved, such as `{}` (a link that leads out, a pipe, a name that is not Unicode, \
             a folder that is too deep); remove or rename them, and try again",
            left_out.len(),
            first.escape_debug()
        )));
    }
    if names.len() > limits::BACKUP_FILES {
        return Err(TransferError::Refused(format!(
            "the bank has {} files, at most {} are moved",
            names.len(),
            limits::BACKUP_FILES
        )));
    }
    let total =
        names.iter().filter_map(|name| dir.stamp(name)).map(|stamp| stamp.bytes).fold(0, u64::saturating_add);
    if total > limits::TRANSFER_BYTES {
        return Err(TransferError::Refused(format!(
            "the bank has {total} bytes, at most {} are moved",
            limits::TRANSFER_BYTES
        )));
    }
    let mut files = Vec::with_capacity(names.len());
    let mut room = limits::TRANSFER_BYTES;
    for path in names {
        match dir.read_up_to(&path, room)? {
            FileRead::Found(bytes, stamp) => {
                room = room.saturating_sub(bytes.len() as u64);
                files.push(FileCopy { path, bytes, modified: stamp.updated_at() });
            }
            FileRead::Missing => {}
            FileRead::Unreadable(why) => {
                return Err(TransferError::Refused(format!(
                    "`{}` cannot be read: {why}",
                    path.escape_debug()
                )));
            }
        }
    }
    Ok(BankCopy::from_files(files)?)
}

fn read_rules(project: &Path) -> Result<Vec<FileCopy>, TransferError> {
    let Ok(dir) = BankDir::open(project) else { return Ok(Vec::new()) };
    let mut rules = Vec::new();
    for mode in Mode::ALL {
        for prefix in RULES_PREFIXES {
            let path = format!("{prefix}{mode}");
            match dir.read_up_to(&path, limits::RULES_BYTES)? {
                FileRead::Found(bytes, stamp) => {
                    rules.push(FileCopy { path, bytes, modified: stamp.updated_at() });
                }
                FileRead::Missing => {}
                FileRead::Unreadable(why) => {
                    return Err(TransferError::Refused(format!("`{path}` cannot be read: {why}")));
                }
            }
        }
    }
    Ok(rules)
}

fn read_state(dir: &BankDir) -> Result<Option<SessionState>, TransferError> {
    match dir.read_up_to(STATE, STATE_BYTES)? {
        // The file only has the mode of a user: if it cannot be read, continue without it.
        FileRead::Found(bytes, _) => Ok(serde_json::from_slice(&bytes)
            .inspect_err(|error| tracing::warn!(%error, "the stored mode cannot be read and is omitted"))
            .ok()),
        FileRead::Missing | FileRead::Unreadable(_) => Ok(None),
    }
}
