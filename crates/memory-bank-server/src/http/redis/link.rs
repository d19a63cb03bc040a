//! The connection to Redis: every command has a short deadline, and a circuit breaker opens after repeated failures.

use parking_lot::Mutex;
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use redis::aio::{ConnectionManager, ConnectionManagerConfig};
use redis::{Client, Cmd, FromRedisValue, RedisResult};
use tokio::sync::Notify;

use tracing::Instrument;

use crate::http::probe::{Health, Probe};

/// Time-out of one command.
const COMMAND_TIMEOUT: Duration = Duration::from_millis(50);
/// Failures in a row after which the breaker opens.
const FAILURES_TO_OPEN: u32 = 3;
/// For how long the breaker stays open; then one command decides.
const BREAKER_OPEN_FOR: Duration = Duration::from_secs(1);
/// Time-out of a connection attempt. It runs in the background; commands do not wait for it.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// A connection that has had this long to open, and still does not answer when the breaker opens, is replaced: it may have been
/// cut off without a message, and would be silent for many minutes, until the system gives it up.
const REPLACEMENT_AGE: Duration = Duration::from_secs(3);

/// How many keys may be queued for deletion. Further keys are left to expire.
const MAX_QUEUED_DELETES: usize = 10_000;
/// How many of them one command deletes.
const DELETES_PER_COMMAND: usize = 500;

/// Redis cannot be used as configured.
#[derive(Debug, thiserror::Error)]
#[error(
    "`REDIS_URL` cannot be used (its value is not shown); it takes redis://host:port or rediss://host:port"
)]
pub struct RedisError;

/// Use of Redis since the start, and the state of the breaker.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct RedisState {
    /// Whether the breaker is open.
    pub(crate) is_open: bool,
    /// Commands that succeeded.
    pub(crate) ok: u64,
    /// Commands that failed or timed out.
    pub(crate) failed: u64,
    /// Commands that were skipped.
    pub(crate) skipped: u64,
}

pub(crate) struct Link {
    pub(super) client: Client,
    connection: Mutex<Connection>,
    prefix: String,
    failures: AtomicU32,
    answered: AtomicU64,
    failed: AtomicU64,
    skipped: AtomicU64,
    started: Instant,
    /// Milliseconds after `started` until which the breaker is open.
    open_until: AtomicU64,
    /// Keys that must be evicted and could not be deleted yet.
    queued_deletes: Mutex<BTreeSet<String>>,
    queued: Notify,
}

struct Connection {
    manager: ConnectionManager,
    made_at: Instant,
}

impl Connection {
    /// A connection that opens with its first command.
    fn new(client: &Client) -> RedisResult<Self> {
        let config = ConnectionManagerConfig::new()
            .set_number_of_retries(1)
            .set_min_delay(Duration::from_millis(10))
            .set_max_delay(Duration::from_millis(500))
            .set_connection_timeout(Some(CONNECT_TIMEOUT))
            .set_response_timeout(Some(COMMAND_TIMEOUT));
        let manager = ConnectionManager::new_lazy_with_config(client.clone(), config)?;
        Ok(Self { manager, made_at: Instant::now() })
    }
}

impl Link {
    pub(super) fn new(url: &str, prefix: &str) -> Result<Self, RedisError> {
        let client = Client::open(url).map_err(|_| RedisError)?;
        let connection = Mutex::new(Connection::new(&client).map_err(|_| RedisError)?);
        Ok(Self {
            client,
            connection,
            prefix: prefix.to_owned(),
            failures: AtomicU32::new(0),
            answered: AtomicU64::new(0),
            failed: AtomicU64::new(0),
            skipped: AtomicU64::new(0),
            started: Instant::now(),
            open_until: AtomicU64::new(0),
            queued_deletes: Mutex::default(),
            queued: Notify::new(),
        })
    }

    /// Use of Redis, and the state of the breaker.
    pub(super) fn state(&self) -> RedisState {
        let now = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX);
        RedisState {
            is_open: now < self.open_until.load(Ordering::Relaxed),
            ok: self.answered.load(Ordering::Relaxed),
            failed: self.failed.load(Ordering::Relaxed),
            skipped: self.skipped.load(Ordering::Relaxed),
        }
    }

    /// The key `{prefix}:{namespace}:{id}`.
    pub(super) fn key(&self, namespace: &str, id: impl std::fmt::Display) -> String {
        format!("{}:{namespace}:{id}", self.prefix)
    }

    /// Sends one command.
    pub(super) async fn send<T: FromRedisValue>(&self, command: &Cmd) -> Option<T> {
        self.with(async |manager| command.query_async(manager).await).await
    }

    /// Deletes a key: now, or as soon as Redis answers.
    pub(super) async fn delete(&self, key: String) {
        if self.send::<()>(redis::cmd("DEL").arg(&key)).await.is_none() {
            self.queue_delete(key);
        }
    }

    /// Stores a value for some seconds. If that fails, the existing value is deleted as soon as Redis answers.
    pub(super) async fn replace(&self, key: String, value: Vec<u8>, seconds: i64) {
        if self.send::<()>(redis::cmd("SET").arg(&key).arg(value).arg("EX").arg(seconds)).await.is_none() {
            self.queue_delete(key);
        }
    }

    fn queue_delete(&self, key: String) {
        let mut queued_deletes = self.queued_deletes.lock();
        if queued_deletes.len() < MAX_QUEUED_DELETES {
            queued_deletes.insert(key);
        } else {
            tracing::warn!("too many keys wait to be deleted from Redis; this one will expire there");
        }
        drop(queued_deletes);
        self.queue_missed_notice();
    }

    /// Whether this key waits to be deleted.
    pub(super) fn is_queued_for_deletion(&self, key: &str) -> bool {
        self.queued_deletes.lock().contains(key)
    }

    /// Notes that a message did not reach the other servers.
    pub(super) fn queue_missed_notice(&self) {
        self.queued.notify_one();
    }

    /// Returns when a deletion or a publication has failed.
    pub(super) async fn wait_for_queued(&self) {
        self.queued.notified().await;
    }

    /// Deletes the queued keys; false if that still fails.
    pub(super) async fn flush_deletes(&self) -> bool {
        loop {
            let some: Vec<String> = {
                let queued_deletes = self.queued_deletes.lock();
                queued_deletes.iter().take(DELETES_PER_COMMAND).cloned().collect()
            };
            if some.is_empty() {
                return true;
            }
            if self.send::<i64>(redis::cmd("DEL").arg(&some)).await.is_none() {
                return false;
            }
            let mut queued_deletes = self.queued_deletes.lock();
            for key in &some {
                queued_deletes.remove(key);
            }
        }
    }

    /// Uses the connection, unless the breaker is open; `None` if it is, or if the use failed.
    pub(super) async fn with<T>(
        &self,
        work: impl AsyncFnOnce(&mut ConnectionManager) -> RedisResult<T>,
    ) -> Option<T> {
        let now = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX);
        let until = self.open_until.load(Ordering::Relaxed);
        if now < until {
            self.skipped.fetch_add(1, Ordering::Relaxed);
            return None;
        }
        if until > 0 {
            // One command tries; if it fails, the others were spared.
            let next = now + u64::try_from(BREAKER_OPEN_FOR.as_millis()).unwrap_or(1000);
            let first =
                self.open_until.compare_exchange(until, next, Ordering::Relaxed, Ordering::Relaxed).is_ok();
            if !first {
                self.skipped.fetch_add(1, Ordering::Relaxed);
                return None;
            }
        }
        let mut manager = self.connection.lock().manager.clone();
        let span = tracing::debug_span!("redis", otel.kind = "client", db.system.name = "redis");
        let outcome = tokio::time::timeout(COMMAND_TIMEOUT, work(&mut manager)).instrument(span).await;
        match outcome {
            Ok(Ok(value)) => {
                self.answered.fetch_add(1, Ordering::Relaxed);
                if self.failures.swap(0, Ordering::Relaxed) >= FAILURES_TO_OPEN {
                    tracing::info!("Redis answers again");
                }
                self.open_until.store(0, Ordering::Relaxed);
                Some(value)
            }
            Ok(Err(error)) => {
                // Log the kind only: the text may contain an address.
                self.failed(&format!("{:?}", error.kind()));
                None
            }
            Err(_) => {
                self.failed("no answer in time");
                None
            }
        }
    }

    fn failed(&self, why: &str) {
        self.failed.fetch_add(1, Ordering::Relaxed);
        let failures = self.failures.fetch_add(1, Ordering::Relaxed).saturating_add(1);
        if failures < FAILURES_TO_OPEN {
            return;
        }
        if failures == FAILURES_TO_OPEN {
            tracing::warn!(why, "Redis does not answer; continuing without it");
        }
        let until = self.started.elapsed() + BREAKER_OPEN_FOR;
        self.open_until.store(u64::try_from(until.as_millis()).unwrap_or(u64::MAX), Ordering::Relaxed);
        self.replace_old_connection();
    }

    /// The connection manager opens a connection again that was closed, not one that is silent.
    fn replace_old_connection(&self) {
        let mut connection = self.connection.lock();
        if connection.made_at.elapsed() < REPLACEMENT_AGE {
            return;
        }
        match Connection::new(&self.client) {
            Ok(new) => *connection = new,
            Err(error) => tracing::warn!(kind = ?error.kind(), "the connection to Redis cannot be replaced"),
        }
    }
}

#[async_trait]
impl Probe for Link {
    async fn health(&self) -> Health {
        match self.send::<String>(&redis::cmd("PING")).await {
            Some(_) => Health::Ok,
            None => Health::Error,
        }
    }
}
