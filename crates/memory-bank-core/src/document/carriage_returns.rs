//! Carriage returns without a line feed. In Markdown each ends a line, but the parser does not see that in code, comments and HTML,
//! and the rules of edits do not see it at all. So the parser and the rules get a text of the same length, in which each is a line
//! feed. The text before the change and the text behind it keep their carriage returns.

use std::borrow::Cow;

/// The text with a line feed for each carriage return without one. Offsets stay the same.
pub(crate) fn with_line_feeds(text: &str) -> Cow<'_, str> {
    let mut found = lone(text);
    let Some(first) = found.next() else { return Cow::Borrowed(text) };
    let mut new = String::with_capacity(text.len());
    let mut done = 0;
    for at in std::iter::once(first).chain(found) {
        new.push_str(text.get(done..at).unwrap_or_default());
        new.push('\n');
        done = at + 1;
    }
    new.push_str(text.get(done..).unwrap_or_default());
    Cow::Owned(new)
}

/// Edits a text by a rule that sees it [`with_line_feeds`].
///
/// # Errors
/// That of the rule.
pub(crate) fn edited<E>(text: &str, rule: impl FnOnce(&str) -> Result<String, E>) -> Result<String, E> {
    match with_line_feeds(text) {
        Cow::Borrowed(text) => rule(text),
        Cow::Owned(seen) => rule(&seen).map(|new| with_returns_of(text, &seen, new)),
    }
}

/// The edited text with the carriage returns of the old one before and behind the change. `seen` is the old text as the edit saw it.
fn with_returns_of(old: &str, seen: &str, new: String) -> String {
    let equal = |(one, other): &(u8, u8)| one == other;
    let mut head = seen.bytes().zip(new.bytes()).take_while(equal).count();
    let is_boundary = |at: usize| seen.is_char_boundary(at) && new.is_char_boundary(at);
    while !is_boundary(head) {
        head -= 1;
    }
    // Together with a line feed it would be the end of one line.
    let ends_with_one = |at: usize| old.as_bytes().get(..at).is_some_and(|head| head.ends_with(b"\r"));
    while ends_with_one(head) && new.as_bytes().get(head) == Some(&b'\n') {
        head -= 1;
    }
    let room = seen.len().min(new.len()) - head;
    let mut tail = seen.bytes().rev().zip(new.bytes().rev()).take(room).take_while(equal).count();
    while !seen.is_char_boundary(seen.len() - tail) || !new.is_char_boundary(new.len() - tail) {
        tail -= 1;
    }
    // The line feed of a new line ending, and no line of its own.
    let begins_with_one = |tail: usize| old.as_bytes().get(old.len() - tail) == Some(&b'\r');
    while tail > 0
        && begins_with_one(tail)
        && new.as_bytes().get(..new.len() - tail).is_some_and(|new| new.ends_with(b"\r"))
    {
        tail -= 1;
    }
    let parts = (old.get(..head), new.get(head..new.len() - tail), old.get(old.len() - tail..));
    let (Some(head), Some(middle), Some(tail)) = parts else { return new };
    let restored = [head, middle, tail].concat();
    // Whatever the bytes, the lines are those of the edit.
    if with_line_feeds(&restored) == with_line_feeds(&new) { restored } else { new }
}

/// Their offsets.
fn lone(text: &str) -> impl Iterator<Item = usize> {
    let bytes = text.as_bytes();
    memchr::memchr_iter(b'\r', bytes).filter(|at| bytes.get(at + 1) != Some(&b'\n'))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("one\r\ntwo\n", "one\r\ntwo\n")]
    #[case("one\rtwo\r\r\nthree\r", "one\ntwo\n\r\nthree\n")]
    #[case("eins\räöü\r\rzwei", "eins\näöü\n\nzwei")]
    fn a_carriage_return_alone_is_a_line_feed(#[case] text: &str, #[case] seen: &str) {
        assert_eq!(with_line_feeds(text), seen);
    }

    #[rstest]
    // Nothing else changes.
    #[case("a\rb\rc\rd\r", "b\n", "", "a\rc\rd\r")]
    #[case("a\rb\rc\rd\r", "c", "x", "a\rb\rx\rd\r")]
    #[case("a\rb\r", "b", "ä", "a\rä\r")]
    #[case("ä\rb\r", "ä", "ö", "ö\rb\r")]
    // The blank line behind the removed one stays a line.
    #[case("a\rb\n\nc\n", "b\n", "", "a\n\nc\n")]
    #[case("a\rb\n\nc\r", "b\n", "", "a\n\nc\r")]
    #[case("a\n", "a", "b", "b\n")]
    // A line ending of the new text stays one.
    #[case("a\r\nb\rc\r\n", "b\n", "x\r\n", "a\r\nx\r\nc\r\n")]
    #[case("a\rb\r", "a\nb", "a\r\nb", "a\r\nb\r")]
    fn what_an_edit_leaves_keeps_them(
        #[case] text: &str,
        #[case] old: &str,
        #[case] new: &str,
        #[case] expected: &str,
    ) {
        let result = edited(text, |seen| Ok::<_, ()>(seen.replacen(old, new, 1)));
        assert_eq!(result.unwrap(), expected);
    }

    proptest! {
        #[test]
        fn the_lines_are_those_of_the_edit(
            text in prop::collection::vec(prop::sample::select(vec!["a", "ä", "\r", "\n", "\r\n"]), 0..12),
            from in 0_usize..12,
            to in 0_usize..12,
            put in prop::sample::select(vec!["", "x", "\n", "x\n", "ä", "\r\n", "x\r\n", "x\r", "\rx"]),
        ) {
            let (from, to) = (from.min(text.len()), to.min(text.len()));
            let (from, to) = (from.min(to), from.max(to));
            let whole = text.concat();
            let mut wanted = String::new();
            let result = edited(&whole, |seen| {
                let head: usize = text.get(..from).unwrap_or_default().iter().map(|part| part.len()).sum();
                let tail: usize = text.get(to..).unwrap_or_default().iter().map(|part| part.len()).sum();
                let (before, after) = (seen.get(..head).unwrap(), seen.get(seen.len() - tail..).unwrap());
                wanted = [before, put, after].concat();
                Ok::<_, ()>(wanted.clone())
            });
            prop_assert_eq!(with_line_feeds(&result.unwrap()).into_owned(), with_line_feeds(&wanted).into_owned());
        }
    }
}
