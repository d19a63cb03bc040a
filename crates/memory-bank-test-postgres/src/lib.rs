//! A real PostgreSQL for tests: one server for all test processes of this user, a migrated template, and a database of
//! its own for each test, cloned from the template.
//!
//! The server's programs are those of Debian's newest installed version, or those in the folder that
//! `MEMORY_BANK_TEST_POSTGRES_BIN` names. The server lives in the temporary folder, listens on 127.0.0.1 and a socket,
//! and stops by itself when no test has used it for a while. It must not know of any crate that it serves.

mod cluster;
pub mod proxy;

use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::cluster::Cluster;

/// The role that migrated the template: it may make roles, and owns the tables, but is no superuser.
pub const MIGRATOR: &str = "mbmcp_migrator";
/// The role that a server logs in as: neither superuser nor BYPASSRLS, owner of nothing, member of `app_server`.
pub const SERVER: &str = "mbmcp_serve";

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

    /// The schema and the rights as SQL, as pg_dump tells them.
    #[must_use]
    pub fn schema(&self) -> String {
        self.cluster.dump(&self.name)
    }
}

impl Drop for TestDatabase {
    fn drop(&mut self) {
        self.cluster.try_psql(&format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", self.name));
    }
}

fn cluster() -> &'static Cluster {
    static CLUSTER: OnceLock<Cluster> = OnceLock::new();
    CLUSTER.get_or_init(Cluster::joined)
}
