//! Thins old versions: the core decides by numbers and times which ones go, functions of the database remove them. So no text leaves
//! the database, and the login role needs no right on a tenant's rows.

use std::collections::BTreeMap;

use jiff::Timestamp;
use memory_bank_core::error::StoreError;
use memory_bank_core::history::{DatedChange, superseded};
use tokio_postgres::Row;
use uuid::Uuid;

use crate::column::column;
use crate::database::Database;
use crate::tenant::{Query, Value};

const OLD_VERSIONS: &str =
    "SELECT project_id, document_id, version, at, stays, deletes FROM app.old_versions($1, $2, $3, $4)";
const THIN_VERSIONS: &str = "SELECT app.thin_versions($1, $2, $3)";
const OLD_GRAPH_CHANGES: &str = "SELECT project_id, entity_id, id, number, at, stays, deletes FROM app.old_graph_changes($1, $2, $3, $4, $5)";
const THIN_GRAPH_CHANGES: &str = "SELECT app.thin_graph_changes($1, $2, $3, $4)";

/// The most documents, or items of the graph, that are looked at in one statement.
const LOOKED_AT: i32 = 50;
/// The most versions of a document that go at once: all texts down to them are rebuilt.
const AT_ONCE: usize = 64;

/// An item of the graph: its project, its entity and its id.
type Item = (Uuid, String, String);

impl Database {
    /// Thins documents; returns how many versions went.
    pub(super) async fn thin_documents(&self, before: Timestamp, limit: usize) -> Result<usize, StoreError> {
        let mut removed = 0;
        let mut after: (Option<Uuid>, Option<Uuid>) = (None, None);
        while removed < limit {
            let values: [Value<'_>; 4] = [&before, &after.0, &after.1, &LOOKED_AT];
            let old = Query::new(OLD_VERSIONS, &values);
            let mut documents: BTreeMap<(Uuid, Uuid), Vec<DatedChange>> = BTreeMap::new();
            for row in &self.call(old).await? {
                let document = (column(row, 0)?, column(row, 1)?);
                documents.entry(document).or_default().push(dated(row, 2)?);
            }
            let Some(((project, document), _)) = documents.last_key_value() else { break };
            after = (Some(*project), Some(*document));
            for ((project, document), versions) in &documents {
                let numbers = superseded(versions, before, AT_ONCE.min(limit - removed));
                if numbers.is_empty() {
                    continue;
                }
                let values: [Value<'_>; 3] = [project, document, &numbers];
                let thin = Query::new(THIN_VERSIONS, &values);
                match outcome(&self.call(thin).await?)? {
                    Some(gone) => removed += gone,
                    None => tracing::warn!(
                        %document,
                        "old versions of a document stay: those beside them cannot be rebuilt"
                    ),
                }
                if removed >= limit {
                    break;
                }
            }
        }
        Ok(removed)
    }

    /// Thins the graph; returns how many changes went.
    pub(super) async fn thin_graph(&self, before: Timestamp, limit: usize) -> Result<usize, StoreError> {
        let mut removed = 0;
        let mut after: (Option<Uuid>, Option<String>, Option<String>) = (None, None, None);
        while removed < limit {
            let values: [Value<'_>; 5] = [&before, &after.0, &after.1, &after.2, &LOOKED_AT];
            let old = Query::new(OLD_GRAPH_CHANGES, &values);
            let mut items: BTreeMap<Item, Vec<DatedChange>> = BTreeMap::new();
            for row in &self.call(old).await? {
                let item = (column(row, 0)?, column(row, 1)?, column(row, 2)?);
                items.entry(item).or_default().push(dated(row, 3)?);
            }
            let Some(((project, entity, id), _)) = items.last_key_value() else { break };
            after = (Some(*project), Some(entity.clone()), Some(id.clone()));
            for ((project, entity, id), changes) in &items {
                let numbers = superseded(changes, before, limit - removed);
                if numbers.is_empty() {
                    continue;
                }
                let values: [Value<'_>; 4] = [project, entity, id, &numbers];
                let thin = Query::new(THIN_GRAPH_CHANGES, &values);
                removed += outcome(&self.call(thin).await?)?.unwrap_or_default();
                if removed >= limit {
                    break;
                }
            }
        }
        Ok(removed)
    }
}

/// The columns number, time, whether it stays and whether it deletes, from this one on.
fn dated(row: &Row, at: usize) -> Result<DatedChange, StoreError> {
    Ok(DatedChange {
        number: column(row, at)?,
        at: column(row, at + 1)?,
        stays: column(row, at + 2)?,
        deletes: column(row, at + 3)?,
    })
}

/// How many changes a function removed; `None` if the history is damaged. Nothing while another server cleans up.
fn outcome(rows: &[Row]) -> Result<Option<usize>, StoreError> {
    let removed: Option<i64> = rows.first().map(|row| column(row, 0)).transpose()?.flatten();
    Ok(usize::try_from(removed.unwrap_or_default()).ok())
}
