//! Positions in the log of a primary, and whether a standby shows all up to one. It must not know connections.

use std::fmt;

use jiff::{SignedDuration, Timestamp};
use memory_bank_core::error::StoreError;
use tokio_postgres::Row;
use tokio_postgres::types::PgLsn;

use crate::column::column;

/// Where a server is in the log (`migrations/003_functions.sql`).
pub(super) const ASK: &str = "SELECT is_standby, place, mark, database, login, at FROM app.log_position()";

/// The identity of the database cluster; all its standbys have the same.
pub(super) const SYSTEM: &str = "SELECT system_identifier FROM pg_catalog.pg_control_system()";

/// Completes the last record on the primary's disk, without a change of a table: a commit is written as a whole. It waits for the disk,
/// and for no standby.
pub(super) const COMPLETE: &str = "SELECT pg_catalog.pg_logical_emit_message(true, 'memory-bank-mcp', '') \
    FROM pg_catalog.set_config('synchronous_commit', 'local', true)";

/// The size of a page of the log, in bytes.
const PAGE: u64 = 8192;
/// How far a standby's clock may be behind the primary's: keys expire by it.
const CLOCK_TOLERANCE: SignedDuration = SignedDuration::from_secs(2);

/// A position in a log, and whose log it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LogPosition {
    is_standby: bool,
    /// In bytes from the begin of the log.
    place: PgLsn,
    /// Of the history since the latest start or promotion of a primary.
    mark: String,
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
    /// Its history is not the primary's; for a moment also while a new mark is on its way.
    OtherHistory,
    /// It cannot serve as it is; with the reason.
    Unfit(String),
}

impl fmt::Display for Misfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Behind => "it is behind the primary by more than a read waits for",
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
        let (Some(place), Some(mark)) = (column(row, 1)?, column(row, 2)?) else { return Ok(None) };
        Ok(Some(Self {
            is_standby: column(row, 0)?,
            place,
            mark,
            database: column(row, 3)?,
            login: column(row, 4)?,
            at: column(row, 5)?,
        }))
    }

    /// Whether the log may end here within a record, which no standby can replay: what nobody waits for, such as a stored event, is
    /// written by whole pages.
    pub(super) fn may_end_within_a_record(&self) -> bool {
        u64::from(self.place).is_multiple_of(PAGE)
    }

    /// Whether a standby was here before its primary: it follows another one.
    pub(super) fn is_ahead_of(&self, later: &Self) -> bool {
        self.place > later.place
    }

    /// As [`Self::covers`], for a position that was seen before: its clock has gone on since.
    pub(super) fn covered(self, needed: &Self) -> Result<(), Misfit> {
        Self { at: needed.at, ..self }.covers(needed)
    }

    /// Whether a standby at this position shows all that the primary had at `needed`, which was asked for before.
    pub(super) fn covers(&self, needed: &Self) -> Result<(), Misfit> {
        let unfit = |reason: String| Err(Misfit::Unfit(reason));
        if !self.is_standby {
            return unfit("it is a primary, and no standby".to_owned());
        }
        if self.database != needed.database {
            return unfit(format!("its database is `{}`, not `{}`", self.database, needed.database));
        }
        if self.login != needed.login {
            return unfit(format!("the login role is `{}`, not `{}`", self.login, needed.login));
        }
        if self.at + CLOCK_TOLERANCE < needed.at {
            return unfit("its clock is behind the primary's: keys would expire too late".to_owned());
        }
        if self.mark != needed.mark {
            return Err(Misfit::OtherHistory);
        }
        if self.place < needed.place { Err(Misfit::Behind) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(place: u64) -> LogPosition {
        LogPosition {
            is_standby: true,
            place: place.into(),
            mark: "3".to_owned(),
            database: "bank".to_owned(),
            login: "server".to_owned(),
            at: Timestamp::UNIX_EPOCH,
        }
    }

    #[test]
    fn only_the_same_database_with_the_same_past_counts_and_only_as_far() {
        let needed = at(100);
        assert_eq!(at(100).covers(&needed), Ok(()));
        assert_eq!(at(101).covers(&needed), Ok(()));
        assert_eq!(at(99).covers(&needed), Err(Misfit::Behind));
        let elsewhere = LogPosition { mark: "4".to_owned(), ..at(200) };
        assert_eq!(elsewhere.covers(&needed), Err(Misfit::OtherHistory));
        let late = Timestamp::UNIX_EPOCH - SignedDuration::from_secs(3);
        for (other, word) in [
            (LogPosition { is_standby: false, ..at(200) }, "no standby"),
            (LogPosition { database: "other".to_owned(), ..at(200) }, "`other`"),
            (LogPosition { login: "postgres".to_owned(), ..at(200) }, "`postgres`"),
            (LogPosition { at: late, ..at(200) }, "clock"),
        ] {
            let Err(Misfit::Unfit(reason)) = other.covers(&needed) else { panic!("{other:?} counted") };
            assert!(reason.contains(word), "{reason}");
        }
        assert!(at(101).is_ahead_of(&needed) && !at(100).is_ahead_of(&needed));
    }
}
