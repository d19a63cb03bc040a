//! A real PostgreSQL for tests: one server for all test processes of this user, a migrated template, and a database of
//! its own for each test, cloned from the template. A real Redis too, one for each test that wants it. The binary lends
//! both to tests in other languages.
//!
//! The server's programs are those of Debian's newest installed version, or those in the folder that
//! `MEMORY_BANK_TEST_POSTGRES_BIN` names. The server lives in the temporary folder, listens on 127.0.0.1 and a socket,
//! and stops by itself when no test has used it for a while. It must not know of any crate that it serves.

mod cluster;
pub mod proxy;
mod redis;

use std::path::Path;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::cluster::Cluster;
pub use crate::redis::TestRedis;

/// The role that migrated the template: it may make roles, and owns the tables, but is no superuser.
pub const MIGRATOR: &str = "mbmcp_migrator";
/// The role that a server logs in as: neither superuser nor BYPASSRLS, owner of nothing, member of `app_server`.
pub const SERVER: &str = "mbmcp_serve";

/// A role like [`SERVER`] that may come in with TLS only.
pub const TLS_ONLY: &str = "mbmcp_tls";

/// A database of one test. Dropped, it is gone.
#[derive(Debug)]
pub struct TestDatabase {
    cluster: &'static Cluster,
    name: String,
}

impl TestDatabase {
    /// A migrated database that nobody else uses.
    #[must_use]
    pub fn migrated() -> Self {
        let cluster = cluster();
        Self::made(cluster, &format!("TEMPLATE {}", cluster.template))
    }

    /// A database without any table, owned by [`MIGRATOR`].
    #[must_use]
    pub fn empty() -> Self {
        Self::made(cluster(), "TEMPLATE template0")
    }

    fn made(cluster: &'static Cluster, from: &str) -> Self {
        static MADE: AtomicUsize = AtomicUsize::new(0);
        let name = format!("test_{}_{}", std::process::id(), MADE.fetch_add(1, Ordering::Relaxed));
        // A process that was killed may have had this id, and left its database.
        cluster.try_psql(&format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)"));
        cluster.psql("postgres", "postgres", &format!("CREATE DATABASE {name} OWNER {MIGRATOR} {from}"));
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

    /// Runs SQL as the superuser, past all policies; gives what psql prints, without headings.
    pub fn psql(&self, sql: &str) -> String {
        self.cluster.psql("postgres", &self.name, sql)
    }

    /// Runs the files of `migrations/` through psql as this role, in their order.
    pub fn migrate_with_psql(&self, role: &str) {
        self.cluster.migrate(role, &self.name);
    }

    /// Runs `migrations/rollback.sql` through psql as this role, after a statement in the same session.
    ///
    /// # Errors
    /// What psql says.
    pub fn roll_back_with_psql(&self, role: &str, before: &str) -> Result<(), String> {
        let output = self.cluster.psql_file(role, &self.name, before, "rollback.sql");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        if output.status.success() { Ok(()) } else { Err(said) }
    }

    /// The schema and the rights, one fact a line, as the catalogue tells them.
    #[must_use]
    pub fn schema(&self) -> String {
        self.psql(SCHEMA)
    }
}

const SCHEMA: &str = "
    WITH ours AS (
      SELECT oid, nspname FROM pg_namespace WHERE nspname IN ('public', 'app')
    ), tables AS (
      SELECT c.oid, c.relname, c.relacl, c.relkind, c.relrowsecurity, c.relforcerowsecurity, c.relowner
      FROM pg_class c JOIN ours ON ours.oid = c.relnamespace WHERE c.relkind IN ('r', 'S')
    ), facts (fact) AS (
      SELECT format('%s %s row security %s forced %s', t.relkind, t.oid::regclass, t.relrowsecurity, t.relforcerowsecurity)
      FROM tables t
      UNION ALL SELECT format('%s.%s %s not null %s default %s identity %s', t.oid::regclass, a.attname,
        format_type(a.atttypid, a.atttypmod), a.attnotnull, pg_get_expr(d.adbin, d.adrelid), a.attidentity)
      FROM tables t JOIN pg_attribute a ON a.attrelid = t.oid AND a.attnum > 0 AND NOT a.attisdropped
      LEFT JOIN pg_attrdef d ON d.adrelid = t.oid AND d.adnum = a.attnum WHERE t.relkind = 'r'
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
    CLUSTER.get_or_init(Cluster::joined)
}
