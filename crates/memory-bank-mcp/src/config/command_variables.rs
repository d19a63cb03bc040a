//! The environment variables of commands, which the server does not read.

/// The address of a server, for commands at a shell.
pub(crate) const URL: &str = "MEMORY_BANK_URL";
/// The key of the server `memory-bank`; clients read it under the same name.
pub(crate) const API_KEY: &str = "MEMORY_BANK_API_KEY";
/// Whether hooks do anything.
pub(crate) const HOOKS: &str = "MEMORY_BANK_HOOKS";
/// The time of a hook, in milliseconds.
pub(crate) const HOOK_TIMEOUT_MS: &str = "MEMORY_BANK_HOOK_TIMEOUT_MS";
/// Whether sessions are recorded.
pub(crate) const SESSION_RECORDS: &str = "MEMORY_BANK_SESSION_RECORDS";
/// Where the first line of a session's first prompt is recorded.
pub(crate) const SESSION_PROMPTS: &str = "MEMORY_BANK_SESSION_PROMPTS";

/// All of them.
pub(crate) const ALL: [&str; 6] = [URL, API_KEY, HOOKS, HOOK_TIMEOUT_MS, SESSION_RECORDS, SESSION_PROMPTS];
