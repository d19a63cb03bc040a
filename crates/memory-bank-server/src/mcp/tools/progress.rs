//! Tools that record work in the core documents: progress, tasks, notes, decisions.

use memory_bank_core::clock::iso_millis;
use memory_bank_core::document::{
    self, AddProgressEntry, AddSessionNote, DocumentPath, LogDecision, NoteCategory, Removed, TrackProgress,
    UpdateActiveContext, UpdateTasks, active_context_paths,
};
use memory_bank_core::error::EditError;
use memory_bank_core::store::Drafts;
use serde_json::{Value, json};

use super::Call;
use super::reply::{Failure, Reply};

/// Runs one rule as one edit and gives what it returned.
pub(super) async fn edit<T: Send>(
    call: &Call,
    paths: &[DocumentPath],
    mut rule: impl FnMut(&mut Drafts) -> Result<T, EditError> + Send,
) -> Result<T, Failure> {
    let mut outcome = None;
    call.bank()?
        .edit(&call.caller, paths, &mut |drafts| {
            outcome = Some(rule(drafts)?);
            Ok(())
        })
        .await?;
    outcome.ok_or_else(|| Failure::Internal("the store did not run the edit".into()))
}

/// Adds a line to the history and, unless told not to, to the session notes.
pub(crate) async fn track_progress(mut call: Call) -> Result<Reply, Failure> {
    let asked: TrackProgress = call.parse()?;
    let (now, author) = (call.services.clock.now(), call.caller.author());
    let tracked =
        edit(&call, &asked.paths(), |drafts| document::track_progress(drafts, &asked, now, &author))
            .await
            .map_err(|failure| failure.while_doing("Failed to track progress"))?;
    Ok(Reply::sentence(format!("Progress tracked: {} - {}", tracked.action, tracked.description)))
}

/// Adds a structured entry to the history.
pub(crate) async fn add_progress_entry(mut call: Call) -> Result<Reply, Failure> {
    let asked: AddProgressEntry = call.parse()?;
    let now = call.services.clock.now();
    let added =
        edit(&call, &AddProgressEntry::paths(), |drafts| document::add_progress_entry(drafts, &asked, now))
            .await
            .map_err(|failure| failure.while_doing("Error adding progress entry"))?;
    Reply::json(&json!({
        "success": true,
        "entryId": added.entry_id,
        "type": added.kind,
        "summary": added.summary,
        "timestamp": iso_millis(now),
    }))
}

/// Adds a note to the session notes.
pub(crate) async fn add_session_note(mut call: Call) -> Result<Reply, Failure> {
    let asked: AddSessionNote = call.parse()?;
    let now = call.services.clock.now();
    edit(&call, &active_context_paths(), |drafts| document::add_session_note(drafts, &asked, now))
        .await
        .map_err(|failure| failure.while_doing("Error adding session note"))?;
    Reply::json(&json!({
        "success": true,
        "message": "Session note added",
        "timestamp": iso_millis(now),
        "category": asked.category.map_or("none", NoteCategory::as_str),
    }))
}

/// Edits the task list.
pub(crate) async fn update_tasks(mut call: Call) -> Result<Reply, Failure> {
    let asked: UpdateTasks = call.parse()?;
    let updated = edit(&call, &active_context_paths(), |drafts| document::update_tasks(drafts, &asked))
        .await
        .map_err(|failure| failure.while_doing("Error updating tasks"))?;
    let mut data = json!({
        "success": true,
        "message": "Tasks updated",
        "tasks": updated.tasks,
        "changes": updated.changes,
    });
    note_removed(&mut data, &updated.removed);
    Reply::json(&data)
}

/// Replaces the lists of tasks, issues and next steps.
pub(crate) async fn update_active_context(mut call: Call) -> Result<Reply, Failure> {
    let asked: UpdateActiveContext = call.parse()?;
    let removed =
        edit(&call, &active_context_paths(), |drafts| document::update_active_context(drafts, &asked))
            .await
            .map_err(|failure| failure.while_doing("Error updating active context"))?;
    let mut reply = Reply::sentence("Active context updated successfully");
    if !removed.is_empty() {
        reply.text.push_str(&format!("\n\nRemoved ({}):\n{}", removed.count(), removed.items.join("\n")));
        if removed.more > 0 {
            reply.text.push_str(&format!("\n… and {} more", removed.more));
        }
        note_removed(&mut reply.structured, &removed);
    }
    Ok(reply)
}

/// Shows what was taken out, in a member of its own, so that a reply can go without it.
pub(super) fn note_removed(data: &mut Value, removed: &Removed) {
    if !removed.is_empty()
        && let Some(object) = data.as_object_mut()
    {
        object.insert("removed".into(), json!(removed));
    }
}

/// Appends a decision to the log, and a line of progress.
pub(crate) async fn log_decision(mut call: Call) -> Result<Reply, Failure> {
    let asked: LogDecision = call.parse()?;
    let (now, author) = (call.services.clock.now(), call.caller.author());
    let logged =
        edit(&call, &LogDecision::paths(), |drafts| document::log_decision(drafts, &asked, now, &author))
            .await
            .map_err(|failure| failure.while_doing("Error logging decision"))?;
    Ok(Reply::sentence(format!("Decision logged: {}", logged.title)))
}
