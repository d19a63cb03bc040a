//! The latency of the binary over stdio.

use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::bank::{Content, SizedBank};
use crate::client::Client;
use crate::report::{Expected, Row, interleaved};
use crate::{APPEND_GROWTH, Plan, SEARCH, edits};

/// A bank, and the server that works on it.
struct Served {
    bank: SizedBank,
    client: Client,
}

impl Served {
    fn all(plan: &Plan, place: &Path, content: Content) -> anyhow::Result<Vec<Self>> {
        plan.sizes
            .iter()
            .map(|items| {
                let bank = SizedBank::make(place, content, *items)?;
                let client = Client::start(&plan.server, bank.project())?;
                Ok(Self { bank, client })
            })
            .collect()
    }

    fn restart(&mut self, plan: &Plan) -> anyhow::Result<()> {
        self.client = Client::start(&plan.server, self.bank.project())?;
        Ok(())
    }
}

/// Measures the tools on the graph.
pub async fn graph(plan: &Plan, place: &Path) -> anyhow::Result<Vec<Row>> {
    let mut servers = Served::all(plan, place, Content::Graph)?;
    let mut rows = Vec::new();
    let cells = interleaved(plan.rounds, &mut servers, async |served, _| served.client.ping()).await;
    rows.push(Row::new("`ping`, for comparison", cells));
    let cells = interleaved(plan.rounds, &mut servers, async |served, _| {
        append_to_a_file(&served.bank.project().join("appended"))
    })
    .await;
    rows.push(Row::new("300 bytes appended to a file and flushed, for comparison", cells));
    let cells = interleaved(plan.rounds, &mut servers, async |served, round| {
        served.client.call("graph_add_observation", observation(round))
    })
    .await;
    rows.push(Row::new("`graph_add_observation`", cells).expecting(Expected::Growth(APPEND_GROWTH)));
    let cells = interleaved(plan.rounds, &mut servers, async |served, round| {
        served.client.call("graph_search", json!({"query": served.bank.question(round)}))
    })
    .await;
    rows.push(Row::new("`graph_search`", cells).expecting(Expected::Under(SEARCH)));
    let cells = interleaved(plan.few_rounds, &mut servers, async |served, round| {
        served.restart(plan)?;
        served.client.call("graph_add_observation", observation(plan.rounds + 1 + round))
    })
    .await;
    rows.push(Row::new("`graph_add_observation`, first call after start", cells));
    let cells = interleaved(plan.few_rounds, &mut servers, async |served, round| {
        served.restart(plan)?;
        served.client.call("graph_search", json!({"query": served.bank.question(round)}))
    })
    .await;
    rows.push(Row::new("`graph_search`, first call after start", cells));
    Ok(rows)
}

/// Measures the tools on documents.
pub async fn documents(plan: &Plan, place: &Path) -> anyhow::Result<Vec<Row>> {
    let mut servers = Served::all(plan, place, Content::Documents)?;
    let mut rows = Vec::new();
    let cells = interleaved(plan.rounds, &mut servers, async |served, round| {
        let (old, new) = edits(round);
        let edit = json!({"op": "replace", "old": old, "new": new});
        served.client.call("edit_memory_bank_file", json!({"filename": "progress.md", "edits": [edit]}))
    })
    .await;
    rows.push(Row::new("`edit_memory_bank_file`", cells));
    let cells = interleaved(plan.rounds, &mut servers, async |served, round| {
        let arguments = json!({"action": "Measured", "description": format!("round {round}")});
        served.client.call("track_progress", arguments)
    })
    .await;
    rows.push(Row::new("`track_progress`", cells));
    tokio::time::sleep(crate::SETTLED).await;
    let cells = interleaved(plan.rounds, &mut servers, async |served, round| {
        served.client.call("search_memory_bank", json!({"query": served.bank.question(round)}))
    })
    .await;
    rows.push(Row::new("`search_memory_bank`", cells).expecting(Expected::Under(SEARCH)));
    let cells = interleaved(plan.few_rounds, &mut servers, async |served, round| {
        served.restart(plan)?;
        served.client.call("search_memory_bank", json!({"query": served.bank.question(round)}))
    })
    .await;
    rows.push(Row::new("`search_memory_bank`, first call after start", cells));
    Ok(rows)
}

/// Measures the costs on both sides.
pub async fn both(plan: &Plan, place: &Path) -> anyhow::Result<Vec<Row>> {
    let mut servers = Served::all(plan, place, Content::Both)?;
    let cells = interleaved(plan.rounds, &mut servers, async |served, round| {
        served.client.call("get_targeted_context", json!({"query": served.bank.question(round)}))
    })
    .await;
    Ok(vec![Row::new("`get_targeted_context`", cells)])
}

fn observation(round: usize) -> Value {
    json!({"entity": SizedBank::entity(round), "text": format!("Measured in round {round}")})
}

/// The disk time of a minimal append.
fn append_to_a_file(path: &Path) -> anyhow::Result<Duration> {
    let mut file = std::fs::OpenOptions::new().append(true).create(true).open(path)?;
    let began = Instant::now();
    file.write_all(&[b'x'; 300])?;
    file.sync_data()?;
    Ok(began.elapsed())
}
