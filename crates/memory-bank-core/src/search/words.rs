//! Words: how a text is cut into the terms that are counted. Documents, the graph and queries are cut alike.

use std::borrow::Cow;
use std::collections::HashSet;
use std::sync::LazyLock;

use rust_stemmers::{Algorithm, Stemmer};
use unicode_segmentation::UnicodeSegmentation;

/// Compound names longer than this, in bytes, are counted by their parts alone.
const LONGEST_COMPOUND: usize = 64;
/// Words longer than this, in bytes, are noise (encoded data) and are counted by their beginning alone.
const LONGEST_WORD: usize = 64;

/// Calls `word` for each word of the text, in lower case and in order.
///
/// Words follow the Unicode rules. An identifier or a path (`parseConfig`, `user_id`, `src/auth/token.rs`, `read-only`)
/// counts as a whole, as the names it consists of, and as its parts.
pub fn each_word(text: &str, mut word: impl FnMut(&str)) {
    for run in text.split(|c: char| !(is_word(c) || is_joint(c))) {
        let run = run.trim_matches(is_joint);
        if run.is_empty() {
            continue;
        }
        let names =
            run.split(is_separator).map(|name| name.trim_matches(is_joint)).filter(|name| !name.is_empty());
        let whole = names.clone().nth(1).is_some();
        if whole && run.len() <= LONGEST_COMPOUND {
            word(&run.to_lowercase());
        }
        for name in names {
            each_word_of_name(name, &mut word);
        }
    }
}

/// The stem of a word in lower case by the English Snowball rules, if it is another one than the word itself.
#[must_use]
pub fn stem(word: &str) -> Option<String> {
    static ENGLISH: LazyLock<Stemmer> = LazyLock::new(|| Stemmer::create(Algorithm::English));
    if !word.bytes().all(|byte| byte.is_ascii_alphabetic() || byte == b'\'') {
        return None;
    }
    match ENGLISH.stem(word) {
        Cow::Borrowed(stem) if stem == word => None,
        stem if stem.is_empty() || stem == word => None,
        stem => Some(stem.into_owned()),
    }
}

/// Whether the word only holds a sentence together, so that a question does not ask for it.
#[must_use]
pub fn is_function_word(word: &str) -> bool {
    static WORDS: LazyLock<HashSet<&str>> = LazyLock::new(|| FUNCTION_WORDS.split_whitespace().collect());
    WORDS.contains(word)
}

const FUNCTION_WORDS: &str = "a about above after again against all am an and any are aren't as at be because been \
    before being below between both but by can can't cannot could couldn't did didn't do does doesn't doing don't down \
    during each few for from further had hadn't has hasn't have haven't having he her here hers herself him himself his \
    how how's i i'd i'll i'm i've if in into is isn't it it's its itself let's me more most my myself no nor not of off \
    on once only or other ought our ours ourselves out over own same shall she should shouldn't so some such than that \
    that's the their theirs them themselves then there there's these they they're this those through to too under until \
    up us very was wasn't we we're we've were weren't what what's when where which while who who's whom why why's will \
    with won't would wouldn't you you're your yours yourself";

fn each_word_of_name(name: &str, word: &mut impl FnMut(&str)) {
    let mut parts = Vec::new();
    let mut words = 0;
    for piece in name.split(['_', '-']) {
        for unicode in piece.unicode_words() {
            words += 1;
            split_case(unicode, &mut parts);
        }
    }
    // A text in a script without blanks has many words too, but is no name.
    let is_compound = parts.len() > 1 && (name.contains(['_', '-']) || parts.len() > words);
    if is_compound && name.len() <= LONGEST_COMPOUND {
        word(&name.to_lowercase().replace('’', "'"));
    }
    for part in parts {
        let end = part
            .char_indices()
            .map(|(at, c)| at + c.len_utf8())
            .take_while(|end| *end <= LONGEST_WORD)
            .last();
        if let Some(part) = end.and_then(|end| part.get(..end)) {
            word(&part.to_lowercase().replace('’', "'"));
        }
    }
}

/// Cuts `parseHTMLFile` into `parse`, `HTML` and `File`. A lone `'s` goes with its word, a digit with what it follows.
fn split_case<'a>(word: &'a str, parts: &mut Vec<&'a str>) {
    let mut start = 0;
    let mut letters = word.char_indices().peekable();
    let mut previous: Option<char> = None;
    while let Some((at, letter)) = letters.next() {
        let next_is_lower = letters.peek().is_some_and(|(_, next)| next.is_lowercase());
        let begins = previous.is_some_and(|p| {
            letter.is_uppercase()
                && (p.is_lowercase() || p.is_numeric() || (p.is_uppercase() && next_is_lower))
        });
        if begins && at > start {
            parts.extend(word.get(start..at));
            start = at;
        }
        previous = Some(letter);
    }
    parts.extend(word.get(start..).filter(|rest| !rest.is_empty()));
}

/// Characters outside ASCII that are no blank are left to the Unicode rules, which know marks and scripts without blanks.
fn is_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || (!c.is_ascii() && !c.is_whitespace())
}

fn is_joint(c: char) -> bool {
    is_separator(c) || matches!(c, '_' | '-' | '\'' | '’')
}

fn is_separator(c: char) -> bool {
    matches!(c, '.' | '/' | ':' | '@' | '\\')
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn words(text: &str) -> Vec<String> {
        let mut words = Vec::new();
        each_word(text, |word| words.push(word.to_owned()));
        words
    }

    #[rstest]
    #[case("The quick, brown fox.", &["the", "quick", "brown", "fox"])]
    #[case("parseHTMLFile", &["parsehtmlfile", "parse", "html", "file"])]
    #[case("user_id", &["user_id", "user", "id"])]
    #[case("read-only mode", &["read-only", "read", "only", "mode"])]
    #[case("src/auth/userToken.rs", &["src/auth/usertoken.rs", "src", "auth", "usertoken", "user", "token", "rs"])]
    #[case("`Caller::may()`", &["caller::may", "caller", "may"])]
    #[case("sha256 and größeWert", &["sha256", "and", "größewert", "größe", "wert"])]
    #[case("don't stop", &["don't", "stop"])]
    #[case("Größe — ΣΑΣ", &["größe", "σας"])]
    #[case("日本", &["日", "本"])]
    #[case("**bold** [x] ---", &["bold", "x"])]
    #[case("", &[])]
    fn texts_are_cut_into_words(#[case] text: &str, #[case] expected: &[&str]) {
        assert_eq!(words(text), expected);
    }

    #[test]
    fn stems_follow_snowball_and_leave_identifiers_alone() {
        assert_eq!(stem("migrations").as_deref(), Some("migrat"));
        assert_eq!(stem("redis"), Some("redi".to_owned()));
        assert_eq!(stem("auth"), None);
        assert_eq!(stem("user_ids"), None);
        assert_eq!(stem("größen"), None);
    }

    #[test]
    fn a_very_long_run_is_counted_by_its_beginning() {
        let long = "x".repeat(10_000);
        assert_eq!(words(&long), ["x".repeat(64)]);
    }
}
