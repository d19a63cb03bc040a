//! The API keys of a folder that is served over HTTP: their hashes, in one file beside the bank.
//!
//! There is one user and one project here, so every key acts as the folder's owner, within its scopes.

use std::collections::HashMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use memory_bank_core::caller::{Caller, KeyId, Right};
use memory_bank_core::error::StoreError;
use memory_bank_core::identity::{
    KeyChange, KeyDirectory, KeyError, KeyHash, KeyIdentity, KeyRecord, KeyStore, KeyUse, NewKey, Revoked,
};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// How many active keys a folder may have.
const ACTIVE_KEYS: usize = 100;
/// How many keys are kept in all; the revoked ones that are oldest go first.
const KEPT_KEYS: usize = 1000;
/// How much newer a use must be to be written down.
const USED_EVERY: SignedDuration = SignedDuration::from_secs(60);
/// The largest file that is read, in bytes.
const FILE_BYTES: u64 = 4 * 1024 * 1024;

/// The keys of one folder.
#[derive(Debug)]
pub struct FolderKeys {
    file: PathBuf,
    user_name: String,
    keys: Arc<Mutex<Vec<StoredKey>>>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct StoredKey {
    id: Uuid,
    hash: String,
    prefix: String,
    label: Option<String>,
    scopes: Vec<Right>,
    rate_limit: u32,
    last_used_at: Option<Timestamp>,
    expires_at: Option<Timestamp>,
    created_at: Timestamp,
    revoked_at: Option<Timestamp>,
}

#[derive(Debug, Serialize, Deserialize)]
struct KeyFile {
    version: u32,
    keys: Vec<StoredKey>,
}

impl FolderKeys {
    /// The keys of the bank in the folder `folder` of `project`; none when there is no file yet. `user_name` is written
    /// into entries that are made with them.
    ///
    /// # Errors
    /// The file is there and cannot be used.
    pub fn open(project: &Path, folder: &str, user_name: &str) -> Result<Self, StoreError> {
        let file = project.join(format!(".{folder}-keys.json"));
        let what = "the file of the API keys";
        let keys = match fs_err::metadata(&file) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Vec::new(),
            Err(error) => return Err(StoreError::io(what)(error)),
            Ok(metadata) if metadata.len() > FILE_BYTES => {
                return Err(StoreError::TooLarge {
                    what: what.to_owned(),
                    limit: FILE_BYTES,
                    got: metadata.len(),
                });
            }
            Ok(_) => {
                let text = fs_err::read(&file).map_err(StoreError::io(what))?;
                let damaged = |error: serde_json::Error| StoreError::Damaged {
                    what: what.to_owned(),
                    detail: format!("{error}; mend it, or remove it to begin with a new key"),
                };
                serde_json::from_slice::<KeyFile>(&text).map_err(damaged)?.keys
            }
        };
        Ok(Self { file, user_name: user_name.to_owned(), keys: Arc::new(Mutex::new(keys)) })
    }

    /// Whether there is no key at all, not even a void one.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.keys.lock().unwrap_or_else(PoisonError::into_inner).is_empty()
    }

    fn read<T>(&self, work: impl FnOnce(&[StoredKey]) -> T) -> T {
        work(&self.keys.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Changes the keys and writes the file; a failed write leaves both as they were.
    async fn change<T: Send + 'static, E: From<StoreError> + Send + 'static>(
        &self,
        work: impl FnOnce(&mut Vec<StoredKey>) -> Result<Option<T>, E> + Send + 'static,
    ) -> Result<Option<T>, E> {
        let (file, keys) = (self.file.clone(), Arc::clone(&self.keys));
        let done = tokio::task::spawn_blocking(move || {
            let mut keys = keys.lock().unwrap_or_else(PoisonError::into_inner);
            let mut changed = keys.clone();
            let Some(outcome) = work(&mut changed)? else { return Ok(None) };
            while changed.len() > KEPT_KEYS {
                let Some(at) = changed.iter().position(|key| key.revoked_at.is_some()) else { break };
                changed.remove(at);
            }
            write(&file, &changed)?;
            *keys = changed;
            Ok(Some(outcome))
        });
        done.await.unwrap_or_else(|error| Err(StoreError::Unavailable(error.to_string()).into()))
    }
}

fn write(file: &Path, keys: &[StoredKey]) -> Result<(), StoreError> {
    let what = "writing the file of the API keys";
    let failed = || StoreError::io(what);
    let contents = serde_json::to_vec_pretty(&KeyFile { version: 1, keys: keys.to_vec() })
        .map_err(|error| StoreError::Unavailable(error.to_string()))?;
    let folder = file.parent().unwrap_or(Path::new("."));
    fs_err::create_dir_all(folder).map_err(failed())?;
    let temporary = file.with_extension(format!("{}.tmp", std::process::id()));
    let written = (|| {
        let mut options = fs_err::OpenOptions::new();
        options.write(true).create(true).truncate(true);
        #[cfg(unix)]
        {
            use fs_err::os::unix::fs::OpenOptionsExt;
            options.mode(0o600);
        }
        let mut open = options.open(&temporary)?;
        open.write_all(&contents)?;
        open.sync_all()?;
        fs_err::rename(&temporary, file)
    })();
    written.map_err(|error| {
        // The error that counts is the first one.
        let _ = fs_err::remove_file(&temporary);
        failed()(error)
    })
}

impl StoredKey {
    fn record(&self) -> KeyRecord {
        KeyRecord {
            id: KeyId(self.id),
            prefix: self.prefix.clone(),
            label: self.label.clone(),
            scopes: self.scopes.clone(),
            rate_limit: self.rate_limit,
            last_used_at: self.last_used_at,
            expires_at: self.expires_at,
            created_at: self.created_at,
            revoked_at: self.revoked_at,
        }
    }

    fn revoked(&self) -> Result<Revoked, StoreError> {
        let hash = KeyHash::from_hex(&self.hash).ok_or_else(|| StoreError::Damaged {
            what: "the file of the API keys".to_owned(),
            detail: format!("the hash of `{}` is none", self.prefix),
        })?;
        Ok(Revoked { record: self.record(), hash })
    }

    fn new(key: &NewKey) -> Self {
        Self {
            id: key.id.0,
            hash: key.hash.to_hex(),
            prefix: key.prefix.clone(),
            label: key.label.clone(),
            scopes: key.scopes.clone(),
            rate_limit: key.rate_limit,
            last_used_at: None,
            expires_at: key.expires_at,
            created_at: key.created_at,
            revoked_at: None,
        }
    }
}

fn active(keys: &mut [StoredKey], id: KeyId) -> Option<&mut StoredKey> {
    keys.iter_mut().find(|key| key.id == id.0 && key.revoked_at.is_none())
}

#[async_trait]
impl KeyDirectory for FolderKeys {
    async fn find(&self, hash: &KeyHash) -> Result<Option<KeyIdentity>, StoreError> {
        let hex = hash.to_hex();
        Ok(self.read(|keys| {
            let key = keys.iter().find(|key| key.hash == hex)?;
            let caller = Caller {
                scopes: key.scopes.clone(),
                key: Some(KeyId(key.id)),
                ..Caller::local(self.user_name.clone())
            };
            let (rate_limit, expires_at, revoked_at) = (key.rate_limit, key.expires_at, key.revoked_at);
            Some(KeyIdentity { caller, rate_limit, expires_at, revoked_at })
        }))
    }

    async fn note_uses(&self, uses: &[KeyUse]) -> Result<(), StoreError> {
        let uses: HashMap<Uuid, Timestamp> = uses.iter().map(|used| (used.key.0, used.at)).collect();
        self.change(move |keys| {
            let mut changed = None;
            for key in keys {
                let Some(at) = uses.get(&key.id) else { continue };
                if key.last_used_at.is_none_or(|last| at.duration_since(last) > USED_EVERY) {
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
        Ok(self.read(|keys| {
            let listed = keys.iter().rev().filter(|key| include_revoked || key.revoked_at.is_none());
            listed.map(StoredKey::record).collect()
        }))
    }

    async fn create(&self, _caller: &Caller, key: &NewKey) -> Result<KeyRecord, KeyError> {
        let key = StoredKey::new(key);
        let record = key.record();
        self.change(move |keys| {
            if keys.iter().filter(|key| key.revoked_at.is_none()).count() >= ACTIVE_KEYS {
                return Err(KeyError::TooMany(ACTIVE_KEYS));
            }
            keys.push(key);
            Ok(Some(()))
        })
        .await?;
        Ok(record)
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
        _caller: &Caller,
        id: KeyId,
        key: &NewKey,
    ) -> Result<Option<(KeyRecord, Revoked)>, KeyError> {
        let mut fresh = StoredKey::new(key);
        self.change(move |keys| {
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
mod tests {
    use memory_bank_core::clock::{Entropy, SystemEntropy};
    use memory_bank_core::identity::{Environment, PlainKey};
    use tempfile::TempDir;

    use super::*;

    fn made() -> (PlainKey, NewKey) {
        let plain = PlainKey::generate(Environment::Live, &SystemEntropy);
        let key = NewKey {
            id: KeyId(SystemEntropy.id()),
            hash: plain.hash(),
            prefix: plain.prefix(),
            label: Some("first".to_owned()),
            scopes: vec![Right::Read],
            rate_limit: 7,
            expires_at: None,
            created_at: "2026-11-22T09:30:00Z".parse().unwrap(),
        };
        (plain, key)
    }

    #[tokio::test]
    async fn a_key_is_found_again_after_a_restart_and_stands_nowhere_in_plain_text() {
        let temp = TempDir::new().unwrap();
        let caller = Caller::local("alice");
        let (plain, key) = made();
        let keys = FolderKeys::open(temp.path(), "memory-bank", "alice").unwrap();
        assert!(keys.is_empty());
        keys.create(&caller, &key).await.unwrap();

        let again = FolderKeys::open(temp.path(), "memory-bank", "alice").unwrap();
        let found = again.find(&plain.hash()).await.unwrap().unwrap();
        assert_eq!((found.rate_limit, found.caller.key), (7, Some(key.id)));
        assert_eq!(found.caller.scopes, [Right::Read]);
        let file = temp.path().join(".memory-bank-keys.json");
        assert!(!std::fs::read_to_string(&file).unwrap().contains(plain.expose()));
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        }
    }

    #[tokio::test]
    async fn rotation_voids_the_old_key_and_keeps_what_it_was() {
        let temp = TempDir::new().unwrap();
        let caller = Caller::local("alice");
        let (old, key) = made();
        let keys = FolderKeys::open(temp.path(), "memory-bank", "alice").unwrap();
        keys.create(&caller, &key).await.unwrap();
        let (new, fresh) = made();
        let (record, _) = keys.rotate(&caller, key.id, &fresh).await.unwrap().unwrap();
        assert_eq!((record.label.as_deref(), record.rate_limit), (Some("first"), 7));
        assert!(keys.find(&old.hash()).await.unwrap().unwrap().revoked_at.is_some());
        assert!(keys.find(&new.hash()).await.unwrap().unwrap().revoked_at.is_none());
        assert!(keys.rotate(&caller, key.id, &made().1).await.unwrap().is_none());
    }

    #[test]
    fn a_damaged_file_is_an_error_and_stays() {
        let temp = TempDir::new().unwrap();
        let file = temp.path().join(".memory-bank-keys.json");
        std::fs::write(&file, "{").unwrap();
        assert!(matches!(
            FolderKeys::open(temp.path(), "memory-bank", "alice"),
            Err(StoreError::Damaged { .. })
        ));
        assert_eq!(std::fs::read_to_string(&file).unwrap(), "{");
    }
}
