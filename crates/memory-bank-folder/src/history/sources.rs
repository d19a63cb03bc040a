//! Whether the history still has what an edit is made of. The caller holds the bank's lock, as erasures do.

use std::collections::HashSet;

use memory_bank_core::document::{DocumentPath, Etag};
use memory_bank_core::error::StoreError;
use memory_bank_core::history::HistorySource;

use super::FolderHistory;
use super::timeline::Timeline;
use crate::bank::FolderBank;
use crate::dir::BankDir;
use crate::documents::name_on_disk;
use crate::graph::numbers_of;
use crate::lock::{WriteGuard, blocking};

impl FolderBank {
    /// Refuses an edit that is made of something that was erased.
    ///
    /// # Errors
    /// [`StoreError::HistoryErased`], or the history cannot be read.
    pub(crate) async fn check_sources(
        &self,
        guard: WriteGuard,
        sources: &[HistorySource],
    ) -> Result<WriteGuard, StoreError> {
        if sources.is_empty() {
            return Ok(guard);
        }
        let (history, sources) = (self.history.clone(), sources.to_vec());
        blocking(move || {
            history.check_sources(guard.dir(), &sources)?;
            Ok(guard)
        })
        .await
    }
}

impl FolderHistory {
    /// [`FolderBank::check_sources`]. Blocks.
    pub(crate) fn check_sources(&self, dir: &BankDir, sources: &[HistorySource]) -> Result<(), StoreError> {
        let mut wanted: HashSet<i64> = HashSet::new();
        for source in sources {
            let has_all = match source {
                HistorySource::Text { document, path, etag } => {
                    let is_there = |etags: [&Option<String>; 2]| {
                        etags.into_iter().flatten().any(|known| known == etag.as_str())
                    };
                    self.timeline(dir, document, path)?.is_some_and(|timeline| {
                        let mut records = timeline.records.iter().map(|record| &record.facts);
                        records.any(|facts| is_there([&facts.before, &facts.after]))
                    })
                }
                HistorySource::Versions { document, path, numbers } => {
                    let timeline = self.timeline(dir, document, path)?;
                    let records = timeline.iter().flat_map(|timeline| &timeline.records);
                    let found: HashSet<(i64, Option<&str>)> =
                        records.map(|record| (record.facts.number, record.facts.before.as_deref())).collect();
                    numbers
                        .iter()
                        .all(|(number, former)| found.contains(&(*number, former.as_ref().map(Etag::as_str))))
                }
                HistorySource::GraphChanges(numbers) => {
                    wanted.extend(numbers);
                    true
                }
            };
            if !has_all {
                return Err(StoreError::HistoryErased);
            }
        }
        if !wanted.is_empty() {
            let found = numbers_of(dir, self.line_seal_to_read(dir).as_ref())?;
            if !wanted.is_subset(&found) {
                return Err(StoreError::HistoryErased);
            }
        }
        Ok(())
    }

    fn timeline(
        &self,
        dir: &BankDir,
        document: &str,
        path: &DocumentPath,
    ) -> Result<Option<Timeline>, StoreError> {
        let Ok(document) = document.parse() else { return Ok(None) };
        Timeline::of_document(dir, &name_on_disk(dir, path), Some(document), self.seal_to_read(dir).as_ref())
    }
}
