//! Finds the entries of a log: lines with a date, blocks below a dated heading, decisions. Other text (headings,
//! prose, tables, lists of tasks), and text whose end is ambiguous, is not an entry.

use std::ops::Range;

use jiff::civil::DateTime;

use crate::compact_sort::CompactSort as _;
use crate::document::CoreDocument;
use crate::document::conflict;
use crate::document::date::{date_anywhere, date_at_start};
use crate::document::known_section::KnownSection;
use crate::document::notes::is_open_problem;
use crate::document::section::{Heading, Item, Outline};
use crate::document::splice::written_end;
use crate::document::templates::is_template_row;

/// A document that grows by entries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Log {
    Progress,
    Decisions,
    Notes,
}

impl Log {
    pub(super) const ALL: [Self; 3] = [Self::Progress, Self::Decisions, Self::Notes];

    pub(super) fn document(self) -> CoreDocument {
        match self {
            Self::Progress => CoreDocument::Progress,
            Self::Decisions => CoreDocument::DecisionLog,
            Self::Notes => CoreDocument::ActiveContext,
        }
    }

    /// Whether the server puts the newest entry first.
    pub(super) fn is_newest_first(self) -> bool {
        self != Self::Decisions
    }

    /// Whether the items of a section are entries, with or without a date.
    fn is_section(self, heading: &Heading) -> bool {
        match self {
            Self::Progress => KnownSection::History.is_titled(heading),
            Self::Decisions => false,
            Self::Notes => KnownSection::Notes.is_titled(heading),
        }
    }
}

/// One entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    /// The bytes of its lines, without blank lines after it.
    pub(super) range: Range<usize>,
    pub(super) date: Option<DateTime>,
    pub(super) is_item: bool,
    /// Whether it is an unresolved blocker or issue, which is archived last.
    pub(super) is_open: bool,
}

/// The entries that may be moved, top to bottom; no two overlap.
pub(super) fn entries(log: Log, text: &str) -> Vec<Entry> {
    let outline = Outline::of(text);
    let mut unclear: Vec<Range<usize>> = conflict::find(text).into_iter().map(|found| found.range).collect();
    let mut found = blocks(log, &outline, &mut unclear);
    if log != Log::Decisions {
        let items = items(log, &outline, &found);
        found.extend(items);
        found.compact_sort_by_key(|entry| entry.range.start);
    }
    unclear.compact_sort_by_key(|part| part.start);
    let open_end = if is_open(text) { written_end(text, &(0..text.len())) } else { usize::MAX };
    let mut reached = 0;
    let mut parts = unclear.into_iter().peekable();
    found.retain(|entry| {
        while let Some(part) = parts.next_if(|part| part.start < entry.range.end) {
            reached = reached.max(part.end);
        }
        let held = outline.slice(&entry.range);
        // Text that would be changed by the move is not moved.
        entry.range.start >= reached && entry.range.end < open_end && !held.contains(['\0', '\u{fffd}'])
    });
    found
}

/// Whether the text ends in an open fence or comment, which would hide the following text.
pub(super) fn is_open(text: &str) -> bool {
    let with_end = [text, "\n\n# .\n"].concat();
    Outline::of(&with_end).headings().last().is_none_or(|last| last.range.start < text.len())
}

/// The entries with a heading. Ranges in which the end of an entry is ambiguous are added to `unclear`.
fn blocks(log: Log, outline: &Outline<'_>, unclear: &mut Vec<Range<usize>>) -> Vec<Entry> {
    let headings = headings(outline);
    let length = outline.text().len();
    let mut found: Vec<Entry> = Vec::new();
    let mut above: Vec<&Heading> = Vec::new();
    let mut end_of_last = 0;
    for (index, heading) in headings.iter().enumerate() {
        above.retain(|other| other.level < heading.level);
        let below = headings.get(index + 1..).unwrap_or_default();
        let own_end = below.first().map_or(length, |next| next.range.start);
        let own = outline.slice(&(heading.range.end..own_end));
        // A block within a block belongs to it.
        if heading.range.start >= end_of_last
            && let Some(date) = date_of_block(log, heading, &above, own)
        {
            let next = below.iter().find(|next| next.level <= heading.level);
            let section = heading.range.end..next.map_or(length, |next| next.range.start);
            end_of_last = section.end;
            let inner = below.iter().take_while(|next| next.range.start < section.end).last();
            match end_of_block(log, outline, &section, inner.map(|inner| inner.range.end)) {
                Some(end) => found.push(Entry {
                    range: heading.range.start..end,
                    date,
                    is_item: false,
                    is_open: false,
                }),
                None => unclear.push(heading.range.start..section.end),
            }
        }
        above.push(heading);
    }
    found
}

/// The date of the entry that the heading begins; `None` if it begins no entry.
#[expect(clippy::option_option, reason = "an entry may have no date")]
fn date_of_block(log: Log, heading: &Heading, above: &[&Heading], own: &str) -> Option<Option<DateTime>> {
    match log {
        Log::Progress if heading.level >= 2 && !is_about_the_future(above) => {
            date_at_start(&heading.source).map(Some)
        }
        Log::Notes if above.iter().any(|section| log.is_section(section)) => {
            date_at_start(&heading.source).map(Some)
        }
        Log::Decisions if matches!(heading.level, 2 | 3) => {
            let written = || own.lines().find(|line| !line.trim().is_empty()).and_then(date_at_start);
            let date = labelled(own, "Date").and_then(date_at_start).or_else(written);
            match date.or_else(|| date_anywhere(&heading.source)) {
                Some(date) => Some(Some(date)),
                // Rows of the template are not decisions.
                None if labelled(own, "Date").is_some_and(|date| date.trim() == "[Date]") => None,
                None => labelled(own, "Decision").map(|_| None),
            }
        }
        _ => None,
    }
}

/// The offset at which a block ends: at the rule that closes it, if there is one, else with its section. `None` if
/// there is a rule, then entries of one line, then another rule: either may be the closing one. In a block with
/// headings of its own (`inner` is where the last of them ends), only entries of one line after a rule are not part
/// of it.
fn end_of_block(
    log: Log,
    outline: &Outline<'_>,
    section: &Range<usize>,
    inner: Option<usize>,
) -> Option<usize> {
    let text = outline.text();
    let whole = written_end(text, section);
    if log == Log::Decisions {
        return Some(whole);
    }
    let rules = outline.rules();
    let from = rules.partition_point(|rule| rule.start < inner.unwrap_or(section.start));
    let to = rules.partition_point(|rule| rule.start < section.end);
    let rules = rules.get(from..to).unwrap_or_default();
    let items = outline.items_in(section);
    for (index, rule) in rules.iter().enumerate() {
        let next = items.get(items.partition_point(|item| item.range.start < rule.end)..)?.first();
        let is_entry = next.is_some_and(|item| {
            outline.slice(&(rule.end..item.range.start)).trim().is_empty() && is_dated(item)
        });
        if is_entry {
            return (index + 1 == rules.len()).then_some(rule.end);
        }
    }
    Some(rules.last().filter(|_| inner.is_none()).map_or(whole, |rule| rule.end))
}

/// The entries of one line (with nested content) outside of blocks.
fn items(log: Log, outline: &Outline<'_>, blocks: &[Entry]) -> Vec<Entry> {
    let headings = headings(outline);
    let mut found = Vec::new();
    let mut above: Vec<&Heading> = Vec::new();
    let (mut next_heading, mut next_block) = (0, 0);
    for item in outline.items().iter().filter(|item| item.depth == 0) {
        while let Some(heading) =
            headings.get(next_heading).filter(|next| next.range.start < item.range.start)
        {
            above.retain(|other| other.level < heading.level);
            // Text after the end of a block belongs to the section of the block.
            if blocks.binary_search_by_key(&heading.range.start, |block| block.range.start).is_err() {
                above.push(heading);
            }
            next_heading += 1;
        }
        while blocks.get(next_block).is_some_and(|block| block.range.end <= item.range.start) {
            next_block += 1;
        }
        let in_block = blocks.get(next_block).is_some_and(|block| block.range.start < item.range.end);
        let in_log = above.iter().any(|section| log.is_section(section));
        let directly = above.last().is_some_and(|section| log.is_section(section));
        let date = date_at_start(&item.text);
        let is_entry = match (log, date) {
            (_, None) => directly && !is_template_row(&item.text),
            (Log::Progress, Some(_)) => !is_about_the_future(&above),
            (_, Some(_)) => in_log,
        };
        if is_entry && !in_block {
            let is_open = log == Log::Notes && is_open_problem(&item.text);
            found.push(Entry { range: item.range.clone(), date, is_item: true, is_open });
        }
    }
    found
}

/// The headings, except for the last line of a paragraph directly above a rule, which is a heading by Markdown's
/// syntax only.
fn headings<'o>(outline: &'o Outline<'_>) -> Vec<&'o Heading> {
    let is_prose = |heading: &Heading| {
        let lines: Vec<&str> = outline.slice(&heading.range).lines().collect();
        lines.last().is_some_and(|underline| underline.trim() == "---")
            && (lines.len() > 2 || lines.first().is_some_and(|line| line.trim_start().starts_with("**")))
    };
    outline.headings().iter().filter(|heading| !is_prose(heading)).collect()
}

/// Whether a section is about the future or the present, so that its dates are not dates of entries.
fn is_about_the_future(above: &[&Heading]) -> bool {
    const WORDS: [&str; 14] = [
        "task",
        "todo",
        "to do",
        "next",
        "pending",
        "issue",
        "plan",
        "left",
        "milestone",
        "upcoming",
        "backlog",
        "open",
        "deadline",
        "roadmap",
    ];
    above.iter().filter(|section| section.level >= 2).any(|section| {
        let title = section.title.to_lowercase();
        WORDS.iter().any(|word| title.contains(word))
            && !title.contains("completed")
            && !title.contains("done")
    })
}

fn is_dated(item: &Item) -> bool {
    item.depth == 0 && date_at_start(&item.text).is_some()
}

/// The text after `Label:` at the head of a line, without stars and bullets.
fn labelled<'t>(text: &'t str, label: &str) -> Option<&'t str> {
    text.lines().find_map(|line| {
        let bare = line
            .trim_start_matches(|character: char| character.is_whitespace() || "-*+_".contains(character));
        let rest = bare.strip_prefix(label)?;
        let value = rest.trim_start_matches(['*', '_', ':', ' ']);
        rest.get(..rest.len() - value.len())?.contains(':').then_some(value)
    })
}
