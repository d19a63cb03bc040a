//! Several HTTP servers on one PostgreSQL and one Redis; each round one of these processes is killed.

use std::collections::BTreeMap;
use std::process::Command;
use std::time::Duration;

use memory_bank_test_postgres::{DedicatedServer, MIGRATOR, SERVER, TestRedis};

use super::acknowledged_writes::{Contents, Counts, setup_calls};
use super::writers::Writers;
use crate::harness::LIMIT;
use crate::harness::operator::operate;
use crate::harness::random::Random;
use crate::harness::replica::{Replica, await_health};
use crate::harness::tool_call::{Outcome, call, open};

const REPLICAS: usize = 3;
/// The number of writers on each server.
const WRITERS: usize = 2;
/// The number of kills after which a new project is used, so that none becomes slow.
const KILLS_A_BANK: usize = 20;

/// The number of kills of each kind.
pub(crate) type ByKind = BTreeMap<&'static str, usize>;

struct Environment {
    database: DedicatedServer,
    redis: Option<TestRedis>,
    redis_port: u16,
    replicas: Vec<Replica>,
}

/// Kills this often.
pub(crate) fn run(kills: usize, random: &mut Random) -> (Counts, ByKind) {
    let mut environment = Environment::new();
    let (mut counts, mut by_kind, mut left) = (Counts::default(), ByKind::new(), kills);
    while left > 0 {
        let these = left.min(KILLS_A_BANK);
        counts += environment.bank(&format!("bank-{left}"), these, random, &mut by_kind);
        left -= these;
    }
    (counts, by_kind)
}

impl Environment {
    fn new() -> Self {
        let database = DedicatedServer::start();
        operate(&database.url_of(MIGRATOR), "", &["migrate"]);
        database.admit_server();
        let redis = TestRedis::start();
        let (url, redis_url) = (database.url_of(SERVER), redis.url());
        let variables = |json| {
            [
                ("DATABASE_URL", url.as_str()),
                ("REDIS_URL", redis_url.as_str()),
                ("MCP_HOST", "127.0.0.1"),
                ("MCP_JSON_RESPONSE", json),
                ("RATE_LIMIT_IP_PER_MINUTE", LIMIT),
            ]
        };
        let replicas = ["false", "true", "false"].map(|json| Replica::start(&variables(json)));
        const { assert!(REPLICAS == 3, "one reply mode for each") };
        Self { database, redis_port: redis.port(), redis: Some(redis), replicas: replicas.into() }
    }

    fn bank(&mut self, slug: &str, kills: usize, random: &mut Random, by_kind: &mut ByKind) -> Counts {
        let operator = self.database.url_of(MIGRATOR);
        operate(&operator, "", &["bootstrap", "--user", "alice", "--project", slug]);
        let made = ["keys", "create", "--user", "alice", "--project", slug, "--rate-limit", LIMIT];
        let key = operate(&operator, "", &made)["key"].as_str().unwrap().to_owned();
        let addresses: Vec<String> = self.replicas.iter().map(|replica| replica.address.clone()).collect();
        for (tool, arguments) in setup_calls() {
            let done = call(&addresses[0], &key, None, tool, &arguments);
            assert!(matches!(done, Outcome::Done(_)), "{tool}: {done:?}");
        }
        let writers = Writers::default();
        let (mut counts, mut kinds) = (Counts::default(), Vec::new());
        for kill in 0..kills {
            let (writes, moment) = (random.below(20), Duration::from_micros(random.next() % 20_000));
            if kinds.is_empty() {
                kinds.extend(["a server", "PostgreSQL", "a backend of PostgreSQL", "Redis"]);
                random.shuffle(&mut kinds);
            }
            let what = kinds.pop().unwrap();
            let victim = random.below(REPLICAS);
            writers.begin();
            std::thread::scope(|scope| {
                for writer in 0..REPLICAS * WRITERS {
                    let (writers, mut random) = (&writers, Random::new(random.next()));
                    let (address, key) = (&addresses[writer % REPLICAS], &key);
                    scope.spawn(move || {
                        // One writer of each server uses a session, the other none.
                        let session = (writer < REPLICAS).then(|| open(address, key));
                        let session = session.unwrap_or(Ok(None)).unwrap_or_else(|reply| {
                            writers.note_limited(reply);
                            None
                        });
                        writers.write(&mut random, |tool, arguments| {
                            call(address, key, session.as_deref(), tool, &arguments)
                        });
                    });
                }
                writers.while_they_write(|| {
                    writers.await_more(writes);
                    std::thread::sleep(moment);
                    self.kill(what, victim);
                    writers.await_more(6);
                });
            });
            await_health(&addresses);
            assert_eq!(
                writers.limited(),
                None,
                "kill {kill} in {slug}, of {what}: a limiter refused a request"
            );
            *by_kind.entry(what).or_default() += 1;
            counts = writers
                .ledger
                .lock()
                .unwrap()
                .check(&self.contents(slug))
                .unwrap_or_else(|wrong| panic!("after kill {kill} in {slug}, of {what}: {wrong}"));
        }
        counts
    }

    /// Kills a process and starts it again, unless it restarts by itself.
    fn kill(&mut self, what: &str, victim: usize) {
        match what {
            "a server" => {
                self.replicas[victim].kill();
                self.replicas[victim].start_again();
            }
            "PostgreSQL" => {
                self.database.crash();
                self.database.start_again();
            }
            "a backend of PostgreSQL" => {
                // PostgreSQL then ends all other backends and recovers from its log.
                let busy = format!(
                    "SELECT pid FROM pg_stat_activity WHERE usename = '{SERVER}' ORDER BY state, random() LIMIT 1"
                );
                let process = self.database.query(&busy);
                if !process.is_empty() {
                    let _sent = Command::new("kill").args(["-9", &process]).status().unwrap();
                }
            }
            _ => {
                self.redis = None;
                self.redis = Some(TestRedis::start_on(self.redis_port));
            }
        }
    }

    /// The contents of the project in the database.
    fn contents(&self, slug: &str) -> Contents {
        let documents = self.database.query(&format!(
            "SELECT jsonb_object_agg(d.path, d.content) FROM documents d JOIN projects p ON p.id = d.project_id WHERE p.slug = '{slug}'"
        ));
        let facts = self.database.query(&format!(
            "SELECT jsonb_agg(coalesce(o.bounds::jsonb, '{{}}') || jsonb_build_object('id', o.id, 'text', o.content, 'entity', e.name,
               'entityType', e.entity_type))
             FROM graph_observations o JOIN projects p ON p.id = o.project_id
             JOIN graph_entities e ON e.project_id = o.project_id AND e.id = o.entity_id WHERE p.slug = '{slug}'"
        ));
        Contents {
            documents: serde_json::from_str(&documents)
                .unwrap_or_else(|error| panic!("{error}: {documents}")),
            facts: serde_json::from_str(&facts).unwrap_or_else(|error| panic!("{error}: {facts}")),
        }
    }
}
