//! The headings, list items, rules and merge conflicts of a Markdown text, by a parser's offsets.
//!
//! A `##` in a code fence, in a list item or in running text is not a heading.

use std::ops::Range;
use std::sync::Arc;

use pulldown_cmark::{Event, HeadingLevel, Parser, Tag, TagEnd};

use crate::document::carriage_returns::with_line_feeds;
use crate::document::conflict::{self, Conflict};
use crate::document::dialect::{dialect, front_matter};
use crate::document::line_bounds::{count_lines, line_end, line_start};
use crate::document::templates::is_template_row;

/// A heading that opens a section: not one inside a quote or a list item.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Heading {
    /// 1 to 6.
    pub level: u8,
    /// The words, without Markdown syntax.
    pub title: Arc<str>,
    /// The words as written in the text.
    pub source: Arc<str>,
    /// The bytes of its line, or of its two lines if it is underlined, with the line ending.
    pub range: Range<usize>,
    /// The line it begins on, from 1.
    pub line: usize,
}

/// One item of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    /// Its own words in one line, without the marker and nested content.
    pub text: Arc<str>,
    /// The bytes of its lines, with nested items and the line ending, without blank lines after it.
    pub range: Range<usize>,
    /// The nesting depth; 0 at the top.
    pub depth: usize,
    /// The marker.
    pub marker: Marker,
    /// Whether it has no words, or those of a template row of an earlier version. Computed once, since every edit of a
    /// log needs it for thousands of items.
    pub(super) is_bare: bool,
}

/// The marker of a list item.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Marker {
    /// `-`, `*` or `+`.
    Bullet(char),
    /// A number and `.` or `)`.
    Number(u64, char),
}

/// The parsed elements of an [`Outline`](super::section::Outline), by offsets.
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
        let text = &*with_line_feeds(text);
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

#[derive(Default)]
struct Reader<'t> {
    text: &'t str,
    headings: Vec<Heading>,
    items: Vec<Item>,
    rules: Vec<Range<usize>>,
    /// How many blocks and spans are open.
    depth: usize,
    /// How many quotes are open; items inside a quote do not count.
    quotes: usize,
    open_items: Vec<OpenItem>,
    heading: Option<OpenHeading>,
    line: usize,
    counted: usize,
}

struct OpenItem {
    /// Its index in `items`; `None` if it shares its line with the outer item.
    slot: Option<usize>,
    marker_at: usize,
    range: Range<usize>,
    depth: usize,
    content_start: usize,
    /// The end of its own words, once a nested block was found.
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
        // Only the text between the outer item and this one is searched, so that deep nesting on one long line stays
        // cheap.
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
                self.line += count_lines(self.text, self.counted..open.range.start);
                self.counted = open.range.start;
                let source = open.inner.and_then(|inner| self.text.get(inner)).unwrap_or_default();
                self.headings.push(Heading {
                    level: open.level,
                    title: fold(&open.title),
                    source: fold(source),
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
                    item.text = fold(words);
                    item.is_bare = item.text.is_empty() || is_template_row(&item.text);
                }
            }
            _ => {}
        }
    }

    /// The own words of an item end at its first nested block.
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

/// The marker at the head of an item, and its length in bytes with the blanks around it.
fn marker_of(source: &str) -> (Marker, usize) {
    let unindented = source.trim_start_matches([' ', '\t']);
    let indent = source.len() - unindented.len();
    let digits =
        unindented.len() - unindented.trim_start_matches(|character: char| character.is_ascii_digit()).len();
    let character = unindented.get(digits..).and_then(|rest| rest.chars().next()).unwrap_or('-');
    let marker = match unindented.get(..digits).unwrap_or_default().parse() {
        Ok(number) => Marker::Number(number, character),
        Err(_) => Marker::Bullet(character),
    };
    let after = unindented.get(digits + character.len_utf8()..).unwrap_or_default();
    let blanks = after.len() - after.trim_start_matches([' ', '\t']).len();
    (marker, indent + digits + character.len_utf8() + blanks)
}

/// The end of the last line in this range that is not blank.
fn last_written_line(text: &str, start: usize, end: usize) -> usize {
    let written = text.get(start..end).unwrap_or_default().trim_end().len();
    line_end(text, start + written)
}

fn fold(words: &str) -> Arc<str> {
    // Nearly every line has single blanks between its words.
    let line = words.trim();
    if has_single_blanks(line) {
        return line.into();
    }
    words.split_whitespace().collect::<Vec<_>>().join(" ").into()
}

/// Whether a line has no blanks but single ones of ASCII.
fn has_single_blanks(line: &str) -> bool {
    let mut follows_blank = false;
    for byte in line.bytes() {
        // Nearly every byte is one of these.
        if byte.is_ascii_graphic() {
            follows_blank = false;
            continue;
        }
        let is_blank = byte == b' ';
        // Other blanks are control characters, or begin with one of these bytes, as do dashes and quotes of prose.
        if is_blank && follows_blank || byte < b' ' || matches!(byte, 0xc2 | 0xe1..=0xe3) {
            return false;
        }
        follows_blank = is_blank;
    }
    true
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn folded_words_have_single_blanks(text in "[ a-c\\t\\n\\r\\x0b\\x1c\\x7f\u{85}\u{a0}\u{1680}\u{2003}\u{2028}\u{205f}\u{3000}é👀]{0,20}") {
            prop_assert_eq!(&*fold(&text), text.split_whitespace().collect::<Vec<_>>().join(" "));
        }
    }
}
