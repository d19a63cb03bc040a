//! The history of the graph in a transfer: an export reads it in pages, an import adds it through the one function that may, which
//! marks each change as imported.

use memory_bank_core::caller::KeyId;
use memory_bank_core::error::StoreError;
use memory_bank_core::graph::history::ItemChange;
use memory_bank_core::limits;
use memory_bank_core::transfer::{BankCopy, GraphChangeCopy, GraphHistory, ItemKind};
use serde_json::json;
use tokio_postgres::Row;
use uuid::Uuid;

use super::error::TransferError;
use super::import::Import;
use super::read::Export;
use super::write::{STATEMENT_BYTES, item_row, put_graph};
use crate::column::{answer, column};
use crate::documents::versions::SettingOfChange;
use crate::graph::rows::item_of;
use crate::tenant::{Query, Value};

const COUNT: &str = "SELECT count(*) FROM app.graph_history WHERE project_id = $1";
/// A page, newest first.
const PAGE: &str = "SELECT f.number, f.at, f.kind, f.change, f.id, f.entity_id, f.other_id, f.author, f.key_id, f.session_id, f.tool, \
    f.former FROM app.list_graph_changes(NULL, NULL, NULL, NULL, NULL, NULL, $1, $2, $3) AS f ORDER BY f.number DESC";
const PAGE_CHANGES: i32 = 2000;
const PAGE_BYTES: i64 = 4 * 1024 * 1024;
/// Whether the graph of the project ever changed.
const CHANGED: &str = "SELECT EXISTS (SELECT FROM app.graph_versions WHERE project_id = $1)";
const IMPORT: &str = "SELECT app.import_graph_changes($1::text::json)";

impl Export {
    /// The number of changes in the history of the graph.
    ///
    /// # Errors
    /// The database fails.
    pub async fn graph_changes(&mut self) -> Result<usize, TransferError> {
        let project: [Value<'_>; 1] = [&self.caller.project.0];
        let rows = self.transaction.run(&[Query::new(COUNT, &project)]).await?;
        let changes: i64 = answer(&rows, 0).first().map_or(Ok(0), |row| column(row, 0))?;
        Ok(usize::try_from(changes).unwrap_or_default())
    }

    /// Reads the history of the graph, of `changes` changes, in the snapshot of the export: as many of the newest as there is
    /// space for.
    ///
    /// # Errors
    /// The database fails.
    pub async fn graph_history(&mut self, changes: usize) -> Result<GraphHistory, TransferError> {
        let mut history = GraphHistory::default();
        let (mut before, mut bytes) = (None::<i64>, 0);
        loop {
            let values: [Value<'_>; 3] = [&before, &PAGE_CHANGES, &PAGE_BYTES];
            let rows = self.transaction.run(&[Query::new(PAGE, &values)]).await?;
            let page = answer(&rows, 0).iter().map(change).collect::<Result<Vec<_>, StoreError>>()?;
            let Some(oldest) = page.last() else { break };
            before = Some(oldest.number);
            for one in page {
                bytes += one.weight();
                if bytes <= limits::TRANSFER_HISTORY_BYTES || history.changes.is_empty() {
                    history.changes.push(one);
                }
            }
            if bytes > limits::TRANSFER_HISTORY_BYTES {
                break;
            }
        }
        history.left_out = changes.saturating_sub(history.changes.len());
        Ok(history)
    }
}

/// A row of [`PAGE`].
fn change(row: &Row) -> Result<GraphChangeCopy, StoreError> {
    let word = |at: usize| -> Result<&str, StoreError> { column(row, at) };
    let damaged = |word: &str| StoreError::Damaged {
        what: "a change of the graph".to_owned(),
        detail: format!("it is `{word}`"),
    };
    let kind = ItemKind::from_word(word(2)?).ok_or_else(|| damaged(word(2).unwrap_or_default()))?;
    let change = ItemChange::from_word(word(3)?).ok_or_else(|| damaged(word(3).unwrap_or_default()))?;
    Ok(GraphChangeCopy {
        number: column(row, 0)?,
        at: column(row, 1)?,
        change,
        kind,
        id: column(row, 4)?,
        entity_id: column(row, 5)?,
        other_id: column(row, 6)?,
        before: item_of(kind.as_str(), column(row, 11)?)?,
        author: column(row, 7)?,
        key: column::<Option<Uuid>>(row, 8)?.map(KeyId),
        session: column::<Option<Uuid>>(row, 9)?.map(|session| session.to_string()),
        tool: column(row, 10)?,
    })
}

impl Import {
    /// Adds the history of the graph, before [`Self::put`] writes the graph itself. A server that keeps no history adds none. A graph that ever
    /// changed keeps its own history, and the changes are left out.
    ///
    /// # Errors
    /// A change is malformed, or the database fails.
    pub async fn put_graph_history(&mut self, history: &GraphHistory) -> Result<(), TransferError> {
        history.check_for_rows()?;
        let project: [Value<'_>; 1] = [&self.caller.project.0];
        let rows = self.transaction.run(&[Query::new(CHANGED, &project)]).await?;
        let has_changed: bool = answer(&rows, 0).first().map_or(Ok(true), |row| column(row, 0))?;
        let count = &mut self.history.count;
        count.changes_left_out += history.left_out;
        if !self.keeps_history || has_changed {
            count.changes_left_out += history.changes.len();
            return Ok(());
        }
        count.changes += history.changes.len();
        // The oldest come first, so that rows are added in the order of time.
        let mut page = String::new();
        for change in history.changes.iter().rev() {
            let line = imported(change)?;
            if page.len() + line.len() > STATEMENT_BYTES && !page.is_empty() {
                self.add_graph_changes(std::mem::take(&mut page)).await?;
            }
            page.push(if page.is_empty() { '[' } else { ',' });
            page.push_str(&line);
        }
        if page.is_empty() { Ok(()) } else { self.add_graph_changes(page).await }
    }

    async fn add_graph_changes(&self, mut list: String) -> Result<(), TransferError> {
        list.push(']');
        let values: [Value<'_>; 1] = [&list];
        self.transaction.run(&[Query::new(IMPORT, &values)]).await?;
        Ok(())
    }

    /// Writes the graph. If its history came with it, it gets no change of the import: the last imported ones lead to it.
    pub(super) async fn put_graph(
        &self,
        bank: &BankCopy,
        wrote: &(dyn Fn(usize) + Send + Sync),
    ) -> Result<(), TransferError> {
        let has_history = self.history.count.changes > 0;
        if has_history {
            self.set_change(&SettingOfChange::of_tool(false, None, self.tool)).await?;
        }
        put_graph(&self.transaction, self.caller.project.0, bank, wrote).await?;
        if has_history {
            self.set_change(&SettingOfChange::of_tool(self.keeps_history, None, self.tool)).await?;
        }
        Ok(())
    }
}

/// A change as an element of the list that the function reads.
fn imported(change: &GraphChangeCopy) -> Result<String, StoreError> {
    let former = change.before.as_ref().map(item_row).transpose()?;
    let element = json!({
        "number": change.number, "at": change.at, "kind": change.kind, "change": change.change, "id": change.id,
        "entity": change.entity_id, "other": change.other_id, "author": change.author, "key": change.key.map(|key| key.0),
        "session": change.session, "tool": change.tool, "former": former,
    });
    Ok(element.to_string())
}
