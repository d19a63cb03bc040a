//! A mixed load for minutes, like that of a team of agents: reads, edits, searches and lists of tools in sessions with
//! event streams; reports the memory of the server.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::{Bench, DOCUMENT, calling, document, load, mebibytes, reading, tools};

/// The interval at which memory is sampled.
const EVERY: Duration = Duration::from_secs(5);

/// Runs the load and prints the server's memory each minute, and its maximum.
pub async fn measure(bench: &Bench, length: Duration) -> anyhow::Result<()> {
    let messages = [
        reading(&json!({"filename": DOCUMENT})),
        calling("write_memory_bank_file", &json!({"filename": "mixed.md", "content": document("one")})),
        calling("search_memory_bank", &json!({"query": "words that notes have"})),
        tools(),
        calling("write_memory_bank_file", &json!({"filename": "mixed.md", "content": document("another")})),
        reading(&json!({"filename": "mixed.md"})),
    ];
    let address = bench.streaming.address;
    let scripts = bench.sessions(address, &messages, "\"jsonrpc\"").await?;
    let began = Instant::now();
    let mut load = std::pin::pin!(load::run(address, scripts, length));
    let mut look = tokio::time::interval(EVERY);
    let (mut most, mut minutes) = ((0, 0), 0);
    println!("| | of its own, MiB | with the pages of the program, MiB |\n|---|---:|---:|");
    let outcome = loop {
        tokio::select! {
            outcome = &mut load => break outcome?,
            _ = look.tick() => {
                let (own, all) = bench.streaming.resident()?;
                most = (most.0.max(own), most.1.max(all));
                if began.elapsed().as_secs() / 60 >= minutes {
                    println!("| after {minutes} min | {:.1} | {:.1} |", mebibytes(own), mebibytes(all));
                    minutes += 1;
                }
            }
        }
    };
    let (own, all) = bench.streaming.resident()?;
    println!("| at the end | {:.1} | {:.1} |", mebibytes(own), mebibytes(all));
    println!("| at most | {:.1} | {:.1} |", mebibytes(most.0), mebibytes(most.1));
    println!("\n{:.0} requests a second, {} in all", outcome.rate, outcome.times.len());
    Ok(())
}
