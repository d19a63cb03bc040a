//! News between the requests of a server, and between servers: a key was revoked, a session ended or changed, a call
//! was cancelled. Like all news here it is a hint; what counts is in the stores.

use std::sync::Arc;

use async_trait::async_trait;
use memory_bank_core::identity::KeyHash;
use memory_bank_core::store::SessionId;
use serde::{Deserialize, Serialize};
use tokio::sync::broadcast;
use uuid::Uuid;

/// How many signals a slow receiver may lag behind.
const BACKLOG: usize = 1024;

/// One piece of news.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "signal", rename_all = "camelCase")]
pub(crate) enum Signal {
    /// A key changed or was revoked; caches forget it.
    KeyChanged {
        /// The hash, in hexadecimal.
        hash: String,
        /// The key, if it was revoked: its streams end.
        revoked: Option<Uuid>,
    },
    /// A session ended or its subscriptions changed; caches forget it.
    SessionChanged {
        /// Which.
        session: SessionId,
        /// Whether it ended: its streams end.
        ended: bool,
    },
    /// News was missed; caches forget everything, and streams ask whether they may go on.
    NewsMissed,
    /// A client takes a call back.
    CallCancelled {
        /// The session.
        session: SessionId,
        /// The key that takes it back. It must be the one that made the call.
        #[serde(default)]
        key: Option<Uuid>,
        /// The id of the request, as JSON.
        request: String,
    },
}

impl Signal {
    /// A key changed.
    pub(crate) fn key_changed(hash: &KeyHash, revoked: Option<Uuid>) -> Self {
        Self::KeyChanged { hash: hash.to_hex(), revoked }
    }
}

/// The other servers.
#[async_trait]
pub(crate) trait Others: Send + Sync {
    /// Tells them, within a bounded time. Should that fail, they are told later that they missed something.
    async fn tell(&self, signal: Signal);
}

/// Carries signals. What is sent here reaches all receivers of this process, and the other servers; what comes from
/// those is fed into [`Self::arrived`].
pub(crate) struct Signals {
    all: broadcast::Sender<Signal>,
    others: Option<Arc<dyn Others>>,
}

impl Signals {
    pub(crate) fn new(others: Option<Arc<dyn Others>>) -> Self {
        Self { all: broadcast::channel(BACKLOG).0, others }
    }

    /// Tells this process, then the others; they have been told when this returns, so that whoever is answered next
    /// may turn to any of them.
    pub(crate) async fn send(&self, signal: Signal) {
        self.arrived(signal.clone());
        if let Some(others) = &self.others {
            others.tell(signal).await;
        }
    }

    /// Tells this process what another one said.
    pub(crate) fn arrived(&self, signal: Signal) {
        // Fails only when nobody listens.
        let _ = self.all.send(signal);
    }

    /// Tells this process that it may have missed what others said.
    pub(crate) fn missed(&self) {
        self.arrived(Signal::NewsMissed);
    }

    /// Everything, from here and elsewhere.
    pub(crate) fn subscribe(&self) -> broadcast::Receiver<Signal> {
        self.all.subscribe()
    }
}
