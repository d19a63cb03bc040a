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
use crate::history::outside_renames::is_live;
use crate::history::record::{Facts, Kind, Record};
use crate::history::thin::is_large;
use crate::history::timeline::{self, Timeline};
use crate::search::Seal;

/// A document that is about to change.
#[derive(Debug)]
pub(crate) struct TextChange {
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
pub(crate) struct ChangeAuthor {
    author: Option<String>,
    key: Option<uuid::Uuid>,
    context: ChangeContext,
    at: Timestamp,
    /// Whether it is something outside of the server.
    is_outside: bool,
}

impl ChangeAuthor {
    pub(crate) fn caller(caller: &Caller, context: ChangeContext, at: Timestamp) -> Self {
        Self {
            author: Some(caller.user_name.clone()),
            key: caller.key.map(|key| key.0),
            context,
            at,
            is_outside: false,
        }
    }

    /// The time of the change.
    pub(crate) fn at(&self) -> Timestamp {
        self.at
    }

    /// Somebody that the server does not know.
    pub(super) fn outside(at: Timestamp) -> Self {
        Self { author: None, key: None, context: ChangeContext::default(), at, is_outside: true }
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
    path: DocumentPath,
    file: HistoryFile,
    /// Where its new records are.
    starts: Vec<u64>,
}

impl Pending {
    /// Writes the records to the disk.
    pub(crate) fn flush(&self, dir: &BankDir) -> io::Result<()> {
        self.files.iter().try_for_each(|pending| pending.file.flush())?;
        if self.is_new { dir.sync_history() } else { Ok(()) }
    }

    /// Notes that the documents were changed. A record that cannot be marked is compared with its document later.
    pub(crate) fn confirm(&mut self) {
        for PendingFile { file, starts, .. } in &mut self.files {
            if let Err(error) = starts.iter().try_for_each(|start| file.confirm(*start)) {
                tracing::debug!(%error, "a version could not be marked as made");
            }
        }
    }

    /// Removes the records of a change that was not made.
    pub(crate) fn withdraw(&mut self) {
        for PendingFile { file, starts, .. } in &mut self.files {
            let cut = starts.first().map_or(Ok(()), |start| file.cut(*start, None));
            if let Err(error) = cut {
                tracing::warn!(%error, "a version of a change that failed could not be removed");
            }
        }
    }

    /// Whether old versions are to be removed: a file was begun or is large, or the number of a version is a multiple of this.
    pub(super) fn is_due(&self, every: i64) -> bool {
        let last = |pending: &PendingFile| pending.file.last.as_ref().map_or(1, |last| last.facts.number);
        self.is_new || self.files.iter().any(|pending| last(pending) % every == 0 || is_large(&pending.file))
    }
}

impl Writer<'_> {
    /// Appends the records of these changes.
    pub(super) fn prepare(&self, changes: &[TextChange], by: &ChangeAuthor) -> Result<Pending, StoreError> {
        let mut pending = Pending::default();
        self.open_all(changes, &mut pending)?;
        let is_unexpected = |change: &TextChange| {
            let last = pending.files.iter().find(|pending| pending.path == change.path);
            let is_known = is_live(last.and_then(|pending| pending.file.last.as_ref()));
            is_known != change.before.is_some()
        };
        // Something outside may have renamed a document, if it made or removed one.
        if !by.is_outside && changes.iter().any(is_unexpected) {
            pending = Pending::default();
            self.follow_outside(by.at)?;
            self.open_all(changes, &mut pending)?;
        }
        let appended = self.append_all(changes, by, &mut pending);
        appended.inspect_err(|_| pending.withdraw())?;
        Ok(pending)
    }

    fn open_all(&self, changes: &[TextChange], pending: &mut Pending) -> Result<(), StoreError> {
        for TextChange { path, .. } in changes {
            let file = HistoryFile::open(self.dir, path, Some(self.seal), true).map_err(cannot())?;
            pending.is_new |= file.end == 0;
            pending.files.push(PendingFile { path: path.clone(), file, starts: Vec::new() });
        }
        Ok(())
    }

    fn append_all(
        &self,
        changes: &[TextChange],
        by: &ChangeAuthor,
        pending: &mut Pending,
    ) -> Result<(), StoreError> {
        for (change, PendingFile { path, file, .. }) in changes.iter().zip(&mut pending.files) {
            self.note_outside(file, path, change.before.as_ref(), by.at)?;
        }
        let renamed = renames(changes, by.context.restores);
        // A file may get records of several documents, so all are made before the first is appended.
        let mut records = Vec::new();
        for (old, new) in
            renamed.iter().filter_map(|(new, old)| Some((changes.get(*old)?, changes.get(*new)?)))
        {
            records.push(self.renaming(old, new, by, pending)?);
        }
        let (moved, arrived): (Vec<Record>, Vec<Record>) = records.into_iter().unzip();
        moved.into_iter().try_for_each(|record| self.append(record, pending))?;
        for (at, change) in changes.iter().enumerate() {
            let is_old = renamed.iter().any(|(_, old)| *old == at);
            let is_new = renamed.iter().any(|(new, _)| *new == at);
            let mut before = change.before.as_ref().filter(|_| !is_old);
            let after = change.after.as_ref().filter(|_| !is_new);
            let is_replaced = change.revives.is_some() && before.is_some();
            if is_replaced {
                // Another document has the name until this one comes back.
                let deleted =
                    self.deletion(file_of(pending, &change.path)?, &change.path, before.take(), by)?;
                self.append(deleted, pending)?;
            }
            if before.is_some() || after.is_some() {
                let mut record = self.next(file_of(pending, &change.path)?, change, (before, after), by)?;
                record.facts.over = over(change).filter(|_| is_old || is_replaced);
                self.append(record, pending)?;
            }
        }
        arrived.into_iter().try_for_each(|record| self.append(record, pending))
    }

    /// Appends a record to the file of its name.
    fn append(&self, mut record: Record, pending: &mut Pending) -> Result<(), StoreError> {
        record.is_pending = true;
        let found = pending.files.iter_mut().find(|pending| pending.path.as_str() == record.facts.path);
        let found = found.ok_or_else(|| no_file(&record.facts.path))?;
        let start = found.file.append(record, self.seal).map_err(cannot())?;
        found.starts.push(start);
        Ok(())
    }

    /// A renaming ends the versions in the file of the former name and continues them in that of the new one.
    fn renaming(
        &self,
        old: &TextChange,
        new: &TextChange,
        by: &ChangeAuthor,
        pending: &Pending,
    ) -> Result<(Record, Record), StoreError> {
        let from = file_of(pending, &old.path)?;
        let kind = if by.is_outside { Kind::Outside } else { Kind::Renamed };
        let mut facts = self.facts(from, (&old.path, &new.path), kind, by)?;
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
        facts.over = over(new);
        let whole = must_be_whole(from, facts.number).then_some(after.as_str());
        Ok((Record::new(moved, None, None), Record::new(facts, Some((&delta, inserted)), whole)))
    }

    /// The facts of the next version of the document that has the first name, and then the second one.
    fn facts(
        &self,
        file: &HistoryFile,
        (before, path): (&DocumentPath, &DocumentPath),
        kind: Kind,
        by: &ChangeAuthor,
    ) -> Result<Facts, StoreError> {
        // A document that moved away is another one than a new one of its name.
        let mut last = file.last.as_ref().filter(|last| last.facts.kind != Kind::Moved);
        if let Some(deleted) = last.filter(|last| last.facts.after.is_none())
            && self.came_back(before, deleted)?
        {
            last = None;
        }
        let last = last.map(|last| (last.facts.document, last.facts.number.max(file.highest)));
        let (document, number) = last.unwrap_or_else(|| (self.entropy.id(), 0));
        Ok(Facts {
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
            place: None,
            over: None,
        })
    }

    /// Whether a document that was deleted under this name has later versions: then it came back under a former name.
    fn came_back(&self, path: &DocumentPath, deleted: &Record) -> Result<bool, StoreError> {
        let document = Some(deleted.facts.document);
        let timeline = Timeline::of_document(self.dir, path, document, Some(self.seal))?;
        let newest = timeline.and_then(|timeline| timeline.records.last().map(|last| last.facts.number));
        Ok(newest.is_some_and(|newest| newest > deleted.facts.number))
    }

    fn next(
        &self,
        file: &HistoryFile,
        change: &TextChange,
        (before, after): (Option<&Text>, Option<&Text>),
        by: &ChangeAuthor,
    ) -> Result<Record, StoreError> {
        let kind = match (before, after) {
            (_, Some(_)) if by.context.restores => Kind::Restored,
            (None, _) => Kind::Created,
            (Some(_), Some(_)) => Kind::Changed,
            (Some(_), None) => Kind::Deleted,
        };
        let mut record = self.record(file, &change.path, kind, (before, after), by)?;
        if let Some((document, number)) = change.revives {
            (record.facts.document, record.facts.number) = (document, number.saturating_add(1));
        }
        Ok(record)
    }

    fn deletion(
        &self,
        file: &HistoryFile,
        path: &DocumentPath,
        before: Option<&Text>,
        by: &ChangeAuthor,
    ) -> Result<Record, StoreError> {
        self.record(file, path, Kind::Deleted, (before, None), by)
    }

    /// Something outside removed a document that had no history. Its text is not known.
    pub(super) fn removal(
        &self,
        file: &HistoryFile,
        path: &DocumentPath,
        at: Timestamp,
    ) -> Result<Record, StoreError> {
        self.record(file, path, Kind::Outside, (None, None), &ChangeAuthor::outside(at))
    }

    fn record(
        &self,
        file: &HistoryFile,
        path: &DocumentPath,
        kind: Kind,
        (before, after): (Option<&Text>, Option<&Text>),
        by: &ChangeAuthor,
    ) -> Result<Record, StoreError> {
        let mut facts = self.facts(file, (path, path), kind, by)?;
        facts.before = before.map(|text| text.etag.as_str().to_owned());
        facts.after = after.map(|text| text.etag.as_str().to_owned());
        let Some(after) = after else { return Ok(Record::new(facts, None, None)) };
        facts.bytes = after.content.len() as u64;
        let is_whole = before.is_none() || must_be_whole(file, facts.number);
        let whole = is_whole.then_some(after.content.as_str());
        let Some(before) = before else { return Ok(Record::new(facts, None, whole)) };
        let delta = Delta::between(&before.content, &after.content);
        let inserted = after.content.get(delta.start()..after.content.len() - delta.end());
        Ok(Record::new(facts, Some((&delta, inserted.unwrap_or_default())), whole))
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
        let by = ChangeAuthor::outside(at);
        let before = match known {
            Some(_) => self.known_text(path)?,
            None => None,
        };
        let mut record = self.record(file, path, Kind::Outside, (before.as_ref(), now), &by)?;
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

fn file_of<'p>(pending: &'p Pending, path: &DocumentPath) -> Result<&'p HistoryFile, StoreError> {
    let found = pending.files.iter().find(|pending| pending.path == *path);
    found.map(|pending| &pending.file).ok_or_else(|| no_file(path.as_str()))
}

fn no_file(path: &str) -> StoreError {
    StoreError::Unavailable(format!("the history of `{path}` is not open"))
}

/// The etag of another document that has the name until the change.
fn over(change: &TextChange) -> Option<String> {
    change.before.as_ref().map(|text| text.etag.as_str().to_owned())
}

/// Whether the text of the next version is stored as a whole: every so often, and where no own one is before it.
fn must_be_whole(file: &HistoryFile, number: i64) -> bool {
    number % limits::VERSIONS_TO_WHOLE == 0
        || file.last.as_ref().is_none_or(|last| !last.is_own || last.facts.kind == Kind::Erased)
}

/// Pairs of a new document and the removed one that it continues, by their places: as the edit says, and in an edit that brings
/// nothing back also those with the same text.
fn renames(changes: &[TextChange], restores: bool) -> Vec<(usize, usize)> {
    let former = |change: &TextChange| {
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
