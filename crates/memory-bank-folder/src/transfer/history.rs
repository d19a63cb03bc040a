//! The history of documents in a transfer: from a bank's folder, and into a staged one.

use std::sync::Arc;

use jiff::Timestamp;
use memory_bank_core::clock::{Entropy, iso_millis};
use memory_bank_core::document::DocumentPath;
use memory_bank_core::error::StoreError;
use memory_bank_core::transfer::{BankCopy, DocumentHistory, GraphHistory, HistoryCount, ProjectCopy};
use uuid::Uuid;

use super::target::Staged;
use super::{FolderSource, TransferError};
use crate::dir::BankDir;
use crate::graph::{LineSeal, carried, put_carried};
use crate::history::{NewHistory, documents_with_history, history_of, seal_to_read};
use crate::lock::{BankLock, blocking};
use crate::search::{Seal, SealLocation};
use crate::state_folder::StateFolder;

/// The history of a folder that is read.
#[derive(Debug)]
pub struct SourceHistory {
    source: FolderSource,
    key: Option<Seal>,
    copy: Arc<ProjectCopy>,
    read_at: Timestamp,
    documents: Vec<(Uuid, DocumentPath)>,
}

impl FolderSource {
    /// The history of the documents, as it was at `read_at`, when the bank was read as `copy`. Versions without the seal of the user with this
    /// state folder are foreign. Nothing in the folder is changed.
    ///
    /// # Errors
    /// A file of the history cannot be read.
    pub async fn history(
        &self,
        state: Option<StateFolder>,
        entropy: Arc<dyn Entropy>,
        copy: Arc<ProjectCopy>,
        read_at: Timestamp,
    ) -> Result<SourceHistory, TransferError> {
        let (source, guard) = (self.clone(), BankLock::new(self.root().clone()).shared().await?);
        blocking(move || {
            let place = SealLocation { state, project: source.project_folder().to_owned() };
            let key = Seal::of_user(&place, &*entropy, false);
            let seal = records_seal(guard.dir(), key.as_ref())?;
            let documents = documents_with_history(guard.dir(), seal.as_ref())?.into_iter().collect();
            Ok(SourceHistory { source, key, copy, read_at, documents })
        })
        .await
    }
}

/// The key of the records of a bank, with the user's.
fn records_seal(dir: &BankDir, key: Option<&Seal>) -> Result<Option<Seal>, StoreError> {
    let seal = key.map(|key| seal_to_read(dir, key)).transpose();
    seal.map(Option::flatten).map_err(StoreError::io("cannot read the history"))
}

impl SourceHistory {
    /// The number of documents that have one.
    #[must_use]
    pub fn documents(&self) -> usize {
        self.documents.len()
    }

    /// The history of one of them.
    ///
    /// # Errors
    /// A file of the history cannot be read.
    pub async fn of_document(&self, number: usize) -> Result<DocumentHistory, TransferError> {
        let Some((document, path)) = self.documents.get(number).cloned() else {
            return Ok(DocumentHistory::default());
        };
        let guard = BankLock::new(self.source.root().clone()).shared().await?;
        let (key, copy, read_at) = (self.key.clone(), Arc::clone(&self.copy), self.read_at);
        blocking(move || {
            let seal = records_seal(guard.dir(), key.as_ref())?;
            let now = &copy.bank.documents;
            Ok(history_of(guard.dir(), seal.as_ref(), (document, &path), now, read_at)?)
        })
        .await
    }
}

impl SourceHistory {
    /// The history of the graph.
    ///
    /// # Errors
    /// The log of the graph or its history cannot be read.
    pub async fn of_graph(&self) -> Result<GraphHistory, TransferError> {
        let guard = BankLock::new(self.source.root().clone()).shared().await?;
        let (key, copy, read_at) = (self.key.clone(), Arc::clone(&self.copy), self.read_at);
        blocking(move || {
            let cannot = StoreError::io("cannot read the history");
            let seal = key.map(|key| LineSeal::of_bank(guard.dir(), &key)).transpose().map_err(cannot)?;
            Ok(carried(guard.dir(), seal.flatten().as_ref(), &copy.bank.graph, read_at)?)
        })
        .await
    }
}

impl Staged {
    /// Begins to write the history, after the bank was written. It gets the seal of the user with this state folder, so that the versions
    /// are this user's own.
    ///
    /// # Errors
    /// There is no key for the seal, or the staged bank cannot be opened.
    pub async fn begin_history(
        &mut self,
        state: Option<StateFolder>,
        entropy: Arc<dyn Entropy>,
    ) -> Result<StagedHistory, TransferError> {
        let (bank, project) = (self.staged_bank(), self.project_folder().to_owned());
        blocking(move || {
            let dir = BankDir::open(&bank).map_err(StoreError::io("cannot open the staged bank"))?;
            let seal = Seal::of_user(&SealLocation { state, project }, &*entropy, true);
            let seal = seal.ok_or_else(|| {
                StoreError::Unavailable(
                    "there is no key for the history; leave it out with --no-history".to_owned(),
                )
            })?;
            Ok(StagedHistory(NewHistory::new(dir, seal, entropy)?))
        })
        .await
    }
}

/// The history of a staged bank.
#[derive(Debug)]
pub struct StagedHistory(NewHistory);

impl StagedHistory {
    /// Writes the newest versions of a document, as far as there is room, and returns how many. `bank` is the bank that was written.
    ///
    /// # Errors
    /// A file cannot be written.
    pub async fn put(
        self,
        history: DocumentHistory,
        bank: &BankCopy,
    ) -> Result<(Self, HistoryCount), TransferError> {
        let live = history.live_path();
        let now = bank.documents.iter().find(|document| Some(&document.path) == live);
        let now = now.map(|document| document.text.clone());
        let Self(mut new) = self;
        blocking(move || {
            let count = new.add(&history, now.as_deref())?;
            Ok((Self(new), count))
        })
        .await
    }

    /// Writes the newest changes of the graph, as far as there is room, and returns how many. `bank` is the bank that was written, at
    /// `now`.
    ///
    /// # Errors
    /// A file cannot be written.
    pub async fn put_graph(
        self,
        history: GraphHistory,
        bank: &BankCopy,
        now: Timestamp,
    ) -> Result<(Self, HistoryCount), TransferError> {
        let (Self(new), graph) = (self, bank.graph.clone());
        blocking(move || {
            let count = put_carried(new.dir(), &new.line_seal()?, &history, &graph, &iso_millis(now))?;
            Ok((Self(new), count))
        })
        .await
    }

    /// Makes the history durable.
    ///
    /// # Errors
    /// A file cannot be written.
    pub async fn finish(self) -> Result<(), TransferError> {
        blocking(move || Ok(self.0.finish()?)).await
    }
}
