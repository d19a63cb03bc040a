//! A PgBouncer in transaction mode in front of a PostgreSQL.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::Context;

use crate::processes::{Program, as_postgres, free_ports, listens, until};
use crate::servers::{Postgres, output};

/// How long it may take to start.
const READY: Duration = Duration::from_secs(20);
/// Sessions of the database that it opens: fewer than two servers use connections.
pub const SESSIONS: usize = 6;
/// The first version that carries prepared statements.
const CARRIES_SINCE: (u32, u32) = (1, 21);

/// The pooler.
pub struct PgBouncer {
    home: PathBuf,
    port: u16,
    program: Option<Program>,
}

impl PgBouncer {
    /// Starts it for a role.
    pub fn start(home: &Path, postgres: &Postgres, role: &str) -> anyhow::Result<Self> {
        let home = home.join("pooler");
        fs::create_dir(&home)?;
        fs::set_permissions(&home, fs::Permissions::from_mode(0o777))?;
        let [port] = free_ports()?;
        let users = home.join("users.txt");
        fs::write(&users, format!("\"{role}\" \"\"\n"))?;
        let carried = if carries_prepared_statements()? { "max_prepared_statements = 100\n" } else { "" };
        fs::write(
            home.join("pgbouncer.ini"),
            format!(
                "[databases]\n* = host=127.0.0.1 port={}\n[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\n\
                 unix_socket_dir =\nauth_type = trust\nauth_file = {}\npool_mode = transaction\ndefault_pool_size = {SESSIONS}\n\
                 server_login_retry = 1\n{carried}",
                postgres.port(),
                users.display()
            ),
        )?;
        let mut pooler = Self { home, port, program: None };
        pooler.run()?;
        Ok(pooler)
    }

    fn run(&mut self) -> anyhow::Result<()> {
        let mut command = as_postgres(&program())?;
        command.arg("-q").arg(self.home.join("pgbouncer.ini")).current_dir("/");
        let started = Program::start(command, &self.home.join("pgbouncer.log"));
        self.program = Some(started.context("needs Debian's pgbouncer")?);
        until("the start of PgBouncer", READY, || listens(self.port))
    }

    /// Kills it, and starts it again two seconds later.
    pub fn restart(&mut self) -> anyhow::Result<()> {
        self.program = None;
        std::thread::sleep(Duration::from_secs(2));
        self.run()
    }

    /// Stops it for two seconds.
    pub fn hang(&self) -> anyhow::Result<()> {
        let program = self.program.as_ref().context("PgBouncer does not run")?;
        program.signal("STOP")?;
        std::thread::sleep(Duration::from_secs(2));
        program.signal("CONT")
    }

    /// The connection string of a role through it.
    pub fn url(&self, role: &str) -> String {
        format!("postgres://{role}@127.0.0.1:{}/postgres?sslmode=disable", self.port)
    }
}

/// The version, as it reports it.
pub fn version() -> anyhow::Result<String> {
    let text = output(Command::new(program()).arg("--version"))?;
    Ok(text.lines().next().unwrap_or_default().to_owned())
}

/// Whether this version takes prepared statements from one session to another.
pub fn carries_prepared_statements() -> anyhow::Result<bool> {
    let text = version()?;
    let number = text.split_whitespace().nth(1).context("PgBouncer reports no version")?;
    let mut numbers = number.split('.').map(str::parse::<u32>);
    let (major, minor) = (numbers.next().context("no version")??, numbers.next().context("no version")??);
    Ok((major, minor) >= CARRIES_SINCE)
}

/// `MEMORY_BANK_TEST_PGBOUNCER`, or the system's; Debian keeps it out of an ordinary user's PATH.
fn program() -> String {
    let usual = "/usr/sbin/pgbouncer";
    match std::env::var("MEMORY_BANK_TEST_PGBOUNCER") {
        Ok(chosen) => chosen,
        Err(_) if Path::new(usual).exists() => usual.to_owned(),
        Err(_) => "pgbouncer".to_owned(),
    }
}
