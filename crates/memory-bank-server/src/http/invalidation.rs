//! Invalidations between the requests of a server and between replicas: a key was revoked, a session ended or
//! changed, a call was cancelled. They may be lost; the stores are authoritative.

use std::sync::Arc;

use async_trait::async_trait;
use memory_bank_core::identity::KeyHash;
use memory_bank_core::store::SessionId;
use serde::{Deserialize, Serialize};
use tokio::sync::broadcast;
use uuid::Uuid;

/// How many messages a slow receiver may lag behind.
const BACKLOG: usize = 1024;

/// One invalidation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "signal", rename_all = "camelCase")]
pub(crate) enum Invalidation {
    /// A key changed or was revoked; caches evict it.
    KeyChanged {
        /// The hash, in hexadecimal.
        hash: String,
        /// The key, if it was revoked: its streams end.
        revoked: Option<Uuid>,
    },
    /// A session ended or its subscriptions changed; caches evict it.
    SessionChanged {
        /// The session.
        session: SessionId,
        /// Whether it ended: its streams end.
        ended: bool,
    },
    /// Messages were lost; caches are cleared, and streams verify their session and key.
    #[serde(rename = "newsMissed")]
    MessagesMissed,
    /// A client cancels a call.
    CallCancelled {
        /// The session.
        session: SessionId,
        /// The key that cancels. It must be the key that made the call.
        #[serde(default)]
        key: Option<Uuid>,
        /// The id of the request, as JSON.
        request: String,
    },
}

impl Invalidation {
    /// A key changed.
    pub(crate) fn key_changed(hash: &KeyHash, revoked: Option<Uuid>) -> Self {
        Self::KeyChanged { hash: hash.to_hex(), revoked }
    }
}

/// The other replicas.
#[async_trait]
pub(crate) trait Peers: Send + Sync {
    /// Notifies them, within a bounded time. If that fails, they are informed later that they missed something.
    async fn notify(&self, invalidation: Invalidation);
}

/// Distributes invalidations. One that is sent here reaches all receivers of this process and the other replicas;
/// those of other replicas are passed to [`Self::arrived`].
pub(crate) struct InvalidationBus {
    all: broadcast::Sender<Invalidation>,
    peers: Option<Arc<dyn Peers>>,
}

impl InvalidationBus {
    pub(crate) fn new(peers: Option<Arc<dyn Peers>>) -> Self {
        Self { all: broadcast::channel(BACKLOG).0, peers }
    }

    /// Notifies this process, then the peers. They are notified when this returns, so that the next request may go to
    /// any replica.
    pub(crate) async fn send(&self, invalidation: Invalidation) {
        self.arrived(invalidation.clone());
        if let Some(peers) = &self.peers {
            peers.notify(invalidation).await;
        }
    }

    /// Passes on an invalidation of a peer.
    pub(crate) fn arrived(&self, invalidation: Invalidation) {
        // Fails only without receivers.
        let _ = self.all.send(invalidation);
    }

    /// Informs this process that it may have missed invalidations of peers.
    pub(crate) fn missed(&self) {
        self.arrived(Invalidation::MessagesMissed);
    }

    /// Receives everything, from here and from peers.
    pub(crate) fn subscribe(&self) -> broadcast::Receiver<Invalidation> {
        self.all.subscribe()
    }
}
