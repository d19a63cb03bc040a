//! The order of entries: by their dates, else by the order of their file.

use crate::compact_sort::CompactSort as _;
use std::cmp::Reverse;

use super::entry::Entry;

/// Entries of one document, the latest first. Dated entries come first; the others follow in the order of the
/// document, reversed if that is sorted newest last.
pub(super) fn latest_first(mut entries: Vec<&Entry>, ends_with_newest: bool) -> Vec<&Entry> {
    let newest_last = is_newest_last(&entries, ends_with_newest);
    entries.compact_sort_by_key(|entry| {
        let place = (entry.section, entry.order);
        let reversed = entry.newest_first.map_or(newest_last, |first| !first);
        let undated = if reversed { (usize::MAX - place.0, usize::MAX - place.1) } else { place };
        (Reverse(entry.date), undated)
    });
    entries
}

/// Whether a document is sorted newest last: by the order of numbers in its headings, else by the order of dates,
/// else by the convention for documents of its kind.
fn is_newest_last(entries: &[&Entry], ends_with_newest: bool) -> bool {
    let undated: Vec<&&Entry> = entries.iter().filter(|entry| entry.date.is_none()).collect();
    let numbers: Vec<u64> = undated.iter().filter_map(|entry| entry.number).collect();
    if let (Some(first), Some(last)) = (numbers.first(), numbers.last())
        && first != last
    {
        return first < last;
    }
    // Dated entries show the order of the others.
    let dates: Vec<_> = entries.iter().filter_map(|entry| entry.date.filter(|_| entry.own_date)).collect();
    if let (Some(first), Some(last)) = (dates.first(), dates.last())
        && first != last
    {
        return first < last;
    }
    ends_with_newest
}

/// Sorts tasks: dated ones first, the newest first. Lists to which this server appends are reversed, with nested
/// items kept below their item. Other lists keep their order, which is often that of importance.
pub(super) fn newest_tasks_first(entries: Vec<Entry>) -> Vec<Entry> {
    let mut groups: Vec<Vec<Entry>> = Vec::new();
    for entry in entries {
        match groups.last_mut() {
            Some(group)
                if entry.depth > 0 && group.first().is_some_and(|first| first.section == entry.section) =>
            {
                group.push(entry);
            }
            _ => groups.push(vec![entry]),
        }
    }
    let count = groups.len();
    let mut keyed: Vec<_> = groups
        .into_iter()
        .enumerate()
        .map(|(index, group)| {
            let first = group.first();
            let appended = first.is_some_and(|first| first.newest_first == Some(false));
            let date = first.and_then(|first| first.date);
            ((Reverse(date), !appended, if appended { count - index } else { index }), group)
        })
        .collect();
    keyed.compact_sort_by_key(|(key, _)| *key);
    keyed.into_iter().flat_map(|(_, group)| group).collect()
}
