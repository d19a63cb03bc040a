//! The server: assembles its parts, listens, and shuts down gracefully.

use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use memory_bank_core::caller::KeyId;
use memory_bank_core::identity::{KeyDirectory, KeyHash, KeyStore, OAuthStore, ProjectAdministration};
use memory_bank_core::limiter::{Limiter, MemoryLimiter};
use memory_bank_core::store::{AuditLog, CallLog, EventStore, SessionStore, TextIndex};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{Semaphore, oneshot};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::http::addresses::{Addresses, network};
use crate::http::auth::{Authenticator, KeyCache};
use crate::http::call_counters::CallCounters;
use crate::http::config::{
    DRAIN_TIMEOUT, FINAL_WRITE_TIMEOUT, HttpConfig, MAX_CONNECTIONS, MAX_ENCODERS, SEND_BUFFER_BYTES,
};
use crate::http::connection::Connections;
use crate::http::connection_registry::{ConnectionRegistry, ConnectionSlot, Full};
use crate::http::event_bounds::EventBounds;
use crate::http::events::EventLog;
use crate::http::history_retention::HistoryCleanUp;
use crate::http::in_flight::Calls;
use crate::http::invalidation::{Invalidation, InvalidationBus};
use crate::http::local_console::LocalConsole;
use crate::http::metrics::{self, Limit, Metrics};
use crate::http::oauth::{self, ClientDocuments, FirstSights, Internet, OpenIdProvider};
use crate::http::origin::OriginPolicy;
use crate::http::probe::{Absent, Probe, SharedProbe};
use crate::http::redis::Redis;
use crate::http::reply_budget::ReplyBudget;
use crate::http::router::router;
use crate::http::sessions::Sessions;
use crate::http::shared::{ReadRedis, ReadStorage, Shared};
use crate::http::sse::StreamSlots;
use crate::http::text_index::TextIndexing;
use crate::services::Services;

/// How often uses of keys and sessions are written.
const WRITE_USES_INTERVAL: Duration = Duration::from_secs(10);
/// How often expired rows are removed.
const CLEAN_UP_INTERVAL: Duration = Duration::from_secs(300);

/// The parts of the server.
pub struct Parts {
    /// The dependencies of the MCP handler.
    pub services: Services,
    /// The settings.
    pub config: HttpConfig,
    /// Looks up keys.
    pub directory: Arc<dyn KeyDirectory>,
    /// Manages keys.
    pub keys: Arc<dyn KeyStore>,
    /// What owners administer; absent where there is one user.
    pub administration: Option<Arc<dyn ProjectAdministration>>,
    /// Stores what OAuth needs; OAuth is not offered when absent.
    pub oauth: Option<Arc<dyn OAuthStore>>,
    /// The console of a folder's user, which is opened by a link.
    pub local_console: Option<Arc<LocalConsole>>,
    /// A cache of keys that several servers share.
    pub key_cache: Option<Arc<dyn KeyCache>>,
    /// Stores sessions.
    pub sessions: Arc<dyn SessionStore>,
    /// Stores events.
    pub events: Arc<dyn EventStore>,
    /// The audit log, if there is one.
    pub audit: Option<Arc<dyn AuditLog>>,
    /// Keeps counted calls, if the store does.
    pub call_log: Option<Arc<dyn CallLog>>,
    /// Fills the text index after the writes, if the store has one.
    pub text_index: Option<Arc<dyn TextIndex>>,
    /// Deletes old versions of documents, if the store has a history that ends.
    pub history: Option<HistoryCleanUp>,
    /// Counts requests.
    pub limiter: Arc<dyn Limiter>,
    /// Checks the health of the database.
    pub database: Arc<dyn Probe>,
    /// Reads the state of the stores, if they provide it.
    pub storage: Option<ReadStorage>,
    /// Connects this server with the other replicas.
    pub redis: Option<Redis>,
}

/// A server that listens but does not serve yet.
pub struct Server {
    listener: TcpListener,
    router: Router,
    watched: Option<TcpListener>,
    bus: Option<JoinHandle<()>>,
    shared: Arc<Shared>,
}

impl Server {
    /// Assembles the parts and listens. Connects to the other replicas first, if that works at once.
    ///
    /// # Errors
    /// The address cannot be listened on.
    pub async fn bind(parts: Parts, shutdown: CancellationToken) -> io::Result<Self> {
        let listener = listen(parts.config.listen)?;
        let mut services = parts.services;
        services.replies.bytes = parts.config.reply_bytes;
        let watched = match parts.config.metrics {
            Some(address) => Some(TcpListener::bind(address).await?),
            None => None,
        };
        let counted = Arc::new(Metrics::new());
        let invalidations = Arc::new(InvalidationBus::new(parts.redis.as_ref().map(Redis::peers)));
        let (clock, entropy) = (Arc::clone(&services.clock), Arc::clone(&services.entropy));
        let started = Instant::now();
        let event_bounds =
            EventBounds::new(parts.config.event_bytes_per_session, parts.config.event_bytes_per_project);
        let shared =
            Arc::new(Shared {
                auth: Authenticator::new(parts.directory, parts.key_cache, Arc::clone(&clock)),
                addresses: Addresses::new(parts.audit, Arc::clone(&clock)),
                call_counters: CallCounters::new(parts.call_log, Arc::clone(&clock)),
                text_index: TextIndexing::new(parts.text_index),
                history: parts.history,
                keys: parts.keys,
                administration: parts.administration,
                oauth: parts.oauth,
                local_console: parts.local_console,
                client_documents: ClientDocuments::new(Internet::of(parts.config.client_documents)),
                openid: parts.config.openid.clone().map(|settings| Arc::new(OpenIdProvider::new(settings))),
                first_sights: parts.config.outside_issuer.clone().map(|settings| {
                    FirstSights::new(settings, MemoryLimiter::new(move || started.elapsed()))
                }),
                attempts: MemoryLimiter::new(move || started.elapsed()),
                limiter: parts.limiter,
                keyless_limiter: MemoryLimiter::new(move || started.elapsed()),
                endings: MemoryLimiter::new(move || started.elapsed()),
                sessions: Sessions::new(
                    parts.sessions,
                    Arc::clone(&invalidations),
                    clock,
                    entropy,
                    parts.config.sessions_per_project,
                    parts.config.sessions_per_key,
                ),
                events: EventLog::start(parts.events, event_bounds, Arc::clone(&counted)),
                invalidations,
                calls: Calls::default(),
                running: TaskTracker::new(),
                slots: StreamSlots::new(parts.config.streams_per_key),
                origins: OriginPolicy::new(&parts.config),
                database: SharedProbe::new(parts.database),
                redis: SharedProbe::new(
                    parts.redis.as_ref().map_or_else(|| Arc::new(Absent) as Arc<dyn Probe>, Redis::probe),
                ),
                metrics: counted,
                storage: parts.storage,
                redis_state: parts.redis.clone().map(|redis| Box::new(move || redis.state()) as ReadRedis),
                replies: ReplyBudget::new(parts.config.reply_bytes_total, parts.config.reply_bytes_per_key),
                encoders: Arc::new(Semaphore::new(MAX_ENCODERS)),
                connections: ConnectionRegistry::new(MAX_CONNECTIONS, parts.config.connections_per_address),
                started,
                services,
                config: parts.config,
                shutdown,
                closing: CancellationToken::new(),
            });
        let bus = match parts.redis {
            Some(redis) => Some(join_replicas(&redis, &shared).await),
            None => None,
        };
        Ok(Self { listener, router: router(Arc::clone(&shared)), watched, bus, shared })
    }

    /// The address that the server listens on.
    ///
    /// # Errors
    /// The operating system does not know it.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// The address of the metrics, if any.
    ///
    /// # Errors
    /// The operating system does not know it.
    pub fn metrics_address(&self) -> io::Result<Option<SocketAddr>> {
        self.watched.as_ref().map(TcpListener::local_addr).transpose()
    }

    /// Serves until the shutdown token is cancelled and the drain delay is over; then stops listening and lets
    /// requests in flight finish, within a bound.
    pub async fn serve(self) {
        let periodic = tokio::spawn(run_periodic_tasks(Arc::clone(&self.shared)));
        let indexing = tokio::spawn(index_texts(Arc::clone(&self.shared)));
        let listener = tokio::spawn(apply_invalidations(Arc::clone(&self.shared)));
        let watched =
            self.watched.map(|watched| tokio::spawn(metrics::serve(watched, Arc::clone(&self.shared))));
        let connections = Connections::new(self.router, self.shared.closing.clone());
        let admit = |stream, address| {
            let Shared { connections: registry, metrics, config, .. } = &*self.shared;
            if let Some(slot) = slot(registry, address, config.keep_alive, metrics) {
                connections.take(stream, address, slot);
            }
        };
        let drain_delay = self.shared.config.drain_delay;
        let mut over = pin!(async {
            self.shared.shutdown.cancelled().await;
            tokio::time::sleep(drain_delay).await;
        });
        loop {
            tokio::select! {
                () = &mut over => break,
                (stream, address) = accept(&self.listener) => admit(stream, address),
            }
        }
        stop_listening(self.listener, admit);
        self.shared.closing.cancel();
        let running = &self.shared.running;
        running.close();
        let finished = async { tokio::join!(connections.ended(), running.wait()) };
        if tokio::time::timeout(DRAIN_TIMEOUT.saturating_sub(drain_delay), finished).await.is_err() {
            tracing::warn!("requests in flight did not finish in {} s", DRAIN_TIMEOUT.as_secs());
        }
        for task in [Some(periodic), Some(indexing), Some(listener), watched, self.bus].into_iter().flatten()
        {
            task.abort();
        }
        let notes = async {
            tokio::join!(
                self.shared.auth.write_uses(),
                self.shared.sessions.write_uses(),
                self.shared.addresses.write_to_audit(),
                self.shared.call_counters.write()
            )
        };
        if tokio::time::timeout(FINAL_WRITE_TIMEOUT, notes).await.is_err() {
            tracing::warn!("the last uses of keys and sessions could not be written in time");
        }
    }
}

/// Listens. The operating system buffers unread data in memory that counts as the server's; accepted connections
/// inherit the listener's bound.
fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    /// Length of the accept queue.
    const ACCEPT_QUEUE: u32 = 1024;
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    socket.set_reuseaddr(true)?;
    socket.set_send_buffer_size(SEND_BUFFER_BYTES)?;
    socket.bind(address)?;
    socket.listen(ACCEPT_QUEUE)
}

/// A slot for one more connection, if there is one.
fn slot(
    registry: &Arc<ConnectionRegistry>,
    address: SocketAddr,
    keep_alive: Duration,
    metrics: &Metrics,
) -> Option<ConnectionSlot> {
    match registry.take(network(address.ip()), keep_alive) {
        Ok(slot) => return Some(slot),
        Err(Full::Server) => {
            tracing::warn!(connections = MAX_CONNECTIONS, "refused a connection: too many connections");
        }
        // Not a warning: a client could flood the log.
        Err(Full::Address) => tracing::debug!("refused a connection: too many connections of its address"),
    }
    metrics.limit_reached(Limit::Connections);
    None
}

async fn accept(listener: &TcpListener) -> (TcpStream, SocketAddr) {
    loop {
        match listener.accept().await {
            Ok(accepted) => return accepted,
            Err(error) => {
                // Probably out of file descriptors: other connections will close theirs.
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

/// Stops listening, but accepts the queued connections: their clients are connected, and a request may be in transit.
fn stop_listening(listener: TcpListener, admit: impl Fn(TcpStream, SocketAddr)) {
    let taken = listener.into_std().and_then(|listener| {
        loop {
            let (stream, address) = match listener.accept() {
                Ok(accepted) => accepted,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            };
            stream.set_nonblocking(true)?;
            admit(TcpStream::from_std(stream)?, address);
        }
    });
    if let Err(error) = taken {
        tracing::warn!(%error, "queued connections were lost");
    }
}

/// Periodic tasks.
async fn run_periodic_tasks(shared: Arc<Shared>) {
    let mut uses = tokio::time::interval(WRITE_USES_INTERVAL);
    let mut clean = tokio::time::interval(CLEAN_UP_INTERVAL);
    loop {
        tokio::select! {
            _ = uses.tick() => {
                shared.auth.write_uses().await;
                shared.sessions.write_uses().await;
                shared.addresses.write_to_audit().await;
                shared.call_counters.write().await;
                // Also without requests to `/health`: the log then shows when the schema disappeared and returned.
                let _health = shared.database.health().await;
            }
            _ = clean.tick() => {
                shared.sessions.clean_up(shared.config.event_retention).await;
                shared.addresses.clean_up(shared.config.audit_retention).await;
                if let Some(history) = &shared.history {
                    history.run_round(&*shared.services.clock).await;
                }
                oauth::clean_up(&shared).await;
            }
        }
    }
}

/// Indexes changed texts. Separate from the other periodic tasks, because a round may take a minute.
async fn index_texts(shared: Arc<Shared>) {
    let mut due = tokio::time::interval(CLEAN_UP_INTERVAL);
    due.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        due.tick().await;
        shared.text_index.run_round().await;
    }
}

/// Applies invalidations to the whole server.
async fn apply_invalidations(shared: Arc<Shared>) {
    let mut invalidations = shared.invalidations.subscribe();
    loop {
        match invalidations.recv().await {
            Ok(Invalidation::KeyChanged { hash, .. }) => {
                if let Some(hash) = KeyHash::from_hex(&hash) {
                    shared.auth.forget(&hash);
                }
            }
            Ok(Invalidation::SessionChanged { session, .. }) => shared.sessions.forget(session),
            Ok(Invalidation::CallCancelled { session, key, request }) => {
                shared.calls.cancel(session, key.map(KeyId), &request);
            }
            Ok(Invalidation::MessagesMissed) | Err(RecvError::Lagged(_)) => {
                shared.auth.forget_all();
                shared.sessions.forget_all();
            }
            Err(RecvError::Closed) => return,
        }
    }
}

/// Starts to exchange changes with the other replicas, and waits until the first attempt to reach them is over. If it fails,
/// the server is alone for now: subscribers will be notified that they may have missed changes.
async fn join_replicas(redis: &Redis, shared: &Shared) -> JoinHandle<()> {
    let (hub, invalidations) = (Arc::clone(&shared.services.hub), Arc::clone(&shared.invalidations));
    let (tried, joined) = oneshot::channel();
    // Until the end: streams of a server that still serves receive changes of other replicas.
    let bus = tokio::spawn(redis.bus().run(hub, invalidations, tried));
    let _ = tokio::join!(joined, redis.open_connection());
    bus
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::metrics::Reading;

    #[tokio::test]
    async fn a_connection_over_the_bound_is_refused_and_counted() {
        let (registry, metrics) = (ConnectionRegistry::new(1, 1), Metrics::new());
        let (kept, address) = (Duration::from_secs(180), SocketAddr::from(([127, 0, 0, 1], 1)));
        let held = slot(&registry, address, kept, &metrics);
        assert!(held.is_some());
        assert!(slot(&registry, address, kept, &metrics).is_none());
        let text = metrics.text(&Reading::default()).unwrap();
        assert!(text.contains("memory_bank_limits_hit_total{limit=\"connections\"} 1"), "{text}");
        drop(held);
        assert!(slot(&registry, address, kept, &metrics).is_some());
    }
}
