//! The files of a bank or a backup, and the bounds of a copy of them.

use std::io;

use memory_bank_core::limits;
use memory_bank_core::store::{BACKUP_PREFIX, BackupError, check_backup_id};

use crate::dir::{BankDir, is_reserved};

/// The folder of the bank that holds its backups.
pub(crate) const BACKUPS_FOLDER: &str = "backups";

/// All files of a bank or a backup, sorted, as paths with `/`. What cannot belong to a bank (a pipe, a link that
/// leads out, a name that is not Unicode, what version control keeps) is left out.
pub(super) fn files_of(dir: &BankDir, depth: usize) -> io::Result<Vec<String>> {
    let Survey { files, left_out, .. } = survey(dir, depth)?;
    for name in left_out {
        tracing::warn!(name, "this is not a file of the memory bank; the backup omits it");
    }
    Ok(files)
}

pub(super) fn is_hidden(name: &str) -> bool {
    name.split('/').any(|part| part.starts_with('.'))
}

/// Whether this is in the bank's own folder for backups, and belongs there.
fn is_backup(name: &str) -> bool {
    let Some((folder, name)) = name.split_once('/') else { return false };
    let is_ours = name == ".gitignore"
        || check_backup_id(name).is_ok()
        || (name.starts_with(&format!(".{BACKUP_PREFIX}")) && name.ends_with(".tmp"));
    folder.eq_ignore_ascii_case(BACKUPS_FOLDER) && is_ours
}

/// The content of a bank's folder.
#[derive(Debug, Default)]
pub(crate) struct Survey {
    /// Its files.
    pub(crate) files: Vec<String>,
    /// Names that cannot belong to a bank.
    pub(crate) left_out: Vec<String>,
    /// Names that do not belong to the bank: its internal folder, version control, and temporary files.
    pub(crate) reserved: Vec<String>,
}

/// All files of a bank or a backup, and the names that are left out.
pub(crate) fn survey(dir: &BankDir, depth: usize) -> io::Result<Survey> {
    let mut found = Survey::default();
    let mut folders = vec![(String::new(), depth)];
    while let Some((folder, depth)) = folders.pop() {
        let below = |name: String| if folder.is_empty() { name } else { format!("{folder}/{name}") };
        found.reserved.extend(dir.passed_over(&folder)?.into_iter().map(below));
        for entry in dir.entries(&folder)? {
            let name = below(entry.name);
            // Backups are transferred and listed separately.
            if is_backup(&name) {
                continue;
            }
            if name.split('/').any(is_reserved) {
                found.reserved.push(name);
                continue;
            }
            if entry.is_file && dir.target(&name).is_ok() && dir.stamp(&name).is_some() {
                found.files.push(name);
            } else if entry.is_folder && depth > 0 {
                folders.push((name, depth - 1));
            } else {
                found.left_out.push(name);
            }
        }
    }
    found.files.sort();
    found.reserved.sort();
    Ok(found)
}

pub(super) fn check_bounds(dir: &BankDir, names: &[String]) -> Result<(), BackupError> {
    if names.len() > limits::BACKUP_FILES {
        return Err(BackupError::Refused(format!(
            "there are {} files, at most {} are copied; remove what does not belong there",
            names.len(),
            limits::BACKUP_FILES
        )));
    }
    let size = |name: &String| dir.stamp(name).map_or(0, |stamp| stamp.bytes);
    let total = names.iter().map(size).fold(0, u64::saturating_add);
    if total > limits::BACKUP_BYTES {
        let largest = names.iter().max_by_key(|name| size(name)).map_or("", String::as_str);
        return Err(BackupError::Refused(format!(
            "the files have {total} bytes, at most {} are copied; `{largest}` is the largest one",
            limits::BACKUP_BYTES
        )));
    }
    Ok(())
}
