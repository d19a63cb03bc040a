//! Several servers on one PostgreSQL with two standbys, which answer reads, and one Redis, each behind links of its own. In each round a
//! process is killed, stopped for a while, or cut off from its database or from Redis.

use std::time::Duration;

use memory_bank_test_postgres::{DedicatedServer, Link, MIGRATOR, SERVER, StandbyServer, TestRedis};
use serde_json::json;

use super::clock::Clock;
use super::recorder::{Counts, Recorder};
use crate::harness::operator::operate;
use crate::harness::random::Random;
use crate::harness::replica::{Replica, await_health};
use crate::harness::tool_call::{Outcome, call, open};

const REPLICAS: usize = 3;
/// The number of clients, one of which changes its server with each call.
const CLIENTS: usize = REPLICAS * 2 + 1;
const STANDBYS: usize = 2;
const FAULTS: [&str; 10] = [
    "a server is killed",
    "a server is stopped for a while",
    "a server is cut off from PostgreSQL",
    "a server is cut off from Redis",
    "PostgreSQL crashes",
    "a standby crashes",
    "a standby hangs",
    "a standby does not replay",
    "Redis is killed",
    CLOCK_JUMPS,
];
const CLOCK_JUMPS: &str = "the clock of a server jumps";

struct Environment {
    database: DedicatedServer,
    standbys: Vec<StandbyServer>,
    redis: Option<TestRedis>,
    redis_port: u16,
    replicas: Vec<Replica>,
    /// To PostgreSQL and to Redis, by server.
    links: Vec<(Link, Link)>,
    /// By server.
    clocks: Option<Vec<Clock>>,
}

/// Makes this many faults.
pub(crate) fn run(faults: usize, random: &mut Random) -> Counts {
    let mut environment = Environment::new();
    let operator = environment.database.url_of(MIGRATOR);
    operate(&operator, "", &["bootstrap", "--user", "alice", "--project", "atlas"]);
    let made = ["keys", "create", "--user", "alice", "--project", "atlas", "--rate-limit", "0"];
    let key = operate(&operator, "", &made)["key"].as_str().unwrap().to_owned();
    let addresses: Vec<String> = environment.replicas.iter().map(|replica| replica.address.clone()).collect();
    let prepared = call(&addresses[0], &key, None, "initialize_memory_bank", &json!({"path": "."}));
    assert!(matches!(prepared, Outcome::Done(_)), "{prepared:?}");
    let (mut counts, mut kinds) = (Counts::default(), Vec::new());
    for round in 0..faults {
        if kinds.is_empty() {
            kinds.extend(FAULTS.iter().filter(|kind| environment.clocks.is_some() || **kind != CLOCK_JUMPS));
            random.shuffle(&mut kinds);
        }
        let kind = kinds.pop().unwrap();
        let recorder = Recorder::new(&round.to_string());
        for (tool, arguments) in recorder.setup_calls() {
            let prepared = call(&addresses[0], &key, None, tool, &arguments);
            assert!(matches!(prepared, Outcome::Done(_)), "{tool}: {prepared:?}");
        }
        eprintln!("round {round}: {kind}");
        environment.round(&recorder, kind, &addresses, &key, random);
        let mut reader = |tool: &str, arguments| call(&addresses[0], &key, None, tool, &arguments);
        recorder.read_all(CLIENTS, &mut reader);
        let checked = recorder.check();
        counts.add(checked.unwrap_or_else(|wrong| panic!("round {round}, {kind}: {wrong}")));
        *counts.by_fault.entry(kind).or_default() += 1;
    }
    counts
}

impl Environment {
    fn new() -> Self {
        let database = DedicatedServer::start();
        operate(&database.url_of(MIGRATOR), "", &["migrate"]);
        database.admit_server();
        let standbys: Vec<_> = (0..STANDBYS).map(|_| database.standby()).collect();
        // A commit waits for one of them, so that it is at a standby for a while before the primary shows it.
        database.query("ALTER SYSTEM SET synchronous_standby_names = 'ANY 1 (*)'");
        database.query("SELECT pg_reload_conf()");
        let standby_urls: Vec<String> = standbys.iter().map(|standby| standby.url_of(SERVER)).collect();
        let standby_urls = standby_urls.join(" ");
        let redis = TestRedis::start();
        let links: Vec<(Link, Link)> =
            (0..REPLICAS).map(|_| (Link::to(database.port()), Link::to(redis.port()))).collect();
        let clocks: Option<Vec<Clock>> = (0..REPLICAS).map(|_| Clock::new()).collect();
        if clocks.is_none() {
            println!("without libfaketime no clock jumps");
        }
        let start = |(number, (to_database, to_redis)): (usize, &(Link, Link))| {
            let direct = format!(":{}/", database.port());
            let url = database.url_of(SERVER).replace(&direct, &format!(":{}/", to_database.port()));
            let redis_url = format!("redis://127.0.0.1:{}", to_redis.port());
            let clock = clocks.as_ref().map(|clocks| clocks[number].variables()).unwrap_or_default();
            let mut variables = vec![
                ("DATABASE_URL", url.as_str()),
                ("DATABASE_REPLICA_URLS", &standby_urls),
                ("REDIS_URL", redis_url.as_str()),
                ("MCP_HOST", "127.0.0.1"),
                ("RATE_LIMIT_IP_PER_MINUTE", "0"),
            ];
            variables.extend(clock.iter().map(|(name, value)| (*name, value.as_str())));
            Replica::start(&variables)
        };
        let replicas = links.iter().enumerate().map(start).collect();
        Self { database, standbys, redis_port: redis.port(), redis: Some(redis), replicas, links, clocks }
    }

    fn round(
        &mut self,
        recorder: &Recorder,
        kind: &str,
        addresses: &[String],
        key: &str,
        random: &mut Random,
    ) {
        let (calls, moment) = (20 + random.below(40), Duration::from_micros(random.next() % 20_000));
        let victim = random.below(REPLICAS);
        let outage = Duration::from_millis(300 + random.next() % 1200);
        // Seconds to a day, or years; back or forth.
        let ahead = i64::try_from(random.next() % 86_400).unwrap() * *random.pick(&[1, -1, 1000, -1000]);
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
                        call(address, key, session.as_deref(), tool, &arguments)
                    });
                });
            }
            recorder.while_they_call(|| {
                recorder.await_more(calls);
                std::thread::sleep(moment);
                self.fail(kind, victim, outage, ahead);
                recorder.await_more(40);
            });
        });
        await_health(addresses);
    }

    /// Makes a fault, and ends it.
    fn fail(&mut self, kind: &str, victim: usize, outage: Duration, ahead: i64) {
        let (to_database, to_redis) = &self.links[victim];
        match kind {
            "a server is killed" => {
                self.replicas[victim].kill();
                self.replicas[victim].start_again();
            }
            "a server is stopped for a while" => {
                // It wakes with the time and the connections of long ago.
                self.replicas[victim].signal("-STOP");
                std::thread::sleep(outage);
                self.replicas[victim].signal("-CONT");
            }
            "a server is cut off from PostgreSQL" => cut(to_database, outage),
            "a server is cut off from Redis" => cut(to_redis, outage),
            "PostgreSQL crashes" => {
                self.database.crash();
                self.database.start_again();
            }
            "a standby crashes" => {
                let standby = &self.standbys[victim % STANDBYS];
                standby.crash();
                std::thread::sleep(outage);
                standby.start_again();
            }
            "a standby hangs" => {
                let standby = &self.standbys[victim % STANDBYS];
                standby.signal("STOP");
                std::thread::sleep(outage);
                standby.signal("CONT");
            }
            "a standby does not replay" => {
                let standby = &self.standbys[victim % STANDBYS];
                standby.pause_replay(true);
                std::thread::sleep(outage);
                standby.pause_replay(false);
            }
            "Redis is killed" => {
                self.redis = None;
                std::thread::sleep(outage);
                self.redis = Some(TestRedis::start_on(self.redis_port));
            }
            CLOCK_JUMPS => {
                let clock = &self.clocks.as_ref().unwrap()[victim];
                clock.set(ahead);
                std::thread::sleep(outage);
                clock.set(0);
            }
            other => panic!("an unknown fault: {other}"),
        }
    }
}

fn cut(link: &Link, outage: Duration) {
    link.cut();
    std::thread::sleep(outage);
    link.mend();
}
