//! Where the lines of a text begin and end. As in Markdown, a line feed, a carriage return, or both together end a line.

use std::ops::Range;

/// The offset at which the line of `at` begins.
pub(super) fn line_start(text: &str, at: usize) -> usize {
    let before = text.as_bytes().get(..at).unwrap_or_default();
    memchr::memrchr2_iter(b'\n', b'\r', before)
        .map(|end| end + 1)
        .find(|start| ends_line(text, *start))
        .unwrap_or(0)
}

/// The offset just after the line ending of the line that contains the byte before `at`.
pub(super) fn line_end(text: &str, at: usize) -> usize {
    if at > 0 && ends_line(text, at) {
        return at;
    }
    let after = text.as_bytes().get(at..).unwrap_or_default();
    let ends = memchr::memchr2_iter(b'\n', b'\r', after).map(|end| at + end + 1);
    ends.into_iter().find(|end| ends_line(text, *end)).unwrap_or(text.len())
}

/// Whether a line ends with the byte before `at`. The carriage return of both is not the end yet.
fn ends_line(text: &str, at: usize) -> bool {
    let byte = |at: usize| text.as_bytes().get(at);
    match at.checked_sub(1).and_then(byte) {
        Some(b'\n') => true,
        Some(b'\r') => byte(at) != Some(&b'\n'),
        _ => false,
    }
}

/// The lines of a text, each with its line ending.
pub(super) fn lines_with_endings(text: &str) -> impl Iterator<Item = &str> {
    let mut at = 0;
    std::iter::from_fn(move || {
        let end = line_end(text, at + 1).max(at);
        let line = text.get(at..end).filter(|line| !line.is_empty())?;
        at = end;
        Some(line)
    })
}

/// The number of line feeds in this range.
pub(super) fn count_lines(text: &str, range: Range<usize>) -> usize {
    text.get(range).unwrap_or_default().matches('\n').count()
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("", &[])]
    #[case("one", &["one"])]
    #[case("one\ntwo\n", &["one\n", "two\n"])]
    #[case("one\r\ntwo\r\n\r\n", &["one\r\n", "two\r\n", "\r\n"])]
    #[case("one\rtwo\r\rthree", &["one\r", "two\r", "\r", "three"])]
    #[case("один\r\n\rдва\n\rтри\r", &["один\r\n", "\r", "два\n", "\r", "три\r"])]
    fn each_line_ending_of_markdown_ends_a_line(#[case] text: &str, #[case] lines: &[&str]) {
        assert_eq!(lines_with_endings(text).collect::<Vec<_>>(), lines);
        let mut start = 0;
        for line in lines {
            let end = start + line.len();
            for at in start..end {
                assert_eq!(line_start(text, at), start, "{at}");
                assert_eq!(line_end(text, at + 1), end, "{at}");
            }
            start = end;
        }
    }
}
