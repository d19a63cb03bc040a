//! Measures the first search of a large project: the time until its reply, the latency of another tenant's reads and of
//! `/health/live` meanwhile, and the memory of the server. PostgreSQL and the binary run only for the measurement;
//! there is no Redis.

#[path = "../http/load.rs"]
#[allow(dead_code, reason = "shared with another program, which calls the rest")]
mod load;
#[path = "../http/servers.rs"]
#[allow(dead_code, reason = "shared with another program, which calls the rest")]
mod servers;
#[path = "../src/text.rs"]
#[allow(dead_code, reason = "shared with another program, which calls the rest")]
mod text;

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use clap::Parser;
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use crate::load::{Connection, stateless_call};
use crate::servers::{Postgres, Served, operate};
use crate::text::Prose;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Measures first searches of large projects; prints a table in Markdown.
#[derive(Parser)]
struct Arguments {
    /// Mebibytes of text of the one project, and of the two that are searched in turn.
    #[arg(long, default_values_t = [60, 120], value_delimiter = ',')]
    sizes: Vec<usize>,
    /// How often the two are searched, each.
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// The binary; the one beside this program when absent.
    #[arg(long)]
    server: Option<PathBuf>,
    /// `SEARCH_INDEX_MEMORY` and `SEARCH_INDEX_MEMORY_PER_PROJECT`, in MiB; the server's defaults when absent.
    #[arg(long, value_delimiter = ',')]
    memory: Vec<String>,
    /// Where PostgreSQL keeps its data. The folder for temporary files when absent.
    #[arg(long)]
    place: Option<PathBuf>,
}

const ROLE: &str = "bench_server";
/// How long a search is tried.
const TIMEOUT: Duration = Duration::from_secs(300);

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
    let owner = postgres.url("postgres");
    operate(&binary, &owner, &["migrate"])?;
    postgres.psql(&format!("CREATE ROLE {ROLE} LOGIN; GRANT app_server TO {ROLE}"))?;
    let tenant = |name: &str| {
        operate(&binary, &owner, &["bootstrap", "--user", name, "--project", name])?;
        let wide = ["keys", "create", "--user", name, "--project", name, "--rate-limit", "1000000"];
        let key = operate(&binary, &owner, &wide)?;
        Ok::<_, anyhow::Error>(key.pointer("/key").and_then(Value::as_str).context("no key")?.to_owned())
    };
    let small = tenant("small")?;
    postgres.psql(
        "INSERT INTO documents (project_id, path, content, etag) \
         SELECT id, 'notes.md', 'a pelican', '0123456789abcdef' FROM projects WHERE slug = 'small'",
    )?;
    let (first, second) =
        (arguments.sizes.first().copied().unwrap_or(60), arguments.sizes.last().copied().unwrap_or(120));
    let mut keys = Vec::new();
    for (name, size) in [("first", first), ("second", second), ("third", second)] {
        keys.push(tenant(name)?);
        fill(&postgres, home.path(), name, size)?;
        eprintln!("{name}: {size} MiB of text");
    }
    postgres.psql("VACUUM ANALYZE")?;
    println!(
        "| | answered after | reads of another tenant: p99, longest | `/health/live`: longest | resident at most, MiB |\n\
         |---|---:|---:|---:|---:|"
    );
    let url = postgres.url(ROLE);
    let serve = || {
        let mut variables = vec![
            ("DATABASE_URL", url.as_str()),
            ("REDIS_URL", ""),
            ("RATE_LIMIT_IP_PER_MINUTE", "0"),
            ("MCP_JSON_RESPONSE", "true"),
        ];
        let names = ["SEARCH_INDEX_MEMORY", "SEARCH_INDEX_MEMORY_PER_PROJECT"];
        variables.extend(names.into_iter().zip(arguments.memory.iter().map(String::as_str)));
        Served::start(&binary, &variables)
    };
    let [one, two, three] = [0, 1, 2].map(|at| keys.get(at).cloned().unwrap_or_default());
    let served = serve()?;
    report(&format!("first search of {first} MiB"), &served, &small, &[one]).await?;
    report("the same again", &served, &small, &keys[..1]).await?;
    drop(served);
    let served = serve()?;
    let turns: Vec<String> = (0..arguments.rounds).flat_map(|_| [two.clone(), three.clone()]).collect();
    let title = format!("two projects of {second} MiB, searched {} times in turn", turns.len());
    report(&title, &served, &small, &turns).await?;
    Ok(())
}

/// Documents of half a mebibyte: headings, items and paragraphs of made-up prose.
fn fill(postgres: &Postgres, home: &Path, project: &str, mebibytes: usize) -> anyhow::Result<()> {
    let mut prose = Prose::new(project.len() as u64 + 7);
    let file = home.join("documents.sql");
    for part in 0..mebibytes.div_ceil(20) {
        let mut sql = String::from(
            "INSERT INTO documents (project_id, path, content, etag) SELECT id, path, content, \
            substr(md5(content), 1, 16) FROM projects, (VALUES ",
        );
        for number in 0..(mebibytes - part * 20).min(20) * 2 {
            let mut content = String::from("# Log\n\n");
            while content.len() < 512 * 1024 {
                if content.len() % 7 == 0 {
                    let _ = write!(content, "\n## {}\n\n", prose.sentence());
                }
                let _ = writeln!(content, "- {}", prose.sentence());
            }
            let comma = if number > 0 { "," } else { "" };
            let _ = write!(sql, "{comma}('log-{part}-{number}.md', '{content}')");
        }
        let _ = write!(sql, ") AS made (path, content) WHERE slug = '{project}';");
        std::fs::write(&file, sql)?;
        postgres.psql_file(&file)?;
    }
    Ok(())
}

/// Searches with these keys, one after the other, and prints a row.
async fn report(title: &str, served: &Served, small: &str, keys: &[String]) -> anyhow::Result<()> {
    let address = served.address;
    let over = Arc::new(AtomicBool::new(false));
    let read = stateless_call(address, small, "read_memory_bank_file", &json!({"filename": "notes.md"}));
    let reads: Vec<_> =
        (0..4).map(|_| tokio::spawn(repeat(address, read.clone(), Arc::clone(&over)))).collect();
    let alive = format!("GET /health/live HTTP/1.1\r\nHost: {address}\r\n\r\n").into_bytes();
    let alive = tokio::spawn(repeat(address, alive, Arc::clone(&over)));
    let most = Arc::new(AtomicU64::new(0));
    let memory: JoinHandle<anyhow::Result<()>> = tokio::spawn({
        let (over, most) = (Arc::clone(&over), Arc::clone(&most));
        let process = served.id();
        async move {
            while !over.load(Ordering::Relaxed) {
                most.fetch_max(servers::resident(process)?.0, Ordering::Relaxed);
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            Ok(())
        }
    });
    tokio::time::sleep(Duration::from_millis(300)).await;
    let mut answers = Vec::new();
    for key in keys {
        answers.push(search(address, key).await?);
    }
    over.store(true, Ordering::Relaxed);
    memory.await??;
    let mut times = Vec::new();
    for read in reads {
        times.extend(read.await??);
    }
    times.sort_unstable();
    let p99 = times.get(times.len() * 99 / 100).copied().unwrap_or_default();
    let longest = times.last().copied().unwrap_or_default();
    let alive = alive.await??.into_iter().max().unwrap_or_default();
    let millis = |time: Duration| format!("{:.1} ms", time.as_secs_f64() * 1000.0);
    println!(
        "| {title} | {} | {}, {} | {} | {:.0} |",
        answers.join(", "),
        millis(p99),
        millis(longest),
        millis(alive),
        f64::from(u32::try_from(most.load(Ordering::Relaxed))?) / 1024.0
    );
    Ok(())
}

/// Sends a request again and again until it is over; how long each took.
async fn repeat(
    address: SocketAddr,
    request: Vec<u8>,
    over: Arc<AtomicBool>,
) -> anyhow::Result<Vec<Duration>> {
    let mut connection = Connection::open(address).await?;
    let mut times = Vec::new();
    while !over.load(Ordering::Relaxed) {
        let sent = Instant::now();
        connection.ask(&request).await?;
        times.push(sent.elapsed());
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    Ok(times)
}

/// Searches until the index is built; returns the time, and the error if it failed.
async fn search(address: SocketAddr, key: &str) -> anyhow::Result<String> {
    let request = stateless_call(address, key, "search_memory_bank", &json!({"query": "consist network"}));
    let began = Instant::now();
    let mut early = 0;
    loop {
        let mut connection = Connection::open(address).await?;
        let answer = String::from_utf8_lossy(connection.ask(&request).await?).into_owned();
        ensure!(began.elapsed() < TIMEOUT, "no answer but: {answer}");
        let took = format!("{:.1} s", began.elapsed().as_secs_f64());
        if answer.contains("is being built") {
            early += 1;
            tokio::time::sleep(Duration::from_millis(500)).await;
        } else if answer.contains("has no room") {
            return Ok(format!("{took} (no room)"));
        } else if answer.contains("too large to be searched") {
            return Ok(format!("{took} (too large)"));
        } else {
            ensure!(answer.contains("totalResults"), "an unexpected answer: {answer}");
            return Ok(if early > 0 { format!("{took} ({early} times too early)") } else { took });
        }
    }
}
