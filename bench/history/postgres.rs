//! Changes on PostgreSQL, over HTTP without sessions.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use serde_json::Value;

use crate::load::{Connection, stateless_call};
use crate::servers::{Postgres, Served, operate};
use crate::{Change, Cost, DAYS, RETENTION};

/// The role that serves.
const ROLE: &str = "bench_server";
/// The bytes of all versions, with the headers of their rows.
const HISTORY_BYTES: &str = "SELECT coalesce((SELECT sum(pg_column_size(v.*)) FROM app.document_versions v), 0) \
    + coalesce((SELECT sum(pg_column_size(h.*)) FROM app.graph_history h), 0) \
    + coalesce((SELECT sum(pg_column_size(v.*)) FROM app.graph_versions v), 0)";

/// A server and a project of its own.
struct Side {
    served: Served,
    connection: Connection,
    key: String,
}

/// Measures each change, in turn on a server with a history and on one without.
pub async fn costs(server: &Path, place: &Path, rounds: usize) -> anyhow::Result<Vec<Cost>> {
    let home = tempfile::Builder::new().prefix("memory-bank-bench").tempdir_in(place)?;
    let postgres = Postgres::start(home.path())?;
    let owner = postgres.url("postgres");
    operate(server, &owner, &["migrate"])?;
    postgres.psql(&format!("CREATE ROLE {ROLE} LOGIN; GRANT app_server TO {ROLE}"))?;
    let mut sides = Vec::new();
    for (project, days) in ["with", "without"].into_iter().zip(DAYS) {
        operate(server, &owner, &["bootstrap", "--user", "alice", "--project", project])?;
        let wide = ["keys", "create", "--user", "alice", "--project", project, "--rate-limit", "1000000"];
        let made = operate(server, &owner, &wide)?;
        let key = made.pointer("/key").and_then(Value::as_str).context("no key was made")?.to_owned();
        let url = postgres.url(ROLE);
        let variables = [
            ("DATABASE_URL", url.as_str()),
            ("REDIS_URL", ""),
            ("RATE_LIMIT_IP_PER_MINUTE", "1000000"),
            (RETENTION, days),
        ];
        let served = Served::start(server, &variables)?;
        let connection = Connection::open(served.address).await?;
        sides.push(Side { served, connection, key });
    }
    let mut costs = Vec::new();
    for change in Change::ALL {
        costs.push(cost(&postgres, &mut sides, rounds, change).await?);
    }
    Ok(costs)
}

async fn cost(
    postgres: &Postgres,
    sides: &mut [Side],
    rounds: usize,
    change: Change,
) -> anyhow::Result<Cost> {
    for side in &mut *sides {
        for (tool, arguments) in change.prepared() {
            side.call(tool, &arguments).await?;
        }
    }
    let kept = || anyhow::Ok(postgres.psql(HISTORY_BYTES)?.trim().parse::<f64>()?);
    let before = kept()?;
    let mut cost = Cost::new(change);
    for round in 0..rounds {
        for at in if round % 2 == 0 { [0, 1] } else { [1, 0] } {
            let (tool, arguments) = change.call(round);
            if let (Some(side), Some(times)) = (sides.get_mut(at), cost.times.get_mut(at)) {
                times.push(side.call(tool, &arguments).await?);
            }
        }
    }
    #[expect(clippy::cast_precision_loss, reason = "few rounds")]
    let bytes = (kept()? - before) / rounds as f64;
    Ok(Cost { bytes, ..cost })
}

impl Side {
    /// Calls a tool; returns the time from the request to the whole reply.
    async fn call(&mut self, tool: &str, arguments: &Value) -> anyhow::Result<Duration> {
        let request = stateless_call(self.served.address, &self.key, tool, arguments);
        let sent = Instant::now();
        let reply = self.connection.ask(&request).await?;
        let took = sent.elapsed();
        let reply = String::from_utf8_lossy(reply);
        ensure!(reply.contains("\"isError\":false"), "{tool}: {reply}");
        Ok(took)
    }
}
