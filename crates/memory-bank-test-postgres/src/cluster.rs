//! The server that all test processes share.
//!
//! `start.lock` is held while a process finds, starts or stops the server; every test process holds a shared lock on
//! `users.lock` for its whole life. A watchdog stops the server after the latter was free for half a minute.

use std::fs::{self, File};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::{TcpListener, TcpStream};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use crate::server_files::ServerFiles;
use crate::{MIGRATOR, Place, SERVER, TLS_ONLY, sql};

/// The least free memory for the data of the servers, in bytes. All tests together take less than half of it.
const MIN_FREE_BYTES: u64 = 6 * 1024 * 1024 * 1024;

/// How the server runs: fast, since its data need not survive. Tests run statements once, so compiling them costs more than it saves.
const SETTINGS: &str = "-c fsync=off -c full_page_writes=off -c jit=off -c max_connections=300 -c shared_buffers=128MB \
    -c log_min_messages=fatal";

/// The running server.
#[derive(Debug)]
pub(crate) struct Cluster {
    programs: PathBuf,
    pub(crate) port: u16,
    pub(crate) template: String,
    /// The certificate of the authority that vouches for the server.
    pub(crate) authority: PathBuf,
    /// Held as long as this process lives.
    _in_use: File,
}

impl Cluster {
    /// Finds the server, or starts it, and makes sure that the template is there.
    pub(crate) fn start_or_join() -> Self {
        let programs = programs();
        let home = home(&programs);
        let locks = home.with_extension("locks");
        fs::create_dir_all(&locks).expect("a folder for the locks");
        let start = open(&locks.join("start.lock"));
        start.lock().expect("the lock of the test server");
        let in_use = open(&locks.join("users.lock"));
        in_use.lock_shared().expect("the lock of the test server's users");
        let port = running(&home).unwrap_or_else(|| start_server(&programs, &home, &locks));
        let template = format!("template_{:016x}", fingerprint());
        let prepared = home.join(&template);
        let cluster = Self { programs, port, template, authority: home.join("ca.pem"), _in_use: in_use };
        if !prepared.exists() {
            cluster.prepare();
            open(&prepared);
        }
        drop(start);
        cluster
    }

    /// Makes the roles and the template, unless they are there.
    fn prepare(&self) {
        for (role, options) in [(MIGRATOR, "LOGIN CREATEROLE"), (SERVER, "LOGIN"), (TLS_ONLY, "LOGIN")] {
            let exists = self.psql(
                "postgres",
                "postgres",
                &format!("SELECT 1 FROM pg_roles WHERE rolname = '{role}'"),
            );
            if exists.is_empty() {
                self.psql("postgres", "postgres", &format!("CREATE ROLE {role} {options}"));
            }
        }
        let template = &self.template;
        let exists = format!("SELECT 1 FROM pg_database WHERE datname = '{template}'");
        if !self.psql("postgres", "postgres", &exists).is_empty() {
            return;
        }
        let draft = format!("{template}_draft");
        self.psql("postgres", "postgres", &format!("DROP DATABASE IF EXISTS {draft}"));
        self.psql("postgres", "postgres", &format!("CREATE DATABASE {draft} OWNER {MIGRATOR}"));
        self.migrate(MIGRATOR, &draft);
        self.psql("postgres", "postgres", &format!("GRANT app_server TO {SERVER}, {TLS_ONLY}"));
        self.psql("postgres", "postgres", &format!("ALTER DATABASE {draft} RENAME TO {template}"));
    }

    pub(crate) fn migrate(&self, role: &str, database: &str) {
        for file in migrations() {
            let run = || {
                let output = self.psql_command(role, database).arg("-f").arg(&file).output().expect("psql");
                let errors = String::from_utf8_lossy(&output.stderr).into_owned();
                if output.status.success() { Ok(()) } else { Err(errors) }
            };
            let ran = while_passing(run, |errors| errors);
            ran.unwrap_or_else(|errors| panic!("{}: {errors}", file.display()));
        }
    }

    /// Runs one file of `migrations/`, after a statement in the same session; returns psql's output.
    pub(crate) fn psql_file(&self, role: &str, database: &str, before: &str, file: &str) -> Output {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../migrations").join(file);
        let mut command = self.psql_command(role, database);
        command.args(["-c", before]).arg("-f").arg(file).output().expect("psql")
    }

    /// Sends SQL as one batch.
    pub(crate) fn psql(&self, role: &str, database: &str, sql: &str) -> String {
        let sent = while_passing(|| sql::run(self.port, role, database, &[sql]), |error| error);
        sent.unwrap_or_else(|error| panic!("{sql}: {error}"))
    }

    /// Runs statements that must not share a transaction, as the superuser.
    pub(crate) fn psql_each(&self, statements: &[&str]) {
        let sent = while_passing(|| sql::run(self.port, "postgres", "postgres", statements), |error| error);
        sent.unwrap_or_else(|error| panic!("{}: {error}", statements.join("; ")));
    }

    /// Cleanup that must not panic, since a test may already be failing.
    pub(crate) fn try_psql(&self, sql: &str) {
        let _ended = sql::run(self.port, "postgres", "postgres", &[sql]);
    }

    fn psql_command(&self, role: &str, database: &str) -> Command {
        let mut command = Command::new(self.program("psql"));
        let port = self.port.to_string();
        command.args(["-h", "127.0.0.1", "-p", &port, "-U", role, "-d", database]);
        command.args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1"]).stdin(Stdio::null());
        // A TLS handshake for each statement is time that no test needs.
        command.env("PGSSLMODE", "disable");
        command
    }

    /// A program beside the server, or the one on PATH.
    fn program(&self, name: &str) -> PathBuf {
        let beside = self.programs.join(name);
        if beside.exists() {
            beside
        } else {
            installed().map_or_else(|| PathBuf::from(name), |folder| folder.join(name))
        }
    }
}

/// Where `initdb` and `pg_ctl` are.
pub(crate) fn programs() -> PathBuf {
    if let Some(chosen) = std::env::var_os("MEMORY_BANK_TEST_POSTGRES_BIN") {
        return PathBuf::from(chosen);
    }
    installed().expect("PostgreSQL is not installed: run scripts/setup, or set MEMORY_BANK_TEST_POSTGRES_BIN")
}

/// The programs of the newest installed PostgreSQL. What Debian has on PATH is a Perl script that looks for these at each call.
fn installed() -> Option<PathBuf> {
    let version = |path: &PathBuf| path.parent()?.file_name()?.to_str()?.parse::<u32>().ok();
    let folders = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    folders
        .map(|entry| entry.path().join("bin"))
        .filter(|path| path.join("initdb").exists())
        .max_by_key(version)
}

/// One folder for each set of programs.
fn home(programs: &Path) -> PathBuf {
    let mut hasher = DefaultHasher::new();
    programs.hash(&mut hasher);
    let user = std::env::var("USER").unwrap_or_else(|_| "test".to_owned());
    data_root().join(format!("memory-bank-postgres-{user}-3-{:08x}", hasher.finish() >> 32))
}

/// The folder for the data of servers: in memory where that has room, else in the folder for temporary files. PostgreSQL makes and
/// removes hundreds of files for each database; on ext4 that took half of the processor time of the tests.
pub(crate) fn data_root() -> PathBuf {
    let memory = Path::new("/dev/shm");
    let room =
        rustix::fs::statvfs(memory).map_or(0, |volume| volume.f_bavail.saturating_mul(volume.f_frsize));
    if room >= MIN_FREE_BYTES { memory.to_owned() } else { std::env::temp_dir() }
}

fn open(path: &Path) -> File {
    File::options().create(true).truncate(false).write(true).open(path).expect("a lock file")
}

/// The port of the server that runs there, if one does.
fn running(home: &Path) -> Option<u16> {
    let port = fs::read_to_string(home.join("port")).ok()?.trim().parse().ok()?;
    TcpStream::connect(("127.0.0.1", port)).ok().map(|_| port)
}

fn start_server(programs: &Path, home: &Path, locks: &Path) -> u16 {
    let place = Place::here();
    let files = ServerFiles { programs, home, place: &place, user: server_user() };
    files.make();
    encrypt(home, &files.data(), files.user.as_deref());
    let port = free_port();
    files.launch(port, SETTINGS);
    fs::write(home.join("port"), port.to_string()).expect("a note of the port");
    watch(programs, home, locks, files.user.as_deref());
    port
}

/// A port that is free now; another process could still take it first.
///
/// # Panics
///
/// When the system has no free port.
pub fn free_port() -> u16 {
    TcpListener::bind(("127.0.0.1", 0)).and_then(|free| free.local_addr()).expect("a free port").port()
}

/// Gives the server a certificate of an authority made for it, and a role that may connect with TLS only.
fn encrypt(home: &Path, data: &Path, user: Option<&str>) {
    const SCRIPT: &str = r#"
        set -e
        openssl req -x509 -newkey rsa:2048 -nodes -days 3650 -subj "/CN=memory bank tests" -keyout ca.key -out ca.pem
        openssl req -newkey rsa:2048 -nodes -subj "/CN=localhost" -keyout "$DATA/server.key" -out server.csr
        printf 'subjectAltName=IP:127.0.0.1,DNS:localhost,DNS:db.test.supabase.co,DNS:aws-0-test.pooler.supabase.com,DNS:evilsupabase.co,DNS:db.supabase.co.example.com\nbasicConstraints=CA:FALSE\n' >server.ext
        openssl x509 -req -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 3650 -extfile server.ext \
            -out "$DATA/server.crt"
        chmod 600 "$DATA/server.key"
        [ -z "$OWNER" ] || chown "$OWNER" "$DATA/server.key" "$DATA/server.crt"
        { echo "hostnossl all $TLS_ROLE all reject"; cat "$DATA/pg_hba.conf"; } >hba
        cat hba >"$DATA/pg_hba.conf"
        echo "ssl = on" >>"$DATA/postgresql.conf"
    "#;
    let made = Command::new("sh")
        .args(["-c", SCRIPT])
        .env("DATA", data)
        .env("OWNER", user.unwrap_or_default())
        .env("TLS_ROLE", TLS_ONLY)
        .current_dir(home)
        .output()
        .expect("sh");
    succeeded("a certificate for the test server", made);
}

/// Stops the server when no test process has been there for half a minute.
fn watch(programs: &Path, home: &Path, locks: &Path, user: Option<&str>) {
    const SCRIPT: &str = r#"
        idle=0
        while [ -e "$HOME_DIR/data/postmaster.pid" ]; do
            sleep 5
            exec 8>"$LOCKS/start.lock" 9>"$LOCKS/users.lock"
            if flock -n -x 8 && flock -n -x 9; then
                idle=$((idle + 1))
                if [ "$idle" -ge 6 ]; then
                    $AS_USER "$PROGRAMS/pg_ctl" stop -m immediate -D "$HOME_DIR/data"
                    rm -rf "$HOME_DIR"
                    exit
                fi
            else
                idle=0
            fi
            exec 8>&- 9>&-
        done
    "#;
    let as_user = user
        .map_or_else(String::new, |user| format!("setpriv --reuid={user} --regid=nogroup --clear-groups --"));
    let watchdog = Command::new("sh")
        .args(["-c", SCRIPT])
        .env("HOME_DIR", home)
        .env("LOCKS", locks)
        .env("PROGRAMS", programs)
        .env("AS_USER", as_user)
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .process_group(0)
        .spawn();
    drop(watchdog.expect("a watchdog for the test server"));
}

/// Retries while the script requests it, since roles are the cluster's and another test may grant the same ones, and while the
/// server starts or recovers from a kill of a test's own.
fn while_passing<T, E>(run: impl Fn() -> Result<T, E>, message: impl Fn(&E) -> &str) -> Result<T, E> {
    const MAX_ATTEMPTS: usize = 60;
    const RETRY_INTERVAL: Duration = Duration::from_millis(250);
    let passes = |error: &E| {
        let text = message(error);
        text.contains("run this again") || text.contains("FATAL:  the database system is ")
    };
    let mut result = run();
    for _ in 1..MAX_ATTEMPTS {
        match &result {
            Err(error) if passes(error) => std::thread::sleep(RETRY_INTERVAL),
            _ => break,
        }
        result = run();
    }
    result
}

/// The user to run the server as, when tests run as root.
pub(crate) fn server_user() -> Option<String> {
    let id = Command::new("id").arg("-u").output().expect("id");
    (String::from_utf8_lossy(&id.stdout).trim() == "0").then(|| {
        let has =
            |name: &str| Command::new("id").arg(name).output().is_ok_and(|output| output.status.success());
        if has("postgres") { "postgres".to_owned() } else { "nobody".to_owned() }
    })
}

/// The numbered files of `migrations/`, in order; the rollback script is not one of them.
fn migrations() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../migrations");
    let mut files: Vec<PathBuf> = fs::read_dir(folder)
        .expect("migrations/")
        .map(|entry| entry.expect("a migration").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "sql"))
        .filter(|path| path.file_name().is_some_and(|name| name.as_encoded_bytes()[0].is_ascii_digit()))
        .collect();
    files.sort();
    files
}

/// Distinguishes templates of different migrations.
fn fingerprint() -> u64 {
    let mut hasher = DefaultHasher::new();
    for file in migrations() {
        fs::read(file).expect("a migration").hash(&mut hasher);
    }
    hasher.finish()
}

pub(crate) fn succeeded(what: &str, output: Output) -> String {
    assert!(output.status.success(), "{what}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}
