//! Notes of a session: what kind a note is, and its text without its author.

use super::line_state::is_resolved;
use crate::document::entry::bracketed;
use crate::document::roles::Role;

/// The role of a session note.
pub(super) fn note_role(source: &str, text: &str) -> Option<Role> {
    let lower = text.to_lowercase();
    let begins = |marks: &[&str]| {
        // Most notes have none of the words.
        marks.iter().filter(|mark| lower.contains(**mark)).any(|mark| {
            lower.contains(&format!("[{mark}]"))
                || lower.contains(&format!("({mark})"))
                || lower.starts_with(&format!("{mark}:"))
                || lower.contains(&format!("] {mark}:"))
        })
    };
    // The kind follows the author, whose name may be long.
    let kind = after_brackets(text);
    let has = |signs: &[char]| kind.chars().take(40).any(|character| signs.contains(&character));
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
