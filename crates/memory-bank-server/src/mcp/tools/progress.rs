//! Tools that record work in the core documents: progress, tasks, notes, decisions.

use memory_bank_core::caller::Right;
use memory_bank_core::clock::iso_millis;
use memory_bank_core::document::{
    self, AddProgressEntry, AddSessionNote, Archived, DocumentPath, LogDecision, NotFound, NoteCategory,
    Removed, TrackProgress, UpdateActiveContext, UpdateTasks, with_archiving,
};
use memory_bank_core::error::EditError;
use memory_bank_core::store::Drafts;
use serde_json::{Value, json};

use super::Call;
use super::reply::{Failure, Reply};

/// Runs one rule as one edit and returns its result.
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

/// The same for a rule on logs: if one is full, its oldest entries move to an archive in the same edit.
pub(super) async fn edit_log<T: Send>(
    call: &Call,
    paths: &[DocumentPath],
    mut rule: impl FnMut(&mut Drafts) -> Result<T, EditError> + Send,
) -> Result<(T, Vec<Archived>), Failure> {
    let now = call.services.clock.now();
    edit(call, paths, |drafts| with_archiving(drafts, now, &mut rule)).await
}

/// Adds the archived entries to a reply, if there are any.
pub(super) fn with_archived(reply: Reply, archived: &[Archived]) -> Result<Reply, Failure> {
    if archived.is_empty() {
        return Ok(reply);
    }
    let Reply { text, mut structured } = reply;
    if let Some(object) = structured.as_object_mut() {
        object.insert("archived".into(), json!(archived));
    }
    if text.starts_with('{') {
        return Reply::json(&structured);
    }
    let moved: Vec<String> = archived
        .iter()
        .map(|one| {
            let dates = match (&one.from, &one.to) {
                (Some(from), Some(to)) => format!(" ({from} to {to})"),
                _ => String::new(),
            };
            let entries = if one.entries == 1 { "entry" } else { "entries" };
            format!(
                "{} was full: the oldest {} {entries}{dates} moved to {}",
                one.document, one.entries, one.archive
            )
        })
        .collect();
    Ok(Reply::text(format!("{text}\n{}", moved.join("\n")), structured))
}

/// Adds a line to the history and, by default, to the session notes.
pub(crate) async fn track_progress(mut call: Call) -> Result<Reply, Failure> {
    let asked: TrackProgress = call.parse()?;
    let (now, author) = (call.services.clock.now(), call.caller.author());
    let (tracked, archived) =
        edit_log(&call, &asked.paths(), |drafts| document::track_progress(drafts, &asked, now, &author))
            .await
            .map_err(|failure| failure.while_doing("Failed to track progress"))?;
    let reply = Reply::sentence(format!("Progress tracked: {} - {}", tracked.action, tracked.description));
    with_archived(reply, &archived)
}

/// Adds a structured entry to the history.
pub(crate) async fn add_progress_entry(mut call: Call) -> Result<Reply, Failure> {
    let asked: AddProgressEntry = call.parse()?;
    let (now, author) = (call.services.clock.now(), call.caller.author());
    let (added, archived) = edit_log(&call, &AddProgressEntry::paths(), |drafts| {
        document::add_progress_entry(drafts, &asked, now, &author)
    })
    .await
    .map_err(|failure| failure.while_doing("Error adding progress entry"))?;
    let reply = Reply::json(&json!({
        "success": true,
        "entryId": added.entry_id,
        "type": added.kind,
        "summary": added.summary,
        "timestamp": iso_millis(now),
    }))?;
    with_archived(reply, &archived)
}

/// Adds a note to the session notes.
pub(crate) async fn add_session_note(mut call: Call) -> Result<Reply, Failure> {
    let asked: AddSessionNote = call.parse()?;
    let (now, author) = (call.services.clock.now(), call.caller.author());
    let ((), archived) = edit_log(&call, &AddSessionNote::paths(), |drafts| {
        document::add_session_note(drafts, &asked, now, &author)
    })
    .await
    .map_err(|failure| failure.while_doing("Error adding session note"))?;
    let reply = Reply::json(&json!({
        "success": true,
        "message": "Session note added",
        "timestamp": iso_millis(now),
        "category": asked.category.map_or("none", NoteCategory::as_str),
    }))?;
    with_archived(reply, &archived)
}

/// Edits the task list.
pub(crate) async fn update_tasks(mut call: Call) -> Result<Reply, Failure> {
    let mut asked: UpdateTasks = call.parse()?;
    asked.only_whole = !call.caller.may(Right::Read);
    // Whether a text matches reveals the bank's content.
    if asked.only_whole && asked.resolve.as_ref().is_some_and(|texts| !texts.is_empty()) {
        return Err(Failure::own("`resolve` takes the scope `read`; use a key that has it"));
    }
    let now = call.services.clock.now();
    let (updated, archived) =
        edit_log(&call, &UpdateTasks::paths(), |drafts| document::update_tasks(drafts, &asked, now))
            .await
            .map_err(|failure| failure.while_doing("Error updating tasks"))?;
    let mut data = json!({
        "success": true,
        "message": "Tasks updated",
        "tasks": updated.tasks,
        "changes": updated.changes,
    });
    note_removed(&mut data, &updated.removed);
    note_not_found(&mut data, &updated.not_found);
    if !updated.resolved.is_empty()
        && let Some(object) = data.as_object_mut()
    {
        object.insert("resolved".into(), json!(updated.resolved));
    }
    with_archived(Reply::json(&data)?, &archived)
}

/// Replaces the lists of tasks, issues and next steps.
pub(crate) async fn update_active_context(mut call: Call) -> Result<Reply, Failure> {
    let asked: UpdateActiveContext = call.parse()?;
    let (removed, archived) = edit_log(&call, &UpdateActiveContext::paths(), |drafts| {
        document::update_active_context(drafts, &asked)
    })
    .await
    .map_err(|failure| failure.while_doing("Error updating active context"))?;
    let mut reply = Reply::sentence("Active context updated successfully");
    if asked.is_empty() {
        reply.text.push_str(
            "\n\nNothing changed: an empty list leaves a list as it is; `clear: true` empties those given as []",
        );
    }
    if !removed.is_empty() {
        reply.text.push_str(&format!("\n\nRemoved ({}):\n{}", removed.count(), removed.items.join("\n")));
        if removed.more > 0 {
            reply.text.push_str(&format!("\n… and {} more", removed.more));
        }
        note_removed(&mut reply.structured, &removed);
    }
    with_archived(reply, &archived)
}

/// Adds the removed text, in its own member, so that a reply can omit it.
pub(super) fn note_removed(data: &mut Value, removed: &Removed) {
    if !removed.is_empty()
        && let Some(object) = data.as_object_mut()
    {
        object.insert("removed".into(), json!(removed));
    }
}

/// Adds texts that were not found, with similar ones.
pub(super) fn note_not_found(data: &mut Value, not_found: &[NotFound]) {
    if !not_found.is_empty()
        && let Some(object) = data.as_object_mut()
    {
        object.insert("notFound".into(), json!(not_found));
    }
}

/// Appends a decision to the log, and a line of progress.
pub(crate) async fn log_decision(mut call: Call) -> Result<Reply, Failure> {
    let asked: LogDecision = call.parse()?;
    let (now, author) = (call.services.clock.now(), call.caller.author());
    let (logged, archived) =
        edit_log(&call, &LogDecision::paths(), |drafts| document::log_decision(drafts, &asked, now, &author))
            .await
            .map_err(|failure| failure.while_doing("Error logging decision"))?;
    with_archived(Reply::sentence(format!("Decision logged: {}", logged.title)), &archived)
}
