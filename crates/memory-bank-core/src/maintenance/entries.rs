//! Documents: entries that a list has twice, and records of old sessions.

use std::collections::BTreeMap;
use std::ops::Range;

use jiff::Timestamp;

use super::{Fold, OLD_DAYS, Proposal, ProposalKind, facts::counted, quoted};
use crate::document::DocumentPath;
use crate::document::carriage_returns::{edited, with_line_feeds};
use crate::document::section::{Marker, Outline};
use crate::hooks::{is_session_records, old_records, with_old_records_folded};

/// Shorter entries, such as `yes`, may be repeated on purpose.
const SHORTEST_ENTRY: usize = 12;

/// The proposals for a document. Its text must not have a merge conflict.
#[must_use]
pub fn of_document(path: &DocumentPath, text: &str, now: Timestamp) -> Vec<Proposal> {
    let text = &*with_line_feeds(text);
    if is_session_records(path.as_str()) {
        return old_sessions(path, text, now).into_iter().collect();
    }
    duplicates(path, text).into_iter().map(|(proposal, _)| proposal).collect()
}

/// The document after a proposal was carried out; `None` if the text does not give this proposal any more.
#[must_use]
pub fn fold_document(path: &DocumentPath, text: &str, id: &str, now: Timestamp) -> Option<String> {
    edited(text, |text| folded(path, text, id, now).ok_or(())).ok()
}

fn folded(path: &DocumentPath, text: &str, id: &str, now: Timestamp) -> Option<String> {
    if is_session_records(path.as_str()) {
        old_sessions(path, text, now).filter(|proposal| proposal.id == id)?;
        return with_old_records_folded(text, OLD_DAYS, now);
    }
    let (_, ranges) = duplicates(path, text).into_iter().find(|(proposal, _)| proposal.id == id)?;
    let mut folded = text.to_owned();
    for range in ranges.into_iter().rev() {
        folded.replace_range(range, "");
    }
    Some(folded)
}

fn old_sessions(path: &DocumentPath, text: &str, now: Timestamp) -> Option<Proposal> {
    let old = old_records(text, OLD_DAYS, now);
    if old.is_empty() {
        return None;
    }
    let mut precondition = vec![path.as_str()];
    precondition.extend(old.iter().map(String::as_str));
    Some(Proposal {
        why: format!("{} began more than {OLD_DAYS} days ago", counted(old.len(), "session record")),
        change: "folds them into one line for each week".to_owned(),
        fold: Some(Fold::Document(path.clone())),
        ..Proposal::new(ProposalKind::OldSessions, path.as_str(), &precondition)
    })
}

/// The proposals for entries that a list has more than once, each with the bytes of all but the first.
fn duplicates(path: &DocumentPath, text: &str) -> Vec<(Proposal, Vec<Range<usize>>)> {
    let outline = Outline::of(text);
    if outline.conflict_in(&(0..text.len())).is_some() {
        return Vec::new();
    }
    let mut by_entry: BTreeMap<(usize, &str), Vec<Range<usize>>> = BTreeMap::new();
    let (mut list, mut end) = (0, 0);
    for item in outline.items().iter().filter(|item| item.depth == 0) {
        // Another list begins where something else than items is between.
        if !text.get(end..item.range.start).unwrap_or_default().trim().is_empty() {
            list += 1;
        }
        end = item.range.end;
        let entry = outline.slice(&item.range).trim_end();
        // Steps with numbers may be repeated.
        if matches!(item.marker, Marker::Bullet(_)) && item.text.chars().count() >= SHORTEST_ENTRY {
            by_entry.entry((list, entry)).or_default().push(item.range.clone());
        }
    }
    let mut seen: BTreeMap<(String, &str), usize> = BTreeMap::new();
    let repeated = by_entry.into_iter().filter(|(_, ranges)| ranges.len() > 1);
    repeated
        .map(|((_, entry), ranges)| {
            let first = ranges.first().map_or(0, |range| range.start);
            let section = outline.slice(&outline.own_section_at(first));
            let title = section.lines().next().unwrap_or_default().trim_start_matches('#').trim().to_owned();
            let number = seen.entry((title.clone(), entry)).or_default();
            *number += 1;
            let (count, occurrence) = (ranges.len().to_string(), number.to_string());
            let proposal = Proposal {
                why: format!("a list in section {} has {} times {}", quoted(&title), count, quoted(entry)),
                change: format!("keeps the first, removes {}", counted(ranges.len() - 1, "entry")),
                fold: Some(Fold::Document(path.clone())),
                ..Proposal::new(
                    ProposalKind::DuplicateEntry,
                    path.as_str(),
                    &[path.as_str(), &title, entry, &count, &occurrence],
                )
            };
            (proposal, ranges.into_iter().skip(1).collect())
        })
        .collect()
}
