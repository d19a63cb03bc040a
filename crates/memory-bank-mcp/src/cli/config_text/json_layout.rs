//! The layout of a JSON file: line ends, indentation, and values in this layout.

use serde_json::Value;

/// The layout of a text.
#[derive(Debug, Clone)]
pub(super) struct Layout {
    pub(super) newline: &'static str,
    /// One level of indentation.
    pub(super) unit: String,
}

impl Layout {
    /// The layout of `text`, with the indentation of its first member, or two spaces.
    pub(super) fn of(text: &str, first_member: Option<usize>) -> Self {
        let newline = match text.find('\n') {
            Some(at) if text.get(..at).is_some_and(|line| line.ends_with('\r')) => "\r\n",
            _ => "\n",
        };
        let unit = first_member
            .and_then(|at| indentation(text, at))
            .filter(|unit| !unit.is_empty())
            .unwrap_or("  ")
            .to_owned();
        Self { newline, unit }
    }

    /// The value over several lines; all but the first begin with `indent`.
    pub(super) fn lines(&self, value: &Value, indent: &str) -> String {
        let deeper = format!("{indent}{}", self.unit);
        let block = |open: char, items: Vec<String>, close: char| {
            let separator = format!(",{}{deeper}", self.newline);
            let items = items.join(&separator);
            format!("{open}{}{deeper}{items}{}{indent}{close}", self.newline, self.newline)
        };
        match value {
            Value::Object(members) if !members.is_empty() => {
                let members = members
                    .iter()
                    .map(|(name, value)| format!("{}: {}", text(name), self.lines(value, &deeper)))
                    .collect();
                block('{', members, '}')
            }
            Value::Array(items) if items.iter().any(|item| item.is_object() || item.is_array()) => {
                block('[', items.iter().map(|item| self.lines(item, &deeper)).collect(), ']')
            }
            other => one_line(other),
        }
    }
}

/// The value on one line.
pub(super) fn one_line(value: &Value) -> String {
    match value {
        Value::Object(members) if !members.is_empty() => {
            let members: Vec<_> =
                members.iter().map(|(name, value)| format!("{}: {}", text(name), one_line(value))).collect();
            format!("{{ {} }}", members.join(", "))
        }
        Value::Array(items) => format!("[{}]", items.iter().map(one_line).collect::<Vec<_>>().join(", ")),
        other => other.to_string(),
    }
}

/// A text as JSON.
pub(super) fn text(text: &str) -> String {
    Value::String(text.to_owned()).to_string()
}

/// The blanks before `at` on its line, if only blanks precede it.
pub(super) fn indentation(text: &str, at: usize) -> Option<&str> {
    let line = line_start(text, at);
    let before = text.get(line..at)?;
    before.chars().all(|character| matches!(character, ' ' | '\t')).then_some(before)
}

/// The blanks at the beginning of the line that contains `at`.
pub(super) fn line_indentation(text: &str, at: usize) -> &str {
    let line = text.get(line_start(text, at)..).unwrap_or_default();
    let blanks = line.len() - line.trim_start_matches([' ', '\t']).len();
    line.get(..blanks).unwrap_or_default()
}

/// The beginning of the line that contains `at`.
pub(super) fn line_start(text: &str, at: usize) -> usize {
    text.get(..at).and_then(|before| before.rfind('\n')).map_or(0, |newline| newline + 1)
}

/// A piece of a gap between two tokens.
enum Piece {
    Break,
    Comment,
    Blank,
}

/// The pieces of a gap with their ends.
fn pieces(text: &str, from: usize, to: usize) -> impl Iterator<Item = (Piece, usize)> {
    let mut at = from;
    std::iter::from_fn(move || {
        let rest = text.get(at..to).filter(|rest| !rest.is_empty())?;
        let (piece, length) = if rest.starts_with("\r\n") {
            (Piece::Break, 2)
        } else if rest.starts_with('\n') {
            (Piece::Break, 1)
        } else if rest.starts_with("//") {
            let line = rest.find('\n').map_or(rest, |end| rest.get(..end).unwrap_or(rest));
            // The line end is not part of the comment.
            (Piece::Comment, line.strip_suffix('\r').unwrap_or(line).len())
        } else if rest.starts_with("/*") {
            (Piece::Comment, rest.find("*/").map_or(rest.len(), |end| end + 2))
        } else {
            (Piece::Blank, rest.chars().next().map_or(1, char::len_utf8))
        };
        at += length;
        Some((piece, at))
    })
}

/// Whether a gap has a line break outside of comments, and the end of the last comment before it.
pub(super) fn first_break(text: &str, from: usize, to: usize) -> (bool, usize) {
    let mut end = from;
    for (piece, at) in pieces(text, from, to) {
        match piece {
            Piece::Break => return (true, end),
            Piece::Comment => end = at,
            Piece::Blank => {}
        }
    }
    (false, end)
}

/// The end of the last comment of a gap.
pub(super) fn comments_end(text: &str, from: usize, to: usize) -> usize {
    let comments = pieces(text, from, to).filter(|(piece, _)| matches!(piece, Piece::Comment));
    comments.last().map_or(from, |(_, end)| end)
}
