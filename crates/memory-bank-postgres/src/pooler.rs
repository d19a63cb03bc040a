//! Whether a connection keeps its session. A transaction pooler gives each transaction whatever session of the database
//! is free, and so forgets what a connection was told and which statements it prepared. It must not know which pooler
//! it is: it goes by what happens.

use std::time::Duration;

use tokio_postgres::{Client, SimpleQueryMessage};

use crate::connect::{ConnectError, Database};
use crate::error::describe;
use crate::unreachable::Unreachable;

/// How long the comparison may take.
const WAIT: Duration = Duration::from_secs(8);

/// How often it is compared.
const ROUNDS: usize = 8;

/// Tells sessions of the database apart: process ids come back, and two servers may have the same.
const SESSION: &str =
    "SELECT pid, backend_start FROM pg_catalog.pg_stat_activity WHERE pid = pg_catalog.pg_backend_pid()";

/// What was found out about connections.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Pooling {
    /// A connection has a session of its own.
    Kept,
    /// It could not be found out; says why.
    Unknown(String),
}

impl Database {
    /// Finds out whether connections keep their sessions, with two that are made for it and closed again. They are told
    /// nothing, so that nothing is left behind in sessions that others get next.
    ///
    /// # Errors
    /// The database cannot be reached, or this is a transaction pooler.
    pub async fn pooling(&self) -> Result<Pooling, ConnectError> {
        let first = self.bare_connection().await?;
        let session = session(&first).await.map_err(|error| Unreachable::from(&error))?;
        tokio::time::timeout(WAIT, self.compare(&first, &session))
            .await
            .unwrap_or_else(|_| Ok(Pooling::Unknown(format!("no answer within {} s", WAIT.as_secs()))))
    }

    async fn compare(&self, first: &Client, session_before: &str) -> Result<Pooling, ConnectError> {
        let second = match self.bare_connection().await {
            Ok(second) => second,
            Err(error) => return Ok(Pooling::Unknown(format!("a second connection was refused: {error}"))),
        };
        // Others that use the same pooler may take a session away and give it back in between, which looks like one that
        // is kept; not every time.
        for _ in 0..ROUNDS {
            let outcome = round(first, session_before, &second).await;
            if !matches!(outcome, Ok(Pooling::Kept)) {
                return outcome;
            }
        }
        Ok(Pooling::Kept)
    }
}

async fn round(first: &Client, session_before: &str, second: &Client) -> Result<Pooling, ConnectError> {
    // The open transaction holds its session, whichever that is.
    if let Err(error) = second.batch_execute("BEGIN READ ONLY").await {
        let said = describe(&error);
        return if said.contains("statement pooling") {
            Err(shared("a transaction is refused"))
        } else {
            Ok(Pooling::Unknown(said))
        };
    }
    let outcome = match session(second).await {
        // Where the pooler has but one session, asking again would wait for the transaction to end.
        Ok(other) if other == session_before => {
            Err(shared("two connections got the same session of the database"))
        }
        Ok(_) => match session(first).await {
            Ok(after) if after == session_before => Ok(Pooling::Kept),
            Ok(_) => Err(shared("a connection got another session of the database between two statements")),
            Err(error) => Ok(Pooling::Unknown(describe(&error))),
        },
        Err(error) => Ok(Pooling::Unknown(describe(&error))),
    };
    match second.batch_execute("ROLLBACK").await {
        Ok(()) => outcome,
        Err(error) => outcome.map(|_| Pooling::Unknown(describe(&error))),
    }
}

fn shared(evidence: &str) -> ConnectError {
    ConnectError::TransactionPooler { evidence: evidence.to_owned() }
}

async fn session(client: &Client) -> Result<String, tokio_postgres::Error> {
    let answer = client.simple_query(SESSION).await?;
    let row = answer.iter().find_map(|message| match message {
        SimpleQueryMessage::Row(row) => Some(row),
        _ => None,
    });
    let text = |at: usize| row.and_then(|row| row.get(at)).unwrap_or_default().to_owned();
    Ok(format!("{} {}", text(0), text(1)))
}

/// Refuses a connection string that says itself that it leads to a transaction pooler.
pub(crate) fn refuse_by_name(url: &str) -> Result<(), ConnectError> {
    let query = url.split_once('?').map_or("", |(_, query)| query);
    let named = query.split('&').any(|pair| {
        pair.split_once('=').is_some_and(|(name, value)| {
            name == "pgbouncer" && ["true", "1", "yes", "on"].contains(&value.to_ascii_lowercase().as_str())
        })
    });
    if named { Err(shared("the connection string says `pgbouncer=true`")) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_string_that_names_a_transaction_pooler_is_refused_with_advice() {
        let error = refuse_by_name("postgres://u:secret@h:6543/d?pgbouncer=true").unwrap_err().to_string();
        assert!(error.contains("session pooler") && !error.contains("secret"), "{error}");
        assert!(refuse_by_name("postgres://u@h:6543/d?connect_timeout=3&pgbouncer=false").is_ok());
        // The guide: the session pooler may have either port.
        assert!(refuse_by_name("postgres://u@aws-0-eu-west-1.pooler.supabase.com:6543/postgres").is_ok());
    }
}
