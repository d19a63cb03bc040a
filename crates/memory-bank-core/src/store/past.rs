//! Rebuilds the documents of a bank as they were at a time, from the present ones and the history.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::caller::Caller;
use crate::document::{Document, DocumentEntry, DocumentPath, Etag, is_leftover};
use crate::error::StoreError;
use crate::history::{PastVersion, VersionKind};
use crate::store::{Bank, HistoryError, ReadOutcome};

/// The documents of a bank as they were at a time.
#[derive(Debug, Default)]
pub struct Past {
    until: Timestamp,
    documents: BTreeMap<String, PastDocument>,
    /// Documents of which nothing is known at that time, with the reasons.
    unknown: BTreeMap<String, String>,
    /// When documents were made that did not exist yet.
    later: BTreeMap<String, Timestamp>,
}

/// A document as it was at a time.
#[derive(Debug, Clone)]
pub struct PastDocument {
    /// Its name at that time.
    pub path: DocumentPath,
    /// Its size in bytes at that time.
    pub bytes: u64,
    /// When it had last changed.
    pub updated_at: Timestamp,
    /// Its name now; `None` if it was deleted since.
    pub now: Option<DocumentPath>,
    /// Whether versions of that day are missing, one of which may have been the current one at that time.
    pub is_approximate: bool,
    /// The version, unless the document is as it was.
    version: Option<PastVersion>,
}

impl PastDocument {
    /// The number of the version, unless the document is as it was.
    #[must_use]
    pub fn number(&self) -> Option<i64> {
        self.version.as_ref().map(|version| version.number)
    }
}

impl Past {
    /// The documents as they were just before a time. Their texts are read one by one.
    ///
    /// # Errors
    /// The store failed.
    pub async fn of(bank: &dyn Bank, caller: &Caller, until: Timestamp) -> Result<Self, HistoryError> {
        // The list comes last: a document that is written in between is newer than its last known version.
        let versions = bank.versions_at(caller, until).await?;
        let present = bank.list(caller).await?;
        Ok(Self::from_lists(&versions, &present, until, bank.keeps_history()))
    }

    fn from_lists(
        versions: &[DocumentAt],
        present: &[DocumentEntry],
        until: Timestamp,
        keeps_history: bool,
    ) -> Self {
        let mut past = Self { until, ..Self::default() };
        let entries: BTreeMap<&str, &DocumentEntry> =
            present.iter().map(|entry| (entry.name.as_str(), entry)).collect();
        let mut followed: BTreeSet<&str> = BTreeSet::new();
        for one in versions {
            followed.extend(one.now.as_ref().map(DocumentPath::as_str));
            past.add_followed(one, &entries, keeps_history);
        }
        for entry in present {
            let Some(path) = entry.path.as_ref().filter(|path| !is_leftover(path.as_str())) else { continue };
            if followed.contains(entry.name.as_str()) || past.documents.contains_key(&entry.name) {
                continue;
            }
            if entry.updated_at < until {
                past.unknown.remove(&entry.name);
                past.documents.insert(entry.name.clone(), unchanged(path, entry));
            } else {
                past.unknown.entry(entry.name.clone()).or_insert_with(|| no_history(keeps_history));
            }
        }
        past
    }

    /// Adds a document that has versions.
    fn add_followed(
        &mut self,
        one: &DocumentAt,
        entries: &BTreeMap<&str, &DocumentEntry>,
        keeps_history: bool,
    ) {
        let Some(then) = &one.then else {
            let Some(next) = &one.next else { return };
            let name = next.path.as_str().to_owned();
            if next.kind == VersionKind::Created {
                self.later.insert(name, next.at);
            } else {
                self.unknown.entry(name).or_insert_with(|| no_history(keeps_history));
            }
            return;
        };
        if then.etag.is_none() {
            return;
        }
        let name = then.path.as_str().to_owned();
        if then.kind == VersionKind::Foreign {
            let why = "its version of that time came with the folder; `history` shows it, marked as foreign";
            self.unknown.insert(name, why.to_owned());
            return;
        }
        let entry = entries.get(name.as_str()).filter(|_| one.next.is_none());
        let document = match entry.filter(|entry| entry.updated_at < self.until) {
            Some(entry) => unchanged(&then.path, entry),
            None => PastDocument {
                path: then.path.clone(),
                bytes: then.bytes,
                updated_at: then.at,
                now: one.now.clone(),
                is_approximate: one.may_miss_versions(self.until),
                version: Some(then.clone()),
            },
        };
        self.unknown.remove(&name);
        self.documents.insert(name, document);
    }

    /// The list of documents at that time, by name.
    #[must_use]
    pub fn entries(&self) -> Vec<DocumentEntry> {
        let entry = |(name, document): (&String, &PastDocument)| DocumentEntry {
            name: name.clone(),
            path: Some(document.path.clone()),
            bytes: document.bytes,
            updated_at: document.updated_at,
        };
        self.documents.iter().map(entry).collect()
    }

    /// The documents of which nothing is known at that time, each with the reason.
    pub fn unknown(&self) -> impl Iterator<Item = (&str, &str)> {
        self.unknown.iter().map(|(name, why)| (name.as_str(), why.as_str()))
    }

    /// The document of exactly this name at that time.
    #[must_use]
    pub fn named(&self, name: &str) -> Option<&PastDocument> {
        self.documents.get(name)
    }

    /// The document that had this name at that time, in any spelling, or else the one that has it now.
    ///
    /// # Errors
    /// There was none, or nothing is known of it; the text has the reason.
    pub fn document(&self, path: &DocumentPath) -> Result<&PastDocument, String> {
        let names = || self.documents.keys().map(String::as_str);
        let spelling = path.existing_spelling(|name| self.documents.contains_key(name));
        let name = spelling.or_else(|| path.find(names()).map(str::to_owned));
        if let Some(found) = name.and_then(|name| self.documents.get(&name)) {
            return Ok(found);
        }
        let has_name = |now: &DocumentPath| path.spellings().iter().any(|name| name == now.as_str());
        let renamed = self.documents.values().find(|one| one.now.as_ref().is_some_and(has_name));
        renamed.ok_or_else(|| {
            let spellings = path.spellings();
            if let Some(why) = spellings.iter().find_map(|name| self.unknown.get(name)) {
                return why.clone();
            }
            match spellings.iter().find_map(|name| self.later.get(name)) {
                Some(made) => format!("it was made later, at {}", crate::clock::iso_millis(*made)),
                None => "there was no such document at that time".to_owned(),
            }
        })
    }

    /// Reads documents that are as they were, in one call of the store, and others from the history.
    ///
    /// # Errors
    /// The store failed. A text that cannot be rebuilt is an outcome.
    pub async fn read(
        &self,
        bank: &dyn Bank,
        caller: &Caller,
        documents: &[&PastDocument],
    ) -> Result<Vec<ReadOutcome>, StoreError> {
        let present: Vec<DocumentPath> =
            documents.iter().filter(|one| one.version.is_none()).map(|one| one.path.clone()).collect();
        let mut read = bank.read(caller, &present).await?.into_iter();
        let mut outcomes = Vec::with_capacity(documents.len());
        for one in documents {
            outcomes.push(match &one.version {
                None => self.still_unchanged(read.next().unwrap_or(ReadOutcome::Missing)),
                Some(version) => former(bank, caller, version).await?,
            });
        }
        Ok(outcomes)
    }

    /// A document that was unchanged when it was listed. It may have changed since.
    fn still_unchanged(&self, outcome: ReadOutcome) -> ReadOutcome {
        let why = "it is being changed; try again";
        match outcome {
            ReadOutcome::Found(document) if document.updated_at >= self.until => {
                ReadOutcome::Unreadable(why.to_owned())
            }
            ReadOutcome::Missing => ReadOutcome::Unreadable(why.to_owned()),
            outcome => outcome,
        }
    }
}

/// A document that did not change since.
fn unchanged(path: &DocumentPath, entry: &DocumentEntry) -> PastDocument {
    PastDocument {
        path: path.clone(),
        bytes: entry.bytes,
        updated_at: entry.updated_at,
        now: Some(path.clone()),
        is_approximate: false,
        version: None,
    }
}

/// The text of a version.
async fn former(bank: &dyn Bank, caller: &Caller, version: &PastVersion) -> Result<ReadOutcome, StoreError> {
    let read = bank.read_version_of(caller, &version.document, &version.path, version.number).await;
    let text = match read {
        Ok(read) => read.text,
        Err(HistoryError::Store(error)) => return Err(error),
        Err(error) => return Ok(ReadOutcome::Unreadable(error.to_string())),
    };
    let Some(content) = text else { return Ok(ReadOutcome::Missing) };
    Ok(ReadOutcome::Found(Document {
        path: version.path.clone(),
        etag: Etag::of(&content),
        content,
        version: version.number,
        updated_at: version.at,
    }))
}

fn no_history(keeps_history: bool) -> String {
    let off = if keeps_history { "" } else { " (the history is off)" };
    format!("it changed since, and its history does not reach back to that time{off}")
}

/// A document that has versions, at a time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DocumentAt {
    /// Its last version before the time; `None` if all that are known are later.
    pub then: Option<PastVersion>,
    /// Its first version at the time or later.
    pub next: Option<PastVersion>,
    /// Its name now; `None` if it is deleted.
    pub now: Option<DocumentPath>,
}

impl DocumentAt {
    /// Whether versions between the two were removed, one of which may be of before the time. The last version of each day stays, so
    /// removed ones are of the day of the next one.
    fn may_miss_versions(&self, until: Timestamp) -> bool {
        let (Some(then), Some(next)) = (&self.then, &self.next) else { return false };
        let day = |at: Timestamp| at.to_zoned(TimeZone::UTC).date();
        next.number > then.number.saturating_add(1)
            && day(next.at) == day(until)
            && day(until).to_zoned(TimeZone::UTC).is_ok_and(|midnight| midnight.timestamp() < until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn version(number: i64, name: &str, time: &str, kind: VersionKind) -> PastVersion {
        let etag = (kind != VersionKind::Deleted).then(|| Etag::of(&number.to_string()));
        let path = DocumentPath::parse(name).unwrap();
        PastVersion { document: "d".into(), number, path, at: at(time), kind, etag, bytes: 1 }
    }

    fn entry(name: &str, time: &str) -> DocumentEntry {
        let path = Some(DocumentPath::parse(name).unwrap());
        DocumentEntry { name: name.into(), path, bytes: 1, updated_at: at(time) }
    }

    fn past(versions: &[DocumentAt], present: &[DocumentEntry], until: &str) -> Past {
        Past::from_lists(versions, present, at(until), true)
    }

    fn numbers(past: &Past) -> Vec<(&str, Option<i64>)> {
        past.documents.iter().map(|(name, one)| (name.as_str(), one.number())).collect()
    }

    fn name(name: &str) -> DocumentPath {
        DocumentPath::parse(name).unwrap()
    }

    #[test]
    fn a_document_without_later_changes_is_as_it_was() {
        let then = version(2, "a.md", "2026-01-02T00:00:00Z", VersionKind::Changed);
        let one = DocumentAt { then: Some(then), next: None, now: Some(name("a.md")) };
        let known = past(
            std::slice::from_ref(&one),
            &[entry("a.md", "2026-01-02T00:00:00Z"), entry("b.md", "2026-01-01T00:00:00Z")],
            "2026-01-03T00:00:00Z",
        );
        assert_eq!(numbers(&known), [("a.md", None), ("b.md", None)]);
        // A file that was touched, or edited outside, is read from the history.
        let touched = past(&[one], &[entry("a.md", "2026-01-05T00:00:00Z")], "2026-01-03T00:00:00Z");
        assert_eq!(numbers(&touched), [("a.md", Some(2))]);
    }

    #[test]
    fn a_document_that_was_renamed_deleted_or_made_since_is_what_it_was() {
        let renamed = DocumentAt {
            then: Some(version(1, "old.md", "2026-01-01T00:00:00Z", VersionKind::Created)),
            next: Some(version(2, "new.md", "2026-01-05T00:00:00Z", VersionKind::Renamed)),
            now: Some(name("new.md")),
        };
        let made = DocumentAt {
            then: None,
            next: Some(version(1, "made.md", "2026-01-05T00:00:00Z", VersionKind::Created)),
            now: Some(name("made.md")),
        };
        let gone = DocumentAt {
            then: Some(version(3, "gone.md", "2026-01-02T00:00:00Z", VersionKind::Deleted)),
            next: None,
            now: None,
        };
        let present = [entry("new.md", "2026-01-01T00:00:00Z"), entry("made.md", "2026-01-05T00:00:00Z")];
        let past = past(&[renamed, made, gone], &present, "2026-01-03T00:00:00Z");
        assert_eq!(numbers(&past), [("old.md", Some(1))]);
        assert_eq!(past.document(&name("new.md")).unwrap().path, name("old.md"));
        let why = past.document(&name("made.md")).unwrap_err();
        assert!(why.contains("made later, at 2026-01-05"), "{why}");
        assert!(past.document(&name("gone.md")).unwrap_err().contains("no such document"));
        assert_eq!(past.unknown().count(), 0);
    }

    #[test]
    fn a_document_whose_history_does_not_reach_back_is_unknown() {
        let begins = DocumentAt {
            then: None,
            next: Some(version(4, "a.md", "2026-01-05T00:00:00Z", VersionKind::Changed)),
            now: Some(name("a.md")),
        };
        let foreign = DocumentAt {
            then: Some(version(1, "f.md", "2026-01-01T00:00:00Z", VersionKind::Foreign)),
            next: None,
            now: Some(name("f.md")),
        };
        let time = "2026-01-05T00:00:00Z";
        let present = [entry("a.md", time), entry("b.md", time), entry("f.md", "2026-01-01T00:00:00Z")];
        let past = past(&[begins, foreign], &present, "2026-01-03T00:00:00Z");
        assert!(past.documents.is_empty());
        let unknown: Vec<&str> = past.unknown().map(|(name, _)| name).collect();
        assert_eq!(unknown, ["a.md", "b.md", "f.md"]);
        assert!(past.document(&name("a.md")).unwrap_err().contains("does not reach back"));
        assert!(past.document(&name("f.md")).unwrap_err().contains("foreign"));
    }

    #[test]
    fn a_text_is_approximate_where_versions_of_that_day_were_removed() {
        let between = |until: &str| {
            let one = DocumentAt {
                then: Some(version(1, "a.md", "2026-01-01T20:00:00Z", VersionKind::Created)),
                next: Some(version(5, "a.md", "2026-01-02T18:00:00Z", VersionKind::Changed)),
                now: Some(name("a.md")),
            };
            past(&[one], &[entry("a.md", "2026-01-02T18:00:00Z")], until).documents["a.md"].is_approximate
        };
        assert!(between("2026-01-02T12:00:00Z"));
        // The end of a day is exact, as its last version stays.
        assert!(!between("2026-01-02T00:00:00Z"));
        assert!(!between("2026-01-01T22:00:00Z"));
    }
}
