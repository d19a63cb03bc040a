//! Notes changes from outside before the history is read, and in the background when a document is.

use std::collections::BTreeSet;
use std::sync::Arc;

use jiff::Timestamp;
use memory_bank_core::document::{DocumentPath, Etag};
use memory_bank_core::error::StoreError;

use crate::bank::FolderBank;
use crate::documents::{entries, name_on_disk};
use crate::history::seen_names::SeenNames;
use crate::history::{FolderHistory, outside_renames};
use crate::lock::blocking;

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

    /// The same for all documents.
    pub(super) async fn settle_all(&self) {
        let (root, history) = (self.root().clone(), self.history.clone());
        let names = blocking(move || {
            let dir = root.open().map_err(StoreError::io("cannot open the memory bank"))?;
            let Some(seal) = history.seal_to_read() else { return Ok(BTreeSet::new()) };
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
