//! A memory bank like that of a project after a week or a year: made through the server's own tools, session by session,
//! with a fixed clock. The result is always the same. For benchmarks and suites that need a realistic bank.

pub mod random;
mod server;
mod words;

use std::path::Path;
use std::sync::Arc;

use anyhow::Context;
use jiff::{SignedDuration, Timestamp};
use memory_bank_core::clock::FixedClock;
use serde_json::{Value, json};

use crate::server::Connection;
use crate::words::Words;

/// The work of a simulated time.
#[derive(Debug, Clone, Copy)]
pub struct Workload {
    /// Its name.
    pub name: &'static str,
    /// How many days it lasts.
    pub days: usize,
    /// How many sessions there are.
    pub sessions: usize,
    /// How many lines of progress.
    pub entries: usize,
    /// How many decisions.
    pub decisions: usize,
    /// How many entities in the graph; each has three facts and one relation.
    pub entities: usize,
}

/// A week of work.
pub const WEEK: Workload =
    Workload { name: "week", days: 7, sessions: 20, entries: 46, decisions: 6, entities: 12 };
/// A year of work.
pub const YEAR: Workload =
    Workload { name: "year", days: 365, sessions: 1000, entries: 2300, decisions: 300, entities: 500 };

/// A server on a folder, and its one client.
pub struct Simulation {
    clock: Arc<FixedClock>,
    connection: Connection,
    words: Words,
    now: Timestamp,
}

impl Simulation {
    /// A new bank in this folder.
    ///
    /// # Errors
    /// The folder cannot be used.
    pub async fn start(folder: &Path) -> anyhow::Result<Self> {
        let now: Timestamp = "2026-01-05T09:00:00Z".parse().context("the first moment")?;
        let clock = Arc::new(FixedClock::new(now));
        let connection = Connection::open(folder, clock.clone()).await?;
        let mut simulation = Self { clock, connection, words: Words::new(7), now };
        simulation.done("initialize_memory_bank", json!({"path": folder})).await?;
        Ok(simulation)
    }

    /// Calls a tool and returns its result.
    ///
    /// # Errors
    /// The call is refused by the protocol.
    pub async fn call(&mut self, tool: &str, arguments: Value) -> anyhow::Result<Value> {
        self.connection.request("tools/call", json!({"name": tool, "arguments": arguments})).await
    }

    /// The tools as they are listed.
    ///
    /// # Errors
    /// The server does not answer.
    pub async fn tools(&mut self) -> anyhow::Result<Value> {
        Ok(self.connection.request("tools/list", json!({})).await?.get("tools").cloned().unwrap_or_default())
    }

    /// Calls a tool that has to succeed, and returns its text.
    ///
    /// # Errors
    /// It does not succeed.
    pub async fn done(&mut self, tool: &str, arguments: Value) -> anyhow::Result<String> {
        let result = self.call(tool, arguments.clone()).await?;
        let text = result.pointer("/content/0/text").and_then(Value::as_str).unwrap_or_default().to_owned();
        anyhow::ensure!(result.get("isError") != Some(&json!(true)), "{tool} {arguments}: {text}");
        Ok(text)
    }

    /// Does this work, session by session.
    ///
    /// # Errors
    /// A tool fails.
    pub async fn simulate(&mut self, workload: Workload) -> anyhow::Result<()> {
        self.found().await?;
        let pause =
            SignedDuration::from_secs(86_400).checked_mul(i32::try_from(workload.days)?).context("days")?
                / i32::try_from(workload.sessions.max(1))?;
        let begun = self.now;
        let share = |all: usize, session: usize| {
            all * (session + 1) / workload.sessions - all * session / workload.sessions
        };
        let mut made = 0;
        for session in 0..workload.sessions {
            self.now = begun + pause * i32::try_from(session)?;
            self.clock.set(self.now);
            self.session(session, share(workload.entries, session), share(workload.decisions, session))
                .await?;
            let entities = share(workload.entities, session);
            if entities > 0 {
                self.record(made, entities).await?;
                made += entities;
            }
        }
        Ok(())
    }

    /// Initial data, written once.
    async fn found(&mut self) -> anyhow::Result<()> {
        let overview = self.words.paragraph(60);
        let patterns: Vec<String> = (0..8)
            .map(|n| format!("## Pattern {n}: {}\n\n{}\n", self.words.phrase(), self.words.paragraph(90)))
            .collect();
        let content = format!(
            "# Product Context\n\n## Overview\n\n{overview}\n\n## Technologies\n\n- Rust\n- PostgreSQL\n"
        );
        self.done("write_memory_bank_file", json!({"filename": "product-context.md", "content": content}))
            .await?;
        let content = format!("# System Patterns\n\n{}", patterns.join("\n"));
        self.done("write_memory_bank_file", json!({"filename": "system-patterns.md", "content": content}))
            .await?;
        Ok(())
    }

    async fn session(&mut self, number: usize, entries: usize, decisions: usize) -> anyhow::Result<()> {
        for entry in 0..entries {
            self.minutes(11);
            let description = self.words.sentence();
            if (number + entry).is_multiple_of(9) {
                let details = self.words.paragraph(40);
                let entry = json!({"type": "feature", "summary": description, "details": details,
                    "files": ["src/main.rs"], "tags": ["work"]});
                self.done("add_progress_entry", entry).await?;
            } else {
                let action =
                    *self.words.one_of(&["Implemented", "Fixed", "Reviewed", "Measured", "Documented"]);
                self.done("track_progress", json!({"action": action, "description": description})).await?;
            }
        }
        for _ in 0..decisions {
            self.minutes(7);
            let decision = json!({"title": self.words.phrase(), "context": self.words.paragraph(30),
                "decision": self.words.sentence(), "alternatives": [self.words.sentence()],
                "consequences": [self.words.sentence(), self.words.sentence()]});
            self.done("log_decision", decision).await?;
        }
        let task = self.words.phrase();
        let mut tasks = json!({"add": [task]});
        if number.is_multiple_of(4) {
            tasks = json!({"replace": (0..6).map(|_| self.words.phrase()).collect::<Vec<_>>()});
        }
        self.done("update_tasks", tasks).await?;
        if number.is_multiple_of(3) {
            let category = *self.words.one_of(&["observation", "question", "blocker", "todo"]);
            let note = self.words.sentence();
            self.done("add_session_note", json!({"note": note, "category": category})).await?;
            let steps: Vec<String> = (0..4).map(|_| self.words.phrase()).collect();
            let issues: Vec<String> = (0..3).map(|_| self.words.sentence()).collect();
            self.done("update_active_context", json!({"nextSteps": steps, "issues": issues})).await?;
        }
        Ok(())
    }

    /// Puts entities into the graph, each with three facts and one relation to an older one.
    async fn record(&mut self, made: usize, count: usize) -> anyhow::Result<()> {
        let name = |number: usize| format!("component {number}");
        let kinds = ["service", "library", "table", "person"];
        let numbers = made..made + count;
        let entities: Vec<Value> = numbers
            .clone()
            .map(|n| json!({"name": name(n), "entityType": kinds.get(n % 4), "attrs": {"owner": self.words.word()}}))
            .collect();
        let observations: Vec<Value> = numbers
            .clone()
            .flat_map(|n| [n; 3])
            .map(|n| json!({"entity": name(n), "text": self.words.sentence()}))
            .collect();
        let relations: Vec<Value> = numbers
            .filter(|n| *n > 0)
            .map(|n| json!({"from": name(n), "relationType": "depends-on", "to": name(n / 3)}))
            .collect();
        let batch = json!({"entities": entities, "observations": observations, "relations": relations});
        self.done("graph_batch", batch).await?;
        Ok(())
    }

    fn minutes(&mut self, minutes: i64) {
        self.now += SignedDuration::from_mins(minutes);
        self.clock.set(self.now);
    }
}
