//! Prose without a role, which counts if a document has nothing else.

use super::super::document_kind::DocumentKind;
use super::super::entry::Entry;
use super::super::heading_words::is_metadata;
use super::super::line_context::LineContext;
use super::super::line_state::is_introduction;
use super::EntryReader;
use crate::document::roles::{Role, is_cjk};

impl EntryReader {
    /// The entries. If a document on current work names no focus and no status, its first prose is the focus; if a
    /// document on progress has no entries, its first prose is the progress.
    pub(super) fn finish(mut self) -> Vec<Entry> {
        const MAX_PARAGRAPHS: usize = 2;
        let is_current = |entry: &&mut Entry| Some(entry.section) == self.current && entry.role == Role::Task;
        if self.kind == DocumentKind::Active
            && !self.found.iter().any(|entry| entry.role == Role::Focus)
            && let Some(task) = self.found.iter_mut().find(is_current)
        {
            task.role = Role::Focus;
        }
        let missing = match self.kind {
            // If nothing is recognised, an excerpt is more informative.
            DocumentKind::Active => {
                let is = |roles: &[Role]| self.found.iter().any(|entry| roles.contains(&entry.role));
                !is(&[Role::Focus, Role::Status])
                    && is(&[Role::Task, Role::Issue, Role::NextStep, Role::RecentChange, Role::Question])
            }
            _ => !self.found.iter().any(|entry| matches!(entry.role, Role::RecentChange | Role::Done)),
        };
        if missing {
            self.found.extend(self.prose.into_iter().take(MAX_PARAGRAPHS));
        }
        self.found
    }

    /// Keeps prose without a role of a document on current work or progress, in case there is nothing else.
    pub(super) fn keep_prose(&mut self, source: &str, words: &str, order: usize, place: &LineContext) {
        const MIN_PROSE_CHARS: usize = 30;
        let wanted = matches!(self.kind, DocumentKind::Active | DocumentKind::Progress)
            && (place.role.is_none() || place.by_title)
            && !place.is_earlier_session;
        if !wanted
            || is_metadata(source)
            || is_introduction(source)
            || words.chars().count() < MIN_PROSE_CHARS && !words.chars().any(is_cjk)
        {
            return;
        }
        let role = if self.kind == DocumentKind::Active { Role::Focus } else { Role::RecentChange };
        self.prose.push(self.entry(role, words.to_owned(), words.to_owned(), order, place));
    }
}
