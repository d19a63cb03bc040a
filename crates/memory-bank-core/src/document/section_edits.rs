//! Edits of the section below a heading.

use std::collections::{HashMap, HashSet};
use std::ops::Range;

use crate::document::section::{Heading, Outline, Section, same_title};
use crate::document::splice::{
    Gap, blank_lines_at_top, first_lost_heading, insert_closing, insert_lines, replace_body, replace_lines,
    written_end,
};

/// The one section with this heading.
pub(super) fn section_of<'o>(outline: &'o Outline<'_>, words: &str) -> Result<Section<'o>, String> {
    let words = words.trim();
    let unmarked = words.trim_start_matches('#');
    let level = (unmarked.len() < words.len()).then(|| words.len() - unmarked.len());
    let title = unmarked.trim();
    let mut found = outline.sections().filter(|section| {
        let heading = section.heading;
        level.is_none_or(|level| usize::from(heading.level) == level)
            && (same_title(&heading.title, title) || same_title(&heading.source, title))
    });
    let Some(first) = found.next() else {
        return Err(format!("there is no heading `{words}`; {}", headings_of(outline)));
    };
    let more: Vec<String> = found.map(|section| section.heading.line.to_string()).collect();
    if more.is_empty() {
        return match outline.conflict_in(&first.range()) {
            Some(conflict) => Err(conflict.refusal()),
            None => Ok(first),
        };
    }
    Err(format!(
        "the heading `{words}` occurs on lines {} and {}; use `match` or `replace` with a text that occurs once",
        first.heading.line,
        more.join(", ")
    ))
}

fn headings_of(outline: &Outline<'_>) -> String {
    const MAX_NAMED_HEADINGS: usize = 20;
    let headings = outline.headings();
    if headings.is_empty() {
        return "the document has no headings".to_owned();
    }
    let mut shown: Vec<String> = headings
        .iter()
        .take(MAX_NAMED_HEADINGS)
        .map(|heading| format!("`{} {}`", "#".repeat(usize::from(heading.level)), heading.source))
        .collect();
    if headings.len() > MAX_NAMED_HEADINGS {
        shown.push("…".to_owned());
    }
    format!("the document has {}", shown.join(", "))
}

pub(super) fn append(text: &str, heading: &str, lines: &str) -> Result<String, String> {
    let outline = Outline::of(text);
    let section = section_of(&outline, heading)?;
    append_to(&outline, &section.body, lines)
}

/// Inserts lines at the end of the body of a section.
pub(super) fn append_to(outline: &Outline<'_>, body: &Range<usize>, lines: &str) -> Result<String, String> {
    let text = outline.text();
    let at = written_end(text, body);
    let list_continues =
        begins_with_item(lines) && outline.items_in(body).iter().any(|item| item.range.end == at);
    let before = if list_continues || at == body.start { Gap::None } else { Gap::Blank };
    checked_visible(outline, insert_closing(text, at, lines, before, Gap::Blank), at..at, lines)
}

pub(super) fn prepend(text: &str, heading: &str, lines: &str) -> Result<String, String> {
    let outline = Outline::of(text);
    let section = section_of(&outline, heading)?;
    let top = section.heading.range.end;
    let own = outline.slice(&section.own);
    let blank = blank_lines_at_top(own);
    // Blank lines below the heading stay above the new lines, if anything follows them.
    let at = if blank == own.len() { top } else { top + blank };
    let list_continues = ends_with_item(lines) && outline.items().iter().any(|item| item.range.start == at);
    let after = if list_continues { Gap::None } else { Gap::Blank };
    checked_visible(&outline, insert_lines(text, at, lines, Gap::None, after), at..at, lines)
}

/// Replaces the text below a heading. Callers often repeat the heading at the head of the new text; it is not
/// doubled. Blank lines below it stay. Also returns the headings of removed sub-sections.
pub(super) fn replace_section(
    text: &str,
    heading: &str,
    lines: &str,
) -> Result<(String, Vec<String>), String> {
    let outline = Outline::of(text);
    let section = section_of(&outline, heading)?;
    let new = Outline::of(lines);
    let repeated = new.headings().first().filter(|first| {
        first.level == section.heading.level
            && same_title(&first.title, &section.heading.title)
            && lines.get(..first.range.start).is_some_and(|before| before.trim().is_empty())
    });
    let body = match repeated {
        Some(first) => lines.get(first.range.end..).unwrap_or_default(),
        None => lines,
    };
    let body = body.trim_end();
    let top = section.heading.range.end;
    let end = written_end(text, &section.body);
    // Of several sections with one heading, as many stay as the new text has.
    let mut there: HashMap<(u8, String), usize> = HashMap::new();
    for one in new.headings() {
        *there.entry((one.level, one.source.to_string())).or_default() += 1;
    }
    let mut stays = |one: &Heading| {
        let left = there.get_mut(&(one.level, one.source.to_string())).filter(|left| **left > 0);
        left.map(|left| *left -= 1).is_some()
    };
    let lost: Vec<String> = outline
        .headings()
        .iter()
        .filter(|one| section.body.contains(&one.range.start) && !stays(one))
        .map(|one| format!("{} {}", "#".repeat(usize::from(one.level)), one.source))
        .collect();
    let blank = blank_lines_at_top(text.get(top..end).unwrap_or_default());
    let replaced = if blank == 0 || body.is_empty() {
        replace_body(text, &section, body)
    } else {
        let lines = body.get(blank_lines_at_top(body)..).unwrap_or_default();
        replace_lines(text, &(top + blank..end), lines)
    };
    Ok((checked_visible(&outline, replaced, section.body.clone(), body)?, lost))
}

fn begins_with_item(lines: &str) -> bool {
    Outline::of(lines).items().first().is_some_and(|item| item.range.start == 0)
}

fn ends_with_item(lines: &str) -> bool {
    Outline::of(lines).items().iter().any(|item| item.range.end == lines.len())
}

/// The new text, unless it hides a heading outside of the replaced bytes, or one of the inserted lines.
pub(super) fn checked_visible(
    old: &Outline<'_>,
    new: String,
    lost: Range<usize>,
    lines: &str,
) -> Result<String, String> {
    let after = Outline::of(&new);
    let kept = old
        .headings()
        .iter()
        .filter(|heading| heading.range.start < lost.start || heading.range.start >= lost.end);
    let lost = first_lost_heading(kept, &after).or_else(|| {
        let there = titles(&after);
        let put = Outline::of(lines);
        let hidden = put.headings().iter().any(|one| !there.contains(&(one.level, &*one.source)));
        hidden.then_some("")
    });
    match lost {
        None => Ok(new),
        Some("") => Err(
            "the headings of `text` would not be visible there; close the block of code, the comment or the \
                         front matter above, or use `replace`"
                .to_owned(),
        ),
        Some(heading) => Err(format!(
            "the heading `{heading}` would not be visible any more, since `text` leaves a block of code, a comment or front \
             matter open; close it, or use `replace`"
        )),
    }
}

fn titles<'o>(outline: &'o Outline<'_>) -> HashSet<(u8, &'o str)> {
    outline.headings().iter().map(|one| (one.level, &*one.source)).collect()
}
