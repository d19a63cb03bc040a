//! The record of a decision: labelled parts, such as rationale and consequences, below one heading.

use std::ops::Range;

use jiff::civil::DateTime;

use super::block::{Block, blocks};
use super::display_date::display_date;
use super::line_state::{content, labelled, plain};
use crate::document::date::{date_anywhere, dated};
use crate::document::entry_archive::ArchivedSections;
use crate::document::roles::{Role, is_structural};
use crate::document::section::{Heading, Outline};

/// The summary of a record's text.
pub(super) struct Record {
    pub(super) date: Option<DateTime>,
    pub(super) date_text: String,
    pub(super) summary: String,
    /// Whether it has only unfilled forms.
    pub(super) is_empty: bool,
    /// Whether the record has no text.
    pub(super) is_blank: bool,
}

impl Record {
    /// Whether a part with this name gives reasons, so that it can summarise the decision.
    pub(super) fn gives_reasons(label: &str) -> bool {
        let lower = label.to_lowercase();
        [
            "rationale",
            "reason",
            "why",
            "begründung",
            "grund",
            "warum",
            "raison",
            "justif",
            "pourquoi",
            "motiv",
            "raz",
            "por qu",
            "обоснован",
            "причин",
            "почему",
            "uzasadnien",
            "pow",
            "理由",
            "原因",
            "依据",
            "根拠",
            "이유",
            "근거",
        ]
        .iter()
        .any(|word| lower.contains(word))
    }

    /// Reads the record in these bytes, the body of a section.
    pub(super) fn of(outline: &Outline<'_>, body: &Range<usize>) -> Self {
        if can_be_read_in_place(outline, body) {
            return Self::read(outline, body);
        }
        let text = outline.readable(body);
        Self::read(&Outline::of(&text), &(0..text.len()))
    }

    fn read(outline: &Outline<'_>, body: &Range<usize>) -> Self {
        let mut record = Self {
            date: None,
            date_text: String::new(),
            summary: String::new(),
            is_empty: true,
            is_blank: outline.readable(body).trim().is_empty(),
        };
        let mut summary = Summary::default();
        for (title, range) in parts(outline, body) {
            // The part to which the lines belong: the heading or the label above.
            let mut part = title;
            for block in blocks(outline, &range) {
                // A label inside of an item is a part of its text.
                let is_nested = matches!(&block, Block::Item(item) if item.depth > 0);
                let line = match block {
                    Block::Label(text) => {
                        part = plain(&text).trim_end_matches([':', '：', ' ']).to_owned();
                        continue;
                    }
                    Block::Item(item) => item.text,
                    Block::Paragraph(text) => text.into(),
                    Block::Row(_) => continue,
                };
                let Some(words) = content(&line) else { continue };
                if let Some((label, rest)) =
                    labelled(&line).filter(|(label, _)| is_structural(&plain(label)) || is_date_label(label))
                    && !(is_nested && summary.decision.is_some())
                {
                    let label = plain(label);
                    if !record.read_labelled(&label, plain(rest), &mut summary) {
                        part = label;
                    }
                    continue;
                }
                record.read_line(&words, &part, &mut summary);
            }
        }
        record.summary = summary.decision.or(summary.first).or(summary.reason).unwrap_or_default();
        record
    }

    /// The date of the record in these bytes, and how it is written, if its first line has it and no later one: so this server writes
    /// records, and the rest of the record need not be read. `None` if all lines count.
    pub(super) fn date_of(outline: &Outline<'_>, body: &Range<usize>) -> Option<(DateTime, String)> {
        if !can_be_read_in_place(outline, body) {
            return None;
        }
        let mut dated = None;
        for (_, range) in parts(outline, body) {
            for block in blocks(outline, &range) {
                let line: &str = match &block {
                    Block::Item(item) => &item.text,
                    Block::Paragraph(text) => text,
                    Block::Label(_) | Block::Row(_) if dated.is_some() => continue,
                    Block::Label(_) | Block::Row(_) => return None,
                };
                let date =
                    labelled(line).filter(|(label, _)| is_date_label(label)).map(|(_, rest)| plain(rest));
                match (&dated, date) {
                    (None, Some(rest)) => {
                        content(line)?;
                        dated = Some((date_anywhere(&rest)?, rest));
                    }
                    (Some(_), None) => {}
                    _ => return None,
                }
            }
        }
        dated
    }

    /// Reads a labelled line; false if it only has the label, to which the next lines belong.
    fn read_labelled(&mut self, label: &str, rest: String, summary: &mut Summary) -> bool {
        if is_date_label(label) {
            if let Some(date) = date_anywhere(&rest) {
                self.date = Some(date);
                self.date_text = rest;
                self.is_empty = false;
            }
            return true;
        }
        if content(&rest).is_none() {
            return false;
        }
        self.is_empty = false;
        if is_decision_word(label) {
            summary.decision = Some(rest);
        } else if Self::gives_reasons(label) {
            summary.reason.get_or_insert(rest);
        }
        true
    }

    /// Reads another line below the heading or label `part`.
    fn read_line(&mut self, words: &str, part: &str, summary: &mut Summary) {
        self.is_empty = false;
        let (date, rest) = match dated(words) {
            Some((date, rest)) => (Some(date), rest.to_owned()),
            None => (None, words.to_owned()),
        };
        if self.date.is_none()
            && let Some(date) = date
        {
            self.date = Some(date);
            self.date_text = display_date(date);
        }
        if content(&rest).is_none() {
            return;
        }
        if is_decision_word(part) {
            summary.decision.get_or_insert(rest);
        } else if Self::gives_reasons(part) {
            summary.reason.get_or_insert(rest);
        } else if part.is_empty() || !is_structural(part) {
            summary.first.get_or_insert(rest);
        }
    }
}

/// The parts of a record: the title of each, and the bytes below it.
fn parts(outline: &Outline<'_>, body: &Range<usize>) -> Vec<(String, Range<usize>)> {
    let below = outline.sections_in(body);
    let own_end = below.first().map_or(body.end, |section| section.heading.range.start);
    let mut parts = vec![(String::new(), body.start..own_end)];
    let mut archived = ArchivedSections::default();
    let below = below.into_iter().filter(|section| !archived.contains(section.heading));
    parts.extend(below.map(|section| (section.heading.title.to_string(), section.own)));
    parts
}

/// Whether the body of a section has the same structure within its document as on its own: no markers of a conflict, nothing that
/// would be front matter, and no links in headings, which may be defined elsewhere.
fn can_be_read_in_place(outline: &Outline<'_>, body: &Range<usize>) -> bool {
    let text = outline.slice(body);
    !text.starts_with("---")
        && !text.starts_with('\u{feff}')
        && !outline.may_have_conflict(body)
        && outline.sections_in(body).iter().all(|section| !section.heading.source.contains('['))
}

/// The lines of a record that may be its summary.
#[derive(Default)]
struct Summary {
    decision: Option<String>,
    /// The first line of no known part.
    first: Option<String>,
    reason: Option<String>,
}

fn is_date_label(label: &str) -> bool {
    ["date", "datum", "fecha", "data", "дата", "日期", "日付", "날짜", "decided", "decided on"]
        .contains(&plain(label).to_lowercase().as_str())
}

/// Whether a section has the parts of a record.
pub(super) fn has_record(outline: &Outline<'_>, body: &Range<usize>) -> bool {
    let text = outline.readable(body);
    text.lines().any(|line| labelled(line).is_some_and(|(label, _)| is_decision_word(label)))
}

/// Whether a document is a single record with its title as the heading.
pub(in crate::document) fn is_single_record(outline: &Outline<'_>) -> bool {
    let headings = outline.headings();
    let Some(first) = headings.first().filter(|first| first.level == 1) else { return false };
    let rest = headings.get(1..).unwrap_or_default();
    let names_log = Role::of_heading(&first.title) == Some(Role::Decision) || is_structural(&first.title);
    let mut archived = ArchivedSections::default();
    let rest: Vec<&Heading> = rest.iter().filter(|heading| !archived.contains(heading)).collect();
    let mut parts = rest.iter().filter(|heading| heading.level <= 2).peekable();
    !names_log
        && parts.peek().is_some()
        && parts.all(|heading| is_structural(&heading.title))
        && rest.iter().all(|heading| heading.level > 1)
}

/// Whether a heading or label is a word for "decision", in any language.
pub(super) fn is_decision_word(title: &str) -> bool {
    let bare = title.trim_end_matches(|character: char| character.is_ascii_digit() || character == ' ');
    Role::of_heading(bare) == Some(Role::Decision) && is_structural(title)
}
