//! Edits of one document without rewriting it: a list of edits, applied in order, all or none.

use std::borrow::Cow;
use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use crate::document::carriage_returns::{edited, with_line_feeds};
use crate::document::conflict::Conflict;
use crate::document::diff::unified_diff;
use crate::document::entry_archive::{ArchivedEntry, archive};
use crate::document::line_bounds::{line_end, line_start};
use crate::document::section::{LineEnding, Outline};
use crate::document::section_edits::{append, checked_visible, prepend, replace_section, section_of};
use crate::document::splice::{Gap, insert_lines};
use crate::document::write::check_etag;
use crate::document::{DocumentPath, Etag};
use crate::error::EditError;
use crate::limits;
use crate::store::Drafts;

/// One edit. A heading is named by its words, optionally with `#` signs for its level. Inserted texts are on lines of
/// their own, except those of `replace`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "op", rename_all = "snake_case", deny_unknown_fields)]
pub enum Edit {
    /// Replaces `old` by `new`; `old` must occur exactly `count` times (once by default).
    Replace {
        /// The existing text, with its blanks and line breaks.
        old: String,
        /// The new text; may be empty.
        new: String,
        /// How often `old` occurs.
        #[serde(default = "once")]
        count: usize,
    },
    /// Inserts lines before the line in which `match` begins, or before a heading.
    InsertBefore {
        /// A text that occurs exactly once; this or `heading` is given.
        #[serde(rename = "match", default, skip_serializing_if = "Option::is_none")]
        matching: Option<String>,
        /// The heading of a section; this or `match` is given.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        heading: Option<String>,
        /// The lines.
        text: String,
    },
    /// Inserts lines after the line in which `match` ends, or directly below a heading.
    InsertAfter {
        /// A text that occurs exactly once; this or `heading` is given.
        #[serde(rename = "match", default, skip_serializing_if = "Option::is_none")]
        matching: Option<String>,
        /// The heading of a section; this or `match` is given.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        heading: Option<String>,
        /// The lines.
        text: String,
    },
    /// Inserts lines at the end of a section, its sub-sections included.
    Append {
        /// The heading of the section.
        heading: String,
        /// The lines.
        text: String,
    },
    /// Inserts lines at the beginning of a section.
    Prepend {
        /// The heading of the section.
        heading: String,
        /// The lines.
        text: String,
    },
    /// Replaces everything below a heading, including sub-sections; the heading stays.
    ReplaceSection {
        /// The heading of the section.
        heading: String,
        /// The new lines; an empty text empties the section.
        text: String,
    },
    /// Moves an entry below the heading `Archive` at the end of the document, with all its lines.
    Archive {
        /// A text of the list item that occurs exactly once; this or `heading` is given.
        #[serde(rename = "match", default, skip_serializing_if = "Option::is_none")]
        matching: Option<String>,
        /// The heading of a section below another one; this or `match` is given.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        heading: Option<String>,
    },
}

impl Edit {
    /// Whether the edit finds its position by a text of the document instead of a heading, so that its success
    /// reveals content.
    #[must_use]
    pub fn matches_text(&self) -> bool {
        match self {
            Self::Replace { .. } => true,
            Self::InsertBefore { matching, .. }
            | Self::InsertAfter { matching, .. }
            | Self::Archive { matching, .. } => matching.is_some(),
            Self::Append { .. } | Self::Prepend { .. } | Self::ReplaceSection { .. } => false,
        }
    }
}

/// The result of an edit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DocumentEdited {
    /// The etag of the new text.
    pub etag: Etag,
    /// The changes, as a unified diff of at most [`limits::DIFF_CHARS`]; empty without changes.
    pub diff: String,
    /// How many lines were removed or changed.
    pub removed_lines: usize,
    /// The headings of sub-sections that `replace_section` removed.
    pub removed_sections: Vec<String>,
}

/// Applies all edits, each to the result of the previous ones.
///
/// # Errors
/// The etag differs, the document does not exist, or an edit does not apply; the text has the index of the edit, from
/// 0, and the remedy. Nothing is changed then.
pub fn edit_document(
    drafts: &mut Drafts,
    path: &DocumentPath,
    edits: &[Edit],
    if_match: Option<&str>,
) -> Result<DocumentEdited, EditError> {
    check_etag(drafts, path, if_match)?;
    let Some(old) = drafts.text(path).map(str::to_owned) else {
        return Err(EditError::NotFound(path.clone()));
    };
    let Applied { text: new, removed_sections } = apply_all(&old, edits)?;
    let edited = DocumentEdited {
        etag: Etag::of(&new),
        diff: unified_diff(path.as_str(), &old, &new),
        removed_lines: count_removed_lines(&old, &new),
        removed_sections,
    };
    drafts.set(path, new)?;
    Ok(edited)
}

/// The text after all edits.
///
/// # Errors
/// As [`edit_document`].
pub fn apply_edits(text: &str, edits: &[Edit]) -> Result<String, EditError> {
    apply_all(text, edits).map(|applied| applied.text)
}

struct Applied {
    text: String,
    removed_sections: Vec<String>,
}

fn apply_all(text: &str, edits: &[Edit]) -> Result<Applied, EditError> {
    if edits.is_empty() {
        return Err(EditError::Refused("`edits` is empty; give at least one".to_owned()));
    }
    if edits.len() > limits::EDITS {
        return Err(EditError::Refused(format!(
            "`edits` has {} items, at most {} are allowed; split the call",
            edits.len(),
            limits::EDITS
        )));
    }
    let mut text = text.to_owned();
    let mut removed_sections = Vec::new();
    for (index, edit) in edits.iter().enumerate() {
        let refused =
            |reason: String| EditError::Refused(format!("`edits[{index}]`: {reason}; nothing was changed"));
        text = apply(&text, edit, &mut removed_sections).map_err(refused)?;
        // Bound the text between edits, before the store checks the final length.
        if text.len() > limits::DOCUMENT_BYTES.saturating_mul(2) {
            return Err(refused(format!("the document would be {} bytes long", text.len())));
        }
    }
    removed_sections.sort();
    removed_sections.dedup();
    Ok(Applied { text, removed_sections })
}

/// How many lines of the old text are missing in the new one.
fn count_removed_lines(old: &str, new: &str) -> usize {
    let (old, new) = (with_line_feeds(old), with_line_feeds(new));
    let mut left: HashMap<&str, usize> = HashMap::new();
    for line in new.lines() {
        *left.entry(line).or_default() += 1;
    }
    old.lines()
        .filter(|line| match left.get_mut(line) {
            Some(count) if *count > 0 => {
                *count -= 1;
                false
            }
            _ => true,
        })
        .count()
}

fn apply(text: &str, edit: &Edit, removed_sections: &mut Vec<String>) -> Result<String, String> {
    match edit {
        // It names the carriage return.
        Edit::Replace { old, new, count } if matches!(with_line_feeds(old), Cow::Owned(_)) => {
            replace(text, old, new, *count)
        }
        _ => edited(text, |text| apply_to_lines(text, edit, removed_sections)),
    }
}

fn apply_to_lines(text: &str, edit: &Edit, removed_sections: &mut Vec<String>) -> Result<String, String> {
    match edit {
        Edit::Replace { old, new, count } => replace(text, old, new, *count),
        Edit::InsertBefore { matching, heading, text: lines } => match Anchor::of(matching, heading)? {
            Anchor::Match(found) => {
                let found = unique_match(text, &with_line_feeds(found), MORE_TEXT)?;
                check_place(text, found.0)?;
                let at = line_start(text, found.0);
                Ok(insert_lines(text, at, trimmed(lines)?, Gap::None, Gap::None))
            }
            Anchor::Heading(words) => {
                let outline = Outline::of(text);
                let at = section_of(&outline, words)?.heading.range.start;
                checked_visible(
                    &outline,
                    insert_lines(text, at, trimmed(lines)?, Gap::Blank, Gap::Blank),
                    at..at,
                    lines,
                )
            }
        },
        Edit::InsertAfter { matching, heading, text: lines } => match Anchor::of(matching, heading)? {
            Anchor::Match(found) => {
                let found = unique_match(text, &with_line_feeds(found), MORE_TEXT)?;
                check_place(text, found.0)?;
                let at = line_end(text, found.1);
                Ok(insert_lines(text, at, trimmed(lines)?, Gap::None, Gap::None))
            }
            Anchor::Heading(words) => prepend(text, words, trimmed(lines)?),
        },
        Edit::Append { heading, text: lines } => append(text, heading, trimmed(lines)?),
        Edit::Prepend { heading, text: lines } => prepend(text, heading, trimmed(lines)?),
        Edit::ReplaceSection { heading, text: lines } => {
            let (new, mut gone) = replace_section(text, heading, lines)?;
            removed_sections.append(&mut gone);
            Ok(new)
        }
        Edit::Archive { matching, heading } => {
            let entry = match Anchor::of(matching, heading)? {
                Anchor::Match(found) => {
                    let (start, end) = unique_match(text, &with_line_feeds(found), WHOLE_ITEM)?;
                    ArchivedEntry::Item(start..end)
                }
                Anchor::Heading(words) => ArchivedEntry::Section(words),
            };
            archive(text, &entry)
        }
    }
}

/// Refuses an offset in a section that has a merge conflict.
fn check_place(text: &str, at: usize) -> Result<(), String> {
    let outline = Outline::of(text);
    match outline.conflict_in(&outline.own_section_at(at)) {
        Some(conflict) => Err(conflict.refusal()),
        None => Ok(()),
    }
}

enum Anchor<'a> {
    Match(&'a str),
    Heading(&'a str),
}

impl<'a> Anchor<'a> {
    fn of(matching: &'a Option<String>, heading: &'a Option<String>) -> Result<Self, String> {
        match (matching, heading) {
            (Some(found), None) => Ok(Self::Match(found)),
            (None, Some(words)) => Ok(Self::Heading(words)),
            _ => Err("give either `match` or `heading`".to_owned()),
        }
    }
}

fn replace(text: &str, old: &str, new: &str, count: usize) -> Result<String, String> {
    let old = with_line_endings_of(text, old)?;
    let found = text.matches(&old).count();
    if found != count || count == 0 {
        return Err(wrong_count(text, &old, (found, count), MORE_TEXT_OR_COUNT));
    }
    check_occurrences(text, &old)?;
    let new = LineEnding::of(text).apply(new);
    let length = text.len().saturating_add(found.saturating_mul(new.len()));
    if new.len() > old.len() && length > limits::DOCUMENT_BYTES.saturating_mul(2) {
        return Err(format!("the document would be about {length} bytes long"));
    }
    Ok(replaced(text, &old, &new))
}

/// The text with each occurrence replaced. A carriage return that ended the line above stays the end of a line of its own: a line feed
/// that follows it now would make one end of both.
fn replaced(text: &str, old: &str, new: &str) -> String {
    let mut result = String::with_capacity(text.len());
    let mut done = 0;
    for (at, _) in text.match_indices(old) {
        result.push_str(text.get(done..at).unwrap_or_default());
        done = at + old.len();
        let next = if new.is_empty() { text.get(done..).unwrap_or_default() } else { new };
        if result.ends_with('\r') && !old.starts_with('\n') && next.starts_with('\n') {
            result.pop();
            result.push('\n');
        }
        result.push_str(new);
    }
    result.push_str(text.get(done..).unwrap_or_default());
    result
}

/// Refuses to replace a part of a merge conflict, or text beside one. Replacing a whole conflict resolves it and is
/// allowed.
fn check_occurrences(text: &str, old: &str) -> Result<(), String> {
    let outline = Outline::of(text);
    if outline.conflict_in(&(0..text.len())).is_none() {
        return Ok(());
    }
    for (at, _) in text.match_indices(old) {
        let range = at..at + old.len();
        let whole = |conflict: &Conflict| {
            range.start <= conflict.range.start && written_end_of(text, conflict) <= range.end
        };
        let mut resolves = false;
        for conflict in outline.conflicts_in(&range) {
            if !whole(conflict) {
                return Err(conflict.refusal());
            }
            resolves = true;
        }
        if !resolves {
            let last = range.end.saturating_sub(1).max(at);
            let touched = outline.own_section_at(at).start..outline.own_section_at(last).end;
            if let Some(conflict) = outline.conflict_in(&touched) {
                return Err(conflict.refusal());
            }
        }
    }
    Ok(())
}

/// The end of a conflict without its last line ending.
fn written_end_of(text: &str, conflict: &Conflict) -> usize {
    let slice = text.get(conflict.range.clone()).unwrap_or_default();
    conflict.range.start + slice.trim_end_matches(['\r', '\n']).len()
}

/// The byte range of a text that must occur exactly once.
fn unique_match(text: &str, found: &str, advice: &str) -> Result<(usize, usize), String> {
    let found = with_line_endings_of(text, found)?;
    let count = text.matches(&found).count();
    match text.find(&found) {
        Some(at) if count == 1 => Ok((at, at + found.len())),
        _ => Err(wrong_count(text, &found, (count, 1), advice)),
    }
}

/// The text to find, with the line endings of the document, since callers may not know of CRLF.
fn with_line_endings_of(text: &str, old_text: &str) -> Result<String, String> {
    if old_text.is_empty() {
        return Err("the text to find is empty".to_owned());
    }
    if text.contains(old_text) { Ok(old_text.to_owned()) } else { Ok(LineEnding::of(text).apply(old_text)) }
}

/// How to name one place of several for each kind of edit.
const MORE_TEXT: &str = "give more of its surroundings";
const MORE_TEXT_OR_COUNT: &str = "give more of its surroundings, or set `count`";
const WHOLE_ITEM: &str = "give the whole text of the item with its line break; of equal items, change one before with an edit \
    `replace`, whose `old` contains the line above, too";

/// `counts` are the number of occurrences and the expected one.
fn wrong_count(text: &str, old_text: &str, counts: (usize, usize), advice: &str) -> String {
    const MAX_SHOWN: usize = 5;
    let (found, expected) = counts;
    let shown: String = old_text.chars().take(60).collect();
    if found == 0 {
        return format!(
            "`{shown}` was not found; it must match byte for byte; read the document again and copy the text"
        );
    }
    let mut lines: Vec<String> = text
        .match_indices(old_text)
        .take(MAX_SHOWN)
        .map(|(at, _)| (text.get(..at).unwrap_or_default().matches('\n').count() + 1).to_string())
        .collect();
    if found > MAX_SHOWN {
        lines.push("…".to_owned());
    }
    format!("`{shown}` occurs {found} times (lines {}), not {expected}; {advice}", lines.join(", "))
}

fn trimmed(lines: &str) -> Result<&str, String> {
    if lines.trim().is_empty() {
        return Err("`text` is empty".to_owned());
    }
    let lines = lines.strip_suffix('\n').unwrap_or(lines);
    Ok(lines.strip_suffix('\r').unwrap_or(lines))
}

fn once() -> usize {
    1
}
