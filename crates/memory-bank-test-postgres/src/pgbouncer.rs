//! A real PgBouncer in front of the tests' PostgreSQL, one process each.

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::cluster::server_user;
use crate::{MIGRATOR, SERVER, TestDatabase};

/// How long it may take to start.
const START_TIMEOUT: Duration = Duration::from_secs(20);

/// A process of PgBouncer, which ends when this is dropped.
#[derive(Debug)]
pub struct PgBouncer {
    process: Child,
    port: u16,
    folder: PathBuf,
}

impl PgBouncer {
    /// A pooler in front of this database's server, with this `pool_mode`: `session`, `transaction` or `statement`.
    #[must_use]
    pub fn start(database: &TestDatabase, mode: &str) -> Self {
        Self::start_with(database, mode, 20)
    }

    /// Starts a pooler that opens at most `sessions` sessions of the database.
    #[must_use]
    pub fn start_with(database: &TestDatabase, mode: &str, sessions: usize) -> Self {
        static COUNTER: AtomicUsize = AtomicUsize::new(0);
        let made = COUNTER.fetch_add(1, Ordering::Relaxed);
        let folder =
            std::env::temp_dir().join(format!("memory-bank-pgbouncer-{}-{made}", std::process::id()));
        fs::create_dir_all(&folder).expect("a folder for PgBouncer");
        let port =
            TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr()).expect("a free port").port();
        let users = folder.join("users.txt");
        fs::write(&users, format!("\"{SERVER}\" \"\"\n\"{MIGRATOR}\" \"\"\n")).expect("a file of users");
        let settings = format!(
            "[databases]\n* = host=127.0.0.1 port={}\n[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\n\
             unix_socket_dir =\nauth_type = trust\nauth_file = {}\npool_mode = {mode}\ndefault_pool_size = {sessions}\n",
            database.port(),
            users.display()
        );
        let carried =
            if Self::carries_prepared_statements() { "max_prepared_statements = 100\n" } else { "" };
        let settings = settings + carried;
        let file = folder.join("pgbouncer.ini");
        fs::write(&file, settings).expect("PgBouncer's settings");
        let mut command = match server_user() {
            // It refuses to run as root.
            Some(user) => {
                let mut command = Command::new("setpriv");
                command.args([&format!("--reuid={user}"), "--regid=nogroup", "--clear-groups", "--"]);
                command.arg(program());
                command
            }
            None => Command::new(program()),
        };
        let process = command
            .arg("-q")
            .arg(&file)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("PgBouncer is not installed: run scripts/setup");
        let pooler = Self { process, port, folder };
        let began = Instant::now();
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(began.elapsed() < START_TIMEOUT, "PgBouncer did not start: run scripts/setup");
            std::thread::sleep(Duration::from_millis(20));
        }
        pooler
    }

    /// Whether it takes prepared statements from one session to another: from 1.21 on.
    #[must_use]
    pub fn carries_prepared_statements() -> bool {
        let version = Command::new(program())
            .arg("--version")
            .output()
            .expect("PgBouncer is not installed: run scripts/setup");
        let version = String::from_utf8_lossy(&version.stdout).into_owned();
        let numbers = version.split_whitespace().nth(1).unwrap_or_default();
        let mut numbers = numbers.split('.').map(|number| number.parse::<u32>().unwrap_or_default());
        (numbers.next(), numbers.next()) >= (Some(1), Some(21))
    }

    /// The connection string of a role through the pooler.
    #[must_use]
    pub fn url_of(&self, database: &TestDatabase, role: &str) -> String {
        format!("postgres://{role}@127.0.0.1:{}/{}?sslmode=disable", self.port, database.name())
    }
}

impl Drop for PgBouncer {
    fn drop(&mut self) {
        let _ended = self.process.kill();
        let _ended = self.process.wait();
        let _gone = fs::remove_dir_all(&self.folder);
    }
}

/// `MEMORY_BANK_TEST_PGBOUNCER`, or the system's; Debian keeps it out of an ordinary user's PATH.
fn program() -> PathBuf {
    if let Some(other) = std::env::var_os("MEMORY_BANK_TEST_PGBOUNCER") {
        return PathBuf::from(other);
    }
    let usual = PathBuf::from("/usr/sbin/pgbouncer");
    if usual.exists() { usual } else { PathBuf::from("pgbouncer") }
}
