//! Names of clients, which strangers choose, in a form that can be shown.

use memory_bank_core::unicode::hidden;

/// The longest name that is shown, in characters.
const LONGEST: usize = 80;

/// A name without characters that hide or reorder others; none if nothing is left.
pub(super) fn clean_name(name: &str) -> Option<String> {
    let shown: String = name
        .chars()
        .map(|char| if char.is_control() || hidden(char).is_some() { ' ' } else { char })
        .collect();
    let words: Vec<&str> = shown.split_whitespace().collect();
    let name: String = words.join(" ").chars().take(LONGEST).collect();
    (!name.is_empty()).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_shows_what_it_is() {
        assert_eq!(clean_name(" Claude\n Code ").as_deref(), Some("Claude Code"));
        assert_eq!(clean_name("a\u{202e}b\u{0}c").as_deref(), Some("a b c"));
        assert_eq!(clean_name("\u{200b} \t"), None);
        assert_eq!(clean_name(&"x".repeat(500)).map(|name| name.len()), Some(LONGEST));
    }
}
