//! A project's folder as the source or the target of a transfer: read as a whole, or written as a whole and renamed
//! into place.
//!
//! The core's rules decide what a bank's files mean ([`memory_bank_core::transfer`]); this module reads them under
//! the bank's lock, stages them beside their place, and publishes them by renaming.

use std::path::{Path, PathBuf};

use jiff::Timestamp;
use memory_bank_core::caller::Caller;
use memory_bank_core::clock::iso_millis;
use memory_bank_core::error::{GraphError, StoreError};
use memory_bank_core::limits;
use memory_bank_core::mode::{Mode, RULES_PREFIXES};
use memory_bank_core::store::{BACKUP_PREFIX, GraphStore, SessionState, backup_time, check_backup_id};
use memory_bank_core::transfer::{BankCopy, FileCopy, NotTransferable, ProjectCopy, is_rules_file};

use crate::backups::{BELOW, Survey, make_below, survey};
use crate::bank::{Deps, FolderBank};
use crate::dir::{BankDir, FileRead, Root, reason};
use crate::lock::{BankLock, blocking};
use crate::place::{Origin, Place, is_bank, leads_out};
use crate::system::{self, FolderLock};

/// Where an export notes mode and thinking sessions, in the server's own folder of the bank.
const STATE: &str = ".mbmcp/state.json";
const STATE_BYTES: u64 = 16 * 1024 * 1024;

/// The prefix of the hidden folder in which an export is staged. A killed export leaves it behind.
const STAGING: &str = ".memory-bank-export-";

/// Why a transfer of a folder failed. The previous content is unchanged.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TransferError {
    /// It cannot be done as requested; the text has the reason and the remedy.
    #[error("{0}")]
    Refused(String),
    /// The bank contains data that cannot be transferred.
    #[error(transparent)]
    NotTransferable(#[from] NotTransferable),
    /// The disk failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A project's folder as a source. Nothing in it is changed.
#[derive(Debug, Clone)]
pub struct FolderSource {
    place: Place,
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
        let place = origin.place(path);
        let root = origin.root(&place);
        if let Some(to) = root.leads_out() {
            return Err(TransferError::Refused(leads_out(&place.bank, &to, true)));
        }
        let has_graph = || root.open().is_ok_and(|dir| dir.stamp("graph/graph.jsonl").is_some());
        if is_bank(&root) || has_graph() {
            return Ok(Self { place, root });
        }
        Err(TransferError::Refused(format!(
            "there is no memory bank in `{}`; name the bank's folder or the project's folder that holds it",
            path.display()
        )))
    }

    /// The bank's folder.
    #[must_use]
    pub fn bank(&self) -> &Path {
        &self.place.bank
    }

    /// Reads the bank under its lock, the rules files, and what an export noted of the mode.
    ///
    /// # Errors
    /// Something cannot be read or moved, with its name; nothing is left out silently.
    pub async fn project(&self) -> Result<ProjectCopy, TransferError> {
        let lock = BankLock::new(self.root.clone());
        let project = self.place.project.clone();
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

    /// The backups in the bank's folder for them and beside the bank, newest first.
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
            backups.sort_by(|a, b| (b.1, &b.0).cmp(&(a.1, &a.0)));
            Ok(backups)
        })
        .await
    }

    /// Reads one of them.
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
        let beside = self.place.bank.parent().unwrap_or(&self.place.bank);
        let below = self.root.open().map_err(cannot())?.open_own_folder(BELOW);
        Ok(below.into_iter().chain([BankDir::open(beside).map_err(cannot())?]).collect())
    }
}

/// A project's folder as a target.
#[derive(Debug, Clone)]
pub struct FolderTarget {
    place: Place,
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
    /// There is something already, and `replace` does not allow it; or it is no folder.
    pub fn choose(path: &Path, folder: &str, replace: bool) -> Result<Self, TransferError> {
        let is_bank_folder = path.file_name().is_some_and(|name| name == folder);
        let place = if is_bank_folder {
            let project = path.parent().map_or_else(|| path.to_owned(), Path::to_owned);
            Place { project, bank: path.to_owned() }
        } else {
            Place { project: path.to_owned(), bank: path.join(folder) }
        };
        if path.symlink_metadata().is_ok() {
            let entries = fs_err::read_dir(path).map_err(|error| {
                TransferError::Refused(format!(
                    "`{}` is no folder that can be used: {}",
                    path.display(),
                    reason(&error)
                ))
            })?;
            let is_staging = |name: &std::ffi::OsStr| name.to_string_lossy().starts_with(STAGING);
            let mut others = entries.filter(|entry| {
                entry.as_ref().map_or(true, |entry| place.bank == path || !is_staging(&entry.file_name()))
            });
            if others.next().is_some() && !replace {
                return Err(TransferError::Refused(format!(
                    "`{}` is not empty, and nothing was written; name another folder, or give --replace: the bank that is \
                     there is then kept as a backup beside the new one",
                    path.display()
                )));
            }
        }
        Ok(Self { place, replace })
    }

    /// The bank's folder.
    #[must_use]
    pub fn bank(&self) -> &Path {
        &self.place.bank
    }

    /// A hidden folder beside the bank's place, to be filled. Dropped unpublished, it is deleted.
    ///
    /// # Errors
    /// It cannot be created.
    pub async fn stage(&self) -> Result<Staged, TransferError> {
        let target = self.clone();
        blocking(move || {
            let cannot = || StoreError::io(format!("cannot write to `{}`", target.place.project.display()));
            let made = !target.place.project.exists();
            fs_err::create_dir_all(&target.place.project).map_err(cannot())?;
            sweep(&target.place.project).map_err(cannot())?;
            let folder = tempfile::Builder::new()
                .prefix(STAGING)
                .tempdir_in(&target.place.project)
                .map_err(cannot())?;
            let lock = FolderLock::take(folder.path()).map_err(cannot())?.ok_or(StoreError::Busy)?;
            Ok(Staged {
                lock: Some(lock),
                made: made.then(|| target.place.project.clone()),
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
                    .map_err(StoreError::io("cannot note the mode"))?;
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

    /// Writes a backup into the bank's folder for them.
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
            let place = &this.target.place;
            let cannot = || StoreError::io(format!("cannot write to `{}`", place.project.display()));
            let project = BankDir::open(&place.project).map_err(cannot())?;
            let staging = BankDir::open(this.folder.path()).map_err(cannot())?;
            let mut kept = Vec::new();
            for name in &this.beside {
                if project.exists(name) {
                    if !is_same_file(&project, &staging, name)? {
                        kept.push(name.clone());
                    }
                    continue;
                }
                rename(&this.folder.path().join(name), &place.project.join(name)).map_err(cannot())?;
            }
            let staged = this.folder.path().join(this.bank_name());
            let mut moved_aside = None;
            if place.bank.symlink_metadata().is_ok() {
                let is_empty = fs_err::read_dir(&place.bank).map_err(cannot())?.next().is_none();
                if is_empty {
                    system::retry_change(|| fs_err::remove_dir(&place.bank)).map_err(cannot())?;
                } else if this.target.replace {
                    let aside = free_backup(&place.project, now)?;
                    rename(&place.bank, &aside).map_err(cannot())?;
                    moved_aside = Some(aside);
                } else {
                    return Err(TransferError::Refused(format!(
                        "`{}` came into being meanwhile; nothing was replaced",
                        place.bank.display()
                    )));
                }
            }
            if let Err(error) = rename(&staged, &place.bank) {
                if let Some(aside) = &moved_aside {
                    rename(aside, &place.bank).map_err(cannot())?;
                }
                return Err(cannot()(error).into());
            }
            if let Some(aside) = &moved_aside {
                // The backups of the bank that was there go on being listed.
                keep_backups(aside, &place.bank).map_err(cannot())?;
            }
            project.sync_names().map_err(cannot())?;
            let bank = place.bank.clone();
            this.published = true;
            Ok(Published { bank, moved_aside, kept })
        })
        .await
    }

    fn bank_name(&self) -> PathBuf {
        self.target.place.bank.file_name().map_or_else(|| PathBuf::from("memory-bank"), PathBuf::from)
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

/// Moves the backups of a bank to another one, but those that it has already.
fn keep_backups(from: &Path, to: &Path) -> std::io::Result<()> {
    let (from, to) = (BankDir::open(from)?, BankDir::open(to)?);
    let Ok(old) = from.open_own_folder(BELOW) else { return Ok(()) };
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
fn sweep(project: &Path) -> std::io::Result<()> {
    for entry in fs_err::read_dir(project)? {
        let entry = entry?;
        let is_staging = entry.file_name().to_string_lossy().starts_with(STAGING);
        if !is_staging || !entry.file_type()?.is_dir() {
            continue;
        }
        let Some(lock) = FolderLock::take(&entry.path())? else { continue };
        // A file that is open cannot be removed on every system; nobody else uses a folder that was left behind.
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

/// Whether both folders have the same small file of this name. What is there may be anybody's, so a pipe, a device and a
/// link that leads out are looked at, and not read.
fn is_same_file(one: &BankDir, other: &BankDir, name: &str) -> Result<bool, StoreError> {
    let read = |dir: &BankDir| dir.read_up_to(name, limits::RULES_BYTES);
    Ok(match (read(one)?, read(other)?) {
        (FileRead::Found(one, _), FileRead::Found(other, _)) => one == other,
        _ => false,
    })
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
    if total > limits::MOVED_BYTES {
        return Err(TransferError::Refused(format!(
            "the bank has {total} bytes, at most {} are moved",
            limits::MOVED_BYTES
        )));
    }
    let mut files = Vec::with_capacity(names.len());
    let mut room = limits::MOVED_BYTES;
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
