//! The state of callers if the process is the session: in memory, except for the times of digest reads, which the
//! next process needs. Those are stored in the user's state folder, so that reading a digest does not change a
//! project.

use parking_lot::Mutex;
use std::collections::{BTreeMap, BTreeSet};
use std::io;

use async_trait::async_trait;
use memory_bank_core::caller::Caller;
use memory_bank_core::error::StoreError;
use memory_bank_core::store::{DigestVisits, MemoryStateStore, SessionState, StateChange, StateStore};

use crate::dir::{BankDir, FileRead};
use crate::state_folder::StateFolder;

const FOLDER: &str = "sessions";
const FILE: &str = "visits.json";
const FILE_BYTES: u64 = 256 * 1024;
/// The most callers whose times are stored.
const MAX_CALLERS: usize = 50;

type Visits = BTreeMap<String, DigestVisits>;

/// Keeps the state in memory, and the digest times of each caller in the state folder.
#[derive(Debug)]
pub struct RememberedStateStore {
    memory: MemoryStateStore,
    folder: Option<StateFolder>,
    /// The callers whose stored times were read.
    recalled: Mutex<BTreeSet<String>>,
}

impl RememberedStateStore {
    /// A store in which everyone starts from `initial`. Without a folder visits end with the process.
    #[must_use]
    pub fn new(initial: SessionState, folder: Option<StateFolder>) -> Self {
        Self { memory: MemoryStateStore::with_initial(initial), folder, recalled: Mutex::default() }
    }

    /// Loads the visits that earlier processes stored, once.
    async fn load_stored(&self, caller: &Caller) -> Result<(), StoreError> {
        let Some(folder) = self.folder.clone() else { return Ok(()) };
        let key = key(caller);
        if !self.recalled.lock().insert(key.clone()) {
            return Ok(());
        }
        let kept = blocking(move || match folder.open_existing(FOLDER)? {
            Some(dir) => Ok(read(&dir).remove(&key)),
            None => Ok(None),
        })
        .await;
        let visits = match kept {
            Ok(visits) => visits.unwrap_or_default(),
            Err(error) => {
                tracing::warn!(%error, "the times of digest reads cannot be loaded");
                return Ok(());
            }
        };
        self.memory.update(caller, &mut |state| state.visits = visits.clone()).await.map(drop)
    }

    async fn keep(&self, caller: &Caller, visits: DigestVisits) {
        let Some(folder) = self.folder.clone() else { return };
        let key = key(caller);
        let kept = blocking(move || {
            let dir = folder.open(FOLDER)?;
            let mut all = read(&dir);
            all.insert(key, visits);
            while all.len() > MAX_CALLERS {
                all.pop_first();
            }
            dir.replace_beside(FILE, serde_json::to_string(&all)?.as_bytes())
        });
        if let Err(error) = kept.await {
            tracing::warn!(%error, "the times of digest reads cannot be stored");
        }
    }
}

/// The stored visits; none if the file is not of this version, and then it is replaced.
fn read(dir: &BankDir) -> Visits {
    match dir.read_up_to(FILE, FILE_BYTES) {
        Ok(FileRead::Found(bytes, _)) => serde_json::from_slice(&bytes).unwrap_or_default(),
        _ => Visits::default(),
    }
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> io::Result<T> + Send + 'static) -> io::Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(io::Error::other)?
}

fn key(caller: &Caller) -> String {
    format!("{} {}", caller.user.0, caller.project.0)
}

#[async_trait]
impl StateStore for RememberedStateStore {
    async fn load(&self, caller: &Caller) -> Result<SessionState, StoreError> {
        self.load_stored(caller).await?;
        self.memory.load(caller).await
    }

    async fn update(
        &self,
        caller: &Caller,
        change: &mut StateChange<'_>,
    ) -> Result<SessionState, StoreError> {
        self.load_stored(caller).await?;
        let before = self.memory.load(caller).await?.visits;
        let after = self.memory.update(caller, change).await?;
        if after.visits != before {
            self.keep(caller, after.visits.clone()).await;
        }
        Ok(after)
    }
}

#[cfg(test)]
mod tests {
    use jiff::{Timestamp, ToSpan};

    use super::*;

    #[tokio::test]
    async fn the_next_process_knows_the_last_digest_read_and_starts_in_its_own_mode() {
        let temp = tempfile::tempdir().unwrap();
        let folder = StateFolder::new(temp.path().join("state"));
        let caller = Caller::local("me");
        let first = RememberedStateStore::new(SessionState::default(), Some(folder.clone()));
        let noon = Timestamp::UNIX_EPOCH + 12.hours();
        first
            .update(&caller, &mut |state| {
                state.umb_active = true;
                state.visits.note("bank", noon);
            })
            .await
            .unwrap();
        let second = RememberedStateStore::new(SessionState::default(), Some(folder));
        let state = second.load(&caller).await.unwrap();
        assert!(!state.umb_active);
        assert_eq!(state.visits.last_session("bank", noon + 2.hours()), Some(noon));
    }

    #[tokio::test]
    async fn a_state_file_that_cannot_be_read_or_written_stops_nothing() {
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join("state");
        std::fs::create_dir_all(path.join(FOLDER)).unwrap();
        std::fs::write(path.join(FOLDER).join(FILE), "{").unwrap();
        let caller = Caller::local("me");
        let store = RememberedStateStore::new(SessionState::default(), Some(StateFolder::new(path)));
        assert!(store.load(&caller).await.unwrap().visits.is_empty());
        let nowhere = StateFolder::new(temp.path().join("file"));
        std::fs::write(temp.path().join("file"), "").unwrap();
        let store = RememberedStateStore::new(SessionState::default(), Some(nowhere));
        store.update(&caller, &mut |state| state.visits.note("b", Timestamp::UNIX_EPOCH)).await.unwrap();
        assert!(!store.load(&caller).await.unwrap().visits.is_empty());
    }
}
