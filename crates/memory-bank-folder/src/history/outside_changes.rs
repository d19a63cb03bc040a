//! Notes changes from outside before the history is read, and in the background when a document is.

use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use memory_bank_core::document::{DocumentEntry, DocumentPath, Etag};
use memory_bank_core::error::StoreError;

use crate::bank::FolderBank;
use crate::documents::{entries, name_on_disk};
use crate::history::record::{ENDING, file_name};
use crate::history::seen_names::SeenNames;
use crate::history::thin::MAX_FILES;
use crate::history::{FolderHistory, outside_renames};
use crate::lock::blocking;

/// How long a list waits until its new names are compared with the history.
const NOTING: Duration = Duration::from_secs(2);

impl FolderBank {
    /// Compares contents that were read with the history in the background, so that changes from outside become versions.
    pub(crate) fn compare_with_history(&self, contents: Vec<(DocumentPath, Option<Etag>)>) {
        if !self.history.is_kept() {
            return;
        }
        let paths = self.history.not_compared(contents);
        if paths.is_empty() {
            return;
        }
        let (history, lock, clock) =
            (self.history.clone(), self.lock.clone(), Arc::clone(&self.deps().clock));
        tokio::spawn(async move {
            if let Err(error) = note_if_different(&history, &lock, paths, clock.now()).await {
                tracing::warn!(%error, "a change from outside could not be noted in the history");
            }
        });
    }

    /// Records changes of the names that came or went since the last list, before the reply that shows them: a new name may be another
    /// one's, which can be told while its file is there and its text is the same. In the first list of a process those without a history
    /// count as new. If others write to the bank for long, this goes on after the reply.
    pub(crate) async fn compare_names_with_history(&self, entries: &[DocumentEntry]) {
        if !self.history.is_kept() {
            return;
        }
        let names: BTreeSet<DocumentPath> = entries.iter().filter_map(|entry| entry.path.clone()).collect();
        let former = self.history.listed.lock().replace(names.clone());
        let is_first = former.is_none();
        let paths: Vec<DocumentPath> =
            former.unwrap_or_default().symmetric_difference(&names).cloned().collect();
        if paths.is_empty() {
            return;
        }
        let (history, lock, clock) =
            (self.history.clone(), self.lock.clone(), Arc::clone(&self.deps().clock));
        let noting = tokio::spawn(async move {
            let noted = async {
                let paths = if is_first { without_history(&lock, paths).await? } else { paths };
                note_if_different(&history, &lock, paths, clock.now()).await
            };
            if let Err(error) = noted.await {
                tracing::warn!(%error, "a change from outside could not be noted in the history");
            }
        });
        match tokio::time::timeout(NOTING, noting).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                tracing::warn!(%error, "a change from outside could not be noted in the history");
            }
            Err(_) => tracing::debug!("a change from outside is noted later"),
        }
    }

    /// Notes changes of a document from outside now, where versions are added.
    pub(super) async fn settle_history(&self, paths: Vec<DocumentPath>) {
        if !self.history.is_kept() {
            return;
        }
        let now = self.deps().clock.now();
        if let Err(error) = note_if_different(&self.history, &self.lock, paths, now).await {
            tracing::warn!(%error, "a change from outside could not be noted in the history");
        }
    }

    /// Records changes from outside of all documents.
    pub(super) async fn settle_all(&self) {
        let (root, history) = (self.root().clone(), self.history.clone());
        let names = blocking(move || {
            let dir = root.open().map_err(StoreError::io("cannot open the memory bank"))?;
            let Some(seal) = history.seal_to_read(&dir) else { return Ok(BTreeSet::new()) };
            let mut names: BTreeSet<DocumentPath> =
                outside_renames::names(&dir, &seal)?.into_iter().collect();
            names.extend(entries(&dir)?.into_iter().filter_map(|entry| entry.path));
            names.extend(SeenNames::read(&dir, &seal)?.all().map(|(path, _)| path));
            Ok::<_, StoreError>(names)
        });
        match names.await {
            Ok(names) => self.settle_history(names.into_iter().collect()).await,
            Err(error) => {
                tracing::warn!(%error, "changes from outside could not be noted in the history");
            }
        }
    }
}

/// Those of these names that have no file of the history; none in a bank without a history.
async fn without_history(
    lock: &crate::lock::BankLock,
    mut paths: Vec<DocumentPath>,
) -> Result<Vec<DocumentPath>, StoreError> {
    let root = lock.root().clone();
    blocking(move || {
        let dir = root.open().map_err(StoreError::io("cannot open the memory bank"))?;
        let files =
            dir.history_files(MAX_FILES, ENDING).map_err(StoreError::io("cannot read the history"))?;
        if files.is_empty() {
            return Ok(Vec::new());
        }
        let files: HashSet<String> = files.into_iter().map(|(name, _)| name).collect();
        paths.retain(|path| !files.contains(&file_name(path)));
        Ok(paths)
    })
    .await
}

async fn note_if_different(
    history: &FolderHistory,
    lock: &crate::lock::BankLock,
    paths: Vec<DocumentPath>,
    now: Timestamp,
) -> Result<(), StoreError> {
    let (root, own) = (lock.root().clone(), history.clone());
    let (paths, differs) = blocking(move || {
        let dir = root.open().map_err(StoreError::io("cannot open the memory bank"))?;
        let paths: Vec<DocumentPath> = paths.iter().map(|path| name_on_disk(&dir, path)).collect();
        let differs = own.differs(&dir, &paths)?;
        Ok::<_, StoreError>((paths, differs))
    })
    .await?;
    if !differs {
        return Ok(());
    }
    let (guard, history) = (lock.exclusive().await?, history.clone());
    blocking(move || history.note_outside(guard.dir(), &paths, now)).await
}
