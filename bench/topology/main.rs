//! Brings up a topology of several databases, several Redis or a pooler, loads two servers on it, breaks it, and counts
//! acknowledged, lost and late writes. Everything runs only for the measurement.

#[path = "../soak/clients.rs"]
#[allow(dead_code, reason = "shared with another program, which calls the rest")]
mod clients;
mod clients_at_work;
#[path = "../http/load.rs"]
#[allow(dead_code, reason = "shared with another program, which calls the rest")]
mod load;
mod patroni;
mod pooler;
mod processes;
mod redis;
#[path = "../http/servers.rs"]
#[allow(dead_code, reason = "shared with another program, which calls the rest")]
mod servers;
mod standbys;
mod watch;

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;
use clap::{Parser, Subcommand};
use serde_json::{Value, json};

use crate::clients_at_work::{HEAD, Load};
use crate::load::Script;
use crate::patroni::Patroni;
use crate::pooler::PgBouncer;
use crate::processes::{free_ports, until};
use crate::redis::Group;
use crate::servers::{Postgres, Redis, Served, operate};
use crate::standbys::{STANDBYS, Standbys};
use crate::watch::Metrics;

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

#[derive(Subcommand, Clone)]
enum Topology {
    /// All of the following, one after the other.
    All,
    /// PostgreSQL under Patroni and etcd, three nodes, whose standbys answer reads: switch-overs and kills of the primary.
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
    /// A PgBouncer in transaction mode in front of a PostgreSQL: kills and hangs of it, and crashes of the database.
    Pooler,
    /// A Redis with two replicas and three Sentinels: kills of the primary.
    Sentinel,
    /// A Redis Cluster of three primaries with a replica each: kills of a primary.
    Cluster,
}

/// The role that serves.
const ROLE: &str = "bench_server";
/// How long standbys may take until they are in use again.
const READY: Duration = Duration::from_secs(90);
/// Servers on the topology.
const SERVERS: usize = 2;
fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()?
        .block_on(measure(&arguments))
}

async fn measure(arguments: &Arguments) -> anyhow::Result<()> {
    let standbys = |connections, seconds| Topology::Standbys { connections, seconds };
    let all = [
        Topology::Patroni { asynchronous: false },
        Topology::Patroni { asynchronous: true },
        standbys(16, 5),
        Topology::Pooler,
        Topology::Sentinel,
        Topology::Cluster,
    ];
    let chosen = std::slice::from_ref(&arguments.topology);
    let mut failures = Vec::new();
    for topology in if matches!(arguments.topology, Topology::All) { &all } else { chosen } {
        if let Err(error) = break_one(arguments, topology).await {
            println!("\nFailed: {error:#}");
            failures.push(format!("{error:#}"));
        }
    }
    anyhow::ensure!(failures.is_empty(), "{}", failures.join("; "));
    Ok(())
}

async fn break_one(arguments: &Arguments, topology: &Topology) -> anyhow::Result<()> {
    let binary = match &arguments.server {
        Some(server) => server.clone(),
        None => std::env::current_exe()?.with_file_name("memory-bank-mcp"),
    };
    let place = arguments.place.clone().unwrap_or_else(std::env::temp_dir);
    let home = tempfile::Builder::new().prefix("memory-bank-bench").tempdir_in(place)?;
    let home = home.path();
    match *topology {
        Topology::All => anyhow::bail!("only the names of single topologies are expected here"),
        Topology::Patroni { asynchronous } => on_patroni(arguments, &binary, home, !asynchronous).await,
        Topology::Standbys { connections, seconds } => {
            on_standbys(arguments, &binary, home, connections, Duration::from_secs(seconds)).await
        }
        Topology::Pooler => on_pooler(arguments, &binary, home).await,
        Topology::Sentinel => {
            let group = Group::sentinels(home)?;
            on_redis(arguments, &binary, home, group, "A Redis with two replicas and three Sentinels").await
        }
        Topology::Cluster => {
            let group = Group::cluster(home)?;
            on_redis(arguments, &binary, home, group, "A Redis Cluster, three primaries with a replica each")
                .await
        }
    }
}

/// Starts the servers, with metrics.
fn serve(binary: &Path, variables: &[(&str, &str)]) -> anyhow::Result<(Vec<Served>, Metrics)> {
    let (mut served, mut metrics) = (Vec::new(), Vec::new());
    for port in free_ports::<SERVERS>()? {
        let address = std::net::SocketAddr::from(([127, 0, 0, 1], port));
        let own = address.to_string();
        served.push(Served::start(binary, &[variables, &[("METRICS_ADDR", own.as_str())]].concat())?);
        metrics.push(address);
    }
    Ok((served, Metrics(metrics)))
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
    // The address is counted beside the key, in a window that has room.
    let variables = [
        ("DATABASE_URL", url.as_str()),
        ("REDIS_URL", &redis),
        ("RATE_LIMIT_IP_PER_MINUTE", "0"),
        ("RATE_LIMIT_IP_WITH_KEY_PER_MINUTE", "1000000"),
    ];
    let (served, metrics) = serve(binary, &variables)?;
    let mut load = Load::start(&served, keys);
    println!("\n### {title}, {SERVERS} servers, {} clients\n\n{HEAD}", arguments.clients);
    load.calm("no fault").await;
    let mut notes = Vec::new();
    for _ in 0..arguments.faults {
        let primary = group.primary()?;
        let kill = || {
            group.kill(primary)?;
            notes.extend(group.followed(&metrics)?);
            Ok(())
        };
        load.during("kill -9 of a primary", kill, || Ok(())).await?;
        group.run(primary)?;
        load.during("its return", || Ok(()), || group.wait_until_whole()).await?;
    }
    load.end(true, &notes).await
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
    let (url, redis_url, nodes) = (cluster.url(ROLE), redis.url(), cluster.urls_of_nodes(ROLE));
    let variables = [
        ("DATABASE_URL", url.as_str()),
        ("DATABASE_REPLICA_URLS", &nodes),
        ("REDIS_URL", &redis_url),
        ("RATE_LIMIT_IP_PER_MINUTE", "0"),
    ];
    let (served, metrics) = serve(binary, &variables)?;
    let mut load = Load::start(&served, keys);
    let kind = if is_synchronous { "synchronous" } else { "asynchronous" };
    println!(
        "\n### Patroni with etcd, three PostgreSQL, {kind} replication, {SERVERS} servers, {} clients\n\n{HEAD}",
        arguments.clients
    );
    let mut notes = Vec::new();
    let serving = |least: usize| metrics.watch("memory_bank_db_standby_up{", least as f64);
    let mut note = |fault: &str, watch: watch::Watch| -> anyhow::Result<()> {
        let seen = watch.end()?;
        notes.push(format!("{fault}: both servers had all living standbys in use {seen}"));
        Ok(())
    };
    load.calm("no fault").await;
    for _ in 0..arguments.faults {
        let watch = serving(2);
        load.during("switch-over", || cluster.switch_over(), || cluster.wait_until_whole()).await?;
        note("switch-over", watch)?;
    }
    for _ in 0..arguments.faults {
        let primary = cluster.primary()?;
        let watch = if is_synchronous {
            let watch = serving(1);
            load.during("kill -9 of the primary and its Patroni", || cluster.kill(primary), || Ok(()))
                .await?;
            watch
        } else {
            // As behind a slow link: what the replicas have not received yet dies with the primary.
            cluster.hold_back(primary)?;
            load.calm("it sends nothing to its replicas for four seconds").await;
            let watch = serving(1);
            load.during("kill -9 of it and its Patroni then", || cluster.kill(primary), || Ok(())).await?;
            watch
        };
        note("kill", watch)?;
        let watch = serving(2);
        cluster.run(primary)?;
        load.during("its return", || Ok(()), || cluster.wait_until_whole()).await?;
        note("its return", watch)?;
    }
    let reads = metrics.of_each("memory_bank_db_standby_reads_total{")?.iter().sum::<f64>();
    notes.push(format!("standbys answered {reads} reads in all"));
    // A client that repeats a write does not notice the loss of an earlier one; the number of versions does, but for writes that
    // were carried out twice.
    let versions = cluster.psql("SELECT sum(version) FROM public.documents WHERE path LIKE 'notes-%'")?;
    let acknowledged = load.acknowledged();
    notes.push(format!(
        "the documents have {} versions, and at least {acknowledged} writes were acknowledged",
        versions.trim()
    ));
    load.end(is_synchronous, &notes).await
}

async fn on_pooler(arguments: &Arguments, binary: &Path, home: &Path) -> anyhow::Result<()> {
    let (postgres, redis) = (Postgres::start(home)?, Redis::start(home)?);
    let keys = prepare(binary, &postgres.url("postgres"), arguments.clients)?;
    postgres.psql(&format!("CREATE ROLE {ROLE} LOGIN; GRANT app_server TO {ROLE}"))?;
    let mut pooler = PgBouncer::start(home, &postgres, ROLE)?;
    let (url, redis_url) = (pooler.url(ROLE), redis.url());
    let variables = [
        ("DATABASE_URL", url.as_str()),
        ("DB_POOLER", "transaction"),
        ("REDIS_URL", &redis_url),
        ("RATE_LIMIT_IP_PER_MINUTE", "0"),
    ];
    let (served, _metrics) = serve(binary, &variables)?;
    let mut load = Load::start(&served, keys);
    let carried = if pooler::carries_prepared_statements()? { "carried" } else { "not carried" };
    println!(
        "\n### {} in transaction mode, prepared statements {carried}, {} sessions, {SERVERS} servers, {} clients\n\n{HEAD}",
        pooler::version()?,
        pooler::SESSIONS,
        arguments.clients
    );
    load.calm("no fault").await;
    for _ in 0..arguments.faults {
        load.during("kill -9 of PgBouncer, gone for two seconds", || pooler.restart(), || Ok(())).await?;
        load.during("PgBouncer hangs for two seconds", || pooler.hang(), || Ok(())).await?;
        load.during("the database ends at once, and starts again", || postgres.crash(home), || Ok(()))
            .await?;
    }
    let sessions =
        postgres.psql(&format!("SELECT count(*) FROM pg_stat_activity WHERE usename = '{ROLE}'"))?;
    let notes = [format!("the database had {} sessions of the servers at the end", sessions.trim())];
    load.end(true, &notes).await
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
    println!("\n### The cost of reads, {connections} connections\n");
    println!(
        "| reads are answered by | a second | by standbys | primary | both standbys | server |\n|---|---:|---:|---:|---:|---:|"
    );
    for (name, variables) in [("the primary", without.as_slice()), ("it and two standbys", &with)] {
        let [port] = free_ports()?;
        let address = std::net::SocketAddr::from(([127, 0, 0, 1], port));
        let own = address.to_string();
        let served = Served::start(binary, &[variables, &[("METRICS_ADDR", own.as_str())]].concat())?;
        let key = keys.first().context("there is no client")?;
        let metrics = (variables.len() > without.len()).then_some(Metrics(vec![address]));
        let cost =
            cost_of_reads(&served, key, connections, length, &postgres, &standbys, metrics.as_ref()).await?;
        println!(
            "| {name} | {:.0} | {:.0} % | {:.0} µs | {:.0} µs | {:.0} µs |",
            cost.rate,
            cost.share * 100.0,
            cost.primary,
            cost.standbys,
            cost.server
        );
    }
    let (served, metrics) = serve(binary, &with)?;
    let mut load = Load::start(&served, keys);
    println!(
        "\n### PostgreSQL with two standbys that answer reads, {SERVERS} servers, {} clients\n\n{HEAD}",
        arguments.clients
    );
    load.calm("no fault").await;
    for fault in 0..arguments.faults {
        let node = fault % STANDBYS;
        tokio::task::block_in_place(|| until("two standbys in use", READY, || in_use(&metrics)))?;
        load.during("kill -9 of a standby", || standbys.kill(node), || Ok(())).await?;
        load.during("its return", || standbys.run(node), || Ok(())).await?;
        tokio::task::block_in_place(|| standbys.catch_up(&postgres))?;
        tokio::task::block_in_place(|| until("two standbys in use", READY, || in_use(&metrics)))?;
        load.during("a standby hangs", || standbys.signal(node, "STOP"), || Ok(())).await?;
        load.during("it goes on", || standbys.signal(node, "CONT"), || Ok(())).await?;
        tokio::task::block_in_place(|| until("two standbys in use", READY, || in_use(&metrics)))?;
        load.during("a standby does not replay", || standbys.pause_replay(node, true), || Ok(())).await?;
        load.during("it catches up", || standbys.pause_replay(node, false), || Ok(())).await?;
        tokio::task::block_in_place(|| standbys.catch_up(&postgres))?;
    }
    let reads = metrics.of_each("memory_bank_db_standby_reads_total{")?.iter().sum::<f64>();
    load.end(true, &[format!("standbys answered {reads} reads in all")]).await
}

/// Whether all servers have both standbys in use.
fn in_use(metrics: &Metrics) -> bool {
    metrics
        .of_each("memory_bank_db_standby_up{")
        .is_ok_and(|each| each.iter().all(|up| *up >= STANDBYS as f64))
}

/// Reads a second, and the processor time of each in microseconds.
struct CostOfReads {
    rate: f64,
    /// The part that standbys answered.
    share: f64,
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
    metrics: Option<&Metrics>,
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
    if let Some(metrics) = metrics {
        tokio::task::block_in_place(|| until("two standbys in use", READY, || in_use(metrics)))?;
    }
    let by_standbys = || match metrics {
        Some(metrics) => Ok(metrics.of_each("memory_bank_db_standby_reads_total{")?.iter().sum::<f64>()),
        None => anyhow::Ok(0.0),
    };
    // Connections are opened and statements prepared.
    crate::load::run(served.address, scripts(), length / 5).await?;
    let there = by_standbys()?;
    let before = (postgres.worked()?, standbys.worked()?, served.worked()?);
    let outcome = crate::load::run(served.address, scripts(), length).await?;
    let after = (postgres.worked()?, standbys.worked()?, served.worked()?);
    // The moment before the measurement is a tenth of it, and counts here.
    let reads = outcome.rate * length.as_secs_f64() * 1.1;
    let each = |before: Duration, after: Duration| (after - before).as_secs_f64() * 1e6 / reads;
    Ok(CostOfReads {
        rate: outcome.rate,
        share: (by_standbys()? - there) / reads,
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
