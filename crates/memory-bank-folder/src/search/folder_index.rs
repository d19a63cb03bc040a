//! The index of one folder, and the versions of the files and of the graph that it has.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use jiff::Timestamp;
use memory_bank_core::document::{DocumentPath, Etag, is_leftover};
use memory_bank_core::error::StoreError;
use memory_bank_core::import::is_record;
use memory_bank_core::search::{Index, MemoryShare};
use memory_bank_core::store::SearchedDocuments;

use crate::dir::{BankDir, FileRead, FileStamp, FolderEntry, text_of};

/// A file that was written shortly before it was read may be written again within the same tick of the file system's
/// clock, so its time does not prove that it is unchanged.
const CLOCK_TICK: Duration = Duration::from_secs(2);

/// The index, and the versions that it contains.
#[derive(Debug, Default)]
pub(super) struct FolderIndex {
    pub(super) index: Index,
    /// The indexed files, by name.
    pub(super) files: HashMap<String, IndexedFile>,
    /// Names that cannot be searched, each with the reason.
    pub(super) skipped: BTreeMap<String, String>,
    /// The indexed generation of the graph.
    pub(super) graph: Option<u64>,
    /// Its share of the memory for indexes.
    pub(super) share: Option<MemoryShare>,
    /// Whether the stored vectors are loaded.
    pub(super) has_stored_vectors: bool,
}

/// The version of a file that was indexed.
#[derive(Debug)]
pub(super) struct IndexedFile {
    pub(super) stamp: FileStamp,
    pub(super) etag: Etag,
    /// Whether an equal stamp proves an equal content.
    pub(super) settled: bool,
}

impl FolderIndex {
    /// Whether these files, and no others, are indexed as they are now.
    pub(super) fn is_current(&self, entries: &[FolderEntry]) -> bool {
        self.files.len() + self.skipped.len() == entries.len()
            && entries.iter().all(|entry| self.knows(entry))
            && self.skipped.is_empty()
    }

    /// Whether this version of a file is indexed for certain.
    pub(super) fn knows(&self, entry: &FolderEntry) -> bool {
        self.files.get(&entry.name).is_some_and(|known| known.settled && known.stamp == entry.stamp)
    }

    /// Reads and indexes one file.
    ///
    /// # Errors
    /// The disk failed.
    pub(super) fn index_file(
        &mut self,
        dir: &BankDir,
        entry: &FolderEntry,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let path = match DocumentPath::parse(&entry.name) {
            Ok(path) => path,
            Err(error) => {
                self.skip(entry.name.clone(), error.to_string());
                return Ok(());
            }
        };
        match dir.read(&entry.name)? {
            FileRead::Missing => self.forget(&entry.name),
            FileRead::Unreadable(why) => self.skip(entry.name.clone(), why),
            FileRead::Found(bytes, stamp) => {
                let text = text_of(bytes);
                let etag = Etag::of(&text);
                let settled = stamp.updated_at() + CLOCK_TICK <= now;
                let known = self.files.get(&entry.name);
                let same =
                    known.is_some_and(|known| known.etag == etag && known.stamp.modified == stamp.modified);
                if !same {
                    self.index.put_document(&path, &text, stamp.updated_at());
                }
                self.files.insert(entry.name.clone(), IndexedFile { stamp, etag, settled });
            }
        }
        Ok(())
    }

    /// Removes a file from the index and records the reason.
    pub(super) fn skip(&mut self, name: String, why: String) {
        self.forget(&name);
        self.skipped.insert(name, why);
    }

    /// Removes a file from the index.
    pub(super) fn forget(&mut self, name: &str) {
        if self.files.remove(name).is_some() {
            self.index.remove_document(name);
        }
    }
}

impl SearchedDocuments for FolderIndex {
    fn names(&self) -> impl Iterator<Item = &str> {
        self.files.keys().map(String::as_str)
    }

    fn contains(&self, name: &str) -> bool {
        self.files.contains_key(name)
    }

    fn unreadable(&self) -> impl Iterator<Item = (&str, &str)> {
        self.skipped.iter().map(|(name, reason)| (name.as_str(), reason.as_str()))
    }

    fn why_unreadable(&self, name: &str) -> Option<&str> {
        self.skipped.get(name).map(String::as_str)
    }
}

/// Whether the name belongs to a document, readable or not. Leftovers of editors and sync tools do not count, and neither
/// does the record of imports.
pub(super) fn is_searched(entry: &FolderEntry) -> bool {
    let name = entry.name.to_ascii_lowercase();
    let is_named_so = [".md", ".json"].iter().any(|extension| name.ends_with(extension));
    is_named_so && !is_leftover(&name) && !is_record(&name) && (entry.is_file || !name.contains('/'))
}
