//! The documents without a history that were there at the last comparison with it. A copy that was there beside its original is no new
//! name of it once the original is deleted, and a document that is gone since was deleted or renamed.

use std::collections::BTreeMap;
use std::io::{self, Read as _};

use memory_bank_core::document::{DocumentPath, Etag};
use memory_bank_core::error::StoreError;
use sha2::{Digest, Sha256};

use crate::dir::BankDir;
use crate::history::changes::cannot;
use crate::search::Seal;

/// Beside the files of the history.
const FILE: &str = "seen.json";
const SEALED: &[u8; 8] = b"mbseen.\x01";
const SEAL: usize = 16;
/// The largest file that is read or written; a larger one counts for nothing.
const MAX_BYTES: usize = 4 * 1024 * 1024;

/// Names with the etags of their texts.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct SeenNames(BTreeMap<String, String>);

impl SeenNames {
    /// The documents of the last comparison. Without the seal of this user there are none. Blocks.
    pub(super) fn read(dir: &BankDir, seal: &Seal) -> Result<Self, StoreError> {
        let mut bytes = Vec::new();
        let Some(file) = dir.find_history(FILE).map_err(cannot())? else { return Ok(Self::default()) };
        file.take(MAX_BYTES as u64 + 1).read_to_end(&mut bytes).map_err(cannot())?;
        let Some((sealed, names)) = bytes.split_first_chunk::<SEAL>() else { return Ok(Self::default()) };
        if bytes.len() > MAX_BYTES || *sealed != seal_of(seal, names) {
            return Ok(Self::default());
        }
        // A form of another program counts for nothing, too.
        Ok(serde_json::from_slice(names).map(Self).unwrap_or_default())
    }

    /// Stores them, if they are others than the stored ones. The caller holds the bank's lock. Blocks.
    pub(super) fn write(&self, dir: &BankDir, seal: &Seal) -> Result<(), StoreError> {
        if *self == Self::read(dir, seal)? {
            return Ok(());
        }
        let names = serde_json::to_vec(&self.0).map_err(|error| cannot()(io::Error::other(error)))?;
        if names.len() + SEAL > MAX_BYTES {
            tracing::warn!(
                "there are too many documents without a history to notice that one is renamed outside"
            );
            return Ok(());
        }
        dir.replace_history(FILE, &[seal_of(seal, &names).as_slice(), &names].concat()).map_err(cannot())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn has(&self, path: &DocumentPath) -> bool {
        self.0.contains_key(path.as_str())
    }

    /// Whether it was there with this text.
    pub(super) fn has_with(&self, path: &DocumentPath, etag: &Etag) -> bool {
        self.0.get(path.as_str()).is_some_and(|seen| seen == etag.as_str())
    }

    pub(super) fn add(&mut self, path: &DocumentPath, etag: &Etag) {
        self.0.insert(path.as_str().to_owned(), etag.as_str().to_owned());
    }

    pub(super) fn remove(&mut self, path: &DocumentPath) {
        self.0.remove(path.as_str());
    }

    /// All of them, with the etags of their texts.
    pub(super) fn all(&self) -> impl Iterator<Item = (DocumentPath, &str)> {
        self.0.iter().filter_map(|(name, etag)| Some((DocumentPath::parse(name).ok()?, etag.as_str())))
    }
}

fn seal_of(seal: &Seal, names: &[u8]) -> [u8; SEAL] {
    let digest: [u8; 32] = Sha256::digest(names).into();
    seal.digest(&[SEALED, &digest])
}
