//! The output of a command, before it is printed.

use super::screen::Screen;

/// The output of a command: its data, the text for people, and whether something was found.
pub(super) struct Shown {
    pub(super) data: serde_json::Value,
    pub(super) text: String,
    /// Why the exit code is 1 although the output is complete.
    pub(super) nothing: Option<String>,
}

impl Shown {
    pub(super) fn new(data: serde_json::Value, screen: Screen) -> Self {
        Self { data, text: screen.into_text(), nothing: None }
    }

    /// Nothing was found; the text names the query.
    pub(super) fn nothing(data: serde_json::Value, text: String) -> Self {
        Self { data, text: String::new(), nothing: Some(text) }
    }
}
