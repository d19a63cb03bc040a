//! The latency of search with a hundred thousand units. Run by hand, in a release build, since it prints figures:
//! `cargo test --release -p memory-bank-postgres --test it search_scale -- --ignored --nocapture`.

use std::time::{Duration, Instant};

use memory_bank_core::search::Query;
use memory_bank_core::store::{DocumentSearch, SearchStore};

use crate::support::{Bench, write};

const WORDS: [&str; 16] = [
    "parser", "token", "cache", "latency", "schema", "index", "deploy", "region", "invoice", "customer",
    "retry", "queue", "worker", "backup", "policy", "tenant",
];

fn log(document: usize, items: usize) -> String {
    let word = |seed: usize| WORDS[seed % WORDS.len()];
    let lines = (0..items).map(|item| {
        let seed = document.wrapping_mul(7919).wrapping_add(item.wrapping_mul(104_729));
        let rare = seed % 9973;
        format!(
            "- the {} of {} met {} while {} n{rare}",
            word(seed),
            word(seed / 16),
            word(seed / 256),
            word(seed / 4096)
        )
    });
    format!("# Log {document}\n\n{}\n", lines.collect::<Vec<_>>().join("\n"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "prints figures and takes long; run it by hand"]
async fn a_hundred_thousand_units_are_searched_in_milliseconds() {
    let bench = Bench::new().await;
    let caller = bench.tenant("alice", "demo").await;
    let bank = bench.bank();
    for document in 0..100 {
        write(&bank, &caller, &format!("log-{document}.md"), &log(document, 1000)).await.unwrap();
    }
    let search = async |text: &str| {
        let began = Instant::now();
        let wanted = DocumentSearch {
            query: Query::parse(text).unwrap(),
            files: Vec::new(),
            limit: 20,
            case_sensitive: false,
            days: (None, None),
            holding_at: None,
        };
        let hits = bank.search_documents(&caller, &wanted).await.unwrap().hits.len();
        assert!(hits > 0, "{text}");
        began.elapsed()
    };
    println!("first search (reads and indexes all): {:?}", search("parser latency").await);
    let mut times: Vec<Duration> = Vec::new();
    for round in 0..200 {
        times.push(
            search(&format!("{} {} n{}", WORDS[round % 16], WORDS[round / 16], round * 37 % 9973)).await,
        );
    }
    times.sort();
    println!("200 searches: median {:?}, p95 {:?}, worst {:?}", times[100], times[190], times[199]);
    let mut text = log(7, 1000);
    let mut after = Vec::new();
    for round in 0..20 {
        text.push_str(&format!("- one more line about parser n{round}\n"));
        let began = Instant::now();
        write(&bank, &caller, "log-7.md", &text).await.unwrap();
        let written = began.elapsed();
        after.push((search("parser latency").await, written));
    }
    after.sort();
    println!(
        "append, then search: search p95 {:?}; append worst {:?}",
        after[18].0,
        after.iter().map(|one| one.1).max()
    );
}
