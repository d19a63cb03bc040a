//! Several Redis: a primary that Sentinels name, and a cluster. Limits, ended sessions and messages are shared by all servers, also
//! after a primary has died.

use std::net::TcpListener;
use std::process::{Child, Command, Stdio};

use memory_bank_test_postgres::{TestDatabase, TestRedis};
use serde_json::json;
use tempfile::TempDir;

use crate::client::{Server, call, signal, until};
use crate::database::{key_of, operate};
use crate::replica_set::{is_healthy, key, replica};

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// Accepts connections and never answers, as a machine does that hangs.
struct Silent(TcpListener);

impl Silent {
    fn start() -> Self {
        Self(TcpListener::bind("127.0.0.1:0").unwrap())
    }

    fn port(&self) -> u16 {
        self.0.local_addr().unwrap().port()
    }
}

pub(crate) fn cli(port: u16, arguments: &[&str]) -> String {
    let output = Command::new("redis-cli").args(["-p", &port.to_string()]).args(arguments).output().unwrap();
    String::from_utf8(output.stdout).unwrap()
}

/// A Sentinel; ends with the test.
struct Sentinel {
    process: Child,
    _home: TempDir,
}

impl Sentinel {
    /// Watches the primary at this port under the name `bank`.
    fn start(port: u16, primary: u16) -> Self {
        let home = TempDir::new().unwrap();
        let file = home.path().join("sentinel.conf");
        std::fs::write(
            &file,
            format!(
                "port {port}\nbind 127.0.0.1\nsentinel monitor bank 127.0.0.1 {primary} 1\n\
                 sentinel down-after-milliseconds bank 500\nsentinel failover-timeout bank 3000\n"
            ),
        )
        .unwrap();
        let process = Command::new("redis-server")
            .arg(&file)
            .arg("--sentinel")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let sentinel = Self { process, _home: home };
        until("the Sentinel", || cli(port, &["PING"]).contains("PONG"));
        sentinel
    }
}

impl Drop for Sentinel {
    fn drop(&mut self) {
        let _ended = self.process.kill();
        let _ended = self.process.wait();
    }
}

/// A cluster without replicas; ends with the test.
pub(crate) struct Cluster {
    pub(crate) ports: Vec<u16>,
    _nodes: Vec<TestRedis>,
    _homes: Vec<TempDir>,
}

impl Cluster {
    /// Starts this many nodes; of four, the last one has no slots.
    pub(crate) fn start(count: usize) -> Self {
        let homes: Vec<TempDir> = (0..count).map(|_| TempDir::new().unwrap()).collect();
        let ports: Vec<u16> = (0..count).map(|_| free_port()).collect();
        let nodes = homes.iter().zip(&ports).map(|(home, port)| {
            let (home, bus) = (home.path().to_str().unwrap(), free_port().to_string());
            TestRedis::start_with(*port, &["--cluster-enabled", "yes", "--dir", home, "--cluster-port", &bus])
        });
        let cluster = Self { _nodes: nodes.collect(), ports, _homes: homes };
        let addresses: Vec<String> = cluster.ports.iter().map(|port| format!("127.0.0.1:{port}")).collect();
        let with_slots = addresses.iter().take(3).map(String::as_str);
        let create: Vec<&str> =
            ["--cluster", "create"].into_iter().chain(with_slots).chain(["--cluster-yes"]).collect();
        cli(cluster.ports[0], &create);
        until("the cluster", || cluster.is_whole(3));
        for added in addresses.iter().skip(3) {
            cli(cluster.ports[0], &["--cluster", "add-node", added, &addresses[0]]);
        }
        until("all nodes of the cluster", || cluster.is_whole(count));
        cluster
    }

    fn is_whole(&self, count: usize) -> bool {
        let known = format!("cluster_known_nodes:{count}");
        self.ports.iter().take(count).all(|port| {
            let info = cli(*port, &["CLUSTER", "INFO"]);
            info.contains("cluster_state:ok") && info.contains(&known)
        })
    }
}

fn project() -> (TestDatabase, String) {
    let database = TestDatabase::migrated();
    operate(&database, &["bootstrap", "--user", "alice", "--project", "atlas"]).unwrap();
    let key = key(&database);
    (database, key)
}

/// A key of alice's with this limit a minute.
fn limited(database: &TestDatabase, limit: &str) -> String {
    let arguments = ["keys", "create", "--user", "alice", "--project", "atlas", "--rate-limit", limit];
    key_of(&operate(database, &arguments).unwrap())
}

fn list(server: &Server, key: &str) -> u16 {
    server.send_bare("GET", "/api/v1/documents", &[("X-API-Key", key)], "").status
}

fn status(server: &Server, session: &str) -> u16 {
    server.post(Some(session), &call(2, "list_memory_bank_files", &json!({}))).status
}

/// A session that ends at one server ends at the other one, with its stream: so messages and cached sessions are shared.
fn ends_at_both(first: &Server, second: &Server) {
    let session = first.initialize();
    assert_eq!(status(second, &session), 200);
    let mut stream = second.listen(&session, None);
    assert_eq!(first.send("DELETE", "/mcp", &[("Mcp-Session-Id", &session)], "").status, 204);
    stream.await_end();
    assert_eq!(status(second, &session), 404);
}

/// A primary with a replica, and a Sentinel that watches them.
struct Watched {
    primary: Option<TestRedis>,
    replica: TestRedis,
    sentinel: u16,
    _process: Sentinel,
    _silent: Silent,
    /// The connection string.
    url: String,
}

impl Watched {
    fn start() -> Self {
        let (one, sentinel) = (free_port(), free_port());
        let primary = TestRedis::start_on(one);
        let replica = TestRedis::start_with(free_port(), &["--replicaof", &format!("127.0.0.1 {one}")]);
        until("the replica", || cli(one, &["INFO", "replication"]).contains("state=online"));
        let process = Sentinel::start(sentinel, one);
        until("the Sentinel's knowledge of the replica", || {
            cli(sentinel, &["SENTINEL", "replicas", "bank"]).contains(&replica.port().to_string())
        });
        // The first ones of the list hang and are gone.
        let silent = Silent::start();
        let url = format!(
            "redis+sentinel://127.0.0.1:{},127.0.0.1:{},127.0.0.1:{sentinel}/bank",
            silent.port(),
            free_port()
        );
        Self { primary: Some(primary), replica, sentinel, _process: process, _silent: silent, url }
    }

    /// From now on the replica gets nothing.
    fn cut(&self) {
        signal(self.replica.process(), "-STOP");
        let primary = self.primary.as_ref().unwrap().port();
        cli(primary, &["CLIENT", "KILL", "TYPE", "replica"]);
    }

    /// The primary dies, and the replica is the next one.
    fn fail_over(&mut self) {
        self.primary.take();
        signal(self.replica.process(), "-CONT");
        until("another primary", || {
            let primary = cli(self.sentinel, &["SENTINEL", "get-master-addr-by-name", "bank"]);
            primary.contains(&self.replica.port().to_string())
        });
    }

    /// The name of the entry of a session at the replica.
    fn entry_of(&self, session: &str) -> Option<String> {
        let names = cli(self.replica.port(), &["KEYS", &format!("*:session:*{session}")]);
        names.lines().next().filter(|name| !name.is_empty()).map(str::to_owned)
    }
}

#[test]
fn the_primary_that_sentinels_name_is_followed() {
    let (database, key) = project();
    let mut redis = Watched::start();
    let servers =
        [replica(&database.url(), &redis.url, &key, &[]), replica(&database.url(), &redis.url, &key, &[])];
    until("healthy servers", || servers.iter().all(is_healthy));
    ends_at_both(&servers[0], &servers[1]);
    let few = limited(&database, "4");
    let before: Vec<u16> = (0..3).map(|at| list(&servers[at % 2], &few)).collect();
    assert_eq!(before, [200, 200, 200]);
    // Its windows are at the replica before the primary dies.
    cli(redis.primary.as_ref().unwrap().port(), &["WAIT", "1", "1000"]);
    redis.fail_over();
    until("servers that follow it", || servers.iter().all(is_healthy));
    let after: Vec<u16> = (0..2).map(|at| list(&servers[at % 2], &few)).collect();
    assert_eq!(after, [200, 429], "both count in the window that the replica had");
    ends_at_both(&servers[1], &servers[0]);
}

#[test]
fn an_end_of_a_session_that_a_fail_over_has_lost_holds_after_it() {
    let (database, key) = project();
    let mut redis = Watched::start();
    let servers =
        [replica(&database.url(), &redis.url, &key, &[]), replica(&database.url(), &redis.url, &key, &[])];
    until("healthy servers", || servers.iter().all(is_healthy));
    let ended = servers[0].initialize();
    assert_eq!((status(&servers[0], &ended), status(&servers[1], &ended)), (200, 200));
    cli(redis.primary.as_ref().unwrap().port(), &["WAIT", "1", "1000"]);
    redis.cut();
    assert_eq!(servers[0].send("DELETE", "/mcp", &[("Mcp-Session-Id", &ended)], "").status, 204);
    // The server that ended it learns of the fail-over later than the other one.
    signal(servers[0].process.id(), "-STOP");
    redis.fail_over();
    let former = redis.entry_of(&ended).expect("the session that ended is not at the new primary");
    let fresh = servers[1].initialize();
    until("a session that is cached at the new primary", || {
        assert_eq!(status(&servers[1], &fresh), 200);
        redis.entry_of(&fresh).is_some()
    });
    assert_eq!(status(&servers[1], &ended), 404, "nobody reads the entry of before the fail-over");
    // As if the other server had read the session from the database before it ended, and cached it only now.
    let now = redis.entry_of(&fresh).unwrap().replace(&fresh, &ended);
    assert_eq!(cli(redis.replica.port(), &["COPY", &former, &now]).trim(), "1", "{former} {now}");
    assert_eq!(status(&servers[1], &ended), 200, "the cached one is read");
    signal(servers[0].process.id(), "-CONT");
    until("the end of the session at both", || servers.iter().all(|server| status(server, &ended) == 404));
}

#[test]
fn a_cluster_shares_limits_sessions_and_messages_also_without_a_node_that_the_url_names() {
    let (database, key) = project();
    let Cluster { ports, .. } = &Cluster::start(3);
    let nodes: Vec<String> = ports.iter().map(|port| format!("127.0.0.1:{port}")).collect();
    // Of the nodes that the URL names, one hangs and one is gone.
    let silent = Silent::start();
    let url = format!(
        "redis+cluster://127.0.0.1:{},127.0.0.1:{},{},{}",
        silent.port(),
        free_port(),
        nodes[1],
        nodes[2]
    );
    let limits = [("RATE_LIMIT_IP_WITH_KEY_PER_MINUTE", "1000"), ("RATE_LIMIT_IP_PER_MINUTE", "1000")];
    let servers =
        [replica(&database.url(), &url, &key, &limits), replica(&database.url(), &url, &key, &limits)];
    until("healthy servers", || servers.iter().all(is_healthy));
    ends_at_both(&servers[0], &servers[1]);
    let counted = || -> usize {
        let of = |port: &u16| {
            let window = cli(*port, &["KEYS", "*ratelimit:ip-with-key*"]);
            let window = window.trim();
            if window.is_empty() { 0 } else { cli(*port, &["ZCARD", window]).trim().parse().unwrap() }
        };
        ports.iter().map(of).sum()
    };
    assert!(counted() > 0, "the address has a window");
    // Every key has a window on some node; a refused request counts in neither of its two windows. A node that takes longer than
    // 50 ms counts nothing, so that a busy machine may need another round; a rule that does not hold fails each of them.
    until("a round in which each admitted request counts once, and no other", || {
        let before = counted();
        let holds = [2, 3, 4].into_iter().all(|limit| {
            let few = limited(&database, &limit.to_string());
            let replies: Vec<u16> = (0..limit + 2).map(|at| list(&servers[at % 2], &few)).collect();
            let (admitted, refused) = replies.split_at(limit);
            admitted.iter().all(|status| *status == 200) && refused.iter().all(|status| *status == 429)
        });
        holds && counted() - before == 9
    });
}

#[test]
fn a_node_that_the_others_have_forgotten_is_left() {
    let (database, key) = project();
    let cluster = Cluster::start(4);
    let (first, empty) = (cluster.ports[0], cluster.ports[3]);
    let url = format!("redis+cluster://127.0.0.1:{empty},127.0.0.1:{first}");
    let servers = [replica(&database.url(), &url, &key, &[]), replica(&database.url(), &url, &key, &[])];
    until("healthy servers", || servers.iter().all(is_healthy));
    let listeners = |port| cli(port, &["CLIENT", "LIST", "TYPE", "pubsub"]).lines().count();
    // They listen at the node that answers first, and connect again when they are disconnected.
    until("listeners at the node without slots", || {
        if listeners(empty) == 0 {
            cli(first, &["CLIENT", "KILL", "TYPE", "pubsub"]);
        }
        // An attempt that another one has overtaken is there for a moment, too.
        std::thread::sleep(std::time::Duration::from_millis(500));
        listeners(empty) > 0
    });
    let id = cli(empty, &["CLUSTER", "MYID"]);
    for port in &cluster.ports[..3] {
        cli(*port, &["CLUSTER", "FORGET", id.trim()]);
    }
    // Whatever the node says itself, it gets no messages any more.
    until("listeners at the other node", || listeners(empty) == 0 && listeners(first) == servers.len());
    ends_at_both(&servers[0], &servers[1]);
}
