//! One query at a time for each key: concurrent requests of a key wait for the query in flight, and use its result.

use std::collections::HashMap;
use std::sync::Arc;

use memory_bank_core::identity::KeyHash;
use parking_lot::Mutex;
use tokio::sync::MutexGuard;

/// The keys with a query in flight, and the value that a query leaves for the requests that wait for it.
pub(crate) struct Turns<T>(Mutex<HashMap<KeyHash, Slot<T>>>);

struct Slot<T> {
    tickets: usize,
    last: Arc<tokio::sync::Mutex<T>>,
}

/// A request that waits for its turn or has it. If it is dropped, the next one has its turn; with the last one the key
/// is forgotten.
pub(crate) struct Ticket<'a, T> {
    turns: &'a Turns<T>,
    hash: KeyHash,
    last: Arc<tokio::sync::Mutex<T>>,
}

impl<T: Default> Turns<T> {
    /// Joins the requests of a key.
    pub(crate) fn ticket(&self, hash: KeyHash) -> Ticket<'_, T> {
        let mut slots = self.0.lock();
        let slot = slots.entry(hash).or_insert_with(|| Slot { tickets: 0, last: Arc::default() });
        slot.tickets += 1;
        Ticket { turns: self, hash, last: Arc::clone(&slot.last) }
    }
}

impl<T> Ticket<'_, T> {
    /// Waits for the turn; returns the value that the query before has left.
    pub(crate) async fn turn(&self) -> MutexGuard<'_, T> {
        self.last.lock().await
    }
}

impl<T> Drop for Ticket<'_, T> {
    fn drop(&mut self) {
        let mut slots = self.turns.0.lock();
        if let Some(slot) = slots.get_mut(&self.hash) {
            slot.tickets = slot.tickets.saturating_sub(1);
            if slot.tickets == 0 {
                slots.remove(&self.hash);
            }
        }
    }
}

impl<T> Default for Turns<T> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn requests_of_a_key_take_turns_and_leave_nothing() {
        let turns: Turns<u32> = Turns::default();
        let (hash, other) = (KeyHash::of(b"a"), KeyHash::of(b"b"));
        let (first, second) = (turns.ticket(hash), turns.ticket(hash));
        let mut turn = first.turn().await;
        *turn = 7;
        {
            let mut waiting = std::pin::pin!(second.turn());
            assert!(futures::poll!(waiting.as_mut()).is_pending());
            assert_eq!(*turns.ticket(other).turn().await, 0, "another key waits for this one");
            drop(turn);
            drop(first);
            assert_eq!(*waiting.await, 7);
        }
        drop(second);
        assert!(turns.0.lock().is_empty());
    }
}
