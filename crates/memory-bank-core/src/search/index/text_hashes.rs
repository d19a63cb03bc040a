//! Hashes of the texts of units, by which similar units are found, and the language of a unit.

use crate::search::language::{Language, LanguageCounts};
use crate::search::unit::Unit;
use crate::search::words::TermKind;
use crate::unicode::is_alphanumeric;

/// Two hashes of a unit's text: without dates and ids, and without any numbers.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct TextHashes {
    pub(super) words: u32,
    pub(super) pattern: u32,
}

impl TextHashes {
    pub(super) fn take(&mut self, term: &str, kind: TermKind) {
        let has_digits = term.bytes().any(|byte| byte.is_ascii_digit());
        let is_id = has_digits && term.len() >= 7 && term.bytes().any(|byte| byte.is_ascii_lowercase());
        if kind == TermKind::Date || is_id {
            return;
        }
        self.words = mixed(self.words, term);
        if !has_digits {
            self.pattern = mixed(self.pattern, term);
        }
    }
}

/// FNV-1a, word by word.
fn mixed(sum: u32, term: &str) -> u32 {
    let step = |sum: u32, byte: u8| (sum ^ u32::from(byte)).wrapping_mul(0x0100_0193);
    step(term.bytes().fold(sum ^ 0x811c_9dc5, step), 0).max(1)
}

/// The language of each unit: by its own words, else by those of the whole document. Observations are indexed one by
/// one, so only their own words count.
pub(super) fn languages_of(units: &[Unit]) -> Vec<Language> {
    let mut whole = LanguageCounts::default();
    let counts: Vec<LanguageCounts> = units
        .iter()
        .map(|unit| {
            let mut counts = LanguageCounts::default();
            for word in
                unit.text.split(|c: char| !(is_alphanumeric(c) || c == '\'')).filter(|word| !word.is_empty())
            {
                if word.is_ascii() && word.bytes().all(|byte| byte.is_ascii_lowercase()) {
                    counts.count(word);
                } else {
                    counts.count(&word.to_lowercase());
                }
            }
            if !unit.kind.is_in_graph() {
                whole.add(&counts);
            }
            counts
        })
        .collect();
    let otherwise = whole.language(Language::English);
    counts.into_iter().map(|counts| counts.language(otherwise)).collect()
}
