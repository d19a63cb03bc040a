//! News between the requests of a server, and between servers: a key was revoked, a session ended or changed, a call
//! was cancelled. Like all news here it is a hint; what counts is in the stores.

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
    /// News was missed; caches forget everything. Never sent to others.
    NewsMissed,
    /// A client takes a call back.
    CallCancelled {
        /// The session.
        session: SessionId,
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

/// Carries signals. What is sent here reaches all receivers of this process; whoever joins processes subscribes to
/// `outgoing` and feeds what comes from elsewhere into [`Self::arrived`].
#[derive(Debug)]
pub(crate) struct Signals {
    all: broadcast::Sender<Signal>,
    outgoing: broadcast::Sender<Signal>,
}

impl Signals {
    pub(crate) fn new() -> Self {
        Self { all: broadcast::channel(BACKLOG).0, outgoing: broadcast::channel(BACKLOG).0 }
    }

    /// Tells this process and the others.
    pub(crate) fn send(&self, signal: Signal) {
        // Both fail only when nobody listens.
        let _ = self.outgoing.send(signal.clone());
        let _ = self.all.send(signal);
    }

    /// Tells this process what another one said.
    pub(crate) fn arrived(&self, signal: Signal) {
        let _ = self.all.send(signal);
    }

    /// Tells this process that it may have missed what others said.
    pub(crate) fn missed(&self) {
        let _ = self.all.send(Signal::NewsMissed);
    }

    /// Everything, from here and elsewhere.
    pub(crate) fn subscribe(&self) -> broadcast::Receiver<Signal> {
        self.all.subscribe()
    }

    /// What was said here.
    pub(crate) fn outgoing(&self) -> broadcast::Receiver<Signal> {
        self.outgoing.subscribe()
    }
}
