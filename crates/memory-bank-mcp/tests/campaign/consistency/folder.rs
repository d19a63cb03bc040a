//! Several processes on one folder; in each round one is killed or stopped for a while, or its clock jumps.

use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;

use super::SHORT;
use super::clock::Clock;
use super::counts::Counts;
use super::deck::{Deck, Kind};
use super::history::Round;
use super::left::Left;
use super::recorder::Recorder;
use crate::harness::random::Random;
use crate::harness::stdio::{Handle, Process};
use crate::harness::tool_call::Outcome;

/// The name of the store in failures.
const STORE: &str = "a folder";
/// The number of processes, each with one client.
const PROCESSES: usize = 4;
const KILL: &str = "a process is killed";
const STOP: &str = "a process is stopped for a while";
const JUMP: &str = "the clock of a process jumps";
const FAULTS: [Kind; 3] = [(KILL, 4), (STOP, 1), (JUMP, 1)];
/// How often a process is stopped until the others go on meanwhile: it may hold the lock of the bank.
const STOPS: usize = 20;
/// How many decks of faults a bank gets, so that none becomes slow.
const DECKS_A_BANK: usize = 5;

/// A process to fail, and how.
struct Fault<'a> {
    kind: &'static str,
    victim: Handle,
    clock: Option<&'a Clock>,
    outage: Duration,
    /// How many seconds a clock jumps.
    ahead: i64,
}

/// Fails until there were this many kills.
pub(crate) fn run(kills: usize, seed: u64) -> Counts {
    let random = &mut Random::new(seed);
    let clocks = Clock::several(PROCESSES);
    let possible = FAULTS.into_iter().filter(|(kind, _)| clocks.is_some() || *kind != JUMP);
    let (mut counts, mut deck) = (Counts::default(), Deck::new(possible, kills > SHORT));
    while counts.kills() < kills {
        let kinds: Vec<_> = (0..DECKS_A_BANK).flat_map(|_| deck.draw_all(random)).collect();
        bank(&kinds, clocks.as_deref(), &mut counts, (seed, &mut *random));
    }
    counts
}

/// Makes these faults on a new bank.
fn bank(
    kinds: &[&'static str],
    clocks: Option<&[Clock]>,
    counts: &mut Counts,
    (seed, random): (u64, &mut Random),
) {
    let temp = TempDir::new().unwrap();
    let start = |number: usize| {
        let clock = clocks.map(|clocks| clocks[number].variables()).unwrap_or_default();
        Process::start_with(temp.path(), &clock)
    };
    let mut processes: Vec<Process> = (0..PROCESSES).map(start).collect();
    let prepared = processes[0].call("initialize_memory_bank", &serde_json::json!({"path": "."}));
    assert!(matches!(prepared, Outcome::Done(_)), "{prepared:?}");
    let mut all_left: Vec<Left> = Vec::new();
    for &kind in kinds {
        let recorder = Recorder::new(&counts.faults().to_string());
        let round = Round { store: STORE, seed, number: counts.faults(), fault: kind.to_owned() };
        let number = 1 + random.below(PROCESSES - 1);
        let fault = Fault {
            kind,
            victim: processes[number].handle(),
            clock: clocks.map(|clocks| &clocks[number]),
            outage: Duration::from_millis(100 + random.next() % 500),
            ahead: Clock::jump(random),
        };
        let (calls, moment) = (20 + random.below(40), Duration::from_micros(random.next() % 8000));
        let checked = round.make(&recorder, || {
            for (tool, arguments) in recorder.setup_calls() {
                let prepared = processes[0].call(tool, &arguments);
                assert!(matches!(prepared, Outcome::Done(_)), "{tool}: {prepared:?}");
            }
            std::thread::scope(|scope| {
                for (client, process) in processes.iter_mut().enumerate() {
                    let (recorder, mut random) = (&recorder, Random::new(random.next()));
                    let start = &start;
                    scope.spawn(move || {
                        recorder.run(client, &mut random, |tool, arguments| {
                            if process.is_dead() {
                                *process = start(client);
                            }
                            process.call(tool, &arguments)
                        });
                    });
                }
                recorder.while_they_call(|| {
                    recorder.await_more(calls);
                    std::thread::sleep(moment);
                    fault.happen(&recorder, counts);
                    recorder.await_more(60);
                });
            });
            // A process that starts now recovers the bank first.
            let mut reader = Process::start(temp.path());
            let mut reader = |tool: &str, arguments: Value| reader.call(tool, &arguments);
            recorder.read_all(PROCESSES, &mut reader)?;
            let checked = recorder.check()?;
            // What the fault of this round did to the one before it.
            all_left.last().map_or(Ok(()), |former| former.compare(&mut reader))?;
            Ok(checked)
        });
        all_left.push(Left::of(&recorder));
        counts.add(checked);
        counts.add_fault(kind);
    }
    // No fault of a later round may have lost anything.
    let mut reader = Process::start(temp.path());
    for left in &all_left {
        if let Err(wrong) = left.compare(&mut |tool, arguments| reader.call(tool, &arguments)) {
            let number = left.round().parse().unwrap();
            let round = Round { store: STORE, seed, number, fault: "seen at the end of its bank".to_owned() };
            round.fail(&wrong, &left.lines());
        }
    }
}

impl Fault<'_> {
    /// Makes it, and ends it.
    fn happen(&self, recorder: &Recorder, counts: &mut Counts) {
        match self.kind {
            KILL => self.victim.kill(),
            STOP => {
                for _ in 0..STOPS {
                    let before = recorder.answered();
                    self.victim.signal("-STOP");
                    std::thread::sleep(self.outage);
                    // Calls that were on their way when it stopped are not those of a process beside a stopped one.
                    let others_went_on = recorder.answered() > before + PROCESSES;
                    self.victim.signal("-CONT");
                    if others_went_on {
                        return;
                    }
                    counts.note("stops of a process that held the lock of the bank");
                    recorder.await_more(PROCESSES);
                }
                panic!("the others never go on while a process is stopped");
            }
            JUMP => {
                let clock = self.clock.unwrap();
                clock.set(self.ahead);
                recorder.await_more(40);
                clock.set(0);
            }
            other => panic!("an unknown fault: {other}"),
        }
    }
}
