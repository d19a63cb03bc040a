//! One line with content, as the digest collects it.

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use jiff::civil::DateTime;

use crate::document::roles::Role;

/// One line with content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) role: Role,
    /// Its words; none for a [`Words::Line`], of which only the line is shown.
    pub(super) text: String,
    /// The line as written, with its date.
    pub(super) source: Words,
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

/// The words of a line. Of the thousands of lines of a log a digest shows a few, so that the others are not copied.
#[derive(Debug, Clone)]
pub(super) enum Words {
    /// Words that were made of a line.
    Made(String),
    /// A line of the document as it is.
    Line(Arc<str>),
}

impl Deref for Words {
    type Target = str;

    fn deref(&self) -> &str {
        match self {
            Self::Made(words) => words,
            Self::Line(words) => words,
        }
    }
}

impl From<String> for Words {
    fn from(words: String) -> Self {
        Self::Made(words)
    }
}

impl fmt::Display for Words {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self)
    }
}

impl PartialEq for Words {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl Eq for Words {}
