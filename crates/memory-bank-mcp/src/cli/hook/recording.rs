//! The record of a session, written into the bank.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use jiff::Timestamp;
use memory_bank_core::hooks::{AgentSessionRecord, RecordedCommit, SessionFacts};
use memory_bank_core::secrets::masked;
use memory_bank_folder::{GitActivity, git_activity, is_versioned};

use super::agent::Agent;
use super::bank::HookBank;
use super::session::AgentSession;

/// For so long a record is not folded into the line of its week, in seconds.
const RECORDED_WHOLE_SECS: i64 = 13 * 24 * 60 * 60;
/// The most files in a record; more are counted.
const RECORDED_FILES: usize = 50;
/// How many commits and files are shown after a compaction.
const MAX_COMMITS: usize = 4;
const MAX_FILES: usize = 8;

/// The activity in the repository of the session's folder since its start, with the files that earlier events of the session saw.
pub(super) fn activity(
    folder: &Path,
    session: &AgentSession,
    bank: &HookBank,
    wait: Duration,
) -> GitActivity {
    let seen = git_activity(folder, session.started, session.head.as_deref(), bank.folder(), wait);
    let mut activity = seen.unwrap_or_default();
    let earlier: Vec<String> =
        session.files.iter().filter(|file| !activity.files.contains(file)).cloned().collect();
    activity.file_count = activity.file_count.max(activity.files.len().saturating_add(earlier.len()));
    activity.files.extend(earlier);
    activity.files.truncate(RECORDED_FILES);
    activity
}

/// The facts of a session that are shown after a compaction.
pub(super) fn facts(activity: &GitActivity) -> SessionFacts {
    if activity.is_idle() {
        return SessionFacts::default();
    }
    let mut lines = Vec::new();
    if let Some(branch) = &activity.branch {
        lines.push(format!("branch {}", masked(branch)));
    }
    lines.extend(activity.commits.iter().take(MAX_COMMITS).map(|commit| {
        let subject: String = masked(&commit.subject).chars().take(100).collect();
        format!("commit {}: {subject}", commit.id)
    }));
    let files: Vec<String> = activity.files.iter().take(MAX_FILES).map(|file| masked(file)).collect();
    if !files.is_empty() {
        let left = activity.file_count.saturating_sub(files.len());
        let more = if left > 0 { format!(" and {left} more") } else { String::new() };
        lines.push(format!("files touched: {}{more}", files.join(", ")));
    }
    SessionFacts { lines }
}

/// The record of a session. The first prompt is part of it only `with_prompt`.
pub(super) fn record_of(
    agent: Agent,
    id: &str,
    session: &AgentSession,
    activity: &GitActivity,
    with_prompt: bool,
    now: Timestamp,
) -> AgentSessionRecord {
    let commits = activity
        .commits
        .iter()
        .map(|commit| RecordedCommit { id: commit.id.clone(), subject: commit.subject.clone() })
        .collect();
    AgentSessionRecord {
        id: id.chars().take(12).collect(),
        agent: agent.name().to_owned(),
        started: session.started,
        ended: now,
        branch: activity.branch.clone(),
        commits,
        commit_count: activity.commit_count,
        files: activity.files.clone(),
        file_count: activity.file_count,
        tools: session.tools.clone().into_iter().collect::<BTreeMap<_, _>>(),
        prompt: session.first_prompt.clone().filter(|_| with_prompt),
    }
}

/// Whether the record was seen in the bank, so that a person has deleted it if it is missing.
pub(super) fn was_recorded(
    bank: &HookBank,
    session: &AgentSession,
    activity: &GitActivity,
    now: Timestamp,
) -> bool {
    session.recorded && !may_be_replaced(bank, session, activity, now)
}

/// Whether git may have replaced the document since the record was seen in it, such as by one of another branch: that the record
/// is missing then does not mean that a person has deleted it, nor that it was folded, unless the session is old.
fn may_be_replaced(bank: &HookBank, session: &AgentSession, activity: &GitActivity, now: Timestamp) -> bool {
    let (Some(at), Some(checkout)) = (session.recorded_at, activity.last_checkout) else { return false };
    checkout >= at.as_second()
        && now.duration_since(session.started).as_secs() < RECORDED_WHOLE_SECS
        && bank.folder().is_some_and(is_versioned)
}
