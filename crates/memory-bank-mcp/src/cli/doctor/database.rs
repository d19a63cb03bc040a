//! Checks the database: connection, pooler, schema, isolation, stored events, text index and quotas.

use std::sync::Arc;
use std::time::Duration;

use jiff::SignedDuration;
use memory_bank_core::clock::{Clock, SystemClock, iso_millis};
use memory_bank_core::compact_sort::CompactSort as _;
use memory_bank_core::search::ModelId;
use memory_bank_core::store::{NoSink, TextIndex as _};
use memory_bank_postgres::{ConnectError, Database, MigrateError, Pooling, ProjectBytes, StoredBytes};

use crate::cli::doctor::findings::Findings;
use crate::cli::doctor::{diagnosis, embeddings, key};
use crate::config::{DatabaseSettings, Provider, Settings};
use crate::database::{advice, migration_advice, missing_message, open};

/// Time-out of all queries together, after the database has answered.
const CHECKS_TIMEOUT: Duration = Duration::from_secs(15);

/// Checks the database, and a key in it.
pub(crate) async fn check(
    database_settings: &DatabaseSettings,
    settings: &Settings,
    key: Option<&str>,
    model: Option<&ModelId>,
    findings: &mut Findings,
) {
    let database = match open(database_settings, Arc::new(NoSink)) {
        Ok(database) => database,
        Err(error) => {
            return findings.error(
                "database",
                format!("{error:#}"),
                format!("correct `{}` (or `DB_SSL_ROOT_CERT`)", database_settings.variable),
            );
        }
    };
    match database.pooling().await {
        Err(ConnectError::Unreachable(why)) => {
            return findings.error("database", format!("it cannot be reached: {why}"), advice(why.cause));
        }
        Err(error) => {
            return findings.error(
                "database.pooler",
                error.to_string(),
                format!(
                    "change `{}` to the session pooler's address, or set `DB_POOLER=transaction`",
                    database_settings.variable
                ),
            );
        }
        Ok(pooling) => report_pooling(pooling, &database, findings),
    }
    let mut completed = Findings::default();
    let checks = run_checks(&database, database_settings, settings, key, model, &mut completed);
    let outcome = tokio::time::timeout(CHECKS_TIMEOUT, checks).await;
    findings.extend(completed);
    if outcome.is_err() {
        findings.error(
            "database",
            format!("it did not answer all checks within {} s", CHECKS_TIMEOUT.as_secs()),
            "check its activity (`SELECT * FROM pg_stat_activity`) and its locks",
        );
    }
}

fn report_pooling(pooling: Pooling, database: &Database, findings: &mut Findings) {
    match pooling {
        Pooling::Session => findings.ok("database.pooler", "connections keep their sessions"),
        Pooling::Transaction => findings.ok(
            "database.pooler",
            if database.prepares_statements() {
                "`DB_POOLER=transaction`: each transaction may get another session; prepared statements are carried from one to another"
            } else {
                "`DB_POOLER=transaction`: each transaction may get another session; no prepared statements are carried, so their text is sent each time"
            },
        ),
        Pooling::Unknown(why) => findings.warning(
            "database.pooler",
            format!("it is not known whether connections keep their sessions: {why}"),
            "if a pooler is in between, run it in session mode, or set `DB_POOLER=transaction`",
        ),
        _ => {}
    }
}

async fn run_checks(
    database: &Database,
    database_settings: &DatabaseSettings,
    settings: &Settings,
    key: Option<&str>,
    model: Option<&ModelId>,
    findings: &mut Findings,
) {
    let report = match database.diagnose().await {
        Ok(report) => report,
        Err(error) => {
            return findings.error("database", error.to_string(), "check the database's log");
        }
    };
    diagnosis::check(&report, database_settings, database.certificate_check(), findings);
    if check_schema(database, database_settings.provider, findings).await {
        match database.prove_isolation().await {
            Ok(()) => findings.ok("database.isolation", "projects are isolated"),
            Err(error) => findings.error(
                "database.isolation",
                error.to_string(),
                "do what the message requires; until then the server does not start",
            ),
        }
        check_standbys(database, findings).await;
        check_stored_events(database, settings.http.event_retention, findings).await;
        check_text_index(database, findings).await;
        check_quotas(database, database_settings.default_quota, findings).await;
        if let Some(model) = model {
            embeddings::check_database_vectors(database, model, findings).await;
        }
        if let Some(key) = key {
            key::check(database, key, findings).await;
        }
    }
    diagnosis::check_foreign_rights(&report, findings);
}

/// Checks the migrations; returns whether all are applied.
async fn check_schema(database: &Database, provider: Provider, findings: &mut Findings) -> bool {
    let migrations = match database.migrations().await {
        Ok(migrations) => migrations,
        Err(error @ MigrateError::BeforeTwo) => {
            findings.error(
                "database.migrations",
                error.to_string(),
                "docs/operations.md, \"A database from before 2.0\", has the commands",
            );
            return false;
        }
        Err(error) => {
            findings.error("database.migrations", error.to_string(), "GRANT app_server TO the login role");
            return false;
        }
    };
    let missing: Vec<&str> = migrations
        .iter()
        .filter(|migration| migration.applied_at.is_none())
        .map(|migration| migration.version)
        .collect();
    if missing.is_empty() {
        findings.ok("database.migrations", format!("all {} are applied", migrations.len()));
        return true;
    }
    let message = missing_message(&missing);
    match provider {
        Provider::Supabase => findings.error("database.migrations", message, migration_advice(&missing)),
        Provider::Postgres => findings.warning(
            "database.migrations",
            message,
            format!("{}; the server does this at its start, if its role may", migration_advice(&missing)),
        ),
    }
    false
}

/// Checks the standbys that answer reads.
async fn check_standbys(database: &Database, findings: &mut Findings) {
    for (name, outcome) in database.check_standbys().await {
        match outcome {
            Ok(()) => findings.ok("database.standby", format!("{name} answers reads")),
            Err(reason) => findings.warning(
                "database.standby",
                format!("{name} is left out: {reason}"),
                "correct `DATABASE_REPLICA_URLS`, or start the standby; until then the primary answers its reads",
            ),
        }
    }
}

async fn check_stored_events(database: &Database, retention: Duration, findings: &mut Findings) {
    let stored = match database.kept_for_replay().await {
        Ok(stored) => stored,
        Err(error) => {
            return findings.warning(
                "database.events",
                error.to_string(),
                "run migrations/003_functions.sql again",
            );
        }
    };
    let time_or_dash = |at: Option<jiff::Timestamp>| at.map_or_else(|| "-".to_owned(), iso_millis);
    let events = match stored.events {
        0 => "0 events for replay".to_owned(),
        events => format!(
            "{events} events for replay, from {} to {}",
            time_or_dash(stored.oldest),
            time_or_dash(stored.newest)
        ),
    };
    let message =
        format!("{events}; {} sessions, {} of them expired", stored.sessions, stored.expired_sessions);
    // Clean-up runs every few minutes. Events are deleted with their partition, whose width is a 24th of the
    // retention, rounded up to hours.
    let partition_hours = retention.as_secs().div_ceil(24 * 3600).max(1);
    let grace = SignedDuration::from_hours(1 + i64::try_from(partition_hours).unwrap_or(48));
    let oldest_allowed = SignedDuration::try_from(retention)
        .ok()
        .and_then(|retention| SystemClock.now().checked_sub(retention + grace).ok());
    let is_overdue = stored.oldest.zip(oldest_allowed).is_some_and(|(oldest, allowed)| oldest < allowed);
    if is_overdue {
        findings.warning(
            "database.events",
            format!("{message}; some are older than `EVENT_RETENTION_HOURS`"),
            "no server has cleaned up recently: check whether one runs, and its log",
        );
    } else {
        findings.ok("database.events", message);
    }
}

/// Counts documents without a search vector.
async fn check_text_index(database: &Database, findings: &mut Findings) {
    /// From this number on, no server seems to index documents.
    const MANY: u64 = 10_000;
    match database.count_stale().await {
        Ok(0) => findings.ok("database.text_index", "every document has a search vector"),
        Ok(count) if count < MANY => findings.ok(
            "database.text_index",
            format!("{count} documents have no search vector yet: a server computes them every five minutes"),
        ),
        Ok(_) => findings.warning(
            "database.text_index",
            format!("{MANY} documents or more have no search vector"),
            "check that a server runs: it computes them in the background, and `app.search_documents` is slow until then",
        ),
        Err(error) => findings.warning(
            "database.text_index",
            error.to_string(),
            "run migrations/003_functions.sql again",
        ),
    }
}

/// Compares the stored bytes of projects with their quotas.
async fn check_quotas(database: &Database, default_quota: u64, findings: &mut Findings) {
    /// How many projects are listed.
    const MAX_LISTED: usize = 20;
    let projects = match database.ownership().await {
        Ok((_, true)) => match database.stored_bytes().await {
            Ok(projects) => projects,
            Err(error) => {
                return findings.warning(
                    "database.quota",
                    error.to_string(),
                    "run migrations/003_functions.sql again",
                );
            }
        },
        _ => return findings.ok("database.quota", "stored bytes are shown to the schema's owner only"),
    };
    let mut fullest: Vec<(f64, String)> = projects
        .iter()
        .map(|ProjectBytes { slug, stored }| {
            let StoredBytes { documents, snapshots, others, .. } = stored;
            let total = stored.total();
            let parts = format!("documents {documents}, backups {snapshots}, graph and files {others}");
            match stored.limit(default_quota) {
                Some(limit) => (
                    total as f64 / limit as f64,
                    format!("`{slug}` holds {total} of {limit} bytes ({parts})"),
                ),
                None => (0.0, format!("`{slug}` holds {total} bytes, without a quota ({parts})")),
            }
        })
        .collect();
    fullest.compact_sort_by(|(left, _), (right, _)| right.total_cmp(left));
    let is_full = fullest.first().is_some_and(|(full, _)| *full >= 0.9);
    let mut message: Vec<String> = fullest.into_iter().take(MAX_LISTED).map(|(_, text)| text).collect();
    if projects.len() > MAX_LISTED {
        message.push(format!("{} more", projects.len() - MAX_LISTED));
    }
    if is_full {
        findings.warning(
            "database.quota",
            message.join("; "),
            "delete or shorten documents, or raise the quota with `memory-bank-mcp projects set-quota`",
        );
    } else if message.is_empty() {
        findings.ok("database.quota", "there are no projects yet");
    } else {
        findings.ok("database.quota", message.join("; "));
    }
}
