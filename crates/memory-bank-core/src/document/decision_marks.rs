//! Marks in the entries of a decision log: from when until when a decision holds, which one it replaces, which one replaced it. They are
//! lines of text, which people may write by hand.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::ops::Range;

use crate::document::digest::decision_record::is_single_record;
use crate::document::roles::{Role, is_placeholder, is_structural};
use crate::document::section::{Heading, Outline, Section};
use crate::document::splice::{Gap, insert_visible};
use crate::error::EditError;
use crate::graph::validity::{end_of, start_of};

/// The label of the first day or time of a decision.
pub(super) const VALID_FROM: &str = "Valid From";
/// The label of the last day or time of a decision.
pub(super) const VALID_UNTIL: &str = "Valid Until";
/// The label of the last day or time at which it can be relied on.
pub(super) const EXPIRES: &str = "Expires";
/// The label of the decisions that it replaces.
pub(super) const SUPERSEDES: &str = "Supersedes";
/// The label of the decision that replaced it.
const SUPERSEDED_BY: &str = "Superseded By";
const DATE: &str = "Date";

/// How many titles a refusal lists.
const LISTED_TITLES: usize = 5;

/// An entry that begins or ends.
pub(crate) struct BoundedEntry {
    /// Its bytes.
    pub(crate) range: Range<usize>,
    /// When it holds.
    pub(crate) bounds: Bounds,
}

/// When an entry holds, in milliseconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Bounds {
    /// The first moment.
    pub(crate) begin: i64,
    /// The first moment at which it has ended.
    pub(crate) end: i64,
}

impl Bounds {
    /// The bounds of an entry without marks.
    pub(crate) const NONE: Self = Self { begin: i64::MIN, end: i64::MAX };

    /// The bounds within which both hold.
    pub(crate) fn and(self, other: Self) -> Self {
        Self { begin: self.begin.max(other.begin), end: self.end.min(other.end) }
    }

    /// Whether the entry holds at a moment.
    pub(crate) fn hold(self, at: i64) -> bool {
        self.begin <= at && at < self.end
    }
}

/// The entries that begin or end, top to bottom.
pub(crate) fn bounded_entries(text: &str) -> Vec<BoundedEntry> {
    // Most logs have no marks, and need no parser.
    if text.lines().any(has_mark) { bounded_in(&Outline::of(text)) } else { Vec::new() }
}

fn bounded_in(outline: &Outline<'_>) -> Vec<BoundedEntry> {
    let bounds = |section: &Section<'_>| bounds_of_entry(outline.slice(&section.own));
    if is_whole_record(outline) {
        let bounds = outline.sections().map(|section| bounds(&section)).fold(Bounds::NONE, Bounds::and);
        let whole = outline.section(0).filter(|_| bounds != Bounds::NONE);
        return whole.map(|section| BoundedEntry { range: section.range(), bounds }).into_iter().collect();
    }
    let entries = outline.sections().filter(|section| section.heading.level >= 2);
    entries
        .map(|section| BoundedEntry { range: section.range(), bounds: bounds(&section) })
        .filter(|entry| entry.bounds != Bounds::NONE)
        .collect()
}

/// Whether a document is one decision, whose title is the heading of level 1.
fn is_whole_record(outline: &Outline<'_>) -> bool {
    let is_title = |heading: &Heading| {
        heading.level == 1
            && Role::of_heading(&heading.title) != Some(Role::Decision)
            && !is_structural(&heading.title)
    };
    is_single_record(outline) || matches!(outline.headings(), [only] if is_title(only))
}

/// Whether a heading groups decisions, such as a year: it has no date of its own, and headings of decisions below it.
fn is_group(outline: &Outline<'_>, section: &Section<'_>) -> bool {
    let mut below = outline.sections_in(&section.body).into_iter().map(|one| one.heading).peekable();
    value_of(outline.slice(&section.own), DATE).is_none()
        && below.peek().is_some()
        && below.all(|heading| !is_structural(&heading.title))
}

/// When the entry with these lines holds.
fn bounds_of_entry(own: &str) -> Bounds {
    let begin = value_of(own, VALID_FROM).and_then(start_of).unwrap_or(i64::MIN);
    let replaced = lines_of_entry(own)
        .filter_map(|(_, line)| labelled_value(line, SUPERSEDED_BY))
        .filter(|value| !is_placeholder(value))
        .map(|value| effect_of(value).unwrap_or(i64::MIN));
    let ends = [VALID_UNTIL, EXPIRES].into_iter().filter_map(|label| end_of(value_of(own, label)?));
    Bounds { begin, end: replaced.chain(ends).min().unwrap_or(i64::MAX) }
}

/// The words before the time from which a replacement counts.
const FROM: &str = ", from ";

/// The moment from which a mark of replacement counts, if it has one.
fn effect_of(replaced_by: &str) -> Option<i64> {
    start_of(replaced_by.rsplit_once(FROM)?.1)
}

/// The decision that a mark of replacement names, without the time from which it counts.
fn without_effect(replaced_by: &str) -> &str {
    let named = replaced_by.rsplit_once(FROM).filter(|(_, from)| start_of(from).is_some());
    named.map_or(replaced_by, |(name, _)| name)
}

/// A decision log without the entries that have ended or have not begun.
#[derive(Debug)]
pub struct HoldingDecisions<'t> {
    /// The text of the others.
    pub text: Cow<'t, str>,
    /// The headings in those that are left out, except the headings that others have, too.
    pub ended: Vec<String>,
    /// How many entries are left out.
    pub left_out: usize,
    /// The decisions that will hold, as `Title (from time)`.
    pub upcoming: Vec<String>,
}

/// A decision log without the entries that do not hold at this moment, in milliseconds since 1970.
pub(crate) fn holding(text: &str, at: i64) -> HoldingDecisions<'_> {
    let mut holding =
        HoldingDecisions { text: Cow::Borrowed(text), ended: Vec::new(), left_out: 0, upcoming: Vec::new() };
    if !text.lines().any(has_mark) {
        return holding;
    }
    let outline = Outline::of(text);
    let mut kept = String::new();
    let mut gone: Vec<Range<usize>> = Vec::new();
    let mut from = 0;
    for BoundedEntry { range, bounds } in bounded_in(&outline) {
        if !bounds.hold(at) && range.start >= from {
            if bounds.end > at {
                holding.upcoming.extend(upcoming_name(&outline, &range));
            }
            kept.push_str(text.get(from..range.start).unwrap_or_default());
            from = range.end;
            gone.push(range);
        }
    }
    if gone.is_empty() {
        return holding;
    }
    kept.push_str(text.get(from..).unwrap_or_default());
    let is_gone = |heading: &&Heading| {
        let next = gone.partition_point(|range| range.end <= heading.range.start);
        gone.get(next).is_some_and(|range| range.start <= heading.range.start)
    };
    let (ended, others): (Vec<&Heading>, Vec<&Heading>) = outline.headings().iter().partition(is_gone);
    let others: BTreeSet<&str> = others.into_iter().map(|heading| &*heading.title).collect();
    let ended = ended.into_iter().map(|heading| &*heading.title).filter(|title| !others.contains(title));
    holding.ended = ended.map(str::to_owned).collect();
    holding.text = Cow::Owned(kept);
    holding.left_out = gone.len();
    holding
}

/// A decision that will hold, as `Title (from time)`.
fn upcoming_name(outline: &Outline<'_>, range: &Range<usize>) -> Option<String> {
    let heading = outline.headings().iter().find(|heading| range.contains(&heading.range.start))?;
    let from = value_of(outline.slice(range), VALID_FROM)?;
    Some(format!("{} (from {from})", heading.title.trim()))
}

/// A line without its bullet and the emphasis before its first word.
fn unmarked(line: &str) -> &str {
    line.trim_start_matches(['-', '*', '+', '_', ' ', '\t'])
}

/// Whether a line is a mark of the begin or end of a decision.
fn has_mark(line: &str) -> bool {
    let words = unmarked(line);
    let may_be = matches!(words.as_bytes().first(), Some(b'S' | b's' | b'V' | b'v' | b'E' | b'e'));
    may_be
        && [SUPERSEDED_BY, VALID_FROM, VALID_UNTIL, EXPIRES]
            .iter()
            .any(|label| labelled_value(words, label).is_some())
}

/// The value of a line with this label. People write it in any case, with or without a bullet and emphasis.
fn labelled_value<'t>(line: &'t str, label: &str) -> Option<&'t str> {
    let words = unmarked(line);
    let head = words.get(..label.len())?;
    let rest = words.get(label.len()..)?.trim_start_matches(['*', '_', ' ']);
    let value =
        rest.strip_prefix(':')?.trim_matches(|sign: char| matches!(sign, '*' | '_') || sign.is_whitespace());
    head.eq_ignore_ascii_case(label).then_some(value)
}

/// The value of the first line with this label.
fn value_of<'t>(own: &'t str, label: &str) -> Option<&'t str> {
    lines_of_entry(own).find_map(|(_, line)| labelled_value(line, label))
}

/// The lines of an entry that are neither code nor a comment nor a part of an item, each with the offset behind it. The text of an
/// argument is indented where it is a part of an item, so no such text is a mark.
fn lines_of_entry(own: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut behind = 0;
    let mut fence: Option<&str> = None;
    let mut in_comment = false;
    own.split_inclusive('\n').filter_map(move |line| {
        behind += line.len();
        if line.starts_with("  ") || line.starts_with(" \t") || line.starts_with('\t') {
            return None;
        }
        let words = line.trim();
        if in_comment {
            in_comment = !words.contains("-->");
            return None;
        }
        let mark = ["```", "~~~"].into_iter().find(|mark| words.starts_with(mark));
        if let Some(open) = fence {
            if mark == Some(open) {
                fence = None;
            }
            return None;
        }
        fence = mark;
        in_comment = words.split_once("<!--").is_some_and(|(_, rest)| !rest.contains("-->"));
        (fence.is_none() && !in_comment).then_some((behind, line))
    })
}

/// The decision that replaced the entry with these lines.
fn replaced_by(own: &str) -> Option<&str> {
    value_of(own, SUPERSEDED_BY).filter(|value| !is_placeholder(value))
}

/// A decision that another one replaces.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReplacedDecision {
    /// The decision as `Title (date)`.
    pub name: String,
    /// The decision that had replaced it before, as its mark names it.
    pub already_by: Option<String>,
}

/// Marks a decision as replaced by another one, at once or from a time on.
///
/// # Errors
/// No decision has this title, or several have it.
pub(super) fn mark_superseded(
    text: &str,
    named: &str,
    by: &str,
    from: Option<&str>,
) -> Result<(String, ReplacedDecision), EditError> {
    let outline = Outline::of(text);
    let entries: Vec<Section<'_>> = outline
        .sections()
        .filter(|section| section.heading.level >= 2 && !is_group(&outline, section))
        .collect();
    let entry = find(&outline, &entries, named)?;
    let own = outline.slice(&entry.own);
    let date = value_of(own, DATE).unwrap_or_default();
    let title = entry.heading.title.trim();
    let name = if date.is_empty() { title.to_owned() } else { format!("{title} ({date})") };
    let already_by = replaced_by(own).map(|by| without_effect(by).to_owned());
    let from = from.map(|from| format!("{FROM}{from}")).unwrap_or_default();
    let mark = format!("- **{SUPERSEDED_BY}:** {by}{from}");
    // Behind the date, as its neighbour; else at the beginning of the entry.
    let is_date =
        |line: &str| line.trim_start().starts_with(['-', '*', '+']) && labelled_value(line, DATE).is_some();
    let date_line = lines_of_entry(own).find(|(_, line)| is_date(line));
    let at = entry.own.start + date_line.map_or(0, |(behind, _)| behind);
    let changed = insert_visible(&outline, at, &mark, Gap::None, Gap::None)?;
    Ok((changed, ReplacedDecision { name, already_by }))
}

/// The entry that is named by its title, with or without its date; of several with one title the only one that is not replaced.
fn find<'s, 'o>(
    outline: &Outline<'_>,
    entries: &'s [Section<'o>],
    named: &str,
) -> Result<&'s Section<'o>, EditError> {
    let folded = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ").to_lowercase();
    let wanted = folded(named);
    let is_meant = |entry: &&Section<'_>| {
        let titles = [folded(&entry.heading.title), folded(&entry.heading.source)];
        let date = folded(value_of(outline.slice(&entry.own), DATE).unwrap_or_default());
        let dates = [day_of(&date), time_of(&date), date.as_str()];
        titles.iter().any(|title| {
            wanted == *title
                || dates
                    .iter()
                    .filter(|date| !date.is_empty())
                    .any(|date| wanted == format!("{date} {title}") || wanted == format!("{title} ({date})"))
        })
    };
    let meant: Vec<&Section<'_>> = entries.iter().filter(is_meant).collect();
    let holding: Vec<&Section<'_>> =
        meant.iter().copied().filter(|entry| replaced_by(outline.slice(&entry.own)).is_none()).collect();
    match (holding.as_slice(), meant.as_slice()) {
        ([entry], _) => Ok(entry),
        ([], [.., last]) => Ok(last),
        ([], []) => {
            let titles = entries.iter().rev().take(LISTED_TITLES).map(|entry| entry.heading.title.trim());
            let titles = titles.collect::<Vec<_>>().join("`, `");
            let known =
                if titles.is_empty() { String::new() } else { format!("; the last ones are `{titles}`") };
            Err(EditError::Refused(format!(
                "`supersedes`: no decision of decision-log.md is called `{}`{known}; give a title, or a date and a title; nothing was written",
                named.trim()
            )))
        }
        (several, _) => Err(ambiguous(outline, named, several)),
    }
}

/// The refusal of a name that several decisions have, with a name that only the last one has.
fn ambiguous(outline: &Outline<'_>, named: &str, several: &[&Section<'_>]) -> EditError {
    let date_of = |entry: &&Section<'_>| value_of(outline.slice(&entry.own), DATE).unwrap_or_default();
    let dates: Vec<&str> = several.iter().map(date_of).filter(|date| !date.is_empty()).collect();
    let title = several.last().map_or("", |last| last.heading.title.trim());
    let parts = [("date", day_of as PartOfTime), ("date and time", time_of)];
    let differ = |part: PartOfTime| {
        let distinct: BTreeSet<&str> = dates.iter().map(|date| part(date)).collect();
        dates.len() == several.len() && distinct.len() == several.len()
    };
    let advice = match parts.into_iter().find(|(_, part)| differ(*part)) {
        Some((words, part)) => {
            let last = dates.last().map_or("", |date| part(date));
            format!("give the {words} before the title, as in `{last} {title}`")
        }
        None => {
            "change the heading of one of them with edit_memory_bank_file first, as their dates do not differ"
                .to_owned()
        }
    };
    EditError::Refused(format!(
        "`supersedes`: several decisions are called `{}` ({}); {advice}; nothing was written",
        named.trim(),
        dates.join(", ")
    ))
}

/// A part of a time that distinguishes decisions.
type PartOfTime = fn(&str) -> &str;

/// The day of a time as decisions have it.
fn day_of(date: &str) -> &str {
    date.split(' ').next().unwrap_or_default()
}

/// Such a time without its zone.
fn time_of(date: &str) -> &str {
    date.strip_suffix(" utc").or_else(|| date.strip_suffix(" UTC")).unwrap_or(date)
}

#[cfg(test)]
mod tests;
