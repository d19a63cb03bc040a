//! Changes a text in one place and leaves every other byte unchanged.
//!
//! Inserted text is taken literally, gets the line ending of the text, and is on lines of its own. Text that would
//! not be visible afterwards is refused, as is every change of a section with a merge conflict.

use std::ops::Range;

use crate::document::archive_heading::archive_at_end;
use crate::document::open_block::closing_line;
use crate::document::section::{Heading, Item, LineEnding, Marker, Outline, Section};
use crate::error::EditError;

/// Whether new lines need a blank line between them and the existing text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Gap {
    /// They follow directly.
    None,
    /// A blank line, unless there is one.
    Blank,
}

/// Inserts lines (without a last line ending) before the line that begins at `at`, or at the end of the text.
pub(super) fn insert_lines(text: &str, at: usize, lines: &str, before: Gap, after: Gap) -> String {
    let head = text.get(..at).unwrap_or(text);
    let tail = text.get(at..).unwrap_or_default();
    let ending = LineEnding::of(text);
    let mut new = String::with_capacity(text.len() + lines.len() + 8);
    new.push_str(head);
    if !is_start(head) && !head.ends_with('\n') {
        new.push_str(ending.as_str());
    }
    if before == Gap::Blank && !is_start(head) && !ends_blank(head) {
        new.push_str(ending.as_str());
    }
    new.push_str(&ending.apply(lines));
    new.push_str(ending.as_str());
    if after == Gap::Blank && swallows(lines, tail) {
        new.push_str(&ending.apply("\n<!-- -->\n"));
    }
    if after == Gap::Blank && !starts_blank(tail) {
        new.push_str(ending.as_str());
    }
    new.push_str(tail);
    new
}

/// Replaces these bytes by the replacement, unchanged.
pub(super) fn replace_range(text: &str, range: &Range<usize>, replacement: &str) -> String {
    let head = text.get(..range.start).unwrap_or(text);
    let tail = text.get(range.end..).unwrap_or_default();
    [head, replacement, tail].concat()
}

/// Adds list items after the section's last item. They get the marker of the item before them.
///
/// # Errors
/// The section has a merge conflict, or the items would not be visible.
pub(super) fn append_items(
    outline: &Outline<'_>,
    section: &Section<'_>,
    items: &[String],
) -> Result<String, EditError> {
    let text = outline.text();
    if items.is_empty() {
        return Ok(text.to_owned());
    }
    check_editable(outline, section)?;
    let last = outline.items_in(&section.own).iter().rfind(|item| item.depth == 0);
    match last {
        Some(last) => {
            let lines = items_like(outline, last, 1, items);
            insert_visible(outline, last.range.end, &lines, Gap::None, gap_after(outline, last.range.end))
        }
        None => {
            let at = written_end(text, &section.own);
            let top = section.heading.range.end;
            let directly = at == top || at == below_comments(outline, section);
            let before = if directly { Gap::None } else { Gap::Blank };
            // If the text of the section runs into the next heading (a link definition directly above an underlined
            // heading), the list is inserted at the top.
            insert_visible(outline, at, &bullets(items), before, gap_after(outline, at)).or_else(|refusal| {
                match at == top {
                    true => Err(refusal),
                    false => insert_visible(outline, top, &bullets(items), Gap::None, Gap::Blank),
                }
            })
        }
    }
}

/// Appends a section to the text, after one blank line.
///
/// # Errors
/// It would not be visible.
pub(super) fn append_section(outline: &Outline<'_>, title: &str, body: &str) -> Result<String, EditError> {
    append_block(outline, &format!("## {title}\n{body}"))
}

/// Appends lines to the text, after one blank line; before an archive that would contain them.
///
/// # Errors
/// They would not be visible.
pub(super) fn append_block(outline: &Outline<'_>, lines: &str) -> Result<String, EditError> {
    match archive_at_end(outline) {
        Some(at) => insert_visible(outline, at, lines, Gap::Blank, Gap::Blank),
        None => insert_visible(outline, outline.text().len(), lines, Gap::Blank, Gap::None),
    }
}

/// [`insert_lines`] for lines that must be visible. A block that is open at the end of the text is closed first,
/// which changes neither existing bytes nor the block.
///
/// # Errors
/// The lines would not be visible.
pub(super) fn insert_visible(
    outline: &Outline<'_>,
    at: usize,
    lines: &str,
    before: Gap,
    after: Gap,
) -> Result<String, EditError> {
    let new = insert_lines(outline.text(), at, lines, before, after);
    if check_visible(outline, &new, at, lines).is_ok() {
        return Ok(new);
    }
    let new = insert_closing(outline.text(), at, lines, before, after);
    check_visible(outline, &new, at, lines)?;
    Ok(new)
}

/// [`insert_lines`], preceded by the line that closes an open block.
pub(super) fn insert_closing(text: &str, at: usize, lines: &str, before: Gap, after: Gap) -> String {
    let rest = text.get(at..).unwrap_or_default();
    let closing = if rest.trim().is_empty() { text.get(..at).and_then(closing_line) } else { None };
    match closing {
        Some(closing) => insert_lines(text, at, &format!("{closing}\n\n{lines}"), Gap::None, after),
        None => insert_lines(text, at, lines, before, after),
    }
}

/// Refuses a section that has a merge conflict.
///
/// # Errors
/// The section has one.
pub(super) fn check_editable(outline: &Outline<'_>, section: &Section<'_>) -> Result<(), EditError> {
    match outline.conflict_in(&section.range()) {
        Some(conflict) => Err(EditError::Blocked(conflict.refusal())),
        None => Ok(()),
    }
}

/// Refuses a new text in which a heading of the old text is missing.
///
/// # Errors
/// A heading is missing.
pub(super) fn check_headings(old: &Outline<'_>, new: &str) -> Result<(), EditError> {
    match first_lost_heading(old.headings().iter(), &Outline::of(new)) {
        Some(lost) => hidden(&format!("the heading `{lost}`")),
        None => Ok(()),
    }
}

fn hidden(what: &str) -> Result<(), EditError> {
    Err(EditError::Blocked(format!(
        "{what} would not be visible, since a block of code, a comment or front matter is not closed; close it with \
         edit_memory_bank_file or write_memory_bank_file first"
    )))
}

/// Whether the new text has the headings and items of the inserted lines, and every heading of the old text.
fn check_visible(old: &Outline<'_>, new: &str, at: usize, lines: &str) -> Result<(), EditError> {
    let after = old.with_insertion(new, at);
    if let Some(lost) = first_lost_heading(old.headings().iter(), &after) {
        return hidden(&format!("the heading `{lost}`"));
    }
    let alone = Outline::of(lines);
    // The insertion precedes the rest of the old text.
    let range = at..new.len().saturating_sub(old.text().len().saturating_sub(at));
    let headings = after.headings().iter().filter(|heading| range.contains(&heading.range.start)).count();
    let items = after.items_in(&range).len();
    if headings < alone.headings().len() || items < alone.items().len() {
        return hidden("what is written");
    }
    Ok(())
}

/// The first of these headings that the new text does not have, in their order.
pub(super) fn first_lost_heading<'h>(
    old: impl Iterator<Item = &'h Heading>,
    new: &Outline<'_>,
) -> Option<&'h str> {
    let mut rest = new.headings().iter();
    old.into_iter()
        .find(|heading| !rest.any(|other| other.level == heading.level && other.source == heading.source))
        .map(|heading| &*heading.source)
}

/// Replaces everything below the heading of the section by these lines. Blank lines before the next heading stay.
pub(super) fn replace_body(text: &str, section: &Section<'_>, lines: &str) -> String {
    let top = section.heading.range.end;
    replace_lines(text, &(top..written_end(text, &section.body)), lines)
}

/// Replaces the lines that begin and end at these offsets.
pub(super) fn replace_lines(text: &str, range: &Range<usize>, lines: &str) -> String {
    let emptied = replace_range(text, range, "");
    if lines.is_empty() {
        return emptied;
    }
    let after = if emptied.len() > range.start { Gap::Blank } else { Gap::None };
    insert_lines(&emptied, range.start, lines, Gap::None, after)
}

/// How many bytes of blank lines this text begins with.
pub(super) fn blank_lines_at_top(text: &str) -> usize {
    text.split_inclusive('\n').take_while(|line| line.trim().is_empty()).map(str::len).sum()
}

/// One list item in the server's form. A text of dashes only is escaped, since the line would become a thematic
/// break.
pub(super) fn bullet(item: &str) -> String {
    marked(Marker::Bullet('-'), 0, item)
}

/// Several list items, one per line.
pub(super) fn bullets(items: &[String]) -> String {
    items.iter().map(|item| bullet(item)).collect::<Vec<_>>().join("\n")
}

/// Lines for these items with the indentation and the marker of another item; numbers continue from it.
pub(super) fn items_like(outline: &Outline<'_>, model: &Item, first_step: u64, items: &[String]) -> String {
    let indent = indent_of(outline.slice(&model.range));
    let lines: Vec<String> = (first_step..)
        .zip(items)
        .map(|(step, item)| format!("{indent}{}", marked(model.marker, step, item)))
        .collect();
    lines.join("\n")
}

/// The offset at which the content of a section begins: below its heading and the comments directly below it.
pub(super) fn below_comments(outline: &Outline<'_>, section: &Section<'_>) -> usize {
    let own = outline.slice(&section.own);
    let mut top = section.heading.range.end;
    let mut at = top;
    for line in own.split_inclusive('\n') {
        at += line.len();
        let words = line.trim();
        let inner = words.strip_prefix("<!--").and_then(|rest| rest.strip_suffix("-->"));
        if inner.is_some_and(|inner| !inner.contains("--")) {
            top = at;
        } else if !words.is_empty() {
            break;
        }
    }
    top
}

/// The offset after the last line in this range that is not blank; the start if there is none.
pub(super) fn written_end(text: &str, range: &Range<usize>) -> usize {
    let body = text.get(range.clone()).unwrap_or_default();
    let written = body.trim_end().len();
    if written == 0 {
        return range.start;
    }
    let rest = body.get(written..).unwrap_or_default();
    rest.find('\n').map_or(range.end, |newline| range.start + written + newline + 1)
}

/// A blank line is needed unless a list continues or the text ends.
pub(super) fn gap_after(outline: &Outline<'_>, at: usize) -> Gap {
    let rest = outline.text().get(at..).unwrap_or_default();
    let continues = outline.items().iter().any(|item| item.range.start == at);
    if rest.is_empty() || continues { Gap::None } else { Gap::Blank }
}

fn marked(marker: Marker, step: u64, item: &str) -> String {
    let escape = if item.trim_matches(['-', ' ']).is_empty() { "\\" } else { "" };
    match marker {
        Marker::Bullet(character) => format!("{character} {escape}{item}"),
        Marker::Number(number, character) => {
            format!("{}{character} {escape}{item}", number.saturating_add(step))
        }
    }
}

fn indent_of(line: &str) -> &str {
    let unindented = line.trim_start_matches([' ', '\t']);
    line.get(..line.len() - unindented.len()).unwrap_or_default()
}

/// Whether these lines end in a list item that would absorb the indented text after them, so that it would be removed
/// with the item. An empty comment separates them.
fn swallows(lines: &str, tail: &str) -> bool {
    let next = tail.lines().find(|line| !line.trim().is_empty());
    let indented =
        next.is_some_and(|line| line.starts_with("  ") || line.starts_with('\t') || line.starts_with(" \t"));
    indented && Outline::of(lines).items().iter().any(|item| item.range.end == lines.len())
}

/// Whether the text before is empty or a byte order mark.
fn is_start(head: &str) -> bool {
    head.is_empty() || head == "\u{feff}"
}

fn ends_blank(head: &str) -> bool {
    let line = head.strip_suffix('\n').unwrap_or(head).rsplit('\n').next().unwrap_or_default();
    head.ends_with('\n') && line.trim().is_empty()
}

fn starts_blank(tail: &str) -> bool {
    tail.is_empty() || tail.split('\n').next().is_some_and(|line| line.trim().is_empty())
}
