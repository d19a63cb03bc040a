//! Texts without a match, with similar existing texts.

use std::collections::HashSet;

use serde::Serialize;

use crate::compact_sort::CompactSort as _;
use crate::document::clip;
use crate::unicode::is_alphanumeric;

/// A text without a match.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct NotFound {
    /// The text as given, cut if it is long.
    pub text: String,
    /// The most similar existing texts.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub near: Vec<String>,
}

/// How many unmatched texts of a call get suggestions: enough for typing mistakes, too few for probing.
const MAX_EXPLAINED: usize = 10;
/// How many existing texts are compared.
const MAX_COMPARED: usize = 2000;
const MAX_SUGGESTIONS: usize = 3;
const MAX_SUGGESTION_CHARS: usize = 200;

impl NotFound {
    /// A text without a match; the first ones of a call get suggestions.
    pub(super) fn of(index: usize, text: &str, existing: &[String]) -> Self {
        let near = if index < MAX_EXPLAINED { similar_texts(text, existing) } else { Vec::new() };
        Self { text: clip(text, MAX_SUGGESTION_CHARS), near }
    }
}

/// The most similar of these texts, the most similar first.
pub(super) fn similar_texts(text: &str, existing: &[String]) -> Vec<String> {
    let text_pairs = pairs(text);
    let mut found: Vec<(usize, usize, &String)> = existing
        .iter()
        .take(MAX_COMPARED)
        .enumerate()
        .filter_map(|(index, other)| {
            let pairs = pairs(other);
            let common = text_pairs.intersection(&pairs).count();
            // The Dice coefficient of letter pairs, in thousandths. A third means a typing mistake or another
            // wording.
            let similarity = (2000 * common).checked_div(text_pairs.len() + pairs.len())?;
            (similarity >= 333).then_some((similarity, index, other))
        })
        .collect();
    found.compact_sort_by_key(|(similarity, index, _)| (std::cmp::Reverse(*similarity), *index));
    found.into_iter().take(MAX_SUGGESTIONS).map(|(_, _, other)| clip(other, MAX_SUGGESTION_CHARS)).collect()
}

/// The pairs of adjacent letters at the head of a text, without case and punctuation.
fn pairs(text: &str) -> HashSet<(char, char)> {
    let letters: Vec<char> = text
        .chars()
        .take(MAX_SUGGESTION_CHARS)
        .flat_map(char::to_lowercase)
        .map(|character| if is_alphanumeric(character) { character } else { ' ' })
        .collect();
    letters.iter().copied().zip(letters.iter().copied().skip(1)).filter(|pair| *pair != (' ', ' ')).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn similar_texts_are_suggested_and_others_are_not() {
        let existing = ["Write the parser", "Test the vouchers", "结账流程改造"].map(str::to_owned);
        assert_eq!(similar_texts("write teh parser", &existing).first().unwrap(), "Write the parser");
        assert_eq!(similar_texts("test all vouchers", &existing), ["Test the vouchers"]);
        assert_eq!(similar_texts("WRITE", &["write".to_owned()]), ["write"]);
        assert_eq!(similar_texts("结账流程", &existing), ["结账流程改造"]);
        assert!(similar_texts("zebra", &existing).is_empty());
        assert!(similar_texts("", &existing).is_empty());
    }
}
