//! Before a compaction, and at the end of a turn and of the session: the record, and the reminder to record the rest.

use memory_bank_core::hooks::reminder;
use memory_bank_folder::GitActivity;

use super::super::agent::Event;
use super::super::answer::{Answer, reminds_model};
use super::super::bank::now;
use super::super::error_log::log_error;
use super::super::session::AgentSession;
use super::super::settings::is_ignored;
use super::EventHandler;
use super::records::Recorded;

/// Whether the bank was written since the start of a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Written {
    Yes,
    No,
    Unknown,
    /// The server's project has nothing in it: there is no bank.
    NoBank,
}

/// How much was done, in commits, files and edits.
fn work(session: &AgentSession, activity: &GitActivity) -> usize {
    let edits = usize::try_from(session.edits).unwrap_or(usize::MAX);
    edits.saturating_add(activity.commit_count).saturating_add(activity.file_count)
}

impl EventHandler<'_> {
    /// A reminder if something was done and nothing was written.
    pub(super) async fn compaction(&self) -> anyhow::Result<Answer> {
        let Some(session) = self.load() else { return Ok(Answer::Silence) };
        let activity = self.activity(&session);
        let work = work(&session, &activity);
        let is_due = work > session.reminded_work && self.written(&session).await == Written::No;
        let mut reminds = is_due && self.may_write().await;
        let reaches = reminds_model(self.hook.input.agent, self.hook.input.event);
        self.forget_claims();
        self.update(|before| {
            let mut session = before?;
            // The compacted conversation no longer contains the shown lines.
            session.shown.clear();
            session.compacted = true;
            session.add_files(&activity.files);
            reminds &= session.remind(reminds, work);
            session.reminder_pending |= reminds && !reaches;
            Some(session)
        });
        Ok(if reminds { Answer::Reminder(reminder().to_owned()) } else { Answer::Silence })
    }

    /// The record, and a reminder once.
    pub(super) async fn end(&self) -> anyhow::Result<Answer> {
        let Some(session) = self.load() else { return Ok(Answer::Silence) };
        self.forget_claims();
        let input = &self.hook.input;
        let activity = self.activity(&session);
        let work = work(&session, &activity);
        // A session without any work is not recorded.
        let was_used =
            session.prompts > 0 || !session.tools.is_empty() || work > 0 || input.event == Event::Stop;
        let is_ignored = is_ignored(&self.folder) || self.bank.folder().is_some_and(is_ignored);
        let written = self.written(&session).await;
        let records = self.settings.records
            && was_used
            && !is_ignored
            && !session.record_refused
            && written != Written::NoBank;
        let was_written = session.wrote || written == Written::Yes;
        let recorded = match records.then(|| self.kept_record(&session, &activity)) {
            Some(record) => self.record(record).await,
            None => Recorded::default(),
        };
        // A reminder that waits for the model is given here, if it reaches it here.
        let reaches = reminds_model(input.agent, input.event);
        let is_due = (work > session.reminded_work || session.reminder_pending && reaches)
            && written == Written::No
            && !session.reminded
            && !input.is_forced
            && input.event == Event::Stop;
        let reminds = is_due && self.may_write().await;
        let is_changed = activity.files.iter().any(|file| !session.files.contains(file));
        let is_recorded = recorded.is_written;
        if !reminds && was_written == session.wrote && !is_recorded && !recorded.is_refused && !is_changed {
            return Ok(Answer::Silence);
        }
        // Of events at the same time, one reminds.
        let mut reminds = reminds;
        self.update(|before| {
            let mut session = before?;
            reminds &= !session.reminded;
            session.wrote |= was_written;
            session.own_write = recorded.own_write.or(session.own_write);
            session.recorded |= is_recorded;
            session.record_refused |= recorded.is_refused;
            session.recorded_at = if is_recorded { Some(now()) } else { session.recorded_at };
            session.reminded |= reminds;
            let is_given = reminds && reaches || was_written;
            session.reminder_pending = !is_given && (session.reminder_pending || reminds);
            session.add_files(&activity.files);
            Some(session)
        });
        Ok(if reminds { Answer::Reminder(reminder().to_owned()) } else { Answer::Silence })
    }

    /// Whether the agent may write the bank: nobody is reminded to record where that is forbidden.
    async fn may_write(&self) -> bool {
        let options = self.hook.global.tool_options();
        if options.is_ok_and(|options| options.read_only) {
            return false;
        }
        self.logged("the rights of the key cannot be read", self.bank.may_write().await).unwrap_or(false)
    }

    /// Whether the bank was written since the start of the session, by anybody.
    async fn written(&self, session: &AgentSession) -> Written {
        if session.wrote {
            return Written::Yes;
        }
        // That it cannot be read is logged: the rest of the event does not depend on it.
        match self.logged("the state of the bank cannot be read", self.bank.state().await) {
            None => Written::Unknown,
            Some(state) if self.bank.folder().is_none() && state.is_empty() => Written::NoBank,
            Some(state) if session.bank.differs(state, session.own_write) => Written::Yes,
            Some(_) => Written::No,
        }
    }

    /// After a turn or a compaction the same prompt is another event.
    fn forget_claims(&self) {
        let forgotten = self.sessions.as_ref().map(|sessions| sessions.forget_claims(&self.name));
        if let Some(Err(error)) = forgotten {
            log_error(&format!("the claims of events cannot be removed: {error}"));
        }
    }
}
