//! Each call on projects of several sizes, in turn.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use serde_json::{Value, json};

use crate::fill::{Project, document, entity};
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
}

impl Subject {
    pub async fn open(project: Project, address: SocketAddr) -> anyhow::Result<Self> {
        Ok(Self { project, address, connection: Connection::open(address).await? })
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
    async fn timed(&mut self, tool: &str, arguments: &Value) -> anyhow::Result<Duration> {
        let (took, reply) = self.call(tool, arguments).await?;
        ensure!(reply.contains("\"isError\":false"), "{tool}: {}", reply.get(..600).unwrap_or(&reply));
        Ok(took)
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

    fn question(&self, tool: &str, round: usize) -> String {
        let questions = match tool {
            "graph_search" => &self.project.fact_questions,
            _ => &self.project.document_questions,
        };
        questions.get(round % questions.len().max(1)).cloned().unwrap_or_default()
    }
}

/// A measurement: its name, the tool, and the arguments of a round.
type Call = (&'static str, &'static str, fn(&Subject, usize) -> Value);

const CALLS: [Call; 29] = [
    ("read a document", "read_memory_bank_file", |_, round| json!({"filename": document(round)})),
    (
        "write a document anew",
        "write_memory_bank_file",
        |_, round| json!({"filename": document(round), "content": format!("# Notes {round}\n\n- written anew\n")}),
    ),
    (
        "make a document",
        "write_memory_bank_file",
        |_, round| json!({"filename": format!("made/made-{round}.md"), "content": format!("# Made {round}\n\n- one line\n")}),
    ),
    (
        "rename it",
        "rename_memory_bank_file",
        |_, round| json!({"filename": format!("made/made-{round}.md"), "newFilename": format!("made/renamed-{round}.md")}),
    ),
    (
        "delete it",
        "delete_memory_bank_file",
        |_, round| json!({"filename": format!("made/renamed-{round}.md")}),
    ),
    (
        "track progress",
        "track_progress",
        |_, round| json!({"action": "Measured", "description": format!("round {round}")}),
    ),
    (
        "edit a document",
        "edit_memory_bank_file",
        |_, round| json!({"filename": document(round), "edits": [{"op": "append", "heading": format!("Notes {round}"), "text": "- appended"}]}),
    ),
    ("write three documents", "batch_write_files", |_, round| {
        let file = |number: usize| json!({"filename": document(number), "content": format!("# Notes {number}\n\n- round {round}\n")});
        json!({"files": [file(round), file(round + 1), file(round + 2)]})
    }),
    ("add a task", "update_tasks", |_, round| json!({"add": [format!("task {round}")]})),
    (
        "log a decision",
        "log_decision",
        |_, round| json!({"title": format!("Decision {round}"), "context": "A measurement", "decision": format!("Round {round} counts")}),
    ),
    ("add a note", "add_session_note", |_, round| json!({"note": format!("round {round} was measured")})),
    (
        "read three documents",
        "batch_read_files",
        |_, round| json!({"files": [document(round), document(round + 1), document(round + 2)]}),
    ),
    ("digest", "get_context_digest", |_, _| json!({})),
    ("bundle", "get_context_bundle", |_, _| json!({})),
    ("status", "get_memory_bank_status", |_, _| json!({})),
    ("list documents, a page", "list_memory_bank_files", |_, _| json!({})),
    (
        "search the documents",
        "search_memory_bank",
        |subject, round| json!({"query": subject.question("search_memory_bank", round)}),
    ),
    (
        "add an observation",
        "graph_add_observation",
        |_, round| json!({"entity": entity(1 + round % 4), "text": format!("round {round} was measured")}),
    ),
    (
        "add one to the entity with a quarter of all",
        "graph_add_observation",
        |_, round| json!({"entity": entity(0), "text": format!("round {round} was measured")}),
    ),
    ("add an entity, a fact and a relation", "graph_batch", |_, round| {
        json!({
            "entities": [{"name": format!("measured {round}"), "entityType": "round"}],
            "observations": [{"entity": format!("measured {round}"), "text": format!("round {round} was measured")}],
            "relations": [{"from": format!("measured {round}"), "relationType": "follows", "to": entity(1)}],
        })
    }),
    (
        "link two entities",
        "graph_link_entities",
        |_, round| json!({"from": format!("measured {round}"), "relationType": "meets", "to": entity(2)}),
    ),
    ("open an entity", "graph_open_nodes", |_, round| json!({"nodes": [entity(1 + round % 4)]})),
    (
        "search the graph",
        "graph_search",
        |subject, round| json!({"query": subject.question("graph_search", round)}),
    ),
    (
        "targeted context",
        "get_targeted_context",
        |subject, round| json!({"query": subject.question("search_memory_bank", round)}),
    ),
    ("history, a page", "history", |_, _| json!({})),
    ("history of a document", "history", |_, round| json!({"filename": document(round)})),
    ("who wrote each line", "history", |_, round| json!({"action": "blame", "filename": document(round)})),
    ("history of an entity", "history", |_, round| json!({"entity": entity(1 + round % 4)})),
    ("delete an entity", "graph_delete_entity", |_, round| json!({"entity": format!("measured {round}")})),
];

/// Measures each call on all subjects in turn.
pub async fn calls(subjects: &mut [Subject], rounds: usize, only: &[String]) -> Vec<Row> {
    let mut rows = Vec::new();
    for (name, tool, arguments) in CALLS {
        if !only.is_empty() && !only.iter().any(|part| name.contains(part)) {
            continue;
        }
        let cells = interleaved(rounds, subjects, async |subject, round| {
            let arguments = arguments(subject, round);
            subject.timed(tool, &arguments).await
        })
        .await;
        eprintln!("measured: {name}");
        rows.push(Row::new(name, cells));
    }
    rows
}

/// Makes a call of this name; again and again, since connections to the database may have ended before.
pub async fn once(subject: &mut Subject, name: &str, round: usize) -> anyhow::Result<Duration> {
    let (_, tool, arguments) =
        CALLS.into_iter().find(|(known, ..)| *known == name).context("there is no such call")?;
    let arguments = arguments(subject, round);
    let mut attempt = 1;
    loop {
        match subject.timed(tool, &arguments).await {
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
