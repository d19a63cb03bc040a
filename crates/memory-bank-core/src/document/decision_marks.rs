//! Marks in the entries of a decision log: until when a decision holds, which one it replaces, which one replaced it. They are
//! lines of text, which people may write by hand.

use std::borrow::Cow;
use std::ops::Range;

use crate::document::section::{Outline, Section};
use crate::document::splice::{Gap, insert_visible};
use crate::error::EditError;
use crate::graph::validity::end_of;

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

/// The entries that end, with the first moment at which they have ended, in milliseconds since 1970.
pub(crate) fn ending_entries(text: &str) -> Vec<(Range<usize>, i64)> {
    let marks = [SUPERSEDED_BY, VALID_UNTIL, EXPIRES];
    // Most logs have none, and need no parser.
    if !marks.iter().any(|label| text.contains(&format!("**{label}:**"))) {
        return Vec::new();
    }
    let outline = Outline::of(text);
    let entries = outline.sections().filter(|section| section.heading.level >= 2);
    entries
        .filter_map(|section| {
            let own = outline.slice(&section.own);
            let replaced = value_of(own, SUPERSEDED_BY).map(|_| i64::MIN);
            let ends = [VALID_UNTIL, EXPIRES].into_iter().filter_map(|label| end_of(value_of(own, label)?));
            Some((section.range(), replaced.into_iter().chain(ends).min()?))
        })
        .collect()
}

/// A decision log without the entries that have ended at this moment, in milliseconds since 1970.
pub(crate) fn without_ended(text: &str, at: i64) -> Cow<'_, str> {
    let mut kept = String::new();
    let mut from = 0;
    for (range, end) in ending_entries(text) {
        if end <= at && range.start >= from {
            kept.push_str(text.get(from..range.start).unwrap_or_default());
            from = range.end;
        }
    }
    if from == 0 {
        return Cow::Borrowed(text);
    }
    kept.push_str(text.get(from..).unwrap_or_default());
    Cow::Owned(kept)
}

/// The value of a labelled line.
fn value_of<'t>(own: &'t str, label: &str) -> Option<&'t str> {
    own.lines().find_map(|line| {
        let line = line.trim().trim_start_matches(['-', '*', ' ']);
        line.strip_prefix(label)?.strip_prefix(":**").map(str::trim)
    })
}

/// Marks a decision as replaced. Returns the text and the decision as `Title (date)`.
///
/// # Errors
/// No decision has this title, or several have it.
pub(super) fn mark_superseded(text: &str, named: &str, by: &str) -> Result<(String, String), EditError> {
    let outline = Outline::of(text);
    let entries: Vec<Section<'_>> = outline.sections().filter(|section| section.heading.level >= 2).collect();
    let entry = find(&outline, &entries, named)?;
    let own = outline.slice(&entry.own);
    let date = value_of(own, DATE).unwrap_or_default();
    let title = entry.heading.title.trim();
    let shown = if date.is_empty() { title.to_owned() } else { format!("{title} ({date})") };
    let mark = format!("- **{SUPERSEDED_BY}:** {by}");
    // Behind the date, as its neighbour; else at the beginning of the entry.
    let mut at = entry.own.start;
    let mut place = entry.own.start;
    for line in own.split_inclusive('\n') {
        place += line.len();
        if line.trim_start().starts_with(&format!("- **{DATE}:**")) {
            at = place;
            break;
        }
    }
    Ok((insert_visible(&outline, at, &mark, Gap::None, Gap::None)?, shown))
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
        let title = folded(&entry.heading.title);
        let date = folded(value_of(outline.slice(&entry.own), DATE).unwrap_or_default());
        let day = date.split(' ').next().unwrap_or_default();
        let time = date.strip_suffix(" utc").unwrap_or(&date);
        wanted == title
            || [day, time, date.as_str()]
                .iter()
                .filter(|date| !date.is_empty())
                .any(|date| wanted == format!("{date} {title}") || wanted == format!("{title} ({date})"))
    };
    let meant: Vec<&Section<'_>> = entries.iter().filter(is_meant).collect();
    let holding: Vec<&&Section<'_>> =
        meant.iter().filter(|entry| value_of(outline.slice(&entry.own), SUPERSEDED_BY).is_none()).collect();
    match (holding.as_slice(), meant.as_slice()) {
        ([entry], _) => Ok(**entry),
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
        (several, _) => {
            let dates = several.iter().filter_map(|entry| value_of(outline.slice(&entry.own), DATE));
            let dates = dates.collect::<Vec<_>>().join(", ");
            Err(EditError::Refused(format!(
                "`supersedes`: several decisions are called `{0}` ({dates}); give the date before the title, as in `2026-11-22 {0}`; \
                 nothing was written",
                named.trim()
            )))
        }
    }
}

#[cfg(test)]
mod tests;
