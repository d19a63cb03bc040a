//! Positions in the log of a primary, and whether a standby shows all up to one. It must not know connections.

use std::fmt;

use memory_bank_core::error::StoreError;
use tokio_postgres::Row;
use tokio_postgres::types::PgLsn;

use crate::column::column;

/// The primary's position. A commit is acknowledged after its record is on disk.
pub(super) const OF_THE_PRIMARY: &str = "SELECT pg_catalog.pg_current_wal_flush_lsn(), \
    ('x' || substr(pg_catalog.pg_walfile_name(pg_catalog.pg_current_wal_flush_lsn()), 1, 8))::bit(32)::integer, \
    s.system_identifier, current_database()::text, session_user::text FROM pg_catalog.pg_control_system() s";

/// A standby's position; no row from a primary. The timeline is that of its last restart point, so after a fail-over it changes late
/// and never too early.
pub(super) const OF_A_STANDBY: &str = "SELECT pg_catalog.pg_last_wal_replay_lsn(), c.timeline_id, s.system_identifier, \
    current_database()::text, session_user::text \
    FROM pg_catalog.pg_control_checkpoint() c, pg_catalog.pg_control_system() s WHERE pg_catalog.pg_is_in_recovery()";

/// Completes the last record on the primary's disk, without a change of a table: a commit is written as a whole.
pub(super) const COMPLETE: &str = "SELECT pg_catalog.pg_logical_emit_message(true, 'memory-bank-mcp', '')";

/// The size of a page of the log, in bytes.
const PAGE: u64 = 8192;

/// A position in a log, and whose log it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LogPosition {
    /// In bytes from the begin of the log.
    position: PgLsn,
    timeline: i32,
    /// Of the database cluster; all its standbys have the same.
    system: i64,
    database: String,
    /// The login role. Another one may see more, or less.
    login: String,
}

/// Why a read at a standby does not count.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Misfit {
    /// It has not replayed enough yet.
    Behind,
    /// All its connections are in use.
    Busy,
    /// It refused the read, as the primary may.
    Refused,
    /// It cannot serve as it is; with the reason.
    Unfit(String),
}

impl fmt::Display for Misfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Behind => "it is behind the primary by more than a read waits for",
            Self::Busy => "all its connections are in use",
            Self::Refused => "it refused a read",
            Self::Unfit(reason) => reason,
        })
    }
}

impl LogPosition {
    /// The position that a server returned, if it did.
    pub(super) fn of(rows: &[Row]) -> Result<Option<Self>, StoreError> {
        let Some(row) = rows.first() else { return Ok(None) };
        let Some(position) = column(row, 0)? else { return Ok(None) };
        Ok(Some(Self {
            position,
            timeline: column(row, 1)?,
            system: column(row, 2)?,
            database: column(row, 3)?,
            login: column(row, 4)?,
        }))
    }

    /// Whether the log may end here within a record, which no standby can replay: what nobody waits for, such as a stored event, is
    /// written by whole pages.
    pub(super) fn may_end_within_a_record(&self) -> bool {
        u64::from(self.position) % PAGE == 0
    }

    /// Whether a standby at this position shows all that the primary had at `needed`.
    pub(super) fn covers(&self, needed: &Self) -> Result<(), Misfit> {
        let unfit = |reason: String| Err(Misfit::Unfit(reason));
        if self.system != needed.system {
            return unfit("it is no standby of this database: its system identifier differs".to_owned());
        }
        if self.database != needed.database {
            return unfit(format!("its database is `{}`, not `{}`", self.database, needed.database));
        }
        if self.login != needed.login {
            return unfit(format!("the login role is `{}`, not `{}`", self.login, needed.login));
        }
        if self.timeline != needed.timeline {
            return unfit(format!(
                "it follows timeline {}, and the primary is on {}: after a fail-over it serves again when its next checkpoint is done",
                self.timeline, needed.timeline
            ));
        }
        if self.position < needed.position { Err(Misfit::Behind) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(position: u64) -> LogPosition {
        LogPosition {
            position: position.into(),
            timeline: 3,
            system: 7,
            database: "bank".to_owned(),
            login: "server".to_owned(),
        }
    }

    #[test]
    fn only_the_same_database_with_the_same_past_counts_and_only_as_far() {
        let needed = at(100);
        assert_eq!(at(100).covers(&needed), Ok(()));
        assert_eq!(at(101).covers(&needed), Ok(()));
        assert_eq!(at(99).covers(&needed), Err(Misfit::Behind));
        for (other, word) in [
            (LogPosition { timeline: 2, ..at(200) }, "timeline"),
            (LogPosition { timeline: 4, ..at(200) }, "timeline"),
            (LogPosition { system: 8, ..at(200) }, "no standby"),
            (LogPosition { database: "other".to_owned(), ..at(200) }, "`other`"),
            (LogPosition { login: "postgres".to_owned(), ..at(200) }, "`postgres`"),
        ] {
            let Err(Misfit::Unfit(reason)) = other.covers(&needed) else { panic!("{other:?} counted") };
            assert!(reason.contains(word), "{reason}");
        }
    }
}
