//! Markdown documents: their names, their content addresses, and the pure rules that edit them.

mod etag;
mod path;
mod templates;

use jiff::Timestamp;

pub use etag::Etag;
pub use path::{CORE_DOCUMENTS, DocumentPath, NameError};
pub use templates::CoreDocument;

/// One document as a store holds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Document {
    /// The name under which it is stored.
    pub path: DocumentPath,
    /// The text; invalid UTF-8 in storage was replaced by U+FFFD.
    pub content: String,
    /// The content address of `content`.
    pub etag: Etag,
    /// Counts the writes, from 1; a folder does not know it and says 0.
    pub version: i64,
    /// When it was last written.
    pub updated_at: Timestamp,
}

/// One name in the bank.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DocumentEntry {
    /// The name as stored: a document, or a folder such as `graph`.
    pub name: String,
    /// The parsed name, if this is a document that the tools can read.
    pub path: Option<DocumentPath>,
    /// Size in bytes.
    pub bytes: u64,
    /// When it was last written.
    pub updated_at: Timestamp,
}
