//! Archives one entry of a document: its lines move, unchanged, below the heading `Archive` at the end of the document. Only the
//! headings of a section that has the level of the archive become one level lower. Tools do not count the entries there as work.

use std::ops::Range;

use crate::document::archive_heading::{ARCHIVE, is_archive};
use crate::document::section::{Heading, Item, Marker, Outline, Section};
use crate::document::section_edits::{append_to, checked_visible, section_of};
use crate::document::splice::{Gap, insert_closing, written_end};

/// Finds the archived sections among the headings of a document, which are passed top to bottom.
#[derive(Default)]
pub(super) struct ArchivedSections {
    /// The level of the archive that the last heading belongs to.
    level: Option<u8>,
}

impl ArchivedSections {
    /// Whether the section with this heading is an archive, or in one.
    pub(super) fn contains(&mut self, heading: &Heading) -> bool {
        if self.level.is_none_or(|level| heading.level <= level) {
            self.level = is_archive(heading).then_some(heading.level);
        }
        self.level.is_some()
    }
}

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
    let place = archive_of(&outline);
    if let Some(archive) = &place
        && archive.range().start <= range.start
        && range.end <= archive.range().end
    {
        return Err("the entry is in the archive".to_owned());
    }
    let below = place.as_ref().map_or(2, |archive| archive.heading.level);
    let moved = match level {
        // Decisions have headings of the archive's level.
        Some(level) if level == below && level >= 2 => lowered(&outline, &range)?,
        Some(level) if level <= below => {
            return Err(format!(
                "a heading of level {level} cannot be below `{ARCHIVE}` of level {below}; archive its items or sub-sections"
            ));
        }
        _ => outline.slice(&range).to_owned(),
    };
    let moved = moved.trim_end_matches(['\r', '\n']).to_owned();
    let rest = without(text, &range);
    let rest_outline = Outline::of(&rest);
    let lost = rest_outline.headings().len() + usize::from(level.is_some());
    if level.is_none() && lost != outline.headings().len() {
        return Err("the document would have other sections without this item".to_owned());
    }
    if let Some(archive) = archive_of(&rest_outline) {
        return match level {
            Some(_) => append_to(&rest_outline, &archive.body, &moved),
            None => append_item(&rest_outline, &archive, &moved),
        };
    }
    let lines = format!("## {ARCHIVE}\n\n{moved}");
    let at = rest.len();
    checked_visible(&rest_outline, insert_closing(&rest, at, &lines, Gap::Blank, Gap::None), at..at, &lines)
}

/// The lines of a section with each heading one level lower.
fn lowered(outline: &Outline<'_>, range: &Range<usize>) -> Result<String, String> {
    let mut moved = String::new();
    let mut at = range.start;
    let inner = |heading: &&Heading| range.contains(&heading.range.start);
    for heading in outline.headings().iter().filter(inner) {
        let lines = outline.slice(&heading.range);
        let marker = heading.range.start + (lines.len() - lines.trim_start_matches(' ').len());
        if heading.level >= 6 || !lines.trim_start_matches(' ').starts_with('#') {
            return Err(format!(
                "the heading \"{}\" cannot be one level lower below `{ARCHIVE}`; write it with `#`, at level 5 or above",
                heading.title
            ));
        }
        moved.push_str(outline.slice(&(at..marker)));
        moved.push('#');
        at = marker;
    }
    moved.push_str(outline.slice(&(at..range.end)));
    Ok(moved)
}

/// The archive of a document: the last one, as archived entries are at its end.
fn archive_of<'o>(outline: &'o Outline<'_>) -> Option<Section<'o>> {
    outline.sections().filter(|section| is_archive(section.heading)).last()
}

/// Adds an item to the archive itself, as an archived section would make it a part of its own.
fn append_item(outline: &Outline<'_>, archive: &Section<'_>, lines: &str) -> Result<String, String> {
    let at = written_end(outline.text(), &archive.own);
    let is_last = |item: &&Item| item.depth == 0 && item.range.end == at;
    let last = outline.items_in(&archive.own).iter().rfind(is_last);
    let moved = Outline::of(lines);
    let continues = last.zip(moved.items().first()).is_some_and(|(last, moved)| is_one_list(last, moved));
    let before = if continues { Gap::None } else { Gap::Blank };
    checked_visible(outline, insert_closing(outline.text(), at, lines, before, Gap::Blank), at..at, lines)
}

/// Whether the second item continues the list of the first.
fn is_one_list(one: &Item, next: &Item) -> bool {
    match (one.marker, next.marker) {
        (Marker::Bullet(one), Marker::Bullet(next)) => one == next,
        (Marker::Number(_, one), Marker::Number(_, next)) => one == next,
        _ => false,
    }
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
