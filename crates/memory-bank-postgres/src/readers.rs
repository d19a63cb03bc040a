//! Connections that many reads share at once. A read of one statement is its own transaction, so the next one can be
//! sent behind it before it is answered: few processes of the database serve many callers, and stay warm, where a
//! connection for each caller would have as many processes take turns.
//!
//! Only statements that enter and leave their caller's context by themselves may go here; a transaction of several
//! statements has a connection to itself ([`crate::tenant`]).

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use deadpool_postgres::Object;
use memory_bank_core::error::StoreError;

use crate::connect::Database;

/// How many connections are shared.
const SHARED: usize = 4;
/// How many reads may be under way on one of them. Who comes then has a connection to itself.
const TOGETHER: usize = 32;
/// After how many reads a connection goes back to the pool, so that whoever waits there for one has a turn.
const TURN: usize = 1024;

/// The connections that are shared at a moment. They come from the pool, and go back when nobody reads.
#[derive(Debug, Default)]
pub(crate) struct Readers {
    shared: [Mutex<Weak<Reader>>; SHARED],
    next: AtomicUsize,
}

impl Readers {
    /// A seat on a shared connection.
    pub(crate) async fn seat(&self, database: &Database) -> Result<Seat, StoreError> {
        let place = self.next.fetch_add(1, Ordering::Relaxed) % SHARED;
        if let Some(seat) = self.shared.get(place).and_then(|shared| lock(shared).upgrade()?.seat()) {
            return Ok(seat);
        }
        let reader = Arc::new(Reader::of(database.connection().await?));
        let seat = Arc::clone(&reader).seat();
        if let Some(shared) = self.shared.get(place) {
            // Whoever came here at the same moment opened one, too, and loses nothing by that.
            *lock(shared) = Arc::downgrade(&reader);
        }
        seat.ok_or_else(|| StoreError::Unavailable("the connection is gone".to_owned()))
    }
}

fn lock(shared: &Mutex<Weak<Reader>>) -> std::sync::MutexGuard<'_, Weak<Reader>> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A borrowed connection and those who read on it.
struct Reader {
    connection: Option<Object>,
    together: AtomicUsize,
    turn: AtomicUsize,
    broken: AtomicBool,
}

impl std::fmt::Debug for Reader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reader").field("together", &self.together).finish_non_exhaustive()
    }
}

impl Reader {
    fn of(connection: Object) -> Self {
        Self {
            connection: Some(connection),
            together: AtomicUsize::new(0),
            turn: AtomicUsize::new(0),
            broken: AtomicBool::new(false),
        }
    }

    fn seat(self: Arc<Self>) -> Option<Seat> {
        if self.broken.load(Ordering::Relaxed) || self.turn.fetch_add(1, Ordering::Relaxed) >= TURN {
            return None;
        }
        let before = self.together.fetch_add(1, Ordering::Relaxed);
        let seat = Seat(self);
        (before < TOGETHER).then_some(seat)
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        // Otherwise it goes back to the pool. An answer that nobody waits for any more is read and thrown away.
        if self.broken.load(Ordering::Relaxed)
            && let Some(connection) = self.connection.take()
        {
            drop(Object::take(connection));
        }
    }
}

/// One read's part of a shared connection.
#[derive(Debug)]
pub(crate) struct Seat(Arc<Reader>);

impl Seat {
    /// The connection.
    pub(crate) fn client(&self) -> Result<&Object, StoreError> {
        self.0.connection.as_ref().ok_or_else(|| StoreError::Unavailable("the connection is gone".to_owned()))
    }

    /// Takes note of an error: it may be the connection's.
    pub(crate) fn note(&self, error: &tokio_postgres::Error) {
        if error.is_closed() {
            self.give_up();
        }
    }

    /// Nobody is to read on it any more: it answers no longer. It is closed when the last one has left.
    pub(crate) fn give_up(&self) {
        self.0.broken.store(true, Ordering::Relaxed);
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.0.together.fetch_sub(1, Ordering::Relaxed);
    }
}
