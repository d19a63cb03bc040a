//! The records of sessions at an event.

use jiff::Timestamp;
use memory_bank_core::hooks::{AgentSessionRecord, with_record};
use memory_bank_folder::GitActivity;

use super::super::bank::{WriteRefused, now};
use super::super::pending_records::{PendingRecord, has_pending, write_pending};
use super::super::recording::{record_of, was_recorded};
use super::super::session::AgentSession;
use super::super::settings::is_ignored;
use super::EventHandler;

/// The record of a session.
pub(super) struct Record {
    record: AgentSessionRecord,
    /// Whether it was seen in the bank before.
    was_recorded: bool,
    /// Whether a later hook writes it if this one does not.
    is_kept: bool,
}

/// What became of a record.
#[derive(Default)]
pub(super) struct Recorded {
    /// It is in the bank.
    pub(super) is_written: bool,
    /// The server refuses it.
    pub(super) is_refused: bool,
    /// When it was written, where that looks like any other change of the bank.
    pub(super) own_write: Option<Timestamp>,
}

impl EventHandler<'_> {
    /// The record of the session. That of a bank in a folder is kept until it is written.
    pub(super) fn kept_record(&self, session: &AgentSession, activity: &GitActivity) -> Record {
        let (agent, now) = (self.hook.input.agent, now());
        let record = record_of(agent, &self.name, session, activity, self.records_prompt(), now);
        let was_recorded = was_recorded(&self.bank, session, activity, now);
        let is_kept = match (&self.sessions, self.bank.folder()) {
            (Some(sessions), Some(location)) => {
                let due = PendingRecord::new(location, &self.folder, was_recorded, record.clone());
                let stored = due.store(sessions, &self.name);
                self.logged("the record of the session cannot be kept", stored).is_some()
            }
            _ => false,
        };
        Record { record, was_recorded, is_kept }
    }

    /// Writes the record, with those of a folder that are due.
    pub(super) async fn record(&self, one: Record) -> Recorded {
        let written = match (&self.sessions, self.bank.folder()) {
            (Some(sessions), Some(location)) if one.is_kept => {
                write_pending(sessions, &self.bank, location, self.records_prompt(), now())
                    .await
                    .map(|()| false)
            }
            _ => {
                let rule = |text: Option<&str>| with_record(text, &one.record, one.was_recorded, now());
                self.bank.edit_records(&rule).await
            }
        };
        let is_refused = written.as_ref().is_err_and(|error| error.is::<WriteRefused>());
        let written = self.logged("the session was not recorded", written);
        let mut recorded = Recorded { is_written: written.is_some(), is_refused, own_write: None };
        if written == Some(true) && self.bank.folder().is_none() {
            let state = self.logged("the state of the bank cannot be read", self.bank.state().await);
            recorded.own_write = state.and_then(|state| state.written);
        }
        recorded
    }

    /// Writes the records of earlier sessions that ended before they were written, if a part of this hook's time is enough.
    pub(super) async fn write_due_of_others(&self) {
        let (Some(sessions), Some(location)) = (&self.sessions, self.bank.folder()) else { return };
        let has_pending = self.settings.records
            && self.logged("the records that are due cannot be read", has_pending(sessions, location))
                == Some(true);
        if !has_pending || is_ignored(location) {
            return;
        }
        let writing = write_pending(sessions, &self.bank, location, self.records_prompt(), now());
        // The next event tries again.
        if let Ok(written) = tokio::time::timeout(self.hook.deadline / 4, writing).await {
            self.logged("earlier sessions were not recorded", written);
        }
    }
}
