//! Searches a folder for files that may be imported. Links are not followed, and nothing is opened but folders.

use std::collections::VecDeque;
use std::fs::FileType;
use std::path::{Path, PathBuf};

use memory_bank_core::compact_sort::CompactSort as _;
use memory_bank_core::import::{
    SourceFolders, bank_layout, is_candidate, is_personal, is_visited, layout_of,
};
use memory_bank_core::limits;

/// How many folders deep the search goes.
const MAX_DEPTH: usize = 12;
/// How many folders deep a memory bank is recognised.
const MAX_BANK_DEPTH: usize = 3;
/// The most names that are checked.
const MAX_NAMES: usize = limits::WALKED_NAMES;

/// The result of a search.
#[derive(Debug, Default)]
pub(super) struct Scan {
    /// Paths below the start of files that may be imported, sorted.
    pub(super) files: Vec<String>,
    /// The vaults and banks among the folders.
    pub(super) source_folders: SourceFolders,
    /// Files that cannot be imported, with the reason.
    pub(super) skipped: Vec<(String, String)>,
    /// Folders that the search did not reach.
    pub(super) warnings: Vec<String>,
}

struct Folder {
    path: PathBuf,
    parts: Vec<String>,
}

/// Searches the folder. `own` is the folder of the bank that is imported into, which is not a source.
///
/// # Errors
/// The folder cannot be read.
pub(super) fn scan(start: &Path, own: Option<&Path>) -> anyhow::Result<Scan> {
    // An error here would otherwise look like an empty folder.
    fs_err::read_dir(start)?;
    let own = own.and_then(|own| own.canonicalize().ok());
    let mut found = Scan::default();
    let mut names = 0;
    let mut folders = VecDeque::from([Folder { path: start.to_owned(), parts: Vec::new() }]);
    while let Some(folder) = folders.pop_front() {
        let is_own = own.as_ref().is_some_and(|own| is_same_folder(&folder.path, own));
        if is_own {
            let shown = if folder.parts.is_empty() { ".".to_owned() } else { folder.parts.join("/") };
            found.skipped.push((shown, "it is the memory bank itself".to_owned()));
            continue;
        }
        found.folder(&folder, &mut folders, &mut names);
        if names >= MAX_NAMES {
            found.warnings.push(format!(
                "the search stopped after {MAX_NAMES} names; name a smaller folder with `--in`"
            ));
            break;
        }
    }
    found.files.sort();
    Ok(found)
}

/// Whether a folder is the other one, which is canonical. Few folders have its name, and only those are looked up.
fn is_same_folder(folder: &Path, other: &Path) -> bool {
    let name = |path: &Path| path.file_name().map(|name| name.to_string_lossy().to_lowercase());
    let may_be = name(folder).is_none() || name(folder) == name(other);
    may_be && folder.canonicalize().is_ok_and(|folder| folder == *other)
}

impl Scan {
    fn folder(&mut self, folder: &Folder, folders: &mut VecDeque<Folder>, names: &mut usize) {
        let entries = match std::fs::read_dir(&folder.path) {
            Ok(entries) => entries,
            Err(error) => {
                self.skipped.push((folder.parts.join("/"), format!("it cannot be read: {error}")));
                return;
            }
        };
        let mut here: Vec<(String, PathBuf, FileType)> = Vec::new();
        for entry in entries.take(MAX_NAMES.saturating_sub(*names)) {
            *names += 1;
            match entry.and_then(|entry| Ok((entry.file_name(), entry.path(), entry.file_type()?))) {
                Ok((name, path, kind)) => match name.to_str() {
                    Some(name) => here.push((name.to_owned(), path, kind)),
                    None => self.unreadable_name(folder, &name.to_string_lossy()),
                },
                Err(error) => {
                    self.warnings
                        .push(format!("`{}` was not read completely: {error}", folder.parts.join("/")));
                }
            }
        }
        here.compact_sort_by(|a, b| a.0.cmp(&b.0));
        let path =
            |name: &str| folder.parts.iter().map(String::as_str).chain([name]).collect::<Vec<_>>().join("/");
        if here.iter().any(|(name, _, kind)| name == ".obsidian" && kind.is_dir()) {
            self.source_folders.vaults.push(folder.parts.join("/"));
        }
        self.bank(folder, &here);
        for (name, full, kind) in &here {
            let parts: Vec<&str> = folder.parts.iter().map(String::as_str).chain([name.as_str()]).collect();
            let is_agents_folder = name.starts_with('.') && is_visited(&parts);
            if kind.is_dir() {
                if parts.len() > MAX_DEPTH {
                    self.warnings.push(format!("`{}` is too deep and was not searched", path(name)));
                } else if is_visited(&parts) && !name.starts_with("memory-bank-backup-") {
                    folders.push_back(Folder {
                        path: full.clone(),
                        parts: parts.iter().map(ToString::to_string).collect(),
                    });
                }
            } else if kind.is_symlink() {
                if layout_of(&parts).is_some() || is_agents_folder || is_candidate(&parts) {
                    self.skipped.push((path(name), "it is a link, which is not followed".to_owned()));
                }
            } else if is_personal(name) {
                self.skipped.push((path(name), "it has personal settings".to_owned()));
            } else if is_candidate(&parts) {
                if kind.is_file() {
                    self.files.push(path(name));
                } else {
                    self.skipped.push((path(name), "it is not a regular file".to_owned()));
                }
            }
        }
    }

    fn bank(&mut self, folder: &Folder, here: &[(String, PathBuf, FileType)]) {
        let depth = folder.parts.len();
        let name = match folder.parts.last() {
            Some(name) => name.clone(),
            None => {
                folder.path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
            }
        };
        let files = here.iter().filter(|(_, _, kind)| kind.is_file()).map(|(name, _, _)| name.as_str());
        // Kilo Code's bank is in two folders of its own.
        let own = if folder.parts.iter().any(|part| part == ".kilocode") { 2 } else { 0 };
        if depth <= MAX_BANK_DEPTH + own
            && let Some(layout) = bank_layout(&name, files)
        {
            self.source_folders.banks.push((folder.parts.join("/"), layout));
        }
    }

    fn unreadable_name(&mut self, folder: &Folder, name: &str) {
        if is_candidate(&[name]) {
            let path = folder.parts.iter().map(String::as_str).chain([name]).collect::<Vec<_>>().join("/");
            self.skipped.push((path, "its name is not UTF-8".to_owned()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(root: &Path, name: &str) {
        let path = root.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, "x").unwrap();
    }

    #[test]
    fn files_places_and_what_is_left_out_are_found() {
        let root = tempfile::TempDir::new().unwrap();
        let names = [
            "CLAUDE.md",
            "CLAUDE.local.md",
            "src/main.rs",
            "node_modules/x/CLAUDE.md",
            ".git/AGENTS.md",
            "vault/.obsidian/app.json",
            "vault/A.md",
            "old/memory-bank/projectbrief.md",
            "memory-bank/progress.md",
        ];
        names.iter().for_each(|name| put(root.path(), name));
        let found = scan(root.path(), Some(&root.path().join("memory-bank"))).unwrap();
        assert_eq!(found.files, ["CLAUDE.md", "old/memory-bank/projectbrief.md", "vault/A.md"]);
        assert_eq!(found.source_folders.vaults, ["vault"]);
        assert_eq!(found.source_folders.banks.len(), 1);
        let skipped: Vec<&str> = found.skipped.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(skipped, ["CLAUDE.local.md", "memory-bank"]);
    }

    #[test]
    fn a_deep_folder_is_named() {
        let root = tempfile::TempDir::new().unwrap();
        put(root.path(), &format!("{}CLAUDE.md", "a/".repeat(MAX_DEPTH + 2)));
        let found = scan(root.path(), None).unwrap();
        assert!(found.files.is_empty());
        assert_eq!(found.warnings.len(), 1, "{:?}", found.warnings);
    }

    #[cfg(unix)]
    #[test]
    fn links_and_pipes_are_named_and_not_followed() {
        let root = tempfile::TempDir::new().unwrap();
        let outside = tempfile::TempDir::new().unwrap();
        put(outside.path(), "rules/secret.mdc");
        put(outside.path(), "CLAUDE.md");
        std::os::unix::fs::symlink(outside.path().join("CLAUDE.md"), root.path().join("CLAUDE.md")).unwrap();
        std::os::unix::fs::symlink(outside.path(), root.path().join(".cursor")).unwrap();
        std::os::unix::fs::symlink(root.path(), root.path().join("loop")).unwrap();
        std::process::Command::new("mkfifo").arg(root.path().join("AGENTS.md")).status().unwrap();
        let found = scan(root.path(), None).unwrap();
        assert!(found.files.is_empty(), "{:?}", found.files);
        let skipped: Vec<&str> = found.skipped.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(skipped, [".cursor", "AGENTS.md", "CLAUDE.md"]);
    }
}
