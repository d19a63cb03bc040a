//! A server over stdio that can be killed at any moment.

use parking_lot::Mutex;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::replica::BINARY;
use super::tool_call::{Outcome, outcome};

/// How long an answer may take.
const TIMEOUT: Duration = Duration::from_secs(60);

/// A process and its pipes.
pub(crate) struct Process {
    child: Arc<Mutex<Child>>,
    /// None when it is closed.
    input: Option<ChildStdin>,
    lines: Receiver<String>,
    id: u64,
}

/// Kills or stops a process from another thread.
#[derive(Clone)]
pub(crate) struct Handle(Arc<Mutex<Child>>);

impl Handle {
    /// Sends it a signal.
    pub(crate) fn signal(&self, name: &str) {
        let process = self.0.lock().id().to_string();
        assert!(Command::new("kill").args([name, &process]).status().unwrap().success());
    }

    /// Kills it as `kill -9` does.
    pub(crate) fn kill(&self) {
        self.0.lock().kill().unwrap();
    }
}

impl Process {
    pub(crate) fn start(folder: &Path) -> Self {
        Self::start_with(folder, &[])
    }

    /// The same with more variables.
    pub(crate) fn start_with(folder: &Path, variables: &[(&str, String)]) -> Self {
        Self::spawn(Command::new(BINARY), folder, variables)
    }

    /// The same as the child of another program, which is given the program as its last argument.
    pub(crate) fn start_under(mut other: Command, folder: &Path, variables: &[(&str, String)]) -> Self {
        other.arg(BINARY);
        let path = ("PATH", std::env::var("PATH").unwrap_or_default());
        Self::spawn(other, folder, &[variables, &[path]].concat())
    }

    fn spawn(mut command: Command, folder: &Path, variables: &[(&str, String)]) -> Self {
        let mut child = command
            .current_dir(folder)
            .env_clear()
            .env("HOME", folder.join("home"))
            .envs(variables.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let input = child.stdin.take();
        let output = BufReader::new(child.stdout.take().unwrap());
        let (send, lines) = channel();
        std::thread::spawn(move || {
            for line in output.lines().map_while(Result::ok) {
                if send.send(line).is_err() {
                    return;
                }
            }
        });
        Self { child: Arc::new(Mutex::new(child)), input, lines, id: 0 }
    }

    pub(crate) fn handle(&self) -> Handle {
        Handle(Arc::clone(&self.child))
    }

    /// Whether it has ended.
    pub(crate) fn is_dead(&self) -> bool {
        self.child.lock().try_wait().unwrap().is_some()
    }

    /// Ends it as a client does that goes away, and waits until it has ended.
    pub(crate) fn end(mut self) {
        self.input = None;
        assert!(self.child.lock().wait().unwrap().success());
    }

    /// Calls a tool and waits for the answer.
    pub(crate) fn call(&mut self, tool: &str, arguments: &Value) -> Outcome {
        self.id += 1;
        let message = json!({"jsonrpc": "2.0", "id": self.id, "method": "tools/call",
            "params": {"name": tool, "arguments": arguments}});
        if writeln!(self.input.as_mut().unwrap(), "{message}").is_err() {
            return Outcome::Unknown;
        }
        let began = Instant::now();
        // The channel closes at the end of the output; a torn line is not a reply.
        while let Ok(line) = self.lines.recv_timeout(TIMEOUT) {
            let Ok(answer) = serde_json::from_str::<Value>(&line) else { return Outcome::Unknown };
            if answer["id"] == json!(self.id) {
                return outcome(&answer);
            }
        }
        assert!(began.elapsed() < TIMEOUT, "no answer to {message}");
        Outcome::Unknown
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let mut child = self.child.lock();
        let _ended = child.kill();
        let _ended = child.wait();
    }
}
