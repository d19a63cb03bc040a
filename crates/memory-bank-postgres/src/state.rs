//! State that outlives a call, one row a user and project.

use async_trait::async_trait;
use memory_bank_core::caller::Caller;
use memory_bank_core::error::StoreError;
use memory_bank_core::store::{SessionState, StateChange, StateStore};
use tokio_postgres::Row;

use crate::column::{answer, column};
use crate::database::Database;
use crate::tenant::{Failure, Query, TRIES, Value};

const LOAD: &str = "SELECT state::text FROM app.project_state WHERE project_id = $1 AND user_id = $2";
const LOCK: &str =
    "SELECT state::text FROM app.project_state WHERE project_id = $1 AND user_id = $2 FOR UPDATE";
const INSERT: &str = "INSERT INTO app.project_state (project_id, user_id, state, updated_at) VALUES ($1, $2, $3::text::json, $4)";
const UPDATE: &str = "UPDATE app.project_state SET state = $3::text::json, version = version + 1, updated_at = $4 \
    WHERE project_id = $1 AND user_id = $2";

#[async_trait]
impl StateStore for Database {
    async fn load(&self, caller: &Caller) -> Result<SessionState, StoreError> {
        let values: [Value<'_>; 2] = [&caller.project.0, &caller.user.0];
        let query = Query::new(LOAD, &values);
        let rows = self.read_own(caller, &[query]).await?;
        Ok(state(answer(&rows, 0))?.unwrap_or_default())
    }

    async fn update(
        &self,
        caller: &Caller,
        change: &mut StateChange<'_>,
    ) -> Result<SessionState, StoreError> {
        for _ in 0..TRIES {
            match self.try_update(caller, change).await {
                Ok(state) => return Ok(state),
                Err(Failure::Store(error)) => return Err(error),
                Err(Failure::Conflict(_)) => {}
            }
        }
        Err(StoreError::Busy)
    }
}

impl Database {
    async fn try_update(
        &self,
        caller: &Caller,
        change: &mut StateChange<'_>,
    ) -> Result<SessionState, Failure> {
        let values: [Value<'_>; 2] = [&caller.project.0, &caller.user.0];
        let query = Query::new(LOCK, &values);
        let (transaction, rows) = self.begin(caller, &[query]).await?;
        let before = match state(answer(&rows, 0)) {
            Ok(before) => before,
            Err(error) => {
                transaction.roll_back().await;
                return Err(error.into());
            }
        };
        let mut after = before.clone().unwrap_or_default();
        change(&mut after);
        if before.as_ref() == Some(&after) {
            transaction.roll_back().await;
            return Ok(after);
        }
        let text =
            serde_json::to_string(&after).map_err(|error| StoreError::Unavailable(error.to_string()))?;
        let now = self.deps.clock.now();
        let sql = if before.is_some() { UPDATE } else { INSERT };
        transaction.commit(&[Query::new(sql, &[&caller.project.0, &caller.user.0, &text, &now])]).await?;
        Ok(after)
    }
}

fn state(rows: &[Row]) -> Result<Option<SessionState>, StoreError> {
    let Some(row) = rows.first() else { return Ok(None) };
    let text: &str = column(row, 0)?;
    let state = serde_json::from_str(text).map_err(|error| StoreError::Damaged {
        what: "the state of this user".to_owned(),
        detail: error.to_string(),
    })?;
    Ok(Some(state))
}
