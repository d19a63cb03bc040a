//! Whether the history still has what an edit is made of: read in the edit's transaction, while no erasure runs.

use memory_bank_core::error::StoreError;
use memory_bank_core::history::HistorySource;
use tokio_postgres::Row;
use uuid::Uuid;

use crate::column::{answer, column};
use crate::tenant::{Failure, Query, Transaction, Value};

/// Waits for erasures of the project, and keeps others out until the transaction ends (`app.erase_history`).
const EXCLUDE_ERASURES: &str = "SELECT pg_advisory_xact_lock_shared(hashtextextended('memory-bank-mcp erasure ' || ($1::uuid)::text, 0))";
/// Whether all of these texts, versions and changes are there. A statement of its own, since it has to see what the lock waited for.
const HAS_ALL: &str = "SELECT NOT EXISTS (SELECT FROM unnest($2::uuid[], $3::text[]) AS t (document, etag) WHERE NOT EXISTS ( \
    SELECT FROM app.document_versions v WHERE v.project_id = $1 AND v.document_id = t.document \
    AND (v.etag = t.etag OR v.former_etag = t.etag))) \
    AND NOT EXISTS (SELECT FROM unnest($4::uuid[], $5::bigint[], $6::text[]) AS n (document, number, former) WHERE NOT EXISTS ( \
    SELECT FROM app.document_versions v WHERE v.project_id = $1 AND v.document_id = n.document AND v.version = n.number \
    AND v.former_etag IS NOT DISTINCT FROM n.former)) \
    AND NOT EXISTS (SELECT FROM unnest($7::bigint[]) AS c (number) WHERE NOT EXISTS ( \
    SELECT FROM app.graph_history h WHERE h.project_id = $1 AND h.number = c.number))";

/// The sources of an edit, as columns.
#[derive(Default)]
pub(crate) struct SourceColumns {
    texts: (Vec<Uuid>, Vec<String>),
    versions: (Vec<Uuid>, Vec<i64>, Vec<Option<String>>),
    changes: Vec<i64>,
}

impl SourceColumns {
    /// # Errors
    /// A document is named as no store of this kind names one.
    pub(crate) fn of(sources: &[HistorySource]) -> Result<Self, StoreError> {
        let mut columns = Self::default();
        let id = |document: &str| document.parse::<Uuid>().map_err(|_| StoreError::HistoryErased);
        for source in sources {
            match source {
                HistorySource::Text { document, etag, .. } => {
                    columns.texts.0.push(id(document)?);
                    columns.texts.1.push(etag.as_str().to_owned());
                }
                HistorySource::Versions { document, numbers, .. } => {
                    let document = id(document)?;
                    columns.versions.0.extend(numbers.iter().map(|_| document));
                    for (number, former) in numbers {
                        columns.versions.1.push(*number);
                        columns.versions.2.push(former.as_ref().map(|etag| etag.as_str().to_owned()));
                    }
                }
                HistorySource::GraphChanges(numbers) => columns.changes.extend(numbers),
            }
        }
        Ok(columns)
    }

    /// Changes of the graph, by their numbers.
    pub(crate) fn of_changes(numbers: &[i64]) -> Self {
        Self { changes: numbers.to_vec(), ..Self::default() }
    }

    /// The values of [`queries`].
    pub(crate) fn values<'v>(&'v self, project: &'v Uuid) -> ([Value<'v>; 1], [Value<'v>; 7]) {
        let ((texts, etags), (versions, numbers, formers)) = (&self.texts, &self.versions);
        ([project], [project, texts, etags, versions, numbers, formers, &self.changes])
    }
}

/// The lock, then the question.
pub(crate) fn queries<'v>((lock, ask): &'v ([Value<'v>; 1], [Value<'v>; 7])) -> [Query<'v>; 2] {
    [Query::new(EXCLUDE_ERASURES, lock), Query::new(HAS_ALL, ask)]
}

/// Refuses the edit unless the rows of the question answer yes.
///
/// # Errors
/// [`StoreError::HistoryErased`].
pub(crate) fn check(rows: &[Row]) -> Result<(), StoreError> {
    let has_all = rows.first().map_or(Ok(false), |row| column(row, 0))?;
    if has_all { Ok(()) } else { Err(StoreError::HistoryErased) }
}

/// Checks the sources of an edit in its transaction: a round trip for edits that have some.
///
/// # Errors
/// [`StoreError::HistoryErased`], or the store failed.
pub(crate) async fn hold(
    transaction: &Transaction,
    project: &Uuid,
    sources: &[HistorySource],
) -> Result<(), Failure> {
    if sources.is_empty() {
        return Ok(());
    }
    let columns = SourceColumns::of(sources)?;
    let values = columns.values(project);
    let rows = transaction.read(&queries(&values)).await?;
    Ok(check(answer(&rows, 1))?)
}
