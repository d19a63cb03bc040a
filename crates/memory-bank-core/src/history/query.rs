//! Which versions a list has.

use std::collections::BTreeMap;

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};

use crate::clock::within_years;
use crate::document::DocumentPath;
use crate::graph::timestamp::{rfc_3339, spelling};
use crate::history::Version;

/// Whose versions are listed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Subject {
    /// All documents of the project.
    Project,
    /// The document that has this name, or that had it last; with its versions under former names.
    Document(DocumentPath),
    /// The document that has this name, or that had it last, and the deleted documents that had the name before.
    Name(DocumentPath),
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
    /// Only versions after this position of the list.
    pub after: Option<VersionPosition>,
    /// The most versions; more than [`crate::limits::VERSIONS_LISTED`] are not returned.
    pub limit: usize,
}

/// The time that a text means: a time of RFC 3339, or a day in UTC. The end of a span includes that day, or that millisecond, since
/// replies show times in milliseconds. It is in the years 1 to 9999; those of its last day mean the last representable time.
#[must_use]
pub fn moment(text: &str, is_end: bool) -> Option<Timestamp> {
    let text = text.trim();
    if let Ok(at) = text.parse::<Timestamp>() {
        let at = if is_end { at.checked_add(1.millisecond()).unwrap_or(Timestamp::MAX) } else { at };
        return within_years(at);
    }
    if let Some(at) = rfc_3339(text) {
        return spelling(at).map(|_| Timestamp::MAX);
    }
    let day = text.parse::<Date>().ok()?;
    let next = if is_end { day.checked_add(1.day()).ok() } else { Some(day) };
    // No version is of the last day that a date can have.
    let at = next.and_then(|day| day.to_zoned(TimeZone::UTC).ok());
    within_years(at.map_or(Timestamp::MAX, |day| day.timestamp()))
}

/// A position in a list of versions, which is sorted by time, then number, then document, all descending.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct VersionPosition {
    /// The time of the last version.
    #[serde(deserialize_with = "crate::clock::in_years")]
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
    /// For a list of a name: the store's own name of the document that has it, or that had it last.
    pub document: Option<String>,
    /// For the names of these versions: the store's own name of the document that each means now.
    pub named: BTreeMap<DocumentPath, String>,
    /// Where the list continues; `None` at its end.
    pub next: Option<VersionPosition>,
}

impl VersionPage {
    /// Whether a version of this page is found only with the store's own name of its document: without that, the requested name or
    /// the name of the version means another document.
    #[must_use]
    pub fn needs_document(&self, version: &Version) -> bool {
        self.document.as_ref().is_some_and(|document| *document != version.document)
            || self.named.get(&version.path).is_none_or(|document| *document != version.document)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_a_time_or_a_day_of_the_years_that_a_database_stores() {
        let at = |text: &str| text.parse::<Timestamp>().ok();
        assert_eq!(moment(" 2026-11-27T09:30:00+01:00 ", false), at("2026-11-27T08:30:00Z"));
        assert_eq!(moment("2026-11-27", false), at("2026-11-27T00:00:00Z"));
        assert_eq!(moment("2026-11-27", true), at("2026-11-28T00:00:00Z"));
        assert_eq!(moment("2026-11-27T08:30:00.062Z", true), at("2026-11-27T08:30:00.063Z"));
        assert_eq!(moment("0001-01-01", false), at("0001-01-01T00:00:00Z"));
        for (is_end, text) in [false, true].into_iter().flat_map(|is_end| {
            ["9999-12-31", "9999-12-31T23:59:59Z", "9999-12-31T08:00:00-12:00"].map(|text| (is_end, text))
        }) {
            assert_eq!(moment(text, is_end), Some(Timestamp::MAX), "{text}");
        }
        for text in [
            "0000-12-30",
            "-004800-01-01",
            "-009000-01-01T00:00:00Z",
            "9999-12-31T23:59:59-00:01",
            "10000-01-01",
            "x",
        ] {
            assert_eq!(moment(text, true), None, "{text}");
        }
    }
}
