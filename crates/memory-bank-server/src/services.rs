//! What a request handler works with: the stores, the state, the hub, time and chance.

use std::sync::Arc;

use memory_bank_core::clock::{Clock, Entropy};
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
}
