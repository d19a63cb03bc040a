//! The documents that an edit reads and changes.

use std::collections::BTreeMap;

use crate::document::{Document, DocumentPath};
use crate::error::EditError;
use crate::history::ChangeContext;
use crate::limits;
use crate::store::Series;
use crate::unicode::has_null;

/// The documents of an edit: the stored content of each, and the new one.
#[derive(Debug, Clone, Default)]
pub struct Drafts {
    drafts: BTreeMap<DocumentPath, Draft>,
    /// The number of the last member of each series that was loaded; 0 if it has none.
    series: BTreeMap<Series, u32>,
    /// Whether texts may exceed the bound until the end of the edit.
    unbounded: bool,
    /// The facts that the versions of this edit record.
    context: ChangeContext,
    /// The documents that get another name: the new name, and the one by which the edit knows it.
    moved: BTreeMap<DocumentPath, DocumentPath>,
    /// The deleted documents that come back: the store's own name of each, and the number of its last version.
    revived: BTreeMap<DocumentPath, (String, i64)>,
}

/// A new name for a document, with its new text.
#[derive(Debug, Clone, Copy)]
pub struct Renaming<'r> {
    /// The name that it has.
    pub from: &'r DocumentPath,
    /// The name that it gets.
    pub to: &'r DocumentPath,
    /// Its text.
    pub text: &'r str,
}

#[derive(Debug, Clone)]
struct Draft {
    before: Option<Document>,
    after: After,
}

/// The new text of a document. An unchanged text is not copied, since it may be large.
#[derive(Debug, Clone)]
enum After {
    Unchanged,
    Text(String),
    Deleted,
}

impl Drafts {
    /// Adds a stored document; `requested` is the name by which the editor knows it. For stores.
    pub fn load(&mut self, requested: DocumentPath, stored: Option<Document>) {
        self.drafts.insert(requested, Draft { before: stored, after: After::Unchanged });
    }

    /// Adds the last member of a series: its number (0 if the series has no member yet), and the document, unless it
    /// cannot be read. For stores.
    pub fn load_series(&mut self, series: Series, last: u32, stored: Option<Document>) {
        if let (Some(path), Some(document)) = (series.member(last), stored) {
            self.load(path, Some(document));
        }
        self.series.insert(series, last);
    }

    /// The number of the last member of a series, 0 if it has none; `None` if the series was not loaded.
    #[must_use]
    pub fn last_of(&self, series: &Series) -> Option<u32> {
        self.series.get(series).copied()
    }

    /// Adds the next member of a series to the edit and returns its name.
    ///
    /// # Errors
    /// The series was not loaded, or has [`limits::SERIES`] members.
    pub fn extend(&mut self, series: &Series) -> Result<DocumentPath, EditError> {
        let Some(last) = self.series.get_mut(series) else {
            return Err(EditError::Incomplete { needed: vec![series.clone()] });
        };
        let Some(path) = series.member(last.saturating_add(1)) else {
            return Err(EditError::Refused(format!(
                "`{series}-{last}.md` is the last possible archive of a month; rename some of them"
            )));
        };
        *last += 1;
        self.load(path.clone(), None);
        Ok(path)
    }

    /// Sets what the versions of this edit record beyond texts and caller.
    pub fn set_context(&mut self, context: &ChangeContext) {
        self.context.clone_from(context);
    }

    /// The facts that the versions of this edit record. For stores.
    #[must_use]
    pub fn context(&self) -> &ChangeContext {
        &self.context
    }

    /// The document as stored before this edit.
    #[must_use]
    pub fn stored(&self, path: &DocumentPath) -> Option<&Document> {
        self.drafts.get(path)?.before.as_ref()
    }

    /// The current text, including the changes of this edit so far; `None` without such a document.
    #[must_use]
    pub fn text(&self, path: &DocumentPath) -> Option<&str> {
        self.drafts.get(path)?.after()
    }

    /// Sets the text, creating the document if need be.
    ///
    /// # Errors
    /// The text is larger than [`limits::DOCUMENT_BYTES`] (shrinking a larger one is allowed) or introduces a null
    /// byte, the name is not valid for a new document, or the path is not part of the call of
    /// [`DocumentStore::edit`](crate::store::DocumentStore::edit).
    pub fn set(&mut self, path: &DocumentPath, text: String) -> Result<(), EditError> {
        let unbounded = self.unbounded;
        let draft = self.draft(path)?;
        if !unbounded {
            draft.check_bound(path, &text)?;
        }
        // Databases cannot store it, and a bank must be transferable between stores.
        if has_null(&text) && !draft.before.as_ref().is_some_and(|document| has_null(&document.content)) {
            return Err(EditError::Refused(format!(
                "the text for `{path}` contains a null byte; leave it out"
            )));
        }
        if draft.before.is_none() {
            let refused = |error| EditError::Refused(format!("`{path}` cannot be made: {error}"));
            path.canonical().check_new().map_err(refused)?;
        }
        draft.after = After::Text(text);
        Ok(())
    }

    /// Deletes the document.
    ///
    /// # Errors
    /// The path is not part of the call of [`DocumentStore::edit`](crate::store::DocumentStore::edit).
    pub fn delete(&mut self, path: &DocumentPath) -> Result<(), EditError> {
        self.draft(path)?.after = After::Deleted;
        Ok(())
    }

    /// Gives the document `from` the new name `to` and this text, so that its history continues there. Where an edit
    /// [restores](ChangeContext::restores), only this is a renaming; elsewhere a document that appears with the text of one that
    /// disappears is one, too.
    ///
    /// # Errors
    /// As [`Self::rename_all`].
    pub fn rename(&mut self, from: &DocumentPath, to: &DocumentPath, text: &str) -> Result<(), EditError> {
        self.rename_all(&[Renaming { from, to, text }])
    }

    /// Renames several documents at once: a name may be that of one which gets another name, or which the edit deleted before.
    ///
    /// # Errors
    /// As [`Self::set`]; or there is no document `from`, or there is one `to`. Nothing was renamed then.
    pub fn rename_all(&mut self, renamings: &[Renaming<'_>]) -> Result<(), EditError> {
        for (place, Renaming { from, to, .. }) in renamings.iter().enumerate() {
            if self.stored(from).is_none() || self.text(from).is_none() {
                return Err(EditError::NotFound((*from).clone()));
            }
            let is_left = renamings.iter().any(|other| other.from == *to);
            let is_given = renamings.iter().skip(place + 1).any(|other| other.to == *to);
            if from == to || is_given || (self.text(to).is_some() && !is_left) {
                return Err(EditError::Exists((*to).clone()));
            }
        }
        for Renaming { to, text, .. } in renamings {
            self.set(to, (*text).to_owned())?;
        }
        for Renaming { from, .. } in renamings {
            if renamings.iter().all(|other| other.to != *from) {
                self.delete(from)?;
            }
        }
        let moved = renamings.iter().map(|renaming| (renaming.to.clone(), renaming.from.clone()));
        self.moved.extend(moved);
        Ok(())
    }

    /// The stored document that continues under this name, if [`Self::rename`] gave it. For stores.
    #[must_use]
    pub fn moved_to(&self, path: &DocumentPath) -> Option<&Document> {
        self.stored(self.moved.get(path)?)
    }

    /// Whether the stored document of this name gets another one. For stores.
    #[must_use]
    pub fn leaves(&self, path: &DocumentPath) -> bool {
        self.moved.values().any(|from| from == path)
    }

    /// Brings a deleted document back under this name, so that its history continues: `document` is the store's own name of it,
    /// `last` the number of its last version. The name may be that of a document which gets another name, or which the edit deleted
    /// before: that one stays deleted.
    ///
    /// # Errors
    /// As [`Self::set`]; or there is a document of this name.
    pub fn revive(
        &mut self,
        path: &DocumentPath,
        text: String,
        document: &str,
        last: i64,
    ) -> Result<(), EditError> {
        if self.text(path).is_some() {
            return Err(EditError::Exists(path.clone()));
        }
        self.set(path, text)?;
        self.revived.insert(path.clone(), (document.to_owned(), last));
        Ok(())
    }

    /// The deleted document that comes back under this name, if [`Self::revive`] gave one. For stores.
    #[must_use]
    pub fn revived(&self, path: &DocumentPath) -> Option<(&str, i64)> {
        self.revived.get(path).map(|(document, last)| (document.as_str(), *last))
    }

    /// The changes of the edit: the requested name, the document before, the text after. For stores.
    pub fn changes(&self) -> impl Iterator<Item = (&DocumentPath, Option<&Document>, Option<&str>)> {
        self.drafts.iter().map(|(path, draft)| (path, draft.before.as_ref(), draft.after()))
    }

    /// Lets texts exceed the bound until [`Self::check_bounds`] is called: excess text may be removed again.
    pub(crate) fn lift_bounds(&mut self) {
        self.unbounded = true;
    }

    /// Ends [`Self::lift_bounds`]: refuses texts that are too large, now and later.
    ///
    /// # Errors
    /// As [`Self::set`].
    pub(crate) fn check_bounds(&mut self) -> Result<(), EditError> {
        self.unbounded = false;
        self.drafts.iter().try_for_each(|(path, draft)| match (&draft.before, &draft.after) {
            (_, After::Unchanged | After::Deleted) => Ok(()),
            (Some(before), After::Text(after)) if before.content == *after => Ok(()),
            (_, After::Text(after)) => draft.check_bound(path, after),
        })
    }

    fn draft(&mut self, path: &DocumentPath) -> Result<&mut Draft, EditError> {
        self.drafts
            .get_mut(path)
            .ok_or_else(|| EditError::Refused(format!("`{path}` is not part of this edit")))
    }
}

impl Draft {
    fn after(&self) -> Option<&str> {
        match &self.after {
            After::Unchanged => self.before.as_ref().map(|document| document.content.as_str()),
            After::Text(text) => Some(text),
            After::Deleted => None,
        }
    }

    /// A document that is already too large may shrink.
    fn check_bound(&self, path: &DocumentPath, text: &str) -> Result<(), EditError> {
        let before = self.before.as_ref().map_or(0, |document| document.content.len());
        if text.len() > limits::DOCUMENT_BYTES && text.len() >= before {
            return Err(EditError::Refused(format!(
                "`{path}` would be {} bytes long, at most {} are allowed; split the document",
                text.len(),
                limits::DOCUMENT_BYTES
            )));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::document::Etag;

    fn drafts(content: Option<&str>) -> (DocumentPath, Drafts) {
        let path = DocumentPath::parse("a.md").unwrap();
        let stored = content.map(|content| Document {
            path: path.clone(),
            content: content.to_owned(),
            etag: Etag::of(content),
            version: 1,
            updated_at: jiff::Timestamp::UNIX_EPOCH,
        });
        let mut drafts = Drafts::default();
        drafts.load(path.clone(), stored);
        (path, drafts)
    }

    #[test]
    fn a_text_over_the_bound_is_refused_unless_it_shrinks_what_is_there() {
        let (path, mut small) = drafts(Some("x"));
        small.set(&path, "x".repeat(limits::DOCUMENT_BYTES)).unwrap();
        let error = small.set(&path, "x".repeat(limits::DOCUMENT_BYTES + 1)).unwrap_err().to_string();
        assert!(error.contains(&limits::DOCUMENT_BYTES.to_string()), "{error}");
        let (path, mut large) = drafts(Some(&"x".repeat(limits::DOCUMENT_BYTES + 10)));
        large.set(&path, "x".repeat(limits::DOCUMENT_BYTES + 9)).unwrap();
    }

    #[test]
    fn a_null_byte_may_stay_but_not_be_introduced() {
        let (path, mut without) = drafts(None);
        assert!(without.set(&path, "a\0b".into()).is_err());
        let (path, mut with) = drafts(Some("a\0b"));
        with.set(&path, "a\0bc".into()).unwrap();
    }

    #[test]
    fn a_document_is_renamed_only_to_a_free_name() {
        let (path, mut drafts) = drafts(Some("x"));
        let (free, taken) = (DocumentPath::parse("b.md").unwrap(), DocumentPath::parse("c.md").unwrap());
        drafts.load(free.clone(), None);
        let stored = drafts.stored(&path).cloned();
        drafts.load(taken.clone(), stored);
        assert!(drafts.rename(&path, &taken, "y").is_err());
        assert!(drafts.rename(&free, &path, "y").is_err());
        drafts.rename(&path, &free, "y").unwrap();
        assert_eq!((drafts.text(&path), drafts.text(&free)), (None, Some("y")));
        assert_eq!(drafts.moved_to(&free), drafts.stored(&path));
        assert!(drafts.rename(&taken, &free, "z").is_err());
    }

    #[test]
    fn documents_swap_names_and_take_one_that_is_left_or_deleted() {
        let (a, mut drafts) = drafts(Some("x"));
        let [b, c] = ["b.md", "c.md"].map(|name| DocumentPath::parse(name).unwrap());
        for path in [&b, &c] {
            let stored = Document {
                content: path.to_string(),
                path: path.clone(),
                ..drafts.stored(&a).unwrap().clone()
            };
            drafts.load(path.clone(), Some(stored));
        }
        let swap = [Renaming { from: &a, to: &b, text: "x" }, Renaming { from: &b, to: &a, text: "y" }];
        assert!(drafts.clone().rename_all(&swap[..1]).is_err(), "its document stays");
        assert!(drafts.clone().revive(&a, "z".into(), "id", 1).is_err(), "its document stays");
        let mut swapped = drafts.clone();
        swapped.rename_all(&swap).unwrap();
        assert_eq!((swapped.text(&a), swapped.text(&b)), (Some("y"), Some("x")));
        assert_eq!(swapped.moved_to(&a), drafts.stored(&b));
        assert!(swapped.leaves(&a) && swapped.leaves(&b) && !swapped.leaves(&c));
        drafts.delete(&c).unwrap();
        drafts.rename(&b, &c, "y").unwrap();
        assert_eq!((drafts.text(&b), drafts.text(&c)), (None, Some("y")));
        drafts.revive(&b, "z".into(), "id", 1).unwrap();
        let twice = [Renaming { from: &a, to: &b, text: "" }, Renaming { from: &c, to: &b, text: "" }];
        assert!(drafts.rename_all(&twice).is_err());
    }

    #[test]
    fn a_document_that_is_not_part_of_the_edit_cannot_be_touched() {
        let (_, mut drafts) = drafts(None);
        let other = DocumentPath::parse("b.md").unwrap();
        assert!(drafts.set(&other, String::new()).is_err());
        assert!(drafts.delete(&other).is_err());
        assert_eq!(
            drafts.changes().filter(|(_, before, after)| before.is_some() || after.is_some()).count(),
            0
        );
    }
}
