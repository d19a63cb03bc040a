//! Changes a text in one place and leaves every other byte as it is.
//!
//! All that is put in is taken literally, gets the line ending of the text, and stands on lines of its own.

use std::ops::Range;

use crate::document::section::{Item, LineEnding, Marker, Outline, Section};

/// Whether new lines need a blank line between them and what stands there already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Gap {
    /// They follow directly.
    None,
    /// A blank line, unless there is one.
    Blank,
}

/// Puts lines (without a last line ending) before the line that begins at `at`, or at the end of the text.
pub(super) fn insert_lines(text: &str, at: usize, lines: &str, before: Gap, after: Gap) -> String {
    let head = text.get(..at).unwrap_or(text);
    let tail = text.get(at..).unwrap_or_default();
    let ending = LineEnding::of(text);
    let mut new = String::with_capacity(text.len() + lines.len() + 8);
    new.push_str(head);
    if !is_start(head) && !head.ends_with('\n') {
        new.push_str(ending.as_str());
    }
    if before == Gap::Blank && !is_start(head) && !ends_blank(head) {
        new.push_str(ending.as_str());
    }
    new.push_str(&ending.apply(lines));
    new.push_str(ending.as_str());
    if after == Gap::Blank && swallows(lines, tail) {
        new.push_str(&ending.apply("\n<!-- -->\n"));
    }
    if after == Gap::Blank && !starts_blank(tail) {
        new.push_str(ending.as_str());
    }
    new.push_str(tail);
    new
}

/// Takes these bytes out and puts the replacement there, as it is.
pub(super) fn replace_range(text: &str, range: &Range<usize>, replacement: &str) -> String {
    let head = text.get(..range.start).unwrap_or(text);
    let tail = text.get(range.end..).unwrap_or_default();
    [head, replacement, tail].concat()
}

/// Adds a list item at the top of the section with the first of these titles; makes the section at the end of the
/// text if there is none.
pub(super) fn insert_newest_item(text: &str, titles: &[&str], item: &str) -> String {
    let outline = Outline::of(text);
    let line = bullet(item);
    let Some(section) = outline.find(titles) else {
        return append_section(text, titles, &line);
    };
    match first_item_at_top(&outline, &section) {
        Some(first) => insert_lines(text, first.range.start, &line, Gap::None, Gap::None),
        None => insert_lines(text, section.heading.range.end, &line, Gap::None, Gap::Blank),
    }
}

/// Adds a block of several lines right below the heading of the section with the first of these titles; makes the
/// section at the end of the text if there is none.
pub(super) fn insert_newest_block(text: &str, titles: &[&str], block: &str) -> String {
    let outline = Outline::of(text);
    match outline.find(titles) {
        Some(section) => {
            insert_lines(text, section.heading.range.end, &format!("\n{block}"), Gap::None, Gap::Blank)
        }
        None => append_section(text, titles, &format!("\n{block}")),
    }
}

/// Adds list items after the last one that stands directly in the section with the first of these titles; makes the
/// section at the end of the text if there is none. They get the marker of the item they follow.
pub(super) fn append_items(text: &str, titles: &[&str], items: &[String]) -> String {
    if items.is_empty() {
        return text.to_owned();
    }
    let outline = Outline::of(text);
    let Some(section) = outline.find(titles) else {
        return append_section(text, titles, &bullets(items));
    };
    let last = outline.items_in(&section.own).iter().rfind(|item| item.depth == 0);
    match last {
        Some(last) => {
            let indent = indent_of(outline.slice(&last.range));
            let lines: Vec<String> = (1_u64..)
                .zip(items)
                .map(|(step, item)| format!("{indent}{}", marked(last.marker, step, item)))
                .collect();
            insert_lines(
                text,
                last.range.end,
                &lines.join("\n"),
                Gap::None,
                gap_after(&outline, last.range.end),
            )
        }
        None => {
            let at = written_end(text, &section.own);
            let before = if at == section.heading.range.end { Gap::None } else { Gap::Blank };
            insert_lines(text, at, &bullets(items), before, gap_after(&outline, at))
        }
    }
}

/// Puts a section at the end of the text, one blank line after what is there.
pub(super) fn append_section(text: &str, titles: &[&str], body: &str) -> String {
    let title = titles.first().copied().unwrap_or_default();
    insert_lines(text, text.len(), &format!("## {title}\n{body}"), Gap::Blank, Gap::None)
}

/// Makes these lines all that stands below the heading of the section. Blank lines before the next heading stay.
pub(super) fn replace_body(text: &str, section: &Section<'_>, lines: &str) -> String {
    let top = section.heading.range.end;
    replace_lines(text, &(top..written_end(text, &section.body)), lines)
}

/// Puts lines in the place of those that begin and end at these offsets.
pub(super) fn replace_lines(text: &str, range: &Range<usize>, lines: &str) -> String {
    let emptied = replace_range(text, range, "");
    if lines.is_empty() {
        return emptied;
    }
    let after = if emptied.len() > range.start { Gap::Blank } else { Gap::None };
    insert_lines(&emptied, range.start, lines, Gap::None, after)
}

/// How many bytes of blank lines this text begins with.
pub(super) fn blank_lines_at_top(text: &str) -> usize {
    text.split_inclusive('\n').take_while(|line| line.trim().is_empty()).map(str::len).sum()
}

/// Takes items out of a text, each with the blank lines between it and the next item of the list.
pub(super) fn remove_items(text: &str, outline: &Outline<'_>, doomed: &[&Item]) -> String {
    let mut ranges: Vec<Range<usize>> = doomed
        .iter()
        .map(|item| {
            let after = outline.items().partition_point(|other| other.range.start < item.range.end);
            let next = outline.items().get(after);
            let gap =
                next.filter(|next| next.depth == item.depth).map(|next| item.range.end..next.range.start);
            match gap {
                Some(gap) if outline.slice(&gap).trim().is_empty() => item.range.start..gap.end,
                _ => item.range.clone(),
            }
        })
        .collect();
    ranges.sort_by_key(|range| range.start);
    let mut kept = String::with_capacity(text.len());
    let mut at = 0;
    for range in ranges {
        if range.start >= at {
            kept.push_str(text.get(at..range.start).unwrap_or_default());
        }
        at = at.max(range.end);
    }
    kept.push_str(text.get(at..).unwrap_or_default());
    kept
}

/// One list item in the way that the server writes them. A text of dashes alone would make a rule of the line.
pub(super) fn bullet(item: &str) -> String {
    marked(Marker::Bullet('-'), 0, item)
}

/// Several of them, a line each.
pub(super) fn bullets(items: &[String]) -> String {
    items.iter().map(|item| bullet(item)).collect::<Vec<_>>().join("\n")
}

/// The offset after the last line between these offsets that is not blank; the start if there is none.
pub(super) fn written_end(text: &str, range: &Range<usize>) -> usize {
    let body = text.get(range.clone()).unwrap_or_default();
    let written = body.trim_end().len();
    if written == 0 {
        return range.start;
    }
    let rest = body.get(written..).unwrap_or_default();
    rest.find('\n').map_or(range.end, |newline| range.start + written + newline + 1)
}

/// The item that begins the section, if the section begins with a list that a new `-` item can head.
fn first_item_at_top<'o>(outline: &'o Outline<'_>, section: &Section<'_>) -> Option<&'o Item> {
    let first = outline.items_in(&section.own).first()?;
    let above = outline.slice(&(section.heading.range.end..first.range.start));
    (above.trim().is_empty() && first.marker == Marker::Bullet('-')).then_some(first)
}

/// A blank line is needed unless a list goes on, or the text ends.
fn gap_after(outline: &Outline<'_>, at: usize) -> Gap {
    let rest = outline.text().get(at..).unwrap_or_default();
    let goes_on = outline.items().iter().any(|item| item.range.start == at);
    if rest.is_empty() || goes_on { Gap::None } else { Gap::Blank }
}

fn marked(marker: Marker, step: u64, item: &str) -> String {
    let escape = if item.trim_matches(['-', ' ']).is_empty() { "\\" } else { "" };
    match marker {
        Marker::Bullet(sign) => format!("{sign} {escape}{item}"),
        Marker::Number(number, sign) => format!("{}{sign} {escape}{item}", number.saturating_add(step)),
    }
}

fn indent_of(line: &str) -> &str {
    let unindented = line.trim_start_matches([' ', '\t']);
    line.get(..line.len() - unindented.len()).unwrap_or_default()
}

/// Whether these lines end in a list item that an indented text behind them would become a part of, so that it would
/// go when the item goes. An empty comment keeps them apart.
fn swallows(lines: &str, tail: &str) -> bool {
    let next = tail.lines().find(|line| !line.trim().is_empty());
    let indented =
        next.is_some_and(|line| line.starts_with("  ") || line.starts_with('\t') || line.starts_with(" \t"));
    indented && Outline::of(lines).items().iter().any(|item| item.range.end == lines.len())
}

/// Nothing but a byte order mark stands before.
fn is_start(head: &str) -> bool {
    head.is_empty() || head == "\u{feff}"
}

fn ends_blank(head: &str) -> bool {
    let line = head.strip_suffix('\n').unwrap_or(head).rsplit('\n').next().unwrap_or_default();
    head.ends_with('\n') && line.trim().is_empty()
}

fn starts_blank(tail: &str) -> bool {
    tail.is_empty() || tail.split('\n').next().is_some_and(|line| line.trim().is_empty())
}
