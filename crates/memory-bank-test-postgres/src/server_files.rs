//! The files of one PostgreSQL, and the programs that make them, start the server on them and end it.

use std::fs::{self, File};
use std::io::Write as _;
use std::net::SocketAddrV4;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::Place;
use crate::cluster::succeeded;

/// How long processes may take to end that were killed.
const KILL_TIMEOUT: Duration = Duration::from_secs(20);

/// A folder with a server's data, and the programs that run it.
pub(crate) struct ServerFiles<'a> {
    pub(crate) programs: &'a Path,
    pub(crate) home: &'a Path,
    /// Where it listens.
    pub(crate) place: &'a Place,
    /// The user to run as, when tests run as root.
    pub(crate) user: Option<String>,
}

impl ServerFiles<'_> {
    pub(crate) fn data(&self) -> PathBuf {
        self.home.join("data")
    }

    /// Makes the folder and the files of an empty server.
    pub(crate) fn make(&self) {
        self.make_folder();
        let initdb = self
            .command("initdb")
            .args(["-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-sync", "-D"])
            .arg(self.data())
            .output()
            .expect("initdb");
        succeeded("initdb", initdb);
        if *self.place != Place::here() {
            // The programs in a network of the test's own are trusted, as those at 127.0.0.1 are.
            self.append(
                "pg_hba.conf",
                "host all all 10.0.0.0/8 trust\nhost replication all 10.0.0.0/8 trust\n",
            );
        }
    }

    /// Makes the folder, and the files of a server that follows a stopped one, whose files these are and which it reaches at this address.
    pub(crate) fn copy(&self, primary: &ServerFiles<'_>, address: SocketAddrV4) {
        self.make_folder();
        let copied = Command::new("cp").arg("-a").args([primary.data(), self.data()]).output().expect("cp");
        succeeded("a copy of the test server", copied);
        let follow = format!(
            "primary_conninfo = 'host={} port={} user=postgres sslmode=disable'\n\
             wal_retrieve_retry_interval = '200ms'\n",
            address.ip(),
            address.port()
        );
        self.append("postgresql.auto.conf", &follow);
        fs::write(self.data().join("standby.signal"), "").expect("the mark of a standby");
    }

    fn append(&self, name: &str, lines: &str) {
        let file = File::options().append(true).open(self.data().join(name));
        let written = file.and_then(|mut file| file.write_all(lines.as_bytes()));
        written.expect("the settings of the test server");
    }

    fn make_folder(&self) {
        let _nothing_there = fs::remove_dir_all(self.home);
        fs::create_dir_all(self.home).expect("a folder for the test server");
        fs::set_permissions(self.home, fs::Permissions::from_mode(0o755)).expect("its permissions");
        if let Some(user) = &self.user {
            succeeded("chown", Command::new("chown").arg(user).arg(self.home).output().expect("chown"));
        }
    }

    /// Starts the server and waits until it accepts connections.
    pub(crate) fn launch(&self, port: u16, settings: &str) {
        let address = self.place.address();
        let options =
            format!("-p {port} -k {} -c listen_addresses={address} {settings}", self.home.display());
        let started = self
            .command("pg_ctl")
            .args(["start", "-w", "-t", "60", "-D"])
            .arg(self.data())
            .arg("-l")
            .arg(self.home.join("server.log"))
            .args(["-o", &options])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .expect("pg_ctl");
        let log = || fs::read_to_string(self.home.join("server.log")).unwrap_or_default();
        assert!(started.success(), "{}", log());
    }

    /// Ends the server as a crash would, without a flush.
    pub(crate) fn crash(&self) {
        self.stop("immediate");
    }

    /// Ends the server in this mode of `pg_ctl`.
    pub(crate) fn stop(&self, mode: &str) {
        let mut command = self.command("pg_ctl");
        command.args(["stop", "-m", mode, "-D"]).arg(self.data());
        let _ended = command.stdout(Stdio::null()).stderr(Stdio::null()).status();
    }

    /// Sends a signal to all its processes: `STOP` and `CONT`, as a machine does that hangs for a while. Returns their ids.
    pub(crate) fn signal(&self, name: &str) -> Vec<String> {
        let process = self.process();
        let listed = Command::new("ps").args(["-o", "pid=", "--ppid", &process]).output().expect("ps");
        let children = String::from_utf8_lossy(&listed.stdout).into_owned();
        let all: Vec<_> = children.split_whitespace().chain([process.as_str()]).map(str::to_owned).collect();
        let sent = Command::new("kill").arg(format!("-{name}")).args(&all).output().expect("kill");
        // A child may have ended since it was listed.
        let errors = String::from_utf8_lossy(&sent.stderr).into_owned();
        let mut failed = errors.split(|letter: char| !letter.is_ascii_digit());
        assert!(failed.all(|number| number != process), "{errors}");
        all
    }

    /// Ends all its processes as `kill -9` does.
    pub(crate) fn kill(&self) {
        // A server that is stopped starts no further process.
        let stopped = Command::new("kill").args(["-STOP", &self.process()]).output().expect("kill");
        succeeded("kill", stopped);
        let (killed, began) = (self.signal("KILL"), Instant::now());
        while killed.iter().any(|process| is_running(process)) {
            assert!(began.elapsed() < KILL_TIMEOUT, "the test server survives a kill");
            std::thread::sleep(Duration::from_millis(5));
        }
        // A process that nobody has waited for yet remains in the list of processes, and the server would not start beside it.
        for file in fs::read_dir(self.home).expect("the server's folder").flatten() {
            if file.file_name().as_encoded_bytes().starts_with(b".s.PGSQL.") {
                fs::remove_file(file.path()).expect("the socket of a killed server");
            }
        }
        fs::remove_file(self.data().join("postmaster.pid")).expect("the note of a killed server");
    }

    /// The id of its first process.
    fn process(&self) -> String {
        let noted = fs::read_to_string(self.data().join("postmaster.pid")).expect("a running server");
        noted.lines().next().expect("its process").trim().to_owned()
    }

    fn command(&self, program: &str) -> Command {
        let mut command = match &self.user {
            // The server refuses to run as root.
            Some(user) => {
                let mut command = self.place.command("setpriv");
                command.args([&format!("--reuid={user}"), "--regid=nogroup", "--clear-groups", "--"]);
                command.arg(self.programs.join(program));
                command
            }
            None => self.place.command(self.programs.join(program)),
        };
        command.env("LC_ALL", "C.UTF-8").env("HOME", self.home).current_dir(self.home).stdin(Stdio::null());
        command
    }
}

/// Whether a process exists and has not ended.
fn is_running(process: &str) -> bool {
    let state = fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    state.rsplit(')').next().is_some_and(|rest| !rest.trim().is_empty() && !rest.trim().starts_with('Z'))
}
