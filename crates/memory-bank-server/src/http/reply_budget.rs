//! Memory for replies that are being made or sent: budgets of the process, of a key and of a connection. A reply is
//! reserved before it is made, and released when the client has received its last byte. It must not know what a reply
//! contains.

use parking_lot::Mutex;
use std::collections::HashMap;
use std::hash::Hash;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use axum::response::Response;
use bytes::Bytes;
use http::header::RETRY_AFTER;
use http::{Extensions, HeaderValue, StatusCode};
use memory_bank_core::caller::KeyId;
use serde_json::Value;
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::http::reply::{self, SERVER_BUSY};
use crate::reply_memory::{NoMemory, ReplyMemory};

/// How long a request waits for memory before it is refused.
const RESERVE_TIMEOUT: Duration = Duration::from_secs(5);

/// The memory of all replies.
#[derive(Debug)]
pub(crate) struct ReplyBudget {
    total: usize,
    per_key: usize,
    per_connection: usize,
    state: Mutex<State>,
    freed: Notify,
}

#[derive(Debug, Default)]
struct State {
    /// What all reservations have.
    reserved: Usage,
    /// What those of them have that wait for more. None of these would end if each waited for the others, so the bytes of those that
    /// wait do not count where no other reservation is left.
    waiting: Usage,
}

/// Bytes in all, by key and by connection.
#[derive(Debug, Default)]
struct Usage {
    all: usize,
    keys: HashMap<Option<KeyId>, usize>,
    connections: HashMap<ConnectionId, usize>,
}

/// The number of a connection in this process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct ConnectionId(pub(crate) u64);

/// The owner of a reservation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Holder {
    pub(crate) key: Option<KeyId>,
    /// The connection of the reply, if known.
    pub(crate) connection: Option<ConnectionId>,
}

impl Holder {
    /// The holder of a request without a key.
    pub(crate) fn without_key(extensions: &Extensions) -> Self {
        Self { key: None, connection: extensions.get().copied() }
    }
}

/// The reservation of one reply; dropping it releases the memory.
#[derive(Debug)]
pub(crate) struct Reservation {
    budget: Arc<ReplyBudget>,
    holder: Holder,
    bytes: Mutex<usize>,
}

impl ReplyBudget {
    /// Creates a budget of `total` bytes for all replies and `per_key` bytes for those of one key. A connection, which may be a
    /// proxy's and carry
    /// several keys, gets twice as many as a key.
    pub(crate) fn new(total: usize, per_key: usize) -> Arc<Self> {
        let per_connection = per_key.saturating_mul(2);
        Arc::new(Self { total, per_key, per_connection, state: Mutex::default(), freed: Notify::new() })
    }

    /// How many bytes are reserved.
    #[cfg(test)]
    fn used(&self) -> usize {
        self.state.lock().reserved.all
    }

    /// Reserves memory for a reply; waits briefly if there is none.
    pub(crate) async fn reserve(
        self: &Arc<Self>,
        holder: Holder,
        bytes: usize,
    ) -> Result<Arc<Reservation>, NoMemory> {
        let reservation = Reservation { budget: Arc::clone(self), holder, bytes: Mutex::new(0) };
        reservation.need(bytes).await?;
        Ok(Arc::new(reservation))
    }
}

impl Usage {
    fn of_key(&self, key: Option<KeyId>) -> usize {
        self.keys.get(&key).copied().unwrap_or_default()
    }

    fn of_connection(&self, connection: ConnectionId) -> usize {
        self.connections.get(&connection).copied().unwrap_or_default()
    }

    fn change(&mut self, holder: Holder, from: usize, to: usize) {
        self.all = self.all.saturating_sub(from).saturating_add(to);
        change(&mut self.keys, holder.key, from, to);
        if let Some(connection) = holder.connection {
            change(&mut self.connections, connection, from, to);
        }
    }
}

fn change<K: Eq + Hash + Copy>(counts: &mut HashMap<K, usize>, of: K, from: usize, to: usize) {
    let count = counts.entry(of).or_default();
    *count = count.saturating_sub(from).saturating_add(to);
    if *count == 0 {
        counts.remove(&of);
    }
}

impl Reservation {
    /// Raises the reservation to `requested_bytes` bytes, if there is room. A reply that is larger than the whole budget is
    /// admitted if no other one is being made. `waiting`: the bytes of this reservation that count as waiting.
    fn try_grow(&self, requested_bytes: usize, waiting: usize) -> Result<(), NoMemory> {
        let mut own = self.bytes.lock();
        if requested_bytes <= *own {
            return Ok(());
        }
        let mut state = self.budget.state.lock();
        let State { reserved, waiting: all_waiting } = &*state;
        let fits = |of: fn(&Usage, Holder) -> usize, most: usize| {
            let others = of(reserved, self.holder).saturating_sub(*own);
            let others_waiting = of(all_waiting, self.holder).saturating_sub(waiting);
            // So all together have at most the budget and the one reply that passes.
            let only_waiting = others <= others_waiting && others <= most;
            only_waiting || others.saturating_add(requested_bytes) <= most
        };
        if !fits(|usage, holder| usage.of_key(holder.key), self.budget.per_key) {
            return Err(NoMemory::Key);
        }
        let of_connection =
            |usage: &Usage, holder: Holder| holder.connection.map_or(0, |one| usage.of_connection(one));
        if !fits(of_connection, self.budget.per_connection) {
            return Err(NoMemory::Connection);
        }
        if !fits(|usage, _| usage.all, self.budget.total) {
            return Err(NoMemory::Server);
        }
        state.reserved.change(self.holder, *own, requested_bytes);
        *own = requested_bytes;
        Ok(())
    }

    /// Sets the reservation to the size of the finished reply.
    pub(crate) fn settle(&self, bytes: usize) {
        let mut own = self.bytes.lock();
        self.budget.state.lock().reserved.change(self.holder, *own, bytes);
        *own = bytes;
        self.budget.freed.notify_waiters();
    }
}

#[async_trait]
impl ReplyMemory for Reservation {
    async fn need(&self, bytes: usize) -> Result<(), NoMemory> {
        if self.try_grow(bytes, 0).is_ok() {
            return Ok(());
        }
        let deadline = Instant::now() + RESERVE_TIMEOUT;
        let waiting = Waiting::of(self);
        loop {
            let mut freed = pin!(self.budget.freed.notified());
            freed.as_mut().enable();
            let Err(full) = self.try_grow(bytes, waiting.bytes) else { return Ok(()) };
            if tokio::time::timeout_at(deadline, freed).await.is_err() {
                return Err(full);
            }
        }
    }
}

/// A reservation that waits for more memory, until it is dropped.
struct Waiting<'r> {
    reservation: &'r Reservation,
    bytes: usize,
}

impl<'r> Waiting<'r> {
    fn of(reservation: &'r Reservation) -> Self {
        let bytes = *reservation.bytes.lock();
        reservation.budget.state.lock().waiting.change(reservation.holder, 0, bytes);
        // Others that wait may be the only ones now.
        reservation.budget.freed.notify_waiters();
        Self { reservation, bytes }
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.reservation.budget.state.lock().waiting.change(self.reservation.holder, self.bytes, 0);
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.settle(0);
    }
}

/// Bytes of a reply that stay reserved as long as any part of them is held.
struct Accounted {
    bytes: Bytes,
    _reservation: Arc<Reservation>,
}

impl AsRef<[u8]> for Accounted {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

/// Attaches a reservation to the bytes of a reply: a buffer that holds a piece, such as one of HTTP/2, holds the
/// reservation.
pub(crate) fn accounted(bytes: impl Into<Bytes>, reservation: &Arc<Reservation>) -> Bytes {
    let bytes = bytes.into();
    if bytes.is_empty() {
        return bytes;
    }
    Bytes::from_owner(Accounted { bytes, _reservation: Arc::clone(reservation) })
}

/// The memory of a reply of this size while it is being sent.
pub(crate) fn bytes_while_sent(bytes: usize) -> usize {
    /// Headers, buffers and tasks.
    const OVERHEAD: usize = 8 * 1024;
    bytes.saturating_add(OVERHEAD)
}

/// The reply to a request that gets no memory.
pub(crate) fn refusal(full: NoMemory, id: Option<&Value>) -> Response {
    let status = match full {
        NoMemory::Key | NoMemory::Connection | NoMemory::PastOfKey => StatusCode::TOO_MANY_REQUESTS,
        NoMemory::Server | NoMemory::Past => StatusCode::SERVICE_UNAVAILABLE,
    };
    with_retry(reply::rpc_error(status, id, SERVER_BUSY, full.text()))
}

/// The refusal of a request that is not JSON-RPC.
pub(crate) fn plain_refusal(full: NoMemory) -> Response {
    let status = refusal(full, None).status();
    with_retry(reply::error(status, full.text()))
}

/// Adds the time to retry.
pub(crate) fn with_retry(mut response: Response) -> Response {
    response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("2"));
    response
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use uuid::Uuid;

    use super::*;

    fn key(number: u128) -> Holder {
        Holder { key: Some(KeyId(Uuid::from_u128(number))), connection: None }
    }

    fn over(holder: Holder, connection: u64) -> Holder {
        Holder { connection: Some(ConnectionId(connection)), ..holder }
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_has_one_share_for_all_keys_on_it() {
        let budget = ReplyBudget::new(1000, 50);
        let held = [
            budget.reserve(over(key(1), 7), 50).await.unwrap(),
            budget.reserve(over(key(2), 7), 40).await.unwrap(),
        ];
        assert_eq!(budget.reserve(over(key(3), 7), 20).await.unwrap_err(), NoMemory::Connection);
        // Other connections of these keys, and other keys of this connection, have used their budgets.
        assert!(budget.reserve(over(key(3), 8), 20).await.is_ok());
        assert!(budget.reserve(over(key(3), 7), 10).await.is_ok());
        assert_eq!(budget.reserve(over(key(1), 9), 10).await.unwrap_err(), NoMemory::Key);
        drop(held);
        assert!(budget.state.lock().reserved.connections.is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn a_key_has_its_share_and_all_keys_share_the_whole() {
        let budget = ReplyBudget::new(100, 60);
        let first = budget.reserve(key(1), 50).await.unwrap();
        assert_eq!(budget.reserve(key(1), 20).await.unwrap_err(), NoMemory::Key);
        let second = budget.reserve(key(2), 50).await.unwrap();
        assert_eq!(budget.reserve(key(3), 10).await.unwrap_err(), NoMemory::Server);
        assert_eq!(first.need(60).await.unwrap_err(), NoMemory::Server);
        drop(second);
        first.need(60).await.unwrap();
        drop(first);
        assert_eq!(budget.used(), 0);
        assert!(budget.state.lock().reserved.keys.is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_waits_briefly_for_an_earlier_one() {
        let budget = ReplyBudget::new(100, 100);
        let first = budget.reserve(key(1), 100).await.unwrap();
        let end = async {
            tokio::time::sleep(RESERVE_TIMEOUT / 2).await;
            first.settle(10);
        };
        let (second, ()) = tokio::join!(budget.reserve(key(1), 90), end);
        assert_eq!((second.is_ok(), budget.used()), (true, 100));
    }

    #[tokio::test(start_paused = true)]
    async fn requests_that_wait_for_each_other_pass_one_after_the_other() {
        let budget = ReplyBudget::new(1000, 50);
        for (held, wanted) in [(1, 60), (20, 40)] {
            let began = Instant::now();
            let (running, most) = (Cell::new(0), Cell::new(0));
            let call = async |number: u64| {
                let reservation = budget.reserve(over(key(1), number), held).await?;
                tokio::time::sleep(Duration::from_millis(10)).await;
                reservation.need(wanted).await?;
                running.set(running.get() + 1);
                most.set(running.get().max(most.get()));
                tokio::time::sleep(Duration::from_millis(100)).await;
                running.set(running.get() - 1);
                Ok::<_, NoMemory>(())
            };
            let (one, two) = tokio::join!(call(1), call(2));
            assert_eq!((one, two, most.get()), (Ok(()), Ok(()), 1));
            assert!(began.elapsed() < RESERVE_TIMEOUT);
        }
        assert_eq!(budget.used(), 0);
        assert!(budget.state.lock().waiting.keys.is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn replies_that_grow_in_turns_have_at_most_the_budget_and_one_of_them() {
        let budget = ReplyBudget::new(1000, 50);
        let most = Cell::new(0);
        let call = async |number: u64| {
            let reservation = budget.reserve(over(key(1), number), 5).await?;
            for step in 1..=4 {
                tokio::time::sleep(Duration::from_millis(10)).await;
                reservation.need(20 * step).await?;
                most.set(most.get().max(budget.used()));
            }
            Ok::<_, NoMemory>(())
        };
        let done = tokio::join!(call(1), call(2), call(3), call(4));
        assert_eq!(done, (Ok(()), Ok(()), Ok(()), Ok(())));
        assert!(most.get() <= 50 + 80, "{}", most.get());
    }

    #[tokio::test(start_paused = true)]
    async fn a_reply_above_the_whole_budget_passes_alone() {
        let budget = ReplyBudget::new(100, 50);
        let large = budget.reserve(key(1), 500).await.unwrap();
        assert!(budget.reserve(key(2), 1).await.is_err());
        drop(large);
        assert!(budget.reserve(key(2), 1).await.is_ok());
    }

    #[tokio::test]
    async fn bytes_stay_reserved_until_their_last_piece_is_dropped() {
        let budget = ReplyBudget::new(100, 100);
        let reservation = budget.reserve(key(1), 40).await.unwrap();
        let mut bytes = accounted(vec![7; 40], &reservation);
        drop(reservation);
        let piece = bytes.split_to(1);
        drop(bytes);
        assert_eq!(budget.used(), 40);
        drop(piece);
        assert_eq!(budget.used(), 0);
    }
}
