//! A version of a document, as the history lists it.

use jiff::Timestamp;

use crate::caller::KeyId;
use crate::document::{DocumentPath, Etag};
use crate::history::{ChangeFacts, UndoMark, VersionPosition};
use crate::words::word_enum;

word_enum! {
    /// The kind of change that made a version.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
    pub enum VersionKind {
        /// The document was created.
        Created = "created",
        /// Its text changed.
        Changed = "changed",
        /// It got another name; its text is the same.
        Renamed = "renamed",
        /// It was deleted.
        Deleted = "deleted",
        /// A former version was brought back.
        Restored = "restored",
        /// Something outside of the server changed it, and the server noticed.
        Outside = "outside",
        /// It came with the folder and was not written by this installation.
        Foreign = "foreign",
    }
}

/// One version of a document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Version {
    /// The store's own name of the document, which outlives renames.
    pub document: String,
    /// Counts the versions of the document from 1, through renames, deletions and restores. A number may be missing.
    pub number: i64,
    /// The name of the document after the change; of a deletion, the deleted name.
    pub path: DocumentPath,
    /// The name before it, if the change was a rename.
    pub former_path: Option<DocumentPath>,
    /// The time of the change.
    pub at: Timestamp,
    /// The name of the user; `None` if it is not known (an edit from outside) or the user does not exist any more.
    pub author: Option<String>,
    /// The key with which the change was made.
    pub key: Option<KeyId>,
    /// The first characters of that key, if it still exists and the caller may see them.
    pub key_prefix: Option<String>,
    /// The session of the client.
    pub session: Option<String>,
    /// The name of the tool.
    pub tool: Option<String>,
    /// What it took back, if it is of an undo.
    pub undoes: Option<UndoMark>,
    /// The kind of change that made the version.
    pub kind: VersionKind,
    /// The etag of the text after the change; `None` after a deletion.
    pub etag: Option<Etag>,
    /// The bytes of the text after the change.
    pub bytes: u64,
    /// How many bytes of former text the change replaced.
    pub replaced: u64,
    /// Whether it came with a transfer: its author is as the source named it, no user of this store.
    pub imported: bool,
}

impl Version {
    /// Whether a user of this store of that name made the change.
    #[must_use]
    pub fn is_by(&self, user: &str) -> bool {
        !self.imported && self.author.as_deref() == Some(user)
    }

    /// Whether something outside of the server deleted the document, which the kind alone does not tell.
    #[must_use]
    pub fn is_outside_deletion(&self) -> bool {
        self.kind != VersionKind::Deleted && self.etag.is_none()
    }

    /// What an undo asks of it.
    #[must_use]
    pub fn facts(&self) -> ChangeFacts<'_> {
        ChangeFacts {
            at: self.at,
            session: self.session.as_deref(),
            author: self.author.as_deref(),
            undoes: self.undoes.as_ref(),
            imported: self.imported,
        }
    }

    /// The text before this version, which is the first one that is known of its document, as a version of its own: it was there before
    /// the history. `etag` and `bytes` are of that text.
    #[must_use]
    pub fn before_history(&self, etag: Etag, bytes: u64) -> Self {
        let path = self.former_path.clone().unwrap_or_else(|| self.path.clone());
        Self {
            // Nobody here wrote what a foreign version replaced.
            kind: if self.kind == VersionKind::Foreign { VersionKind::Foreign } else { VersionKind::Outside },
            etag: Some(etag),
            bytes,
            imported: self.imported,
            ..Self::of_nobody(self.document.clone(), self.number.saturating_sub(1), path, self.at)
        }
    }

    /// A change from outside that follows this version and leaves no text that is known.
    #[must_use]
    pub fn outside_after(&self, at: Timestamp) -> Self {
        let number = self.number.saturating_add(1);
        Self::of_nobody(self.document.clone(), number, self.path.clone(), at.max(self.at))
    }

    /// A version that nobody is known to have made, from outside and without a text.
    #[must_use]
    pub fn of_nobody(document: String, number: i64, path: DocumentPath, at: Timestamp) -> Self {
        Self {
            document,
            number,
            path,
            former_path: None,
            at,
            author: None,
            key: None,
            key_prefix: None,
            session: None,
            tool: None,
            undoes: None,
            kind: VersionKind::Outside,
            etag: None,
            bytes: 0,
            replaced: 0,
            imported: false,
        }
    }

    /// Its position in a list.
    #[must_use]
    pub fn position(&self) -> VersionPosition {
        VersionPosition { at: self.at, number: self.number, document: self.document.clone() }
    }
}

/// The facts about a version that give the state of a document at a time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PastVersion {
    /// The store's own name of the document, which outlives renames.
    pub document: String,
    /// Its number.
    pub number: i64,
    /// The name of the document after the change; of a deletion, the deleted name.
    pub path: DocumentPath,
    /// The time of the change.
    pub at: Timestamp,
    /// The kind of change that made it.
    pub kind: VersionKind,
    /// The etag of the text after the change; `None` after a deletion.
    pub etag: Option<Etag>,
    /// The bytes of the text after the change.
    pub bytes: u64,
}

impl From<&Version> for PastVersion {
    fn from(version: &Version) -> Self {
        Self {
            document: version.document.clone(),
            number: version.number,
            path: version.path.clone(),
            at: version.at,
            kind: version.kind,
            etag: version.etag.clone(),
            bytes: version.bytes,
        }
    }
}

/// A version with its text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VersionText {
    /// The version.
    pub version: Version,
    /// Its text; `None` if it is a deletion.
    pub text: Option<String>,
}
