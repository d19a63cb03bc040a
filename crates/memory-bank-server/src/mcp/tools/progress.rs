//! Tools that record work in the core documents: progress, tasks, notes, decisions.

use memory_bank_core::caller::Right;
use memory_bank_core::clock::iso_millis;
use memory_bank_core::document;
use memory_bank_core::document::{
    AddProgressEntry, AddSessionNote, LogDecision, NoteCategory, TrackProgress, UpdateActiveContext,
    UpdateTasks,
};
use serde_json::json;

use crate::mcp::tools::blind::{WithoutRead, given_text};
use crate::mcp::tools::common_arguments::{ENTRY_TYPE, EXPIRES_AT, SUPERSEDES, VALID_FROM, VALID_UNTIL};
use crate::mcp::tools::editing::{edit_log, note_not_found, note_removed, with_archived};
use crate::mcp::tools::reply::{Failure, Reply};
use crate::mcp::tools::schema::{Kind, optional, required};
use crate::mcp::tools::tool::{ADDS, BANK, Call, FILES, Family, REPLACES, ToolSpec, boxed};

pub(crate) const TRACK_PROGRESS: ToolSpec = ToolSpec {
    name: "track_progress",
    title: "Track progress",
    description: "After a step: log one line of progress.",
    family: Family::Progress,
    right: Right::Write,
    without_read: WithoutRead::Sentence(|given| {
        format!("Progress tracked: {} - {}", given_text(given, "action"), given_text(given, "description"))
    }),
    hints: ADDS,
    bank: FILES,
    arguments: &[
        required("action", Kind::Text, "Action not specified"),
        required("description", Kind::Text, "Description not specified"),
        optional("updateActiveContext", Kind::Flag),
    ],
    handler: boxed!(track_progress),
};

/// Adds a line to the history and, by default, to the session notes.
async fn track_progress(mut call: Call) -> Result<Reply, Failure> {
    let arguments: TrackProgress = call.parse()?;
    let (now, author) = (call.services.clock.now(), call.caller.author());
    let (tracked, archived) = edit_log(&call, &arguments.paths(), |drafts| {
        document::track_progress(drafts, &arguments, now, &author)
    })
    .await
    .map_err(|failure| failure.while_doing("Failed to track progress"))?;
    let reply = Reply::sentence(format!("Progress tracked: {} - {}", tracked.action, tracked.description));
    with_archived(reply, &archived)
}

pub(crate) const ADD_PROGRESS_ENTRY: ToolSpec = ToolSpec {
    name: "add_progress_entry",
    title: "Add progress entry",
    description: "When a piece of work is finished: record it with details.",
    family: Family::Progress,
    right: Right::Write,
    without_read: WithoutRead::Members(&["entryId", "type", "timestamp"]),
    hints: ADDS,
    bank: BANK,
    arguments: &[
        required("type", ENTRY_TYPE, ""),
        required("summary", Kind::Text, ""),
        optional("details", Kind::Text),
        optional("files", Kind::Texts),
        optional("tags", Kind::Texts).unlisted(),
    ],
    handler: boxed!(add_progress_entry),
};

/// Adds a structured entry to the history.
async fn add_progress_entry(mut call: Call) -> Result<Reply, Failure> {
    let arguments: AddProgressEntry = call.parse()?;
    let (now, author) = (call.services.clock.now(), call.caller.author());
    let (added, archived) = edit_log(&call, &AddProgressEntry::paths(), |drafts| {
        document::add_progress_entry(drafts, &arguments, now, &author)
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

pub(crate) const ADD_SESSION_NOTE: ToolSpec = ToolSpec {
    name: "add_session_note",
    title: "Add session note",
    description: "Note what comes up during the session.",
    family: Family::Progress,
    right: Right::Write,
    without_read: WithoutRead::Members(&["timestamp", "category"]),
    hints: ADDS,
    bank: BANK,
    arguments: &[
        required("note", Kind::Text, "Note text is required"),
        optional("category", Kind::Word(&NoteCategory::WORDS)),
    ],
    handler: boxed!(add_session_note),
};

/// Adds a note to the session notes.
async fn add_session_note(mut call: Call) -> Result<Reply, Failure> {
    let arguments: AddSessionNote = call.parse()?;
    let (now, author) = (call.services.clock.now(), call.caller.author());
    let ((), archived) = edit_log(&call, &AddSessionNote::paths(), |drafts| {
        document::add_session_note(drafts, &arguments, now, &author)
    })
    .await
    .map_err(|failure| failure.while_doing("Error adding session note"))?;
    let reply = Reply::json(&json!({
        "success": true,
        "message": "Session note added",
        "timestamp": iso_millis(now),
        "category": arguments.category.map_or("none", NoteCategory::as_str),
    }))?;
    with_archived(reply, &archived)
}

pub(crate) const UPDATE_TASKS: ToolSpec = ToolSpec {
    name: "update_tasks",
    title: "Edit task list",
    description: "When work is planned or done: add, remove or replace ongoing tasks.",
    family: Family::Progress,
    right: Right::Write,
    without_read: WithoutRead::Members(&[]),
    hints: REPLACES,
    bank: BANK,
    arguments: &[
        optional("add", Kind::Texts),
        optional("remove", Kind::Texts),
        optional("replace", Kind::Texts),
        optional("resolve", Kind::Texts).about("settled blockers, issues"),
        optional("clear", Kind::Clear).about("empty the list first"),
    ],
    handler: boxed!(update_tasks),
};

/// Edits the task list.
async fn update_tasks(mut call: Call) -> Result<Reply, Failure> {
    let mut arguments: UpdateTasks = call.parse()?;
    arguments.only_whole = !call.caller.may(Right::Read);
    // Whether a text matches reveals the bank's content.
    if arguments.only_whole && arguments.resolve.as_ref().is_some_and(|texts| !texts.is_empty()) {
        return Err(Failure::unquoted("`resolve` takes the scope `read`; use a key that has it"));
    }
    let now = call.services.clock.now();
    let (updated, archived) =
        edit_log(&call, &UpdateTasks::paths(), |drafts| document::update_tasks(drafts, &arguments, now))
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

pub(crate) const UPDATE_ACTIVE_CONTEXT: ToolSpec = ToolSpec {
    name: "update_active_context",
    title: "Replace active context",
    description: "Replace the whole lists of tasks, issues or next steps.",
    family: Family::Progress,
    right: Right::Write,
    without_read: WithoutRead::Sentence(|_| "Active context updated successfully".to_owned()),
    hints: REPLACES,
    bank: FILES,
    arguments: &[
        optional("tasks", Kind::Texts),
        optional("issues", Kind::Texts),
        optional("nextSteps", Kind::Texts),
        optional("clear", Kind::Clear).about("empty the lists given as []"),
    ],
    handler: boxed!(update_active_context),
};

/// Replaces the lists of tasks, issues and next steps.
async fn update_active_context(mut call: Call) -> Result<Reply, Failure> {
    let arguments: UpdateActiveContext = call.parse()?;
    let (removed, archived) = edit_log(&call, &UpdateActiveContext::paths(), |drafts| {
        document::update_active_context(drafts, &arguments)
    })
    .await
    .map_err(|failure| failure.while_doing("Error updating active context"))?;
    let mut reply = Reply::sentence("Active context updated successfully");
    if arguments.is_empty() {
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

pub(crate) const LOG_DECISION: ToolSpec = ToolSpec {
    name: "log_decision",
    title: "Log decision",
    description: "When something is decided: record it and why.",
    family: Family::Progress,
    right: Right::Write,
    without_read: WithoutRead::Sentence(|given| format!("Decision logged: {}", given_text(given, "title"))),
    hints: ADDS,
    bank: FILES,
    arguments: &[
        required("title", Kind::Text, ""),
        required("context", Kind::Text, "").or_empty(),
        required("decision", Kind::Text, ""),
        optional("alternatives", Kind::Texts),
        optional("consequences", Kind::Texts),
        VALID_FROM,
        VALID_UNTIL.unlisted(),
        EXPIRES_AT,
        SUPERSEDES,
    ],
    handler: boxed!(log_decision),
};

/// Why a key without the right to read cannot replace a decision.
pub(crate) const REPLACING_DECISION: &str = "replace a decision, since that asks what the log holds";

/// Appends a decision to the log, and a line of progress.
async fn log_decision(mut call: Call) -> Result<Reply, Failure> {
    let arguments: LogDecision = call.parse()?;
    if !arguments.supersedes.is_empty() {
        call.must_read(REPLACING_DECISION)?;
    }
    let (now, author) = (call.services.clock.now(), call.caller.author());
    let (logged, archived) = edit_log(&call, &LogDecision::paths(), |drafts| {
        document::log_decision(drafts, &arguments, now, &author)
    })
    .await
    .map_err(|failure| failure.while_doing("Error logging decision"))?;
    with_archived(Reply::sentence(logged.sentence()), &archived)
}
