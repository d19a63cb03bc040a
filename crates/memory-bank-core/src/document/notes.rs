//! Resolves notes and issues: the text is struck through in place with a date, so that nothing is lost and it is not
//! open any more.
//!
//! `- [2026-11-22 09:30:07 UTC] [alice] - 🚧 Blocker: ~~CI is down~~ [resolved 2026-11-23]`

use std::collections::BTreeSet;
use std::ops::Range;

use jiff::Timestamp;

use crate::compact_sort::CompactSort as _;
use crate::document::entry::text_of;
use crate::document::known_section::KnownSection;
use crate::document::list::key;
use crate::document::section::Outline;
use crate::document::section_items::items_of;
use crate::document::splice::{check_editable, check_headings};
use crate::document::suggestions::similar_texts;
use crate::document::{CoreDocument, NoteCategory, clip};
use crate::error::EditError;
use crate::store::Drafts;

/// The sections whose items can be resolved.
const RESOLVABLE_SECTIONS: [(CoreDocument, KnownSection); 3] = [
    (CoreDocument::ActiveContext, KnownSection::Notes),
    (CoreDocument::ActiveContext, KnownSection::Issues),
    (CoreDocument::Progress, KnownSection::Issues),
];

/// How many characters of a note a reply repeats.
const MAX_SHOWN_CHARS: usize = 200;

/// The mark after a resolved text, before the date.
const RESOLVED_MARK: &str = "~~ [resolved ";

/// Whether a note or an issue is marked as resolved.
#[must_use]
pub fn is_resolved(item: &str) -> bool {
    item.contains(RESOLVED_MARK)
}

/// Whether a note is a blocker or an issue that is not resolved.
pub(super) fn is_open_problem(note: &str) -> bool {
    if is_resolved(note) {
        return false;
    }
    let text = text_of(note, &[]);
    [NoteCategory::Blocker, NoteCategory::Issue].into_iter().map(NoteCategory::label).any(|label| {
        let (sign, word) = label.split_once(' ').unwrap_or((label, label));
        text.starts_with(sign) || text.strip_prefix(word).is_some_and(|rest| rest.starts_with(':'))
    })
}

/// Marks notes and issues as resolved. Each is named by its whole text, with or without its time, author and kind. A
/// resolved one does not change. Returns the texts of those that were marked.
///
/// # Errors
/// A text matches no item or several; the section has a merge conflict.
pub(super) fn resolve(
    drafts: &mut Drafts,
    note_texts: &[String],
    at: Timestamp,
) -> Result<Vec<String>, EditError> {
    if note_texts.is_empty() {
        return Ok(Vec::new());
    }
    let kinds = kinds();
    let candidates = candidates(drafts, &kinds);
    let mut marked = BTreeSet::new();
    for text in note_texts {
        marked.extend(find(&candidates, text, &kinds)?);
    }
    let marked: Vec<&Candidate> = marked.into_iter().filter_map(|index| candidates.get(index)).collect();
    for (document, _) in RESOLVABLE_SECTIONS.iter().skip(1) {
        let here: Vec<&Candidate> = marked.iter().copied().filter(|one| one.document == *document).collect();
        if !here.is_empty() {
            document.rewrite(drafts, |text| mark(text, &here, &kinds, at))?;
        }
    }
    Ok(marked.into_iter().map(|one| clip(&one.text, MAX_SHOWN_CHARS)).collect())
}

/// An item that a caller may name.
struct Candidate {
    document: CoreDocument,
    /// The bytes of the item.
    range: Range<usize>,
    /// Its words.
    line: String,
    /// Its words without time, author and kind.
    text: String,
    settled: bool,
    /// The keys by which it is found: of the whole line, and of the text alone.
    keys: [String; 2],
}

/// Notes that can be resolved, and resolved ones, document by document from top to bottom.
fn candidates(drafts: &Drafts, kinds: &[&str]) -> Vec<Candidate> {
    let mut found: Vec<Candidate> = Vec::new();
    for (document, part) in RESOLVABLE_SECTIONS {
        let Some(text) = document.text(drafts) else { continue };
        let outline = Outline::of(text);
        for item in items_of(&outline, part) {
            let settled = is_resolved(&item.text);
            let line = if settled { unmarked(&item.text) } else { item.text.to_string() };
            let text = text_of(&line, kinds).to_owned();
            // An item without words on its first line cannot be struck through.
            let first = outline.slice(&item.range).lines().next().unwrap_or_default();
            if !text.is_empty() && !text_of(content(first.trim_end()), kinds).is_empty() {
                let keys = [key(&line), key(&text)];
                found.push(Candidate { document, range: item.range.clone(), line, text, settled, keys });
            }
        }
    }
    found
}

/// A resolved item without its mark.
fn unmarked(line: &str) -> String {
    let before = line.split(RESOLVED_MARK).next().unwrap_or_default();
    match before.find("~~") {
        Some(at) => [before.get(..at), before.get(at + 2..)].into_iter().flatten().collect(),
        None => before.to_owned(),
    }
}

/// The open items that a text names: one, or several identical ones; none if the named item is resolved.
fn find(candidates: &[Candidate], note_text: &str, kinds: &[&str]) -> Result<Vec<usize>, EditError> {
    let note_keys = [key(note_text), key(text_of(note_text, kinds))];
    let alike = |settled: bool| -> Vec<(usize, &Candidate)> {
        // The whole line first: it distinguishes two notes with the same text.
        (0..2)
            .map(|which| {
                let fits =
                    |one: &Candidate| one.settled == settled && one.keys.get(which) == note_keys.get(which);
                candidates.iter().enumerate().filter(|(_, one)| fits(one)).collect::<Vec<_>>()
            })
            .find(|found| !found.is_empty())
            .unwrap_or_default()
    };
    let found = alike(false);
    let one_of = |found: &[(usize, &Candidate)]| -> Vec<String> {
        found.iter().map(|(_, one)| one.line.clone()).collect()
    };
    match found.first() {
        Some((_, first)) if found.iter().all(|(_, one)| one.line == first.line) => {
            Ok(found.into_iter().map(|(index, _)| index).collect())
        }
        Some(_) => Err(refused(note_text, &format!("matches {} notes", found.len()), &one_of(&found))),
        None if !alike(true).is_empty() => Ok(Vec::new()),
        None => {
            let open: Vec<String> =
                candidates.iter().filter(|one| !one.settled).map(|one| one.line.clone()).collect();
            let closest = similar_texts(note_text, &open);
            let shown = if closest.is_empty() { open } else { closest };
            Err(refused(note_text, "fits no open note or issue", &shown))
        }
    }
}

fn refused(note_text: &str, why: &str, lines: &[String]) -> EditError {
    const MAX_SHOWN: usize = 5;
    let mut shown: Vec<String> =
        lines.iter().take(MAX_SHOWN).map(|line| format!("`{}`", clip(line, MAX_SHOWN_CHARS))).collect();
    if lines.len() > MAX_SHOWN {
        shown.push("…".to_owned());
    }
    let there = match shown.as_slice() {
        [] => "there is none".to_owned(),
        shown => format!("give the whole text of one of {}", shown.join(", ")),
    };
    EditError::Refused(format!("`resolve`: `{}` {why}; {there}", clip(note_text, MAX_SHOWN_CHARS)))
}

/// The labels of the kinds of notes, in all current and earlier forms.
fn kinds() -> Vec<&'static str> {
    let labels = NoteCategory::ALL.map(NoteCategory::label);
    let word = |label: &'static str| label.split_once(' ').map_or(label, |(_, word)| word);
    let sign = |label: &'static str| label.split_once(' ').map_or(label, |(sign, _)| sign);
    labels
        .iter()
        .copied()
        .chain(labels.iter().copied().map(word))
        .chain(labels.iter().copied().map(sign))
        .collect()
}

/// Strikes through the first lines of these items and appends the date.
fn mark(text: &str, items: &[&Candidate], kinds: &[&str], at: Timestamp) -> Result<String, EditError> {
    let outline = Outline::of(text);
    for (_, part) in RESOLVABLE_SECTIONS {
        let sections = part.find_all(&outline).into_iter().filter_map(|index| outline.section(index));
        for section in sections {
            if items.iter().any(|item| section.body.contains(&item.range.start)) {
                check_editable(&outline, &section)?;
            }
        }
    }
    let mut starts: Vec<&Range<usize>> = items.iter().map(|item| &item.range).collect();
    starts.compact_sort_by_key(|range| range.start);
    let mut new = String::with_capacity(text.len() + 32 * starts.len());
    let mut done = 0;
    for range in starts {
        let line = outline.slice(range).lines().next().unwrap_or_default().trim_end();
        let message = text_of(content(line), kinds);
        let end = range.start + line.len();
        new.push_str(text.get(done..end - message.len()).unwrap_or_default());
        // Three tildes would open a code block.
        let apart = if message.starts_with('~') { " " } else { "" };
        new.push_str(&format!("~~{apart}{message}{RESOLVED_MARK}{}]", at.strftime("%Y-%m-%d")));
        done = end;
    }
    new.push_str(text.get(done..).unwrap_or_default());
    check_headings(&outline, &new)?;
    Ok(new)
}

/// The words of an item's first line, without its marker and its check box.
fn content(line: &str) -> &str {
    let unindented = line.trim_start();
    let marker = unindented.trim_start_matches(|character: char| character.is_ascii_digit());
    let rest = marker.strip_prefix(['-', '*', '+', '.', ')']).unwrap_or(unindented).trim_start();
    let box_ = ["[ ]", "[x]", "[X]"];
    box_.iter().find_map(|mark| rest.strip_prefix(mark)).map_or(rest, str::trim_start)
}
