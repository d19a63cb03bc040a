//! The history in a transfer: the versions of one document at a time, from the files of a bank or into those of a new one.
//! Versions that are written get the seal of the user who transfers them, and are marked as imported.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::Timestamp;
use memory_bank_core::clock::Entropy;
use memory_bank_core::document::{DocumentPath, Etag};
use memory_bank_core::error::StoreError;
use memory_bank_core::history::{ChangeContext, Delta, Link, Version, stored_tool};
use memory_bank_core::limits;
use memory_bank_core::transfer::{DocumentCopy, DocumentHistory, HistoryCount, composed};
use uuid::Uuid;

use crate::dir::BankDir;
use crate::graph::LineSeal;
use crate::history::bank_key::seal_for_writing;
use crate::history::changes::cannot;
use crate::history::file::{HistoryFile, MAX_FILE_BYTES};
use crate::history::record::{ENDING, Facts, Kind, Record, put};
use crate::history::thin::MAX_FILES;
use crate::history::timeline::{MAX_BYTES, Timeline};
use crate::search::Seal;

/// What a record takes beside its texts, at most in general.
const RECORD_BYTES: usize = 600;

/// A text with its etag.
type Known = Option<(String, Etag)>;

/// The documents that have versions, each with a name that it had.
pub(crate) fn documents(
    dir: &BankDir,
    seal: Option<&Seal>,
) -> Result<BTreeMap<Uuid, DocumentPath>, StoreError> {
    let mut documents = BTreeMap::new();
    for (name, _) in dir.history_files(MAX_FILES, ENDING).map_err(cannot_read())? {
        let mut file = HistoryFile::open_named(dir, name.clone(), seal, false).map_err(cannot_read())?;
        let contents = file.contents(seal).map_err(cannot_read())?;
        if contents.damaged > 0 {
            tracing::warn!(
                name,
                records = contents.damaged,
                "a part of the history cannot be read and is not carried"
            );
        }
        for version in contents.records.iter().filter_map(Record::version) {
            if let Ok(id) = version.document.parse::<Uuid>() {
                documents.entry(id).or_insert(version.path);
            }
        }
    }
    Ok(documents)
}

/// The versions of a document up to `now`, the bank's documents as they were read at `read_at`. If the document is not as its last
/// version left it, a version `outside` follows.
pub(crate) fn history_of(
    dir: &BankDir,
    seal: Option<&Seal>,
    (document, path): (Uuid, &DocumentPath),
    now: &[DocumentCopy],
    read_at: Timestamp,
) -> Result<DocumentHistory, StoreError> {
    let Some(mut timeline) = Timeline::of_document(dir, path, Some(document), seal)? else {
        return Ok(DocumentHistory::default());
    };
    let now = now_of(dir, seal, &timeline, now)?;
    let etag = now.map(|document| Etag::of(&document.text));
    // Changes since then are not in the bank as it was read. A clock that was wrong is no reason to leave a version out.
    let is_later = |record: &Record| {
        record.facts.at > read_at && record.facts.after.as_deref() != etag.as_ref().map(Etag::as_str)
    };
    while timeline.records.last().is_some_and(is_later) {
        timeline.records.pop();
    }
    let mut links = Vec::with_capacity(timeline.records.len());
    let mut former: Known = None;
    for (place, record) in timeline.records.iter().enumerate() {
        let text = text_of(&timeline, place, former.as_ref());
        if let Some(version) = record.version() {
            links.push(link(version, record, former.as_ref(), text.as_ref()));
        }
        former = text;
    }
    links.extend(outside(&links, former.as_ref(), now));
    links.reverse();
    Ok(DocumentHistory { links, left_out: 0 })
}

/// The text of the version at this place, from the one before it if that is known.
fn text_of(timeline: &Timeline, place: usize, former: Option<&(String, Etag)>) -> Known {
    let record = timeline.records.get(place)?;
    let etag = Etag::claimed(record.facts.after.as_deref()?);
    let is_right = |text: &String| Etag::of(text) == etag;
    let forward = || record.forward()?.undo(&former?.0).ok().filter(is_right);
    let whole = || record.whole().map(str::to_owned).filter(is_right);
    let text = forward().or_else(whole).or_else(|| timeline.text(place).ok().flatten());
    text.map(|text| (text, etag))
}

/// A version with the step back in the form of a database. One whose former text cannot be rebuilt has none.
fn link(
    version: Version,
    record: &Record,
    former: Option<&(String, Etag)>,
    text: Option<&(String, Etag)>,
) -> Link {
    let before = record.facts.before.as_deref().map(Etag::claimed);
    let former = former.filter(|(_, etag)| before.as_ref() == Some(etag));
    let back = match (&before, former, text) {
        (None, _, _) => None,
        (Some(_), Some((former, _)), Some((text, _))) => {
            Some(Delta::of_version(version.number, former, text))
        }
        (Some(_), Some((former, _)), None) => Some(Delta::whole(former)),
        (Some(_), None, _) => record.back(),
    };
    let replaced = back.as_ref().map_or(0, |back| back.bytes() as u64);
    let version = Version {
        path: composed(version.path),
        former_path: version.former_path.map(composed),
        replaced,
        ..version
    };
    Link { former: before.filter(|_| back.is_some()), version, back }
}

/// The document as it is now, unless it was deleted or another one has its name.
fn now_of<'d>(
    dir: &BankDir,
    seal: Option<&Seal>,
    timeline: &Timeline,
    now: &'d [DocumentCopy],
) -> Result<Option<&'d DocumentCopy>, StoreError> {
    let path = timeline.records.last().and_then(|last| DocumentPath::parse(&last.facts.path).ok());
    let Some(path) = path else { return Ok(None) };
    let file = HistoryFile::open(dir, &path, seal, false).map_err(cannot_read())?;
    let is_of_document =
        |newest: &Record| newest.facts.document == timeline.document && newest.facts.kind != Kind::Moved;
    let has_name = file.last.as_ref().is_some_and(is_of_document);
    let path = composed(path);
    Ok(now.iter().find(|document| has_name && document.path == path))
}

/// The version that leads from the last one to the document as it is now, if they differ.
fn outside(links: &[Link], last_text: Option<&(String, Etag)>, now: Option<&DocumentCopy>) -> Option<Link> {
    let Link { version: last, .. } = links.last()?;
    let etag = now.map(|document| Etag::of(&document.text));
    if etag == last.etag {
        return None;
    }
    let text = now.map_or("", |document| &document.text);
    let number = last.number.saturating_add(1);
    let back = last_text.map(|(former, _)| Delta::of_version(number, former, text));
    let version = Version {
        etag,
        bytes: text.len() as u64,
        replaced: back.as_ref().map_or(0, |back| back.bytes() as u64),
        imported: last.imported,
        ..last.outside_after(now.map_or(last.at, |document| document.updated_at))
    };
    Some(Link { version, former: last_text.map(|(_, etag)| etag.clone()), back })
}

fn cannot_read() -> impl Fn(std::io::Error) -> StoreError {
    |error| StoreError::io("cannot read the history of the memory bank")(error)
}

/// Writes the history of a new bank. Nobody else may use the bank.
pub(crate) struct NewHistory {
    dir: BankDir,
    /// The user's key, and that of the records of the bank.
    key: Seal,
    seal: Seal,
    entropy: Arc<dyn Entropy>,
    room: usize,
    /// The documents with records under each name, and the one that has the name now.
    names: BTreeMap<DocumentPath, (BTreeSet<Uuid>, Option<Uuid>)>,
}

impl std::fmt::Debug for NewHistory {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NewHistory").field("room", &self.room).finish_non_exhaustive()
    }
}

impl NewHistory {
    pub(crate) fn new(dir: BankDir, key: Seal, entropy: Arc<dyn Entropy>) -> Result<Self, StoreError> {
        let seal = seal_for_writing(&dir, &key, &*entropy).map_err(cannot())?;
        let room = usize::try_from(MAX_BYTES).unwrap_or(usize::MAX);
        Ok(Self { dir, key, seal, entropy, room, names: BTreeMap::new() })
    }

    /// The seal for lines of the graph's history.
    pub(crate) fn line_seal(&self) -> Result<LineSeal, StoreError> {
        LineSeal::for_writing(&self.dir, &self.key, &*self.entropy).map_err(cannot())
    }

    /// The bank.
    pub(crate) fn dir(&self) -> &BankDir {
        &self.dir
    }

    /// Writes the newest versions of a document, as far as there is room, and returns how many. `now` is its text.
    pub(crate) fn add(
        &mut self,
        history: &DocumentHistory,
        now: Option<&str>,
    ) -> Result<HistoryCount, StoreError> {
        let none =
            HistoryCount { left_out: history.links.len() + history.left_out, ..HistoryCount::default() };
        let Some(document) = history.newest().and_then(|newest| newest.document.parse::<Uuid>().ok()) else {
            return Ok(none);
        };
        let room = self.room.min(limits::TRANSFER_HISTORY_BYTES);
        let (records, versions) = records(history, document, now, room);
        let mut files: BTreeMap<DocumentPath, Vec<Record>> = BTreeMap::new();
        for (path, record) in records.into_iter().rev() {
            files.entry(path).or_default().push(record);
        }
        for (path, records) in &files {
            let file = HistoryFile::open(&self.dir, path, Some(&self.seal), false).map_err(cannot())?;
            let bytes: usize = records.iter().map(weight).sum();
            if file.end + bytes as u64 > MAX_FILE_BYTES {
                return Ok(none);
            }
        }
        let live = history.live_path();
        for (path, records) in files {
            let (documents, holder) = self.names.entry(path.clone()).or_default();
            documents.insert(document);
            if live == Some(&path) {
                *holder = Some(document);
            }
            let mut file = HistoryFile::open(&self.dir, &path, Some(&self.seal), true).map_err(cannot())?;
            for record in records {
                self.room = self.room.saturating_sub(weight(&record));
                file.append(record, &self.seal).map_err(cannot())?;
            }
            file.flush().map_err(cannot())?;
        }
        let left_out = (history.links.len() + history.left_out).saturating_sub(versions);
        Ok(HistoryCount { versions, left_out, ..HistoryCount::default() })
    }

    /// Brings the records of names that several documents had into the order of time, and makes all durable.
    pub(crate) fn finish(self) -> Result<(), StoreError> {
        for (path, (documents, holder)) in &self.names {
            if documents.len() > 1 {
                self.sort(path, *holder)?;
            }
        }
        if self.names.is_empty() { Ok(()) } else { self.dir.sync_history().map_err(cannot()) }
    }

    fn sort(&self, path: &DocumentPath, holder: Option<Uuid>) -> Result<(), StoreError> {
        let mut file = HistoryFile::open(&self.dir, path, Some(&self.seal), false).map_err(cannot())?;
        let (contents, old) =
            (file.contents(Some(&self.seal)).map_err(cannot())?, file.bytes().map_err(cannot())?);
        let mut waiting: BTreeMap<Uuid, std::collections::VecDeque<Record>> = BTreeMap::new();
        for record in contents.records {
            waiting.entry(record.facts.document).or_default().push_back(record);
        }
        let mut new = Vec::with_capacity(old.len());
        // The records of each document keep their order; the last one of the document that has the name comes last.
        let next = |waiting: &BTreeMap<Uuid, std::collections::VecDeque<Record>>| {
            let heads = waiting.iter().filter_map(|(document, records)| {
                let head = records.front()?;
                let is_end = holder == Some(*document) && records.len() == 1;
                Some(((is_end, head.facts.at, head.facts.kind != Kind::Moved, *document), *document))
            });
            heads.min_by_key(|(order, _)| *order).map(|(_, document)| document)
        };
        while let Some(document) = next(&waiting) {
            if let Some(record) = waiting.get_mut(&document).and_then(std::collections::VecDeque::pop_front) {
                put(&record, &old, &file.name, &self.seal, &mut new)?;
            }
        }
        let name = file.into_name();
        self.dir.replace_history(&name, &new).map_err(cannot())
    }
}

fn weight(record: &Record) -> usize {
    record.texts.len() + RECORD_BYTES
}

/// The records of a document with the names of their files, newest first, and of how many versions they are.
fn records(
    history: &DocumentHistory,
    document: Uuid,
    now: Option<&str>,
    room: usize,
) -> (Vec<(DocumentPath, Record)>, usize) {
    let (mut records, mut versions, mut bytes) = (Vec::new(), 0, 0);
    let mut after: Known = now.map(|text| (text.to_owned(), Etag::of(text)));
    let mut oldest = None;
    for link in &history.links {
        let text = after.filter(|(_, etag)| link.version.etag.as_ref() == Some(etag));
        let before = former_of(link, text.as_ref());
        let record = record(link, document, text.as_ref(), before.as_ref());
        bytes += weight(&record);
        if bytes > room {
            after = text;
            break;
        }
        if let Some(from) = link.version.former_path.as_ref() {
            let moved = moved(&record.facts, from);
            bytes += weight(&moved);
            records.push((link.version.path.clone(), record));
            records.push((from.clone(), moved));
        } else {
            records.push((link.version.path.clone(), record));
        }
        versions += 1;
        (after, oldest) = (before, Some(link));
    }
    // The text before the oldest version is in its record, as in a database; that of a deletion has no other place.
    if let Some(((link, (text, etag)), (_, record))) = oldest.zip(after).zip(records.last_mut())
        && link.version.etag.is_none()
        && link.former.as_ref() == Some(&etag)
    {
        *record = Record::new(record.facts.clone(), Some((&Delta::whole(&text), "")), None);
    }
    (records, versions)
}

/// The text before a version, if it can be rebuilt.
fn former_of(link: &Link, text: Option<&(String, Etag)>) -> Known {
    let (etag, back) = (link.former.as_ref()?, link.back.as_ref()?);
    let after = match text {
        Some((text, _)) => text.as_str(),
        None if back.is_whole() => "",
        None => return None,
    };
    let former = back.undo(after).ok().filter(|former| Etag::of(former) == *etag)?;
    Some((former, etag.clone()))
}

/// A version as a record. What a text that cannot be rebuilt lacks, its record lacks, too.
fn record(
    link: &Link,
    document: Uuid,
    text: Option<&(String, Etag)>,
    before: Option<&(String, Etag)>,
) -> Record {
    let version = &link.version;
    let etag = |etag: &Option<Etag>| etag.as_ref().map(|etag| etag.as_str().to_owned());
    let context = ChangeContext {
        tool: version.tool.clone(),
        undoes: version.undoes.clone(),
        ..ChangeContext::default()
    };
    let facts = Facts {
        document,
        number: version.number,
        kind: Kind::of(version.kind),
        path: version.path.as_str().to_owned(),
        other: version.former_path.as_ref().map(|path| path.as_str().to_owned()),
        at: version.at,
        author: version.author.clone(),
        key: version.key.map(|key| key.0),
        session: version.session.clone(),
        tool: stored_tool(&context),
        before: etag(&link.former),
        after: etag(&version.etag),
        bytes: version.bytes,
        start: 0,
        end: 0,
        former: 0,
        inserted: 0,
        whole: false,
        imported: true,
        place: None,
        over: None,
    };
    let is_whole = before.is_none() || version.number % limits::VERSIONS_TO_WHOLE == 0;
    let whole = text.filter(|_| is_whole).map(|(text, _)| text.as_str());
    match (before, text) {
        (Some((before, _)), Some((text, _))) => {
            let delta = Delta::between(before, text);
            let inserted = text.get(delta.start()..text.len() - delta.end()).unwrap_or_default();
            Record::new(facts, Some((&delta, inserted)), whole)
        }
        (Some(_), None) if version.etag.is_none() => Record::new(facts, None, None),
        _ => Record::new(facts, link.back.as_ref().map(|back| (back, "")), whole),
    }
}

/// The end of the versions under the former name.
fn moved(facts: &Facts, from: &DocumentPath) -> Record {
    let other = Some(facts.path.clone());
    let facts =
        Facts { kind: Kind::Moved, path: from.as_str().to_owned(), after: None, other, ..facts.clone() };
    Record::new(Facts { start: 0, end: 0, former: 0, inserted: 0, whole: false, ..facts }, None, None)
}
