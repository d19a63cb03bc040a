//! How Markdown is parsed: the dialect, and the front matter, which is not Markdown.

use pulldown_cmark::Options;

/// The dialect that clients render. Tables are enabled, so that the row of dashes below a table's head is not the
/// underline of a heading.
pub(super) fn dialect() -> Options {
    Options::ENABLE_TABLES
}

/// The length of a byte order mark and of a YAML block at the head, whose closing `---` would underline a heading.
pub(crate) fn front_matter(text: &str) -> usize {
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
