//! The smallest client: the binary as a child process, one JSON-RPC message a line.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use serde_json::{Value, json};

/// A server that runs, its handshake done. Ended when dropped.
pub struct Client {
    child: Child,
    stdin: Option<ChildStdin>,
    stdout: BufReader<ChildStdout>,
    id: u64,
    /// From the start of the process to the answer of `initialize`.
    pub started_in: Duration,
}

impl Client {
    /// Starts the server on a project.
    #[allow(dead_code, reason = "shared with programs that do not call it")]
    pub fn start(server: &Path, project: &Path) -> anyhow::Result<Self> {
        Self::start_with(server, project, &[])
    }

    /// Starts the server on a project, with these variables.
    pub fn start_with(server: &Path, project: &Path, variables: &[(&str, &str)]) -> anyhow::Result<Self> {
        let began = Instant::now();
        let mut child = Command::new(server)
            .arg("--path")
            .arg(project)
            .envs(variables.iter().copied())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .with_context(|| format!("{} cannot be started", server.display()))?;
        let stdin = child.stdin.take();
        let stdout = BufReader::new(child.stdout.take().context("the server has no stdout")?);
        let mut client = Self { child, stdin, stdout, id: 0, started_in: Duration::ZERO };
        client.request(
            "initialize",
            json!({
                "protocolVersion": "2025-11-25",
                "capabilities": {},
                "clientInfo": {"name": "bench", "version": "1"},
            }),
        )?;
        client.started_in = began.elapsed();
        client.send(&json!({"jsonrpc": "2.0", "method": "notifications/initialized"}))?;
        Ok(client)
    }

    /// The server, as the system knows it.
    #[allow(dead_code, reason = "shared with programs that do not call it")]
    pub fn process(&self) -> u32 {
        self.child.id()
    }

    /// Calls a tool; returns the time from writing the request to reading the whole reply.
    pub fn call(&mut self, tool: &str, arguments: Value) -> anyhow::Result<Duration> {
        let (took, result) = self.request("tools/call", json!({"name": tool, "arguments": arguments}))?;
        if result["isError"] == json!(true) {
            bail!("{tool} says: {}", result["content"][0]["text"]);
        }
        Ok(took)
    }

    /// The round trip that does nothing.
    #[allow(dead_code, reason = "shared with programs that do not call it")]
    pub fn ping(&mut self) -> anyhow::Result<Duration> {
        Ok(self.request("ping", json!({}))?.0)
    }

    fn request(&mut self, method: &str, params: Value) -> anyhow::Result<(Duration, Value)> {
        self.id += 1;
        let message = json!({"jsonrpc": "2.0", "id": self.id, "method": method, "params": params});
        let began = Instant::now();
        self.send(&message)?;
        let mut line = String::new();
        loop {
            line.clear();
            if self.stdout.read_line(&mut line)? == 0 {
                bail!("the server ended during `{method}`");
            }
            let took = began.elapsed();
            let mut reply: Value = serde_json::from_str(&line).context("a line that is not JSON")?;
            if reply["id"] != json!(self.id) {
                continue; // A notification.
            }
            if !reply["error"].is_null() {
                bail!("`{method}` was refused: {}", reply["error"]);
            }
            return Ok((took, reply["result"].take()));
        }
    }

    fn send(&mut self, message: &Value) -> anyhow::Result<()> {
        let stdin = self.stdin.as_mut().context("the server is ended")?;
        stdin.write_all(format!("{message}\n").as_bytes())?;
        Ok(stdin.flush()?)
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        // The server ends when its standard input does.
        self.stdin = None;
        let _ = self.child.wait();
    }
}
