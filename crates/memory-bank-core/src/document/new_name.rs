//! Names of new documents, which every file system must support and which must not be confused with another name.
//! Existing documents are read under any name.

use crate::document::{DocumentPath, NameError, is_leftover};
use crate::limits;
use crate::unicode::is_invisible;

/// The usual name of a bank's folder, which models often put before the names of documents.
const BANK_FOLDER: &str = "memory-bank";

impl DocumentPath {
    /// Whether a new document may have this name.
    ///
    /// # Errors
    /// The rule that the name breaks.
    pub fn check_new(&self) -> Result<(), NameError> {
        let name = self.as_str();
        if name.len() > limits::NAME_BYTES {
            return Err(NameError::TooLong(name.len()));
        }
        if name.chars().any(char::is_control) {
            return Err(NameError::Control);
        }
        if let Some(character) = name.chars().find(|character| is_invisible(*character)) {
            return Err(NameError::Invisible(character.escape_unicode().to_string()));
        }
        if let Some(character) = name.chars().find(|character| "<>:\"|?*".contains(*character)) {
            return Err(NameError::Character(character));
        }
        let folders = self.folder().map(|folder| folder.split('/').collect::<Vec<_>>()).unwrap_or_default();
        if let Some(first) = folders.first().filter(|first| first.eq_ignore_ascii_case(BANK_FOLDER)) {
            return Err(NameError::OwnFolder((*first).to_owned()));
        }
        for part in name.split('/') {
            if part.ends_with(['.', ' ']) {
                return Err(NameError::Ending);
            }
            if is_device(part) {
                return Err(NameError::Device(part.to_owned()));
            }
            if is_short_form(part) {
                return Err(NameError::ShortForm(part.to_owned()));
            }
        }
        let is_document = |folder: &&&str| {
            let lower = folder.to_ascii_lowercase();
            lower.ends_with(".md") || lower.ends_with(".json")
        };
        if let Some(folder) = folders.iter().find(is_document) {
            return Err(NameError::FolderExtension((*folder).to_owned()));
        }
        if is_leftover(name) { Err(NameError::Leftover) } else { Ok(()) }
    }
}

/// Whether this is the name of a device on Windows, with any extension.
fn is_device(part: &str) -> bool {
    let stem = part.split('.').next().unwrap_or(part).trim_end().to_ascii_uppercase();
    if ["CON", "PRN", "AUX", "NUL", "CONIN$", "CONOUT$", "CLOCK$"].contains(&stem.as_str()) {
        return true;
    }
    let number = stem.strip_prefix("COM").or_else(|| stem.strip_prefix("LPT"));
    number.is_some_and(|number| {
        let mut letters = number.chars();
        letters.next().is_some_and(|digit| digit.is_ascii_digit() || matches!(digit, '¹' | '²' | '³'))
            && letters.next().is_none()
    })
}

/// Whether this could be the Windows short form of a reserved folder, such as `git~1`.
fn is_short_form(part: &str) -> bool {
    let Some((stem, rest)) = part.split_once('~') else { return false };
    let is_numbered = rest.starts_with(|character: char| character.is_ascii_digit());
    is_numbered && ["git", "mbmcp", "backup", "hg", "svn"].iter().any(|own| stem.eq_ignore_ascii_case(own))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("con.md")]
    #[case("AUX.md")]
    #[case("nul .md")]
    #[case("com1.notes.md")]
    #[case("lpt¹.json")]
    #[case("prn/x.md")]
    #[case("a:b.md")]
    #[case("what?.md")]
    #[case("a*b.md")]
    #[case("<a>.md")]
    #[case("a|b.md")]
    #[case("a\"b.md")]
    #[case("notes./x.md")]
    #[case("notes /x.md")]
    #[case("a\nb.md")]
    #[case("a\u{7f}b.md")]
    #[case("a\u{85}b.md")]
    #[case("fdp\u{202e}gpj.md")]
    #[case("a\u{2066}b.md")]
    #[case("a\u{200b}b.md")]
    #[case("\u{feff}a.md")]
    #[case("git~1/config.json")]
    #[case("x.md/y.md")]
    #[case("memory-bank/progress.md")]
    #[case("notes (conflicted copy).md")]
    fn some_names_are_allowed_for_existing_documents_only(#[case] name: &str) {
        DocumentPath::parse(name).unwrap().check_new().unwrap_err();
    }

    #[rstest]
    #[case("console.md")]
    #[case("com.md")]
    #[case("com10.md")]
    #[case("auxiliary/x.md")]
    #[case(".hidden.md")]
    #[case(" .md")]
    #[case("größe & maße 日本.md")]
    #[case("'; drop table.md")]
    #[case("%2e%2e%2f.md")]
    #[case("v1..2.md")]
    #[case("release~2.md")]
    #[case("Sprint (1).md")]
    #[case("adr/0001-use-postgres.md")]
    fn ordinary_names_are_accepted(#[case] name: &str) {
        DocumentPath::parse(name).unwrap().check_new().unwrap();
    }
}
