//! Turns for calls that rebuild a former state (`asOf`), which takes far more memory than a reply. Few run at once: one of a key, and
//! [`AT_ONCE`] of the process, so that their memory is bounded by the bounds of one call. The others wait in the order in which
//! they came, and hold nothing meanwhile.

use std::collections::HashMap;
use std::sync::{Arc, Weak};
use std::time::Duration;

use memory_bank_core::caller::KeyId;
use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout_at;

use crate::reply_memory::NoMemory;

/// The most calls of the process that rebuild former states at once.
const AT_ONCE: usize = 2;
/// The most calls of one key that run or wait.
const PER_KEY: usize = 12;
/// How long a call waits for its turn.
const WAIT: Duration = Duration::from_secs(90);

/// The turns of a process.
#[derive(Debug)]
pub(crate) struct PastTurns {
    all: Arc<Semaphore>,
    keys: Mutex<HashMap<Option<KeyId>, Weak<KeyTurns>>>,
}

#[derive(Debug)]
struct KeyTurns {
    turn: Arc<Semaphore>,
    places: Arc<Semaphore>,
}

/// The turn of one call; dropping it lets the next one begin.
#[derive(Debug)]
pub(crate) struct Turn {
    _all: OwnedSemaphorePermit,
    _key: OwnedSemaphorePermit,
    _place: OwnedSemaphorePermit,
    /// Keeps the entry of the key as long as any of its calls is here.
    _turns: Arc<KeyTurns>,
}

impl Default for PastTurns {
    fn default() -> Self {
        Self { all: Arc::new(Semaphore::new(AT_ONCE)), keys: Mutex::default() }
    }
}

impl PastTurns {
    /// Waits for the turn of a call of this key.
    ///
    /// # Errors
    /// Too many calls of the key wait already, or it took too long.
    pub(crate) async fn turn(&self, key: Option<KeyId>) -> Result<Turn, NoMemory> {
        let turns = self.of_key(key);
        let place = Arc::clone(&turns.places).try_acquire_owned().map_err(|_| NoMemory::PastOfKey)?;
        let deadline = tokio::time::Instant::now() + WAIT;
        let waited = timeout_at(deadline, Arc::clone(&turns.turn).acquire_owned()).await;
        let own = waited.ok().and_then(Result::ok).ok_or(NoMemory::PastOfKey)?;
        let waited = timeout_at(deadline, Arc::clone(&self.all).acquire_owned()).await;
        let all = waited.ok().and_then(Result::ok).ok_or(NoMemory::Past)?;
        Ok(Turn { _all: all, _key: own, _place: place, _turns: turns })
    }

    fn of_key(&self, key: Option<KeyId>) -> Arc<KeyTurns> {
        let mut keys = self.keys.lock();
        if let Some(turns) = keys.get(&key).and_then(Weak::upgrade) {
            return turns;
        }
        keys.retain(|_, turns| turns.strong_count() > 0);
        let turns = Arc::new(KeyTurns {
            turn: Arc::new(Semaphore::new(1)),
            places: Arc::new(Semaphore::new(PER_KEY)),
        });
        keys.insert(key, Arc::downgrade(&turns));
        turns
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn key(number: u128) -> Option<KeyId> {
        Some(KeyId(Uuid::from_u128(number)))
    }

    #[tokio::test(start_paused = true)]
    async fn calls_of_a_key_run_one_after_another_and_all_are_served() {
        let turns = PastTurns::default();
        let running = std::sync::atomic::AtomicUsize::new(0);
        let calls = (0..PER_KEY).map(|_| async {
            let turn = turns.turn(key(1)).await.unwrap();
            let before = running.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
            tokio::time::sleep(WAIT / 15).await;
            running.fetch_sub(1, std::sync::atomic::Ordering::SeqCst);
            drop(turn);
            before
        });
        let before = futures::future::join_all(calls).await;
        assert!(before.iter().all(|before| *before == 0), "{before:?}");
        drop(turns.turn(key(2)).await.unwrap());
        assert_eq!(turns.keys.lock().len(), 1, "keys without calls are forgotten");
    }

    #[tokio::test(start_paused = true)]
    async fn few_calls_of_all_keys_run_at_once_and_too_many_of_one_are_refused() {
        let turns = Arc::new(PastTurns::default());
        let held = [turns.turn(key(1)).await.unwrap(), turns.turn(key(2)).await.unwrap()];
        assert_eq!(turns.turn(key(3)).await.unwrap_err(), NoMemory::Past);
        let waiting: Vec<_> = (1..PER_KEY)
            .map(|_| {
                let turns = Arc::clone(&turns);
                tokio::spawn(async move { turns.turn(key(1)).await })
            })
            .collect();
        tokio::task::yield_now().await;
        assert_eq!(turns.turn(key(1)).await.unwrap_err(), NoMemory::PastOfKey);
        drop(held);
        for call in waiting {
            drop(call.await.unwrap().unwrap());
        }
    }
}
