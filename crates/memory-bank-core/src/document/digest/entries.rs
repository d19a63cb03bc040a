//! The entries of one document: every line about the work, with the role of its section and its date.

mod prose;

use jiff::civil::DateTime;

use super::block::{Block, ListItem, blocks};
use super::details::{details_of, is_label, join_in_one_line, with_detail};
use super::document_kind::DocumentKind;
use super::entry::Entry;
use super::heading_words::{is_current_task, is_metadata, is_session};
use super::line_context::{LineContext, named_heading};
use super::line_state::{
    State, content, is_any_placeholder, is_finished, is_resolved, labelled, plain, read, without_ordinal,
};
use super::log_line::{is_open_point, log_line};
use super::note::{note_role, without_author};
use super::table_row::Row;
use crate::document::date::{date_anywhere, dated};
use crate::document::dialect::front_matter;
use crate::document::entry_archive::ArchivedSections;
use crate::document::roles::{Role, is_cjk, is_placeholder, is_structural};
use crate::document::section::{Heading, Outline};

/// Reads one document.
pub(super) fn entries(kind: DocumentKind, outline: &Outline<'_>) -> Vec<Entry> {
    // A log has about as many entries as items.
    let items = outline.items_in(&(0..outline.text().len())).len();
    let found = Vec::with_capacity(items);
    let mut reader = EntryReader { kind, section: 0, found, prose: Vec::new(), current: None };
    let headings = outline.headings();
    let first = headings.first().map_or(outline.text().len(), |heading| heading.range.start);
    let skipped = front_matter(outline.text()).min(first);
    // The lines of a decision log are decisions.
    let reads_lines = !matches!(kind, DocumentKind::Decisions | DocumentKind::Archive);
    if reads_lines {
        reader.section(&blocks(outline, &(skipped..first)), &LineContext::default());
    }
    // Only a task that its heading names counts in a document of this kind.
    if !reads_lines && !headings.iter().any(|heading| named_heading(heading).is_some()) {
        return reader.finish();
    }
    let mut open: Vec<LineContext> = Vec::new();
    let mut archived = ArchivedSections::default();
    for index in 0..headings.len() {
        let Some(section) = outline.section(index) else { continue };
        if archived.contains(section.heading) {
            continue;
        }
        open.retain(|place| place.level < section.heading.level);
        let place = LineContext::of_heading(kind, section.heading, index == 0, open.last());
        reader.section += 1;
        let is_entry = place.is_entry || named_heading(section.heading).is_some() && kind.is_current();
        let own = if is_entry || reads_lines { blocks(outline, &section.own) } else { Vec::new() };
        if is_entry {
            let before = reader.found.len();
            reader.heading_entry(section.heading, &place);
            reader.heading_details(&own, before);
        }
        // Only a document on current work has one.
        if kind == DocumentKind::Active && reader.current.is_none() && is_current_task(&section.heading.title)
        {
            reader.current = Some(reader.section);
        }
        let before = reader.found.len();
        if reads_lines {
            reader.section(&own, &place);
        }
        reader.join_parts(section.heading, &place, before);
        open.push(place);
    }
    reader.finish()
}

/// Where a paragraph is below its heading.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Position {
    /// It is the first, and no entry is before it.
    First,
    /// Entries of the section are before it.
    AfterEntries,
    /// Only paragraphs that are not entries precede it.
    AfterProse,
}

struct EntryReader {
    kind: DocumentKind,
    section: usize,
    found: Vec<Entry>,
    /// Prose that has no role.
    prose: Vec<Entry>,
    /// The index of the section "Current Task".
    current: Option<usize>,
}

impl EntryReader {
    fn heading_entry(&mut self, heading: &Heading, place: &LineContext) {
        let Some(role) = place.role else { return };
        let text = named_heading(heading).map_or_else(|| plain(&heading.source), |(_, name)| name);
        let words = dated(&text).map_or(text.as_str(), |(_, rest)| rest).to_owned();
        let own_date = named_heading(heading).is_none();
        self.push(Entry { own_date, ..self.entry(role, words, text, 0, place) });
    }

    /// Appends the parts of finished work to the entry that its heading made.
    fn heading_details(&mut self, own: &[Block], before: usize) {
        let Some(entry) = self.found.get_mut(before) else { return };
        if !matches!(entry.role, Role::RecentChange | Role::Done) {
            return;
        }
        let parts = own
            .iter()
            .filter_map(|block| match block {
                Block::Item(item) if item.depth == 0 => Some(&*item.text),
                Block::Paragraph(text) => Some(text.as_str()),
                _ => None,
            })
            .filter_map(|text| {
                let (state, words) = read(text);
                // Open items belong to the tasks, and dated items are entries of their own.
                let is_part = state != State::Open && dated(&words).is_none() && !is_metadata(text);
                (is_part && !is_any_placeholder(text, &words)).then_some(words)
            });
        let detail = join_in_one_line(parts);
        if !detail.is_empty() {
            entry.text = with_detail(&entry.text, &detail);
            entry.source = with_detail(&entry.source, &detail).into();
        }
    }

    fn section(&mut self, found: &[Block], place: &LineContext) {
        let mut within = place.clone();
        let mut labels: Vec<(usize, LineContext)> = Vec::new();
        let mut paragraphs = 0;
        let before = self.found.len();
        let mut details = 0;
        for (order, block) in found.iter().enumerate() {
            match block {
                Block::Label(text) => {
                    within = place.below_label(self.kind, text);
                    labels.clear();
                    if place.role == Some(Role::Focus) {
                        self.introduction(text, order, &within);
                    }
                }
                Block::Item(_) if details > 0 => details -= 1,
                Block::Item(item) => {
                    labels.retain(|(depth, _)| *depth < item.depth);
                    let here = labels.last().map_or(&within, |(_, place)| place);
                    if let Some(entry) = log_line(self.kind, item, here) {
                        self.found.push(Entry { section: self.section, order, ..entry });
                        continue;
                    }
                    let here = here.clone();
                    let (state, words) = read(&item.text);
                    let is_label = item.has_children && state == State::Undeclared && is_label(&words);
                    if is_label {
                        labels.push((item.depth, here.below_label(self.kind, &words)));
                    } else {
                        let (count, detail) = details_of(item, found.get(order + 1..).unwrap_or_default());
                        details = count;
                        self.item(item, (state, words), &detail, order, &here);
                    }
                }
                Block::Row(cells) => self.row(cells, order, &within),
                Block::Paragraph(text) => {
                    self.paragraph(text, order, &within, paragraphs, before);
                    paragraphs += 1;
                }
            }
        }
    }

    /// Prose with a colon before the list of a focus section: it names the focus.
    fn introduction(&mut self, label: &str, order: usize, place: &LineContext) {
        const MAX_TITLE_WORDS: usize = 3;
        let words = plain(label);
        let bare = words.trim_end_matches([':', '：', ' ']);
        let is_prose = bare.split(' ').count() > MAX_TITLE_WORDS
            || bare.chars().filter(|character| is_cjk(*character)).count() > 6;
        if is_prose
            && place.role == Some(Role::Focus)
            && Role::of_heading(bare).is_none()
            && content(bare).is_some()
        {
            self.push(self.entry(Role::Focus, format!("{bare}:"), words.clone(), order, place));
        }
    }

    /// Joins a sub-heading of finished work and the lines below it to one entry: its title, then the parts.
    fn join_parts(&mut self, heading: &Heading, place: &LineContext, before: usize) {
        let is_part = matches!(place.role, Some(Role::RecentChange | Role::Done))
            && !place.is_entry
            && self.kind.is_current()
            && dated(&heading.source).is_none()
            && !is_session(&heading.title)
            && !is_structural(&heading.title);
        let own = self.found.get(before..).unwrap_or_default();
        let is_list = own.iter().all(|entry| Some(entry.role) == place.role && !entry.own_date);
        let Some(first) = own.first().filter(|_| is_part && is_list).cloned() else { return };
        let (_, title) = read(&heading.source);
        let title = title.trim_end_matches([':', '：', ' ', '✅', '✔', '☑', '\u{fe0f}']);
        // "Login ✅" and "Login (done)" name finished work, "Done" does not.
        let name = title.split(['(', '[']).next().unwrap_or_default();
        if content(name).is_none() || Role::of_heading(name).is_some() {
            return;
        }
        let parts: Vec<&str> = own.iter().map(|entry| entry.source.trim_end_matches(['.', ';'])).collect();
        let text = format!("{title}: {}", parts.join("; "));
        self.found.truncate(before);
        self.push(Entry { text: text.clone(), source: text.into(), ..first });
    }

    /// `line` is the part of the item's text that was read.
    fn item(
        &mut self,
        item: &ListItem,
        line: (State, String),
        detail: &str,
        order: usize,
        place: &LineContext,
    ) {
        let (state, words) = line;
        if is_any_placeholder(&item.text, &words) || place.is_past && state != State::Open {
            return;
        }
        if place.is_criteria && !self.kind.is_current() {
            return;
        }
        let (date, text) = match dated(&words) {
            Some((date, rest)) => (Some(date), rest.to_owned()),
            None => (None, words.clone()),
        };
        if date.is_some() && is_placeholder(&text) && !item.has_children {
            return;
        }
        let Some(role) = self.role_of(state, &item.text, &text, date.is_some(), place) else { return };
        if place.is_earlier_session
            && state != State::Open
            && !matches!(role, Role::RecentChange | Role::Done)
        {
            return;
        }
        // Text below an entry with its own title belongs to that entry.
        if (place.is_entry && state != State::Open && date.is_none())
            || (item.depth > 0 && !self.is_nested_entry(role, state))
        {
            return;
        }
        let text =
            if role == Role::Note || place.role == Some(Role::Note) { without_author(&text) } else { text };
        // An open point in a list of finished work is not finished.
        if matches!(role, Role::Done | Role::RecentChange) && is_open_point(&text) {
            return;
        }
        let text = match self.role_by_label(&text) {
            Some((Role::NextStep, rest)) if place.role == Some(Role::RecentChange) => rest.to_owned(),
            _ => text,
        };
        let (text, words) = (with_detail(&text, detail), with_detail(&words, detail));
        self.push(Entry {
            date: date.or_else(|| date_within(role, &words)).or(place.date),
            own_date: date.is_some() || date_within(role, &words).is_some(),
            depth: item.depth,
            unticked: state == State::Open,
            ..self.entry(role, text, words, order, place)
        });
    }

    /// Whether a nested item is an entry of its own.
    fn is_nested_entry(&self, role: Role, state: State) -> bool {
        state == State::Open
            || matches!(role, Role::Task | Role::Issue | Role::NextStep | Role::Question | Role::Focus)
    }

    fn role_of(
        &self,
        state: State,
        source: &str,
        text: &str,
        has_date: bool,
        place: &LineContext,
    ) -> Option<Role> {
        let role = place.role.filter(|role| self.kind.is_current() || is_lasting(*role));
        match (role, state) {
            (Some(Role::Note), _) => note_role(source, text),
            (Some(Role::Issue), _) if state == State::Finished || is_resolved(source) => Some(Role::Done),
            (Some(role @ (Role::NextStep | Role::Issue | Role::Question)), State::Open)
                if !place.by_title =>
            {
                Some(role)
            }
            (_, State::Open) => Some(Role::Task),
            (Some(Role::Task | Role::NextStep | Role::Status | Role::Focus), State::Finished) => {
                Some(Role::Done)
            }
            // "Next: …" at the end of a session's report.
            (Some(Role::RecentChange), State::Undeclared)
                if matches!(self.role_by_label(source), Some((Role::NextStep, _))) =>
            {
                Some(Role::NextStep)
            }
            // A list of all work below the document's title: only items with an empty check box are open.
            (Some(Role::Task), State::Undeclared) if place.by_title && place.level > 1 => None,
            (Some(role), _) => Some(role),
            (None, State::Finished) if self.kind.is_current() => Some(Role::Done),
            (None, _) if has_date && self.kind.is_current() => Some(Role::RecentChange),
            (None, _) => self.role_by_label(source).map(|(role, _)| role),
        }
    }

    /// The role by the label at the head of a line: `**Next step:** deploy`.
    fn role_by_label<'t>(&self, text: &'t str) -> Option<(Role, &'t str)> {
        let (label, rest) = labelled(text)?;
        let role = Role::of_heading(label)?;
        let counts = matches!(
            role,
            Role::Focus | Role::NextStep | Role::Issue | Role::Question | Role::Status | Role::Task
        );
        (counts && self.kind.is_current() && !is_placeholder(rest)).then_some((role, rest))
    }

    fn row(&mut self, cells: &[(String, String)], order: usize, place: &LineContext) {
        let Some(row) = Row::of(cells) else { return };
        let role = place.role.filter(|role| self.kind.is_current() || is_lasting(*role));
        let finished = row.status.as_deref().is_some_and(is_finished);
        let role = match role {
            Some(Role::Issue | Role::Task | Role::NextStep | Role::Status) | None
                if finished && self.kind.is_current() =>
            {
                Some(Role::Done)
            }
            Some(Role::Status) | None if row.status.is_some() && self.kind.is_current() => Some(Role::Task),
            Some(Role::Done) if row.status.is_some() && !finished => Some(Role::Task),
            None if row.date.is_some() && self.kind == DocumentKind::Progress => Some(Role::RecentChange),
            other => other,
        };
        let Some(role) = role else { return };
        let date = row.date.or(place.date);
        let was_issue = place.role == Some(Role::Issue);
        let status =
            row.status.filter(|_| was_issue || !finished && role != Role::Done).map(|status| plain(&status));
        let text = match status {
            Some(status) if !is_placeholder(&status) => format!("{} ({status})", row.words),
            _ => row.words,
        };
        self.push(Entry { date, ..self.entry(role, text.clone(), text, order, place) });
    }

    fn paragraph(&mut self, text: &str, order: usize, place: &LineContext, number: usize, before: usize) {
        if place.is_past || place.is_entry {
            return;
        }
        let (state, words) = read(text);
        if is_any_placeholder(text, &words) {
            return;
        }
        let (date, rest) = match dated(&words) {
            Some((date, rest)) => (Some(date), rest.to_owned()),
            None => (None, without_ordinal(&words).to_owned()),
        };
        if is_placeholder(&rest) {
            return;
        }
        if place.role.is_some() && is_metadata(text) && !self.is_project_status(text) {
            return;
        }
        let position = match number {
            _ if self.found.len() > before => Position::AfterEntries,
            0 => Position::First,
            _ => Position::AfterProse,
        };
        let found = self.role_of_paragraph(text, rest, state, date, place, position);
        let Some((role, text)) = found else {
            self.keep_prose(text, &words, order, place);
            return;
        };
        if place.is_earlier_session
            && state != State::Open
            && !matches!(role, Role::RecentChange | Role::Done)
        {
            return;
        }
        self.push(Entry {
            date: date.or(place.date),
            own_date: date.is_some(),
            unticked: state == State::Open,
            ..self.entry(role, text, words, order, place)
        });
    }

    /// The role of a paragraph and its text, if it is an entry.
    fn role_of_paragraph(
        &self,
        text: &str,
        rest: String,
        state: State,
        date: Option<DateTime>,
        place: &LineContext,
        position: Position,
    ) -> Option<(Role, String)> {
        let label = self.role_by_label(text);
        let role = place.role.filter(|role| self.kind.is_current() || is_lasting(*role));
        match (role, state) {
            (Some(Role::Note), _) if date.is_some() => {
                note_role(text, &rest).map(|role| (role, without_author(&rest)))
            }
            (_, State::Open) => Some((Role::Task, rest)),
            (None, State::Finished) if self.kind.is_current() => Some((Role::Done, rest)),
            (Some(Role::Task | Role::Issue | Role::NextStep), State::Finished) => Some((Role::Done, rest)),
            (None | Some(Role::RecentChange), _) if date.is_some() && self.kind.is_current() => {
                Some((Role::RecentChange, rest))
            }
            (None, _) => label.map(|(role, rest)| (role, plain(rest))),
            (Some(role @ (Role::Focus | Role::Status)), _) => match label {
                // "**Status:** beta" within the focus is the status.
                Some((own, rest)) if own != role => Some((own, plain(rest))),
                _ => Some((role, rest)),
            },
            // Prose below the heading of a list is an entry if there is no list; before a list it is an introduction.
            (Some(role @ (Role::Task | Role::Issue | Role::NextStep | Role::Question)), _) => {
                let has_title = text.starts_with("**") && position == Position::AfterEntries;
                ((position == Position::First || has_title)
                    && !place.by_title
                    && !rest.ends_with([':', '：']))
                .then_some((role, rest))
            }
            (Some(Role::RecentChange | Role::Done), _) => (position == Position::First
                && !rest.ends_with([':', '：']))
            .then_some((role.unwrap_or(Role::Done), rest)),
            _ => None,
        }
    }

    /// Whether a line is the status of the project, and none was found before.
    fn is_project_status(&self, text: &str) -> bool {
        let label = labelled(text).map(|(label, _)| Role::of_heading(label));
        label == Some(Some(Role::Status)) && !self.found.iter().any(|entry| entry.role == Role::Status)
    }

    /// An entry with the date of the heading above.
    fn entry(&self, role: Role, text: String, source: String, order: usize, place: &LineContext) -> Entry {
        Entry {
            role,
            text,
            source: source.into(),
            date: place.date,
            own_date: false,
            section: self.section,
            order,
            depth: 0,
            newest_first: place.newest_first,
            unticked: false,
            number: place.number,
        }
    }

    fn push(&mut self, entry: Entry) {
        if !entry.text.is_empty() || !entry.source.is_empty() {
            self.found.push(entry);
        }
    }
}

/// The date anywhere in a line about finished work.
fn date_within(role: Role, words: &str) -> Option<DateTime> {
    if matches!(role, Role::Done | Role::RecentChange) { date_anywhere(words) } else { None }
}

/// Whether the role counts in documents that describe the project, too.
fn is_lasting(role: Role) -> bool {
    matches!(role, Role::Task | Role::Issue | Role::NextStep | Role::Question | Role::Decision)
}

/// The entries of an item by the complete parser, without the fast path for log lines.
#[cfg(test)]
pub(super) fn entries_of_item(kind: DocumentKind, item: &ListItem, place: &LineContext) -> Vec<Entry> {
    let mut reader = EntryReader { kind, section: 0, found: Vec::new(), prose: Vec::new(), current: None };
    reader.item(item, read(&item.text), "", 0, place);
    reader.found
}
