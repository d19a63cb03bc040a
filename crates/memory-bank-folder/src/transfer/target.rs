//! A project's folder that is written as a whole: staged beside its place, and published by renaming.

use std::path::{Path, PathBuf};

use jiff::Timestamp;
use memory_bank_core::caller::Caller;
use memory_bank_core::clock::iso_millis;
use memory_bank_core::error::{GraphError, StoreError};
use memory_bank_core::limits;
use memory_bank_core::store::{BACKUP_PREFIX, GraphStore, check_backup_id};
use memory_bank_core::transfer::{BankCopy, FileCopy, ProjectCopy, is_rules_file};

use super::{STATE, TransferError};
use crate::backups::{BACKUPS_FOLDER, make_below};
use crate::bank::{Deps, FolderBank};
use crate::bank_paths::BankPaths;
use crate::dir::{BankDir, FileRead, reason};
use crate::lock::blocking;
use crate::system::{self, FolderLock};

/// The prefix of the hidden folder in which an export is staged. A killed export leaves it behind.
const STAGING: &str = ".memory-bank-export-";

/// A project's folder as a target.
#[derive(Debug, Clone)]
pub struct FolderTarget {
    paths: BankPaths,
    replace: bool,
}

/// The result of an export.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Published {
    /// The bank's folder.
    pub bank: PathBuf,
    /// Where the previous bank was moved.
    pub moved_aside: Option<PathBuf>,
    /// Names beside the bank that existed and were not changed.
    pub kept: Vec<String>,
}

impl FolderTarget {
    /// The place that `path` means: the bank's folder if it is called `folder`, else the project's folder.
    ///
    /// # Errors
    /// The place is taken, and `replace` does not allow it; or it is not a folder.
    pub fn choose(path: &Path, folder: &str, replace: bool) -> Result<Self, TransferError> {
        let is_bank_folder = path.file_name().is_some_and(|name| name == folder);
        let paths = if is_bank_folder {
            let project = path.parent().map_or_else(|| path.to_owned(), Path::to_owned);
            BankPaths { project, bank: path.to_owned() }
        } else {
            BankPaths { project: path.to_owned(), bank: path.join(folder) }
        };
        if path.symlink_metadata().is_ok() {
            let entries = fs_err::read_dir(path).map_err(|error| {
                TransferError::Refused(format!(
                    "`{}` is not a usable folder: {}",
                    path.display(),
                    reason(&error)
                ))
            })?;
            let is_staging = |name: &std::ffi::OsStr| name.to_string_lossy().starts_with(STAGING);
            let mut others = entries.filter(|entry| {
                entry.as_ref().map_or(true, |entry| paths.bank == path || !is_staging(&entry.file_name()))
            });
            if others.next().is_some() && !replace {
                return Err(TransferError::Refused(format!(
                    "`{}` is not empty, and nothing was written; name another folder, or give --replace: the bank that is \
                     there is then kept as a backup beside the new one",
                    path.display()
                )));
            }
        }
        Ok(Self { paths, replace })
    }

    /// The bank's folder.
    #[must_use]
    pub fn bank(&self) -> &Path {
        &self.paths.bank
    }

    /// A hidden folder beside the bank's place, to be filled. Dropped unpublished, it is deleted.
    ///
    /// # Errors
    /// It cannot be created.
    pub async fn stage(&self) -> Result<Staged, TransferError> {
        let target = self.clone();
        blocking(move || {
            let cannot = || StoreError::io(format!("cannot write to `{}`", target.paths.project.display()));
            let made = !target.paths.project.exists();
            fs_err::create_dir_all(&target.paths.project).map_err(cannot())?;
            remove_stale_stages(&target.paths.project).map_err(cannot())?;
            let folder = tempfile::Builder::new()
                .prefix(STAGING)
                .tempdir_in(&target.paths.project)
                .map_err(cannot())?;
            let lock = FolderLock::take(folder.path()).map_err(cannot())?.ok_or(StoreError::Busy)?;
            Ok(Staged {
                lock: Some(lock),
                made: made.then(|| target.paths.project.clone()),
                target,
                folder,
                beside: Vec::new(),
                published: false,
            })
        })
        .await
    }
}

/// A project that is written but not published.
#[derive(Debug)]
pub struct Staged {
    target: FolderTarget,
    /// Held as long as the export lives. It ends before the folder is removed: a file that is open cannot be, on every
    /// system.
    lock: Option<FolderLock>,
    folder: tempfile::TempDir,
    /// Names to put beside the bank.
    beside: Vec<String>,
    /// The project's folder, if it was made for this.
    made: Option<PathBuf>,
    published: bool,
}

impl Staged {
    /// Writes the bank with its rules files, and what is derived from the graph.
    ///
    /// # Errors
    /// A file cannot be written; the text names it.
    pub async fn write(&mut self, copy: &ProjectCopy, deps: Deps) -> Result<(), TransferError> {
        let now = deps.clock.now();
        let files = copy.bank.to_files(now)?;
        let bank = self.folder.path().join(self.bank_name());
        let state = match &copy.state {
            Some(state) => {
                Some(serde_json::to_vec(state).map_err(|error| StoreError::Unavailable(error.to_string()))?)
            }
            None => None,
        };
        let (folder, rules) = (self.folder.path().to_owned(), copy.rules.clone());
        self.beside.extend(rules.iter().map(|file| file.path.clone()));
        let has_graph = files.iter().any(|file| file.path == "graph/graph.jsonl");
        let path = bank.clone();
        blocking(move || {
            let dir = BankDir::create(&path).map_err(StoreError::io("cannot make the bank's folder"))?;
            write_files(&dir, &files)?;
            if let Some(state) = state {
                dir.prepare_internal()
                    .and_then(|()| dir.replace_own(STATE, &state))
                    .map_err(StoreError::io("cannot store the mode"))?;
            }
            let beside = BankDir::open(&folder).map_err(StoreError::io("cannot open the staging folder"))?;
            if let Some(file) = rules.iter().find(|file| !is_rules_file(&file.path)) {
                return Err(TransferError::Refused(format!(
                    "`{}` is not the name of a rules file",
                    file.path
                )));
            }
            write_files(&beside, &rules)
        })
        .await?;
        if has_graph {
            let staged = FolderBank::new(bank, self.folder.path().to_owned(), deps);
            staged.rebuild(&Caller::local("")).await.map_err(|error| match error {
                GraphError::Store(error) => TransferError::Store(error),
                other => TransferError::Refused(other.to_string()),
            })?;
        }
        Ok(())
    }

    /// Writes a backup into the bank's folder for backups.
    ///
    /// # Errors
    /// As [`Self::write`].
    pub async fn write_backup(
        &mut self,
        id: &str,
        copy: &BankCopy,
        now: Timestamp,
    ) -> Result<(), TransferError> {
        check_backup_id(id).map_err(|error| TransferError::Refused(error.to_string()))?;
        let files = copy.to_files(now)?;
        let (bank, id) = (self.folder.path().join(self.bank_name()), id.to_owned());
        blocking(move || {
            let dir = BankDir::create(&bank)
                .and_then(|bank| make_below(&bank))
                .and_then(|below| below.create_new_folder(&id))
                .map_err(StoreError::io("cannot make a backup's folder"))?;
            write_files(&dir, &files)
        })
        .await
    }

    /// Publishes everything by renaming, the bank last: once it exists, so does the rest. Existing names beside the
    /// bank stay.
    ///
    /// # Errors
    /// A rename failed. The previous bank is still there, or was restored.
    pub async fn publish(self, now: Timestamp) -> Result<Published, TransferError> {
        blocking(move || {
            let mut this = self;
            let paths = &this.target.paths;
            let cannot = || StoreError::io(format!("cannot write to `{}`", paths.project.display()));
            let project = BankDir::open(&paths.project).map_err(cannot())?;
            let staging = BankDir::open(this.folder.path()).map_err(cannot())?;
            let mut kept = Vec::new();
            for name in &this.beside {
                if project.exists(name) {
                    if !is_same_file(&project, &staging, name)? {
                        kept.push(name.clone());
                    }
                    continue;
                }
                rename(&this.folder.path().join(name), &paths.project.join(name)).map_err(cannot())?;
            }
            let staged = this.folder.path().join(this.bank_name());
            let mut moved_aside = None;
            if paths.bank.symlink_metadata().is_ok() {
                let is_empty = fs_err::read_dir(&paths.bank).map_err(cannot())?.next().is_none();
                if is_empty {
                    system::retry_change(|| fs_err::remove_dir(&paths.bank)).map_err(cannot())?;
                } else if this.target.replace {
                    let aside = free_backup(&paths.project, now)?;
                    rename(&paths.bank, &aside).map_err(cannot())?;
                    moved_aside = Some(aside);
                } else {
                    return Err(TransferError::Refused(format!(
                        "`{}` was created meanwhile; nothing was replaced",
                        paths.bank.display()
                    )));
                }
            }
            if let Err(error) = rename(&staged, &paths.bank) {
                if let Some(aside) = &moved_aside {
                    rename(aside, &paths.bank).map_err(cannot())?;
                }
                return Err(cannot()(error).into());
            }
            if let Some(aside) = &moved_aside {
                // Backups of the previous bank stay listed.
                keep_backups(aside, &paths.bank).map_err(cannot())?;
            }
            project.sync_names().map_err(cannot())?;
            let bank = paths.bank.clone();
            this.published = true;
            Ok(Published { bank, moved_aside, kept })
        })
        .await
    }

    /// Where the bank is until it is published.
    pub(super) fn staged_bank(&self) -> PathBuf {
        self.folder.path().join(self.bank_name())
    }

    /// The project's folder.
    pub(super) fn project_folder(&self) -> &Path {
        &self.target.paths.project
    }

    fn bank_name(&self) -> PathBuf {
        self.target.paths.bank.file_name().map_or_else(|| PathBuf::from("memory-bank"), PathBuf::from)
    }
}

impl Drop for Staged {
    fn drop(&mut self) {
        drop(self.lock.take());
        if self.published {
            return;
        }
        if let Some(made) = &self.made {
            // It is removed only if it is empty, so remove the staging folder first.
            let _gone = std::fs::remove_dir_all(self.folder.path());
            let _gone = std::fs::remove_dir(made);
        }
    }
}

/// Moves the backups of a bank to another one, except those that it has already.
fn keep_backups(from: &Path, to: &Path) -> std::io::Result<()> {
    let (from, to) = (BankDir::open(from)?, BankDir::open(to)?);
    let Ok(old) = from.open_own_folder(BACKUPS_FOLDER) else { return Ok(()) };
    let new = make_below(&to)?;
    for entry in
        old.entries("")?.into_iter().filter(|entry| entry.is_folder && check_backup_id(&entry.name).is_ok())
    {
        if !new.exists(&entry.name) {
            old.move_folder(&entry.name, &new)?;
        }
    }
    new.sync_names()
}

/// Removes what exports that were killed left in a project's folder. One that still runs holds a lock on its own.
fn remove_stale_stages(project: &Path) -> std::io::Result<()> {
    for entry in fs_err::read_dir(project)? {
        let entry = entry?;
        let is_staging = entry.file_name().to_string_lossy().starts_with(STAGING);
        if !is_staging || !entry.file_type()?.is_dir() {
            continue;
        }
        let Some(lock) = FolderLock::take(&entry.path())? else { continue };
        // An open file cannot be removed on every system; a folder that was left behind has no other user.
        drop(lock);
        fs_err::remove_dir_all(entry.path())?;
    }
    Ok(())
}

fn rename(from: &Path, to: &Path) -> std::io::Result<()> {
    system::retry_change(|| fs_err::rename(from, to))
}

fn free_backup(project: &Path, now: Timestamp) -> Result<PathBuf, TransferError> {
    let stamp = iso_millis(now).replace([':', '.'], "-");
    (1..1000)
        .map(|number| match number {
            1 => project.join(format!("{BACKUP_PREFIX}{stamp}")),
            more => project.join(format!("{BACKUP_PREFIX}{stamp}-{more}")),
        })
        .find(|path| path.symlink_metadata().is_err())
        .ok_or_else(|| TransferError::Refused("too many backups within one millisecond".to_owned()))
}

fn write_files(dir: &BankDir, files: &[FileCopy]) -> Result<(), TransferError> {
    for file in files {
        let parent =
            Path::new(&file.path).parent().and_then(Path::to_str).filter(|parent| !parent.is_empty());
        parent
            .map_or(Ok(()), |parent| dir.create_folder(parent))
            .and_then(|()| dir.write_new_at(&file.path, &file.bytes, file.modified))
            .map_err(|error| {
                TransferError::Refused(format!(
                    "`{}` cannot be written: {}",
                    file.path.escape_debug(),
                    reason(&error)
                ))
            })?;
    }
    dir.sync_names().map_err(StoreError::io("cannot write the bank"))?;
    Ok(())
}

/// Whether both folders have the same small file of this name. The file there may come from anywhere, so a pipe, a device
/// and a link that leads out are not read.
fn is_same_file(one: &BankDir, other: &BankDir, name: &str) -> Result<bool, StoreError> {
    let read = |dir: &BankDir| dir.read_up_to(name, limits::RULES_BYTES);
    Ok(match (read(one)?, read(other)?) {
        (FileRead::Found(one, _), FileRead::Found(other, _)) => one == other,
        _ => false,
    })
}
