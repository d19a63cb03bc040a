//! Where a new entry of a log goes within its section: where the newest one is. That is the top, below the comment that
//! says what belongs there, unless the entries end with the newest: a log that is kept the other way round goes on so.
//!
//! Rows of an earlier version's template make room for the first real entry. This module must not know which section a
//! log has, nor what an entry says.

use std::ops::Range;

use crate::document::archive;
use crate::document::list::{take_items, template_rows};
use crate::document::section::{Item, Marker, Outline, Section};
use crate::document::splice::{
    Gap, append_section, below_comments, blank_lines_at_top, bullet, check_editable, gap_after, insert_seen,
    like,
};
use crate::error::EditError;

/// Adds an entry of one line.
///
/// # Errors
/// The section holds a merge conflict, or the entry would not be seen.
pub(super) fn insert_item(
    text: &str,
    find: impl Fn(&Outline<'_>) -> Option<usize>,
    new_title: &str,
    item: &str,
) -> Result<String, EditError> {
    in_section(text, find, new_title, &bullet(item), |outline, section| {
        let line = bullet(item);
        match newest_at_end(outline, section) {
            Some(Last { end, item: Some(last) }) => {
                let line = like(outline, last, 1, &[item.to_owned()]);
                insert_seen(outline, end, &line, Gap::None, gap_after(outline, end))
            }
            Some(Last { end, item: None }) => {
                // Or else the line would be taken for a part of the block.
                let closed = outline.rules().iter().any(|rule| rule.end == end);
                let lines = if closed { line } else { format!("---\n\n{line}") };
                insert_seen(outline, end, &lines, Gap::Blank, gap_after(outline, end))
            }
            None => {
                let top = below_comments(outline, section);
                match first_bullet(outline, section, top) {
                    Some(first) => {
                        let line = like(outline, first, 0, &[item.to_owned()]);
                        insert_seen(outline, first.range.start, &line, Gap::None, Gap::None)
                    }
                    None => insert_seen(outline, top, &line, Gap::None, Gap::Blank),
                }
            }
        }
    })
}

/// Adds an entry of several lines, which begins with a heading of its own.
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
            Some(Last { end, .. }) => insert_seen(outline, end, block, Gap::Blank, Gap::Blank),
            None => {
                let top = below_comments(outline, section);
                insert_seen(outline, top, &format!("\n{block}"), Gap::None, Gap::Blank)
            }
        }
    })
}

/// Runs `insert` on the section that `find` names by the index of its heading, without its template rows; makes the
/// section with this body if there is none.
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

/// The last entry of a section whose entries end with the newest.
struct Last<'o> {
    end: usize,
    /// None if it is a block with a heading.
    item: Option<&'o Item>,
}

fn newest_at_end<'o>(outline: &'o Outline<'_>, section: &Section<'_>) -> Option<Last<'o>> {
    let last = archive::newest_at_end(outline.text(), &section.body)?;
    let item = outline.items_in(&last).first().filter(|item| item.range == last);
    Some(Last { end: last.end, item })
}

/// The item with a bullet at which the section begins.
fn first_bullet<'o>(outline: &'o Outline<'_>, section: &Section<'_>, top: usize) -> Option<&'o Item> {
    let own: Range<usize> = top..section.own.end;
    let blank = blank_lines_at_top(outline.slice(&own));
    let first = outline.items_in(&own).first()?;
    let begins = first.range.start == top + blank && first.depth == 0;
    (begins && matches!(first.marker, Marker::Bullet(_))).then_some(first)
}
