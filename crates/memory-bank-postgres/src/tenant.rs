//! The only way to a tenant's data: a transaction for a user in a project, with a role that row-level security binds.
//!
//! Reads are in [`read`]. A write is never pipelined: it costs a second round trip, which also commits.

mod read;
#[cfg(test)]
mod tests;

use std::time::Duration;

use deadpool_postgres::Object;
use futures::future::{join, join_all};
use memory_bank_core::caller::Caller;
use memory_bank_core::error::StoreError;
use memory_bank_core::identity::KeyHash;
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;

use crate::connection_guard::ConnectionGuard;
use crate::database::Database;
use crate::error::{breaks_connection, describe, is_conflict, is_deadlock, store_error};
use crate::statements::Ready;
pub(crate) use read::{Check, Checked, read_on_a_shared_connection};

/// Time-out of one round trip. The database's own time-outs end a statement sooner, so this one applies only if
/// nothing answers at all.
pub(crate) const ROUND_TRIP_TIMEOUT: Duration = Duration::from_secs(25);

/// Time-out of one step of the transfer of a whole project.
const TRANSFER_TIMEOUT: Duration = Duration::from_secs(330);

/// How often a call is made that the database ends by a deadlock.
const DEADLOCK_ATTEMPTS: u32 = 3;

/// `set_config` with `true` is SET LOCAL with parameters: it ends with the transaction. An invalid context is refused
/// here, also where the queries would match no row and so evaluate no policy.
pub(crate) const CONTEXT: &str = "SELECT set_config('app.current_user_id', $1, true), \
    set_config('app.current_project_id', $2, true), set_config('app.current_key_id', $3, true), \
    set_config('app.current_key_hash', $4, true), set_config('app.current_purpose', $5, true), \
    set_config('role', 'app_user', true), app.expect_access()::text";

/// Begins a transaction all of whose queries see the same snapshot.
const SNAPSHOT: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";

/// The purpose of a transaction: the policies show no more than it needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Purpose {
    /// Read documents, graph and backups; needs the right to read.
    Read,
    /// Change them; the caller must see the rows that it may change.
    Edit,
    /// Read only rows that belong to the user, or that every key of the project may see.
    Own,
}

impl Purpose {
    fn name(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Edit => "edit",
            Self::Own => "own",
        }
    }
}

/// A parameter of a statement.
pub(crate) type Value<'a> = &'a (dyn ToSql + Sync);

/// One statement with its parameters.
#[derive(Clone, Copy)]
pub(crate) struct Query<'a> {
    pub(crate) sql: &'static str,
    values: &'a [Value<'a>],
}

impl<'a> Query<'a> {
    /// A statement; its text is a constant of the program.
    pub(crate) fn new(sql: &'static str, values: &'a [Value<'a>]) -> Self {
        Self { sql, values }
    }
}

/// Why a transaction failed.
#[derive(Debug)]
pub(crate) enum Failure {
    /// Another transaction used the same rows; the whole may be tried again.
    Conflict(String),
    /// A retry would not help.
    Store(StoreError),
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl From<&tokio_postgres::Error> for Failure {
    fn from(error: &tokio_postgres::Error) -> Self {
        if is_conflict(error) { Self::Conflict(describe(error)) } else { Self::Store(store_error(error)) }
    }
}

impl From<Failure> for StoreError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Conflict(_) => Self::Busy,
            Failure::Store(error) => error,
        }
    }
}

/// How often a transaction with a conflict is tried.
pub(crate) const TRIES: usize = 10;

impl Database {
    /// Begins a transaction that writes as the caller: reads and locks, in one round trip.
    #[tracing::instrument(level = "debug", name = "postgresql begin", skip_all, fields(
        otel.kind = "client", db.system.name = "postgresql", db.operation.batch.size = queries.len()
    ))]
    pub(crate) async fn begin(
        &self,
        caller: &Caller,
        queries: &[Query<'_>],
    ) -> Result<(Transaction, Vec<Vec<Row>>), Failure> {
        self.begin_with("BEGIN", Purpose::Edit, caller, queries).await
    }

    /// Begins a transaction that writes as the caller, with a function that enters the context by itself, then reads
    /// and locks: one statement in place of one for each of these. The function takes user, project, key and the
    /// key's hash before these values.
    #[tracing::instrument(level = "debug", name = "postgresql begin", skip_all, fields(
        otel.kind = "client", db.system.name = "postgresql"
    ))]
    pub(crate) async fn begin_by_function(
        &self,
        caller: &Caller,
        query: Query<'_>,
    ) -> Result<(Transaction, Vec<Row>), Failure> {
        let connection = ConnectionGuard::open(&self.pool).await?;
        let statement = connection.statement(query.sql).await?;
        let [user, project, key, proof] = context_of(caller);
        let context: [Value<'_>; 4] = [&user, &project, &key, &proof];
        let values: Vec<Value<'_>> = context.iter().chain(query.values).copied().collect();
        let client = connection.client()?;
        let begin = connection.statements.begin("BEGIN");
        let all = join(client.batch_execute(&begin), statement.query(client, &values));
        let (begun, rows) = connection.answer_of(all).await?;
        // Without a transaction, the context and its locks would end with the statement.
        begun.map_err(|error| Failure::from(&error))?;
        let transaction = Transaction { connection };
        match rows {
            Ok(rows) => Ok((transaction, rows)),
            Err(error) => {
                if !breaks_connection(&error) {
                    transaction.roll_back().await;
                }
                Err(Failure::from(&error))
            }
        }
    }

    /// Begins a transaction that reads a consistent snapshot as the caller.
    pub(crate) async fn begin_reading(
        &self,
        caller: &Caller,
        queries: &[Query<'_>],
    ) -> Result<(Transaction, Vec<Vec<Row>>), Failure> {
        self.begin_with(SNAPSHOT, Purpose::Read, caller, queries).await
    }

    async fn begin_with(
        &self,
        begin: &str,
        purpose: Purpose,
        caller: &Caller,
        queries: &[Query<'_>],
    ) -> Result<(Transaction, Vec<Vec<Row>>), Failure> {
        let connection = ConnectionGuard::open(&self.pool).await?;
        let (context, statements) = connection.prepare(queries).await?;
        let [user, project, key, proof] = context_of(caller);
        let purpose = purpose.name();
        let values: [Value<'_>; 5] = [&user, &project, &key, &proof, &purpose];
        let client = connection.client()?;
        let begin = connection.statements.begin(begin);
        let all = join(
            join(client.batch_execute(&begin), context.query(client, &values)),
            run(client, &statements, queries),
        );
        let ((begun, named), rows) = connection.answer_of(all).await?;
        begun.map_err(|error| Failure::from(&error))?;
        named.map_err(|error| Failure::from(&error))?;
        let transaction = Transaction { connection };
        match rows.into_iter().collect::<Result<Vec<_>, _>>() {
            Ok(rows) => Ok((transaction, rows)),
            Err(error) => {
                if !breaks_connection(&error) {
                    transaction.roll_back().await;
                }
                Err(Failure::from(&error))
            }
        }
    }

    /// Calls a function of schema `app` as the login role: one statement, its own transaction, one round trip. Of transactions that
    /// wait for each other the database ends one, without any change; that one is called again.
    pub(crate) async fn call(&self, query: Query<'_>) -> Result<Vec<Row>, CallError> {
        for _ in 1..DEADLOCK_ATTEMPTS {
            match self.call_once(&query).await {
                Err(CallError::Database(error)) if is_deadlock(&error) => {
                    tracing::debug!("a call was ended by a deadlock; calling again");
                }
                outcome => return outcome,
            }
        }
        self.call_once(&query).await
    }

    #[tracing::instrument(level = "debug", name = "postgresql call", skip_all, fields(
        otel.kind = "client", db.system.name = "postgresql"
    ))]
    async fn call_once(&self, query: &Query<'_>) -> Result<Vec<Row>, CallError> {
        let connection = ConnectionGuard::open(&self.pool).await?;
        let statement = connection.statement(query.sql).await?;
        let alone = connection.statements.run_alone(connection.client()?, &statement, query.values);
        let rows = connection.answer_of(alone).await?;
        if !is_connection_broken(&rows) {
            connection.release();
        }
        rows.map_err(CallError::Database)
    }
}

/// Why a call failed.
#[derive(Debug)]
pub(crate) enum CallError {
    /// The database returned an error.
    Database(tokio_postgres::Error),
    /// The database did not answer.
    Store(StoreError),
}

impl From<StoreError> for CallError {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl From<CallError> for StoreError {
    fn from(error: CallError) -> Self {
        match error {
            CallError::Database(error) => store_error(&error),
            CallError::Store(error) => error,
        }
    }
}

/// A transaction of a caller. Dropping it closes its connection.
pub(crate) struct Transaction {
    connection: ConnectionGuard,
}

impl Transaction {
    /// Runs statements and continues: for the few transactions that need more than two round trips. A failure ends
    /// the transaction.
    pub(crate) async fn run(&self, queries: &[Query<'_>]) -> Result<Vec<Vec<Row>>, Failure> {
        self.run_within(TRANSFER_TIMEOUT, queries).await
    }

    /// Reads and locks more, in one round trip, and continues. A failure ends the transaction.
    pub(crate) async fn read(&self, queries: &[Query<'_>]) -> Result<Vec<Vec<Row>>, Failure> {
        self.run_within(ROUND_TRIP_TIMEOUT, queries).await
    }

    async fn run_within(&self, most: Duration, queries: &[Query<'_>]) -> Result<Vec<Vec<Row>>, Failure> {
        let statements = self.connection.statements_within(queries).await?;
        let rows = tokio::time::timeout(most, run(self.connection.client()?, &statements, queries))
            .await
            .map_err(|_| StoreError::Unreachable("the database does not answer".to_owned()))?;
        rows.into_iter().collect::<Result<Vec<_>, _>>().map_err(|error| Failure::from(&error))
    }

    /// Writes and commits, in one round trip: all or nothing.
    #[tracing::instrument(level = "debug", name = "postgresql commit", skip_all, fields(
        otel.kind = "client", db.system.name = "postgresql", db.operation.batch.size = queries.len()
    ))]
    pub(crate) async fn commit(self, queries: &[Query<'_>]) -> Result<Vec<Vec<Row>>, Failure> {
        let connection = self.connection;
        let statements = connection.statements_within(queries).await?;
        let client = connection.client()?;
        let all = join(run(client, &statements, queries), client.batch_execute("COMMIT"));
        let (rows, committed) = connection.answer_of(all).await?;
        let rows = rows.into_iter().collect::<Result<Vec<_>, _>>();
        if committed.is_ok() && !is_connection_broken(&rows) {
            connection.release();
        }
        // COMMIT after a failed statement rolls back and succeeds, so check the statements first.
        let rows = rows.map_err(|error| Failure::from(&error))?;
        committed.map_err(|error| Failure::from(&error))?;
        Ok(rows)
    }

    /// Rolls the transaction back.
    pub(crate) async fn roll_back(self) {
        let Ok(client) = self.connection.client() else { return };
        if matches!(self.connection.answer_of(client.batch_execute("ROLLBACK")).await, Ok(Ok(()))) {
            self.connection.release();
        }
    }
}

/// The caller as values of the context. The database trusts only what the hash of the presented key proves.
pub(crate) fn context_of(caller: &Caller) -> [String; 4] {
    let key = caller.key.map(|key| key.0.to_string()).unwrap_or_default();
    let proof = caller.proof.map(|proof| proof.to_hex()).unwrap_or_default();
    [caller.user.0.to_string(), caller.project.0.to_string(), key, proof]
}

/// The hash of the presented key, as functions of schema `app` take it. Without it no caller is verified.
pub(crate) fn proof_of(proof: Option<&KeyHash>) -> &[u8] {
    proof.map(|proof| proof.as_bytes().as_slice()).unwrap_or_default()
}

fn is_connection_broken<T>(rows: &Result<T, tokio_postgres::Error>) -> bool {
    rows.as_ref().is_err_and(breaks_connection)
}

/// Sends all statements before the first is answered.
async fn run(
    client: &Object,
    statements: &[Ready],
    queries: &[Query<'_>],
) -> Vec<Result<Vec<Row>, tokio_postgres::Error>> {
    // `join_all` polls up to thirty futures in their order, and polling a query for the first time sends it.
    join_all(statements.iter().zip(queries).map(|(statement, query)| statement.query(client, query.values)))
        .await
}
