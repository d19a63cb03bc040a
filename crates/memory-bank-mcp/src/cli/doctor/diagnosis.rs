//! Checks what the database reports about its server and this login: version, TLS, latency, clock, connections, role and
//! rights of others.

use std::ops::RangeInclusive;
use std::time::Duration;

use memory_bank_postgres::{CertificateCheck, Diagnosis};

use crate::cli::doctor::findings::Findings;
use crate::config::{DatabaseSettings, Provider};

/// The oldest and the newest tested version.
const TESTED_VERSIONS: RangeInclusive<i32> = 15..=18;
/// A longer round trip is a warning: users notice it, since each call has one or two.
const SLOW_ROUND_TRIP: Duration = Duration::from_millis(50);

/// Checks the server and the login role.
pub(super) fn check(
    diagnosis: &Diagnosis,
    settings: &DatabaseSettings,
    certificate: CertificateCheck,
    findings: &mut Findings,
) {
    check_version(diagnosis, findings);
    check_tls(diagnosis, certificate, findings);
    check_latency(diagnosis.round_trip, findings);
    check_clock(diagnosis.clock_ahead, findings);
    check_connections(diagnosis.connections_allowed, settings.connections, findings);
    check_role(diagnosis, settings.provider, findings);
}

fn check_version(diagnosis: &Diagnosis, findings: &mut Findings) {
    let version = &diagnosis.version;
    let major = diagnosis.version_number / 10_000;
    if TESTED_VERSIONS.contains(&major) {
        findings.ok("database", format!("PostgreSQL {version} answers"));
    } else if major < *TESTED_VERSIONS.start() {
        findings.error("database", format!("PostgreSQL {version} is too old"), "use PostgreSQL 15 or later");
    } else {
        findings.warning(
            "database",
            format!("PostgreSQL {version} is newer than the versions that this server was tested with"),
            "check for a newer memory-bank-mcp",
        );
    }
}

fn check_latency(round_trip: Duration, findings: &mut Findings) {
    let message = format!("{:.1} ms per round trip", round_trip.as_secs_f64() * 1000.0);
    if round_trip > SLOW_ROUND_TRIP {
        findings.warning(
            "database.latency",
            message,
            "run the server near the database: a read takes one round trip, an edit two",
        );
    } else {
        findings.ok("database.latency", message);
    }
}

fn check_clock(ahead_millis: i64, findings: &mut Findings) {
    let off = ahead_millis.unsigned_abs();
    let message =
        format!("the clocks of this machine and the database are {:.1} s apart", off as f64 / 1000.0);
    let advice = "synchronise both with NTP: keys and sessions expire by them";
    match off {
        0..=2000 => findings.ok("clock", "the clocks of this machine and the database agree"),
        2001..=60_000 => findings.warning("clock", message, advice),
        _ => findings.error("clock", message, advice),
    }
}

fn check_connections(allowed: i64, configured: usize, findings: &mut Findings) {
    let configured = i64::try_from(configured).unwrap_or(i64::MAX);
    let message =
        format!("{configured} connections for this server, {allowed} for all of the database's clients");
    if configured.saturating_add(5) > allowed {
        findings.warning(
            "database.connections",
            message,
            "lower `DB_MAX_CONNECTIONS`, or raise `max_connections`",
        );
    } else {
        findings.ok("database.connections", message);
    }
}

fn check_tls(diagnosis: &Diagnosis, certificate: CertificateCheck, findings: &mut Findings) {
    match (diagnosis.encrypted, certificate, diagnosis.private) {
        (true, CertificateCheck::Full, _) => findings.ok(
            "database.tls",
            "the connection is encrypted, and the certificate is checked with the host's name",
        ),
        (true, CertificateCheck::Authority, true) => findings.ok(
            "database.tls",
            "the connection is encrypted, and the certificate's authority is checked, in a private network",
        ),
        (true, CertificateCheck::Authority, false) => findings.warning(
            "database.tls",
            "the connection is encrypted, and the certificate's authority is checked, but not the host's name: any server \
             with a certificate of that authority is trusted",
            "write `sslmode=verify-full` in the connection string",
        ),
        (true, CertificateCheck::Nothing, true) => {
            findings.ok("database.tls", "the connection is encrypted, in a private network");
        }
        (false, _, true) => {
            findings.ok("database.tls", "the connection is not encrypted, in a private network");
        }
        (true, CertificateCheck::Nothing, false) => findings.warning(
            "database.tls",
            "the connection is encrypted, but any server that answers is trusted",
            "set `DB_SSL_ROOT_CERT`, or add `sslmode=verify-full` to the connection string",
        ),
        (false, _, false) => findings.warning(
            "database.tls",
            "the connection is not encrypted, and leaves the private network",
            "enable TLS at the database, and remove `sslmode=disable` from the connection string",
        ),
    }
}

fn check_role(diagnosis: &Diagnosis, provider: Provider, findings: &mut Findings) {
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

/// Reports rights of other roles on the schema.
pub(super) fn check_foreign_rights(diagnosis: &Diagnosis, findings: &mut Findings) {
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

    fn settings() -> DatabaseSettings {
        DatabaseSettings {
            provider: Provider::Postgres,
            url: "postgres://h/d".to_owned(),
            connections: 20,
            index_memory: memory_bank_core::search::IndexBudget::default(),
            default_quota: 0,
            history_days: 365,
            standby_urls: Vec::new(),
            pooler: memory_bank_postgres::PoolerMode::Session,
            root_certificate: None,
            variable: "DATABASE_URL",
        }
    }

    fn healthy() -> Diagnosis {
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

    fn findings(diagnosis: &Diagnosis, settings: &DatabaseSettings) -> Findings {
        findings_with(diagnosis, settings, CertificateCheck::Nothing)
    }

    fn findings_with(
        diagnosis: &Diagnosis,
        settings: &DatabaseSettings,
        certificate: CertificateCheck,
    ) -> Findings {
        let mut findings = Findings::default();
        check(diagnosis, settings, certificate, &mut findings);
        findings
    }

    #[track_caller]
    fn assert_one(level: Level, words: &str, diagnosis: &Diagnosis) {
        let findings = findings(diagnosis, &settings());
        assert!(findings.count(level) == 1 && findings.text().contains(words), "{}", findings.text());
    }

    #[test]
    fn a_wrong_clock_is_a_warning_and_a_very_wrong_one_an_error() {
        assert_eq!(findings(&healthy(), &settings()).count(Level::Ok), 6);
        assert_one(Level::Warning, "30.0 s apart", &Diagnosis { clock_ahead: -30_000, ..healthy() });
        assert_one(Level::Error, "90.5 s apart", &Diagnosis { clock_ahead: 90_500, ..healthy() });
    }

    #[test]
    fn untested_versions_and_long_round_trips_are_reported() {
        let old = Diagnosis { version: "14.9".to_owned(), version_number: 140_009, ..healthy() };
        assert_one(Level::Error, "PostgreSQL 14.9 is too old", &old);
        let new = Diagnosis { version: "19beta1".to_owned(), version_number: 190_000, ..healthy() };
        assert_one(Level::Warning, "newer than the versions", &new);
        assert_one(
            Level::Warning,
            "80.0 ms",
            &Diagnosis { round_trip: Duration::from_millis(80), ..healthy() },
        );
    }

    #[test]
    fn outside_a_private_network_missing_encryption_or_verification_is_a_warning() {
        assert_one(
            Level::Warning,
            "any server that answers is trusted",
            &Diagnosis { private: false, ..healthy() },
        );
        assert_one(
            Level::Warning,
            "not encrypted",
            &Diagnosis { private: false, encrypted: false, ..healthy() },
        );
        let public = Diagnosis { private: false, ..healthy() };
        assert_eq!(findings_with(&public, &settings(), CertificateCheck::Full).count(Level::Warning), 0);
        let authority = findings_with(&public, &settings(), CertificateCheck::Authority);
        assert!(authority.count(Level::Warning) == 1 && authority.text().contains("not the host's name"));
        // A connection without encryption is never reported as checked.
        let plain =
            findings_with(&Diagnosis { encrypted: false, ..public }, &settings(), CertificateCheck::Full);
        assert!(plain.count(Level::Warning) == 1 && plain.text().contains("not encrypted"));
    }

    #[test]
    fn a_role_that_bypasses_row_level_security_is_usual_on_supabase_alone() {
        let bypassing = Diagnosis { bypasses_rls: true, ..healthy() };
        assert_one(Level::Warning, "exempt from row-level security", &bypassing);
        let supabase = DatabaseSettings { provider: Provider::Supabase, ..settings() };
        assert_eq!(findings(&bypassing, &supabase).count(Level::Warning), 0);
    }
}
