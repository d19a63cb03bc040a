//! The connection pool: its time-outs, the settings of each new session, and whether the database answers. This module
//! must not know what a connection is used for.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use deadpool_postgres::{
    BuildError, ClientWrapper, Hook, HookError, Manager, ManagerConfig, Object, Pool, PoolError, QueueMode,
    RecyclingMethod, Runtime, TimeoutType,
};
use memory_bank_core::clock::Entropy;
use memory_bank_core::error::StoreError;
use tokio::time::Instant;
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::connect_error::ConnectError;
use crate::connector::Connector;
use crate::statements::{PoolerMode, Statements};
use crate::target::Target;
use crate::unreachable::Unreachable;

/// Time-out of one connection attempt.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// TCP keep-alive: idle time, interval, and number of probes.
const KEEP_ALIVE: (Duration, Duration, u32) = (Duration::from_secs(30), Duration::from_secs(10), 3);
/// How long the other end may take to acknowledge sent data, before the connection counts as lost.
const ACKNOWLEDGE_TIMEOUT: Duration = Duration::from_secs(20);
/// How long a request waits for a free connection.
pub(crate) const WAIT_TIMEOUT: Duration = Duration::from_secs(5);

/// Time-out of a connection beside the pool that checks whether the database is up.
const BARE_TIMEOUT: Duration = Duration::from_secs(2);

/// The most connections beside the pool that are opened at once: those of the checks before a server listens.
const MAX_BARE: usize = 3;

/// The use of the pool at one time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PoolUse {
    /// The most connections.
    pub max: usize,
    /// Connections in use.
    pub in_use: usize,
    /// Idle connections.
    pub idle: usize,
    /// Requests that wait for a connection.
    pub waiting: usize,
}

/// The connections to one database. Cheap to clone.
#[derive(Clone)]
pub(crate) struct ConnectionPool {
    pool: Pool,
    /// Connections without session settings, which are closed after use.
    bare: Pool,
    pub(crate) statements: Arc<Statements>,
    pub(crate) liveness: Arc<Liveness>,
}

impl ConnectionPool {
    /// A pool that is not connected yet. `supabase_root` is the authority for Supabase's hosts, a PEM text.
    ///
    /// # Errors
    /// A certificate file cannot be read.
    pub(crate) fn new(
        target: Target,
        max_connections: usize,
        mode: PoolerMode,
        entropy: &Arc<dyn Entropy>,
        supabase_root: &str,
    ) -> Result<Self, ConnectError> {
        let Target { mut config, endpoints, policy } = target;
        let (idle, interval, retries) = KEEP_ALIVE;
        config.keepalives_idle(idle).keepalives_interval(interval).keepalives_retries(retries);
        config.tcp_user_timeout(ACKNOWLEDGE_TIMEOUT);
        config.application_name("memory-bank-mcp");
        let recycling = ManagerConfig { recycling_method: RecyclingMethod::Fast };
        let tls = policy.client_config(supabase_root)?.map(MakeRustlsConnect::new);
        let connector = Connector::new(&config, &endpoints, &policy, tls, CONNECT_TIMEOUT, entropy);
        let pool = |most: usize| {
            let manager = Manager::from_connect(config.clone(), connector.clone(), recycling.clone());
            Pool::builder(manager)
                .max_size(most)
                .runtime(Runtime::Tokio1)
                .wait_timeout(Some(WAIT_TIMEOUT))
                .create_timeout(Some(CONNECT_TIMEOUT))
                .recycle_timeout(Some(CONNECT_TIMEOUT))
                // The connection that was used last has a warm process.
                .queue_mode(QueueMode::Lifo)
        };
        let malformed = |error: BuildError| ConnectError::Malformed(error.to_string());
        let statements = Arc::new(Statements::new(mode));
        let bare = pool(MAX_BARE).build().map_err(malformed)?;
        let pool = pool(max_connections.max(1));
        let pool = if statements.keeps_sessions() {
            let settings: Arc<str> = Statements::session_settings().into();
            pool.post_create(Hook::async_fn(move |client, _| {
                let settings = Arc::clone(&settings);
                Box::pin(async move { client.batch_execute(&settings).await.map_err(HookError::Backend) })
            }))
        } else {
            let statements = Arc::clone(&statements);
            pool.post_create(Hook::async_fn(move |client, _| {
                let statements = Arc::clone(&statements);
                Box::pin(async move { statements.observe(client).await.map_err(HookError::Backend) })
            }))
        };
        let pool = pool.build().map_err(malformed)?;
        Ok(Self { pool, bare, statements, liveness: Arc::default() })
    }

    /// Sends an empty statement, and waits for its reply.
    ///
    /// # Errors
    /// The database is down, or it refuses; [`ConnectError::Unreachable`] has the reason.
    pub(crate) async fn ping(&self) -> Result<(), ConnectError> {
        let client = self.pool.get().await.map_err(|error| Unreachable::from(&error))?;
        let reply = tokio::time::timeout(WAIT_TIMEOUT, client.batch_execute("")).await;
        reply.map_err(|_| Unreachable::no_answer())?.map_err(|error| Unreachable::from(&error))?;
        self.liveness.record_answer();
        Ok(())
    }

    /// Whether the database is up, within a time-out. If all connections are in use it is busy, not down: it has
    /// answered them recently, or accepts a connection beside them.
    pub(crate) async fn is_alive(&self, within: Duration) -> bool {
        let beside = async {
            tokio::time::sleep(within / 3).await;
            if !self.liveness.has_answered_within(within) && !self.answers_beside().await {
                std::future::pending::<()>().await;
            }
        };
        let alive = async {
            tokio::select! {
                pinged = self.ping() => pinged.is_ok(),
                () = beside => true,
            }
        };
        tokio::time::timeout(within, alive).await.unwrap_or(false)
    }

    /// Whether connections have closed since the last call, or could not be opened. Closed ones are removed from the
    /// pool.
    pub(crate) fn has_lost_connections(&self) -> bool {
        let ended = !self.pool.retain(|client, _| !client.is_closed()).removed.is_empty();
        self.liveness.take_lost() || ended
    }

    /// Whether the database accepts a connection beside the pool. A transaction pooler accepts one by itself, so there it is a
    /// statement that the database has to answer.
    async fn answers_beside(&self) -> bool {
        match self.bare_connection().await {
            Ok(_) if self.statements.keeps_sessions() => true,
            Ok(client) => client.simple_query("SELECT 1").await.is_ok(),
            Err(_) => false,
        }
    }

    /// A connection beside the pool, without session settings. Dropping it closes it.
    pub(crate) async fn bare_connection(&self) -> Result<ClientWrapper, ConnectError> {
        let client = self.bare.get().await.map_err(|error| Unreachable::from(&error))?;
        Ok(Object::take(client))
    }

    /// The size of the pool, and the connections in use, idle and waited for.
    pub(crate) fn usage(&self) -> PoolUse {
        let status = self.pool.status();
        PoolUse {
            max: status.max_size,
            in_use: status.size.saturating_sub(status.available),
            idle: status.available,
            waiting: status.waiting,
        }
    }

    /// A connection as the login role.
    pub(crate) async fn connection(&self) -> Result<Object, StoreError> {
        match self.pool.get().await {
            Ok(connection) => Ok(connection),
            Err(PoolError::Timeout(TimeoutType::Wait)) => Err(self.no_free_connection().await),
            Err(error) => {
                self.liveness.record_loss();
                Err(StoreError::Unreachable(Unreachable::from(&error).to_string()))
            }
        }
    }

    /// All connections were in use for longer than a request waits: the database is busy if it answers at all.
    pub(crate) async fn no_free_connection(&self) -> StoreError {
        let beside = tokio::time::timeout(BARE_TIMEOUT, self.answers_beside());
        if self.liveness.has_answered_within(WAIT_TIMEOUT) || beside.await.unwrap_or(false) {
            return StoreError::Overloaded;
        }
        self.liveness.record_loss();
        StoreError::Unreachable("no connection came free, and the database answers nobody".to_owned())
    }
}

/// When the database last answered a statement, and whether a connection was lost.
#[derive(Debug)]
pub(crate) struct Liveness {
    began: Instant,
    /// Milliseconds after `began`; `u64::MAX` = never yet.
    last_answer: AtomicU64,
    /// Whether a connection was lost since the last check.
    has_lost: AtomicBool,
}

impl Default for Liveness {
    fn default() -> Self {
        Self {
            began: Instant::now(),
            last_answer: AtomicU64::new(u64::MAX),
            has_lost: AtomicBool::new(false),
        }
    }
}

impl Liveness {
    pub(crate) fn record_answer(&self) {
        self.last_answer.store(self.now(), Ordering::Relaxed);
    }

    pub(crate) fn record_loss(&self) {
        self.has_lost.store(true, Ordering::Relaxed);
    }

    pub(crate) fn has_answered_within(&self, time: Duration) -> bool {
        let last = self.last_answer.load(Ordering::Relaxed);
        last != u64::MAX && u128::from(self.now().saturating_sub(last)) <= time.as_millis()
    }

    fn take_lost(&self) -> bool {
        self.has_lost.swap(false, Ordering::Relaxed)
    }

    fn now(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX - 1)
    }
}
