//! Positions in the log of a primary, whether a standby shows all up to one, and which transactions a server shows. It must not know
//! connections.

use std::fmt;

use jiff::{SignedDuration, Timestamp};
use memory_bank_core::error::StoreError;
use tokio_postgres::Row;
use tokio_postgres::types::PgLsn;

use crate::column::column;

/// Where the primary is in its log (`migrations/003_functions.sql`), and which transactions it shows.
pub(super) const OF_THE_PRIMARY: &str =
    "SELECT p.place, p.mark, pg_catalog.pg_current_snapshot()::text FROM app.log_position() p";

/// Where a standby is in the log, and the mark that it shows; no row from a primary. The place comes first: a standby that shows a mark
/// is in its history from then on.
pub(super) const OF_A_STANDBY: &str = "SELECT pg_catalog.pg_last_wal_replay_lsn(), (SELECT m.last_value FROM app.log_mark m) \
    WHERE pg_catalog.pg_is_in_recovery()";

/// The first transaction that a read at a standby did not show, if it is asked after it; which process answered, and where it is.
pub(super) const SHOWN_BY_A_STANDBY: &str = "SELECT pg_catalog.pg_last_wal_replay_lsn(), (SELECT m.last_value FROM app.log_mark m), \
    pg_catalog.pg_postmaster_start_time(), pg_catalog.pg_snapshot_xmax(pg_catalog.pg_current_snapshot())::text::bigint \
    WHERE pg_catalog.pg_is_in_recovery()";

/// Where a standby is, and which process answers; then whether it shows any of these transactions.
pub(super) const SHOWS_ANY: &str = "WITH here AS MATERIALIZED (SELECT pg_catalog.pg_last_wal_replay_lsn() AS place) \
    SELECT here.place, (SELECT m.last_value FROM app.log_mark m), pg_catalog.pg_postmaster_start_time(), \
    (SELECT coalesce(pg_catalog.bool_or(pg_catalog.pg_xact_status(n::text::xid8) = 'committed'), false) \
        FROM pg_catalog.unnest($1::bigint[]) n) \
    FROM here WHERE pg_catalog.pg_is_in_recovery()";

/// What a server says about itself that does not change: asked in each trial.
pub(super) const IDENTITY: &str = "SELECT s.system_identifier, current_database()::text, session_user::text, clock_timestamp() \
    FROM pg_catalog.pg_control_system() s";

/// Completes the last record on the primary's disk, without a change of a table: a commit is written as a whole. It waits for the disk,
/// and for no standby.
pub(super) const COMPLETE: &str = "SELECT pg_catalog.pg_logical_emit_message(true, 'memory-bank-mcp', '') \
    FROM pg_catalog.set_config('synchronous_commit', 'local', true)";

/// Transactions past this many that a primary does not show are not asked for one by one.
const MAX_HIDDEN: usize = 10_000;
/// The size of a page of the log, in bytes.
const PAGE: u64 = 8192;
/// How far a standby's clock may be behind the primary's: keys expire by it.
const CLOCK_TOLERANCE: SignedDuration = SignedDuration::from_secs(2);

/// A position in a log, and whose log it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct LogPosition {
    /// In bytes from the begin of the log.
    place: PgLsn,
    /// Of the history since the latest start or promotion of a primary.
    mark: i64,
}

/// The position of the primary, and which transactions it showed at that time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct OfThePrimary {
    pub(super) position: LogPosition,
    /// Shown are those before the next one, without those in progress.
    next: i64,
    in_progress: Vec<i64>,
}

/// What a read at a standby may have shown: transactions before this one. Which of them it showed is not known: a standby does not
/// list those in progress.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Shown {
    next: i64,
    /// The process that answered, and how far it was.
    by: State,
}

/// A process, and how far it has replayed. After a crash it may be behind where it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct State {
    position: LogPosition,
    started: Timestamp,
}

/// Who a server is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Identity {
    /// Of the database cluster; all its standbys have the same.
    system: i64,
    database: String,
    /// The login role. Another one may see more, or less.
    login: String,
    /// The server's clock.
    at: Timestamp,
}

/// Why a read at a standby does not count.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Misfit {
    /// It has not replayed enough yet.
    Behind,
    /// All its connections are in use.
    Busy,
    /// The read failed there, as it may at the primary.
    Refused,
    /// It shows a commit that the primary does not show yet.
    Ahead,
    /// Its history is not the primary's; for a moment also while a new mark is on its way.
    OtherHistory,
    /// It cannot serve as it is; with the reason.
    Unfit(String),
}

impl fmt::Display for Misfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Behind => "it is behind the primary by more than a read waits for",
            Self::Ahead => "it shows commits longer before the primary than a read waits for, as they wait for a synchronous standby",
            Self::Busy => "all its connections are in use",
            Self::Refused => "a read failed there",
            Self::OtherHistory => {
                "it has another history than the primary: it follows a former one, or was copied"
            }
            Self::Unfit(reason) => reason,
        })
    }
}

impl LogPosition {
    /// The position that a server returned; none if nobody may rely on one.
    pub(super) fn of(rows: &[Row]) -> Result<Option<Self>, StoreError> {
        let Some(row) = rows.first() else { return Ok(None) };
        let (Some(place), Some(mark)) = (column(row, 0)?, column(row, 1)?) else { return Ok(None) };
        Ok(Some(Self { place, mark }))
    }

    /// Whether the log may end here within a record, which no standby can replay yet. PostgreSQL writes whole pages of a transaction that
    /// does not wait for the disk, such as one that stores events.
    pub(super) fn may_end_within_a_record(&self) -> bool {
        u64::from(self.place).is_multiple_of(PAGE)
    }

    /// Whether a standby was here before its primary: it follows another one.
    pub(super) fn is_ahead_of(&self, later: &Self) -> bool {
        self.place > later.place
    }

    /// Whether both are of one history.
    pub(super) fn is_of_history(&self, other: &Self) -> bool {
        self.mark == other.mark
    }

    /// Whether a standby at this position shows all that the primary had at `needed`, which was asked for before.
    pub(super) fn covers(&self, needed: &Self) -> Result<(), Misfit> {
        if !self.is_of_history(needed) {
            return Err(Misfit::OtherHistory);
        }
        if self.place < needed.place { Err(Misfit::Behind) } else { Ok(()) }
    }
}

impl OfThePrimary {
    /// What the primary returned; none if nobody may rely on its position.
    pub(super) fn of(rows: &[Row]) -> Result<Option<Self>, StoreError> {
        let (Some(row), Some(position)) = (rows.first(), LogPosition::of(rows)?) else { return Ok(None) };
        let snapshot: String = column(row, 2)?;
        let (next, in_progress) = parsed_snapshot(&snapshot)
            .ok_or_else(|| StoreError::Unavailable(format!("`{snapshot}` is not a snapshot")))?;
        Ok(Some(Self { position, next, in_progress }))
    }

    /// The transactions that the primary did not show and a read may have shown; none if they are too many to ask for.
    pub(super) fn hidden(&self, shown: &Shown) -> Option<Vec<i64>> {
        let begun_since = usize::try_from(shown.next.saturating_sub(self.next)).unwrap_or(0);
        if begun_since + self.in_progress.len() > MAX_HIDDEN {
            return None;
        }
        let in_progress = self.in_progress.iter().copied().filter(|number| *number < shown.next);
        Some(in_progress.chain(self.next..shown.next).collect())
    }
}

/// The next transaction and those in progress of a `pg_snapshot`: `xmin:xmax:xip,xip`.
fn parsed_snapshot(text: &str) -> Option<(i64, Vec<i64>)> {
    let mut parts = text.split(':');
    let (_first, next, in_progress) = (parts.next()?, parts.next()?, parts.next()?);
    let numbers = in_progress.split(',').filter(|number| !number.is_empty());
    Some((next.parse().ok()?, numbers.map(|number| number.parse().ok()).collect::<Option<_>>()?))
}

impl State {
    /// The state in the first columns of an answer; none from a primary.
    fn of(rows: &[Row]) -> Result<Option<Self>, StoreError> {
        let (Some(row), Some(position)) = (rows.first(), LogPosition::of(rows)?) else { return Ok(None) };
        Ok(Some(Self { position, started: column(row, 2)? }))
    }

    /// Whether this process shows all that it showed at a former state.
    fn follows(&self, former: &Self) -> bool {
        self.started == former.started && self.position.covers(&former.position).is_ok()
    }
}

impl Shown {
    /// What a standby returned; none from a primary.
    pub(super) fn of(rows: &[Row]) -> Result<Option<Self>, StoreError> {
        let (Some(row), Some(by)) = (rows.first(), State::of(rows)?) else { return Ok(None) };
        Ok(Some(Self { next: column(row, 3)?, by }))
    }

    /// Whether any of the transactions that were asked for is shown; none if the answer is of another process, or of an earlier state.
    pub(super) fn shows_any(&self, rows: &[Row]) -> Result<Option<bool>, StoreError> {
        let (Some(row), Some(now)) = (rows.first(), State::of(rows)?) else { return Ok(None) };
        if now.follows(&self.by) { Ok(Some(column(row, 3)?)) } else { Ok(None) }
    }
}

impl Identity {
    /// What a server returned.
    pub(super) fn of(rows: &[Row]) -> Result<Self, StoreError> {
        let row =
            rows.first().ok_or_else(|| StoreError::Unavailable("the server returned no row".to_owned()))?;
        Ok(Self {
            system: column(row, 0)?,
            database: column(row, 1)?,
            login: column(row, 2)?,
            at: column(row, 3)?,
        })
    }

    /// Whether this may be a standby of `primary`, which was asked before.
    pub(super) fn fits(&self, primary: &Self) -> Result<(), Misfit> {
        let unfit = |reason: String| Err(Misfit::Unfit(reason));
        if self.system != primary.system {
            return unfit("it is no standby of this database: its system identifier differs".to_owned());
        }
        if self.database != primary.database {
            return unfit(format!("its database is `{}`, not `{}`", self.database, primary.database));
        }
        if self.login != primary.login {
            return unfit(format!("the login role is `{}`, not `{}`", self.login, primary.login));
        }
        if self.at + CLOCK_TOLERANCE < primary.at {
            return unfit("its clock is behind the primary's: keys would expire too late".to_owned());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_same_history_counts_and_only_as_far() {
        let at = |place: u64, mark| LogPosition { place: place.into(), mark };
        let needed = at(100, 3);
        assert_eq!(at(100, 3).covers(&needed), Ok(()));
        assert_eq!(at(101, 3).covers(&needed), Ok(()));
        assert_eq!(at(99, 3).covers(&needed), Err(Misfit::Behind));
        assert_eq!(at(200, 4).covers(&needed), Err(Misfit::OtherHistory));
        assert!(at(101, 3).is_ahead_of(&needed) && !at(100, 3).is_ahead_of(&needed));
        assert!(at(8192, 3).may_end_within_a_record() && !needed.may_end_within_a_record());
    }

    #[test]
    fn hidden_are_transactions_in_progress_and_those_begun_since_that_a_standby_may_show() {
        let primary = |snapshot: &str| {
            let (next, in_progress) = parsed_snapshot(snapshot).unwrap();
            OfThePrimary { position: LogPosition { place: 1.into(), mark: 3 }, next, in_progress }
        };
        let position = LogPosition { place: 1.into(), mark: 3 };
        let by = State { position, started: Timestamp::UNIX_EPOCH };
        let shown = |next| Shown { next, by };
        for (snapshot, next, hidden) in [
            ("10:10:", 10, vec![]),
            ("10:10:", 12, vec![10, 11]),
            ("7:10:7,9", 8, vec![7]),
            ("7:10:7,9", 11, vec![7, 9, 10]),
            ("7:10:7,9", 7, vec![]),
        ] {
            assert_eq!(primary(snapshot).hidden(&shown(next)), Some(hidden), "{snapshot} {next}");
        }
        assert_eq!(primary("10:10:").hidden(&shown(1_000_000_000)), None);
        for wrong in ["", "1:2", "1:x:", "1:2:3,x"] {
            assert_eq!(parsed_snapshot(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn only_a_later_state_of_the_same_process_shows_what_it_showed() {
        let state = |place: u64, mark, second| State {
            position: LogPosition { place: place.into(), mark },
            started: Timestamp::UNIX_EPOCH + SignedDuration::from_secs(second),
        };
        let former = state(100, 3, 1);
        assert!(state(100, 3, 1).follows(&former) && state(101, 3, 1).follows(&former));
        assert!(!state(99, 3, 1).follows(&former), "after a crash");
        assert!(!state(101, 4, 1).follows(&former), "after a promotion");
        assert!(!state(101, 3, 2).follows(&former), "another process");
    }

    #[test]
    fn only_the_same_database_and_login_with_a_clock_that_is_not_behind_fit() {
        let primary = Identity {
            system: 7,
            database: "bank".to_owned(),
            login: "server".to_owned(),
            at: Timestamp::UNIX_EPOCH,
        };
        assert_eq!(primary.fits(&primary), Ok(()));
        let late = Timestamp::UNIX_EPOCH - SignedDuration::from_secs(3);
        for (other, word) in [
            (Identity { system: 8, ..primary.clone() }, "no standby"),
            (Identity { database: "other".to_owned(), ..primary.clone() }, "`other`"),
            (Identity { login: "postgres".to_owned(), ..primary.clone() }, "`postgres`"),
            (Identity { at: late, ..primary.clone() }, "clock"),
        ] {
            let Err(Misfit::Unfit(reason)) = other.fits(&primary) else { panic!("{other:?} fits") };
            assert!(reason.contains(word), "{reason}");
        }
    }
}
