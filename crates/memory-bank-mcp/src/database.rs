//! From settings to a database that can be used: reached, migrated, and proved to keep tenants apart.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use memory_bank_core::clock::{SystemClock, SystemEntropy};
use memory_bank_core::store::ChangeSink;
use memory_bank_postgres::{
    ConnectError, Database, DatabaseOptions, MigrateError, Surroundings, TrustOptions,
};
use tokio::time::Instant;

use crate::config::{DatabaseSettings, Provider};

/// How long a database that cannot be reached is tried again.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long to wait between tries.
const PAUSE: Duration = Duration::from_secs(2);

/// A database that was not spoken to yet. Supabase is reached over the internet: its certificate is checked.
pub(crate) fn open(settings: &DatabaseSettings, sink: Arc<dyn ChangeSink>) -> anyhow::Result<Database> {
    let options = DatabaseOptions {
        url: settings.url.clone(),
        max_connections: settings.connections,
        trust: TrustOptions {
            verify: settings.provider == Provider::Supabase,
            root_certificate: settings.root_certificate.clone(),
        },
    };
    let around = Surroundings { clock: Arc::new(SystemClock), entropy: Arc::new(SystemEntropy), sink };
    Database::new(&options, around).with_context(|| format!("`{}` cannot be used", settings.variable))
}

/// Opens a database, and waits for it to answer.
pub(crate) async fn reach(
    settings: &DatabaseSettings,
    sink: Arc<dyn ChangeSink>,
) -> anyhow::Result<Database> {
    let database = open(settings, sink)?;
    let began = Instant::now();
    for attempt in 1u32.. {
        match database.ping().await {
            Ok(()) => return Ok(database),
            Err(error @ ConnectError::Unreachable(_)) if began.elapsed() + PAUSE < PATIENCE => {
                tracing::warn!(attempt, %error, "waiting for the database");
                tokio::time::sleep(PAUSE).await;
            }
            Err(error) => return Err(error).context("the database could not be reached in time"),
        }
    }
    bail!("the database could not be reached")
}

/// Makes sure that the schema is there and keeps tenants apart. Supabase's is never changed unasked.
pub(crate) async fn make_ready(database: &Database, provider: Provider) -> anyhow::Result<()> {
    let missing: Vec<&str> = database
        .migrations()
        .await?
        .into_iter()
        .filter(|migration| migration.applied_at.is_none())
        .map(|migration| migration.version)
        .collect();
    if !missing.is_empty() && provider == Provider::Supabase {
        bail!(
            "the database lacks {}; run `memory-bank-mcp migrate`, or the files in supabase/setup",
            missing.join(", ")
        );
    }
    if !missing.is_empty() {
        bring_up_to_date(database).await?;
    }
    database
        .prove_isolation()
        .await
        .context("the database does not keep tenants apart; the server does not start")
}

/// Applies what is missing. A login role that may only serve waits a while for whoever may: a container beside it, or
/// a job of the cluster.
async fn bring_up_to_date(database: &Database) -> anyhow::Result<()> {
    let began = Instant::now();
    loop {
        match database.migrate().await {
            Ok(applied) => {
                tracing::info!(applied = applied.join(", "), "the schema is up to date");
                return Ok(());
            }
            Err(error @ MigrateError::Denied { .. }) if began.elapsed() + PAUSE < PATIENCE => {
                tracing::warn!(%error, "waiting for the schema");
                tokio::time::sleep(PAUSE).await;
            }
            Err(error) => return Err(error.into()),
        }
    }
}
