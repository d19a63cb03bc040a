//! Reads from standbys, which are streaming replicas. A read there shows all that was acknowledged, to anybody, before it began:
//!
//! 1. The primary is asked how far its log is on disk. That is one short statement for all reads that wait at that time.
//! 2. A standby that has replayed the log up to there answers the read. It is asked for its position over the connection of the read,
//!    and before the read's snapshot, so the answer holds whichever server the connection leads to.
//! 3. Otherwise, and for any error, the primary answers.
//!
//! A standby that is dead, silent, late, or follows another primary is left out, and tried again in the background. This module must
//! not know tenants.

mod log_position;
mod standby;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures::future::join_all;
use memory_bank_core::error::StoreError;
use tokio_postgres::Row;

use crate::database::Database;
use crate::latest::Latest;
use crate::tenant::Query;
pub(crate) use log_position::LogPosition;
use log_position::Misfit;
pub use standby::StandbyUse;
pub(crate) use standby::{BEFORE, Standby};

/// How long the position of the primary is waited for; then the primary answers the read.
const POSITION_TIMEOUT: Duration = Duration::from_secs(1);

/// The pauses in which a standby may catch up: replay is milliseconds behind where all is well.
const PAUSES: [Duration; 5] = [
    Duration::ZERO,
    Duration::from_millis(1),
    Duration::from_millis(2),
    Duration::from_millis(4),
    Duration::from_millis(8),
];

/// All standbys of a database.
#[derive(Debug, Default)]
pub(crate) struct Standbys {
    standbys: Vec<Arc<Standby>>,
    next: AtomicUsize,
    position: Latest<Arc<LogPosition>>,
    completed: Latest<()>,
}

impl Standbys {
    pub(crate) fn new(standbys: Vec<Standby>) -> Self {
        Self { standbys: standbys.into_iter().map(Arc::new).collect(), ..Self::default() }
    }

    /// Whether there are any.
    pub(crate) fn exist(&self) -> bool {
        !self.standbys.is_empty()
    }

    /// The next one in turn that is not left out. One whose time has come is tried in the background.
    fn next(&self, database: &Database) -> Option<Arc<Standby>> {
        let count = self.standbys.len();
        let first = if count == 0 { 0 } else { self.next.fetch_add(1, Ordering::Relaxed) % count };
        let mut in_turn = self.standbys.iter().cycle().skip(first).take(count);
        in_turn.find(|standby| standby.is_serving(database)).cloned()
    }
}

/// A standby that has replayed all that a read needs, as it seems.
pub(crate) struct StandbyReader {
    standby: Arc<Standby>,
    needed: Arc<LogPosition>,
}

impl StandbyReader {
    /// The standby.
    pub(crate) fn standby(&self) -> &Standby {
        &self.standby
    }

    /// The rows of a read that sends [`BEFORE`] first, over the same connection, and returns the rows of both; none if the
    /// primary has to answer.
    pub(crate) async fn rows<T>(
        &self,
        read: impl Future<Output = Result<(Vec<Row>, T), StoreError>>,
    ) -> Option<T> {
        let outcome = self.standby.read(&self.needed, read).await;
        outcome.map_err(|misfit| self.standby.leave_out(&misfit)).ok()
    }
}

impl Database {
    /// A standby for a read; none if the primary has to answer.
    pub(crate) async fn standby_for_a_read(&self) -> Option<StandbyReader> {
        let standby = self.standbys.next(self)?;
        let seen = standby.seen();
        // An error is that of the primary, which the read itself will report.
        let needed = self.primary_position().await.ok()?;
        let caught_up = match seen {
            Some(seen) if seen.is_ahead_of(&needed) => {
                Err(Misfit::Unfit("it is ahead of the primary: it follows another one".to_owned()))
            }
            _ => self.catch_up(&standby, &needed).await,
        };
        match caught_up {
            Ok(()) => Some(StandbyReader { standby, needed }),
            Err(misfit) => {
                standby.leave_out(&misfit);
                None
            }
        }
    }

    /// Waits until a standby has replayed up to this position, for a moment only.
    async fn catch_up(&self, standby: &Standby, needed: &LogPosition) -> Result<(), Misfit> {
        if standby.is_known_to_cover(needed) {
            return Ok(());
        }
        let mut last = Misfit::Behind;
        for (attempt, pause) in PAUSES.into_iter().enumerate() {
            tokio::time::sleep(pause).await;
            match standby.covers(needed).await {
                Err(misfit @ (Misfit::Behind | Misfit::OtherHistory)) => last = misfit,
                outcome => return outcome,
            }
            if attempt == 0 && needed.may_end_within_a_record() {
                // An error is that of the primary; the standby stays behind.
                let complete =
                    async { self.read_alone(Query::new(log_position::COMPLETE, &[])).await.map(drop) };
                let _completed =
                    tokio::time::timeout(POSITION_TIMEOUT, self.standbys.completed.ask(complete)).await;
            }
        }
        Err(last)
    }

    /// How far the log of the primary is on disk: whatever was acknowledged before this call is at or before it.
    async fn primary_position(&self) -> Result<Arc<LogPosition>, StoreError> {
        let ask = async {
            // The first one after a start of the primary writes the mark, and has no position.
            for _ in 0..2 {
                let rows = self.read_alone(Query::new(log_position::OF_THE_PRIMARY, &[])).await?;
                if let Some(position) = LogPosition::of(&rows)? {
                    return Ok(Arc::new(position));
                }
            }
            Err(StoreError::Unavailable(
                "the primary has no position to rely on, as with `synchronous_commit = off`".to_owned(),
            ))
        };
        let asked = tokio::time::timeout(POSITION_TIMEOUT, self.standbys.position.ask(ask)).await;
        asked.unwrap_or_else(|_| Err(StoreError::Unreachable("the primary does not answer".to_owned())))
    }

    /// Checks all standbys: the name of each, and why it does not serve.
    pub async fn check_standbys(&self) -> Vec<(String, Result<(), String>)> {
        join_all(self.standbys.standbys.iter().map(async |standby| {
            let outcome = standby.try_to_serve(self).await;
            (standby.name().to_owned(), outcome.map_err(|misfit| misfit.to_string()))
        }))
        .await
    }

    /// The use of each standby.
    #[must_use]
    pub fn standby_use(&self) -> Vec<StandbyUse> {
        self.standbys.standbys.iter().map(|standby| standby.usage()).collect()
    }
}
