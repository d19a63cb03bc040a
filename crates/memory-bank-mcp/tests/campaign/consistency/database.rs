//! Several servers on one PostgreSQL with two standbys, which answer reads, and one Redis, each in a network namespace of its own. In each
//! round a process is killed or stopped for a while, a clock jumps, or the network between two of them is cut. `outage.rs` makes the faults.

mod environment;
mod outage;

use std::time::{Duration, Instant};

use memory_bank_test_postgres::{Direction, MIGRATOR};
use serde_json::json;

use self::environment::{Environment, REPLICAS};
use self::outage::{CLOCK_JUMPS, FAULTS, Outage};
use super::SHORT;
use super::clock::Clock;
use super::counts::Counts;
use super::deck::Deck;
use super::network::Network;
use super::recorder::Recorder;
use crate::harness::operator::operate;
use crate::harness::random::Random;
use crate::harness::replica::await_health;
use crate::harness::tool_call::{Outcome, call, call_within, open};

/// The number of clients, one of which changes its server with each call.
const CLIENTS: usize = REPLICAS * 2 + 1;
/// One of so many cuts lasts so long that what waits for an answer gives up: five seconds for most.
const LONG_CUTS: usize = 16;
const LONG_CUT: Duration = Duration::from_millis(6500);
/// How long a client waits for an answer: longer than a cut. The call may take effect later.
const PATIENCE: Duration = Duration::from_secs(8);

/// Fails until there were this many kills.
pub(crate) fn run(network: Network, kills: usize, random: &mut Random) -> Counts {
    let mut environment = Environment::new(network);
    let operator = environment.database.url_of(MIGRATOR);
    operate(&operator, "", &["bootstrap", "--user", "alice", "--project", "atlas"]);
    let made = ["keys", "create", "--user", "alice", "--project", "atlas", "--rate-limit", "0"];
    let key = operate(&operator, "", &made)["key"].as_str().unwrap().to_owned();
    let addresses: Vec<String> = environment.replicas.iter().map(|replica| replica.address.clone()).collect();
    let prepared = call(&addresses[0], &key, None, "initialize_memory_bank", &json!({"path": "."}));
    assert!(matches!(prepared, Outcome::Done(_)), "{prepared:?}");
    let is_long = kills > SHORT;
    let possible =
        FAULTS.into_iter().filter(|(kind, _)| environment.clocks.is_some() || *kind != CLOCK_JUMPS);
    let (mut counts, mut deck) = (Counts::default(), Deck::new(possible, is_long));
    while counts.kills() < kills || !deck.is_empty() {
        let (round, kind) = (counts.faults(), deck.draw(random));
        let recorder = Recorder::new(&round.to_string());
        for (tool, arguments) in recorder.setup_calls() {
            let prepared = call(&addresses[0], &key, None, tool, &arguments);
            assert!(matches!(prepared, Outcome::Done(_)), "{tool}: {prepared:?}");
        }
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
        environment.round(&recorder, &outage, &addresses, &key, random, &mut counts);
        eprintln!("round {round}: {kind}, {} ms", began.elapsed().as_millis());
        let mut reader = |tool: &str, arguments| call(&addresses[0], &key, None, tool, &arguments);
        recorder.read_all(CLIENTS, &mut reader);
        let checked = recorder.check();
        counts.add(checked.unwrap_or_else(|wrong| panic!("round {round}, {outage:?}: {wrong}")));
        counts.add_fault(kind);
    }
    counts
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
                    let session = own.filter(|_| client < REPLICAS).and_then(|address| open(address, key));
                    recorder.run(client, &mut random, |tool, arguments| {
                        let address = own.unwrap_or_else(|| choices.pick(addresses));
                        let session = session.as_deref();
                        call_within(Some(PATIENCE), address, key, session, tool, &arguments)
                    });
                });
            }
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
