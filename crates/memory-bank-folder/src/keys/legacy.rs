//! The file in which an older version stored the keys, in the project itself. It is migrated only if it cannot have
//! come with the project: a key in a forged file would give its author access.

use std::fs::File;
use std::path::{Path, PathBuf};

use cap_std::fs::OpenOptions;
use memory_bank_core::error::StoreError;
use serde::Deserialize;

use crate::dir::{BankDir, reason};
use crate::git::{Tracked, tracked};
use crate::keys::file::{FILE_BYTES, KEYS_FILE};
use crate::keys::stored::StoredKey;
use crate::{state_folder, system};

#[derive(Deserialize)]
struct Contents {
    version: u32,
    keys: Vec<StoredKey>,
}

/// Keys in the project's file, which are to be stored elsewhere from now on.
pub(super) struct LegacyKeys {
    pub(super) keys: Vec<StoredKey>,
    dir: BankDir,
    name: String,
    path: PathBuf,
}

impl LegacyKeys {
    /// Deletes the file, since its keys are stored in `now`: a key that is revoked there must not stay valid here.
    pub(super) fn remove(self, now: &Path) {
        let labels: Vec<&str> =
            self.keys.iter().filter(|key| key.revoked_at.is_none()).map(|key| key.prefix.as_str()).collect();
        tracing::warn!(
            keys = labels.join(", "),
            "the API keys were moved from `{}` to `{}`, and remain valid; revoke those that you do not recognise",
            self.path.display(),
            now.display()
        );
        if let Err(error) = self.dir.remove(&self.name) {
            tracing::warn!(%error, "`{}` is not used any more and could not be removed; remove it", self.path.display());
        }
    }
}

/// The keys in the project's file, if it is the user's. Another one is left alone, and logged with the remedy.
///
/// # Errors
/// The file is the user's, and damaged.
pub(super) fn read(project: &Path, folder: &str) -> Result<Option<LegacyKeys>, StoreError> {
    let Some((dir, name, path)) = find(project, folder) else { return Ok(None) };
    match read_ours(&dir, &name, &path) {
        Ok(contents) => {
            let damaged = |detail: String| StoreError::Damaged {
                what: KEYS_FILE.to_owned(),
                detail: format!(
                    "`{}`: {detail}; correct it, or remove it to begin with a new key",
                    path.display()
                ),
            };
            let contents: Contents =
                serde_json::from_slice(&contents).map_err(|error| damaged(error.to_string()))?;
            if contents.version != 1 {
                return Err(damaged(format!(
                    "it has version {}, and only version 1 was stored there",
                    contents.version
                )));
            }
            Ok(Some(LegacyKeys { keys: contents.keys, dir, name, path }))
        }
        Err(why) => {
            tracing::warn!("{}", refusal(&path, &why));
            Ok(None)
        }
    }
}

/// Removes the project's file when its keys are stored already: the process that moved them ended before it removed it.
pub(super) fn clear(project: &Path, folder: &str, kept: &[StoredKey]) {
    let Some((dir, name, path)) = find(project, folder) else { return };
    let is_moved = read_ours(&dir, &name, &path).is_ok_and(|bytes| {
        serde_json::from_slice::<Contents>(&bytes).is_ok_and(|contents| {
            contents.keys.iter().all(|key| kept.iter().any(|one| one.id == key.id && one.hash == key.hash))
        })
    });
    if !is_moved {
        tracing::warn!("{}", unused(&path));
    } else if let Err(error) = dir.remove(&name) {
        tracing::warn!(%error, "{}", unused(&path));
    }
}

/// How the next start treats the project's file; `None` if there is none.
pub(super) fn describe(project: &Path, folder: &str, has_keys: bool) -> Option<String> {
    let (dir, name, path) = find(project, folder)?;
    Some(match read_ours(&dir, &name, &path) {
        _ if has_keys => unused(&path),
        Ok(_) => {
            format!("the next start of `serve` moves the keys in `{}` to the state folder", path.display())
        }
        Err(why) => refusal(&path, &why),
    })
}

fn unused(path: &Path) -> String {
    format!("`{}` is not used, since the API keys are stored in the state folder; remove it", path.display())
}

fn refusal(path: &Path, why: &str) -> String {
    format!(
        "the API keys in `{}` are not used: {why}. If they are yours, correct that before the first start with new keys; \
         else remove the file",
        path.display()
    )
}

fn find(project: &Path, folder: &str) -> Option<(BankDir, String, PathBuf)> {
    let dir = BankDir::open(project).ok()?;
    let name = format!(".{folder}-keys.json");
    let path = project.join(&name);
    dir.exists(&name).then_some((dir, name, path))
}

/// The bytes of a file that this user created here; otherwise why it is refused.
fn read_ours(dir: &BankDir, name: &str, path: &Path) -> Result<Vec<u8>, String> {
    use std::io::Read as _;

    if dir.stamp_own(name).is_none() {
        return Err("it is not a regular file".to_owned());
    }
    let file = dir.open_file(name, OpenOptions::new().read(true)).map_err(|error| reason(&error))?.into_std();
    check(&file)?;
    let real = fs_err::canonicalize(path).map_err(|error| reason(&error))?;
    match tracked(&real) {
        Tracked::No => {}
        Tracked::By(repository) => {
            return Err(format!(
                "the git repository `{}` tracks it, so it may be another person's (`git rm --cached` removes it there)",
                dunce::simplified(&repository).display()
            ));
        }
        Tracked::Unknown(repository, why) => {
            return Err(format!(
                "whether the repository `{}` holds it cannot be seen: {why}",
                repository.display()
            ));
        }
    }
    let mut bytes = Vec::new();
    let read = file.take(FILE_BYTES + 1).read_to_end(&mut bytes).map_err(|error| reason(&error))?;
    if read as u64 > FILE_BYTES { Err(format!("it has more than {FILE_BYTES} bytes")) } else { Ok(bytes) }
}

fn check(file: &File) -> Result<(), String> {
    let metadata = file.metadata().map_err(|error| reason(&error))?;
    state_folder::check_owner(&metadata).map_err(|error| error.to_string())?;
    system::check_private(&metadata)
}
