//! The items below an item, or the parts of an entry, joined to one line.

use super::block::{Block, ListItem};
use super::line_state::{State, content, plain, read};
use crate::document::date::dated;
use crate::document::roles::Role;

/// The number of blocks after an item that are its details, and the first of them in one line. Items with check boxes
/// are tasks of their own.
pub(super) fn details_of(item: &ListItem, behind: &[Block]) -> (usize, String) {
    const MAX_TITLE_CHARS: usize = 60;
    if !item.has_children {
        return (0, String::new());
    }
    let children: Vec<&ListItem> = behind
        .iter()
        .map_while(|block| match block {
            Block::Item(child) if child.depth > item.depth => Some(child),
            _ => None,
        })
        .collect();
    let is_own = |child: &&ListItem| {
        let (state, words) = read(&child.text);
        state != State::Undeclared || dated(&words).is_some() || child.has_children && is_label(&words)
    };
    if children.iter().any(is_own) {
        return (0, String::new());
    }
    let own = children.iter().filter(|child| child.depth == item.depth + 1);
    let words: Vec<String> = own.filter_map(|child| content(&child.text)).collect();
    let is_title = plain(&item.text).chars().count() <= MAX_TITLE_CHARS;
    let detail = join_in_one_line(words.iter().filter(|_| is_title));
    (children.len(), detail)
}

/// The first parts, separated by semicolons.
pub(super) fn join_in_one_line(parts: impl Iterator<Item = impl AsRef<str>>) -> String {
    const MAX_DETAIL_CHARS: usize = 200;
    let mut line = String::new();
    for part in parts {
        if line.chars().count() > MAX_DETAIL_CHARS {
            break;
        }
        if !line.is_empty() {
            line.push_str("; ");
        }
        line.push_str(part.as_ref().trim_end_matches(['.', ';']));
    }
    line
}

/// A title with its details.
pub(super) fn with_detail(text: &str, detail: &str) -> String {
    let title = text.trim_end_matches([':', '：', '.', ' ']);
    if detail.is_empty() {
        text.to_owned()
    } else if title.contains([':', '：']) && dated(title).is_none_or(|(_, rest)| rest.contains([':', '：']))
    {
        format!("{title} ({detail})")
    } else {
        format!("{title}: {detail}")
    }
}

/// Whether an item is only a label for the items below it.
pub(super) fn is_label(words: &str) -> bool {
    let bare = words.trim_end_matches(['*', '_', ' ']);
    bare.ends_with([':', '：'])
        || Role::of_heading(bare).is_some_and(|_| bare.split(' ').count() <= 3 && bare.chars().count() <= 24)
}
