//! Lists of versions of several documents.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use memory_bank_core::compact_sort::CompactSort as _;
use memory_bank_core::document::DocumentPath;
use memory_bank_core::error::StoreError;
use memory_bank_core::history::{Version, VersionPage, VersionQuery};
use memory_bank_core::limits;
use memory_bank_core::store::HistoryError;

use crate::dir::BankDir;
use crate::history::file::HistoryFile;
use crate::history::timeline::Timeline;
use crate::history::{record, thin, timeline};
use crate::search::Seal;

/// A file may get its time before the clock that a version got its time from.
const CLOCK_TICK: SignedDuration = SignedDuration::from_secs(2);

/// Versions in no order, and the documents that their names mean now.
#[derive(Debug, Default)]
pub(super) struct Listed {
    pub(super) versions: Vec<Version>,
    pub(super) named: BTreeMap<DocumentPath, String>,
}

/// The versions of all documents; those of files that did not change since a time may be missing.
pub(super) fn all_versions(
    dir: &BankDir,
    seal: Option<&Seal>,
    since: Option<Timestamp>,
) -> Result<Listed, HistoryError> {
    let since = since.and_then(|since| since.checked_sub(CLOCK_TICK).ok());
    let read = |error| StoreError::io("cannot read the history")(error);
    let (mut listed, mut bytes) = (Listed::default(), 0);
    for (name, length) in dir.history_files(thin::MAX_FILES, record::ENDING).map_err(read)? {
        if since.is_some_and(|since| dir.history_changed_at(&name).is_some_and(|at| at < since)) {
            continue;
        }
        bytes += length;
        if bytes > 2 * timeline::MAX_BYTES {
            tracing::warn!("the history is too large; a part of it is not listed");
            break;
        }
        let file =
            HistoryFile::open_named(dir, name.clone(), seal, false).and_then(|mut file| file.contents(seal));
        let contents = match file {
            Ok(contents) => contents,
            Err(error) => {
                tracing::warn!(name, %error, "a file of the history cannot be read");
                continue;
            }
        };
        if contents.damaged > 0 {
            tracing::warn!(name, records = contents.damaged, "a part of the history cannot be read");
        }
        for record in &contents.records {
            let is_made = !record.is_pending || {
                let path = DocumentPath::parse(&record.facts.path).ok();
                let now = path.and_then(|path| timeline::current_if_readable(dir, &path));
                timeline::is_made(record, now.as_ref().map(|document| &document.etag))
            };
            if !is_made {
                continue;
            }
            // A file has the records of one name, and that of the document that it means now comes last.
            if let Ok(path) = DocumentPath::parse(&record.facts.path) {
                listed.named.insert(path, record.facts.document.to_string());
            }
            listed.versions.extend(record.version());
        }
    }
    Ok(listed)
}

/// The versions of these documents; and apart from them what was there before the history of each, which ends the list.
pub(super) fn listed_of(timelines: &[Timeline]) -> (Vec<Version>, Listed) {
    let before = timelines.iter().filter_map(Timeline::before_history).map(|(version, _)| version).collect();
    let mut listed = Listed::default();
    for timeline in timelines {
        listed.versions.extend(timeline.versions());
        listed.named.extend(timeline.named.clone());
    }
    (before, listed)
}

/// The page of these versions that is requested.
pub(super) fn page_of(listed: Listed, query: &VersionQuery) -> VersionPage {
    let Listed { mut versions, named } = listed;
    let order = |version: &Version| (version.at, version.number, version.document.clone());
    let after = query.after.as_ref().map(|place| (place.at, place.number, place.document.clone()));
    versions.retain(|version| {
        query.since.is_none_or(|since| version.at >= since)
            && query.until.is_none_or(|until| version.at < until)
            && query.by.as_ref().is_none_or(|by| version.author.as_ref() == Some(by))
            && after.as_ref().is_none_or(|after| order(version) < *after)
    });
    versions.compact_sort_by(|a, b| order(b).cmp(&order(a)));
    let limit = query.limit.clamp(1, limits::VERSIONS_LISTED);
    let more = versions.len() > limit;
    versions.truncate(limit);
    let next = versions.last().filter(|_| more).map(Version::position);
    VersionPage { versions, next, document: None, named }
}
