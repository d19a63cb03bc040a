//! Several stdio servers on one folder; each round one is killed.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;

use super::acknowledged_writes::{Contents, Counts, setup_calls};
use super::writers::Writers;
use crate::harness::random::Random;
use crate::harness::stdio::Process;
use crate::harness::tool_call::Outcome;

/// The number of processes that write to one folder.
const PROCESSES: usize = 3;
/// The number of kills after which a new bank is used, so that none becomes slow.
const KILLS_A_BANK: usize = 20;

/// Kills this often.
pub(crate) fn run(kills: usize, random: &mut Random) -> Counts {
    let mut counts = Counts::default();
    let mut left = kills;
    while left > 0 {
        let these = left.min(KILLS_A_BANK);
        counts += bank(these, random);
        left -= these;
    }
    counts
}

fn bank(kills: usize, random: &mut Random) -> Counts {
    let temp = TempDir::new().unwrap();
    let mut processes: Vec<Process> = (0..PROCESSES).map(|_| Process::start(temp.path())).collect();
    for (tool, arguments) in setup_calls() {
        let done = processes[0].call(tool, &arguments);
        assert!(matches!(done, Outcome::Done(_)), "{tool}: {done:?}");
    }
    let writers = Writers::default();
    let mut counts = Counts::default();
    for kill in 0..kills {
        let victim = processes[random.below(PROCESSES)].handle();
        let (writes, moment) = (random.below(12), Duration::from_micros(random.next() % 8000));
        writers.begin();
        std::thread::scope(|scope| {
            for process in &mut processes {
                let (writers, mut random) = (&writers, Random::new(random.next()));
                let path = temp.path();
                scope.spawn(move || {
                    writers.write(&mut random, |tool, arguments| {
                        if process.is_dead() {
                            *process = Process::start(path);
                        }
                        process.call(tool, &arguments)
                    });
                });
            }
            writers.while_they_write(|| {
                writers.await_more(writes);
                std::thread::sleep(moment);
                victim.kill();
                writers.await_more(6);
            });
        });
        // The next process recovers the bank first.
        let mut reader = Process::start(temp.path());
        let read = reader.call("list_memory_bank_files", &serde_json::json!({}));
        assert!(matches!(read, Outcome::Done(_)), "{read:?}");
        counts = writers
            .ledger
            .lock()
            .unwrap()
            .check(&contents(&temp.path().join("memory-bank")))
            .unwrap_or_else(|wrong| panic!("after kill {kill} of a bank on a folder: {wrong}"));
    }
    counts
}

/// The contents of the folder.
fn contents(bank: &Path) -> Contents {
    let mut contents = Contents::default();
    for entry in std::fs::read_dir(bank).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "md") {
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            contents.documents.insert(name, std::fs::read_to_string(&path).unwrap());
        }
    }
    let log = std::fs::read_to_string(bank.join("graph/graph.jsonl")).unwrap();
    let mut entities: BTreeMap<String, (Value, Value)> = BTreeMap::new();
    // A torn line is not an event.
    for event in log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok()) {
        let entity = &event["entity"];
        if let Some(id) = entity["id"].as_str() {
            entities.insert(id.to_owned(), (entity["name"].clone(), entity["entityType"].clone()));
        }
        let mut fact = event["observation"].clone();
        if fact.is_object() {
            let (name, kind) = entities[fact["entityId"].as_str().unwrap()].clone();
            (fact["entity"], fact["entityType"]) = (name, kind);
            contents.facts.push(serde_json::from_value(fact).unwrap());
        }
    }
    contents
}
