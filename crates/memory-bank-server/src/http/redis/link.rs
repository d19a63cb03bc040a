//! The connection to Redis: every command has a short deadline, a circuit breaker opens after repeated failures ([`Breakers`]), and
//! the primary that Sentinels name is followed.

use parking_lot::Mutex;
use std::collections::{BTreeSet, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use futures::stream::{self, StreamExt as _};
use redis::{Client, Cmd, FromRedisValue, RedisResult};
use tokio::sync::{Notify, watch};

use tracing::Instrument;

use crate::http::probe::{Health, Probe};
use crate::http::redis::breaker::{Breaker, Breakers, Failed, Use};
use crate::http::redis::place::{
    CLUSTER_TIMEOUT, COMMAND_TIMEOUT, Connection, Membership, Place, RedisError, memberships, silent,
};

/// How often Sentinels or nodes are asked for a fail-over, and a lost connection to a cluster is replaced.
const FOLLOW_INTERVAL: Duration = Duration::from_secs(1);

/// A connection that has had this long to open, and still does not answer when the breaker opens, is replaced: it may have been
/// cut off without a message, and would be silent for many minutes, until the system gives it up.
const REPLACEMENT_AGE: Duration = Duration::from_secs(3);

/// For how long after a change of a cached entry a fail-over may have lost it, or another server may use other names than this one.
const LOST_WITHIN: Duration = Duration::from_secs(30);

/// How long a lower number of fail-overs is reported before the log says so.
const FALLEN_FOR: Duration = Duration::from_secs(60);

/// How many keys may be queued for deletion, and how many changes are remembered. Further keys are left to expire.
const MAX_QUEUED_DELETES: usize = 10_000;
/// How many of them one command deletes, and how many such commands are sent at once.
const DELETES_PER_COMMAND: usize = 500;
const DELETES_AT_ONCE: usize = 16;
/// A cluster that has answered a command within this time is partly there.
const ANSWERS_WITHIN_MILLIS: u64 = 1000;

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
    place: Place,
    current: Mutex<Current>,
    /// Changes when there is another primary.
    moved: watch::Sender<()>,
    /// The number of the latest fail-over. A deletion before it may be lost with the former primary, so later entries have other names.
    epoch: AtomicU64,
    /// Since when a lower number is reported, and whether the log has it.
    fallen: Mutex<Option<(Instant, bool)>>,
    /// Why no primary is known.
    why_unknown: Mutex<Option<String>>,
    prefix: String,
    breakers: Breakers,
    answered: AtomicU64,
    started: Instant,
    /// When the last command was answered, in milliseconds after `started`.
    answered_at: AtomicU64,
    failed: AtomicU64,
    skipped: AtomicU64,
    /// Keys that must be evicted and could not be deleted yet.
    queued_deletes: Mutex<BTreeSet<String>>,
    queued: Notify,
    /// The cached entries that this server has lately changed or deleted: when, the namespace and the id; the oldest first.
    changed: Mutex<VecDeque<(Instant, &'static str, String)>>,
}

/// The connection that commands use; none before Sentinels or a cluster have answered.
#[derive(Default)]
struct Current {
    /// Of one server.
    client: Option<Client>,
    connection: Option<Connection>,
    made_at: Option<Instant>,
    /// Whether a connection to a cluster is to be replaced. It stays in use until then.
    is_outdated: bool,
}

impl Current {
    fn new(client: Option<Client>, connection: Connection) -> Self {
        Self { client, connection: Some(connection), made_at: Some(Instant::now()), is_outdated: false }
    }
}

impl Link {
    pub(super) fn new(url: &str, prefix: &str) -> Result<Self, RedisError> {
        let place = Place::parse(url)?;
        let current = match &place {
            Place::One(client) => {
                let connection = Connection::lazy(client).map_err(|_| RedisError::UNUSABLE)?;
                Current::new(Some(client.clone()), connection)
            }
            Place::Sentinels(_) | Place::Cluster(..) => Current::default(),
        };
        Ok(Self {
            breakers: Breakers::new(place.is_cluster()),
            place,
            current: Mutex::new(current),
            moved: watch::Sender::new(()),
            epoch: AtomicU64::new(0),
            fallen: Mutex::default(),
            why_unknown: Mutex::default(),
            prefix: prefix.to_owned(),
            answered: AtomicU64::new(0),
            started: Instant::now(),
            answered_at: AtomicU64::new(0),
            failed: AtomicU64::new(0),
            skipped: AtomicU64::new(0),
            queued_deletes: Mutex::default(),
            queued: Notify::new(),
            changed: Mutex::default(),
        })
    }

    /// Follows the primary that the Sentinels name, or the fail-overs of a cluster; until it is dropped.
    pub(super) async fn follow(&self) {
        loop {
            let found = match &self.place {
                Place::One(_) => return,
                Place::Sentinels(sentinels) => match sentinels.primary().await {
                    Ok((primary, epoch)) => self.follow_to(primary, epoch),
                    Err(error) => Err(error),
                },
                Place::Cluster(_, nodes) => self.follow_cluster(nodes).await,
            };
            self.note_whether_known(&found);
            tokio::time::sleep(FOLLOW_INTERVAL).await;
        }
    }

    /// The former primary stays in use while no other one is known.
    fn note_whether_known(&self, found: &RedisResult<()>) {
        // The kind and the code only: the text may contain an address.
        let why = found.as_ref().err().map(|error| match error.code() {
            Some(code) => format!("{:?} ({code})", error.kind()),
            None => format!("{:?}", error.kind()),
        });
        let before = std::mem::replace(&mut *self.why_unknown.lock(), why.clone());
        if let (Some(why), None) = (why, before) {
            tracing::warn!(why, "no primary of Redis is known; asking again");
        }
    }

    /// Why no primary is known, if none is.
    pub(super) fn why_unknown(&self) -> Option<String> {
        self.why_unknown.lock().clone()
    }

    /// Uses this primary from now on, unless it is the present one.
    fn follow_to(&self, client: Client, epoch: u64) -> RedisResult<()> {
        let address = |client: &Client| client.get_connection_info().addr().clone();
        let before = self.current.lock().client.as_ref().map(address);
        let is_new = before.as_ref() != Some(&address(&client));
        // Nothing is cached before the fail-over is known: other servers could not delete it.
        self.note_epoch(epoch, before.is_some());
        if is_new {
            let connection = Connection::lazy(&client)?;
            *self.current.lock() = Current::new(Some(client), connection);
            if before.is_some() {
                tracing::warn!("Redis has another primary now");
            }
            self.announce_move(before.is_some());
        }
        Ok(())
    }

    /// Notes fail-overs of a cluster, and opens the connection to it, if there is none or a new one is needed.
    async fn follow_cluster(&self, nodes: &[Client]) -> RedisResult<()> {
        let members = memberships(nodes).await.into_iter().flatten().filter(|member| member.is_whole);
        let Some(epoch) = members.map(|member| member.epoch).max() else { return Err(silent()) };
        let (is_known, is_open) = {
            let current = self.current.lock();
            (current.connection.is_some(), current.connection.is_some() && !current.is_outdated)
        };
        if self.note_epoch(epoch, is_known) && is_known {
            tracing::warn!("the cluster of Redis has another primary now, or has moved keys");
        }
        if !is_open && let Place::Cluster(cluster, _) = &self.place {
            let opened = tokio::time::timeout(CLUSTER_TIMEOUT, cluster.get_async_connection()).await;
            let connection = Connection::Cluster(opened.unwrap_or_else(|_| Err(silent()))?);
            *self.current.lock() = Current::new(None, connection);
        }
        Ok(())
    }

    /// After a fail-over, messages and deletions of this server may be lost with the former primary. Whether the number has risen.
    fn note_epoch(&self, epoch: u64, was_known: bool) -> bool {
        let before = self.epoch.fetch_max(epoch, Ordering::Relaxed);
        self.note_fallen(epoch < before);
        if before < epoch {
            self.announce_move(was_known);
        }
        before < epoch
    }

    /// A number that has fallen and stays so: servers that start now use other names than this one. Nothing here is changed, since the
    /// names of the lower number may have entries of long ago. One Sentinel alone may be behind for a moment.
    fn note_fallen(&self, is_lower: bool) {
        let mut fallen = self.fallen.lock();
        let (since, is_reported) = match *fallen {
            Some(known) if is_lower => known,
            _ => (Instant::now(), false),
        };
        let is_due = is_lower && !is_reported && since.elapsed() >= FALLEN_FOR;
        if is_due {
            tracing::warn!(
                "Redis reports fewer fail-overs than before, as after its Sentinels or its cluster were set up again: restart all \
                 servers, so that they use the same names for what they cache"
            );
        }
        *fallen = is_lower.then_some((since, is_reported || is_due));
    }

    /// Makes this server listen at the new primary, and all servers read again what they may have missed.
    fn announce_move(&self, was_known: bool) {
        if !was_known {
            return;
        }
        // They opened for the former one.
        self.breakers.close();
        self.moved.send_replace(());
        // A server that found the new primary earlier may have cached the former state there.
        let lately =
            self.changed.lock().iter().map(|(_, namespace, id)| self.cache_key(namespace, id)).collect();
        self.queue_deletes(lately);
    }

    /// Servers that can be asked: the one, the primary as far as it is known, or those that a cluster was named by.
    pub(super) fn nodes(&self) -> Vec<Client> {
        match &self.place {
            Place::Cluster(_, nodes) => nodes.clone(),
            Place::One(_) | Place::Sentinels(_) => self.current.lock().client.iter().cloned().collect(),
        }
    }

    /// Servers that have all messages: as [`Self::nodes`], but of a cluster those only that are part of it.
    pub(super) async fn nodes_with_messages(&self) -> Vec<Client> {
        let nodes = self.nodes();
        if !self.is_cluster() {
            return nodes;
        }
        let members = memberships(&nodes).await;
        let is_member = |member: &RedisResult<_>| matches!(member, Ok(Membership { is_whole: true, .. }));
        nodes
            .into_iter()
            .zip(&members)
            .filter(|(_, member)| is_member(member))
            .map(|(node, _)| node)
            .collect()
    }

    /// Gets a value when there is another primary.
    pub(super) fn moved(&self) -> watch::Receiver<()> {
        self.moved.subscribe()
    }

    /// Whether each key has a server of its own, so that one script cannot have several.
    pub(super) fn is_cluster(&self) -> bool {
        self.place.is_cluster()
    }

    /// Use of Redis, and the state of the breaker.
    pub(super) fn state(&self) -> RedisState {
        RedisState {
            is_open: self.breakers.open() > 0,
            ok: self.answered.load(Ordering::Relaxed),
            failed: self.failed.load(Ordering::Relaxed),
            skipped: self.skipped.load(Ordering::Relaxed),
        }
    }

    /// The key `{prefix}:{namespace}:{id}`.
    pub(super) fn key(&self, namespace: &str, id: impl std::fmt::Display) -> String {
        format!("{}:{namespace}:{id}", self.prefix)
    }

    /// The key of something that is cached and that its end deletes: a deletion that a fail-over has lost is none of the entries
    /// that are read after it.
    pub(super) fn cache_key(&self, namespace: &str, id: impl std::fmt::Display) -> String {
        match self.epoch.load(Ordering::Relaxed) {
            0 => self.key(namespace, id),
            epoch => self.key(namespace, format_args!("{epoch}:{id}")),
        }
    }

    /// Sends a command of one key.
    pub(super) async fn send<T: FromRedisValue>(&self, key: &str, command: &Cmd) -> Option<T> {
        self.with(key, async |connection| command.query_async(connection).await).await
    }

    /// Publishes a message at any server: in a cluster each passes it on to all. Another attempt may choose another one.
    pub(super) async fn publish(&self, channel: &str, text: &str) -> bool {
        let publish = redis::cmd("PUBLISH").arg(channel).arg(text).clone();
        self.with_breaker(Use::Publish, async |connection| connection.send_to_any(&publish).await)
            .await
            .is_some()
    }

    /// Deletes a cached entry: now, or as soon as Redis answers.
    pub(super) async fn delete_cached(&self, namespace: &'static str, id: impl std::fmt::Display) {
        let key = self.changed_key(namespace, id.to_string());
        if self.send::<()>(&key, redis::cmd("DEL").arg(&key)).await.is_none() {
            self.queue_deletes(vec![key]);
        }
    }

    /// Replaces a cached entry, for some seconds. If that fails, the existing one is deleted as soon as Redis answers.
    pub(super) async fn replace_cached(
        &self,
        namespace: &'static str,
        id: impl std::fmt::Display,
        value: Vec<u8>,
        seconds: i64,
    ) {
        let key = self.changed_key(namespace, id.to_string());
        let set = redis::cmd("SET").arg(&key).arg(value).arg("EX").arg(seconds).clone();
        if self.send::<()>(&key, &set).await.is_none() {
            self.queue_deletes(vec![key]);
        }
    }

    /// Remembers that an entry changes, and names it. In this order: a fail-over in between finds it.
    fn changed_key(&self, namespace: &'static str, id: String) -> String {
        let mut changed = self.changed.lock();
        while changed.len() >= MAX_QUEUED_DELETES
            || changed.front().is_some_and(|(at, ..)| at.elapsed() > LOST_WITHIN)
        {
            changed.pop_front();
        }
        // One server has no fail-over.
        if !matches!(self.place, Place::One(_)) {
            changed.push_back((Instant::now(), namespace, id.clone()));
        }
        drop(changed);
        self.cache_key(namespace, id)
    }

    /// Deletes keys as soon as Redis answers; then all servers read again what they may have missed.
    fn queue_deletes(&self, keys: Vec<String>) {
        let mut queued_deletes = self.queued_deletes.lock();
        let room = MAX_QUEUED_DELETES.saturating_sub(queued_deletes.len());
        if keys.len() > room {
            tracing::warn!("too many keys wait to be deleted from Redis; some will expire there");
        }
        queued_deletes.extend(keys.into_iter().take(room));
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

    /// Deletes the queued keys; false if that still fails for one. In a cluster each is deleted by itself: a node that is silent keeps
    /// the keys of no other one, and nothing is said of its own.
    pub(super) async fn flush_deletes(&self) -> bool {
        let queued: Vec<String> = self.queued_deletes.lock().iter().cloned().collect();
        let per_command = if self.is_cluster() { 1 } else { DELETES_PER_COMMAND };
        let parts: Vec<Vec<String>> = queued.chunks(per_command).map(<[String]>::to_vec).collect();
        let deletes = stream::iter(parts).map(|keys| self.delete_queued(keys));
        let results: Vec<bool> = deletes.buffer_unordered(DELETES_AT_ONCE).collect().await;
        results.into_iter().all(|is_done| is_done) && self.queued_deletes.lock().is_empty()
    }

    async fn delete_queued(&self, keys: Vec<String>) -> bool {
        let Some(first) = keys.first() else { return true };
        let is_done = self.send::<i64>(first, redis::cmd("DEL").arg(&keys)).await.is_some();
        if is_done {
            let mut queued_deletes = self.queued_deletes.lock();
            keys.iter().for_each(|key| drop(queued_deletes.take(key)));
        }
        is_done
    }

    /// Uses the connection for a key, unless the breaker of the key is open; `None` if it is, or if the use failed.
    pub(super) async fn with<T>(
        &self,
        key: &str,
        work: impl AsyncFnOnce(&mut Connection) -> RedisResult<T>,
    ) -> Option<T> {
        self.with_breaker(Use::Key(key), work).await
    }

    async fn with_breaker<T>(
        &self,
        purpose: Use<'_>,
        work: impl AsyncFnOnce(&mut Connection) -> RedisResult<T>,
    ) -> Option<T> {
        let breaker = self.breakers.of(purpose);
        if !breaker.admits() {
            self.skipped.fetch_add(1, Ordering::Relaxed);
            return None;
        }
        let Some(mut connection) = self.current.lock().connection.clone() else {
            self.failed(breaker, "no primary is known");
            return None;
        };
        let span = tracing::debug_span!("redis", otel.kind = "client", db.system.name = "redis");
        let outcome = tokio::time::timeout(COMMAND_TIMEOUT, work(&mut connection)).instrument(span).await;
        match outcome {
            Ok(Ok(value)) => {
                self.answered.fetch_add(1, Ordering::Relaxed);
                self.answered_at.store(self.millis(), Ordering::Relaxed);
                if breaker.record_answer() && self.breakers.open() == 0 {
                    tracing::info!("Redis answers again");
                }
                Some(value)
            }
            Ok(Err(error)) => {
                // Log the kind only: the text may contain an address.
                self.failed(breaker, &format!("{:?}", error.kind()));
                None
            }
            Err(_) => {
                self.failed(breaker, "no answer in time");
                None
            }
        }
    }

    fn failed(&self, breaker: &Breaker, why: &str) {
        self.failed.fetch_add(1, Ordering::Relaxed);
        match breaker.record_failure() {
            Failed::Counted => return,
            // Of a cluster, one line for all parts of a node.
            Failed::Opened if self.breakers.open() == 1 => {
                tracing::warn!(why, "Redis does not answer; continuing without it");
            }
            Failed::Opened | Failed::StaysOpen => {}
        }
        self.replace_old_connection();
    }

    fn millis(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// Replaces the connection to a cluster soon: it may know nodes that the others have forgotten.
    pub(super) fn doubt_nodes(&self) {
        self.current.lock().is_outdated = true;
    }

    /// The connection manager opens a connection again that was closed, not one that is silent.
    fn replace_old_connection(&self) {
        let mut current = self.current.lock();
        // While a cluster answers others, a new connection would make them wait, too.
        let others_answer = current.client.is_none()
            && self.millis().saturating_sub(self.answered_at.load(Ordering::Relaxed)) < ANSWERS_WITHIN_MILLIS;
        let age = if others_answer { REPLACEMENT_AGE * 10 } else { REPLACEMENT_AGE };
        if current.made_at.is_none_or(|made_at| made_at.elapsed() < age) {
            return;
        }
        let Some(client) = current.client.clone() else {
            // Of a cluster: `follow` replaces it.
            current.is_outdated = true;
            return;
        };
        match Connection::lazy(&client) {
            Ok(new) => *current = Current::new(Some(client), new),
            Err(error) => tracing::warn!(kind = ?error.kind(), "the connection to Redis cannot be replaced"),
        }
    }
}

#[async_trait]
impl Probe for Link {
    async fn health(&self) -> Health {
        let ping = redis::cmd("PING");
        match self.with_breaker(Use::Ask, async |connection| connection.send_to_any(&ping).await).await {
            Some(_) => Health::Ok,
            None => Health::Error,
        }
    }
}
