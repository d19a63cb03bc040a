//! Which connections are open. When there is hardly room for more, those that have been idle for longest give way. Knows
//! nothing of what goes over a connection.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::http::patience::Watch;

/// A connection younger than this is no candidate to give way: its first request may be on its way.
const SETTLED: Duration = Duration::from_secs(2);
/// How long a search for idle connections that found none counts, so that a flood does not make each arrival search.
const SEARCH_PAUSE: Duration = Duration::from_millis(100);

/// All open connections of a server.
#[derive(Debug)]
pub(crate) struct ConnectionRegistry {
    capacity: usize,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    next: u64,
    open: HashMap<u64, Entry>,
    found_none: Option<Instant>,
}

#[derive(Debug)]
struct Entry {
    watch: Arc<Watch>,
    gives_way: CancellationToken,
}

/// The place of one connection; dropping it makes room.
#[derive(Debug)]
pub(crate) struct ConnectionSlot {
    registry: Arc<ConnectionRegistry>,
    number: u64,
    /// What the client does with the connection.
    pub(crate) watch: Arc<Watch>,
    /// Cancelled when the connection is to make room for others.
    pub(crate) gives_way: CancellationToken,
}

impl ConnectionRegistry {
    /// Room for `capacity` connections.
    pub(crate) fn new(capacity: usize) -> Arc<Self> {
        Arc::new(Self { capacity, state: Mutex::default() })
    }

    /// How many connections are open.
    pub(crate) fn open(&self) -> usize {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).open.len()
    }

    /// Room for one more connection; none when all are in use.
    pub(crate) fn take(self: &Arc<Self>, keep_alive: Duration) -> Option<ConnectionSlot> {
        let now = Instant::now();
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.open.len() >= self.capacity.saturating_sub(self.capacity / 10).max(1) {
            state.make_room(self.capacity.div_ceil(100), now);
        }
        if state.open.len() >= self.capacity {
            return None;
        }
        state.next += 1;
        let number = state.next;
        let (watch, gives_way) = (Watch::new(keep_alive), CancellationToken::new());
        let entry = Entry { watch: Arc::clone(&watch), gives_way: gives_way.clone() };
        state.open.insert(number, entry);
        Some(ConnectionSlot { registry: Arc::clone(self), number, watch, gives_way })
    }
}

impl State {
    /// Lets as many idle connections go, first those over which no request ever came, then the longest idle ones. They
    /// end in a moment, so they count no more.
    fn make_room(&mut self, wanted: usize, now: Instant) {
        if self.found_none.is_some_and(|at| now.duration_since(at) < SEARCH_PAUSE) {
            return;
        }
        let mut idle: Vec<(bool, Instant, u64)> = self
            .open
            .iter()
            .filter_map(|(number, entry)| entry.watch.idle().map(|(used, since)| (used, since, *number)))
            .filter(|(_, since, _)| now.duration_since(*since) >= SETTLED)
            .collect();
        self.found_none = idle.is_empty().then_some(now);
        idle.sort_unstable();
        for (_, _, number) in idle.into_iter().take(wanted) {
            if let Some(entry) = self.open.remove(&number) {
                entry.gives_way.cancel();
            }
        }
    }
}

impl Drop for ConnectionSlot {
    fn drop(&mut self) {
        let mut state = self.registry.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.open.remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(180);

    #[tokio::test(start_paused = true)]
    async fn the_longest_idle_connection_gives_way_and_one_in_use_never() {
        let registry = ConnectionRegistry::new(4);
        let slots: Vec<ConnectionSlot> = (0..4).filter_map(|_| registry.take(LONG)).collect();
        assert_eq!(slots.len(), 4);
        let busy = slots[0].watch.begin();
        drop(slots[1].watch.begin());
        tokio::time::advance(Duration::from_secs(3)).await;
        drop(slots[2].watch.begin());
        drop(slots[3].watch.begin());
        tokio::time::advance(Duration::from_secs(3)).await;

        let fifth = registry.take(LONG);
        assert!(fifth.is_some());
        let gone = slots.iter().map(|slot| slot.gives_way.is_cancelled()).collect::<Vec<_>>();
        assert_eq!(gone, [false, true, false, false]);
        assert_eq!(registry.open(), 4);
        drop(busy);
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_that_never_asked_gives_way_before_one_that_did() {
        let registry = ConnectionRegistry::new(2);
        let asked = registry.take(LONG).unwrap();
        drop(asked.watch.begin());
        tokio::time::advance(Duration::from_secs(60)).await;
        let silent = registry.take(LONG).unwrap();
        tokio::time::advance(Duration::from_secs(3)).await;
        assert!(registry.take(LONG).is_some());
        assert!(silent.gives_way.is_cancelled() && !asked.gives_way.is_cancelled());
    }

    #[tokio::test(start_paused = true)]
    async fn where_all_are_in_use_or_just_came_there_is_no_room() {
        let registry = ConnectionRegistry::new(2);
        let slots: Vec<ConnectionSlot> = (0..2).filter_map(|_| registry.take(LONG)).collect();
        assert!(registry.take(LONG).is_none());
        let busy: Vec<_> = slots.iter().map(|slot| slot.watch.begin()).collect();
        tokio::time::advance(LONG).await;
        assert!(registry.take(LONG).is_none());
        drop((busy, slots));
        assert_eq!(registry.open(), 0);
        assert!(registry.take(LONG).is_some());
    }
}
