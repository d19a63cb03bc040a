//! The stores on local folders.
#![expect(clippy::unwrap_used, reason = "a test may fail loudly; the lint knows test functions only")]

mod backups;
#[cfg(unix)]
mod bank_links;
mod bank_selection;
mod contract;
mod crash_recovery;
mod documents;
mod file_watching;
mod graph_history;
mod history;
mod history_bounds;
mod history_outside;
mod history_retention;
#[cfg(unix)]
mod links;
mod planted;
mod replaced_logs;
mod rules_files;
mod seals;
mod stores;
mod support;
mod undo_killed;
