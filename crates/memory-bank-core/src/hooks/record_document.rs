//! The document of session records: one item per session, the newest first, and one line per week for older ones.
//!
//! Lines that are not understood stay where they are: the document belongs to its readers.

use crate::compact_sort::CompactSort as _;
use std::collections::BTreeMap;

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};

use super::record::AgentSessionRecord;
use super::record_item::{Folded, Item};
use crate::document::carriage_returns::edited;

/// The document.
pub const SESSION_RECORDS: &str = "session-records.md";
/// Records older than this many days are folded.
const UNFOLDED_DAYS: i32 = 14;
/// The most records that are kept whole, and the most bytes they may have.
const MAX_RECORDS: usize = 60;
const MAX_RECORD_BYTES: usize = 48 * 1024;
/// The most weeks; older ones are folded into years.
const MAX_WEEKS: usize = 104;

const DOCUMENT_HEAD: &str = "# Session Records\n\n<!-- Written by the hooks of memory-bank-mcp, without a model, from git and the \
                     agent's events. Records of what happened, never instructions. docs/hooks.md says how to turn them off. -->\n";
const RECENT_HEADING: &str = "## Sessions";
const OLDER_HEADING: &str = "## Older Sessions";

/// Whether this is the document of session records, in any letter case.
#[must_use]
pub fn is_session_records(name: &str) -> bool {
    name.eq_ignore_ascii_case(SESSION_RECORDS)
}

/// The document with the record; the record of the same session is replaced. `None` if nothing would change, and for a session
/// that `was_recorded` and is not in the document: its record was folded, and is counted, or a person has deleted it.
#[must_use]
pub fn with_record(
    text: Option<&str>,
    record: &AgentSessionRecord,
    was_recorded: bool,
    now: Timestamp,
) -> Option<String> {
    let write = |seen: &str| recorded(text.map(|_| seen), record, was_recorded, now).ok_or(());
    edited(text.unwrap_or_default(), write).ok()
}

fn recorded(
    text: Option<&str>,
    record: &AgentSessionRecord,
    was_recorded: bool,
    now: Timestamp,
) -> Option<String> {
    let mut document = Records::of(text.unwrap_or_default());
    let item = record.item();
    let same = |known: &Item| known.session.as_deref() == Some(record.id.as_str());
    if document.recent.iter().any(|known| same(known) && known.text == item)
        || was_recorded && !document.recent.iter().any(same)
    {
        return None;
    }
    let mut item = Item::of(item.lines());
    item.notes =
        document.recent.iter().filter(|known| same(known)).flat_map(|known| known.notes.clone()).collect();
    document.recent.retain(|known| !same(known));
    document.recent.push(item);
    document.recent.compact_sort_by(|a, b| b.at.cmp(&a.at));
    document.fold(&record.id, now);
    document.fold_weeks();
    let written = document.text();
    (Some(written.as_str()) != text).then_some(written)
}

/// The records that began more than `days` days ago, in their written form.
#[must_use]
pub fn old_records(text: &str, days: i32, now: Timestamp) -> Vec<String> {
    let oldest = oldest_day(days, now);
    let recent = Records::of(text).recent.into_iter();
    recent.filter(|item| item.date().is_some_and(|date| date < oldest)).map(|item| item.text).collect()
}

/// The document with those records folded into a line a week; `None` if it has none.
#[must_use]
pub fn with_old_records_folded(text: &str, days: i32, now: Timestamp) -> Option<String> {
    if old_records(text, days, now).is_empty() {
        return None;
    }
    let mut document = Records::of(text);
    document.fold_where(|item, _, _| item.date().is_none_or(|date| date >= oldest_day(days, now)));
    document.fold_weeks();
    Some(document.text())
}

fn oldest_day(days: i32, now: Timestamp) -> Date {
    let today = now.to_zoned(TimeZone::UTC).date();
    today.checked_sub(days.days()).unwrap_or(today)
}

/// The document by its parts. Lines of a person have their own line ends.
#[derive(Default)]
struct Records {
    /// Everything before the records.
    head: String,
    recent: Vec<Item>,
    folded: BTreeMap<String, Folded>,
    /// Lines below the first heading that are neither.
    others: Vec<String>,
    /// Those below the heading of older sessions.
    older_others: Vec<String>,
    /// The lines end with a carriage return.
    has_returns: bool,
}

impl Records {
    fn of(text: &str) -> Self {
        let mut records = Self { has_returns: has_returns(text), ..Self::default() };
        let is_code = code_lines(text);
        let mut lines = lines(text).zip(is_code).peekable();
        while let Some((line, _)) = lines.next_if(|(line, is_code)| *is_code || !is_heading(line)) {
            records.head.push_str(line);
            records.head.push('\n');
        }
        if records.head.trim().is_empty() {
            records.head = DOCUMENT_HEAD.to_owned();
        }
        let (mut has_recent, mut is_older) = (false, false);
        // Blank lines between lines of a person are kept.
        let mut follows_other = false;
        while let Some((line, is_code)) = lines.next() {
            if is_code {
                records.others_of(is_older).push(line.to_owned());
                follows_other = true;
                continue;
            }
            if line.trim().is_empty() {
                if follows_other {
                    records.others_of(is_older).push(line.to_owned());
                }
                continue;
            }
            follows_other = false;
            let is_new = match line.trim_end() {
                RECENT_HEADING => !std::mem::replace(&mut has_recent, true),
                OLDER_HEADING => !std::mem::replace(&mut is_older, true),
                _ => false,
            };
            if is_new {
                continue;
            }
            if let Some((label, folded)) = Folded::parse(line.trim_end()) {
                records.folded.entry(label).or_default().add(folded);
                continue;
            }
            let mut item = vec![line];
            if line.starts_with("- [") {
                while let Some((next, _)) = lines.next_if(|(next, _)| is_part(next)) {
                    item.push(next);
                }
                let known = Item::of(item.iter().copied());
                if known.at.is_some() && known.session.is_some() {
                    records.recent.push(known);
                    continue;
                }
            }
            records.others_of(is_older).extend(item.into_iter().map(str::to_owned));
            follows_other = true;
        }
        for others in [&mut records.others, &mut records.older_others] {
            while others.last().is_some_and(|line| line.trim().is_empty()) {
                others.pop();
            }
        }
        records
    }

    /// The lines of a person in the section.
    fn others_of(&mut self, is_older: bool) -> &mut Vec<String> {
        if is_older { &mut self.older_others } else { &mut self.others }
    }

    /// Folds old records, and the oldest ones of too many, but for that of the session that is being recorded.
    fn fold(&mut self, current: &str, now: Timestamp) {
        let oldest = oldest_day(UNFOLDED_DAYS, now);
        self.fold_where(|item, unfolded, bytes| {
            let is_recent = item.date().is_some_and(|date| date >= oldest);
            let is_current = item.session.as_deref() == Some(current);
            is_current || is_recent && unfolded < MAX_RECORDS && bytes <= MAX_RECORD_BYTES
        });
    }

    /// Folds the records that do not stay, by how many stay before a record and the bytes down to it. What a person has added to
    /// one stays in the section of older sessions.
    fn fold_where(&mut self, stays: impl Fn(&Item, usize, usize) -> bool) {
        let mut bytes = 0_usize;
        let mut unfolded: Vec<Item> = Vec::new();
        for item in std::mem::take(&mut self.recent) {
            bytes += item.text.len();
            if stays(&item, unfolded.len(), bytes) {
                unfolded.push(item);
                continue;
            }
            let Some(date) = item.date() else { continue };
            self.folded.entry(week_of(date)).or_default().add(item.folded());
            self.older_others.extend(item.notes);
        }
        self.recent = unfolded;
    }

    /// Folds the oldest of too many weeks into years.
    fn fold_weeks(&mut self) {
        while self.folded.keys().filter(|label| label.starts_with("Week")).count() > MAX_WEEKS {
            let Some(label) = self.folded.keys().find(|label| label.starts_with("Week")).cloned() else {
                return;
            };
            let Some(folded) = self.folded.remove(&label) else { return };
            let year = label.trim_start_matches("Week of ").get(..4).unwrap_or_default().to_owned();
            self.folded.entry(format!("Year {year}")).or_default().add(folded);
        }
    }

    fn text(&self) -> String {
        let end = if self.has_returns { "\r\n" } else { "\n" };
        let mut text = format!("{}{end}{end}{RECENT_HEADING}{end}{end}", self.head.trim_end());
        let own = |text: &mut String, line: &str| {
            text.push_str(line);
            text.push_str(end);
        };
        let others = |text: &mut String, lines: &[String]| {
            lines.iter().for_each(|line| text.push_str(&format!("{line}\n")));
        };
        for item in &self.recent {
            item.text.lines().for_each(|line| own(&mut text, line));
            others(&mut text, &item.notes);
        }
        if !self.others.is_empty() {
            text.push_str(end);
            others(&mut text, &self.others);
        }
        if !self.folded.is_empty() || !self.older_others.is_empty() {
            text.push_str(&format!("{end}{OLDER_HEADING}{end}{end}"));
            // The newest first: weeks before years.
            let (weeks, years): (Vec<_>, Vec<_>) =
                self.folded.iter().rev().partition(|(label, _)| label.starts_with('W'));
            for (label, folded) in weeks.into_iter().chain(years) {
                own(&mut text, &folded.line(label));
            }
            if !self.folded.is_empty() && !self.older_others.is_empty() {
                text.push_str(end);
            }
            others(&mut text, &self.older_others);
        }
        text
    }
}

fn is_heading(line: &str) -> bool {
    [RECENT_HEADING, OLDER_HEADING].contains(&line.trim_end())
}

/// Whether a line belongs to the item above it.
fn is_part(line: &str) -> bool {
    (line.starts_with("  ") || line.starts_with('\t')) && !line.trim().is_empty()
}

/// The lines, each with the carriage return at its end.
fn lines(text: &str) -> impl Iterator<Item = &str> {
    text.strip_suffix('\n').unwrap_or(text).split('\n').skip(usize::from(text.is_empty()))
}

/// Whether the first line ends with a carriage return.
fn has_returns(text: &str) -> bool {
    text.split_once('\n').is_some_and(|(first, _)| first.ends_with('\r'))
}

/// Which lines are in a fenced block of code that also ends.
fn code_lines(text: &str) -> Vec<bool> {
    let mut is_code: Vec<bool> = Vec::new();
    let mut open: Option<(usize, char, usize)> = None;
    for (number, line) in lines(text).enumerate() {
        is_code.push(false);
        let bare = line.trim();
        let Some(mark) = bare.chars().next().filter(|mark| matches!(mark, '`' | '~')) else { continue };
        let count = bare.chars().take_while(|character| *character == mark).count();
        match open {
            None if count >= 3 => open = Some((number, mark, count)),
            Some((first, opened, least)) if opened == mark && count >= least && bare.len() == count => {
                is_code.iter_mut().skip(first).for_each(|line| *line = true);
                open = None;
            }
            _ => {}
        }
    }
    is_code
}

/// The label of the week of a day; it names the Monday.
fn week_of(date: Date) -> String {
    let since_monday = i32::from(date.weekday().to_monday_zero_offset());
    format!("Week of {}", date.checked_sub(since_monday.days()).unwrap_or(date))
}

#[cfg(test)]
#[path = "record_document_tests.rs"]
mod tests;
