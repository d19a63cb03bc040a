//! The documents that sources become: names that every file system can store, one for each source, the same in every
//! run.

use std::collections::{HashMap, HashSet};

use super::layout::{bare_stem, below};
use super::{IMPORT_FOLDER, Layout, is_record};
use crate::document::{CORE_DOCUMENTS, DocumentPath, Etag};
use crate::limits;
use crate::unicode::{folded, is_invisible, nfc};

/// How many digits of a hash make a name different from another one.
const HASH_DIGITS: usize = 8;
/// The most bytes of the name of a file in a shortened name.
const SHORT_STEM_BYTES: usize = 60;

/// The names for the document of a source, the best one first. `from` is its path below the start, `base` the folder of
/// the bank or vault that it belongs to; `label` distinguishes sources of several projects.
///
/// A document of a bank goes where it is in that bank, and otherwise into the folder of imports, like everything else.
#[must_use]
pub fn candidates(layout: Layout, label: Option<&str>, base: &str, from: &str) -> Vec<String> {
    let own = layout.is_bank().then(|| below(from, base)).and_then(|path| match layout {
        Layout::KiloBank => in_bank(kilo_document(path)),
        _ => in_bank(path),
    });
    let rest = below(from, base);
    let folder = match layout {
        Layout::ClineBank => Some("cline".to_owned()),
        Layout::RooBank => Some("roo".to_owned()),
        Layout::KiloBank => Some("kilo".to_owned()),
        Layout::MemoryBank => Some("bank".to_owned()),
        Layout::Obsidian if base.is_empty() => Some("obsidian".to_owned()),
        Layout::Obsidian => Some(format!("obsidian/{base}")),
        _ => None,
    };
    let path = match &folder {
        Some(folder) => format!("{folder}/{rest}"),
        None => from.to_owned(),
    };
    let path = label.map_or_else(|| path.clone(), |label| format!("{label}/{path}"));
    let imported = in_import_folder(layout, &path);
    let numbered = with_hash(&imported, from);
    own.into_iter().chain([imported, numbered]).collect()
}

/// The name for the new text of a source beside a document that was edited.
#[must_use]
pub fn name_beside(document: &str, from: &str) -> String {
    let (stem, extension) = document.rsplit_once('.').unwrap_or((document, "md"));
    let stem = stem.strip_prefix(&format!("{IMPORT_FOLDER}/")).unwrap_or(stem);
    let beside = format!("{IMPORT_FOLDER}/{stem}.source.{extension}");
    valid(&beside).unwrap_or_else(|| in_import_folder(Layout::MemoryBank, &format!("{from}.source.md")))
}

/// The document of this server that has the purpose of a document of Kilo Code's bank.
fn kilo_document(path: &str) -> &str {
    match path.to_ascii_lowercase().as_str() {
        "brief.md" => "projectbrief.md",
        "product.md" => "product-context.md",
        "context.md" => "active-context.md",
        "architecture.md" => "system-patterns.md",
        "tech.md" => "tech-context.md",
        _ => path,
    }
}

/// The name in the bank of a document of another bank: core documents get the names of this server, with any signs
/// between their words.
fn in_bank(path: &str) -> Option<String> {
    if !path.contains('/')
        && let Some(core) = CORE_DOCUMENTS.into_iter().find(|core| bare_stem(core) == bare_stem(path))
    {
        return Some(core.to_owned());
    }
    valid(&path.split('/').map(plain).collect::<Vec<_>>().join("/"))
}

fn in_import_folder(layout: Layout, path: &str) -> String {
    let mut parts: Vec<String> =
        path.split('/').filter(|part| !matches!(*part, "" | "." | "..")).map(plain).collect();
    let file = parts.pop().unwrap_or_default();
    let room = limits::FOLDER_LEVELS.saturating_sub(1);
    if parts.len() > room {
        let deep = parts.split_off(room.saturating_sub(1)).join("-");
        parts.push(deep);
    }
    let file = as_document(&file);
    let parts = [IMPORT_FOLDER.to_owned()].into_iter().chain(parts).chain([file]);
    let whole = parts.collect::<Vec<_>>().join("/");
    valid(&whole).unwrap_or_else(|| shortened(layout, path))
}

/// A name of its own for a path that cannot be one: too long, or a word that a system reserves.
fn shortened(layout: Layout, path: &str) -> String {
    let file = path.rsplit('/').next().unwrap_or(path);
    let stem = file.rsplit_once('.').map_or(file, |(stem, _)| stem);
    let mut short = String::new();
    for character in plain(stem).chars() {
        if short.len() + character.len_utf8() > SHORT_STEM_BYTES {
            break;
        }
        short.push(character);
    }
    let hash = hash(path);
    let name =
        format!("{IMPORT_FOLDER}/{}/{}-{hash}.md", layout.as_str(), short.trim_end_matches(['.', ' ']));
    valid(&name).unwrap_or_else(|| format!("{IMPORT_FOLDER}/{}/file-{hash}.md", layout.as_str()))
}

/// The name that is stored, if a new document may have it.
fn valid(name: &str) -> Option<String> {
    let path = DocumentPath::parse(name).ok()?.canonical();
    path.check_new().ok()?;
    (!is_record(path.as_str())).then(|| path.as_str().to_owned())
}

/// A part of a path without signs that other systems do not allow. A leading dot would hide it.
fn plain(part: &str) -> String {
    let composed = nfc(part);
    let shown = composed.trim_start_matches('.').trim_end_matches(['.', ' ']);
    let forbidden = |character: char| {
        character.is_control() || is_invisible(character) || "<>:\"|?*\\".contains(character)
    };
    let plain: String =
        shown.chars().map(|character| if forbidden(character) { '-' } else { character }).collect();
    if plain.is_empty() { "unnamed".to_owned() } else { plain }
}

/// `rule.mdc`, `notes.txt` and `cursorrules` as documents.
fn as_document(file: &str) -> String {
    match file.rsplit_once('.') {
        Some((_, extension)) if extension.eq_ignore_ascii_case("md") => file.to_owned(),
        Some((stem, extension))
            if ["mdc", "txt"].iter().any(|known| extension.eq_ignore_ascii_case(known)) =>
        {
            format!("{stem}.md")
        }
        _ => format!("{file}.md"),
    }
}

fn with_hash(name: &str, from: &str) -> String {
    let (stem, extension) = name.rsplit_once('.').unwrap_or((name, "md"));
    let numbered = format!("{stem}-{}.{extension}", hash(from));
    if numbered.len() <= limits::NAME_BYTES {
        return numbered;
    }
    shortened(Layout::Obsidian, from)
}

fn hash(text: &str) -> String {
    Etag::of(text).as_str().chars().take(HASH_DIGITS).collect()
}

/// The names of a bank, in the spelling in which they are stored, with those that this import takes.
#[derive(Debug, Default)]
pub struct Names {
    /// The stored name, by its folded form.
    stored: HashMap<String, String>,
    /// The spelling of each folder, by its folded form.
    folders: HashMap<String, String>,
    /// The folded names that a source of this import, or an earlier one, has.
    taken: HashSet<String>,
}

impl Names {
    /// The names of a bank.
    #[must_use]
    pub fn new(names: impl IntoIterator<Item = String>) -> Self {
        let mut all = Self::default();
        for name in names {
            all.note_folders(&name);
            all.stored.insert(folded(&name), name);
        }
        all
    }

    /// Reserves the name of a source that was imported earlier.
    pub fn reserve(&mut self, name: &str) {
        self.note_folders(name);
        self.taken.insert(folded(name));
    }

    /// Whether a source has this name.
    #[must_use]
    pub fn is_taken(&self, name: &str) -> bool {
        self.taken.contains(&folded(name))
    }

    /// The stored document that a name means, also if it differs in letter case.
    #[must_use]
    pub fn stored(&self, name: &str) -> Option<&str> {
        if let Some(name) = self.stored.get(&folded(name)) {
            return Some(name);
        }
        // A bank of an earlier version may have `activeContext.md`.
        let path = DocumentPath::parse(name).ok()?;
        let old = crate::document::OLD_NAMES.iter().find(|(_, new)| *new == path.as_str())?.0;
        self.stored.get(&folded(old)).map(String::as_str)
    }

    /// The name with folders in the spelling that the bank, or an earlier source, has: names that differ in letter case
    /// only cannot be stored everywhere.
    #[must_use]
    pub fn spelled(&self, name: &str) -> String {
        let Some((mut folder, file)) = name.rsplit_once('/') else { return name.to_owned() };
        let mut below = String::new();
        loop {
            if let Some(known) = self.folders.get(&folded(folder)) {
                return format!("{known}/{below}{file}");
            }
            let Some((above, last)) = folder.rsplit_once('/') else { return name.to_owned() };
            below = format!("{last}/{below}");
            folder = above;
        }
    }

    fn note_folders(&mut self, name: &str) {
        let mut rest = name;
        while let Some((folder, _)) = rest.rsplit_once('/') {
            self.folders.entry(folded(folder)).or_insert_with(|| folder.to_owned());
            rest = folder;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case(Layout::Claude, "", "CLAUDE.md", "imported/claude.md")]
    #[case(Layout::Agents, "", "packages/api/AGENTS.md", "imported/packages/api/agents.md")]
    #[case(Layout::Cursor, "", ".cursorrules", "imported/cursorrules.md")]
    #[case(Layout::Cursor, "", ".cursor/rules/a/ts.mdc", "imported/cursor/rules/a/ts.md")]
    #[case(Layout::ClineRules, "", ".clinerules", "imported/clinerules.md")]
    #[case(Layout::RooRules, "", ".roo/rules-code/a.txt", "imported/roo/rules-code/a.md")]
    #[case(Layout::Copilot, "", ".github/copilot-instructions.md", "imported/github/copilot-instructions.md")]
    #[case(Layout::Serena, "", ".serena/memories/a/b.md", "imported/serena/memories/a/b.md")]
    #[case(Layout::ClineBank, "memory-bank", "memory-bank/activeContext.md", "active-context.md")]
    #[case(Layout::ClineBank, "memory-bank", "memory-bank/active_context.md", "active-context.md")]
    #[case(Layout::ClineBank, "memory-bank", "memory-bank/techContext.md", "tech-context.md")]
    #[case(Layout::RooBank, "memory-bank", "memory-bank/decisionLog.md", "decision-log.md")]
    #[case(Layout::ClineBank, "memory-bank", "memory-bank/features/payFlow.md", "features/pay-flow.md")]
    #[case(Layout::Obsidian, "", "Projects/Alpha.md", "imported/obsidian/Projects/alpha.md")]
    #[case(Layout::Obsidian, "vault", "vault/日本語 メモ.md", "imported/obsidian/vault/日本語 メモ.md")]
    #[case(Layout::Obsidian, "", "what? a:b.md", "imported/obsidian/what- a-b.md")]
    #[case(Layout::Obsidian, "", "1/2/3/4/5/6/7/8/9/a.md", "imported/obsidian/1/2/3/4/5/6-7-8-9/a.md")]
    fn sources_have_a_name(
        #[case] layout: Layout,
        #[case] base: &str,
        #[case] from: &str,
        #[case] expected: &str,
    ) {
        assert_eq!(candidates(layout, None, base, from).first().map(String::as_str), Some(expected));
    }

    #[test]
    fn a_document_of_a_bank_has_a_second_place_and_a_label_is_a_folder() {
        let names = candidates(Layout::ClineBank, Some("shop"), "memory-bank", "memory-bank/progress.md");
        assert_eq!(names[..2], ["progress.md", "imported/shop/cline/progress.md"]);
        assert!(names[2].starts_with("imported/shop/cline/progress-"), "{names:?}");
    }

    #[rstest]
    #[case("con.md")]
    #[case("notes (conflicted copy).md")]
    #[case("record.json.md/../x.md")]
    #[case("\u{202e}.md")]
    #[case("....md")]
    fn odd_names_get_one_that_every_system_can_store(#[case] from: &str) {
        for name in candidates(Layout::Obsidian, None, "", from) {
            DocumentPath::parse(&name).unwrap().check_new().unwrap();
        }
    }

    #[test]
    fn the_new_text_beside_a_document_is_in_the_folder_of_imports() {
        assert_eq!(name_beside("imported/claude.md", "CLAUDE.md"), "imported/claude.source.md");
        assert_eq!(name_beside("progress.md", "memory-bank/progress.md"), "imported/progress.source.md");
    }

    #[test]
    fn names_that_differ_in_letter_case_are_one() {
        let mut names = Names::new(["activeContext.md".to_owned(), "imported/Docs/a.md".to_owned()]);
        assert_eq!(names.stored("active-context.md"), Some("activeContext.md"));
        assert_eq!(names.stored("IMPORTED/docs/A.md"), Some("imported/Docs/a.md"));
        assert_eq!(names.spelled("imported/docs/sub/b.md"), "imported/Docs/sub/b.md");
        assert_eq!(names.spelled("other/b.md"), "other/b.md");
        names.reserve("imported/obsidian/X/y.md");
        assert!(names.is_taken("imported/obsidian/x/Y.md"));
    }

    proptest! {
        #[test]
        fn every_path_gets_valid_names(parts in prop::collection::vec("[^/\0]{1,40}", 1..12)) {
            let from = format!("{}.md", parts.join("/"));
            for layout in Layout::ALL {
                for name in candidates(layout, Some("label"), "", &from) {
                    let path = DocumentPath::parse(&name).unwrap();
                    prop_assert!(path.check_new().is_ok(), "{}", name);
                    prop_assert_eq!(path.canonical(), path);
                }
            }
        }
    }
}
