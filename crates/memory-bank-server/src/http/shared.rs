//! State that all requests of a server share.

use std::sync::Arc;
use std::time::Instant;

use axum::extract::Request;
use memory_bank_core::identity::{KeyStore, OAuthStore, ProjectAdministration};
use memory_bank_core::limiter::{Limiter, MemoryLimiter};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::http::addresses::Addresses;
use crate::http::auth::Authenticator;
use crate::http::call_counters::CallCounters;
use crate::http::config::HttpConfig;
use crate::http::connection_registry::ConnectionRegistry;
use crate::http::events::EventLog;
use crate::http::history_retention::HistoryCleanUp;
use crate::http::in_flight::Calls;
use crate::http::invalidation::InvalidationBus;
use crate::http::local_console::LocalConsole;
use crate::http::metrics::{Metrics, StorageState};
use crate::http::oauth::{ClientDocuments, FirstSights, OpenIdProvider, ServerUrl};
use crate::http::origin::OriginPolicy;
use crate::http::probe::SharedProbe;
use crate::http::redis::RedisState;
use crate::http::reply_budget::ReplyBudget;
use crate::http::sessions::Sessions;
use crate::http::sse::StreamSlots;
use crate::http::text_index::TextIndexing;
use crate::services::Services;

/// Reads the state of the stores; must be cheap.
pub type ReadStorage = Box<dyn Fn() -> StorageState + Send + Sync>;

/// Reads how Redis was used.
pub(crate) type ReadRedis = Box<dyn Fn() -> RedisState + Send + Sync>;

pub(crate) struct Shared {
    pub(crate) services: Services,
    pub(crate) config: HttpConfig,
    pub(crate) auth: Authenticator,
    pub(crate) addresses: Addresses,
    pub(crate) call_counters: CallCounters,
    pub(crate) text_index: TextIndexing,
    pub(crate) history: Option<HistoryCleanUp>,
    pub(crate) keys: Arc<dyn KeyStore>,
    /// What owners administer; none where there is one user.
    pub(crate) administration: Option<Arc<dyn ProjectAdministration>>,
    /// What OAuth stores; none where it is not offered.
    pub(crate) oauth: Option<Arc<dyn OAuthStore>>,
    /// The console of a folder's user; none where users sign in.
    pub(crate) local_console: Option<Arc<LocalConsole>>,
    /// Counts requests of OAuth that need no key in this process, which applies while Redis is down.
    pub(crate) attempts: MemoryLimiter,
    /// Tokens of the outside issuer; none without one.
    pub(crate) first_sights: Option<FirstSights>,
    /// The OpenID provider with which users sign in, if there is one.
    pub(crate) openid: Option<Arc<OpenIdProvider>>,
    /// Documents about clients of OAuth.
    pub(crate) client_documents: ClientDocuments,
    pub(crate) limiter: Arc<dyn Limiter>,
    /// Counts requests without a valid key, and look-ups of keys, in this process, independent of Redis.
    pub(crate) keyless_limiter: MemoryLimiter,
    /// Counts requests that end a session, of keys that are over their limit.
    pub(crate) endings: MemoryLimiter,
    pub(crate) sessions: Sessions,
    pub(crate) events: EventLog,
    pub(crate) invalidations: Arc<InvalidationBus>,
    pub(crate) calls: Calls,
    /// Calls that continue although their client may be gone.
    pub(crate) running: TaskTracker,
    pub(crate) slots: StreamSlots,
    pub(crate) origins: OriginPolicy,
    pub(crate) database: SharedProbe,
    pub(crate) redis: SharedProbe,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) storage: Option<ReadStorage>,
    pub(crate) redis_state: Option<ReadRedis>,
    pub(crate) replies: Arc<ReplyBudget>,
    /// How many replies are compressed at a time.
    pub(crate) encoders: Arc<Semaphore>,
    pub(crate) connections: Arc<ConnectionRegistry>,
    pub(crate) started: Instant,
    /// Cancelled when the server begins to shut down.
    pub(crate) shutdown: CancellationToken,
    /// Cancelled when the server has stopped listening: streams without end close, and connections after their
    /// request.
    pub(crate) closing: CancellationToken,
}

impl Shared {
    /// The server's own address for a request; none where OAuth is not offered.
    pub(crate) fn oauth_url(&self, request: &Request) -> Option<ServerUrl> {
        self.oauth.as_ref()?;
        self.origins.own_origin(request).as_ref().and_then(ServerUrl::at)
    }

    /// The server's own address for the console, which a server of a folder has, too, if its user has opened it.
    pub(crate) fn console_url(&self, request: &Request) -> Option<ServerUrl> {
        if self.oauth.is_none() && self.local_console.is_none() {
            return None;
        }
        self.origins.own_origin(request).as_ref().and_then(ServerUrl::at)
    }
}
