//! A cache of parsed structures: large texts are not parsed again, and the structure of a text with a few inserted
//! lines is derived from the previous one.
//!
//! Agents append to logs of hundreds of kilobytes, many times a second. An edit parses the text that the edit before
//! it has just checked, and then a text that differs from it in a few lines. A cached structure equals a parsed one;
//! a test compares both on random texts.

use parking_lot::Mutex;
use std::borrow::Cow;
use std::ops::Range;
use std::sync::{Arc, LazyLock};

use crate::document::carriage_returns::with_line_feeds;
use crate::document::conflict;
use crate::document::dialect::front_matter;
use crate::document::line_bounds::count_lines;
use crate::document::structure::{Heading, Item, Structure};

/// Texts below this size are parsed as fast as they are compared.
const MIN_TEXT_BYTES: usize = 4 * 1024;
/// The most bytes of texts and structures in the whole process.
const MAX_BYTES: usize = 8 * 1024 * 1024;
/// The most texts.
const MAX_TEXTS: usize = 64;

/// The texts, the most recently used last. The whole text is compared, so that structures are never confused.
static CACHE: LazyLock<Mutex<Vec<Entry>>> = LazyLock::new(Mutex::default);

#[derive(Debug)]
struct Entry {
    text: Box<str>,
    structure: Arc<Structure>,
    bytes: usize,
}

/// The structure of this text.
pub(super) fn structure_of(text: &str) -> Arc<Structure> {
    if text.len() < MIN_TEXT_BYTES {
        return Arc::new(Structure::of(text));
    }
    if let Some(known) = find(text) {
        return known;
    }
    let structure = Arc::new(Structure::of(text));
    keep(text, &structure, None);
    structure
}

/// The structure of a text that is the old one with an insertion at this offset.
pub(super) fn structure_with_insertion(
    (old, known): (&str, &Arc<Structure>),
    new: &str,
    at: usize,
) -> Arc<Structure> {
    if new.len() < MIN_TEXT_BYTES {
        return Arc::new(Structure::of(new));
    }
    let structure = Arc::new(carry_over(old, known, new, at).unwrap_or_else(|| Structure::of(new)));
    keep(new, &structure, Some(known));
    structure
}

fn find(text: &str) -> Option<Arc<Structure>> {
    let mut cache = CACHE.lock();
    let found = cache.iter().rposition(|entry| *entry.text == *text)?;
    let entry = cache.remove(found);
    let structure = Arc::clone(&entry.structure);
    cache.push(entry);
    Some(structure)
}

/// Stores a structure; it replaces the previous one, if there is one.
fn keep(text: &str, structure: &Arc<Structure>, before: Option<&Arc<Structure>>) {
    let bytes = text.len() + bytes_of(structure);
    if bytes > MAX_BYTES / 2 {
        return;
    }
    let entry = Entry { text: text.into(), structure: Arc::clone(structure), bytes };
    let mut cache = CACHE.lock();
    let is_before = |other: &Entry| before.is_some_and(|before| Arc::ptr_eq(before, &other.structure));
    cache.retain(|other| !is_before(other) && *other.text != *text);
    cache.push(entry);
    let mut held: usize = cache.iter().map(|entry| entry.bytes).sum();
    let surplus = cache.len().saturating_sub(MAX_TEXTS);
    let dropped = cache
        .iter()
        .take_while(|entry| {
            let over = held > MAX_BYTES;
            held = held.saturating_sub(entry.bytes);
            over
        })
        .count();
    drop(cache.drain(..dropped.max(surplus)));
}

fn bytes_of(structure: &Structure) -> usize {
    // A shared text is preceded by two counters.
    let counters = 2 * size_of::<usize>();
    let headings = structure.headings.iter().map(|heading| heading.title.len() + heading.source.len());
    let items = structure.items.iter().map(|item| item.text.len());
    headings.map(|words| words + 2 * counters + size_of::<Heading>()).sum::<usize>()
        + items.map(|words| words + counters + size_of::<Item>()).sum::<usize>()
}

/// Derives the structure of `new`, which is `old` with an insertion at `at`, from that of `old`. `None` if it cannot
/// be shown to be correct.
///
/// Markdown's blocks are found line by line. After a line that is a heading of its own (`## …`) no block is open, and
/// after the first line of an item outside of other items, only that item is open. So the text is parsed from the
/// heading above the insertion to the end of the first such line below it. If that line is unchanged, so is
/// everything below it. Links that are defined elsewhere change only the words of a heading: if the lines between
/// contain a definition, or a heading with a bracket, everything is parsed.
fn carry_over(old: &str, known: &Structure, new: &str, at: usize) -> Option<Structure> {
    let added = new.len().checked_sub(old.len())?;
    let head = front_matter(old);
    // Only a whole text knows which carriage return is one alone.
    if matches!(with_line_feeds(new), Cow::Owned(_)) {
        return None;
    }
    if at < head || !known.conflicts.is_empty() || conflict::may_have(new) || front_matter(new) != head {
        return None;
    }
    if !is_line_start(old, at) && at < old.len() {
        return None;
    }
    let above = known.headings.iter().rposition(|heading| heading.range.end <= at);
    let above = above.and_then(|above| known.headings.get(above));
    let top = match above {
        Some(heading) if is_plain_heading(old, &heading.range) => heading.range.start,
        None if head == 0 => 0,
        _ => return None,
    };
    let sync_point = SyncPoint::find(old, known, at);
    let old_end = sync_point.as_ref().map_or(old.len(), |sync_point| sync_point.line_end);
    let new_end = old_end + added;
    let (between, changed) = (old.get(top..old_end)?, new.get(top..new_end)?);
    if between.contains("]:") || changed.contains("]:") {
        return None;
    }
    let first_line = above.map_or(1, |heading| heading.line);
    let part = Structure::of(changed);
    let start = sync_point.as_ref().map_or(old.len(), |sync_point| sync_point.start);
    let limit = start + added;
    if !sync_point.as_ref().is_none_or(|sync_point| sync_point.is_in(&part, limit - top)) {
        return None;
    }
    let change = Change { top, start, limit, added, first_line, added_lines: added_lines(between, changed) };
    change.apply(known, &part, above)
}

fn added_lines(between: &str, changed: &str) -> usize {
    count_lines(changed, 0..changed.len()) - count_lines(between, 0..between.len())
}

/// The part of a text that was parsed again.
struct Change {
    /// Where it begins.
    top: usize,
    /// Where it ends in the old text, and in the new one.
    start: usize,
    limit: usize,
    /// How many bytes and lines longer it is.
    added: usize,
    added_lines: usize,
    /// The number of its first line.
    first_line: usize,
}

impl Change {
    /// The known structure above, the parsed structure of the part, and the known structure below.
    fn apply(&self, known: &Structure, part: &Structure, above: Option<&Heading>) -> Option<Structure> {
        let mut structure =
            Structure { headings: self.headings(known, part, above)?, ..Structure::default() };
        let items = |range: Range<usize>| {
            let from = known.items.partition_point(|item| item.range.start < range.start);
            let to = known.items.partition_point(|item| item.range.start < range.end);
            known.items.get(from..to).unwrap_or_default()
        };
        let moved = |item: &Item, by| Item { range: shift(&item.range, by), ..item.clone() };
        let of_part = |at: usize| at + self.top < self.limit;
        structure.items.reserve(known.items.len() + part.items.len());
        structure.items.extend_from_slice(items(0..self.top));
        let parsed = part.items.iter().filter(|item| of_part(item.range.start));
        structure.items.extend(parsed.map(|item| moved(item, self.top)));
        structure.items.extend(items(self.start..usize::MAX).iter().map(|item| moved(item, self.added)));
        structure.rules.extend(known.rules.iter().filter(|rule| rule.start < self.top).cloned());
        let parsed = part.rules.iter().filter(|rule| of_part(rule.start));
        structure.rules.extend(parsed.map(|rule| shift(rule, self.top)));
        let below = known.rules.iter().filter(|rule| rule.start >= self.start);
        structure.rules.extend(below.map(|rule| shift(rule, self.added)));
        Some(structure)
    }

    fn headings(&self, known: &Structure, part: &Structure, above: Option<&Heading>) -> Option<Vec<Heading>> {
        let kept = known.headings.partition_point(|heading| heading.range.start < self.top);
        let mut headings = known.headings.get(..kept)?.to_vec();
        for heading in part.headings.iter().filter(|heading| heading.range.start + self.top < self.limit) {
            // The words of the heading above are known; they do not depend on the lines in between.
            let words = match above {
                Some(above) if heading.range.start == 0 => above,
                _ if heading.source.contains('[') => return None,
                _ => heading,
            };
            headings.push(Heading {
                range: shift(&heading.range, self.top),
                line: heading.line + self.first_line - 1,
                ..words.clone()
            });
        }
        let below = known.headings.partition_point(|heading| heading.range.start < self.start);
        headings.extend(known.headings.iter().skip(below).map(|heading| Heading {
            range: shift(&heading.range, self.added),
            line: heading.line + self.added_lines,
            ..heading.clone()
        }));
        Some(headings)
    }
}

/// The first line at or below an insertion after which the parser's state is known.
struct SyncPoint<'s> {
    start: usize,
    line_end: usize,
    is: SyncElement<'s>,
}

enum SyncElement<'s> {
    Heading(&'s Heading),
    Item(&'s Item),
}

impl<'s> SyncPoint<'s> {
    fn find(old: &str, known: &'s Structure, at: usize) -> Option<Self> {
        let headings = known.headings.partition_point(|heading| heading.range.start < at);
        let heading = known
            .headings
            .iter()
            .skip(headings)
            .find(|heading| is_plain_heading(old, &heading.range))
            .map(|heading| (heading.range.start, SyncElement::Heading(heading)));
        let items = known.items.partition_point(|item| item.range.start < at);
        let item = known
            .items
            .iter()
            .skip(items)
            .find(|item| item.depth == 0)
            .map(|item| (item.range.start, SyncElement::Item(item)));
        let (start, is) = [heading, item].into_iter().flatten().min_by_key(|(start, _)| *start)?;
        let rest = old.get(start..)?;
        let line_end = rest.find('\n').map_or(old.len(), |newline| start + newline + 1);
        Some(Self { start, line_end, is })
    }

    /// Whether the line is the same in a part of the new text, at this offset.
    fn is_in(&self, part: &Structure, at: usize) -> bool {
        match self.is {
            SyncElement::Heading(old) => {
                part.headings.iter().any(|new| new.range.start == at && new.level == old.level)
            }
            SyncElement::Item(old) => part
                .items
                .iter()
                .any(|new| new.range.start == at && new.depth == 0 && new.marker == old.marker),
        }
    }
}

/// A heading on one line of its own. One that is underlined has two, and the first may be the end of a paragraph.
fn is_plain_heading(text: &str, range: &Range<usize>) -> bool {
    let source = text.get(range.clone()).unwrap_or_default();
    source.trim_start().starts_with('#') && !source.trim_end_matches(['\r', '\n']).contains('\n')
}

fn is_line_start(text: &str, at: usize) -> bool {
    at == 0 || text.as_bytes().get(at - 1) == Some(&b'\n')
}

fn shift(range: &Range<usize>, by: usize) -> Range<usize> {
    range.start + by..range.end + by
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Lines that open, close, interrupt and continue Markdown's blocks.
    const LINES: &[&str] = &[
        "## Log",
        "# Top",
        "### [2026-11-22] Entry",
        "## `code` and *more*",
        "- one",
        "- two [x]",
        "* star",
        "1. first",
        "2) other",
        "  - nested",
        "    deep",
        "  continued",
        "plain words",
        "=====",
        "-----",
        "---",
        "***",
        "",
        "",
        "```",
        "~~~",
        "> quote",
        "> - in a quote",
        "<!--",
        "-->",
        "<div>",
        "</div>",
        "<pre>",
        "| a | b |",
        "|---|---|",
        "[x]: /url",
        "[x]",
        "## [x] linked",
        "\tindented",
        "<<<<<<< HEAD",
        "=======",
        ">>>>>>> b",
        "-",
        "- ",
        "- ```",
        "- > q",
        "- # inner",
        "+ plus",
        "   ## shifted",
        "#hash",
        "\u{feff}",
        "a\r",
        "- [ ] task",
    ];

    fn lines(most: usize) -> impl Strategy<Value = Vec<&'static str>> {
        proptest::collection::vec(proptest::sample::select(LINES), 0..most)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(8000))]

        #[test]
        fn a_derived_structure_equals_a_parsed_one(
            old in lines(24),
            put_in in lines(5),
            place in any::<prop::sample::Index>(),
            ends in any::<bool>(),
        ) {
            let mut text = old.join("\n");
            if ends { text.push('\n'); }
            let starts: Vec<usize> = std::iter::once(0)
                .chain(text.match_indices('\n').map(|(at, _)| at + 1))
                .chain([text.len()])
                .collect();
            let at = *place.get(&starts);
            let mut lines = put_in.join("\n");
            if at == text.len() && !ends { lines.insert(0, '\n'); } else { lines.push('\n'); }
            let mut new = text.clone();
            new.insert_str(at, &lines);
            if let Some(carried) = carry_over(&text, &Structure::of(&text), &new, at) {
                prop_assert_eq!(carried, Structure::of(&new), "{:?} with {:?} at {}", text, lines, at);
            }
        }
    }

    #[test]
    fn entries_of_a_log_are_carried_over_without_parsing_the_rest() {
        let entries: String = (0..200).map(|n| format!("- [2026-11-22 09:30:07] [a] - Did: {n}\n")).collect();
        let blocks: String = (0..200).map(|n| format!("### Nov 22, 2026\n\nwords {n}\n\n---\n\n")).collect();
        for (log, entry) in
            [(entries, "- [2026-11-22] new\n"), (blocks, "\n### Nov 23, 2026\n\nnew\n\n---\n\n")]
        {
            let old = format!("# Progress\n\n## Update History\n{log}");
            let at = "# Progress\n\n## Update History\n".len();
            let mut new = old.clone();
            new.insert_str(at, entry);
            assert_eq!(carry_over(&old, &Structure::of(&old), &new, at), Some(Structure::of(&new)));
        }
    }

    #[test]
    fn the_cache_keeps_within_its_bounds() {
        for n in 0..2 * MAX_TEXTS {
            let size = if n % 2 == 0 { MIN_TEXT_BYTES } else { MAX_BYTES / 8 };
            let text = format!("{n} {}", "words ".repeat(size / 6 + 1));
            assert_eq!(*structure_of(&text), Structure::of(&text));
            assert_eq!(find(&text).as_deref(), Some(&Structure::of(&text)));
        }
        let cache = CACHE.lock();
        assert!(cache.len() <= MAX_TEXTS, "{}", cache.len());
        assert!(cache.iter().map(|entry| entry.bytes).sum::<usize>() <= MAX_BYTES);
    }
}
