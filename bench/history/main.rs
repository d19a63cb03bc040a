//! Measures the history: the time of a change with it and without it, in turn on one machine, and the bytes of a version. On a folder
//! over stdio, and on PostgreSQL over HTTP, whose servers run only for the measurement.

mod folder;
mod postgres;

#[path = "../src/client.rs"]
mod client;
#[path = "../http/load.rs"]
#[allow(dead_code, reason = "the connection of the load is used alone")]
mod load;
#[path = "../http/servers.rs"]
#[allow(dead_code, reason = "shared with programs that measure more")]
mod servers;

use std::path::PathBuf;
use std::time::Duration;

use clap::Parser;
use serde_json::{Value, json};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Measures changes with and without a history; prints a table in Markdown.
#[derive(Parser)]
struct Arguments {
    /// How often each change is made, with a history and without.
    #[arg(long, default_value_t = 400)]
    rounds: usize,
    /// The binary; the one beside this program when absent.
    #[arg(long)]
    server: Option<PathBuf>,
    /// Where the data is kept. The folder for temporary files when absent.
    #[arg(long)]
    place: Option<PathBuf>,
}

/// The variable of the history, and its values: the default, and none.
const RETENTION: &str = "HISTORY_RETENTION_DAYS";
const DAYS: [&str; 2] = ["365", "0"];

/// A change that is measured.
#[derive(Clone, Copy)]
enum Change {
    /// Appends a line to a document with this number of bytes.
    Append(usize),
    /// Replaces a line in the middle of it.
    Replace(usize),
    Upsert,
    Observation,
}

impl Change {
    const ALL: [Self; 8] = [
        Self::Append(1_000),
        Self::Append(100_000),
        Self::Append(1_000_000),
        Self::Replace(1_000),
        Self::Replace(100_000),
        Self::Replace(1_000_000),
        Self::Upsert,
        Self::Observation,
    ];

    fn name(self) -> String {
        match self {
            Self::Append(bytes) => format!("a line appended to {} kB", bytes / 1_000),
            Self::Replace(bytes) => format!("a line replaced in {} kB", bytes / 1_000),
            Self::Upsert => "an entity changed".to_owned(),
            Self::Observation => "an observation added".to_owned(),
        }
    }

    /// The calls before the first round.
    fn prepared(self) -> Vec<(&'static str, Value)> {
        match self {
            Self::Append(bytes) | Self::Replace(bytes) => {
                vec![(
                    "write_memory_bank_file",
                    json!({"filename": Self::document(bytes), "content": text(bytes)}),
                )]
            }
            Self::Upsert | Self::Observation => vec![upsert(0)],
        }
    }

    /// The call of a round.
    fn call(self, round: usize) -> (&'static str, Value) {
        let edit = |bytes: usize, edit: Value| {
            ("edit_memory_bank_file", json!({"filename": Self::document(bytes), "edits": [edit]}))
        };
        match self {
            Self::Append(bytes) => {
                let line = format!("- round {round}: a line of some words, as a log has them");
                edit(bytes, json!({"op": "append", "heading": "Log", "text": line}))
            }
            Self::Replace(bytes) => {
                let (old, new) = (format!("marked {round:06}"), format!("marked {:06}", round + 1));
                edit(bytes, json!({"op": "replace", "old": old, "new": new}))
            }
            Self::Upsert => upsert(round + 1),
            Self::Observation => (
                "graph_add_observation",
                json!({"entity": "measured", "text": format!("seen in round {round}")}),
            ),
        }
    }

    fn document(bytes: usize) -> String {
        format!("log-{bytes}.md")
    }
}

fn upsert(round: usize) -> (&'static str, Value) {
    let attrs = json!({"round": round});
    ("graph_upsert_entity", json!({"name": "measured", "entityType": "component", "attrs": attrs}))
}

/// A log of about `bytes` bytes, with a line that is replaced in its middle.
fn text(bytes: usize) -> String {
    let line = "- a line of some words, as a log has them, of which there are many\n";
    let half = line.repeat(bytes / line.len() / 2);
    format!("# Measured\n\n## Log\n\n{half}- marked 000000\n{half}")
}

/// The times of one change: with a history, and without; and the bytes that a version took.
struct Cost {
    change: Change,
    times: [Vec<Duration>; 2],
    bytes: f64,
}

impl Cost {
    fn new(change: Change) -> Self {
        Self { change, times: [Vec::new(), Vec::new()], bytes: 0.0 }
    }

    fn row(mut self) -> String {
        for times in &mut self.times {
            times.sort_unstable();
        }
        let at = |side: usize, percent: usize| {
            let times = self.times.get(side).map(Vec::as_slice).unwrap_or_default();
            let place = times.len().saturating_sub(1) * percent / 100;
            times.get(place).copied().unwrap_or_default().as_secs_f64() * 1e6
        };
        let ratio = |percent| at(0, percent) / at(1, percent).max(f64::MIN_POSITIVE);
        format!(
            "| {} | {:.0} | {:.0} | {:.2} | {:.2} | {:.0} |",
            self.change.name(),
            at(0, 50),
            at(1, 50),
            ratio(50),
            ratio(10),
            self.bytes
        )
    }
}

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let server = match &arguments.server {
        Some(server) => server.clone(),
        None => std::env::current_exe()?.with_file_name("memory-bank-mcp"),
    };
    let place = arguments.place.clone().unwrap_or_else(std::env::temp_dir);
    println!("{} rounds.\n", arguments.rounds);
    table("In a folder", folder::costs(&server, &place, arguments.rounds)?);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    table("On PostgreSQL", runtime.block_on(postgres::costs(&server, &place, arguments.rounds))?);
    Ok(())
}

fn table(title: &str, costs: Vec<Cost>) {
    println!(
        "### {title}\n\n| | with a history, µs | without, µs | ratio of the medians | of the 10th percentiles | bytes of a version |\n\
         |---|---:|---:|---:|---:|---:|"
    );
    for cost in costs {
        println!("{}", cost.row());
    }
    println!();
}
