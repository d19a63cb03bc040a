//! Statements on connections that keep a session of the database, or to which a transaction pooler gives another session for each
//! transaction. The only place that knows the difference. It must not know whose statements these are.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use deadpool_postgres::ClientWrapper;
use futures::future::join3;
use parking_lot::RwLock;
use tokio_postgres::error::SqlState;
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Client, Error, Row, SimpleQueryMessage, Statement};

/// The settings of every session, or of every transaction where a session is not kept. The database itself ends a hanging statement
/// and an idle transaction; the lock time-out equals that of the folder store. Plans are generic: statements find rows by keys, for
/// all values, and planning each time, with its policies, costs more than running. Where the values matter, a function overrides
/// this for itself (`migrations/003_functions.sql`).
const SETTINGS: [(&str, &str); 7] = [
    ("statement_timeout", "'20s'"),
    ("lock_timeout", "'10s'"),
    ("idle_in_transaction_session_timeout", "'30s'"),
    ("search_path", "pg_catalog, public"),
    ("client_min_messages", "warning"),
    ("plan_cache_mode", "force_generic_plan"),
    // To compile a plan takes longer than most statements run.
    ("jit", "off"),
];

/// A commit is never acknowledged before it is on disk: where a setting of the role, the database or the server says `off`, it is
/// `local`. Each session has a value of its own, so that all who write at the same time agree with who asks how far the log is on disk.
const COMMIT: &str = "SELECT pg_catalog.set_config('synchronous_commit', CASE pg_catalog.current_setting('synchronous_commit') \
    WHEN 'off' THEN 'local' ELSE pg_catalog.current_setting('synchronous_commit') END, ";

/// Finds its own name among the prepared statements of the session.
const OWN_NAME: &str = "SELECT name FROM pg_catalog.pg_prepared_statements \
    WHERE statement LIKE '%memory-bank-mcp asks for its own name%'";

/// The name of a statement whose types are asked for. It lives in one transaction only.
const PROBE: &str = "memory_bank_mcp_probe";
/// The types of its parameters, in order.
const PARAMETER_TYPES: &str = "SELECT t.type::oid FROM pg_catalog.pg_prepared_statements p, \
    unnest(p.parameter_types) WITH ORDINALITY AS t (type, place) WHERE p.name = 'memory_bank_mcp_probe' ORDER BY t.place";

/// What connections lead to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum PoolerMode {
    /// Sessions of the database: directly, or through a pooler in session mode. A transaction pooler is refused.
    #[default]
    Session,
    /// A pooler that may give each transaction another session. Each transaction sets all it needs; nothing is left in a session.
    Transaction,
}

/// How statements are sent over the connections of a pool.
#[derive(Debug)]
pub(crate) struct Statements {
    mode: PoolerMode,
    /// Whether the pooler takes prepared statements from one session to another, as PgBouncer does from 1.21 on; as the latest
    /// connection found it.
    carries_prepared: AtomicBool,
    /// The types of the parameters, by statement. The statements are constants of the program, so there are few.
    types: RwLock<HashMap<&'static str, Arc<[Type]>>>,
}

/// A statement that can be sent.
#[derive(Clone)]
pub(crate) enum Ready {
    /// The session knows it.
    Prepared(Statement),
    /// Its text is sent each time.
    Text(&'static str, Arc<[Type]>),
}

impl Statements {
    pub(crate) fn new(mode: PoolerMode) -> Self {
        Self { mode, carries_prepared: AtomicBool::new(false), types: RwLock::default() }
    }

    pub(crate) fn mode(&self) -> PoolerMode {
        self.mode
    }

    /// Whether a connection keeps its session.
    pub(crate) fn keeps_sessions(&self) -> bool {
        self.mode == PoolerMode::Session
    }

    /// The statements that set up a new session.
    pub(crate) fn session_settings() -> String {
        let settings = SETTINGS.map(|(name, value)| format!("SET {name} = {value}; "));
        format!("{}{COMMIT}false)", settings.concat())
    }

    /// `begin`, which begins a transaction, with the settings that the transaction needs.
    pub(crate) fn begin<'a>(&self, begin: &'a str) -> Cow<'a, str> {
        if self.keeps_sessions() {
            return Cow::Borrowed(begin);
        }
        Cow::Owned(Self::with_settings(begin))
    }

    /// `begin`, which begins a transaction, with the settings of a session for this transaction only.
    pub(crate) fn with_settings(begin: &str) -> String {
        let settings = SETTINGS.map(|(name, value)| format!("; SET LOCAL {name} = {value}"));
        format!("{begin}{}; {COMMIT}true)", settings.concat())
    }

    /// Prepares a statement, or finds that it is prepared; on a connection without a transaction.
    pub(crate) async fn prepare(&self, client: &ClientWrapper, sql: &'static str) -> Result<Ready, Error> {
        if let Some(ready) = self.ready(client, sql).await? {
            return Ok(ready);
        }
        // The session that parses the statement also forgets it.
        client.batch_execute(&self.begin("BEGIN READ ONLY")).await?;
        let learned = self.learn(client, sql).await;
        client.batch_execute("ROLLBACK").await?;
        learned
    }

    /// Like [`Self::prepare`], in an open transaction.
    pub(crate) async fn prepare_within(
        &self,
        client: &ClientWrapper,
        sql: &'static str,
    ) -> Result<Ready, Error> {
        match self.ready(client, sql).await? {
            Some(ready) => Ok(ready),
            None => self.learn(client, sql).await,
        }
    }

    async fn ready(&self, client: &ClientWrapper, sql: &'static str) -> Result<Option<Ready>, Error> {
        if self.keeps_sessions() || self.carries_prepared.load(Ordering::Relaxed) {
            return client.prepare_cached(sql).await.map(|statement| Some(Ready::Prepared(statement)));
        }
        Ok(self.types.read().get(sql).map(|types| Ready::Text(sql, Arc::clone(types))))
    }

    /// The types of the parameters, in an open transaction. The driver's own names may be those of another program in this session.
    async fn learn(&self, client: &Client, sql: &'static str) -> Result<Ready, Error> {
        let asked = format!("PREPARE {PROBE} AS {sql}; {PARAMETER_TYPES}; DEALLOCATE {PROBE}");
        let rows = client.simple_query(&asked).await?.into_iter().filter_map(|message| match message {
            SimpleQueryMessage::Row(row) => row.get(0)?.parse().ok(),
            _ => None,
        });
        let types: Arc<[Type]> = rows.map(|oid| Type::from_oid(oid).unwrap_or(Type::UNKNOWN)).collect();
        self.types.write().insert(sql, Arc::clone(&types));
        Ok(Ready::Text(sql, types))
    }

    /// Runs one statement as a transaction of its own, in one round trip.
    pub(crate) async fn run_alone(
        &self,
        client: &Client,
        statement: &Ready,
        values: &[&(dyn ToSql + Sync)],
    ) -> Result<Vec<Row>, Error> {
        if self.keeps_sessions() {
            return statement.query(client, values).await;
        }
        let begin = self.begin("BEGIN");
        let (begun, rows, committed) = join3(
            client.batch_execute(&begin),
            statement.query(client, values),
            client.batch_execute("COMMIT"),
        )
        .await;
        begun?;
        let rows = rows?;
        committed?;
        Ok(rows)
    }

    /// Finds out, on a new connection, whether the pooler carries prepared statements.
    ///
    /// # Errors
    /// The database does not answer.
    pub(crate) async fn observe(&self, client: &Client) -> Result<(), Error> {
        client.batch_execute(&self.begin("BEGIN READ ONLY")).await?;
        let names = own_names(client).await;
        client.batch_execute("ROLLBACK").await?;
        // A pooler that carries statements gives them names of its own; the driver's are `s` and a number.
        let is_own = |name: &String| name.strip_prefix('s').is_some_and(|rest| rest.parse::<u64>().is_ok());
        let names = match names {
            // Of a statement that another program has left in the session: the name was not translated.
            Err(error) if error.code() == Some(&SqlState::DUPLICATE_PSTATEMENT) => Vec::new(),
            names => names?,
        };
        self.carries_prepared.store(!names.is_empty() && !names.iter().any(is_own), Ordering::Relaxed);
        Ok(())
    }

    /// A connection has failed, perhaps since the pooler carries no prepared statements any more: sends their text, until the next
    /// connection has found out.
    pub(crate) fn doubt(&self) {
        self.carries_prepared.store(false, Ordering::Relaxed);
    }

    /// Whether statements are prepared once per connection.
    pub(crate) fn are_prepared(&self) -> bool {
        self.keeps_sessions() || self.carries_prepared.load(Ordering::Relaxed)
    }
}

/// The only row of a query without parameters, whose text is sent: no session has to know a statement.
pub(crate) async fn only_row(client: &Client, sql: &str) -> Result<Option<Row>, Error> {
    Ok(client.query_typed(sql, &[]).await?.into_iter().next())
}

async fn own_names(client: &Client) -> Result<Vec<String>, Error> {
    let statement = client.prepare(OWN_NAME).await?;
    client.query(&statement, &[]).await?.iter().map(|row| row.try_get(0)).collect()
}

impl Ready {
    pub(crate) async fn query(
        &self,
        client: &Client,
        values: &[&(dyn ToSql + Sync)],
    ) -> Result<Vec<Row>, Error> {
        match self {
            Self::Prepared(statement) => client.query(statement, values).await,
            Self::Text(sql, types) => {
                let typed: Vec<_> = values.iter().copied().zip(types.iter().cloned()).collect();
                client.query_typed(sql, &typed).await
            }
        }
    }
}
