//! Normalises headings: lower case, without accents, emphasis, numbers, emoji and punctuation.

use std::borrow::Cow;

use super::role::Role;
use super::title_words::AND;
use crate::document::date::date_at_start;
use crate::unicode::is_alphanumeric;

/// A heading, split into its parts.
pub(super) struct Title {
    /// All words outside of brackets; without blanks in languages that do not use them.
    pub(super) whole: String,
    /// The parts between slashes, colons, dashes, commas and "and".
    pub(super) parts: Vec<String>,
    /// The texts in brackets.
    pub(super) inner: Vec<String>,
    /// The role of an emoji in the heading.
    pub(super) sign: Option<Role>,
}

impl Title {
    pub(super) fn of(raw: &str) -> Self {
        /// Longer headings are sentences.
        const MAX_HEADING_CHARS: usize = 200;
        let plain = beginning(raw, MAX_HEADING_CHARS);
        let (mut outer, inner) = without_brackets(&plain);
        if !outer.chars().any(is_alphanumeric) {
            outer = inner.join(" ");
        }
        let outer = without_ordinal(&outer);
        Self {
            whole: words(outer),
            parts: parts(outer),
            inner: inner.iter().map(|text| words(text)).filter(|text| !text.is_empty()).collect(),
            sign: plain.chars().find_map(sign_role).filter(|_| date_at_start(raw).is_none()),
        }
    }
}

/// The first characters of a text, as [`half_width`].
fn beginning(text: &str, chars: usize) -> Cow<'_, str> {
    if text.is_ascii() && text.len() <= chars && memchr::memchr2(b'`', b'_', text.as_bytes()).is_none() {
        return Cow::Borrowed(text);
    }
    text.chars().take(chars).map(half_width).collect()
}

/// The words of a text in lower case and without accents, separated by one blank; without blanks in languages that do
/// not use them.
pub(super) fn words(text: &str) -> String {
    if text.is_ascii() { ascii_words(text) } else { words_in_any_script(text) }
}

fn words_in_any_script(text: &str) -> String {
    let mut spaced = String::with_capacity(text.len());
    for character in text.chars().map(half_width) {
        match character {
            '&' | '+' => spaced.push_str(" and "),
            '\'' => spaced.push('\''),
            _ if is_mark(character) => {}
            _ if is_alphanumeric(character) => {
                character.to_lowercase().for_each(|lower| fold(lower, &mut spaced));
            }
            _ => spaced.push(' '),
        }
    }
    let mut text = String::with_capacity(spaced.len());
    for (at, word) in spaced.split_whitespace().enumerate() {
        if at > 0 {
            text.push(' ');
        }
        text.push_str(word.trim_matches('\''));
    }
    // A number before the words is the number of the section.
    let bare = text.trim_start_matches(|character: char| character.is_ascii_digit() || character == ' ');
    if !bare.is_empty()
        && text.starts_with(|character: char| character.is_ascii_digit())
        && text.contains(' ')
    {
        text = bare.to_owned();
    }
    if text.chars().any(is_cjk) { compact(&text) } else { text }
}

/// As [`words`], for a text of ASCII, which most are.
fn ascii_words(text: &str) -> String {
    let mut spaced = String::with_capacity(text.len());
    for sign in text.chars() {
        match sign {
            '&' | '+' => spaced.push_str(" and "),
            '\'' | '`' => spaced.push('\''),
            '*' | '~' => {}
            _ if sign.is_ascii_alphanumeric() => spaced.push(sign.to_ascii_lowercase()),
            _ => spaced.push(' '),
        }
    }
    let mut text = String::with_capacity(spaced.len());
    for (at, word) in spaced.split_ascii_whitespace().enumerate() {
        if at > 0 {
            text.push(' ');
        }
        text.push_str(word.trim_matches('\''));
    }
    let bare = text.trim_start_matches(|sign: char| sign.is_ascii_digit() || sign == ' ');
    let is_numbered = text.starts_with(|sign: char| sign.is_ascii_digit()) && text.contains(' ');
    if !bare.is_empty() && is_numbered { bare.to_owned() } else { text }
}

/// The text without blanks.
pub(super) fn compact(text: &str) -> String {
    text.chars().filter(|character| !character.is_whitespace()).collect()
}

/// Whether this is a Chinese, Japanese or Korean character.
pub(in crate::document) fn is_cjk(character: char) -> bool {
    matches!(character, '\u{3040}'..='\u{30ff}' | '\u{3400}'..='\u{4dbf}' | '\u{4e00}'..='\u{9fff}' | '\u{ac00}'..='\u{d7a3}' | '\u{f900}'..='\u{faff}')
}

fn parts(outer: &str) -> Vec<String> {
    let mut found = Vec::new();
    let spaced = outer.replace(" - ", " | ").replace(" -- ", " | ");
    let separators = ['/', '|', ':', '–', '—', ',', ';', '&', '+', '・', '、', '·', '•', '→', '-'];
    // A hyphen within a word does not separate parts.
    let pieces = spaced.split(|character: char| character != '-' && separators.contains(&character));
    for piece in pieces {
        let piece = words(piece);
        let mut run: Vec<&str> = Vec::new();
        for word in piece.split(' ') {
            if AND.contains(&word) {
                found.push(run.join(" "));
                run.clear();
            } else {
                run.push(word);
            }
        }
        found.push(run.join(" "));
    }
    found.retain(|part| !part.is_empty());
    found
}

/// The text outside of brackets, and the text in each pair of brackets. A link is replaced by its text.
fn without_brackets(text: &str) -> (String, Vec<String>) {
    if text.is_ascii() && memchr::memchr3(b'(', b'[', b'{', text.as_bytes()).is_none() {
        return (text.to_owned(), Vec::new());
    }
    let mut outer = String::new();
    let mut inner = Vec::new();
    let mut open: Option<(char, String)> = None;
    for character in text.chars() {
        match (&mut open, character) {
            (None, '(') => open = Some((')', String::new())),
            (None, '[') => open = Some((']', String::new())),
            (None, '{') => open = Some(('}', String::new())),
            (None, '【') => open = Some(('】', String::new())),
            (None, '「') => open = Some(('」', String::new())),
            (None, '《') => open = Some(('》', String::new())),
            (None, '〔') => open = Some(('〕', String::new())),
            (None, _) => outer.push(character),
            (Some((close, content)), _) if character == *close => {
                inner.push(std::mem::take(content));
                outer.push(' ');
                open = None;
            }
            (Some((_, content)), _) => content.push(character),
        }
    }
    if let Some((_, content)) = open {
        inner.push(content);
    }
    (outer, inner)
}

/// The text without the number of a list or section before it: `1.`, `2.3`, `a)`, `IV.`, `一、`.
fn without_ordinal(text: &str) -> &str {
    let bare = text.trim_start_matches(|character: char| !is_alphanumeric(character));
    let length = bare.find(|character: char| !is_alphanumeric(character)).unwrap_or(bare.len());
    let (first, rest) = bare.split_at(length);
    let is_number = |word: &str| {
        word.chars().all(|character| "ivxIVX".contains(character))
            || word.chars().all(|character| "一二三四五六七八九十".contains(character))
            || (word.len() == 1 && word.chars().all(|character| character.is_ascii_alphabetic()))
    };
    let closed = rest.starts_with(['.', ')', '、']);
    if closed && !first.is_empty() && is_number(first) {
        rest.get(1..).unwrap_or(rest.trim_start_matches('、'))
    } else {
        bare
    }
}

/// The ASCII form of full-width characters, dashes, quotes and blanks.
pub(super) fn half_width(character: char) -> char {
    match character {
        '\u{ff01}'..='\u{ff5e}' => {
            u32::from(character).checked_sub(0xfee0).and_then(char::from_u32).unwrap_or(character)
        }
        '\u{2018}' | '\u{2019}' | '\u{02bc}' | '\u{02b9}' | '\u{2032}' | '`' | '\u{00b4}' => '\'',
        '\u{3000}' | '\u{00a0}' | '\u{202f}' | '\u{2009}' | '_' => ' ',
        '\u{2010}' | '\u{2011}' => '-',
        _ => character,
    }
}

/// Characters that modify the letter or emoji before them, or are invisible.
fn is_mark(character: char) -> bool {
    matches!(character, '\u{0300}'..='\u{036f}' | '\u{200b}'..='\u{200f}' | '\u{fe00}'..='\u{fe0f}' | '\u{20e3}' | '\u{feff}' | '*' | '~')
}

/// A letter without its accent.
fn fold(character: char, into: &mut String) {
    let base = match character {
        'à'..='å' | 'ā' | 'ă' | 'ą' => 'a',
        'ç' | 'ć' | 'č' => 'c',
        'è'..='ë' | 'ē' | 'ė' | 'ę' | 'ě' => 'e',
        'ì'..='ï' | 'ī' => 'i',
        'ñ' | 'ń' | 'ň' => 'n',
        'ò'..='ö' | 'ø' | 'ō' | 'ő' => 'o',
        'ù'..='ü' | 'ū' | 'ů' | 'ű' => 'u',
        'ý' | 'ÿ' => 'y',
        'ś' | 'š' => 's',
        'ź' | 'ż' | 'ž' => 'z',
        'ł' => 'l',
        'ё' => 'е',
        'й' => 'и',
        'ß' => {
            into.push_str("ss");
            return;
        }
        'œ' => {
            into.push_str("oe");
            return;
        }
        'æ' => {
            into.push_str("ae");
            return;
        }
        other => other,
    };
    into.push(base);
}

/// The role of an emoji, for headings whose words have no role.
fn sign_role(character: char) -> Option<Role> {
    match character {
        '✅' | '✔' | '☑' => Some(Role::Done),
        '🔄' | '🚧' | '⏳' => Some(Role::Task),
        '⏭' => Some(Role::NextStep),
        '❓' => Some(Role::Question),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_text_of_ascii_has_the_same_words_as_in_any_script(text in "[ -~\\t\\n]{0,60}|[ '`0-9a&+_*~.]{0,20}") {
            prop_assert_eq!(ascii_words(&text), words_in_any_script(&text));
        }
    }
}
