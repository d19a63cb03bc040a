//! The API keys of a folder that is served over HTTP: their hashes, in one file in the user's state folder.
//!
//! There is one user and one project, so every key acts as the folder's owner, within its scopes. The file is bound
//! to the bank's path and is outside of the project: a project may come from somebody else, and keys with it. Several
//! servers of one folder share the file, under a lock, and each sees the changes of the others.

mod file;
mod legacy;
mod stored;

use parking_lot::Mutex;
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use memory_bank_core::caller::{Caller, KeyId};
use memory_bank_core::error::StoreError;
use memory_bank_core::identity::{
    KeyChange, KeyDirectory, KeyError, KeyHash, KeyIdentity, KeyRecord, KeyStore, KeyUse, NewKey, Revoked,
};
use memory_bank_core::limits;
use uuid::Uuid;

use crate::keys::file::KeyFile;
use crate::keys::stored::{CachedKeys, StoredKey};
use crate::lock::blocking;
use crate::state_folder::StateFolder;

/// How much newer a use must be to be stored.
const LAST_USED_INTERVAL: SignedDuration = SignedDuration::from_secs(60);

/// The keys of one folder.
#[derive(Debug)]
pub struct FolderKeys {
    file: KeyFile,
    user_name: String,
    cached: Arc<Mutex<CachedKeys>>,
}

/// Facts about the keys, for `doctor`.
#[derive(Debug)]
pub struct KeysFound {
    /// The file of the keys, which may not be there yet.
    pub file: PathBuf,
    /// The keys in it; none if there is no file yet.
    pub keys: Option<FolderKeys>,
    /// How the next start treats a file of keys in the project itself; `None` if there is none.
    pub in_project: Option<String>,
}

impl FolderKeys {
    /// The keys of the bank in the folder `folder` of `project`; none when there is no file yet. `user_name` is written
    /// into entries that are made with them. Keys that an older version stored in the project are moved if they are the
    /// user's own.
    ///
    /// # Errors
    /// The file is there and cannot be used, or the state folder cannot.
    pub fn open(
        project: &Path,
        folder: &str,
        user_name: &str,
        state: &StateFolder,
    ) -> Result<Self, StoreError> {
        let file = KeyFile::of(project, folder, state)?;
        let cached = {
            let held = file.lock()?;
            match held.read()? {
                Some(cached) => {
                    legacy::clear(project, folder, &cached.keys);
                    cached
                }
                None => match legacy::read(project, folder)? {
                    Some(taken) => {
                        held.write(&taken.keys)?;
                        taken.remove(file.path());
                        held.read()?.unwrap_or_default()
                    }
                    None => CachedKeys::default(),
                },
            }
        };
        Ok(Self { file, user_name: user_name.to_owned(), cached: Arc::new(Mutex::new(cached)) })
    }

    /// The facts, without changing anything.
    ///
    /// # Errors
    /// The file exists and cannot be used.
    pub fn check(
        project: &Path,
        folder: &str,
        user_name: &str,
        state: &StateFolder,
    ) -> Result<KeysFound, StoreError> {
        let file = KeyFile::of(project, folder, state)?;
        let cached = file.read()?;
        let in_project = legacy::describe(project, folder, cached.is_some());
        let path = file.path().to_owned();
        let keys = cached.map(|cached| Self {
            file,
            user_name: user_name.to_owned(),
            cached: Arc::new(Mutex::new(cached)),
        });
        Ok(KeysFound { file: path, keys, in_project })
    }

    /// The file of the keys.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.file.path()
    }

    /// Whether there is no key at all, not even a revoked one.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.cached.lock().keys.is_empty()
    }

    /// Stores the first key; returns false if another server created one meanwhile.
    ///
    /// # Errors
    /// The key cannot be stored.
    pub async fn create_first(&self, key: &NewKey) -> Result<bool, StoreError> {
        let key = StoredKey::new(key);
        let made = self
            .change(move |keys| {
                if !keys.is_empty() {
                    return Ok(None);
                }
                keys.push(key);
                Ok::<_, StoreError>(Some(()))
            })
            .await?;
        Ok(made.is_some())
    }

    /// Reads the keys, and reads the file again if another process changed it.
    async fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce(&[StoredKey]) -> T + Send + 'static,
    ) -> Result<T, StoreError> {
        let (file, cached) = (self.file.clone(), Arc::clone(&self.cached));
        blocking(move || {
            let mut cached = cached.lock();
            if file.stamp()? != cached.stamp {
                *cached = file.read()?.unwrap_or_default();
            }
            Ok(work(&cached.keys))
        })
        .await
    }

    /// Changes the keys and writes the file; a failed write leaves both as they were.
    async fn change<T: Send + 'static, E: From<StoreError> + Send + 'static>(
        &self,
        work: impl FnOnce(&mut Vec<StoredKey>) -> Result<Option<T>, E> + Send + 'static,
    ) -> Result<Option<T>, E> {
        let (file, cached) = (self.file.clone(), Arc::clone(&self.cached));
        blocking(move || {
            let held = file.lock()?;
            let mut cached = cached.lock();
            *cached = held.read()?.unwrap_or_default();
            let mut changed = cached.keys.clone();
            let Some(outcome) = work(&mut changed)? else { return Ok(None) };
            while changed.len() > limits::FOLDER_KEYS_KEPT {
                let Some(at) = changed.iter().position(|key| key.revoked_at.is_some()) else { break };
                changed.remove(at);
            }
            held.write(&changed)?;
            *cached = CachedKeys { stamp: file.stamp()?, keys: changed };
            Ok(Some(outcome))
        })
        .await
    }
}

fn active(keys: &mut [StoredKey], id: KeyId) -> Option<&mut StoredKey> {
    keys.iter_mut().find(|key| key.id == id.0 && key.revoked_at.is_none())
}

#[async_trait]
impl KeyDirectory for FolderKeys {
    async fn find(&self, hash: &KeyHash) -> Result<Option<KeyIdentity>, StoreError> {
        let (hex, presented) = (hash.to_hex(), *hash);
        let user_name = self.user_name.clone();
        self.read(move |keys| {
            let key = keys.iter().find(|key| key.hash == hex)?;
            let caller = Caller {
                scopes: key.scopes.clone(),
                key: Some(KeyId(key.id)),
                proof: Some(presented),
                ..Caller::local(user_name)
            };
            let (rate_limit, expires_at, revoked_at) = (key.rate_limit, key.expires_at, key.revoked_at);
            Some(KeyIdentity { caller, rate_limit, expires_at, revoked_at, counted_as: None })
        })
        .await
    }

    /// There is no database behind this that would detect a forged cache entry.
    fn is_local(&self) -> bool {
        true
    }

    async fn record_uses(&self, uses: &[KeyUse]) -> Result<(), StoreError> {
        let uses: HashMap<Uuid, Timestamp> = uses.iter().map(|used| (used.key.0, used.at)).collect();
        self.change(move |keys| {
            let mut changed = None;
            for key in keys {
                let Some(at) = uses.get(&key.id) else { continue };
                if key.last_used_at.is_none_or(|last| at.duration_since(last) > LAST_USED_INTERVAL) {
                    key.last_used_at = Some(*at);
                    changed = Some(());
                }
            }
            Ok::<_, StoreError>(changed)
        })
        .await?;
        Ok(())
    }
}

#[async_trait]
impl KeyStore for FolderKeys {
    async fn list(&self, _caller: &Caller, include_revoked: bool) -> Result<Vec<KeyRecord>, StoreError> {
        self.read(move |keys| {
            let listed = keys.iter().rev().filter(|key| include_revoked || key.revoked_at.is_none());
            listed.map(StoredKey::record).collect()
        })
        .await
    }

    async fn create(&self, caller: &Caller, key: &NewKey) -> Result<KeyRecord, KeyError> {
        let (mut key, maker) = (StoredKey::new(key), caller.key);
        let made = self.change(move |keys| {
            if keys.iter().filter(|key| key.revoked_at.is_none()).count() >= limits::FOLDER_KEYS {
                return Err(KeyError::TooMany(limits::FOLDER_KEYS));
            }
            key.ends_with(keys, maker);
            let record = key.record();
            keys.push(key);
            Ok(Some(record))
        });
        made.await?
            .ok_or_else(|| KeyError::Store(StoreError::Unavailable("the key was not stored".to_owned())))
    }

    async fn update(
        &self,
        _caller: &Caller,
        id: KeyId,
        change: &KeyChange,
    ) -> Result<Option<Revoked>, StoreError> {
        let change = change.clone();
        self.change(move |keys| {
            let Some(key) = active(keys, id) else { return Ok(None) };
            if let Some(label) = change.label {
                key.label = label;
            }
            if let Some(scopes) = change.scopes {
                key.scopes = scopes;
            }
            if let Some(rate_limit) = change.rate_limit {
                key.rate_limit = rate_limit;
            }
            key.revoked().map(Some)
        })
        .await
    }

    async fn revoke(
        &self,
        _caller: &Caller,
        id: KeyId,
        now: Timestamp,
    ) -> Result<Option<Revoked>, StoreError> {
        self.change(move |keys| {
            let Some(key) = active(keys, id) else { return Ok(None) };
            key.revoked_at = Some(now);
            key.revoked().map(Some)
        })
        .await
    }

    async fn rotate(
        &self,
        caller: &Caller,
        id: KeyId,
        key: &NewKey,
    ) -> Result<Option<(KeyRecord, Revoked)>, KeyError> {
        let (mut fresh, maker) = (StoredKey::new(key), caller.key.filter(|maker| *maker != id));
        self.change(move |keys| {
            fresh.ends_with(keys, maker);
            let Some(old) = active(keys, id) else { return Ok(None) };
            old.revoked_at = Some(fresh.created_at);
            fresh.label.clone_from(&old.label);
            fresh.scopes.clone_from(&old.scopes);
            fresh.rate_limit = old.rate_limit;
            let revoked = old.revoked()?;
            let record = fresh.record();
            keys.push(fresh);
            Ok(Some((record, revoked)))
        })
        .await
    }
}

#[cfg(test)]
mod tests;
