//! Each call on projects of several sizes, in turn.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use jiff::Timestamp;
use memory_bank_core::clock::{Clock as _, SystemClock};
use serde_json::{Value, json};

use crate::calls::{CALLS, Call};
use crate::fill::Project;
use crate::load::{Connection, stateless_call};
use crate::report::{Row, interleaved};

/// How long a search may say that its index is being built.
const INDEX_TIMEOUT: Duration = Duration::from_secs(600);
/// Between two such searches.
const AGAIN: Duration = Duration::from_millis(250);
/// The most attempts of a call, while the server has no connection to the database.
const ATTEMPTS: usize = 40;

/// A project, with a connection to its server.
pub struct Subject {
    pub project: Project,
    address: SocketAddr,
    connection: Connection,
    /// What comes before the call that is measured: when it began, and its last reply.
    before: (Timestamp, String),
}

impl Subject {
    pub async fn open(project: Project, address: SocketAddr) -> anyhow::Result<Self> {
        let connection = Connection::open(address).await?;
        Ok(Self { project, address, connection, before: (Timestamp::UNIX_EPOCH, String::new()) })
    }

    /// Calls a tool; returns the time from the request to the whole reply, and the reply.
    async fn call(&mut self, tool: &str, arguments: &Value) -> anyhow::Result<(Duration, String)> {
        let request = stateless_call(self.address, &self.project.key, tool, arguments);
        let sent = Instant::now();
        let reply = self.connection.ask(&request).await?;
        let took = sent.elapsed();
        Ok((took, String::from_utf8_lossy(reply).into_owned()))
    }

    /// Calls a tool, which must succeed.
    async fn succeed(&mut self, tool: &str, arguments: &Value) -> anyhow::Result<(Duration, String)> {
        let (took, reply) = self.call(tool, arguments).await?;
        ensure!(reply.contains("\"isError\":false"), "{tool}: {}", reply.get(..600).unwrap_or(&reply));
        Ok((took, reply))
    }

    /// Makes a call, after those that it needs; returns its own time.
    async fn measure(&mut self, call: &Call, round: usize) -> anyhow::Result<Duration> {
        if !call.prepare.is_empty() {
            // Nothing before has the same millisecond.
            tokio::time::sleep(Duration::from_millis(2)).await;
            self.before.0 = SystemClock.now();
        }
        for (tool, arguments) in call.prepare {
            self.before.1 = self.succeed(tool, &arguments(self, round)).await?.1;
        }
        Ok(self.succeed(call.tool, &(call.arguments)(self, round)).await?.0)
    }

    /// When the calls before the one that is measured began.
    pub fn since(&self) -> String {
        self.before.0.to_string()
    }

    /// The first name in the last reply that begins so; empty if there is none, which the call refuses.
    pub fn named(&self, prefix: &str) -> String {
        let reply = &self.before.1;
        let name = reply.find(prefix).and_then(|at| reply.get(at..)).unwrap_or_default();
        name.chars().take_while(|letter| letter.is_ascii_alphanumeric() || "-_".contains(*letter)).collect()
    }

    /// Searches until the index is built; returns the time until that reply.
    pub async fn first_search(&mut self, tool: &str) -> anyhow::Result<Duration> {
        let question = self.question(tool, 0);
        let began = Instant::now();
        loop {
            let (_, reply) = self.call(tool, &json!({"query": question})).await?;
            if reply.contains("\"isError\":false") {
                return Ok(began.elapsed());
            }
            ensure!(reply.contains("is being built"), "{tool}: {}", reply.get(..600).unwrap_or(&reply));
            ensure!(began.elapsed() < INDEX_TIMEOUT, "{tool}: the index is not built in time");
            tokio::time::sleep(AGAIN).await;
        }
    }

    pub fn question(&self, tool: &str, round: usize) -> String {
        let questions = match tool {
            "graph_search" => &self.project.fact_questions,
            _ => &self.project.document_questions,
        };
        questions.get(round % questions.len().max(1)).cloned().unwrap_or_default()
    }
}

/// Measures each call on all subjects in turn.
pub async fn calls(subjects: &mut [Subject], rounds: usize, only: &[String]) -> Vec<Row> {
    let mut rows = Vec::new();
    for call in CALLS {
        if !only.is_empty() && !only.iter().any(|part| call.name.contains(part)) {
            continue;
        }
        let cells = interleaved(rounds.min(call.rounds), subjects, async |subject, round| {
            subject.measure(&call, round).await
        })
        .await;
        eprintln!("measured: {}", call.name);
        rows.push(Row::new(call.name, cells));
    }
    rows
}

/// Makes a call of this name; again and again, since connections to the database may have ended before.
pub async fn once(subject: &mut Subject, name: &str, round: usize) -> anyhow::Result<Duration> {
    let call = CALLS.iter().find(|call| call.name == name).context("there is no such call")?;
    let mut attempt = 1;
    loop {
        match subject.measure(call, round).await {
            Err(_) if attempt < ATTEMPTS => {
                attempt += 1;
                tokio::time::sleep(AGAIN).await;
                // A refusal may be read in part only.
                subject.connection = Connection::open(subject.address).await?;
            }
            result => return result,
        }
    }
}
