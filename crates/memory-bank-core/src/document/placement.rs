//! The position of a new entry in a log's section: at the top, below the section's comment, or, if the last dated entry
//! is later than the first, directly after it. Logs without dates, or of one day without times, get it at the top.
//! `docs/documents.md` has the rule for users.
//!
//! Rows of an earlier version's template are replaced by the first real entry. This module must not know which
//! section a log has, nor the content of an entry.

use std::ops::Range;

use crate::document::date::{date_at_start, is_later};
use crate::document::list::{take_items, template_rows};
use crate::document::section::{Item, Marker, Outline, Section};
use crate::document::splice::{
    Gap, append_section, below_comments, blank_lines_at_top, bullet, check_editable, gap_after,
    insert_visible, items_like, written_end,
};
use crate::error::EditError;

/// How many entries at either end are searched for a date, so that the cost does not grow with the log.
const MAX_SCANNED_ENTRIES: usize = 64;

/// Adds an entry of one line.
///
/// # Errors
/// The section has a merge conflict, or the entry would not be visible.
pub(super) fn insert_item(
    text: &str,
    find: impl Fn(&Outline<'_>) -> Option<usize>,
    new_title: &str,
    item: &str,
) -> Result<String, EditError> {
    in_section(text, find, new_title, &bullet(item), |outline, section| {
        let line = bullet(item);
        match newest_at_end(outline, section) {
            Some(LastEntry { end, item: Some(last) }) => {
                let line = items_like(outline, last, 1, &[item.to_owned()]);
                insert_visible(outline, end, &line, Gap::None, gap_after(outline, end))
            }
            Some(LastEntry { end, item: None }) => {
                // Otherwise the line would become a part of the block.
                let closed = outline.rules().iter().any(|rule| rule.end == end);
                let lines = if closed { line } else { format!("---\n\n{line}") };
                insert_visible(outline, end, &lines, Gap::Blank, gap_after(outline, end))
            }
            None => {
                let top = below_comments(outline, section);
                match first_bullet(outline, section, top) {
                    Some(first) => {
                        let line = items_like(outline, first, 0, &[item.to_owned()]);
                        insert_visible(outline, first.range.start, &line, Gap::None, Gap::None)
                    }
                    None => insert_visible(outline, top, &line, Gap::None, Gap::Blank),
                }
            }
        }
    })
}

/// Adds an entry of several lines that begins with its own heading.
///
/// # Errors
/// As [`insert_item`].
pub(super) fn insert_block(
    text: &str,
    find: impl Fn(&Outline<'_>) -> Option<usize>,
    new_title: &str,
    block: &str,
) -> Result<String, EditError> {
    in_section(text, find, new_title, &format!("\n{block}"), |outline, section| {
        match newest_at_end(outline, section) {
            Some(LastEntry { end, .. }) => insert_visible(outline, end, block, Gap::Blank, Gap::Blank),
            None => {
                let top = below_comments(outline, section);
                insert_visible(outline, top, &format!("\n{block}"), Gap::None, Gap::Blank)
            }
        }
    })
}

/// Runs `insert` on the section whose heading index `find` returns, without its template rows; creates the section
/// with this body if it is missing.
fn in_section(
    text: &str,
    find: impl Fn(&Outline<'_>) -> Option<usize>,
    new_title: &str,
    new_body: &str,
    insert: impl Fn(&Outline<'_>, &Section<'_>) -> Result<String, EditError>,
) -> Result<String, EditError> {
    let outline = Outline::of(text);
    let Some(section) = find(&outline).and_then(|index| outline.section(index)) else {
        return append_section(&outline, new_title, new_body);
    };
    check_editable(&outline, &section)?;
    let rows: Vec<(&Item, bool)> =
        template_rows(&outline, &section).into_iter().map(|row| (row, false)).collect();
    if rows.is_empty() {
        return insert(&outline, &section);
    }
    let (rest, _) = take_items(&outline, &rows)?;
    let outline = Outline::of(&rest);
    match find(&outline).and_then(|index| outline.section(index)) {
        Some(section) => insert(&outline, &section),
        None => append_section(&outline, new_title, new_body),
    }
}

/// The last entry of a section that is sorted newest last.
struct LastEntry<'o> {
    end: usize,
    /// `None` if it is a block with a heading.
    item: Option<&'o Item>,
}

/// The last entry, if its date is later than that of the first. `None` means that a new entry goes to the top.
fn newest_at_end<'o>(outline: &'o Outline<'_>, section: &Section<'_>) -> Option<LastEntry<'o>> {
    let body = &section.body;
    let headings = outline.headings();
    let from = headings.partition_point(|heading| heading.range.start < body.start);
    let to = headings.partition_point(|heading| heading.range.start < body.end);
    let blocks = headings.get(from..to).unwrap_or_default();
    let own = outline.items_in(&section.own);
    let date_of = |item: &Item| date_at_start(&item.text).filter(|_| item.depth == 0);
    let first =
        own.iter().take(MAX_SCANNED_ENTRIES).find_map(date_of).or_else(|| {
            blocks.iter().take(MAX_SCANNED_ENTRIES).find_map(|block| date_at_start(&block.source))
        })?;
    let last_block = blocks
        .iter()
        .rev()
        .take(MAX_SCANNED_ENTRIES)
        .find_map(|block| Some((date_at_start(&block.source)?, block.range.end)));
    // Items after the rule that closes the last block are entries; those before it are a part of the block.
    let (items, closed) = match &last_block {
        Some((_, start)) => {
            let mut rules = outline.rules().iter().filter(|rule| (*start..body.end).contains(&rule.start));
            // A rule that is followed by prose is within the block.
            let ends_it = |end: &usize| {
                let behind = outline.slice(&(*end..body.end));
                let next = end + blank_lines_at_top(behind);
                behind.trim().is_empty()
                    || outline
                        .items_in(&(next..body.end))
                        .first()
                        .is_some_and(|item| item.range.start == next)
            };
            let closed = rules.next_back().map(|rule| rule.end).filter(ends_it);
            (outline.items_in(&(closed.unwrap_or(body.end)..body.end)), closed)
        }
        None => (own, None),
    };
    let is_dated = |item: &&Item| date_of(item).is_some();
    if let Some(item) = items.iter().rev().take(MAX_SCANNED_ENTRIES).find(is_dated) {
        return is_later(date_of(item)?, first)
            .then_some(LastEntry { end: item.range.end, item: Some(item) });
    }
    let (date, _) = last_block?;
    let end = closed.unwrap_or_else(|| written_end(outline.text(), body));
    is_later(date, first).then_some(LastEntry { end, item: None })
}

/// The bulleted item with which the section begins.
fn first_bullet<'o>(outline: &'o Outline<'_>, section: &Section<'_>, top: usize) -> Option<&'o Item> {
    let own: Range<usize> = top..section.own.end;
    let blank = blank_lines_at_top(outline.slice(&own));
    let first = outline.items_in(&own).first()?;
    let begins = first.range.start == top + blank && first.depth == 0;
    (begins && matches!(first.marker, Marker::Bullet(_))).then_some(first)
}
