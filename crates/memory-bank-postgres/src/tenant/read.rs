//! Reads as a caller, at a standby if one may answer, else at the primary.
//!
//! A read is sent as a whole (BEGIN, context, queries, COMMIT) and costs one round trip. Statements are answered one
//! by one: if the context fails, the queries behind it still run, as the login role. So the rows of a read are
//! discarded, and its connection closed, unless everything before it succeeded.

use std::time::Duration;

use futures::future::{FutureExt as _, join4, try_join};
use memory_bank_core::caller::Caller;
use memory_bank_core::error::StoreError;
use tokio_postgres::{Row, Statement};

use crate::connection_guard::ConnectionGuard;
use crate::database::Database;
use crate::error::{is_connection_closed, store_error};
use crate::pool::ConnectionPool;
use crate::read_pool::{ReadSlot, SharedReadPool};
use crate::standbys::BEFORE;
use crate::statements::Ready;
use crate::tenant::{
    CallError, Purpose, Query, ROUND_TRIP_TIMEOUT, SNAPSHOT, Value, context_of, is_connection_broken, run,
};

/// How often a read is tried whose connection closes: if several were closed at once, the next may be one of them.
const READ_TRIES: usize = 4;

/// A statement whose answer decides whether a read at a standby counts. It is sent before the read, over the same connection.
#[derive(Clone, Copy)]
pub(crate) struct Before {
    pub(crate) sql: &'static str,
    /// How long a connection with prepared statements may take.
    pub(crate) opening: Duration,
    /// How long the answer may take.
    pub(crate) within: Duration,
}

impl Database {
    /// Reads documents, graph or backups as the caller, in one round trip. All queries see the same snapshot.
    pub(crate) async fn read(
        &self,
        caller: &Caller,
        queries: &[Query<'_>],
    ) -> Result<Vec<Vec<Row>>, StoreError> {
        // Boxed, since it is large and most databases have no standbys.
        if self.standbys.exist()
            && let Some(rows) = Box::pin(self.read_at_a_standby(caller, queries)).await
        {
            return Ok(rows);
        }
        self.read_for(Purpose::Read, caller, queries).await
    }

    async fn read_at_a_standby(&self, caller: &Caller, queries: &[Query<'_>]) -> Option<Vec<Vec<Row>>> {
        let reader = self.standby_for_a_read().await?;
        let pool = reader.standby().pool();
        reader.rows(Box::pin(read_over(pool, Some(BEFORE), Purpose::Read, caller, queries))).await
    }

    /// Reads rows that belong to the caller itself, with any rights; documents and graph are not visible.
    pub(crate) async fn read_own(
        &self,
        caller: &Caller,
        queries: &[Query<'_>],
    ) -> Result<Vec<Vec<Row>>, StoreError> {
        self.read_for(Purpose::Own, caller, queries).await
    }

    #[tracing::instrument(level = "debug", name = "postgresql read", skip_all, fields(
        otel.kind = "client", db.system.name = "postgresql", db.operation.batch.size = queries.len()
    ))]
    async fn read_for(
        &self,
        purpose: Purpose,
        caller: &Caller,
        queries: &[Query<'_>],
    ) -> Result<Vec<Vec<Row>>, StoreError> {
        Ok(read_over(&self.pool, None, purpose, caller, queries).await?.1)
    }

    /// Reads as the caller with a function that enters the context by itself: one statement, which is its own
    /// transaction and shares a connection with others of its kind, for the most frequent call. The function takes
    /// user, project, key and the key's hash before these values.
    #[tracing::instrument(level = "debug", name = "postgresql read", skip_all, fields(
        otel.kind = "client", db.system.name = "postgresql"
    ))]
    pub(crate) async fn read_by_function(
        &self,
        caller: &Caller,
        query: Query<'_>,
    ) -> Result<Vec<Row>, StoreError> {
        let [user, project, key, proof] = context_of(caller);
        let context: [Value<'_>; 4] = [&user, &project, &key, &proof];
        let values: Vec<Value<'_>> = context.iter().chain(query.values).copied().collect();
        let query = Query::new(query.sql, &values);
        if self.standbys.exist()
            && let Some(rows) = Box::pin(self.read_alone_at_a_standby(query)).await
        {
            return Ok(rows);
        }
        let mut tries = 1;
        loop {
            match self.read_alone(query).await {
                // A closed connection with many readers is not a fault of this read, which may use another one.
                Err(CallError::Database(error)) if is_connection_closed(&error) && tries < READ_TRIES => {
                    tries += 1;
                }
                answer => return answer.map_err(StoreError::from),
            }
        }
    }

    async fn read_alone_at_a_standby(&self, query: Query<'_>) -> Option<Vec<Row>> {
        let reader = self.standby_for_a_read().await?;
        let (pool, read_pool) = (reader.standby().pool(), reader.standby().read_pool());
        let read = read_on_a_shared_connection(pool, read_pool, Some(BEFORE), query);
        reader.rows(Box::pin(async { Ok(read.await?) })).await
    }

    /// Sends a statement that is its own transaction.
    pub(crate) async fn read_alone(&self, query: Query<'_>) -> Result<Vec<Row>, CallError> {
        if !self.pool.statements.keeps_sessions() {
            // Several statements, between which those of other readers must not come.
            return self.call_once(&query).await;
        }
        Ok(read_on_a_shared_connection(&self.pool, &self.read_pool, None, query).await?.1)
    }
}

/// Reads in a transaction. Returns the rows of `before`, and those of the queries.
async fn read_over(
    pool: &ConnectionPool,
    before: Option<Before>,
    purpose: Purpose,
    caller: &Caller,
    queries: &[Query<'_>],
) -> Result<(Vec<Row>, Vec<Vec<Row>>), StoreError> {
    let most = before.map_or(ROUND_TRIP_TIMEOUT, |before| before.opening);
    // Boxed, as a future that is moved takes its place twice.
    let opened = tokio::time::timeout(most, Box::pin(opened(pool, before, queries))).await;
    let (connection, check, context, statements) = opened.unwrap_or_else(|_| Err(no_answer()))?;
    let [user, project, key, proof] = context_of(caller);
    let purpose = purpose.name();
    let values: [Value<'_>; 5] = [&user, &project, &key, &proof, &purpose];
    let client = connection.client()?;
    let begin = connection.statements.begin(SNAPSHOT);
    // The check is polled, and so sent, first. If it is not answered in time, the rest is not waited for.
    let all = try_join(
        answered_in_time(client, check),
        join4(
            client.batch_execute(&begin),
            context.query(client, &values),
            run(client, &statements, queries),
            client.batch_execute("COMMIT"),
        )
        .map(Ok),
    );
    let (before, (begun, named, rows, committed)) = connection.answer_of(all).await??;
    // Until here an early return drops the connection, and with it the rows.
    begun.map_err(|error| store_error(&error))?;
    named.map_err(|error| store_error(&error))?;
    let rows = rows.into_iter().collect::<Result<Vec<_>, _>>();
    if committed.is_ok() && !is_connection_broken(&rows) {
        connection.release();
    }
    Ok((before, rows.map_err(|error| store_error(&error))?))
}

/// A connection on which these statements are prepared.
async fn opened(
    pool: &ConnectionPool,
    before: Option<Before>,
    queries: &[Query<'_>],
) -> Result<(ConnectionGuard, Option<(Ready, Duration)>, Ready, Vec<Ready>), StoreError> {
    let connection = ConnectionGuard::open(pool).await?;
    let check = match before {
        Some(before) => Some((connection.statement(before.sql).await?, before.within)),
        None => None,
    };
    let (context, statements) = connection.prepare(queries).await?;
    Ok((connection, check, context, statements))
}

async fn answered_in_time(
    client: &tokio_postgres::Client,
    check: Option<(Ready, Duration)>,
) -> Result<Vec<Row>, StoreError> {
    let Some((statement, within)) = check else { return Ok(Vec::new()) };
    match tokio::time::timeout(within, statement.query(client, &[])).await {
        Ok(rows) => rows.map_err(|error| store_error(&error)),
        Err(_) => Err(no_answer()),
    }
}

fn no_answer() -> StoreError {
    StoreError::Unreachable("the database does not answer".to_owned())
}

/// Sends a statement that is its own transaction over a connection that others read on. Returns the rows of `before`, and its own.
pub(crate) async fn read_on_a_shared_connection(
    pool: &ConnectionPool,
    read_pool: &SharedReadPool,
    before: Option<Before>,
    query: Query<'_>,
) -> Result<(Vec<Row>, Vec<Row>), CallError> {
    let most = before.map_or(ROUND_TRIP_TIMEOUT, |before| before.opening);
    let slot = tokio::time::timeout(most, read_pool.slot(pool)).await.unwrap_or_else(|_| Err(no_answer()))?;
    let read = async {
        let check = match before {
            Some(before) => Some((prepared(&slot, before.sql).await?, before.within)),
            None => None,
        };
        let statement = prepared(&slot, query.sql).await?;
        let client = slot.connection()?;
        // The first one is polled, and so sent, first. If it is not answered in time, the other one is not waited for.
        let check = async {
            let Some((check, within)) = &check else { return Ok(Ok(Vec::new())) };
            tokio::time::timeout(*within, client.query(check, &[])).await.map_err(|_| no_answer())
        };
        let both = try_join(check, client.query(&statement, query.values).map(Ok)).await;
        let (facts, rows) = both.inspect_err(|_| slot.close())?;
        slot.record(&facts);
        slot.record(&rows);
        Ok((facts.map_err(CallError::Database)?, rows.map_err(CallError::Database)?))
    };
    tokio::time::timeout(ROUND_TRIP_TIMEOUT, read).await.unwrap_or_else(|_| {
        slot.close();
        Err(no_answer().into())
    })
}

async fn prepared(slot: &ReadSlot, sql: &str) -> Result<Statement, CallError> {
    let statement = slot.connection()?.prepare_cached(sql).await;
    slot.record(&statement);
    statement.map_err(CallError::Database)
}
