//! Documents as rows. An edit locks its documents in the first round trip and writes in the second.

mod group;
mod opened;
mod plan;
pub(crate) mod versions;
mod with_graph;

use std::sync::Arc;

use async_trait::async_trait;
use memory_bank_core::caller::{Caller, Right};
use memory_bank_core::document::{DocumentEntry, DocumentPath, Etag, is_leftover};
use memory_bank_core::error::{EditError, StoreError};
use memory_bank_core::store::{DocumentChange, DocumentStore, Editor, ReadOutcome, Series};
use tokio_postgres::Row;
use uuid::Uuid;

use crate::bank::PostgresBank;
use crate::column::{answer, column};
use crate::documents::opened::{Comparison, LOCK_LAST, OPEN, Opened, by_name, find, names_of_series};
pub(crate) use crate::documents::opened::{document_of, names_of};
use crate::documents::plan::{Plan, check_count, check_names, check_quota, notify, write};
use crate::edit_groups::{Awaited, Entry, RunGroup};
use crate::history_sources::hold;
use crate::tenant::{Failure, Query, TRIES, Transaction, Value};

const LIST: &str = "SELECT path, octet_length(content)::bigint, updated_at FROM public.documents \
    WHERE project_id = $1 ORDER BY path";
const READ: &str =
    "SELECT path, content, version, updated_at, project_id FROM app.read_documents($1, $2, $3, $4, $5)";
/// Returns a row if a version of the document with this name has this etag.
const HAS_TEXT: &str = "SELECT version FROM app.document_versions \
    WHERE project_id = $1 AND document_id = app.document_named($1, $2) AND (etag = $3 OR former_etag = $3) LIMIT 1";

#[async_trait]
impl DocumentStore for PostgresBank {
    async fn list(&self, caller: &Caller) -> Result<Vec<DocumentEntry>, StoreError> {
        let rows = self.database.read(caller, &[Query::new(LIST, &[&caller.project.0])]).await?;
        answer(&rows, 0).iter().map(entry_of).collect()
    }

    async fn read(&self, caller: &Caller, paths: &[DocumentPath]) -> Result<Vec<ReadOutcome>, StoreError> {
        if paths.is_empty() {
            return Ok(Vec::new());
        }
        let names = names_of(paths);
        let rows = self.database.read_by_function(caller, Query::new(READ, &[&names])).await?;
        for row in &rows {
            // Other callers read on the same connection. The driver keeps the answers apart; this checks it.
            if column::<Uuid>(row, 4)? != caller.project.0 {
                return Err(StoreError::Denied);
            }
        }
        let stored = by_name(&rows)?;
        for document in stored.values() {
            self.database.recent_contents.keep(&(caller.project, document.etag.clone()), &document.content);
        }
        Ok(paths
            .iter()
            .map(|path| {
                find(&stored, path).map_or(ReadOutcome::Missing, |found| ReadOutcome::Found(found.clone()))
            })
            .collect())
    }

    async fn edit(
        &self,
        caller: &Caller,
        paths: &[DocumentPath],
        editor: &mut Editor<'_>,
    ) -> Result<Vec<DocumentChange>, EditError> {
        // The changes decide which right is needed; the policies check it.
        if !caller.may(Right::Write) && !caller.may(Right::Admin) {
            return Err(StoreError::Denied.into());
        }
        // Other edits of this caller may use the same documents. Held until this edit is done.
        let runner: Arc<dyn RunGroup> = Arc::new(self.database.clone());
        let groups = &self.database.edit_groups;
        let _permit = match groups.enter(&runner, caller, paths, &names_of(paths))? {
            Entry::Now(permit) => permit,
            Entry::Wait(waiting) => match waiting.turn(editor).await {
                Awaited::Alone(permit) => permit,
                Awaited::Done(result) => {
                    if result.is_ok() {
                        self.request_vectors(caller);
                    }
                    return result;
                }
            },
        };
        for _ in 0..TRIES {
            match self.try_edit(caller, paths, editor).await {
                Ok(plan) => {
                    notify(&self.database, caller, &plan);
                    self.request_vectors(caller);
                    return Ok(plan.changes_of(paths));
                }
                Err(Refusal::Edit(error)) => return Err(error),
                Err(Refusal::Failed(Failure::Store(error))) => return Err(error.into()),
                Err(Refusal::Failed(Failure::Conflict(met))) => {
                    tracing::debug!(met, "an edit conflicted with another one; retrying");
                }
            }
        }
        Err(StoreError::Busy.into())
    }

    async fn content_at(
        &self,
        caller: &Caller,
        path: &DocumentPath,
        etag: &Etag,
    ) -> Result<Option<String>, StoreError> {
        let Some(text) = self.database.recent_contents.find(&(caller.project, etag.clone())) else {
            return Ok(None);
        };
        if !self.database.keeps_history {
            return Ok(Some(text));
        }
        // Any server may have erased it since.
        let (names, etag) = (names_of(std::slice::from_ref(path)), etag.as_str());
        let rows =
            self.database.read(caller, &[Query::new(HAS_TEXT, &[&caller.project.0, &names, &etag])]).await?;
        Ok(if answer(&rows, 0).is_empty() { None } else { Some(text) })
    }
}

/// A row that begins with the columns of [`LIST`].
pub(crate) fn entry_of(row: &Row) -> Result<DocumentEntry, StoreError> {
    let name: String = column(row, 0)?;
    Ok(DocumentEntry {
        path: DocumentPath::parse(&name).ok().filter(|_| !is_leftover(&name)),
        name,
        bytes: u64::try_from(column::<i64>(row, 1)?).unwrap_or_default(),
        updated_at: column(row, 2)?,
    })
}

/// Why an attempt failed.
enum Refusal {
    Edit(EditError),
    Failed(Failure),
}

impl From<Failure> for Refusal {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

impl PostgresBank {
    async fn try_edit(
        &self,
        caller: &Caller,
        paths: &[DocumentPath],
        editor: &mut Editor<'_>,
    ) -> Result<Plan, Refusal> {
        let project = caller.project.0;
        let names = names_of(paths);
        let compared = Comparison::of(paths);
        let values = compared.values(&names);
        let (transaction, rows) = self.database.begin_by_function(caller, Query::new(OPEN, &values)).await?;
        let mut planned = Opened::of(paths, &rows)
            .map_err(EditError::from)
            .and_then(|opened| self.plan(caller, opened, editor));
        if let Err(EditError::Incomplete { needed }) = &planned {
            planned = match self.lock_last(&transaction, &project, needed).await {
                Ok(ends) => Opened::of(paths, &rows)
                    .and_then(|opened| opened.with(needed, &ends))
                    .map_err(EditError::from)
                    .and_then(|opened| self.plan(caller, opened, editor)),
                Err(failure) => return Err(self.refused(transaction, failure).await),
            };
        }
        let plan = match planned {
            Ok(plan) if !plan.is_empty() => plan,
            other => {
                transaction.roll_back().await;
                return other.map_err(Refusal::Edit);
            }
        };
        if let Err(failure) = hold(&transaction, &project, &plan.context.made_of).await {
            return Err(self.refused(transaction, failure).await);
        }
        write(&self.database, caller, transaction, &plan, None).await?;
        Ok(plan)
    }

    /// Ends a transaction after a failure. One without an answer is dropped, and its connection closed.
    async fn refused(&self, transaction: Transaction, failure: Failure) -> Refusal {
        if matches!(failure, Failure::Conflict(_) | Failure::Store(StoreError::HistoryErased)) {
            transaction.roll_back().await;
        }
        failure.into()
    }

    /// Reads and locks the last document of each series: a third round trip, for the few edits that need it.
    async fn lock_last(
        &self,
        transaction: &Transaction,
        project: &Uuid,
        needed: &[Series],
    ) -> Result<Vec<Vec<Row>>, Failure> {
        let names: Vec<[String; 3]> = needed.iter().map(names_of_series).collect();
        let values: Vec<[Value<'_>; 4]> = names
            .iter()
            .map(|[pattern, first, behind]| -> [Value<'_>; 4] { [project, pattern, first, behind] })
            .collect();
        let queries: Vec<Query<'_>> = values.iter().map(|values| Query::new(LOCK_LAST, values)).collect();
        transaction.read(&queries).await
    }

    /// Runs the editor on the documents that were read.
    fn plan(&self, caller: &Caller, opened: Opened, editor: &mut Editor<'_>) -> Result<Plan, EditError> {
        let Opened { mut drafts, stored_names, present, similar, held } = opened;
        for (_, document, _) in drafts.changes() {
            if let Some(document) = document {
                self.database
                    .recent_contents
                    .keep(&(caller.project, document.etag.clone()), &document.content);
            }
        }
        editor(&mut drafts)?;
        let plan = Plan::of(&drafts, &stored_names)?;
        check_count(present, &plan)?;
        check_names(&similar, &plan)?;
        check_quota(&self.database, &held, &plan)?;
        Ok(plan)
    }
}
