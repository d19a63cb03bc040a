//! Search: the core's index, in memory for the projects that are searched, and verified at every search.
//!
//! Each search first queries, as the caller and under row-level security, the etags of the documents and the version
//! of the graph. A caller without the right to read gets nothing, not even that an index is being built. All others
//! get results that include every earlier commit, because differences are read first, once for all waiters. A search
//! costs one round trip, and some more after a change. After a wait the caller is checked again. The ranking equals
//! that of a folder, because it is the same code.

mod refresh;
mod vectors;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use memory_bank_core::caller::{Caller, Right};
use memory_bank_core::document::is_leftover;
use memory_bank_core::error::{GraphError, StoreError};
use memory_bank_core::import::is_record;
use memory_bank_core::limits;
use memory_bank_core::search::{IndexUse, MentionSearch, Mentions, search_graph};
use memory_bank_core::store::{DocumentSearch, DocumentsFound, GraphFound, GraphSearch, SearchStore};
use tokio::sync::{oneshot, watch};
use tokio::time::{sleep_until, timeout_at};
use tokio_postgres::Row;

use crate::bank::PostgresBank;
use crate::column::{answer, column};
use crate::database::Database;
use crate::index_cache::contents::{Contents, DocumentVersion, Inventory};
use crate::index_cache::{Indexes, Joined, Progress, SearchOptions, Turn};
use crate::tenant::{Query, Value};
use refresh::Refresher;

pub use vectors::StoredVectors;

const INDEX_TIMEOUT: Duration = Duration::from_millis(limits::SEARCH_INDEX_WAIT_MS);
const TURN_TIMEOUT: Duration = Duration::from_millis(limits::SEARCH_TURN_WAIT_MS);

const GRAPH_VERSION: &str = "SELECT app.readable_project() IS NOT NULL, \
    coalesce((SELECT version FROM app.graph_versions WHERE project_id = $1), 0)";
const ETAGS: &str =
    "SELECT path, etag, octet_length(content)::bigint FROM public.documents WHERE project_id = $1";

#[async_trait]
impl SearchStore for PostgresBank {
    async fn search_documents(
        &self,
        caller: &Caller,
        request: &DocumentSearch,
    ) -> Result<DocumentsFound, StoreError> {
        let request = request.clone();
        let found = self.searched(caller, move |contents| request.run(&contents.index, contents)).await?;
        Ok(found.unwrap_or_default())
    }

    async fn mentions(&self, caller: &Caller, request: &MentionSearch) -> Result<Mentions, StoreError> {
        let request = request.clone();
        let found = self.searched(caller, move |contents| contents.index.mentions(&request)).await?;
        Ok(found.unwrap_or_default())
    }

    async fn search_graph(&self, caller: &Caller, request: &GraphSearch) -> Result<GraphFound, GraphError> {
        let request = request.clone();
        let search = move |contents: &Contents| search_graph(&contents.graph, &contents.index, &request);
        Ok(self.searched(caller, search).await?.unwrap_or_default())
    }
}

impl PostgresBank {
    /// The entity names that are most similar, as in a folder's graph. Empty without an index: the entity is reported
    /// as missing all the same.
    pub(crate) async fn suggestions(
        &self,
        caller: &Caller,
        requested: &str,
    ) -> Result<Vec<String>, StoreError> {
        // A key that may only write learns that the entity does not exist, and not which ones do.
        if !caller.may(Right::Read) {
            return Ok(Vec::new());
        }
        let requested = requested.to_owned();
        match self.searched(caller, move |contents| contents.graph.suggestions(&requested)).await {
            Ok(found) => Ok(found.unwrap_or_default()),
            Err(error) if error.is_about_the_index() => Ok(Vec::new()),
            Err(error) => Err(error),
        }
    }

    /// Searches the current state of the caller's project; `None` if the caller may not read it.
    async fn searched<T: Send + 'static>(
        &self,
        caller: &Caller,
        search: impl Fn(&Contents) -> T + Send + Sync + 'static,
    ) -> Result<Option<T>, StoreError> {
        let found = self.try_searched(caller, Arc::new(search)).await;
        if matches!(found, Ok(Some(_))) {
            self.request_vectors(caller);
        }
        if let Err(error) = &found {
            self.database.indexes.count(error);
        }
        found
    }

    async fn try_searched<T: Send + 'static>(
        &self,
        caller: &Caller,
        search: Arc<impl Fn(&Contents) -> T + Send + Sync + 'static>,
    ) -> Result<Option<T>, StoreError> {
        let indexes = &self.database.indexes;
        let started = Instant::now();
        while started.elapsed() < TURN_TIMEOUT {
            // Query again after every wait: the key may be revoked meanwhile.
            let Some(inventory) = self.inventory(caller).await? else { return Ok(None) };
            let project = indexes.project(caller.project);
            let document_bytes = inventory.document_bytes();
            let inventory = match Arc::clone(&project.contents).try_read_owned() {
                Ok(contents) => {
                    let search = Arc::clone(&search);
                    let found = indexes.workers.search(&project.lane, move || {
                        let usable = contents.has_all_before(started) || contents.is_current(&inventory);
                        if usable { Ok(search(&contents)) } else { Err(inventory) }
                    });
                    match found.await? {
                        Ok(found) => return Ok(Some(found)),
                        Err(inventory) => Some(inventory),
                    }
                }
                // A refresh is running; this search's inventory may be outdated at its end.
                Err(_) => None,
            };
            match (indexes.join(caller.project, document_bytes)?, inventory) {
                (Joined::Running(progress, over), _) => self.wait(started, &progress, over).await?,
                (Joined::Started(turn), Some(inventory)) => {
                    self.refresh(caller, started, turn, inventory).await?;
                }
                // It was refreshed just now.
                (Joined::Started(turn), None) => drop(turn),
            }
        }
        // It was updated, and evicted again before this search had its turn.
        Err(StoreError::SearchBusy { seconds: 1 })
    }

    /// The current state of the caller's project; `None` if the caller may not read it.
    async fn inventory(&self, caller: &Caller) -> Result<Option<Inventory>, StoreError> {
        let at = Instant::now();
        let project: [Value<'_>; 1] = [&caller.project.0];
        let rows = self
            .database
            .read(caller, &[Query::new(GRAPH_VERSION, &project), Query::new(ETAGS, &project)])
            .await?;
        let Some(first) = answer(&rows, 0).first() else { return Ok(None) };
        if !column::<bool>(first, 0)? {
            return Ok(None);
        }
        Ok(Some(Inventory { at, documents: named(answer(&rows, 1))?, version: column(first, 1)? }))
    }

    /// Updates the project in its own task, which continues after this search is answered.
    async fn refresh(
        &self,
        caller: &Caller,
        started: Instant,
        turn: Turn,
        inventory: Inventory,
    ) -> Result<(), StoreError> {
        let progress = Arc::clone(&turn.progress);
        let (report, reported) = oneshot::channel();
        let refresher = Refresher { database: self.database.clone(), caller: caller.clone(), turn };
        tokio::spawn(async move {
            let outcome = refresher.run(inventory).await;
            if let Err(error) = &outcome {
                tracing::debug!(%error, "a search index was not updated");
            }
            let _nobody_waits = report.send(outcome);
            // The turn ends here, when the result is known.
            drop(refresher);
        });
        match self.within(started, &progress, reported).await? {
            Ok(outcome) => outcome,
            Err(_) => Err(StoreError::Unavailable("a search index was lost while it was built".to_owned())),
        }
    }

    /// Waits for a refresh that another search started.
    async fn wait(
        &self,
        started: Instant,
        progress: &Progress,
        mut over: watch::Receiver<bool>,
    ) -> Result<(), StoreError> {
        self.within(started, progress, over.wait_for(|over| *over)).await.map(drop)
    }

    /// Waits for a refresh for at most a second from the start of the search, or longer if it is expected to finish
    /// soon and only waits for its turn.
    async fn within<T>(
        &self,
        started: Instant,
        progress: &Progress,
        over: impl Future<Output = T>,
    ) -> Result<T, StoreError> {
        let indexes = &self.database.indexes;
        let mut over = std::pin::pin!(over);
        tokio::select! {
            biased;
            done = &mut over => return Ok(done),
            () = sleep_until((started + INDEX_TIMEOUT).into()) => {}
        }
        let expected = indexes.expected(progress);
        if expected < INDEX_TIMEOUT
            && let Ok(done) = timeout_at((started + TURN_TIMEOUT).into(), over).await
        {
            return Ok(done);
        }
        Err(StoreError::IndexBuilding { seconds: indexes.expected(progress).as_secs() + 1 })
    }
}

fn named(rows: &[Row]) -> Result<HashMap<String, DocumentVersion>, StoreError> {
    let mut documents = HashMap::with_capacity(rows.len());
    for row in rows {
        let name: String = column(row, 0)?;
        // Leftovers of editors and sync tools may come with an import; they are not searched, and neither is the record of
        // what was imported.
        if !is_leftover(&name) && !is_record(&name) {
            let bytes = u64::try_from(column::<i64>(row, 2)?).unwrap_or_default();
            documents.insert(name, DocumentVersion { etag: column(row, 1)?, bytes });
        }
    }
    Ok(documents)
}

impl Database {
    /// Sets other bounds of search. Existing indexes are dropped.
    #[must_use]
    pub fn with_search(mut self, options: &SearchOptions) -> Self {
        self.indexes = Arc::new(Indexes::new(options));
        self
    }

    /// The use of search indexes.
    #[must_use]
    pub fn index_use(&self) -> IndexUse {
        self.indexes.usage()
    }
}
