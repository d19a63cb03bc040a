//! Facts about the database for an operator. Reads the catalog and the clock, and of tenants only numbers and ages.

use std::time::{Duration, Instant};

use jiff::Timestamp;
use memory_bank_core::error::StoreError;

use crate::column::column;
use crate::database::Database;
use crate::error::describe;
use crate::isolation::TENANT_TABLES;
use crate::tenant::Query;

/// The facts that were read.
#[derive(Debug, Clone)]
pub struct Diagnosis {
    /// The server's version, such as `17.2`.
    pub version: String,
    /// The server's version as a number, such as 170002.
    pub version_number: i32,
    /// Whether the connection is encrypted (behind a pooler: the connection to the pooler).
    pub encrypted: bool,
    /// Whether the server is in a private network, or on this machine.
    pub private: bool,
    /// The login role.
    pub login: String,
    /// Whether it is a superuser.
    pub superuser: bool,
    /// Whether it is exempt from row-level security.
    pub bypasses_rls: bool,
    /// Connections that the server allows to all its clients.
    pub connections_allowed: i64,
    /// How far the database's clock is ahead of this process', in milliseconds.
    pub clock_ahead: i64,
    /// One round trip.
    pub round_trip: Duration,
    /// Rights that nobody should have: `anon may SELECT on documents`.
    pub foreign_rights: Vec<String>,
}

/// Events and sessions that are stored for replay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReplayStorage {
    /// Events, up to a million.
    pub events: i64,
    /// When the oldest was stored.
    pub oldest: Option<Timestamp>,
    /// When the newest was stored.
    pub newest: Option<Timestamp>,
    /// Sessions, up to a million.
    pub sessions: i64,
    /// Expired sessions that were not removed yet.
    pub expired_sessions: i64,
}

const SERVER: &str = "SELECT current_setting('server_version'), current_setting('server_version_num')::integer, \
    coalesce((SELECT s.ssl FROM pg_catalog.pg_stat_ssl s WHERE s.pid = pg_backend_pid()), false), \
    coalesce(inet_server_addr() <<= ANY (ARRAY['127.0.0.0/8', '10.0.0.0/8', '172.16.0.0/12', '192.168.0.0/16', \
      '::1/128', 'fc00::/7']::inet[]), true), \
    r.rolname::text, r.rolsuper, r.rolbypassrls, current_setting('max_connections')::bigint \
    FROM pg_catalog.pg_roles r WHERE r.rolname = current_user";

/// Supabase's API roles, and PUBLIC, must have no rights on our objects: schema `app`, the tenant tables and their sequences.
const FOREIGN_RIGHTS: &str = "SELECT format('%s may %s on %s', coalesce(r.rolname, 'everybody'), \
      string_agg(x.privilege_type, ', ' ORDER BY x.privilege_type), c.oid::regclass) \
    FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace, \
      aclexplode(c.relacl) x LEFT JOIN pg_catalog.pg_roles r ON r.oid = x.grantee \
    WHERE (x.grantee = 0 OR r.rolname IN ('anon', 'authenticated', 'service_role')) AND (n.nspname = 'app' \
      OR n.nspname || '.' || c.relname = 'public.schema_migrations' OR n.nspname || '.' || c.relname = ANY ($1) \
      OR EXISTS (SELECT FROM pg_catalog.pg_depend d JOIN pg_catalog.pg_class t ON t.oid = d.refobjid \
          JOIN pg_catalog.pg_namespace m ON m.oid = t.relnamespace \
        WHERE d.classid = 'pg_catalog.pg_class'::regclass AND d.objid = c.oid AND d.deptype IN ('a', 'i') \
          AND d.refclassid = 'pg_catalog.pg_class'::regclass AND m.nspname || '.' || t.relname = ANY ($1))) \
    GROUP BY r.rolname, c.oid ORDER BY 1 LIMIT 50";

const OWNERSHIP: &str = "SELECT session_user::text, pg_has_role(session_user, c.relowner, 'MEMBER') \
    FROM pg_catalog.pg_class c WHERE c.oid = 'public.projects'::regclass";

const REPLAY_STORAGE: &str =
    "SELECT events, oldest, newest, sessions, expired_sessions FROM app.kept_for_replay()";

impl Database {
    /// Reads the facts of server, login role and clock.
    ///
    /// # Errors
    /// A query fails.
    pub async fn diagnose(&self) -> Result<Diagnosis, StoreError> {
        let server = self.only_row(SERVER).await?;
        let tables = TENANT_TABLES.as_slice();
        let foreign = self.call(Query::new(FOREIGN_RIGHTS, &[&tables])).await?;
        let client = self.connection().await?;
        let failed = |error: tokio_postgres::Error| StoreError::Unavailable(describe(&error));
        let began = Instant::now();
        let clock = client.query_typed("SELECT clock_timestamp()", &[]).await.map_err(failed)?;
        let round_trip = began.elapsed();
        let here = self.deps.clock.now();
        let there: Timestamp = match clock.first() {
            Some(row) => column(row, 0)?,
            None => here,
        };
        // The database read its clock half a round trip ago.
        let half = i64::try_from(round_trip.as_millis() / 2).unwrap_or(0);
        Ok(Diagnosis {
            version: column(&server, 0)?,
            version_number: column(&server, 1)?,
            encrypted: column(&server, 2)?,
            private: column(&server, 3)?,
            login: column(&server, 4)?,
            superuser: column(&server, 5)?,
            bypasses_rls: column(&server, 6)?,
            connections_allowed: column(&server, 7)?,
            clock_ahead: there.as_millisecond() - here.as_millisecond() + half,
            round_trip,
            foreign_rights: foreign.iter().map(|row| column(row, 0)).collect::<Result<_, _>>()?,
        })
    }

    /// The login role, and whether it is the schema's owner, or a member of it: only these may administer.
    ///
    /// # Errors
    /// The query fails, or there is no schema.
    pub async fn ownership(&self) -> Result<(String, bool), StoreError> {
        let row = self.only_row(OWNERSHIP).await?;
        Ok((column(&row, 0)?, column(&row, 1)?))
    }

    /// Numbers and ages of events and sessions.
    ///
    /// # Errors
    /// The query fails, or the schema is older.
    pub async fn kept_for_replay(&self) -> Result<ReplayStorage, StoreError> {
        let row = self.only_row(REPLAY_STORAGE).await?;
        Ok(ReplayStorage {
            events: column(&row, 0)?,
            oldest: column(&row, 1)?,
            newest: column(&row, 2)?,
            sessions: column(&row, 3)?,
            expired_sessions: column(&row, 4)?,
        })
    }

    async fn only_row(&self, sql: &'static str) -> Result<tokio_postgres::Row, StoreError> {
        let rows = self.call(Query::new(sql, &[])).await?;
        rows.into_iter()
            .next()
            .ok_or_else(|| StoreError::Unavailable("the database returned no row".to_owned()))
    }
}
