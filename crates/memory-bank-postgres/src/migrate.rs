//! Migrations. The files in `migrations/` are embedded; each contains its own transaction and records itself in
//! `schema_migrations`, so that they may also be run by hand.

use std::io::{self, Read};

use flate2::read::ZlibDecoder;
use memory_bank_core::error::StoreError;
use tokio_postgres::error::SqlState;
use tokio_postgres::types::Type;
use tokio_postgres::{Client, Error};

use crate::connection_guard::ConnectionGuard;
use crate::database::Database;
use crate::error::describe;
use crate::statements::only_row;

/// The files in the order of their numbers: version and text, compressed by the build script; see [`script_text`]. The only list of them; a test compares it with `migrations/`,
/// with the copies for Supabase and with the mounts of Compose.
pub const MIGRATIONS: [(&str, &[u8]); 3] = [
    ("001_schema", include_bytes!(concat!(env!("OUT_DIR"), "/001_schema.sql"))),
    ("002_policies", include_bytes!(concat!(env!("OUT_DIR"), "/002_policies.sql"))),
    ("003_functions", include_bytes!(concat!(env!("OUT_DIR"), "/003_functions.sql"))),
];

/// The text of a script in [`MIGRATIONS`].
///
/// # Errors
/// It was not compressed by the build script.
pub fn script_text(compressed: &[u8]) -> io::Result<String> {
    let mut text = String::new();
    ZlibDecoder::new(compressed).read_to_string(&mut text)?;
    Ok(text)
}

/// Whether a version before 2.0 created this schema. It had nine scripts, the first three with today's names; today's
/// schema has this table from its first script on.
const BEFORE_TWO: &str = "SELECT EXISTS (SELECT FROM public.schema_migrations WHERE version ~ '^00[4-9]_') \
    OR EXISTS (SELECT FROM public.schema_migrations WHERE version = '001_schema') AND NOT EXISTS ( \
      SELECT FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
      WHERE n.nspname = 'app' AND c.relname = 'files')";

/// Replicas that start together migrate one after the other. An arbitrary lock number.
const LOCK: i64 = 0x6d62_6d63_705f_6d31;

/// One migration and whether it was applied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Migration {
    /// The file's name without its extension.
    pub version: &'static str,
    /// When it was applied.
    pub applied_at: Option<jiff::Timestamp>,
}

/// Why the schema could not be brought up to date.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MigrateError {
    /// A file failed; the database is as it was before that file.
    #[error("migration `{version}` failed: {reason}")]
    Failed {
        /// Which.
        version: &'static str,
        /// The database's message.
        reason: String,
    },
    /// The login role may not change the schema; the database is as it was.
    #[error(
        "migration `{version}` is missing and this login role may not apply it ({reason}); run `memory-bank-mcp migrate` as the database's owner, who must be allowed to make roles (CREATEROLE)"
    )]
    Denied {
        /// Which.
        version: &'static str,
        /// The database's message.
        reason: String,
    },
    /// A version before 2.0 created the schema; nothing was changed.
    #[error(
        "this database was made before memory-bank-mcp 2.0, and nothing in it was changed; write each project into a folder with `memory-bank-mcp export` of the version that made it, make a new database, run `memory-bank-mcp migrate` there and bring the folders in with `memory-bank-mcp import`"
    )]
    BeforeTwo,
    /// A transaction pooler is in between; nothing was changed.
    #[error(
        "this needs one session of the database from begin to end, which a transaction pooler does not give: run it with `DB_POOLER=session` and a connection string that leads to the database itself, or to a session pooler"
    )]
    NeedsSession,
    /// The query failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Database {
    /// All migrations, with the time at which each was applied.
    ///
    /// # Errors
    /// The query fails, or a version before 2.0 created the schema.
    pub async fn migrations(&self) -> Result<Vec<Migration>, MigrateError> {
        let statements = &self.pool.statements;
        if statements.keeps_sessions() {
            return status(&*self.connection().await?).await;
        }
        let connection = ConnectionGuard::open(&self.pool).await?;
        let client = connection.client()?;
        let failed = |error: Error| StoreError::Unavailable(describe(&error));
        client.batch_execute(&statements.begin("BEGIN READ ONLY")).await.map_err(failed)?;
        let status = status(client).await;
        client.batch_execute("ROLLBACK").await.map_err(failed)?;
        connection.release();
        status
    }

    /// Applies missing migrations in order, and returns their versions.
    ///
    /// # Errors
    /// A file or a query fails, or a version before 2.0 created the schema.
    pub async fn migrate(&self) -> Result<Vec<&'static str>, MigrateError> {
        // The connection is closed afterwards, which releases the lock in any case.
        let client = self.session().await?;
        let failed = |error: Error| StoreError::Unavailable(describe(&error));
        // Other migrations may take long, and so may an index on much data.
        client.batch_execute("SET statement_timeout = 0; SET lock_timeout = 0").await.map_err(failed)?;
        client.execute("SELECT pg_advisory_lock($1)", &[&LOCK]).await.map_err(failed)?;
        let mut applied = Vec::new();
        for migration in status(&client).await? {
            let Some((version, sql)) = MIGRATIONS
                .iter()
                .find(|(version, _)| *version == migration.version && migration.applied_at.is_none())
            else {
                continue;
            };
            let sql = script_text(sql)
                .map_err(|error| MigrateError::Failed { version, reason: error.to_string() })?;
            client.batch_execute(&sql).await.map_err(|error| {
                let reason = describe(&error);
                match error.code() {
                    Some(code) if *code == SqlState::INSUFFICIENT_PRIVILEGE => {
                        MigrateError::Denied { version, reason }
                    }
                    _ => MigrateError::Failed { version, reason },
                }
            })?;
            applied.push(*version);
        }
        Ok(applied)
    }
}

/// Whether all migrations were applied, in one statement. It fails where none ever was.
pub(crate) async fn all_applied(client: &Client) -> Result<bool, Error> {
    let versions: Vec<&str> = MIGRATIONS.iter().map(|(version, _)| *version).collect();
    let applied = format!(
        "SELECT NOT ({BEFORE_TWO}) AND (SELECT count(DISTINCT m.version) = cardinality($1) \
         FROM public.schema_migrations m WHERE m.version = ANY ($1))"
    );
    let rows = client.query_typed(&applied, &[(&versions, Type::TEXT_ARRAY)]).await?;
    rows.first().map_or(Ok(false), |row| row.try_get(0))
}

async fn status(client: &Client) -> Result<Vec<Migration>, MigrateError> {
    let failed = |error: Error| StoreError::Unavailable(describe(&error));
    let holds = async |question: &str| match only_row(client, question).await.map_err(failed)? {
        Some(row) => row.try_get::<_, bool>(0).map_err(failed),
        None => Ok(false),
    };
    let rows = if holds("SELECT to_regclass('public.schema_migrations') IS NOT NULL").await? {
        if holds(BEFORE_TWO).await? {
            return Err(MigrateError::BeforeTwo);
        }
        let all = "SELECT version, applied_at FROM public.schema_migrations";
        client.query_typed(all, &[]).await.map_err(failed)?
    } else {
        Vec::new()
    };
    let mut known = std::collections::HashMap::new();
    for row in rows {
        known.insert(
            row.try_get::<_, String>(0).map_err(failed)?,
            row.try_get::<_, jiff::Timestamp>(1).map_err(failed)?,
        );
    }
    Ok(MIGRATIONS
        .iter()
        .map(|(version, _)| Migration { version, applied_at: known.get(*version).copied() })
        .collect())
}
