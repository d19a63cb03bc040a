//! The lists and the session notes of active-context.md.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::document::argument;
use crate::document::progress::heading_time;
use crate::document::section::Outline;
use crate::document::splice::{append_section, bullets, insert_newest_item, remove_items, replace_body};
use crate::document::{CoreDocument, DocumentPath};
use crate::error::EditError;
use crate::store::Drafts;

/// Titles of the task list: the one that is written, then those that older banks have as well.
pub(super) const TASKS: [&str; 3] = ["Ongoing Tasks", "Tasks", "Current Tasks"];
/// Titles of the list of issues.
pub(super) const ISSUES: [&str; 2] = ["Known Issues", "Issues"];
/// The title of the list of next steps.
pub(super) const NEXT_STEPS: [&str; 1] = ["Next Steps"];
/// Titles of the session notes: the one that is written, then the older one.
pub(super) const NOTES: [&str; 2] = ["Current Session Notes", "Session Notes"];

/// New lists: arguments of `update_active_context`. A list that is absent stays; an empty one clears.
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
}

/// The documents that the edits of this module need.
#[must_use]
pub fn active_context_paths() -> Vec<DocumentPath> {
    vec![CoreDocument::ActiveContext.path()]
}

/// Replaces the lists that are given, each as a whole section. Sections of an older title that hold a second list of
/// the same kind lose their items, so that there is one list.
///
/// # Errors
/// An item or a list is too long, or the document would become too large.
pub fn update_active_context(drafts: &mut Drafts, asked: &UpdateActiveContext) -> Result<(), EditError> {
    let lists = [
        ("tasks", &asked.tasks, TASKS.as_slice()),
        ("issues", &asked.issues, ISSUES.as_slice()),
        ("nextSteps", &asked.next_steps, NEXT_STEPS.as_slice()),
    ];
    if lists.iter().all(|(_, items, _)| items.is_none()) {
        return Ok(());
    }
    CoreDocument::ActiveContext.rewrite(drafts, |text| {
        let mut text = text.to_owned();
        for (name, items, titles) in lists {
            if let Some(items) = items {
                text = replace_list(&text, titles, &argument::lines(name, items)?);
            }
        }
        Ok(text)
    })
}

fn replace_list(text: &str, titles: &[&str], items: &[String]) -> String {
    let outline = Outline::of(text);
    let sections = outline.find_all(titles);
    let doubled: Vec<_> =
        sections.iter().skip(1).flat_map(|section| outline.items_in(&section.body)).collect();
    let single = remove_items(text, &outline, &doubled);
    let outline = Outline::of(&single);
    let lines = if items.is_empty() { String::new() } else { format!("\n{}", bullets(items)) };
    match outline.find(titles) {
        Some(section) => replace_body(&single, &section, &lines),
        None if items.is_empty() => single,
        None => append_section(&single, titles, &lines),
    }
}

/// The kind of a session note.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum NoteCategory {
    /// Something seen.
    Observation,
    /// Something in the way.
    Blocker,
    /// Something to find out.
    Question,
    /// Something settled.
    Decision,
    /// Something to do.
    Todo,
    /// Anything else.
    Other,
}

impl NoteCategory {
    /// All kinds, in the order of the schema.
    pub const ALL: [Self; 6] =
        [Self::Observation, Self::Blocker, Self::Question, Self::Decision, Self::Todo, Self::Other];

    /// The word in arguments and replies.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Observation => "observation",
            Self::Blocker => "blocker",
            Self::Question => "question",
            Self::Decision => "decision",
            Self::Todo => "todo",
            Self::Other => "other",
        }
    }

    fn sign(self) -> &'static str {
        match self {
            Self::Observation => "👀",
            Self::Blocker => "🚧",
            Self::Question => "❓",
            Self::Decision => "✅",
            Self::Todo => "📋",
            Self::Other => "📝",
        }
    }
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

/// Writes a note with the time, newest first.
///
/// # Errors
/// The note is blank or too long, or the document would become too large.
pub fn add_session_note(drafts: &mut Drafts, asked: &AddSessionNote, at: Timestamp) -> Result<(), EditError> {
    let note = argument::written_line("note", &asked.note)?;
    add_timed_note(drafts, asked.category.map(NoteCategory::sign), &note, at)
}

/// Writes a note with the time and a sign. The text must be a single line.
pub(super) fn add_timed_note(
    drafts: &mut Drafts,
    sign: Option<&str>,
    note: &str,
    at: Timestamp,
) -> Result<(), EditError> {
    let sign = sign.map(|sign| format!("{sign} ")).unwrap_or_default();
    add_note_line(drafts, &format!("[{}] {sign}{note}", heading_time(at)))
}

/// Puts a line at the top of the session notes.
pub(super) fn add_note_line(drafts: &mut Drafts, line: &str) -> Result<(), EditError> {
    CoreDocument::ActiveContext.rewrite(drafts, |text| Ok(insert_newest_item(text, &NOTES, line)))
}
