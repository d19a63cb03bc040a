//! Selects the documents that a digest reads.

use crate::compact_sort::CompactSort as _;
use jiff::Timestamp;

use super::document_kind::DocumentKind;
use super::types::DocumentFacts;

/// The most documents that are read for a digest.
const MAX_SOURCES: usize = 40;
/// The most bytes of all documents that are read for a digest. A longer one is left out.
pub const MAX_SOURCE_BYTES: u64 = 2 * 1024 * 1024;

/// The documents that a digest reads, the most informative first. Archives and documents other than Markdown are
/// excluded.
#[must_use]
pub fn digest_documents<'t>(present: &[DocumentFacts<'t>]) -> Vec<&'t str> {
    let mut documents: Vec<(DocumentKind, std::cmp::Reverse<Timestamp>, &DocumentFacts<'t>)> = present
        .iter()
        .filter(|document| document.name.to_lowercase().ends_with(".md"))
        .map(|document| (DocumentKind::of(document.name), std::cmp::Reverse(document.updated_at), document))
        .filter(|(kind, _, _)| *kind != DocumentKind::Archive)
        .collect();
    documents.compact_sort_by(|a, b| (a.0, a.1, a.2.name).cmp(&(b.0, b.1, b.2.name)));
    let mut bytes: u64 = 0;
    documents
        .into_iter()
        .filter(|(_, _, document)| {
            let fits = bytes.saturating_add(document.bytes) <= MAX_SOURCE_BYTES;
            bytes = if fits { bytes.saturating_add(document.bytes) } else { bytes };
            fits
        })
        .take(MAX_SOURCES)
        .map(|(_, _, document)| document.name)
        .collect()
}
