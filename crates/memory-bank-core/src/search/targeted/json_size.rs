//! Measures parts of a reply as JSON.

use serde::Serialize;

/// Marks cut text.
const TRUNCATION_NOTE: &str = "\n...(truncated)";

/// The space that is left, in characters.
#[derive(Debug, Clone, Copy)]
pub(super) struct RemainingChars(usize);

impl RemainingChars {
    pub(super) fn new(left: usize) -> Self {
        Self(left)
    }

    pub(super) fn left(self) -> usize {
        self.0
    }

    /// The space that must be left when a share of it is used.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "a share between 0 and 1 of a small whole number"
    )]
    pub(super) fn floor(self, share: f64) -> usize {
        (self.0 as f64 * (1.0 - share)).ceil() as usize
    }

    pub(super) fn take(&mut self, cost: usize) {
        self.0 = self.0.saturating_sub(cost);
    }

    /// The size of a list item: its text and the comma.
    pub(super) fn cost(self, item: &impl Serialize) -> usize {
        length(item) + 1
    }

    /// Reserves the space for an item if at least `floor` is left afterwards.
    pub(super) fn fits(&mut self, item: &impl Serialize, floor: usize) -> bool {
        let cost = self.cost(item);
        let fits = cost + floor <= self.0;
        if fits {
            self.0 -= cost;
        }
        fits
    }
}

/// The characters of a reply as JSON.
pub(super) fn length(reply: &impl Serialize) -> usize {
    serde_json::to_string(reply).map_or(0, |text| text.chars().count())
}

/// The characters of a text inside a JSON string.
pub(super) fn escaped_length(text: &str) -> usize {
    text.chars().map(escaped).sum()
}

/// The longest beginning of a text that takes at most `max_chars` characters inside a JSON string.
pub(super) fn escaped_prefix(text: &str, max_chars: usize) -> &str {
    let mut used = 0;
    let end = text.char_indices().find(|(_, character)| {
        used += escaped(*character);
        used > max_chars
    });
    end.and_then(|(at, _)| text.get(..at)).unwrap_or(text)
}

/// The text, cut to at most `max_chars` characters inside a JSON string; a cut is marked.
pub(super) fn cut_to(text: &str, max_chars: usize) -> String {
    if escaped_length(text) <= max_chars {
        return text.to_owned();
    }
    let kept = escaped_prefix(text, max_chars.saturating_sub(escaped_length(TRUNCATION_NOTE)));
    if kept.trim().is_empty() { String::new() } else { format!("{kept}{TRUNCATION_NOTE}") }
}

fn escaped(character: char) -> usize {
    match character {
        '"' | '\\' | '\n' | '\r' | '\t' | '\u{8}' | '\u{c}' => 2,
        character if character < ' ' => 6,
        _ => 1,
    }
}
