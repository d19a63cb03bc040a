//! Clients that write and read while something is broken, and the table of what became of their calls.

use std::time::{Duration, Instant};

use anyhow::ensure;
use tokio::task::JoinSet;

use crate::clients::{Client, Mix, Shared};
use crate::servers::Served;

/// How long a call is sent again: longer than any fail-over takes.
const PATIENCE: Duration = Duration::from_secs(60);
/// Between two steps of a client.
const PAUSE: Duration = Duration::from_millis(40);
/// Of load before and after each fault.
const CALM: Duration = Duration::from_secs(4);
/// The longest run.
const LONGEST: Duration = Duration::from_secs(1800);

/// The head of the table of faults.
pub const HEAD: &str = "| fault | acknowledged writes | longest time without one | slowest call | slowest refusal | calls sent again | acknowledged writes lost |\n\
    |---|---:|---:|---:|---:|---:|---:|";

/// The clients while they work.
pub struct Load {
    shared: Shared,
    clients: JoinSet<()>,
    end: std::sync::Arc<std::sync::atomic::AtomicBool>,
    reasons: std::collections::BTreeMap<String, u64>,
    acknowledged: u64,
}

impl Load {
    /// Starts a client for each key.
    pub fn start(served: &[Served], keys: Vec<String>) -> Self {
        let shared = Shared::default();
        shared.serve_at(served.iter().map(|one| one.address).collect());
        let mut clients = JoinSet::new();
        for (number, key) in keys.into_iter().enumerate() {
            let client = Client::new(key, number, shared.clone(), Mix::OwnDocument, PATIENCE);
            clients.spawn(client.work(Instant::now() + LONGEST, PAUSE));
        }
        Self {
            end: shared.end(),
            shared,
            clients,
            reasons: std::collections::BTreeMap::new(),
            acknowledged: 0,
        }
    }

    /// Nothing breaks.
    pub async fn calm(&mut self, name: &str) {
        tokio::time::sleep(CALM).await;
        self.row(name);
    }

    /// Breaks something under load, waits until it works again, and prints the row.
    pub async fn during(
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

    /// How many writes the rows so far have.
    pub fn acknowledged(&self) -> u64 {
        self.acknowledged
    }

    fn row(&mut self, name: &str) {
        let counts = self.shared.taken();
        self.acknowledged += counts.changes;
        println!(
            "| {name} | {} | {:.1} s | {:.1} s | {:.1} s | {} | {} |",
            counts.changes,
            counts.longest_gap.as_secs_f64(),
            counts.slowest.as_secs_f64(),
            counts.slowest_refusal.as_secs_f64(),
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

    /// Lets the clients read their documents a last time, and reports, with what else was noted.
    pub async fn end(mut self, loses_nothing: bool, notes: &[String]) -> anyhow::Result<()> {
        self.end.store(true, std::sync::atomic::Ordering::Relaxed);
        while let Some(done) = self.clients.join_next().await {
            done?;
        }
        self.row("the last read of each client");
        if !notes.is_empty() {
            println!("\nBeside that:\n\n- {}", notes.join("\n- "));
        }
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
