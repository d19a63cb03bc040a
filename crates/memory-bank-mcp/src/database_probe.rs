//! The health check of a database that is served: it answers, and it has its schema. Changes are logged.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use memory_bank_postgres::{Database, SchemaState};
use memory_bank_server::http::{Health, Probe};
use parking_lot::Mutex;

/// How long the database may take to answer a ping. Shorter than a whole probe may take.
const DATABASE_ANSWER: Duration = Duration::from_millis(1200);
/// Time-out of the check of the schema, including the wait for a connection.
const SCHEMA_ANSWER: Duration = Duration::from_millis(600);
/// How long a check of the schema is valid; until then, replies to other calls show that the database is up.
const SCHEMA_KNOWN_FOR: Duration = Duration::from_secs(5);

/// Checks whether the database answers and has its schema.
pub(crate) struct DatabaseProbe {
    database: Database,
    whole: AtomicBool,
    /// The time of the last successful check.
    seen: Mutex<Option<Instant>>,
}

impl DatabaseProbe {
    pub(crate) fn new(database: Database) -> Self {
        Self { database, whole: AtomicBool::new(true), seen: Mutex::default() }
    }

    /// The error in the schema.
    async fn problem(&self, state: SchemaState) -> Option<String> {
        match state {
            // Check isolation again, as at the start: it may be another schema.
            SchemaState::Whole if !self.whole.load(Ordering::Relaxed) => {
                self.database.prove_isolation().await.err().map(|error| error.to_string())
            }
            SchemaState::Whole => None,
            SchemaState::Missing(name) => Some(format!(
                "the schema is gone: `{name}` is missing from the database; run `memory-bank-mcp migrate`"
            )),
            SchemaState::Denied => Some(
                "the login role may not use the schema, whose roles were made anew: GRANT app_server TO it"
                    .to_owned(),
            ),
        }
    }
}

#[async_trait]
impl Probe for DatabaseProbe {
    async fn health(&self) -> Health {
        if !self.database.is_alive(DATABASE_ANSWER).await {
            return Health::Error;
        }
        let state = match tokio::time::timeout(SCHEMA_ANSWER, self.database.schema_state()).await {
            Ok(Ok(state)) => state,
            Ok(Err(_)) => return Health::Error,
            // All connections are in use: busy, with an unchanged schema.
            Err(_) if self.whole.load(Ordering::Relaxed) => return Health::Ok,
            Err(_) => return Health::SchemaMissing,
        };
        let problem = self.problem(state).await;
        *self.seen.lock() = Some(Instant::now());
        match problem {
            None => {
                if !self.whole.swap(true, Ordering::Relaxed) {
                    tracing::info!("the schema is back; requests are served again");
                }
                Health::Ok
            }
            Some(problem) => {
                if self.whole.swap(false, Ordering::Relaxed) {
                    tracing::error!("{problem}");
                }
                Health::SchemaMissing
            }
        }
    }

    fn is_doubtful(&self) -> bool {
        self.database.has_lost_connections()
    }

    fn has_answered_within(&self, time: Duration) -> bool {
        let seen = *self.seen.lock();
        self.whole.load(Ordering::Relaxed)
            && seen.is_some_and(|at| at.elapsed() < SCHEMA_KNOWN_FOR)
            && self.database.has_answered_within(time)
    }
}
