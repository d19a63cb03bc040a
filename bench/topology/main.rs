//! Brings up a topology of several databases or several Redis, loads two servers on it, breaks it, and counts
//! acknowledged, lost and late writes. Everything runs only for the measurement.

#[path = "../soak/clients.rs"]
#[allow(dead_code, reason = "shared with another program, which calls the rest")]
mod clients;
#[path = "../http/load.rs"]
#[allow(dead_code, reason = "shared with another program, which calls the rest")]
mod load;
#[path = "../src/machine.rs"]
mod machine;
mod patroni;
mod processes;
mod redis;
#[path = "../http/servers.rs"]
#[allow(dead_code, reason = "shared with another program, which calls the rest")]
mod servers;
mod standbys;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use clap::{Parser, Subcommand};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::clients::{Client, Mix, Shared};
use crate::load::Script;
use crate::patroni::Patroni;
use crate::redis::Group;
use crate::servers::{Postgres, Redis, Served, operate};
use crate::standbys::{STANDBYS, Standbys};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Loads and breaks a topology; prints acknowledged, lost and late writes, in Markdown.
#[derive(Parser)]
struct Arguments {
    #[command(subcommand)]
    topology: Topology,
    /// How often each fault happens.
    #[arg(long, default_value_t = 3, global = true)]
    faults: usize,
    /// How many clients; each writes and reads a document of its own.
    #[arg(long, default_value_t = 8, global = true)]
    clients: usize,
    /// The binary; the one beside this program when absent.
    #[arg(long, global = true)]
    server: Option<PathBuf>,
    /// Where the databases keep their data. The folder for temporary files when absent.
    #[arg(long, global = true)]
    place: Option<PathBuf>,
}

#[derive(Subcommand)]
enum Topology {
    /// PostgreSQL under Patroni and etcd, three nodes: switch-overs and kills of the primary.
    Patroni {
        /// A commit does not wait for a replica.
        #[arg(long)]
        asynchronous: bool,
    },
    /// PostgreSQL with two standbys that answer reads: kills, hangs and late replay of a standby, and the cost of reads.
    Standbys {
        /// The connections of the measured reads.
        #[arg(long, default_value_t = 16)]
        connections: usize,
        /// The seconds of each measurement.
        #[arg(long, default_value_t = 5)]
        seconds: u64,
    },
    /// A Redis with two replicas and three Sentinels: kills of the primary.
    Sentinel,
    /// A Redis Cluster of three primaries with a replica each: kills of a primary.
    Cluster,
}

/// The role that serves.
const ROLE: &str = "bench_server";
/// Servers on the topology.
const SERVERS: usize = 2;
/// How long a call is sent again: longer than any fail-over takes.
const PATIENCE: Duration = Duration::from_secs(60);
/// Between two steps of a client.
const PAUSE: Duration = Duration::from_millis(40);
/// Of load before and after each fault.
const CALM: Duration = Duration::from_secs(4);
/// The longest run.
const LONGEST: Duration = Duration::from_secs(1800);

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
    println!("{}", machine::described());
    match arguments.topology {
        Topology::Patroni { asynchronous } => {
            on_patroni(arguments, &binary, home.path(), !asynchronous).await
        }
        Topology::Standbys { connections, seconds } => {
            let length = Duration::from_secs(seconds);
            on_standbys(arguments, &binary, home.path(), connections, length).await
        }
        Topology::Sentinel => {
            let group = Group::sentinels(home.path())?;
            on_redis(arguments, &binary, home.path(), group, "A Redis with two replicas and three Sentinels")
                .await
        }
        Topology::Cluster => {
            let group = Group::cluster(home.path())?;
            on_redis(
                arguments,
                &binary,
                home.path(),
                group,
                "A Redis Cluster, three primaries with a replica each",
            )
            .await
        }
    }
}

async fn on_redis(
    arguments: &Arguments,
    binary: &Path,
    home: &Path,
    mut group: Group,
    title: &str,
) -> anyhow::Result<()> {
    let postgres = Postgres::start(home)?;
    let keys = prepare(binary, &postgres.url("postgres"), arguments.clients)?;
    postgres.psql(&format!("CREATE ROLE {ROLE} LOGIN; GRANT app_server TO {ROLE}"))?;
    let (url, redis) = (postgres.url(ROLE), group.url());
    let variables =
        [("DATABASE_URL", url.as_str()), ("REDIS_URL", &redis), ("RATE_LIMIT_IP_PER_MINUTE", "0")];
    let served =
        (0..SERVERS).map(|_| Served::start(binary, &variables)).collect::<anyhow::Result<Vec<_>>>()?;
    let mut load = Load::start(&served, keys);
    println!("### {title}, {SERVERS} servers, {} clients\n\n{HEAD}", arguments.clients);
    load.calm("no fault").await;
    for _ in 0..arguments.faults {
        let primary = group.primary()?;
        load.during("kill -9 of a primary", || group.kill(primary), || Ok(())).await?;
        group.run(primary)?;
        load.during("its return", || Ok(()), || group.wait_until_whole()).await?;
    }
    load.end(true).await
}

async fn on_patroni(
    arguments: &Arguments,
    binary: &Path,
    home: &Path,
    is_synchronous: bool,
) -> anyhow::Result<()> {
    let redis = Redis::start(home)?;
    let mut cluster = Patroni::start(home, is_synchronous)?;
    let keys = prepare(binary, &cluster.url("postgres"), arguments.clients)?;
    let role = format!("CREATE ROLE {ROLE} LOGIN; GRANT app_server TO {ROLE}");
    cluster.psql(&role)?;
    let url = cluster.url(ROLE);
    let variables =
        [("DATABASE_URL", url.as_str()), ("REDIS_URL", &redis.url()), ("RATE_LIMIT_IP_PER_MINUTE", "0")];
    let served =
        (0..SERVERS).map(|_| Served::start(binary, &variables)).collect::<anyhow::Result<Vec<_>>>()?;
    let mut load = Load::start(&served, keys);
    let kind = if is_synchronous { "synchronous" } else { "asynchronous" };
    println!(
        "### Patroni with etcd, three PostgreSQL, {kind} replication, {SERVERS} servers, {} clients\n\n{HEAD}",
        arguments.clients
    );
    load.calm("no fault").await;
    for _ in 0..arguments.faults {
        load.during("switch-over", || cluster.switch_over(), || cluster.wait_until_whole()).await?;
    }
    for _ in 0..arguments.faults {
        let primary = cluster.primary()?;
        if is_synchronous {
            load.during("kill -9 of the primary and its Patroni", || cluster.kill(primary), || Ok(()))
                .await?;
        } else {
            // As behind a slow link: what the replicas have not received yet dies with the primary.
            cluster.hold_back(primary)?;
            load.calm("it sends nothing to its replicas for four seconds").await;
            load.during("kill -9 of it and its Patroni then", || cluster.kill(primary), || Ok(())).await?;
        }
        cluster.run(primary)?;
        load.during("its return", || Ok(()), || cluster.wait_until_whole()).await?;
    }
    load.end(is_synchronous).await
}

async fn on_standbys(
    arguments: &Arguments,
    binary: &Path,
    home: &Path,
    connections: usize,
    length: Duration,
) -> anyhow::Result<()> {
    let (postgres, redis) = (Postgres::start(home)?, Redis::start(home)?);
    let keys = prepare(binary, &postgres.url("postgres"), arguments.clients)?;
    postgres.psql(&format!("CREATE ROLE {ROLE} LOGIN; GRANT app_server TO {ROLE}"))?;
    let mut standbys = Standbys::start(home, &postgres)?;
    let (url, redis_url, standby_urls) = (postgres.url(ROLE), redis.url(), standbys.urls(ROLE));
    let without = [
        ("DATABASE_URL", url.as_str()),
        ("REDIS_URL", &redis_url),
        ("RATE_LIMIT_IP_PER_MINUTE", "0"),
        ("RATE_LIMIT_IP_WITH_KEY_PER_MINUTE", "0"),
    ];
    let with = [without.as_slice(), &[("DATABASE_REPLICA_URLS", &standby_urls)]].concat();
    println!("### The cost of reads, {connections} connections\n");
    println!(
        "| reads are answered by | a second | primary | both standbys | server |\n|---|---:|---:|---:|---:|"
    );
    for (name, variables) in [("the primary", without.as_slice()), ("it and two standbys", &with)] {
        let served = Served::start(binary, variables)?;
        let key = keys.first().context("there is no client")?;
        let cost = cost_of_reads(&served, key, connections, length, &postgres, &standbys).await?;
        println!(
            "| {name} | {:.0} | {:.0} µs | {:.0} µs | {:.0} µs |",
            cost.rate, cost.primary, cost.standbys, cost.server
        );
    }
    let served = (0..SERVERS).map(|_| Served::start(binary, &with)).collect::<anyhow::Result<Vec<_>>>()?;
    let mut load = Load::start(&served, keys);
    println!(
        "\n### PostgreSQL with two standbys that answer reads, {SERVERS} servers, {} clients\n\n{HEAD}",
        arguments.clients
    );
    load.calm("no fault").await;
    for fault in 0..arguments.faults {
        let node = fault % STANDBYS;
        load.during("kill -9 of a standby", || standbys.kill(node), || Ok(())).await?;
        load.during("its return", || standbys.run(node), || Ok(())).await?;
        tokio::task::block_in_place(|| standbys.catch_up(&postgres))?;
        load.during("a standby hangs", || standbys.signal(node, "STOP"), || Ok(())).await?;
        load.during("it goes on", || standbys.signal(node, "CONT"), || Ok(())).await?;
        load.during("a standby does not replay", || standbys.pause_replay(node, true), || Ok(())).await?;
        load.during("it catches up", || standbys.pause_replay(node, false), || Ok(())).await?;
        tokio::task::block_in_place(|| standbys.catch_up(&postgres))?;
    }
    load.end(true).await
}

/// Reads a second, and the processor time of each in microseconds.
struct CostOfReads {
    rate: f64,
    primary: f64,
    standbys: f64,
    server: f64,
}

/// Reads a document for this long.
async fn cost_of_reads(
    served: &Served,
    key: &str,
    connections: usize,
    length: Duration,
    postgres: &Postgres,
    standbys: &Standbys,
) -> anyhow::Result<CostOfReads> {
    let (name, text) = ("reads.md", "a line to read".to_owned());
    let call = |tool, arguments| crate::load::stateless_call(served.address, key, tool, &arguments);
    let write = call("write_memory_bank_file", json!({"filename": name, "content": text}));
    crate::load::Connection::open(served.address).await?.ask(&write).await?;
    standbys.catch_up(postgres)?;
    let scripts = || {
        let read = call("read_memory_bank_file", json!({"filename": name}));
        let script = |_| Script { requests: vec![read.clone()], expects: "a line to read", end: None };
        (0..connections).map(script).collect::<Vec<_>>()
    };
    // Connections are opened and statements prepared.
    crate::load::run(served.address, scripts(), length / 5).await?;
    let before = (postgres.worked()?, standbys.worked()?, served.worked()?);
    let outcome = crate::load::run(served.address, scripts(), length).await?;
    let after = (postgres.worked()?, standbys.worked()?, served.worked()?);
    // The moment before the measurement is a tenth of it, and counts here.
    let reads = outcome.rate * length.as_secs_f64() * 1.1;
    let each = |before: Duration, after: Duration| (after - before).as_secs_f64() * 1e6 / reads;
    Ok(CostOfReads {
        rate: outcome.rate,
        primary: each(before.0, after.0),
        standbys: each(before.1, after.1),
        server: each(before.2, after.2),
    })
}

/// Makes the schema and a project for each client; returns the keys.
fn prepare(binary: &Path, owner: &str, clients: usize) -> anyhow::Result<Vec<String>> {
    operate(binary, owner, &["migrate"])?;
    (0..clients)
        .map(|number| {
            let project = format!("atlas-{number}");
            operate(binary, owner, &["bootstrap", "--user", "alice", "--project", &project])?;
            let wide =
                ["keys", "create", "--user", "alice", "--project", &project, "--rate-limit", "1000000"];
            let key = operate(binary, owner, &wide)?;
            Ok(key.pointer("/key").and_then(Value::as_str).context("no key was made")?.to_owned())
        })
        .collect()
}

const HEAD: &str = "| fault | acknowledged writes | longest time without one | slowest call | calls sent again | acknowledged writes lost |\n\
    |---|---:|---:|---:|---:|---:|";

/// The clients while they work.
struct Load {
    shared: Shared,
    clients: JoinSet<()>,
    end: std::sync::Arc<std::sync::atomic::AtomicBool>,
    reasons: std::collections::BTreeMap<String, u64>,
}

impl Load {
    fn start(served: &[Served], keys: Vec<String>) -> Self {
        let shared = Shared::default();
        shared.serve_at(served.iter().map(|one| one.address).collect());
        let mut clients = JoinSet::new();
        for (number, key) in keys.into_iter().enumerate() {
            let client = Client::new(key, number, shared.clone(), Mix::OwnDocument, PATIENCE);
            clients.spawn(client.work(Instant::now() + LONGEST, PAUSE));
        }
        Self { end: shared.end(), shared, clients, reasons: std::collections::BTreeMap::new() }
    }

    async fn calm(&mut self, name: &str) {
        tokio::time::sleep(CALM).await;
        self.row(name);
    }

    /// Breaks something under load, waits until it works again, and prints the row.
    async fn during(
        &mut self,
        name: &str,
        fault: impl FnOnce() -> anyhow::Result<()>,
        until: impl FnOnce() -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        // The load runs on other threads of the runtime.
        tokio::task::block_in_place(fault)?;
        tokio::time::sleep(CALM).await;
        self.wait_for_a_write().await?;
        tokio::task::block_in_place(until)?;
        tokio::time::sleep(CALM).await;
        self.row(name);
        Ok(())
    }

    /// Waits until a write is acknowledged after this moment.
    async fn wait_for_a_write(&self) -> anyhow::Result<()> {
        let began = Instant::now();
        let before = self.shared.counted(|counts| counts.changes);
        while self.shared.counted(|counts| counts.changes) == before {
            ensure!(began.elapsed() < PATIENCE * 2, "no write is acknowledged any more");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(())
    }

    fn row(&mut self, name: &str) {
        let counts = self.shared.taken();
        println!(
            "| {name} | {} | {:.1} s | {:.1} s | {} | {} |",
            counts.changes,
            counts.longest_gap.as_secs_f64(),
            counts.slowest.as_secs_f64(),
            counts.resent,
            counts.lost
        );
        for failure in &counts.failures {
            eprintln!("{name}: {failure}");
        }
        for (reason, times) in counts.reasons {
            *self.reasons.entry(reason).or_default() += times;
        }
    }

    /// Lets the clients read their documents a last time, and reports.
    async fn end(mut self, loses_nothing: bool) -> anyhow::Result<()> {
        self.end.store(true, std::sync::atomic::Ordering::Relaxed);
        while let Some(done) = self.clients.join_next().await {
            done?;
        }
        self.row("the last read of each client");
        println!("\nWhy calls were sent again:\n");
        for (reason, times) in &self.reasons {
            println!("- {times} times: {reason}");
        }
        let (lost, failed) = self.shared.totals();
        println!("\nAcknowledged writes that were lost: {lost}. Calls that failed for good: {failed}.");
        ensure!(failed == 0 && (lost == 0 || !loses_nothing), "writes were lost or calls failed");
        Ok(())
    }
}
