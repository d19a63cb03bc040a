//! Decisions: records below headings, entries of a log, rows of a table, items of a list.

use std::ops::Range;

use jiff::civil::DateTime;

use super::block::{Block, blocks};
use super::decision_columns::{REASON_HEADS, TITLE_HEADS};
use super::decision_record::{Record, has_record, is_decision_word, is_single_record};
use super::display_date::display_date;
use super::document_kind::DocumentKind;
use super::line_state::{content, is_resolved, labelled, plain, read, without_ordinal};
use crate::document::date::{date_anywhere, dated};
use crate::document::entry_archive::ArchivedSections;
use crate::document::roles::{Role, is_placeholder, is_structural};
use crate::document::section::{Heading, Outline, Section};
use crate::unicode::is_alphabetic;

const NO_REASON: &str = "not stated in short; see decision-log.md";

/// One decision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct DecisionEntry {
    pub(super) title: String,
    pub(super) date: Option<DateTime>,
    /// The date as written.
    pub(super) date_text: String,
    pub(super) summary: String,
    /// Its position in the document.
    pub(super) order: usize,
    /// The number in its title: `ADR-007`.
    pub(super) number: Option<u64>,
    /// Whether its document lists the newest first.
    pub(super) newest_first: bool,
    /// The bytes of its record, if `summary` was not read from it yet: of the hundreds of records of a log a few are shown.
    pub(super) unread: Option<Range<usize>>,
}

impl DecisionEntry {
    /// Its summary.
    pub(super) fn summary_in(&self, outline: &Outline<'_>) -> String {
        match &self.unread {
            None => self.summary.clone(),
            Some(body) => summary_of(Record::of(outline, body)),
        }
    }
}

fn summary_of(record: Record) -> String {
    if record.is_blank { NO_REASON.to_owned() } else { record.summary }
}

/// The decisions of one document, in its order.
pub(super) fn decisions(kind: DocumentKind, outline: &Outline<'_>) -> Vec<DecisionEntry> {
    let headings = outline.headings();
    let mut reader = DecisionReader { outline, found: Vec::new(), undated_intro: Vec::new() };
    if kind == DocumentKind::Archive {
        return Vec::new();
    }
    let is_log = kind == DocumentKind::Decisions;
    if is_log && reader.single_record() {
        return reader.found;
    }
    // The level of the heading whose record is being read.
    let mut title: Option<u8> = None;
    let mut lists: Vec<(u8, bool, Option<DateTime>)> = Vec::new();
    let first = headings.first().map_or(outline.text().len(), |heading| heading.range.start);
    if is_log {
        reader.list(&(0..first), None, Lines::Introduction);
    }
    let mut archived = ArchivedSections::default();
    for (index, heading) in headings.iter().enumerate() {
        let Some(section) = outline.section(index) else { continue };
        if archived.contains(heading) {
            continue;
        }
        lists.retain(|(level, _, _)| *level < heading.level);
        if title.is_some_and(|level| level < heading.level) {
            continue;
        }
        title = None;
        let above = lists.last().copied();
        let role = Role::of_heading(&heading.title);
        let in_list = above.map_or(is_log, |(_, is_list, _)| is_list);
        let date = dated(&heading.source);
        let inherited = above.and_then(|(_, _, date)| date);
        let names_decisions = role == Some(Role::Decision)
            || (is_log && is_structural(&heading.title) && is_decision_word(&heading.title));
        if names_decisions {
            lists.push((heading.level, true, date.map(|(date, _)| date).or(inherited)));
            reader.list(&section.own, inherited, Lines::of(outline, &section));
        } else if !(in_list || is_log && heading.level == 1) {
            lists.push((heading.level, false, None));
        } else if is_structural(&heading.title) {
            // The rationale of the decision above; it does not contain decisions.
            lists.push((heading.level, is_log && above.is_none_or(|(_, is_list, _)| is_list), inherited));
        } else if role.is_some_and(|role| !matches!(role, Role::Done | Role::RecentChange))
            && !has_record(outline, &section.body)
        {
            lists.push((heading.level, false, None));
        } else if date.is_some_and(|(_, rest)| content(rest).is_none()) {
            // A day with its decisions below.
            lists.push((heading.level, true, date.map(|(date, _)| date)));
            reader.list(&section.own, date.map(|(date, _)| date), Lines::Prose);
        } else if (index == 0 && heading.level == 1) || reader.holds_titles(index) {
            lists.push((heading.level, true, date.map(|(date, _)| date).or(inherited)));
            reader.list(&section.own, inherited, Lines::Introduction);
        } else {
            reader.record(heading, &section.body, inherited);
            title = Some(heading.level);
        }
    }
    reader.finish()
}

/// Which lines of a section are decisions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Lines {
    /// Lines with a date; items only if the document has no other decisions, since they may be an introduction.
    Introduction,
    /// Lines with a date, and items.
    Entries,
    /// Lines with a date, items, and prose.
    Prose,
}

impl Lines {
    /// Which lines of a section with decisions are decisions.
    fn of(outline: &Outline<'_>, section: &Section<'_>) -> Self {
        let heading = section.heading;
        // In a section with prose only, the prose is the decision.
        let is_prose = section.own == section.body && outline.items_in(&section.own).is_empty();
        if (is_decision_word(&heading.title) || is_prose) && heading.level > 1 {
            Self::Prose
        } else if heading.level == 1 {
            Self::Introduction
        } else {
            Self::Entries
        }
    }
}

struct DecisionReader<'o, 't> {
    outline: &'o Outline<'t>,
    found: Vec<DecisionEntry>,
    /// Lines without a date at the head of a log, which may be an introduction.
    undated_intro: Vec<DecisionEntry>,
}

impl DecisionReader<'_, '_> {
    /// Reads the document if it is a single record.
    fn single_record(&mut self) -> bool {
        let Some(section) = self.outline.section(0).filter(|_| is_single_record(self.outline)) else {
            return false;
        };
        self.record(section.heading, &section.body, None);
        true
    }

    /// Whether the headings directly below this one are titles of decisions.
    fn holds_titles(&self, index: usize) -> bool {
        let headings = self.outline.headings();
        let Some(heading) = headings.get(index) else { return false };
        let below = headings.get(index + 1..).unwrap_or_default();
        let mut below = below.iter().take_while(|next| next.level > heading.level);
        below.any(|next| {
            next.level == heading.level + 1
                && !is_structural(&next.title)
                && Role::of_heading(&next.title).is_none()
        })
    }

    /// Reads a heading with the record of one decision below it.
    fn record(&mut self, heading: &Heading, body: &Range<usize>, above: Option<DateTime>) {
        let source = plain(&heading.source);
        let (date, words) = match dated(&source) {
            Some((date, rest)) => (Some(date), rest.to_owned()),
            None => (None, source.clone()),
        };
        let words = without_label(&words);
        if is_placeholder(&words) {
            return;
        }
        let (own_date, summary, unread) = match Record::date_of(self.outline, body) {
            Some(dated) => (Some(dated), String::new(), Some(body.clone())),
            None => {
                let record = Record::of(self.outline, body);
                let text = self.outline.readable(body);
                if record.is_empty && !text.trim().is_empty() && is_placeholder(text.trim()) {
                    return;
                }
                let date_text = record.date_text.clone();
                (record.date.map(|date| (date, date_text)), summary_of(record), None)
            }
        };
        let date_of_heading = date.or_else(|| date_anywhere(&source)).or(above);
        let (date, date_text) = match own_date {
            Some((date, text)) => (Some(date), text),
            None => (date_of_heading, date_of_heading.map(display_date).unwrap_or_default()),
        };
        let number = number_of(&source);
        self.push(DecisionEntry { number, unread, ..decided(words, date, date_text, summary) });
    }

    /// Reads decisions in a list, in a table, or one per line.
    fn list(&mut self, range: &Range<usize>, above: Option<DateTime>, lines: Lines) {
        let only_dated = lines == Lines::Introduction;
        let mut date_above = above;
        // The part of a decision to which the lines belong; `None` while they are decisions.
        let mut part: Option<String> = None;
        // The number of decisions before the item whose details are read.
        let mut before_item: Option<usize> = None;
        for block in blocks(self.outline, range) {
            let (line, is_item) = match &block {
                Block::Label(text) => {
                    self.label(text, only_dated, &mut date_above, &mut part);
                    continue;
                }
                Block::Item(item) if item.depth > 0 => {
                    if item.depth == 1 && before_item.is_some_and(|before| self.found.len() > before) {
                        self.detail(&item.text);
                    }
                    continue;
                }
                Block::Item(item) => {
                    before_item = Some(self.found.len());
                    (item.text.to_string(), true)
                }
                Block::Row(cells) => {
                    self.row(cells, date_above);
                    continue;
                }
                Block::Paragraph(text) => (text.clone(), false),
            };
            let (_, words) = read(&line);
            let has_date = dated(&words).is_some();
            let label = labelled(&line).map(|(label, _)| plain(label)).unwrap_or_default();
            // "Rationale: …" below an entry belongs to it.
            let is_part = !label.is_empty() && is_structural(&label);
            if is_part && !is_decision_word(&label) {
                self.add_reason(&label, &line);
                continue;
            }
            if has_date {
                part = None;
            }
            if let Some(part) = &part {
                self.summarise_last(part, &line);
                continue;
            }
            if is_resolved(&line) && line.starts_with("~~") {
                continue;
            }
            if let Some((date, rest)) = dated(&words) {
                if content(rest).is_some() {
                    self.entry(rest, Some(date), false);
                }
            } else if (is_item || lines == Lines::Prose || is_part)
                && content(&words).is_some()
                && !line.ends_with(':')
            {
                self.entry(&words, date_above, only_dated);
            }
        }
    }

    /// Reads a line with a label below the last decision: its reasons, if it has none yet.
    fn add_reason(&mut self, label: &str, line: &str) {
        if let Some((_, rest)) = labelled(line)
            && Record::gives_reasons(label)
            && let Some(last) = self.last_without_summary()
        {
            last.summary = plain(rest);
        }
    }

    /// Reads a label: a date for the lines below, a decision, or the name of a part of the last decision.
    fn label(
        &mut self,
        text: &str,
        only_dated: bool,
        date_above: &mut Option<DateTime>,
        part: &mut Option<String>,
    ) {
        let words = plain(text);
        let bare = words.trim_end_matches([':', '：', ' ']);
        let under = is_structural(bare) && !is_decision_word(bare);
        *part = under.then(|| bare.to_owned());
        if let Some((date, rest)) = dated(bare) {
            *date_above = Some(date);
            if content(rest).is_some() {
                self.entry(rest, Some(date), only_dated);
            }
        } else if !under
            && !is_decision_word(bare)
            && Role::of_heading(bare).is_none()
            && !only_dated
            && text.starts_with("**")
        {
            self.entry(bare, *date_above, only_dated);
            *part = Some(String::new());
        }
    }

    /// Uses a line of a part of the last decision as its summary, if the part gives reasons.
    fn summarise_last(&mut self, part: &str, line: &str) {
        if (part.is_empty() || Record::gives_reasons(part))
            && let Some(words) = content(line)
            && let Some(last) = self.last_without_summary()
        {
            last.summary = words;
        }
    }

    /// The last decision, if it has no summary.
    fn last_without_summary(&mut self) -> Option<&mut DecisionEntry> {
        let last = self.found.last_mut()?;
        if let Some(body) = last.unread.take() {
            last.summary = summary_of(Record::of(self.outline, &body));
        }
        Some(last).filter(|last| last.summary.is_empty())
    }

    /// Nested text of a decision's item is its summary.
    fn detail(&mut self, text: &str) {
        let Some(last) = self.last_without_summary() else { return };
        let label = labelled(text).map(|(label, rest)| (plain(label), plain(rest)));
        let words = match label {
            Some((label, rest)) if is_structural(&label) => {
                Some(rest).filter(|_| Record::gives_reasons(&label) || is_decision_word(&label))
            }
            _ => content(text),
        };
        last.summary = words.filter(|words| !is_placeholder(words)).unwrap_or_default();
    }

    fn entry(&mut self, words: &str, date: Option<DateTime>, undated_intro: bool) {
        let words = without_author(words);
        let words = without_label(words);
        let (title, summary) = split(&words);
        if is_placeholder(&title) || is_structural(&title) && summary.is_empty() {
            return;
        }
        let number = number_of(&title);
        let date_text = date.map(display_date).unwrap_or_default();
        let decided = DecisionEntry { number, ..decided(title, date, date_text, summary) };
        if undated_intro && date.is_none() { self.undated_intro.push(decided) } else { self.push(decided) }
    }

    fn row(&mut self, cells: &[(String, String)], above: Option<DateTime>) {
        let column = |names: &[&str]| {
            cells.iter().find_map(|(head, cell)| {
                let head = plain(head).to_lowercase();
                names.iter().any(|name| head.contains(name)).then(|| plain(cell))
            })
        };
        let title = column(TITLE_HEADS);
        let title = title.or_else(|| {
            cells
                .iter()
                .map(|(_, cell)| plain(cell))
                .find(|cell| cell.chars().any(is_alphabetic) && dated(cell).is_none())
        });
        let Some(title) = title.filter(|title| content(title).is_some()) else { return };
        let date = cells.iter().find_map(|(_, cell)| dated(cell)).map(|(date, _)| date).or(above);
        let summary = column(REASON_HEADS).unwrap_or_default();
        let number = number_of(&title);
        let date_text = date.map(display_date).unwrap_or_default();
        self.push(DecisionEntry { number, ..decided(title, date, date_text, summary) });
    }

    fn push(&mut self, mut decided: DecisionEntry) {
        decided.order = self.found.len();
        decided.title = without_ordinal(decided.title.trim()).trim_end_matches([':', '：']).to_owned();
        if !decided.title.is_empty() {
            self.found.push(decided);
        }
    }

    fn finish(mut self) -> Vec<DecisionEntry> {
        if self.found.is_empty() {
            for one in std::mem::take(&mut self.undated_intro) {
                self.push(one);
            }
        }
        let newest_first = is_descending(&self.found);
        for one in &mut self.found {
            one.newest_first = newest_first;
        }
        self.found
    }
}

/// A decision, whose position is determined later.
fn decided(title: String, date: Option<DateTime>, date_text: String, summary: String) -> DecisionEntry {
    DecisionEntry {
        title,
        date,
        date_text,
        summary,
        order: 0,
        number: None,
        newest_first: false,
        unread: None,
    }
}

/// Whether the dates, or else the numbers, are in descending order.
fn is_descending(found: &[DecisionEntry]) -> bool {
    let dates: Vec<DateTime> = found.iter().filter_map(|one| one.date).collect();
    if let (Some(first), Some(last)) = (dates.first(), dates.last())
        && first != last
    {
        return first > last;
    }
    let numbers: Vec<u64> = found.iter().filter_map(|one| one.number).collect();
    matches!((numbers.first(), numbers.last()), (Some(first), Some(last)) if first > last)
}

/// The text without a leading "Decision:".
fn without_label(words: &str) -> String {
    match labelled(words) {
        Some((label, rest)) if is_decision_word(label) && !rest.is_empty() => rest.to_owned(),
        _ => words.to_owned(),
    }
}

/// The text without the author in brackets before it.
fn without_author(words: &str) -> &str {
    match words.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((_, rest)) if rest.trim_start().starts_with(['-', '–', ':']) => {
            rest.trim_start_matches([' ', '-', '–', ':'])
        }
        _ => words,
    }
}

/// A title and its explanation: `Title: words`, `Title — words`.
fn split(words: &str) -> (String, String) {
    const MAX_TITLE_CHARS: usize = 80;
    for sign in [": ", "：", " — ", " – ", " - ", " → "] {
        if let Some((title, rest)) = words.split_once(sign)
            && title.chars().count() <= MAX_TITLE_CHARS
            && title.chars().count() >= 2
            && content(rest).is_some()
            && !title.contains("://")
        {
            return (title.to_owned(), rest.to_owned());
        }
    }
    (words.to_owned(), String::new())
}

fn number_of(title: &str) -> Option<u64> {
    let lower = title.to_lowercase();
    let rest = [
        "adr",
        "decision",
        "entscheidung",
        "décision",
        "decisión",
        "decisão",
        "decisione",
        "решение",
        "decyzja",
        "决策",
        "決定",
        "결정",
        "d",
        "#",
    ]
    .iter()
    .find_map(|word| lower.strip_prefix(word))
    .unwrap_or(&lower);
    let digits: String =
        rest.trim_start_matches(['-', ' ', '#', '_', ':']).chars().take_while(char::is_ascii_digit).collect();
    digits.parse().ok()
}
