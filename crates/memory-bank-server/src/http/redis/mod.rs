//! State that replicas share through Redis: cached keys and sessions, limits and messages. Redis is optional: if it
//! is down or hangs, some requests lose milliseconds, and then none do, but one a second that tries.

mod breaker;
mod bus;
mod inspect;
mod keys;
mod leases;
mod limiter;
mod link;
mod place;
mod sessions;

use std::sync::Arc;

use memory_bank_core::caller::{KeyId, ProjectId};
use memory_bank_core::clock::{Clock, Entropy};
use memory_bank_core::identity::KeyHash;
use memory_bank_core::limiter::Limiter;
use memory_bank_core::store::{ChangeSink, SessionStore};

pub use inspect::{RedisFacts, RedisFault};
pub(crate) use link::RedisState;
pub use place::RedisError;

use crate::http::auth::KeyCache;
use crate::http::invalidation::{Invalidation, Peers};
use crate::http::probe::Probe;
use crate::hub::Hub;
pub(crate) use bus::Bus;
use bus::Publisher;
use link::Link;

/// A server's Redis. Cheap to clone.
#[derive(Clone)]
pub struct Redis {
    link: Arc<Link>,
    entropy: Arc<dyn Entropy>,
    clock: Arc<dyn Clock>,
    publisher: Publisher,
}

impl Redis {
    /// Prepares a client for the Redis at `url`: one server, the primary that Sentinels name, or a cluster. It does not connect yet, so that a server starts without Redis.
    /// Every key begins with `prefix`.
    ///
    /// # Errors
    /// The URL cannot be parsed.
    pub fn new(
        url: &str,
        prefix: &str,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
    ) -> Result<Self, RedisError> {
        let link = Arc::new(Link::new(url, prefix)?);
        let followed = Arc::clone(&link);
        tokio::spawn(async move { followed.follow().await });
        let publisher = Publisher::start(Arc::clone(&link), entropy.id());
        Ok(Self { link, entropy, clock, publisher })
    }

    /// A cache of keys.
    #[must_use]
    pub fn keys(&self) -> Arc<dyn KeyCache> {
        Arc::new(keys::RedisKeys::new(Arc::clone(&self.link)))
    }

    /// The limits, shared by all replicas.
    #[must_use]
    pub fn limiter(&self) -> Arc<dyn Limiter> {
        Arc::new(limiter::RedisLimiter::new(Arc::clone(&self.link), Arc::clone(&self.entropy)))
    }

    /// Puts a cache in front of a store of sessions.
    #[must_use]
    pub fn sessions(&self, store: Arc<dyn SessionStore>) -> Arc<dyn SessionStore> {
        Arc::new(sessions::RedisSessions::new(Arc::clone(&self.link), store, Arc::clone(&self.clock)))
    }

    /// Whether Redis answers.
    #[must_use]
    pub fn probe(&self) -> Arc<dyn Probe> {
        Arc::clone(&self.link) as Arc<dyn Probe>
    }

    /// Opens the connection that commands use, for the time of a command: the first requests of a server are counted, too.
    pub(crate) async fn open_connection(&self) {
        // Without an answer the server starts as it does without Redis.
        let _health = self.link.health().await;
    }

    /// Use of Redis, and the state of the breaker.
    pub(crate) fn state(&self) -> RedisState {
        self.link.state()
    }

    /// Publishes changes to a hub and to the other replicas.
    #[must_use]
    pub fn sink(&self, hub: Arc<Hub>) -> Arc<dyn ChangeSink> {
        Arc::new(self.publisher.sink(hub))
    }

    /// Makes running servers evict a key that was revoked elsewhere; false if Redis does not answer within three
    /// seconds.
    pub async fn key_revoked(&self, hash: &KeyHash, key: KeyId) -> bool {
        self.publisher.publish_revocation(hash, &Invalidation::key_changed(hash, Some(key.0))).await
    }

    /// Makes running servers look up a key again after it or its member was changed elsewhere; false if Redis does
    /// not answer within three seconds.
    pub async fn key_changed(&self, hash: &KeyHash) -> bool {
        self.publisher.publish_revocation(hash, &Invalidation::key_changed(hash, None)).await
    }

    /// Notifies the subscribers of running servers to read a whole project again; false if Redis does not answer
    /// within three seconds.
    pub async fn project_changed(&self, project: ProjectId) -> bool {
        self.publisher.publish_project_change(project).await
    }

    /// The connection to the other replicas.
    pub(crate) fn bus(&self) -> Bus {
        self.publisher.bus()
    }

    /// The other replicas, as receivers of invalidations.
    pub(crate) fn peers(&self) -> Arc<dyn Peers> {
        Arc::new(self.publisher.clone())
    }
}
