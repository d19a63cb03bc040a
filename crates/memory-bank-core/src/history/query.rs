//! Which versions a list has.

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};

use crate::document::DocumentPath;
use crate::history::Version;

/// Whose versions are listed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Subject {
    /// All documents of the project.
    Project,
    /// The document that has this name, or that had it last; with its versions under former names.
    Document(DocumentPath),
    /// The changes of one session of a client.
    Session(String),
}

/// A request for a page of versions, newest first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VersionQuery {
    /// Whose versions.
    pub subject: Subject,
    /// Only versions of this time or later.
    pub since: Option<Timestamp>,
    /// Only versions before this time.
    pub until: Option<Timestamp>,
    /// Only versions of the user of this name.
    pub by: Option<String>,
    /// Only versions after this place of the list.
    pub after: Option<VersionPlace>,
    /// The most versions; more than [`crate::limits::VERSIONS_LISTED`] are not returned.
    pub limit: usize,
}

/// The time that a text means: a time of RFC 3339, or a day in UTC, which the end of a span includes.
#[must_use]
pub fn moment(text: &str, is_end: bool) -> Option<Timestamp> {
    let text = text.trim();
    if let Ok(at) = text.parse::<Timestamp>() {
        return Some(at);
    }
    let day = text.parse::<Date>().ok()?;
    let day = if is_end { day.checked_add(1.day()).ok()? } else { day };
    Some(day.to_zoned(TimeZone::UTC).ok()?.timestamp())
}

/// A place in a list of versions, which is sorted by time, then number, then document, all descending.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct VersionPlace {
    /// The time of the last version.
    pub at: Timestamp,
    /// Its number.
    pub number: i64,
    /// The store's own name for its document.
    pub document: String,
}

/// A page of versions.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct VersionPage {
    /// The versions, newest first.
    pub versions: Vec<Version>,
    /// Where the list continues; `None` at its end.
    pub next: Option<VersionPlace>,
}
