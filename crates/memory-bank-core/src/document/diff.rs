//! A short unified diff between two texts.

use std::time::Duration;

use memchr::{memchr, memrchr};
use similar::udiff::UnifiedHunkHeader;
use similar::{Algorithm, DiffOp, TextDiff};

use crate::limits;

/// The unchanged lines beside a change that a diff shows.
const CONTEXT_LINES: usize = 2;
/// The unchanged lines at both ends that are compared all the same: among equal lines, the diff chooses which one is the changed one.
const COMPARED_LINES: usize = 32;

/// The time limit for the shortest diff; after it, the diff is correct but may be longer.
const TIME_LIMIT: Duration = Duration::from_millis(100);

/// A unified diff with two lines of context, cut at a line to [`limits::DIFF_CHARS`]; empty if nothing changed.
#[must_use]
pub fn unified_diff(name: &str, old: &str, new: &str) -> String {
    unified_diff_within(name, old, new, limits::DIFF_CHARS)
}

/// A unified diff with two lines of context, cut at a line to `most` characters; empty if nothing changed.
#[must_use]
pub fn unified_diff_within(name: &str, old: &str, new: &str, most: usize) -> String {
    diff_in(TIME_LIMIT, name, old, new, most)
}

fn diff_in(limit: Duration, name: &str, old: &str, new: &str, most: usize) -> String {
    if old == new {
        return String::new();
    }
    let (start, end) = common_ends(old.as_bytes(), new.as_bytes());
    let part = |text: &str| text.get(start..text.len() - end).unwrap_or_default().to_owned();
    let (old_part, new_part) = (part(old), part(new));
    let skipped = count_lines(old.as_bytes().get(..start).unwrap_or_default());
    let diff =
        TextDiff::configure().algorithm(Algorithm::Myers).timeout(limit).diff_lines(&old_part, &new_part);
    let mut whole = format!("--- {name}\n+++ {name}\n");
    for hunk in diff.unified_diff().context_radius(CONTEXT_LINES).iter_hunks() {
        let moved: Vec<DiffOp> = hunk.ops().iter().map(|op| moved_down(*op, skipped)).collect();
        let text = hunk.to_string();
        let lines = text.split_once('\n').map_or("", |(_, lines)| lines);
        whole.push_str(&format!("{}\n{lines}", UnifiedHunkHeader::new(&moved)));
    }
    cut(&whole, most)
}

/// The bytes at the beginning and at the end that two texts share, in whole lines, without the lines next to what differs.
fn common_ends(old: &[u8], new: &[u8]) -> (usize, usize) {
    let same = old.iter().zip(new).take_while(|(one, other)| one == other).count();
    let mut start = old.get(..same).and_then(|same| memrchr(b'\n', same)).map_or(0, |at| at + 1);
    for _ in 0..COMPARED_LINES {
        let before = old.get(..start.saturating_sub(1)).unwrap_or_default();
        start = memrchr(b'\n', before).map_or(0, |at| at + 1);
    }
    let room = old.len().min(new.len()) - start;
    let same =
        old.iter().rev().zip(new.iter().rev()).take(room).take_while(|(one, other)| one == other).count();
    let mut end = same;
    // The common end may begin inside a line.
    for _ in 0..=COMPARED_LINES {
        let tail = old.get(old.len() - end..).unwrap_or_default();
        end = memchr(b'\n', tail).map_or(0, |at| end - at - 1);
    }
    (start, end)
}

/// The lines of whole lines: a carriage return alone ends one, too.
fn count_lines(bytes: &[u8]) -> usize {
    let ends = |at: usize, byte: u8| byte == b'\n' || byte == b'\r' && bytes.get(at + 1) != Some(&b'\n');
    bytes.iter().enumerate().filter(|(at, byte)| ends(*at, **byte)).count()
}

fn moved_down(op: DiffOp, lines: usize) -> DiffOp {
    match op {
        DiffOp::Equal { old_index, new_index, len } => {
            DiffOp::Equal { old_index: old_index + lines, new_index: new_index + lines, len }
        }
        DiffOp::Delete { old_index, old_len, new_index } => {
            DiffOp::Delete { old_index: old_index + lines, old_len, new_index: new_index + lines }
        }
        DiffOp::Insert { old_index, new_index, new_len } => {
            DiffOp::Insert { old_index: old_index + lines, new_index: new_index + lines, new_len }
        }
        DiffOp::Replace { old_index, old_len, new_index, new_len } => {
            DiffOp::Replace { old_index: old_index + lines, old_len, new_index: new_index + lines, new_len }
        }
    }
}

fn cut(diff: &str, most: usize) -> String {
    if diff.chars().count() <= most {
        return diff.to_owned();
    }
    let mut kept = String::new();
    let mut chars = 0;
    let mut lines = diff.split_inclusive('\n');
    for line in lines.by_ref() {
        let length = line.chars().count();
        if chars + length > most {
            let room = most.saturating_sub(chars);
            // Show a part of a single line that is longer than the bound; otherwise the diff would be empty.
            if room > most / 2 {
                kept.extend(line.chars().take(room));
                kept.push_str("…\n");
            }
            break;
        }
        chars += length;
        kept.push_str(line);
    }
    let left = lines.count();
    kept.push_str(&format!("… the diff is cut here ({left} more lines)\n"));
    kept
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The diff by the library, over the whole texts.
    fn by_the_library(old: &str, new: &str) -> String {
        let diff = TextDiff::configure().algorithm(Algorithm::Myers).diff_lines(old, new);
        diff.unified_diff().context_radius(CONTEXT_LINES).header("a.md", "a.md").to_string()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(300))]

        #[test]
        fn the_difference_is_that_of_the_whole_texts(
            head in prop::collection::vec("[a-d]{0,2}(\r\n|\n|\r)", 0..120),
            old in "[a-d\n]{0,30}", new in "[a-dä\n]{0,30}",
            tail in prop::collection::vec("[a-d]{0,2}(\r\n|\n|\r)?", 0..120),
        ) {
            let text = |middle: &str| format!("{}{middle}{}", head.concat(), tail.concat());
            let (old, new) = (text(&old), text(&new));
            // However slow the machine is.
            let shown = diff_in(Duration::from_secs(3600), "a.md", &old, &new, usize::MAX);
            if old == new {
                prop_assert_eq!(shown, "");
            } else {
                prop_assert_eq!(shown, by_the_library(&old, &new));
            }
        }
    }
}
