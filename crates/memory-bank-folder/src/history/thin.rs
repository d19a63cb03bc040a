//! Old versions are removed in small batches: of those before the retention the last of each day stays, and of a history that
//! takes too much room the oldest half of the largest file goes. The texts beside a gap are rebuilt and checked before the file is
//! replaced. The caller holds the bank's lock.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use memory_bank_core::document::{DocumentPath, Etag};
use memory_bank_core::error::StoreError;
use memory_bank_core::history::{Damage, DatedChange, Delta, superseded};

use crate::history::changes::{Writer, cannot};
use crate::history::file::{HistoryFile, MAX_FILE_BYTES};
use crate::history::record::{ENDING, Kind, Record, put};
use crate::history::timeline::{MAX_BYTES, Timeline};

/// The most files of the history that are examined.
pub(super) const MAX_FILES: usize = 50_000;
/// The fewest and the most versions that go at once.
const BATCH: std::ops::RangeInclusive<usize> = 8..=64;

/// The versions that are removed.
enum Excess {
    /// All but one a day of the versions before a time.
    Before(Timestamp),
    /// The oldest half.
    Half,
}

/// Whether the oldest half of a file goes, so that there is room for the next versions.
pub(super) fn is_large(file: &HistoryFile) -> bool {
    file.end > MAX_FILE_BYTES / 2
}

impl Writer<'_> {
    /// Removes a batch of old versions of these documents, or of the largest file if the history is too large.
    pub(super) fn thin(&self, paths: &[DocumentPath], before: Timestamp) -> Result<(), StoreError> {
        let files = self.dir.history_files(MAX_FILES, ENDING).map_err(cannot())?;
        if files.iter().map(|(_, bytes)| bytes).sum::<u64>() > MAX_BYTES
            && let Some((name, _)) = files.into_iter().max_by_key(|(_, bytes)| *bytes)
        {
            let file = HistoryFile::open_named(self.dir, name, Some(self.seal), false).map_err(cannot())?;
            return self.thin_file(file, &Excess::Half);
        }
        paths.iter().try_for_each(|path| {
            let mut file = HistoryFile::open(self.dir, path, Some(self.seal), false).map_err(cannot())?;
            let excess = if is_large(&file) { Excess::Half } else { Excess::Before(before) };
            // All of it is read only if a part may be old.
            if let Excess::Before(before) = excess
                && file.first_at().map_err(cannot())?.is_some_and(|at| at >= before)
            {
                return Ok(());
            }
            self.thin_file(file, &excess)
        })
    }

    fn thin_file(&self, mut file: HistoryFile, excess: &Excess) -> Result<(), StoreError> {
        let Some(last) = file.last.as_ref().filter(|last| !last.is_pending) else { return Ok(()) };
        let Ok(path) = DocumentPath::parse(&last.facts.path) else { return Ok(()) };
        let contents = file.contents(Some(self.seal)).map_err(cannot())?;
        let Some(timeline) = Timeline::of(self.dir, &path, Some(self.seal))? else { return Ok(()) };
        let gone = versions_to_remove(&contents.records, excess);
        if !BATCH.contains(&gone.len()) && matches!(excess, Excess::Before(_)) || gone.is_empty() {
            return Ok(());
        }
        if contents.damaged > 0 {
            tracing::warn!(document = %path, "old versions stay: a part of the history is damaged");
            return Ok(());
        }
        let changed = match without(timeline, &gone) {
            Ok(changed) => changed,
            Err(error) => {
                tracing::warn!(document = %path, %error, "old versions stay: those beside them cannot be rebuilt");
                return Ok(());
            }
        };
        let old = file.bytes().map_err(cannot())?;
        let mut new = Vec::with_capacity(old.len());
        for record in &contents.records {
            let number = record.facts.number;
            let is_of_document = record.facts.document == changed.document && record.version().is_some();
            if is_of_document && gone.contains(&number) {
                continue;
            }
            let record = changed.records.get(&number).filter(|_| is_of_document).unwrap_or(record);
            put(record, &old, &file.name, self.seal, &mut new)?;
        }
        tracing::debug!(document = %path, versions = gone.len(), "old versions are removed");
        // A file that is open cannot be replaced on every system.
        let name = file.into_name();
        self.dir.replace_history(&name, &new).map_err(cannot())
    }
}

/// The numbers of the versions to remove. Never removed are a version that links two names, the last version, the version before a
/// foreign one, and versions of other documents that had the name. If the reason is age, a creation and the last version before a
/// change by another user or session are kept, too.
fn versions_to_remove(records: &[Record], excess: &Excess) -> Vec<i64> {
    let Some(last) = records.last() else { return Vec::new() };
    let is_candidate = |pair: &[Record]| match pair {
        [one, next] => {
            one.facts.document == last.facts.document
                && next.facts.document == one.facts.document
                && one.is_own
                && next.is_own
                && one.facts.other.is_none()
                && !matches!(one.facts.kind, Kind::Renamed | Kind::Moved | Kind::Erased)
        }
        _ => false,
    };
    let candidates = records.windows(2).filter(|pair| is_candidate(pair)).filter_map(<[Record]>::first);
    match excess {
        Excess::Half => {
            let candidates: Vec<i64> = candidates.map(|record| record.facts.number).collect();
            let half = candidates.len().div_ceil(2);
            candidates.into_iter().take(half).collect()
        }
        Excess::Before(before) => {
            let candidates: BTreeSet<i64> = candidates.map(|record| record.facts.number).collect();
            let own: Vec<&Record> =
                records.iter().filter(|record| record.facts.document == last.facts.document).collect();
            let by = |record: &Record| (record.facts.author.clone(), record.facts.session.clone());
            let changes: Vec<DatedChange> = own
                .iter()
                .enumerate()
                .map(|(place, record)| DatedChange {
                    number: record.facts.number,
                    at: record.facts.at,
                    // Without this version the changes of two authors would be one, and an undo of one of them would take back both.
                    stays: !candidates.contains(&record.facts.number)
                        || record.facts.kind == Kind::Created
                        || own.get(place + 1).is_some_and(|next| by(next) != by(record)),
                    deletes: matches!(record.facts.kind, Kind::Deleted),
                })
                .collect();
            superseded(&changes, *before, *BATCH.end())
        }
    }
}

/// The records that change when others go.
struct Changed {
    document: uuid::Uuid,
    records: BTreeMap<i64, Record>,
}

/// Joins the versions beside the gaps, and checks their texts.
fn without(mut timeline: Timeline, gone: &[i64]) -> Result<Changed, Damage> {
    let is_gone = |record: &Record| gone.contains(&record.facts.number);
    let mut changed = Changed { document: timeline.document, records: BTreeMap::new() };
    let mut kept: Vec<Record> = Vec::new();
    let mut last: Option<usize> = None;
    let mut is_after_gap = false;
    for (place, record) in timeline.records.iter().enumerate() {
        if is_gone(record) {
            is_after_gap = true;
            continue;
        }
        let mut record = record.clone();
        if is_after_gap {
            let before = last.map_or(Ok(None), |last| timeline.text(last))?;
            record = joined(&record, before.as_deref(), timeline.text(place)?.as_deref());
            changed.records.insert(record.facts.number, record.clone());
        }
        (last, is_after_gap) = (Some(place), false);
        kept.push(record);
    }
    timeline.records = kept;
    for (place, record) in timeline.records.iter().enumerate() {
        if changed.records.contains_key(&record.facts.number) {
            timeline.text(place)?;
            if let Some(before) = place.checked_sub(1) {
                timeline.text(before)?;
            }
        }
    }
    Ok(changed)
}

/// The record of a version that follows another text than before.
fn joined(record: &Record, before: Option<&str>, text: Option<&str>) -> Record {
    let mut facts = record.facts.clone();
    facts.before = before.map(|before| Etag::of(before).as_str().to_owned());
    (facts.start, facts.end, facts.former, facts.inserted) = (0, 0, 0, 0);
    match (before, text) {
        (_, None) => Record::new(facts, None, None),
        (None, Some(text)) => Record::new(facts, None, Some(text)),
        (Some(before), Some(text)) => {
            let delta = Delta::between(before, text);
            let inserted = text.get(delta.start()..text.len() - delta.end()).unwrap_or_default();
            Record::new(facts, Some((&delta, inserted)), record.whole().map(|_| text))
        }
    }
}
