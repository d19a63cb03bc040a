//! The file of a bank's keys in the user's state folder: read, and replaced whole under a lock that servers share.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use memory_bank_core::error::StoreError;
use memory_bank_core::limits;
use serde::{Deserialize, Serialize};

use crate::dir::{BankDir, FileRead, FileStamp};
use crate::keys::stored::{CachedKeys, StoredKey};
use crate::lock::wait_for;
use crate::state_folder::{self, StateFolder};

/// The folder of the keys in the state folder.
const FOLDER: &str = "keys";
/// The largest file that is read, in bytes.
pub(super) const FILE_BYTES: u64 = 4 * 1024 * 1024;
const VERSION: u32 = 2;
pub(super) const KEYS_FILE: &str = "the file of the API keys";

/// Where the keys of one bank are.
#[derive(Debug, Clone)]
pub(super) struct KeyFile {
    state: StateFolder,
    /// The file's name without its ending.
    name: String,
    /// The project's canonical path.
    project: PathBuf,
    /// The bank's.
    bank: String,
    path: PathBuf,
}

#[derive(Serialize, Deserialize)]
struct Contents {
    version: u32,
    /// The bank that the keys are for; a file that was copied to another name opens nothing.
    bank: String,
    keys: Vec<StoredKey>,
}

/// The file, while no other server changes it.
pub(super) struct LockedKeyFile<'a> {
    file: &'a KeyFile,
    dir: BankDir,
    _lock: File,
}

impl KeyFile {
    pub(super) fn of(project: &Path, folder: &str, state: &StateFolder) -> Result<Self, StoreError> {
        let project = fs_err::canonicalize(project).map_err(StoreError::io("cannot open the project"))?;
        let bank = project.join(folder);
        let name = state_folder::name_for(&bank);
        let path = state.path().join(FOLDER).join(format!("{name}.json"));
        Ok(Self { state: state.clone(), name, bank: bank.display().to_string(), project, path })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The version of the file; none if there is none.
    pub(super) fn stamp(&self) -> Result<Option<FileStamp>, StoreError> {
        let dir = self.state.open_existing(FOLDER).map_err(self.cannot("read"))?;
        Ok(dir.and_then(|dir| dir.stamp_own(&self.file_name())))
    }

    /// The keys as they are; none if there is no file.
    pub(super) fn read(&self) -> Result<Option<CachedKeys>, StoreError> {
        match self.state.open_existing(FOLDER).map_err(self.cannot("read"))? {
            Some(dir) => self.read_in(&dir),
            None => Ok(None),
        }
    }

    /// Waits until no other server changes the file.
    pub(super) fn lock(&self) -> Result<LockedKeyFile<'_>, StoreError> {
        let deadline = Instant::now() + Duration::from_millis(limits::LOCK_WAIT_MS);
        let dir = self.state.open(FOLDER).map_err(self.cannot("keep"))?;
        let lock = dir.open_lock(&format!("{}.lock", self.name)).map_err(self.cannot("keep"))?;
        wait_for(deadline, || lock.try_lock())?;
        state_folder::mark_new(&dir, &self.folder(), &self.project).map_err(self.cannot("keep"))?;
        Ok(LockedKeyFile { file: self, dir, _lock: lock })
    }

    fn read_in(&self, dir: &BankDir) -> Result<Option<CachedKeys>, StoreError> {
        let name = self.file_name();
        if !dir.exists(&name) {
            return Ok(None);
        }
        let shown = self.path.display();
        let damaged = |detail: String| StoreError::Damaged { what: KEYS_FILE.to_owned(), detail };
        if dir.stamp_own(&name).is_none() {
            return Err(damaged(format!("`{shown}` is not a regular file; remove it")));
        }
        state_folder::check_file(dir, &name, &self.path, &self.project)
            .and_then(|()| state_folder::check_made_here(dir, &self.folder(), &self.project))
            .map_err(|why| damaged(format!("`{shown}`: {why}")))?;
        match dir.read_up_to(&name, FILE_BYTES)? {
            FileRead::Missing => Ok(None),
            FileRead::Unreadable(why) => Err(damaged(format!("`{shown}`: {why}"))),
            FileRead::Found(bytes, stamp) => {
                let contents: Contents = serde_json::from_slice(&bytes).map_err(|error| {
                    damaged(format!("`{shown}`: {error}; correct it, or remove it to begin with a new key"))
                })?;
                if contents.version != VERSION {
                    return Err(damaged(format!(
                        "`{shown}` has version {}, this server knows version {VERSION}",
                        contents.version
                    )));
                }
                if contents.bank != self.bank {
                    return Err(damaged(format!(
                        "`{shown}` is for `{}`, not for `{}`; remove it to begin with a new key",
                        contents.bank.escape_debug(),
                        self.bank
                    )));
                }
                Ok(Some(CachedKeys { stamp: Some(stamp), keys: contents.keys }))
            }
        }
    }

    fn folder(&self) -> PathBuf {
        self.state.path().join(FOLDER)
    }

    fn file_name(&self) -> String {
        format!("{}.json", self.name)
    }

    fn cannot(&self, doing: &'static str) -> impl FnOnce(io::Error) -> StoreError + use<> {
        let folder = self.state.path().display().to_string();
        move |error| {
            StoreError::io(format!(
                "cannot {doing} the API keys in `{folder}` (`--state-dir` or `MEMORY_BANK_STATE_DIR` names another folder)"
            ))(error)
        }
    }
}

impl LockedKeyFile<'_> {
    /// The keys as they are; none if there is no file.
    pub(super) fn read(&self) -> Result<Option<CachedKeys>, StoreError> {
        self.file.read_in(&self.dir)
    }

    /// Replaces the file, for its owner alone.
    pub(super) fn write(&self, keys: &[StoredKey]) -> Result<(), StoreError> {
        let contents = Contents { version: VERSION, bank: self.file.bank.clone(), keys: keys.to_vec() };
        let bytes = serde_json::to_vec_pretty(&contents)
            .map_err(|error| StoreError::Unavailable(error.to_string()))?;
        self.dir.replace_beside(&self.file.file_name(), &bytes).map_err(self.file.cannot("keep"))
    }
}
