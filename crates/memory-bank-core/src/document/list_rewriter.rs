//! Rewrites a text without some of its list items and with other lines inserted, in one pass. Where two blocks would
//! merge, a blank line is inserted.

use std::ops::Range;

use crate::document::section::{Item, LineEnding, Outline};

pub(super) struct ListRewriter<'o> {
    outline: &'o Outline<'o>,
    /// For each item, the end of the items up to it.
    reach: Vec<usize>,
    ending: LineEnding,
    new: String,
    /// The offset up to which the old text is processed.
    at: usize,
    /// The end of the new text, if the next text was not adjacent to it in the old text.
    joint: Option<Edge>,
}

/// The kind of text at one side of a joint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Edge {
    /// Nothing, a blank line, or a heading: text beside it cannot merge with it.
    Open,
    Item,
    Text,
}

impl<'o> ListRewriter<'o> {
    pub(super) fn of(outline: &'o Outline<'o>) -> Self {
        let reach = outline.items().iter().scan(0, |end, item| {
            *end = item.range.end.max(*end);
            Some(*end)
        });
        Self {
            outline,
            reach: reach.collect(),
            ending: LineEnding::of(outline.text()),
            new: String::with_capacity(outline.text().len()),
            at: 0,
            joint: None,
        }
    }

    /// Removes an item except for these lines of it, with the blank lines up to the next item of the list.
    pub(super) fn take(&mut self, item: &Item, strays: &[Range<usize>]) {
        self.go_to(item.range.start);
        if self.joint.is_none() {
            self.joint = Some(self.edge_above(item.range.start));
        }
        self.at = item.range.end.max(self.at);
        if strays.is_empty() {
            self.at = self.gap_end(item).max(self.at);
            return;
        }
        for stray in strays {
            if self.joint != Some(Edge::Open) {
                self.new.push_str(self.ending.as_str());
            }
            self.push_paragraph(stray);
            if !self.new.ends_with('\n') {
                self.new.push_str(self.ending.as_str());
            }
            self.joint = Some(Edge::Text);
        }
    }

    /// Copies the lines of a paragraph of an item. `===` below them, which is text as long as the paragraph belongs to
    /// an item, would make them a heading.
    fn push_paragraph(&mut self, lines: &Range<usize>) {
        for (number, line) in self.outline.slice(lines).split_inclusive('\n').enumerate() {
            let is_underline = line.trim().chars().all(|character| character == '=');
            // A line that is indented further is no underline, and would become code below a blank line.
            if number > 0 && is_underline && !line.starts_with("    ") && !line.starts_with('\t') {
                self.new.push_str(self.ending.as_str());
            }
            self.new.push_str(line);
        }
    }

    /// Inserts lines of items before the line that begins at `at`.
    pub(super) fn put(&mut self, at: usize, lines: &str) {
        self.go_to(at);
        let above = self.joint.unwrap_or_else(|| self.edge_above(at));
        if !self.new.is_empty() && !self.new.ends_with('\n') {
            self.new.push_str(self.ending.as_str());
        }
        // A number does not end a paragraph.
        let numbered = lines.trim_start().starts_with(|character: char| character.is_ascii_digit());
        if above == Edge::Text && (numbered || self.joint.is_some()) {
            self.new.push_str(self.ending.as_str());
        }
        self.new.push_str(&self.ending.apply(lines));
        self.new.push_str(self.ending.as_str());
        self.joint = Some(Edge::Item);
    }

    /// Replaces words within a line.
    pub(super) fn swap(&mut self, range: &Range<usize>, words: &str) {
        self.go_to(range.start);
        self.new.push_str(words);
        self.at = range.end.max(self.at);
    }

    pub(super) fn finish(mut self) -> String {
        self.go_to(self.outline.text().len());
        self.new
    }

    /// Copies the old text up to this offset.
    fn go_to(&mut self, to: usize) {
        if to <= self.at {
            return;
        }
        if let Some(above) = self.joint.take() {
            self.join(above);
        }
        self.new.push_str(self.outline.slice(&(self.at..to)));
        self.at = to;
    }

    /// Separates the text above from the next text, so that they do not merge.
    fn join(&mut self, above: Edge) {
        let rest = self.outline.text().get(self.at..).unwrap_or_default();
        let first = rest.lines().next().unwrap_or_default();
        let is_item = self.is_item(self.at);
        if above == Edge::Item && !is_item {
            let next = rest.lines().find(|line| !line.trim().is_empty()).unwrap_or_default();
            let indented = next.starts_with("  ") || next.starts_with('\t') || next.starts_with(" \t");
            // Indented text after an item would become a part of it, and be removed with it.
            if indented && !self.next_is_item() {
                self.new.push_str(&self.ending.apply("\n<!-- -->\n"));
            }
        }
        let runs_on = match above {
            Edge::Open => false,
            Edge::Item => !is_item,
            Edge::Text => true,
        };
        if runs_on && !first.trim().is_empty() {
            self.new.push_str(self.ending.as_str());
        }
    }

    fn is_item(&self, at: usize) -> bool {
        self.outline.items().binary_search_by_key(&at, |item| item.range.start).is_ok()
    }

    /// Whether only blank lines precede the next item.
    fn next_is_item(&self) -> bool {
        let next = self.outline.items().partition_point(|item| item.range.start < self.at);
        self.outline
            .items()
            .get(next)
            .is_some_and(|next| self.outline.slice(&(self.at..next.range.start)).trim().is_empty())
    }

    /// The kind of the line above this offset.
    fn edge_above(&self, at: usize) -> Edge {
        let above = self.outline.text().get(..at).unwrap_or_default();
        let blank =
            above.lines().next_back().is_none_or(|line| line.trim_matches(['\u{feff}']).trim().is_empty());
        let headings = self.outline.headings();
        if blank || headings.binary_search_by_key(&at, |heading| heading.range.end).is_ok() {
            return Edge::Open;
        }
        let before = self.outline.items().partition_point(|item| item.range.start < at);
        let reached =
            before.checked_sub(1).and_then(|last| self.reach.get(last)).is_some_and(|end| *end >= at);
        if reached { Edge::Item } else { Edge::Text }
    }

    /// The offset of the next item of the list, if only blank lines precede it.
    fn gap_end(&self, item: &Item) -> usize {
        let after = self.outline.items().partition_point(|other| other.range.start < item.range.end);
        let next = self.outline.items().get(after).filter(|next| next.depth == item.depth);
        match next.map(|next| item.range.end..next.range.start) {
            Some(gap) if self.outline.slice(&gap).trim().is_empty() => gap.end,
            _ => item.range.end,
        }
    }
}
