//! A real PostgreSQL for tests: one server for all test processes of this user, a migrated template, and a database of
//! its own for each test, cloned from the template. A real Redis too, one for each test that wants it. The binary lends
//! both to tests in other languages. Links and network namespaces between programs of a test can be cut.
//!
//! The server's programs are those of Debian's newest installed version, or those in the folder that
//! `MEMORY_BANK_TEST_POSTGRES_BIN` names. The server lives in the temporary folder, listens on 127.0.0.1 and a socket,
//! and stops by itself when no test has used it for a while. It must not know of any crate that it serves.

mod cluster;
mod dedicated_server;
mod link;
mod namespaces;
mod pgbouncer;
mod place;
pub mod proxy;
mod redis;
mod server_files;
mod sql;
mod standby;

use std::path::Path;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::cluster::Cluster;
pub use crate::cluster::free_port;
pub use crate::dedicated_server::DedicatedServer;
pub use crate::link::Link;
pub use crate::namespaces::{Direction, Namespaces};
pub use crate::pgbouncer::PgBouncer;
pub use crate::place::Place;
pub use crate::redis::TestRedis;
pub use crate::standby::StandbyServer;

/// The role that migrated the template: it may create roles and owns the tables, but is not a superuser.
pub const MIGRATOR: &str = "mbmcp_migrator";
/// The role that a server logs in as: neither superuser nor BYPASSRLS, owner of nothing, member of `app_server`.
pub const SERVER: &str = "mbmcp_serve";

/// The rollback of `docs/deployment-guide.md`, word for word.
pub const GUIDE_ROLLBACK: &str = "
-- WARNING: Drops ALL Memory Bank data in the database
BEGIN;
  DROP TABLE IF EXISTS mcp_events CASCADE;
  DROP TABLE IF EXISTS sessions CASCADE;
  DROP TABLE IF EXISTS graph_relations CASCADE;
  DROP TABLE IF EXISTS graph_observations CASCADE;
  DROP TABLE IF EXISTS graph_entities CASCADE;
  DROP TABLE IF EXISTS documents CASCADE;
  DROP TABLE IF EXISTS api_keys CASCADE;
  DROP TABLE IF EXISTS memberships CASCADE;
  DROP TABLE IF EXISTS projects CASCADE;
  DROP TABLE IF EXISTS users CASCADE;
  DROP TABLE IF EXISTS schema_migrations CASCADE;
  DROP TYPE IF EXISTS project_role CASCADE;
  DROP SCHEMA IF EXISTS app CASCADE;
COMMIT;
";

/// A role as Supabase's `postgres` is: CREATEROLE, CREATEDB and BYPASSRLS, no superuser. It owns its database.
pub const SUPABASE: &str = "mbmcp_supabase_postgres";

/// A role like [`SERVER`] that may connect with TLS only.
pub const TLS_ONLY: &str = "mbmcp_tls";

/// A database of one test. Dropped, it is gone.
#[derive(Debug)]
pub struct TestDatabase {
    cluster: &'static Cluster,
    name: String,
}

impl TestDatabase {
    /// A migrated database of its own.
    #[must_use]
    pub fn migrated() -> Self {
        let cluster = cluster();
        Self::made(cluster, &format!("TEMPLATE {} STRATEGY file_copy", cluster.template))
    }

    /// A database without any table, owned by [`MIGRATOR`].
    #[must_use]
    pub fn empty() -> Self {
        Self::made(cluster(), "TEMPLATE template0")
    }

    /// A database without any table of ours, as Supabase sets one up: owned by [`SUPABASE`], with the API's roles `anon`,
    /// `authenticated` and `service_role`, who get rights on all that is new in schema public.
    #[must_use]
    pub fn supabase() -> Self {
        let database = Self::made(cluster(), "TEMPLATE template0");
        // Roles belong to the whole cluster, and tests run side by side: a lock of one database, for all of them.
        database.cluster.psql(
            "postgres",
            "postgres",
            &format!("SELECT pg_advisory_lock(7); {SUPABASE_ROLES}"),
        );
        database.psql(&format!("ALTER DATABASE {} OWNER TO {SUPABASE}", database.name));
        database.psql(SUPABASE_SCHEMAS);
        database
    }

    fn made(cluster: &'static Cluster, from: &str) -> Self {
        static COUNTER: AtomicUsize = AtomicUsize::new(0);
        let name = format!("test_{}_{}", std::process::id(), COUNTER.fetch_add(1, Ordering::Relaxed));
        // A process that was killed may have had this id, and left its database.
        let drop = format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)");
        cluster.psql_each(&[&drop, &format!("CREATE DATABASE {name} OWNER {MIGRATOR} {from}")]);
        Self { cluster, name }
    }

    /// The connection string of the role that serves.
    #[must_use]
    pub fn url(&self) -> String {
        self.url_of(SERVER)
    }

    /// The connection string of another role.
    #[must_use]
    pub fn url_of(&self, role: &str) -> String {
        format!("postgres://{role}@127.0.0.1:{}/{}?sslmode=disable", self.cluster.port, self.name)
    }

    /// The certificate of the authority that vouches for the server, a PEM file.
    #[must_use]
    pub fn authority(&self) -> &Path {
        &self.cluster.authority
    }

    /// The port that the server listens on, at 127.0.0.1.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.cluster.port
    }

    /// The database's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Runs SQL as the superuser, past all policies; returns the rows, one per line, fields separated by `|`.
    pub fn psql(&self, sql: &str) -> String {
        self.cluster.psql("postgres", &self.name, sql)
    }

    /// Runs SQL as this role, as one batch, the way an SQL editor sends it.
    pub fn psql_as(&self, role: &str, sql: &str) -> String {
        self.cluster.psql(role, &self.name, sql)
    }

    /// Runs the files of `migrations/` through psql as this role, in their order.
    pub fn migrate_with_psql(&self, role: &str) {
        self.cluster.migrate(role, &self.name);
    }

    /// Runs `migrations/rollback.sql` through psql as this role, after a statement in the same session.
    ///
    /// # Errors
    /// The output of psql.
    pub fn roll_back_with_psql(&self, role: &str, before: &str) -> Result<(), String> {
        self.file_with_psql(role, before, "rollback.sql")
    }

    /// Runs another file through psql as this role, after a statement in the same session.
    ///
    /// # Errors
    /// The output of psql.
    pub fn roll_back_with_psql_file(&self, role: &str, before: &str, file: &str) -> Result<(), String> {
        self.file_with_psql(role, before, file)
    }

    /// Runs one file of `migrations/` through psql as this role.
    ///
    /// # Errors
    /// The output of psql.
    pub fn run_with_psql(&self, role: &str, file: &str) -> Result<(), String> {
        self.file_with_psql(role, "SELECT", file)
    }

    fn file_with_psql(&self, role: &str, before: &str, file: &str) -> Result<(), String> {
        let output = self.cluster.psql_file(role, &self.name, before, file);
        let message = String::from_utf8_lossy(&output.stderr).into_owned();
        if output.status.success() { Ok(()) } else { Err(message) }
    }

    /// The schema and the rights from the catalog, one fact per line.
    #[must_use]
    pub fn schema(&self) -> String {
        self.psql(SCHEMA)
    }
}

const SUPABASE_ROLES: &str = "
    DO $$
    DECLARE
      one record;
    BEGIN
      FOR one IN SELECT * FROM (VALUES
        ('mbmcp_supabase_postgres', 'LOGIN CREATEROLE CREATEDB REPLICATION BYPASSRLS'),
        ('anon', 'NOLOGIN NOINHERIT'),
        ('authenticated', 'NOLOGIN NOINHERIT'),
        ('service_role', 'NOLOGIN NOINHERIT BYPASSRLS')
      ) AS wanted (name, options) LOOP
        IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = one.name) THEN
          EXECUTE format('CREATE ROLE %I %s', one.name, one.options);
        END IF;
      END LOOP;
      GRANT anon, authenticated, service_role TO mbmcp_supabase_postgres;
      -- Other tests' migrations made these three; from PostgreSQL 16 on it has this much of what it makes itself.
      FOR one IN SELECT rolname FROM pg_roles WHERE rolname IN ('app_user', 'app_server', 'app_definer')
        AND current_setting('server_version_num')::integer >= 160000 LOOP
        EXECUTE format('GRANT %I TO mbmcp_supabase_postgres WITH ADMIN TRUE, INHERIT FALSE, SET FALSE', one.rolname);
      END LOOP;
    END
    $$";

const SUPABASE_SCHEMAS: &str = "
    CREATE SCHEMA extensions;
    GRANT USAGE ON SCHEMA extensions, public TO anon, authenticated, service_role, mbmcp_supabase_postgres;
    CREATE EXTENSION pgcrypto SCHEMA extensions;
    CREATE SCHEMA auth;
    CREATE TABLE auth.users (id uuid PRIMARY KEY, email text);
    CREATE FUNCTION auth.uid() RETURNS uuid LANGUAGE sql STABLE
      AS $$ SELECT NULLIF(current_setting('request.jwt.claim.sub', true), '')::uuid $$;
    GRANT USAGE ON SCHEMA auth TO anon, authenticated, service_role;
    ALTER DEFAULT PRIVILEGES FOR ROLE mbmcp_supabase_postgres IN SCHEMA public GRANT ALL ON TABLES TO anon, authenticated, service_role;
    ALTER DEFAULT PRIVILEGES FOR ROLE mbmcp_supabase_postgres IN SCHEMA public GRANT ALL ON SEQUENCES TO anon, authenticated, service_role;
    ALTER DEFAULT PRIVILEGES FOR ROLE mbmcp_supabase_postgres IN SCHEMA public GRANT ALL ON FUNCTIONS TO anon, authenticated, service_role;";

const SCHEMA: &str = "
    WITH ours AS (
      SELECT oid, nspname FROM pg_namespace WHERE nspname IN ('public', 'app')
    ), tables AS (
      SELECT c.oid, c.relname, c.relacl, c.relkind, c.relrowsecurity, c.relforcerowsecurity, c.relowner
      FROM pg_class c JOIN ours ON ours.oid = c.relnamespace WHERE c.relkind IN ('r', 'p', 'S')
        -- Partitions come and go with the hours.
        AND c.relname !~ '^mcp_events_[0-9]+'
    ), facts (fact) AS (
      SELECT format('%s %s row security %s forced %s owned by %s', t.relkind, t.oid::regclass, t.relrowsecurity,
        t.relforcerowsecurity, t.relowner::regrole)
      FROM tables t
      UNION ALL SELECT format('%s.%s %s not null %s default %s identity %s', t.oid::regclass, a.attname,
        format_type(a.atttypid, a.atttypmod), a.attnotnull, pg_get_expr(d.adbin, d.adrelid), a.attidentity)
      FROM tables t JOIN pg_attribute a ON a.attrelid = t.oid AND a.attnum > 0 AND NOT a.attisdropped
      LEFT JOIN pg_attrdef d ON d.adrelid = t.oid AND d.adnum = a.attnum WHERE t.relkind IN ('r', 'p')
      UNION ALL SELECT format('%s constraint %s %s', t.oid::regclass, c.conname, pg_get_constraintdef(c.oid))
      FROM tables t JOIN pg_constraint c ON c.conrelid = t.oid
      UNION ALL SELECT pg_get_indexdef(i.indexrelid) FROM tables t JOIN pg_index i ON i.indrelid = t.oid
      UNION ALL SELECT format('%s policy %s %s to %s using %s check %s', t.oid::regclass, p.polname, p.polcmd,
        p.polroles::regrole[], pg_get_expr(p.polqual, p.polrelid), pg_get_expr(p.polwithcheck, p.polrelid))
      FROM tables t JOIN pg_policy p ON p.polrelid = t.oid
      UNION ALL SELECT pg_get_triggerdef(g.oid) FROM tables t JOIN pg_trigger g ON g.tgrelid = t.oid AND NOT g.tgisinternal
      UNION ALL SELECT pg_get_functiondef(f.oid) || ' owned by ' || f.proowner::regrole FROM pg_proc f JOIN ours ON ours.oid = f.pronamespace
      UNION ALL SELECT format('%s may %s on %s', x.grantee::regrole, x.privilege_type, t.oid::regclass)
      FROM tables t, aclexplode(t.relacl) x
      UNION ALL SELECT format('%s may %s on %s.%s', x.grantee::regrole, x.privilege_type, t.oid::regclass, a.attname)
      FROM tables t JOIN pg_attribute a ON a.attrelid = t.oid, aclexplode(a.attacl) x
      UNION ALL SELECT format('%s may %s on %s', x.grantee::regrole, x.privilege_type, f.oid::regprocedure)
      FROM pg_proc f JOIN ours ON ours.oid = f.pronamespace, aclexplode(f.proacl) x
      UNION ALL SELECT format('%s may %s on schema %s', x.grantee::regrole, x.privilege_type, n.nspname)
      FROM pg_namespace n JOIN ours USING (oid), aclexplode(n.nspacl) x
      UNION ALL SELECT format('%s %s', t.typname, array_agg(e.enumlabel ORDER BY e.enumsortorder))
      FROM pg_type t JOIN pg_enum e ON e.enumtypid = t.oid GROUP BY t.typname
      UNION ALL SELECT version FROM public.schema_migrations
    )
    SELECT fact FROM facts ORDER BY fact";

impl Drop for TestDatabase {
    fn drop(&mut self) {
        self.cluster.try_psql(&format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", self.name));
    }
}

fn cluster() -> &'static Cluster {
    static CLUSTER: OnceLock<Cluster> = OnceLock::new();
    CLUSTER.get_or_init(Cluster::start_or_join)
}
