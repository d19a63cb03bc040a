//! Opens the database: connects, migrates, and checks that tenants are isolated.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, anyhow, bail};
use memory_bank_core::clock::{SystemClock, SystemEntropy};
use memory_bank_core::store::ChangeSink;
use memory_bank_postgres::{
    Cause, ConnectError, Database, DatabaseOptions, Deps, MigrateError, PoolerMode, Pooling, SearchOptions,
    TrustOptions,
};
use tokio::time::Instant;

use crate::config::{DatabaseSettings, Provider};

/// How long to retry an unreachable database.
const RETRY_FOR: Duration = Duration::from_secs(30);
/// The pause between attempts.
const RETRY_INTERVAL: Duration = Duration::from_secs(2);

/// A database that is not connected yet. Supabase is reached over the internet: its certificate is verified.
pub(crate) fn open(settings: &DatabaseSettings, sink: Arc<dyn ChangeSink>) -> anyhow::Result<Database> {
    let options = DatabaseOptions {
        url: settings.url.clone(),
        max_connections: settings.connections,
        trust: TrustOptions {
            verify: settings.provider == Provider::Supabase,
            root_certificate: settings.root_certificate.clone(),
        },
        pooler: settings.pooler,
        standby_urls: settings.standby_urls.clone(),
    };
    let deps = Deps { clock: Arc::new(SystemClock), entropy: Arc::new(SystemEntropy), sink };
    let database = Database::new(&options, deps).map_err(|error| {
        let variable = match &error {
            ConnectError::Standby(_) => "DATABASE_REPLICA_URLS",
            _ => settings.variable,
        };
        anyhow::Error::from(error).context(format!("`{variable}` cannot be used"))
    })?;
    Ok(database
        .with_search(&SearchOptions { memory: settings.index_memory })
        .with_default_quota(settings.default_quota)
        .with_history_days(settings.history_days))
}

/// Opens a database, and waits until it answers.
pub(crate) async fn connect(
    settings: &DatabaseSettings,
    sink: Arc<dyn ChangeSink>,
) -> anyhow::Result<Database> {
    Ok(connect_with(settings, sink, check_connection).await?.0)
}

/// Opens a database that servers serve: waits until it answers, has the schema and isolates tenants.
pub(crate) async fn connect_to_serve(
    settings: &DatabaseSettings,
    sink: Arc<dyn ChangeSink>,
) -> anyhow::Result<Database> {
    // Both at once, over connections of their own: nearly every start finds what it needs.
    let check = async |database: &Database| {
        let (pooler, is_prepared) = tokio::join!(check_pooler(database), database.is_prepared());
        pooler?;
        if !is_prepared {
            database.ping().await?;
        }
        Ok(is_prepared)
    };
    let (database, is_prepared) = connect_with(settings, sink, check).await?;
    if is_prepared {
        // The first connection with settings of the session; readiness waits for it, and the start need not.
        let database = database.clone();
        tokio::spawn(async move {
            if let Err(error) = database.ping().await {
                tracing::warn!(%error, "the first connection to the database failed");
            }
        });
    } else {
        prepare(&database, settings.provider).await?;
    }
    Ok(database)
}

async fn connect_with<T>(
    settings: &DatabaseSettings,
    sink: Arc<dyn ChangeSink>,
    check: impl AsyncFn(&Database) -> Result<T, ConnectError>,
) -> anyhow::Result<(Database, T)> {
    let database = open(settings, sink)?;
    let started = Instant::now();
    for attempt in 1u32.. {
        match check(&database).await {
            Ok(found) => return Ok((database, found)),
            Err(ConnectError::Unreachable(why)) if why.may_pass() && started.elapsed() < RETRY_FOR => {
                tracing::warn!(attempt, error = %why, "waiting for the database");
                tokio::time::sleep(RETRY_INTERVAL.min(RETRY_FOR.saturating_sub(started.elapsed()))).await;
            }
            Err(ConnectError::Unreachable(why)) => {
                let advice = advice(why.cause);
                let waited = started.elapsed().as_secs();
                bail!(
                    "the database of `{}` could not be reached in {waited} s: {why}; {advice}",
                    settings.variable
                );
            }
            Err(error) => {
                return Err(error).with_context(|| format!("`{}` cannot be used", settings.variable));
            }
        }
    }
    bail!("the database could not be reached")
}

/// Checks for a pooler before the first session gets settings: a pooler would keep them for sessions of other users.
async fn check_connection(database: &Database) -> Result<(), ConnectError> {
    check_pooler(database).await?;
    database.ping().await
}

async fn check_pooler(database: &Database) -> Result<(), ConnectError> {
    match database.pooling().await? {
        Pooling::Unknown(why) => tracing::warn!(why, "the check for a transaction pooler failed"),
        Pooling::Transaction => {
            tracing::info!(
                prepared = database.prepares_statements(),
                "each transaction may get another session of the database, as `DB_POOLER=transaction` says"
            );
        }
        _ => {}
    }
    Ok(())
}

/// The remedy for an unreachable database.
pub(crate) fn advice(cause: Cause) -> &'static str {
    match cause {
        Cause::UnknownHost => "correct the host in the connection string, or the DNS",
        Cause::Refused => {
            "nothing listens there: correct host and port, or start PostgreSQL (`docker compose ps` shows whether it runs)"
        }
        Cause::Silent => "nothing answers there: correct host and port, and check the firewalls in between",
        Cause::Authentication => {
            "correct user and password; in a connection string, characters such as @, :, / and % are written %40, %3A, %2F and %25"
        }
        Cause::NotAdmitted => {
            "allow this user from this address, in pg_hba.conf or with GRANT CONNECT ON DATABASE"
        }
        Cause::TlsNeeded => "the server accepts encrypted connections only: remove `sslmode=disable`",
        Cause::TlsMissing => {
            "the server offers no encryption: in a network that you trust, add `?sslmode=disable`"
        }
        Cause::Tls => {
            "set `DB_SSL_ROOT_CERT` to the file of the authority that signed the server's certificate (Supabase's own is built in, for hosts below supabase.co and supabase.com), and use the host's name as the certificate has it"
        }
        Cause::NoDatabase => {
            "create the database with `createdb`, or correct the name at the end of the connection string"
        }
        Cause::TooManyConnections => "lower `DB_MAX_CONNECTIONS`, or raise `max_connections` of the server",
        Cause::Starting => "it is starting or stopping: wait, and check its log",
        Cause::UnknownTenant => {
            "correct user and host: the user is `postgres.` and the project's reference, and the host has the project's region"
        }
        _ => "check the database's log",
    }
}

/// Checks that the schema exists and isolates tenants. Supabase's schema is never changed automatically.
async fn prepare(database: &Database, provider: Provider) -> anyhow::Result<()> {
    let missing = missing_migrations(database).await?;
    if !missing.is_empty() && provider == Provider::Supabase {
        return Err(missing_error(&missing));
    }
    if !missing.is_empty() && database.pooler_mode() == PoolerMode::Transaction {
        bail!(
            "the schema lacks {}: run `memory-bank-mcp migrate` with `DB_POOLER=session` and a connection string that leads to the \
             database itself, or to a session pooler",
            missing.join(", ")
        );
    }
    if !missing.is_empty() {
        migrate(database).await?;
    }
    database
        .prove_isolation()
        .await
        .context("the database does not isolate tenants; the server does not start")
}

/// Checks that the schema is known, for a command of the owner. Missing migrations are not applied: use `migrate`.
pub(crate) async fn require_owner(database: &Database, settings: &DatabaseSettings) -> anyhow::Result<()> {
    let missing = missing_migrations(database).await?;
    if !missing.is_empty() {
        return Err(missing_error(&missing));
    }
    let (login, is_owner) = database.ownership().await?;
    if !is_owner {
        bail!(
            "this command needs the connection string of the schema's owner, the role that ran `memory-bank-mcp migrate`; the \
             one in `{}` logs in as `{login}`, which may only serve",
            settings.variable
        );
    }
    Ok(())
}

async fn missing_migrations(database: &Database) -> anyhow::Result<Vec<&'static str>> {
    match database.migrations().await {
        Ok(migrations) => Ok(migrations
            .iter()
            .filter(|migration| migration.applied_at.is_none())
            .map(|migration| migration.version)
            .collect()),
        Err(error @ MigrateError::BeforeTwo) => Err(error.into()),
        Err(error) => Err(anyhow::Error::from(error)
            .context("the schema cannot be read; `memory-bank-mcp doctor` reports what to fix")),
    }
}

fn missing_error(missing: &[&str]) -> anyhow::Error {
    anyhow!("{}; {}", missing_message(missing), migration_advice(missing))
}

/// The message about missing migrations.
pub(crate) fn missing_message(missing: &[&str]) -> String {
    format!("the database lacks {}", missing.join(", "))
}

/// Applies missing migrations. With a login role that may only serve, it waits for some time until another process
/// applies them, such as another container or a job of the cluster.
async fn migrate(database: &Database) -> anyhow::Result<()> {
    let started = Instant::now();
    loop {
        match database.migrate().await {
            Ok(applied) => {
                tracing::info!(applied = applied.join(", "), "the schema is up to date");
                return Ok(());
            }
            Err(error @ MigrateError::Denied { .. }) if started.elapsed() + RETRY_INTERVAL < RETRY_FOR => {
                tracing::warn!(%error, "waiting for the schema");
                tokio::time::sleep(RETRY_INTERVAL).await;
            }
            Err(error) => return Err(error.into()),
        }
    }
}

/// How to apply missing migrations.
pub(crate) fn migration_advice(missing: &[&str]) -> String {
    let files: Vec<String> = missing.iter().map(|version| format!("supabase/setup/{version}.sql")).collect();
    format!(
        "run {} in this order, in the SQL editor or with `psql -f`; or run `memory-bank-mcp migrate`",
        files.join(", ")
    )
}
