//! An hour of mixed load on three servers, of which two are replaced in turn: does anything grow, is anything lost? What must be
//! flat and is not fails a run of half an hour or more. PostgreSQL, Redis and the binary run only for the measurement.

mod bursts;
mod chart;
#[allow(dead_code, reason = "shared with another program, which calls the rest")]
mod clients;
#[path = "../http/load.rs"]
#[allow(dead_code, reason = "shared with another program, which calls the rest")]
mod load;
mod samples;
#[path = "../http/servers.rs"]
#[allow(dead_code, reason = "shared with another program, which calls the rest")]
mod servers;
mod verdict;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use clap::Parser;
use serde_json::Value;
use tokio::task::JoinSet;

use crate::clients::{Client, Mix, Shared};
use crate::samples::Sample;
use crate::servers::{Postgres, Redis, Served, operate};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Runs a mixed load with rolling restarts, and prints growth and losses, in Markdown.
#[derive(Parser)]
struct Arguments {
    /// For how many minutes.
    #[arg(long, default_value_t = 60)]
    minutes: u64,
    /// A first look: two minutes, a replacement every fifteen seconds.
    #[arg(long)]
    quick: bool,
    /// How many clients; two share a project.
    #[arg(long, default_value_t = 16)]
    clients: usize,
    /// Steps of all clients together in a second. A step has one to three calls.
    #[arg(long, default_value_t = 60)]
    rate: u32,
    /// Seconds between two replacements of a server.
    #[arg(long)]
    replace: Option<u64>,
    /// Where the chart is written, as SVG.
    #[arg(long)]
    chart: Option<PathBuf>,
    /// The binary; the one beside this program when absent.
    #[arg(long)]
    server: Option<PathBuf>,
    /// Where PostgreSQL keeps its data. The folder for temporary files when absent.
    #[arg(long)]
    place: Option<PathBuf>,
}

/// The role that serves.
const ROLE: &str = "bench_server";
/// Requests of a key and of an address in a minute. No caller reaches it, and each request is counted in Redis.
const LIMIT: &str = "1000000";
/// How long a call is sent again.
const PATIENCE: Duration = Duration::from_secs(10);
/// Clients of one project.
const TOGETHER: usize = 2;
/// A replaced server may take this long to end: the longest call, and a little.
const ENDING: Duration = Duration::from_secs(30);

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()?
        .block_on(measure(&arguments))
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
    let mut keys = prepare(&binary, &postgres, arguments.clients.div_ceil(TOGETHER) + 1)?;
    // The last project is that of the client that sends bursts.
    let fast = keys.pop().context("a key is missing")?;
    let (length, replace, every) = if arguments.quick {
        (Duration::from_secs(120), 15, Duration::from_secs(2))
    } else {
        (Duration::from_secs(60 * arguments.minutes.max(1)), 120, Duration::from_secs(10))
    };
    let replace = Duration::from_secs(arguments.replace.unwrap_or(replace).max(1));
    let url = (postgres.url(ROLE), redis.url());
    let sessions = sessions_of_key(arguments.rate, keys.len()).to_string();
    let serve = || {
        let variables = [
            ("DATABASE_URL", url.0.as_str()),
            ("REDIS_URL", url.1.as_str()),
            ("RATE_LIMIT_IP_PER_MINUTE", LIMIT),
            ("MAX_STREAMS_PER_KEY", "1000"),
            ("MAX_SESSIONS_PER_KEY", sessions.as_str()),
        ];
        Served::start(&binary, &variables)
    };
    let mut served = vec![serve()?, serve()?, serve()?];
    let shared = Shared::default();
    let addresses = |served: &[Served]| served.iter().map(|one| one.address).collect();
    shared.serve_at(addresses(&served));
    let began = Instant::now();
    let pause = Duration::from_secs(1) * u32::try_from(arguments.clients)? / arguments.rate.max(1);
    let mut clients = JoinSet::new();
    for number in 0..arguments.clients {
        let key = keys.get(number / TOGETHER).context("a key is missing")?.clone();
        clients.spawn(
            Client::new(key, number, shared.clone(), Mix::Everything, PATIENCE).work(began + length, pause),
        );
    }
    clients.spawn(bursts::work(fast, shared.clone(), began + length, PATIENCE));
    let (mut taken, mut replaced, mut endings) = (Vec::new(), Vec::new(), Vec::new());
    let (mut next_sample, mut next_replacement) = (began, began + replace);
    let (mut early, mut leased) = (None, 0);
    while began.elapsed() < length {
        tokio::time::sleep(Duration::from_millis(100)).await;
        let now = Instant::now();
        if now >= next_replacement {
            next_replacement = now + replace;
            // The first server stays, so that what grows in an hour is seen. The new one serves before the old one ends.
            let place = 1 + replaced.len() % 2;
            let old = std::mem::replace(&mut served[place], serve()?);
            shared.serve_at(addresses(&served));
            replaced.push(began.elapsed().as_secs_f64());
            endings.push(tokio::task::spawn_blocking(move || old.end(ENDING)).await??);
        }
        if early.is_none() && began.elapsed() >= length / 4 {
            early = Some(samples::tables(&postgres)?);
            leased = bursts::leased(&redis)?;
        }
        if now >= next_sample {
            next_sample = now + every;
            let p99 = shared.counted(|counts| percentile(&mut counts.times, 99));
            taken.push(Sample::take(began.elapsed(), served[0].id(), (&postgres, &redis), p99)?);
        }
    }
    while let Some(done) = clients.join_next().await {
        done?;
    }
    endings.sort_unstable();
    println!(
        "{} minutes, {} clients on {} projects, three servers; {} replacements of two of them, each ended within {:.2} s (median {:.2} s).\n",
        length.as_secs() / 60,
        arguments.clients,
        keys.len(),
        replaced.len(),
        endings.last().copied().unwrap_or_default().as_secs_f64(),
        endings.get(endings.len() / 2).copied().unwrap_or_default().as_secs_f64()
    );
    println!("{}", samples::table(&taken));
    println!("{}", samples::grown(&early.unwrap_or_default(), &samples::tables(&postgres)?));
    let changes = shared.counted(|counts| counts.changes);
    let verdicts = samples::verdicts(&taken, changes, keys.len() + 1);
    println!("{}", verdict::table(&verdicts));
    if length < verdict::SHORTEST {
        println!(
            "A run of less than {} minutes fails for none of these.\n",
            verdict::SHORTEST.as_secs() / 60
        );
    }
    if let Some(place) = &arguments.chart {
        std::fs::write(place, chart::chart(&taken, &replaced))?;
    }
    shared.counted(|counts| {
        println!(
            "{} calls ({:.0} a second), {} of them changes, {} in bursts; {leased} requests of leases were counted at the first quarter; {} sessions, {} streams; {} calls were sent again, since their server was ending.\n\n\
             Acknowledged writes that were lost: {}. Calls that failed: {}.",
            counts.calls,
            counts.calls as f64 / length.as_secs_f64(),
            counts.changes,
            counts.in_bursts,
            counts.sessions,
            counts.streams,
            counts.resent,
            counts.lost,
            counts.failed
        );
        for (reason, times) in &counts.reasons {
            println!("- sent again {times} times: {reason}");
        }
        for failure in &counts.failures {
            println!("- {failure}");
        }
        ensure!(counts.lost == 0 && counts.failed == 0, "calls failed or writes were lost");
        ensure!(leased > 0, "no server leased requests to the client that sends bursts");
        verdict::check(&verdicts, length)
    })
}

/// The most open sessions of a key: so few that those which clients leave reach it in a quarter of an hour, as they reach the server's own
/// bound in a day, and so many that the oldest one is idle by then, which takes four minutes.
fn sessions_of_key(rate: u32, keys: usize) -> usize {
    // At 60 steps a second on 8 keys a key has about 10 sessions that were left within four minutes.
    (30 * 8 * rate as usize).div_ceil(60 * keys.max(1)).max(10)
}

/// Makes the schema, the role and a project for each key.
fn prepare(binary: &Path, postgres: &Postgres, projects: usize) -> anyhow::Result<Vec<String>> {
    let owner = postgres.url("postgres");
    operate(binary, &owner, &["migrate"])?;
    postgres.psql(&format!("CREATE ROLE {ROLE} LOGIN; GRANT app_server TO {ROLE}"))?;
    (0..projects)
        .map(|number| {
            let project = format!("atlas-{number}");
            operate(binary, &owner, &["bootstrap", "--user", "alice", "--project", &project])?;
            let wide = ["keys", "create", "--user", "alice", "--project", &project, "--rate-limit", LIMIT];
            let key = operate(binary, &owner, &wide)?;
            Ok(key.pointer("/key").and_then(Value::as_str).context("no key was made")?.to_owned())
        })
        .collect()
}

/// A percentile of the times, which are taken away.
fn percentile(times: &mut Vec<Duration>, percent: usize) -> Duration {
    times.sort_unstable();
    let found = times.get(times.len().saturating_sub(1) * percent / 100).copied().unwrap_or_default();
    times.clear();
    found
}
