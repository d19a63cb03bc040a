//! The samples of a run, and their table.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use anyhow::Context;

use crate::servers::{Postgres, Redis, resident};

/// What each sample has, with its unit.
pub const SERIES: [(&str, &str); 9] = [
    ("memory of the server that is not replaced", "MiB"),
    ("its open descriptors", ""),
    ("its threads", ""),
    ("connections of all servers to PostgreSQL", ""),
    ("keys in Redis", ""),
    ("memory of Redis", "MiB"),
    ("tables of documents and graph, sessions and events", "MiB"),
    ("tables of history, audit log and use, which keep a year", "MiB"),
    ("99th percentile of calls", "ms"),
];

/// The tables that keep what happened.
const KEEPING: &str =
    "'document_versions', 'graph_versions', 'graph_changes', 'graph_history', 'audit_log', 'call_hours'";

/// A moment of the run.
pub struct Sample {
    pub at: Duration,
    pub values: [f64; SERIES.len()],
}

impl Sample {
    /// Reads all values; `server` is the process of the server that is not replaced.
    pub fn take(
        at: Duration,
        server: u32,
        (postgres, redis): (&Postgres, &Redis),
        p99: Duration,
    ) -> anyhow::Result<Self> {
        let tables = postgres.psql(&format!(
            "SELECT coalesce(sum(pg_total_relation_size(c.oid)) FILTER (WHERE c.relname NOT IN ({KEEPING})), 0), \
             coalesce(sum(pg_total_relation_size(c.oid)) FILTER (WHERE c.relname IN ({KEEPING})), 0), \
             (SELECT count(*) FROM pg_stat_activity WHERE usename = 'bench_server') \
             FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
             WHERE n.nspname IN ('public', 'app') AND c.relkind IN ('r', 'p')"
        ))?;
        let mut fields = tables.trim().split('|').map(str::parse::<f64>);
        let mut field = || anyhow::Ok(fields.next().context("PostgreSQL's reply is too short")??);
        let (flat, keeping, connections) = (field()?, field()?, field()?);
        let mebibyte = 1024.0 * 1024.0;
        let count =
            |place: &str| anyhow::Ok(std::fs::read_dir(format!("/proc/{server}/{place}"))?.count() as f64);
        Ok(Self {
            at,
            values: [
                resident(server)?.0 as f64 / 1024.0,
                count("fd")?,
                count("task")?,
                connections,
                redis.keys()? as f64,
                redis.used_bytes()? as f64 / mebibyte,
                flat / mebibyte,
                keeping / mebibyte,
                p99.as_secs_f64() * 1000.0,
            ],
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

/// The middle of the values of a series in a part of the run, from and to as fractions.
fn middle(samples: &[Sample], series: usize, from: f64, to: f64) -> f64 {
    let place = |part: f64| ((samples.len() as f64 * part) as usize).min(samples.len());
    let mut values: Vec<f64> =
        samples[place(from)..place(to)].iter().map(|sample| sample.values[series]).collect();
    values.sort_unstable_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or_default()
}

/// The medians of the second, third and last quarter of the run: the first one fills caches and pools.
pub fn table(samples: &[Sample]) -> String {
    let mut out = String::from(
        "| medians | second quarter | third | last | last to second |\n|---|---:|---:|---:|---:|\n",
    );
    for (series, (name, unit)) in SERIES.iter().enumerate() {
        let [second, third, last] = [0.25, 0.5, 0.75].map(|from| middle(samples, series, from, from + 0.25));
        let unit = if unit.is_empty() { String::new() } else { format!(", {unit}") };
        let ratio = if second > 0.0 { format!("{:.2}", last / second) } else { "–".to_owned() };
        let _ = writeln!(out, "| {name}{unit} | {second:.1} | {third:.1} | {last:.1} | {ratio} |");
    }
    out
}
