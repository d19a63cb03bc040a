//! What a request handler works with: the stores, the state, the hub, time and chance.

use std::sync::Arc;

use async_trait::async_trait;
use memory_bank_core::clock::{Clock, Entropy};
use memory_bank_core::limits;
use memory_bank_core::search::Embedder;
use memory_bank_core::store::{StateStore, Workspace};

use crate::hub::Hub;

/// Shared by all connections of a process.
#[derive(Clone)]
pub struct Services {
    /// Finds the bank that a caller means.
    pub workspace: Arc<dyn Workspace>,
    /// Keeps modes and thinking sessions.
    pub state: Arc<dyn StateStore>,
    /// Carries news of changes to subscribers.
    pub hub: Arc<Hub>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Ids.
    pub entropy: Arc<dyn Entropy>,
    /// How large replies may be.
    pub replies: Replies,
    /// Turns queries into vectors, so that search finds by meaning as well; none unless it is set.
    pub embedder: Option<Arc<dyn Embedder>>,
}

/// How large replies may be.
#[derive(Clone)]
pub struct Replies {
    /// The most bytes of text in a reply that can be had in parts. A single document that is asked for by name comes whole.
    pub bytes: usize,
    /// Accounts for the reply to the call under way; nothing where there is one client.
    pub memory: Option<Arc<dyn ReplyMemory>>,
}

impl Default for Replies {
    fn default() -> Self {
        Self { bytes: limits::REPLY_BYTES, memory: None }
    }
}

impl Replies {
    /// Accounts for at least so many bytes of the reply to the call under way.
    ///
    /// # Errors
    /// There is no memory for it.
    pub(crate) async fn need(&self, bytes: usize) -> Result<(), NoMemory> {
        match &self.memory {
            Some(memory) => memory.need(bytes).await,
            None => Ok(()),
        }
    }
}

/// The memory for one reply.
#[async_trait]
pub trait ReplyMemory: Send + Sync {
    /// Accounts for at least so many bytes in all; waits for a moment when there is no room.
    ///
    /// # Errors
    /// There is no memory for it.
    async fn need(&self, bytes: usize) -> Result<(), NoMemory>;
}

/// Why there is no memory for a reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoMemory {
    /// The key's own replies take what it may have.
    Key,
    /// Replies over the same connection take what it may have.
    Connection,
    /// All replies together take what there is.
    Server,
}

impl NoMemory {
    /// What the client reads.
    pub(crate) fn text(self) -> &'static str {
        match self {
            Self::Key => {
                "replies of this key that are being made or were not read yet take all the memory it may have; read them, \
                 and try again in 2 s"
            }
            Self::Connection => {
                "replies over this connection that are being made or were not read yet take all the memory it may have; read \
                 them, and try again in 2 s"
            }
            Self::Server => "replies take all the memory that the server has for them; try again in 2 s",
        }
    }
}
