//! Document names, parsed once at the edge.

use std::fmt;

use crate::document::CoreDocument;
use crate::limits;

/// The five core documents, in the order that every list of them has.
pub const CORE_DOCUMENTS: [&str; 5] =
    ["product-context.md", "active-context.md", "progress.md", "decision-log.md", "system-patterns.md"];

/// The name of a document: one path component that ends in `.md` or `.json`.
///
/// It keeps the spelling that was asked for. A store looks for exactly that name first and then for the
/// [canonical](Self::canonical) one, on reading and on writing alike, and answers with the name it used.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DocumentPath(String);

/// Why a text is not a document name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NameError {
    /// It has a null byte.
    #[error("the name contains a null byte")]
    NullByte,
    /// It is an absolute path.
    #[error("absolute paths are not allowed; give a file name such as `notes.md`")]
    Absolute,
    /// It climbs out of the bank.
    #[error("path traversal is not allowed; give a file name such as `notes.md`")]
    Traversal,
    /// It names a sub-directory.
    #[error("subdirectories are not allowed; give a file name such as `notes.md`")]
    Subdirectory,
    /// It does not end in `.md` or `.json`.
    #[error("only .md and .json files are allowed")]
    Extension,
    /// It is longer than [`limits::NAME_BYTES`].
    #[error("the name is {0} bytes long, at most {max} are allowed", max = limits::NAME_BYTES)]
    TooLong(usize),
    /// It has a control character, which no editor could show.
    #[error("the name contains a control character")]
    Control,
}

impl DocumentPath {
    /// Parses a name. The checks and their order are those of the tool contract, section 1.4; `..` inside a name
    /// (`v1..2.md`) is no traversal, since separators are refused.
    ///
    /// # Errors
    /// Says which rule the name breaks.
    pub fn parse(name: &str) -> Result<Self, NameError> {
        let has_separator = name.contains(['/', '\\']);
        if name.contains('\0') {
            return Err(NameError::NullByte);
        }
        if name.starts_with(['/', '\\']) {
            return Err(NameError::Absolute);
        }
        if has_separator && (name.contains("..") || name.contains("./") || name.contains(".\\")) {
            return Err(NameError::Traversal);
        }
        if has_separator {
            return Err(NameError::Subdirectory);
        }
        let lower = name.to_ascii_lowercase();
        if !lower.ends_with(".md") && !lower.ends_with(".json") {
            return Err(NameError::Extension);
        }
        if name.len() > limits::NAME_BYTES {
            return Err(NameError::TooLong(name.len()));
        }
        if name.chars().any(char::is_control) {
            return Err(NameError::Control);
        }
        Ok(Self(name.to_owned()))
    }

    /// The name as it was asked for, or as it is stored when a store made it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name under which a new document is stored: a hyphen between a lower-case ASCII letter and an upper-case
    /// one, then all in lower case (`camelCase.md` → `camel-case.md`, `README.md` → `readme.md`).
    #[must_use]
    pub fn canonical(&self) -> Self {
        let mut name = String::with_capacity(self.0.len() + 4);
        let mut previous = None;
        for letter in self.0.chars() {
            if letter.is_ascii_uppercase() && previous.is_some_and(|p: char| p.is_ascii_lowercase()) {
                name.push('-');
            }
            name.push(letter);
            previous = Some(letter);
        }
        Self(name.to_lowercase())
    }

    /// Whether this is one of the five core documents.
    #[must_use]
    pub fn is_core(&self) -> bool {
        CORE_DOCUMENTS.contains(&self.canonical().as_str())
    }
}

impl From<CoreDocument> for DocumentPath {
    fn from(document: CoreDocument) -> Self {
        Self(document.name().to_owned())
    }
}

impl fmt::Display for DocumentPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("../x.md", NameError::Traversal)]
    #[case("sub/x.md", NameError::Subdirectory)]
    #[case("graph/graph.md", NameError::Subdirectory)]
    #[case("/etc/passwd.md", NameError::Absolute)]
    #[case("\\\\host\\x.md", NameError::Absolute)]
    #[case("C:\\x.md", NameError::Subdirectory)]
    #[case("x.txt", NameError::Extension)]
    #[case("x", NameError::Extension)]
    #[case("", NameError::Extension)]
    #[case("a\0.md", NameError::NullByte)]
    #[case("a\nb.md", NameError::Control)]
    fn names_that_are_refused(#[case] name: &str, #[case] reason: NameError) {
        assert_eq!(DocumentPath::parse(name), Err(reason));
    }

    #[rstest]
    #[case("notes.md", "notes.md")]
    #[case("camelCase.md", "camel-case.md")]
    #[case("README.md", "readme.md")]
    #[case("HTMLFile.md", "htmlfile.md")]
    #[case("x.JSON", "x.json")]
    #[case("v1..2.md", "v1..2.md")]
    #[case(".hidden.md", ".hidden.md")]
    #[case("%2e%2e.md", "%2e%2e.md")]
    #[case("größe 日本.md", "größe 日本.md")]
    fn names_have_one_canonical_form(#[case] name: &str, #[case] canonical: &str) {
        assert_eq!(DocumentPath::parse(name).unwrap().canonical().as_str(), canonical);
    }

    proptest! {
        #[test]
        fn canonicalisation_is_idempotent_and_stays_a_valid_name(name in "[\\PC&&[^/\\\\]]{0,40}\\.(md|MD|json|Json)") {
            let canonical = DocumentPath::parse(&name).unwrap().canonical();
            prop_assert_eq!(&canonical.canonical(), &canonical);
            prop_assert_eq!(DocumentPath::parse(canonical.as_str()).unwrap(), canonical);
        }
    }
}
