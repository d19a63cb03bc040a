//! What calls take while many sessions and streams are open.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::time::Instant;

use anyhow::{Context, ensure};
use serde_json::{Value, json};

use crate::load::{Connection, request, stateless_call};
use crate::report::{Samples, shown};
use crate::sessions::open;

/// Calls of each kind.
const ROUNDS: usize = 200;
const NAMES: [&str; 5] = [
    "read a document",
    "write a document anew",
    "digest",
    "read a document in a session, with a stored event",
    "open a session, and end it",
];

/// Makes calls over one connection.
pub struct Calls<'a> {
    address: SocketAddr,
    connection: Connection,
    keys: &'a [String],
    /// A session of the first key.
    session: String,
}

impl<'a> Calls<'a> {
    /// `keys` are those of the sessions that are opened beside the calls, each of a project of its own.
    pub async fn open(address: SocketAddr, keys: &'a [String]) -> anyhow::Result<Self> {
        let mut connection = Connection::open(address).await?;
        let session = open(&mut connection, address, keys.first().context("there is no key")?).await?;
        Ok(Self { address, connection, keys, session })
    }

    /// The times of each kind of call, in turn, each round with another key.
    pub async fn times(&mut self) -> anyhow::Result<Vec<Samples>> {
        let mut times = NAMES.map(|_| Vec::with_capacity(ROUNDS));
        for round in 0..=ROUNDS {
            for (kind, times) in times.iter_mut().enumerate() {
                let sent = Instant::now();
                self.call(kind, round).await.context(NAMES[kind])?;
                // The first round fills caches.
                if round > 0 {
                    times.push(sent.elapsed());
                }
            }
        }
        Ok(times.into_iter().map(Samples::new).collect())
    }

    async fn call(&mut self, kind: usize, round: usize) -> anyhow::Result<()> {
        let (address, keys) = (self.address, self.keys);
        let key = keys.get(round % keys.len().max(1)).context("there is no key")?;
        let read = json!({"filename": "notes.md"});
        let written =
            json!({"filename": "notes.md", "content": format!("# Notes {round}\n\n- written anew\n")});
        match kind {
            0 => self.asked(&stateless_call(address, key, "read_memory_bank_file", &read)).await,
            1 => self.asked(&stateless_call(address, key, "write_memory_bank_file", &written)).await,
            2 => self.asked(&stateless_call(address, key, "get_context_digest", &json!({}))).await,
            3 => {
                let message = within(&read).to_string();
                let first = keys.first().context("there is no key")?;
                let call = request("POST", first, address, &headers(&self.session), &message);
                self.asked(&call).await
            }
            _ => {
                let session = open(&mut self.connection, address, key).await?;
                let end = request("DELETE", key, address, &headers(&session), "");
                self.connection.ask(&end).await?;
                Ok(())
            }
        }
    }

    /// Sends a call, which must succeed.
    async fn asked(&mut self, call: &[u8]) -> anyhow::Result<()> {
        let reply = self.connection.ask(call).await?;
        let is_good = memchr::memmem::find(reply, b"\"isError\":false").is_some();
        ensure!(is_good, "{}", String::from_utf8_lossy(reply));
        Ok(())
    }
}

/// A read as a message within a session.
fn within(read: &Value) -> Value {
    json!({"jsonrpc": "2.0", "id": 2, "method": "tools/call",
        "params": {"name": "read_memory_bank_file", "arguments": read}})
}

fn headers(session: &str) -> [(&str, &str); 2] {
    [("MCP-Protocol-Version", "2025-11-25"), ("Mcp-Session-Id", session)]
}

/// The times as a table. Each column has a title, such as the number of open sessions, and the samples of each kind of call.
pub fn table(columns: &[(String, Vec<Samples>)]) -> String {
    let mut out = String::from("### Calls while they are open\n\n| |");
    for (title, _) in columns {
        let _ = write!(out, " {title} |");
    }
    let _ = writeln!(out, " growth |\n|---|{}", "---:|".repeat(columns.len() + 1));
    for (kind, name) in NAMES.iter().enumerate() {
        let _ = write!(out, "| {name} |");
        let cells: Vec<&Samples> = columns.iter().filter_map(|(_, samples)| samples.get(kind)).collect();
        for samples in &cells {
            let _ = write!(out, " {} ({}) |", shown(samples.median()), shown(samples.p95()));
        }
        let growth = match (cells.first(), cells.last()) {
            (Some(first), Some(last)) => last.median().as_secs_f64() / first.median().as_secs_f64(),
            _ => 0.0,
        };
        let _ = writeln!(out, " {growth:.2} |");
    }
    let _ = writeln!(out, "\nMedians of {ROUNDS}, in brackets the 95th percentile.");
    out
}
