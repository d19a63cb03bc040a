//! Tools that count thoughts and record the result of a session.

use memory_bank_core::caller::Right;
use memory_bank_core::clock::iso_millis;
use memory_bank_core::document;
use memory_bank_core::document::FinalizeThinkingSession;
use memory_bank_core::store::SessionState;
use memory_bank_core::thinking::Thought;
use serde::Deserialize;
use serde_json::json;

use crate::mcp::tools::blind::WithoutRead;
use crate::mcp::tools::common_arguments::{ENTRY_TYPE, EXPIRES_AT, SUPERSEDES, VALID_FROM, VALID_UNTIL};
use crate::mcp::tools::editing::{edit_log, note_not_found, note_removed, with_archived};
use crate::mcp::tools::progress::REPLACING_DECISION;
use crate::mcp::tools::reply::{Failure, Reply};
use crate::mcp::tools::schema::{Argument, Kind, optional, required};
use crate::mcp::tools::tool::{ADDS, BANK, BankNeed, CHANGES, Call, Family, ToolSpec, boxed};

pub(crate) const SEQUENTIAL_THINKING: ToolSpec = ToolSpec {
    name: "sequential_thinking",
    title: "Count thoughts",
    description: "Number the thoughts of a long analysis; only counts are kept. All but reset need the first four.",
    family: Family::Thinking,
    right: Right::Read,
    without_read: WithoutRead::Refused,
    hints: ADDS,
    bank: BankNeed::None,
    arguments: &[
        optional("thought", Kind::Text),
        optional("nextThoughtNeeded", Kind::Flag),
        optional("thoughtNumber", Kind::Whole(1, u32::MAX)),
        optional("totalThoughts", Kind::Whole(1, u32::MAX)),
        optional("isRevision", Kind::Flag),
        optional("revisesThought", Kind::Whole(1, u32::MAX)),
        optional("branchFromThought", Kind::Whole(1, u32::MAX)),
        optional("branchId", Kind::Text),
        optional("needsMoreThoughts", Kind::Flag),
        optional("sessionId", Kind::Text).keeping_empty(),
        optional("reset", Kind::Flag),
    ],
    handler: boxed!(sequential_thinking),
};

/// Counts a thought, or resets sessions. The text of a thought is not stored.
async fn sequential_thinking(mut call: Call) -> Result<Reply, Failure> {
    let arguments: Think = call.parse()?;
    if arguments.reset && arguments.session_id.as_deref().is_some_and(|id| id.trim().is_empty()) {
        return Err(Failure::message(
            "`sessionId` is empty; name the session to reset, or leave it out to reset all of them",
        ));
    }
    let session = arguments.session_id.clone().filter(|id| !id.is_empty());
    // A misspelt `sessionId` must not reset all sessions.
    if arguments.reset
        && let Some(unknown) = call.ignored_names.first()
    {
        return Err(Failure::Malformed(format!(
            "unknown argument `{unknown}`; a reset takes `sessionId` or none. Nothing was done: leave it out or correct \
             its name"
        )));
    }
    if arguments.reset {
        return reset(&call, session.as_deref()).await;
    }
    let (Some(_), Some(more), Some(number), Some(total)) = (
        &arguments.thought,
        arguments.next_thought_needed,
        arguments.thought_number,
        arguments.total_thoughts,
    ) else {
        return Err(Failure::Malformed(missing(&arguments)));
    };
    let thought = Thought {
        number,
        total,
        revises: arguments.revises_thought,
        branches_from: arguments.branch_from_thought,
        branch: arguments.branch_id.filter(|branch| !branch.is_empty()),
    };
    let fresh = call.services.entropy.id().to_string();
    let mut outcome = None;
    call.services
        .state
        .update(&call.caller, &mut |state: &mut SessionState| {
            outcome = Some(state.thinking.count(session.as_deref(), &fresh, &thought));
        })
        .await?;
    let counted =
        outcome.ok_or_else(|| Failure::Internal("the state store did not run the change".into()))?.map_err(
            |error| Failure::message(json!({"error": error.to_string(), "status": "failed"}).to_string()),
        )?;
    Reply::json(&json!({
        "thoughtNumber": number,
        "totalThoughts": counted.total,
        "nextThoughtNeeded": more,
        "branches": counted.branches,
        "thoughtHistoryLength": counted.length,
        "sessionId": counted.session,
    }))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Think {
    thought: Option<String>,
    next_thought_needed: Option<bool>,
    thought_number: Option<u32>,
    total_thoughts: Option<u32>,
    revises_thought: Option<u32>,
    branch_from_thought: Option<u32>,
    branch_id: Option<String>,
    session_id: Option<String>,
    #[serde(default)]
    reset: bool,
}

/// The error for an incomplete thought.
fn missing(arguments: &Think) -> String {
    let given = [
        ("thought", arguments.thought.is_some()),
        ("nextThoughtNeeded", arguments.next_thought_needed.is_some()),
        ("thoughtNumber", arguments.thought_number.is_some()),
        ("totalThoughts", arguments.total_thoughts.is_some()),
    ];
    let missing: Vec<String> =
        given.iter().filter(|(_, given)| !given).map(|(name, _)| format!("`{name}`")).collect();
    let example = json!({"thought": "is one table enough?", "nextThoughtNeeded": true, "thoughtNumber": 1, "totalThoughts": 3});
    format!("missing: {}; for example {example}, or `reset` alone", missing.join(", "))
}

async fn reset(call: &Call, session: Option<&str>) -> Result<Reply, Failure> {
    let mut cleared = 0;
    call.services
        .state
        .update(&call.caller, &mut |state: &mut SessionState| {
            cleared = match session {
                Some(session) => usize::from(state.thinking.reset(session)),
                None => state.thinking.reset_all(),
            };
        })
        .await?;
    Reply::json(&match session {
        Some(session) => {
            let status = if cleared > 0 { "Session cleared" } else { "No session found (nothing to clear)" };
            json!({"reset": true, "sessionId": session, "hadSession": cleared > 0, "status": status})
        }
        None => json!({
            "reset": true,
            "allSessions": true,
            "clearedCount": cleared,
            "status": format!("Cleared {cleared} session(s)"),
        }),
    })
}

pub(crate) const FINALIZE_THINKING_SESSION: ToolSpec = ToolSpec {
    name: "finalize_thinking_session",
    title: "Record a session's outcome",
    description: "At the end of a session, write its outcome in one step.",
    family: Family::Thinking,
    right: Right::Write,
    without_read: WithoutRead::Members(&["timestamp", "sessionId"]),
    hints: CHANGES,
    bank: BANK,
    arguments: &[
        required("summary", Kind::Text, "summary is required"),
        optional("decision", Kind::Object(DECISION)),
        optional("tasks", Kind::Object(TASKS)),
        optional("nextSteps", Kind::Texts),
        optional("progressEntry", Kind::Object(PROGRESS_ENTRY)),
        optional("sessionId", Kind::Text),
    ],
    handler: boxed!(finalize_thinking_session),
};

/// Records the result of a session, as one edit.
async fn finalize_thinking_session(mut call: Call) -> Result<Reply, Failure> {
    let mut arguments: FinalizeThinkingSession = call.parse()?;
    if arguments.decision.as_ref().is_some_and(|decision| !decision.supersedes.is_empty()) {
        call.must_read(REPLACING_DECISION)?;
    }
    if let Some(tasks) = &mut arguments.tasks {
        tasks.only_whole = !call.caller.may(Right::Read);
    }
    let (now, author) = (call.services.clock.now(), call.caller.author());
    let (done, archived) = edit_log(&call, &arguments.paths(), |drafts| {
        document::finalize_thinking_session(drafts, &arguments, now, &author)
    })
    .await
    .map_err(|failure| failure.while_doing("Error finalizing thinking session"))?;
    let mut data = json!({
        "success": true,
        "actions": done.actions,
        "timestamp": iso_millis(now),
        "sessionId": arguments.session_id,
    });
    note_removed(&mut data, &done.removed);
    note_not_found(&mut data, &done.not_found);
    with_archived(Reply::json(&data)?, &archived)
}

/// Members of `decision`.
pub(crate) const DECISION: &[Argument] = &[
    required("title", Kind::Text, ""),
    required("context", Kind::Text, "").or_empty(),
    required("decision", Kind::Text, ""),
    optional("alternatives", Kind::Texts),
    optional("consequences", Kind::Texts),
    VALID_FROM,
    VALID_UNTIL.unlisted(),
    EXPIRES_AT,
    SUPERSEDES.unlisted(),
];

/// Members of `tasks`.
pub(crate) const TASKS: &[Argument] = &[
    optional("add", Kind::Texts),
    optional("remove", Kind::Texts),
    optional("replace", Kind::Texts),
    // `update_tasks` lists it.
    optional("clear", Kind::Clear).unlisted(),
];

/// Members of `progressEntry`.
pub(crate) const PROGRESS_ENTRY: &[Argument] = &[
    required("type", ENTRY_TYPE, ""),
    required("summary", Kind::Text, ""),
    optional("details", Kind::Text),
    optional("files", Kind::Texts).unlisted(),
    optional("tags", Kind::Texts).unlisted(),
];
