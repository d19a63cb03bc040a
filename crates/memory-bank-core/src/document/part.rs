//! The parts of a bank that edits work on, and which section of which document each of them is.
//!
//! A document may call a section what it likes: it is found by one of the exact titles of its part, the first of them
//! first, or else by its role. Of several with one role the first counts. The lists of tasks, issues and next steps are
//! looked for in active-context.md, then in progress.md, and are made in the former where neither has one.

use crate::document::CoreDocument;
use crate::document::active_context::{ISSUES, NEXT_STEPS, NOTES, TASKS};
use crate::document::progress::HISTORY;
use crate::document::section::{Heading, Outline, Section, same_title};
use crate::store::Drafts;

/// A list or a log that edits know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    Tasks,
    Issues,
    NextSteps,
    /// The notes of the session.
    Notes,
    /// What changed lately, in active-context.md.
    Recent,
    /// What was done, in progress.md.
    History,
}

impl Part {
    /// The exact titles: the one that is written, then those that older banks have as well.
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

    /// The documents in which it may stand; in the first of them it is made.
    fn documents(self) -> &'static [CoreDocument] {
        match self {
            Self::Tasks | Self::Issues | Self::NextSteps => {
                &[CoreDocument::ActiveContext, CoreDocument::Progress]
            }
            Self::Notes | Self::Recent => &[CoreDocument::ActiveContext],
            Self::History => &[CoreDocument::Progress],
        }
    }

    /// The document in which an edit finds it, or makes it.
    pub(super) fn home(self, drafts: &Drafts) -> CoreDocument {
        let documents = self.documents();
        let has = |document: &&CoreDocument| {
            drafts.text(&document.path()).is_some_and(|text| self.find(&Outline::of(text)).is_some())
        };
        let found = documents.iter().find(has).or(documents.first());
        found.copied().unwrap_or(CoreDocument::ActiveContext)
    }

    /// The index of the heading below which an edit finds it.
    pub(super) fn find(self, outline: &Outline<'_>) -> Option<usize> {
        self.titled(outline).first().copied().or_else(|| {
            let mut headings = outline.headings().iter();
            headings.position(|heading| self.has_role(heading))
        })
    }

    /// The indexes of all headings with its title or its role, top to bottom.
    pub(super) fn find_all(self, outline: &Outline<'_>) -> Vec<usize> {
        let headings = outline.headings().iter().enumerate();
        headings.filter(|(_, heading)| self.has_role(heading)).map(|(index, _)| index).collect()
    }

    /// The sections of the one list: the one that [`Self::find`] gives, then those that hold a second list under another
    /// exact title.
    pub(super) fn lists<'o>(self, outline: &'o Outline<'_>) -> Vec<Section<'o>> {
        let mut indexes = self.titled(outline);
        if indexes.is_empty() {
            indexes.extend(self.find(outline));
        }
        indexes.into_iter().filter_map(|index| outline.section(index)).collect()
    }

    /// Whether a heading has one of the titles or the role.
    pub(super) fn has_role(self, heading: &Heading) -> bool {
        heading.level >= 2 && self.titles().iter().any(|title| same_title(&heading.title, title))
    }

    /// The indexes of the headings with an exact title: by the order of the titles, then by rank, then by place.
    fn titled(self, outline: &Outline<'_>) -> Vec<usize> {
        let mut found: Vec<(usize, u8, usize)> = Vec::new();
        for (index, heading) in
            outline.headings().iter().enumerate().filter(|(_, heading)| heading.level >= 2)
        {
            if let Some(rank) = self.titles().iter().position(|title| same_title(&heading.title, title)) {
                found.push((rank, heading.level, index));
            }
        }
        found.sort_unstable();
        found.into_iter().map(|(_, _, index)| index).collect()
    }
}
