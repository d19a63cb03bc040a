//! The entries of folders of the bank.

use std::collections::VecDeque;
use std::io;
use std::path::Path;

use memory_bank_core::document::holds_documents;
use memory_bank_core::limits;

use crate::dir::names::{INTERNAL, is_foreign_leftover, is_passed_over};
use crate::dir::{BankDir, FileStamp};

/// One name in a folder of the bank.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FolderEntry {
    /// The name; invalid Unicode in it became U+FFFD.
    pub name: String,
    /// Whether a regular file is there (links inside the bank followed).
    pub is_file: bool,
    /// Whether a folder is there, itself and not a link to one.
    pub is_folder: bool,
    /// Size and time.
    pub stamp: FileStamp,
}

impl BankDir {
    /// The names in a folder of the bank (`""` is the bank itself), sorted, without the server's own folder and
    /// without leftovers of interrupted writes.
    ///
    /// # Errors
    /// The folder cannot be read; `NotFound` if there is none.
    pub fn entries(&self, folder: &str) -> io::Result<Vec<FolderEntry>> {
        let base = if folder.is_empty() { Path::new(".") } else { Path::new(folder) };
        let mut entries = Vec::new();
        for entry in self.dir.read_dir(base)? {
            let entry = entry?;
            let raw = entry.file_name();
            let name = raw.to_string_lossy().into_owned();
            if is_passed_over(folder, &name) {
                continue;
            }
            // A link is described by its target; one that leads out or nowhere, by itself.
            let path = base.join(&raw);
            let Ok(itself) = self.dir.symlink_metadata(&path) else { continue };
            let metadata = self.dir.metadata(&path).unwrap_or_else(|_| itself.clone());
            entries.push(FolderEntry {
                name,
                is_file: metadata.is_file(),
                is_folder: itself.is_dir(),
                stamp: FileStamp::of(&metadata),
            });
        }
        entries.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(entries)
    }

    /// The entries of the bank, and below it in the folders that may hold documents, sorted; the names have their
    /// folders. A folder that is a link is not entered, and one that cannot be read is left out. After
    /// [`limits::WALKED_NAMES`] names the walk ends; what is nearer to the bank comes first.
    ///
    /// # Errors
    /// The bank itself cannot be read.
    pub fn walk(&self) -> io::Result<Vec<FolderEntry>> {
        let mut found = self.entries("")?;
        let is_entered = |entry: &FolderEntry| entry.is_folder && holds_documents(&entry.name);
        let names = |entries: &[FolderEntry]| -> VecDeque<String> {
            entries.iter().filter(|entry| is_entered(entry)).map(|entry| entry.name.clone()).collect()
        };
        let mut folders = names(&found);
        while let Some(folder) = folders.pop_front() {
            let entries = match self.check_folders(&folder, true).and_then(|()| self.entries(&folder)) {
                Ok(entries) => entries,
                Err(error) => {
                    tracing::debug!(folder, %error, "a folder of the memory bank cannot be read");
                    continue;
                }
            };
            let mut below: Vec<FolderEntry> = entries
                .into_iter()
                .map(|entry| FolderEntry { name: format!("{folder}/{}", entry.name), ..entry })
                .collect();
            let room = limits::WALKED_NAMES.saturating_sub(found.len());
            if below.len() > room {
                tracing::warn!(folder, "the memory bank has too many names; the others are ignored");
                below.truncate(room);
                folders.clear();
            }
            folders.extend(names(&below));
            found.extend(below);
        }
        found.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(found)
    }

    /// The names in a folder of the bank, in no order; none if there is no such folder.
    #[must_use]
    pub fn names_in(&self, folder: &str) -> Vec<String> {
        let base = if folder.is_empty() { Path::new(".") } else { Path::new(folder) };
        let Ok(entries) = self.dir.read_dir(base) else { return Vec::new() };
        let names = entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned());
        names.take(limits::WALKED_NAMES).collect()
    }

    /// The names in a folder that [`Self::entries`] passes over.
    ///
    /// # Errors
    /// The folder cannot be read.
    pub fn passed_over(&self, folder: &str) -> io::Result<Vec<String>> {
        let base = if folder.is_empty() { Path::new(".") } else { Path::new(folder) };
        let mut names = Vec::new();
        for entry in self.dir.read_dir(base)? {
            let name = entry?.file_name().to_string_lossy().into_owned();
            if is_passed_over(folder, &name) {
                names.push(name);
            }
        }
        names.sort();
        Ok(names)
    }

    /// The names in the bank itself, in no order, without checking what they name.
    ///
    /// # Errors
    /// The folder cannot be read.
    pub fn names(&self) -> io::Result<impl Iterator<Item = String>> {
        let names =
            self.dir.entries()?.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned());
        Ok(names.filter(|name| name != INTERNAL && !is_foreign_leftover(name)))
    }
}
