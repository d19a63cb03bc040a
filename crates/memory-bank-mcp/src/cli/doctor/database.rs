//! Checks the database: connection, pooler, version, TLS, role, schema, isolation, clock, quotas, and stored events.

use std::sync::Arc;
use std::time::Duration;

use jiff::SignedDuration;
use memory_bank_core::clock::{Clock, SystemClock, iso_millis};
use memory_bank_core::search::ModelId;
use memory_bank_core::store::{NoSink, TextIndex as _};
use memory_bank_postgres::{
    CertificateCheck, ConnectError, Database, Diagnosis, MigrateError, Pooling, ProjectBytes, StoredBytes,
};

use crate::cli::doctor::findings::Findings;
use crate::cli::doctor::{embeddings, key};
use crate::config::{DatabaseSettings, Provider, Settings};
use crate::database::{advice, how_to_set_up, lacking, open};

/// Time-out of all queries together, once the database has answered.
const WAIT: Duration = Duration::from_secs(15);
/// The oldest and the newest tested version.
const VERSIONS: std::ops::RangeInclusive<i32> = 15..=18;
/// A round trip that users notice, since each call has one or two.
const SLOW: Duration = Duration::from_millis(50);

/// Checks the database, and a key in it.
pub(crate) async fn check(
    wanted: &DatabaseSettings,
    settings: &Settings,
    key: Option<&str>,
    model: Option<&ModelId>,
    findings: &mut Findings,
) {
    let database = match open(wanted, Arc::new(NoSink)) {
        Ok(database) => database,
        Err(error) => {
            return findings.error(
                "database",
                format!("{error:#}"),
                format!("correct `{}` (or `DB_SSL_ROOT_CERT`)", wanted.variable),
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
                format!("change `{}` to the session pooler's address", wanted.variable),
            );
        }
        Ok(pooling) => findings_of_pooling(pooling, findings),
    }
    let mut found = Findings::default();
    let in_time = tokio::time::timeout(WAIT, ask(&database, wanted, settings, key, model, &mut found)).await;
    findings.extend(found);
    if in_time.is_err() {
        findings.error(
            "database",
            format!("it did not answer all checks within {} s", WAIT.as_secs()),
            "check its activity (`SELECT * FROM pg_stat_activity`) and its locks",
        );
    }
}

fn findings_of_pooling(pooling: Pooling, findings: &mut Findings) {
    match pooling {
        Pooling::Kept => findings.ok("database.pooler", "connections keep their sessions"),
        Pooling::Unknown(why) => findings.warning(
            "database.pooler",
            format!("unknown whether connections keep their sessions: {why}"),
            "run a pooler in between in session mode",
        ),
        _ => {}
    }
}

async fn ask(
    database: &Database,
    wanted: &DatabaseSettings,
    settings: &Settings,
    key: Option<&str>,
    model: Option<&ModelId>,
    findings: &mut Findings,
) {
    let diagnosis = match database.diagnose().await {
        Ok(diagnosis) => diagnosis,
        Err(error) => {
            return findings.error("database", error.to_string(), "check the database's log");
        }
    };
    server(&diagnosis, wanted, database.certificate_check(), findings);
    role(&diagnosis, wanted.provider, findings);
    if schema(database, wanted.provider, findings).await {
        match database.prove_isolation().await {
            Ok(()) => findings.ok("database.isolation", "projects are isolated"),
            Err(error) => findings.error(
                "database.isolation",
                error.to_string(),
                "the server will not start; follow the message",
            ),
        }
        kept(database, settings.http.event_retention, findings).await;
        not_indexed(database, findings).await;
        stored(database, wanted.default_quota, findings).await;
        if let Some(model) = model {
            embeddings::of_database(database, model, findings).await;
        }
        if let Some(key) = key {
            key::judge(database, key, findings).await;
        }
    }
    strangers(&diagnosis, findings);
}

fn server(
    diagnosis: &Diagnosis,
    wanted: &DatabaseSettings,
    check: CertificateCheck,
    findings: &mut Findings,
) {
    let Diagnosis { version, round_trip, clock_ahead, connections_allowed, .. } = diagnosis;
    let major = diagnosis.version_number / 10_000;
    if VERSIONS.contains(&major) {
        findings.ok("database", format!("PostgreSQL {version} answers"));
    } else if major < *VERSIONS.start() {
        findings.error("database", format!("PostgreSQL {version} is too old"), "use PostgreSQL 15 or later");
    } else {
        findings.warning(
            "database",
            format!("PostgreSQL {version} is newer than the versions that this server was tested with"),
            "check for a newer memory-bank-mcp",
        );
    }
    line(diagnosis, check, findings);
    let round_trip_text = format!("{:.1} ms a round trip", round_trip.as_secs_f64() * 1000.0);
    if *round_trip > SLOW {
        findings.warning(
            "database.latency",
            round_trip_text,
            "run the server near the database: a read takes one round trip, an edit two",
        );
    } else {
        findings.ok("database.latency", round_trip_text);
    }
    let off = format!("{:.1} s apart", clock_ahead.unsigned_abs() as f64 / 1000.0);
    match clock_ahead.unsigned_abs() {
        0..=2000 => findings.ok("clock", "the clocks of this machine and the database agree"),
        2001..=60_000 => findings.warning(
            "clock",
            format!("the clocks of this machine and the database are {off}"),
            "synchronise both with NTP: keys and sessions expire by them",
        ),
        _ => findings.error(
            "clock",
            format!("the clocks of this machine and the database are {off}"),
            "synchronise both with NTP: keys and sessions expire by them",
        ),
    }
    let pool = i64::try_from(wanted.connections).unwrap_or(i64::MAX);
    let message = format!(
        "{pool} connections for this server, {connections_allowed} for all of the database's clients"
    );
    if pool.saturating_add(5) > *connections_allowed {
        findings.warning(
            "database.connections",
            message,
            "lower `DB_MAX_CONNECTIONS`, or raise `max_connections`",
        );
    } else {
        findings.ok("database.connections", message);
    }
}

fn line(diagnosis: &Diagnosis, check: CertificateCheck, findings: &mut Findings) {
    match (diagnosis.encrypted, check, diagnosis.private) {
        (true, CertificateCheck::Full, _) => findings.ok(
            "database.tls",
            "the line is encrypted, and the certificate is checked with the host's name",
        ),
        (true, CertificateCheck::Authority, true) => findings.ok(
            "database.tls",
            "the line is encrypted, and the certificate's authority is checked, in a private network",
        ),
        (true, CertificateCheck::Authority, false) => findings.warning(
            "database.tls",
            "the line is encrypted, and the certificate's authority is checked, but not the host's name: any server with a \
             certificate of that authority is believed",
            "write `sslmode=verify-full` in the connection string",
        ),
        (true, CertificateCheck::Nothing, true) => {
            findings.ok("database.tls", "the line is encrypted, in a private network");
        }
        (false, _, true) => findings.ok("database.tls", "the line is not encrypted, in a private network"),
        (true, CertificateCheck::Nothing, false) => findings.warning(
            "database.tls",
            "the line is encrypted, but any server that answers is trusted",
            "set `DB_SSL_ROOT_CERT`, or add `sslmode=verify-full` to the connection string",
        ),
        (false, _, false) => findings.warning(
            "database.tls",
            "the connection is not encrypted, and leaves the private network",
            "enable TLS at the database, and remove `sslmode=disable` from the connection string",
        ),
    }
}

fn role(diagnosis: &Diagnosis, provider: Provider, findings: &mut Findings) {
    let login = &diagnosis.login;
    if diagnosis.superuser {
        findings.warning(
            "database.role",
            format!("`{login}` is a superuser; the server needs fewer rights"),
            "log in as a role that is a member of app_server and nothing else: CREATE ROLE … LOGIN PASSWORD …; GRANT app_server TO …",
        );
    } else if diagnosis.bypasses_rls && provider == Provider::Postgres {
        findings.warning(
            "database.role",
            format!("`{login}` is exempt from row-level security; every statement on a project's data runs as app_user"),
            "ALTER ROLE … NOBYPASSRLS, if nothing else needs it",
        );
    } else {
        findings.ok("database.role", format!("`{login}` is not a superuser"));
    }
}

/// Checks the migrations.
async fn schema(database: &Database, provider: Provider, findings: &mut Findings) -> bool {
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
    let missing: Vec<&str> =
        migrations.iter().filter(|one| one.applied_at.is_none()).map(|one| one.version).collect();
    if missing.is_empty() {
        findings.ok("database.migrations", format!("all {} are applied", migrations.len()));
        return true;
    }
    let message = lacking(&missing);
    match provider {
        Provider::Supabase => findings.error("database.migrations", message, how_to_set_up(&missing)),
        Provider::Postgres => findings.warning(
            "database.migrations",
            message,
            format!("{}; the server does this at its start, if its role may", how_to_set_up(&missing)),
        ),
    }
    false
}

async fn kept(database: &Database, retention: Duration, findings: &mut Findings) {
    let kept = match database.kept_for_replay().await {
        Ok(kept) => kept,
        Err(error) => {
            return findings.warning(
                "database.events",
                error.to_string(),
                "run migrations/003_functions.sql again",
            );
        }
    };
    let when = |at: Option<jiff::Timestamp>| at.map_or_else(|| "-".to_owned(), iso_millis);
    let events = match kept.events {
        0 => "0 events for replay".to_owned(),
        events => format!("{events} events for replay, from {} to {}", when(kept.oldest), when(kept.newest)),
    };
    let message = format!("{events}; {} sessions, {} of them expired", kept.sessions, kept.expired_sessions);
    // Clean-up runs every few minutes. Events are deleted with their partition, whose width is a 24th of the
    // retention, rounded up to hours.
    let wide = retention.as_secs().div_ceil(24 * 3600).max(1);
    let grace = SignedDuration::from_hours(1 + i64::try_from(wide).unwrap_or(48));
    let oldest_allowed = SignedDuration::try_from(retention)
        .ok()
        .and_then(|retention| SystemClock.now().checked_sub(retention + grace).ok());
    let overdue = kept.oldest.zip(oldest_allowed).is_some_and(|(oldest, allowed)| oldest < allowed);
    if overdue {
        findings.warning(
            "database.events",
            format!("{message}; some are older than `EVENT_RETENTION_HOURS`"),
            "no server has cleaned up recently: check whether one runs, and its log",
        );
    } else {
        findings.ok("database.events", message);
    }
}

/// Documents without a search vector.
async fn not_indexed(database: &Database, findings: &mut Findings) {
    /// More than these have waited for longer than a server takes.
    const MANY: u64 = 10_000;
    match database.count_stale().await {
        Ok(0) => findings.ok("database.text_index", "every document has a search vector"),
        Ok(count) if count < MANY => findings.ok(
            "database.text_index",
            format!("{count} documents have no search vector yet: a server fills them every five minutes"),
        ),
        Ok(_) => findings.warning(
            "database.text_index",
            format!("{MANY} documents or more have no search vector"),
            "see whether a server runs: it computes them in the background, and `app.search_documents` is slow until then",
        ),
        Err(error) => findings.warning(
            "database.text_index",
            error.to_string(),
            "run migrations/003_functions.sql again",
        ),
    }
}

/// The stored bytes of projects, with their quotas.
async fn stored(database: &Database, default_quota: u64, findings: &mut Findings) {
    /// How many projects are listed.
    const NAMED: usize = 20;
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
    fullest.sort_by(|(one, _), (other, _)| other.total_cmp(one));
    let is_full = fullest.first().is_some_and(|(full, _)| *full >= 0.9);
    let mut message: Vec<String> = fullest.into_iter().take(NAMED).map(|(_, text)| text).collect();
    if projects.len() > NAMED {
        message.push(format!("{} more", projects.len() - NAMED));
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

fn strangers(diagnosis: &Diagnosis, findings: &mut Findings) {
    if !diagnosis.foreign_rights.is_empty() {
        findings.error(
            "database.rights",
            diagnosis.foreign_rights.join("; "),
            "run migrations/002_policies.sql (on Supabase: supabase/setup/002_policies.sql) again, and all after it",
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::doctor::findings::Level;

    fn wanted() -> DatabaseSettings {
        DatabaseSettings {
            provider: Provider::Postgres,
            url: "postgres://h/d".to_owned(),
            connections: 20,
            index_memory: memory_bank_core::search::IndexBudget::default(),
            default_quota: 0,
            root_certificate: None,
            variable: "DATABASE_URL",
        }
    }

    fn well() -> Diagnosis {
        Diagnosis {
            version: "17.2".to_owned(),
            version_number: 170_002,
            encrypted: true,
            private: true,
            login: "mbmcp".to_owned(),
            superuser: false,
            bypasses_rls: false,
            connections_allowed: 100,
            clock_ahead: -1500,
            round_trip: Duration::from_millis(1),
            foreign_rights: Vec::new(),
        }
    }

    fn found(diagnosis: &Diagnosis, wanted: &DatabaseSettings) -> Findings {
        found_with(diagnosis, wanted, CertificateCheck::Nothing)
    }

    fn found_with(diagnosis: &Diagnosis, wanted: &DatabaseSettings, check: CertificateCheck) -> Findings {
        let mut findings = Findings::default();
        server(diagnosis, wanted, check, &mut findings);
        role(diagnosis, wanted.provider, &mut findings);
        findings
    }

    #[track_caller]
    fn one(level: Level, words: &str, diagnosis: &Diagnosis) {
        let findings = found(diagnosis, &wanted());
        assert!(findings.count(level) == 1 && findings.text().contains(words), "{}", findings.text());
    }

    #[test]
    fn a_clock_that_is_off_is_a_warning_and_one_that_is_far_off_an_error() {
        assert_eq!(found(&well(), &wanted()).count(Level::Ok), 6);
        one(Level::Warning, "30.0 s apart", &Diagnosis { clock_ahead: -30_000, ..well() });
        one(Level::Error, "90.5 s apart", &Diagnosis { clock_ahead: 90_500, ..well() });
    }

    #[test]
    fn versions_that_are_not_tested_and_long_ways_are_told() {
        let old = Diagnosis { version: "14.9".to_owned(), version_number: 140_009, ..well() };
        one(Level::Error, "PostgreSQL 14.9 is too old", &old);
        let new = Diagnosis { version: "19beta1".to_owned(), version_number: 190_000, ..well() };
        one(Level::Warning, "newer than the versions", &new);
        one(Level::Warning, "80.0 ms", &Diagnosis { round_trip: Duration::from_millis(80), ..well() });
    }

    #[test]
    fn outside_a_private_network_the_line_is_to_be_encrypted_and_the_certificate_checked() {
        one(Level::Warning, "any server that answers is trusted", &Diagnosis { private: false, ..well() });
        one(Level::Warning, "not encrypted", &Diagnosis { private: false, encrypted: false, ..well() });
        let public = Diagnosis { private: false, ..well() };
        assert_eq!(found_with(&public, &wanted(), CertificateCheck::Full).count(Level::Warning), 0);
        let authority = found_with(&public, &wanted(), CertificateCheck::Authority);
        assert!(authority.count(Level::Warning) == 1 && authority.text().contains("not the host's name"));
        // A line that is not encrypted is never called checked.
        let plain = found_with(&Diagnosis { encrypted: false, ..public }, &wanted(), CertificateCheck::Full);
        assert!(plain.count(Level::Warning) == 1 && plain.text().contains("not encrypted"));
    }

    #[test]
    fn a_role_that_bypasses_row_level_security_is_usual_on_supabase_alone() {
        let bypassing = Diagnosis { bypasses_rls: true, ..well() };
        one(Level::Warning, "exempt from row-level security", &bypassing);
        let supabase = DatabaseSettings { provider: Provider::Supabase, ..wanted() };
        assert_eq!(found(&bypassing, &supabase).count(Level::Warning), 0);
    }
}
