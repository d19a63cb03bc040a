//! Splits a text into terms. Documents, the graph and queries are split by the same rules.

use std::borrow::Cow;

use unicode_normalization::{UnicodeNormalization, is_nfkc_quick};
use unicode_segmentation::UnicodeSegmentation;

use super::dates::dates_in;
use crate::unicode::{is_alphabetic, is_alphanumeric};

/// Compound names longer than this, in bytes, are counted by their parts only.
const MAX_COMPOUND_BYTES: usize = 64;
/// Words longer than this, in bytes, are noise (encoded data) and are counted by their beginning only.
const MAX_WORD_BYTES: usize = 64;
/// A date that begins within this many bytes is the date of an entry.
const ENTRY_DATE_BYTES: usize = 48;
/// The most letters of a unit of measure after a number.
const MAX_MEASURE_CHARS: usize = 3;

/// The kind of a term.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TermKind {
    /// A single word.
    Word,
    /// A part of a compound name or of an identifier.
    Part,
    /// A compound name as a whole, without its separators. It adds nothing to the length of a text.
    Whole,
    /// Two characters of a script without blanks.
    Pair,
    /// A day, a month, or a time. It adds nothing to the length of a text.
    Date,
}

/// One term of a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Term<'a> {
    /// The counted form: lower case, compatibility form, without apostrophes.
    pub text: &'a str,
    /// The counted form with its apostrophes.
    pub spelt: &'a str,
    /// The kind.
    pub kind: TermKind,
}

/// Calls `term` for each term of the text, in order.
///
/// Words follow the Unicode rules, in compatibility form (NFKC) and lower case. An identifier or a path (`parseConfig`, `user_id`,
/// `src/auth/token.rs`, `read-only`, `node.js`) counts as a whole without its separators, as the names it consists of, and as
/// its parts. A date counts as its day, in any form. Scripts without blanks are counted in pairs of characters.
///
/// Returns the date at the beginning of the text in seconds since 1970, if it begins with one.
pub fn each_term(text: &str, mut term: impl FnMut(Term<'_>)) -> Option<i64> {
    let text = normal(text);
    let mut from = 0;
    let mut moment = None;
    for date in dates_in(&text) {
        if date.start <= ENTRY_DATE_BYTES && moment.is_none() {
            moment = date.seconds_since_1970();
        }
        each_run(text.get(from..date.start).unwrap_or_default(), &mut term);
        for day in date.terms() {
            term(Term { text: &day, spelt: &day, kind: TermKind::Date });
        }
        let written = text.get(date.start..date.end).unwrap_or_default();
        for word in written.split(|c: char| !is_alphanumeric(c)) {
            let is_year = word.len() == 4 && word.bytes().all(|byte| byte.is_ascii_digit());
            if is_year || (word.chars().count() > 2 && word.chars().all(is_alphabetic)) {
                let word = word.to_lowercase();
                term(Term { text: &word, spelt: &word, kind: TermKind::Word });
            }
        }
        from = date.end;
    }
    each_run(text.get(from..).unwrap_or_default(), &mut term);
    moment
}

/// Calls `word` for each word of the text, without whole compounds and dates.
pub fn each_word(text: &str, mut word: impl FnMut(&str)) {
    each_term(text, |term| {
        if !matches!(term.kind, TermKind::Whole | TermKind::Date) {
            word(term.text);
        }
    });
}

/// The text in compatibility form.
pub(super) fn normal(text: &str) -> Cow<'_, str> {
    if text.is_ascii() || is_nfkc_quick(text.chars()) == unicode_normalization::IsNormalized::Yes {
        Cow::Borrowed(text)
    } else {
        Cow::Owned(text.nfkc().collect())
    }
}

/// A word in lower case without its accents, if it has any.
pub(super) fn without_accents(word: &str) -> Option<String> {
    if word.is_ascii() {
        return None;
    }
    let mut plain = String::with_capacity(word.len());
    for c in word.nfd().filter(|c| !unicode_normalization::char::is_combining_mark(*c)) {
        match c {
            'ß' => plain.push_str("ss"),
            'æ' => plain.push_str("ae"),
            'œ' => plain.push_str("oe"),
            'ø' => plain.push('o'),
            'đ' | 'ð' => plain.push('d'),
            'ł' => plain.push('l'),
            'ı' => plain.push('i'),
            'þ' => plain.push_str("th"),
            'أ' | 'إ' | 'آ' | 'ٱ' => plain.push('ا'),
            'ى' => plain.push('ي'),
            'ة' => plain.push('ه'),
            c => plain.push(c),
        }
    }
    // Hangul is decomposed, too, and must be composed again.
    let plain: String = plain.nfc().collect();
    (plain != word).then_some(plain)
}

/// A word in lower case with `ae` for `ä` and so on, if it has umlauts.
pub(super) fn with_umlauts_spelt(word: &str) -> Option<String> {
    if word.is_ascii() || !word.contains(['ä', 'ö', 'ü', 'ß']) {
        return None;
    }
    Some(word.replace('ä', "ae").replace('ö', "oe").replace('ü', "ue").replace('ß', "ss"))
}

fn each_run(text: &str, term: &mut impl FnMut(Term<'_>)) {
    let mut rest = text;
    while let Some(start) = rest.find(|c: char| is_word(c)) {
        rest = rest.get(start..).unwrap_or_default();
        let end = end_of_run(rest);
        let (run, behind) = rest.split_at_checked(end).unwrap_or((rest, ""));
        // A fast path, since most words are in their counted form.
        let is_plain = run.len() <= MAX_WORD_BYTES && run.bytes().all(|byte| byte.is_ascii_lowercase());
        if is_plain && !behind.starts_with(['+', '#']) {
            term(Term { text: run, spelt: run, kind: TermKind::Word });
            rest = behind;
            continue;
        }
        split_run(run.trim_end_matches(is_joint), behind, term);
        rest = behind;
    }
}

/// The end of the run of word characters and separators within names; a comma between groups of digits belongs to it.
fn end_of_run(text: &str) -> usize {
    let mut before = ' ';
    for (at, c) in text.char_indices() {
        let in_number = c == ','
            && before.is_ascii_digit()
            && text.get(at + 1..at + 4).is_some_and(|three| three.bytes().all(|byte| byte.is_ascii_digit()))
            && !text.as_bytes().get(at + 4).is_some_and(u8::is_ascii_digit);
        if !(is_word(c) || is_joint(c) || in_number) {
            return at;
        }
        before = c;
    }
    text.len()
}

fn split_run(run: &str, behind: &str, term: &mut impl FnMut(Term<'_>)) {
    let names =
        run.split(is_separator).map(|name| name.trim_matches(is_joint)).filter(|name| !name.is_empty());
    let several = names.clone().nth(1).is_some();
    if several && run.bytes().all(|byte| byte.is_ascii_digit() || matches!(byte, b':' | b'.')) {
        numbers(run, term);
        return;
    }
    if several && run.len() <= MAX_COMPOUND_BYTES {
        emit_without_separators(run, term);
    }
    if several && run.contains('.') {
        versions(run, term);
    }
    let mut last = "";
    for name in names {
        each_word_of_name(name, several, term);
        last = name;
    }
    // `C++`, `C#`, `F#`.
    let signs = if behind.starts_with("++") {
        "++"
    } else {
        behind.get(..1).filter(|sign| *sign == "#").unwrap_or("")
    };
    if !signs.is_empty() && last.len() == 1 && last.bytes().all(|byte| byte.is_ascii_alphabetic()) {
        emit(&format!("{}{signs}", last.to_lowercase()), TermKind::Whole, term);
    }
}

/// Numbers with dots or colons: a version or an address as a whole, its prefixes, and its parts; a time as a whole.
fn numbers(run: &str, term: &mut impl FnMut(Term<'_>)) {
    if run.contains(':') && !run.contains('.') {
        emit(run, TermKind::Date, term);
        if run.len() > 5
            && let Some(minute) = run.get(..run.rfind(':').unwrap_or(run.len()))
        {
            emit(minute, TermKind::Date, term);
        }
        return;
    }
    for part in run.split(':') {
        dotted(part, term);
    }
}

fn dotted(run: &str, term: &mut impl FnMut(Term<'_>)) {
    let dots = run.match_indices('.').map(|(at, _)| at).skip(1).chain([run.len()]);
    if run.contains('.') && run.len() <= MAX_COMPOUND_BYTES {
        for end in dots {
            emit(run.get(..end).unwrap_or_default(), TermKind::Whole, term);
        }
    }
    run.split('.').filter(|part| !part.is_empty()).for_each(|part| emit(clipped(part), TermKind::Part, term));
}

/// Versions within a longer name: `v1.2.3` is found as `1.2.3`, too.
fn versions(run: &str, term: &mut impl FnMut(Term<'_>)) {
    for piece in run.split(|c: char| c != '.' && !is_alphanumeric(c)) {
        let Some(start) = piece.find(|c: char| c.is_ascii_digit()) else { continue };
        let number = piece.get(start..).unwrap_or_default();
        let is_version =
            number.contains('.') && number.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
        if is_version && number.len() <= MAX_COMPOUND_BYTES {
            let number = number.trim_end_matches('.');
            for end in number.match_indices('.').map(|(at, _)| at).skip(1).chain([number.len()]) {
                emit(number.get(..end).unwrap_or_default(), TermKind::Whole, term);
            }
        }
    }
}

/// A compound without its separators.
fn emit_without_separators(compound: &str, term: &mut impl FnMut(Term<'_>)) {
    let joined: String = compound.chars().filter(|c| !is_joint(*c)).collect();
    emit(&joined.to_lowercase(), TermKind::Whole, term);
}

fn emit(text: &str, kind: TermKind, term: &mut impl FnMut(Term<'_>)) {
    if !text.is_empty() {
        term(Term { text, spelt: text, kind });
    }
}

fn each_word_of_name(name: &str, in_path: bool, term: &mut impl FnMut(Term<'_>)) {
    for section in by_script(name) {
        if is_without_blanks(section) {
            pairs(section, term);
        } else {
            split_name(section.trim_matches(is_joint), in_path, term);
        }
    }
}

fn split_name(name: &str, in_path: bool, term: &mut impl FnMut(Term<'_>)) {
    let mut parts: Vec<&str> = Vec::new();
    let mut words = 0;
    for piece in name.split(['_', '-']) {
        for unicode in piece.unicode_words() {
            words += 1;
            split_case(unicode, &mut parts);
        }
    }
    let is_compound = parts.len() > 1 && (name.contains(['_', '-']) || parts.len() > words);
    if is_compound && name.len() <= MAX_COMPOUND_BYTES {
        emit_without_separators(name, term);
    }
    let kind = if is_compound || in_path { TermKind::Part } else { TermKind::Word };
    for part in parts {
        emit_word(part, kind, term);
    }
}

/// A word: without its apostrophes, without a possessive `'s`, without the article or pronoun before an apostrophe.
fn emit_word(word: &str, kind: TermKind, term: &mut impl FnMut(Term<'_>)) {
    let mut spelt = clipped(word).to_lowercase();
    if !spelt.is_ascii() {
        spelt = spelt.replace('’', "'");
    }
    if spelt.contains(',') {
        // Groups of digits.
        spelt = spelt.replace(',', "");
    }
    let Some((before, after)) = spelt.split_once('\'') else {
        term(Term { text: &spelt, spelt: &spelt, kind });
        return;
    };
    let is_elided = matches!(
        before,
        "l" | "d"
            | "j"
            | "m"
            | "t"
            | "s"
            | "n"
            | "c"
            | "qu"
            | "dell"
            | "all"
            | "nell"
            | "sull"
            | "dall"
            | "un"
            | "quest"
    );
    if is_elided && after.chars().count() > 2 {
        term(Term { text: after, spelt: after, kind });
    } else if after == "s" {
        term(Term { text: before, spelt: &spelt, kind });
    } else {
        term(Term { text: &spelt.replace('\'', ""), spelt: &spelt, kind });
    }
}

/// The beginning of a very long word.
fn clipped(word: &str) -> &str {
    if word.len() <= MAX_WORD_BYTES {
        return word;
    }
    let end = word
        .char_indices()
        .map(|(at, c)| at + c.len_utf8())
        .take_while(|end| *end <= MAX_WORD_BYTES)
        .last()
        .unwrap_or_default();
    word.get(..end).unwrap_or_default()
}

/// Splits where a script without blanks begins or ends, and between Han, Hiragana and Katakana.
fn by_script(text: &str) -> Vec<&str> {
    if text.is_ascii() {
        return vec![text];
    }
    let mut pieces = Vec::new();
    let mut start = 0;
    let mut last = None;
    for (at, c) in text.char_indices() {
        let class = class(c);
        // The sign for a long vowel belongs to the character before it.
        let continues = last.is_none_or(|last| last == class) || c == 'ー' || (c == '々' && last == Some(1));
        if !continues {
            pieces.extend(text.get(start..at));
            start = at;
        }
        if c != 'ー' || last.is_none() {
            last = Some(class);
        }
    }
    pieces.extend(text.get(start..));
    pieces
}

/// 0 for scripts with blanks between words, and a number for each of the others.
fn class(c: char) -> u8 {
    match c {
        '\u{4E00}'..='\u{9FFF}'
        | '\u{3400}'..='\u{4DBF}'
        | '\u{F900}'..='\u{FAFF}'
        | '々'
        | '\u{20000}'..='\u{323AF}' => 1,
        '\u{3041}'..='\u{309F}' => 2,
        '\u{30A0}'..='\u{30FF}' | '\u{31F0}'..='\u{31FF}' => 3,
        // Thai, Lao, Myanmar, Khmer.
        '\u{0E01}'..='\u{0E7F}' => 4,
        '\u{0E81}'..='\u{0EFF}' => 5,
        '\u{1000}'..='\u{109F}' => 6,
        '\u{1780}'..='\u{17FF}' => 7,
        _ => 0,
    }
}

fn is_without_blanks(text: &str) -> bool {
    text.chars().next().is_some_and(has_no_blanks)
}

/// Whether a character is of a script without blanks between words.
pub(super) fn has_no_blanks(c: char) -> bool {
    class(c) != 0
}

/// Each pair of adjacent characters; a single character by itself.
fn pairs(text: &str, term: &mut impl FnMut(Term<'_>)) {
    let starts: Vec<usize> = text.grapheme_indices(true).map(|(at, _)| at).chain([text.len()]).collect();
    if starts.len() == 2 {
        emit(text, TermKind::Pair, term);
        return;
    }
    for three in starts.windows(3) {
        if let [start, _, end] = three {
            emit(text.get(*start..*end).unwrap_or_default(), TermKind::Pair, term);
        }
    }
}

/// Splits `parseHTMLFile` into `parse`, `HTML` and `File`, and `30s` into `30` and `s`. A lone `'s` belongs to its
/// word, other digits to the text before them.
fn split_case<'a>(word: &'a str, parts: &mut Vec<&'a str>) {
    let digits = word.bytes().take_while(u8::is_ascii_digit).count();
    if digits > 0 && digits < word.len() {
        let measure = word.get(digits..).unwrap_or_default();
        if measure.len() <= MAX_MEASURE_CHARS && measure.bytes().all(|byte| byte.is_ascii_alphabetic()) {
            parts.extend([word.get(..digits).unwrap_or_default(), measure]);
            return;
        }
    }
    let mut start = 0;
    let mut letters = word.char_indices().peekable();
    let mut previous: Option<char> = None;
    while let Some((at, character)) = letters.next() {
        let next_is_lower = letters.peek().is_some_and(|(_, next)| next.is_lowercase());
        let begins = previous.is_some_and(|p| {
            character.is_uppercase()
                && (p.is_lowercase() || p.is_numeric() || (p.is_uppercase() && next_is_lower))
        });
        if begins && at > start {
            parts.extend(word.get(start..at));
            start = at;
        }
        previous = Some(character);
    }
    parts.extend(word.get(start..).filter(|rest| !rest.is_empty()));
}

/// Characters outside ASCII except blanks are split by the Unicode rules, which cover marks and scripts without
/// blanks.
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

    fn terms(text: &str) -> Vec<String> {
        let mut terms = Vec::new();
        each_term(text, |term| terms.push(term.text.to_owned()));
        terms
    }

    #[rstest]
    #[case("The quick, brown fox.", &["the", "quick", "brown", "fox"])]
    #[case("parseHTMLFile", &["parsehtmlfile", "parse", "html", "file"])]
    #[case("user_id", &["userid", "user", "id"])]
    #[case("read-only mode", &["readonly", "read", "only", "mode"])]
    #[case("node.js nodejs", &["nodejs", "node", "js", "nodejs"])]
    #[case("src/auth/userToken.rs", &["srcauthusertokenrs", "src", "auth", "usertoken", "user", "token", "rs"])]
    #[case("`Caller::may()`", &["callermay", "caller", "may"])]
    #[case("sha256 and größeWert", &["sha256", "and", "größewert", "größe", "wert"])]
    #[case("don't stop, don’t", &["dont", "stop", "dont"])]
    #[case("the user's l'utilisateur", &["the", "user", "utilisateur"])]
    #[case("Größe — ΣΑΣ", &["größe", "σας"])]
    #[case("日本", &["日本"])]
    #[case("数据库迁移 db", &["数据", "据库", "库迁", "迁移", "db"])]
    #[case("接続プールは", &["接続", "プー", "ール", "は"])]
    #[case("再次执行build-abc后", &["再次", "次执", "执行", "buildabc", "build", "abc", "后"])]
    #[case("ＡＰＩ ﬁle", &["api", "file"])]
    #[case("v1.2.3", &["v123", "1.2", "1.2.3", "v1", "2", "3"])]
    #[case("1.38.0", &["1.38", "1.38.0", "1", "38", "0"])]
    #[case("$5,000 or 1,2", &["5000", "or", "1", "2"])]
    #[case("timeout 30s", &["timeout", "30s", "30", "s"])]
    #[case("C++ and C#", &["c", "c++", "and", "c", "c#"])]
    #[case("2026-11-03 09:12", &["@2026-11-03", "@11-03", "@2026-11", "2026"])]
    #[case("**bold** [x] ---", &["bold", "x"])]
    #[case("", &[])]
    fn texts_are_cut_into_terms(#[case] text: &str, #[case] expected: &[&str]) {
        assert_eq!(terms(text), expected);
    }

    #[test]
    fn a_very_long_run_is_counted_by_its_beginning() {
        let long = "x".repeat(10_000);
        assert_eq!(terms(&long), ["x".repeat(64)]);
    }

    #[rstest]
    #[case("café", Some("cafe"))]
    #[case("straße", Some("strasse"))]
    #[case("đăng", Some("dang"))]
    #[case("배포", None)]
    #[case("plain", None)]
    fn accents_are_removed(#[case] word: &str, #[case] plain: Option<&str>) {
        assert_eq!(without_accents(word).as_deref(), plain);
    }
}
