//! Records of the entries that `setup` wrote, in the user's state folder. `setup` recognises its entries by them, not by a
//! marker in the files: clients rewrite their files, and some refuse unknown members.
//!
//! A record has hashes and positions only, no text of a file and no key; it names the copy of a file whose entry was replaced.

use memory_bank_core::compact_sort::CompactSort as _;
use std::fs::File;
use std::io::{Read, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};
use memory_bank_folder::StateFolder;
use serde::{Deserialize, Serialize};

use crate::cli::clients::recognise_programs;
use crate::cli::config_text;
use crate::sha256::sha256_hex;

/// The file in the state folder.
const FILE: &str = "setup.json";
/// The file that a running `setup` locks.
const LOCK: &str = "setup.lock";
/// The largest file of records that is read, in bytes.
const MAX_BYTES: u64 = 4 * 1024 * 1024;

/// A part that `setup` writes for an agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum Part {
    /// The entry of the server.
    #[default]
    Server,
    /// The hooks.
    Hooks,
}

impl Part {
    /// What it is, in a message.
    pub(super) fn subject(self, name: &str) -> String {
        match self {
            Self::Server => format!("`{name}`"),
            Self::Hooks => "the hooks".to_owned(),
        }
    }

    pub(super) fn was(self) -> &'static str {
        match self {
            Self::Server => "was",
            Self::Hooks => "were",
        }
    }

    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
    fn is_server(&self) -> bool {
        *self == Self::Server
    }
}

/// One entry that was written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Record {
    pub(super) client: String,
    /// The file, links followed.
    pub(super) file: PathBuf,
    /// The path by which the agent reads it, if it has a link.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) link: Option<PathBuf>,
    /// The server's name.
    pub(super) name: String,
    /// The project of the entry in a file of the user.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) project: Option<String>,
    #[serde(default, skip_serializing_if = "Part::is_server")]
    pub(super) part: Part,
    /// The hash of the program with its arguments that the entry starts, or of the address that it uses.
    pub(super) launch: String,
    /// The hash of the file as it was written.
    pub(super) after: String,
    /// The parts of that file that were added to the original; empty if other parts were changed.
    pub(super) additions: Vec<[usize; 2]>,
    /// Whether the file existed before.
    pub(super) existed: bool,
    /// Whether the member that contains servers was added with it.
    pub(super) made_section: bool,
    /// The prompt that was added with it.
    pub(super) input: Option<String>,
    /// The folders that were created for the file, the innermost first.
    pub(super) folders: Vec<PathBuf>,
    /// The hashes of the commands of hooks.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) commands: Vec<String>,
    /// The name of the program that hooks start, if it is a copy with another name than the usual one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) program: Option<String>,
    /// The entry of somebody else that was replaced.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) replaced: Option<Replaced>,
    /// The permission bits that the file had before it got a key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) former_mode: Option<u32>,
}

/// An entry, or hooks, of somebody else that were replaced.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Replaced {
    /// The copy of the file as it was before.
    pub(super) copy: PathBuf,
    /// Whether nothing but the entry had changed in the file when it was last written.
    pub(super) is_exact: bool,
}

impl Record {
    /// Whether both are of one entry.
    fn is_of(&self, other: &Self) -> bool {
        self.file == other.file
            && self.name == other.name
            && self.project == other.project
            && self.part == other.part
    }

    /// What this entry replaced, for a further change of the file, which has `text` before it.
    pub(super) fn replaced_before(&self, text: &str) -> Option<Replaced> {
        let replaced = self.replaced.clone()?;
        let is_exact = replaced.is_exact && sha256_hex(text.as_bytes()) == self.after;
        Some(Replaced { is_exact, ..replaced })
    }

    /// The text before the entry was written, if the file has not changed since.
    pub(super) fn original(&self, text: &str) -> Option<String> {
        if self.additions.is_empty() || sha256_hex(text.as_bytes()) != self.after {
            return None;
        }
        let added: Vec<Range<usize>> = self.additions.iter().map(|[start, end]| *start..*end).collect();
        config_text::without_ranges(text, &added)
    }
}

/// The file of records.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Contents {
    version: u32,
    entries: Vec<Record>,
}

/// All records, of which this process is the only writer.
#[derive(Debug)]
pub(super) struct Records {
    folder: PathBuf,
    entries: Vec<Record>,
    /// Held until the end; `None` if the records are only read.
    _lock: Option<File>,
}

impl Records {
    /// Opens the records; with `to_write`, for changes.
    ///
    /// # Errors
    /// They cannot be read, or another `setup` is running.
    pub(super) fn open(state: &StateFolder, to_write: bool) -> anyhow::Result<Self> {
        let folder = state.path().to_owned();
        let lock = if to_write { Some(lock(&folder)?) } else { None };
        let entries = read(&folder.join(FILE))?;
        recognise_programs(entries.iter().filter_map(|record| record.program.clone()));
        Ok(Self { folder, entries, _lock: lock })
    }

    /// The file of the records.
    pub(super) fn path(&self) -> PathBuf {
        self.folder.join(FILE)
    }

    /// All of them, the newest last.
    pub(super) fn all(&self) -> &[Record] {
        &self.entries
    }

    /// The record of an entry.
    pub(super) fn of(&self, file: &Path, name: &str, project: Option<&str>, part: Part) -> Option<&Record> {
        let is_it = |record: &&Record| {
            record.file == file
                && record.name == name
                && record.project.as_deref() == project
                && record.part == part
        };
        self.entries.iter().find(is_it)
    }

    /// Stores the record of an entry, and replaces an older one.
    pub(super) fn put(&mut self, record: Record) -> anyhow::Result<()> {
        self.entries.retain(|known| !known.is_of(&record));
        self.entries.push(record);
        self.save()
    }

    /// Deletes the record of an entry. The next record of the same file inherits the section and file that were created for it, and the file's permissions,
    /// the next in the same folder the folders.
    pub(super) fn forget(&mut self, record: &Record) -> anyhow::Result<()> {
        self.entries.retain(|known| !known.is_of(record));
        let is_like = |known: &&mut Record| {
            known.file == record.file && known.project == record.project && known.part == record.part
        };
        if let Some(next) = self.entries.iter_mut().find(is_like) {
            next.made_section |= record.made_section;
            // Hooks that two names share were written once.
            if next.after == record.after && next.additions.is_empty() {
                next.additions.clone_from(&record.additions);
            }
        }
        if let Some(next) = self.entries.iter_mut().find(|known| known.file == record.file) {
            next.existed &= record.existed;
            next.former_mode = next.former_mode.or(record.former_mode);
        }
        for folder in &record.folders {
            let is_in_it =
                |known: &&mut Record| known.file.starts_with(folder) && !known.folders.contains(folder);
            if let Some(next) = self.entries.iter_mut().find(is_in_it) {
                next.folders.push(folder.clone());
                next.folders.compact_sort_by_key(|folder| std::cmp::Reverse(folder.components().count()));
            }
        }
        self.save()
    }

    fn save(&self) -> anyhow::Result<()> {
        if self.entries.is_empty() {
            return match std::fs::remove_file(self.path()) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    Err(error).with_context(|| format!("`{}` cannot be removed", self.path().display()))
                }
                _ => Ok(()),
            };
        }
        let contents = Contents { version: 1, entries: self.entries.clone() };
        let text = serde_json::to_string_pretty(&contents)?;
        let mut draft = tempfile::Builder::new().prefix(".setup-").tempfile_in(&self.folder)?;
        draft.write_all(text.as_bytes())?;
        draft.as_file().sync_all()?;
        draft
            .persist(self.path())
            .with_context(|| format!("`{}` cannot be written", self.path().display()))?;
        Ok(())
    }
}

fn read(file: &Path) -> anyhow::Result<Vec<Record>> {
    let shown = file.display();
    let opened = match std::fs::metadata(file) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        metadata => {
            let metadata = metadata.with_context(|| format!("`{shown}` cannot be read"))?;
            ensure!(metadata.is_file(), "`{shown}` is not a regular file; remove it");
            File::open(file).with_context(|| format!("`{shown}` cannot be read"))?
        }
    };
    let mut text = String::new();
    opened.take(MAX_BYTES).read_to_string(&mut text).with_context(|| format!("`{shown}` cannot be read"))?;
    let contents: Contents = serde_json::from_str(&text).with_context(|| {
        format!("`{shown}` is not a valid list of records of `setup`; move it away, then remove the entries by hand")
    })?;
    ensure!(contents.version == 1, "`{shown}` was written by a newer version; use that one");
    Ok(contents.entries)
}

/// Locks the records, without waiting.
fn lock(folder: &Path) -> anyhow::Result<File> {
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::DirBuilderExt;
        builder.mode(0o700);
    }
    let at = || format!("`{}` cannot be used; name another folder with `--state-dir`", folder.display());
    builder.create(folder).with_context(at)?;
    let file =
        File::options().create(true).truncate(false).write(true).open(folder.join(LOCK)).with_context(at)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(std::fs::TryLockError::WouldBlock) => {
            anyhow::bail!("another `setup` is running; wait until it ends, then try again")
        }
        Err(std::fs::TryLockError::Error(error)) => Err(error).with_context(at),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(file: &str, name: &str) -> Record {
        Record {
            client: "cursor".to_owned(),
            file: PathBuf::from(file),
            link: None,
            project: None,
            part: Part::Server,
            name: name.to_owned(),
            launch: String::new(),
            after: sha256_hex(b"a, ours"),
            additions: vec![[1, 7]],
            existed: true,
            made_section: false,
            input: None,
            folders: Vec::new(),
            commands: Vec::new(),
            program: None,
            replaced: None,
            former_mode: None,
        }
    }

    #[test]
    fn the_original_is_restored_only_if_nothing_else_was_changed() {
        assert_eq!(record("f", "n").original("a, ours").as_deref(), Some("a"));
        assert_eq!(record("f", "n").original("b, ours"), None);
    }

    #[test]
    fn a_record_of_created_parts_passes_to_the_next_entry_of_its_file() {
        let folder = tempfile::TempDir::new().unwrap();
        let state = StateFolder::new(folder.path().join("state"));
        let mut records = Records::open(&state, true).unwrap();
        let first = Record { existed: false, made_section: true, ..record("f", "one") };
        records.put(first.clone()).unwrap();
        records.put(record("f", "two")).unwrap();
        records.put(record("g", "two")).unwrap();
        records.forget(&first).unwrap();
        drop(records);
        let records = Records::open(&state, false).unwrap();
        let second = records.of(Path::new("f"), "two", None, Part::Server).unwrap();
        assert!(!second.existed && second.made_section);
        assert!(records.of(Path::new("g"), "two", None, Part::Server).unwrap().existed);
    }

    #[test]
    fn a_second_setup_does_not_wait() {
        let folder = tempfile::TempDir::new().unwrap();
        let state = StateFolder::new(folder.path().to_owned());
        let _first = Records::open(&state, true).unwrap();
        assert!(Records::open(&state, true).unwrap_err().to_string().contains("another `setup`"));
        assert!(Records::open(&state, false).is_ok());
    }
}
