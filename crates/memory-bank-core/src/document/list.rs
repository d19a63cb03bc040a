//! Lists in a section: items are added and removed, everything else in the section stays byte for byte.
//!
//! An item is its line with the indented lines below it: wrapped words, nested items, nested blocks. A line below it
//! that is not indented is text of the section, even if Markdown would make it part of the item, and stays.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use crate::compact_sort::CompactSort as _;
use crate::document::known_section::KnownSection;
use crate::document::list_rewriter::ListRewriter;
use crate::document::removed::Removed;
use crate::document::section::{Item, Outline, Section};
use crate::document::splice::{
    append_items, append_section, bullets, check_editable, check_headings, items_like,
};
use crate::document::templates::is_template_row_of;
use crate::error::EditError;

/// A text after its list was edited.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct ListEdited {
    pub(super) text: String,
    /// The number of new items.
    pub(super) added: usize,
    /// The removed items.
    pub(super) removed: Removed,
}

/// Replaces the items of the list by these, in this order; creates the section if it is missing. Items that stay keep
/// their bytes, and their place if the order allows it. Items of sub-sections do not belong to the list.
///
/// # Errors
/// A section has a merge conflict, or an item would not be visible.
pub(super) fn replace_items(
    text: &str,
    known: KnownSection,
    new_items: &[String],
) -> Result<ListEdited, EditError> {
    let outline = Outline::of(text);
    let sections = known.lists(&outline);
    for section in &sections {
        check_editable(&outline, section)?;
    }
    let new_items = distinct(new_items);
    let Some(home) = sections.first() else {
        let text = match new_items.is_empty() {
            true => text.to_owned(),
            false => append_section(&outline, known.title(), &bullets(&new_items))?,
        };
        return Ok(ListEdited { text, added: new_items.len(), removed: Removed::default() });
    };
    let present = top_items(&outline, &sections);
    let mut plan = Plan::of(&outline, &present, &new_items, has_boxes(&outline, home));
    // If no item stays, the list begins at the first item of the section that is written.
    let top = outline.items_in(&home.own).iter().find(|item| item.depth == 0);
    let below = if top.is_none() && plan.first_fixed.is_none() { plan.runs.remove(&None) } else { None };
    let mut rewriter = ListRewriter::of(&outline);
    let mut removed = Removed::default();
    for (index, item) in present.iter().enumerate() {
        let first = plan.first_fixed.map_or(top == Some(*item), |fixed| fixed == index);
        if first && let Some(run) = plan.runs.remove(&None) {
            rewriter.put(item.range.start, &written(&outline, item, 0, &run));
        }
        match plan.changes.get(index) {
            Some(ItemChange::Stays(None)) | None => {}
            Some(ItemChange::Stays(Some(mark))) => {
                if let Some(range) = check_box_range(&outline, item) {
                    rewriter.swap(&range, mark);
                }
            }
            Some(ItemChange::Moves) => rewriter.take(item, &unindented_lines(&outline, item)),
            Some(ItemChange::Removed) => {
                let titles = sections.iter().filter(|section| section.own.contains(&item.range.start));
                let mut titles = titles.map(|section| &section.heading.title);
                if !titles.any(|title| is_row(&outline, title, item)) {
                    removed.push(&own_lines(&outline, item));
                }
                rewriter.take(item, &unindented_lines(&outline, item));
            }
        }
        if let Some(run) = plan.runs.remove(&Some(index)) {
            rewriter.put(item.range.end, &written(&outline, item, 1, &run));
        }
    }
    let mut new = rewriter.finish();
    if let Some(run) = below {
        new = append_to_section(&new, known, run)?;
    }
    check_headings(&outline, &new)?;
    Ok(ListEdited { text: new, added: plan.added, removed })
}

/// The items of these sections that are not nested, in the order of the text.
fn top_items<'o>(outline: &'o Outline<'_>, sections: &[Section<'_>]) -> Vec<&'o Item> {
    let items = sections.iter().flat_map(|section| outline.items_in(&section.own));
    let mut items: Vec<&Item> = items.filter(|item| item.depth == 0).collect();
    items.compact_sort_by_key(|item| item.range.start);
    items
}

/// Adds the items at the end of the section; creates it if it is missing.
fn append_to_section(text: &str, known: KnownSection, run: Vec<Entry>) -> Result<String, EditError> {
    let lines: Vec<String> = run.into_iter().map(Entry::into_text).collect();
    let outline = Outline::of(text);
    match known.find(&outline).and_then(|index| outline.section(index)) {
        Some(home) => append_items(&outline, &home, &lines),
        None => append_section(&outline, known.title(), &bullets(&lines)),
    }
}

/// Adds items at the end of the list, or replaces rows of a template; creates the section if it is missing.
///
/// # Errors
/// The section has a merge conflict, or an item would not be visible.
pub(super) fn add_items(text: &str, known: KnownSection, items: &[String]) -> Result<String, EditError> {
    if items.is_empty() {
        return Ok(text.to_owned());
    }
    let outline = Outline::of(text);
    let Some(home) = known.find(&outline).and_then(|index| outline.section(index)) else {
        return append_section(&outline, known.title(), &bullets(items));
    };
    check_editable(&outline, &home)?;
    let items: Vec<String> = if has_boxes(&outline, &home) {
        items.iter().map(|item| boxed(item)).collect()
    } else {
        items.to_vec()
    };
    let rows = template_rows(&outline, &home);
    let Some(first) = rows.first() else { return append_items(&outline, &home, &items) };
    let mut rewriter = ListRewriter::of(&outline);
    let only_rows = outline.items_in(&home.own).iter().filter(|item| item.depth == 0).count() == rows.len();
    if only_rows {
        rewriter.put(first.range.start, &items_like(&outline, first, 0, &items));
    }
    for row in &rows {
        rewriter.take(row, &[]);
    }
    let new = rewriter.finish();
    check_headings(&outline, &new)?;
    if only_rows {
        return Ok(new);
    }
    let outline = Outline::of(&new);
    match known.find(&outline).and_then(|index| outline.section(index)) {
        Some(home) => append_items(&outline, &home, &items),
        None => append_section(&outline, known.title(), &bullets(&items)),
    }
}

/// The items of a section that are a row of a template or a bullet without text.
pub(super) fn template_rows<'o>(outline: &'o Outline<'_>, section: &Section<'_>) -> Vec<&'o Item> {
    let items = outline.items_in(&section.own).iter();
    items.filter(|item| item.depth == 0 && is_row(outline, &section.heading.title, item)).collect()
}

/// One line, so that no other text is removed with it.
fn is_row(outline: &Outline<'_>, title: &str, item: &Item) -> bool {
    let is_one_line = || outline.slice(&item.range).trim_end().lines().count() <= 1;
    item.is_bare && (item.text.is_empty() || is_template_row_of(title, &item.text)) && is_one_line()
}

/// Whether every item of the section's own list has a check box; then new items get one.
fn has_boxes(outline: &Outline<'_>, section: &Section<'_>) -> bool {
    let items = || outline.items_in(&section.own).iter().filter(|item| item.depth == 0);
    items().next().is_some() && items().all(|item| unboxed(&item.text).0.is_some())
}

fn boxed(item: &str) -> String {
    if unboxed(item).0.is_some() { item.to_owned() } else { format!("[ ] {item}") }
}

/// Removes these items; with `whole`, including the lines below it that are not indented.
///
/// # Errors
/// A heading would not be visible any more.
pub(super) fn take_items(
    outline: &Outline<'_>,
    items_to_take: &[(&Item, bool)],
) -> Result<(String, Removed), EditError> {
    let mut items_to_take = items_to_take.to_vec();
    items_to_take.compact_sort_by_key(|(item, _)| (item.range.start, std::cmp::Reverse(item.range.end)));
    let mut rewriter = ListRewriter::of(outline);
    let mut removed = Removed::default();
    let mut end = 0;
    for (item, whole) in items_to_take {
        // Nested items are removed with their item.
        if item.range.start < end {
            continue;
        }
        end = item.range.end;
        let unindented_lines = if whole { Vec::new() } else { unindented_lines(outline, item) };
        removed.push(&without(outline, item, &unindented_lines));
        rewriter.take(item, &unindented_lines);
    }
    let new = rewriter.finish();
    check_headings(outline, &new)?;
    Ok((new, removed))
}

/// The form by which items are compared: case, runs of blanks and a check box are ignored.
pub(super) fn key(item: &str) -> String {
    unboxed(item).1.split_whitespace().collect::<Vec<_>>().join(" ").to_lowercase()
}

/// The words of an item without the lines below it that are not indented.
pub(super) fn own_words(outline: &Outline<'_>, item: &Item) -> String {
    let slice = outline.slice(&item.range);
    let depth = indent(slice);
    let mut at = item.range.start;
    let mut stray: Option<Range<usize>> = None;
    // Only the first lines are read, so that deep nesting stays cheap.
    for (number, line) in slice.split_inclusive('\n').enumerate() {
        let range = at..at + line.len();
        at = range.end;
        if number > 0 && (line.trim().is_empty() || begins_item(outline, &range)) {
            break;
        }
        match &mut stray {
            Some(stray) => stray.end = at,
            None if number > 0 && indent(line) <= depth => stray = Some(range),
            None => {}
        }
    }
    let Some(stray) = stray else { return item.text.to_string() };
    let stray = outline.slice(&stray).split_whitespace().collect::<Vec<_>>().join(" ");
    item.text.strip_suffix(&stray).unwrap_or(&item.text).trim_end().to_owned()
}

fn begins_item(outline: &Outline<'_>, line: &Range<usize>) -> bool {
    outline.items_in(line).first().is_some_and(|item| item.range.start == line.start)
}

/// The check box at the head of an item, and the rest.
fn unboxed(item: &str) -> (Option<&str>, &str) {
    let item = item.trim();
    let mark = ["[ ]", "[x]", "[X]"].into_iter().find(|mark| item.starts_with(mark));
    (mark, mark.and_then(|mark| item.strip_prefix(mark)).unwrap_or(item))
}

fn distinct(items: &[String]) -> Vec<String> {
    let mut seen = BTreeSet::new();
    items.iter().filter(|item| seen.insert(key(item))).cloned().collect()
}

/// The change of an existing item.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ItemChange<'w> {
    /// It stays in its place, perhaps with another check box.
    Stays(Option<&'w str>),
    /// It stays, but in another place.
    Moves,
    Removed,
}

/// An item to insert.
enum Entry {
    New(String),
    /// An existing item, with its marker.
    Moved(String),
}

impl Entry {
    fn into_text(self) -> String {
        match self {
            Self::New(text) | Self::Moved(text) => text,
        }
    }
}

struct Plan<'w> {
    /// One for each existing item.
    changes: Vec<ItemChange<'w>>,
    /// Items to insert, by the item that they follow; `None`: at the beginning of the list.
    runs: BTreeMap<Option<usize>, Vec<Entry>>,
    /// The first item that stays in its place.
    first_fixed: Option<usize>,
    /// How many items are new.
    added: usize,
}

impl<'w> Plan<'w> {
    fn of(outline: &Outline<'_>, present: &[&Item], new_items: &'w [String], boxes: bool) -> Self {
        let positions: BTreeMap<String, usize> =
            new_items.iter().enumerate().map(|(position, item)| (key(item), position)).collect();
        let mut first: BTreeMap<usize, usize> = BTreeMap::new();
        let mut changes = vec![ItemChange::Removed; present.len()];
        let mut met = Vec::new();
        for (index, (item, change)) in present.iter().zip(&mut changes).enumerate() {
            let own = || positions.get(&key(&own_words(outline, item)));
            let Some(position) = positions.get(&key(&item.text)).or_else(own) else { continue };
            *change = ItemChange::Stays(changed_check_box(&item.text, new_items.get(*position)));
            if !first.contains_key(position) {
                first.insert(*position, index);
                met.push(*position);
            }
        }
        let fixed = longest_increasing_subsequence(&met);
        let mut plan = Self { changes, runs: BTreeMap::new(), first_fixed: None, added: 0 };
        let mut after = None;
        for (position, item) in new_items.iter().enumerate() {
            let there = first.get(&position).and_then(|index| Some((*index, *present.get(*index)?)));
            let entry = match there {
                Some((index, _)) if fixed.contains(&position) => {
                    after = Some(index);
                    plan.first_fixed = plan.first_fixed.or(after);
                    continue;
                }
                Some((index, moved)) => {
                    let lines = own_lines(outline, moved);
                    let change = plan
                        .changes
                        .get_mut(index)
                        .map(|change| std::mem::replace(change, ItemChange::Moves));
                    Entry::Moved(match (change, unboxed(&moved.text).0) {
                        (Some(ItemChange::Stays(Some(new))), Some(old)) => lines.replacen(old, new, 1),
                        _ => lines,
                    })
                }
                None => {
                    plan.added += 1;
                    Entry::New(if boxes { boxed(item) } else { item.clone() })
                }
            };
            plan.runs.entry(after).or_default().push(entry);
        }
        plan
    }
}

/// The lines of items in the form of a neighbouring item.
fn written(outline: &Outline<'_>, model: &Item, first_step: u64, run: &[Entry]) -> String {
    let lines: Vec<String> = (first_step..)
        .zip(run)
        .map(|(step, entry)| match entry {
            Entry::New(text) => items_like(outline, model, step, std::slice::from_ref(text)),
            Entry::Moved(lines) => lines.trim_end_matches(['\r', '\n']).to_owned(),
        })
        .collect();
    lines.join("\n")
}

/// The new check box of an item, if it differs from the present one.
fn changed_check_box<'w>(present: &str, new_items: Option<&'w String>) -> Option<&'w str> {
    let (old, _) = unboxed(present);
    let (new, _) = unboxed(new_items?);
    let ticked = |mark: &str| mark != "[ ]";
    new.filter(|new| old.is_some_and(|old| ticked(old) != ticked(new)))
}

/// The byte range of the check box of an item.
fn check_box_range(outline: &Outline<'_>, item: &Item) -> Option<Range<usize>> {
    let old = unboxed(&item.text).0?;
    let at = item.range.start + outline.slice(&item.range).find(old)?;
    Some(at..at + old.len())
}

/// The longest increasing subsequence of the numbers.
fn longest_increasing_subsequence(numbers: &[usize]) -> BTreeSet<usize> {
    // For every length, the smallest last number of an increasing sequence of that length.
    let mut tails: Vec<usize> = Vec::new();
    let mut before: BTreeMap<usize, Option<usize>> = BTreeMap::new();
    for number in numbers {
        let length = tails.partition_point(|tail| tail < number);
        before.insert(*number, length.checked_sub(1).and_then(|length| tails.get(length).copied()));
        match tails.get_mut(length) {
            Some(tail) => *tail = *number,
            None => tails.push(*number),
        }
    }
    let mut rise = BTreeSet::new();
    let mut next = tails.last().copied();
    while let Some(number) = next {
        rise.insert(number);
        next = before.get(&number).copied().flatten();
    }
    rise
}

/// The lines that are removed with an item.
fn own_lines(outline: &Outline<'_>, item: &Item) -> String {
    without(outline, item, &unindented_lines(outline, item))
}

fn without(outline: &Outline<'_>, item: &Item, unindented_lines: &[Range<usize>]) -> String {
    let mut kept = String::new();
    let mut at = item.range.start;
    for stray in unindented_lines {
        kept.push_str(outline.slice(&(at..stray.start)));
        at = stray.end;
    }
    kept.push_str(outline.slice(&(at..item.range.end)));
    kept
}

/// The lines within an item that are not indented deeper than its marker, with their continuation.
fn unindented_lines(outline: &Outline<'_>, item: &Item) -> Vec<Range<usize>> {
    let slice = outline.slice(&item.range);
    let depth = indent(slice);
    let mut unindented_lines: Vec<Range<usize>> = Vec::new();
    let mut at = item.range.start;
    let mut open = false;
    for (number, line) in slice.split_inclusive('\n').enumerate() {
        let range = at..at + line.len();
        at = range.end;
        if number == 0 || line.trim().is_empty() || begins_item(outline, &range) {
            open = false;
        } else if indent(line) <= depth {
            open = true;
        }
        if open {
            match unindented_lines.last_mut().filter(|last| last.end == range.start) {
                Some(last) => last.end = range.end,
                None => unindented_lines.push(range),
            }
        }
    }
    unindented_lines
}

fn indent(line: &str) -> usize {
    line.len() - line.trim_start_matches([' ', '\t']).len()
}
