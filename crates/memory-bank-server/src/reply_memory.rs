//! The memory that a reply reserves, and the messages if there is none.

use async_trait::async_trait;

/// The memory for one reply.
#[async_trait]
pub trait ReplyMemory: Send + Sync {
    /// Raises the reservation to at least `bytes`; waits briefly if there is no memory.
    ///
    /// # Errors
    /// There is no memory for it.
    async fn need(&self, bytes: usize) -> Result<(), NoMemory>;
}

/// Why there is no memory for a reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoMemory {
    /// The key's own replies use its budget.
    Key,
    /// Replies over the same connection use its budget.
    Connection,
    /// All replies together use the budget.
    Server,
    /// The key's own calls about former states take their turns.
    PastOfKey,
    /// Those of others take them.
    Past,
}

impl NoMemory {
    /// The client's message.
    pub(crate) fn text(self) -> &'static str {
        match self {
            Self::Key => {
                "replies of this key or token that are being made or were not read yet take all the memory it may have; read them, \
                 and try again in 2 s"
            }
            Self::Connection => {
                "replies over this connection that are being made or were not read yet take all the memory it may have; read \
                 them, and try again in 2 s"
            }
            Self::Server => "replies take all the memory that the server has for them; try again in 2 s",
            Self::PastOfKey => {
                "this key or token has too many calls with `asOf` at once, each of which waits for the one before; try again in 2 s"
            }
            Self::Past => "the server answers other calls with `asOf` first; try again in 2 s",
        }
    }
}
