//! Lines without content: rows of a template, brackets to fill in, "TBD", "none".

mod nothing_words;
mod template_words;

use std::borrow::Cow;
use std::sync::LazyLock;

use foldhash::HashSet;

use self::nothing_words::{BESIDE_CJK_DENIALS, BESIDE_DENIALS, CJK_DENIALS, DENIALS, NOTHING};
use self::template_words::{
    BESIDE_REQUESTED, FIELDS, INTRODUCTION_VERBS, NUMBERED, PROMPTS, REQUEST_VERBS, REQUESTED,
};
use super::function_cache::FunctionCache;
use super::normalise::{half_width, is_cjk, words};
use crate::document::date::{begins_with_day, date_anywhere};
use crate::unicode::{is_alphabetic, is_alphanumeric};

/// Whether a line of a document has no content of its own: a row of a template (`[Task 1]`, `Decision 1 [Date]`,
/// `- **Date:** [Date]`), a lone bullet, a comment, or a word for nothing (`TBD`, `N/A`, `none yet`).
#[must_use]
pub fn is_placeholder(line: &str) -> bool {
    let text = without_comments(line);
    let text = bare(&text);
    if !text.chars().any(is_alphanumeric) {
        return true;
    }
    if is_form(text) || is_introduction(text) {
        return true;
    }
    !begins_like_content(text) && is_nothing_or_prompt(text)
}

fn is_nothing_or_prompt(text: &str) -> bool {
    let plain = words(text);
    is_nothing_in(&plain) || is_prompt(text, &plain)
}

/// The words that may begin a word for nothing, a denial or a prompt.
static FIRST_WORDS: LazyLock<HashSet<&'static str>> = LazyLock::new(|| {
    let first = |phrase: &&'static str| phrase.split(' ').next().unwrap_or_default();
    let nothing = NOTHING.iter().map(first);
    let denials = DENIALS.iter().chain(BESIDE_DENIALS).copied();
    nothing
        .chain(denials)
        .chain(REQUEST_VERBS.iter().copied())
        .chain(DESCRIBE_VERBS.iter().copied())
        .collect()
});

/// The words that may follow in a word for nothing or a denial.
static SECOND_WORDS: LazyLock<HashSet<&'static str>> = LazyLock::new(|| {
    let second = |phrase: &&'static str| phrase.split(' ').nth(1);
    let denials = DENIALS.iter().chain(BESIDE_DENIALS).copied();
    NOTHING.iter().filter_map(second).chain(denials).collect()
});

pub(super) fn prepare() {
    LazyLock::force(&FIRST_WORDS);
    LazyLock::force(&SECOND_WORDS);
}

/// Whether the first two words of a text show that it is neither a word for nothing nor a prompt, as they do for most lines. False
/// means that the whole text decides.
fn begins_like_content(text: &str) -> bool {
    let Some(rest) = without_number_before(text) else { return false };
    let mut room = [0; MAX_FIRST_WORD_BYTES];
    let Some((first, rest)) = first_word(rest, &mut room) else { return false };
    if !FIRST_WORDS.contains(first) {
        return true;
    }
    let is_verb = REQUEST_VERBS.contains(&first) || DESCRIBE_VERBS.contains(&first);
    // "&" is a word, and an apostrophe is a part of one.
    let rest = rest.trim_start_matches(|sign: char| sign.is_ascii() && !is_part_of_word(sign));
    !is_verb && first_word(rest, &mut room).is_some_and(|(second, _)| !SECOND_WORDS.contains(second))
}

/// The most bytes of a word that decides.
const MAX_FIRST_WORD_BYTES: usize = 32;

/// Whether a sign of ASCII is or joins a word in the [`words`] of a text.
fn is_part_of_word(sign: char) -> bool {
    sign.is_ascii_alphanumeric() || matches!(sign, '&' | '+' | '\'' | '`' | '*' | '~')
}

/// The text from the first of its [`words`] that is not a number before them. `None` if more than the beginning decides, such as in a
/// language without blanks.
fn without_number_before(text: &str) -> Option<&str> {
    if !text.is_ascii() && text.chars().any(is_cjk) {
        return None;
    }
    let start = text.find(is_alphanumeric)?;
    let (before, rest) = text.split_at(start);
    if before.chars().any(|character| matches!(half_width(character), '&' | '+' | '\'')) {
        return None;
    }
    // `[2026-11-22 09:30:07]`: digits and other signs, which are blanks among words.
    let letter =
        rest.find(|sign: char| !sign.is_ascii() || is_part_of_word(sign) && !sign.is_ascii_digit())?;
    let (number, rest) = rest.split_at(letter);
    let is_apart = number.is_empty() || number.bytes().any(|sign| !sign.is_ascii_digit());
    (is_apart && rest.starts_with(|sign: char| sign.is_ascii_alphabetic())).then_some(rest)
}

/// The word at the head of a text in lower case, and the text behind it. `None` if it is long, or not of ASCII only.
fn first_word<'r, 't>(text: &'t str, room: &'r mut [u8; MAX_FIRST_WORD_BYTES]) -> Option<(&'r str, &'t str)> {
    let end = text.find(|sign: char| !sign.is_ascii_alphanumeric()).unwrap_or(text.len());
    let (word, rest) = text.split_at(end);
    let is_whole =
        rest.chars().next().is_none_or(|next| next.is_ascii() && !matches!(next, '\'' | '`' | '*' | '~'));
    let lower = room.get_mut(..end).filter(|_| end > 0 && is_whole)?;
    lower.copy_from_slice(word.as_bytes());
    lower.make_ascii_lowercase();
    std::str::from_utf8(lower).ok().map(|lower| (lower, rest))
}

/// Whether any line of a text has content.
#[must_use]
pub fn has_content(text: &str) -> bool {
    let text = without_comments(text);
    text.lines().any(|line| !line.trim_start().starts_with('#') && !is_placeholder(line))
}

/// The text without rows of a template, outside of code: headings, prose and all other lines stay.
#[must_use]
pub fn without_template_rows(text: &str) -> Cow<'_, str> {
    let mut fence: Option<char> = None;
    let mut is_row = |line: &str| {
        let start = line.trim_start();
        let mark = ['`', '~']
            .into_iter()
            .find(|mark| start.chars().take_while(|character| character == mark).count() >= 3);
        match (fence, mark) {
            (None, Some(_)) => fence = mark,
            (Some(open), Some(mark)) if open == mark => fence = None,
            _ => {}
        }
        fence.is_none() && mark.is_none() && !start.starts_with('#') && is_form(bare(line))
    };
    if !text.contains(['[', '{', '<', '【']) {
        return Cow::Borrowed(text);
    }
    let kept: String = text.split_inclusive('\n').filter(|line| !is_row(line)).collect();
    if kept.len() == text.len() { Cow::Borrowed(text) } else { Cow::Owned(kept) }
}

/// Whether the text means that there is nothing: `None`, `N/A`, `TBD`, `keine`, `нет`, `暂无`.
#[must_use]
pub fn is_nothing(text: &str) -> bool {
    is_nothing_in(&words(text))
}

fn is_nothing_in(plain: &str) -> bool {
    if NOTHING.contains(&plain) {
        return true;
    }
    if plain.chars().any(is_cjk) { is_cjk_denial(plain) } else { is_denial(plain) }
}

/// Whether the text only denies: "No known issues at this time", "keine bekannten Probleme", "None currently
/// identified".
fn is_denial(plain: &str) -> bool {
    let mut denied = false;
    let mut count = 0;
    for word in plain.split(' ') {
        let denies = DENIALS.contains(&word);
        if !denies && !BESIDE_DENIALS.contains(&word) {
            return false;
        }
        denied |= denies;
        count += 1;
    }
    denied && (2..=10).contains(&count)
}

/// Whether a text denies its content in a language without blanks between words: "目前没有已知问题", "既知の問題はありません", "알려진 문제 없음".
fn is_cjk_denial(plain: &str) -> bool {
    if plain.chars().count() > 20 || !CJK_DENIALS.iter().any(|word| plain.contains(word)) {
        return false;
    }
    let rest = CJK_DENIALS
        .iter()
        .chain(BESIDE_CJK_DENIALS)
        .fold(plain.to_owned(), |text, word| text.replace(word, ""));
    rest.is_empty()
}

/// The text without comments; an unclosed comment extends to the end.
fn without_comments(text: &str) -> Cow<'_, str> {
    if memchr::memchr(b'<', text.as_bytes()).is_none() || !text.contains("<!--") {
        return Cow::Borrowed(text);
    }
    let mut kept = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("<!--") {
        kept.push_str(before);
        kept.push(' ');
        rest = after.split_once("-->").map_or("", |(_, behind)| behind);
    }
    kept.push_str(rest);
    Cow::Owned(kept)
}

/// The text without quote marks, bullet, check box, emphasis and blanks around it.
fn bare(line: &str) -> &str {
    let mut text = line.trim().trim_start_matches(['>', ' ']);
    text = text
        .strip_prefix(['-', '*', '+', '•'])
        .filter(|rest| rest.is_empty() || rest.starts_with([' ', '\t']))
        .unwrap_or(text);
    let digits = text.len() - text.trim_start_matches(|character: char| character.is_ascii_digit()).len();
    if (1..=3).contains(&digits)
        && let Some(rest) = text.get(digits..).and_then(|rest| rest.strip_prefix(['.', ')']))
        && (rest.is_empty() || rest.starts_with(' '))
    {
        text = rest;
    }
    let text = text.trim_start();
    let text = text
        .strip_prefix('[')
        .and_then(|rest| rest.strip_prefix([' ', 'x', 'X', '-', '~']).unwrap_or(rest).strip_prefix(']'))
        .unwrap_or(text);
    text.trim_matches(|character: char| character.is_whitespace() || matches!(character, '*' | '_' | '|'))
}

/// Whether the text is an unfilled form: template words in brackets, and beside them only a label, a number or
/// punctuation.
fn is_form(text: &str) -> bool {
    if !has_brackets(text) {
        return false;
    }
    let mut rest = String::new();
    let mut blanks = 0;
    let mut signs = text.char_indices().peekable();
    while let Some((at, character)) = signs.next() {
        let close = match character {
            '[' => ']',
            '{' => '}',
            '<' => '>',
            '【' => '】',
            '［' => '］',
            _ => {
                rest.push(character);
                continue;
            }
        };
        let start = at + character.len_utf8();
        let after = text.get(start..).unwrap_or_default();
        let Some(length) = after.find(close) else { return false };
        let inner = after.get(..length).unwrap_or_default();
        let end = start + length + close.len_utf8();
        let tail = text.get(end..).unwrap_or_default();
        // A link, a reference, or a wiki link.
        if character == '[' && (tail.starts_with(['(', '[', ':']) || inner.starts_with(['[', '!', '^'])) {
            return false;
        }
        if !is_known_field(inner, character) {
            return false;
        }
        blanks += 1;
        rest.push(' ');
        while signs.peek().is_some_and(|(next, _)| *next < end) {
            signs.next();
        }
        // `{{words}}` has a second pair.
        if character == '{' {
            while signs.next_if(|(_, next)| *next == '}').is_some() {}
        }
    }
    blanks > 0 && is_label(&rest)
}

fn has_brackets(text: &str) -> bool {
    memchr::memchr3(b'[', b'{', b'<', text.as_bytes()).is_some()
        || !text.is_ascii() && text.contains(['【', '［'])
}

/// As [`is_field`]. Logs repeat the names of their authors in brackets.
fn is_known_field(inner: &str, bracket: char) -> bool {
    if begins_with_day(inner) {
        return false;
    }
    if bracket == '[' {
        FIELDS_IN_BRACKETS.with(|known| known.get(inner, |inner| is_field(inner, '[')))
    } else {
        is_field(inner, bracket)
    }
}

thread_local! {
    static FIELDS_IN_BRACKETS: FunctionCache<bool> = FunctionCache::default();
}

/// Whether the words in brackets are to be replaced by other words.
fn is_field(inner: &str, bracket: char) -> bool {
    // `{{task}}`
    let is_variable = inner.starts_with('{');
    let inner = inner.trim().trim_matches(['[', ']', '{', '}']);
    let shout = inner.chars().filter(|character| is_alphabetic(*character)).all(char::is_uppercase);
    let is_key = shout && inner.chars().any(|character| character.is_ascii_digit());
    let is_word = shout && inner.chars().all(|character| character.is_ascii_alphabetic()) && inner.len() <= 8;
    let fields =
        ["DATE", "NAME", "TITLE", "AUTHOR", "TASK", "STATUS", "TIME", "REASON", "SUMMARY", "DETAILS"];
    if is_date_form(inner) {
        return true;
    }
    if !inner.chars().any(is_alphabetic)
        || is_key
        || (is_word && !fields.contains(&inner))
        || date_anywhere(inner).is_some()
        || inner.starts_with(['@', '#', '/', '`', '.', '$'])
        || inner.contains("://")
        || (bracket == '<'
            && (inner.contains(['@', '/', '='])
                || ["br", "hr", "p", "b", "i", "code", "kbd"].contains(&inner)))
    {
        return false;
    }
    (bracket == '{' && is_variable) || is_template_wording(inner) || is_question_to_the_reader(inner)
}

/// Whether the words are a question to the reader: "What are you working on right now?"
fn is_question_to_the_reader(inner: &str) -> bool {
    let mut words = inner.split(|character: char| !is_alphabetic(character));
    inner.ends_with('?')
        && words.any(|word| word.eq_ignore_ascii_case("you") || word.eq_ignore_ascii_case("your"))
}

/// Whether words in brackets come from a template. People write in brackets, too (`[Fix login]`, `[Issue #12]`), so
/// only known words count: a numbered word, a field, or a prompt.
fn is_template_wording(inner: &str) -> bool {
    let plain = words(inner);
    if FIELDS.contains(&plain.as_str()) || NUMBERED.contains(&plain.as_str()) {
        return true;
    }
    // Exactly a word and a digit: an issue with a longer number, or with a sign before it, is content.
    if let Some(bare) = inner.trim().strip_suffix(|character: char| ('1'..='9').contains(&character))
        && bare.chars().all(|character| is_alphabetic(character) || character == ' ')
        && NUMBERED.contains(&words(bare).as_str())
    {
        return true;
    }
    let mut all = plain.split(' ');
    let first = all.next().unwrap_or_default();
    if PROMPTS.contains(&first)
        || is_request(&plain)
        || ["请描述", "請描述", "描述"].iter().any(|ask| plain.starts_with(ask))
    {
        return true;
    }
    plain.split(' ').any(|word| REQUESTED.contains(&word))
        && plain.split(' ').all(|word| REQUESTED.contains(&word) || BESIDE_REQUESTED.contains(&word))
}

/// Whether the text is a request: "Add your tasks here".
fn is_request(plain: &str) -> bool {
    const WORDS_FOR_HERE: &[&str] = &[" here", " hier", " ici", " aqui", " qui"];
    let first = plain.split(' ').next().unwrap_or_default();
    REQUEST_VERBS.contains(&first)
        && WORDS_FOR_HERE.iter().any(|here| plain.ends_with(here))
        && plain.len() <= 160
}

/// Whether the text is a form for a date: `YYYY-MM-DD HH:MM:SS`.
fn is_date_form(text: &str) -> bool {
    let text = text.trim();
    text.len() >= 8
        && text.chars().all(|character| "YMDHSTZAJhmsdyjtua-/.:, ".contains(character))
        && ["YYYY", "yyyy", "JJJJ", "AAAA"].iter().any(|year| text.contains(year))
}

/// Whether the text beside the brackets is not content: punctuation, a label with a colon, or a word with a number.
fn is_label(rest: &str) -> bool {
    let text =
        rest.trim_matches(|character: char| character.is_whitespace() || "*_-–—,;.|/()~".contains(character));
    if !text.chars().any(is_alphanumeric) {
        return true;
    }
    let plain = words(text);
    let bare = plain.trim_end_matches(|character: char| character.is_ascii_digit() || character == ' ');
    let numbered = bare.len() < plain.len();
    if numbered && NUMBERED.contains(&bare) {
        return true;
    }
    // Labels without values: "Date: Author:".
    text.trim_end_matches(['*', '_', ' ']).ends_with([':', '：']) && plain.split(' ').count() <= 4
}

/// Whether the text explains the purpose of its document.
fn is_introduction(text: &str) -> bool {
    let rest = text.strip_prefix("This file ").or_else(|| text.strip_prefix("This document "));
    rest.and_then(|rest| rest.split(' ').next()).is_some_and(|verb| INTRODUCTION_VERBS.contains(&verb))
}

/// The first words of a prompt in brackets.
const DESCRIBE_VERBS: &[&str] = &["describe", "your", "beschreiben", "decrivi", "decrire"];

/// Whether the text is a prompt: "(Describe the current focus here)", "_Add tasks here_".
fn is_prompt(text: &str, plain: &str) -> bool {
    let inner = text.strip_prefix('(').and_then(|text| text.strip_suffix(')'));
    let inner_words = inner.map(words);
    let plain = inner_words.as_deref().unwrap_or(plain);
    let first = plain.split(' ').next().unwrap_or_default();
    let describes = DESCRIBE_VERBS.contains(&first) && plain.len() <= 160;
    is_request(plain) || (inner.is_some() && describes)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parts() -> impl Strategy<Value = String> {
        let lists = [NOTHING, DENIALS, BESIDE_DENIALS, REQUEST_VERBS, DESCRIBE_VERBS];
        let known: Vec<&str> = lists.into_iter().flatten().copied().collect();
        let other = [
            "here",
            "the parser",
            "2026",
            "12",
            ".",
            "(",
            ")",
            "*",
            "'",
            "`",
            "&",
            "-",
            "  ",
            "[",
            "fix",
            "1.",
            "~",
            "_",
            "a",
            "👀",
            "\u{2019}",
            "＋",
            "１",
            "é",
            "e\u{301}",
            "暂无",
            "/",
            ":",
        ];
        prop_oneof![prop::sample::select(known), prop::sample::select(other.to_vec())].prop_map(str::to_owned)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(6000))]

        #[test]
        fn the_beginning_of_a_text_decides_as_the_whole_does(parts in prop::collection::vec(parts(), 1..14), blank in any::<bool>()) {
            let text = parts.join(if blank { " " } else { "" });
            let text = bare(&text);
            if begins_like_content(text) {
                prop_assert!(!is_nothing_or_prompt(text), "{}", text);
            }
        }
    }
}
