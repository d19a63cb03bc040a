//! Cuts a text that is shown.

/// The text, cut to `max_chars` characters; a note on its own line reports the cut, if there is room.
#[must_use]
pub fn clip(text: &str, max_chars: usize) -> String {
    const TRUNCATION_NOTE: &str = "\n...(truncated)";
    if text.chars().count() <= max_chars {
        return text.to_owned();
    }
    match max_chars.checked_sub(TRUNCATION_NOTE.chars().count()) {
        Some(room) => text.chars().take(room).chain(TRUNCATION_NOTE.chars()).collect(),
        None => text.chars().take(max_chars).collect(),
    }
}
