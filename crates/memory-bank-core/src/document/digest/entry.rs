//! One line with content, as the digest collects it.

use jiff::civil::DateTime;

use crate::document::roles::Role;

/// One line with content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) role: Role,
    /// Its words.
    pub(super) text: String,
    /// The line as it stands, where the date is part of it.
    pub(super) source: String,
    pub(super) date: Option<DateTime>,
    /// Whether the date is its own, not that of the heading above.
    pub(super) own_date: bool,
    /// The place of its section in the document, and its own in the section.
    pub(super) section: usize,
    pub(super) order: usize,
    /// The depth of nesting; 0 at the top.
    pub(super) depth: usize,
    /// Whether this server adds at the top of its section (true), at its end (false), or somebody else wrote it.
    pub(super) newest_first: Option<bool>,
    /// Whether it has a check box that is not ticked.
    pub(super) unticked: bool,
    /// The number in its heading: "Session 3", "v0.2".
    pub(super) number: Option<u64>,
}
