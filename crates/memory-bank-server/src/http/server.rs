//! The server: puts the parts together, listens, and ends in good order.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::Request;
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::GracefulShutdown;
use memory_bank_core::identity::{KeyDirectory, KeyHash, KeyStore};
use memory_bank_core::limiter::Limiter;
use memory_bank_core::store::{AuditLog, EventStore, SessionStore};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{Semaphore, oneshot};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::ServiceExt;

use crate::http::addresses::Addresses;
use crate::http::admission::PeerAddress;
use crate::http::auth::{Authenticator, KeyCache};
use crate::http::calls::Calls;
use crate::http::config::{CONNECTIONS, DRAIN, HEADER_WAIT, HttpConfig, LAST_NOTES};
use crate::http::events::EventLog;
use crate::http::metrics::{self, Limit, Metrics};
use crate::http::origin::OriginPolicy;
use crate::http::redis::Redis;
use crate::http::router::router;
use crate::http::sessions::Sessions;
use crate::http::shared::{Absent, Probe, ReadRedis, ReadStorage, Shared};
use crate::http::signals::{Signal, Signals};
use crate::http::streams::StreamSlots;
use crate::services::Services;

/// How often uses of keys and sessions are written down.
const WRITE_USES: Duration = Duration::from_secs(10);
/// How often what has expired is removed.
const CLEAN_UP: Duration = Duration::from_secs(300);

/// What the server is made of.
pub struct Parts {
    /// The stores behind MCP.
    pub services: Services,
    /// The settings.
    pub config: HttpConfig,
    /// Finds keys.
    pub directory: Arc<dyn KeyDirectory>,
    /// Manages keys.
    pub keys: Arc<dyn KeyStore>,
    /// A cache of keys that several servers share.
    pub key_cache: Option<Arc<dyn KeyCache>>,
    /// Keeps sessions.
    pub sessions: Arc<dyn SessionStore>,
    /// Keeps events.
    pub events: Arc<dyn EventStore>,
    /// Keeps who did what, if anything does.
    pub audit: Option<Arc<dyn AuditLog>>,
    /// Counts requests.
    pub limiter: Arc<dyn Limiter>,
    /// Asks the database how it is doing.
    pub database: Arc<dyn Probe>,
    /// Reads how the stores are doing, if they say.
    pub storage: Option<ReadStorage>,
    /// Joins this server with others.
    pub redis: Option<Redis>,
}

/// A server that listens but does not serve yet.
pub struct Server {
    listener: TcpListener,
    router: Router,
    watched: Option<TcpListener>,
    shared: Arc<Shared>,
}

impl Server {
    /// Puts the parts together and listens. Joins the other servers first, if that can be done at once.
    ///
    /// # Errors
    /// The address cannot be listened on.
    pub async fn bind(parts: Parts, shutdown: CancellationToken) -> io::Result<Self> {
        let listener = TcpListener::bind(parts.config.listen).await?;
        let watched = match parts.config.metrics {
            Some(address) => Some(TcpListener::bind(address).await?),
            None => None,
        };
        let counted = Arc::new(Metrics::new());
        let signals = Arc::new(Signals::new(parts.redis.as_ref().map(Redis::others)));
        let (clock, entropy) = (Arc::clone(&parts.services.clock), Arc::clone(&parts.services.entropy));
        let shared = Arc::new(Shared {
            auth: Authenticator::new(parts.directory, parts.key_cache, Arc::clone(&clock)),
            addresses: Addresses::new(parts.audit, Arc::clone(&clock)),
            keys: parts.keys,
            limiter: parts.limiter,
            sessions: Sessions::new(
                parts.sessions,
                Arc::clone(&signals),
                clock,
                entropy,
                parts.config.sessions_per_project,
            ),
            events: EventLog::start(parts.events, Arc::clone(&counted)),
            signals,
            calls: Calls::default(),
            running: TaskTracker::new(),
            slots: StreamSlots::new(parts.config.streams_per_key),
            origins: OriginPolicy::new(&parts.config),
            database: parts.database,
            redis: parts.redis.as_ref().map_or_else(|| Arc::new(Absent) as Arc<dyn Probe>, Redis::probe),
            metrics: counted,
            storage: parts.storage,
            redis_state: parts.redis.clone().map(|redis| Box::new(move || redis.state()) as ReadRedis),
            room: Arc::new(Semaphore::new(CONNECTIONS)),
            started: Instant::now(),
            services: parts.services,
            config: parts.config,
            shutdown,
        });
        if let Some(redis) = parts.redis {
            let (hub, signals) = (Arc::clone(&shared.services.hub), Arc::clone(&shared.signals));
            let shutdown = shared.shutdown.clone();
            let bus = redis.bus();
            let (tried, joined) = oneshot::channel();
            tokio::spawn(async move {
                tokio::select! {
                    () = bus.run(hub, signals, tried) => {}
                    () = shutdown.cancelled() => {}
                }
            });
            // Otherwise the server is alone for now: news may be missed, and whoever subscribed will be told.
            let _ = joined.await;
        }
        Ok(Self { listener, router: router(Arc::clone(&shared)), watched, shared })
    }

    /// Where the server listens.
    ///
    /// # Errors
    /// The operating system does not say.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Where the figures are read, if anywhere.
    ///
    /// # Errors
    /// The operating system does not say.
    pub fn metrics_address(&self) -> io::Result<Option<SocketAddr>> {
        self.watched.as_ref().map(TcpListener::local_addr).transpose()
    }

    /// Serves until the shutdown token is cancelled, then lets requests under way finish, for a while.
    pub async fn serve(self) {
        let chores = tokio::spawn(chores(Arc::clone(&self.shared)));
        let listener = tokio::spawn(heed(Arc::clone(&self.shared)));
        let connections = GracefulShutdown::new();
        let watched =
            self.watched.map(|watched| tokio::spawn(metrics::serve(watched, Arc::clone(&self.shared))));
        let room = Arc::clone(&self.shared.room);
        let shutdown = self.shared.shutdown.clone();
        while let Some((stream, address)) = accept(&self.listener, &shutdown).await {
            let Ok(room) = Arc::clone(&room).try_acquire_owned() else {
                self.shared.metrics.hit(Limit::Connections);
                tracing::warn!(connections = CONNECTIONS, "a connection was refused, there are too many");
                continue;
            };
            if let Err(error) = stream.set_nodelay(true) {
                tracing::debug!(%error, "a connection broke at once");
                continue;
            }
            let router = self.router.clone();
            let service = hyper::service::service_fn(move |request: hyper::Request<Incoming>| {
                let mut request: Request = request.map(axum::body::Body::new);
                request.extensions_mut().insert(PeerAddress(address));
                router.clone().oneshot(request)
            });
            let mut builder = Builder::new(TokioExecutor::new());
            builder.http1().timer(TokioTimer::new()).header_read_timeout(HEADER_WAIT);
            builder.http2().timer(TokioTimer::new()).keep_alive_interval(Duration::from_secs(60));
            let connection = builder.serve_connection(TokioIo::new(stream), service).into_owned();
            let connection = connections.watch(connection);
            tokio::spawn(async move {
                if let Err(error) = connection.await {
                    tracing::debug!(error, "a connection ended in an error");
                }
                drop(room);
            });
        }
        drop(self.listener);
        let running = &self.shared.running;
        running.close();
        let finished = async { tokio::join!(connections.shutdown(), running.wait()) };
        if tokio::time::timeout(DRAIN, finished).await.is_err() {
            tracing::warn!("requests under way did not finish in {} s", DRAIN.as_secs());
        }
        chores.abort();
        listener.abort();
        if let Some(watched) = watched {
            watched.abort();
        }
        let notes = async {
            tokio::join!(
                self.shared.auth.write_uses(),
                self.shared.sessions.write_uses(),
                self.shared.addresses.tell()
            )
        };
        if tokio::time::timeout(LAST_NOTES, notes).await.is_err() {
            tracing::warn!("when keys and sessions were used last could not be noted in time");
        }
    }
}

async fn accept(listener: &TcpListener, shutdown: &CancellationToken) -> Option<(TcpStream, SocketAddr)> {
    loop {
        let accepted = tokio::select! {
            () = shutdown.cancelled() => return None,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok(accepted) => return Some(accepted),
            Err(error) => {
                // Out of file descriptors, most likely: others will close theirs.
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

/// What is done now and then.
async fn chores(shared: Arc<Shared>) {
    let mut uses = tokio::time::interval(WRITE_USES);
    let mut clean = tokio::time::interval(CLEAN_UP);
    loop {
        tokio::select! {
            _ = uses.tick() => {
                shared.auth.write_uses().await;
                shared.sessions.write_uses().await;
                shared.addresses.tell().await;
            }
            _ = clean.tick() => {
                shared.sessions.clean_up(shared.config.event_retention).await;
                shared.addresses.clean_up(shared.config.audit_retention).await;
            }
        }
    }
}

/// Does what signals ask of the whole server.
async fn heed(shared: Arc<Shared>) {
    let mut signals = shared.signals.subscribe();
    loop {
        match signals.recv().await {
            Ok(Signal::KeyChanged { hash, .. }) => {
                if let Some(hash) = KeyHash::from_hex(&hash) {
                    shared.auth.forget(&hash);
                }
            }
            Ok(Signal::SessionChanged { session, .. }) => shared.sessions.forget(session),
            Ok(Signal::CallCancelled { session, request }) => shared.calls.cancel(session, &request),
            Ok(Signal::NewsMissed) | Err(RecvError::Lagged(_)) => {
                shared.auth.forget_all();
                shared.sessions.forget_all();
            }
            Err(RecvError::Closed) => return,
        }
    }
}
