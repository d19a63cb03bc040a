//! A streaming replica of a server that one test has for itself.

use std::net::SocketAddrV4;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use crate::cluster::{data_root, free_port, server_user};
use crate::server_files::ServerFiles;
use crate::{Place, sql};

const SETTINGS: &str = "-c shared_buffers=32MB -c max_connections=100 -c hot_standby=on \
    -c wal_retrieve_retry_interval=200ms -c log_min_messages=fatal";
/// How long a standby may take to catch up.
const CATCH_UP: Duration = Duration::from_secs(60);

/// A server that follows another one. Dropped, it is gone.
#[derive(Debug)]
pub struct StandbyServer {
    programs: PathBuf,
    home: PathBuf,
    place: Place,
    port: u16,
    database: &'static str,
}

impl StandbyServer {
    /// Copies a stopped server, and follows it when it is reached at this address again.
    pub(crate) fn of(
        primary: &ServerFiles<'_>,
        place: &Place,
        address: SocketAddrV4,
        database: &'static str,
    ) -> Self {
        let port = free_port();
        let home = data_root().join(format!("memory-bank-standby-{}-{port}", std::process::id()));
        let standby =
            Self { programs: primary.programs.to_owned(), home, place: place.clone(), port, database };
        standby.files().copy(primary, address);
        standby.start_again();
        standby
    }

    /// Ends it as a crash would.
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

    /// Stops or continues the replay of what it receives.
    pub fn pause_replay(&self, is_paused: bool) {
        let function = if is_paused { "pg_wal_replay_pause" } else { "pg_wal_replay_resume" };
        self.query(&format!("SELECT {function}()"));
    }

    /// Stops (`STOP`) or continues (`CONT`) all its processes, as a machine does that hangs.
    pub fn signal(&self, name: &str) {
        let _processes = self.files().signal(name);
    }

    /// Makes it a primary of its own.
    pub fn promote(&self) {
        self.query("SELECT pg_promote()");
    }

    /// Waits until it has replayed all that the primary has written so far.
    pub fn await_position(&self, position: &str) {
        let began = Instant::now();
        while self.query(&format!("SELECT pg_last_wal_replay_lsn() >= '{position}'")) != "t" {
            assert!(began.elapsed() < CATCH_UP, "the standby does not catch up");
            std::thread::sleep(Duration::from_millis(20));
        }
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
        format!("postgres://{role}@{address}/{}?sslmode=disable", self.database)
    }

    /// Runs SQL as the superuser; returns psql's output without headings.
    pub fn query(&self, sql: &str) -> String {
        let sent = sql::run_at(self.address(), "postgres", self.database, &[sql]);
        sent.unwrap_or_else(|error| panic!("{sql}: {error}"))
    }

    fn files(&self) -> ServerFiles<'_> {
        ServerFiles { programs: &self.programs, home: &self.home, place: &self.place, user: server_user() }
    }
}

impl Drop for StandbyServer {
    fn drop(&mut self) {
        self.crash();
        let _gone = std::fs::remove_dir_all(&self.home);
    }
}
