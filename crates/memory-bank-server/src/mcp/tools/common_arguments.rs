//! Arguments that several tools have, and defaults of their members.

use memory_bank_core::document::EntryType;

use crate::mcp::tools::schema::{Argument, Kind, optional, required};

/// Other words for the name of a document.
pub(crate) const FILE_NAMES: &[&str] = &["path", "file", "filepath"];

/// The name of a document.
pub(crate) const FILENAME: Argument =
    required("filename", Kind::Text, "Filename not specified").or_called(FILE_NAMES);

/// The version that a document must have.
pub(crate) const IF_MATCH: Argument = optional("ifMatchEtag", Kind::Text);

/// Another bank than the selected one.
pub(crate) const STORE_ID: Argument = optional("storeId", Kind::Text);

/// The cursor of a list: the `nextCursor` of the previous reply.
pub(crate) const CURSOR: Argument = optional("cursor", Kind::Text);

/// The length of a reply; an explicit value may exceed the default.
pub(crate) const MAX_CHARS: Argument = optional("maxChars", Kind::Whole(1000, u32::MAX));

/// The kinds of progress entries.
pub(crate) const ENTRY_TYPE: Kind = Kind::Word(&EntryType::WORDS);

/// A flag that is on by default.
pub(crate) fn default_true() -> bool {
    true
}

/// A number that is one by default.
pub(crate) fn default_one() -> u32 {
    1
}
