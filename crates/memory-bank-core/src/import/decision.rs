//! Decides whether one document is written: a text that somebody wrote in the bank is never replaced.

use super::ImportEntry;
use crate::document::Etag;

/// A document of the bank.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DocumentState {
    /// The etag of its text.
    pub etag: Etag,
    /// Whether it is a core document without any content yet.
    pub is_template: bool,
}

/// The decision on a document.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum WriteDecision {
    /// It is written for the first time.
    Create,
    /// The source changed, the document did not: it is written again.
    Update,
    /// Nothing changed.
    Unchanged,
    /// It has the text of the source already, and only the record does not know it.
    Adopt,
    /// It was edited in the bank, and the source did not change.
    Edited,
    /// It was edited in the bank, and the source changed, too: it is left as it is.
    Conflict,
    /// It was deleted or renamed in the bank: it is not made again.
    Deleted,
    /// A document of this name exists that was not imported.
    Taken,
}

impl WriteDecision {
    /// Whether the document is written.
    #[must_use]
    pub fn writes(self) -> bool {
        matches!(self, Self::Create | Self::Update)
    }

    /// Whether the record changes.
    #[must_use]
    pub fn is_recorded(self) -> bool {
        self.writes() || self == Self::Adopt
    }
}

/// Decides on a document: `entry` is its entry in the record, `source` the hash of the source's text, `planned`
/// the etag of the document that would be written.
#[must_use]
pub fn decide(
    entry: Option<&ImportEntry>,
    present: Option<&DocumentState>,
    source: &Etag,
    planned: &Etag,
) -> WriteDecision {
    match (entry, present) {
        (None, None) => WriteDecision::Create,
        (None, Some(present)) if present.etag == *planned => WriteDecision::Adopt,
        (None, Some(present)) if present.is_template => WriteDecision::Create,
        (None, Some(_)) => WriteDecision::Taken,
        (Some(_), None) => WriteDecision::Deleted,
        (Some(entry), Some(present)) if entry.source == *source => {
            if present.etag == entry.written {
                WriteDecision::Unchanged
            } else {
                WriteDecision::Edited
            }
        }
        (Some(_), Some(present)) if present.etag == *planned => WriteDecision::Adopt,
        (Some(entry), Some(present)) if present.etag == entry.written => WriteDecision::Update,
        (Some(_), Some(_)) => WriteDecision::Conflict,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(source: &str, written: &str) -> ImportEntry {
        ImportEntry { source: Etag::of(source), written: Etag::of(written), ..ImportEntry::default() }
    }

    fn present(text: &str) -> DocumentState {
        DocumentState { etag: Etag::of(text), is_template: text == "template" }
    }

    #[test]
    fn texts_of_the_bank_are_never_replaced() {
        let of = |entry: Option<&ImportEntry>, there: Option<&str>, source: &str, planned: &str| {
            decide(entry, there.map(present).as_ref(), &Etag::of(source), &Etag::of(planned))
        };
        assert_eq!(of(None, None, "s", "w"), WriteDecision::Create);
        assert_eq!(of(None, Some("w"), "s", "w"), WriteDecision::Adopt);
        assert_eq!(of(None, Some("template"), "s", "w"), WriteDecision::Create);
        assert_eq!(of(None, Some("mine"), "s", "w"), WriteDecision::Taken);
        let known = entry("s", "w");
        assert_eq!(of(Some(&known), Some("w"), "s", "w"), WriteDecision::Unchanged);
        // Another version of this program may note the origin in another way.
        assert_eq!(of(Some(&known), Some("w"), "s", "w2"), WriteDecision::Unchanged);
        assert_eq!(of(Some(&known), Some("mine"), "s", "w"), WriteDecision::Edited);
        assert_eq!(of(Some(&known), None, "s", "w"), WriteDecision::Deleted);
        assert_eq!(of(Some(&known), None, "s2", "w2"), WriteDecision::Deleted);
        assert_eq!(of(Some(&known), Some("w"), "s2", "w2"), WriteDecision::Update);
        assert_eq!(of(Some(&known), Some("w2"), "s2", "w2"), WriteDecision::Adopt);
        assert_eq!(of(Some(&known), Some("mine"), "s2", "w2"), WriteDecision::Conflict);
        assert_eq!(of(Some(&known), Some("template"), "s2", "w2"), WriteDecision::Conflict);
    }
}
