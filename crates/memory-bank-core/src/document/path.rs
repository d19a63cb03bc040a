//! Document names, parsed once at the edge.

use std::fmt;

use crate::document::core_document::{CORE_DOCUMENTS, CoreDocument};
use crate::limits;
use crate::unicode::{folded, is_invisible, nfc, nfd};

/// The server's own folder in a bank.
pub const INTERNAL_FOLDER: &str = ".mbmcp";

/// Whether a file or folder of this name does not belong to the bank: the server's own folder, and folders of version
/// control, in which a new file could be executed as a hook.
#[must_use]
pub fn is_reserved(name: &str) -> bool {
    [INTERNAL_FOLDER, ".git", ".hg", ".svn"].iter().any(|reserved| name.eq_ignore_ascii_case(reserved))
}

/// The prefix of every backup id, followed by the time and sometimes a number.
pub const BACKUP_PREFIX: &str = "memory-bank-backup-";

/// Folders of the bank that contain no documents: backups, and the graph.
const OWN_FOLDERS: [&str; 2] = ["backups", "graph"];

/// The name of a document: a path below the bank that ends in `.md` or `.json`, with `/` between its folders.
///
/// It keeps the requested spelling. For reads and writes alike, a store first looks for exactly this name, then for
/// the [canonical](Self::canonical) one, then for the same letters in another composition, and returns the name that
/// it found.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DocumentPath(String);

/// Why a text is not a document name, or not one for a new document.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NameError {
    /// It has a null byte.
    #[error("the name contains a null byte")]
    NullByte,
    /// It is an absolute path.
    #[error(
        "absolute paths are not allowed; give a name in the memory bank, such as `notes.md` or `adr/0001.md`"
    )]
    Absolute,
    /// It contains `.` or `..` as a folder.
    #[error(
        "path traversal is not allowed; give a name in the memory bank, such as `notes.md` or `adr/0001.md`"
    )]
    Traversal,
    /// It separates folders by a backslash, as Windows does.
    #[error("folders are separated by `/`; give a name such as `adr/0001.md`")]
    Backslash,
    /// The name of a folder is missing.
    #[error("a folder in the name is empty; give a name such as `adr/0001.md`")]
    EmptyFolder,
    /// It has more folders than [`limits::FOLDER_LEVELS`].
    #[error("the name has {0} folders, at most {max} are allowed", max = limits::FOLDER_LEVELS)]
    TooDeep(usize),
    /// It is in a folder that must not contain documents.
    #[error(
        "`{0}` holds no documents: hidden folders, `graph` and `backups` are reserved; choose another folder"
    )]
    NoDocuments(String),
    /// It does not end in `.md` or `.json`.
    #[error("only .md and .json files are allowed")]
    Extension,
    /// It is longer than [`limits::NAME_BYTES`].
    #[error("the name is {0} bytes long, at most {max} are allowed", max = limits::NAME_BYTES)]
    TooLong(usize),
    /// A new name has a control character.
    #[error("the name contains a control character")]
    Control,
    /// A new name has an invisible character, or one that changes the direction of the text around it.
    #[error("the name contains an invisible character ({0}), which makes it look like another one")]
    Invisible(String),
    /// A new name has a character that other file systems do not allow.
    #[error("some systems do not allow `{0}` in a name; leave it out")]
    Character(char),
    /// A part of a new name ends with a character that other file systems drop.
    #[error("a part of the name ends with a dot or a blank, which some systems drop")]
    Ending,
    /// A part of a new name is a device on Windows.
    #[error("`{0}` is the name of a device on Windows; choose another name")]
    Device(String),
    /// A part of a new name may be the short form of another name on Windows.
    #[error("`{0}` may be the short form of another name on Windows; choose another name")]
    ShortForm(String),
    /// A new folder looks like a document.
    #[error("the folder `{0}` has the name of a document; choose another name")]
    FolderExtension(String),
    /// A new name repeats the bank's own folder.
    #[error("names are relative to the memory bank; leave out `{0}/`")]
    OwnFolder(String),
    /// A new name looks like a leftover of an editor or a sync tool, which would not be searched.
    #[error(
        "the name looks like a leftover of an editor or a sync tool, which is not searched; choose another name"
    )]
    Leftover,
}

impl DocumentPath {
    /// Parses a name. Every name that a file system may contain is valid here; [`Self::check_new`] restricts new
    /// names. `..` inside a name (`v1..2.md`) is not traversal.
    ///
    /// # Errors
    /// The rule that the name breaks.
    pub fn parse(name: &str) -> Result<Self, NameError> {
        if name.contains('\0') {
            return Err(NameError::NullByte);
        }
        if name.starts_with(['/', '\\']) {
            return Err(NameError::Absolute);
        }
        let has_separator = name.contains(['/', '\\']);
        if has_separator && name.split(['/', '\\']).any(|part| matches!(part, "." | "..")) {
            return Err(NameError::Traversal);
        }
        if name.contains('\\') {
            return Err(NameError::Backslash);
        }
        if let Some((folder, _)) = name.rsplit_once('/') {
            check_folder(folder)?;
        }
        let lower = name.to_ascii_lowercase();
        if !lower.ends_with(".md") && !lower.ends_with(".json") {
            return Err(NameError::Extension);
        }
        if name.len() > limits::NAME_BYTES {
            return Err(NameError::TooLong(name.len()));
        }
        Ok(Self(name.to_owned()))
    }

    /// The name as requested, or as stored when a store made it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name without its folders.
    #[must_use]
    pub fn file_name(&self) -> &str {
        self.0.rsplit_once('/').map_or(self.0.as_str(), |(_, name)| name)
    }

    /// The folders that it is in, as one path; none directly in the bank.
    #[must_use]
    pub fn folder(&self) -> Option<&str> {
        self.0.rsplit_once('/').map(|(folder, _)| folder)
    }

    /// The name under which a new document is stored: in its composed form, and behind its folders a hyphen between a
    /// lower-case ASCII letter and an upper-case one, then all in lower case (`camelCase.md` → `camel-case.md`,
    /// `README.md` → `readme.md`).
    #[must_use]
    pub fn canonical(&self) -> Self {
        let whole = nfc(&self.0);
        let (folder, file) = match whole.rsplit_once('/') {
            Some((folder, file)) => (Some(folder), file),
            None => (None, whole.as_ref()),
        };
        // The ending has no words: `notes.mD` is a document like `notes.md`.
        let (stem, ending) = file.rfind('.').map_or((file, ""), |at| file.split_at(at));
        let mut name = String::with_capacity(file.len() + 4);
        let mut previous = None;
        for character in stem.chars() {
            if character.is_ascii_uppercase() && previous.is_some_and(|p: char| p.is_ascii_lowercase()) {
                name.push('-');
            }
            name.push(character);
            previous = Some(character);
        }
        name.push_str(ending);
        let lower = name.to_lowercase();
        let file = nfc(&lower);
        Self(match folder {
            Some(folder) => format!("{folder}/{file}"),
            None => file.into_owned(),
        })
    }

    /// The names under which a store looks for it, best first. New documents have the composed form; documents of
    /// other programs may have the decomposed form.
    #[must_use]
    pub fn spellings(&self) -> Vec<String> {
        let mut names = vec![self.0.clone()];
        let canonical = self.canonical().0;
        let decomposed = [nfd(&self.0).into_owned(), nfd(&canonical).into_owned()];
        for other in [nfc(&self.0).into_owned(), canonical].into_iter().chain(decomposed) {
            // Another form may be longer than a name can be.
            if !names.contains(&other) && Self::parse(&other).is_ok() {
                names.push(other);
            }
        }
        names
    }

    /// The name under which the document is stored, if that is one of [`Self::spellings`].
    pub fn existing_spelling(&self, is_taken: impl Fn(&str) -> bool) -> Option<String> {
        self.spellings().into_iter().find(|name| is_taken(name))
    }

    /// Which of these names it means: the identical one, else the canonical one, else one with the same letters in
    /// another composition.
    #[must_use]
    pub fn find<'a>(&self, names: impl Iterator<Item = &'a str>) -> Option<&'a str> {
        let spellings = self.spellings();
        let rank = |name: &str| {
            let exact = spellings.iter().position(|spelling| spelling == name);
            let is_composed_otherwise =
                || !self.0.is_ascii() && spellings.iter().any(|spelling| nfc(name) == nfc(spelling));
            exact.or_else(|| is_composed_otherwise().then_some(spellings.len()))
        };
        let best = names.filter_map(|name| Some((rank(name)?, name))).min_by_key(|(rank, _)| *rank);
        best.map(|(_, name)| name)
    }

    /// Whether some file systems could not store this name beside the other one, since the first differing parts
    /// differ in letter case or composition only.
    #[must_use]
    pub fn clashes_with(&self, other: &str) -> bool {
        let differing = self.0.split('/').zip(other.split('/')).find(|(one, other)| one != other);
        differing.is_some_and(|(one, other)| folded(one) == folded(other))
    }

    /// Whether this is one of the five core documents.
    #[must_use]
    pub fn is_core(&self) -> bool {
        CORE_DOCUMENTS.contains(&self.canonical().as_str())
    }
}

/// Whether documents may be in this folder, a path below the bank.
#[must_use]
pub fn holds_documents(folder: &str) -> bool {
    check_folder(folder).is_ok()
}

fn check_folder(folder: &str) -> Result<(), NameError> {
    let parts: Vec<&str> = folder.split('/').collect();
    if parts.iter().any(|part| part.is_empty()) {
        return Err(NameError::EmptyFolder);
    }
    if let Some(hidden) = parts.iter().find(|part| plain(part).starts_with('.')) {
        return Err(NameError::NoDocuments((*hidden).to_owned()));
    }
    if let Some(first) = parts.first() {
        let name = plain(first);
        // Older backups may have been moved into a bank.
        if OWN_FOLDERS.contains(&name.as_str()) || name.starts_with(BACKUP_PREFIX) {
            return Err(NameError::NoDocuments((*first).to_owned()));
        }
    }
    if parts.len() > limits::FOLDER_LEVELS {
        return Err(NameError::TooDeep(parts.len()));
    }
    Ok(())
}

/// A name as the least exact file system sees it: without letter case, invisible characters, and dots and blanks at
/// the end.
fn plain(part: &str) -> String {
    let seen: String = part.chars().filter(|character| !is_invisible(*character)).collect();
    folded(seen.trim_end_matches(['.', ' ']))
}

impl From<CoreDocument> for DocumentPath {
    fn from(document: CoreDocument) -> Self {
        Self(document.name().to_owned())
    }
}

/// A name for people and models: control characters and invisible characters are escaped.
impl fmt::Display for DocumentPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for character in self.0.chars() {
            if character.is_control() || is_invisible(character) {
                write!(f, "{}", character.escape_unicode())?;
            } else {
                fmt::Write::write_char(f, character)?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("../x.md", NameError::Traversal)]
    #[case("sub/../x.md", NameError::Traversal)]
    #[case("sub/./x.md", NameError::Traversal)]
    #[case("./x.md", NameError::Traversal)]
    #[case("..\\x.md", NameError::Traversal)]
    #[case("sub//x.md", NameError::EmptyFolder)]
    #[case("graph/graph.md", NameError::NoDocuments("graph".to_owned()))]
    #[case("GRAPH/x.md", NameError::NoDocuments("GRAPH".to_owned()))]
    #[case("backups/x.md", NameError::NoDocuments("backups".to_owned()))]
    #[case("Backups./x.md", NameError::NoDocuments("Backups.".to_owned()))]
    #[case("backup\u{17f}/x.md", NameError::NoDocuments("backup\u{17f}".to_owned()))]
    #[case("gr\u{200c}aph/x.md", NameError::NoDocuments("gr\u{200c}aph".to_owned()))]
    #[case("memory-bank-backup-2026-01-01T00-00-00-000Z/x.md",
        NameError::NoDocuments("memory-bank-backup-2026-01-01T00-00-00-000Z".to_owned()))]
    #[case(".mbmcp/x.md", NameError::NoDocuments(".mbmcp".to_owned()))]
    #[case("sub/.git/x.md", NameError::NoDocuments(".git".to_owned()))]
    #[case("sub/.obsidian/x.json", NameError::NoDocuments(".obsidian".to_owned()))]
    #[case("1/2/3/4/5/6/7/8/9/x.md", NameError::TooDeep(9))]
    #[case("/etc/passwd.md", NameError::Absolute)]
    #[case("\\\\host\\x.md", NameError::Absolute)]
    #[case("C:\\x.md", NameError::Backslash)]
    #[case("adr\\0001.md", NameError::Backslash)]
    #[case("x.txt", NameError::Extension)]
    #[case("sub/x", NameError::Extension)]
    #[case("x", NameError::Extension)]
    #[case("", NameError::Extension)]
    #[case("a\0.md", NameError::NullByte)]
    fn invalid_names_are_refused(#[case] name: &str, #[case] reason: NameError) {
        assert_eq!(DocumentPath::parse(name), Err(reason));
    }

    #[rstest]
    #[case("notes.md", "notes.md")]
    #[case("camelCase.md", "camel-case.md")]
    #[case("camelCase.mD", "camel-case.md")]
    #[case("notes/dataSet.jSON", "notes/data-set.json")]
    #[case("README.md", "readme.md")]
    #[case("HTMLFile.md", "htmlfile.md")]
    #[case("x.JSON", "x.json")]
    #[case("v1..2.md", "v1..2.md")]
    #[case(".hidden.md", ".hidden.md")]
    #[case("%2e%2e.md", "%2e%2e.md")]
    #[case("größe 日本.md", "größe 日本.md")]
    #[case("cafe\u{301}.md", "caf\u{e9}.md")]
    #[case("adr/0001.md", "adr/0001.md")]
    #[case("ADR/UsePostgres.md", "ADR/use-postgres.md")]
    #[case("v1..2/x.md", "v1..2/x.md")]
    #[case("docs/graph/x.md", "docs/graph/x.md")]
    #[case("1/2/3/4/5/6/7/8/x.md", "1/2/3/4/5/6/7/8/x.md")]
    fn names_have_one_canonical_form(#[case] name: &str, #[case] canonical: &str) {
        assert_eq!(DocumentPath::parse(name).unwrap().canonical().as_str(), canonical);
    }

    #[test]
    fn a_name_is_found_in_its_other_spellings() {
        let find = |name: &str, names: &[&'static str]| {
            DocumentPath::parse(name).unwrap().find(names.iter().copied())
        };
        assert_eq!(find("README.md", &["readme.md", "README.md"]), Some("README.md"));
        assert_eq!(find("README.md", &["readme.md"]), Some("readme.md"));
        assert_eq!(find("readme.md", &["README.md"]), None);
        assert_eq!(find("caf\u{e9}.md", &["cafe\u{301}.md"]), Some("cafe\u{301}.md"));
        assert_eq!(find("cafe\u{301}.md", &["caf\u{e9}.md"]), Some("caf\u{e9}.md"));
        assert_eq!(find("caf\u{e9}/x.md", &["cafe\u{301}/x.md"]), Some("cafe\u{301}/x.md"));
    }

    #[rstest]
    #[case("readme.md", "README.md", true)]
    #[case("adr/0002.md", "ADR/0001.md", true)]
    #[case("caf\u{e9}.md", "cafe\u{301}.md", true)]
    #[case("adr/0002.md", "adr/0001.md", false)]
    #[case("a.md", "a.md", false)]
    #[case("my-notes.md", "myNotes.md", false)]
    fn a_clash_is_found_on_every_level(#[case] name: &str, #[case] other: &str, #[case] clashes: bool) {
        assert_eq!(DocumentPath::parse(name).unwrap().clashes_with(other), clashes);
    }

    #[test]
    fn a_name_is_shown_on_one_line() {
        let path = DocumentPath::parse("a\nb\u{202e}c.md").unwrap();
        assert_eq!(path.to_string(), "a\\u{a}b\\u{202e}c.md");
        assert_eq!(path.as_str(), "a\nb\u{202e}c.md");
    }

    proptest! {
        #[test]
        fn canonicalisation_is_idempotent_and_stays_a_valid_name(
            folder in "([\\PC&&[^/\\\\.]]{1,9}/){0,3}",
            name in "[\\PC&&[^/\\\\]]{0,40}\\.(md|MD|json|Json)",
        ) {
            let Ok(path) = DocumentPath::parse(&format!("{folder}{name}")) else { return Ok(()) };
            let canonical = path.canonical();
            prop_assert_eq!(&canonical.canonical(), &canonical);
            if canonical.as_str().len() <= limits::NAME_BYTES {
                prop_assert_eq!(DocumentPath::parse(canonical.as_str()).unwrap(), canonical);
            }
        }
    }
}
