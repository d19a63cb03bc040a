//! An HTTP server that can be killed and started again on the same port.

use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use memory_bank_test_postgres::free_port;
use tempfile::TempDir;

/// The program under test.
pub(crate) const BINARY: &str = env!("CARGO_BIN_EXE_memory-bank-mcp");
/// How often a start is tried, since another process may take the port meanwhile.
const TRIES: usize = 50;

/// The log file of a server.
const LOG: &str = "server.log";

/// One of several servers on one database.
pub(crate) struct Replica {
    process: Child,
    pub(crate) address: String,
    port: u16,
    folder: TempDir,
    variables: Vec<(String, String)>,
}

impl Replica {
    pub(crate) fn start(variables: &[(&str, &str)]) -> Self {
        let variables: Vec<_> =
            variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let folder = TempDir::new().unwrap();
        for _ in 0..TRIES {
            let port = free_port();
            if let Some((process, address)) = launch(&folder, port, &variables) {
                return Self { process, address, port, folder, variables };
            }
        }
        panic!("the server did not start: {}", log(&folder));
    }

    /// Kills it, as `kill -9` does.
    pub(crate) fn kill(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }

    /// Starts it at the same address after a kill.
    pub(crate) fn start_again(&mut self) {
        for _ in 0..TRIES {
            if let Some((process, _)) = launch(&self.folder, self.port, &self.variables) {
                self.process = process;
                return;
            }
            std::thread::sleep(std::time::Duration::from_millis(100));
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

/// The process and its address, once it listens; `None` if it ended.
fn launch(folder: &TempDir, port: u16, variables: &[(String, String)]) -> Option<(Child, String)> {
    let mut process = Command::new(BINARY)
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
