//! The backup file, in the format of docs/backup-and-restore.md: a ZIP of the project's folder with a manifest that
//! has the length and SHA-256 of every file.
//!
//! A file may come from anybody: nothing is unpacked to disk, names are checked, and no entry is read past the
//! manifest's length and the limits. This module must not know databases.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufReader, BufWriter, Read, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use jiff::Timestamp;
use memory_bank_core::compact_sort::CompactSort as _;
use memory_bank_core::identity::KeyHash;
use memory_bank_core::limits;
use memory_bank_core::store::{BACKUP_PREFIX, backup_time, check_backup_id};
use memory_bank_core::transfer::{
    BankCopy, DocumentHistory, FileCopy, GraphHistory, HistoryCount, ProjectCopy, is_rules_file,
    read_graph_line, read_history_line, safe_path, write_graph_line, write_history_line,
};
use serde::{Deserialize, Serialize};
use tempfile::NamedTempFile;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipArchive, ZipWriter};

const FORMAT: &str = "memory-bank-mcp backup";
const VERSION: u32 = 1;
const MANIFEST_FILE: &str = "manifest.json";
/// The largest manifest that is read, in bytes.
const MANIFEST_BYTES: u64 = 128 * 1024 * 1024;
const BANK_FOLDER: &str = "memory-bank";
const STATE_FILE: &str = "state.json";
/// The folder with a file for each document that has a history.
const HISTORY_FOLDER: &str = "history";
const HISTORY_ENDING: &str = ".jsonl";
/// How the name of a file begins until it is complete.
const DRAFT: &str = ".memory-bank-backup-";
/// The file with the history of the graph.
const GRAPH_HISTORY_FILE: &str = "history/graph.jsonl";

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Manifest {
    format: String,
    version: u32,
    project: String,
    created_at: Timestamp,
    server: String,
    files: Vec<ManifestEntry>,
}

/// The members of every manifest, of any version.
#[derive(Deserialize)]
struct ManifestVersion {
    format: String,
    version: u32,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct ManifestEntry {
    path: String,
    bytes: u64,
    sha256: String,
    modified: Timestamp,
}

/// Removes what backups that were killed left in a folder. One that still runs holds a lock on its file.
fn remove_stale_drafts(folder: &Path) -> std::io::Result<()> {
    for entry in fs_err::read_dir(folder)? {
        let entry = entry?;
        let is_draft = entry.file_name().to_string_lossy().starts_with(DRAFT);
        if is_draft && entry.file_type()?.is_file() && fs_err::File::open(entry.path())?.try_lock().is_ok() {
            fs_err::remove_file(entry.path())?;
        }
    }
    Ok(())
}

/// Checks that the sizes in a manifest do not exceed the bounds of a transfer.
fn check_sizes<'e>(files: impl IntoIterator<Item = &'e ManifestEntry>) -> anyhow::Result<()> {
    let mut folders: BTreeMap<&str, u64> = BTreeMap::new();
    for entry in files {
        let top = entry.path.split('/').next().unwrap_or_default();
        let sum = folders.entry(top).or_default();
        *sum = sum.saturating_add(entry.bytes);
    }
    for (folder, bytes) in &folders {
        if *bytes > limits::TRANSFER_BYTES {
            bail!("`{folder}` has {bytes} bytes unpacked; at most {} are read", limits::TRANSFER_BYTES);
        }
    }
    let total = folders.values().copied().fold(0, u64::saturating_add);
    if total > limits::ARCHIVE_BYTES {
        bail!("it has {total} bytes unpacked; at most {} are read", limits::ARCHIVE_BYTES);
    }
    Ok(())
}

/// A backup file that is being written. If it is dropped unfinished, the file is removed.
pub struct Writer {
    zip: ZipWriter<BufWriter<NamedTempFile>>,
    to: PathBuf,
    files: Vec<ManifestEntry>,
    /// The bytes that the history may still take.
    history_room: u64,
}

impl Writer {
    /// Creates a file that must not exist; only its owner may read it.
    ///
    /// # Errors
    /// It exists, or its folder cannot be written to.
    pub fn create(to: &Path) -> anyhow::Result<Self> {
        if to.symlink_metadata().is_ok() {
            bail!("`{}` exists already; name another file", to.display());
        }
        let parent = to.parent().unwrap_or(Path::new("."));
        let cannot = || format!("cannot write to `{}`", parent.display());
        remove_stale_drafts(parent).with_context(cannot)?;
        let draft = tempfile::Builder::new().prefix(DRAFT).tempfile_in(parent).with_context(cannot)?;
        draft.as_file().lock().with_context(cannot)?;
        Ok(Self {
            zip: ZipWriter::new(BufWriter::new(draft)),
            to: to.to_owned(),
            files: Vec::new(),
            history_room: limits::TRANSFER_HISTORIES_BYTES,
        })
    }

    /// Adds the bank, its rules files and the state.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn project(&mut self, copy: &ProjectCopy, now: Timestamp) -> anyhow::Result<()> {
        self.bank(BANK_FOLDER, &copy.bank, now)?;
        for rule in &copy.rules {
            self.add(rule.path.clone(), &rule.bytes, rule.modified)?;
        }
        if let Some(state) = &copy.state {
            self.add(STATE_FILE.to_owned(), &serde_json::to_vec(state)?, now)?;
        }
        Ok(())
    }

    /// Adds a backup of the bank.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn backup(&mut self, id: &str, copy: &BankCopy, now: Timestamp) -> anyhow::Result<()> {
        self.bank(id, copy, now)
    }

    /// Adds the newest versions of a document, as far as there is room, and returns how many.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn history(&mut self, history: &DocumentHistory, now: Timestamp) -> anyhow::Result<HistoryCount> {
        let mut bytes: Vec<u8> = Vec::new();
        let mut count = history.count();
        for (at, link) in history.links.iter().enumerate() {
            let line = write_history_line(link)?;
            if (bytes.len() + line.len() + 1) as u64 > self.history_room {
                count.left_out += count.versions - at;
                count.versions = at;
                break;
            }
            bytes.extend(line);
            bytes.push(b'\n');
        }
        if let Some(newest) = history.newest().filter(|_| !bytes.is_empty()) {
            self.history_room = self.history_room.saturating_sub(bytes.len() as u64);
            self.add(format!("{HISTORY_FOLDER}/{}{HISTORY_ENDING}", newest.document), &bytes, now)?;
        }
        Ok(count)
    }

    /// Adds the newest changes of the graph, as far as there is room, and returns how many.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn graph_history(&mut self, history: &GraphHistory, now: Timestamp) -> anyhow::Result<HistoryCount> {
        let mut bytes: Vec<u8> = Vec::new();
        let mut count = history.count();
        for (at, change) in history.changes.iter().enumerate() {
            let line = write_graph_line(change)?;
            if (bytes.len() + line.len() + 1) as u64 > self.history_room {
                count.changes_left_out += count.changes - at;
                count.changes = at;
                break;
            }
            bytes.extend(line);
            bytes.push(b'\n');
        }
        if !bytes.is_empty() {
            self.history_room = self.history_room.saturating_sub(bytes.len() as u64);
            self.add(GRAPH_HISTORY_FILE.to_owned(), &bytes, now)?;
        }
        Ok(count)
    }

    /// Writes the manifest, and renames the file into place. Returns its length in bytes.
    ///
    /// # Errors
    /// It is larger than a restore reads, the file cannot be written, or another one has its name by now.
    pub fn finish(mut self, project: &str, now: Timestamp) -> anyhow::Result<u64> {
        check_sizes(&self.files).context(
            "the project is too large for a backup file, which could not be restored; back up the whole database with `pg_dump`",
        )?;
        let manifest = Manifest {
            format: FORMAT.to_owned(),
            version: VERSION,
            project: project.to_owned(),
            created_at: now,
            server: env!("CARGO_PKG_VERSION").to_owned(),
            files: std::mem::take(&mut self.files),
        };
        self.zip.start_file(MANIFEST_FILE, options())?;
        self.zip.write_all(&serde_json::to_vec_pretty(&manifest)?)?;
        let draft = self.zip.finish()?.into_inner().map_err(|error| error.into_error())?;
        draft.as_file().sync_all()?;
        let bytes = draft.as_file().metadata()?.len();
        draft
            .persist_noclobber(&self.to)
            .with_context(|| format!("`{}` cannot be created", self.to.display()))?;
        if let Some(parent) = self.to.parent() {
            // Windows does not flush folders; the journal of its file system protects names.
            if cfg!(unix) {
                fs_err::File::open(parent)?.sync_all()?;
            }
        }
        Ok(bytes)
    }

    fn bank(&mut self, folder: &str, copy: &BankCopy, now: Timestamp) -> anyhow::Result<()> {
        for file in copy.to_files(now)? {
            self.add(format!("{folder}/{}", file.path), &file.bytes, file.modified)?;
        }
        Ok(())
    }

    fn add(&mut self, path: String, bytes: &[u8], modified: Timestamp) -> anyhow::Result<()> {
        self.zip.start_file(path.as_str(), options())?;
        self.zip.write_all(bytes)?;
        self.files.push(ManifestEntry {
            path,
            bytes: bytes.len() as u64,
            sha256: KeyHash::of(bytes).to_hex(),
            modified,
        });
        Ok(())
    }
}

fn options() -> SimpleFileOptions {
    SimpleFileOptions::default().compression_method(CompressionMethod::Deflated).unix_permissions(0o600)
}

/// A backup file that is being read.
pub struct Reader {
    zip: ZipArchive<BufReader<fs_err::File>>,
    project: String,
    created_at: Timestamp,
    files: BTreeMap<String, ManifestEntry>,
}

impl Reader {
    /// Reads the manifest.
    ///
    /// # Errors
    /// It is not a backup file, or damaged, made by a newer version, or larger than the limits.
    pub fn open(from: &Path) -> anyhow::Result<Self> {
        // Check the type first: opening a pipe waits for a writer.
        let metadata = fs_err::metadata(from)?;
        if !metadata.is_file() || metadata.len() > limits::ARCHIVE_BYTES {
            bail!("`{}` is not a file of at most {} bytes", from.display(), limits::ARCHIVE_BYTES);
        }
        let file = fs_err::File::open(from)?;
        let damaged =
            || format!("`{}` is not a backup file, or it is damaged; nothing was changed", from.display());
        let mut zip = ZipArchive::new(BufReader::new(file)).with_context(damaged)?;
        if zip.len() > limits::ARCHIVE_FILES + 1 {
            bail!("`{}` has {} files; at most {} are read", from.display(), zip.len(), limits::ARCHIVE_FILES);
        }
        let text = read_entry(&mut zip, MANIFEST_FILE, MANIFEST_BYTES).with_context(damaged)?;
        let version: ManifestVersion = serde_json::from_slice(&text).with_context(damaged)?;
        if version.format != FORMAT {
            bail!("`{}` is another program's file (`{}`)", from.display(), version.format.escape_debug());
        }
        if version.version > VERSION {
            bail!(
                "`{}` was made by a newer version of this program (format {}, this one reads up to {VERSION}); update \
                 this program and try again; nothing was changed",
                from.display(),
                version.version
            );
        }
        let manifest: Manifest = serde_json::from_slice(&text).with_context(damaged)?;
        let mut files = BTreeMap::new();
        for entry in manifest.files {
            check_name(&entry.path).with_context(damaged)?;
            if let Some(duplicate) = files.insert(entry.path.clone(), entry) {
                bail!("{}: `{}` is listed twice", damaged(), duplicate.path.escape_debug());
            }
        }
        let reader = Self { zip, project: manifest.project, created_at: manifest.created_at, files };
        check_sizes(reader.files.values()).with_context(damaged)?;
        Ok(reader)
    }

    /// The project of the backup.
    #[must_use]
    pub fn of_project(&self) -> &str {
        &self.project
    }

    /// Reads everything once and compares it with the manifest; returns the backups in the file, newest first.
    ///
    /// # Errors
    /// A file differs from the manifest, or is not in it.
    pub fn check(&mut self) -> anyhow::Result<Vec<(String, Timestamp)>> {
        let names: BTreeSet<String> =
            self.zip.file_names().map(|name| name.map(|name| name.into_owned())).collect::<Result<_, _>>()?;
        let unlisted = names.iter().find(|name| *name != MANIFEST_FILE && !self.files.contains_key(*name));
        if let Some(name) = unlisted {
            bail!(
                "the backup file contains `{}`, which its manifest does not list; nothing was changed",
                name.escape_debug()
            );
        }
        let paths: Vec<String> = self.files.keys().cloned().collect();
        for path in &paths {
            self.file(path)?;
        }
        let mut backups: Vec<(String, Timestamp)> = Vec::new();
        for id in paths
            .iter()
            .filter_map(|path| path.split('/').next())
            .filter(|top| top.starts_with(BACKUP_PREFIX))
        {
            if backups.last().is_none_or(|(last, _)| last != id) {
                backups.push((id.to_owned(), backup_time(id).unwrap_or(self.created_at)));
            }
        }
        backups.compact_sort_by(|a, b| (b.1, &b.0).cmp(&(a.1, &a.0)));
        Ok(backups)
    }

    /// The bank with its rules files and the state.
    ///
    /// # Errors
    /// A file is damaged, or cannot be in a bank.
    pub fn project(&mut self) -> anyhow::Result<ProjectCopy> {
        let bank = self.bank(BANK_FOLDER)?;
        let names: Vec<String> = self.files.keys().filter(|path| is_rules_file(path)).cloned().collect();
        let rules = names.iter().map(|name| self.file(name)).collect::<Result<_, _>>()?;
        let state = if self.files.contains_key(STATE_FILE) {
            Some(
                serde_json::from_slice(&self.file(STATE_FILE)?.bytes)
                    .context("`state.json` in the backup file is damaged")?,
            )
        } else {
            None
        };
        Ok(ProjectCopy { bank, rules, state })
    }

    /// A backup of the bank.
    ///
    /// # Errors
    /// A file is damaged, or cannot be in a bank.
    pub fn backup(&mut self, id: &str) -> anyhow::Result<BankCopy> {
        self.bank(id)
    }

    /// The files of the history.
    #[must_use]
    pub fn histories(&self) -> Vec<String> {
        self.files.keys().filter(|path| is_history_file(path)).cloned().collect()
    }

    /// The history of a document, from its file.
    ///
    /// # Errors
    /// It is damaged.
    pub fn history(&mut self, path: &str) -> anyhow::Result<DocumentHistory> {
        let bytes = self.file(path)?.bytes;
        let lines = bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
        let links = lines.map(read_history_line).collect::<Result<Vec<_>, _>>();
        let links =
            links.with_context(|| format!("`{path}` in the backup file is damaged; nothing was changed"))?;
        Ok(DocumentHistory { links, left_out: 0 })
    }

    /// The history of the graph; empty if the file has none.
    ///
    /// # Errors
    /// It is damaged.
    pub fn graph_history(&mut self) -> anyhow::Result<GraphHistory> {
        if !self.files.contains_key(GRAPH_HISTORY_FILE) {
            return Ok(GraphHistory::default());
        }
        let bytes = self.file(GRAPH_HISTORY_FILE)?.bytes;
        let lines = bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
        let changes = lines.map(read_graph_line).collect::<Result<Vec<_>, _>>().with_context(|| {
            format!("`{GRAPH_HISTORY_FILE}` in the backup file is damaged; nothing was changed")
        })?;
        Ok(GraphHistory { changes, left_out: 0 })
    }

    fn bank(&mut self, folder: &str) -> anyhow::Result<BankCopy> {
        let prefix = format!("{folder}/");
        let paths: Vec<String> =
            self.files.keys().filter(|path| path.starts_with(&prefix)).cloned().collect();
        let mut files = Vec::with_capacity(paths.len());
        for path in paths {
            let file = self.file(&path)?;
            let path = path.strip_prefix(&prefix).unwrap_or(&path).to_owned();
            files.push(FileCopy { path, ..file });
        }
        Ok(BankCopy::from_files(files)?)
    }

    /// One file, checked against the manifest.
    fn file(&mut self, path: &str) -> anyhow::Result<FileCopy> {
        let damaged =
            || format!("`{}` in the backup file is damaged; nothing was changed", path.escape_debug());
        let entry = self.files.get(path).with_context(damaged)?.clone();
        let bytes = read_entry(&mut self.zip, path, entry.bytes).with_context(damaged)?;
        if bytes.len() as u64 != entry.bytes || KeyHash::of(&bytes).to_hex() != entry.sha256 {
            bail!("{}: it differs from the manifest", damaged());
        }
        Ok(FileCopy { path: entry.path, bytes, modified: entry.modified })
    }
}

/// Whether it is the name of a file of the history: the id of a document in its folder.
fn is_history_file(path: &str) -> bool {
    let id = path.strip_prefix(HISTORY_FOLDER).and_then(|rest| rest.strip_prefix('/'));
    id.and_then(|id| id.strip_suffix(HISTORY_ENDING)).is_some_and(|id| id.parse::<uuid::Uuid>().is_ok())
}

/// Checks the name of a file: it is in the bank or in a backup, is a rules file, the state or a history, and leads nowhere else.
fn check_name(path: &str) -> anyhow::Result<()> {
    match path.split_once('/') {
        None if is_rules_file(path) || path == STATE_FILE => Ok(()),
        Some((HISTORY_FOLDER, _)) if path == GRAPH_HISTORY_FILE || is_history_file(path) => Ok(()),
        Some((top, rest)) if top == BANK_FOLDER || check_backup_id(top).is_ok() => Ok(safe_path(rest)?),
        _ => bail!("`{}` is not a name in a backup file", path.escape_debug()),
    }
}

fn read_entry(
    zip: &mut ZipArchive<BufReader<fs_err::File>>,
    name: &str,
    max_bytes: u64,
) -> anyhow::Result<Vec<u8>> {
    let entry = zip.by_name(name)?;
    if !entry.is_file() {
        bail!("`{}` is not a plain file", name.escape_debug());
    }
    let mut bytes = Vec::new();
    entry.take(max_bytes.saturating_add(1)).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > max_bytes {
        bail!("`{}` is longer than {max_bytes} bytes", name.escape_debug());
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_could_not_be_restored_is_not_made() {
        let folder = tempfile::tempdir().unwrap();
        let to = folder.path().join("atlas.zip");
        for (bytes, is_made) in [(limits::TRANSFER_BYTES + 1, false), (limits::TRANSFER_BYTES, true)] {
            let mut writer = Writer::create(&to).unwrap();
            // As if a document of this size had been written.
            writer.files.push(ManifestEntry {
                path: format!("{BANK_FOLDER}/large.md"),
                bytes,
                sha256: String::new(),
                modified: Timestamp::UNIX_EPOCH,
            });
            let made = writer.finish("atlas", Timestamp::UNIX_EPOCH);
            assert_eq!((made.is_ok(), to.exists()), (is_made, is_made), "{made:?}");
            assert!(is_made || format!("{:#}", made.unwrap_err()).contains("pg_dump"));
        }
    }
}
