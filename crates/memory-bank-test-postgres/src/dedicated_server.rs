//! A PostgreSQL of one test alone, which may crash it and start it again.

use std::net::SocketAddrV4;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::cluster::{data_root, free_port, programs, server_user, succeeded};
use crate::server_files::ServerFiles;
use crate::{MIGRATOR, Place, SERVER, StandbyServer, sql};

/// The one database that is in it.
const DATABASE: &str = "bank";
/// Unlike the shared server's, these settings let commits survive a crash.
const SETTINGS: &str = "-c shared_buffers=32MB -c max_connections=100 -c log_min_messages=fatal";

/// A server with an empty database that belongs to [`MIGRATOR`]. Dropped, it is gone.
#[derive(Debug)]
pub struct DedicatedServer {
    programs: PathBuf,
    home: PathBuf,
    place: Place,
    port: u16,
}

impl DedicatedServer {
    /// Starts one.
    #[must_use]
    pub fn start() -> Self {
        Self::start_at(&Place::here())
    }

    /// Starts one at another place.
    #[must_use]
    pub fn start_at(place: &Place) -> Self {
        let port = free_port();
        let home = data_root().join(format!("memory-bank-own-{}-{port}", std::process::id()));
        let server = Self { programs: programs(), home, place: place.clone(), port };
        server.files().make();
        server.start_again();
        server.psql("postgres", &format!("CREATE ROLE {MIGRATOR} LOGIN CREATEROLE"));
        server.psql("postgres", &format!("CREATE ROLE {SERVER} LOGIN"));
        server.psql("postgres", &format!("CREATE DATABASE {DATABASE} OWNER {MIGRATOR}"));
        server
    }

    /// A streaming replica of it. It is stopped for a moment, and started again.
    #[must_use]
    pub fn standby(&self) -> StandbyServer {
        self.standby_at(&Place::here(), self.address())
    }

    /// The same at another place, from where it reaches this server at this address.
    #[must_use]
    pub fn standby_at(&self, place: &Place, primary: SocketAddrV4) -> StandbyServer {
        self.files().stop("fast");
        let standby = StandbyServer::of(&self.files(), place, primary, DATABASE);
        self.start_again();
        standby
    }

    /// How far its log is written.
    #[must_use]
    pub fn position(&self) -> String {
        self.query("SELECT pg_current_wal_flush_lsn()")
    }

    /// Admits the role of servers, once the schema exists.
    pub fn admit_server(&self) {
        self.psql(DATABASE, &format!("GRANT app_server TO {SERVER}"));
    }

    /// Ends the server as a crash would.
    pub fn crash(&self) {
        self.files().crash();
    }

    /// Ends all its processes as `kill -9` does.
    pub fn kill(&self) {
        self.files().kill();
    }

    /// Starts it after its end, on the same port.
    pub fn start_again(&self) {
        self.files().launch(self.port, SETTINGS);
    }

    /// Runs a shell script in the server's folder, with the folder of its data in `DATA`, and starts the server again.
    pub fn rearrange(&self, script: &str) {
        self.crash();
        let data = self.home.join("data");
        let mut command = Command::new("sh");
        command.args(["-e", "-c", script]).env("DATA", &data).current_dir(&self.home);
        succeeded("a change of the test server", command.output().expect("sh"));
        if let Some(user) = server_user() {
            let owned = Command::new("chown").arg("-R").arg(user).arg(&data).output().expect("chown");
            succeeded("chown", owned);
        }
        self.start_again();
    }

    /// The folder that it lives in.
    #[must_use]
    pub fn home(&self) -> &Path {
        &self.home
    }

    /// The port that it listens on.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The address that it listens on.
    #[must_use]
    pub fn address(&self) -> SocketAddrV4 {
        SocketAddrV4::new(self.place.address(), self.port)
    }

    /// The connection string of a role.
    #[must_use]
    pub fn url_of(&self, role: &str) -> String {
        self.url_through(role, self.address())
    }

    /// The same for a client that reaches the server at another address.
    #[must_use]
    pub fn url_through(&self, role: &str, address: SocketAddrV4) -> String {
        format!("postgres://{role}@{address}/{DATABASE}?sslmode=disable")
    }

    /// Runs SQL in the database as the superuser, past all policies; returns psql's output without headings.
    pub fn query(&self, sql: &str) -> String {
        self.psql(DATABASE, sql)
    }

    fn psql(&self, database: &str, sql: &str) -> String {
        let sent = sql::run_at(self.address(), "postgres", database, &[sql]);
        sent.unwrap_or_else(|error| panic!("{sql}: {error}"))
    }

    fn files(&self) -> ServerFiles<'_> {
        ServerFiles { programs: &self.programs, home: &self.home, place: &self.place, user: server_user() }
    }
}

impl Drop for DedicatedServer {
    fn drop(&mut self) {
        self.crash();
        let _gone = std::fs::remove_dir_all(&self.home);
    }
}
