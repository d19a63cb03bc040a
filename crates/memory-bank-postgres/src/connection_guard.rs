//! A connection that was borrowed for one transaction, and is closed unless that has ended well. It must not know whose transaction it is.

use std::sync::Arc;

use deadpool_postgres::Object;
use memory_bank_core::error::StoreError;

use crate::error::store_error;
use crate::pool::{ConnectionPool, Liveness};
use crate::statements::{Ready, Statements};
use crate::tenant::{CONTEXT, Query, ROUND_TRIP_TIMEOUT};

/// A borrowed connection that is closed unless it is returned: after a cancellation or a time-out it may have an open
/// transaction of some tenant.
pub(crate) struct ConnectionGuard {
    connection: Option<Object>,
    pub(crate) statements: Arc<Statements>,
    liveness: Arc<Liveness>,
}

impl ConnectionGuard {
    pub(crate) async fn open(pool: &ConnectionPool) -> Result<Self, StoreError> {
        Ok(Self {
            connection: Some(pool.connection().await?),
            statements: Arc::clone(&pool.statements),
            liveness: Arc::clone(&pool.liveness),
        })
    }

    pub(crate) fn client(&self) -> Result<&Object, StoreError> {
        self.connection
            .as_ref()
            .ok_or_else(|| StoreError::Unavailable("the connection was given back".to_owned()))
    }

    /// The context and the statements, before a transaction begins.
    pub(crate) async fn prepare(&self, queries: &[Query<'_>]) -> Result<(Ready, Vec<Ready>), StoreError> {
        let context = self.statement(CONTEXT).await?;
        let mut statements = Vec::with_capacity(queries.len());
        for query in queries {
            statements.push(self.statement(query.sql).await?);
        }
        Ok((context, statements))
    }

    pub(crate) async fn statement(&self, sql: &'static str) -> Result<Ready, StoreError> {
        let prepared = self.answer_of(self.statements.prepare(self.client()?, sql)).await?;
        prepared.map_err(|error| store_error(&error))
    }

    /// The statements, in an open transaction.
    pub(crate) async fn statements_within(&self, queries: &[Query<'_>]) -> Result<Vec<Ready>, StoreError> {
        let mut statements = Vec::with_capacity(queries.len());
        for query in queries {
            let prepared = self.answer_of(self.statements.prepare_within(self.client()?, query.sql)).await?;
            statements.push(prepared.map_err(|error| store_error(&error))?);
        }
        Ok(statements)
    }

    pub(crate) async fn answer_of<T>(&self, work: impl Future<Output = T>) -> Result<T, StoreError> {
        let answer = tokio::time::timeout(ROUND_TRIP_TIMEOUT, work).await;
        let alive = self.client().is_ok_and(|client| !client.is_closed());
        match &answer {
            Ok(_) if alive => self.liveness.record_answer(),
            _ => self.liveness.record_loss(),
        }
        answer.map_err(|_| StoreError::Unreachable("the database does not answer".to_owned()))
    }

    pub(crate) fn release(mut self) {
        drop(self.connection.take());
    }
}

impl Drop for ConnectionGuard {
    fn drop(&mut self) {
        if let Some(connection) = self.connection.take() {
            self.statements.doubt();
            drop(Object::take(connection));
        }
    }
}
