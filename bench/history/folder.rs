//! Changes of a folder, over stdio.

use std::path::Path;

use crate::client::Client;
use crate::{Change, Cost, DAYS, RETENTION};

/// Measures each change, in turn on a bank with a history and on one without.
pub fn costs(server: &Path, place: &Path, rounds: usize) -> anyhow::Result<Vec<Cost>> {
    Change::ALL.into_iter().map(|change| cost(server, place, rounds, change)).collect()
}

fn cost(server: &Path, place: &Path, rounds: usize, change: Change) -> anyhow::Result<Cost> {
    let homes = [tempfile::TempDir::new_in(place)?, tempfile::TempDir::new_in(place)?];
    let mut clients = Vec::new();
    for (home, days) in homes.iter().zip(DAYS) {
        let mut client = Client::start_with(server, home.path(), &[(RETENTION, days)])?;
        client.call("initialize_memory_bank", serde_json::json!({"path": home.path()}))?;
        for (tool, arguments) in change.prepared() {
            client.call(tool, arguments)?;
        }
        clients.push(client);
    }
    let kept = || history_bytes(homes.first().map(|home| home.path()).unwrap_or(place));
    let before = kept();
    let mut cost = Cost::new(change);
    for round in 0..rounds {
        // Neither side is always the first.
        for side in if round % 2 == 0 { [0, 1] } else { [1, 0] } {
            let (tool, arguments) = change.call(round);
            if let (Some(client), Some(times)) = (clients.get_mut(side), cost.times.get_mut(side)) {
                times.push(client.call(tool, arguments)?);
            }
        }
    }
    #[expect(clippy::cast_precision_loss, reason = "far fewer than 2^52 bytes")]
    let bytes = (kept() - before) as f64 / rounds as f64;
    Ok(Cost { bytes, ..cost })
}

/// The bytes of the documents' history. A graph's history is its log, which is kept without a history, too.
fn history_bytes(home: &Path) -> u64 {
    let files = std::fs::read_dir(home.join("memory-bank/.mbmcp/history")).into_iter().flatten().flatten();
    files.filter_map(|file| Some(file.metadata().ok()?.len())).sum()
}
