//! Partitions of the events: created ahead, dropped when they are old. The database decides which; this module must
//! not know their names.

use jiff::Timestamp;
use memory_bank_core::error::StoreError;

use crate::database::Database;
use crate::tenant::{Query, Value};

const MAKE_PARTITION: &str = "SELECT app.make_event_partition($1)";
/// The retention is subtracted from the database's clock: the clocks of servers differ, and one that is ahead would drop
/// events that the others still keep.
const DROP_PARTITION: &str = "SELECT app.drop_event_partition(now() - make_interval(secs => $1))";

/// How many partitions are made, or dropped, at a time; a day has 24 of an hour.
const MAX_PER_ROUND: usize = 64;
/// How many partitions cover the retention.
const PARTITIONS_OF_RETENTION: i32 = 24;

impl Database {
    /// Makes the partitions that are needed next, and drops those whose events are all older than the time from `before` to
    /// `now`. Each is a transaction of its own with a short time-out for its lock, so that it delays no other statement; a
    /// partition whose lock is held is retried the next time.
    pub(crate) async fn maintain_event_partitions(
        &self,
        now: Timestamp,
        before: Timestamp,
    ) -> Result<(), StoreError> {
        let hours = width(now, before);
        self.repeat(MAKE_PARTITION, &hours).await?;
        let kept = now.duration_since(before).as_secs_f64().max(0.0);
        self.repeat(DROP_PARTITION, &kept).await
    }

    async fn repeat(&self, sql: &'static str, value: Value<'_>) -> Result<(), StoreError> {
        for _ in 0..MAX_PER_ROUND {
            match self.call(Query::new(sql, &[value])).await.map_err(StoreError::from) {
                Ok(rows) => {
                    let name: Option<String> = rows.first().and_then(|row| row.try_get(0).ok()).flatten();
                    let Some(name) = name else { return Ok(()) };
                    tracing::debug!(name, "created or dropped a partition of the events");
                }
                Err(StoreError::Busy) => {
                    tracing::debug!("the partitions of the events are locked; retrying in the next round");
                    return Ok(());
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

/// The width of a partition in hours, by the retention of events.
fn width(now: Timestamp, before: Timestamp) -> i32 {
    let kept = i32::try_from(now.duration_since(before).as_hours()).unwrap_or(i32::MAX);
    kept.max(1).saturating_add(PARTITIONS_OF_RETENTION - 1) / PARTITIONS_OF_RETENTION
}

#[cfg(test)]
mod tests {
    use jiff::ToSpan;

    use super::*;

    #[test]
    fn a_partition_spans_a_twenty_fourth_of_the_retention_and_at_least_an_hour() {
        let now: Timestamp = "2026-11-22T09:30:07Z".parse().unwrap();
        for (kept, wide) in [(1, 1), (24, 1), (25, 2), (48, 2), (720, 30), (0, 1)] {
            assert_eq!(width(now, now - kept.hours()), wide, "{kept}");
        }
    }
}
