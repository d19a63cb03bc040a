//! One line with content, as the digest collects it.

use jiff::civil::DateTime;

use crate::document::roles::Role;

/// One line with content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) role: Role,
    /// Its words.
    pub(super) text: String,
    /// The line as written, with its date.
    pub(super) source: String,
    pub(super) date: Option<DateTime>,
    /// Whether the date is its own, not that of the heading above.
    pub(super) own_date: bool,
    /// The index of its section in the document; below, its index in the section.
    pub(super) section: usize,
    pub(super) order: usize,
    /// The depth of nesting; 0 at the top.
    pub(super) depth: usize,
    /// Whether this server adds entries at the top of the section (true) or at its end (false); `None` for sections
    /// of others.
    pub(super) newest_first: Option<bool>,
    /// Whether it has a check box that is not ticked.
    pub(super) unticked: bool,
    /// The number in its heading, as in "Session 3" or "v0.2".
    pub(super) number: Option<u64>,
}
