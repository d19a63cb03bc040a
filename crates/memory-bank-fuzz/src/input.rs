//! The bytes of an input as texts.

/// Separates the texts of an input.
const SEPARATOR: char = '\u{1e}';

/// The texts of an input: what [`SEPARATOR`] parts, at most `most`; bytes that are no UTF-8 are replaced.
pub(crate) fn texts(data: &[u8], most: usize) -> Vec<String> {
    String::from_utf8_lossy(data).split(SEPARATOR).take(most).map(str::to_owned).collect()
}

/// The lines with a visible character, trimmed.
pub(crate) fn visible_lines(text: &str) -> impl Iterator<Item = &str> {
    // A carriage return alone ends a line, too.
    text.split(['\n', '\r']).map(str::trim).filter(|line| !line.is_empty())
}

/// The text with a line feed for each carriage return without one.
pub(crate) fn lone_as_feeds(text: &str) -> String {
    text.split("\r\n").map(|part| part.replace('\r', "\n")).collect::<Vec<_>>().join("\r\n")
}

/// The first of `wanted` that does not come in `found` after those before it.
pub(crate) fn missing<'t>(
    wanted: impl Iterator<Item = &'t str>,
    mut found: impl Iterator<Item = &'t str>,
) -> Option<&'t str> {
    let mut wanted = wanted;
    wanted.find(|line| !found.any(|other| other == *line))
}
