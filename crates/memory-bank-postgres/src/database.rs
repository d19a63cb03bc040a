//! The database: the pool, the settings and the caches that all stores share. It must not know the stores.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use memory_bank_core::caller::ProjectId;
use memory_bank_core::clock::{Clock, Entropy};
use memory_bank_core::document::Etag;
use memory_bank_core::error::StoreError;
use memory_bank_core::store::{ChangeSink, RecentContents};

use crate::connect_error::ConnectError;
use crate::edit_groups::EditGroups;
use crate::index_cache::{Indexes, SearchOptions};
use crate::migrate::MigrateError;
use crate::pool::{ConnectionPool, PoolUse};
use crate::read_pool::SharedReadPool;
use crate::slugs::Slugs;
use crate::standbys::{Standby, Standbys};
use crate::statements::PoolerMode;
use crate::supabase;
use crate::target::Target;
use crate::tls::{CertificateCheck, TrustOptions};
use crate::vector_maker::VectorMaker;

/// For how many days all versions are kept, if nothing else is set.
const DEFAULT_HISTORY_DAYS: u32 = 365;

/// The address of the database, and the size of the pool.
#[derive(Clone, Default)]
pub struct DatabaseOptions {
    /// `postgres://…`, or `key=value` pairs. It may contain a password and is never shown.
    pub url: String,
    /// The most connections at a time.
    pub max_connections: usize,
    /// How the database's certificate is verified if `sslmode` leaves it open.
    pub trust: TrustOptions,
    /// Whether the connections lead through a transaction pooler.
    pub pooler: PoolerMode,
    /// Standbys (streaming replicas) that answer reads, each like `url`. Connections to them keep their sessions.
    pub standby_urls: Vec<String>,
}

impl fmt::Debug for DatabaseOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DatabaseOptions")
            .field("max_connections", &self.max_connections)
            .field("standbys", &self.standby_urls.len())
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

/// A database with its pool. Cheap to clone; all stores are implemented on it.
#[derive(Clone)]
pub struct Database {
    pub(crate) pool: ConnectionPool,
    pub(crate) read_pool: Arc<SharedReadPool>,
    pub(crate) standbys: Arc<Standbys>,
    certificate_check: CertificateCheck,
    pub(crate) deps: Deps,
    /// How many bytes a project without a quota of its own may hold; 0 = unlimited.
    pub(crate) default_quota: u64,
    /// Whether changes of documents add versions.
    pub(crate) keeps_history: bool,
    /// For how many days all versions are kept.
    pub(crate) history_days: u32,
    /// How many changes were refused for a quota.
    pub(crate) quota_refusals: Arc<AtomicU64>,
    pub(crate) recent_contents: Arc<RecentContents<(ProjectId, Etag)>>,
    pub(crate) indexes: Arc<Indexes>,
    /// Makes vectors, if configured.
    pub(crate) vectors: Option<VectorMaker>,
    pub(crate) slugs: Arc<Slugs>,
    pub(crate) edit_groups: Arc<EditGroups>,
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
        let target = Target::read(&options.url, &options.trust, options.pooler)?;
        let certificate_check = target.policy.certificate_check();
        let connections = options.max_connections;
        let pool_to =
            |target, mode| ConnectionPool::new(target, connections, mode, &deps.entropy, supabase_root);
        let pool = pool_to(target, options.pooler)?;
        let standby = |url: &String| {
            let target = Target::read_standby(url, &options.trust)?;
            let name = target.endpoints.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
            Ok(Standby::new(name, pool_to(target, PoolerMode::Session)?, connections))
        };
        let standbys = options.standby_urls.iter().map(standby).collect::<Result<Vec<_>, ConnectError>>();
        let standbys = standbys.map_err(|error| ConnectError::Standby(Box::new(error)))?;
        Ok(Self {
            pool,
            read_pool: Arc::new(SharedReadPool::for_pool_of(connections)),
            standbys: Arc::new(Standbys::new(standbys)),
            certificate_check,
            deps,
            default_quota: 0,
            keeps_history: true,
            history_days: DEFAULT_HISTORY_DAYS,
            quota_refusals: Arc::default(),
            recent_contents: Arc::default(),
            indexes: Arc::new(Indexes::new(&SearchOptions::default())),
            vectors: None,
            slugs: Arc::default(),
            edit_groups: Arc::default(),
        })
    }

    /// Sets the quota in bytes of projects without their own; 0 = unlimited.
    #[must_use]
    pub fn with_default_quota(self, bytes: u64) -> Self {
        Self { default_quota: bytes, ..self }
    }

    /// Sets for how many days all versions are kept; with 0, changes add none.
    #[must_use]
    pub fn with_history_days(self, days: u32) -> Self {
        Self { keeps_history: days > 0, history_days: days, ..self }
    }

    /// Which checks the database's certificate must pass on every connection.
    #[must_use]
    pub fn certificate_check(&self) -> CertificateCheck {
        self.certificate_check
    }

    /// Checks that the database answers.
    ///
    /// # Errors
    /// It is down, or it refuses; [`ConnectError::Unreachable`] has the reason.
    pub async fn ping(&self) -> Result<(), ConnectError> {
        self.pool.ping().await
    }

    /// Whether the database is up, within a time-out. If all connections are in use it is busy, not down.
    pub async fn is_alive(&self, within: Duration) -> bool {
        self.pool.is_alive(within).await
    }

    /// Whether the database has answered anything within this period.
    #[must_use]
    pub fn has_answered_within(&self, time: Duration) -> bool {
        self.pool.liveness.has_answered_within(time)
    }

    /// Whether connections have closed since the last call, or could not be opened.
    #[must_use]
    pub fn has_lost_connections(&self) -> bool {
        self.pool.has_lost_connections()
    }

    /// The size of the pool, and the connections in use, idle and waited for.
    #[must_use]
    pub fn pool_use(&self) -> PoolUse {
        self.pool.usage()
    }

    /// What the connections lead to, as it was set.
    #[must_use]
    pub fn pooler_mode(&self) -> PoolerMode {
        self.pool.statements.mode()
    }

    /// Whether statements are prepared once per connection; behind a transaction pooler this is known after [`Self::pooling`].
    #[must_use]
    pub fn prepares_statements(&self) -> bool {
        self.pool.statements.are_prepared()
    }

    /// This database over another pool.
    pub(crate) fn over(&self, pool: &ConnectionPool) -> Self {
        Self { pool: pool.clone(), ..self.clone() }
    }

    /// A connection outside of the pool that has one session from its first statement to its last.
    pub(crate) async fn session(&self) -> Result<deadpool_postgres::ClientWrapper, MigrateError> {
        if !self.pool.statements.keeps_sessions() {
            return Err(MigrateError::NeedsSession);
        }
        Ok(deadpool_postgres::Object::take(self.connection().await?))
    }

    /// A connection as the login role. It has no access to tenants' tables; use [`crate::tenant`] for those.
    pub(crate) async fn connection(&self) -> Result<deadpool_postgres::Object, StoreError> {
        self.pool.connection().await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_never_show_the_password() {
        let url = "postgres://u:secret@h/d".to_owned();
        assert!(
            !format!("{:?}", DatabaseOptions { url, max_connections: 1, ..DatabaseOptions::default() })
                .contains("secret")
        );
    }
}
