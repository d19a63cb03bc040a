//! Who last changed a document, by the last record of its history.

use std::collections::BTreeMap;

use memory_bank_core::compact_sort::CompactSort as _;
use memory_bank_core::document::{DocumentEntry, DocumentPath};

use crate::dir::BankDir;
use crate::history::file::HistoryFile;
use crate::history::timeline;
use crate::search::Seal;

/// The documents that changed last.
pub(super) fn newest(entries: &[DocumentEntry], most: usize) -> Vec<DocumentPath> {
    let mut documents: Vec<&DocumentEntry> = entries.iter().filter(|entry| entry.path.is_some()).collect();
    documents.compact_sort_by(|a, b| b.updated_at.cmp(&a.updated_at).then_with(|| a.name.cmp(&b.name)));
    documents.into_iter().take(most).filter_map(|entry| entry.path.clone()).collect()
}

/// The authors that are known, by the names of documents. A document that something outside changed since has none.
pub(super) fn of(dir: &BankDir, paths: &[DocumentPath], seal: Option<&Seal>) -> BTreeMap<String, String> {
    let mut authors = BTreeMap::new();
    for path in paths {
        let file = match HistoryFile::open(dir, path, seal, false) {
            Ok(file) => file,
            Err(error) => {
                tracing::debug!(document = %path, %error, "its author cannot be read");
                continue;
            }
        };
        let Some(last) = file.last.filter(|last| last.is_own && !last.facts.imported) else { continue };
        let now = timeline::current_if_readable(dir, path);
        if last.facts.after.as_deref() == now.as_ref().map(|document| document.etag.as_str())
            && let Some(author) = last.facts.author
        {
            authors.insert(path.as_str().to_owned(), author);
        }
    }
    authors
}
