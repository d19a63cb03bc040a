//! Dependencies of a request handler: the stores, the state, the hub, clock and entropy.

use std::sync::Arc;

use memory_bank_core::clock::{Clock, Entropy};
use memory_bank_core::limits;
use memory_bank_core::search::Embedder;
use memory_bank_core::store::{StateStore, Workspace};

use crate::hub::Hub;
use crate::past_turns::PastTurns;
use crate::reply_memory::{NoMemory, ReplyMemory};

/// Shared by all connections of a process.
#[derive(Clone)]
pub struct Services {
    /// Finds the caller's bank.
    pub workspace: Arc<dyn Workspace>,
    /// Stores modes and thinking sessions.
    pub state: Arc<dyn StateStore>,
    /// Distributes changes to subscribers.
    pub hub: Arc<Hub>,
    /// The clock.
    pub clock: Arc<dyn Clock>,
    /// The source of ids.
    pub entropy: Arc<dyn Entropy>,
    /// Bounds of replies.
    pub replies: Replies,
    /// Turns queries into vectors for search by meaning; `None` if no embedder is configured.
    pub embedder: Option<Arc<dyn Embedder>>,
}

/// Bounds of replies.
#[derive(Clone)]
pub struct Replies {
    /// The most bytes of text in a reply that can be read in parts. A single document that is requested by name is
    /// returned whole.
    pub bytes: usize,
    /// Reserves memory for the reply of the current call; `None` with a single client.
    pub memory: Option<Arc<dyn ReplyMemory>>,
    /// Turns of the calls that rebuild a former state.
    pub(crate) past_turns: Arc<PastTurns>,
}

impl Default for Replies {
    fn default() -> Self {
        Self::of_bytes(limits::REPLY_BYTES)
    }
}

impl Replies {
    /// Replies of at most `bytes`, for a single client.
    #[must_use]
    pub fn of_bytes(bytes: usize) -> Self {
        Self { bytes, memory: None, past_turns: Arc::default() }
    }

    /// Reserves at least `bytes` for the reply of the current call.
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
