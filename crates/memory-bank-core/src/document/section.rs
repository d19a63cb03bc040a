//! The structure of a Markdown text: headings, the sections below them, and list items, each with its byte range.
//!
//! It uses a parser's offsets, so that a `##` in a code fence, in a list item or in running text is not a heading. It
//! only reads; [`super::splice`] changes a text.

use std::borrow::Cow;
use std::ops::Range;
use std::sync::Arc;

use pulldown_cmark::{Event, HeadingLevel, Options, Parser, Tag, TagEnd};

use crate::document::conflict::{self, Conflict};
use crate::document::outline_cache;
use crate::document::templates::is_template_row;

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

    /// The text with every line ending made this one.
    #[must_use]
    pub fn apply(self, text: &str) -> String {
        let lf = text.replace("\r\n", "\n");
        match self {
            Self::Lf => lf,
            Self::CrLf => lf.replace('\n', "\r\n"),
        }
    }
}

/// A heading that opens a section: not one inside a quote or a list item.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Heading {
    /// 1 to 6.
    pub level: u8,
    /// The words, without Markdown's signs.
    pub title: Arc<str>,
    /// The words as they stand in the text.
    pub source: Arc<str>,
    /// The bytes of its line, or of its two lines if it is underlined, with the line ending.
    pub range: Range<usize>,
    /// The line it begins on, from 1.
    pub line: usize,
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
    pub fn whole(&self) -> Range<usize> {
        self.heading.range.start..self.body.end
    }
}

/// One item of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    /// Its own words in one line, without the marker and without what is nested in it.
    pub text: Arc<str>,
    /// The bytes of its lines, nested items and the line ending included, blank lines after it not.
    pub range: Range<usize>,
    /// 0 for an item of a list that stands in no other item.
    pub depth: usize,
    /// What introduces it.
    pub marker: Marker,
    /// Whether it has no words, or those of a row of an earlier version's template. Found once, since every edit of a log
    /// asks it of thousands of items.
    pub(super) is_bare: bool,
}

/// What introduces a list item.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Marker {
    /// `-`, `*` or `+`.
    Bullet(char),
    /// A number and `.` or `)`.
    Number(u64, char),
}

/// The headings and list items of one text.
#[derive(Debug)]
pub struct Outline<'t> {
    text: &'t str,
    structure: Arc<Structure>,
}

/// What an [`Outline`] knows, by offsets.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Structure {
    pub(super) headings: Vec<Heading>,
    pub(super) items: Vec<Item>,
    pub(super) conflicts: Vec<Conflict>,
    pub(super) rules: Vec<Range<usize>>,
}

impl Structure {
    /// Parses the text.
    pub(super) fn of(text: &str) -> Self {
        let conflicts = conflict::find(text);
        let readable = conflict::blanked(text, &(0..text.len()), &conflicts);
        let skipped = front_matter(&readable);
        let mut reader = Reader { text: &readable, line: 1, counted: 0, ..Reader::default() };
        let rest = readable.get(skipped..).unwrap_or_default();
        for (event, range) in Parser::new_ext(rest, dialect()).into_offset_iter() {
            reader.take(&event, range.start + skipped..range.end + skipped);
        }
        let Reader { headings, items, rules, .. } = reader;
        Self { headings, items, conflicts, rules }
    }
}

impl<'t> Outline<'t> {
    /// Parses the text. Takes time in proportion to its length, unless a large text was parsed just before. Markers of a
    /// merge conflict count as blank lines.
    #[must_use]
    pub fn of(text: &'t str) -> Self {
        Self { text, structure: outline_cache::structure_of(text) }
    }

    /// The outline of a text that is this one with something put in at this offset. Takes time in proportion to what is
    /// put in where the structure of the rest can be carried over.
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

    /// The list items, top to bottom, each before what is nested in it.
    #[must_use]
    pub fn items(&self) -> &[Item] {
        &self.structure.items
    }

    /// The lines that are a rule across the page and stand in no list or quote, with their line endings.
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
        bodies.sort_by_key(|body| body.start);
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

    /// The sections with one of these titles, those with the first title first. Case and runs of blanks do not count;
    /// a title of the whole document (level 1) is no section. Level 2 goes before deeper ones.
    #[must_use]
    pub fn find_all(&self, titles: &[&str]) -> Vec<Section<'_>> {
        let mut found: Vec<(usize, u8, Section<'_>)> = Vec::new();
        for section in self.sections().filter(|section| section.heading.level >= 2) {
            if let Some(rank) = titles.iter().position(|title| same_title(&section.heading.title, title)) {
                found.push((rank, section.heading.level, section));
            }
        }
        found.sort_by_key(|(rank, level, _)| (*rank, *level));
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

    /// The text of these bytes, with blanks in the place of the markers of merge conflicts.
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

/// Whether two headings say the same, apart from case and runs of blanks.
#[must_use]
pub fn same_title(one: &str, other: &str) -> bool {
    let words = |title: &str| title.split_whitespace().map(str::to_lowercase).collect::<Vec<_>>();
    words(one) == words(other)
}

/// The offset at which the line of `at` begins.
pub(super) fn line_start(text: &str, at: usize) -> usize {
    text.get(..at).and_then(|before| before.rfind('\n')).map_or(0, |newline| newline + 1)
}

/// The offset just after the line ending of the line in which the byte before `at` stands.
pub(super) fn line_end(text: &str, at: usize) -> usize {
    if at > 0 && text.as_bytes().get(at - 1) == Some(&b'\n') {
        return at;
    }
    text.get(at..).and_then(|after| after.find('\n')).map_or(text.len(), |newline| at + newline + 1)
}

/// The dialect that clients show: tables, so that a row of dashes below a table's head underlines no heading.
pub(super) fn dialect() -> Options {
    Options::ENABLE_TABLES
}

/// The length of a byte order mark and of a YAML block at the head, whose closing `---` would underline a heading.
pub(super) fn front_matter(text: &str) -> usize {
    let mark = if text.starts_with('\u{feff}') { '\u{feff}'.len_utf8() } else { 0 };
    let mut at = mark;
    for (number, line) in text.get(mark..).unwrap_or_default().split_inclusive('\n').enumerate() {
        at += line.len();
        match (number, line.trim_end()) {
            (0, "---") => {}
            (0, _) | (1, "") => return mark,
            (1.., "---" | "...") => return at,
            _ => {}
        }
    }
    mark
}

#[derive(Default)]
struct Reader<'t> {
    text: &'t str,
    headings: Vec<Heading>,
    items: Vec<Item>,
    rules: Vec<Range<usize>>,
    /// How many blocks and spans are open.
    depth: usize,
    /// Items inside a quote are none of the document's own.
    quotes: usize,
    open_items: Vec<OpenItem>,
    heading: Option<OpenHeading>,
    line: usize,
    counted: usize,
}

struct OpenItem {
    /// Where it will stand in `items`; none if it shares its line with the item around it.
    slot: Option<usize>,
    marker_at: usize,
    range: Range<usize>,
    depth: usize,
    content_start: usize,
    /// Where its own words end, once something nested was met.
    own_end: Option<usize>,
    paragraphs: usize,
}

struct OpenHeading {
    level: u8,
    range: Range<usize>,
    title: String,
    inner: Option<Range<usize>>,
}

impl Reader<'_> {
    fn take(&mut self, event: &Event<'_>, range: Range<usize>) {
        match event {
            Event::Start(tag) => {
                self.note_nested(tag, &range);
                self.start(tag, range);
                self.depth += 1;
            }
            Event::End(tag) => {
                self.depth = self.depth.saturating_sub(1);
                self.end(*tag);
            }
            Event::Rule => {
                if self.depth == 0 {
                    self.rules.push(line_start(self.text, range.start)..line_end(self.text, range.end));
                }
                self.cut_own_words(range.start);
            }
            Event::Text(words) | Event::Code(words) => self.heading_words(words, &range),
            Event::InlineHtml(_) | Event::SoftBreak | Event::HardBreak => self.heading_words(" ", &range),
            _ => {}
        }
    }

    fn start(&mut self, tag: &Tag<'_>, range: Range<usize>) {
        match tag {
            Tag::Heading { level, .. } if self.depth == 0 => {
                let whole = line_start(self.text, range.start)..line_end(self.text, range.end);
                let level = level_number(*level);
                self.heading = Some(OpenHeading { level, range: whole, title: String::new(), inner: None });
            }
            Tag::BlockQuote(_) => self.quotes += 1,
            Tag::Item if self.quotes == 0 => self.start_item(range),
            _ => {
                if let Some(open) = &mut self.heading {
                    widen(&mut open.inner, &range);
                }
            }
        }
    }

    fn start_item(&mut self, range: Range<usize>) {
        // Only what lies between it and the item around it is looked at: deep nesting on one long line stays cheap.
        let outer = self.open_items.last().filter(|outer| {
            let between = self.text.get(outer.marker_at..range.start);
            between.is_some_and(|between| !between.contains('\n'))
        });
        let start = outer.map_or_else(|| line_start(self.text, range.start), |outer| outer.range.start);
        let shares_line = outer.is_some();
        let source = self.text.get(range.clone()).unwrap_or_default();
        let (marker, marker_len) = marker_of(source);
        let whole = start..last_written_line(self.text, range.start, range.end);
        let slot = (!shares_line).then_some(self.items.len());
        if slot.is_some() {
            let depth = self.open_items.len();
            self.items.push(Item { text: Arc::from(""), range: whole.clone(), depth, marker, is_bare: true });
        }
        self.open_items.push(OpenItem {
            slot,
            marker_at: range.start,
            content_start: range.start + marker_len,
            range: whole,
            depth: self.depth,
            own_end: None,
            paragraphs: 0,
        });
    }

    fn end(&mut self, tag: TagEnd) {
        match tag {
            TagEnd::Heading(_) if self.depth == 0 => {
                let Some(open) = self.heading.take() else { return };
                self.line += newlines(self.text, self.counted..open.range.start);
                self.counted = open.range.start;
                let source = open.inner.and_then(|inner| self.text.get(inner)).unwrap_or_default();
                self.headings.push(Heading {
                    level: open.level,
                    title: fold(&open.title).into(),
                    source: fold(source).into(),
                    range: open.range,
                    line: self.line,
                });
            }
            TagEnd::BlockQuote(_) => self.quotes = self.quotes.saturating_sub(1),
            TagEnd::Item if self.quotes == 0 => {
                let Some(open) = self.open_items.pop() else { return };
                let end = open.own_end.unwrap_or(open.range.end);
                let words = self.text.get(open.content_start..end).unwrap_or_default();
                if let Some(item) = open.slot.and_then(|slot| self.items.get_mut(slot)) {
                    item.text = fold(words).into();
                    item.is_bare = item.text.is_empty() || is_template_row(&item.text);
                }
            }
            _ => {}
        }
    }

    /// An item's own words end where the first block begins that is nested in it.
    fn note_nested(&mut self, tag: &Tag<'_>, range: &Range<usize>) {
        let depth = self.depth;
        let Some(open) = self.open_items.last_mut() else { return };
        if depth != open.depth + 1 {
            return;
        }
        let cuts = match tag {
            Tag::List(_)
            | Tag::CodeBlock(_)
            | Tag::BlockQuote(_)
            | Tag::HtmlBlock
            | Tag::Table(_)
            | Tag::Heading { .. } => true,
            Tag::Paragraph => {
                open.paragraphs += 1;
                open.paragraphs > 1
            }
            _ => false,
        };
        if cuts {
            self.cut_own_words(range.start);
        }
    }

    fn cut_own_words(&mut self, at: usize) {
        if let Some(open) = self.open_items.last_mut()
            && open.own_end.is_none()
            && at > open.content_start
        {
            open.own_end = Some(at);
        }
    }

    fn heading_words(&mut self, words: &str, range: &Range<usize>) {
        if let Some(open) = &mut self.heading {
            open.title.push_str(words);
            widen(&mut open.inner, range);
        }
    }
}

fn widen(inner: &mut Option<Range<usize>>, range: &Range<usize>) {
    *inner = Some(match inner.take() {
        Some(known) => known.start.min(range.start)..known.end.max(range.end),
        None => range.clone(),
    });
}

fn level_number(level: HeadingLevel) -> u8 {
    match level {
        HeadingLevel::H1 => 1,
        HeadingLevel::H2 => 2,
        HeadingLevel::H3 => 3,
        HeadingLevel::H4 => 4,
        HeadingLevel::H5 => 5,
        HeadingLevel::H6 => 6,
    }
}

/// The marker at the head of an item, and how many bytes it and the blanks around it take.
fn marker_of(source: &str) -> (Marker, usize) {
    let unindented = source.trim_start_matches([' ', '\t']);
    let indent = source.len() - unindented.len();
    let digits = unindented.len() - unindented.trim_start_matches(|sign: char| sign.is_ascii_digit()).len();
    let sign = unindented.get(digits..).and_then(|rest| rest.chars().next()).unwrap_or('-');
    let marker = match unindented.get(..digits).unwrap_or_default().parse() {
        Ok(number) => Marker::Number(number, sign),
        Err(_) => Marker::Bullet(sign),
    };
    let after = unindented.get(digits + sign.len_utf8()..).unwrap_or_default();
    let blanks = after.len() - after.trim_start_matches([' ', '\t']).len();
    (marker, indent + digits + sign.len_utf8() + blanks)
}

/// The end of the last line between these offsets that is not blank.
fn last_written_line(text: &str, start: usize, end: usize) -> usize {
    let written = text.get(start..end).unwrap_or_default().trim_end().len();
    line_end(text, start + written)
}

fn newlines(text: &str, range: Range<usize>) -> usize {
    text.get(range).unwrap_or_default().matches('\n').count()
}

fn fold(words: &str) -> String {
    words.split_whitespace().collect::<Vec<_>>().join(" ")
}
