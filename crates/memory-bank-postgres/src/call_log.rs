//! Calls of tools, counted by the hour (`app.call_hours`).

use async_trait::async_trait;
use jiff::Timestamp;
use memory_bank_core::error::StoreError;
use memory_bank_core::store::{CallCounts, CallLog, CallStep, KeyCalls};
use tokio_postgres::Row;

use crate::column::column;
use crate::database::Database;
use crate::tenant::Query;

const ADD: &str = "SELECT app.note_calls($1, $2, $3)";

/// The project's calls for its owner, in the columns of [`call_step`].
pub(crate) const CALLS: &str = "SELECT at, calls, failures, tokens, up_to_10, up_to_30, up_to_100, up_to_300, up_to_1000, up_to_3000 \
    FROM app.owner_calls($1, $2, $3, $4, $5, $6)";

#[async_trait]
impl CallLog for Database {
    async fn add_calls(&self, calls: &[KeyCalls]) -> Result<(), StoreError> {
        if calls.is_empty() {
            return Ok(());
        }
        let keys: Vec<&[u8]> = calls.iter().map(|call| call.proof.as_bytes().as_slice()).collect();
        let hours: Vec<Timestamp> = calls.iter().map(|call| call.hour).collect();
        let numbers = |CallCounts { calls, failures, tokens, times }: CallCounts| {
            [calls, failures, tokens].into_iter().chain(times)
        };
        let counts: Vec<i64> = calls
            .iter()
            .flat_map(|call| numbers(call.counts))
            .map(|count| i64::try_from(count).unwrap_or(i64::MAX))
            .collect();
        self.call(Query::new(ADD, &[&keys, &hours, &counts])).await?;
        Ok(())
    }
}

/// A step of a row of [`CALLS`].
pub(crate) fn call_step(row: &Row) -> Result<CallStep, StoreError> {
    let count = |at: usize| -> Result<u64, StoreError> {
        Ok(u64::try_from(column::<i64>(row, at)?).unwrap_or_default())
    };
    let times = [count(4)?, count(5)?, count(6)?, count(7)?, count(8)?, count(9)?];
    let counts = CallCounts { calls: count(1)?, failures: count(2)?, tokens: count(3)?, times };
    Ok(CallStep { at: column(row, 0)?, counts })
}
