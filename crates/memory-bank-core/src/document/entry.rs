//! The form of an entry, for all tools: time, author, kind, text.
//!
//! `- [2026-11-22 09:30:07 UTC] [alice] - Did: thing`. `docs/documents.md` describes it for people who read or write
//! the files by hand. This module must not know documents.

use jiff::Timestamp;

use crate::clock::date_time;
use crate::unicode::is_alphanumeric;

/// An entry without its bullet or heading signs. The text must be a single line.
pub(super) fn entry(at: Timestamp, author: &str, kind: &str, text: &str) -> String {
    format!("[{}] [{author}] - {kind}: {text}", date_time(at))
}

/// An entry's text, without time, author and kind; text in another form is returned unchanged. Also parses the form
/// of earlier versions: `[Nov 22, 2026, 9:30 AM] 🚧 text`, `[09:30:07] [alice] Did: thing`.
pub(super) fn text_of<'t>(line: &'t str, kinds: &[&str]) -> &'t str {
    let mut rest = line.trim();
    if let Some((stamp, after)) = bracketed(rest).filter(|(stamp, _)| is_time(stamp)) {
        rest = after.trim_start();
        // An author never follows a time of the twelve-hour clock.
        if !stamp.ends_with('M')
            && let Some((_, after)) = bracketed(rest)
        {
            rest = after.trim_start();
        }
    }
    rest = rest.strip_prefix("- ").unwrap_or(rest).trim_start();
    for kind in kinds {
        let Some(after) = rest.strip_prefix(kind) else { continue };
        match after.strip_prefix(':') {
            Some(text) => return text.trim(),
            // The sign alone: in earlier versions, kinds had no word.
            None if !kind.ends_with(is_alphanumeric) => return after.trim(),
            None => {}
        }
    }
    rest
}

fn is_time(stamp: &str) -> bool {
    stamp.contains(':') && stamp.contains(|character: char| character.is_ascii_digit())
}

/// The text in the brackets at the head of a text, which may contain a link with brackets of its own, and the rest.
pub(super) fn bracketed(text: &str) -> Option<(&str, &str)> {
    let inner = text.strip_prefix('[')?;
    let mut depth = 1_usize;
    for (at, character) in inner.char_indices() {
        match character {
            '[' => depth += 1,
            ']' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return Some((inner.get(..at)?, inner.get(at + 1..)?));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[test]
    fn an_entry_has_its_time_with_the_mark_of_utc_then_author_kind_and_text() {
        let at: Timestamp = "2026-11-22T18:30:07.062+09:00".parse().unwrap();
        assert_eq!(entry(at, "alice", "Did", "thing"), "[2026-11-22 09:30:07 UTC] [alice] - Did: thing");
    }

    #[rstest]
    #[case("[2026-11-22 09:30:07 UTC] [alice] - 🚧 Blocker: CI: down", "CI: down")]
    #[case("[2026-11-22 09:30:07 UTC] [[@a](https://github.com/a)] - 🚧 Blocker: x [y]", "x [y]")]
    #[case("[Nov 22, 2026, 9:30 AM] 🚧 [JIRA-1] is down", "[JIRA-1] is down")]
    #[case("[09:30:07] [alice] 🚧 x", "x")]
    #[case("[9:30 AM] [JIRA-1] x", "[JIRA-1] x")]
    #[case("plain words", "plain words")]
    #[case("[JIRA] plain words", "[JIRA] plain words")]
    fn the_text_of_an_entry_is_found_in_every_form(#[case] line: &str, #[case] text: &str) {
        assert_eq!(text_of(line, &["🚧 Blocker", "🚧"]), text);
    }
}
