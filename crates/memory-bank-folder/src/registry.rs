//! The registry of known banks: `stores.json` in the server's project path.
//!
//! It is read for every query and changed under a lock, so several processes agree on it. Unknown members and entries
//! stay in the file; a file that is not a registry, or has a newer version, is never replaced.

use std::fs::TryLockError;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use cap_std::fs::OpenOptions;
use memory_bank_core::error::{StoreError, WorkspaceError};
use memory_bank_core::limits;
use memory_bank_core::store::RegisteredStore;
use serde_json::{Map, Value, json};

use crate::dir::{BankDir, FileRead, FileStamp, reason};
use crate::lock::wait_for;
use crate::system::{self, FolderLock};

/// The registry's file name.
pub(crate) const REGISTRY_FILE: &str = "stores.json";
/// Exists while the registry is changed, where a locked file cannot be read.
const IN_USE_FILE: &str = ".stores.json.in-use";
const REGISTRY_BYTES: u64 = 4 * 1024 * 1024;
const VERSION: u64 = 1;

/// The registry as it was read.
#[derive(Debug, Clone, Default)]
pub(crate) struct Registered {
    members: Map<String, Value>,
    entries: Vec<Value>,
}

impl Registered {
    /// The entries that this version understands, in the file's order.
    pub(crate) fn stores(&self) -> impl Iterator<Item = RegisteredStore> + '_ {
        self.entries.iter().filter_map(|entry| serde_json::from_value(entry.clone()).ok())
    }

    /// The entry of this id.
    #[must_use]
    pub(crate) fn find(&self, id: &str) -> Option<RegisteredStore> {
        self.stores().find(|store| store.store_id == id)
    }

    /// The id that was selected last.
    #[must_use]
    pub(crate) fn selected(&self) -> Option<&str> {
        self.members.get("selectedStoreId").and_then(Value::as_str)
    }

    /// Records the selected id; `None` when that bank is not registered.
    pub(crate) fn select(&mut self, id: Option<&str>) {
        self.members.insert("selectedStoreId".to_owned(), json!(id));
    }

    /// Adds or replaces an entry.
    ///
    /// # Errors
    /// There are too many.
    pub(crate) fn put(&mut self, store: &RegisteredStore) -> Result<(), WorkspaceError> {
        let entry =
            serde_json::to_value(store).map_err(|error| StoreError::Unavailable(error.to_string()))?;
        if let Some(present) = self.entries.iter_mut().find(|entry| has_id(entry, &store.store_id)) {
            *present = entry;
        } else if self.entries.len() >= limits::REGISTERED_STORES {
            return Err(WorkspaceError::Refused(format!(
                "there are {} registered stores already; unregister one first",
                self.entries.len()
            )));
        } else {
            self.entries.push(entry);
        }
        Ok(())
    }

    /// Removes an entry; false if there was none.
    pub(crate) fn remove(&mut self, id: &str) -> bool {
        let before = self.entries.len();
        self.entries.retain(|entry| !has_id(entry, id));
        if self.selected() == Some(id) {
            self.select(None);
        }
        self.entries.len() < before
    }

    fn parse(bytes: &[u8]) -> Result<Self, String> {
        if bytes.iter().all(u8::is_ascii_whitespace) {
            return Ok(Self::default());
        }
        let mut members: Map<String, Value> =
            serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
        match members.get("version").and_then(Value::as_u64) {
            Some(VERSION) => {}
            Some(other) => {
                return Err(format!("it has version {other}, this server knows version {VERSION}"));
            }
            None => return Err("it has no version".to_owned()),
        }
        match members.remove("stores") {
            Some(Value::Array(entries)) => Ok(Self { members, entries }),
            _ => Err("it has no list of stores".to_owned()),
        }
    }

    fn to_text(&self) -> Result<String, StoreError> {
        let mut members = Map::new();
        members.insert("version".to_owned(), json!(VERSION));
        members.insert("selectedStoreId".to_owned(), Value::Null);
        members.extend(self.members.clone());
        members.insert("stores".to_owned(), Value::Array(self.entries.clone()));
        serde_json::to_string_pretty(&members).map_err(|error| StoreError::Unavailable(error.to_string()))
    }
}

/// The registry file of one server.
#[derive(Debug, Clone)]
pub(crate) struct Registry {
    folder: PathBuf,
}

impl Registry {
    /// The registry in this directory.
    #[must_use]
    pub(crate) fn new(project: &Path) -> Self {
        Self { folder: project.to_owned() }
    }

    /// Reads the registry; empty when there is none. Blocks.
    ///
    /// # Errors
    /// The file is not a registry of this version; it is left alone.
    pub(crate) fn read(&self) -> Result<Registered, StoreError> {
        let dir = match BankDir::open(&self.folder) {
            Ok(dir) => dir,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Registered::default()),
            Err(error) => return Err(StoreError::io("cannot read the registry")(error)),
        };
        match dir.read_up_to(REGISTRY_FILE, REGISTRY_BYTES)? {
            FileRead::Missing => Ok(Registered::default()),
            FileRead::Unreadable(why) => Err(damaged(&why)),
            FileRead::Found(bytes, _) => Registered::parse(&bytes).map_err(|why| damaged(&why)),
        }
    }

    /// Whether there is a file.
    #[must_use]
    pub(crate) fn exists(&self) -> bool {
        self.folder.join(REGISTRY_FILE).exists()
    }

    /// Reads, changes and writes the registry as one step, also towards other processes. Blocks.
    ///
    /// # Errors
    /// What the change returned, or the file cannot be used, locked or written; it is as before then.
    pub(crate) fn change<T>(
        &self,
        change: impl FnOnce(&mut Registered) -> Result<T, WorkspaceError>,
    ) -> Result<T, WorkspaceError> {
        let (dir, _lock) = self.lock()?;
        let bytes = match dir.read_up_to(REGISTRY_FILE, REGISTRY_BYTES)? {
            FileRead::Missing => Vec::new(),
            FileRead::Unreadable(why) => return Err(damaged(&why).into()),
            FileRead::Found(bytes, _) => bytes,
        };
        let mut registered = Registered::parse(&bytes).map_err(|why| damaged(&why))?;
        let before = registered.to_text()?;
        let result = change(&mut registered)?;
        let after = registered.to_text()?;
        if after != before || bytes.is_empty() {
            dir.replace_beside(REGISTRY_FILE, after.as_bytes())
                .map_err(StoreError::io("cannot write the registry"))?;
        }
        Ok(result)
    }

    /// Locks the file itself, and checks that it is still the file of that name: a writer replaces it. A repository
    /// may contain a link of this name; as for reading, it must not lead out of the project.
    fn lock(&self) -> Result<(BankDir, FolderLock), StoreError> {
        let deadline = Instant::now() + Duration::from_millis(limits::LOCK_WAIT_MS);
        let cannot = || StoreError::io("cannot write the registry");
        let dir = BankDir::open(&self.folder).map_err(cannot())?;
        if system::LOCKED_FILES_ARE_CLOSED {
            dir.target(REGISTRY_FILE).map_err(|error| damaged(&reason(&error)))?;
            return Ok((dir, self.lock_beside(deadline)?));
        }
        loop {
            dir.target(REGISTRY_FILE).map_err(|error| damaged(&reason(&error)))?;
            let mut options = OpenOptions::new();
            options.read(true).write(true).create(true);
            let file = dir
                .open_file(REGISTRY_FILE, &mut options)
                .map_err(|error| cannot()(io::Error::other(reason(&error))))?;
            let stamp = FileStamp::of(&file.metadata().map_err(cannot())?);
            let file = file.into_std();
            wait_for(deadline, || file.try_lock())?;
            // It may have been replaced during the wait.
            if dir.stamp(REGISTRY_FILE).is_some_and(|named| named.inode == stamp.inode) {
                return Ok((dir, FolderLock::of(file)));
            }
            if Instant::now() >= deadline {
                return Err(StoreError::Busy);
            }
        }
    }

    /// Where a locked file cannot be read, another one is locked.
    fn lock_beside(&self, deadline: Instant) -> Result<FolderLock, StoreError> {
        let path = self.folder.join(IN_USE_FILE);
        let mut lock = None;
        wait_for(deadline, || {
            lock = FolderLock::hold(&path).map_err(TryLockError::Error)?;
            if lock.is_some() { Ok(()) } else { Err(TryLockError::WouldBlock) }
        })?;
        lock.ok_or(StoreError::Busy)
    }
}

fn has_id(entry: &Value, id: &str) -> bool {
    entry.get("storeId").and_then(Value::as_str) == Some(id)
}

fn damaged(why: &str) -> StoreError {
    StoreError::Damaged {
        what: REGISTRY_FILE.to_owned(),
        detail: format!("{why}; it was left as it is: repair it, or move it away to start a new registry"),
    }
}

#[cfg(test)]
mod tests {
    use memory_bank_core::store::StoreKind;
    use rstest::rstest;
    use tempfile::TempDir;

    use super::*;

    fn store(id: &str) -> RegisteredStore {
        RegisteredStore {
            store_id: id.to_owned(),
            project_path: format!("/p/{id}"),
            kind: StoreKind::Local,
            registered_at: "2026-11-22T09:30:07.062Z".to_owned(),
            last_used_at: "2026-11-22T09:30:07.062Z".to_owned(),
        }
    }

    fn ids(registry: &Registry) -> Vec<String> {
        registry.read().unwrap().stores().map(|store| store.store_id).collect()
    }

    #[test]
    fn concurrent_registrations_are_all_kept() {
        let temp = TempDir::new().unwrap();
        std::thread::scope(|scope| {
            for number in 0..8 {
                let registry = Registry::new(temp.path());
                scope.spawn(move || {
                    for turn in 0..5 {
                        registry.change(|all| all.put(&store(&format!("s{number}-{turn}")))).unwrap();
                    }
                });
            }
        });
        assert_eq!(ids(&Registry::new(temp.path())).len(), 40);
        assert_eq!(std::fs::read_dir(temp.path()).unwrap().count(), 1);
    }

    #[test]
    fn an_unregistered_store_does_not_come_back() {
        let temp = TempDir::new().unwrap();
        let (one, other) = (Registry::new(temp.path()), Registry::new(temp.path()));
        one.change(|all| all.put(&store("b"))).unwrap();
        assert_eq!(ids(&other), ["b"]);
        assert!(one.change(|all| Ok(all.remove("b"))).unwrap());
        other.change(|all| all.put(&store("c"))).unwrap();
        assert_eq!(ids(&one), ["c"]);
    }

    #[rstest]
    #[case("not json")]
    #[case(r#"{"version":2,"stores":[]}"#)]
    #[case(r#"{"books":["a"]}"#)]
    #[case("[]")]
    fn a_file_that_is_not_a_registry_is_kept_and_reported(#[case] text: &str) {
        let temp = TempDir::new().unwrap();
        std::fs::write(temp.path().join(REGISTRY_FILE), text).unwrap();
        let registry = Registry::new(temp.path());
        assert!(matches!(registry.read(), Err(StoreError::Damaged { .. })));
        registry.change(|all| all.put(&store("b"))).unwrap_err();
        assert_eq!(std::fs::read_to_string(temp.path().join(REGISTRY_FILE)).unwrap(), text);
    }

    #[cfg(unix)]
    #[test]
    fn a_planted_link_creates_and_changes_no_file_outside_the_project() {
        for present in [None, Some(""), Some(r#"{"version":1,"stores":[]}"#)] {
            let (project, outside) = (TempDir::new().unwrap(), TempDir::new().unwrap());
            let target = outside.path().join("settings.json");
            if let Some(text) = present {
                std::fs::write(&target, text).unwrap();
            }
            std::os::unix::fs::symlink(&target, project.path().join(REGISTRY_FILE)).unwrap();
            Registry::new(project.path()).change(|all| all.put(&store("b"))).unwrap_err();
            assert_eq!(std::fs::read_to_string(&target).ok().as_deref(), present);
        }
    }

    #[test]
    fn unknown_members_stay_in_the_file() {
        let temp = TempDir::new().unwrap();
        let text =
            r#"{"version":1,"selectedStoreId":null,"stores":[{"storeId":"x","kind":"cloud"}],"extra":1}"#;
        std::fs::write(temp.path().join(REGISTRY_FILE), text).unwrap();
        let registry = Registry::new(temp.path());
        registry.change(|all| all.put(&store("b"))).unwrap();
        let text = std::fs::read_to_string(temp.path().join(REGISTRY_FILE)).unwrap();
        assert!(text.contains("cloud") && text.contains("extra"), "{text}");
        assert_eq!(ids(&registry), ["b"]);
    }
}
