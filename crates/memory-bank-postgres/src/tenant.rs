//! The one way to a tenant's data: a transaction in the name of a user in a project, as a role that row-level security
//! binds.
//!
//! A read goes out as a whole (BEGIN, context, queries, COMMIT) and costs one round trip. The statements are
//! answered one by one: when the context fails, the queries behind it still run, as the login role. So what a
//! read brought is thrown away, and its connection closed, unless everything before it succeeded. A write is never sent
//! before: it costs a second round trip, which also commits.

use std::sync::Arc;
use std::time::Duration;

use deadpool_postgres::Object;
use futures::future::{join, join_all, join4};
use memory_bank_core::caller::Caller;
use memory_bank_core::error::StoreError;
use memory_bank_core::identity::KeyHash;
use tokio_postgres::types::ToSql;
use tokio_postgres::{Row, Statement};

use crate::connect::{Answers, Database};
use crate::error::{describe, has_ended, is_conflict, spoils_the_connection, store_error};

/// How long one round trip may take. The database's own time-outs end a statement sooner, so that this is met only when
/// nothing answers at all.
const ANSWER: Duration = Duration::from_secs(25);

/// How long one step of a move of a whole project may take.
const MOVE: Duration = Duration::from_secs(330);

/// `set_config` with `true` is SET LOCAL with parameters: it ends with the transaction. A context that opens nothing is
/// refused here, also where the queries would meet no row and so ask no policy.
const CONTEXT: &str = "SELECT set_config('app.current_user_id', $1, true), \
    set_config('app.current_project_id', $2, true), set_config('app.current_key_id', $3, true), \
    set_config('app.current_key_hash', $4, true), set_config('app.current_purpose', $5, true), \
    set_config('role', 'app_user', true), app.expect_access()::text";

/// What a transaction is for: the policies show no more than that takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Purpose {
    /// Documents, graph and backups are read, which takes the right to read.
    Read,
    /// They are changed, so that whoever may do that must see them.
    Edit,
    /// Only what belongs to the user, or what every key of the project may know, is read.
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

/// A value of a statement.
pub(crate) type Value<'a> = &'a (dyn ToSql + Sync);

/// One statement with its values.
#[derive(Clone, Copy)]
pub(crate) struct Query<'a> {
    sql: &'static str,
    values: &'a [Value<'a>],
}

impl<'a> Query<'a> {
    /// A statement; its text is part of the program.
    pub(crate) fn new(sql: &'static str, values: &'a [Value<'a>]) -> Self {
        Self { sql, values }
    }
}

/// Why a transaction was not carried out.
#[derive(Debug)]
pub(crate) enum Failure {
    /// Somebody else was at the same rows; the whole may be tried again.
    Conflict(String),
    /// Trying again would not help.
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

/// How often a read is tried whose connection ends under it: where several were ended at once, the next may be one of them.
const READ_TRIES: usize = 4;

/// How often a transaction that met another one is tried.
pub(crate) const TRIES: usize = 10;

impl Database {
    /// Reads documents, graph or backups in the caller's name, one round trip. All queries see the same moment.
    pub(crate) async fn read(
        &self,
        caller: &Caller,
        queries: &[Query<'_>],
    ) -> Result<Vec<Vec<Row>>, StoreError> {
        self.read_for(Purpose::Read, caller, queries).await
    }

    /// Reads what belongs to the caller itself, whatever rights it has; documents and graph are not seen.
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
        let line = Line::open(self).await?;
        let (context, statements) = line.prepare(queries).await?;
        let [user, project, key, proof] = context_of(caller);
        let purpose = purpose.name();
        let values: [Value<'_>; 5] = [&user, &project, &key, &proof, &purpose];
        let client = line.client()?;
        let all = join4(
            client.batch_execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"),
            client.query(&context, &values),
            run(client, &statements, queries),
            client.batch_execute("COMMIT"),
        );
        let (begun, named, rows, committed) = line.answered(all).await?;
        // Until here the line is dropped on the way out, and with it whatever the queries brought.
        begun.map_err(|error| store_error(&error))?;
        named.map_err(|error| store_error(&error))?;
        let rows = rows.into_iter().collect::<Result<Vec<_>, _>>();
        if committed.is_ok() && !spoilt(&rows) {
            line.give_back();
        }
        rows.map_err(|error| store_error(&error))
    }

    /// Reads in the caller's name with a function that enters the context by itself: one statement, which is its own
    /// transaction and shares a connection with others of its kind, for the call whose speed counts most. The function
    /// takes user, project, key and the key's hash before these values.
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
        let mut tries = 1;
        loop {
            match self.read_on_a_shared_connection(query.sql, &values).await {
                // That a connection ended which many read on says nothing of this read, which may go to another.
                Err(CallError::Database(error)) if has_ended(&error) && tries < READ_TRIES => tries += 1,
                answer => return answer.map_err(StoreError::from),
            }
        }
    }

    async fn read_on_a_shared_connection(
        &self,
        sql: &'static str,
        values: &[Value<'_>],
    ) -> Result<Vec<Row>, CallError> {
        let seat = self.readers.seat(self).await?;
        let asked = async {
            let statement = seat.ask()?.prepare_cached(sql).await;
            seat.answered(&statement);
            let statement = statement.map_err(CallError::Database)?;
            let rows = seat.ask()?.query(&statement, values).await;
            seat.answered(&rows);
            rows.map_err(CallError::Database)
        };
        tokio::time::timeout(ANSWER, asked).await.unwrap_or_else(|_| {
            seat.give_up();
            Err(StoreError::Unreachable("the database does not answer".to_owned()).into())
        })
    }

    /// Begins a transaction that writes in the caller's name: reads and locks, one round trip.
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

    /// Begins a transaction that writes in the caller's name, with a function that enters the context by itself, then reads
    /// and locks: one statement in place of one for each of these. The function takes user, project, key and the key's hash
    /// before these values.
    #[tracing::instrument(level = "debug", name = "postgresql begin", skip_all, fields(
        otel.kind = "client", db.system.name = "postgresql"
    ))]
    pub(crate) async fn begin_by_function(
        &self,
        caller: &Caller,
        query: Query<'_>,
    ) -> Result<(Transaction, Vec<Row>), Failure> {
        let line = Line::open(self).await?;
        let statement = line.statement(query.sql).await?;
        let [user, project, key, proof] = context_of(caller);
        let context: [Value<'_>; 4] = [&user, &project, &key, &proof];
        let values: Vec<Value<'_>> = context.iter().chain(query.values).copied().collect();
        let client = line.client()?;
        let all = join(client.batch_execute("BEGIN"), client.query(&statement, &values));
        let (begun, rows) = line.answered(all).await?;
        // Without a transaction the context ended with the statement, and its locks.
        begun.map_err(|error| Failure::from(&error))?;
        let transaction = Transaction { line };
        match rows {
            Ok(rows) => Ok((transaction, rows)),
            Err(error) => {
                if !spoils_the_connection(&error) {
                    transaction.roll_back().await;
                }
                Err(Failure::from(&error))
            }
        }
    }

    /// Begins a transaction that reads in the caller's name, in which everything is as at one moment.
    pub(crate) async fn begin_reading(
        &self,
        caller: &Caller,
        queries: &[Query<'_>],
    ) -> Result<(Transaction, Vec<Vec<Row>>), Failure> {
        self.begin_with("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY", Purpose::Read, caller, queries)
            .await
    }

    async fn begin_with(
        &self,
        begin: &str,
        purpose: Purpose,
        caller: &Caller,
        queries: &[Query<'_>],
    ) -> Result<(Transaction, Vec<Vec<Row>>), Failure> {
        let line = Line::open(self).await?;
        let (context, statements) = line.prepare(queries).await?;
        let [user, project, key, proof] = context_of(caller);
        let purpose = purpose.name();
        let values: [Value<'_>; 5] = [&user, &project, &key, &proof, &purpose];
        let client = line.client()?;
        let all = join(
            join(client.batch_execute(begin), client.query(&context, &values)),
            run(client, &statements, queries),
        );
        let ((begun, named), rows) = line.answered(all).await?;
        begun.map_err(|error| Failure::from(&error))?;
        named.map_err(|error| Failure::from(&error))?;
        let transaction = Transaction { line };
        match rows.into_iter().collect::<Result<Vec<_>, _>>() {
            Ok(rows) => Ok((transaction, rows)),
            Err(error) => {
                if !spoils_the_connection(&error) {
                    transaction.roll_back().await;
                }
                Err(Failure::from(&error))
            }
        }
    }

    /// Calls a function of schema `app` as the login role: one statement, its own transaction, one round trip.
    #[tracing::instrument(level = "debug", name = "postgresql call", skip_all, fields(
        otel.kind = "client", db.system.name = "postgresql"
    ))]
    pub(crate) async fn call(&self, query: Query<'_>) -> Result<Vec<Row>, CallError> {
        let line = Line::open(self).await?;
        let statement = line.statement(query.sql).await?;
        let rows = line.answered(line.client()?.query(&statement, query.values)).await?;
        if !spoilt(&rows) {
            line.give_back();
        }
        rows.map_err(CallError::Database)
    }
}

/// Why a call was not carried out.
#[derive(Debug)]
pub(crate) enum CallError {
    /// The database said no.
    Database(tokio_postgres::Error),
    /// It said nothing.
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

/// A transaction that has begun in a caller's name. Dropped, it takes its connection along.
pub(crate) struct Transaction {
    line: Line,
}

impl Transaction {
    /// Runs statements and goes on: for the few transactions that move more than two round trips carry. A failure ends
    /// the transaction.
    pub(crate) async fn run(&self, queries: &[Query<'_>]) -> Result<Vec<Vec<Row>>, Failure> {
        self.run_within(MOVE, queries).await
    }

    /// Reads and locks more, one round trip, and goes on. A failure ends the transaction.
    pub(crate) async fn read(&self, queries: &[Query<'_>]) -> Result<Vec<Vec<Row>>, Failure> {
        self.run_within(ANSWER, queries).await
    }

    async fn run_within(&self, most: Duration, queries: &[Query<'_>]) -> Result<Vec<Vec<Row>>, Failure> {
        let statements = self.line.statements(queries).await?;
        let rows = tokio::time::timeout(most, run(self.line.client()?, &statements, queries))
            .await
            .map_err(|_| StoreError::Unreachable("the database does not answer".to_owned()))?;
        rows.into_iter().collect::<Result<Vec<_>, _>>().map_err(|error| Failure::from(&error))
    }

    /// Writes and commits, one round trip: all or nothing.
    #[tracing::instrument(level = "debug", name = "postgresql commit", skip_all, fields(
        otel.kind = "client", db.system.name = "postgresql", db.operation.batch.size = queries.len()
    ))]
    pub(crate) async fn commit(self, queries: &[Query<'_>]) -> Result<Vec<Vec<Row>>, Failure> {
        let line = self.line;
        let statements = line.statements(queries).await?;
        let client = line.client()?;
        let all = join(run(client, &statements, queries), client.batch_execute("COMMIT"));
        let (rows, committed) = line.answered(all).await?;
        let rows = rows.into_iter().collect::<Result<Vec<_>, _>>();
        if committed.is_ok() && !spoilt(&rows) {
            line.give_back();
        }
        // COMMIT after a failed statement rolls back and succeeds, so the statements are asked first.
        let rows = rows.map_err(|error| Failure::from(&error))?;
        committed.map_err(|error| Failure::from(&error))?;
        Ok(rows)
    }

    /// Ends the transaction without a trace.
    pub(crate) async fn roll_back(self) {
        let Ok(client) = self.line.client() else { return };
        if matches!(self.line.answered(client.batch_execute("ROLLBACK")).await, Ok(Ok(()))) {
            self.line.give_back();
        }
    }
}

/// Who asks, as the context takes it. The database believes nothing of it but what the hash of the presented key proves.
fn context_of(caller: &Caller) -> [String; 4] {
    let key = caller.key.map(|key| key.0.to_string()).unwrap_or_default();
    let proof = caller.proof.map(|proof| proof.to_hex()).unwrap_or_default();
    [caller.user.0.to_string(), caller.project.0.to_string(), key, proof]
}

/// The hash of the key that the caller presented, as functions of schema `app` take it. Nothing proves a caller without.
pub(crate) fn proof_of(proof: Option<&KeyHash>) -> &[u8] {
    proof.map(|proof| proof.as_bytes().as_slice()).unwrap_or_default()
}

fn spoilt<T>(rows: &Result<T, tokio_postgres::Error>) -> bool {
    rows.as_ref().is_err_and(spoils_the_connection)
}

/// Sends all statements before the first is answered.
async fn run(
    client: &Object,
    statements: &[Statement],
    queries: &[Query<'_>],
) -> Vec<Result<Vec<Row>, tokio_postgres::Error>> {
    // `join_all` polls up to thirty futures in their order, and polling a query for the first time sends it.
    join_all(statements.iter().zip(queries).map(|(statement, query)| client.query(statement, query.values)))
        .await
}

/// A borrowed connection that is closed unless it is given back: what was dropped half-way (the client went, a
/// time-out) may have a transaction open in some tenant's name.
struct Line {
    connection: Option<Object>,
    answers: Arc<Answers>,
}

impl Line {
    async fn open(database: &Database) -> Result<Self, StoreError> {
        Ok(Self { connection: Some(database.connection().await?), answers: Arc::clone(&database.answers) })
    }

    fn client(&self) -> Result<&Object, StoreError> {
        self.connection
            .as_ref()
            .ok_or_else(|| StoreError::Unavailable("the connection was given back".to_owned()))
    }

    /// The statements, prepared once a connection.
    async fn prepare(&self, queries: &[Query<'_>]) -> Result<(Statement, Vec<Statement>), StoreError> {
        Ok((self.statement(CONTEXT).await?, self.statements(queries).await?))
    }

    async fn statements(&self, queries: &[Query<'_>]) -> Result<Vec<Statement>, StoreError> {
        let mut statements = Vec::with_capacity(queries.len());
        for query in queries {
            statements.push(self.statement(query.sql).await?);
        }
        Ok(statements)
    }

    async fn statement(&self, sql: &'static str) -> Result<Statement, StoreError> {
        let prepared = self.answered(self.client()?.prepare_cached(sql)).await?;
        prepared.map_err(|error| store_error(&error))
    }

    async fn answered<T>(&self, work: impl Future<Output = T>) -> Result<T, StoreError> {
        let answer = tokio::time::timeout(ANSWER, work).await;
        let alive = self.client().is_ok_and(|client| !client.is_closed());
        match &answer {
            Ok(_) if alive => self.answers.note(),
            _ => self.answers.note_lost(),
        }
        answer.map_err(|_| StoreError::Unreachable("the database does not answer".to_owned()))
    }

    fn give_back(mut self) {
        drop(self.connection.take());
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        if let Some(connection) = self.connection.take() {
            drop(Object::take(connection));
        }
    }
}

#[cfg(test)]
mod tests;
