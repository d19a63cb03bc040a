//! A PostgreSQL with two streaming replicas, which answer reads.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::Context;

use crate::processes::{Program, as_postgres, free_ports, until};
use crate::servers::{Postgres, output, programs, worked};

/// How long a standby may take to catch up.
const READY: Duration = Duration::from_secs(60);
pub const STANDBYS: usize = 2;

/// The standbys of one primary.
pub struct Standbys {
    home: PathBuf,
    bin: PathBuf,
    nodes: [Option<Program>; STANDBYS],
    ports: [u16; STANDBYS],
}

impl Standbys {
    /// Copies the primary, and follows it.
    pub fn start(home: &Path, primary: &Postgres) -> anyhow::Result<Self> {
        let home = home.join("standbys");
        fs::create_dir(&home)?;
        fs::set_permissions(&home, fs::Permissions::from_mode(0o777))?;
        let mut standbys = Self { home, bin: programs()?, nodes: [None, None], ports: free_ports()? };
        for node in 0..STANDBYS {
            let mut copy = as_postgres(&standbys.program("pg_basebackup"))?;
            copy.args(["-h", "127.0.0.1", "-p", &primary.port().to_string(), "-U", "postgres"]);
            copy.args(["--checkpoint=fast", "--wal-method=stream", "--write-recovery-conf", "-D"]);
            output(copy.arg(standbys.data(node)).current_dir("/"))?;
            standbys.run(node)?;
        }
        Ok(standbys)
    }

    fn program(&self, name: &str) -> String {
        self.bin.join(name).display().to_string()
    }

    fn data(&self, node: usize) -> PathBuf {
        self.home.join(format!("node-{node}"))
    }

    /// Starts a standby, and waits until it answers.
    pub fn run(&mut self, node: usize) -> anyhow::Result<()> {
        let mut postgres = as_postgres(&self.program("postgres"))?;
        postgres.arg("-D").arg(self.data(node)).args(["-p", &self.ports[node].to_string(), "-k"]);
        postgres.arg(&self.home).args(["-c", "listen_addresses=127.0.0.1"]);
        postgres.env("LC_ALL", "C.UTF-8").current_dir("/");
        self.nodes[node] = Some(Program::start(postgres, &self.home.join(format!("node-{node}.log")))?);
        until("the start of a standby", READY, || self.psql(node, "SELECT 1").is_ok())
    }

    /// Kills a standby, as a power failure does.
    pub fn kill(&mut self, node: usize) -> anyhow::Result<()> {
        self.signal(node, "KILL")?;
        self.nodes[node] = None;
        Ok(())
    }

    /// Sends a signal to all processes of a standby.
    pub fn signal(&self, node: usize, name: &str) -> anyhow::Result<()> {
        let pid = self.pid(node)?.to_string();
        // Its children lead groups of their own.
        let children = output(Command::new("ps").args(["-o", "pid=", "--ppid", &pid])).unwrap_or_default();
        let mut kill = Command::new("kill");
        output(kill.arg(format!("-{name}")).arg(&pid).args(children.split_whitespace()))?;
        Ok(())
    }

    /// Stops or continues the replay of what a standby receives.
    pub fn pause_replay(&self, node: usize, is_paused: bool) -> anyhow::Result<()> {
        let function = if is_paused { "pg_wal_replay_pause" } else { "pg_wal_replay_resume" };
        self.psql(node, &format!("SELECT {function}()")).map(drop)
    }

    /// Waits until all standbys have what the primary has now.
    pub fn catch_up(&self, primary: &Postgres) -> anyhow::Result<()> {
        let position = primary.psql("SELECT pg_current_wal_flush_lsn()")?;
        let has = |node| {
            let asked = self.psql(node, &format!("SELECT pg_last_wal_replay_lsn() >= '{}'", position.trim()));
            asked.is_ok_and(|answer| answer.trim() == "t")
        };
        until("replay", READY, || (0..STANDBYS).all(has))
    }

    /// The processor time that all of them have used.
    pub fn worked(&self) -> anyhow::Result<Duration> {
        (0..STANDBYS).map(|node| worked(self.pid(node)?)).sum()
    }

    /// Their connection strings.
    pub fn urls(&self, role: &str) -> String {
        let url = |port: &u16| format!("postgres://{role}@127.0.0.1:{port}/postgres?sslmode=disable");
        self.ports.iter().map(url).collect::<Vec<_>>().join(" ")
    }

    fn pid(&self, node: usize) -> anyhow::Result<u32> {
        let text = fs::read_to_string(self.data(node).join("postmaster.pid"))?;
        Ok(text.lines().next().context("postmaster.pid is empty")?.trim().parse()?)
    }

    fn psql(&self, node: usize, sql: &str) -> anyhow::Result<String> {
        let url = format!("postgres://postgres@127.0.0.1:{}/postgres?sslmode=disable", self.ports[node]);
        output(Command::new(self.program("psql")).args(["-X", "-q", "-A", "-t", &url, "-c", sql]))
    }
}
