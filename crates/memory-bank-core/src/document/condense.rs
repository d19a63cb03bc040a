//! The most valuable parts of a long document, within a bound: its beginning, its newest entries, and its headings.
//! The parts are whole lines of the document in their order. This module only reads.

use std::cmp::Reverse;
use std::ops::Range;

use jiff::civil::DateTime;

use crate::compact_sort::CompactSort as _;
use crate::document::date::{date_anywhere, date_at_start};
use crate::document::parts::{Lines, PartBounds, first_that_fit, json_chars};
use crate::document::section::Outline;
use crate::unicode::is_alphanumeric;

/// The most pieces of one document, since each has an overhead.
const MAX_PIECES: usize = 12;
/// The characters of a piece's JSON members, and of the call that reads the text omitted before it.
const PIECE_OVERHEAD_CHARS: usize = 110;
/// A longer block is selected line by line.
const MAX_BLOCK_CHARS: usize = 1500;
/// The share of the room, as a fraction, that the newest entries get before other sections are shown.
const NEWEST_SHARE: (usize, usize) = (3, 5);

/// Selected parts of a document.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Condensed<'t> {
    /// Top to bottom.
    pub pieces: Vec<Piece<'t>>,
    /// The lines between them, top to bottom: the first line, from 1, and how many.
    pub left_out: Vec<(usize, usize)>,
}

/// Consecutive lines of a document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Piece<'t> {
    /// The first line, from 1.
    pub from_line: usize,
    /// How many lines; the last one may be cut if a single line was too long.
    pub lines: usize,
    /// Their text.
    pub text: &'t str,
}

/// The most valuable parts, in at most `room` characters of JSON, overhead included.
#[must_use]
pub fn condense(text: &str, room: usize) -> Condensed<'_> {
    let blocks = blocks(text);
    let mut choice = Choice::new(&blocks, room);
    choice.take(0);
    choice.take(1);
    let mut dated: Vec<usize> =
        blocks.iter().enumerate().filter(|(_, block)| block.date.is_some()).map(|(at, _)| at).collect();
    // Entries of one date, and lines of one entry, keep the order of the document.
    dated.compact_sort_by_key(|at| Reverse(blocks.get(*at).and_then(|block| block.date)));
    let (part, whole) = NEWEST_SHARE;
    let newest_room = room.saturating_mul(part) / whole;
    for at in &dated {
        if choice.used >= newest_room {
            break;
        }
        choice.take(*at);
    }
    // Then the sections: each heading with its first line.
    for (at, block) in blocks.iter().enumerate() {
        if block.level.is_some_and(|level| level <= 3) && block.date.is_none() {
            choice.take(at);
            let is_own = blocks.get(at + 1).is_some_and(|below| below.level.is_none());
            if is_own && choice.has(at) {
                choice.take(at + 1);
            }
        }
    }
    // A log without dates may grow at its end.
    if dated.is_empty() {
        let from_end = blocks.len().saturating_sub(1);
        for at in (from_end.saturating_sub(8)..=from_end).rev() {
            choice.take(at);
        }
    }
    for at in dated.into_iter().chain(0..blocks.len()) {
        choice.take(at);
    }
    choice.condensed(text)
}

/// Lines that belong together.
#[derive(Debug)]
struct Block {
    range: Range<usize>,
    chars: usize,
    /// The level, if the block is a heading.
    level: Option<u8>,
    /// The positions of the headings above it.
    above: Vec<usize>,
    date: Option<DateTime>,
}

fn blocks(text: &str) -> Vec<Block> {
    let outline = Outline::of(text);
    let lines = Lines::of(text);
    let starts = block_starts(text, &outline, &lines);
    let ends = starts.iter().skip(1).copied().chain([text.len()]);
    let ranges: Vec<Range<usize>> = starts.iter().copied().zip(ends).map(|(start, end)| start..end).collect();
    let mut blocks: Vec<Block> = Vec::with_capacity(ranges.len());
    let mut above: Vec<(u8, usize, Option<DateTime>)> = Vec::new();
    let mut headings = outline.headings().iter().peekable();
    for range in ranges {
        let heading = headings.next_if(|heading| heading.range.start < range.end);
        let own = text.get(range.clone()).unwrap_or_default();
        let first =
            own.trim_start_matches(|character: char| character.is_whitespace() || "-*+".contains(character));
        let (level, date) = match heading {
            Some(heading) => {
                above.retain(|(level, _, _)| *level < heading.level);
                let below = text.get(heading.range.end..).unwrap_or_default();
                let date = date_anywhere(&heading.source).or_else(|| date_below(below));
                (Some(heading.level), date)
            }
            None => (None, date_at_start(first)),
        };
        let inherited = above.iter().rev().find_map(|(_, _, date)| *date);
        let date = date.or(inherited);
        let parents: Vec<usize> = above.iter().map(|(_, at, _)| *at).collect();
        if let Some(level) = level {
            // The title of the whole document is not an entry, even with a date.
            above.push((level, blocks.len(), if level == 1 { None } else { date }));
        }
        let chars = json_chars(own);
        if chars <= MAX_BLOCK_CHARS {
            blocks.push(Block { range, chars, level, above: parents, date });
            continue;
        }
        let (from, to) = (lines.at(range.start), lines.at(range.end));
        for line in from..to {
            let range = lines.start(line)..lines.start(line + 1);
            let chars = json_chars(text.get(range.clone()).unwrap_or_default());
            let level = level.filter(|_| line == from);
            blocks.push(Block { range, chars, level, above: parents.clone(), date });
        }
    }
    blocks
}

/// Where headings, items and paragraphs begin, and where the text below a heading does.
fn block_starts(text: &str, outline: &Outline<'_>, lines: &Lines) -> Vec<usize> {
    let line_start = |at: usize| lines.start(lines.at(at));
    let mut starts: Vec<usize> =
        outline.items().iter().filter(|item| item.depth == 0).map(|item| item.range.start).collect();
    for heading in outline.headings() {
        starts.extend([heading.range.start, heading.range.end]);
    }
    // A paragraph begins after a blank line.
    let is_blank = |index: usize| {
        text.get(lines.start(index)..lines.start(index + 1)).is_some_and(|line| line.trim().is_empty())
    };
    starts.extend(
        (1..lines.count())
            .filter(|index| is_blank(index - 1) && !is_blank(*index))
            .map(|index| lines.start(index)),
    );
    let mut starts: Vec<usize> =
        starts.into_iter().map(line_start).chain([0]).filter(|at| *at < text.len()).collect();
    starts.sort_unstable();
    starts.dedup();
    starts
}

/// The date on a line of its own below a heading, as in decisions (`- **Date:** 2026-11-22`).
fn date_below(text: &str) -> Option<DateTime> {
    let line = text.lines().find(|line| !line.trim().is_empty())?;
    let (label, value) = line.split_once(':')?;
    let is_label = label.chars().filter(|character| is_alphanumeric(*character)).count() <= 12
        && !label.chars().any(|character| character.is_ascii_digit());
    is_label.then(|| date_at_start(value)).flatten()
}

/// The blocks that are selected so far.
struct Choice<'b> {
    blocks: &'b [Block],
    taken: Vec<bool>,
    pieces: usize,
    used: usize,
    room: usize,
}

impl<'b> Choice<'b> {
    fn new(blocks: &'b [Block], room: usize) -> Self {
        // Reserve room for a note about lines that are omitted after the last piece.
        Self { blocks, taken: vec![false; blocks.len()], pieces: 0, used: PIECE_OVERHEAD_CHARS, room }
    }

    fn has(&self, at: usize) -> bool {
        self.taken.get(at).copied().unwrap_or_default()
    }

    /// Selects a block with the headings above it, if they fit.
    fn take(&mut self, at: usize) {
        let Some(block) = self.blocks.get(at).filter(|_| !self.has(at)) else { return };
        let mut selected: Vec<usize> =
            block.above.iter().copied().filter(|above| !self.has(*above)).collect();
        selected.push(at);
        selected.dedup();
        let (before, used) = (self.pieces, self.used);
        for at in &selected {
            let neighbours = usize::from(at.checked_sub(1).is_some_and(|above| self.has(above)))
                + usize::from(self.has(at + 1));
            self.pieces = (self.pieces + 1).saturating_sub(neighbours);
            self.used += self.blocks.get(*at).map_or(0, |block| block.chars);
            if let Some(taken) = self.taken.get_mut(*at) {
                *taken = true;
            }
        }
        self.used =
            (self.used + self.pieces * PIECE_OVERHEAD_CHARS).saturating_sub(before * PIECE_OVERHEAD_CHARS);
        if self.used > self.room || self.pieces > MAX_PIECES {
            for at in selected {
                if let Some(taken) = self.taken.get_mut(at) {
                    *taken = false;
                }
            }
            (self.pieces, self.used) = (before, used);
        }
    }

    fn condensed<'t>(&self, text: &'t str) -> Condensed<'t> {
        let lines = Lines::of(text);
        let mut found = Condensed::default();
        let mut ranges: Vec<Range<usize>> = Vec::new();
        for (block, _) in self.blocks.iter().zip(&self.taken).filter(|(_, taken)| **taken) {
            match ranges.last_mut() {
                Some(last) if last.end == block.range.start => last.end = block.range.end,
                _ => ranges.push(block.range.clone()),
            }
        }
        if ranges.is_empty() {
            // Nothing is short enough: use the beginning of the first line with content.
            let chars = self.room.saturating_sub(2 * PIECE_OVERHEAD_CHARS);
            let kept = first_that_fit(text, PartBounds { chars, bytes: usize::MAX });
            if !kept.is_empty() {
                ranges.push(0..kept.len());
            }
        }
        let mut reached = 0;
        for range in ranges {
            let (from, last) = (lines.at(range.start), lines.at(range.end.saturating_sub(1)));
            if from > reached {
                found.left_out.push((reached + 1, from - reached));
            }
            let text = text.get(range.clone()).unwrap_or_default();
            found.pieces.push(Piece { from_line: from + 1, lines: last + 1 - from, text });
            // A cut line counts as omitted, so that the caller reads all of it.
            let is_cut = range.end < lines.start(last + 1);
            reached = last + usize::from(!is_cut);
        }
        if reached < lines.count() {
            found.left_out.push((reached + 1, lines.count() - reached));
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn shown(condensed: &Condensed<'_>) -> String {
        condensed.pieces.iter().map(|piece| piece.text).collect()
    }

    fn cost(condensed: &Condensed<'_>) -> usize {
        condensed.pieces.iter().map(|piece| json_chars(piece.text) + 60).sum::<usize>()
            + condensed.left_out.len() * 40
    }

    #[test]
    fn a_log_shows_its_beginning_and_its_newest_entries_in_any_order() {
        let entry = |day: usize| {
            format!("- [2026-{:02}-{:02} 10:00:00] [eve] - did: thing {day}\n", 1 + day / 28, 1 + day % 28)
        };
        let entries: Vec<String> = (0..300).map(entry).collect();
        for newest_first in [false, true] {
            let mut sorted = entries.clone();
            if newest_first {
                sorted.reverse();
            }
            let text = format!(
                "# Progress\n\n## Milestones\n\n- ship it\n\n## Update History\n\n{}",
                sorted.concat()
            );
            let got = condense(&text, 3000);
            let all = shown(&got);
            assert!(
                all.contains("# Progress") && all.contains("ship it") && all.contains("## Update History")
            );
            assert!(
                all.contains("thing 299") && all.contains("thing 290") && !all.contains("thing 9\n"),
                "{all}"
            );
            assert!(cost(&got) <= 3000);
            let left: usize = got.left_out.iter().map(|(_, count)| count).sum();
            let lines: usize = got.pieces.iter().map(|piece| piece.lines).sum();
            assert_eq!(left + lines, text.lines().count());
        }
    }

    #[test]
    fn decisions_are_shown_newest_first_with_their_headings() {
        let decision = |day: usize| {
            format!(
                "## Decision {day}\n- **Date:** 2026-{:02}-{:02}\n- **Context:** why {day}\n- **Decision:** so {day}\n\n",
                1 + day / 28,
                1 + day % 28
            )
        };
        let text = format!("# Decision Log\n\n{}", (0..200).map(decision).collect::<String>());
        let all = shown(&condense(&text, 2500));
        assert!(all.starts_with("# Decision Log\n"));
        assert!(
            all.contains("## Decision 199\n- **Date:**") && all.contains("so 199") && all.contains("so 190"),
            "{all}"
        );
        assert!(!all.contains("so 9\n"), "{all}");
    }

    #[test]
    fn prose_without_dates_shows_the_beginning_of_each_section() {
        let section =
            |n: usize| format!("## Part {n}\n\nfirst of {n}\n\n{}\n\n", "and on and on ".repeat(60));
        let text = format!("# Patterns\n\n{}", (0..8).map(section).collect::<String>());
        let got = condense(&text, 2500);
        for n in 0..8 {
            assert!(shown(&got).contains(&format!("first of {n}")), "{n}: {}", shown(&got));
        }
    }

    #[test]
    fn a_very_long_line_is_cut() {
        let text = "x".repeat(100_000);
        let got = condense(&text, 2000);
        assert_eq!(got.pieces.len(), 1);
        assert!(got.pieces[0].text.len() > 1500 && cost(&got) <= 2000);
        assert_eq!(got.left_out, [(1, 1)]);
        assert_eq!(condense("", 2000), Condensed::default());
    }

    proptest! {
        #[test]
        fn pieces_are_lines_of_the_document_within_the_bound(
            text in "(#{0,3} ?[a-c2-]{0,12}(\r\n|\n){1,2}){0,60}",
            room in 400_usize..2000,
        ) {
            let got = condense(&text, room);
            prop_assert!(cost(&got) <= room);
            let lines = Lines::of(&text);
            let mut next = 1;
            let mut spans: Vec<(usize, usize)> =
                got.pieces.iter().map(|piece| (piece.from_line, piece.lines)).chain(got.left_out.clone()).collect();
            spans.sort_unstable();
            for (from, count) in spans {
                prop_assert_eq!(from, next);
                next += count;
            }
            prop_assert_eq!(next, lines.count() + 1);
            for piece in &got.pieces {
                let start = lines.start(piece.from_line - 1);
                prop_assert_eq!(text.get(start..start + piece.text.len()), Some(piece.text));
            }
        }
    }
}
