//! Reads a column of a row. A column of an unexpected type is an internal error.

use memory_bank_core::error::StoreError;
use tokio_postgres::Row;
use tokio_postgres::types::FromSql;

use crate::error::describe;

/// The value at this position.
pub(crate) fn column<'a, T: FromSql<'a>>(row: &'a Row, at: usize) -> Result<T, StoreError> {
    row.try_get(at).map_err(|error| StoreError::Unavailable(describe(&error)))
}

/// The rows of one of several queries.
pub(crate) fn answer(rows: &[Vec<Row>], at: usize) -> &[Row] {
    rows.get(at).map_or(&[], Vec::as_slice)
}

/// A number of rows. None is negative.
pub(crate) fn count(rows: i64) -> usize {
    usize::try_from(rows).unwrap_or_default()
}
