//! One line of a bank: its check box, whether it is finished, and its words without punctuation.

use crate::document::roles::{Role, is_placeholder};
use crate::unicode::{is_alphabetic, is_alphanumeric};

/// The state that a line declares.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    /// None.
    Undeclared,
    /// A check box that is not ticked.
    Open,
    /// Ticked, struck through, or marked as done or resolved.
    Finished,
}

/// The marks of a state at the head of a line. None begins with a letter or a digit.
const BOXES: &[(&str, State)] = &[
    ("[ ]", State::Open),
    ("[]", State::Open),
    ("[x]", State::Finished),
    ("[X]", State::Finished),
    ("[✓]", State::Finished),
    ("[✔]", State::Finished),
    ("[-]", State::Open),
    ("[~]", State::Open),
    ("[/]", State::Open),
    ("[>]", State::Open),
    ("[!]", State::Open),
    ("☐", State::Open),
    ("⬜", State::Open),
    ("🔲", State::Open),
    ("☑", State::Finished),
    ("✅", State::Finished),
    ("✔", State::Finished),
    ("✓", State::Finished),
    ("⏳", State::Open),
    ("🔄", State::Open),
];

/// The state of a line, and its words without check box, emphasis and addresses of links.
pub(super) fn read(line: &str) -> (State, String) {
    let line = line.trim();
    let found = if line.starts_with(|first: char| first.is_ascii_alphanumeric()) {
        None
    } else {
        BOXES.iter().find_map(|(mark, state)| {
            let rest = line.strip_prefix(mark)?;
            // A link, and the address of one.
            (!rest.starts_with(['(', ':'])).then_some((*state, rest))
        })
    };
    let (state, rest) = found.unwrap_or((State::Undeclared, line));
    let rest = rest.trim_start_matches(['\u{fe0f}', ' ']);
    let state = if is_struck(rest) || ends_finished(rest) { State::Finished } else { state };
    (state, plain(rest))
}

/// Whether a note or an issue is resolved: struck through, or marked so.
pub(super) fn is_resolved(text: &str) -> bool {
    let bytes = text.as_bytes();
    let begins = |at: usize, word: &str| {
        bytes.get(at..at + word.len()).is_some_and(|found| found.eq_ignore_ascii_case(word.as_bytes()))
    };
    let is_mark = |at: usize| {
        let close = if bytes.get(at) == Some(&b'[') { "done]" } else { "done)" };
        ["resolved", "fixed", "closed", close].iter().any(|word| begins(at + 1, word))
    };
    is_struck(text)
        || memchr::memchr2_iter(b'[', b'(', bytes).any(is_mark)
        || !text.is_ascii() && text.contains('✅')
}

/// Whether the words are struck through, except for a date, an author or a mark before or after them.
fn is_struck(text: &str) -> bool {
    if memchr::memchr(b'~', text.as_bytes()).is_none() {
        return false;
    }
    let Some((before, rest)) = text.split_once("~~") else { return false };
    let Some((struck, behind)) = rest.rsplit_once("~~") else { return false };
    let aside = before.chars().chain(behind.chars()).filter(|character| is_alphabetic(*character)).count();
    struck.chars().any(is_alphanumeric) && aside <= struck.chars().count().max(40)
}

pub(super) fn ends_finished(text: &str) -> bool {
    /// More than the longest mark has.
    const TAIL_BYTES: usize = 96;
    let end = text.trim_end_matches(['.', ' ', '\u{fe0f}', '*', '_']);
    // Most lines end with another letter than all of the marks.
    if !end.ends_with(['✅', '✔', '☑', ')', ']', '）', 'd', 'D', 'e', 'E']) {
        return false;
    }
    let tail = end.ceil_char_boundary(end.len().saturating_sub(TAIL_BYTES));
    let lower = end.get(tail..).unwrap_or_default().to_lowercase();
    end.ends_with(['✅', '✔', '☑'])
        || [
            "(done)",
            "(completed)",
            "(complete)",
            "[done]",
            "[completed]",
            "(resolved)",
            "[resolved]",
            "(fixed)",
            "- done",
            "- completed",
            "— done",
            "(erledigt)",
            "(terminé)",
            "(hecho)",
            "(completado)",
            "(concluído)",
            "(completato)",
            "(готово)",
            "(выполнено)",
            "(zrobione)",
            "（已完成）",
            "(已完成)",
            "（完了）",
            "(完了)",
            "(완료)",
        ]
        .iter()
        .any(|mark| lower.ends_with(mark))
}

/// The words without emphasis; links are replaced by their text.
pub(super) fn plain(text: &str) -> String {
    if is_plain(text) {
        return if is_single_spaced(text) { text.to_owned() } else { single_spaced(text) };
    }
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(open) = rest.find('[') {
        let (before, after) = rest.split_at(open);
        out.push_str(before);
        let link = after.find("](").and_then(|close| {
            let end = after.get(close..)?.find(')')?;
            let words = after.get(1..close)?;
            (!words.contains('[')).then_some((words, close + end + 1))
        });
        match link {
            Some((words, end)) => {
                out.push_str(words);
                rest = after.get(end..).unwrap_or_default();
            }
            None => {
                out.push('[');
                rest = after.get(1..).unwrap_or_default();
            }
        }
    }
    out.push_str(rest);
    for mark in ["**", "~~", "__"] {
        if out.contains(mark) {
            out = out.replace(mark, "");
        }
    }
    let inner = out.strip_prefix('*').and_then(|inner| inner.strip_suffix('*'));
    match inner {
        Some(inner) => single_spaced(inner),
        None if is_single_spaced(&out) => out,
        None => single_spaced(&out),
    }
}

/// Whether a text has neither emphasis nor links.
pub(super) fn is_plain(text: &str) -> bool {
    let bytes = text.as_bytes();
    memchr::memchr3(b'*', b'~', b'_', bytes).is_none()
        && !memchr::memchr_iter(b']', bytes).any(|at| bytes.get(at + 1) == Some(&b'('))
}

fn single_spaced(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn is_single_spaced(text: &str) -> bool {
    if text.is_ascii() {
        let is_blank = |byte: u8| byte == b' ';
        let has_others = text.bytes().any(|byte| byte < b' ' && char::from(byte).is_whitespace());
        return !has_others
            && !text.as_bytes().first().copied().is_some_and(is_blank)
            && !text.as_bytes().last().copied().is_some_and(is_blank)
            && !text.contains("  ");
    }
    let mut before = ' ';
    for sign in text.chars() {
        if sign.is_whitespace() && (sign != ' ' || before == ' ') {
            return false;
        }
        before = sign;
    }
    before != ' ' || text.is_empty()
}

/// The label at the head of a line and the text after its colon: `**Blockers:** none`.
pub(super) fn labelled(text: &str) -> Option<(&str, &str)> {
    const MAX_LABEL_CHARS: usize = 48;
    let bare = text.trim_start_matches(['*', '_', ' ', '-']);
    let at = first_colon(bare)?;
    let (label, rest) = bare.split_at(at);
    let rest = rest.trim_start_matches([':', '：', '*', '_', ' ']);
    let is_short = label.len() <= MAX_LABEL_CHARS || label.chars().count() <= MAX_LABEL_CHARS;
    is_short.then(|| (label.trim_end_matches(['*', '_', ' ']), rest))
}

/// Where the first colon of a text is.
fn first_colon(text: &str) -> Option<usize> {
    let narrow = memchr::memchr(b':', text.as_bytes());
    if text.is_ascii() {
        return narrow;
    }
    text.get(..narrow.unwrap_or(text.len())).and_then(|before| before.find('：')).or(narrow)
}

/// Whether the value of a status means that the work is finished.
pub(super) fn is_finished(status: &str) -> bool {
    let (state, words) = read(status);
    if state == State::Finished {
        return true;
    }
    let lower = words.to_lowercase();
    if status.contains(['✅', '☑', '✔']) || lower.contains("100%") {
        return true;
    }
    let words: String =
        lower.chars().filter(|character| is_alphanumeric(*character) || character.is_whitespace()).collect();
    Role::of_heading(&words) == Some(Role::Done)
}

/// A title without the number of a list before it: "2. Use nom".
pub(super) fn without_ordinal(text: &str) -> &str {
    const MAX_DIGITS: usize = 2;
    let rest = text.trim_start_matches(|character: char| character.is_ascii_digit());
    let digits = text.len() - rest.len();
    match rest.strip_prefix(". ").or_else(|| rest.strip_prefix(") ")) {
        Some(title) if (1..=MAX_DIGITS).contains(&digits) && !title.trim().is_empty() => title.trim_start(),
        _ => text,
    }
}

/// Whether a line explains the purpose of its document, as templates do below the title.
pub(super) fn is_introduction(line: &str) -> bool {
    const INTRODUCTIONS: &[&str] = &[
        "this file",
        "this document",
        "this is the foundation document",
        "this section",
        "foundation document",
        "purpose: this",
        "diese datei",
        "dieses dokument",
        "ce fichier",
        "ce document",
        "este archivo",
        "este documento",
        "este arquivo",
        "este ficheiro",
        "questo file",
        "questo documento",
        "этот файл",
        "этот документ",
        "данный документ",
        "данный файл",
        "ten plik",
        "ten dokument",
        "本文件",
        "本文档",
        "本文檔",
        "此文件",
        "此文档",
        "该文件",
        "このファイル",
        "このドキュメント",
        "本ドキュメント",
        "이 파일",
        "이 문서",
    ];
    let bare = plain(line).to_lowercase();
    let bare = bare.trim_start_matches(|character: char| !is_alphanumeric(character));
    INTRODUCTIONS.iter().any(|beginning| bare.starts_with(beginning))
}

/// The words of a line, unless it is a placeholder.
pub(super) fn content(line: &str) -> Option<String> {
    let (_, words) = read(line);
    (!is_any_placeholder(line, &words)).then_some(words)
}

/// Whether a line, or its words, is a placeholder. Most lines are their words.
pub(super) fn is_any_placeholder(line: &str, words: &str) -> bool {
    is_placeholder(line) || line != words && is_placeholder(words)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    proptest! {
        #[test]
        fn words_are_single_spaced_without_emphasis(text in "[ *_~a-c\\[\\]()\\t\u{a0}\n]{0,30}") {
            let shown = plain(&text);
            prop_assert_eq!(&single_spaced(&shown), &shown);
        }

        #[test]
        fn the_end_of_a_line_is_read_whatever_is_before_it(before in "\\PC{0,200}", end in prop::sample::select(vec!["(done)", "- Completed", "（已完成）", "(ГОТОВО)", "✅", ""])) {
            let text = format!("{before} {end}");
            let is_finished = !end.is_empty() || ends_finished(before.trim_end());
            prop_assert_eq!(ends_finished(&text), is_finished);
        }
    }

    #[rstest]
    #[case("[ ] Write **it**", State::Open, "Write it")]
    #[case("[x] Write it", State::Finished, "Write it")]
    #[case("✅ Login", State::Finished, "Login")]
    #[case("~~Old~~", State::Finished, "Old")]
    #[case("Login ✅", State::Finished, "Login ✅")]
    #[case("Fix [the bug](https://example.org/1) now", State::Undeclared, "Fix the bug now")]
    #[case("[api] x", State::Undeclared, "[api] x")]
    #[case("[x](y.md) is a link", State::Undeclared, "x is a link")]
    #[case("[x]: https://example.org/plan", State::Undeclared, "[x]: https://example.org/plan")]
    fn a_line_has_a_state(#[case] line: &str, #[case] state: State, #[case] words: &str) {
        assert_eq!(read(line), (state, words.to_owned()));
    }

    #[rstest]
    #[case("_This is the foundation document that shapes all other files._", true)]
    #[case("> Dieses Dokument beschreibt den Stand.", true)]
    #[case("本文件记录项目的当前状态。", true)]
    #[case("The file server is down.", false)]
    fn a_line_introduces_its_document(#[case] line: &str, #[case] introduces: bool) {
        assert_eq!(is_introduction(line), introduces);
    }

    #[rstest]
    #[case("2. Use nom", "Use nom")]
    #[case("12) Use nom", "Use nom")]
    #[case("2.5 times faster", "2.5 times faster")]
    #[case("2026. A year", "2026. A year")]
    fn a_title_loses_its_number(#[case] text: &str, #[case] title: &str) {
        assert_eq!(without_ordinal(text), title);
    }

    #[rstest]
    #[case("✅ Complete", true)]
    #[case("Done", true)]
    #[case("100%", true)]
    #[case("已完成", true)]
    #[case("🔄 In progress", false)]
    #[case("Not started", false)]
    #[case("未完成", false)]
    #[case("0%", false)]
    fn a_status_says_whether_work_is_finished(#[case] status: &str, #[case] finished: bool) {
        assert_eq!(is_finished(status), finished);
    }
}
