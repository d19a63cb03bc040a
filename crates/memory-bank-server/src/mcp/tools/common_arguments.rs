//! Arguments that several tools have, and defaults of their members.

use jiff::Timestamp;
use memory_bank_core::document::EntryType;
use memory_bank_core::graph::FactView;
use serde::{Deserialize, Serialize};

use crate::mcp::tools::reply::Failure;
use crate::mcp::tools::schema::{Argument, Kind, optional, required};

/// Other words for the name of a document.
pub(crate) const FILE_NAMES: &[&str] = &["path", "file", "filepath"];

/// The name of a document.
pub(crate) const FILENAME: Argument =
    required("filename", Kind::Text, "Filename not specified").or_called(FILE_NAMES);

/// The version that a document must have.
pub(crate) const IF_MATCH: Argument = optional("ifMatchEtag", Kind::Text);

/// Another bank than the selected one.
pub(crate) const STORE_ID: Argument = optional("storeId", Kind::Text);

/// The cursor of a list: the `nextCursor` of the previous reply.
pub(crate) const CURSOR: Argument = optional("cursor", Kind::Text);

/// The length of a reply; an explicit value may exceed the default.
pub(crate) const MAX_CHARS: Argument = optional("maxChars", Kind::Whole(1000, u32::MAX));

/// The first day or time at which a fact holds.
pub(crate) const VALID_FROM: Argument = optional("validFrom", Kind::Text).unlisted();

/// The last day or time at which it holds.
pub(crate) const VALID_UNTIL: Argument = optional("validUntil", Kind::Text);

/// The last day or time at which it can be relied on.
pub(crate) const EXPIRES_AT: Argument = optional("expiresAt", Kind::Text).unlisted();

/// Ids or exact texts of what it replaces.
pub(crate) const SUPERSEDES: Argument = optional("supersedes", Kind::Texts).shown_as_text();

/// Whether ended facts are shown, too.
pub(crate) const INCLUDE_ENDED: Argument = optional("includeEnded", Kind::Flag);

/// The day or time of which the facts are shown.
pub(crate) const AS_OF: Argument = optional("asOf", Kind::Text);

/// The facts that a call wants to see: arguments of reading tools.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct WantedFacts {
    #[serde(default)]
    pub(crate) include_ended: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) as_of: Option<String>,
}

impl WantedFacts {
    /// The view of these arguments at this time.
    ///
    /// # Errors
    /// `asOf` is not a valid time.
    pub(crate) fn view(&self, now: Timestamp) -> Result<FactView, Failure> {
        let view = match self.as_of.as_deref().map(str::trim).filter(|as_of| !as_of.is_empty()) {
            Some(as_of) => FactView::as_of(as_of).map_err(Failure::from)?,
            None => FactView::now(now),
        };
        Ok(view.with_ended(self.include_ended))
    }
}

/// The kinds of progress entries.
pub(crate) const ENTRY_TYPE: Kind = Kind::Word(&EntryType::WORDS);

/// A flag that is on by default.
pub(crate) fn default_true() -> bool {
    true
}

/// A number that is one by default.
pub(crate) fn default_one() -> u32 {
    1
}
