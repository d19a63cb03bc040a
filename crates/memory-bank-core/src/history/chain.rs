//! The latest versions of one document with the steps back from each, and the texts that they lead through.

use std::ops::ControlFlow;

use crate::document::{Document, DocumentPath, Etag};
use crate::history::{Damage, Delta, HistorySource, Version};

/// A version with the step back from it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// The version.
    pub version: Version,
    /// The etag of the text before it; `None` if the document did not exist.
    pub former: Option<Etag>,
    /// The step back to that text; `None` if it is not kept, or there was no text.
    pub back: Option<Delta>,
}

impl Link {
    /// The name of the document before the version.
    #[must_use]
    pub fn former_path(&self) -> &DocumentPath {
        self.version.former_path.as_ref().unwrap_or(&self.version.path)
    }

    /// Name and etag before the version; `None` if the document did not exist.
    #[must_use]
    pub fn before(&self) -> Option<(&DocumentPath, &Etag)> {
        self.former.as_ref().map(|etag| (self.former_path(), etag))
    }

    /// Name and etag after the version; `None` if it deleted the document.
    #[must_use]
    pub fn after(&self) -> Option<(&DocumentPath, &Etag)> {
        self.version.etag.as_ref().map(|etag| (&self.version.path, etag))
    }
}

/// A document at some time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// Its name.
    pub path: DocumentPath,
    /// Its text.
    pub text: String,
}

/// The latest versions of one document, newest first, without a gap in the list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Chain {
    /// The versions.
    pub links: Vec<Link>,
    /// The document as it is now; `None` if it was deleted.
    pub current: Option<Document>,
}

/// Which versions a [`Chain`] has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChainQuery {
    /// The store's own name of the document, see [`Version::document`].
    pub document: String,
    /// A name that the document had.
    pub path: DocumentPath,
    /// The number of the oldest version.
    pub from: i64,
    /// The most versions, of the newest ones. More than [`crate::limits::CHAIN_VERSIONS`], or than
    /// [`crate::limits::CHAIN_BYTES`] of replaced text, are not returned.
    pub most: usize,
}

impl Chain {
    /// Its versions as what an edit is made of. `document`: the store's own name of the document, `path` a name that it has.
    #[must_use]
    pub fn source(&self, document: &str, path: &DocumentPath) -> HistorySource {
        let numbers = self.links.iter().map(|link| (link.version.number, link.former.clone())).collect();
        HistorySource::Versions { document: document.to_owned(), path: path.clone(), numbers }
    }

    /// The document as it is now.
    #[must_use]
    pub fn now(&self) -> Option<Snapshot> {
        let current = self.current.as_ref()?;
        Some(Snapshot { path: current.path.clone(), text: current.content.clone() })
    }

    /// Visits each version, newest first, with the document after it and before it, until the visitor ends it.
    ///
    /// # Errors
    /// A text cannot be rebuilt, or the history lacks a change.
    pub fn walk<'c>(
        &'c self,
        mut visit: impl FnMut(&'c Link, Option<&Snapshot>, Option<&Snapshot>) -> ControlFlow<()>,
    ) -> Result<(), Damage> {
        let mut after = self.now();
        let mut etag = self.current.as_ref().map(|document| document.etag.clone());
        for link in &self.links {
            let number = link.version.number;
            if link.version.etag != etag {
                return Err(Damage::Gap { number });
            }
            let before = match &link.former {
                None => None,
                Some(former) => {
                    let back = link.back.as_ref().ok_or(Damage::NoText)?;
                    let text = back.undo(after.as_ref().map_or("", |after| &after.text));
                    let text = text.ok().filter(|text| Etag::of(text) == *former);
                    let text = text.ok_or_else(|| Damage::Text { number, expected: former.clone() })?;
                    Some(Snapshot { path: link.former_path().clone(), text })
                }
            };
            if visit(link, after.as_ref(), before.as_ref()).is_break() {
                return Ok(());
            }
            etag.clone_from(&link.former);
            after = before;
        }
        Ok(())
    }
}
