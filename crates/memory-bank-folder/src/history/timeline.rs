//! The versions of one document, from the files of all names that it had, and their texts.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use memory_bank_core::compact_sort::CompactSort as _;
use memory_bank_core::document::{Document, DocumentPath, Etag};
use memory_bank_core::error::StoreError;
use memory_bank_core::history::{ChainQuery, Damage, Delta, Link, Step, Version, rebuild};
use memory_bank_core::limits;
use memory_bank_core::store::ReadOutcome;
use uuid::Uuid;

use crate::dir::BankDir;
use crate::documents;
use crate::history::file::HistoryFile;
use crate::history::record::{Kind, Record};
use crate::search::Seal;

/// How far the names of one document are followed.
#[derive(Debug, Clone, Copy)]
pub(super) struct FollowBounds {
    names: usize,
    /// The bytes of files that are read.
    bytes: u64,
}

impl FollowBounds {
    /// For a reader.
    pub(super) const READ: Self = Self { names: 200, bytes: MAX_BYTES };
    /// For an erasure, which leaves nothing; the history of a project has a bound of its own.
    pub(super) const ERASURE: Self = Self { names: usize::MAX, bytes: u64::MAX };
}

/// The most documents of one name that are followed.
const MAX_DOCUMENTS: usize = 200;
/// The most bytes of files that are read.
pub(super) const MAX_BYTES: u64 = 256 * 1024 * 1024;

/// The versions of one document, oldest first.
#[derive(Debug, Default)]
pub(super) struct Timeline {
    pub(super) document: Uuid,
    pub(super) records: Vec<Record>,
    /// The documents that its names mean now.
    pub(super) named: BTreeMap<DocumentPath, String>,
    /// The names that it had.
    pub(super) names: BTreeSet<DocumentPath>,
    /// How many records of those files cannot be read.
    pub(super) damaged: usize,
    current: Option<Document>,
}

/// The document of a name as it is now; none if there is none.
///
/// # Errors
/// It cannot be read, so nothing is known of it.
pub(super) fn current(dir: &BankDir, path: &DocumentPath) -> Result<Option<Document>, StoreError> {
    match documents::read(dir, path)? {
        ReadOutcome::Found(document) if document.path == *path => Ok(Some(document)),
        ReadOutcome::Unreadable(why) => {
            Err(StoreError::Unavailable(format!("`{path}` cannot be compared with its history: {why}")))
        }
        _ => Ok(None),
    }
}

/// The current document for a reader of the history; none if it cannot be read.
pub(super) fn current_if_readable(dir: &BankDir, path: &DocumentPath) -> Option<Document> {
    current(dir, path).unwrap_or_else(|error| {
        tracing::debug!(%error, "a former text is rebuilt without the current one");
        None
    })
}

/// Whether the change of a record was made. A record that its process did not confirm is compared with the document: if
/// that is as it was before, the change was not made.
pub(super) fn is_made(record: &Record, current: Option<&Etag>) -> bool {
    if !record.is_pending {
        return true;
    }
    let facts = &record.facts;
    let current = current.map(Etag::as_str);
    let before = if facts.kind == Kind::Renamed { None } else { facts.before.as_deref() };
    let before = facts.over.as_deref().or(before);
    current == facts.after.as_deref() || current != before
}

/// The records of a name whose changes were made, how many cannot be read, and the length of the file.
fn made(
    dir: &BankDir,
    path: &DocumentPath,
    seal: Option<&Seal>,
) -> Result<(Vec<Record>, usize, u64), StoreError> {
    let read = |error| StoreError::io("cannot read the history")(error);
    let mut file = HistoryFile::open(dir, path, seal, false).map_err(read)?;
    let contents = file.contents(seal).map_err(read)?;
    let mut records = contents.records;
    if records.last().is_some_and(|last| last.is_pending) {
        let now = current_if_readable(dir, path).map(|document| document.etag);
        while records.last().is_some_and(|last| !is_made(last, now.as_ref())) {
            records.pop();
        }
    }
    Ok((records, contents.damaged, file.end))
}

impl Timeline {
    /// The versions of the document that has this name, or that had it last; none without a history.
    pub(super) fn of(
        dir: &BankDir,
        path: &DocumentPath,
        seal: Option<&Seal>,
    ) -> Result<Option<Self>, StoreError> {
        Self::of_document(dir, path, None, seal)
    }

    /// The versions of this document, or of the last one that had the name; none if it never had this name.
    pub(super) fn of_document(
        dir: &BankDir,
        path: &DocumentPath,
        document: Option<Uuid>,
        seal: Option<&Seal>,
    ) -> Result<Option<Self>, StoreError> {
        let found = made(dir, path, seal)?;
        let is_wanted = |record: &&Record| document.is_none_or(|document| record.facts.document == document);
        let Some(last) = found.0.iter().rfind(is_wanted) else { return Ok(None) };
        let document = last.facts.document;
        let holder = found.0.last().map_or(document, |last| last.facts.document);
        Self::follow(dir, path, (document, holder), found, seal, FollowBounds::READ).map(Some)
    }

    /// The versions of the document that has this name, or that had it last, and after them those of the deleted documents that had it
    /// before, the last one first.
    pub(super) fn of_name(
        dir: &BankDir,
        path: &DocumentPath,
        seal: Option<&Seal>,
        bounds: FollowBounds,
    ) -> Result<Vec<Self>, StoreError> {
        let (records, damaged, bytes) = made(dir, path, seal)?;
        let mut documents: HashMap<Uuid, (usize, Vec<Record>)> = HashMap::new();
        for (at, record) in records.into_iter().enumerate() {
            let (last, own) = documents.entry(record.facts.document).or_default();
            *last = at;
            own.push(record);
        }
        let mut documents: Vec<(Uuid, (usize, Vec<Record>))> = documents.into_iter().collect();
        documents.compact_sort_by_key(|(_, (last, _))| std::cmp::Reverse(*last));
        if documents.len() > MAX_DOCUMENTS {
            tracing::warn!(document = %path, "more than {MAX_DOCUMENTS} documents had this name; older ones are left out");
        }
        let mut timelines: Vec<Self> = Vec::new();
        let holder = documents.first().map(|(document, _)| *document);
        for (document, (_, own)) in documents.into_iter().take(MAX_DOCUMENTS) {
            let documents = (document, holder.unwrap_or(document));
            let timeline = Self::follow(dir, path, documents, (own, damaged, bytes), seal, bounds)?;
            if timelines.is_empty() || timeline.is_of_deleted() {
                timelines.push(timeline);
            }
        }
        Ok(timelines)
    }

    /// Follows a document from its records in the file of this name, which means `holder` now.
    fn follow(
        dir: &BankDir,
        path: &DocumentPath,
        (document, holder): (Uuid, Uuid),
        (records, damaged, mut bytes): (Vec<Record>, usize, u64),
        seal: Option<&Seal>,
        bounds: FollowBounds,
    ) -> Result<Self, StoreError> {
        let mut timeline = Self { document, damaged, ..Self::default() };
        timeline.named.insert(path.clone(), holder.to_string());
        let mut waiting = timeline.take(path, records);
        while let Some(name) = waiting.pop() {
            if timeline.names.contains(&name) {
                continue;
            }
            if timeline.names.len() >= bounds.names || bytes > bounds.bytes {
                timeline.damaged += 1;
                break;
            }
            let (records, damaged, length) = made(dir, &name, seal)?;
            timeline.damaged += damaged;
            bytes += length;
            timeline.named.extend(records.last().map(|last| (name.clone(), last.facts.document.to_string())));
            waiting.extend(timeline.take(&name, records));
        }
        // A record of this user comes before one that claims its number.
        timeline.records.compact_sort_by_key(|record| (record.facts.number, !record.is_own));
        timeline.records.dedup_by_key(|record| record.facts.number);
        let path = timeline.records.last().and_then(|last| DocumentPath::parse(&last.facts.path).ok());
        timeline.current = path.and_then(|path| current_if_readable(dir, &path));
        Ok(timeline)
    }

    /// Whether the document exists, and has another name.
    pub(super) fn has_other_name(&self, path: &DocumentPath) -> bool {
        self.records.last().is_some_and(|last| last.facts.after.is_some() && last.facts.path != path.as_str())
    }

    /// Whether the last version of the document is its deletion.
    fn is_of_deleted(&self) -> bool {
        self.records.last().is_some_and(|last| last.facts.after.is_none())
    }

    /// Takes the records of the document, and returns the names that they lead to.
    fn take(&mut self, name: &DocumentPath, records: Vec<Record>) -> Vec<DocumentPath> {
        self.names.insert(name.clone());
        let own = records.into_iter().filter(|record| record.facts.document == self.document);
        let mut others = Vec::new();
        for record in own {
            others.extend(record.other());
            if record.version().is_some() {
                self.records.push(record);
            }
        }
        others
    }

    /// The versions, oldest first.
    pub(super) fn versions(&self) -> impl Iterator<Item = Version> {
        self.records.iter().filter_map(Record::version)
    }

    /// The document as it is now, if it was not deleted, and its last name belongs to no other.
    pub(super) fn into_current(self) -> Option<Document> {
        let last = self.records.last()?;
        last.facts.after.as_ref().and(self.current)
    }

    /// The latest versions down to this number, newest first, with the steps back. Bounded as the query says.
    pub(super) fn links(&self, query: &ChainQuery) -> Vec<Link> {
        let most = query.most.min(limits::CHAIN_VERSIONS);
        let (mut links, mut bytes): (Vec<Link>, usize) = (Vec::new(), 0);
        for (place, record) in self.records.iter().enumerate().rev().take(most) {
            if record.facts.number < query.from {
                break;
            }
            let Some(version) = record.version() else { continue };
            let back = record.back().or_else(|| self.former_text(place));
            bytes += back.as_ref().map_or(0, Delta::bytes);
            if bytes > limits::CHAIN_BYTES && !links.is_empty() {
                break;
            }
            links.push(Link { version, former: record.facts.before.as_deref().map(Etag::claimed), back });
        }
        links
    }

    /// The text before a version as a whole: that of a deletion is not in its record.
    fn former_text(&self, place: usize) -> Option<Delta> {
        self.records.get(place)?.facts.before.as_ref()?;
        let text = self.text(place.checked_sub(1)?).ok()??;
        Some(Delta::whole(&text))
    }

    /// The text before the first version, if the document is older than its history, as a version.
    pub(super) fn before_history(&self) -> Option<(Version, String)> {
        let first = self.records.first()?;
        let (before, version) = (Etag::claimed(first.facts.before.as_deref()?), first.version()?);
        let after = if version.etag.is_some() { self.text(0).ok()?? } else { String::new() };
        let text = first.back()?.undo(&after).ok().filter(|text| Etag::of(text) == before)?;
        (version.number > 1).then(|| (version.before_history(before, text.len() as u64), text))
    }

    /// The place of a version.
    pub(super) fn place(&self, number: i64) -> Option<usize> {
        self.records.iter().position(|record| record.facts.number == number)
    }

    /// The text of the version at this place, forward from a whole text before it, or back from a later one. A text with
    /// another etag than the recorded one is never returned.
    pub(super) fn text(&self, place: usize) -> Result<Option<String>, Damage> {
        let Some(record) = self.records.get(place) else { return Err(Damage::NoText) };
        let Some(etag) = record.facts.after.as_deref() else { return Ok(None) };
        let is_right = |text: &String| Etag::of(text).as_str() == etag;
        if let Some(text) = self.forward(place).filter(is_right) {
            return Ok(Some(text));
        }
        let text = self.back(place)?;
        if is_right(&text) {
            return Ok(Some(text));
        }
        Err(Damage::Text { number: record.facts.number, expected: Etag::claimed(etag) })
    }

    fn forward(&self, place: usize) -> Option<String> {
        let before = self.records.get(..=place)?;
        let from = before.iter().rposition(|record| record.facts.whole)?;
        let mut text = before.get(from)?.whole()?.to_owned();
        for record in before.get(from + 1..)? {
            text = record.forward()?.undo(&text).ok()?;
        }
        Some(text)
    }

    fn back(&self, place: usize) -> Result<String, Damage> {
        let after = self.records.get(place + 1..).unwrap_or_default();
        let whole = after.iter().position(|record| record.facts.whole);
        let steps = whole.map_or(after, |whole| after.get(..=whole).unwrap_or_default());
        let newest = match whole.and_then(|whole| after.get(whole)) {
            Some(record) => record.whole(),
            None => self.current.as_ref().map(|document| document.content.as_str()),
        };
        let steps: Option<Vec<Step>> = steps
            .iter()
            .rev()
            .map(|record| {
                let before = Etag::claimed(record.facts.before.as_deref()?);
                Some(Step { number: record.facts.number, delta: record.back()?, before })
            })
            .collect();
        rebuild(newest, &steps.ok_or(Damage::NoText)?)
    }
}
