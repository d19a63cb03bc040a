//! Measures the folder store and the binary at 100, 10,000 and 100,000 items, and prints tables in Markdown.
//!
//! Each row runs all sizes in turn within one run, so its last column, the growth, is meaningful on a noisy machine.
//! Nothing here fails because a machine is slow.

mod bank;
mod client;
mod process;
mod report;
mod store;
mod text;
mod wire;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use clap::Parser;

use crate::report::{Row, table};

// As in the binary, so that the store is measured with the allocator that it runs with.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Longer than a file counts as written this moment, so that its time proves that it stayed the same.
const SETTLED: Duration = Duration::from_millis(2500);
/// How many times longer an append may take at the largest size than at the smallest.
const APPEND_GROWTH: f64 = 2.0;
/// The target for a search at the largest size.
const SEARCH: Duration = Duration::from_millis(20);
/// The target for a start.
const START: Duration = Duration::from_millis(50);

/// Measures memory-bank-mcp at scale.
#[derive(Parser)]
struct Arguments {
    /// A first look: smaller banks, fewer rounds.
    #[arg(long)]
    quick: bool,
    /// How many items, separated by commas, the smallest first.
    #[arg(long, value_delimiter = ',')]
    sizes: Vec<usize>,
    /// Only the tables whose title holds this, such as `store, graph` or `memory`.
    #[arg(long)]
    only: Option<String>,
    /// How often each thing is measured.
    #[arg(long)]
    rounds: Option<usize>,
    /// The binary; the one beside this program when absent.
    #[arg(long)]
    server: Option<PathBuf>,
    /// Where to put the banks; on the disk that counts. The folder for temporary files when absent.
    #[arg(long)]
    place: Option<PathBuf>,
}

/// The measurements and their repetitions.
struct Plan {
    server: PathBuf,
    sizes: Vec<usize>,
    /// Titles hold this, in lower case.
    only: String,
    /// For fast operations.
    rounds: usize,
    /// For slow operations, such as the first call after a start.
    few_rounds: usize,
}

impl Plan {
    fn of(arguments: &Arguments) -> anyhow::Result<Self> {
        let server = match &arguments.server {
            Some(server) => server.clone(),
            None => std::env::current_exe()?.with_file_name("memory-bank-mcp"),
        };
        ensure!(server.is_file(), "{} is not there; build it, or name it with --server", server.display());
        let (sizes, rounds) =
            if arguments.quick { ([10, 100, 1000], 20) } else { ([100, 10_000, 100_000], 200) };
        let sizes = if arguments.sizes.is_empty() { sizes.to_vec() } else { arguments.sizes.clone() };
        let rounds = arguments.rounds.unwrap_or(rounds).max(1);
        let only = arguments.only.as_deref().unwrap_or_default().to_lowercase();
        Ok(Self { server, sizes, only, rounds, few_rounds: rounds.div_ceil(20) })
    }

    fn wants(&self, title: &str) -> bool {
        title.to_lowercase().contains(&self.only)
    }
}

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let plan = Plan::of(&arguments)?;
    let place = arguments.place.clone().unwrap_or_else(std::env::temp_dir);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let outcome = runtime.block_on(measure(&plan, &place));
    runtime.shutdown_background();
    outcome
}

async fn measure(plan: &Plan, place: &Path) -> anyhow::Result<()> {
    let began = Instant::now();
    println!(
        "Median of {} rounds ({} for first calls and for searches of changed documents), in brackets the 95th percentile.\n",
        plan.rounds, plan.few_rounds
    );
    let mut verdicts = Vec::new();
    for (title, unit, part) in PARTS.iter().filter(|(title, _, _)| plan.wants(title)) {
        eprintln!("{title} …");
        let rows = match part {
            Part::StoreGraph => store::graph(plan, place).await,
            Part::StoreDocuments => store::documents(plan, place).await,
            Part::WireGraph => wire::graph(plan, place).await,
            Part::WireDocuments => wire::documents(plan, place).await,
            Part::WireBoth => wire::both(plan, place).await,
            Part::Start => process::start(plan, place).await,
        };
        let rows = rows.with_context(|| format!("{title} could not be measured"))?;
        println!("{}", table(&format!("{title}, by number of {unit}"), &plan.sizes, &rows));
        verdicts.extend(rows.iter().filter_map(Row::verdict).map(|verdict| format!("| {title} {verdict}")));
    }
    if plan.wants("memory") {
        print_memory(plan, place)?;
    }
    if !verdicts.is_empty() {
        println!("### Expectations\n\n| | | expected | measured | |\n|---|---|---|---:|---|");
        for verdict in verdicts {
            println!("{verdict}");
        }
    }
    eprintln!("{} s in all", began.elapsed().as_secs());
    Ok(())
}

fn print_memory(plan: &Plan, place: &Path) -> anyhow::Result<()> {
    eprintln!("Memory …");
    println!("### Resident memory\n\n| | MiB |\n|---|---:|");
    for held in process::memory(plan, place)? {
        match held.kibibytes {
            Ok(kibibytes) => println!("| {} | {:.1} |", held.moment, kibibytes as f64 / 1024.0),
            Err(error) => println!("| {} | not known: {error:#} |", held.moment),
        }
    }
    println!();
    Ok(())
}

/// The tables.
const PARTS: &[(&str, &str, Part)] = &[
    ("Store, graph", "observations", Part::StoreGraph),
    ("Store, documents", "lines", Part::StoreDocuments),
    ("Over stdio, graph", "observations", Part::WireGraph),
    ("Over stdio, documents", "lines", Part::WireDocuments),
    ("Over stdio, both", "observations and of lines", Part::WireBoth),
    ("Start", "observations and of lines", Part::Start),
];

enum Part {
    StoreGraph,
    StoreDocuments,
    WireGraph,
    WireDocuments,
    WireBoth,
    Start,
}

/// The edit of a round: old and new text.
fn edits(round: usize) -> (String, String) {
    (format!("Edited {round} times"), format!("Edited {} times", round + 1))
}
