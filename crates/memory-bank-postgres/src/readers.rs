//! Connections that many reads share at once. A read of one statement is its own transaction, so the next one can be
//! sent behind it before it is answered: few processes of the database serve many callers, and stay warm, where a
//! connection for each caller would have as many processes take turns.
//!
//! Only statements that enter and leave their caller's context by themselves may go here; a transaction of several
//! statements has a connection to itself ([`crate::tenant`]).

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use deadpool_postgres::Object;
use memory_bank_core::error::StoreError;
use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::connect::{Answers, Database, WAIT};
use crate::error::is_the_caller_s;

/// The most connections that are shared.
const SHARED: usize = 4;
/// How many reads may be under way on one of them. Who comes then waits for the next one.
const TOGETHER: usize = 32;
/// After how many reads, and after how long, a connection takes no more of them and goes back to the pool, so that whoever
/// waits there for one has a turn. Both are far below what a request waits for a connection.
const TURN: (usize, Duration) = (1024, Duration::from_millis(500));

/// The connections that are shared at a moment. They come from the pool, and go back when nobody reads.
#[derive(Debug)]
pub(crate) struct Readers {
    shared: Vec<Mutex<Weak<Reader>>>,
    next: AtomicUsize,
}

impl Readers {
    /// Readers beside a pool of so many connections: they leave half of them to everything else.
    pub(crate) fn beside(connections: usize) -> Self {
        let places = (connections / 2).clamp(1, SHARED);
        Self { shared: (0..places).map(|_| Mutex::default()).collect(), next: AtomicUsize::new(0) }
    }

    /// A seat on a shared connection.
    pub(crate) async fn seat(&self, database: &Database) -> Result<Seat, StoreError> {
        let place = self.next.fetch_add(1, Ordering::Relaxed) % self.shared.len().max(1);
        let found = async {
            let place = self.shared.get(place).ok_or_else(gone)?;
            // Held until there is a connection: whoever comes meanwhile shares it, and opens none.
            let mut shared = place.lock().await;
            if let Some(seat) = shared.upgrade().and_then(Reader::seat) {
                return Ok(seat);
            }
            let reader = Arc::new(Reader::of(database.connection().await?, Arc::clone(&database.answers)));
            *shared = Arc::downgrade(&reader);
            reader.seat().ok_or_else(gone)
        };
        match tokio::time::timeout(WAIT, found).await {
            Ok(seat) => seat,
            Err(_) => Err(database.no_connection_came_free().await),
        }
    }
}

fn gone() -> StoreError {
    StoreError::Unreachable("the connection is gone".to_owned())
}

/// A borrowed connection and those who read on it.
struct Reader {
    connection: Option<Object>,
    since: Instant,
    together: AtomicUsize,
    turn: AtomicUsize,
    broken: AtomicBool,
    answers: Arc<Answers>,
}

impl std::fmt::Debug for Reader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reader").field("together", &self.together).finish_non_exhaustive()
    }
}

impl Reader {
    fn of(connection: Object, answers: Arc<Answers>) -> Self {
        Self {
            connection: Some(connection),
            since: Instant::now(),
            together: AtomicUsize::new(0),
            turn: AtomicUsize::new(0),
            broken: AtomicBool::new(false),
            answers,
        }
    }

    fn seat(self: Arc<Self>) -> Option<Seat> {
        let closed = self.connection.as_ref().is_none_or(|connection| connection.is_closed());
        if closed || self.broken.load(Ordering::Relaxed) {
            return None;
        }
        let (reads, time) = TURN;
        let before = self.turn.fetch_add(1, Ordering::Relaxed);
        // The first one is always seated, however long it was on its way here.
        if before >= reads || (before > 0 && self.since.elapsed() >= time) {
            return None;
        }
        let together = self.together.fetch_add(1, Ordering::Relaxed);
        let seat = Seat { reader: self, asked: AtomicBool::new(false) };
        (together < TOGETHER).then_some(seat)
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        // Who went away without an answer may have left a statement that still runs, and whoever got the connection from
        // the pool would wait for it.
        let left = *self.together.get_mut() > 0;
        if (left || *self.broken.get_mut())
            && let Some(connection) = self.connection.take()
        {
            drop(Object::take(connection));
        }
    }
}

/// One read's part of a shared connection.
#[derive(Debug)]
pub(crate) struct Seat {
    reader: Arc<Reader>,
    asked: AtomicBool,
}

impl Seat {
    /// The connection, to ask something.
    pub(crate) fn ask(&self) -> Result<&Object, StoreError> {
        self.asked.store(true, Ordering::Relaxed);
        self.reader.connection.as_ref().ok_or_else(gone)
    }

    /// Takes note of an answer. After an error that is not the caller's own, nobody else is to read there: the connection
    /// may have ended, or have lost its statements or its transaction.
    pub(crate) fn answered<T>(&self, answer: &Result<T, tokio_postgres::Error>) {
        self.asked.store(false, Ordering::Relaxed);
        if answer.as_ref().is_err_and(|error| !is_the_caller_s(error)) {
            self.reader.broken.store(true, Ordering::Relaxed);
            self.reader.answers.note_lost();
        } else {
            self.reader.answers.note();
        }
    }

    /// Nobody is to read on it any more: it answers no longer. It is closed when the last one has left.
    pub(crate) fn give_up(&self) {
        self.reader.broken.store(true, Ordering::Relaxed);
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        // What was asked and not answered keeps its place, so that those who come and go cannot pile up statements.
        if !*self.asked.get_mut() {
            self.reader.together.fetch_sub(1, Ordering::Relaxed);
        }
    }
}
