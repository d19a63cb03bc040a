//! Detects transaction poolers. A transaction pooler gives each transaction any free session of the database, and so
//! loses session settings and prepared statements. This module must not know the kind of pooler: it observes
//! behaviour.

use std::time::Duration;

use deadpool_postgres::ClientWrapper;
use futures::future;
use tokio_postgres::{Client, SimpleQueryMessage};

use crate::connect_error::ConnectError;
use crate::database::Database;
use crate::error::describe;
use crate::unreachable::Unreachable;

/// Time-out of the comparison.
const CHECK_TIMEOUT: Duration = Duration::from_secs(8);

/// How often the sessions are compared.
const ROUNDS: usize = 8;

/// The longest pause between two comparisons, in microseconds: longer than most transactions of others, and short for a start.
const MAX_PAUSE_MICROS: u64 = 1000;

/// Distinguishes sessions of the database: two servers may have the same process id. A server that reuses one has started
/// thousands of processes in between.
const SESSION: &str = "SELECT pg_catalog.pg_backend_pid(), pg_catalog.pg_postmaster_start_time()";

/// The result of the check.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Pooling {
    /// A connection has its own session.
    Session,
    /// A transaction may get another session, as [`crate::PoolerMode::Transaction`] expects.
    Transaction,
    /// The check failed; has the reason.
    Unknown(String),
}

impl Database {
    /// Checks whether connections keep their sessions, or, where they need not, whether a pooler carries prepared statements. Opens two
    /// connections for it, and closes them again.
    /// They change no settings, so that nothing is left in sessions that others get next.
    ///
    /// # Errors
    /// The database is unreachable, or this is a transaction pooler.
    pub async fn pooling(&self) -> Result<Pooling, ConnectError> {
        if !self.pool.statements.keeps_sessions() {
            let client = self.pool.bare_connection().await?;
            self.pool.statements.observe(&client).await.map_err(|error| Unreachable::from(&error))?;
            return Ok(Pooling::Transaction);
        }
        // Both at once; a pooler may have a session for one of them only.
        let connect = || Box::pin(self.pool.bare_connection());
        let (first, second) = future::select(connect(), connect()).await.factor_first();
        let first = first?;
        let compared = Box::pin(async {
            let (session, second) = tokio::join!(session_of(&first, SESSION), second);
            let session = session.map_err(|error| Unreachable::from(&error))?;
            self.compare(Side { client: &first, session: Some(session) }, second).await
        });
        tokio::time::timeout(CHECK_TIMEOUT, compared).await.unwrap_or_else(|_| {
            Ok(Pooling::Unknown(format!("no answer within {} s", CHECK_TIMEOUT.as_secs())))
        })
    }

    async fn compare(
        &self,
        mut first: Side<'_>,
        second: Result<ClientWrapper, ConnectError>,
    ) -> Result<Pooling, ConnectError> {
        let client = match second {
            Ok(client) => client,
            Err(error) => return Ok(Pooling::Unknown(format!("a second connection was refused: {error}"))),
        };
        let mut second = Side { client: &client, session: None };
        // Other clients of the pooler may take a session and return it in between, so that it seems to be kept; random pauses make it unlikely every time.
        let (mut holder, mut other) = (&mut second, &mut first);
        for number in 1..=ROUNDS {
            let pause = if number < ROUNDS { self.pause() } else { Duration::ZERO };
            let outcome = round(holder, other, pause).await;
            if !matches!(outcome, Ok(Pooling::Session)) {
                return outcome;
            }
            std::mem::swap(&mut holder, &mut other);
        }
        Ok(Pooling::Session)
    }

    /// A random pause, or none.
    fn pause(&self) -> Duration {
        let chance = self.deps.entropy.id().as_u128() % u128::from(MAX_PAUSE_MICROS);
        Duration::from_micros(u64::try_from(chance).unwrap_or_default())
    }
}

/// A connection, and its session at the last check.
struct Side<'a> {
    client: &'a Client,
    session: Option<String>,
}

impl Side<'_> {
    /// Records the current session of the connection; false if it had another one before.
    fn keeps(&mut self, session: &str) -> bool {
        self.session.replace(session.to_owned()).is_none_or(|before| before == session)
    }
}

/// One connection keeps a session in an open transaction; then the other one queries its own session. Ends after the pause.
async fn round(
    holder: &mut Side<'_>,
    other: &mut Side<'_>,
    pause: Duration,
) -> Result<Pooling, ConnectError> {
    let held = match session_of(holder.client, &format!("BEGIN READ ONLY; {SESSION}")).await {
        Ok(held) => held,
        Err(error) => {
            let message = describe(&error);
            return if message.contains("statement pooling") {
                Err(ConnectError::transaction_pooler("a transaction is refused"))
            } else {
                Ok(Pooling::Unknown(message))
            };
        }
    };
    let outcome = compare_within(&held, holder, other).await;
    let (ended, ()) = future::join(holder.client.batch_execute("ROLLBACK"), tokio::time::sleep(pause)).await;
    match ended {
        Ok(()) => outcome,
        Err(error) => outcome.map(|_| Pooling::Unknown(describe(&error))),
    }
}

async fn compare_within(
    held: &str,
    holder: &mut Side<'_>,
    other: &mut Side<'_>,
) -> Result<Pooling, ConnectError> {
    let another = || {
        Err(ConnectError::transaction_pooler(
            "a connection got another session of the database between two statements",
        ))
    };
    // If the pooler has only one session, a query on the other connection would wait for the transaction to end.
    if other.session.as_deref() == Some(held) {
        return Err(ConnectError::transaction_pooler("two connections got the same session of the database"));
    }
    if !holder.keeps(held) {
        return another();
    }
    match session_of(other.client, SESSION).await {
        Ok(now) if other.keeps(&now) => Ok(Pooling::Session),
        Ok(_) => another(),
        Err(error) => Ok(Pooling::Unknown(describe(&error))),
    }
}

/// The session that ran these statements, the last of which is [`SESSION`].
async fn session_of(client: &Client, statements: &str) -> Result<String, tokio_postgres::Error> {
    let answer = client.simple_query(statements).await?;
    let row = answer.iter().find_map(|message| match message {
        SimpleQueryMessage::Row(row) => Some(row),
        _ => None,
    });
    let text = |at: usize| row.and_then(|row| row.get(at)).unwrap_or_default().to_owned();
    Ok(format!("{} {}", text(0), text(1)))
}
