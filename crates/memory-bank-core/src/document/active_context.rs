//! The lists of tasks, issues and next steps, and the session notes.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::document::argument;
use crate::document::entry::entry;
use crate::document::known_section::KnownSection;
use crate::document::list::replace_items;
use crate::document::placement::insert_item;
use crate::document::section::Outline;
use crate::document::{CoreDocument, DocumentPath, NoteCategory, Removed};
use crate::error::EditError;
use crate::store::Drafts;

/// New lists: arguments of `update_active_context`. An absent or empty list does not change, unless `clear` names it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct UpdateActiveContext {
    /// The ongoing tasks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tasks: Option<Vec<String>>,
    /// The known issues.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub issues: Option<Vec<String>>,
    /// The next steps.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_steps: Option<Vec<String>>,
    /// Which lists are emptied: with `true` those that the call gives as `[]`, otherwise those that it names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clear: Option<Clear>,
}

impl UpdateActiveContext {
    /// Whether it changes no list.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        let none = |list: &Option<Vec<String>>| {
            list.as_ref().is_none_or(|items| items.iter().all(|item| item.trim().is_empty()))
        };
        let lists = [&self.tasks, &self.issues, &self.next_steps];
        lists.into_iter().all(none) && !self.clear.as_ref().is_some_and(Clear::empties)
    }

    /// The documents that the edit needs: a list may be in either.
    #[must_use]
    pub fn paths() -> Vec<DocumentPath> {
        [CoreDocument::ActiveContext, CoreDocument::Progress]
            .into_iter()
            .flat_map(CoreDocument::paths)
            .collect()
    }
}

/// The explicit instruction to empty a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Clear {
    /// Whether to empty the lists that the call gives as `[]`.
    Flag(bool),
    /// The names of the lists, which are those of the arguments.
    Lists(Vec<String>),
}

impl Clear {
    /// Whether it empties anything.
    pub(super) fn empties(&self) -> bool {
        match self {
            Self::Flag(clear) => *clear,
            Self::Lists(lists) => !lists.is_empty(),
        }
    }

    /// Whether it names this list.
    fn names(&self, list: &str) -> bool {
        matches!(self, Self::Lists(lists) if lists.iter().any(|name| name == list))
    }
}

/// Replaces the items of the given lists; everything else in the sections stays. Sections of an older title with a
/// second list of the same kind lose their items, so that there is one list. Returns the removed items.
///
/// # Errors
/// An item or a list is too long, `clear` is ambiguous, a section has a merge conflict, or the document would become
/// too large.
pub fn update_active_context(
    drafts: &mut Drafts,
    request: &UpdateActiveContext,
) -> Result<Removed, EditError> {
    let lists = [
        ("tasks", &request.tasks, KnownSection::Tasks),
        ("issues", &request.issues, KnownSection::Issues),
        ("nextSteps", &request.next_steps, KnownSection::NextSteps),
    ];
    if let Some(Clear::Lists(named)) = &request.clear
        && let Some(unknown) = named.iter().find(|name| lists.iter().all(|(list, _, _)| list != name))
    {
        return Err(EditError::Refused(format!(
            "`clear`: there is no list `{unknown}`; name `tasks`, `issues` or `nextSteps`"
        )));
    }
    let clears = request.clear == Some(Clear::Flag(true));
    if clears && lists.iter().all(|(_, items, _)| items.is_none()) {
        return Err(EditError::Refused(
            "`clear` leaves open which list it empties; give that list as []".to_owned(),
        ));
    }
    let mut changes = Vec::new();
    for (name, items, part) in lists {
        let given = argument::items(name, items.as_deref().unwrap_or_default())?;
        // A list of blank texts is a mistake, not a request to empty the list.
        let empties = clears && items.as_ref().is_some_and(Vec::is_empty)
            || request.clear.as_ref().is_some_and(|clear| clear.names(name));
        if !given.is_empty() || empties {
            changes.push((part, given));
        }
    }
    let mut removed = Removed::default();
    for (part, items) in &changes {
        part.home(drafts).rewrite(drafts, |text| {
            let edited = replace_items(text, *part, items)?;
            removed.extend(&edited.removed);
            Ok(edited.text)
        })?;
    }
    Ok(removed)
}

/// A note: arguments of `add_session_note`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AddSessionNote {
    /// The note.
    pub note: String,
    /// Its kind.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub category: Option<NoteCategory>,
}

impl AddSessionNote {
    /// The documents that the edit needs.
    #[must_use]
    pub fn paths() -> Vec<DocumentPath> {
        CoreDocument::ActiveContext.paths()
    }
}

/// Writes a note with its time and author among the session notes, the newest first.
///
/// # Errors
/// The note is blank or too long, or the document would become too large.
pub fn add_session_note(
    drafts: &mut Drafts,
    request: &AddSessionNote,
    at: Timestamp,
    author: &str,
) -> Result<(), EditError> {
    let note = argument::written_line("note", &request.note)?;
    let kind = request.category.unwrap_or(NoteCategory::Other).label();
    add_note_line(drafts, &entry(at, author, kind, &note))
}

/// Inserts an entry into the session notes.
pub(super) fn add_note_line(drafts: &mut Drafts, line: &str) -> Result<(), EditError> {
    CoreDocument::ActiveContext.rewrite(drafts, |text| {
        insert_item(text, |outline| KnownSection::Notes.find(outline), KnownSection::Notes.title(), line)
    })
}

/// Inserts an entry of progress into the session notes; without them into the recent changes of active-context.md.
pub(super) fn add_change_line(drafts: &mut Drafts, line: &str) -> Result<(), EditError> {
    CoreDocument::ActiveContext.rewrite(drafts, |text| {
        let find = |outline: &Outline<'_>| {
            KnownSection::Notes.find(outline).or_else(|| KnownSection::Recent.find(outline))
        };
        insert_item(text, find, KnownSection::Notes.title(), line)
    })
}
