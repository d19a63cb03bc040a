//! The folders outside of a project that the user registered on this machine. The registry itself, `stores.json`, is
//! in the project and may have come with it: by itself it opens nothing outside.

use parking_lot::Mutex;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use memory_bank_core::error::StoreError;
use memory_bank_core::limits;
use serde::{Deserialize, Serialize};

use crate::dir::{BankDir, FileRead};
use crate::lock::wait_for;
use crate::state_folder::{self, StateFolder};

const FOLDER: &str = "stores";
const FILE_BYTES: u64 = 4 * 1024 * 1024;
const VERSION: u32 = 1;
/// The most stored folders; the registry has the same bound.
const MAX_FOLDERS: usize = 1000;

/// The folders that were registered from one project.
#[derive(Debug, Clone)]
pub(crate) struct ApprovedFolders {
    state: Option<StateFolder>,
    project: PathBuf,
    /// The folders that this process registered, also if they could not be stored.
    here: Arc<Mutex<BTreeSet<String>>>,
}

#[derive(Default, Serialize, Deserialize)]
struct Contents {
    version: u32,
    project: String,
    paths: BTreeSet<String>,
}

impl ApprovedFolders {
    pub(crate) fn new(project: &Path, state: Option<StateFolder>) -> Self {
        let project = fs_err::canonicalize(project).unwrap_or_else(|_| project.to_owned());
        Self { state, project, here: Arc::default() }
    }

    /// Whether the user has registered this path. Blocks.
    pub(crate) fn holds(&self, path: &str) -> bool {
        if self.here.lock().contains(path) {
            return true;
        }
        let kept = self.state.as_ref().map(|state| match state.open_existing(FOLDER) {
            Ok(Some(dir)) => self.read(&dir),
            Ok(None) => Ok(BTreeSet::new()),
            Err(error) => Err(StoreError::io("cannot read the registered folders")(error)),
        });
        match kept {
            Some(Ok(paths)) => paths.contains(path),
            Some(Err(error)) => {
                tracing::warn!(%error, "the folders that were registered on this machine cannot be read");
                false
            }
            None => false,
        }
    }

    /// Records that the user registered this path. Blocks. If it cannot be stored, it is valid for this process.
    pub(crate) fn add(&self, path: &str) {
        self.here.lock().insert(path.to_owned());
        if let Err(error) = self.change(|paths| paths.insert(path.to_owned())) {
            tracing::warn!(%error, "the registration of a folder outside of the project could not be stored; it is valid for this process only");
        }
    }

    /// Removes a path. Blocks.
    ///
    /// # Errors
    /// It is still stored.
    pub(crate) fn remove(&self, path: &str) -> Result<(), StoreError> {
        self.here.lock().remove(path);
        if self.holds(path) { self.change(|paths| paths.remove(path)) } else { Ok(()) }
    }

    /// Changes the stored folders; `change` returns whether it changed anything.
    fn change(&self, change: impl FnOnce(&mut BTreeSet<String>) -> bool) -> Result<(), StoreError> {
        let Some(state) = &self.state else { return Ok(()) };
        let cannot = || StoreError::io("cannot store the registered folders");
        let deadline = Instant::now() + Duration::from_millis(limits::LOCK_WAIT_MS);
        let dir = state.open(FOLDER).map_err(cannot())?;
        let name = state_folder::name_for(&self.project);
        let lock = dir.open_lock(&format!("{name}.lock")).map_err(cannot())?;
        wait_for(deadline, || lock.try_lock())?;
        state_folder::mark_new(&dir, &state.path().join(FOLDER), &self.project).map_err(cannot())?;
        let mut paths = self.read(&dir)?;
        if !change(&mut paths) {
            return Ok(());
        }
        if paths.len() > MAX_FOLDERS {
            return Err(StoreError::Unavailable(format!("{MAX_FOLDERS} folders are registered already")));
        }
        let contents = Contents { version: VERSION, project: self.project.display().to_string(), paths };
        let bytes = serde_json::to_vec_pretty(&contents)
            .map_err(|error| StoreError::Unavailable(error.to_string()))?;
        dir.replace_beside(&format!("{name}.json"), &bytes).map_err(cannot())
    }

    fn read(&self, dir: &BankDir) -> Result<BTreeSet<String>, StoreError> {
        let name = format!("{}.json", state_folder::name_for(&self.project));
        let damaged = |detail: String| StoreError::Damaged { what: format!("`{FOLDER}/{name}`"), detail };
        if dir.exists(&name)
            && let Some(state) = &self.state
        {
            let path = state.path().join(FOLDER).join(&name);
            state_folder::check_file(dir, &name, &path, &self.project)
                .and_then(|()| state_folder::check_made_here(dir, &state.path().join(FOLDER), &self.project))
                .map_err(damaged)?;
        }
        match dir.read_up_to(&name, FILE_BYTES)? {
            FileRead::Missing => Ok(BTreeSet::new()),
            FileRead::Unreadable(why) => Err(damaged(why)),
            FileRead::Found(bytes, _) => {
                let contents: Contents =
                    serde_json::from_slice(&bytes).map_err(|error| damaged(error.to_string()))?;
                let is_ours =
                    contents.version == VERSION && contents.project == self.project.display().to_string();
                if is_ours {
                    Ok(contents.paths)
                } else {
                    Err(damaged("it is for another project".to_owned()))
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;

    #[test]
    fn an_approval_that_came_with_an_unversioned_project_opens_nothing() {
        let temp = TempDir::new().unwrap();
        let folders =
            || ApprovedFolders::new(temp.path(), Some(StateFolder::new(temp.path().join(".state"))));
        folders().add("/elsewhere");
        assert!(folders().holds("/elsewhere"), "made here, so it is trusted");
        let (packed, stores) = (temp.path().join("packed"), temp.path().join(".state/stores"));
        std::fs::rename(&stores, &packed).unwrap();
        std::fs::create_dir(&stores).unwrap();
        for file in std::fs::read_dir(&packed).unwrap().map(Result::unwrap) {
            std::fs::copy(file.path(), stores.join(file.file_name())).unwrap();
        }
        assert!(!folders().holds("/elsewhere"));
    }
}
