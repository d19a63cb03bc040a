//! The reminder to record unrecorded work.

/// For the model.
#[must_use]
pub fn reminder() -> &'static str {
    "Reminder from the memory bank's hook: this session changed files or made commits, and nothing was recorded in the memory \
     bank. If something is worth keeping, record it now in one call each: track_progress for finished work, log_decision for \
     decisions and their reasons, update_tasks for open tasks. If nothing is, go on without it."
}

/// For the person at the agent, where the agent shows a hook's text to people only.
#[must_use]
pub fn reminder_for_people() -> &'static str {
    "memory bank: this session changed something and recorded nothing; ask the agent to record decisions and progress."
}
