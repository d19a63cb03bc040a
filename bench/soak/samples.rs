//! The samples of a run, and their table.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use anyhow::Context;

use crate::servers::{Postgres, Redis, resident};
use crate::verdict::{
    CONNECTIONS, DESCRIPTORS, Flat, GROWING, MEMORY, REDIS_KEYS, REDIS_MEMORY, TABLE, THREADS, Verdict,
    grows, middle,
};

/// What each sample has, with its unit, and how flat it must be.
pub const SERIES: [(&str, &str, Option<Flat>); 10] = [
    ("memory of the server that is not replaced", "MiB", Some(MEMORY)),
    ("its open descriptors", "", Some(DESCRIPTORS)),
    ("its threads", "", Some(THREADS)),
    ("connections of all servers to PostgreSQL", "", Some(CONNECTIONS)),
    ("keys in Redis", "", Some(REDIS_KEYS)),
    ("memory of Redis", "MiB", Some(REDIS_MEMORY)),
    // Each table has a bound of its own.
    ("tables of documents, graph and sessions", "MiB", None),
    ("events, in partitions by the hour", "MiB", None),
    ("tables of history, audit log and use, which keep a year", "MiB", None),
    // It depends on what else the machine does.
    ("99th percentile of calls", "ms", None),
];

/// The table of events.
const EVENTS: &str = "mcp_events";

/// A moment of the run.
pub struct Sample {
    pub at: Duration,
    pub values: [f64; SERIES.len()],
    /// The size of each table, in KiB.
    pub tables: BTreeMap<String, u64>,
}

impl Sample {
    /// Reads all values; `server` is the process of the server that is not replaced.
    pub fn take(
        at: Duration,
        server: u32,
        (postgres, redis): (&Postgres, &Redis),
        p99: Duration,
    ) -> anyhow::Result<Self> {
        let connections =
            postgres.psql("SELECT count(*) FROM pg_stat_activity WHERE usename = 'bench_server'")?;
        let tables = tables(postgres)?;
        let (kibibyte, mebibyte) = (1024.0, 1024.0 * 1024.0);
        let sum = |is_meant: &dyn Fn(&str) -> bool| {
            let sizes = tables.iter().filter(|(name, _)| is_meant(name)).map(|(_, size)| *size);
            sizes.sum::<u64>() as f64 / kibibyte
        };
        let count =
            |place: &str| anyhow::Ok(std::fs::read_dir(format!("/proc/{server}/{place}"))?.count() as f64);
        Ok(Self {
            at,
            values: [
                resident(server)?.0 as f64 / 1024.0,
                count("fd")?,
                count("task")?,
                connections.trim().parse()?,
                redis.keys()? as f64,
                redis.used_bytes()? as f64 / mebibyte,
                sum(&|name| !grows(name)),
                sum(&|name| name == EVENTS),
                sum(&|name| grows(name) && name != EVENTS),
                p99.as_secs_f64() * 1000.0,
            ],
            tables,
        })
    }
}

/// The size of each table with its indexes, in KiB. Partitions count for their table.
pub fn tables(postgres: &Postgres) -> anyhow::Result<BTreeMap<String, u64>> {
    let sizes = postgres.psql(
        "SELECT coalesce(i.inhparent, c.oid)::regclass, sum(pg_total_relation_size(c.oid)) / 1024 \
         FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace LEFT JOIN pg_inherits i ON i.inhrelid = c.oid \
         WHERE n.nspname IN ('public', 'app') AND c.relkind = 'r' GROUP BY 1",
    )?;
    let size = |line: &str| {
        let (name, size) = line.split_once('|').context("a line has two fields")?;
        // The sum of integers may have decimals.
        let whole = size.split('.').next().unwrap_or_default();
        anyhow::Ok((name.to_owned(), whole.parse()?))
    };
    sizes.lines().map(size).collect()
}

/// The tables that grew by more than a few pages between two moments.
pub fn grown(before: &BTreeMap<String, u64>, after: &BTreeMap<String, u64>) -> String {
    const PAGES: u64 = 64;
    let mut grown: Vec<(u64, u64, &str)> = after
        .iter()
        .map(|(name, size)| (*size, before.get(name).copied().unwrap_or_default(), name.as_str()))
        .filter(|(size, former, _)| *size > former + PAGES)
        .collect();
    grown.sort_by_key(|(size, former, _)| std::cmp::Reverse(size - former));
    let mut out = String::from(
        "| tables that grew after the first quarter, KiB | then | at the end |\n|---|---:|---:|\n",
    );
    for (size, former, name) in grown {
        let _ = writeln!(out, "| `{name}` | {former} | {size} |");
    }
    out
}

/// The values of a series.
fn values(samples: &[Sample], series: usize) -> Vec<f64> {
    samples.iter().map(|sample| sample.values[series]).collect()
}

/// The verdicts on a run with so many acknowledged changes and projects: on each series and table that must be flat, then on what grows by
/// design.
pub fn verdicts(samples: &[Sample], changes: u64, projects: usize) -> Vec<Verdict> {
    let mut verdicts = Vec::new();
    for (series, (name, unit, flat)) in SERIES.iter().enumerate() {
        let name = if unit.is_empty() { (*name).to_owned() } else { format!("{name}, {unit}") };
        verdicts.extend(flat.map(|flat| flat.verdict(&name, &values(samples, series))));
    }
    let none = BTreeMap::new();
    let last = samples.last().map_or(&none, |sample| &sample.tables);
    let size =
        |tables: &BTreeMap<String, u64>, name: &str| tables.get(name).copied().unwrap_or_default() as f64;
    for name in last.keys().filter(|name| !grows(name)) {
        let sizes: Vec<f64> = samples.iter().map(|sample| size(&sample.tables, name)).collect();
        verdicts.push(TABLE.verdict(&format!("`{name}`, KiB"), &sizes));
    }
    for growing in &GROWING {
        let sum = growing.tables.iter().map(|name| size(last, name)).sum();
        verdicts.push(growing.verdict(sum, changes, projects));
    }
    verdicts
}

/// The medians of the second, third and last quarter of the run: the first one fills caches and pools.
pub fn table(samples: &[Sample]) -> String {
    let mut out = String::from(
        "| medians | second quarter | third | last | last to second |\n|---|---:|---:|---:|---:|\n",
    );
    for (series, (name, unit, _)) in SERIES.iter().enumerate() {
        let values = values(samples, series);
        let [second, third, last] = [0.25, 0.5, 0.75].map(|from| middle(&values, from, from + 0.25));
        let unit = if unit.is_empty() { String::new() } else { format!(", {unit}") };
        let ratio = if second > 0.0 { format!("{:.2}", last / second) } else { "–".to_owned() };
        let _ = writeln!(out, "| {name}{unit} | {second:.1} | {third:.1} | {last:.1} | {ratio} |");
    }
    out
}
