//! Calls in flight in sessions of this process, so that a client can cancel them.

use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use memory_bank_core::caller::KeyId;
use memory_bank_core::store::SessionId;
use tokio_util::sync::CancellationToken;

/// The id of a request is unique per session and key: two keys of a user may choose the same one.
type CallId = (SessionId, Option<KeyId>, String);
type CallsById = HashMap<CallId, Vec<(u64, CancellationToken)>>;

/// The calls in flight.
#[derive(Debug, Clone, Default)]
pub(crate) struct Calls {
    in_flight: Arc<Mutex<CallsById>>,
    started: Arc<AtomicU64>,
}

/// A call in flight; dropping it unregisters the call.
#[derive(Debug)]
pub(crate) struct Call {
    id: CallId,
    number: u64,
    pub(crate) cancelled: CancellationToken,
    calls: Calls,
}

impl Calls {
    /// Registers a call of a key. `request` is the id of the request as JSON.
    pub(crate) fn begin(&self, session: SessionId, key: Option<KeyId>, request: String) -> Call {
        let cancelled = CancellationToken::new();
        let number = self.started.fetch_add(1, Ordering::Relaxed);
        let id = (session, key, request);
        let mut in_flight = self.in_flight.lock();
        in_flight.entry(id.clone()).or_default().push((number, cancelled.clone()));
        Call { id, number, cancelled, calls: self.clone() }
    }

    /// Cancels the calls of this key with this id, if any are in flight here.
    pub(crate) fn cancel(&self, session: SessionId, key: Option<KeyId>, request: &str) {
        let in_flight = self.in_flight.lock();
        for (_, cancelled) in in_flight.get(&(session, key, request.to_owned())).into_iter().flatten() {
            cancelled.cancel();
        }
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        let mut in_flight = self.calls.in_flight.lock();
        if let Some(calls) = in_flight.get_mut(&self.id) {
            calls.retain(|(number, _)| *number != self.number);
            if calls.is_empty() {
                in_flight.remove(&self.id);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    #[test]
    fn a_key_cancels_its_own_calls_and_no_others_of_the_same_id() {
        let calls = Calls::default();
        let session = SessionId(Uuid::nil());
        let key = |number| Some(KeyId(Uuid::from_u128(number)));
        let own = calls.begin(session, key(1), "1".to_owned());
        let other = calls.begin(session, key(2), "1".to_owned());
        let again = calls.begin(session, key(1), "1".to_owned());
        drop(again);
        calls.cancel(session, key(2), "2");
        calls.cancel(session, None, "1");
        assert!(!own.cancelled.is_cancelled() && !other.cancelled.is_cancelled());
        calls.cancel(session, key(1), "1");
        assert!(own.cancelled.is_cancelled() && !other.cancelled.is_cancelled());
        drop((own, other));
        assert!(calls.in_flight.lock().is_empty());
    }
}
