//! The context of a line, by the headings and labels above it.

use jiff::civil::DateTime;

use super::document_kind::DocumentKind;
use super::heading_words::{
    is_criteria, is_earlier_session, is_number_only, is_past, is_session, is_version, number_in,
};
use super::line_state::{labelled, plain};
use crate::document::date::{date_anywhere, dated};
use crate::document::roles::{Role, is_one_of, is_placeholder};
use crate::document::section::Heading;
use crate::document::section_titles::{HISTORY, NOTES, TASKS};
use crate::unicode::is_alphabetic;

/// The context of the current position.
#[derive(Clone, Default)]
pub(super) struct LineContext {
    pub(super) level: u8,
    pub(super) role: Option<Role>,
    /// Whether the role comes from the title of the document.
    pub(super) by_title: bool,
    pub(super) date: Option<DateTime>,
    pub(super) newest_first: Option<bool>,
    pub(super) number: Option<u64>,
    /// Whether the heading is an entry, so that the text below belongs to it.
    pub(super) is_entry: bool,
    /// Whether the text is about the past.
    pub(super) is_past: bool,
    /// Whether the text is about success criteria, which are not tasks.
    pub(super) is_criteria: bool,
    /// Whether the text is about an earlier session: its results count, its plans do not.
    pub(super) is_earlier_session: bool,
}

impl LineContext {
    /// The context below a heading.
    pub(super) fn of_heading(
        kind: DocumentKind,
        heading: &Heading,
        is_title: bool,
        above: Option<&Self>,
    ) -> Self {
        let above = above.cloned().unwrap_or_default();
        let own = Role::of_heading(&heading.title);
        let date = dated(&heading.source).or_else(|| {
            let logs = kind == DocumentKind::Progress || above.role.is_some() || own.is_some();
            date_anywhere(&heading.source).filter(|_| logs).map(|date| (date, &*heading.source))
        });
        let mut place = Self {
            level: heading.level,
            role: own.or(above.role),
            by_title: if own.is_some() { heading.level == 1 } else { above.by_title },
            date: date.map(|(date, _)| date).or(above.date),
            newest_first: above.newest_first,
            number: number_in(&heading.title).or(above.number),
            is_entry: false,
            is_past: above.is_past || is_past(&heading.title),
            is_criteria: above.is_criteria || is_criteria(&heading.title),
            is_earlier_session: above.is_earlier_session || is_earlier_session(&heading.title),
        };
        // The title of a document does not classify the lines below it.
        let names_all =
            matches!(own, Some(Role::Focus | Role::Status | Role::RecentChange | Role::Note | Role::Done));
        if is_title && heading.level == 1 && names_all {
            place.role = None;
        }
        if own.is_some() {
            place.newest_first = is_newest_first(&heading.title);
        }
        if own.is_none() && date.is_none() && kind.is_current() && is_session(&heading.title) {
            place.role = place.role.or(Some(Role::RecentChange));
            place.is_entry = labelled(&heading.title).is_some_and(|(_, rest)| !is_placeholder(rest));
            return place;
        }
        if let Some((role, _)) = named_heading(heading) {
            place.is_entry = role == Role::Task;
            return place;
        }
        if let Some((_, rest)) = date {
            let is_log = matches!(place.role, None | Some(Role::RecentChange | Role::Done | Role::Note));
            if own.is_none() && is_log && !above.is_entry && kind.is_current() {
                place.role = place.role.or(Some(Role::RecentChange));
                place.is_entry = !is_placeholder(rest)
                    && !is_version(rest)
                    && !is_number_only(&heading.title)
                    && (heading.level >= 2 || !is_title);
            }
        } else if above.is_entry && own.is_none() {
            place.is_entry = false;
            place.role = None;
        }
        place
    }

    /// The context below a label, which is a line that introduces others as a heading does.
    pub(super) fn below_label(&self, kind: DocumentKind, label: &str) -> Self {
        let words = plain(label);
        let bare = words.trim_end_matches([':', '：', ' ']);
        let own = Role::of_heading(bare);
        let mut place = self.clone();
        if let Some((date, _)) = dated(bare) {
            place.date = Some(date);
            if place.role.is_none() && kind == DocumentKind::Progress {
                place.role = Some(Role::RecentChange);
            }
        }
        if let Some(role) = own.filter(|_| !self.is_entry) {
            place.role = Some(role);
            place.newest_first = None;
        }
        place
    }
}

/// Whether new entries of a section with this title come first, if that is known.
fn is_newest_first(title: &str) -> Option<bool> {
    if is_one_of(title, &HISTORY) || is_one_of(title, &NOTES) {
        Some(true)
    } else if is_one_of(title, &TASKS) {
        Some(false)
    } else {
        None
    }
}

/// The role and the name in a heading with a colon: `Current Task: Offline mode`.
pub(super) fn named_heading(heading: &Heading) -> Option<(Role, String)> {
    let (label, rest) = labelled(&heading.title)?;
    let role = Role::of_heading(label)?;
    let counts = matches!(role, Role::Task | Role::NextStep | Role::Status) && heading.level > 1
        || role == Role::Focus;
    // "Phase 2: Next steps" and "To do: backlog" have no name.
    let is_name = !is_placeholder(rest) && Role::of_heading(rest).is_none() && dated(rest).is_none();
    // "Overall progress: 65%" needs its label.
    let has_own_words = rest.chars().filter(|character| is_alphabetic(*character)).count() > 2;
    (counts && is_name).then(|| (role, plain(if has_own_words { rest } else { &heading.title })))
}
