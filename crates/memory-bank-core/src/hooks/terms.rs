//! The words of a prompt that name its subject, and the fingerprint of a text.

use std::collections::BTreeSet;

use sha2::{Digest, Sha256};

use crate::search::{Language, Query, TermKind, is_function_word};
use crate::secrets::{MASK, masked};
use crate::unicode::is_alphabetic;

/// How much of a prompt is read, in bytes. The question is at the beginning; the rest is often pasted.
const PROMPT_BYTES: usize = 2000;
/// The most words that are searched.
const MAX_WORDS: usize = 24;
/// The shortest word that counts, in letters of a script with blanks.
const MIN_WORD_CHARS: usize = 3;
/// How many words of a text are compared.
const COMPARED_WORDS: usize = 20;
/// Words of prompts that do not name a subject, beside the function words.
const COMMON_WORDS: &[&str] = &[
    "add",
    "again",
    "all",
    "also",
    "change",
    "check",
    "code",
    "continue",
    "create",
    "everything",
    "file",
    "files",
    "find",
    "fix",
    "function",
    "get",
    "give",
    "go",
    "good",
    "great",
    "help",
    "implement",
    "just",
    "let",
    "like",
    "look",
    "make",
    "need",
    "new",
    "next",
    "now",
    "okay",
    "old",
    "please",
    "project",
    "read",
    "remove",
    "run",
    "see",
    "set",
    "show",
    "start",
    "step",
    "take",
    "test",
    "tests",
    "thank",
    "thanks",
    "thing",
    "things",
    "think",
    "try",
    "update",
    "use",
    "using",
    "want",
    "way",
    "well",
    "work",
    "write",
    "yes",
    "bitte",
    "mach",
    "mache",
    "datei",
    "danke",
    "ajoute",
    "fichier",
    "merci",
    "archivo",
    "por",
    "favor",
    "gracias",
];

/// The words of a prompt, in the forms in which they are searched.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PromptTerms {
    words: Vec<String>,
}

impl PromptTerms {
    /// The words of a prompt; none if it has nothing to search for.
    #[must_use]
    pub fn of(prompt: &str) -> Self {
        let prompt = without_blocks(prompt);
        // A server gets these words.
        let head = masked(whole_words(&prompt, PROMPT_BYTES))
            .replace(MASK, " ")
            .replace(['"', '“', '”', '„', '«', '»', '-'], " ");
        let Ok(query) = Query::parse(&head) else { return Self::default() };
        let mut words: Vec<String> = Vec::new();
        for word in query.words() {
            let form = word.form.as_str();
            let is_plain = form.chars().all(|character| character.is_ascii_digit());
            let short = form.is_ascii() && form.len() < MIN_WORD_CHARS;
            if is_plain || short || matches!(word.kind, TermKind::Date) || is_common(form) {
                continue;
            }
            let root = root(form);
            if !words.contains(&root) {
                words.push(root);
            }
        }
        words.truncate(MAX_WORDS);
        Self { words }
    }

    /// The searched forms: lower case, and beginnings of words.
    #[must_use]
    pub fn words(&self) -> &[String] {
        &self.words
    }

    /// Whether there is nothing to search.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.words.is_empty()
    }
}

fn is_common(form: &str) -> bool {
    COMMON_WORDS.contains(&form) || is_function_word(form, Language::English)
}

/// The part of a word that its inflected forms share.
fn root(word: &str) -> String {
    let Some(stem) = Language::English.stem(word) else { return word.to_owned() };
    let shared: String =
        word.chars().zip(stem.chars()).take_while(|(a, b)| a == b).map(|(character, _)| character).collect();
    if shared.chars().count() < MIN_WORD_CHARS { word.to_owned() } else { shared }
}

/// The prompt without fenced blocks, which are pasted.
fn without_blocks(prompt: &str) -> String {
    head(prompt, 16 * PROMPT_BYTES).split("```").step_by(2).collect::<Vec<_>>().join(" ")
}

/// The beginning of a text without the word that is cut there: a part of a secret is not recognised as one.
fn whole_words(text: &str, bytes: usize) -> &str {
    let beginning = head(text, bytes);
    if beginning.len() == text.len() {
        return beginning;
    }
    beginning.trim_end_matches(|character: char| character.is_ascii_graphic())
}

/// The beginning of a text, of at most `bytes` bytes.
fn head(text: &str, bytes: usize) -> &str {
    text.get(..text.floor_char_boundary(bytes)).unwrap_or(text)
}

/// A fingerprint of a text: the same number for texts that differ only in signs, case, bullets and dates. Only its first words count,
/// since the other text may have been cut behind them.
#[must_use]
pub fn fingerprint(text: &str) -> u64 {
    let mut words: BTreeSet<String> = BTreeSet::new();
    let mut count = 0;
    crate::search::each_word(text, |word| {
        if word != "utc" && word.chars().any(is_alphabetic) && count < COMPARED_WORDS {
            count += 1;
            words.insert(word.to_owned());
        }
    });
    let joined = words.into_iter().collect::<Vec<_>>().join(" ");
    let hash = Sha256::digest(joined.as_bytes());
    hash.iter().take(8).fold(0, |number, byte| (number << 8) | u64::from(*byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prompt_is_searched_by_what_it_is_about() {
        assert!(PromptTerms::of("ok, please continue").is_empty());
        assert!(PromptTerms::of("").is_empty());
        let terms = PromptTerms::of(
            "Why do the migrations of the billing service fail? ```\nstack trace of kubernetes\n```",
        );
        let words = terms.words();
        assert!(words.iter().any(|word| word.starts_with("migrat")), "{words:?}");
        assert!(words.iter().any(|word| word.starts_with("bill")), "{words:?}");
        assert!(!words.iter().any(|word| word.starts_with("kube")), "{words:?}");
    }

    #[test]
    fn no_word_of_a_secret_is_searched() {
        let token = ["ghp", "_16C7e42F292c6912E7710c838347Ae178B4a"].concat();
        for (prompt, secret) in [
            ("connect postgres://app:swordfish@db/shop to the ledger".to_owned(), "swordfish"),
            ("the password is swordfish for the ledger".to_owned(), "swordfish"),
            ("PASSWORD='swordfish' ledger".to_owned(), "swordfish"),
            (format!("ledger with {token}"), "16c7"),
            (format!("ledger {}{token}", "x ".repeat((PROMPT_BYTES - 20) / 2)), "ghp"),
        ] {
            let words = PromptTerms::of(&prompt).words().join(" ");
            assert!(words.contains("ledger") && !words.contains(secret), "{prompt} -> {words}");
            assert!(!words.contains("mask"), "{words}");
        }
    }

    #[test]
    fn a_long_prompt_is_cut() {
        let prompt: String = (0..100_000).map(|number| format!("word{number} ")).collect();
        assert!(PromptTerms::of(&prompt).words().len() <= MAX_WORDS);
        assert!(PromptTerms::of(&"é".repeat(100_000)).words().len() <= MAX_WORDS);
    }

    #[test]
    fn a_fingerprint_ignores_dates_and_signs() {
        let first = fingerprint("- [2026-01-02 10:00 UTC] **Did**: the export works");
        assert_eq!(first, fingerprint("* 2026-03-04: did the export works."));
        assert_ne!(first, fingerprint("the import works"));
        let long: String = (0..60).map(|number| format!("word{number}ab ")).collect();
        assert_eq!(fingerprint(&long), fingerprint(&format!("{}…", head(&long, 240))), "a text that was cut");
    }
}
