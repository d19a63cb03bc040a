//! The documents of one name, and the erasure of their versions.

use std::collections::BTreeSet;

use memory_bank_core::document::{DocumentPath, Etag};
use memory_bank_core::error::StoreError;
use memory_bank_core::store::HistoryError;
use uuid::Uuid;

use crate::bank::FolderBank;
use crate::dir::BankDir;
use crate::documents::name_on_disk;
use crate::history::changes::{self, Writer};
use crate::history::file::HistoryFile;
use crate::history::record::{Kind, Record, put};
use crate::history::timeline::{FollowBounds, Timeline};
use crate::lock::blocking;
use crate::search::Seal;

impl FolderBank {
    /// Whether a former text of a document may be shown: the history has it, or there is none to erase from.
    pub(crate) async fn may_show_former(&self, path: &DocumentPath, etag: &Etag) -> Result<bool, StoreError> {
        if !self.history.is_kept() {
            return Ok(true);
        }
        let (root, history) = (self.root().clone(), self.history.clone());
        let (path, etag) = (path.clone(), etag.as_str().to_owned());
        blocking(move || {
            let dir = root.open().map_err(StoreError::io("cannot open the memory bank"))?;
            let Some(seal) = history.seal_to_read(&dir) else { return Ok(true) };
            let path = name_on_disk(&dir, &path);
            if HistoryFile::open(&dir, &path, Some(&seal), false).map_err(changes::cannot())?.end == 0 {
                return Ok(true);
            }
            let timeline = Timeline::of(&dir, &path, Some(&seal))?;
            let has = |etags: [&Option<String>; 2]| etags.into_iter().flatten().any(|known| *known == etag);
            Ok(timeline.is_some_and(|timeline| {
                timeline.records.iter().any(|record| has([&record.facts.before, &record.facts.after]))
            }))
        })
        .await
    }
}

/// The versions of the document that has this name, or that had it last, then those of deleted documents that had it before.
pub(super) fn timelines_of(
    dir: &BankDir,
    path: &DocumentPath,
    seal: Option<&Seal>,
) -> Result<Vec<Timeline>, HistoryError> {
    checked(path, Timeline::of_name(dir, &name_on_disk(dir, path), seal, FollowBounds::READ)?)
}

/// The versions that an erasure by this name removes: all of these documents, but for one that has another name now, which is erased
/// by that name.
pub(super) fn erased_timelines(
    dir: &BankDir,
    path: &DocumentPath,
    seal: Option<&Seal>,
) -> Result<Vec<Timeline>, HistoryError> {
    let name = name_on_disk(dir, path);
    let mut timelines = Timeline::of_name(dir, &name, seal, FollowBounds::ERASURE)?;
    timelines.retain(|timeline| !timeline.has_other_name(&name));
    checked(path, timelines)
}

fn checked(path: &DocumentPath, timelines: Vec<Timeline>) -> Result<Vec<Timeline>, HistoryError> {
    if timelines.iter().all(|timeline| timeline.records.is_empty()) {
        return Err(HistoryError::NoDocument(path.clone()));
    }
    let damaged: usize = timelines.iter().map(|timeline| timeline.damaged).max().unwrap_or_default();
    if damaged > 0 {
        tracing::warn!(document = %path, records = damaged, "a part of the history cannot be read");
    }
    Ok(timelines)
}

/// Removes the records of these documents from all files that have some, each atomically. What follows continues the numbers of the
/// first one, which has the name or had it last.
pub(super) fn erase(writer: &Writer<'_>, timelines: &[Timeline]) -> Result<u64, StoreError> {
    let last = timelines.first().and_then(|timeline| timeline.records.last());
    let documents: BTreeSet<Uuid> = timelines.iter().map(|timeline| timeline.document).collect();
    let names: BTreeSet<&DocumentPath> = timelines.iter().flat_map(|timeline| &timeline.names).collect();
    for name in names {
        let mut file =
            HistoryFile::open(writer.dir, name, Some(writer.seal), false).map_err(changes::cannot())?;
        let contents = file.contents(Some(writer.seal)).map_err(changes::cannot())?;
        let old = file.bytes().map_err(changes::cannot())?;
        let others = contents.records.iter().filter(|record| !documents.contains(&record.facts.document));
        let mut new = Vec::new();
        for record in others {
            put(record, &old, &file.name, writer.seal, &mut new)?;
        }
        if let Some(last) = last.filter(|last| last.facts.path == name.as_str()) {
            let mut facts = last.facts.clone();
            (facts.kind, facts.before, facts.other, facts.former, facts.inserted) =
                (Kind::Erased, None, None, 0, 0);
            put(&Record::new(facts, None, None), &old, &file.name, writer.seal, &mut new)?;
        }
        if !old.is_empty() {
            let name = file.into_name();
            writer.dir.replace_history(&name, &new).map_err(changes::cannot())?;
        }
    }
    Ok(timelines.iter().map(|timeline| timeline.records.len() as u64).sum())
}
