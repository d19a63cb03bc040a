//! PostgreSQL, Redis and the binary, each started for the benchmark alone and ended with it.

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use serde_json::Value;

/// How long a server may take to start.
const TIMEOUT: Duration = Duration::from_secs(60);

/// A PostgreSQL as a package sets it up: every commit is flushed to the disk.
pub struct Postgres {
    programs: PathBuf,
    data: PathBuf,
    user: Option<&'static str>,
    port: u16,
}

impl Postgres {
    /// Makes a cluster in this folder and starts it.
    pub fn start(home: &Path) -> anyhow::Result<Self> {
        let programs = programs()?;
        // PostgreSQL refuses to run as root.
        let user = (output(Command::new("id").arg("-u"))?.trim() == "0").then_some("postgres");
        let user =
            user.filter(|user| Command::new("id").arg(user).output().is_ok_and(|id| id.status.success()));
        let user = user.or_else(|| {
            (output(Command::new("id").arg("-u")).is_ok_and(|id| id.trim() == "0")).then_some("nobody")
        });
        fs::set_permissions(home, fs::Permissions::from_mode(0o777))?;
        let postgres = Self { programs, data: home.join("data"), user, port: free_port()? };
        let mut initdb = postgres.command("initdb");
        initdb.args(["-U", "postgres", "-A", "trust", "-E", "UTF8", "-D"]).arg(&postgres.data);
        output(&mut initdb)?;
        postgres.control("start", home)?;
        Ok(postgres)
    }

    /// Ends all its processes at once, as a crash does, and starts it again. `home` is the folder that it was started in.
    #[allow(dead_code, reason = "shared with programs that do not call it")]
    pub fn crash(&self, home: &Path) -> anyhow::Result<()> {
        self.control("restart", home)
    }

    fn control(&self, what: &str, home: &Path) -> anyhow::Result<()> {
        let options = format!("-p {} -k {} -c listen_addresses=127.0.0.1", self.port, home.display());
        let mut control = self.command("pg_ctl");
        control.args([what, "-w", "-D"]).arg(&self.data).arg("-l").arg(home.join("postgres.log"));
        if what == "restart" {
            control.args(["-m", "immediate"]);
        }
        let status = control.args(["-o", &options]).stdout(Stdio::null()).stderr(Stdio::null()).status()?;
        ensure!(status.success(), "{}", fs::read_to_string(home.join("postgres.log")).unwrap_or_default());
        Ok(())
    }

    /// The connection string of a role.
    pub fn url(&self, role: &str) -> String {
        format!("postgres://{role}@127.0.0.1:{}/postgres?sslmode=disable", self.port)
    }

    /// Runs SQL as the superuser.
    pub fn psql(&self, sql: &str) -> anyhow::Result<String> {
        let mut psql = Command::new(self.programs.join("psql"));
        psql.args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", &self.url("postgres"), "-c", sql]);
        output(&mut psql)
    }

    /// Runs a file of SQL as the superuser.
    #[allow(dead_code, reason = "shared with programs that do not call it")]
    pub fn psql_file(&self, file: &Path) -> anyhow::Result<String> {
        let mut psql = Command::new(self.programs.join("psql"));
        psql.args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", &self.url("postgres"), "-f"]).arg(file);
        output(&mut psql)
    }

    /// pgbench on this server, as a role.
    pub fn pgbench(&self, role: &str) -> Command {
        let mut command = Command::new(self.programs.join("pgbench"));
        // As the server has it.
        command.env("PGOPTIONS", "-c plan_cache_mode=force_generic_plan");
        command.args(["-h", "127.0.0.1", "-p", &self.port.to_string(), "-U", role, "-d", "postgres"]);
        command
    }

    /// The processor time that the server and all its processes have used.
    pub fn worked(&self) -> anyhow::Result<Duration> {
        let pid = fs::read_to_string(self.data.join("postmaster.pid"))?;
        let pid: u32 = pid.lines().next().unwrap_or_default().trim().parse()?;
        worked(pid)
    }

    /// The port that it listens on.
    #[allow(dead_code, reason = "shared with programs that do not call it")]
    pub fn port(&self) -> u16 {
        self.port
    }

    fn command(&self, program: &str) -> Command {
        let program = self.programs.join(program);
        let mut command = match self.user {
            Some(user) => {
                let mut command = Command::new("setpriv");
                command
                    .args([&format!("--reuid={user}"), "--regid=nogroup", "--clear-groups", "--"])
                    .arg(program);
                command
            }
            None => Command::new(program),
        };
        command.env("LC_ALL", "C.UTF-8").current_dir("/").stdin(Stdio::null());
        command
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        let mut stop = self.command("pg_ctl");
        let _ended = stop.args(["stop", "-w", "-m", "immediate", "-D"]).arg(&self.data).output();
    }
}

/// A Redis that keeps nothing on the disk.
pub struct Redis {
    process: Child,
    port: u16,
}

impl Redis {
    /// Starts it in this folder.
    pub fn start(home: &Path) -> anyhow::Result<Self> {
        let port = free_port()?;
        let process = Command::new("redis-server")
            .args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"])
            .current_dir(home)
            .stdout(Stdio::null())
            .spawn()
            .context("redis-server cannot be started")?;
        let redis = Self { process, port };
        let began = Instant::now();
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            ensure!(began.elapsed() < TIMEOUT, "Redis does not answer");
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(redis)
    }

    /// Its URL.
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// The bytes of its keys and buffers.
    #[allow(dead_code, reason = "shared with programs that do not call it")]
    pub fn used_bytes(&self) -> anyhow::Result<u64> {
        let port = self.port.to_string();
        let info = output(Command::new("redis-cli").args(["-p", &port, "INFO", "memory"]))?;
        let used = info.lines().find_map(|line| line.strip_prefix("used_memory:"));
        Ok(used.context("Redis does not report its memory")?.trim().parse()?)
    }

    /// How many keys it has.
    #[allow(dead_code, reason = "shared with programs that do not call it")]
    pub fn keys(&self) -> anyhow::Result<u64> {
        Ok(output(Command::new("redis-cli").args(["-p", &self.port.to_string(), "DBSIZE"]))?
            .trim()
            .parse()?)
    }

    /// The reply to a command, one line for each part.
    #[allow(dead_code, reason = "shared with programs that do not call it")]
    pub fn ask(&self, words: &[&str]) -> anyhow::Result<String> {
        output(Command::new("redis-cli").args(["-p", &self.port.to_string()]).args(words))
    }

    /// The processor time that it has used.
    pub fn worked(&self) -> anyhow::Result<Duration> {
        worked(self.process.id())
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        let _ended = self.process.kill();
        let _reaped = self.process.wait();
    }
}

/// The binary, serving.
pub struct Served {
    process: Child,
    /// Where it listens.
    pub address: SocketAddr,
}

impl Served {
    /// Starts the binary with these variables and no others.
    pub fn start(binary: &Path, variables: &[(&str, &str)]) -> anyhow::Result<Self> {
        let mut process = Command::new(binary)
            .arg("serve")
            .env_clear()
            .envs([("MCP_PORT", "0"), ("MCP_HOST", "127.0.0.1")])
            .envs(variables.iter().copied())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("{} cannot be started", binary.display()))?;
        let stdout = BufReader::new(process.stdout.take().context("the server has no stdout")?);
        for line in stdout.lines() {
            if let Some(url) = line?.strip_prefix("Listening on http://") {
                let address = url.trim_end_matches("/mcp").parse()?;
                return Ok(Self { process, address });
            }
        }
        bail!("the server ended: {}", process.wait()?)
    }

    /// The processor time that it has used.
    pub fn worked(&self) -> anyhow::Result<Duration> {
        worked(self.process.id())
    }

    /// Its process.
    #[allow(dead_code, reason = "shared with programs that do not call it")]
    pub fn id(&self) -> u32 {
        self.process.id()
    }

    /// Asks it to end, as a system does that replaces it; returns how long that took. An error if it takes longer than this.
    #[allow(dead_code, reason = "shared with programs that do not call it")]
    pub fn end(mut self, longest: Duration) -> anyhow::Result<Duration> {
        let began = Instant::now();
        output(Command::new("kill").args(["-TERM", &self.process.id().to_string()]))?;
        loop {
            if let Some(status) = self.process.try_wait()? {
                ensure!(status.success(), "a server ended with {status}");
                return Ok(began.elapsed());
            }
            ensure!(began.elapsed() < longest, "a server did not end within {longest:?}");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Resident memory in KiB: private, and total with the pages of the program's file.
    pub fn resident(&self) -> anyhow::Result<(u64, u64)> {
        resident(self.process.id())
    }
}

/// Resident memory of a process, in KiB: its own, and with the pages of the program's file.
pub fn resident(process: u32) -> anyhow::Result<(u64, u64)> {
    let status = fs::read_to_string(format!("/proc/{process}/status"))?;
    let field = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        line.and_then(|line| line.split_whitespace().next()?.parse().ok())
            .with_context(|| format!("the system does not tell {name}"))
    };
    Ok((field("RssAnon:")?, field("VmRSS:")?))
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ended = self.process.kill();
        let _reaped = self.process.wait();
    }
}

/// The processor time of a process, of its children that live, and of those that it waited for.
pub fn worked(process: u32) -> anyhow::Result<Duration> {
    /// The kernel reports times in hundredths of a second.
    const TICK: Duration = Duration::from_millis(10);
    let mut ticks = 0_u32;
    for entry in fs::read_dir("/proc")?.flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else {
            continue;
        };
        // A process may end while it is inspected.
        let Ok(stat) = fs::read_to_string(entry.path().join("stat")) else { continue };
        let Some((_, fields)) = stat.rsplit_once(") ") else { continue };
        let fields: Vec<&str> = fields.split(' ').collect();
        let field =
            |at: usize| fields.get(at).and_then(|field| field.parse::<u32>().ok()).unwrap_or_default();
        // After the name: state, parent, …, and the times from the twelfth on: user, system, and those of the children.
        if pid == process {
            ticks += field(11) + field(12) + field(13) + field(14);
        } else if field(1) == process {
            ticks += field(11) + field(12);
        }
    }
    Ok(TICK * ticks)
}

/// Runs one of the operator's commands and returns its output.
pub fn operate(binary: &Path, database: &str, arguments: &[&str]) -> anyhow::Result<Value> {
    let mut command = Command::new(binary);
    command.args(arguments).arg("--json").env_clear().envs([("DATABASE_URL", database), ("REDIS_URL", "")]);
    Ok(serde_json::from_str(&output(&mut command)?)?)
}

/// The output of a program, if it succeeds.
pub fn output(command: &mut Command) -> anyhow::Result<String> {
    let output = command.output().with_context(|| format!("{:?} cannot be run", command.get_program()))?;
    let errors = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{:?} failed: {errors}", command.get_program());
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// The programs of Debian's newest PostgreSQL, or those in the folder that `MEMORY_BANK_TEST_POSTGRES_BIN` names.
pub fn programs() -> anyhow::Result<PathBuf> {
    if let Some(chosen) = std::env::var_os("MEMORY_BANK_TEST_POSTGRES_BIN") {
        return Ok(PathBuf::from(chosen));
    }
    let version = |path: &PathBuf| path.parent()?.file_name()?.to_str()?.parse::<u32>().ok();
    let installed = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let bins = installed.map(|entry| entry.path().join("bin")).filter(|path| path.join("pgbench").exists());
    bins.max_by_key(version).context("PostgreSQL with pgbench is not installed: run scripts/setup databases")
}

fn free_port() -> anyhow::Result<u16> {
    Ok(TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port())
}
