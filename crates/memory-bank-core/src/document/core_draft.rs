//! A core document in the drafts of an edit.

use crate::document::carriage_returns::edited;
use crate::document::core_document::OLD_NAMES;
use crate::document::{CoreDocument, DocumentPath};
use crate::error::EditError;
use crate::store::Drafts;

impl CoreDocument {
    /// The name, parsed.
    #[must_use]
    pub fn path(self) -> DocumentPath {
        DocumentPath::from(self)
    }

    /// The names under which a bank may have it: the current one, and the camelCase name of other servers.
    #[must_use]
    pub fn paths(self) -> Vec<DocumentPath> {
        let old = OLD_NAMES.iter().find(|(_, new)| *new == self.name());
        let old = old.and_then(|(old, _)| DocumentPath::parse(old).ok());
        std::iter::once(self.path()).chain(old).collect()
    }

    /// The name by which an edit finds it: the first of [`Self::paths`] that the bank has, else the current name, so
    /// that no second document is created beside an existing one.
    pub(super) fn place(self, drafts: &Drafts) -> DocumentPath {
        let paths = self.paths();
        let has = |path: &&DocumentPath| drafts.stored(path).is_some() || drafts.text(path).is_some();
        paths.iter().find(has).cloned().unwrap_or_else(|| self.path())
    }

    /// The text in the drafts.
    pub(super) fn text(self, drafts: &Drafts) -> Option<&str> {
        drafts.text(&self.place(drafts))
    }

    /// Changes the text in the drafts by a rule. A missing document starts from its template.
    ///
    /// # Errors
    /// The error of the rule, with the name of the document if its text prevents the edit; or the new text is too
    /// large.
    pub(super) fn rewrite(
        self,
        drafts: &mut Drafts,
        rule: impl FnOnce(&str) -> Result<String, EditError>,
    ) -> Result<(), EditError> {
        let path = self.place(drafts);
        let new = edited(drafts.text(&path).unwrap_or(self.template()), rule)
            .map_err(|error| self.named_in(error, drafts))?;
        drafts.set(&path, new)
    }

    /// The error, with the name of the document if its text prevents the edit.
    pub(super) fn named_in(self, error: EditError, drafts: &Drafts) -> EditError {
        match error {
            EditError::Blocked(reason) => EditError::Blocked(format!("`{}`: {reason}", self.place(drafts))),
            other => other,
        }
    }
}
