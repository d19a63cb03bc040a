//! An HTTP server that can be killed and started again on the same port.

use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use memory_bank_test_postgres::{Place, free_port};
use tempfile::TempDir;

use super::wire::{Connection, Request};

/// The program under test.
pub(crate) const BINARY: &str = env!("CARGO_BIN_EXE_memory-bank-mcp");
/// How often a start is tried, since another process may take the port meanwhile.
const TRIES: usize = 50;

/// How long recovery may take.
const RECOVERY_TIMEOUT: Duration = Duration::from_secs(90);

/// The log file of a server.
const LOG: &str = "server.log";

/// One of several servers on one database.
pub(crate) struct Replica {
    process: Child,
    place: Place,
    pub(crate) address: String,
    port: u16,
    folder: TempDir,
    variables: Vec<(String, String)>,
}

impl Replica {
    pub(crate) fn start(variables: &[(&str, &str)]) -> Self {
        Self::start_at(&Place::here(), variables)
    }

    /// The same at another place.
    pub(crate) fn start_at(place: &Place, variables: &[(&str, &str)]) -> Self {
        let variables: Vec<_> =
            variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let folder = TempDir::new().unwrap();
        for _ in 0..TRIES {
            let port = free_port();
            if let Some((process, address)) = launch(place, &folder, port, &variables) {
                return Self { process, place: place.clone(), address, port, folder, variables };
            }
        }
        panic!("the server did not start: {}", log(&folder));
    }

    /// Kills it, as `kill -9` does.
    pub(crate) fn kill(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }

    /// Sends it a signal.
    pub(crate) fn signal(&self, signal: &str) {
        let process = self.process.id().to_string();
        assert!(Command::new("kill").args([signal, &process]).status().unwrap().success());
    }

    /// Starts it at the same address after a kill.
    pub(crate) fn start_again(&mut self) {
        for _ in 0..TRIES {
            if let Some((process, _)) = launch(&self.place, &self.folder, self.port, &self.variables) {
                self.process = process;
                return;
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        panic!("the server did not start again on port {}: {}", self.port, log(&self.folder));
    }

    /// The log of all runs of this server.
    pub(crate) fn log(&self) -> String {
        log(&self.folder)
    }
}

impl Drop for Replica {
    fn drop(&mut self) {
        let _ended = self.process.kill();
        let _ended = self.process.wait();
    }
}

/// Waits until every server reports that it is healthy.
pub(crate) fn await_health(addresses: &[String]) {
    let health = Request { method: "GET", path: "/health".to_owned(), ..Request::default() };
    for address in addresses {
        let began = Instant::now();
        loop {
            let answer = Connection::exchange_once(address, "", &health);
            if answer.message().is_some_and(|health| health["status"] == "ok") {
                break;
            }
            assert!(
                began.elapsed() < RECOVERY_TIMEOUT,
                "{address} did not become healthy: {}",
                answer.text()
            );
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

/// The process and its address, once it listens; `None` if it ended.
fn launch(
    place: &Place,
    folder: &TempDir,
    port: u16,
    variables: &[(String, String)],
) -> Option<(Child, String)> {
    let mut process = place
        .command(BINARY)
        .arg("serve")
        .current_dir(folder.path())
        .env_clear()
        .envs(variables.iter().map(|(name, value)| (name, value)))
        .env("MCP_PORT", port.to_string())
        .stdout(Stdio::piped())
        .stderr(File::options().create(true).append(true).open(folder.path().join(LOG)).unwrap())
        .spawn()
        .unwrap();
    for line in BufReader::new(process.stdout.take().unwrap()).lines().map_while(Result::ok) {
        if let Some(url) = line.strip_prefix("Listening on http://") {
            return Some((process, url.trim_end_matches("/mcp").to_owned()));
        }
    }
    process.wait().unwrap();
    None
}

fn log(folder: &TempDir) -> String {
    fs::read(folder.path().join(LOG))
        .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
        .unwrap_or_default()
}
