//! The versions that a change of documents adds. Their records are appended before the documents change, marked as pending, and
//! flushed while the new contents are; a record whose document did not change counts for nothing.

use std::collections::BTreeMap;
use std::io;

use jiff::Timestamp;
use memory_bank_core::caller::Caller;
use memory_bank_core::clock::Entropy;
use memory_bank_core::document::{Document, DocumentPath, Etag};
use memory_bank_core::error::StoreError;
use memory_bank_core::history::{ChangeContext, Delta, stored_tool};
use memory_bank_core::limits;

use crate::dir::BankDir;
use crate::history::file::HistoryFile;
use crate::history::record::{Facts, Kind, Record};
use crate::history::timeline::{self, Timeline};
use crate::search::Seal;

/// A document that is about to change.
#[derive(Debug)]
pub(crate) struct Changing {
    pub(crate) path: DocumentPath,
    pub(crate) before: Option<Text>,
    pub(crate) after: Option<Text>,
    /// The former name of a document that an edit renamed, where it says so.
    pub(crate) moved_from: Option<DocumentPath>,
    /// The deleted document that comes back, with the number of its last version.
    pub(crate) revives: Option<(uuid::Uuid, i64)>,
}

/// A text with its etag.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Text {
    pub(crate) content: String,
    pub(crate) etag: Etag,
}

impl From<&Document> for Text {
    fn from(document: &Document) -> Self {
        Self { content: document.content.clone(), etag: document.etag.clone() }
    }
}

/// Who makes a change, when, and by what.
#[derive(Debug, Clone)]
pub(crate) struct By {
    author: Option<String>,
    key: Option<uuid::Uuid>,
    context: ChangeContext,
    at: Timestamp,
}

impl By {
    pub(crate) fn caller(caller: &Caller, context: ChangeContext, at: Timestamp) -> Self {
        Self { author: Some(caller.user_name.clone()), key: caller.key.map(|key| key.0), context, at }
    }

    /// When.
    pub(crate) fn at(&self) -> Timestamp {
        self.at
    }

    /// Somebody that the server does not know.
    pub(super) fn outside(at: Timestamp) -> Self {
        Self { author: None, key: None, context: ChangeContext::default(), at }
    }
}

/// Appends records to the files of a bank. The caller holds the bank's lock.
pub(super) struct Writer<'a> {
    pub(super) dir: &'a BankDir,
    pub(super) seal: &'a Seal,
    pub(super) entropy: &'a dyn Entropy,
}

/// Records that wait for the change of their documents.
#[derive(Debug, Default)]
pub(crate) struct Pending {
    files: Vec<PendingFile>,
    is_new: bool,
}

#[derive(Debug)]
struct PendingFile {
    file: HistoryFile,
    start: u64,
}

impl Pending {
    /// Writes the records to the disk.
    pub(crate) fn flush(&self, dir: &BankDir) -> io::Result<()> {
        self.files.iter().try_for_each(|pending| pending.file.flush())?;
        if self.is_new { dir.sync_history() } else { Ok(()) }
    }

    /// Notes that the documents were changed. A record that cannot be marked is compared with its document later.
    pub(crate) fn confirm(&mut self) {
        for pending in &mut self.files {
            if let Err(error) = pending.file.confirm(pending.start) {
                tracing::debug!(%error, "a version could not be marked as made");
            }
        }
    }

    /// Removes the records of a change that was not made.
    pub(crate) fn withdraw(&mut self) {
        for pending in &mut self.files {
            if let Err(error) = pending.file.cut(pending.start, None) {
                tracing::warn!(%error, "a version of a change that failed could not be removed");
            }
        }
    }

    /// Whether a file was begun, or the number of a version is a multiple of this.
    pub(super) fn is_due(&self, every: i64) -> bool {
        let last = |pending: &PendingFile| pending.file.last.as_ref().map_or(1, |last| last.facts.number);
        self.is_new || self.files.iter().any(|pending| last(pending) % every == 0)
    }
}

impl Writer<'_> {
    /// Appends the records of these changes.
    pub(super) fn prepare(&self, changes: &[Changing], by: &By) -> Result<Pending, StoreError> {
        let mut pending = Pending::default();
        let appended = self.append_all(changes, by, &mut pending);
        appended.inspect_err(|_| pending.withdraw())?;
        Ok(pending)
    }

    fn append_all(&self, changes: &[Changing], by: &By, pending: &mut Pending) -> Result<(), StoreError> {
        let renamed = renames(changes, by.context.restores);
        for (new, old) in &renamed {
            let (Some(new), Some(old)) = (changes.get(*new), changes.get(*old)) else { continue };
            self.append_rename(old, new, by, pending)?;
        }
        let is_renamed = |at: &usize| renamed.iter().any(|(new, old)| new == at || old == at);
        for (_, change) in changes.iter().enumerate().filter(|(at, _)| !is_renamed(at)) {
            let mut file = self.open(&change.path, pending)?;
            self.note_outside(&mut file, &change.path, change.before.as_ref(), by.at)?;
            let record = self.next(&file, change, by);
            self.append(file, record, pending)?;
        }
        Ok(())
    }

    fn open(&self, path: &DocumentPath, pending: &mut Pending) -> Result<HistoryFile, StoreError> {
        let file = HistoryFile::open(self.dir, path, Some(self.seal), true).map_err(cannot())?;
        pending.is_new |= file.end == 0;
        Ok(file)
    }

    fn append(
        &self,
        mut file: HistoryFile,
        mut record: Record,
        pending: &mut Pending,
    ) -> Result<(), StoreError> {
        record.is_pending = true;
        let start = file.append(record, self.seal).map_err(cannot())?;
        pending.files.push(PendingFile { file, start });
        Ok(())
    }

    /// A renaming ends the versions in the file of the former name and continues them in that of the new one.
    fn append_rename(
        &self,
        old: &Changing,
        new: &Changing,
        by: &By,
        pending: &mut Pending,
    ) -> Result<(), StoreError> {
        let mut from = self.open(&old.path, pending)?;
        self.note_outside(&mut from, &old.path, old.before.as_ref(), by.at)?;
        let mut to = self.open(&new.path, pending)?;
        self.note_outside(&mut to, &new.path, None, by.at)?;
        let mut facts = self.facts(&from, &new.path, Kind::Renamed, by);
        let etag = |text: Option<&Text>| text.map(|text| text.etag.as_str().to_owned());
        let content = |text: Option<&Text>| text.map_or_else(String::new, |text| text.content.clone());
        let (before, after) = (content(old.before.as_ref()), content(new.after.as_ref()));
        (facts.before, facts.after) = (etag(old.before.as_ref()), etag(new.after.as_ref()));
        facts.bytes = after.len() as u64;
        facts.other = Some(old.path.as_str().to_owned());
        let delta = Delta::between(&before, &after);
        let inserted = after.get(delta.start()..after.len() - delta.end()).unwrap_or_default();
        let mut moved = Facts { kind: Kind::Moved, path: old.path.as_str().to_owned(), ..facts.clone() };
        (moved.after, moved.other) = (None, Some(new.path.as_str().to_owned()));
        let whole = must_be_whole(&from, facts.number).then_some(after.as_str());
        let renamed = Record::new(facts, Some((&delta, inserted)), whole);
        self.append(from, Record::new(moved, None, None), pending)?;
        self.append(to, renamed, pending)
    }

    /// The facts of the next version.
    fn facts(&self, file: &HistoryFile, path: &DocumentPath, kind: Kind, by: &By) -> Facts {
        // A document that moved away is another one than a new one of its name.
        let last = file.last.as_ref().filter(|last| last.facts.kind != Kind::Moved);
        let last = last.map(|last| (last.facts.document, last.facts.number));
        let (document, number) = last.unwrap_or_else(|| (self.entropy.id(), 0));
        Facts {
            document,
            number: number.saturating_add(1),
            kind,
            path: path.as_str().to_owned(),
            other: None,
            at: by.at,
            author: by.author.clone(),
            key: by.key,
            session: by.context.session.clone(),
            tool: stored_tool(&by.context),
            before: None,
            after: None,
            bytes: 0,
            start: 0,
            end: 0,
            former: 0,
            inserted: 0,
            whole: false,
            imported: false,
        }
    }

    fn next(&self, file: &HistoryFile, change: &Changing, by: &By) -> Record {
        let kind = match (&change.before, &change.after) {
            (_, Some(_)) if by.context.restores => Kind::Restored,
            (None, _) => Kind::Created,
            (Some(_), Some(_)) => Kind::Changed,
            (Some(_), None) => Kind::Deleted,
        };
        let mut record =
            self.record(file, &change.path, kind, (change.before.as_ref(), change.after.as_ref()), by);
        if let Some((document, number)) = change.revives {
            (record.facts.document, record.facts.number) = (document, number.saturating_add(1));
        }
        record
    }

    fn record(
        &self,
        file: &HistoryFile,
        path: &DocumentPath,
        kind: Kind,
        (before, after): (Option<&Text>, Option<&Text>),
        by: &By,
    ) -> Record {
        let mut facts = self.facts(file, path, kind, by);
        facts.before = before.map(|text| text.etag.as_str().to_owned());
        facts.after = after.map(|text| text.etag.as_str().to_owned());
        let Some(after) = after else { return Record::new(facts, None, None) };
        facts.bytes = after.content.len() as u64;
        let is_whole = before.is_none() || must_be_whole(file, facts.number);
        let whole = is_whole.then_some(after.content.as_str());
        let Some(before) = before else { return Record::new(facts, None, whole) };
        let delta = Delta::between(&before.content, &after.content);
        let inserted = after.content.get(delta.start()..after.content.len() - delta.end());
        Record::new(facts, Some((&delta, inserted.unwrap_or_default())), whole)
    }

    /// Settles the last record, and adds a version if the document is not as the last version left it. Returns whether
    /// it added one.
    pub(super) fn note_outside(
        &self,
        file: &mut HistoryFile,
        path: &DocumentPath,
        now: Option<&Text>,
        at: Timestamp,
    ) -> Result<bool, StoreError> {
        while let Some(last) = file.last.clone().filter(|last| last.is_pending) {
            let start = last.range.start as u64;
            if timeline::is_made(&last, now.map(|text| &text.etag)) {
                file.confirm(start).map_err(cannot())?;
                file.last = Some(Record { is_pending: false, ..last });
            } else {
                file.cut(start, Some(self.seal)).map_err(cannot())?;
            }
        }
        let known = file.last.as_ref().and_then(|last| last.facts.after.as_deref());
        if known == now.map(|text| text.etag.as_str()) {
            return Ok(false);
        }
        let by = By::outside(at);
        let before = match known {
            Some(_) => self.known_text(path)?,
            None => None,
        };
        let mut record = self.record(file, path, Kind::Outside, (before.as_ref(), now), &by);
        if before.is_none() {
            // The former text cannot be rebuilt; its etag is known.
            record.facts.before = None;
        }
        file.append(record, self.seal).map_err(cannot())?;
        Ok(true)
    }

    /// The text that the last version left; none if it cannot be rebuilt.
    fn known_text(&self, path: &DocumentPath) -> Result<Option<Text>, StoreError> {
        let Some(timeline) = Timeline::of(self.dir, path, Some(self.seal))? else { return Ok(None) };
        let last = timeline.records.len().checked_sub(1);
        Ok(match last.map(|last| timeline.text(last)) {
            Some(Ok(Some(content))) => Some(Text { etag: Etag::of(&content), content }),
            Some(Err(error)) => {
                tracing::warn!(document = %path, %error, "a former text of the history cannot be read");
                None
            }
            _ => None,
        })
    }
}

/// Whether the text of the next version is stored as a whole: every so often, and where no own one is before it.
fn must_be_whole(file: &HistoryFile, number: i64) -> bool {
    number % limits::VERSIONS_TO_WHOLE == 0
        || file.last.as_ref().is_none_or(|last| !last.is_own || last.facts.kind == Kind::Erased)
}

/// Pairs of a new document and the removed one that it continues, by their places: as the edit says, and in an edit that brings
/// nothing back also those with the same text.
fn renames(changes: &[Changing], restores: bool) -> Vec<(usize, usize)> {
    let former = |change: &Changing| {
        let from = change.moved_from.as_ref()?;
        changes.iter().position(|other| other.path == *from)
    };
    let said: Vec<(usize, usize)> =
        changes.iter().enumerate().filter_map(|(at, change)| Some((at, former(change)?))).collect();
    if restores || !said.is_empty() {
        return said;
    }
    let mut removed: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (at, change) in changes.iter().enumerate() {
        if let (Some(before), None) = (&change.before, &change.after) {
            removed.entry(before.etag.as_str()).or_default().push(at);
        }
    }
    let mut pairs = Vec::new();
    for (at, change) in changes.iter().enumerate() {
        if let (None, Some(after)) = (&change.before, &change.after)
            && let Some(old) = removed.get_mut(after.etag.as_str()).and_then(Vec::pop)
        {
            pairs.push((at, old));
        }
    }
    pairs
}

pub(super) fn cannot() -> impl Fn(io::Error) -> StoreError {
    |error| StoreError::io("cannot write the history of the memory bank")(error)
}
