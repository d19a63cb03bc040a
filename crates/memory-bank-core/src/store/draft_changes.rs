//! The difference between the drafts of an edit and the stored documents. Stores map it to files or rows.

use std::collections::BTreeMap;

use crate::document::{Document, DocumentPath, Etag};
use crate::error::EditError;
use crate::store::{ChangeKind, DocumentChange, Drafts};

/// The changes of an edit.
#[derive(Debug, Default)]
pub struct DraftChanges<'a> {
    /// The change of each document, by the requested name.
    pub changes: BTreeMap<DocumentPath, DocumentChange>,
    /// The documents that are written or deleted, each once.
    pub writes: Vec<DraftWrite<'a>>,
}

/// A document that an edit writes or deletes.
#[derive(Debug)]
pub struct DraftWrite<'a> {
    /// The name by which the edit knows it.
    pub requested: &'a DocumentPath,
    /// The name under which it is or will be stored.
    pub path: &'a DocumentPath,
    /// The stored document; `None` if it is new.
    pub before: Option<&'a Document>,
    /// The new text with its etag; `None` if it is deleted.
    pub after: Option<(&'a str, Etag)>,
    /// The document that continues here under a new name, if the edit renamed one. Its former name is among the deletions.
    pub moved_from: Option<&'a Document>,
    /// Whether the stored document continues under another name. If it does not, and another one continues here, it is deleted.
    pub leaves: bool,
    /// The deleted document that comes back here, and the number of its last version, if the edit brings one back. A stored document
    /// that does not leave is deleted.
    pub revives: Option<(&'a str, i64)>,
}

impl<'a> DraftChanges<'a> {
    /// Compares the drafts with the documents from which they were loaded. `stored_names` has the names under which
    /// the documents are stored, by requested name.
    ///
    /// # Errors
    /// Two names mean one document with different new texts.
    pub fn of(
        drafts: &'a Drafts,
        stored_names: &'a BTreeMap<DocumentPath, DocumentPath>,
    ) -> Result<Self, EditError> {
        let mut detected = Self::default();
        let mut touched: BTreeMap<&DocumentPath, Option<&str>> = BTreeMap::new();
        for (requested, before, after) in drafts.changes() {
            let path = stored_names.get(requested).unwrap_or(requested);
            let kind = match (before, after) {
                (None, None) => ChangeKind::Unchanged,
                (None, Some(_)) => ChangeKind::Created,
                (Some(_), None) => ChangeKind::Deleted,
                (Some(before), Some(after)) if is_same_text(&before.content, after) => ChangeKind::Unchanged,
                (Some(_), Some(_)) => ChangeKind::Modified,
            };
            let etag = match (kind, before) {
                (ChangeKind::Unchanged, Some(before)) => Some(before.etag.clone()),
                _ => after.map(Etag::of),
            };
            let change = DocumentChange { path: path.clone(), kind, etag: etag.clone() };
            detected.changes.insert(requested.clone(), change);
            // Documents with the same text may have swapped their names.
            let (moved_from, leaves) = (drafts.moved_to(requested), drafts.leaves(requested));
            let revives = drafts.revived(requested);
            if kind == ChangeKind::Unchanged && moved_from.is_none() && !leaves && revives.is_none() {
                continue;
            }
            // `myNotes.md` and `my-notes.md` may be one document.
            if let Some(other) = touched.insert(path, after) {
                if other == after {
                    continue;
                }
                return Err(EditError::Refused(format!(
                    "two of the names mean the one document `{path}`; name it once"
                )));
            }
            detected.writes.push(DraftWrite {
                requested,
                path,
                before,
                after: after.zip(etag),
                moved_from,
                leaves,
                revives,
            });
        }
        Ok(detected)
    }
}

/// Large texts that were not touched are recognised by their place.
fn is_same_text(one: &str, other: &str) -> bool {
    (one.len() == other.len() && std::ptr::eq(one.as_ptr(), other.as_ptr())) || one == other
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(name: &str) -> DocumentPath {
        DocumentPath::parse(name).unwrap()
    }

    fn stored(name: &str, content: &str) -> Document {
        let updated_at = jiff::Timestamp::UNIX_EPOCH;
        Document {
            path: path(name),
            content: content.to_owned(),
            etag: Etag::of(content),
            version: 1,
            updated_at,
        }
    }

    #[test]
    fn each_kind_of_change_is_found_and_unchanged_documents_are_not_written() {
        let mut drafts = Drafts::default();
        for name in ["same.md", "changed.md", "gone.md"] {
            drafts.load(path(name), Some(stored(name, "old")));
        }
        for name in ["new.md", "nothing.md"] {
            drafts.load(path(name), None);
        }
        drafts.set(&path("same.md"), "old".into()).unwrap();
        drafts.set(&path("changed.md"), "new".into()).unwrap();
        drafts.set(&path("new.md"), "new".into()).unwrap();
        drafts.delete(&path("gone.md")).unwrap();
        let names = BTreeMap::new();
        let detected = DraftChanges::of(&drafts, &names).unwrap();
        let kind = |name: &str| detected.changes[&path(name)].kind;
        assert_eq!(kind("same.md"), ChangeKind::Unchanged);
        assert_eq!(kind("changed.md"), ChangeKind::Modified);
        assert_eq!(kind("new.md"), ChangeKind::Created);
        assert_eq!(kind("gone.md"), ChangeKind::Deleted);
        assert_eq!(kind("nothing.md"), ChangeKind::Unchanged);
        let written: Vec<&str> = detected.writes.iter().map(|write| write.path.as_str()).collect();
        assert_eq!(written, ["changed.md", "gone.md", "new.md"]);
    }

    #[test]
    fn two_names_of_one_document_must_have_one_text() {
        let (one, other) = (path("myNotes.md"), path("my-notes.md"));
        let names = BTreeMap::from([(one.clone(), other.clone()), (other.clone(), other.clone())]);
        let drafts = |texts: [&str; 2]| {
            let mut drafts = Drafts::default();
            for (name, text) in [&one, &other].into_iter().zip(texts) {
                drafts.load(name.clone(), Some(stored("my-notes.md", "old")));
                drafts.set(name, text.to_owned()).unwrap();
            }
            drafts
        };
        let same = drafts(["new", "new"]);
        assert_eq!(DraftChanges::of(&same, &names).unwrap().writes.len(), 1);
        let refused = drafts(["new", "newer"]);
        let error = DraftChanges::of(&refused, &names).unwrap_err().to_string();
        assert!(error.contains("two of the names mean the one document `my-notes.md`"), "{error}");
    }
}
