//! Several replicas of the server on one database and one Redis, as test helpers.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, Command, Stdio};

use memory_bank_test_postgres::{TestDatabase, TestRedis};
use serde_json::json;

use crate::client::{Server, until};
use crate::database::{key_of, operate};

/// Shared by the replicas: a database with a project, and a Redis that a test can kill and restart.
pub(crate) struct ReplicaSet {
    pub(crate) database: TestDatabase,
    pub(crate) redis: Option<TestRedis>,
    redis_port: u16,
    /// A key of the project's owner that is not slowed down.
    pub(crate) key: String,
}

impl ReplicaSet {
    pub(crate) fn new() -> Self {
        let database = TestDatabase::migrated();
        let redis = TestRedis::start();
        operate(&database, &["bootstrap", "--user", "alice", "--project", "atlas"]).unwrap();
        let key = key(&database);
        Self { database, redis_port: redis.port(), redis: Some(redis), key }
    }

    /// One more replica.
    pub(crate) fn replica(&self) -> Server {
        self.replica_with(&[])
    }

    pub(crate) fn replica_with(&self, more: &[(&str, &str)]) -> Server {
        let redis = format!("redis://127.0.0.1:{}", self.redis_port);
        replica(&self.database.url(), &redis, &self.key, more)
    }

    pub(crate) fn stop_redis(&mut self) {
        self.redis = None;
    }

    pub(crate) fn start_redis(&mut self) {
        self.redis = Some(TestRedis::start_on(self.redis_port));
    }

    /// Sends a signal to Redis.
    pub(crate) fn signal_redis(&self, signal: &str) {
        crate::client::signal(self.redis.as_ref().unwrap().process(), signal);
    }

    /// Locks the documents, so that writes wait until this is dropped.
    pub(crate) fn hold_documents(&self) -> Held {
        Held::take(&self.database, "LOCK TABLE public.documents IN ACCESS EXCLUSIVE MODE")
    }
}

/// A key of alice's that is not slowed down.
pub(crate) fn key(database: &TestDatabase) -> String {
    let arguments = ["keys", "create", "--user", "alice", "--project", "atlas", "--rate-limit", "1000000"];
    key_of(&operate(database, &arguments).unwrap())
}

/// One replica.
pub(crate) fn replica(database: &str, redis: &str, key: &str, more: &[(&str, &str)]) -> Server {
    let mut variables = vec![
        ("DATABASE_URL", database),
        ("REDIS_URL", redis),
        ("MCP_HOST", "127.0.0.1"),
        ("RATE_LIMIT_IP_PER_MINUTE", "0"),
    ];
    variables.extend(more);
    let mut server = Server::start(&variables);
    key.clone_into(&mut server.key);
    server
}

/// The reply of `/health`.
pub(crate) fn health(server: &Server) -> serde_json::Value {
    server.send_bare("GET", "/health", &[], "").json()
}

/// Whether all is well with a replica.
pub(crate) fn is_healthy(server: &Server) -> bool {
    health(server)["status"] == json!("ok")
}

/// A foreign transaction that holds a lock until it is dropped.
pub(crate) struct Held {
    process: Child,
    input: Option<ChildStdin>,
}

impl Held {
    pub(crate) fn take(database: &TestDatabase, lock: &str) -> Self {
        let port = database.port().to_string();
        let mut process = Command::new("psql")
            .args(["-h", "127.0.0.1", "-p", &port, "-U", "postgres", "-d", database.name()])
            .args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("psql");
        let mut input = process.stdin.take().unwrap();
        writeln!(input, "BEGIN; {lock};\n\\echo held").unwrap();
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
        assert!(lines.any(|line| line.is_ok_and(|line| line == "held")), "the lock was not given");
        Self { process, input: Some(input) }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        // At the end of its input psql exits, which ends the transaction.
        drop(self.input.take());
        let _ = self.process.wait();
    }
}

/// Waits until at least this many statements wait for a lock: work in the background of a server may wait for it, too.
pub(crate) fn await_waiting(database: &TestDatabase, number: usize) {
    let waiting = "SELECT count(*) FROM pg_stat_activity \
        WHERE datname = current_database() AND wait_event_type = 'Lock'";
    until("a statement that waits", || database.psql(waiting).parse::<usize>().unwrap() >= number);
}
