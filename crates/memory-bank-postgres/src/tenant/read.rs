//! Reads as a caller, at a standby if one may answer, else at the primary.
//!
//! A read is sent as a whole (BEGIN, context, queries, COMMIT) and costs one round trip. Statements are answered one
//! by one: if the context fails, the queries behind it still run, as the login role. So the rows of a read are
//! discarded, and its connection closed, unless everything before it succeeded.

use std::time::Duration;

use futures::future::{BoxFuture, FutureExt as _, TryFutureExt as _, join4, try_join3};
use memory_bank_core::caller::Caller;
use memory_bank_core::error::StoreError;
use tokio_postgres::{Row, Statement};

use crate::connection_guard::ConnectionGuard;
use crate::database::Database;
use crate::error::{is_connection_closed, store_error};
use crate::pool::ConnectionPool;
use crate::read_pool::{ReadSlot, SharedReadPool};
use crate::standbys::CHECK;
use crate::statements::Ready;
use crate::tenant::{
    CallError, Purpose, Query, ROUND_TRIP_TIMEOUT, SNAPSHOT, Value, context_of, is_connection_broken, run,
};

/// How often a read is tried whose connection closes: if several were closed at once, the next may be one of them.
const READ_TRIES: usize = 4;

/// Statements whose answers decide whether a read at a standby counts. They are sent with the read, over the same connection.
#[derive(Clone, Copy)]
pub(crate) struct Check {
    pub(crate) before: &'static str,
    pub(crate) after: &'static str,
    /// How long a connection with prepared statements may take.
    pub(crate) opening: Duration,
    /// How long the first answer may take.
    pub(crate) within: Duration,
}

/// The answers to a [`Check`]; no rows without one.
#[derive(Debug, Default)]
pub(crate) struct Checked {
    pub(crate) before: Vec<Row>,
    pub(crate) after: Vec<Row>,
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
        let _under_way = self.standbys.at_the_primary();
        self.read_for(Purpose::Read, caller, queries).await
    }

    async fn read_at_a_standby(&self, caller: &Caller, queries: &[Query<'_>]) -> Option<Vec<Vec<Row>>> {
        self.at_a_standby(async |standby| {
            read_over(standby.pool(), Some(CHECK), Purpose::Read, caller, queries).await
        })
        .await
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
        let _under_way = self.standbys.at_the_primary();
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
        self.at_a_standby(async |standby| {
            let (pool, read_pool) = (standby.pool(), standby.read_pool());
            Ok(read_on_a_shared_connection(pool, read_pool, Some(CHECK), query).await?)
        })
        .await
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

/// Reads in a transaction.
async fn read_over(
    pool: &ConnectionPool,
    check: Option<Check>,
    purpose: Purpose,
    caller: &Caller,
    queries: &[Query<'_>],
) -> Result<(Checked, Vec<Vec<Row>>), StoreError> {
    let most = check.map_or(ROUND_TRIP_TIMEOUT, |check| check.opening);
    // Boxed, as a future that is moved takes its place twice.
    let opened = tokio::time::timeout(most, Box::pin(opened(pool, check, queries))).await;
    let (connection, check, context, statements) = opened.unwrap_or_else(|_| Err(no_answer()))?;
    let [user, project, key, proof] = context_of(caller);
    let purpose = purpose.name();
    let values: [Value<'_>; 5] = [&user, &project, &key, &proof, &purpose];
    let client = connection.client()?;
    let begin = connection.statements.begin(SNAPSHOT);
    // Polled, and so sent, in this order. If the check in front is not answered in time, the rest is not waited for.
    let before = check.as_ref().map(|check| first_answer(client, check).boxed());
    let after = check
        .as_ref()
        .map(|check| check.after.query(client, &[]).map_err(|error| store_error(&error)).boxed());
    let all = try_join3(
        answer(before, Ok(Vec::new())),
        join4(
            client.batch_execute(&begin),
            context.query(client, &values),
            run(client, &statements, queries),
            client.batch_execute("COMMIT"),
        )
        .map(Ok),
        answer(after, Ok(Vec::new())),
    );
    let (before, (begun, named, rows, committed), after) = connection.answer_of(all).await??;
    // Until here an early return drops the connection, and with it the rows.
    begun.map_err(|error| store_error(&error))?;
    named.map_err(|error| store_error(&error))?;
    let rows = rows.into_iter().collect::<Result<Vec<_>, _>>();
    if committed.is_ok() && !is_connection_broken(&rows) {
        connection.release();
    }
    Ok((Checked { before, after }, rows.map_err(|error| store_error(&error))?))
}

/// A [`Check`] whose statements are prepared.
struct PreparedCheck {
    before: Ready,
    after: Ready,
    within: Duration,
}

/// A connection on which these statements are prepared.
async fn opened(
    pool: &ConnectionPool,
    check: Option<Check>,
    queries: &[Query<'_>],
) -> Result<(ConnectionGuard, Option<PreparedCheck>, Ready, Vec<Ready>), StoreError> {
    let connection = ConnectionGuard::open(pool).await?;
    let check = match check {
        Some(check) => Some(PreparedCheck {
            before: connection.statement(check.before).await?,
            after: connection.statement(check.after).await?,
            within: check.within,
        }),
        None => None,
    };
    let (context, statements) = connection.prepare(queries).await?;
    Ok((connection, check, context, statements))
}

async fn first_answer(
    client: &tokio_postgres::Client,
    check: &PreparedCheck,
) -> Result<Vec<Row>, StoreError> {
    match tokio::time::timeout(check.within, check.before.query(client, &[])).await {
        Ok(rows) => rows.map_err(|error| store_error(&error)),
        Err(_) => Err(no_answer()),
    }
}

/// The answer to a statement of a check, or this without one. Boxed, as few reads have one and all would carry its size.
async fn answer<T>(statement: Option<BoxFuture<'_, T>>, without: T) -> T {
    match statement {
        Some(statement) => statement.await,
        None => without,
    }
}

fn no_answer() -> StoreError {
    StoreError::Unreachable("the database does not answer".to_owned())
}

/// Sends a statement that is its own transaction over a connection that others read on.
pub(crate) async fn read_on_a_shared_connection(
    pool: &ConnectionPool,
    read_pool: &SharedReadPool,
    check: Option<Check>,
    query: Query<'_>,
) -> Result<(Checked, Vec<Row>), CallError> {
    let most = check.map_or(ROUND_TRIP_TIMEOUT, |check| check.opening);
    let slot = tokio::time::timeout(most, read_pool.slot(pool)).await.unwrap_or_else(|_| Err(no_answer()))?;
    let read = async {
        let check = match check {
            Some(check) => Some((
                prepared(&slot, check.before).await?,
                prepared(&slot, check.after).await?,
                check.within,
            )),
            None => None,
        };
        let statement = prepared(&slot, query.sql).await?;
        let client = slot.connection()?;
        // Polled, and so sent, in this order. If the first one is not answered in time, the others are not waited for.
        let before = check.as_ref().map(|(before, _, within)| {
            let answer = tokio::time::timeout(*within, client.query(before, &[]));
            answer.map(|answer| answer.map_err(|_| no_answer())).boxed()
        });
        let after = check.as_ref().map(|(_, after, _)| client.query(after, &[]).map(Ok).boxed());
        let all = try_join3(
            answer(before, Ok(Ok(Vec::new()))),
            client.query(&statement, query.values).map(Ok),
            answer(after, Ok(Ok(Vec::new()))),
        )
        .await;
        let (before, rows, after) = all.inspect_err(|_| slot.close())?;
        [&before, &rows, &after].iter().for_each(|answer| slot.record(answer));
        let checked = Checked {
            before: before.map_err(CallError::Database)?,
            after: after.map_err(CallError::Database)?,
        };
        Ok((checked, rows.map_err(CallError::Database)?))
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
