//! Texts without a match, with similar existing texts.

use std::collections::HashSet;

use serde::Serialize;

use crate::document::clip;

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
const EXPLAINED: usize = 10;
/// How many existing texts are compared.
const COMPARED: usize = 2000;
const SHOWN: usize = 3;
const SHOWN_CHARS: usize = 200;

impl NotFound {
    /// A text without a match; the first ones of a call get suggestions.
    pub(super) fn of(index: usize, text: &str, there: &[String]) -> Self {
        let near = if index < EXPLAINED { near(text, there) } else { Vec::new() };
        Self { text: clip(text, SHOWN_CHARS), near }
    }
}

/// The most similar of these texts, the most similar first.
pub(super) fn near(text: &str, there: &[String]) -> Vec<String> {
    let wanted = pairs(text);
    let mut found: Vec<(usize, usize, &String)> = there
        .iter()
        .take(COMPARED)
        .enumerate()
        .filter_map(|(index, other)| {
            let pairs = pairs(other);
            let common = wanted.intersection(&pairs).count();
            // The Dice coefficient of letter pairs, in thousandths. A third means a typing mistake or another
            // wording.
            let likeness = (2000 * common).checked_div(wanted.len() + pairs.len())?;
            (likeness >= 333).then_some((likeness, index, other))
        })
        .collect();
    found.sort_by_key(|(likeness, index, _)| (std::cmp::Reverse(*likeness), *index));
    found.into_iter().take(SHOWN).map(|(_, _, other)| clip(other, SHOWN_CHARS)).collect()
}

/// The pairs of adjacent letters at the head of a text, without case and punctuation.
fn pairs(text: &str) -> HashSet<(char, char)> {
    let letters: Vec<char> = text
        .chars()
        .take(SHOWN_CHARS)
        .flat_map(char::to_lowercase)
        .map(|sign| if sign.is_alphanumeric() { sign } else { ' ' })
        .collect();
    letters.iter().copied().zip(letters.iter().copied().skip(1)).filter(|pair| *pair != (' ', ' ')).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_and_another_wording_come_with_what_is_meant_and_a_strange_text_with_nothing() {
        let there = ["Write the parser", "Test the vouchers", "结账流程改造"].map(str::to_owned);
        assert_eq!(near("write teh parser", &there).first().unwrap(), "Write the parser");
        assert_eq!(near("test all vouchers", &there), ["Test the vouchers"]);
        assert_eq!(near("WRITE", &["write".to_owned()]), ["write"]);
        assert_eq!(near("结账流程", &there), ["结账流程改造"]);
        assert!(near("zebra", &there).is_empty());
        assert!(near("", &there).is_empty());
    }
}
