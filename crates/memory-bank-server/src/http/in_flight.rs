//! Calls in flight in sessions of this process, so that a client can cancel them.

use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use memory_bank_core::caller::KeyId;
use memory_bank_core::store::SessionId;
use tokio_util::sync::CancellationToken;

/// A request id is unique per session and key: two keys of a user may choose the same one.
type Name = (SessionId, Option<KeyId>, String);
type UnderWay = HashMap<Name, Vec<(u64, CancellationToken)>>;

/// The calls in flight.
#[derive(Debug, Clone, Default)]
pub(crate) struct Calls {
    under_way: Arc<Mutex<UnderWay>>,
    begun: Arc<AtomicU64>,
}

/// A call in flight; dropping it unregisters the call.
#[derive(Debug)]
pub(crate) struct Call {
    name: Name,
    number: u64,
    pub(crate) cancelled: CancellationToken,
    calls: Calls,
}

impl Calls {
    /// Registers a call of a key. `request` is the id of the request as JSON.
    pub(crate) fn begin(&self, session: SessionId, key: Option<KeyId>, request: String) -> Call {
        let cancelled = CancellationToken::new();
        let number = self.begun.fetch_add(1, Ordering::Relaxed);
        let name = (session, key, request);
        let mut under_way = self.under_way.lock();
        under_way.entry(name.clone()).or_default().push((number, cancelled.clone()));
        Call { name, number, cancelled, calls: self.clone() }
    }

    /// Cancels the calls of this key with this id, if any are in flight here.
    pub(crate) fn cancel(&self, session: SessionId, key: Option<KeyId>, request: &str) {
        let under_way = self.under_way.lock();
        for (_, cancelled) in under_way.get(&(session, key, request.to_owned())).into_iter().flatten() {
            cancelled.cancel();
        }
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        let mut under_way = self.calls.under_way.lock();
        if let Some(calls) = under_way.get_mut(&self.name) {
            calls.retain(|(number, _)| *number != self.number);
            if calls.is_empty() {
                under_way.remove(&self.name);
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
        assert!(calls.under_way.lock().is_empty());
    }
}
