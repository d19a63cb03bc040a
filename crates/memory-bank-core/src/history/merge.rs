//! A change of lines is taken back, while later changes of other lines stay.

use crate::compact_sort::CompactSort as _;
use std::ops::Range;
use std::time::Duration;

use similar::{Algorithm, DiffTag, TextDiff};

/// The time limit of each shortest difference. After it the difference is correct but coarser, so more conflicts are found.
const TIME_LIMIT: Duration = Duration::from_millis(200);

/// Lines of the current text, counted from 1; an empty range (`to` before `from`) is the place of removed lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LineRange {
    /// The first line.
    pub from: usize,
    /// The last line.
    pub to: usize,
}

/// Lines that replace others.
struct Hunk {
    /// The replaced lines of the base.
    base: Range<usize>,
    /// The lines of the other text.
    new: Range<usize>,
}

/// Takes back the change from `before` to `after`, in a text that has changed further, to `current`.
///
/// # Errors
/// Lines that the change wrote or removed were changed again: these lines of the current text.
pub fn take_back_lines(before: &str, after: &str, current: &str) -> Result<String, Vec<LineRange>> {
    if current == after {
        return Ok(before.to_owned());
    }
    if current == before || before == after {
        return Ok(current.to_owned());
    }
    let diff =
        |new| TextDiff::configure().algorithm(Algorithm::Myers).timeout(TIME_LIMIT).diff_lines(after, new);
    let (back, since) = (diff(before), diff(current));
    let (undone, later) = (hunks(&back), hunks(&since));
    let lines = |diff: &TextDiff<'_, '_, '_, str>, hunk: &Hunk| -> String {
        diff.new_slices().get(hunk.new.clone()).unwrap_or_default().concat()
    };
    let mut conflicts = Vec::new();
    let mut edits: Vec<(Range<usize>, String)> = Vec::new();
    for hunk in &undone {
        let touched: Vec<&Hunk> = later.iter().filter(|other| overlap(&hunk.base, &other.base)).collect();
        match touched.as_slice() {
            [] => edits.push((hunk.base.clone(), lines(&back, hunk))),
            // The same lines were taken back already.
            [other] if other.base == hunk.base && lines(&since, other) == lines(&back, hunk) => {}
            _ => conflicts.extend(
                touched.iter().map(|other| LineRange { from: other.new.start + 1, to: other.new.end }),
            ),
        }
    }
    if !conflicts.is_empty() {
        conflicts.dedup();
        return Err(conflicts);
    }
    edits.extend(later.iter().map(|hunk| (hunk.base.clone(), lines(&since, hunk))));
    // Of two edits at one place, the one that only inserts comes first.
    edits.compact_sort_by_key(|(base, _)| (base.start, base.end));
    let mut merged = String::with_capacity(current.len());
    let mut at = 0;
    for (base, text) in edits {
        merged.extend(since.old_slices().get(at..base.start).unwrap_or_default().iter().copied());
        merged.push_str(&text);
        at = base.end;
    }
    merged.extend(since.old_slices().get(at..).unwrap_or_default().iter().copied());
    Ok(merged)
}

fn hunks(diff: &TextDiff<'_, '_, '_, str>) -> Vec<Hunk> {
    let mut hunks: Vec<Hunk> = Vec::new();
    let (mut old_at, mut new_at) = (0, 0);
    for op in diff.ops() {
        // The library moves operations without the place of the other text, so places are counted here.
        let (base, new) = (old_at..old_at + op.old_range().len(), new_at..new_at + op.new_range().len());
        (old_at, new_at) = (base.end, new.end);
        if op.tag() == DiffTag::Equal {
            continue;
        }
        match hunks.last_mut() {
            Some(last) if last.base.end == base.start && last.new.end == new.start => {
                (last.base.end, last.new.end) = (base.end, new.end);
            }
            _ => hunks.push(Hunk { base, new }),
        }
    }
    hunks
}

/// Whether two changes of the base touch the same lines. Neighbouring lines are different lines; of two insertions at one
/// place the order is unknown.
fn overlap(one: &Range<usize>, other: &Range<usize>) -> bool {
    match (one.is_empty(), other.is_empty()) {
        (true, true) => one.start == other.start,
        (true, false) => other.start < one.start && one.start < other.end,
        (false, true) => one.start < other.start && other.start < one.end,
        (false, false) => one.start < other.end && other.start < one.end,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_entry_is_taken_back_from_a_log_that_others_continued() {
        let (before, after) = ("# Log\n- one\n", "# Log\n- one\n- mine\n");
        let current = "# Log\n- zero\n- one\n- mine\n- theirs\n";
        assert_eq!(take_back_lines(before, after, current).unwrap(), "# Log\n- zero\n- one\n- theirs\n");
    }

    #[test]
    fn a_removed_line_comes_back_beside_a_changed_one() {
        let merged = take_back_lines("a\nb\nc\n", "a\nc\n", "a\nC\n").unwrap();
        assert_eq!(merged, "a\nb\nC\n");
    }

    #[test]
    fn lines_that_were_changed_again_are_named() {
        let conflict = take_back_lines("a\nb\nc\n", "a\nmine\nc\n", "x\na\ntheirs\nc\n").unwrap_err();
        assert_eq!(conflict, [LineRange { from: 3, to: 3 }]);
        // Lines inside of a removed part cannot be placed.
        assert!(take_back_lines("a\nd\n", "a\nb\nc\nd\n", "a\nb\nnew\nc\nd\n").is_err());
        // The order of two insertions at one place is unknown.
        assert!(take_back_lines("a\nmine\nb\n", "a\nb\n", "a\ntheirs\nb\n").is_err());
    }

    #[test]
    fn the_place_of_an_insertion_is_that_in_the_base() {
        let (before, after) = ("a\na\nc\n1\n2\n", "b\nb\nb\nb\nb\na\n1\n2\n");
        let merged = take_back_lines(before, after, &format!("{after}x\n"));
        assert_eq!(merged.unwrap(), format!("{before}x\n"));
    }

    #[test]
    fn a_change_that_was_taken_back_already_changes_nothing() {
        let (before, after) = ("a\nb\nc\nd\ne\n", "a\nB\nc\nd\ne\n");
        assert_eq!(take_back_lines(before, after, "a\nb\nc\nd\nE\n").unwrap(), "a\nb\nc\nd\nE\n");
    }

    #[test]
    fn a_last_line_without_an_end_is_a_line_of_its_own() {
        assert_eq!(take_back_lines("a\n", "a\nb", "x\na\nb").unwrap(), "x\na\n");
        assert!(take_back_lines("a\n", "a\nb", "a\nb\nc\n").is_err());
    }

    proptest! {
        #[test]
        fn a_change_alone_is_taken_back_exactly(before in "([abc]\n){0,12}", after in "([abc]\n){0,12}") {
            prop_assert_eq!(&take_back_lines(&before, &after, &after).unwrap(), &before);
            prop_assert_eq!(&take_back_lines(&before, &after, &before).unwrap(), &before);
        }

        /// Lines of one author above a mark, and of another one below it, never touch each other.
        #[test]
        fn changes_on_either_side_of_a_line_do_not_disturb_each_other(
            (mine, changed) in ("([abc]\n){0,8}", "([abc]\n){0,8}"),
            (theirs, later) in ("([xyz]\n){0,8}", "([xyz]\n){0,8}"),
        ) {
            let text = |one: &str, other: &str| format!("{one}--- 1\n--- 2\n{other}");
            let merged = take_back_lines(&text(&mine, &theirs), &text(&changed, &theirs), &text(&changed, &later));
            prop_assert_eq!(merged.unwrap(), text(&mine, &later));
        }
    }
}
