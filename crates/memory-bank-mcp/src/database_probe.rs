//! The health check of a database that is served: it answers, and it has its schema. Changes are logged.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use memory_bank_postgres::{Database, SchemaState};
use memory_bank_server::http::{Health, Probe};
use parking_lot::Mutex;

/// Time-out of a ping of the database; shorter than the time-out of a whole probe.
const PING_TIMEOUT: Duration = Duration::from_millis(1200);
/// Time-out of the check of the schema, including the wait for a connection.
const SCHEMA_TIMEOUT: Duration = Duration::from_millis(600);
/// How long a check of the schema is valid; until then, replies to other calls show that the database is up.
const SCHEMA_TTL: Duration = Duration::from_secs(5);

/// Checks whether the database answers and has its schema.
pub(crate) struct DatabaseProbe {
    database: Database,
    schema_is_complete: AtomicBool,
    last_check: Mutex<Option<Instant>>,
}

impl DatabaseProbe {
    pub(crate) fn new(database: Database) -> Self {
        Self { database, schema_is_complete: AtomicBool::new(true), last_check: Mutex::default() }
    }

    /// The problem of the schema, if there is one.
    async fn problem(&self, state: SchemaState) -> Option<String> {
        match state {
            // Check isolation again, as at the start: it may be another schema.
            SchemaState::Whole if !self.schema_is_complete.load(Ordering::Relaxed) => {
                self.database.prove_isolation().await.err().map(|error| error.to_string())
            }
            SchemaState::Whole => None,
            SchemaState::Missing(name) => Some(format!(
                "the schema is gone: `{name}` is missing from the database; run `memory-bank-mcp migrate`"
            )),
            SchemaState::Denied => Some(
                "the login role may not use the schema, perhaps because its roles were created again; GRANT app_server TO it"
                    .to_owned(),
            ),
        }
    }
}

#[async_trait]
impl Probe for DatabaseProbe {
    async fn health(&self) -> Health {
        if !self.database.is_alive(PING_TIMEOUT).await {
            return Health::Error;
        }
        let state = match tokio::time::timeout(SCHEMA_TIMEOUT, self.database.schema_state()).await {
            Ok(Ok(state)) => state,
            Ok(Err(_)) => return Health::Error,
            // All connections are in use: the database is busy, and its schema was complete at the last check.
            Err(_) if self.schema_is_complete.load(Ordering::Relaxed) => return Health::Ok,
            Err(_) => return Health::SchemaMissing,
        };
        let problem = self.problem(state).await;
        *self.last_check.lock() = Some(Instant::now());
        match problem {
            None => {
                if !self.schema_is_complete.swap(true, Ordering::Relaxed) {
                    tracing::info!("the schema is back; requests are served again");
                }
                Health::Ok
            }
            Some(problem) => {
                if self.schema_is_complete.swap(false, Ordering::Relaxed) {
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
        let last_check = *self.last_check.lock();
        self.schema_is_complete.load(Ordering::Relaxed)
            && last_check.is_some_and(|at| at.elapsed() < SCHEMA_TTL)
            && self.database.has_answered_within(time)
    }
}
