//! Connections that many reads share. A read of one statement is its own transaction, so the next one can be
//! pipelined behind it: few, warm processes of the database serve many callers.
//!
//! Only statements that enter and leave their caller's context by themselves may be sent here; a transaction of
//! several statements gets its own connection ([`crate::tenant`]).

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use deadpool_postgres::Object;
use memory_bank_core::error::StoreError;
use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::connect::{Answers, Database, WAIT};
use crate::error::is_caller_error;

/// The most shared connections.
const SHARED: usize = 4;
/// The most reads in flight on one of them. Further reads use the next one.
const MAX_IN_FLIGHT: usize = 32;
/// After how many reads, and after how long, a connection accepts no more reads and returns to the pool, so that
/// other waiters get a turn. Both are far below the time that a request waits for a connection.
const TURN: (usize, Duration) = (1024, Duration::from_millis(500));

/// The shared connections. They come from the pool, and return when nobody reads.
#[derive(Debug)]
pub(crate) struct SharedReadPool {
    shared: Vec<Mutex<Weak<Reader>>>,
    next: AtomicUsize,
}

impl SharedReadPool {
    /// A read pool beside a pool of this size: it leaves half of the connections to everything else.
    pub(crate) fn beside(connections: usize) -> Self {
        let places = (connections / 2).clamp(1, SHARED);
        Self { shared: (0..places).map(|_| Mutex::default()).collect(), next: AtomicUsize::new(0) }
    }

    /// A slot on a shared connection.
    pub(crate) async fn seat(&self, database: &Database) -> Result<ReadSlot, StoreError> {
        let place = self.next.fetch_add(1, Ordering::Relaxed) % self.shared.len().max(1);
        let found = async {
            let place = self.shared.get(place).ok_or_else(gone)?;
            // Held until there is a connection: reads that arrive meanwhile share it, and open none.
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

/// A borrowed connection and its readers.
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

    fn seat(self: Arc<Self>) -> Option<ReadSlot> {
        let closed = self.connection.as_ref().is_none_or(|connection| connection.is_closed());
        if closed || self.broken.load(Ordering::Relaxed) {
            return None;
        }
        let (reads, time) = TURN;
        let before = self.turn.fetch_add(1, Ordering::Relaxed);
        // The first read always gets a slot, however long the connection took.
        if before >= reads || (before > 0 && self.since.elapsed() >= time) {
            return None;
        }
        let together = self.together.fetch_add(1, Ordering::Relaxed);
        let seat = ReadSlot { reader: self, asked: AtomicBool::new(false) };
        (together < MAX_IN_FLIGHT).then_some(seat)
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        // A cancelled read may have left a running statement, and the next user of the connection would wait for it.
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
pub(crate) struct ReadSlot {
    reader: Arc<Reader>,
    asked: AtomicBool,
}

impl ReadSlot {
    /// The connection, to send a statement.
    pub(crate) fn ask(&self) -> Result<&Object, StoreError> {
        self.asked.store(true, Ordering::Relaxed);
        self.reader.connection.as_ref().ok_or_else(gone)
    }

    /// Records a result. After an error that is not the caller's own, nobody else may read there: the connection may
    /// be closed, or have lost its statements or its transaction.
    pub(crate) fn answered<T>(&self, answer: &Result<T, tokio_postgres::Error>) {
        self.asked.store(false, Ordering::Relaxed);
        if answer.as_ref().is_err_and(|error| !is_caller_error(error)) {
            self.reader.broken.store(true, Ordering::Relaxed);
            self.reader.answers.note_lost();
        } else {
            self.reader.answers.note();
        }
    }

    /// No further reads: the connection does not answer. It is closed when the last reader has left.
    pub(crate) fn give_up(&self) {
        self.reader.broken.store(true, Ordering::Relaxed);
    }
}

impl Drop for ReadSlot {
    fn drop(&mut self) {
        // A statement that was sent and not answered keeps its slot, so that cancelled reads cannot pile up
        // statements.
        if !*self.asked.get_mut() {
            self.reader.together.fetch_sub(1, Ordering::Relaxed);
        }
    }
}
