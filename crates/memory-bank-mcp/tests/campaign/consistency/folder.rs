//! Several processes on one folder; in each round one is killed.

use std::time::Duration;

use tempfile::TempDir;

use super::recorder::{Counts, Recorder};
use crate::harness::random::Random;
use crate::harness::stdio::Process;
use crate::harness::tool_call::Outcome;

/// The number of processes, each with one client.
const PROCESSES: usize = 4;

/// Kills this often.
pub(crate) fn run(kills: usize, random: &mut Random) -> Counts {
    let temp = TempDir::new().unwrap();
    let mut processes: Vec<Process> = (0..PROCESSES).map(|_| Process::start(temp.path())).collect();
    let prepared = processes[0].call("initialize_memory_bank", &serde_json::json!({"path": "."}));
    assert!(matches!(prepared, Outcome::Done(_)), "{prepared:?}");
    let mut counts = Counts::default();
    for kill in 0..kills {
        let recorder = Recorder::new(&kill.to_string());
        for (tool, arguments) in recorder.setup_calls() {
            let prepared = processes[0].call(tool, &arguments);
            assert!(matches!(prepared, Outcome::Done(_)), "{tool}: {prepared:?}");
        }
        let victim = processes[1 + random.below(PROCESSES - 1)].kill_handle();
        let (calls, moment) = (20 + random.below(40), Duration::from_micros(random.next() % 8000));
        std::thread::scope(|scope| {
            for (client, process) in processes.iter_mut().enumerate() {
                let (recorder, mut random) = (&recorder, Random::new(random.next()));
                let path = temp.path();
                scope.spawn(move || {
                    recorder.run(client, &mut random, |tool, arguments| {
                        if process.is_dead() {
                            *process = Process::start(path);
                        }
                        process.call(tool, &arguments)
                    });
                });
            }
            recorder.while_they_call(|| {
                recorder.await_more(calls);
                std::thread::sleep(moment);
                victim.kill();
                recorder.await_more(60);
            });
        });
        // A process that starts now recovers the bank first.
        let mut reader = Process::start(temp.path());
        recorder.read_all(PROCESSES, &mut |tool, arguments| reader.call(tool, &arguments));
        let checked = recorder.check();
        counts.add(checked.unwrap_or_else(|wrong| panic!("after kill {kill} on a folder: {wrong}")));
        *counts.by_fault.entry("a process").or_default() += 1;
    }
    counts
}
