//! The lists and logs of a bank that edits change, and the section of each.
//!
//! The section is selected in this order: one with an exact title of the list (the first title first), one with such
//! a title in another form (numbered, bold, with an emoji or brackets), one with the list's role in any of the
//! languages of [`super::roles`]; among equals the higher heading, then the first. The lists of tasks, issues and
//! next steps are searched in active-context.md, then in progress.md, and are created in the former if neither has
//! one. `docs/documents.md` documents this for users.

use crate::document::CoreDocument;
use crate::document::date::date_at_start;
use crate::document::entry_archive::ArchivedSections;
use crate::document::roles::{Role, same_heading};
use crate::document::section::{Heading, Outline, Section, same_title};
use crate::document::section_titles::{HISTORY, ISSUES, NEXT_STEPS, NOTES, TASKS};
use crate::store::Drafts;

/// A list or a log that edits know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum KnownSection {
    Tasks,
    Issues,
    NextSteps,
    /// The notes of the session.
    Notes,
    /// Recent changes, in active-context.md.
    Recent,
    /// Finished work, in progress.md.
    History,
}

impl KnownSection {
    /// The exact titles: the one that is written, then those of older banks.
    fn titles(self) -> &'static [&'static str] {
        match self {
            Self::Tasks => &TASKS,
            Self::Issues => &ISSUES,
            Self::NextSteps => &NEXT_STEPS,
            Self::Notes => &NOTES,
            Self::Recent => &[],
            Self::History => &HISTORY,
        }
    }

    /// The title of a new section.
    pub(super) fn title(self) -> &'static str {
        self.titles().first().copied().unwrap_or_default()
    }

    /// The documents that may have it; it is created in the first one.
    fn documents(self) -> &'static [CoreDocument] {
        match self {
            Self::Tasks | Self::Issues | Self::NextSteps => {
                &[CoreDocument::ActiveContext, CoreDocument::Progress]
            }
            Self::Notes | Self::Recent => &[CoreDocument::ActiveContext],
            Self::History => &[CoreDocument::Progress],
        }
    }

    fn role(self) -> Role {
        match self {
            Self::Tasks => Role::Task,
            Self::Issues => Role::Issue,
            Self::NextSteps => Role::NextStep,
            Self::Notes => Role::Note,
            Self::Recent | Self::History => Role::RecentChange,
        }
    }

    /// The document in which an edit finds or creates it.
    pub(super) fn home(self, drafts: &Drafts) -> CoreDocument {
        let documents = self.documents();
        let has = |document: &&CoreDocument| {
            document.text(drafts).is_some_and(|text| self.find(&Outline::of(text)).is_some())
        };
        let found = documents.iter().find(has).or(documents.first());
        found.copied().unwrap_or(CoreDocument::ActiveContext)
    }

    /// The index of the heading below which an edit finds it.
    pub(super) fn find(self, outline: &Outline<'_>) -> Option<usize> {
        let is_list = |index: usize| {
            let heading = outline.headings().get(index);
            // Milestones are open work, but not a list for tasks: every new bank has them in progress.md.
            self != Self::Tasks || heading.is_some_and(|one| !one.title.to_lowercase().contains("milestone"))
        };
        self.ranked(outline).into_iter().map(|(_, index)| index).find(|index| is_list(*index))
    }

    /// The indexes of the headings of all its sections, top to bottom, without nested ones.
    pub(super) fn find_all(self, outline: &Outline<'_>) -> Vec<usize> {
        let mut found: Vec<usize> = self.ranked(outline).into_iter().map(|(_, index)| index).collect();
        found.sort_unstable();
        found
    }

    /// The sections of the list: the one that [`Self::find`] returns, then those with a second list under another
    /// exact title.
    pub(super) fn lists<'o>(self, outline: &'o Outline<'_>) -> Vec<Section<'o>> {
        let ranked = self.ranked(outline);
        let exact = self.titles().len();
        let home = self.find(outline);
        let others = ranked.into_iter().filter(|(rank, index)| *rank < exact && Some(*index) != home);
        let indexes = home.into_iter().chain(others.map(|(_, index)| index));
        indexes.filter_map(|index| outline.section(index)).collect()
    }

    /// Whether a heading has one of its titles, in any form.
    pub(super) fn is_titled(self, heading: &Heading) -> bool {
        heading.level >= 2
            && self.titles().iter().any(|title| {
                same_title(&heading.title, title)
                    || same_heading(&heading.title, title) && self.role().is_of(&heading.title)
            })
    }

    /// The headings of its sections with their rank, the best first: the number of the exact title, then titles in
    /// another form, then headings by role. A section in the archive of the document is none: edits never write there.
    fn ranked(self, outline: &Outline<'_>) -> Vec<(usize, usize)> {
        let titles = self.titles();
        let mut found: Vec<(usize, u8, usize)> = Vec::new();
        let mut end = 0;
        let mut archived = ArchivedSections::default();
        for (index, section) in outline.sections().enumerate() {
            if archived.contains(section.heading) || section.heading.level < 2 {
                continue;
            }
            let title = &section.heading.title;
            let exact = titles.iter().position(|known| same_title(title, known));
            // Headings in the history are entries, not sections of another kind.
            if self != Self::History && HISTORY.iter().any(|known| same_title(title, known)) {
                end = end.max(section.body.end);
                if exact.is_none() && self != Self::Recent {
                    continue;
                }
            }
            // A log may have thousands of entries with headings; these are not sections.
            let is_entry = || title.starts_with('[') && date_at_start(title).is_some();
            let has_role = || section.heading.range.start >= end && !is_entry() && self.role().is_of(title);
            let rank = match exact {
                Some(rank) => rank,
                None if !has_role() => continue,
                None => match titles.iter().position(|known| same_heading(title, known)) {
                    Some(rank) => titles.len() + rank,
                    None => 2 * titles.len(),
                },
            };
            end = end.max(section.body.end);
            found.push((rank, section.heading.level, index));
        }
        found.sort_unstable();
        found.into_iter().map(|(rank, _, index)| (rank, index)).collect()
    }
}
