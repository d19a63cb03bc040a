//! Notes of a session: what kind a note is, and its text without its author.

use super::line_state::is_resolved;
use crate::document::entry::bracketed;
use crate::document::roles::Role;

/// The role of a session note.
pub(super) fn note_role(source: &str, text: &str) -> Option<Role> {
    let begins = |marks: &[&str]| marks.iter().any(|mark| names_kind(text, mark));
    // The kind follows the author, whose name may be long.
    let kind = after_brackets(text);
    let has = |signs: &[char]| {
        !kind.is_ascii() && kind.chars().take(40).any(|character| signs.contains(&character))
    };
    if is_resolved(source) {
        return None;
    }
    if has(&['🚧', '⛔', '🛑', '🐛', '🐞', '⚠']) || begins(&["blocker", "issue", "bug"]) {
        Some(Role::Issue)
    } else if has(&['❓']) || begins(&["question"]) {
        Some(Role::Question)
    } else if has(&['📋']) || begins(&["todo"]) {
        Some(Role::Task)
    } else {
        Some(Role::Note)
    }
}

/// Whether a note names its kind: `[mark]`, `(mark)`, or `mark:` at its head or behind a bracket, in any case.
fn names_kind(text: &str, mark: &str) -> bool {
    let bytes = text.as_bytes();
    let follows = |at: usize, end: u8| {
        let after = at + mark.len();
        bytes.get(after) == Some(&end)
            && bytes.get(at..after).is_some_and(|word| word.eq_ignore_ascii_case(mark.as_bytes()))
    };
    let is_behind = |at: usize| match bytes.get(at) {
        Some(b'[') => follows(at + 1, b']'),
        Some(b'(') => follows(at + 1, b')'),
        _ => bytes.get(at + 1) == Some(&b' ') && follows(at + 2, b':'),
    };
    follows(0, b':') || memchr::memchr3_iter(b'[', b'(', b']', bytes).any(is_behind)
}

/// A note without its author and the sign of its kind.
pub(super) fn without_author(text: &str) -> String {
    let signs = ['🚧', '⚠', '❓', '📋', '👀', '✅', '📝', '🧠', '⛔', '🐛', '\u{fe0f}', ' '];
    let rest = after_brackets(text).trim_start_matches(signs);
    if rest.is_empty() { text.to_owned() } else { rest.to_owned() }
}

/// The text after the brackets at its head, such as an author or a tag.
fn after_brackets(text: &str) -> &str {
    let mut rest = text.trim();
    while let Some((_, behind)) = bracketed(rest) {
        rest = behind.trim_start_matches([' ', '-', ':']);
    }
    rest
}
