//! The output of a command, before it is printed.

use super::screen::Screen;

/// The output of a command: its data, the text for people, and whether something was found.
pub(super) struct CommandOutput {
    pub(super) data: serde_json::Value,
    pub(super) text: String,
    /// Why the exit code is 1 although the output is complete.
    pub(super) not_found: Option<String>,
    /// A line for standard error, where standard output has results only.
    pub(super) note: Option<String>,
}

impl CommandOutput {
    pub(super) fn new(data: serde_json::Value, screen: Screen) -> Self {
        Self { data, text: screen.into_text(), not_found: None, note: None }
    }

    /// Nothing was found; the text names the query.
    pub(super) fn not_found(data: serde_json::Value, text: String) -> Self {
        Self { data, text: String::new(), not_found: Some(text), note: None }
    }
}
