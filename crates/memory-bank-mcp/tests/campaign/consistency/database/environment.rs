//! Servers, PostgreSQL, standbys and Redis, and the ways between them.

use std::net::SocketAddrV4;

use memory_bank_test_postgres::{
    DedicatedServer, MIGRATOR, Place, SERVER, StandbyServer, TestRedis, free_port,
};

use crate::consistency::clock::Clock;
use crate::consistency::network::{Network, TO_POSTGRESQL, TO_REDIS, Way};
use crate::harness::LIMIT;
use crate::harness::operator::operate;
use crate::harness::replica::Replica;

pub(super) const REPLICAS: usize = 3;
pub(super) const STANDBYS: usize = 2;
/// The server whose ways to PostgreSQL and to Redis are forwarders in any network.
pub(super) const BEHIND_FORWARDERS: usize = REPLICAS - 1;

/// All that runs. The network is last: programs are ended where they are.
pub(super) struct Environment {
    pub(super) replicas: Vec<Replica>,
    pub(super) standbys: Vec<StandbyServer>,
    pub(super) database: DedicatedServer,
    /// `None` = killed.
    pub(super) redis: Option<TestRedis>,
    pub(super) redis_place: Place,
    pub(super) redis_port: u16,
    /// By server.
    pub(super) ways: Vec<Ways>,
    /// By standby: to PostgreSQL.
    pub(super) replication: Vec<Way>,
    /// By server.
    pub(super) clocks: Option<Vec<Clock>>,
    _network: Network,
}

/// The ways from a server.
pub(super) struct Ways {
    pub(super) server: Place,
    pub(super) database: Way,
    pub(super) redis: Way,
    pub(super) standbys: Vec<Way>,
}

impl Environment {
    pub(super) fn new(mut network: Network) -> Self {
        let primary = network.place();
        let database = DedicatedServer::start_at(&primary);
        operate(&database.url_of(MIGRATOR), "", &["migrate"]);
        database.admit_server();
        // Both ends of a replication that a forwarder has forgotten must notice it soon. The standbys copy these settings.
        for end in ["receiver", "sender"] {
            database.query(&format!("ALTER SYSTEM SET wal_{end}_timeout = '2s'"));
        }
        let (mut standbys, mut replication, mut standby_places) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..STANDBYS {
            let place = network.place();
            let way = network.way(&place, &primary, database.port(), TO_POSTGRESQL);
            standbys.push(database.standby_at(&place, way.address()));
            replication.push(way);
            standby_places.push(place);
        }
        // A commit waits for one of them, so that it is at a standby for a while before the primary shows it.
        database.query("ALTER SYSTEM SET synchronous_standby_names = 'ANY 1 (*)'");
        database.query("SELECT pg_reload_conf()");
        let (redis_place, redis_port) = (network.place(), free_port());
        let redis = TestRedis::start_at(&redis_place, redis_port, &[]);
        let ways_from = |number: usize| {
            let server = network.place();
            let way = |to: &Place, port, hello| match number {
                BEHIND_FORWARDERS => Way::forwarder(&server, SocketAddrV4::new(to.address(), port), hello),
                _ => network.way(&server, to, port, hello),
            };
            let to_standby = |(standby, place): (&StandbyServer, &Place)| {
                network.way(&server, place, standby.port(), TO_POSTGRESQL)
            };
            Ways {
                database: way(&primary, database.port(), TO_POSTGRESQL),
                redis: way(&redis_place, redis_port, TO_REDIS),
                standbys: standbys.iter().zip(&standby_places).map(to_standby).collect(),
                server: server.clone(),
            }
        };
        let ways: Vec<Ways> = (0..REPLICAS).map(ways_from).collect();
        let clocks = Clock::several(REPLICAS);
        let start = |(number, ways): (usize, &Ways)| {
            let to_standbys = standbys.iter().zip(&ways.standbys);
            let standby_urls: Vec<String> =
                to_standbys.map(|(standby, way)| standby.url_through(SERVER, way.address())).collect();
            let clock = clocks.as_ref().map(|clocks| clocks[number].variables()).unwrap_or_default();
            let mut variables = vec![
                ("DATABASE_URL", database.url_through(SERVER, ways.database.address())),
                ("DATABASE_REPLICA_URLS", standby_urls.join(" ")),
                ("REDIS_URL", format!("redis://{}", ways.redis.address())),
                ("MCP_HOST", ways.server.address().to_string()),
                ("RATE_LIMIT_IP_PER_MINUTE", LIMIT.to_owned()),
            ];
            variables.extend(clock);
            let variables: Vec<_> = variables.iter().map(|(name, value)| (*name, value.as_str())).collect();
            Replica::start_at(&ways.server, &variables)
        };
        let replicas = ways.iter().enumerate().map(start).collect();
        let redis = Some(redis);
        Self {
            replicas,
            standbys,
            database,
            redis,
            redis_place,
            redis_port,
            ways,
            replication,
            clocks,
            _network: network,
        }
    }
}
