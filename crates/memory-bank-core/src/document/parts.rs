//! Parts of a document: lines, a section, the end. A part ends at the end of a line, or between two characters if a
//! single line is too long; its bytes are those of the document. This module only reads.

use std::ops::Range;

use crate::document::section::{Outline, same_title};

/// How many headings an error lists.
const MAX_NAMED_HEADINGS: usize = 20;
/// How long each of them is shown, in characters.
const MAX_HEADING_CHARS: usize = 80;

/// The requested part. Lines and characters count from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Selection<'a> {
    /// From a character of a line on; at most `count` lines.
    Lines {
        /// The first line.
        from: usize,
        /// The first character of that line.
        from_char: usize,
        /// How many lines; all that follow when absent.
        count: Option<usize>,
    },
    /// The section below a heading, with its sub-sections; at most `count` lines.
    Heading {
        /// The words of the heading.
        title: &'a str,
        /// How many lines; the whole section when absent.
        count: Option<usize>,
    },
    /// The last lines.
    Tail(usize),
}

/// The largest length of a part, as text inside a JSON string.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PartBounds {
    /// In characters.
    pub chars: usize,
    /// In bytes.
    pub bytes: usize,
}

/// A part of a document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part<'t> {
    /// Its text.
    pub text: &'t str,
    /// The first line.
    pub from_line: usize,
    /// The first character within that line.
    pub from_char: usize,
    /// How many lines it touches.
    pub lines: usize,
    /// The omitted part of the selection.
    pub left: Option<LeftOut>,
}

/// The omitted rest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LeftOut {
    /// The first line.
    pub from_line: usize,
    /// The first character within that line.
    pub from_char: usize,
    /// How many lines it touches.
    pub lines: usize,
}

/// How long a document is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DocumentSize {
    /// Its lines.
    pub lines: usize,
    /// Its characters.
    pub chars: usize,
}

impl DocumentSize {
    /// Measures a text.
    #[must_use]
    pub fn of(text: &str) -> Self {
        Self { lines: Lines::of(text).count(), chars: text.chars().count() }
    }
}

/// The selected part of a text, as much as fits: of a tail the end, of other selections the beginning.
///
/// # Errors
/// The lines or the heading do not exist.
pub fn part<'t>(text: &'t str, selection: Selection<'_>, bounds: PartBounds) -> Result<Part<'t>, String> {
    let lines = Lines::of(text);
    let all = lines.count();
    let (first, count) = match selection {
        Selection::Tail(count) => (all.saturating_sub(count), count),
        Selection::Heading { title, count } => {
            let section = section(text, title)?;
            let (first, end) = (lines.at(section.start), lines.at(section.end));
            let whole = end.saturating_sub(first).max(1);
            (first, count.map_or(whole, |count| count.min(whole)))
        }
        Selection::Lines { from, count, .. } => {
            let first = from.saturating_sub(1);
            if first > 0 && first >= all {
                return Err(format!("`fromLine` is {from}, but the document has {all} lines"));
            }
            (first, count.unwrap_or(usize::MAX))
        }
    };
    let end = first.saturating_add(count).min(all);
    let mut range = lines.start(first)..lines.start(end);
    let mut from_char = 1;
    if let Selection::Lines { from_char: first_char, from, .. } = selection
        && first_char > 1
    {
        let line = text.get(lines.start(first)..lines.start(first + 1)).unwrap_or_default();
        let Some((at, _)) = line.char_indices().nth(first_char - 1) else {
            let length = line.chars().count();
            return Err(format!("`fromChar` is {first_char}, but line {from} has {length} characters"));
        };
        range.start += at;
        from_char = first_char;
    }
    if let Selection::Tail(_) = selection {
        return Ok(tail(text, &lines, first, end, bounds));
    }
    let selected = text.get(range.clone()).unwrap_or_default();
    let kept = first_that_fit(selected, bounds);
    let stop = range.start + kept.len();
    let left = (stop < range.end).then(|| {
        let line = lines.at(stop);
        let passed = text.get(lines.start(line)..stop).unwrap_or_default();
        // In the line where the part began, the characters before it count, too.
        LeftOut { from_line: line + 1, from_char: passed.chars().count() + 1, lines: end - line }
    });
    let last = lines.at(stop);
    let touched = (last - first) + usize::from(stop > lines.start(last) && last < all);
    Ok(Part { text: kept, from_line: first + 1, from_char, lines: touched, left })
}

/// As many of the last lines from `first` to `end` as fit.
fn tail<'t>(text: &'t str, lines: &Lines, first: usize, end: usize, bounds: PartBounds) -> Part<'t> {
    let range = lines.start(first)..lines.start(end);
    let selected = text.get(range.clone()).unwrap_or_default();
    let kept = last_that_fit(selected, bounds);
    let start = range.start + (selected.len() - kept.len());
    let from_line = lines.at(start);
    let line_start = lines.start(from_line);
    let from_char = text.get(line_start..start).unwrap_or_default().chars().count() + 1;
    let left = (start > range.start).then(|| LeftOut {
        from_line: first + 1,
        from_char: 1,
        lines: (from_line - first) + usize::from(start > line_start),
    });
    Part { text: kept, from_line: from_line + 1, from_char, lines: end - from_line, left }
}

/// How many characters a text takes inside a JSON string.
#[must_use]
pub fn json_chars(text: &str) -> usize {
    text.chars().count() + escapes(text)
}

/// How many bytes a text takes inside a JSON string.
#[must_use]
pub fn json_bytes(text: &str) -> usize {
    text.len() + escapes(text)
}

/// How many more bytes, and characters, a text takes inside a JSON string. It runs on every document that is read, so it looks at
/// bytes: all characters with an escape have one.
fn escapes(text: &str) -> usize {
    let more = |byte: u8| match byte {
        b'"' | b'\\' | b'\n' | b'\r' | b'\t' | 8 | 12 => 1,
        0..0x20 => 5,
        _ => 0,
    };
    text.bytes().map(more).sum()
}

/// The characters and bytes that a character takes inside a JSON string.
fn json_cost(character: char) -> (usize, usize) {
    match character {
        '"' | '\\' | '\n' | '\r' | '\t' | '\u{8}' | '\u{c}' => (2, 2),
        character if character < ' ' => (6, 6),
        character => (1, character.len_utf8()),
    }
}

/// The first lines that fit; if the first line does not fit, its beginning.
pub(crate) fn first_that_fit(text: &str, bounds: PartBounds) -> &str {
    let (mut chars, mut bytes) = (0, 0);
    let mut line_end = 0;
    for (at, character) in text.char_indices() {
        let (more_chars, more_bytes) = json_cost(character);
        chars += more_chars;
        bytes += more_bytes;
        if chars > bounds.chars || bytes > bounds.bytes {
            let cut = if line_end > 0 { line_end } else { between(text, at) };
            return text.get(..cut).unwrap_or_default();
        }
        if character == '\n' {
            line_end = at + 1;
        }
    }
    text
}

/// The last lines that fit; if the last line does not fit, its end.
fn last_that_fit(text: &str, bounds: PartBounds) -> &str {
    let (mut chars, mut bytes) = (0, 0);
    let mut line_start = text.len();
    for (at, character) in text.char_indices().rev() {
        let (more_chars, more_bytes) = json_cost(character);
        chars += more_chars;
        bytes += more_bytes;
        if character == '\n' && at + 1 < text.len() {
            line_start = at + 1;
        }
        if chars > bounds.chars || bytes > bounds.bytes {
            let cut = if line_start < text.len() { line_start } else { at + character.len_utf8() };
            return text.get(cut..).unwrap_or_default();
        }
    }
    text
}

/// This offset, or the one before it if it would split a CRLF.
fn between(text: &str, at: usize) -> usize {
    let parts = text.get(..at).is_some_and(|before| before.ends_with('\r'))
        && text.get(at..).is_some_and(|after| after.starts_with('\n'));
    if parts && at > 1 { at - 1 } else { at }
}

/// The byte range of the section that these words name: by the exact heading, else by the only heading that contains
/// them.
fn section(text: &str, words: &str) -> Result<Range<usize>, String> {
    let words = words.trim().trim_start_matches('#').trim();
    let outline = Outline::of(text);
    let sections: Vec<_> = outline.sections().collect();
    let exact = sections.iter().find(|section| same_title(&section.heading.title, words));
    if let Some(section) = exact {
        return Ok(section.range());
    }
    let lower = words.to_lowercase();
    let holds = |title: &str| !lower.is_empty() && title.to_lowercase().contains(&lower);
    let near: Vec<_> = sections.iter().filter(|section| holds(&section.heading.title)).collect();
    if let [section] = near.as_slice() {
        return Ok(section.range());
    }
    let short = |title: &str| title.chars().take(MAX_HEADING_CHARS).collect::<String>();
    let named = if near.is_empty() { sections.iter().collect() } else { near };
    let list: Vec<String> = named
        .iter()
        .take(MAX_NAMED_HEADINGS)
        .map(|section| format!("`{}` (line {})", short(&section.heading.title), section.heading.line))
        .collect();
    let more = named.len().saturating_sub(MAX_NAMED_HEADINGS);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    Err(if list.is_empty() {
        format!(
            "there is no heading `{}`: the document has none; read it by `fromLine` or `tail`",
            short(words)
        )
    } else {
        format!("no single heading is `{}`; there are {}{more}", short(words), list.join(", "))
    })
}

/// The offsets at which the lines of a text begin. A line end at the end of the text does not begin a line.
pub(crate) struct Lines {
    starts: Vec<usize>,
    length: usize,
}

impl Lines {
    pub(crate) fn of(text: &str) -> Self {
        let mut starts: Vec<usize> = if text.is_empty() { Vec::new() } else { vec![0] };
        starts.extend(text.match_indices('\n').map(|(at, _)| at + 1).filter(|start| *start < text.len()));
        Self { starts, length: text.len() }
    }

    pub(crate) fn count(&self) -> usize {
        self.starts.len()
    }

    /// The offset of the line with this index; for the index after the last line, the end of the text.
    pub(crate) fn start(&self, index: usize) -> usize {
        self.starts.get(index).copied().unwrap_or(self.length)
    }

    /// The index of the line that contains this byte; for the end of the text, the number of lines.
    pub(crate) fn at(&self, byte: usize) -> usize {
        if byte >= self.length {
            return self.count();
        }
        self.starts.partition_point(|start| *start <= byte).saturating_sub(1)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const WIDE: PartBounds = PartBounds { chars: usize::MAX, bytes: usize::MAX };
    const TEXT: &str = "# Title\n\nintro\n\n## Tasks\n- one\n- two\n\n### Deep\nx\n\n## Next Steps\n- go\n";

    fn chars(chars: usize) -> PartBounds {
        PartBounds { chars, ..WIDE }
    }

    fn lines(from: usize, count: Option<usize>) -> Selection<'static> {
        Selection::Lines { from, from_char: 1, count }
    }

    #[test]
    fn lines_are_counted_from_one_and_kept_as_they_are() {
        let text = "a\r\nb\r\nc";
        let got = part(text, lines(2, Some(1)), WIDE).unwrap();
        assert_eq!((got.text, got.from_line, got.lines, got.left), ("b\r\n", 2, 1, None));
        assert_eq!(part(text, lines(2, None), WIDE).unwrap().text, "b\r\nc");
        assert_eq!(part(text, lines(1, Some(0)), WIDE).unwrap().text, "");
        let error = part(text, lines(4, None), WIDE).unwrap_err();
        assert!(error.contains("4") && error.contains("3 lines"), "{error}");
        assert_eq!(part("", lines(1, None), WIDE).unwrap().text, "");
        assert_eq!(DocumentSize::of("a\nö\n"), DocumentSize { lines: 2, chars: 4 });
    }

    #[test]
    fn a_section_comes_with_its_subsections_by_its_heading_in_any_case() {
        let got = part(TEXT, Selection::Heading { title: "## tasks", count: None }, WIDE).unwrap();
        assert_eq!(got.text, "## Tasks\n- one\n- two\n\n### Deep\nx\n\n");
        assert_eq!((got.from_line, got.lines), (5, 7));
        let part_of_title = Selection::Heading { title: "next", count: Some(1) };
        assert_eq!(part(TEXT, part_of_title, WIDE).unwrap().text, "## Next Steps\n");
        let error = part(TEXT, Selection::Heading { title: "gone", count: None }, WIDE).unwrap_err();
        assert!(error.contains("`Tasks` (line 5)") && error.contains("`Deep` (line 9)"), "{error}");
        let unclear =
            part("# a b\n# a c\n", Selection::Heading { title: "a", count: None }, WIDE).unwrap_err();
        assert!(unclear.contains("`a b` (line 1)") && unclear.contains("`a c` (line 2)"), "{unclear}");
    }

    #[test]
    fn the_tail_keeps_the_last_lines_and_names_the_lines_before() {
        let got = part(TEXT, Selection::Tail(2), WIDE).unwrap();
        assert_eq!((got.text, got.from_line, got.lines), ("## Next Steps\n- go\n", 12, 2));
        let got = part("a\nbb\ncc\n", Selection::Tail(3), chars(9)).unwrap();
        assert_eq!((got.text, got.from_line), ("bb\ncc\n", 2));
        assert_eq!(got.left, Some(LeftOut { from_line: 1, from_char: 1, lines: 1 }));
        assert_eq!(part("a\n", Selection::Tail(9), WIDE).unwrap().text, "a\n");
        assert_eq!(part("", Selection::Tail(9), WIDE).unwrap().text, "");
    }

    #[test]
    fn a_line_that_is_too_long_is_cut_between_characters_and_read_on() {
        let text = "äöü€\r\nx\n";
        let first = part(text, lines(1, None), chars(3)).unwrap();
        assert_eq!((first.text, first.lines), ("äöü", 1));
        let left = first.left.unwrap();
        assert_eq!(left, LeftOut { from_line: 1, from_char: 4, lines: 2 });
        let again = Selection::Lines { from: left.from_line, from_char: left.from_char, count: None };
        assert_eq!(part(text, again, WIDE).unwrap().text, "€\r\nx\n");
        assert!(part(text, Selection::Lines { from: 1, from_char: 9, count: None }, WIDE).is_err());
        let crlf = part("ab\r\n", lines(1, None), chars(4)).unwrap();
        assert_eq!(crlf.text, "ab", "the two characters of a line end stay together");
    }

    #[test]
    fn escaped_characters_count_with_their_escapes() {
        for text in ["\"a\"\n", "\u{1}\u{7f}€\\", "\u{8}\u{c}\r\t\u{fc}", "plain"] {
            assert_eq!(json_chars(text) + 2, serde_json::to_string(text).unwrap().chars().count());
            assert_eq!(json_bytes(text) + 2, serde_json::to_string(text).unwrap().len());
        }
        let got = part("\"\"\n\"\"\n", lines(1, None), chars(6)).unwrap();
        assert_eq!(got.text, "\"\"\n");
    }

    proptest! {
        /// With any bound, reading on gives the whole document, byte for byte.
        #[test]
        fn parts_read_one_after_the_other_are_the_document(
            text in "([a-cä€\"]{0,9}(\r\n|\n|\r)?){0,30}",
            most in 4_usize..40,
        ) {
            let mut whole = String::new();
            let (mut from, mut from_char) = (1, 1);
            for _ in 0..1000 {
                let got = part(&text, Selection::Lines { from, from_char, count: None }, chars(most)).unwrap();
                prop_assert!(json_chars(got.text) <= most);
                whole.push_str(got.text);
                match got.left {
                    Some(left) => {
                        prop_assert!((left.from_line, left.from_char) > (from, from_char), "nothing came");
                        (from, from_char) = (left.from_line, left.from_char);
                    }
                    None => break,
                }
            }
            prop_assert_eq!(whole, text);
        }

        #[test]
        fn the_tail_and_the_lines_before_it_are_the_document(
            text in "([a-cä€]{0,9}(\r\n|\n)){0,30}",
            most in 24_usize..60,
            count in 0_usize..40,
        ) {
            let got = part(&text, Selection::Tail(count), chars(most)).unwrap();
            prop_assert!(json_chars(got.text) <= most);
            prop_assert!(text.ends_with(got.text));
            if let Some(left) = got.left {
                let before = Selection::Lines { from: left.from_line, from_char: 1, count: Some(left.lines) };
                let before = part(&text, before, WIDE).unwrap();
                let joined = format!("{}{}", before.text, got.text);
                prop_assert!(text.ends_with(&joined));
                prop_assert_eq!(Lines::of(&joined).count(), count.min(Lines::of(&text).count()));
            }
        }
    }
}
