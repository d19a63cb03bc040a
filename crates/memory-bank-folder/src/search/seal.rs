//! The seal on stored vectors and versions: a checksum with a key of the user's, so that a file which came with a repository
//! counts for nothing. The key is in the user's state folder; without one it is valid for this process only. A state folder in the project
//! may have come with it, so a key there is bound to its file: another file with the same bytes is another key.

use std::io;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use memory_bank_core::clock::Entropy;
use memory_bank_core::limits;
use sha2::{Digest, Sha256};

use crate::dir::{BankDir, FileRead};
use crate::lock::wait_for;
use crate::state_folder::{self, StateFolder};
use crate::system;

const FOLDER: &str = "vectors";
const FILE: &str = "seal.key";
const KEY_BYTES: usize = 32;
const BOUND: &[u8; 8] = b"mbbound\x01";

/// A key that only this user knows.
#[derive(Clone)]
pub(crate) struct Seal([u8; KEY_BYTES]);

impl std::fmt::Debug for Seal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Seal")
    }
}

/// Where the key is.
#[derive(Debug, Clone, Default)]
pub(crate) struct SealLocation {
    /// The user's state folder, if there is one.
    pub(crate) state: Option<StateFolder>,
    /// The project. A state folder in it may have come with it.
    pub(crate) project: PathBuf,
}

impl Seal {
    /// A key for this process alone.
    pub(crate) fn new(entropy: &dyn Entropy) -> Self {
        let mut key = [0; KEY_BYTES];
        let random = [entropy.id(), entropy.id(), entropy.id()];
        let digest = Sha256::digest(random.map(uuid::Uuid::into_bytes).concat());
        key.iter_mut().zip(digest).for_each(|(to, from)| *to = from);
        Self(key)
    }

    /// The user's key. One is stored with `may_store`; else none is there while nothing was sealed.
    pub(crate) fn of_user(place: &SealLocation, entropy: &dyn Entropy, may_store: bool) -> Option<Self> {
        let found = place.stored().and_then(|found| match found {
            None if may_store => place.store(&Self::new(entropy)),
            found => Ok(found),
        });
        match found {
            Ok(found) => found,
            Err(error) => {
                tracing::warn!(%error, "the key of stored vectors and versions cannot be used; vectors of earlier runs are made again, and \
                    versions of earlier runs are foreign");
                may_store.then(|| Self::new(entropy))
            }
        }
    }

    /// A key for these parts alone.
    pub(crate) fn derived(&self, parts: &[&[u8]]) -> Self {
        Self(self.digest(parts))
    }

    /// The checksum of parts that are always as long as now.
    pub(crate) fn digest<const N: usize>(&self, parts: &[&[u8]]) -> [u8; N] {
        let mut hasher = Sha256::new_with_prefix(self.0);
        parts.iter().for_each(|part| hasher.update(part));
        let inner = hasher.finalize();
        let outer = Sha256::new_with_prefix(self.0).chain_update(inner).finalize();
        let mut short = [0; N];
        short.iter_mut().zip(outer).for_each(|(to, from)| *to = from);
        short
    }
}

impl SealLocation {
    fn stored(&self) -> io::Result<Option<Seal>> {
        let Some(state) = &self.state else { return Ok(None) };
        match state.open_existing(FOLDER)? {
            Some(dir) => self.read(state, &dir),
            None => Ok(None),
        }
    }

    fn read(&self, state: &StateFolder, dir: &BankDir) -> io::Result<Option<Seal>> {
        let found = dir.read_up_to(FILE, 1024).map_err(|error| io::Error::other(error.to_string()))?;
        let (bytes, inode) = match found {
            FileRead::Missing => return Ok(None),
            FileRead::Unreadable(why) => return Err(io::Error::other(why)),
            FileRead::Found(bytes, stamp) => (bytes, stamp.inode),
        };
        let path = state.path().join(FOLDER).join(FILE);
        state_folder::check_file(dir, FILE, &path, &self.project).map_err(io::Error::other)?;
        let key = <[u8; KEY_BYTES]>::try_from(bytes.as_slice());
        let key = Seal(key.map_err(|_| io::Error::other(format!("`{FILE}` is not a key")))?);
        let project = fs_err::canonicalize(&self.project).unwrap_or_else(|_| self.project.clone());
        if !fs_err::canonicalize(&path)?.starts_with(project) {
            return Ok(Some(key));
        }
        tracing::warn!(
            path = %path.display(),
            "the state folder is in the project, and may have come with it: its key counts for this very file only, so in a \
             copied or unpacked folder all versions are foreign; name a folder elsewhere with `--state-dir` or \
             `MEMORY_BANK_STATE_DIR`"
        );
        bind_to_file(&key, dir, inode).map(Some)
    }

    /// Stores this key, unless another process was faster: then that one is it.
    fn store(&self, seal: &Seal) -> io::Result<Option<Seal>> {
        let Some(state) = &self.state else { return Ok(Some(seal.clone())) };
        let dir = state.open(FOLDER)?;
        let lock = dir.open_lock("seal.lock")?;
        let deadline = Instant::now() + Duration::from_millis(limits::LOCK_WAIT_MS);
        wait_for(deadline, || lock.try_lock()).map_err(|error| io::Error::other(error.to_string()))?;
        if let Some(stored) = self.read(state, &dir)? {
            return Ok(Some(stored));
        }
        dir.replace_beside(FILE, &seal.0)?;
        self.read(state, &dir)
    }
}

/// A key that only this file has: with its number in the file system and the time at which it was made there, which no archive sets. A
/// file system without such times has no such key.
fn bind_to_file(key: &Seal, dir: &BankDir, inode: u64) -> io::Result<Seal> {
    let file = dir.open_file(FILE, cap_std::fs::OpenOptions::new().read(true))?.into_std();
    let made = system::made_at(&file)?;
    Ok(Seal(key.digest(&[BOUND, &inode.to_le_bytes(), &made.as_nanos().to_le_bytes()])))
}

#[cfg(test)]
mod tests {
    use memory_bank_core::clock::SystemEntropy;
    use tempfile::TempDir;

    use super::*;

    fn digest(seal: &Seal) -> [u8; 8] {
        seal.digest(&[b"text"])
    }

    #[test]
    fn the_seal_of_a_user_is_stored_closed_to_others_and_is_new_without_a_state_folder() {
        let temp = TempDir::new().unwrap();
        let state = Some(StateFolder::new(temp.path().join("state")));
        let place = SealLocation { state, project: temp.path().join("project") };
        assert!(Seal::of_user(&place, &SystemEntropy, false).is_none());
        assert!(!temp.path().join("state").exists(), "reading stores nothing");
        let first = Seal::of_user(&place, &SystemEntropy, true).unwrap();
        let second = Seal::of_user(&place, &SystemEntropy, false).unwrap();
        assert_eq!(digest(&first), digest(&second));
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            let file = temp.path().join("state/vectors/seal.key");
            let mode = std::fs::metadata(&file).unwrap().permissions().mode();
            assert_eq!(mode & 0o077, 0, "{mode:o}");
            // One that others may have written is not trusted.
            std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o666)).unwrap();
            let other = Seal::of_user(&place, &SystemEntropy, true).unwrap();
            assert_ne!(digest(&first), digest(&other));
        }
        let nowhere = SealLocation::default();
        let new = || Seal::of_user(&nowhere, &SystemEntropy, true).unwrap();
        assert_ne!(digest(&new()), digest(&new()));
    }

    #[test]
    fn a_key_that_came_with_the_project_is_not_the_one_of_who_sent_it() {
        let temp = TempDir::new().unwrap();
        let of = |name: &str| {
            let project = fs_err::canonicalize(temp.path()).unwrap().join(name);
            SealLocation { state: Some(StateFolder::new(project.join("state"))), project }
        };
        let (sent, received) = (of("sent"), of("received"));
        let first = Seal::of_user(&sent, &SystemEntropy, true).unwrap();
        assert_eq!(digest(&Seal::of_user(&sent, &SystemEntropy, true).unwrap()), digest(&first));
        // The bytes of the key, and the key that was used: the receiver has neither.
        let file = temp.path().join("sent/state/vectors/seal.key");
        let raw = Seal(std::fs::read(&file).unwrap().try_into().unwrap());
        let target = temp.path().join("received/state/vectors");
        std::fs::create_dir_all(&target).unwrap();
        std::fs::copy(&file, target.join("seal.key")).unwrap();
        let used = Seal::of_user(&received, &SystemEntropy, true).unwrap();
        for other in [&first, &raw] {
            assert_ne!(digest(&used), digest(other));
        }
        // Outside of the project it is the user's key, wherever it was moved.
        let elsewhere = SealLocation { project: temp.path().join("other"), ..received };
        assert_eq!(digest(&Seal::of_user(&elsewhere, &SystemEntropy, false).unwrap()), digest(&raw));
    }
}
