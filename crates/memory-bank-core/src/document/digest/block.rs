//! The blocks of a section in the order of the text: items, table rows, paragraphs, labels. Code and comments are
//! skipped.

use std::ops::Range;
use std::sync::Arc;

use crate::document::date::date_at_start;
use crate::document::section::{Item, Outline};

/// One block of a section.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Block {
    /// A line that introduces the following ones, like a heading: `**Next steps:**`.
    Label(String),
    /// A list item.
    Item(ListItem),
    /// A row of a table: the head of the column and the cell, in pairs.
    Row(Vec<(String, String)>),
    /// A paragraph, or a line of one that begins with a date or a label.
    Paragraph(String),
}

/// A list item.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ListItem {
    pub(super) text: Arc<str>,
    pub(super) depth: usize,
    pub(super) has_children: bool,
}

/// The blocks between these offsets.
pub(super) fn blocks(outline: &Outline<'_>, range: &Range<usize>) -> Vec<Block> {
    let text = outline.readable(range);
    let items = outline.items_in(range);
    let mut reader = Reader { found: Vec::with_capacity(items.len()), ..Reader::default() };
    let mut at = range.start;
    let mut next = 0;
    let mut list_end = 0;
    for line in text.split_inclusive('\n') {
        let start = at;
        at += line.len();
        if let Some(item) = items.get(next).filter(|item| item.range.start <= start) {
            reader.flush();
            reader.found.push(Block::Item(list_item(item, items.get(next + 1))));
            list_end = list_end.max(item.range.end);
            next += 1;
            // Items that share the line of the outer item are skipped.
            while items.get(next).is_some_and(|item| item.range.start <= start) {
                next += 1;
            }
        } else if start >= list_end {
            reader.line(line.trim_end());
        }
    }
    reader.flush();
    label_before_lists(reader.found)
}

fn list_item(item: &Item, following: Option<&Item>) -> ListItem {
    ListItem {
        text: Arc::clone(&item.text),
        depth: item.depth,
        has_children: following
            .is_some_and(|next| next.depth > item.depth && next.range.start < item.range.end),
    }
}

/// A paragraph that ends with a colon directly before a list is its label.
fn label_before_lists(mut found: Vec<Block>) -> Vec<Block> {
    for index in 1..found.len() {
        let before_list = matches!(found.get(index), Some(Block::Item(_) | Block::Row(_)));
        if let Some(block) = found.get_mut(index - 1)
            && before_list
            && let Block::Paragraph(text) = block
            && text.trim_end_matches(['*', '_', ' ']).ends_with([':', '：'])
            && text.chars().count() <= 80
        {
            *block = Block::Label(std::mem::take(text));
        }
    }
    found
}

#[derive(Default)]
struct Reader {
    found: Vec<Block>,
    paragraph: String,
    fence: Option<char>,
    in_comment: bool,
    /// The heads of the columns of the current table; empty outside of a table.
    columns: Vec<String>,
}

impl Reader {
    fn line(&mut self, line: &str) {
        let mut bare = line.trim();
        if self.in_comment {
            let Some((_, behind)) = bare.split_once("-->") else { return };
            self.in_comment = false;
            bare = behind.trim();
        }
        if let Some(mark) = self.fence {
            if bare.starts_with(mark) && bare.chars().take_while(|character| *character == mark).count() >= 3
            {
                self.fence = None;
            }
            return;
        }
        if bare.starts_with("```") || bare.starts_with("~~~") {
            self.flush();
            self.fence = bare.chars().next();
            return;
        }
        if let Some((before, behind)) = bare.split_once("<!--") {
            self.in_comment = !behind.contains("-->");
            bare = before.trim();
        }
        let bare = bare.trim_start_matches(['>', ' ']);
        if bare.starts_with('|') || (!self.columns.is_empty() && bare.contains('|')) {
            self.row(bare);
            return;
        }
        self.columns.clear();
        let is_rule = bare.len() >= 3 && bare.chars().all(|character| "-*_= ".contains(character));
        if bare.is_empty() || is_rule {
            self.flush();
            return;
        }
        if !self.paragraph.is_empty() && is_own_block(bare) {
            self.flush();
        }
        if !self.paragraph.is_empty() {
            self.paragraph.push(' ');
        }
        self.paragraph.push_str(bare);
        if is_bold(bare) {
            self.flush();
        }
    }

    fn row(&mut self, line: &str) {
        if self.columns.is_empty() {
            self.flush();
            self.columns = cells(line);
            return;
        }
        if line.chars().all(|character| "|-: ".contains(character)) {
            return;
        }
        let cells = self.columns.iter().cloned().zip(cells(line)).collect();
        self.found.push(Block::Row(cells));
    }

    fn flush(&mut self) {
        let text = std::mem::take(&mut self.paragraph);
        if text.is_empty() {
            return;
        }
        self.found.push(if is_bold(&text) { Block::Label(text) } else { Block::Paragraph(text) });
    }
}

fn cells(line: &str) -> Vec<String> {
    let line = line.trim().trim_start_matches('|');
    let line = line.strip_suffix('|').unwrap_or(line);
    line.replace("\\|", "\u{1}").split('|').map(|cell| cell.trim().replace('\u{1}', "|")).collect()
}

/// Whether a line of a paragraph is a block of its own: it begins with a date, a label, or a sign for a state.
fn is_own_block(line: &str) -> bool {
    let label = line.starts_with("**") && line.get(2..).is_some_and(|rest| rest.contains("**"));
    label
        || line.starts_with("~~")
        || line.starts_with(['✅', '❌', '🔄', '⏳', '☐', '☑', '⬜', '🔲', '•'])
        || date_at_start(line).is_some()
}

/// Whether all of a line is bold.
fn is_bold(line: &str) -> bool {
    let bare = line.trim_end_matches([':', '：', ' ']);
    ["**", "__"].iter().any(|mark| {
        bare.len() > 4
            && bare.starts_with(mark)
            && bare.ends_with(mark)
            && bare.get(2..bare.len() - 2).is_some_and(|inner| !inner.contains(mark))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_distinguished() {
        let text = "One\ntwo.\n\n**Next steps:**\n- a\n  - b\n- c\n\n```\n- code\n```\n<!-- no\n- comment\n-->\n| Task | Status |\n|---|---|\n| x \\| y | open |\n\nSee:\n1. d\n\n[2026-08-30] first\n[2026-08-31] second\n";
        let outline = Outline::of(text);
        let item = |text: &str, depth, has_children| {
            Block::Item(ListItem { text: text.into(), depth, has_children })
        };
        let cell = |head: &str, cell: &str| (head.to_owned(), cell.to_owned());
        assert_eq!(
            blocks(&outline, &(0..text.len())),
            [
                Block::Paragraph("One two.".into()),
                Block::Label("**Next steps:**".into()),
                item("a", 0, true),
                item("b", 1, false),
                item("c", 0, false),
                Block::Row(vec![cell("Task", "x | y"), cell("Status", "open")]),
                Block::Label("See:".into()),
                item("d", 0, false),
                Block::Paragraph("[2026-08-30] first".into()),
                Block::Paragraph("[2026-08-31] second".into()),
            ]
        );
    }
}
