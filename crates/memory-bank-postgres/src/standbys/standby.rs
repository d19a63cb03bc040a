//! One standby: its connections, and whether it serves. It must not know which reads there are.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use memory_bank_core::error::StoreError;
use parking_lot::Mutex;
use tokio::time::Instant;
use tokio_postgres::Row;

use super::log_position::{
    IDENTITY, Identity, LogPosition, Misfit, OF_A_STANDBY, SHOWN_BY_A_STANDBY, SHOWS_ANY, Shown,
};
use crate::connect_error::ConnectError;
use crate::database::Database;
use crate::latest::Latest;
use crate::pool::ConnectionPool;
use crate::pooler::Pooling;
use crate::read_pool::SharedReadPool;
use crate::tenant::{Check, Checked, Query, Value, read_on_a_shared_connection};

/// How long a read may take to get a connection, and to prepare its statements on a new one.
const OPENING: Duration = Duration::from_secs(2);
/// What a read sends first and last. The standby has a second for its first answer.
pub(crate) const CHECK: Check = Check {
    before: OF_A_STANDBY,
    after: SHOWN_BY_A_STANDBY,
    opening: OPENING,
    within: Duration::from_secs(1),
};
/// The longest read; a longer one is for the primary.
const READ_TIMEOUT: Duration = Duration::from_secs(10);
/// The time until a standby that was left out is tried again: the first, and the longest.
const RETRY: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(30));
/// One that is left out again this soon after it came back is left out for twice as long as before.
const STEADY: Duration = Duration::from_secs(60);
/// So many reads in turn that do not end show that a standby hangs.
const MOST_UNANSWERED: usize = 2;
/// How often the log has that a standby is left out, at most.
const REPORT_INTERVAL: Duration = Duration::from_secs(60);
/// The longest trial.
const TRIAL_TIMEOUT: Duration = Duration::from_secs(15);

/// The use of a standby.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StandbyUse {
    /// Its host and port.
    pub name: String,
    /// How many reads it has answered.
    pub reads: u64,
    /// Whether it serves; otherwise it is left out.
    pub is_serving: bool,
}

/// A standby that is left out.
#[derive(Debug, Clone, Copy)]
struct LeftOut {
    /// When it is tried again.
    until: Instant,
    /// The time until the next trial, if this one fails.
    pause: Duration,
    /// Since when it is tried.
    on_trial_since: Option<Instant>,
    /// Whether the log has it.
    is_reported: bool,
}

impl LeftOut {
    fn since_now(pause: Duration, is_reported: bool) -> Self {
        Self { until: Instant::now() + pause, pause, on_trial_since: None, is_reported }
    }
}

/// One standby.
pub(crate) struct Standby {
    name: String,
    pool: ConnectionPool,
    read_pool: SharedReadPool,
    left_out: Mutex<Option<LeftOut>>,
    position: Latest<LogPosition>,
    /// The latest position that was seen, as a hint.
    seen: Mutex<Option<LogPosition>>,
    reads: AtomicU64,
    under_way: AtomicUsize,
    /// Reads in turn that did not end.
    unanswered: AtomicUsize,
    /// When it came back, and after which pause.
    back: Mutex<Option<(Instant, Duration)>>,
    /// Whether it was found that a connection keeps its session, and leads to this database.
    is_known: AtomicBool,
    reported_at: Mutex<Option<Instant>>,
}

impl fmt::Debug for Standby {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Standby").field("name", &self.name).finish_non_exhaustive()
    }
}

impl Standby {
    /// A standby that is not tried yet.
    pub(crate) fn new(name: String, pool: ConnectionPool, connections: usize) -> Self {
        Self {
            name,
            pool,
            read_pool: SharedReadPool::for_pool_of(connections),
            left_out: Mutex::new(Some(LeftOut::since_now(Duration::ZERO, false))),
            position: Latest::default(),
            seen: Mutex::default(),
            reads: AtomicU64::new(0),
            under_way: AtomicUsize::new(0),
            unanswered: AtomicUsize::new(0),
            back: Mutex::default(),
            is_known: AtomicBool::new(false),
            reported_at: Mutex::default(),
        }
    }

    /// Host and port.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn pool(&self) -> &ConnectionPool {
        &self.pool
    }

    pub(crate) fn read_pool(&self) -> &SharedReadPool {
        &self.read_pool
    }

    /// The number of reads that wait for it.
    pub(super) fn under_way(&self) -> &AtomicUsize {
        &self.under_way
    }

    pub(crate) fn usage(&self) -> StandbyUse {
        StandbyUse {
            name: self.name.clone(),
            reads: self.reads.load(Ordering::Relaxed),
            is_serving: self.left_out.lock().is_none(),
        }
    }

    /// Whether it serves. If its time has come, it is tried in the background.
    pub(super) fn is_serving(self: &Arc<Self>, database: &Database) -> bool {
        let mut left_out = self.left_out.lock();
        let Some(state) = left_out.as_mut() else { return true };
        let now = Instant::now();
        // A trial that has left no result, as after a panic, is not waited for.
        let is_on_trial = state.on_trial_since.is_some_and(|since| now < since + TRIAL_TIMEOUT * 2);
        if !is_on_trial && now >= state.until {
            state.on_trial_since = Some(now);
            let (standby, database) = (Arc::clone(self), database.clone());
            tokio::spawn(async move { standby.try_to_serve(&database).await });
        }
        false
    }

    /// The rows of a read, if it showed all that the primary had at this position, and what it may have shown past it.
    pub(super) async fn read<T>(
        &self,
        needed: &LogPosition,
        read: impl Future<Output = Result<(Checked, T), StoreError>>,
    ) -> Result<(Shown, T), Misfit> {
        let (checked, value) = match tokio::time::timeout(READ_TIMEOUT, read).await {
            Ok(answer) => answer.map_err(|error| match error {
                // Of the statement; the primary may report the same.
                StoreError::Unavailable(_) => Misfit::Refused,
                other => self.misfit_of(other),
            })?,
            Err(_) => return Err(self.unanswered_read()),
        };
        self.position_in(&checked.before)?.covers(needed)?;
        let shown = Shown::of(&checked.after).map_err(|error| Misfit::Unfit(error.to_string()))?;
        Ok((shown.ok_or_else(promoted)?, value))
    }

    /// Counts a read that it answered.
    pub(super) fn count(&self) {
        self.reads.fetch_add(1, Ordering::Relaxed);
        self.unanswered.store(0, Ordering::Relaxed);
    }

    /// It has answered the check. One read may be slow by itself; after several without an answer between them it hangs.
    fn unanswered_read(&self) -> Misfit {
        if self.unanswered.fetch_add(1, Ordering::Relaxed) + 1 < MOST_UNANSWERED {
            return Misfit::Refused;
        }
        Misfit::Unfit(format!("reads do not end within {} s", READ_TIMEOUT.as_secs()))
    }

    /// Whether it shows any of these transactions now.
    pub(super) async fn shows_any(&self, transactions: &[i64], shown: &Shown) -> Result<bool, Misfit> {
        let values: [Value<'_>; 1] = [&transactions];
        let query = Query::new(SHOWS_ANY, &values);
        let asked = read_on_a_shared_connection(&self.pool, &self.read_pool, None, query);
        let asked = tokio::time::timeout(OPENING, asked).await.map_err(|_| self.silent())?;
        let (_, rows) = asked.map_err(|error| self.misfit_of(error.into()))?;
        let shows = shown.shows_any(&rows).map_err(|error| Misfit::Unfit(error.to_string()))?;
        shows.ok_or(Misfit::Refused)
    }

    /// Whether it has replayed up to this position, as far as was seen.
    pub(super) fn is_known_to_cover(&self, needed: &LogPosition) -> bool {
        self.seen().is_some_and(|seen| seen.covers(needed).is_ok())
    }

    /// The latest position that was seen.
    pub(super) fn seen(&self) -> Option<LogPosition> {
        *self.seen.lock()
    }

    /// Asks it whether it has replayed up to this position.
    pub(super) async fn covers(&self, needed: &LogPosition) -> Result<(), Misfit> {
        let asked = tokio::time::timeout(OPENING, self.position.ask(self.ask())).await;
        asked.unwrap_or_else(|_| Err(self.silent()))?.covers(needed)
    }

    async fn ask(&self) -> Result<LogPosition, Misfit> {
        let query = Query::new(OF_A_STANDBY, &[]);
        let asked = read_on_a_shared_connection(&self.pool, &self.read_pool, None, query).await;
        self.position_in(&asked.map_err(|error| self.misfit_of(error.into()))?.1)
    }

    fn position_in(&self, rows: &[Row]) -> Result<LogPosition, Misfit> {
        let position = LogPosition::of(rows).map_err(|error| Misfit::Unfit(error.to_string()))?;
        let position = position.ok_or_else(promoted)?;
        *self.seen.lock() = Some(position);
        Ok(position)
    }

    fn misfit_of(&self, error: StoreError) -> Misfit {
        match error {
            StoreError::Denied | StoreError::KeyInvalid | StoreError::Busy => Misfit::Refused,
            StoreError::Overloaded => Misfit::Busy,
            StoreError::Unreachable(_) if self.is_full() => Misfit::Busy,
            StoreError::Unreachable(reason) | StoreError::Unavailable(reason) => Misfit::Unfit(reason),
            other => Misfit::Unfit(other.to_string()),
        }
    }

    fn silent(&self) -> Misfit {
        if self.is_full() { Misfit::Busy } else { Misfit::Unfit("it does not answer".to_owned()) }
    }

    /// Whether all connections are in use. Reads that have one find out whether it is answered.
    fn is_full(&self) -> bool {
        let used = self.pool.usage();
        used.in_use >= used.max
    }

    /// Records that a read failed here. It is left out for some time, unless it was the read's own fault.
    pub(super) fn leave_out(&self, misfit: &Misfit) {
        if matches!(misfit, Misfit::Busy | Misfit::Refused) {
            return;
        }
        let mut left_out = self.left_out.lock();
        // Others that failed at the same time have done it.
        if left_out.is_none() {
            let is_momentary = matches!(misfit, Misfit::Behind | Misfit::Ahead);
            if !is_momentary {
                self.is_known.store(false, Ordering::Relaxed);
            }
            // What lasts for a moment is not worth a line.
            let is_reported = !is_momentary && self.report(misfit);
            let pause = match *self.back.lock() {
                // Replay may be late again and again under load.
                Some((at, pause)) if at.elapsed() < STEADY && *misfit != Misfit::Behind => {
                    (pause * 2).clamp(RETRY.0, RETRY.1)
                }
                _ => RETRY.0,
            };
            *left_out = Some(LeftOut::since_now(pause, is_reported));
        }
    }

    /// Tries it, and lets it serve if it can.
    pub(super) async fn try_to_serve(&self, database: &Database) -> Result<(), Misfit> {
        let trial = tokio::time::timeout(TRIAL_TIMEOUT, self.trial(database)).await;
        let outcome = trial.unwrap_or_else(|_| Err(self.silent()));
        let mut left_out = self.left_out.lock();
        let before = *left_out;
        *left_out = match &outcome {
            Ok(()) => {
                if before.is_some_and(|state| state.is_reported) || self.reads.load(Ordering::Relaxed) == 0 {
                    tracing::info!(standby = self.name, "a standby answers reads");
                }
                *self.back.lock() = before.map(|state| (Instant::now(), state.pause));
                None
            }
            Err(misfit) => {
                let pause = before.map_or(RETRY.0, |state| (state.pause * 2).clamp(RETRY.0, RETRY.1));
                let pause = if *misfit == Misfit::Behind { RETRY.0 } else { pause };
                let is_reported = before.is_some_and(|state| state.is_reported) || self.report(misfit);
                Some(LeftOut::since_now(pause, is_reported))
            }
        };
        outcome
    }

    /// Logs why it is left out, unless it did so a short time ago.
    fn report(&self, misfit: &Misfit) -> bool {
        let mut reported = self.reported_at.lock();
        if reported.is_some_and(|at| at.elapsed() < REPORT_INTERVAL) {
            return false;
        }
        *reported = Some(Instant::now());
        tracing::warn!(standby = self.name, reason = %misfit, "a standby is left out; the others and the primary answer its reads");
        true
    }

    /// A transaction pooler would give the settings of a session to others, and lead check and read to different servers.
    async fn require_sessions(&self, database: &Database) -> Result<(), Misfit> {
        let reason = match database.over(&self.pool).pooling().await {
            Ok(Pooling::Session) => return Ok(()),
            Ok(Pooling::Unknown(why)) => {
                format!("it is not known whether a connection keeps its session: {why}")
            }
            Ok(Pooling::Transaction) | Err(ConnectError::TransactionPooler { .. }) => {
                "a transaction pooler leads to it: name the standby itself, or a session pooler".to_owned()
            }
            Err(ConnectError::Unreachable(why)) => why.to_string(),
            Err(error) => error.to_string(),
        };
        Err(Misfit::Unfit(reason))
    }

    async fn require_identity(&self, database: &Database) -> Result<(), Misfit> {
        let query = Query::new(IDENTITY, &[]);
        let primary = database.read_alone(query).await.map_err(StoreError::from);
        let primary =
            primary.and_then(|rows| Identity::of(&rows)).map_err(|error| unknown_primary(&error))?;
        let here = read_on_a_shared_connection(&self.pool, &self.read_pool, None, query).await;
        let here = here.map_err(StoreError::from).and_then(|(_, rows)| Identity::of(&rows));
        here.map_err(|error| self.misfit_of(error))?.fits(&primary)
    }

    async fn trial(&self, database: &Database) -> Result<(), Misfit> {
        if !self.is_known.load(Ordering::Relaxed) {
            self.require_sessions(database).await?;
            self.require_identity(database).await?;
            self.is_known.store(true, Ordering::Relaxed);
        }
        let primary = database.primary_position().await;
        let needed = primary.map_err(|error| unknown_primary(&error))?.position;
        database.catch_up(self, &needed).await
    }
}

fn promoted() -> Misfit {
    Misfit::Unfit("it is a primary, and no standby".to_owned())
}

fn unknown_primary(error: &StoreError) -> Misfit {
    Misfit::Unfit(format!("the primary's position in its log cannot be read: {error}"))
}
