//! Writes the outcome of a thinking session to the documents in one edit, by the rules of the single tools.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::document::active_context::add_note_line;
use crate::document::decisions::{LogDecision, log_decision};
use crate::document::entry::entry;
use crate::document::known_section::KnownSection;
use crate::document::progress::{AddProgressEntry, add_progress_entry};
use crate::document::tasks::{UpdateTasks, add_tasks, update_tasks};
use crate::document::{CoreDocument, DocumentPath, NotFound, Removed, argument};
use crate::error::EditError;
use crate::store::Drafts;

/// The outcome of a session: arguments of `finalize_thinking_session`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FinalizeThinkingSession {
    /// The outcome, in a line.
    pub summary: String,
    /// A decision.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decision: Option<LogDecision>,
    /// Changes of the task list.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tasks: Option<UpdateTasks>,
    /// Next steps to append.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_steps: Option<Vec<String>>,
    /// A structured entry for progress.md.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub progress_entry: Option<AddProgressEntry>,
    /// The session that ends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session_id: Option<String>,
}

impl FinalizeThinkingSession {
    /// The documents that the edit needs.
    #[must_use]
    pub fn paths(&self) -> Vec<DocumentPath> {
        let mut paths = CoreDocument::ActiveContext.paths();
        if self.decision.is_some() {
            paths.extend(CoreDocument::DecisionLog.paths());
        }
        let lists = self.tasks.is_some() || self.next_steps.is_some();
        if lists || self.decision.is_some() || self.progress_entry.is_some() {
            paths.extend(CoreDocument::Progress.paths());
        }
        paths
    }
}

/// The result of [`finalize_thinking_session`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionFinalized {
    /// One line for each part; clients rely on the order.
    pub actions: Vec<String>,
    /// The removed tasks.
    pub removed: Removed,
    /// The tasks to remove that do not exist.
    pub not_found: Vec<NotFound>,
}

/// Writes all parts of the outcome or none.
///
/// # Errors
/// Any part is refused by its rule, or a document would become too large.
pub fn finalize_thinking_session(
    drafts: &mut Drafts,
    request: &FinalizeThinkingSession,
    at: Timestamp,
    author: &str,
) -> Result<SessionFinalized, EditError> {
    let summary = argument::written_line("summary", &request.summary)?;
    let session = argument::line("sessionId", request.session_id.as_deref().unwrap_or_default())?;
    let mut actions = Vec::new();
    let mut removed = Removed::default();
    let mut not_found = Vec::new();
    if let Some(steps) = &request.next_steps {
        let steps = argument::items("nextSteps", steps)?;
        if !steps.is_empty() {
            let added = add_tasks(drafts, KnownSection::NextSteps, &steps)?;
            actions.push(format!("Next steps updated ({added} items)"));
        }
    }
    if let Some(tasks) = request.tasks.as_ref().filter(|tasks| !tasks.is_empty()) {
        let updated = update_tasks(drafts, tasks, at)?;
        (removed, not_found) = (updated.removed, updated.not_found);
        actions.push("Tasks updated".to_owned());
    }
    let note = if session.is_empty() { summary } else { format!("{summary} [session:{session}]") };
    add_note_line(drafts, &entry(at, author, "🧠 Outcome", &note))?;
    actions.push("Session note added to active-context.md".to_owned());
    if let Some(decision) = &request.decision {
        let logged = log_decision(drafts, decision, at, author)?;
        actions.push(logged.sentence());
    }
    if let Some(progress) = &request.progress_entry {
        let added = add_progress_entry(drafts, progress, at, author)?;
        actions.push(format!("Progress entry added: {}", added.summary));
    }
    Ok(SessionFinalized { actions, removed, not_found })
}
