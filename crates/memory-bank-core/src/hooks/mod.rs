//! Rules for the hooks of agents: the texts that are added to a session without a request, and the records of sessions.
//! No model is called. This module must not know the form in which an agent takes a text.

mod brief;
mod frame;
mod line;
mod recall;
mod record;
mod record_document;
mod record_item;
mod reminder;
mod terms;

pub use brief::{CONTEXT_TOKENS, SessionFacts, brief};
pub use frame::framed;
pub use recall::{MAX_PASSAGES, PassageText, RecalledPassage, matching_passages, passages_text};
pub use record::{AgentSessionRecord, RECORDED_COMMITS, RECORDED_FILES, RecordedCommit};
pub use record_document::{
    SESSION_RECORDS, is_session_records, old_records, with_old_records_folded, with_record,
};
pub use reminder::{reminder, reminder_for_people};
pub use terms::{PromptTerms, fingerprint};
