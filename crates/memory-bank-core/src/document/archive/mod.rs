//! Archives entries of a full log: before progress.md, decision-log.md or active-context.md exceeds the bound of a
//! document, its oldest entries move to an archive, in the same edit. They keep their bytes and their order.
//!
//! Archives are ordinary documents: `progress-archive-2026-11.md` by the month of the archiving, then
//! `progress-archive-2026-11-2.md` when that is full; `decision-log-archive-…` and `active-context-archive-…`
//! likewise.

mod entries;

use std::cmp::Reverse;

use jiff::Timestamp;
use jiff::civil::DateTime;
use serde::Serialize;

use self::entries::{Entry, Log, entries, is_open};
use crate::compact_sort::CompactSort as _;
use crate::document::carriage_returns::{edited, with_line_feeds};
use crate::document::date::is_later;
use crate::document::section::{LineEnding, Outline};
use crate::document::{DocumentPath, conflict};
use crate::error::EditError;
use crate::limits;
use crate::store::{Drafts, Series};

/// The most subsets that are tried if not all entries can move. Each try parses the document.
const MAX_TRIES: usize = 24;

/// The entries that moved from a document to an archive.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Archived {
    /// The name of the document that was full.
    pub document: String,
    /// The name of the archive.
    pub archive: String,
    /// How many entries were moved.
    pub entries: usize,
    /// The date of the oldest one that has a date, `YYYY-MM-DD`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// The date of the newest one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
}

/// Runs a rule, and archives entries of a log that became too large. `at` determines the month in the names of
/// archives.
///
/// # Errors
/// The error of the rule; [`EditError::Incomplete`] if archives are needed that the store did not load; or a document
/// is too large even without all entries that may be moved.
pub fn with_archiving<T>(
    drafts: &mut Drafts,
    at: Timestamp,
    rule: impl FnOnce(&mut Drafts) -> Result<T, EditError>,
) -> Result<(T, Vec<Archived>), EditError> {
    drafts.lift_bounds();
    let outcome = rule(drafts);
    let archived = outcome.and_then(|outcome| Ok((outcome, make_room(drafts, at)?)));
    let checked = drafts.check_bounds();
    let archived = archived?;
    checked?;
    Ok(archived)
}

fn make_room(drafts: &mut Drafts, at: Timestamp) -> Result<Vec<Archived>, EditError> {
    let mut plans = Vec::new();
    for log in Log::ALL {
        let path = log.document().place(drafts);
        let text = drafts.text(&path).unwrap_or_default();
        // A log that this edit did not change is not archived, however large it is.
        let changed = drafts.stored(&path).is_none_or(|stored| stored.content != text);
        if text.len() > limits::DOCUMENT_BYTES
            && changed
            && let Some(plan) = Plan::of(log, &with_line_feeds(text))
        {
            plans.push(plan);
        }
    }
    let month = at.strftime("%Y-%m").to_string();
    let series_of = |plan: &Plan| {
        let name = plan.log.document().name();
        Series::new(&format!("{}-archive-{month}", name.strip_suffix(".md").unwrap_or(name)))
    };
    let needed: Vec<Series> =
        plans.iter().map(series_of).filter(|series| drafts.last_of(series).is_none()).collect();
    if !needed.is_empty() {
        return Err(EditError::Incomplete { needed });
    }
    let mut archived = Vec::new();
    for plan in plans {
        plan.apply(drafts, &series_of(&plan), &month, &mut archived)?;
    }
    Ok(archived)
}

/// The entries of a full log that are moved.
struct Plan {
    log: Log,
    rest: String,
    /// The oldest first.
    moved: Vec<Moved>,
    newest_first: bool,
    ending: LineEnding,
}

/// A moved entry.
struct Moved {
    text: String,
    date: Option<DateTime>,
    is_item: bool,
    /// Its position in the log.
    position: usize,
}

impl Plan {
    /// `None` if the document would still be too large, or if anything but the entries would change.
    fn of(log: Log, text: &str) -> Option<Self> {
        let all = entries(log, text);
        // In a document with text by people, entries of one kind may prevent others from being moved.
        let kinds: [fn(&Entry) -> bool; 3] = [|_| true, |entry| entry.is_item, |entry| !entry.is_item];
        kinds.into_iter().find_map(|kind| Self::of_kind(log, text, &all, kind))
    }

    fn of_kind(log: Log, text: &str, all: &[Entry], kind: fn(&Entry) -> bool) -> Option<Self> {
        let ending = LineEnding::of(text);
        let newest_first = is_newest_first(all).unwrap_or(log.is_newest_first());
        let movable = limits::DOCUMENT_BYTES.saturating_sub(preamble(log, "YYYY-MM", ending).len() + 64);
        let mut order = by_age(all, newest_first);
        // The newest entry always stays.
        order.pop();
        // Open problems are moved only after all other entries.
        order.compact_sort_by_key(|index| all.get(*index).is_some_and(|entry| entry.is_open));
        order
            .retain(|index| all.get(*index).is_some_and(|entry| kind(entry) && entry.range.len() <= movable));
        let size = |index: &usize| all.get(*index).map_or(0, |entry| entry.range.len());
        let sum: usize = order.iter().map(size).sum();
        // Shrink to half of the bound, so that the next calls have room; if little can be moved, half of that stays.
        let target = (limits::DOCUMENT_BYTES / 2).max(text.len() - sum / 2).min(limits::DOCUMENT_BYTES);
        let down_to_target = |order: &[usize]| -> Vec<usize> {
            let mut left = text.len();
            let moves = |index: &&usize| {
                let moves = left > target;
                left -= if moves { size(index) } else { 0 };
                moves
            };
            order.iter().take_while(moves).copied().collect()
        };
        let mut moving = down_to_target(&order);
        if !keeps_everything_else(log, text, all, &moving) {
            // A neighbour depends on one of these entries. Move those that can go without it.
            let mut in_place = order.clone();
            in_place.sort_unstable();
            let sound = movable_subset(log, text, all, &in_place, &mut { MAX_TRIES });
            order.retain(|index| sound.binary_search(index).is_ok());
            moving = down_to_target(&order);
            if !keeps_everything_else(log, text, all, &moving) {
                moving = order;
            }
        }
        let left = text.len() - moving.iter().map(size).sum::<usize>();
        if left > limits::DOCUMENT_BYTES || moving.is_empty() {
            return None;
        }
        let moved = moving
            .iter()
            .filter_map(|index| {
                let entry = all.get(*index)?;
                let held = text.get(entry.range.clone())?.to_owned();
                Some(Moved { text: held, date: entry.date, is_item: entry.is_item, position: *index })
            })
            .collect();
        let rest = without(text, all, &moving);
        Some(Self { log, rest, moved, newest_first, ending })
    }

    fn apply(
        &self,
        drafts: &mut Drafts,
        series: &Series,
        month: &str,
        archived: &mut Vec<Archived>,
    ) -> Result<(), EditError> {
        let last = series.member(drafts.last_of(series).unwrap_or(0));
        let mut moved: &[Moved] = &self.moved;
        if let Some(path) = last
            && let Some(old) = drafts
                .text(&path)
                .filter(|old| !is_open(old) && conflict::find(&with_line_feeds(old)).is_empty())
        {
            let new = edited(old, |old| Ok::<_, EditError>(self.put(old, moved)))?;
            if new.len() <= limits::DOCUMENT_BYTES {
                drafts.set(&path, new)?;
                archived.push(self.report(&path, moved));
                moved = &[];
            }
        }
        while !moved.is_empty() {
            let empty = preamble(self.log, month, self.ending);
            let mut size = empty.len();
            let fits = moved
                .iter()
                .take_while(|entry| {
                    // With the separator between two entries.
                    size += entry.text.len() + 16;
                    size <= limits::DOCUMENT_BYTES
                })
                .count();
            let (these, later) = moved.split_at_checked(fits.max(1)).unwrap_or((moved, &[]));
            let path = drafts.extend(series)?;
            drafts.set(&path, self.put(&empty, these))?;
            archived.push(self.report(&path, these));
            moved = later;
        }
        let path = self.log.document().place(drafts);
        let rest = edited(drafts.text(&path).unwrap_or_default(), |_| Ok::<_, EditError>(self.rest.clone()))?;
        drafts.set(&path, rest)
    }

    /// The archive with these entries: at its beginning if it is sorted newest first, else at its end.
    fn put(&self, archive: &str, moved: &[Moved]) -> String {
        let mut moved: Vec<&Moved> = moved.iter().collect();
        moved.compact_sort_by_key(|entry| entry.position);
        let mut text = Joined { text: String::new(), last: TrailingElement::Nothing, ending: self.ending };
        let (above, below) = match self.newest_first.then(|| top(self.log, archive)).flatten() {
            Some(at) => archive.split_at_checked(at).unwrap_or((archive, "")),
            None => (archive, ""),
        };
        text.text.push_str(above);
        text.close_line();
        text.last =
            if self.newest_first && !below.is_empty() { TrailingElement::Blank } else { last_of(above) };
        for entry in moved {
            text.push(&entry.text, entry.is_item);
        }
        if !below.is_empty() {
            text.push(below, begins_with_item(below));
        }
        text.text
    }

    fn report(&self, archive: &DocumentPath, moved: &[Moved]) -> Archived {
        let dates = || moved.iter().filter_map(|entry| entry.date);
        let day = |date: DateTime| date.date().to_string();
        Archived {
            document: self.log.document().name().to_owned(),
            archive: archive.to_string(),
            entries: moved.len(),
            from: dates().min().map(day),
            to: dates().max().map(day),
        }
    }
}

/// The offset of the first decision in a log that is sorted newest first. `None` if decisions are below other
/// headings, since a new one would separate them.
pub(super) fn newest_decision_at_top(text: &str) -> Option<usize> {
    let all = entries(Log::Decisions, text);
    let dated = || all.iter().filter(|entry| entry.date.is_some());
    let (first, last) = (dated().next()?, dated().next_back()?);
    let start = all.first()?.range.start;
    let outline = Outline::of(text);
    let heading = outline.headings().iter().find(|heading| heading.range.start == start)?;
    let falls = is_newest_first(&all) == Some(true) && is_later(first.date?, last.date?);
    (falls && heading.level == 2).then_some(start)
}

/// The order of the dates in the document, if it is clear.
fn is_newest_first(entries: &[Entry]) -> Option<bool> {
    let dates: Vec<DateTime> = entries.iter().filter_map(|entry| entry.date).collect();
    let (mut falls, mut rises) = (0_usize, 0_usize);
    for (one, next) in dates.iter().zip(dates.iter().skip(1)) {
        falls += usize::from(next < one);
        rises += usize::from(next > one);
    }
    (falls != rises).then_some(falls > rises)
}

/// The entries by age, the oldest first. An entry without a date is as old as its neighbour; ties are in the order of
/// the document.
fn by_age(entries: &[Entry], newest_first: bool) -> Vec<usize> {
    let mut dates: Vec<Option<DateTime>> = entries.iter().map(|entry| entry.date).collect();
    let mut known = dates.iter().flatten().next().copied();
    for date in &mut dates {
        known = date.or(known);
        *date = known;
    }
    let mut order: Vec<usize> = (0..entries.len()).collect();
    order.compact_sort_by_key(|index| {
        let date = dates.get(*index).copied().flatten();
        let (down, up) = if newest_first { (Reverse(*index), 0) } else { (Reverse(0), *index) };
        (date, down, up)
    });
    order
}

/// The text without these entries. Blank lines after an entry are removed if a blank line precedes it.
fn without(text: &str, all: &[Entry], moving: &[usize]) -> String {
    let mut moving: Vec<&Entry> = moving.iter().filter_map(|index| all.get(*index)).collect();
    moving.compact_sort_by_key(|entry| entry.range.start);
    let mut rest = String::with_capacity(text.len());
    let mut at = 0;
    for entry in moving {
        rest.push_str(text.get(at..entry.range.start).unwrap_or_default());
        at = entry.range.end;
        let behind = text.get(at..).unwrap_or_default();
        let blank: usize =
            behind.split_inclusive('\n').take_while(|line| line.trim().is_empty()).map(str::len).sum();
        if ends_blank(&rest) || begins_with_item(behind.get(blank..).unwrap_or_default()) && entry.is_item {
            at += blank;
        }
    }
    rest.push_str(text.get(at..).unwrap_or_default());
    rest
}

/// A subset of these entries, in their order, that can be moved: all of them, or recursively those of each half,
/// within the number of tries.
fn movable_subset(log: Log, text: &str, all: &[Entry], moving: &[usize], tries: &mut usize) -> Vec<usize> {
    if moving.is_empty() || *tries == 0 {
        return Vec::new();
    }
    *tries -= 1;
    if keeps_everything_else(log, text, all, moving) {
        return moving.to_vec();
    }
    let Some((first, second)) =
        moving.split_at_checked(moving.len() / 2).filter(|(first, _)| !first.is_empty())
    else {
        return Vec::new();
    };
    let first = movable_subset(log, text, all, first, tries);
    let second = movable_subset(log, text, all, second, tries);
    let both = [first.as_slice(), second.as_slice()].concat();
    if keeps_everything_else(log, text, all, &both) {
        return both;
    }
    let bytes = |part: &[usize]| -> usize {
        part.iter().filter_map(|index| all.get(*index)).map(|entry| entry.range.len()).sum()
    };
    if bytes(&first) >= bytes(&second) { first } else { second }
}

/// Whether the text without these entries has exactly the other entries and headings, in their order.
fn keeps_everything_else(log: Log, text: &str, all: &[Entry], moving: &[usize]) -> bool {
    let rest = &without(text, all, moving);
    let gone: std::collections::BTreeSet<usize> = moving.iter().copied().collect();
    let kept = all.iter().enumerate().filter(|(index, _)| !gone.contains(index)).map(|(_, entry)| entry);
    let now = entries(log, rest);
    let same = |before: &Entry, after: &Entry| {
        before.is_item == after.is_item && text.get(before.range.clone()) == rest.get(after.range.clone())
    };
    let mut pairs = kept.clone().zip(&now);
    if kept.count() != now.len() || !pairs.all(|(before, after)| same(before, after)) {
        return false;
    }
    let mut taken: Vec<&Entry> = moving.iter().filter_map(|index| all.get(*index)).collect();
    taken.compact_sort_by_key(|entry| entry.range.start);
    let (before, after) = (Outline::of(text), Outline::of(rest));
    let stays = |at: usize| {
        let behind = taken.partition_point(|entry| entry.range.start <= at);
        behind.checked_sub(1).and_then(|index| taken.get(index)).is_none_or(|entry| entry.range.end <= at)
    };
    let headings = before.headings().iter().filter(|heading| stays(heading.range.start));
    headings
        .map(|heading| (heading.level, &heading.title))
        .eq(after.headings().iter().map(|heading| (heading.level, &heading.title)))
}

/// The beginning of a new archive.
fn preamble(log: Log, month: &str, ending: LineEnding) -> String {
    let (title, section) = match log {
        Log::Progress => ("Progress Archive", "\n## Update History\n\n"),
        Log::Decisions => ("Decision Log Archive", "\n"),
        Log::Notes => ("Session Notes Archive", "\n## Session Notes\n\n"),
    };
    let from = log.document().name();
    ending.apply(&format!("# {title} {month}\n\nEntries moved from {from} when it was full.\n{section}"))
}

/// The offset of the newest entry of an archive, if it is clear.
fn top(log: Log, archive: &str) -> Option<usize> {
    let title = match log {
        Log::Progress => "Update History",
        Log::Notes => "Session Notes",
        Log::Decisions => return None,
    };
    let outline = Outline::of(archive);
    let at = outline.find(&[title])?.heading.range.end;
    let below = archive.get(at..)?;
    let blank: usize =
        below.split_inclusive('\n').take_while(|line| line.trim().is_empty()).map(str::len).sum();
    // Indented text would become a part of the entry above it.
    (!below.get(blank..)?.starts_with([' ', '\t'])).then_some(at + blank)
}

/// Entries joined into one text.
struct Joined {
    text: String,
    last: TrailingElement,
    ending: LineEnding,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum TrailingElement {
    Nothing,
    Blank,
    Item,
    /// A block with a closing rule.
    Closed,
    /// A block that continues to the next heading.
    Open,
}

impl Joined {
    fn push(&mut self, entry: &str, is_item: bool) {
        match (self.last, is_item) {
            (TrailingElement::Nothing | TrailingElement::Blank, _) | (TrailingElement::Item, true) => {}
            // Otherwise the line would become a part of the block.
            (TrailingElement::Open, true) => self.lines("\n---\n\n"),
            _ => self.lines("\n"),
        }
        self.text.push_str(entry);
        self.close_line();
        self.last = if is_item { TrailingElement::Item } else { last_of(entry) };
    }

    fn lines(&mut self, lines: &str) {
        self.text.push_str(&self.ending.apply(lines));
    }

    fn close_line(&mut self) {
        if !self.text.is_empty() && !self.text.ends_with('\n') {
            self.lines("\n");
        }
    }
}

/// The kind of the last element of a text.
fn last_of(text: &str) -> TrailingElement {
    if text.trim().is_empty() {
        return TrailingElement::Nothing;
    }
    if ends_blank(text) {
        return TrailingElement::Blank;
    }
    let last = text.lines().next_back().unwrap_or_default();
    if last.trim() == "---" { TrailingElement::Closed } else { TrailingElement::Open }
}

fn ends_blank(text: &str) -> bool {
    let line = text.strip_suffix('\n').map(|text| text.rsplit('\n').next().unwrap_or_default());
    text.is_empty() || line.is_some_and(|line| line.trim().is_empty())
}

fn begins_with_item(text: &str) -> bool {
    let line = text.lines().next().unwrap_or_default();
    Outline::of(line).items().first().is_some_and(|item| item.range.start == 0)
}
