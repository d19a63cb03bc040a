//! Reads from standbys, which are streaming replicas. The servers of a database answer reads in turn, the least busy one first. A read at
//! a standby shows all that was acknowledged, to anybody, before it began, and nothing that a later read may not show:
//!
//! 1. The primary is asked how far its log is on disk. That is one short statement for all reads that wait at that time.
//! 2. A standby that has replayed the log up to there answers the read. It is asked for its position over the connection of the read,
//!    and before the read's snapshot, so the answer holds whichever server the connection leads to.
//! 3. A standby shows a commit as soon as it has it; the primary a little later, when it acknowledges it. So the primary is asked once
//!    more which transactions it shows, in the same statement as above, and the rows are returned when it shows what they may show.
//! 4. Otherwise, and for any error, the primary answers.
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

use crate::database::Database;
use crate::latest::Latest;
use crate::tenant::{Checked, Query};
pub(crate) use log_position::LogPosition;
use log_position::{Misfit, OfThePrimary, Shown};
pub use standby::StandbyUse;
pub(crate) use standby::{CHECK, Standby};

/// How long the position of the primary is waited for; then the primary answers the read.
const POSITION_TIMEOUT: Duration = Duration::from_secs(1);

/// The time between two questions for the position of the primary. Each costs it about a third of a read.
const POSITION_SPACING: Duration = Duration::from_millis(1);

/// How long a standby is waited for in front of a read, and the primary after it.
const CATCH_UP_TIMEOUT: Duration = Duration::from_secs(2);

/// The pauses in which a standby or the primary may catch up with the other: they are milliseconds apart where all is well.
const PAUSES: [Duration; 5] = [
    Duration::ZERO,
    Duration::from_millis(1),
    Duration::from_millis(2),
    Duration::from_millis(4),
    Duration::from_millis(8),
];

/// All standbys of a database.
#[derive(Debug)]
pub(crate) struct Standbys {
    standbys: Vec<Arc<Standby>>,
    next: AtomicUsize,
    /// Of reads that wait for the primary.
    at_the_primary: AtomicUsize,
    position: Latest<Arc<OfThePrimary>>,
    completed: Latest<()>,
}

impl Standbys {
    pub(crate) fn new(standbys: Vec<Standby>) -> Self {
        Self {
            standbys: standbys.into_iter().map(Arc::new).collect(),
            next: AtomicUsize::new(0),
            at_the_primary: AtomicUsize::new(0),
            position: Latest::spaced(POSITION_SPACING),
            completed: Latest::default(),
        }
    }

    /// Whether there are any.
    pub(crate) fn exist(&self) -> bool {
        !self.standbys.is_empty()
    }

    /// The one for which the fewest reads wait, in turn; none if that is the primary, or if all are left out. One whose time has come is
    /// tried in the background.
    fn next(&self, database: &Database) -> Option<Arc<Standby>> {
        let count = self.standbys.len();
        let first = self.next.fetch_add(1, Ordering::Relaxed) % (count + 1);
        let places = (first..=count).chain(0..first).filter_map(|place| match self.standbys.get(place) {
            Some(standby) => standby
                .is_serving(database)
                .then(|| (standby.under_way().load(Ordering::Relaxed), Some(standby))),
            None => Some((self.at_the_primary.load(Ordering::Relaxed), None)),
        });
        places.min_by_key(|(under_way, _)| *under_way)?.1.cloned()
    }

    /// Counts a read at the primary until this is dropped.
    pub(crate) fn at_the_primary(&self) -> UnderWay<'_> {
        UnderWay::count(&self.at_the_primary)
    }
}

/// A read that is under way.
pub(crate) struct UnderWay<'a>(&'a AtomicUsize);

impl<'a> UnderWay<'a> {
    fn count(counter: &'a AtomicUsize) -> Self {
        counter.fetch_add(1, Ordering::Relaxed);
        Self(counter)
    }
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The rows of a read that sends [`CHECK`], over the same connection, with the answers to it.
type CheckedRows<T> = Result<(Checked, T), StoreError>;

impl Database {
    /// The rows of a read at a standby; none if the primary has to answer.
    pub(crate) async fn at_a_standby<T>(
        &self,
        read: impl AsyncFnOnce(&Standby) -> CheckedRows<T>,
    ) -> Option<T> {
        let standby = self.standbys.next(self)?;
        let _under_way = UnderWay::count(standby.under_way());
        let seen = standby.seen();
        // An error is that of the primary, which the read itself will report.
        let needed = self.primary_position().await.ok()?.position;
        let rows = self.rows_of(&standby, seen, &needed, read).await;
        match &rows {
            Ok(_) => standby.count(),
            Err(misfit) => standby.leave_out(misfit),
        }
        rows.ok()
    }

    async fn rows_of<T>(
        &self,
        standby: &Standby,
        seen: Option<LogPosition>,
        needed: &LogPosition,
        read: impl AsyncFnOnce(&Standby) -> CheckedRows<T>,
    ) -> Result<T, Misfit> {
        if seen.is_some_and(|seen| seen.is_ahead_of(needed)) {
            return Err(Misfit::Unfit("it is ahead of the primary: it follows another one".to_owned()));
        }
        let caught_up = tokio::time::timeout(CATCH_UP_TIMEOUT, self.catch_up(standby, needed)).await;
        caught_up.unwrap_or(Err(Misfit::Behind))?;
        let (shown, rows) = standby.read(needed, read(standby)).await?;
        let is_shown =
            tokio::time::timeout(CATCH_UP_TIMEOUT, self.await_shown(standby, &shown, needed)).await;
        is_shown.unwrap_or(Err(Misfit::Ahead))?;
        Ok(rows)
    }

    /// Waits until the primary shows what a read at a standby may have shown, for a moment only.
    async fn await_shown(
        &self,
        standby: &Standby,
        shown: &Shown,
        needed: &LogPosition,
    ) -> Result<(), Misfit> {
        for pause in PAUSES {
            tokio::time::sleep(pause).await;
            let primary = self.primary_position().await.map_err(|_| Misfit::Refused)?;
            if !primary.position.is_of_history(needed) {
                return Err(Misfit::OtherHistory);
            }
            match primary.hidden(shown) {
                Some(hidden) if hidden.is_empty() || !standby.shows_any(&hidden, shown).await? => {
                    return Ok(());
                }
                _ => {}
            }
        }
        Err(Misfit::Ahead)
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

    /// How far the log of the primary is on disk, and which transactions it shows: whatever was acknowledged before this call is at or
    /// before that place.
    async fn primary_position(&self) -> Result<Arc<OfThePrimary>, StoreError> {
        let ask = async {
            // The first one after a start of the primary writes the mark, and has no position.
            for _ in 0..2 {
                let rows = self.read_alone(Query::new(log_position::OF_THE_PRIMARY, &[])).await?;
                if let Some(primary) = OfThePrimary::of(&rows)? {
                    return Ok(Arc::new(primary));
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
