//! Search in a folder: an index in memory that follows all changes of the files and the graph.
//!
//! Nothing is read before the first search. Each search compares names, sizes and times of the files with the index
//! and reads the differences; the graph is indexed change by change. One search at a time does that, in slices, on a
//! thread for blocking work; the others wait without a thread. The ranking is the core's.

mod folder_index;
mod folder_search;
mod index_memory;
mod index_update;
mod progress;
mod seal;
mod vector_file;
mod vectors;

use std::sync::Arc;

use async_trait::async_trait;
use memory_bank_core::caller::Caller;
use memory_bank_core::error::{GraphError, StoreError};
use memory_bank_core::search::{MentionSearch, Mentions, search_graph};
use memory_bank_core::store::{
    DocumentSearch, DocumentStore as _, DocumentsFound, GraphFound, GraphSearch, SearchStore,
};
use tokio::sync::oneshot;
use tokio::time::timeout_at;

use crate::bank::FolderBank;
use crate::journal;
use crate::lock::blocking;
pub(crate) use folder_search::FolderSearch;
pub(crate) use index_memory::FolderIndexes;
use index_update::IndexUpdate;
pub(crate) use seal::{Seal, SealLocation};
pub use vectors::VectorStatus;

#[async_trait]
impl SearchStore for FolderBank {
    async fn search_documents(
        &self,
        caller: &Caller,
        request: &DocumentSearch,
    ) -> Result<DocumentsFound, StoreError> {
        self.current_documents(caller).await?;
        let (search, request) = (self.search.clone(), request.clone());
        let thread = Arc::clone(&self.search.threads).acquire_owned().await;
        blocking(move || {
            let found = search.documents(&request);
            drop(thread);
            Ok(found)
        })
        .await
        .inspect(|_| self.request_vectors())
    }

    async fn mentions(&self, caller: &Caller, request: &MentionSearch) -> Result<Mentions, StoreError> {
        self.current_documents(caller).await?;
        let (search, request) = (self.search.clone(), request.clone());
        let thread = Arc::clone(&self.search.threads).acquire_owned().await;
        blocking(move || {
            let found = search.indexed.read().index.mentions(&request);
            drop(thread);
            Ok(found)
        })
        .await
    }

    async fn search_graph(&self, _caller: &Caller, request: &GraphSearch) -> Result<GraphFound, GraphError> {
        self.finish_changes().await?;
        if request.query.is_some() {
            self.bring_search_up_to_date(true).await?;
        }
        let (search, graph, request) = (self.search.clone(), self.graph.clone(), request.clone());
        let root = self.root().clone();
        let thread = Arc::clone(&self.search.threads).acquire_owned().await;
        blocking(move || {
            let dir = root.open().map_err(StoreError::io("cannot open the memory bank"))?;
            let found = graph.with_view(&dir, |view| {
                if request.query.is_some() {
                    search.follow_graph(view.state());
                }
                let indexed = search.indexed.read();
                Ok(search_graph(view.state(), &indexed.index, &request))
            });
            drop(thread);
            found
        })
        .await
    }
}

impl FolderBank {
    /// Brings the index of the documents up to date for a search.
    async fn current_documents(&self, caller: &Caller) -> Result<(), StoreError> {
        self.finish_changes().await?;
        // The rarity of a word depends on the graph too. An unreadable graph must not hide the documents.
        match self.bring_search_up_to_date(true).await {
            Ok(()) => {}
            Err(error) if matches!(error, StoreError::IndexBuilding { .. }) => return Err(error),
            Err(error) => {
                tracing::warn!(%error, "documents are searched without the graph");
                self.bring_search_up_to_date(false).await?;
            }
        }
        if self.search.has_new_names() {
            // A renaming that the reply shows is in the history before it, as after a list.
            self.list(caller).await?;
        }
        Ok(())
    }

    /// Indexes the changes of files and, if requested, of the graph since the last search.
    ///
    /// # Errors
    /// [`StoreError::IndexBuilding`] if it takes longer than a search waits; it continues then.
    async fn bring_search_up_to_date(&self, with_graph: bool) -> Result<(), StoreError> {
        let deadline = tokio::time::Instant::now() + self.search.wait;
        let building = || StoreError::IndexBuilding { seconds: self.search.progress.seconds_left() };
        let turn = timeout_at(deadline, Arc::clone(&self.search.turn).lock_owned());
        let turn = turn.await.map_err(|_| building())?;
        let update = IndexUpdate {
            search: self.search.clone(),
            graph: self.graph.clone(),
            root: self.root().clone(),
            now: self.deps().clock.now(),
        };
        self.search.indexes.searched(&self.search.indexed);
        let (report, reported) = oneshot::channel();
        tokio::spawn(async move {
            let outcome = update.run(with_graph).await;
            drop(turn);
            let _nobody_waits = report.send(outcome);
        });
        match timeout_at(deadline, reported).await {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(_)) => {
                Err(StoreError::Unavailable("the search index was lost while it was built".to_owned()))
            }
            Err(_) => Err(building()),
        }
    }

    /// An interrupted change of several files is completed before a search.
    async fn finish_changes(&self) -> Result<(), StoreError> {
        let root = self.root().clone();
        let is_pending = blocking(move || {
            let dir = root.open().map_err(StoreError::io("cannot open the memory bank"))?;
            Ok::<_, StoreError>(journal::is_pending(&dir))
        })
        .await?;
        if is_pending {
            drop(self.lock.shared().await?);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
