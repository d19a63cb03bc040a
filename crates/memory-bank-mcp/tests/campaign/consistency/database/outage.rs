//! The faults of servers, PostgreSQL, its standbys, Redis, and of the network between them.

use std::time::{Duration, Instant};

use memory_bank_test_postgres::{Direction, SERVER, TestRedis};

use super::environment::{BEHIND_FORWARDERS, Environment, STANDBYS};
use crate::consistency::counts::Counts;
use crate::consistency::deck::Kind;
use crate::consistency::network::{Way, cut};

pub(super) const CLOCK_JUMPS: &str = "the clock of a server jumps";
pub(super) const FAULTS: [Kind; 17] = [
    ("a server is killed", 3),
    ("PostgreSQL is killed", 3),
    ("a standby is killed", 2),
    ("Redis is killed", 2),
    ("a server is stopped for a while", 1),
    ("a server is cut off from PostgreSQL", 1),
    ("a server is cut off from Redis", 1),
    ("a server is cut off from a standby", 1),
    ("a server is cut off from both standbys", 1),
    ("a server is cut off from all", 1),
    ("a standby is cut off from PostgreSQL", 1),
    ("PostgreSQL is cut off from its standbys", 1),
    ("the connections of a server to PostgreSQL are forgotten", 1),
    ("the connections of a server to Redis are forgotten", 1),
    ("a standby hangs", 1),
    ("a standby does not replay", 1),
    (CLOCK_JUMPS, 1),
];
/// How long to wait for a server to read at a standby before the way there is cut: it leaves out one that has failed, and tries it
/// again later.
const READS_AGAIN: Duration = Duration::from_secs(3);

/// A fault.
#[derive(Debug)]
pub(super) struct Outage {
    pub(super) kind: &'static str,
    /// The number of a server.
    pub(super) victim: usize,
    /// How long it lasts, where it does not end by itself.
    pub(super) time: Duration,
    /// The packets that vanish.
    pub(super) direction: Direction,
    /// How many seconds a clock jumps.
    pub(super) ahead: i64,
}

impl Outage {
    /// Makes the fault, and ends it.
    pub(super) fn happen(&self, environment: &mut Environment, counts: &mut Counts) {
        let wait = || std::thread::sleep(self.time);
        let standby = self.victim % STANDBYS;
        match self.kind {
            "a server is killed" => {
                let server = &mut environment.replicas[self.victim];
                server.kill();
                server.start_again();
            }
            "PostgreSQL is killed" => {
                environment.database.kill();
                environment.database.start_again();
            }
            "a standby is killed" => {
                environment.standbys[standby].kill();
                wait();
                environment.standbys[standby].start_again();
            }
            "Redis is killed" => {
                environment.redis = None;
                wait();
                let redis = TestRedis::start_at(&environment.redis_place, environment.redis_port, &[]);
                environment.redis = Some(redis);
            }
            "a server is stopped for a while" => {
                // It wakes with the time and the connections of long ago.
                environment.replicas[self.victim].signal("-STOP");
                wait();
                environment.replicas[self.victim].signal("-CONT");
            }
            "a standby hangs" => {
                environment.standbys[standby].signal("STOP");
                wait();
                environment.standbys[standby].signal("CONT");
            }
            "a standby does not replay" => {
                environment.standbys[standby].pause_replay(true);
                wait();
                environment.standbys[standby].pause_replay(false);
            }
            CLOCK_JUMPS => {
                let clock = &environment.clocks.as_ref().unwrap()[self.victim];
                clock.set(self.ahead);
                wait();
                clock.set(0);
            }
            _ => self.cut(environment, counts),
        }
    }

    /// Cuts ways for a while.
    fn cut(&self, environment: &Environment, counts: &mut Counts) {
        let standby = self.victim % STANDBYS;
        let of_victim = &environment.ways[self.victim];
        // A server whose ways are cut by their packets, if there are network namespaces.
        let other = &environment.ways[self.victim % BEHIND_FORWARDERS];
        let behind = &environment.ways[BEHIND_FORWARDERS];
        let ways: Vec<&Way> = match self.kind {
            "a server is cut off from PostgreSQL" => vec![&other.database],
            "a server is cut off from Redis" => vec![&other.redis],
            "a server is cut off from a standby" => vec![&of_victim.standbys[standby]],
            "a server is cut off from both standbys" => of_victim.standbys.iter().collect(),
            "a server is cut off from all" => {
                [&other.database, &other.redis].into_iter().chain(&other.standbys).collect()
            }
            "a standby is cut off from PostgreSQL" => vec![&environment.replication[standby]],
            "PostgreSQL is cut off from its standbys" => environment.replication.iter().collect(),
            "the connections of a server to PostgreSQL are forgotten" => vec![&behind.database],
            "the connections of a server to Redis are forgotten" => vec![&behind.redis],
            unknown => panic!("an unknown fault: {unknown}"),
        };
        if self.kind.contains("standby") && self.kind.starts_with("a server") {
            let server = of_victim.server.address();
            let reading = format!(
                "SELECT count(*) FROM pg_stat_activity
                 WHERE client_addr = '{server}' AND usename = '{SERVER}' AND clock_timestamp() - state_change < '200ms'"
            );
            let began = Instant::now();
            while began.elapsed() < READS_AGAIN {
                if environment.standbys[standby].query(&reading) != "0" {
                    counts.note("cuts of a server from a standby at which it was reading");
                    break;
                }
            }
        }
        if ways.iter().any(|way| way.is_of_packets()) {
            counts.note(match self.direction {
                Direction::Both => "cuts in both directions",
                Direction::There => "cuts of sent packets",
                Direction::Back => "cuts of received packets",
            });
        }
        cut(&ways, self.direction, self.time);
    }
}
