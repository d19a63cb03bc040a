//! Edits of documents: what an edit does not name stays.

use memory_bank_core::document::{Edit, apply_edits, unified_diff_within};
use memory_bank_core::mode::{Mode, parse_rules, starts_umb};

use crate::input::{lone_as_feeds, missing, texts, visible_lines};
use crate::roles::{check_edit_keeps_headings, check_roles};

/// The most bytes of a diff in these tests.
const DIFF_BYTES: usize = 4_000;

/// A document, and edits of three texts each: the kind, the place, and the new text.
pub(crate) fn section_edits(data: &[u8]) {
    let texts = texts(data, 31);
    let Some((document, edits)) = texts.split_first() else { return };
    let mut text = document.clone();
    check_roles(&text);
    for edit in edits.chunks_exact(3) {
        let [kind, place, new] = edit else { continue };
        let edit = edit_of(kind, place, new);
        let Ok(edited) = apply_edits(&text, std::slice::from_ref(&edit)) else { continue };
        check_edit(&text, &edit, &edited);
        check_edit_keeps_headings(&text, &edit, &edited);
        let diff = unified_diff_within("document.md", &text, &edited, DIFF_BYTES);
        assert_eq!(diff.is_empty(), text == edited, "the difference is shown");
        text = edited;
    }
    check_roles(&text);
}

fn edit_of(kind: &str, place: &str, new: &str) -> Edit {
    let (place, new) = (place.to_owned(), new.to_owned());
    match kind.chars().next() {
        Some('a') => Edit::Append { heading: place, text: new },
        Some('p') => Edit::Prepend { heading: place, text: new },
        Some('s') => Edit::ReplaceSection { heading: place, text: new },
        Some('b') => Edit::InsertBefore { matching: None, heading: Some(place), text: new },
        Some('n') => Edit::InsertAfter { matching: None, heading: Some(place), text: new },
        Some('B') => Edit::InsertBefore { matching: Some(place), heading: None, text: new },
        Some('N') => Edit::InsertAfter { matching: Some(place), heading: None, text: new },
        Some('x') => Edit::Archive { matching: None, heading: Some(place) },
        Some('X') => Edit::Archive { matching: Some(place), heading: None },
        _ => Edit::Replace { old: place, new, count: 1 },
    }
}

/// A text as it is, and with each kind of line ending.
fn with_each_ending(text: &str) -> [String; 3] {
    let lines = text.replace("\r\n", "\n");
    let other = lines.replace('\n', "\r\n");
    [text.to_owned(), lines, other]
}

/// Whether the first `old` became `new`. A carriage return that would become one line ending with a line feed behind it is one, too.
fn is_spliced(before: &str, old: &str, new: &str, after: &str) -> bool {
    let Some((head, tail)) = before.split_once(old) else { return false };
    let whole = format!("{head}{new}{tail}");
    let kept = |at: usize| {
        let parts = whole.get(..at).zip(whole.get(at..));
        let parted = parts.filter(|(front, rest)| front.ends_with('\r') && rest.starts_with('\n'));
        parted.is_some_and(|(front, rest)| {
            format!("{}\n{rest}", front.strip_suffix('\r').unwrap_or_default()) == after
        })
    };
    whole == after || kept(head.len()) || kept(head.len() + new.len())
}

/// The same for a text as an edit sees it. The parts may form a new line ending: a carriage return at the end of one, and a line feed at the
/// start of the next.
fn is_seen_spliced(seen: &str, old: &str, new: &str, after: &str) -> bool {
    let parts = seen.split_once(old);
    parts.is_some_and(|(head, tail)| lone_as_feeds(&format!("{head}{new}{tail}")) == lone_as_feeds(after))
}

fn check_edit(before: &str, edit: &Edit, after: &str) {
    match edit {
        Edit::Replace { old, new, count } => {
            // Both take the line endings of the document. A text without a carriage return alone is looked for as if the document
            // had none.
            let seen = if lone_as_feeds(old) == *old { lone_as_feeds(before) } else { before.to_owned() };
            let old = with_each_ending(old).into_iter().find(|old| seen.contains(old.as_str()));
            let old = old.expect("the replaced text was there");
            assert_eq!(seen.matches(old.as_str()).count(), *count, "as often as the edit says");
            let is_expected = |new: &String| {
                if seen == before {
                    is_spliced(before, &old, new, after)
                } else {
                    is_seen_spliced(&seen, &old, new, after)
                }
            };
            assert!(with_each_ending(new).iter().any(is_expected), "nothing else changes: {after:?}");
        }
        Edit::InsertBefore { text, .. }
        | Edit::InsertAfter { text, .. }
        | Edit::Append { text, .. }
        | Edit::Prepend { text, .. } => {
            let lost = missing(visible_lines(before), visible_lines(after));
            assert_eq!(lost, None, "an insertion keeps all lines of the document");
            let lost = missing(visible_lines(text), visible_lines(after));
            assert_eq!(lost, None, "an insertion has all lines of its text");
        }
        Edit::ReplaceSection { text, .. } => {
            let lost = missing(visible_lines(text), visible_lines(after));
            assert_eq!(lost, None, "the section has all lines of its new text");
        }
        Edit::Archive { .. } => {
            // The heading of an archived section gets another level.
            let mut lines: Vec<&str> =
                visible_lines(after).map(|line| line.trim_start_matches('#')).collect();
            for line in visible_lines(before).map(|line| line.trim_start_matches('#')) {
                let at = lines.iter().position(|other| *other == line);
                assert!(at.is_some(), "an archived document keeps `{line}`");
                lines.remove(at.unwrap_or_default());
            }
        }
    }
}

/// A file with the rules of a mode, and a command.
pub(crate) fn rules_files(data: &[u8]) {
    let texts = texts(data, 2);
    let text = |at: usize| texts.get(at).map_or("", String::as_str);
    for mode in Mode::ALL {
        let rules = parse_rules(mode, text(0));
        let _ = starts_umb(&rules, text(1));
        assert_eq!(parse_rules(mode, text(0)), rules, "the same file has the same rules");
    }
}
