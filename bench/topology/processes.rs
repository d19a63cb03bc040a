//! Programs in process groups of their own, so that one signal reaches a program with all its children.

use std::fs::File;
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};

use crate::servers::output;

/// A program that ends with the benchmark.
pub struct Program {
    process: Child,
}

impl Program {
    /// Starts a command; its output goes into a file.
    pub fn start(mut command: Command, log: &Path) -> anyhow::Result<Self> {
        use std::os::unix::process::CommandExt;
        let file = File::options().create(true).append(true).open(log)?;
        let shown = format!("{:?}", command.get_program());
        command.stdin(Stdio::null()).stdout(file.try_clone()?).stderr(file).process_group(0);
        Ok(Self { process: command.spawn().with_context(|| format!("{shown} cannot be started"))? })
    }

    /// Sends a signal to the program and to its children.
    pub fn signal(&self, name: &str) -> anyhow::Result<()> {
        output(Command::new("kill").args([&format!("-{name}"), "--", &format!("-{}", self.process.id())]))?;
        Ok(())
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _sent = self.signal("KILL");
        let _reaped = self.process.wait();
    }
}

/// A command of a program that refuses to run as root.
pub fn as_postgres(program: &str) -> anyhow::Result<Command> {
    if output(Command::new("id").arg("-u"))?.trim() != "0" {
        return Ok(Command::new(program));
    }
    let mut command = Command::new("setpriv");
    command.args(["--reuid=postgres", "--regid=postgres", "--clear-groups", "--", program]);
    Ok(command)
}

/// Ports that nobody listens on.
pub fn free_ports<const COUNT: usize>() -> anyhow::Result<[u16; COUNT]> {
    let mut listeners = Vec::new();
    let mut ports = [0; COUNT];
    for port in &mut ports {
        let listener = TcpListener::bind(("127.0.0.1", 0))?;
        *port = listener.local_addr()?.port();
        listeners.push(listener);
    }
    Ok(ports)
}

/// Waits until something holds.
pub fn until(what: &str, longest: Duration, mut holds: impl FnMut() -> bool) -> anyhow::Result<()> {
    let began = Instant::now();
    while !holds() {
        ensure!(began.elapsed() < longest, "{what} did not happen within {longest:?}");
        std::thread::sleep(Duration::from_millis(50));
    }
    Ok(())
}

/// Whether something listens on a port.
pub fn listens(port: u16) -> bool {
    TcpStream::connect(("127.0.0.1", port)).is_ok()
}
