//! Several servers on one PostgreSQL with two standbys, which answer reads, and one Redis, each in a network namespace of its own. In each
//! round a process is killed or stopped for a while, a clock jumps, or the network between two of them is cut. `outage.rs` makes the faults.
//! Each request counts in the windows of limits in Redis, some by leases (`hurry.rs`); no limit is reached, so none may refuse.

mod environment;
mod outage;

use std::time::{Duration, Instant};

use memory_bank_test_postgres::{Direction, MIGRATOR};
use serde_json::{Value, json};

use self::environment::{Environment, REPLICAS};
use self::outage::{CLOCK_JUMPS, FAULTS, Outage};
use super::SHORT;
use super::clock::Clock;
use super::counts::Counts;
use super::deck::Deck;
use super::history::Round;
use super::hurry::{has_leased, hurry};
use super::left::Left;
use super::network::Network;
use super::recorder::Recorder;
use crate::harness::LIMIT;
use crate::harness::operator::operate;
use crate::harness::random::Random;
use crate::harness::replica::await_health;
use crate::harness::tool_call::{Outcome, call, call_within, open};

/// The name of the store in failures.
const STORE: &str = "servers";
/// The number of clients, one of which changes its server with each call.
const CLIENTS: usize = REPLICAS * 2 + 1;
/// One of so many cuts lasts so long that what waits for an answer gives up: five seconds for most.
const LONG_CUTS: usize = 16;
const LONG_CUT: Duration = Duration::from_millis(6500);
/// How long a client waits for an answer: longer than a cut. The call may take effect later.
const PATIENCE: Duration = Duration::from_secs(8);

/// The rounds of a bank, whose last states are kept until its end: a quarter of a megabyte.
const ROUNDS_A_BANK: usize = 150;
const LEASED: &str = "rounds in which servers leased requests";

/// Fails until there were this many kills.
pub(crate) fn run(network: Network, kills: usize, seed: u64) -> Counts {
    let random = &mut Random::new(seed);
    let mut environment = Environment::new(network);
    let operator = environment.database.url_of(MIGRATOR);
    let addresses: Vec<String> = environment.replicas.iter().map(|replica| replica.address.clone()).collect();
    let mut bank = Bank::new(&operator, &addresses, 0);
    let is_long = kills > SHORT;
    let possible =
        FAULTS.into_iter().filter(|(kind, _)| environment.clocks.is_some() || *kind != CLOCK_JUMPS);
    let (mut counts, mut deck) = (Counts::default(), Deck::new(possible, is_long));
    while counts.kills() < kills || !deck.is_empty() {
        let (number, kind) = (counts.faults(), deck.draw(random));
        if bank.left.len() >= ROUNDS_A_BANK {
            bank.end(&addresses, seed);
            bank = Bank::new(&operator, &addresses, number);
        }
        let recorder = Recorder::new(&number.to_string());
        let outage = Outage {
            kind,
            victim: random.below(REPLICAS),
            time: match random.below(LONG_CUTS) {
                0 if kind.contains("cut off") && is_long => LONG_CUT,
                _ => Duration::from_millis(250 + random.next() % 500),
            },
            direction: *random.pick(&[Direction::Both, Direction::Both, Direction::There, Direction::Back]),
            ahead: Clock::jump(random),
        };
        let began = Instant::now();
        let round = Round { store: STORE, seed, number, fault: format!("{outage:?}") };
        let checked = round.make(&recorder, || {
            for (tool, arguments) in recorder.setup_calls() {
                let prepared = bank.call(&addresses[0], tool, &arguments);
                assert!(matches!(prepared, Outcome::Done(_)), "{tool}: {prepared:?}");
            }
            environment.round(&recorder, &outage, &addresses, &bank.key, random, &mut counts);
            eprintln!("round {number}: {kind}, {} ms", began.elapsed().as_millis());
            let mut reader = |tool: &str, arguments| bank.call(&addresses[0], tool, &arguments);
            recorder.read_all(CLIENTS, &mut reader)?;
            let checked = recorder.check()?;
            // What the fault of this round did to the one before it.
            bank.left.last().map_or(Ok(()), |former| former.compare(&mut reader))?;
            Ok(checked)
        });
        bank.left.push(Left::of(&recorder));
        counts.add(checked);
        counts.add_fault(kind);
        if has_leased(environment.redis_place.address(), environment.redis_port) {
            counts.note(LEASED);
        }
    }
    bank.end(&addresses, seed);
    assert!(
        counts.noted(LEASED) > 0,
        "no server has leased requests, so that no fault met a lease: {counts}"
    );
    counts
}

/// A project with a key, and what its rounds have left behind.
struct Bank {
    key: String,
    left: Vec<Left>,
}

impl Bank {
    /// A bank whose first round is this one.
    fn new(operator: &str, addresses: &[String], round: usize) -> Self {
        let slug = format!("atlas-{round}");
        operate(operator, "", &["bootstrap", "--user", "alice", "--project", &slug]);
        let made = ["keys", "create", "--user", "alice", "--project", &slug, "--rate-limit", LIMIT];
        let key = operate(operator, "", &made)["key"].as_str().unwrap().to_owned();
        let bank = Self { key, left: Vec::new() };
        let prepared = bank.call(&addresses[0], "initialize_memory_bank", &json!({"path": "."}));
        assert!(matches!(prepared, Outcome::Done(_)), "{prepared:?}");
        bank
    }

    fn call(&self, address: &str, tool: &str, arguments: &Value) -> Outcome {
        call(address, &self.key, None, tool, arguments)
    }

    /// Reads what all of its rounds have left behind, at all servers in turn: no later fault may have lost any of it.
    fn end(&self, addresses: &[String], seed: u64) {
        for (left, address) in self.left.iter().zip(addresses.iter().cycle()) {
            let mut reader = |tool: &str, arguments| self.call(address, tool, &arguments);
            if let Err(wrong) = left.compare(&mut reader) {
                let number = left.round().parse().unwrap();
                let round =
                    Round { store: STORE, seed, number, fault: "seen at the end of its bank".to_owned() };
                round.fail(&wrong, &left.lines());
            }
        }
    }
}

impl Environment {
    fn round(
        &mut self,
        recorder: &Recorder,
        outage: &Outage,
        addresses: &[String],
        key: &str,
        random: &mut Random,
        counts: &mut Counts,
    ) {
        let (calls, moment) = (20 + random.below(40), Duration::from_micros(random.next() % 20_000));
        std::thread::scope(|scope| {
            for client in 0..CLIENTS {
                let mut choices = Random::new(random.next());
                let mut random = Random::new(random.next());
                scope.spawn(move || {
                    // The first client of each server uses a session, the second none, and the last one is at any server.
                    let own = addresses.get(client % REPLICAS).filter(|_| client < REPLICAS * 2);
                    let opened = own.filter(|_| client < REPLICAS).map(|address| open(address, key));
                    let session = opened.unwrap_or(Ok(None)).unwrap_or_else(|reply| {
                        recorder.note_limited(reply);
                        None
                    });
                    recorder.run(client, &mut random, |tool, arguments| {
                        let address = own.unwrap_or_else(|| choices.pick(addresses));
                        let session = session.as_deref();
                        call_within(Some(PATIENCE), address, key, session, tool, &arguments)
                    });
                });
            }
            let mut choices = Random::new(random.next());
            scope.spawn(move || hurry(recorder, (addresses, key), PATIENCE, &mut choices));
            recorder.while_they_call(|| {
                recorder.await_more(calls);
                std::thread::sleep(moment);
                outage.happen(self, counts);
                recorder.await_more(40);
            });
        });
        await_health(addresses);
    }
}
