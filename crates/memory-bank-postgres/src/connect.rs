//! The connection pool: connection strings, TLS, and the settings of each new session.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use deadpool_postgres::{
    BuildError, ClientWrapper, Hook, HookError, Manager, ManagerConfig, Pool, PoolError, QueueMode,
    RecyclingMethod, Runtime, TimeoutType,
};
use memory_bank_core::caller::ProjectId;
use memory_bank_core::clock::{Clock, Entropy};
use memory_bank_core::document::Etag;
use memory_bank_core::error::StoreError;
use memory_bank_core::store::{ChangeSink, RecentContents};
use tokio::time::Instant;
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::connection_string::{ConnectionString, Endpoint};
use crate::connector::Connector;
use crate::pooler::refuse_by_name;
use crate::supabase;
use crate::tls::{CertificateCheck, TlsPolicy};
use crate::unreachable::Unreachable;

/// Time-out of one connection attempt.
const CONNECT: Duration = Duration::from_secs(5);
/// TCP keep-alive: idle time, interval, and number of probes.
const ALIVE: (Duration, Duration, u32) = (Duration::from_secs(30), Duration::from_secs(10), 3);
/// How long the other end may take to acknowledge sent data, before the connection counts as lost.
const ACKNOWLEDGED: Duration = Duration::from_secs(20);
/// How long a request waits for a free connection.
pub(crate) const WAIT: Duration = Duration::from_secs(5);

/// Time-out of a connection beside the pool that checks whether the database is up.
const BESIDE: Duration = Duration::from_secs(2);

/// The most connections beside the pool.
const BARE: usize = 2;

/// The settings of every new session. The database itself ends a hanging statement and an idle transaction; the lock
/// time-out equals that of the folder store. Plans are generic: statements find rows by keys, whatever the values,
/// and planning each time, with its policies, costs more than running. Where the values matter, a function overrides
/// this for itself (`migrations/003_functions.sql`).
const SESSION_SETTINGS: &str = "SET statement_timeout = '20s'; SET lock_timeout = '10s'; \
    SET idle_in_transaction_session_timeout = '30s'; SET search_path = pg_catalog, public; \
    SET client_min_messages = warning; SET plan_cache_mode = force_generic_plan";

/// The address of the database, and the size of the pool.
#[derive(Clone)]
pub struct DatabaseOptions {
    /// `postgres://…`, or `key=value` pairs. It may contain a password and is never shown.
    pub url: String,
    /// The most connections at a time.
    pub max_connections: usize,
    /// How the database's certificate is verified if `sslmode` leaves it open.
    pub trust: TrustOptions,
}

/// Whether the database's certificate is verified if the connection string does not decide it, and by which
/// authorities.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TrustOptions {
    /// Require TLS and verify the certificate, unless `sslmode=disable` is given; without this, `sslmode` has its
    /// standard meaning.
    pub verify: bool,
    /// A PEM file with authorities to trust beside the system's. If it is given, certificates are verified.
    pub root_certificate: Option<PathBuf>,
}

impl fmt::Debug for DatabaseOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DatabaseOptions")
            .field("max_connections", &self.max_connections)
            .finish_non_exhaustive()
    }
}

/// Dependencies of the stores.
#[derive(Clone)]
pub struct Deps {
    /// The clock.
    pub clock: Arc<dyn Clock>,
    /// The source of ids.
    pub entropy: Arc<dyn Entropy>,
    /// Receives every committed change of this process.
    pub sink: Arc<dyn ChangeSink>,
}

/// The database cannot be used as configured. Shows no password.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// The connection string cannot be parsed.
    #[error("the connection string cannot be used: {0}")]
    Malformed(String),
    /// The trusted certificates cannot be read.
    #[error("the certificates to trust cannot be read: {0}")]
    Certificates(String),
    /// The database did not answer, or refused; may be temporary.
    #[error("the database cannot be reached: {0}")]
    Unreachable(Unreachable),
    /// A pooler that gives each transaction another session.
    #[error(
        "{evidence}, so this is a transaction pooler: between two transactions it forgets what a connection was told; \
        take the session pooler (Supabase: port 5432 of the pooler, without `pgbouncer=true`; PgBouncer: \
        `pool_mode = session`), or connect to the database itself"
    )]
    TransactionPooler {
        /// The evidence.
        evidence: String,
    },
}

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

/// A database with its pool. Cheap to clone; all stores are implemented on it.
#[derive(Clone)]
pub struct Database {
    pool: Pool,
    /// Connections that are told nothing and closed after use.
    bare: Pool,
    certificate_check: CertificateCheck,
    pub(crate) deps: Deps,
    /// How many bytes a project without a quota of its own may hold; 0 = unlimited.
    pub(crate) default_quota: u64,
    /// How many changes were refused for a quota.
    pub(crate) quota_refusals: Arc<AtomicU64>,
    pub(crate) served: Arc<RecentContents<(ProjectId, Etag)>>,
    pub(crate) indexes: Arc<crate::search::Indexes>,
    /// Makes vectors, if configured.
    pub(crate) vectors: Option<crate::search::Vectors>,
    pub(crate) slugs: Arc<crate::workspace::Slugs>,
    pub(crate) read_pool: Arc<crate::read_pool::SharedReadPool>,
    pub(crate) answers: Arc<Answers>,
    pub(crate) edit_groups: Arc<crate::edit_groups::EditGroups>,
}

impl fmt::Debug for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Database").finish_non_exhaustive()
    }
}

impl Database {
    /// A database that is not connected yet; [`Self::ping`] connects.
    ///
    /// # Errors
    /// The connection string or a certificate file cannot be read.
    pub fn new(options: &DatabaseOptions, deps: Deps) -> Result<Self, ConnectError> {
        Self::with_supabase_root(options, deps, supabase::ROOT)
    }

    /// Like [`Self::new`], with another authority, a PEM text, in place of Supabase's: for tests.
    ///
    /// # Errors
    /// As [`Self::new`].
    #[doc(hidden)]
    pub fn with_supabase_root(
        options: &DatabaseOptions,
        deps: Deps,
        supabase_root: &str,
    ) -> Result<Self, ConnectError> {
        let Target { mut config, endpoints, policy } = Target::read(options)?;
        let (idle, interval, retries) = ALIVE;
        config.keepalives_idle(idle).keepalives_interval(interval).keepalives_retries(retries);
        config.tcp_user_timeout(ACKNOWLEDGED);
        config.application_name("memory-bank-mcp");
        let recycling = ManagerConfig { recycling_method: RecyclingMethod::Fast };
        let tls = policy.client_config(supabase_root)?.map(MakeRustlsConnect::new);
        let connector = Connector::new(&config, &endpoints, &policy, tls, CONNECT, &deps.entropy);
        let pool = |most: usize| {
            let manager = Manager::from_connect(config.clone(), connector.clone(), recycling.clone());
            Pool::builder(manager)
                .max_size(most)
                .runtime(Runtime::Tokio1)
                .wait_timeout(Some(WAIT))
                .create_timeout(Some(CONNECT))
                .recycle_timeout(Some(CONNECT))
                // The connection that was used last has a warm process.
                .queue_mode(QueueMode::Lifo)
        };
        let malformed = |error: BuildError| ConnectError::Malformed(error.to_string());
        let greet = Hook::async_fn(|client, _| {
            Box::pin(async move { client.batch_execute(SESSION_SETTINGS).await.map_err(HookError::Backend) })
        });
        let bare = pool(BARE).build().map_err(malformed)?;
        let pool = pool(options.max_connections.max(1)).post_create(greet).build().map_err(malformed)?;
        Ok(Self {
            pool,
            bare,
            certificate_check: policy.certificate_check(),
            deps,
            default_quota: 0,
            quota_refusals: Arc::default(),
            served: Arc::default(),
            indexes: Arc::new(crate::search::Indexes::new(&crate::search::SearchOptions::default())),
            vectors: None,
            slugs: Arc::default(),
            edit_groups: Arc::default(),
            read_pool: Arc::new(crate::read_pool::SharedReadPool::beside(options.max_connections)),
            answers: Arc::default(),
        })
    }

    /// Sets the quota in bytes of projects without their own; 0 = unlimited.
    #[must_use]
    pub fn with_default_quota(self, bytes: u64) -> Self {
        Self { default_quota: bytes, ..self }
    }

    /// What is checked of the database's certificate on every connection.
    #[must_use]
    pub fn certificate_check(&self) -> CertificateCheck {
        self.certificate_check
    }

    /// Asks the database whether it is there.
    ///
    /// # Errors
    /// It is down, or it refuses; [`ConnectError::Unreachable`] has the reason.
    pub async fn ping(&self) -> Result<(), ConnectError> {
        let client = self.pool.get().await.map_err(|error| Unreachable::from(&error))?;
        let asked = tokio::time::timeout(WAIT, client.batch_execute("")).await;
        asked.map_err(|_| Unreachable::silent())?.map_err(|error| Unreachable::from(&error))?;
        self.answers.note();
        Ok(())
    }

    /// Whether the database is up, within a time-out. If all connections are in use it is busy, not down: it has
    /// answered them recently, or accepts a connection beside them.
    pub async fn is_alive(&self, within: Duration) -> bool {
        let beside = async {
            tokio::time::sleep(within / 3).await;
            if !self.answers.within(within) && self.bare_connection().await.is_err() {
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

    /// Whether the database has answered anything within this period.
    #[must_use]
    pub fn has_answered_within(&self, time: Duration) -> bool {
        self.answers.within(time)
    }

    /// Whether connections have closed since the last call, or could not be opened. Closed ones are removed from the
    /// pool.
    #[must_use]
    pub fn has_lost_connections(&self) -> bool {
        let ended = !self.pool.retain(|client, _| !client.is_closed()).removed.is_empty();
        self.answers.lost.swap(false, Ordering::Relaxed) || ended
    }

    /// A connection beside the pool, without session settings. Dropping it closes it.
    pub(crate) async fn bare_connection(&self) -> Result<ClientWrapper, ConnectError> {
        let client = self.bare.get().await.map_err(|error| Unreachable::from(&error))?;
        Ok(deadpool_postgres::Object::take(client))
    }

    /// The size of the pool, and the connections in use, idle and waited for.
    #[must_use]
    pub fn pool_use(&self) -> PoolUse {
        let status = self.pool.status();
        PoolUse {
            max: status.max_size,
            in_use: status.size.saturating_sub(status.available),
            idle: status.available,
            waiting: status.waiting,
        }
    }

    /// A connection as the login role. It has no access to tenants' tables; use [`crate::tenant`] for those.
    pub(crate) async fn connection(&self) -> Result<deadpool_postgres::Object, StoreError> {
        match self.pool.get().await {
            Ok(connection) => Ok(connection),
            Err(PoolError::Timeout(TimeoutType::Wait)) => Err(self.no_connection_came_free().await),
            Err(error) => {
                self.answers.note_lost();
                Err(StoreError::Unreachable(Unreachable::from(&error).to_string()))
            }
        }
    }

    /// All connections were in use for longer than a request waits: the database is busy if it answers at all.
    pub(crate) async fn no_connection_came_free(&self) -> StoreError {
        let beside = tokio::time::timeout(BESIDE, self.bare_connection());
        if self.answers.within(WAIT) || matches!(beside.await, Ok(Ok(_))) {
            return StoreError::Overloaded;
        }
        self.answers.note_lost();
        StoreError::Unreachable("no connection came free, and the database answers nobody".to_owned())
    }
}

/// When the database last answered any statement.
#[derive(Debug)]
pub(crate) struct Answers {
    began: Instant,
    /// Milliseconds after `began`; `u64::MAX` = never yet.
    last: AtomicU64,
    /// Whether a connection was lost since the last check.
    lost: AtomicBool,
}

impl Default for Answers {
    fn default() -> Self {
        Self { began: Instant::now(), last: AtomicU64::new(u64::MAX), lost: AtomicBool::new(false) }
    }
}

impl Answers {
    pub(crate) fn note(&self) {
        self.last.store(self.now(), Ordering::Relaxed);
    }

    pub(crate) fn note_lost(&self) {
        self.lost.store(true, Ordering::Relaxed);
    }

    fn within(&self, time: Duration) -> bool {
        let last = self.last.load(Ordering::Relaxed);
        last != u64::MAX && u128::from(self.now().saturating_sub(last)) <= time.as_millis()
    }

    fn now(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX - 1)
    }
}

/// What a connection string and the settings come to.
struct Target {
    config: tokio_postgres::Config,
    endpoints: Vec<Endpoint>,
    policy: TlsPolicy,
}

impl Target {
    fn read(options: &DatabaseOptions) -> Result<Self, ConnectError> {
        let mut string = ConnectionString::parse(&options.url)?;
        refuse_by_name(&mut string)?;
        let mut endpoints = string.take_endpoints()?;
        for host in supabase::take_session_pooler(&mut endpoints) {
            tracing::warn!(
                host,
                "port 6543 is Supabase's transaction pooler: port 5432 of the same host is used instead"
            );
        }
        let is_supabase = endpoints.iter().any(|endpoint| supabase::is_supabase(&endpoint.host));
        let policy = TlsPolicy::take(&mut string, &options.trust, is_supabase)?;
        Ok(Self { config: string.into_config()?, endpoints, policy })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_never_show_the_password() {
        let url = "postgres://u:secret@h/d".to_owned();
        assert!(
            !format!("{:?}", DatabaseOptions { url, max_connections: 1, trust: TrustOptions::default() })
                .contains("secret")
        );
    }

    #[test]
    fn errors_about_the_connection_string_never_show_the_password() {
        for url in ["postgres://u:secret@h:port/d", "postgres://u:secret@h/d?sslmode=maybe", "secret"] {
            let trust = TrustOptions::default();
            let options = DatabaseOptions { url: url.to_owned(), max_connections: 1, trust };
            let Err(error) = Target::read(&options) else { panic!("{url}") };
            assert!(!error.to_string().contains("secret"), "{error}");
        }
    }
}
