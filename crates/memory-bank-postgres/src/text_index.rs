//! Starts the computation of search vectors of documents (`migrations/003_functions.sql`). This module must not know their
//! use, and reads no text.

use async_trait::async_trait;
use memory_bank_core::error::StoreError;
use memory_bank_core::store::TextIndex;

use crate::column::column;
use crate::database::Database;
use crate::tenant::Query;

/// One step: the most documents, bytes of text, and time. An edit of one of them waits for the write, not for the
/// computation.
const FILL: &str = "SELECT app.fill_fts(50, 2097152, interval '300 milliseconds')";
const COUNT: &str = "SELECT app.count_stale_fts()";

#[async_trait]
impl TextIndex for Database {
    async fn index_some(&self) -> Result<(), StoreError> {
        self.call(Query::new(FILL, &[])).await?;
        Ok(())
    }

    async fn count_stale(&self) -> Result<u64, StoreError> {
        let rows = self.call(Query::new(COUNT, &[])).await?;
        let count: Option<i64> = rows.first().map(|row| column(row, 0)).transpose()?;
        Ok(u64::try_from(count.unwrap_or_default()).unwrap_or_default())
    }
}
