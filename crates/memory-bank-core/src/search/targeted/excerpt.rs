//! Selects the part of a document that answers a question.

use super::reply::ContextPointer;
use crate::document::section::Outline;
use crate::store::DocumentsFound;

/// How many lines of the beginning are shown of a document without hits.
const FIRST_LINES: usize = 60;
/// The most hits of one document that are shown.
const MAX_PLACES: usize = 8;

/// The part of the document, and the reason: the section that the pointer names, else the hits with a line around
/// each, else the beginning.
pub(super) fn excerpt(text: &str, pointer: &ContextPointer, documents: &DocumentsFound) -> (String, String) {
    if let Some(hint) = &pointer.heading_hint
        && let Some(section) = section(text, hint)
    {
        return (section, format!("section `{hint}`"));
    }
    let places: Vec<(usize, usize)> = documents
        .hits
        .iter()
        .filter(|hit| hit.file == pointer.path)
        .map(|hit| hit.unit)
        .take(MAX_PLACES)
        .collect();
    if places.is_empty() {
        let lines: Vec<&str> = text.split('\n').take(FIRST_LINES).collect();
        return (lines.join("\n").trim_end().to_owned(), "the beginning".to_owned());
    }
    (windows(text, places), "around the words of the question".to_owned())
}

/// The first section whose heading contains the hint, ignoring case, up to the next heading of the same or a higher
/// level. A line in a code block is not a heading.
fn section(text: &str, hint: &str) -> Option<String> {
    let outline = Outline::of(text);
    let hint = hint.trim().to_lowercase();
    let at = outline.headings().iter().position(|heading| heading.title.to_lowercase().contains(&hint))?;
    let section = outline.section(at)?;
    let range = section.heading.range.start..section.body.end;
    Some(outline.slice(&range).trim_end().to_owned())
}

/// The hits with one line before and after each, in the order of the document, joined by `...`.
fn windows(text: &str, mut places: Vec<(usize, usize)>) -> String {
    let lines: Vec<&str> = text.split('\n').collect();
    places.sort_unstable();
    let mut merged: Vec<(usize, usize)> = Vec::new();
    for (first, last) in places {
        let (first, last) = (first.saturating_sub(1).max(1), last + 1);
        match merged.last_mut() {
            Some((_, end)) if first <= *end + 1 => *end = last.max(*end),
            _ => merged.push((first, last)),
        }
    }
    let window = |(first, last): (usize, usize)| {
        let part: Vec<&str> = lines.iter().skip(first - 1).take(last + 1 - first).copied().collect();
        part.join("\n").trim_matches('\n').to_owned()
    };
    merged.into_iter().map(window).collect::<Vec<_>>().join("\n...\n")
}
