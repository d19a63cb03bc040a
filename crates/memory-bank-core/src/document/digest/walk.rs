//! The entries of one document: every line about the work, with the role of its section and its date.

use jiff::civil::DateTime;

use super::block::{Block, Listed, blocks};
use super::kind::Kind;
use super::line::{
    State, content, is_finished, is_introduction, is_resolved, labelled, plain, read, without_ordinal,
};
use crate::document::active_context::{NOTES, TASKS};
use crate::document::date::{date_anywhere, dated};
use crate::document::entry::bracketed;
use crate::document::progress::HISTORY;
use crate::document::roles::{Role, is_cjk, is_placeholder, is_structural, same_heading};
use crate::document::section::{Heading, Outline};

/// One line with content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) role: Role,
    /// Its words.
    pub(super) text: String,
    /// The line as it stands, where the date is part of it.
    pub(super) source: String,
    pub(super) date: Option<DateTime>,
    /// Whether the date is its own, not that of the heading above.
    pub(super) own_date: bool,
    /// The place of its section in the document, and its own in the section.
    pub(super) section: usize,
    pub(super) order: usize,
    /// The depth of nesting; 0 at the top.
    pub(super) depth: usize,
    /// Whether this server adds at the top of its section (true), at its end (false), or somebody else wrote it.
    pub(super) newest_first: Option<bool>,
    /// Whether it has a check box that is not ticked.
    pub(super) unticked: bool,
    /// The number in its heading: "Session 3", "v0.2".
    pub(super) number: Option<u64>,
}

/// The context of the current position.
#[derive(Clone, Default)]
struct Place {
    level: u8,
    role: Option<Role>,
    /// Whether the role is that of the title of the document.
    by_title: bool,
    date: Option<DateTime>,
    newest_first: Option<bool>,
    number: Option<u64>,
    /// An entry by its heading: what stands below belongs to it.
    is_entry: bool,
    /// Reference text.
    is_past: bool,
    /// Success criteria, which are not work.
    is_criteria: bool,
    /// A session before the last one: what it did counts, what it meant to do does not.
    is_former: bool,
}

/// Reads one document.
pub(super) fn entries(kind: Kind, outline: &Outline<'_>) -> Vec<Entry> {
    let mut walk = Walk { kind, section: 0, found: Vec::new(), prose: Vec::new(), current: None };
    let headings = outline.headings();
    let first = headings.first().map_or(outline.text().len(), |heading| heading.range.start);
    let skipped = crate::document::section::front_matter(outline.text()).min(first);
    walk.section(outline, &(skipped..first), &Place::default());
    let mut open: Vec<Place> = Vec::new();
    for index in 0..headings.len() {
        let Some(section) = outline.section(index) else { continue };
        open.retain(|place| place.level < section.heading.level);
        let place = walk.place(section.heading, index == 0, open.last());
        walk.section += 1;
        if place.is_entry || named(section.heading).is_some() && kind.is_of_now() {
            let before = walk.found.len();
            walk.heading_entry(section.heading, &place);
            walk.heading_details(outline, &section.own, before);
        }
        if is_current_task(&section.heading.title) {
            walk.current = walk.current.or(Some(walk.section));
        }
        let before = walk.found.len();
        walk.section(outline, &section.own, &place);
        walk.gather(section.heading, &place, before);
        open.push(place);
    }
    walk.with_prose()
}

struct Walk {
    kind: Kind,
    section: usize,
    found: Vec<Entry>,
    /// Prose that has no role.
    prose: Vec<Entry>,
    /// The section that holds the one task that is being done.
    current: Option<usize>,
}

impl Walk {
    fn place(&self, heading: &Heading, is_title: bool, above: Option<&Place>) -> Place {
        let above = above.cloned().unwrap_or_default();
        let own = Role::of_heading(&heading.title);
        let date = dated(&heading.source).or_else(|| {
            let logs = self.kind == Kind::Progress || above.role.is_some() || own.is_some();
            date_anywhere(&heading.source).filter(|_| logs).map(|date| (date, &*heading.source))
        });
        let mut place = Place {
            level: heading.level,
            role: own.or(above.role),
            by_title: if own.is_some() { heading.level == 1 } else { above.by_title },
            date: date.map(|(date, _)| date).or(above.date),
            newest_first: above.newest_first,
            number: number_in(&heading.title).or(above.number),
            is_entry: false,
            is_past: above.is_past || is_past(&heading.title),
            is_criteria: above.is_criteria || is_criteria(&heading.title),
            is_former: above.is_former || is_former(&heading.title),
        };
        // The title of a document names it; it says nothing of the lines below.
        let names_all =
            matches!(own, Some(Role::Focus | Role::Status | Role::RecentChange | Role::Note | Role::Done));
        if is_title && heading.level == 1 && names_all {
            place.role = None;
        }
        if own.is_some() {
            place.newest_first = if is_one_of(&heading.title, &HISTORY) || is_one_of(&heading.title, &NOTES) {
                Some(true)
            } else if is_one_of(&heading.title, &TASKS) {
                Some(false)
            } else {
                None
            };
        }
        if is_session(&heading.title) && own.is_none() && date.is_none() && self.kind.is_of_now() {
            place.role = place.role.or(Some(Role::RecentChange));
            place.is_entry = labelled(&heading.title).is_some_and(|(_, rest)| !is_placeholder(rest));
            return place;
        }
        if let Some((role, _)) = named(heading) {
            place.is_entry = role == Role::Task;
            return place;
        }
        if let Some((_, rest)) = date {
            let is_log = matches!(place.role, None | Some(Role::RecentChange | Role::Done | Role::Note));
            if own.is_none() && is_log && !above.is_entry && self.kind.is_of_now() {
                place.role = place.role.or(Some(Role::RecentChange));
                place.is_entry = !is_placeholder(rest)
                    && !is_version(rest)
                    && !only_counts(&heading.title)
                    && (heading.level >= 2 || !is_title);
            }
        } else if above.is_entry && own.is_none() {
            place.is_entry = false;
            place.role = None;
        }
        place
    }

    fn heading_entry(&mut self, heading: &Heading, place: &Place) {
        let Some(role) = place.role else { return };
        let text = named(heading).map_or_else(|| plain(&heading.source), |(_, name)| name);
        let words = dated(&text).map_or(text.as_str(), |(_, rest)| rest).to_owned();
        self.push(Entry {
            role,
            text: words,
            source: text,
            date: place.date,
            own_date: named(heading).is_none(),
            section: self.section,
            order: 0,
            depth: 0,
            newest_first: place.newest_first,
            unticked: false,
            number: place.number,
        });
    }

    /// An entry of what was done by its heading says its parts, too.
    fn heading_details(&mut self, outline: &Outline<'_>, own: &std::ops::Range<usize>, before: usize) {
        let Some(entry) = self.found.get_mut(before) else { return };
        if !matches!(entry.role, Role::RecentChange | Role::Done) {
            return;
        }
        let parts: Vec<String> = blocks(outline, own)
            .into_iter()
            .filter_map(|block| match block {
                Block::Item(item) if item.depth == 0 => Some(item.text),
                Block::Paragraph(text) => Some(text),
                _ => None,
            })
            // What is still open stands among the tasks, and what has a date is an entry of its own.
            .filter(|text| {
                let (state, words) = read(text);
                state != State::Open && dated(&words).is_none() && !is_metadata(text)
            })
            .filter_map(|text| content(&text))
            .collect();
        let detail = in_one_line(parts.iter().map(String::as_str));
        if !detail.is_empty() {
            for text in [&mut entry.text, &mut entry.source] {
                *text = with_detail(text, &detail);
            }
        }
    }

    fn section(&mut self, outline: &Outline<'_>, range: &std::ops::Range<usize>, place: &Place) {
        if self.kind == Kind::Decisions || self.kind == Kind::Archive {
            return;
        }
        let mut within = place.clone();
        let mut labels: Vec<(usize, Place)> = Vec::new();
        let mut paragraphs = 0;
        let before = self.found.len();
        let found = blocks(outline, range);
        let mut details = 0;
        for (order, block) in found.iter().enumerate() {
            match block {
                Block::Label(text) => {
                    within = self.below_label(text, place);
                    labels.clear();
                    if place.role == Some(Role::Focus) {
                        self.introduction(text, order, &within);
                    }
                }
                Block::Item(_) if details > 0 => details -= 1,
                Block::Item(item) => {
                    labels.retain(|(depth, _)| *depth < item.depth);
                    let here = labels.last().map_or(&within, |(_, place)| place).clone();
                    let (state, words) = read(&item.text);
                    let is_label = item.has_children && state == State::Unsaid && is_label(&words);
                    if is_label {
                        labels.push((item.depth, self.below_label(&words, &here)));
                    } else {
                        let (count, detail) = details_of(item, found.get(order + 1..).unwrap_or_default());
                        details = count;
                        self.item(item, &detail, order, &here);
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

    /// Prose with a colon before the list of what the focus is: it names the focus.
    fn introduction(&mut self, label: &str, order: usize, place: &Place) {
        const SHORTEST: usize = 3;
        let words = plain(label);
        let bare = words.trim_end_matches([':', '：', ' ']);
        let is_prose =
            bare.split(' ').count() > SHORTEST || bare.chars().filter(|sign| is_cjk(*sign)).count() > 6;
        if is_prose
            && place.role == Some(Role::Focus)
            && Role::of_heading(bare).is_none()
            && content(bare).is_some()
        {
            self.push(Entry {
                role: Role::Focus,
                text: format!("{bare}:"),
                source: words.clone(),
                date: place.date,
                own_date: false,
                section: self.section,
                order,
                depth: 0,
                newest_first: place.newest_first,
                unticked: false,
                number: place.number,
            });
        }
    }

    /// A sub-heading of what was done with a line each for its parts is one entry: its title, then the parts.
    fn gather(&mut self, heading: &Heading, place: &Place, before: usize) {
        let is_part = matches!(place.role, Some(Role::RecentChange | Role::Done))
            && !place.is_entry
            && self.kind.is_of_now()
            && dated(&heading.source).is_none()
            && !is_session(&heading.title)
            && !is_structural(&heading.title);
        let own = self.found.get(before..).unwrap_or_default();
        let is_list = own.iter().all(|entry| Some(entry.role) == place.role && !entry.own_date);
        let Some(first) = own.first().filter(|_| is_part && is_list).cloned() else { return };
        let (_, title) = read(&heading.source);
        let title = title.trim_end_matches([':', '：', ' ', '✅', '✔', '☑', '\u{fe0f}']);
        // "Login ✅" and "Login (done)" name a thing, "Done" names none.
        let name = title.split(['(', '[']).next().unwrap_or_default();
        if content(name).is_none() || Role::of_heading(name).is_some() {
            return;
        }
        let parts: Vec<&str> = own.iter().map(|entry| entry.source.trim_end_matches(['.', ';'])).collect();
        let text = format!("{title}: {}", parts.join("; "));
        self.found.truncate(before);
        self.push(Entry { text: text.clone(), source: text, ..first });
    }

    /// The place below a line that stands over others as a heading would.
    fn below_label(&self, label: &str, above: &Place) -> Place {
        let words = plain(label);
        let bare = words.trim_end_matches([':', '：', ' ']);
        let own = Role::of_heading(bare);
        let mut place = above.clone();
        if let Some((date, _)) = dated(bare) {
            place.date = Some(date);
            if place.role.is_none() && self.kind == Kind::Progress {
                place.role = Some(Role::RecentChange);
            }
        }
        if let Some(role) = own.filter(|_| !above.is_entry) {
            place.role = Some(role);
            place.newest_first = None;
        }
        place
    }

    fn item(&mut self, item: &Listed, detail: &str, order: usize, place: &Place) {
        let (state, words) = read(&item.text);
        if is_placeholder(&item.text) || is_placeholder(&words) || place.is_past && state != State::Open {
            return;
        }
        if place.is_criteria && !self.kind.is_of_now() {
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
        if place.is_former && state != State::Open && !matches!(role, Role::RecentChange | Role::Done) {
            return;
        }
        // What stands below an entry with a title of its own belongs to it.
        if (place.is_entry && state != State::Open && date.is_none())
            || (item.depth > 0 && !self.nests(role, state))
        {
            return;
        }
        let text =
            if role == Role::Note || place.role == Some(Role::Note) { without_author(&text) } else { text };
        // What was left to do in a list of what works holds nothing yet.
        if matches!(role, Role::Done | Role::RecentChange) && text.to_lowercase().starts_with("todo:") {
            return;
        }
        let text = match self.by_label(&text) {
            Some((Role::NextStep, rest)) if place.role == Some(Role::RecentChange) => rest.to_owned(),
            _ => text,
        };
        let (text, words) = (with_detail(&text, detail), with_detail(&words, detail));
        self.push(Entry {
            date: date.or_else(|| within(role, &words)).or(place.date),
            own_date: date.is_some() || within(role, &words).is_some(),
            role,
            text,
            source: words,
            section: self.section,
            order,
            depth: item.depth,
            newest_first: place.newest_first,
            unticked: state == State::Open,
            number: place.number,
        });
    }

    /// Whether an item within another one is an entry by itself.
    fn nests(&self, role: Role, state: State) -> bool {
        state == State::Open
            || matches!(role, Role::Task | Role::Issue | Role::NextStep | Role::Question | Role::Focus)
    }

    fn role_of(&self, state: State, source: &str, text: &str, has_date: bool, place: &Place) -> Option<Role> {
        let role = place.role.filter(|role| self.kind.is_of_now() || is_lasting(*role));
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
            (Some(Role::RecentChange), State::Unsaid)
                if matches!(self.by_label(source), Some((Role::NextStep, _))) =>
            {
                Some(Role::NextStep)
            }
            // A list of all of the work, with sub-headings, under the title alone: only what has a check box is open.
            (Some(Role::Task), State::Unsaid) if place.by_title && place.level > 1 => None,
            (Some(role), _) => Some(role),
            (None, State::Finished) if self.kind.is_of_now() => Some(Role::Done),
            (None, _) if has_date && self.kind.is_of_now() => Some(Role::RecentChange),
            (None, _) => self.by_label(source).map(|(role, _)| role),
        }
    }

    /// The role that a label at the head of a line gives it: `**Next step:** deploy`.
    fn by_label<'t>(&self, text: &'t str) -> Option<(Role, &'t str)> {
        let (label, rest) = labelled(text)?;
        let role = Role::of_heading(label)?;
        let counts = matches!(
            role,
            Role::Focus | Role::NextStep | Role::Issue | Role::Question | Role::Status | Role::Task
        );
        (counts && self.kind.is_of_now() && !is_placeholder(rest)).then_some((role, rest))
    }

    fn row(&mut self, cells: &[(String, String)], order: usize, place: &Place) {
        let Some(row) = Row::of(cells) else { return };
        let role = place.role.filter(|role| self.kind.is_of_now() || is_lasting(*role));
        let finished = row.status.as_deref().is_some_and(is_finished);
        let role = match role {
            Some(Role::Issue | Role::Task | Role::NextStep | Role::Status) | None
                if finished && self.kind.is_of_now() =>
            {
                Some(Role::Done)
            }
            Some(Role::Status) | None if row.status.is_some() && self.kind.is_of_now() => Some(Role::Task),
            Some(Role::Done) if row.status.is_some() && !finished => Some(Role::Task),
            None if row.date.is_some() && self.kind == Kind::Progress => Some(Role::RecentChange),
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
        self.push(Entry {
            role,
            source: text.clone(),
            text,
            date,
            own_date: false,
            section: self.section,
            order,
            depth: 0,
            newest_first: place.newest_first,
            unticked: false,
            number: place.number,
        });
    }

    fn paragraph(&mut self, text: &str, order: usize, place: &Place, number: usize, before: usize) {
        let (state, words) = read(text);
        if is_placeholder(text) || is_placeholder(&words) || place.is_past {
            return;
        }
        let (date, rest) = match dated(&words) {
            Some((date, rest)) => (Some(date), rest.to_owned()),
            None => (None, without_ordinal(&words).to_owned()),
        };
        if is_placeholder(&rest) || place.is_entry {
            return;
        }
        if place.role.is_some() && is_metadata(text) && !self.states_status(text) {
            return;
        }
        let label = self.by_label(text);
        let role = place.role.filter(|role| self.kind.is_of_now() || is_lasting(*role));
        let found = match (role, state) {
            (Some(Role::Note), _) if date.is_some() => {
                note_role(text, &rest).map(|role| (role, without_author(&rest)))
            }
            (_, State::Open) => Some((Role::Task, rest)),
            (None, State::Finished) if self.kind.is_of_now() => Some((Role::Done, rest)),
            (Some(Role::Task | Role::Issue | Role::NextStep), State::Finished) => Some((Role::Done, rest)),
            (None | Some(Role::RecentChange), _) if date.is_some() && self.kind.is_of_now() => {
                Some((Role::RecentChange, rest))
            }
            (None, _) => label.map(|(role, rest)| (role, plain(rest))),
            (Some(role @ (Role::Focus | Role::Status)), _) => match label {
                // "**Status:** beta" within the focus is the status.
                Some((own, rest)) if own != role => Some((own, plain(rest))),
                _ => Some((role, rest)),
            },
            // Prose under a list's heading is the list where there is no other; before a list it introduces it.
            (Some(role @ (Role::Task | Role::Issue | Role::NextStep | Role::Question)), _) => {
                let is_first = number == 0 && self.found.len() == before;
                let has_title = text.starts_with("**") && self.found.len() > before;
                ((is_first || has_title) && !place.by_title && !rest.ends_with([':', '：']))
                    .then_some((role, rest))
            }
            (Some(Role::RecentChange | Role::Done), _) => {
                (number == 0 && self.found.len() == before && !rest.ends_with([':', '：']))
                    .then_some((role.unwrap_or(Role::Done), rest))
            }
            _ => None,
        };
        let Some((role, text)) = found else {
            self.beginning(text, &words, order, place);
            return;
        };
        if place.is_former && state != State::Open && !matches!(role, Role::RecentChange | Role::Done) {
            return;
        }
        self.push(Entry {
            role,
            text,
            source: words,
            date: date.or(place.date),
            own_date: date.is_some(),
            section: self.section,
            order,
            depth: 0,
            newest_first: place.newest_first,
            unticked: state == State::Open,
            number: place.number,
        });
    }

    /// What was found. A document on what is going on that names no focus and no status begins with it; one on progress
    /// without any entry says in prose what was done.
    fn with_prose(mut self) -> Vec<Entry> {
        const PARAGRAPHS: usize = 2;
        let is_current = |entry: &&mut Entry| Some(entry.section) == self.current && entry.role == Role::Task;
        if self.kind == Kind::Active
            && !self.found.iter().any(|entry| entry.role == Role::Focus)
            && let Some(task) = self.found.iter_mut().find(is_current)
        {
            task.role = Role::Focus;
        }
        let missing = match self.kind {
            // Where nothing is recognised, an excerpt says more.
            Kind::Active => {
                let is = |roles: &[Role]| self.found.iter().any(|entry| roles.contains(&entry.role));
                !is(&[Role::Focus, Role::Status])
                    && is(&[Role::Task, Role::Issue, Role::NextStep, Role::RecentChange, Role::Question])
            }
            _ => !self.found.iter().any(|entry| matches!(entry.role, Role::RecentChange | Role::Done)),
        };
        if missing {
            self.found.extend(self.prose.into_iter().take(PARAGRAPHS));
        }
        self.found
    }

    /// Prose without a role: what a document on what is going on says first, or one on progress, is kept for want of others.
    fn beginning(&mut self, source: &str, words: &str, order: usize, place: &Place) {
        const SHORTEST: usize = 30;
        let wanted = matches!(self.kind, Kind::Active | Kind::Progress)
            && (place.role.is_none() || place.by_title)
            && !place.is_former;
        if !wanted
            || is_metadata(source)
            || is_introduction(source)
            || words.chars().count() < SHORTEST && !words.chars().any(is_cjk)
        {
            return;
        }
        self.prose.push(Entry {
            role: if self.kind == Kind::Active { Role::Focus } else { Role::RecentChange },
            text: words.to_owned(),
            source: words.to_owned(),
            date: place.date,
            own_date: false,
            section: self.section,
            order,
            depth: 0,
            newest_first: place.newest_first,
            unticked: false,
            number: place.number,
        });
    }

    /// Whether a line gives the status of the project: that of a section of its own stands in its heading.
    fn states_status(&self, text: &str) -> bool {
        let label = labelled(text).map(|(label, _)| Role::of_heading(label));
        label == Some(Some(Role::Status)) && !self.found.iter().any(|entry| entry.role == Role::Status)
    }

    fn push(&mut self, entry: Entry) {
        if !entry.text.is_empty() || !entry.source.is_empty() {
            self.found.push(entry);
        }
    }
}

/// What a heading with a colon names: `Current Task: Offline mode`.
fn named(heading: &Heading) -> Option<(Role, String)> {
    let (label, rest) = labelled(&heading.title)?;
    let role = Role::of_heading(label)?;
    let counts = matches!(role, Role::Task | Role::NextStep | Role::Status) && heading.level > 1
        || role == Role::Focus;
    // "Phase 2: Next steps" and "To do: backlog" name no thing.
    let is_name = !is_placeholder(rest) && Role::of_heading(rest).is_none() && dated(rest).is_none();
    // "Overall progress: 65%" says little without its label.
    let says_itself = rest.chars().filter(|sign| sign.is_alphabetic()).count() > 2;
    (counts && is_name).then(|| (role, plain(if says_itself { rest } else { &heading.title })))
}

/// How many of the blocks behind an item are its details, and the first of them in one line. Items with check boxes are work of
/// their own.
fn details_of(item: &Listed, behind: &[Block]) -> (usize, String) {
    const LONGEST_TITLE: usize = 60;
    if !item.has_children {
        return (0, String::new());
    }
    let children: Vec<&Listed> = behind
        .iter()
        .map_while(|block| match block {
            Block::Item(child) if child.depth > item.depth => Some(child),
            _ => None,
        })
        .collect();
    let is_own = |child: &&Listed| {
        let (state, words) = read(&child.text);
        state != State::Unsaid || dated(&words).is_some() || child.has_children && is_label(&words)
    };
    if children.iter().any(is_own) {
        return (0, String::new());
    }
    let own = children.iter().filter(|child| child.depth == item.depth + 1);
    let words: Vec<String> = own.filter_map(|child| content(&child.text)).collect();
    let is_title = plain(&item.text).chars().count() <= LONGEST_TITLE;
    let detail = in_one_line(words.iter().map(String::as_str).filter(|_| is_title));
    (children.len(), detail)
}

/// The first of these, parted by semicolons.
fn in_one_line<'t>(parts: impl Iterator<Item = &'t str>) -> String {
    const LONGEST: usize = 200;
    let mut line = String::new();
    for part in parts {
        if line.chars().count() > LONGEST {
            break;
        }
        if !line.is_empty() {
            line.push_str("; ");
        }
        line.push_str(part.trim_end_matches(['.', ';']));
    }
    line
}

/// A title with its details.
fn with_detail(text: &str, detail: &str) -> String {
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

/// The date that stands somewhere in a line on what was done.
fn within(role: Role, words: &str) -> Option<DateTime> {
    date_anywhere(words).filter(|_| matches!(role, Role::Done | Role::RecentChange))
}

/// Whether a heading counts sessions: "Session 3".
fn is_session(title: &str) -> bool {
    let lower = title.to_lowercase();
    let bare = lower.trim_start_matches(|sign: char| !sign.is_alphanumeric());
    let words = [
        "session",
        "sitzung",
        "séance",
        "sesión",
        "sessão",
        "sessione",
        "сессия",
        "sesja",
        "会话",
        "會話",
        "セッション",
        "세션",
        "day ",
        "tag ",
        "jour ",
        "день ",
    ];
    words.iter().any(|word| bare.starts_with(word)) && number_in(title).is_some()
}

/// Whether a heading counts a session and names nothing: "Session 3 (2026-11-22)".
fn only_counts(title: &str) -> bool {
    let words = |sign: &char| sign.is_alphabetic();
    is_session(title) && title.chars().filter(words).count() <= "session".len() + 2
}

/// Roles that count in documents on what the project is, too.
fn is_lasting(role: Role) -> bool {
    matches!(role, Role::Task | Role::Issue | Role::NextStep | Role::Question | Role::Decision)
}

fn is_one_of(title: &str, titles: &[&str]) -> bool {
    titles.iter().any(|known| same_heading(title, known))
}

/// Whether the words of an item only say what the items below are.
fn is_label(words: &str) -> bool {
    let bare = words.trim_end_matches(['*', '_', ' ']);
    bare.ends_with([':', '：'])
        || Role::of_heading(bare).is_some_and(|_| bare.split(' ').count() <= 3 && bare.chars().count() <= 24)
}

/// Whether a line says something about the section, not in it: `**Priority:** high`.
fn is_metadata(text: &str) -> bool {
    const LABELS: &[&str] = &[
        "status",
        "complexity",
        "priority",
        "level",
        "owner",
        "assignee",
        "assigned",
        "created",
        "started",
        "start date",
        "due",
        "due date",
        "deadline",
        "type",
        "branch",
        "estimate",
        "effort",
        "last updated",
        "updated",
        "date",
        "version",
        "phase",
        "progress",
        "stand",
        "priorität",
        "verantwortlich",
        "statut",
        "priorité",
        "responsable",
        "estado",
        "prioridad",
        "prioridade",
        "stato",
        "priorità",
        "статус",
        "приоритет",
        "priorytet",
        "状态",
        "优先级",
        "状態",
        "優先度",
        "상태",
        "우선순위",
    ];
    labelled(text).is_some_and(|(label, _)| LABELS.contains(&plain(label).to_lowercase().as_str()))
}

/// Whether a heading is that of the one task which is being done.
fn is_current_task(title: &str) -> bool {
    const TITLES: &[&str] = &[
        "current task",
        "active task",
        "aktuelle aufgabe",
        "tâche en cours",
        "tâche actuelle",
        "tarea actual",
        "tarefa atual",
        "attività corrente",
        "текущая задача",
        "bieżące zadanie",
        "当前任务",
        "當前任務",
        "現在のタスク",
        "현재 과제",
    ];
    is_one_of(title, TITLES)
}

/// Whether a heading is about what success is.
fn is_criteria(title: &str) -> bool {
    let lower = title.to_lowercase();
    let words = [
        "success criteria",
        "success metric",
        "acceptance criteria",
        "definition of done",
        "erfolgskriteri",
        "abnahmekriteri",
        "akzeptanzkriteri",
        "critères de",
        "criterios de",
        "critérios de",
        "criteri di",
        "критерии",
        "kryteria",
        "成功标准",
        "成功標準",
        "验收标准",
        "成功基準",
        "受け入れ基準",
        "성공 기준",
    ];
    words.iter().any(|word| lower.contains(word))
}

/// Whether a heading is about the past.
fn is_past(title: &str) -> bool {
    let lower = title.to_lowercase();
    ["archive", "archived", "previous focus", "old ", "deprecated", "archiv", "归档", "アーカイブ"]
        .iter()
        .any(|word| lower.contains(word))
}

/// Whether a heading is about a session before the last one.
fn is_former(title: &str) -> bool {
    let lower = title.to_lowercase();
    let bare = lower.trim_start_matches(|sign: char| !sign.is_alphanumeric());
    let words = [
        "previous",
        "earlier",
        "prior ",
        "past session",
        "older",
        "frühere",
        "vorherige",
        "vorige",
        "précédent",
        "sesión anterior",
        "sessão anterior",
        "sesiones anteriores",
        "sessioni precedenti",
        "sessione precedente",
        "предыдущ",
        "прошл",
        "poprzedni",
        "wcześniejsz",
        "之前的",
        "以前的",
        "前回",
        "以前の",
        "이전 세션",
        "지난 세션",
    ];
    words.iter().any(|word| bare.starts_with(word))
}

/// Whether the words beside a date are the number of a version.
fn is_version(words: &str) -> bool {
    let bare = words.replace("Unreleased", "");
    bare.chars().filter(|sign| sign.is_alphabetic()).count() <= 1
        || bare
            .to_lowercase()
            .trim_start_matches(['[', ' '])
            .strip_prefix("version")
            .is_some_and(|rest| !rest.chars().any(char::is_alphabetic))
}

/// The number of a heading that counts: sessions, phases, sprints, days, versions.
fn number_in(title: &str) -> Option<u64> {
    const COUNTED: &[&str] = &[
        "session",
        "phase",
        "sprint",
        "day",
        "week",
        "iteration",
        "step",
        "part",
        "v",
        "version",
        "sitzung",
        "tag",
        "woche",
        "séance",
        "jour",
        "semaine",
        "sesión",
        "día",
        "semana",
        "sessão",
        "dia",
        "sessione",
        "giorno",
        "settimana",
        "сессия",
        "день",
        "неделя",
        "этап",
        "sesja",
        "dzień",
        "tydzień",
        "etap",
        "adr",
        "release",
        "milestone",
    ];
    let lower = title.to_lowercase();
    let words: Vec<&str> =
        lower.split(|sign: char| !sign.is_alphanumeric()).filter(|word| !word.is_empty()).collect();
    words.windows(2).find_map(|pair| {
        let (word, number) = (pair.first()?, pair.get(1)?);
        if COUNTED.contains(word) { number.parse().ok() } else { None }
    })
}

/// What a note of a session is.
fn note_role(source: &str, text: &str) -> Option<Role> {
    let lower = text.to_lowercase();
    let begins = |marks: &[&str]| {
        marks.iter().any(|mark| {
            lower.contains(&format!("[{mark}]"))
                || lower.contains(&format!("({mark})"))
                || lower.starts_with(&format!("{mark}:"))
                || lower.contains(&format!("] {mark}:"))
        })
    };
    // The kind stands behind the author, whose name may be long.
    let kind = behind_brackets(text);
    let has = |signs: &[char]| kind.chars().take(40).any(|sign| signs.contains(&sign));
    if is_resolved(source) {
        return None;
    }
    if has(&['🚧', '⛔', '🛑', '🐛', '🐞', '⚠']) || begins(&["blocker", "issue", "bug"]) {
        Some(Role::Issue)
    } else if has(&['❓']) || begins(&["question"]) {
        Some(Role::Question)
    } else if has(&['📋']) || begins(&["todo"]) {
        Some(Role::Task)
    } else {
        Some(Role::Note)
    }
}

/// A note without its author's mark and the sign of its kind.
fn without_author(text: &str) -> String {
    let signs = ['🚧', '⚠', '❓', '📋', '👀', '✅', '📝', '🧠', '⛔', '🐛', '\u{fe0f}', ' '];
    let rest = behind_brackets(text).trim_start_matches(signs);
    if rest.is_empty() { text.to_owned() } else { rest.to_owned() }
}

/// What stands behind the brackets at the head of a text: an author's mark, a tag.
fn behind_brackets(text: &str) -> &str {
    let mut rest = text.trim();
    while let Some((_, behind)) = bracketed(rest) {
        rest = behind.trim_start_matches([' ', '-', ':']);
    }
    rest
}

/// What a row of a table says.
struct Row {
    words: String,
    status: Option<String>,
    date: Option<DateTime>,
}

impl Row {
    fn of(cells: &[(String, String)]) -> Option<Self> {
        let is = |head: &str, names: &[&str]| {
            let head = plain(head).to_lowercase();
            names.iter().any(|name| {
                head == *name || head.starts_with(&format!("{name} ")) || head.ends_with(&format!(" {name}"))
            })
        };
        let status = cells.iter().find(|(head, _)| {
            is(
                head,
                &[
                    "status",
                    "state",
                    "progress",
                    "done",
                    "stand",
                    "zustand",
                    "fortschritt",
                    "état",
                    "statut",
                    "avancement",
                    "estado",
                    "progreso",
                    "situação",
                    "andamento",
                    "progresso",
                    "stato",
                    "avanzamento",
                    "статус",
                    "состояние",
                    "stan",
                    "状态",
                    "狀態",
                    "进度",
                    "進度",
                    "ステータス",
                    "状態",
                    "状況",
                    "進捗",
                    "상태",
                    "진행",
                    "완료",
                ],
            )
        });
        let date = cells.iter().find_map(|(head, cell)| {
            is(
                head,
                &[
                    "date",
                    "datum",
                    "fecha",
                    "data",
                    "дата",
                    "日期",
                    "日付",
                    "날짜",
                    "when",
                    "updated",
                    "last updated",
                    "time",
                ],
            )
            .then(|| dated(cell))
            .flatten()
        });
        let skip = |head: &str, cell: &str| {
            is(
                head,
                &[
                    "id",
                    "#",
                    "no",
                    "nr",
                    "number",
                    "date",
                    "datum",
                    "fecha",
                    "data",
                    "дата",
                    "日期",
                    "日付",
                    "날짜",
                    "priority",
                    "prio",
                    "priorität",
                    "priorité",
                    "prioridad",
                    "prioridade",
                    "priorità",
                    "приоритет",
                    "priorytet",
                    "优先级",
                    "優先度",
                    "우선순위",
                    "owner",
                    "when",
                    "time",
                    "编号",
                    "番号",
                    "번호",
                ],
            ) || !cell.chars().any(char::is_alphabetic)
        };
        let words = cells
            .iter()
            .filter(|cell| Some(*cell) != status)
            .find(|(head, cell)| !skip(head, cell) && !is_placeholder(cell))
            .map(|(_, cell)| plain(cell))?;
        let status = status.map(|(_, cell)| cell.clone()).filter(|cell| !cell.is_empty());
        (!words.is_empty() && content(&words).is_some() && !is_structural_row(&words)).then(|| Self {
            words,
            status,
            date: date.map(|(date, _)| date),
        })
    }
}

fn is_structural_row(words: &str) -> bool {
    words.len() < 12 && is_structural(words) && Role::of_heading(words) == Some(Role::Status)
}
