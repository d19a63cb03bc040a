//! Cuts a markdown document into units. Every line that is not blank belongs to exactly one, or, if it is long, to
//! several.

use std::sync::Arc;

use pulldown_cmark::{Event, HeadingLevel, Options, Parser, Tag, TagEnd};

use super::unit::{Unit, UnitKind, link_neighbours};
use crate::document::roles::is_placeholder;

/// Longer code blocks, and longer paragraphs of wrapped lines, are cut into parts of this many lines.
const PART_LINES: usize = 8;
/// Lines of a paragraph that are all shorter than this, in characters, are not wrapped text, so each is a unit.
const SHORT_LINES: usize = 40;
/// A line that ends with a colon and is no longer than this, in characters, belongs to the following text.
const LABEL: usize = 80;
/// Lines with more words are cut at the ends of sentences.
const LONG_LINE: usize = 60;
/// A longer line, in bytes, is not a row of a template.
const LONGEST_TEMPLATE_ROW: usize = 400;
/// A line of at most this many words may be a placeholder without brackets: `- none yet`.
const SHORT_ROW: usize = 7;
/// The fewest words of a part of a long line.
const LEAST_WORDS: usize = 24;
/// The words of a part of a long line without ends of sentences.
const MOST_WORDS: usize = 64;

/// The units of a markdown document. `stem` is its name without the extension.
#[must_use]
pub fn markdown_units(stem: &str, text: &str) -> Vec<Unit> {
    let lines = Lines::of(text);
    let blocks = blocks(text, &lines);
    let pieces = pieces(&blocks, &lines);
    units(stem, &pieces, &lines)
}

/// A document by its lines.
struct Lines<'a> {
    starts: Vec<usize>,
    lines: Vec<&'a str>,
}

impl<'a> Lines<'a> {
    fn of(text: &'a str) -> Self {
        let lines: Vec<&str> = text.split('\n').collect();
        let mut at = 0;
        let starts = lines
            .iter()
            .map(|line| {
                let start = at;
                at += line.len() + 1;
                start
            })
            .collect();
        Self { starts, lines }
    }

    /// The line, from 0, that contains the byte.
    fn line_of(&self, byte: usize) -> usize {
        self.starts.partition_point(|start| *start <= byte).saturating_sub(1)
    }

    fn get(&self, line: usize) -> &'a str {
        self.lines.get(line).copied().unwrap_or_default()
    }

    fn is_blank(&self, line: usize) -> bool {
        self.get(line).trim().is_empty()
    }
}

struct Block {
    kind: UnitKind,
    heading: Option<(HeadingLevel, String)>,
}

struct Blocks {
    blocks: Vec<Block>,
    /// For each line, the innermost block that contains it.
    owners: Vec<Option<usize>>,
}

fn blocks(text: &str, lines: &Lines<'_>) -> Blocks {
    let mut found = Blocks { blocks: Vec::new(), owners: vec![None; lines.lines.len()] };
    // The parser would treat any two rules as the ends of front matter, such as those between entries of a log.
    let front = front_matter(text);
    if front > 0 {
        found.blocks.push(Block { kind: UnitKind::Paragraph, heading: None });
        let last = lines.line_of(front.saturating_sub(1));
        found.owners.iter_mut().take(last + 1).for_each(|line| *line = Some(0));
    }
    let body = text.get(front..).unwrap_or_default();
    let (mut depth, mut items) = (0_usize, 0_usize);
    let mut title: Option<String> = None;
    for (event, range) in Parser::new_ext(body, Options::ENABLE_TABLES).into_offset_iter() {
        let range = range.start + front..range.end + front;
        let kind = match &event {
            Event::Start(Tag::Heading { .. }) if depth == 0 => {
                title = Some(String::new());
                Some(UnitKind::Heading)
            }
            Event::Start(Tag::Item) => Some(UnitKind::Item),
            Event::Start(Tag::CodeBlock(_)) => Some(UnitKind::Code),
            Event::Start(Tag::TableHead | Tag::TableRow) => Some(UnitKind::Row),
            Event::Start(Tag::Paragraph | Tag::HtmlBlock | Tag::Heading { .. }) if items == 0 => {
                Some(UnitKind::Paragraph)
            }
            _ => None,
        };
        if let Some(kind) = kind {
            let first = lines.line_of(range.start);
            let held = text.get(range).map_or(0, |held| held.trim_end().matches('\n').count());
            found.blocks.push(Block { kind, heading: None });
            let owner = found.blocks.len() - 1;
            found.owners.iter_mut().skip(first).take(held + 1).for_each(|line| *line = Some(owner));
        }
        match event {
            Event::Start(Tag::Item) => (depth, items) = (depth + 1, items + 1),
            Event::End(TagEnd::Item) => (depth, items) = (depth.saturating_sub(1), items.saturating_sub(1)),
            Event::Start(Tag::BlockQuote(_)) => depth += 1,
            Event::End(TagEnd::BlockQuote(_)) => depth = depth.saturating_sub(1),
            Event::Text(part) | Event::Code(part) => title.iter_mut().for_each(|title| title.push_str(&part)),
            Event::SoftBreak | Event::HardBreak => title.iter_mut().for_each(|title| title.push(' ')),
            Event::End(TagEnd::Heading(level)) => {
                if let (Some(title), Some(block)) = (title.take(), found.blocks.last_mut()) {
                    block.heading = Some((level, title.trim().to_owned()));
                }
            }
            _ => {}
        }
    }
    found
}

/// The length of the front matter of a document in bytes; 0 if it has none.
fn front_matter(text: &str) -> usize {
    let mut at = 0;
    for (place, line) in text.split_inclusive('\n').enumerate() {
        let bare = line.trim_end();
        if place == 0 && bare != "---" {
            return 0;
        }
        at += line.len();
        if place > 0 && matches!(bare, "---" | "...") {
            return at;
        }
    }
    0
}

/// A run of lines that becomes one unit.
struct Piece {
    kind: UnitKind,
    heading: Option<(HeadingLevel, String)>,
    first: usize,
    count: usize,
}

impl Piece {
    /// Whether it consists of rows of a template.
    fn is_empty(&self, lines: &Lines<'_>) -> bool {
        matches!(self.kind, UnitKind::Paragraph | UnitKind::Item | UnitKind::Row)
            && (self.first..self.first + self.count).all(|line| is_template_row(lines.get(line)))
    }
}

/// Whether a line of a document is a row of a template without content. An entry's id is in a comment, and counts as
/// content.
pub(super) fn is_template_row(line: &str) -> bool {
    // A fast check, since nearly all lines are long and have no brackets.
    let has_sign = || {
        line.contains(['[', '{', '<', '【', '［', '(', '（'])
            || ["This file ", "This document ", " here", "footnotes"].iter().any(|sign| line.contains(sign))
    };
    let may_be = line.len() <= LONGEST_TEMPLATE_ROW
        && (line.split(' ').filter(|word| !word.is_empty()).nth(SHORT_ROW).is_none() || has_sign());
    may_be && is_placeholder(line) && !line.trim_start().starts_with("<!-- ID:")
}

fn pieces(found: &Blocks, lines: &Lines<'_>) -> Vec<Piece> {
    let mut pieces: Vec<Piece> = Vec::new();
    let mut owner_of_last = None;
    let mut width = 0;
    for (line, owner) in found.owners.iter().enumerate() {
        if lines.is_blank(line) {
            // A blank line within a list item or a code block does not end it; the next line decides.
            continue;
        }
        let block = owner.and_then(|owner| found.blocks.get(owner));
        let kind = block.map_or(UnitKind::Paragraph, |block| block.kind);
        if owner_of_last != Some(*owner) {
            width = widest(found, lines, line);
        }
        if let Some(last) = pieces.last_mut() {
            let length = line + 1 - last.first;
            let adjoins = owner.is_some() || line == last.first + last.count;
            let room = length <= PART_LINES || matches!(kind, UnitKind::Heading | UnitKind::Row);
            let flows = !matches!(kind, UnitKind::Paragraph | UnitKind::Item)
                || continues_below(lines.get(last.first + last.count - 1), lines.get(line), width);
            if owner_of_last == Some(*owner) && adjoins && room && flows {
                last.count = length;
                continue;
            }
        }
        owner_of_last = Some(*owner);
        let heading = block.and_then(|block| block.heading.clone());
        pieces.push(Piece { kind, heading, first: line, count: 1 });
    }
    pieces
}

/// The length of the longest line of the block that begins here, in characters.
fn widest(found: &Blocks, lines: &Lines<'_>, first: usize) -> usize {
    let owner = found.owners.get(first);
    let of_block = (first..).take_while(|line| found.owners.get(*line) == owner && owner.is_some());
    of_block.map(|line| lines.get(line).trim_end().chars().count()).max().unwrap_or(0)
}

/// Whether a line of a paragraph continues in the next one: it was wrapped because the next word did not fit. A line
/// that begins like an entry or like a speaker's turn does not continue the previous line, and a label continues in
/// the text that it names.
fn continues_below(line: &str, next: &str, width: usize) -> bool {
    let (line, next) = (line.trim_end_matches('\r'), next.trim());
    if line.ends_with("  ") || line.ends_with('\\') || begins_entry(next) {
        return false;
    }
    let line = line.trim_end();
    let length = line.chars().count();
    if line.ends_with(':') && length <= LABEL {
        return true;
    }
    let word = next.split_whitespace().next().map_or(0, |word| word.chars().count());
    width >= SHORT_LINES && length + 1 + word > width
}

/// Whether a line begins like an entry: in bold, with a bracket, a date, or a name and a colon.
fn begins_entry(line: &str) -> bool {
    let is_mark =
        line.starts_with("**") || line.starts_with("__") || line.starts_with('[') || line.starts_with("<!--");
    let is_stamp = line.get(..4).is_some_and(|year| year.bytes().all(|byte| byte.is_ascii_digit()));
    let label = line.split_once(": ").map(|(label, _)| label);
    let is_name = label.is_some_and(|label| {
        label.split(' ').count() <= 3 && label.chars().next().is_some_and(char::is_uppercase)
    });
    is_mark || is_stamp || is_name
}

/// The offsets of the parts of a line, in bytes. Most lines have one part.
fn parts_of(line: &str) -> Vec<usize> {
    let mut starts = vec![0];
    if weight_between(line) <= LONG_LINE {
        return starts;
    }
    let (mut words, mut ended, mut is_blank) = (0, false, true);
    for (at, c) in line.char_indices() {
        if c.is_whitespace() {
            is_blank = true;
            continue;
        }
        let begins_word = is_blank || is_wide(c);
        if begins_word && ((ended && words >= LEAST_WORDS) || words >= MOST_WORDS) {
            starts.push(at);
            words = 0;
        }
        // Two characters of a script without blanks count as one word.
        words += if is_wide(c) { usize::from(at % 2 == 0) } else { usize::from(is_blank) };
        ended = matches!(c, '.' | '!' | '?' | '。' | '！' | '？')
            || (ended && matches!(c, '"' | '”' | ')' | '*'));
        is_blank = false;
    }
    // A short rest belongs to the part before it.
    if starts.len() > 1 && words < LEAST_WORDS {
        starts.pop();
    }
    starts
}

/// The approximate number of words of a text.
fn weight_between(text: &str) -> usize {
    let wide = if text.is_ascii() { 0 } else { text.chars().filter(|c| is_wide(*c)).count() };
    text.split_whitespace().count() + wide / 2
}

fn is_wide(c: char) -> bool {
    matches!(c, '\u{3041}'..='\u{30FF}' | '\u{3400}'..='\u{9FFF}')
}

fn units(stem: &str, pieces: &[Piece], lines: &Lines<'_>) -> Vec<Unit> {
    let mut units = vec![Unit::of_document(stem)];
    // The headings above the current line: level, position of the unit, path down to it.
    let mut above: Vec<(HeadingLevel, usize, Arc<[String]>)> = Vec::new();
    let none: Arc<[String]> = Arc::from([]);
    for piece in pieces {
        if let Some((level, _)) = &piece.heading {
            above.retain(|(other, ..)| other < level);
        }
        let (parent, outer) = above.last().map_or((0, &none), |(_, at, path)| (*at, path));
        let path: Arc<[String]> = match &piece.heading {
            Some((_, title)) => outer.iter().cloned().chain([title.clone()]).collect(),
            None => Arc::clone(outer),
        };
        let unit = |text: String, from: usize| Unit {
            kind: piece.kind,
            text,
            line: piece.first + 1,
            lines: piece.count,
            from,
            path: Arc::clone(&path),
            parent: Some(parent),
            previous: None,
            next: None,
        };
        match &piece.heading {
            Some((level, title)) => {
                above.push((*level, units.len(), Arc::clone(&path)));
                units.push(unit(title.clone(), 0));
            }
            // It keeps its position, so that every line has a unit, but has no words, so that it is never found.
            None if piece.is_empty(lines) => units.push(unit(String::new(), 0)),
            None if piece.count == 1 => {
                let line = lines.get(piece.first);
                let starts = parts_of(line);
                let ends = starts.iter().skip(1).copied().chain([line.len()]);
                for (start, end) in starts.iter().zip(ends) {
                    let before = line.get(..*start).unwrap_or_default().chars().count();
                    units.push(unit(line.get(*start..end).unwrap_or_default().to_owned(), before));
                }
            }
            None => {
                let text: Vec<&str> =
                    (piece.first..piece.first + piece.count).map(|line| lines.get(line)).collect();
                units.push(unit(text.join("\n"), 0));
            }
        }
    }
    link_neighbours(&mut units);
    units
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SAMPLE: &str = "# Notes\n\nIntro line.\nStill intro.\n\n## Tasks\n- one\n  more of one\n  - nested\n- two\n\n\
        ```rs\n# not a heading\nfn main() {}\n```\n\n| a | b |\n|---|---|\n| 1 | 2 |\n\n<!-- ID: p_1 -->\n---\n## Empty\n";

    fn outline(units: &[Unit]) -> Vec<(UnitKind, usize, usize)> {
        units.iter().map(|unit| (unit.kind, unit.line, unit.lines)).collect()
    }

    #[test]
    fn a_document_is_cut_at_its_blocks() {
        use UnitKind::{Code, Document, Heading, Item, Paragraph, Row};
        let units = markdown_units("notes", SAMPLE);
        assert_eq!(
            outline(&units),
            [
                (Document, 1, 1),
                (Heading, 1, 1),
                (Paragraph, 3, 1),
                (Paragraph, 4, 1),
                (Heading, 6, 1),
                (Item, 7, 1),
                (Item, 8, 1),
                (Item, 9, 1),
                (Item, 10, 1),
                (Code, 12, 4),
                (Row, 17, 1),
                (Paragraph, 18, 1),
                (Row, 19, 1),
                (Paragraph, 21, 1),
                (Paragraph, 22, 1),
                (Heading, 23, 1),
            ]
        );
    }

    #[test]
    fn a_unit_knows_its_headings_and_neighbours() {
        let units = markdown_units("notes", SAMPLE);
        let two = &units[8];
        assert_eq!(two.text, "- two");
        assert_eq!(two.path.as_ref(), ["Notes", "Tasks"]);
        assert_eq!((two.parent, two.previous, two.next), (Some(4), Some(7), Some(9)));
        assert_eq!(units[2].parent, Some(1));
        assert_eq!(units[1].parent, Some(0));
    }

    fn texts(text: &str) -> Vec<String> {
        markdown_units("notes", text).into_iter().skip(1).map(|unit| unit.text).collect()
    }

    #[test]
    fn a_section_of_the_decision_log_is_cut_like_any_other() {
        let log = "# Decision Log\n\n## Use PG\n- **Date:** 2026\n- **Decision:** pg\n\n## Empty\n";
        let units = markdown_units("decision-log", log);
        let titles: Vec<_> = units.iter().map(|unit| (unit.kind, unit.title(), unit.line)).collect();
        assert_eq!(
            titles,
            [
                (UnitKind::Document, None, 1),
                (UnitKind::Heading, Some("Decision Log"), 1),
                (UnitKind::Heading, Some("Use PG"), 3),
                (UnitKind::Item, None, 4),
                (UnitKind::Item, None, 5),
                (UnitKind::Heading, Some("Empty"), 7),
            ]
        );
        assert_eq!(units[3].parent, Some(2));
    }

    #[test]
    fn wrapped_lines_are_one_unit_and_others_are_not() {
        let prose = "The server keeps an index in memory for each project that is searched\non it, and gives it up again when nobody searches.";
        assert_eq!(texts(prose), [prose]);
        let talk = "Anna: Have you been to the new climbing hall near the station already?\nBen: Yes, twice!";
        assert_eq!(texts(talk).len(), 2);
        assert_eq!(texts("Milk\nBread\nButter").len(), 3);
        assert_eq!(texts("**Anna** (9:30 am):\nI went there twice last week.").len(), 1);
        assert_eq!(texts("first line of it,  \nsecond").len(), 2);
    }

    #[test]
    fn front_matter_is_at_the_beginning_only() {
        let log = "# Log\n---\n### Decision\n[2026-08-30] - Use hooks.\n\n---\n### Decision\n[2026-09-02] - Drop it.\n";
        let kinds: Vec<UnitKind> = markdown_units("log", log).iter().map(|unit| unit.kind).collect();
        assert_eq!(kinds.iter().filter(|kind| **kind == UnitKind::Heading).count(), 3, "{kinds:?}");
        let units = markdown_units("notes", "---\ntitle: x\n---\n# Notes\n\ntext\n");
        assert_eq!((units[1].kind, units[1].line), (UnitKind::Paragraph, 1));
        assert!(units.iter().any(|unit| unit.kind == UnitKind::Heading && unit.line == 4));
    }

    #[test]
    fn rows_of_a_template_hold_no_words() {
        let units = markdown_units(
            "active-context",
            "## Tasks\n\n- [Task 1]\n- Mend the login\n<!-- ID: p_2026-01-01_x -->\n",
        );
        let texts: Vec<&str> = units.iter().skip(1).map(|unit| unit.text.as_str()).collect();
        assert_eq!(texts, ["Tasks", "", "- Mend the login", "<!-- ID: p_2026-01-01_x -->"]);
    }

    #[test]
    fn a_long_line_is_cut_at_the_ends_of_sentences() {
        let sentence = "Something is told here about the thing number 7 in a dozen words or so.";
        let line = [sentence; 9].join(" ");
        let units = markdown_units("notes", &line);
        assert!(units.len() > 4, "{}", units.len());
        assert!(units.iter().skip(1).all(|unit| unit.line == 1 && unit.text.starts_with("Something")));
        let joined: String = units.iter().skip(1).map(|unit| unit.text.as_str()).collect();
        assert_eq!(joined, line);
        assert_eq!(units[2].from, units[1].text.chars().count());
        assert!(texts(&"数据库迁移脚本。".repeat(60)).len() > 3);
    }

    proptest! {
        #[test]
        fn every_line_with_text_belongs_to_exactly_one_unit(
            lines in proptest::collection::vec("(#{1,3} |- |  - |> |```|\\| |1\\. |    )?[a-z|`*_ -]{0,12}\r?", 0..40)
        ) {
            let text = lines.join("\n");
            let units = markdown_units("notes", &text);
            let mut owners = vec![0; text.split('\n').count()];
            let parts = |unit: &&Unit| unit.from == 0;
            for unit in units.iter().skip(1).filter(parts) {
                owners.iter_mut().skip(unit.line - 1).take(unit.lines).for_each(|owners| *owners += 1);
            }
            for (line, owner) in text.split('\n').zip(owners) {
                prop_assert!(owner <= 1);
                prop_assert!(owner == 1 || line.trim().is_empty(), "{:?}", line);
            }
        }
    }
}
