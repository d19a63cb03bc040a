//! A document as lines, for plain-text search and for showing hits.

use memchr::memmem::Finder;

use super::query::fold;
use crate::limits;

/// Marks omitted text.
const ELLIPSIS: char = '…';

/// A text with its lines, and the same lines in lower case.
#[derive(Debug, Clone)]
pub struct Lines {
    text: Text,
    folded: Text,
}

#[derive(Debug, Clone)]
struct Text {
    text: String,
    /// Where each line begins, in bytes.
    starts: Vec<usize>,
}

impl Lines {
    /// Splits at LF; a carriage return stays with its line.
    #[must_use]
    pub fn of(text: &str) -> Self {
        // Fold line by line, since a character may have more bytes in lower case.
        let folded = text.split('\n').map(fold).collect::<Vec<_>>().join("\n");
        Self { text: Text::of(text.to_owned()), folded: Text::of(folded) }
    }

    /// The whole text.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text.text
    }

    /// The line with this number, from 1; empty if it does not exist.
    #[must_use]
    pub fn get(&self, line: usize) -> &str {
        self.text.line(line)
    }

    /// How many bytes of memory this takes.
    pub(super) fn bytes(&self) -> usize {
        let of = |text: &Text| text.text.capacity() + text.starts.capacity() * size_of::<usize>();
        of(&self.text) + of(&self.folded)
    }

    /// The number of lines.
    #[must_use]
    pub fn count(&self) -> usize {
        self.text.starts.len()
    }

    /// The numbers of the lines that contain the text, in order; `folded` compares with the lower-case lines.
    #[must_use]
    pub fn containing(&self, needle: &str, folded: bool) -> Vec<usize> {
        let text = if folded { &self.folded } else { &self.text };
        let mut lines: Vec<usize> = Vec::new();
        for at in Finder::new(needle).find_iter(text.text.as_bytes()) {
            let line = text.starts.partition_point(|start| *start <= at);
            if lines.last() != Some(&line) {
                lines.push(line);
            }
        }
        lines
    }

    /// The line and its neighbours, untrimmed, each cut to [`limits::RESULT_LINE_CHARS`]; the line itself around `hit`,
    /// a position in characters.
    #[must_use]
    pub fn context(&self, line: usize, hit: usize) -> String {
        let first = line.saturating_sub(1).max(1);
        let last = (line + 1).min(self.count());
        (first..=last)
            .map(|at| clip(self.get(at), if at == line { hit } else { 0 }, limits::RESULT_LINE_CHARS))
            .collect::<Vec<_>>()
            .join("\n")
    }
}

impl Text {
    fn of(text: String) -> Self {
        let starts = std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect();
        Self { text, starts }
    }

    fn line(&self, line: usize) -> &str {
        let start = line.checked_sub(1).and_then(|at| self.starts.get(at)).copied();
        let end = self.starts.get(line).map_or(self.text.len(), |next| next - 1);
        start.and_then(|start| self.text.get(start..end)).unwrap_or_default()
    }
}

/// At most `room` characters of the text, around the character at `hit`; omissions are shown as `…`.
#[must_use]
pub fn clip(text: &str, hit: usize, room: usize) -> String {
    let length = text.chars().count();
    if length <= room {
        return text.to_owned();
    }
    let start = hit.saturating_sub(room / 4).min(length - room);
    let (cut_before, cut_after) = (start > 0, start + room < length);
    let skip = start + usize::from(cut_before);
    let keep = room.saturating_sub(usize::from(cut_before) + usize::from(cut_after));
    let middle = text.chars().skip(skip).take(keep);
    let before = cut_before.then_some(ELLIPSIS);
    let after = cut_after.then_some(ELLIPSIS);
    before.into_iter().chain(middle).chain(after).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_context_is_the_line_with_its_neighbours() {
        let lines = Lines::of("one\r\n  two\nthree\n");
        assert_eq!(lines.context(1, 0), "one\r\n  two");
        assert_eq!(lines.context(2, 0), "one\r\n  two\nthree");
        assert_eq!(lines.containing("t", true), [2, 3]);
    }

    #[test]
    fn lines_match_even_if_lower_case_is_longer() {
        let lines = Lines::of("İİİİ\nneedle");
        assert_eq!(lines.containing("needle", true), [2]);
    }

    proptest! {
        #[test]
        fn a_clipped_line_is_short_and_shows_the_hit(text in "[a-zé日]{0,60}", hit in 0_usize..60, room in 8_usize..40) {
            let clipped = clip(&text, hit, room);
            prop_assert!(clipped.chars().count() <= room);
            if text.chars().count() <= room {
                prop_assert_eq!(clipped, text);
            } else {
                let inner = clipped.trim_matches(ELLIPSIS).to_owned();
                prop_assert!(text.contains(&inner));
                if let Some(at) = text.chars().nth(hit) {
                    prop_assert!(inner.contains(at));
                }
            }
        }
    }
}
