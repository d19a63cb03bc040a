//! State across calls, keyed by user and project: the mode, UMB, thinking sessions.
//!
//! Over stdio the process is the session and memory is enough; over HTTP any replica may get the next call, so the
//! database stores it.

use parking_lot::Mutex;
use std::collections::HashMap;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use crate::caller::{Caller, ProjectId, UserId};
use crate::error::StoreError;
use crate::mode::Mode;
use crate::store::DigestVisits;
use crate::thinking::ThinkingSessions;

/// The state of one user in one project.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct SessionState {
    /// The mode.
    pub mode: Mode,
    /// Whether "Update Memory Bank" is active.
    pub umb_active: bool,
    /// Thinking sessions.
    pub thinking: ThinkingSessions,
    /// When the digest was last read.
    #[serde(skip_serializing_if = "DigestVisits::is_empty")]
    pub visits: DigestVisits,
}

/// A change of the state, passed to [`StateStore::update`]; a pure function, since it may run more than once.
pub type StateChange<'a> = dyn FnMut(&mut SessionState) + Send + 'a;

/// Stores [`SessionState`].
#[async_trait]
pub trait StateStore: Send + Sync {
    /// The current state, or the default state.
    async fn load(&self, caller: &Caller) -> Result<SessionState, StoreError>;

    /// Reads, changes and stores the state atomically, and returns the new state.
    async fn update(&self, caller: &Caller, change: &mut StateChange<'_>)
    -> Result<SessionState, StoreError>;
}

/// Stores the state in memory.
#[derive(Debug, Default)]
pub struct MemoryStateStore {
    initial: SessionState,
    states: Mutex<HashMap<(UserId, ProjectId), SessionState>>,
}

impl MemoryStateStore {
    /// A store in which every caller starts from `initial`.
    #[must_use]
    pub fn with_initial(initial: SessionState) -> Self {
        Self { initial, states: Mutex::default() }
    }
}

#[async_trait]
impl StateStore for MemoryStateStore {
    async fn load(&self, caller: &Caller) -> Result<SessionState, StoreError> {
        let states = self.states.lock();
        Ok(states.get(&(caller.user, caller.project)).unwrap_or(&self.initial).clone())
    }

    async fn update(
        &self,
        caller: &Caller,
        change: &mut StateChange<'_>,
    ) -> Result<SessionState, StoreError> {
        let mut states = self.states.lock();
        let state = states.entry((caller.user, caller.project)).or_insert_with(|| self.initial.clone());
        change(state);
        Ok(state.clone())
    }
}
