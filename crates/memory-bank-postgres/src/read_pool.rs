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

use crate::error::is_caller_error;
use crate::pool::{ConnectionPool, Liveness, WAIT_TIMEOUT};

/// The fewest and the most shared connections of a large pool; between them as many as this process has processors. A read takes as much
/// processor time here as at the database, so further ones would be idle, and each takes part of the reads that the others could
/// answer together: with two instead of four on two processors a read costs the database a fifth less (bench/results/limits.md).
const CONNECTIONS: std::ops::RangeInclusive<usize> = 2..=4;
/// The most reads in flight on one of them. Further reads use the next one.
const MAX_IN_FLIGHT: usize = 32;
/// After how many reads, and after how long, a connection accepts no more reads and returns to the pool, so that
/// others that wait for a connection get one. Both are far below the time that a request waits.
const MAX_READS: usize = 1024;
const MAX_AGE: Duration = Duration::from_millis(500);

/// The shared connections. They come from the pool, and return when nobody reads.
#[derive(Debug)]
pub(crate) struct SharedReadPool {
    shared: Vec<Mutex<Weak<SharedConnection>>>,
    next: AtomicUsize,
}

impl SharedReadPool {
    /// A read pool beside a pool of this size: it leaves half of the connections to everything else.
    pub(crate) fn for_pool_of(connections: usize) -> Self {
        let processors = std::thread::available_parallelism().map_or(*CONNECTIONS.end(), usize::from);
        let most = processors.clamp(*CONNECTIONS.start(), *CONNECTIONS.end());
        let places = (connections / 2).clamp(1, most);
        Self { shared: (0..places).map(|_| Mutex::default()).collect(), next: AtomicUsize::new(0) }
    }

    /// A slot on a shared connection.
    pub(crate) async fn slot(&self, pool: &ConnectionPool) -> Result<ReadSlot, StoreError> {
        let place = self.next.fetch_add(1, Ordering::Relaxed) % self.shared.len().max(1);
        let found = async {
            let place = self.shared.get(place).ok_or_else(closed)?;
            // Held until there is a connection: reads that arrive meanwhile share it, and open none.
            let mut shared = place.lock().await;
            if let Some(slot) = shared.upgrade().and_then(SharedConnection::slot) {
                return Ok(slot);
            }
            let connection = SharedConnection::new(pool.connection().await?, Arc::clone(&pool.liveness));
            let connection = Arc::new(connection);
            *shared = Arc::downgrade(&connection);
            connection.slot().ok_or_else(closed)
        };
        match tokio::time::timeout(WAIT_TIMEOUT, found).await {
            Ok(slot) => slot,
            Err(_) => Err(pool.no_free_connection().await),
        }
    }
}

fn closed() -> StoreError {
    StoreError::Unreachable("the connection is gone".to_owned())
}

/// A borrowed connection and its reads.
struct SharedConnection {
    connection: Option<Object>,
    borrowed_at: Instant,
    in_flight: AtomicUsize,
    reads: AtomicUsize,
    is_broken: AtomicBool,
    liveness: Arc<Liveness>,
}

impl std::fmt::Debug for SharedConnection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SharedConnection").field("in_flight", &self.in_flight).finish_non_exhaustive()
    }
}

impl SharedConnection {
    fn new(connection: Object, liveness: Arc<Liveness>) -> Self {
        Self {
            connection: Some(connection),
            borrowed_at: Instant::now(),
            in_flight: AtomicUsize::new(0),
            reads: AtomicUsize::new(0),
            is_broken: AtomicBool::new(false),
            liveness,
        }
    }

    fn slot(self: Arc<Self>) -> Option<ReadSlot> {
        let closed = self.connection.as_ref().is_none_or(|connection| connection.is_closed());
        if closed || self.is_broken.load(Ordering::Relaxed) {
            return None;
        }
        let before = self.reads.fetch_add(1, Ordering::Relaxed);
        // The first read always gets a slot, however long the connection took.
        if before >= MAX_READS || (before > 0 && self.borrowed_at.elapsed() >= MAX_AGE) {
            return None;
        }
        let in_flight = self.in_flight.fetch_add(1, Ordering::Relaxed);
        let slot = ReadSlot { shared: self, is_unanswered: AtomicBool::new(false) };
        (in_flight < MAX_IN_FLIGHT).then_some(slot)
    }
}

impl Drop for SharedConnection {
    fn drop(&mut self) {
        // A cancelled read may have left a running statement, and the next user of the connection would wait for it.
        let left = *self.in_flight.get_mut() > 0;
        if (left || *self.is_broken.get_mut())
            && let Some(connection) = self.connection.take()
        {
            drop(Object::take(connection));
        }
    }
}

/// One read's part of a shared connection.
#[derive(Debug)]
pub(crate) struct ReadSlot {
    shared: Arc<SharedConnection>,
    /// Whether a statement was sent whose result is not recorded.
    is_unanswered: AtomicBool,
}

impl ReadSlot {
    /// The connection, to send a statement.
    pub(crate) fn connection(&self) -> Result<&Object, StoreError> {
        self.is_unanswered.store(true, Ordering::Relaxed);
        self.shared.connection.as_ref().ok_or_else(closed)
    }

    /// Records a result. After an error that is not the caller's own, nobody else may read there: the connection may
    /// be closed, or have lost its statements or its transaction.
    pub(crate) fn record<T>(&self, result: &Result<T, tokio_postgres::Error>) {
        self.is_unanswered.store(false, Ordering::Relaxed);
        if result.as_ref().is_err_and(|error| !is_caller_error(error)) {
            self.shared.is_broken.store(true, Ordering::Relaxed);
            self.shared.liveness.record_loss();
        } else {
            self.shared.liveness.record_answer();
        }
    }

    /// No further reads: the connection does not answer. It is closed when the last reader has left.
    pub(crate) fn close(&self) {
        self.shared.is_broken.store(true, Ordering::Relaxed);
    }
}

impl Drop for ReadSlot {
    fn drop(&mut self) {
        // A statement that was sent and not answered keeps its slot, so that cancelled reads cannot pile up
        // statements.
        if !*self.is_unanswered.get_mut() {
            self.shared.in_flight.fetch_sub(1, Ordering::Relaxed);
        }
    }
}
