//! The calls under way in sessions of this process, so that a client can take one back.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use memory_bank_core::store::SessionId;
use tokio_util::sync::CancellationToken;

type UnderWay = HashMap<(SessionId, String), CancellationToken>;

/// The calls under way.
#[derive(Debug, Clone, Default)]
pub(crate) struct Calls(Arc<Mutex<UnderWay>>);

/// A call under way; dropping it ends the account.
#[derive(Debug)]
pub(crate) struct Call {
    name: (SessionId, String),
    pub(crate) cancelled: CancellationToken,
    calls: Calls,
}

impl Calls {
    /// Notes a call. `request` is the id of the request as JSON.
    pub(crate) fn begin(&self, session: SessionId, request: String) -> Call {
        let cancelled = CancellationToken::new();
        let name = (session, request);
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(name.clone(), cancelled.clone());
        Call { name, cancelled, calls: self.clone() }
    }

    /// Cancels a call, if it is under way here.
    pub(crate) fn cancel(&self, session: SessionId, request: &str) {
        let calls = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(cancelled) = calls.get(&(session, request.to_owned())) {
            cancelled.cancel();
        }
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        self.calls.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.name);
    }
}
