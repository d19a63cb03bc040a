//! An excerpt of a document whose headings have no role: its headings, its beginning, and its latest part.

use super::block::{Block, blocks};
use super::budget::cut;
use super::line_state::{content, is_introduction};
use super::types::Excerpt;
use crate::document::date::{date_anywhere, dated};
use crate::document::dialect::front_matter;
use crate::document::entry_archive::ArchivedSections;
use crate::document::section::Outline;

/// The most headings, and the most tokens of each part of an excerpt.
const MAX_HEADINGS: usize = 8;
const MAX_HEADING_TOKENS: usize = 10;
const MAX_PART_TOKENS: usize = 110;
/// The number of sections whose text makes up the beginning.
const MAX_SECTIONS: usize = 6;

/// The excerpt of a document; none if it has no content.
pub(super) fn excerpt(name: &str, outline: &Outline<'_>) -> Option<Excerpt> {
    let text = outline.text();
    let parts: Vec<String> = parts(outline);
    let first = parts.iter().position(|part| !part.is_empty())?;
    let beginning = cut(&join_lines(parts.iter().skip(first).take(MAX_SECTIONS).cloned()), MAX_PART_TOKENS);
    let mut archived = ArchivedSections::default();
    let headings: Vec<String> = outline
        .headings()
        .iter()
        .filter(|heading| !archived.contains(heading))
        .filter(|heading| heading.level > 1 || outline.headings().len() == 1)
        .take(MAX_HEADINGS)
        .map(|heading| cut(&heading.title, MAX_HEADING_TOKENS))
        .collect();
    let latest = latest_part(outline)
        .unwrap_or_else(|| parts.iter().rfind(|part| !part.is_empty()).cloned().unwrap_or_default());
    let latest = cut(&latest, MAX_PART_TOKENS);
    let repeated = beginning.contains(latest.trim_end_matches('…')) || text.is_empty();
    Some(Excerpt {
        document: name.to_owned(),
        headings,
        beginning,
        latest: if repeated { String::new() } else { latest },
    })
}

/// The words of each section, without headings.
fn parts(outline: &Outline<'_>) -> Vec<String> {
    let text = outline.text();
    let head = outline.headings().first().map_or(text.len(), |heading| heading.range.start);
    let start = front_matter(text).min(head);
    let mut archived = ArchivedSections::default();
    let sections = outline.sections().filter(|section| !archived.contains(section.heading));
    std::iter::once(words(outline, &(start..head)))
        .chain(sections.map(|section| words(outline, &section.own)))
        .collect()
}

fn words(outline: &Outline<'_>, range: &std::ops::Range<usize>) -> String {
    let lines = blocks(outline, range).into_iter().filter_map(|block| match block {
        Block::Item(item) => content(&item.text),
        Block::Paragraph(text) | Block::Label(text) => content(&text).filter(|text| !is_introduction(text)),
        Block::Row(cells) => {
            let cells: Vec<String> = cells.iter().filter_map(|(_, cell)| content(cell)).collect();
            (!cells.is_empty()).then(|| cells.join(" | "))
        }
    });
    join_lines(lines)
}

/// Joins lines; a semicolon follows a line that does not end a sentence.
pub(super) fn join_lines(lines: impl Iterator<Item = String>) -> String {
    let mut text = String::new();
    for line in lines.filter(|line| !line.is_empty()) {
        if !text.is_empty() {
            text.push_str(if text.ends_with(['.', '!', '?', '。', '！', '？', ':', '：']) {
                " "
            } else {
                "; "
            });
        }
        text.push_str(&line);
    }
    text
}

/// The section whose heading has the latest date.
fn latest_part(outline: &Outline<'_>) -> Option<String> {
    let mut archived = ArchivedSections::default();
    let section = outline
        .sections()
        .filter(|section| !archived.contains(section.heading))
        .filter_map(|section| {
            let date = dated(&section.heading.source)
                .map(|(date, _)| date)
                .or_else(|| date_anywhere(&section.heading.source))?;
            Some((date, section))
        })
        .max_by_key(|(date, section)| (*date, std::cmp::Reverse(section.heading.range.start)))
        .map(|(_, section)| section)?;
    let title = section.heading.title.clone();
    let words = words(outline, &section.body);
    Some(if words.is_empty() { title.to_string() } else { format!("{title}: {words}") })
}
