//! Whether a connection keeps its session. A transaction pooler gives each transaction whatever session of the database
//! is free, and so forgets what a connection was told and which statements it prepared. It must not know which pooler
//! it is: it goes by what happens.

use std::time::Duration;

use tokio_postgres::{Client, SimpleQueryMessage};

use crate::connect::{ConnectError, Database};
use crate::connection_string::ConnectionString;
use crate::error::describe;
use crate::unreachable::Unreachable;

/// How long the comparison may take.
const WAIT: Duration = Duration::from_secs(8);

/// How often it is compared.
const ROUNDS: usize = 8;

/// Between two of these it waits for less than so long.
const PAUSE_MILLISECONDS: u64 = 8;

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
        let client = self.bare_connection().await?;
        let session = session(&client).await.map_err(|error| Unreachable::from(&error))?;
        let first = Side { client: &client, session: Some(session) };
        tokio::time::timeout(WAIT, self.compare(first))
            .await
            .unwrap_or_else(|_| Ok(Pooling::Unknown(format!("no answer within {} s", WAIT.as_secs()))))
    }

    async fn compare(&self, mut first: Side<'_>) -> Result<Pooling, ConnectError> {
        let client = match self.bare_connection().await {
            Ok(second) => second,
            Err(error) => return Ok(Pooling::Unknown(format!("a second connection was refused: {error}"))),
        };
        let mut second = Side { client: &client, session: None };
        // Others that use the same pooler may take a session away and give it back in between, which looks like one that
        // is kept; not every time, when the two take turns and nobody can keep step with them.
        let (mut holder, mut asked) = (&mut second, &mut first);
        for _ in 0..ROUNDS {
            let outcome = round(holder, asked).await;
            if !matches!(outcome, Ok(Pooling::Kept)) {
                return outcome;
            }
            std::mem::swap(&mut holder, &mut asked);
            tokio::time::sleep(self.pause()).await;
        }
        Ok(Pooling::Kept)
    }

    /// Some moment or none, by chance.
    fn pause(&self) -> Duration {
        let chance = self.around.entropy.id().as_u128() % u128::from(PAUSE_MILLISECONDS);
        Duration::from_millis(u64::try_from(chance).unwrap_or_default())
    }
}

/// A connection, and the session that it had when it was last asked.
struct Side<'a> {
    client: &'a Client,
    session: Option<String>,
}

impl Side<'_> {
    /// Notes the session that the connection has now; false if it had another one before.
    fn keeps(&mut self, session: &str) -> bool {
        self.session.replace(session.to_owned()).is_none_or(|before| before == session)
    }
}

/// One of them holds a session in an open transaction, whichever that is; then the other is asked for its own.
async fn round(holder: &mut Side<'_>, asked: &mut Side<'_>) -> Result<Pooling, ConnectError> {
    if let Err(error) = holder.client.batch_execute("BEGIN READ ONLY").await {
        let said = describe(&error);
        return if said.contains("statement pooling") {
            Err(shared("a transaction is refused"))
        } else {
            Ok(Pooling::Unknown(said))
        };
    }
    let outcome = compare_within(holder, asked).await;
    match holder.client.batch_execute("ROLLBACK").await {
        Ok(()) => outcome,
        Err(error) => outcome.map(|_| Pooling::Unknown(describe(&error))),
    }
}

async fn compare_within(holder: &mut Side<'_>, asked: &mut Side<'_>) -> Result<Pooling, ConnectError> {
    let another = || Err(shared("a connection got another session of the database between two statements"));
    let held = match session(holder.client).await {
        Ok(held) => held,
        Err(error) => return Ok(Pooling::Unknown(describe(&error))),
    };
    // Where the pooler has but one session, asking the other would wait for the transaction to end.
    if asked.session.as_ref() == Some(&held) {
        return Err(shared("two connections got the same session of the database"));
    }
    if !holder.keeps(&held) {
        return another();
    }
    match session(asked.client).await {
        Ok(now) if asked.keeps(&now) => Ok(Pooling::Kept),
        Ok(_) => another(),
        Err(error) => Ok(Pooling::Unknown(describe(&error))),
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

/// Refuses a connection string that says itself that it leads to a transaction pooler; takes out what says so.
pub(crate) fn refuse_by_name(string: &mut ConnectionString) -> Result<(), ConnectError> {
    let named = string
        .take("pgbouncer")
        .is_some_and(|value| ["true", "1", "yes", "on"].contains(&value.to_ascii_lowercase().as_str()));
    if named { Err(shared("the connection string says `pgbouncer=true`")) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_string_that_names_a_transaction_pooler_is_refused_with_advice() {
        let refuse_by_name = |text: &str| refuse_by_name(&mut ConnectionString::parse(text).unwrap());
        for text in ["postgres://u:secret@h:6543/d?pgbouncer=true", "host=h password=secret pgbouncer=1"] {
            let error = refuse_by_name(text).unwrap_err().to_string();
            assert!(error.contains("session pooler") && !error.contains("secret"), "{error}");
        }
        assert!(refuse_by_name("postgres://u@h:6543/d?connect_timeout=3&pgbouncer=false").is_ok());
        // The guide: the session pooler may have either port.
        assert!(refuse_by_name("postgres://u@aws-0-eu-west-1.pooler.supabase.com:6543/postgres").is_ok());
    }
}
