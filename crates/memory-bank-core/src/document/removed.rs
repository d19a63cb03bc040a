//! Removed text in an edit's reply: the caller must see it, within a bounded length.

use serde::Serialize;

use crate::document::{Document, Etag, clip};
use crate::limits;

/// Texts that an edit removed from a document.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Removed {
    /// The removed texts, up to [`limits::REMOVED_CHARS`] together.
    pub items: Vec<String>,
    /// How many more were removed.
    #[serde(skip_serializing_if = "is_zero")]
    pub more: usize,
}

impl Removed {
    /// Whether nothing was removed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.items.is_empty() && self.more == 0
    }

    /// How many texts were removed.
    #[must_use]
    pub fn count(&self) -> usize {
        self.items.len() + self.more
    }

    /// Adds a removed text.
    pub(super) fn push(&mut self, text: &str) {
        if self.more > 0 {
            self.more += 1;
            return;
        }
        let shown = clip(text.trim_end(), limits::REMOVED_CHARS / 4);
        let used: usize = self.items.iter().map(|item| item.chars().count() + 1).sum();
        if used + shown.chars().count() > limits::REMOVED_CHARS {
            self.more += 1;
        } else {
            self.items.push(shown);
        }
    }

    /// Adds a whole removed document.
    pub(super) fn push_whole(&mut self, text: &str) {
        self.items.push(clip(text, limits::REMOVED_CHARS));
    }

    /// Adds the texts that another edit removed.
    pub(super) fn extend(&mut self, other: &Self) {
        for item in &other.items {
            self.push(item);
        }
        self.more += other.more;
    }
}

/// A text that was replaced or deleted as a whole.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Former {
    /// Its etag.
    pub etag: Etag,
    /// Its length.
    pub bytes: usize,
    /// Its lines.
    pub lines: usize,
}

impl Former {
    /// The content of the removed document.
    #[must_use]
    pub fn of(document: &Document) -> Self {
        let content = &document.content;
        Self { etag: document.etag.clone(), bytes: content.len(), lines: content.lines().count() }
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for a reference")]
fn is_zero(count: &usize) -> bool {
    *count == 0
}
