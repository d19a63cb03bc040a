//! A file as an edit has found it, which is compared once more right before the edit replaces it: other programs, such as editors,
//! know no lock. It must not know the content.

use memory_bank_core::document::DocumentPath;
use memory_bank_core::error::StoreError;

use crate::dir::{BankDir, FileStamp};
use crate::documents::name_on_disk;

/// A file, and its version.
#[derive(Debug, Clone)]
pub(crate) struct KnownFile {
    name: String,
    /// None if there was none.
    stamp: Option<FileStamp>,
}

impl KnownFile {
    /// The file of a document that will be read: a change during the read is noticed, too.
    pub(crate) fn of(dir: &BankDir, requested: &DocumentPath) -> Self {
        let name = name_on_disk(dir, requested).as_str().to_owned();
        Self { stamp: dir.stamp(&name), name }
    }

    /// Another file, as it was when it was read.
    pub(crate) fn read(name: &str, stamp: Option<FileStamp>) -> Self {
        Self { name: name.to_owned(), stamp }
    }

    /// Refuses to go on if the file is another one by now.
    pub(crate) fn check(&self, dir: &BankDir) -> Result<(), StoreError> {
        if dir.stamp(&self.name) == self.stamp { Ok(()) } else { Err(StoreError::ChangedMeanwhile) }
    }
}
