//! The structure of a Markdown text: headings, the sections below them, and list items, each with its byte range.
//!
//! It only reads; [`super::splice`] changes a text.

use std::borrow::Cow;
use std::ops::Range;
use std::sync::Arc;

use crate::compact_sort::CompactSort as _;
use crate::document::conflict::{self, Conflict};
use crate::document::outline_cache;
use crate::document::structure::Structure;
pub use crate::document::structure::{Heading, Item, Marker};

/// How the lines of a text end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LineEnding {
    /// `\n`
    Lf,
    /// `\r\n`
    CrLf,
}

impl LineEnding {
    /// The line ending of this text: that of its first line.
    #[must_use]
    pub fn of(text: &str) -> Self {
        match text.find('\n') {
            Some(at) if text.get(..at).is_some_and(|line| line.ends_with('\r')) => Self::CrLf,
            _ => Self::Lf,
        }
    }

    /// The bytes.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Lf => "\n",
            Self::CrLf => "\r\n",
        }
    }

    /// The text with all line endings replaced by this one.
    #[must_use]
    pub fn apply(self, text: &str) -> String {
        let lf = text.replace("\r\n", "\n");
        match self {
            Self::Lf => lf,
            Self::CrLf => lf.replace('\n', "\r\n"),
        }
    }
}

/// The text between a heading and the next one of the same or a higher rank.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Section<'o> {
    /// The heading.
    pub heading: &'o Heading,
    /// Everything below the heading, sub-sections included.
    pub body: Range<usize>,
    /// The text before the first sub-section.
    pub own: Range<usize>,
}

impl Section<'_> {
    /// The heading and everything below it.
    #[must_use]
    pub fn range(&self) -> Range<usize> {
        self.heading.range.start..self.body.end
    }
}

/// The headings and list items of one text.
#[derive(Debug)]
pub struct Outline<'t> {
    text: &'t str,
    structure: Arc<Structure>,
}

impl<'t> Outline<'t> {
    /// Parses the text. The time is proportional to its length, unless a large text was parsed recently. Markers of a
    /// merge conflict count as blank lines.
    #[must_use]
    pub fn of(text: &'t str) -> Self {
        Self { text, structure: outline_cache::structure_of(text) }
    }

    /// The outline of a text that is this one with an insertion at this offset. The time is proportional to the
    /// insertion if the structure of the rest can be reused.
    #[must_use]
    pub(super) fn with_insertion<'n>(&self, new: &'n str, at: usize) -> Outline<'n> {
        let structure = outline_cache::structure_with_insertion((self.text, &self.structure), new, at);
        Outline { text: new, structure }
    }

    /// The first merge conflict that these bytes touch.
    #[must_use]
    pub fn conflict_in(&self, range: &Range<usize>) -> Option<&Conflict> {
        self.conflicts_in(range).next()
    }

    /// The merge conflicts that these bytes touch, top to bottom.
    pub fn conflicts_in(&self, range: &Range<usize>) -> impl Iterator<Item = &Conflict> {
        conflict::all_in(&self.structure.conflicts, range)
    }

    /// The bytes from the heading above this offset to the next heading.
    #[must_use]
    pub fn own_section_at(&self, at: usize) -> Range<usize> {
        let next = self.structure.headings.partition_point(|heading| heading.range.start <= at);
        let start = next
            .checked_sub(1)
            .and_then(|above| self.structure.headings.get(above))
            .map_or(0, |above| above.range.start);
        start..self.structure.headings.get(next).map_or(self.text.len(), |below| below.range.start)
    }

    /// The whole text.
    #[must_use]
    pub fn text(&self) -> &'t str {
        self.text
    }

    /// The headings, top to bottom.
    #[must_use]
    pub fn headings(&self) -> &[Heading] {
        &self.structure.headings
    }

    /// The list items, top to bottom, each before its nested items.
    #[must_use]
    pub fn items(&self) -> &[Item] {
        &self.structure.items
    }

    /// The lines that are a thematic break outside of lists and quotes, with their line endings.
    #[must_use]
    pub fn rules(&self) -> &[Range<usize>] {
        &self.structure.rules
    }

    /// The list items that begin within these bytes.
    #[must_use]
    pub fn items_in(&self, range: &Range<usize>) -> &[Item] {
        let from = self.structure.items.partition_point(|item| item.range.start < range.start);
        let to = self.structure.items.partition_point(|item| item.range.start < range.end);
        self.structure.items.get(from..to).unwrap_or_default()
    }

    /// The list items of the sections with these titles, top to bottom, each once.
    #[must_use]
    pub fn items_below(&self, titles: &[&str]) -> Vec<&Item> {
        let mut bodies: Vec<Range<usize>> =
            self.find_all(titles).into_iter().map(|found| found.body).collect();
        bodies.compact_sort_by_key(|body| body.start);
        let mut end = 0;
        let mut items = Vec::new();
        for body in bodies {
            items.extend(self.items_in(&(body.start.max(end)..body.end)));
            end = end.max(body.end);
        }
        items
    }

    /// Every section, top to bottom; sub-sections follow the section they belong to.
    pub fn sections(&self) -> impl Iterator<Item = Section<'_>> {
        (0..self.structure.headings.len()).filter_map(|index| self.section(index))
    }

    /// The sections whose headings are within these bytes, top to bottom.
    #[must_use]
    pub(super) fn sections_in(&self, range: &Range<usize>) -> Vec<Section<'_>> {
        let headings = &self.structure.headings;
        let from = headings.partition_point(|heading| heading.range.start < range.start);
        let to = headings.partition_point(|heading| heading.range.start < range.end);
        (from..to).filter_map(|index| self.section(index)).collect()
    }

    /// Whether these bytes have a marker of a merge conflict, be it as an example, or the text has a conflict anywhere.
    #[must_use]
    pub(super) fn may_have_conflict(&self, range: &Range<usize>) -> bool {
        !self.structure.conflicts.is_empty() || conflict::may_have(self.slice(range))
    }

    /// The sections with one of these titles, those with the first title first, then by level. Case and runs of
    /// blanks are ignored; the title of the document (level 1) is not a section.
    #[must_use]
    pub fn find_all(&self, titles: &[&str]) -> Vec<Section<'_>> {
        let mut found: Vec<(usize, u8, Section<'_>)> = Vec::new();
        for section in self.sections().filter(|section| section.heading.level >= 2) {
            if let Some(rank) = titles.iter().position(|title| same_title(&section.heading.title, title)) {
                found.push((rank, section.heading.level, section));
            }
        }
        found.compact_sort_by_key(|(rank, level, _)| (*rank, *level));
        found.into_iter().map(|(_, _, section)| section).collect()
    }

    /// The first of [`Self::find_all`].
    #[must_use]
    pub fn find(&self, titles: &[&str]) -> Option<Section<'_>> {
        self.find_all(titles).into_iter().next()
    }

    /// The text of these bytes.
    #[must_use]
    pub fn slice(&self, range: &Range<usize>) -> &'t str {
        self.text.get(range.clone()).unwrap_or_default()
    }

    /// The text of these bytes, with the markers of merge conflicts replaced by blanks.
    #[must_use]
    pub fn readable(&self, range: &Range<usize>) -> Cow<'t, str> {
        conflict::blanked(self.text, range, &self.structure.conflicts)
    }

    /// The section below the heading of this index.
    #[must_use]
    pub fn section(&self, index: usize) -> Option<Section<'_>> {
        let heading = self.structure.headings.get(index)?;
        let below = self.structure.headings.get(index + 1..).unwrap_or_default();
        let own_end = below.first().map_or(self.text.len(), |next| next.range.start);
        let end = below
            .iter()
            .find(|next| next.level <= heading.level)
            .map_or(self.text.len(), |next| next.range.start);
        Some(Section { heading, body: heading.range.end..end, own: heading.range.end..own_end })
    }
}

/// Whether two headings are equal, ignoring case and runs of blanks.
#[must_use]
pub fn same_title(one: &str, other: &str) -> bool {
    let words = |title: &str| title.split_whitespace().map(str::to_lowercase).collect::<Vec<_>>();
    words(one) == words(other)
}
