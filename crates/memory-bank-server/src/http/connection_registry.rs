//! The open connections. When slots run out, the connections that have been idle for longest are closed. It must not
//! know what is sent over a connection.

use parking_lot::Mutex;
use std::collections::{BTreeSet, HashMap};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::http::connection_timeouts::Watch;

/// A younger connection is not closed: its first request may be in transit.
const MIN_AGE: Duration = Duration::from_secs(2);
/// How long an unsuccessful search for idle connections is valid, so that a flood does not cause a search per
/// arrival.
const SEARCH_PAUSE: Duration = Duration::from_millis(100);

/// All open connections of a server.
#[derive(Debug)]
pub(crate) struct ConnectionRegistry {
    capacity: usize,
    per_address: usize,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    next: u64,
    open: HashMap<u64, Entry>,
    of_address: HashMap<IpAddr, BTreeSet<u64>>,
    none_idle_since: Option<Instant>,
}

#[derive(Debug)]
struct Entry {
    address: IpAddr,
    watch: Arc<Watch>,
    evicted: CancellationToken,
}

/// The slot of one connection; dropping it releases the slot.
#[derive(Debug)]
pub(crate) struct ConnectionSlot {
    registry: Arc<ConnectionRegistry>,
    number: u64,
    /// How the client uses the connection.
    pub(crate) watch: Arc<Watch>,
    /// Cancelled when the connection must close for others.
    pub(crate) evicted: CancellationToken,
}

/// Why a connection is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Full {
    /// The server has reached its limit, and no connection is idle.
    Server,
    /// The address has reached its limit, and none of its connections is idle.
    Address,
}

impl ConnectionRegistry {
    /// Creates `capacity` slots, of which one address may use `per_address`.
    pub(crate) fn new(capacity: usize, per_address: usize) -> Arc<Self> {
        Arc::new(Self { capacity, per_address, state: Mutex::default() })
    }

    /// How many connections are open.
    pub(crate) fn open(&self) -> usize {
        self.state.lock().open.len()
    }

    /// A slot for one more connection of an address, or of an IPv6 network.
    pub(crate) fn take(
        self: &Arc<Self>,
        address: IpAddr,
        keep_alive: Duration,
    ) -> Result<ConnectionSlot, Full> {
        let now = Instant::now();
        let mut state = self.state.lock();
        if state.open.len() >= self.capacity.saturating_sub(self.capacity / 10).max(1) {
            state.make_room(self.capacity.div_ceil(100), now);
        }
        if state.open.len() >= self.capacity {
            return Err(Full::Server);
        }
        let of_address = |state: &State| state.of_address.get(&address).map_or(0, BTreeSet::len);
        if of_address(&state) >= self.per_address {
            state.make_room_of(address, now);
            if of_address(&state) >= self.per_address {
                return Err(Full::Address);
            }
        }
        state.next += 1;
        let number = state.next;
        let (watch, evicted) = (Watch::new(keep_alive), CancellationToken::new());
        let entry = Entry { address, watch: Arc::clone(&watch), evicted: evicted.clone() };
        state.open.insert(number, entry);
        state.of_address.entry(address).or_default().insert(number);
        Ok(ConnectionSlot { registry: Arc::clone(self), number, watch, evicted })
    }
}

impl ConnectionSlot {
    /// The number of the connection, unique in this process.
    pub(crate) fn number(&self) -> u64 {
        self.number
    }
}

impl State {
    /// Closes up to `count` idle connections: first those without any request, then the longest idle ones. They end
    /// shortly, so they are not counted any more.
    fn make_room(&mut self, count: usize, now: Instant) {
        if self.none_idle_since.is_some_and(|at| now.duration_since(at) < SEARCH_PAUSE) {
            return;
        }
        let mut idle: Vec<(bool, Instant, u64)> =
            self.open.iter().filter_map(|(number, entry)| entry.idle(*number, now)).collect();
        self.none_idle_since = idle.is_empty().then_some(now);
        idle.sort_unstable();
        for (_, _, number) in idle.into_iter().take(count) {
            self.evict(number);
        }
    }

    /// Closes one idle connection of an address, in the order of [`Self::make_room`].
    fn make_room_of(&mut self, address: IpAddr, now: Instant) {
        let of_address = self.of_address.get(&address).into_iter().flatten();
        let longest = of_address.filter_map(|number| self.open.get(number)?.idle(*number, now)).min();
        if let Some((_, _, number)) = longest {
            self.evict(number);
        }
    }

    fn evict(&mut self, number: u64) {
        if let Some(entry) = self.remove(number) {
            entry.evicted.cancel();
        }
    }

    fn remove(&mut self, number: u64) -> Option<Entry> {
        let entry = self.open.remove(&number)?;
        if let Some(numbers) = self.of_address.get_mut(&entry.address) {
            numbers.remove(&number);
            if numbers.is_empty() {
                self.of_address.remove(&entry.address);
            }
        }
        Some(entry)
    }
}

impl Entry {
    /// The order of closing: whether it was ever used, and since when it is idle; `None` while it is in use or new.
    fn idle(&self, number: u64, now: Instant) -> Option<(bool, Instant, u64)> {
        let (used, since) = self.watch.idle()?;
        (now.duration_since(since) >= MIN_AGE).then_some((used, since, number))
    }
}

impl Drop for ConnectionSlot {
    fn drop(&mut self) {
        let mut state = self.registry.state.lock();
        state.remove(self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(180);
    const A: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));
    const B: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 2));

    #[tokio::test(start_paused = true)]
    async fn connections_of_an_address_are_bounded_and_its_own_idle_ones_close_first() {
        let registry = ConnectionRegistry::new(100, 2);
        let other = registry.take(B, LONG).unwrap();
        tokio::time::advance(Duration::from_secs(60)).await;
        let (first, second) = (registry.take(A, LONG).unwrap(), registry.take(A, LONG).unwrap());
        assert_eq!(registry.take(A, LONG).unwrap_err(), Full::Address);
        assert!(registry.take(B, LONG).is_ok());
        let busy = first.watch.begin();
        tokio::time::advance(Duration::from_secs(3)).await;
        let third = registry.take(A, LONG).unwrap();
        assert!(second.evicted.is_cancelled());
        assert!(!first.evicted.is_cancelled() && !other.evicted.is_cancelled());
        drop((busy, first, second, third));
        assert!([registry.take(A, LONG), registry.take(A, LONG)].iter().all(Result::is_ok));
    }

    #[tokio::test(start_paused = true)]
    async fn the_longest_idle_connection_is_closed_and_one_in_use_never() {
        let registry = ConnectionRegistry::new(4, 4);
        let slots: Vec<ConnectionSlot> = (0..4).filter_map(|_| registry.take(A, LONG).ok()).collect();
        assert_eq!(slots.len(), 4);
        let busy = slots[0].watch.begin();
        drop(slots[1].watch.begin());
        tokio::time::advance(Duration::from_secs(3)).await;
        drop(slots[2].watch.begin());
        drop(slots[3].watch.begin());
        tokio::time::advance(Duration::from_secs(3)).await;

        let fifth = registry.take(A, LONG);
        assert!(fifth.is_ok());
        let gone = slots.iter().map(|slot| slot.evicted.is_cancelled()).collect::<Vec<_>>();
        assert_eq!(gone, [false, true, false, false]);
        assert_eq!(registry.open(), 4);
        drop(busy);
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_without_requests_is_closed_before_one_with_requests() {
        let registry = ConnectionRegistry::new(2, 2);
        let active = registry.take(A, LONG).unwrap();
        drop(active.watch.begin());
        tokio::time::advance(Duration::from_secs(60)).await;
        let silent = registry.take(A, LONG).unwrap();
        tokio::time::advance(Duration::from_secs(3)).await;
        assert!(registry.take(A, LONG).is_ok());
        assert!(silent.evicted.is_cancelled() && !active.evicted.is_cancelled());
    }

    #[tokio::test(start_paused = true)]
    async fn a_new_connection_closes_none_that_is_in_use_or_new() {
        let registry = ConnectionRegistry::new(2, 2);
        let slots: Vec<ConnectionSlot> = (0..2).filter_map(|_| registry.take(A, LONG).ok()).collect();
        assert!(registry.take(A, LONG).is_err());
        let busy: Vec<_> = slots.iter().map(|slot| slot.watch.begin()).collect();
        tokio::time::advance(LONG).await;
        assert!(registry.take(A, LONG).is_err());
        drop((busy, slots));
        assert_eq!(registry.open(), 0);
        assert!(registry.take(A, LONG).is_ok());
    }
}
