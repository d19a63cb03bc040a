//! The process: how fast it starts, and how much memory it holds.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, bail};
use serde_json::json;

use crate::bank::{Content, SizedBank};
use crate::client::Client;
use crate::report::{Expected, Row, grouped, interleaved};
use crate::{Plan, START};

/// Measures the time from the start of the process to the answer of `initialize`, on banks of all sizes with documents
/// and a graph.
pub async fn start(plan: &Plan, place: &Path) -> anyhow::Result<Vec<Row>> {
    let mut banks = plan
        .sizes
        .iter()
        .map(|items| SizedBank::make(place, Content::Both, *items))
        .collect::<anyhow::Result<Vec<_>>>()?;
    let cells = interleaved(plan.rounds.min(50), &mut banks, async |bank, _| {
        Ok(Client::start(&plan.server, bank.project())?.started_in)
    })
    .await;
    Ok(vec![Row::new("start to the answer of `initialize`", cells).expecting(Expected::Under(START))])
}

/// Resident memory at one moment.
pub struct Held {
    /// When.
    pub moment: String,
    /// In KiB.
    pub kibibytes: anyhow::Result<usize>,
}

/// Measures resident memory on banks of the largest size.
pub fn memory(plan: &Plan, place: &Path) -> anyhow::Result<Vec<Held>> {
    let items = plan.sizes.iter().copied().max().unwrap_or_default();
    let count = grouped(items);
    let nothing = tempfile::TempDir::new_in(place)?;
    let mut held = Vec::new();
    let mut note = |moment: String, client: &Client| {
        held.push(Held { moment, kibibytes: resident(client.process()) });
    };

    let client = Client::start(&plan.server, nothing.path())?;
    note("idle, without a bank".to_owned(), &client);
    drop(client);

    let bank = SizedBank::make(place, Content::Graph, items)?;
    let mut client = Client::start(&plan.server, bank.project())?;
    note(format!("idle, on a graph of {count} observations"), &client);
    client.call("graph_maintain", json!({"operation": "stats"}))?;
    note("… after the first call on the graph".to_owned(), &client);
    client.call("graph_search", json!({"query": bank.question(0)}))?;
    note("… after the first `graph_search`".to_owned(), &client);
    drop(client);

    let bank = SizedBank::make(place, Content::Documents, items)?;
    let mut client = Client::start(&plan.server, bank.project())?;
    note(format!("idle, on documents of {count} lines"), &client);
    client.call("track_progress", json!({"action": "Measured", "description": "once"}))?;
    note("… after the first `track_progress`".to_owned(), &client);
    client.call("search_memory_bank", json!({"query": bank.question(0)}))?;
    note("… after the first `search_memory_bank`".to_owned(), &client);
    Ok(held)
}

/// The resident memory of a process, in KiB.
fn resident(process: u32) -> anyhow::Result<usize> {
    let output = Command::new("ps").args(["-o", "rss=", "-p", &process.to_string()]).output()?;
    if !output.status.success() {
        bail!("`ps` does not know the server");
    }
    String::from_utf8_lossy(&output.stdout).trim().parse().context("`ps` gives no number")
}
