//! Archives one entry of a document: its lines move, unchanged, below the heading `Archive` at the end of the document. Tools
//! do not count what is there as work.

use std::ops::Range;

use crate::document::section::{Outline, same_title};
use crate::document::section_edits::{append, checked_visible, section_of};
use crate::document::splice::{Gap, insert_closing};

/// The heading of archived entries.
const ARCHIVE: &str = "Archive";

/// An entry of a document.
pub(super) enum ArchivedEntry<'a> {
    /// The list item that contains these bytes.
    Item(Range<usize>),
    /// The section with this heading.
    Section(&'a str),
}

/// The text with the entry in the archive.
pub(super) fn archive(text: &str, entry: &ArchivedEntry<'_>) -> Result<String, String> {
    let outline = Outline::of(text);
    let (range, level) = match entry {
        ArchivedEntry::Item(found) => {
            let items = outline.items().iter();
            let item = items
                .filter(|item| item.depth == 0)
                .find(|item| item.range.start <= found.start && found.end <= item.range.end)
                .ok_or("the text is not a part of one list item; give the text of the item, or the `heading` of a section")?;
            (item.range.clone(), None)
        }
        ArchivedEntry::Section(words) => {
            let section = section_of(&outline, words)?;
            (section.range(), Some(section.heading.level))
        }
    };
    if let Some(conflict) = outline.conflict_in(&outline.own_section_at(range.start)) {
        return Err(conflict.refusal());
    }
    let place = outline.sections().filter(|section| same_title(&section.heading.title, ARCHIVE)).last();
    if let Some(archive) = &place
        && archive.range().start <= range.start
        && range.end <= archive.range().end
    {
        return Err("the entry is in the archive".to_owned());
    }
    let below = place.as_ref().map_or(2, |archive| archive.heading.level);
    if let Some(level) = level.filter(|level| *level <= below) {
        return Err(format!(
            "a heading of level {level} cannot be below `{ARCHIVE}` of level {below}; archive its items or sub-sections"
        ));
    }
    let moved = outline.slice(&range).trim_end_matches(['\r', '\n']).to_owned();
    let rest = without(text, &range);
    let rest_outline = Outline::of(&rest);
    let lost = rest_outline.headings().len() + usize::from(level.is_some());
    if level.is_none() && lost != outline.headings().len() {
        return Err("the document would have other sections without this item".to_owned());
    }
    if rest_outline.sections().any(|section| same_title(&section.heading.title, ARCHIVE)) {
        return append(&rest, ARCHIVE, &moved);
    }
    let lines = format!("## {ARCHIVE}\n\n{moved}");
    let at = rest.len();
    checked_visible(&rest_outline, insert_closing(&rest, at, &lines, Gap::Blank, Gap::None), at..at, &lines)
}

/// The text without these lines, and without one of two blank lines that meet then.
fn without(text: &str, range: &Range<usize>) -> String {
    let head = text.get(..range.start).unwrap_or_default();
    let tail = text.get(range.end..).unwrap_or_default();
    let is_blank_before = head.is_empty() || head.ends_with("\n\n") || head.ends_with("\n\r\n");
    let tail = if is_blank_before {
        tail.strip_prefix("\r\n").or_else(|| tail.strip_prefix('\n')).unwrap_or(tail)
    } else {
        tail
    };
    [head, tail].concat()
}
