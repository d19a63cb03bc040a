//! Selects the old changes of a document or of an item of the graph that are removed: the last change of each day is kept.

use std::collections::BTreeMap;

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;

/// A change, as far as the thinning looks at it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DatedChange {
    /// Its number.
    pub number: i64,
    /// The time of the change.
    pub at: Timestamp,
    /// Whether it stays in any case, such as a renaming, by which a former name is found.
    pub stays: bool,
    /// Whether it deleted the document or item. Then the change before it stays, too: it has what a restore brings back.
    pub deletes: bool,
}

/// The numbers of the changes of one document or item to remove, oldest first and at most as many as the limit: those before a
/// time. The last change of each day in UTC, the change before a deletion, and changes that are always kept stay. The changes are
/// given oldest first.
#[must_use]
pub fn superseded(changes: &[DatedChange], before: Timestamp, most: usize) -> Vec<i64> {
    let day = |change: &DatedChange| -> Date { change.at.to_zoned(TimeZone::UTC).date() };
    let last_of_day: BTreeMap<Date, i64> =
        changes.iter().map(|change| (day(change), change.number)).collect();
    let next = changes.iter().skip(1).map(Some).chain([None]);
    let goes = |(change, next): &(&DatedChange, Option<&DatedChange>)| {
        let is_last = last_of_day.get(&day(change)) == Some(&change.number);
        change.at < before && !change.stays && !is_last && !next.is_some_and(|next| next.deletes)
    };
    changes.iter().zip(next).filter(goes).map(|(change, _)| change.number).take(most).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_change_of_each_old_day_stays() {
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        let changes: Vec<DatedChange> = [
            "2025-01-01T08:00:00Z",
            "2025-01-01T09:00:00Z",
            "2025-01-01T23:59:59Z",
            "2025-01-02T00:00:00Z",
            "2025-01-03T08:00:00Z",
            "2025-01-03T12:00:00Z",
            "2025-01-03T18:00:00Z",
        ]
        .iter()
        .zip(1..)
        .map(|(text, number)| DatedChange { number, at: at(text), stays: number == 2, deletes: false })
        .collect();
        assert_eq!(superseded(&changes, at("2026-01-01T00:00:00Z"), 10), [1, 5, 6]);
        assert_eq!(superseded(&changes, at("2026-01-01T00:00:00Z"), 2), [1, 5]);
        // The last of a day is that of the whole day, also if it is not old.
        assert_eq!(superseded(&changes, at("2025-01-03T10:00:00Z"), 10), [1, 5]);
        assert_eq!(superseded(&changes, at("2025-01-01T08:00:00Z"), 10), [0; 0]);
        assert_eq!(superseded(&[], at("2025-01-01T08:00:00Z"), 10), [0; 0]);
        let mut deleted = changes;
        deleted[6] = DatedChange { stays: true, deletes: true, ..deleted[6] };
        assert_eq!(superseded(&deleted, at("2026-01-01T00:00:00Z"), 10), [1, 5]);
    }
}
