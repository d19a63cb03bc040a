//! Session records that are not in their bank yet. A hook ends when its time is up, also while it waits for other writers of the bank;
//! the next hook that writes records into the bank, or that starts a session with it, writes those, too.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use jiff::Timestamp;
use memory_bank_core::hooks::{AgentSessionRecord, with_record};
use memory_bank_folder::HookSessions;
use serde::{Deserialize, Serialize};

use super::bank::HookBank;
use super::error_log::log_error;
use super::session::AgentSession;
use super::settings::is_ignored;

/// A record and the bank that it belongs to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct PendingRecord {
    /// The folder of the bank.
    bank: PathBuf,
    /// The folder of the session.
    folder: PathBuf,
    /// Whether the record was seen in the bank before, so that a person has deleted it if it is missing.
    was_recorded: bool,
    record: AgentSessionRecord,
}

impl PendingRecord {
    pub(super) fn new(bank: &Path, folder: &Path, was_recorded: bool, record: AgentSessionRecord) -> Self {
        Self { bank: bank.to_owned(), folder: folder.to_owned(), was_recorded, record }
    }

    /// Keeps it until it is written.
    pub(super) fn store(&self, sessions: &HookSessions, session: &str) -> anyhow::Result<()> {
        Ok(sessions.set_due(session, &serde_json::to_vec(self)?)?)
    }
}

/// Whether records of this bank are due.
pub(super) fn has_pending(sessions: &HookSessions, bank: &Path) -> anyhow::Result<bool> {
    Ok(!pending_records(sessions, bank)?.is_empty())
}

/// Writes all due records of this bank at once. The first prompts are part of them only `with_prompt`.
pub(super) async fn write_pending(
    sessions: &HookSessions,
    bank: &HookBank,
    location: &Path,
    with_prompt: bool,
    now: Timestamp,
) -> anyhow::Result<()> {
    let written: Mutex<Vec<(String, Vec<u8>)>> = Mutex::default();
    // Under the bank's lock: a record that another hook has written meanwhile is not due any more.
    let rule = |text: Option<&str>| {
        let due = pending_records(sessions, location).unwrap_or_else(|error| {
            log_error(&format!("the records that are due cannot be read: {error:#}"));
            Vec::new()
        });
        let mut after: Option<String> = None;
        let mut taken = Vec::with_capacity(due.len());
        for (session, bytes, mut one) in due {
            one.record.prompt = one.record.prompt.filter(|_| with_prompt);
            if !is_ignored(&one.folder) {
                after = with_record(after.as_deref().or(text), &one.record, one.was_recorded, now).or(after);
            }
            taken.push((session, bytes));
        }
        *written.lock().unwrap_or_else(PoisonError::into_inner) = taken;
        after
    };
    bank.edit_records(&rule).await?;
    for (session, bytes) in written.into_inner().unwrap_or_else(PoisonError::into_inner) {
        // What cannot be settled now is written again without a change.
        if let Err(error) = settle(sessions, &session, &bytes, now) {
            log_error(&format!("a record that is written stays due: {error}"));
        }
    }
    Ok(())
}

/// Notes that the record of a session is written.
fn settle(sessions: &HookSessions, session: &str, due: &[u8], now: Timestamp) -> std::io::Result<()> {
    sessions.update(session, |before| {
        let mut session = AgentSession::parse(&before?)?;
        session.recorded = true;
        session.recorded_at = Some(now);
        session.bytes()
    })?;
    sessions.settle(session, due)
}

/// The due records of this bank, each with its session and its stored form.
fn pending_records(
    sessions: &HookSessions,
    bank: &Path,
) -> anyhow::Result<Vec<(String, Vec<u8>, PendingRecord)>> {
    let understood = |(session, bytes): (String, Vec<u8>)| {
        let due: PendingRecord = serde_json::from_slice(&bytes).ok()?;
        (due.bank == bank).then_some((session, bytes, due))
    };
    Ok(sessions.due()?.into_iter().filter_map(understood).collect())
}
