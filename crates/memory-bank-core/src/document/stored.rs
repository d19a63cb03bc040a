//! Documents as a store holds them.

use jiff::Timestamp;

use crate::document::{DocumentPath, Etag};

/// One document as a store holds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Document {
    /// The name under which it is stored.
    pub path: DocumentPath,
    /// The text; invalid UTF-8 in storage was replaced by U+FFFD.
    pub content: String,
    /// The content address of `content`.
    pub etag: Etag,
    /// Counts the writes, from 1; a folder does not count and returns 0.
    pub version: i64,
    /// When it was last written.
    pub updated_at: Timestamp,
}

/// One name in the bank.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DocumentEntry {
    /// The name as stored, with its folders: a document, or a folder such as `graph`.
    pub name: String,
    /// The parsed name, if this is a document of the bank.
    pub path: Option<DocumentPath>,
    /// Size in bytes.
    pub bytes: u64,
    /// When it was last written.
    pub updated_at: Timestamp,
}
