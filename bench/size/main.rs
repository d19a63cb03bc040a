//! Measures the cost of size: each call on projects of several sizes, space and upkeep, many projects, many sessions and streams.
//! PostgreSQL, Redis and the binary run only for the measurement.

mod beside;
mod calls;
mod fill;
mod growth;
#[path = "../http/load.rs"]
#[allow(dead_code, reason = "shared with another program, which calls the rest")]
mod load;
mod plans;
#[path = "../src/report.rs"]
#[allow(dead_code, reason = "shared with another program, which calls the rest")]
mod report;
#[path = "../http/servers.rs"]
#[allow(dead_code, reason = "shared with another program, which calls the rest")]
mod servers;
mod sessions;
#[path = "../src/text.rs"]
#[allow(dead_code, reason = "shared with another program, which calls the rest")]
mod text;
mod upkeep;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::Context;
use clap::Parser;
use memory_bank_core::limits::DOCUMENTS;
use serde_json::{Value, json};

use crate::growth::Subject;
use crate::load::{Connection, stateless_call};
use crate::report::{Row, grouped, shown, table};
use crate::servers::{Postgres, Redis, Served, operate};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Measures the cost of size; prints tables in Markdown.
#[derive(Parser)]
struct Arguments {
    /// A first look: small sizes, few rounds.
    #[arg(long)]
    quick: bool,
    /// Observations of the projects, the smallest first. Each has a tenth as many documents.
    #[arg(long, value_delimiter = ',')]
    observations: Vec<usize>,
    /// How many other projects there are in the end.
    #[arg(long)]
    projects: Option<usize>,
    /// How many sessions are opened.
    #[arg(long)]
    sessions: Option<usize>,
    /// How many of them have an open stream.
    #[arg(long)]
    streams: Option<usize>,
    /// Calls per row and size.
    #[arg(long)]
    rounds: Option<usize>,
    /// Only calls whose name contains one of these, and no upkeep, other projects and sessions.
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
    /// The binary; the one beside this program when absent.
    #[arg(long)]
    server: Option<PathBuf>,
    /// Where PostgreSQL keeps its data. The folder for temporary files when absent.
    #[arg(long)]
    place: Option<PathBuf>,
}

/// The role that serves.
const ROLE: &str = "bench_server";
/// The servers may use this much memory for indexes, in MiB, so that the largest project has one.
const INDEX_MEMORY: &str = "4096";
/// A call is flat that takes at most as many times longer at the largest size than at the smallest.
const FLAT: f64 = 2.0;

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(measure(&arguments))
}

async fn measure(arguments: &Arguments) -> anyhow::Result<()> {
    let binary = match &arguments.server {
        Some(server) => server.clone(),
        None => std::env::current_exe()?.with_file_name("memory-bank-mcp"),
    };
    let place = arguments.place.clone().unwrap_or_else(std::env::temp_dir);
    let home = tempfile::Builder::new().prefix("memory-bank-bench").tempdir_in(place)?;
    let postgres = Postgres::start(home.path())?;
    let redis = Redis::start(home.path())?;
    operate(&binary, &postgres.url("postgres"), &["migrate"])?;
    postgres.psql(&format!("CREATE ROLE {ROLE} LOGIN; GRANT app_server TO {ROLE}"))?;
    let url = (postgres.url(ROLE), redis.url());
    let serve = || {
        let variables = [
            ("DATABASE_URL", url.0.as_str()),
            ("REDIS_URL", url.1.as_str()),
            ("RATE_LIMIT_IP_PER_MINUTE", "0"),
            ("MAX_CONNECTIONS_PER_ADDRESS", "10000"),
            ("MAX_PROJECT_BYTES", "0"),
            ("SEARCH_INDEX_MEMORY", INDEX_MEMORY),
            ("SEARCH_INDEX_MEMORY_PER_PROJECT", INDEX_MEMORY),
        ];
        Served::start(&binary, &variables)
    };
    one_project(arguments, &binary, &postgres, home.path(), serve).await?;
    if !arguments.only.is_empty() {
        return Ok(());
    }
    let served = serve()?;
    let others = arguments.projects.unwrap_or(if arguments.quick { 200 } else { 10_000 });
    let keys = many_projects(&postgres, home.path(), &served, others).await?;
    let (sessions, streams) = if arguments.quick { (500, 100) } else { (10_000, 5_000) };
    let (sessions, streams) = (arguments.sessions.unwrap_or(sessions), arguments.streams.unwrap_or(streams));
    println!("### Sessions and streams\n");
    // A key has at most 100 sessions and 32 streams.
    let keys = &keys[..keys.len().min(sessions.div_ceil(40).max(1))];
    sessions::measure((&served, &redis, &postgres), keys, sessions, streams).await
}

/// Projects that grow, and what each call costs.
async fn one_project(
    arguments: &Arguments,
    binary: &Path,
    postgres: &Postgres,
    home: &Path,
    serve: impl Fn() -> anyhow::Result<Served>,
) -> anyhow::Result<()> {
    let sizes = match (&arguments.observations[..], arguments.quick) {
        ([], true) => vec![1_000, 5_000],
        ([], false) => vec![10_000, 100_000, 1_000_000],
        (sizes, _) => sizes.to_vec(),
    };
    let rounds = arguments.rounds.unwrap_or(if arguments.quick { 5 } else { 40 });
    let mut upkeep = Vec::new();
    let mut projects = Vec::new();
    for size in &sizes {
        let began = Instant::now();
        let before = upkeep::Sizes::of(postgres)?;
        let name = format!("project-{size}");
        let owner = postgres.url("postgres");
        operate(binary, &owner, &["bootstrap", "--user", "alice", "--project", &name])?;
        let wide = ["keys", "create", "--user", "alice", "--project", &name, "--rate-limit", "1000000"];
        let key = operate(binary, &owner, &wide)?;
        let key = key.pointer("/key").and_then(Value::as_str).context("no key was made")?.to_owned();
        // There is room for those that the calls make: one in each round, the core documents, and some for the plans.
        let documents = (size / 10).min(DOCUMENTS.saturating_sub(rounds + 20));
        let project = fill::fill(postgres, home, (&name, key), documents, *size)?;
        eprintln!("{name}: filled in {:.0} s", began.elapsed().as_secs_f64());
        if arguments.only.is_empty() {
            upkeep.push((*size, upkeep::measure(postgres, binary, home, &name, &before)?));
        }
        projects.push(project);
    }
    let vectors = fill::vectors(postgres)?;
    eprintln!("vectors of full-text search: {:.0} s", vectors.as_secs_f64());
    let vacuum = Instant::now();
    postgres.psql("VACUUM ANALYZE")?;
    let vacuum = vacuum.elapsed();
    eprintln!("VACUUM ANALYZE: {:.1} s", vacuum.as_secs_f64());
    let served = serve()?;
    let mut subjects = Vec::new();
    for project in projects {
        subjects.push(Subject::open(project, served.address).await?);
    }
    first_searches(&mut subjects, &sizes, &served).await?;
    let rows = growth::calls(&mut subjects, rounds, &arguments.only).await;
    println!(
        "\n{}",
        table("Calls over HTTP, by number of observations; a tenth as many documents", &sizes, &rows)
    );
    let names: Vec<&str> =
        rows.iter().filter(|row| row.growth().is_none_or(|growth| growth > FLAT)).map(Row::name).collect();
    if let (Some(largest), false) = (subjects.last_mut(), names.is_empty()) {
        // Hours of measurements do not end for want of a plan.
        if let Err(error) = plans::print(postgres, home, largest, &names, rounds + 1).await {
            eprintln!("no plans: {error:#}");
        }
    }
    if upkeep.is_empty() {
        return Ok(());
    }
    println!("{}", upkeep::table(&upkeep));
    println!(
        "Vectors of full-text search of all documents, which a server computes in the background: {}; `VACUUM ANALYZE` after all of \
         it was written: {}\n",
        shown(vectors),
        shown(vacuum)
    );
    Ok(())
}

/// The first search of each project, and the memory that its index takes.
async fn first_searches(subjects: &mut [Subject], sizes: &[usize], served: &Served) -> anyhow::Result<()> {
    // The index holds documents and graph, so the first search of one builds it for the other, too.
    println!("### First searches, and the memory of the index\n");
    println!(
        "| observations | first search, of the documents | MiB | then of the graph | MiB |\n|---|---:|---:|---:|---:|"
    );
    for (subject, size) in subjects.iter_mut().zip(sizes) {
        let mut cells = String::new();
        for tool in ["search_memory_bank", "graph_search"] {
            let before = served.resident()?.0;
            let cell = match subject.first_search(tool).await {
                Ok(took) => {
                    let held = served.resident()?.0.saturating_sub(before);
                    format!(" {} | {:.0} |", shown(took), held as f64 / 1024.0)
                }
                Err(error) => {
                    eprintln!("{error:#}");
                    " failed | – |".to_owned()
                }
            };
            cells.push_str(&cell);
        }
        println!("| {} |{cells}", grouped(*size));
    }
    Ok(())
}

/// What a read and a write cost as the number of projects grows, each in a project of its own.
async fn many_projects(
    postgres: &Postgres,
    home: &Path,
    served: &Served,
    count: usize,
) -> anyhow::Result<Vec<String>> {
    let began = Instant::now();
    let keys = fill::projects(postgres, home, count)?;
    println!("### {} projects with a document each, written in {}\n", grouped(count), shown(began.elapsed()));
    fill::vectors(postgres)?;
    postgres.psql("VACUUM ANALYZE")?;
    println!("| | first read with a key | the same again | a document written anew |\n|---|---:|---:|---:|");
    let mut connection = Connection::open(served.address).await?;
    let read = ("read_memory_bank_file", json!({"filename": "notes.md"}));
    for (title, keys) in [("of the first hundred", &keys[..count.min(100)]), ("of all", &keys[..])] {
        // The same text again would write nothing.
        let content = format!("# Notes\n\n- written anew, {title}\n");
        let write = ("write_memory_bank_file", json!({"filename": "notes.md", "content": content}));
        let mut medians = Vec::new();
        for (tool, arguments) in [&read, &read, &write] {
            let mut times = Vec::with_capacity(keys.len());
            for key in keys {
                let request = stateless_call(served.address, key, tool, arguments);
                let sent = Instant::now();
                let reply = connection.ask(&request).await?;
                times.push(sent.elapsed());
                anyhow::ensure!(memchr::memmem::find(reply, b"\"isError\":false").is_some(), "{tool} failed");
            }
            times.sort_unstable();
            let at = |percent: usize| {
                times.get((times.len() - 1) * percent / 100).copied().unwrap_or(Duration::ZERO)
            };
            medians.push(format!("{} ({})", shown(at(50)), shown(at(95))));
        }
        println!("| {title} | {} |", medians.join(" | "));
    }
    println!("\nMedians, in brackets the 95th percentile.\n");
    // What follows begins with nothing left to do in the background.
    fill::vectors(postgres)?;
    postgres.psql("VACUUM ANALYZE")?;
    Ok(keys)
}
