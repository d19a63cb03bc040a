//! Converts a bank to the files of its folder, and back.

use jiff::Timestamp;

use super::log::{LOG_PATH, read_log};
use super::{BankCopy, DocumentCopy, FileCopy, NotTransferable};
use crate::clock::iso_millis;
use crate::compact_sort::CompactSort as _;
use crate::document::{DocumentPath, is_reserved};
use crate::graph::compact::write_compacted;
use crate::limits;
use crate::mode::{Mode, RULES_PREFIXES};
use crate::unicode::nfc;

/// Files that are derived from the log and not part of a copy.
const DERIVED_FILES: [&str; 3] = ["graph/graph.snapshot.json", "graph/graph.index.json", "graph/graph.md"];

impl BankCopy {
    /// The bank of these files.
    ///
    /// # Errors
    /// A path is not valid in a bank, or is given twice; or the graph's log is damaged.
    pub fn from_files(files: impl IntoIterator<Item = FileCopy>) -> Result<Self, NotTransferable> {
        let mut copy = Self::default();
        for file in files {
            safe_path(&file.path)?;
            if DERIVED_FILES.contains(&file.path.as_str()) {
                continue;
            }
            if file.path == LOG_PATH {
                (copy.graph, copy.lines) = read_log(&file.bytes)?;
                continue;
            }
            match DocumentPath::parse(&file.path) {
                Ok(path) => copy.documents.push(document(composed(path), file)),
                Err(_) => copy.files.push(file),
            }
        }
        copy.documents.compact_sort_by(|a, b| a.path.cmp(&b.path));
        copy.files.compact_sort_by(|a, b| a.path.cmp(&b.path));
        let twice = copy.documents.windows(2).find_map(|pair| match pair {
            [a, b] if a.path == b.path => Some(a.path.as_str()),
            _ => None,
        });
        let twice = twice.or_else(|| {
            copy.files.windows(2).find_map(|pair| match pair {
                [a, b] if a.path == b.path => Some(a.path.as_str()),
                _ => None,
            })
        });
        match twice {
            Some(path) if path.is_ascii() => Err(NotTransferable(format!("`{path}` is there twice"))),
            Some(path) => Err(NotTransferable(format!(
                "`{path}` is there twice, perhaps with its letters composed in two ways; rename one of the files"
            ))),
            None => Ok(copy),
        }
    }

    /// The files of this bank, without those that are derived from the graph's log. The log's events have the time
    /// `now`.
    ///
    /// # Errors
    /// The graph cannot be written as JSON, or a path is not valid in a bank.
    pub fn to_files(&self, now: Timestamp) -> Result<Vec<FileCopy>, NotTransferable> {
        let documents = self.documents.iter().map(|document| FileCopy {
            path: document.path.as_str().to_owned(),
            bytes: document.content(),
            modified: document.updated_at,
        });
        let mut files: Vec<FileCopy> = documents.chain(self.files.iter().cloned()).collect();
        if self.graph.stats() != crate::store::GraphStats::default() || !self.lines.is_empty() {
            let mut bytes = Vec::new();
            write_compacted(&self.graph, self.lines.iter().map(Vec::as_slice), &iso_millis(now), &mut bytes)
                .map_err(|error| NotTransferable(format!("the graph cannot be written as JSON: {error}")))?;
            files.push(FileCopy { path: LOG_PATH.to_owned(), bytes, modified: now });
        }
        files.iter().try_for_each(|file| safe_path(&file.path))?;
        files.compact_sort_by(|a, b| a.path.cmp(&b.path));
        Ok(files)
    }
}

/// The composed spelling of a name, which databases store.
#[must_use]
pub fn composed(path: DocumentPath) -> DocumentPath {
    DocumentPath::parse(&nfc(path.as_str())).unwrap_or(path)
}

fn document(path: DocumentPath, file: FileCopy) -> DocumentCopy {
    let (text, bytes) = match String::from_utf8(file.bytes) {
        Ok(text) => (text, None),
        Err(error) => {
            let bytes = error.into_bytes();
            (String::from_utf8_lossy(&bytes).into_owned(), Some(bytes))
        }
    };
    DocumentCopy { path, text, bytes, updated_at: file.modified }
}

/// Checks that a path is within the bank and can be one of its files, since it may come from an untrusted file.
///
/// # Errors
/// It is not; the error names the path.
pub fn safe_path(path: &str) -> Result<(), NotTransferable> {
    let refused =
        |why: &str| Err(NotTransferable(format!("`{}` cannot be moved: {why}", path.escape_debug())));
    if path.is_empty() || path.len() > limits::TRANSFER_PATH_BYTES {
        return refused(&format!("a path takes 1 to {} bytes", limits::TRANSFER_PATH_BYTES));
    }
    let parts: Vec<&str> = path.split('/').collect();
    if parts.len() > limits::FILE_LEVELS + 1 {
        return refused("its folders are too deep");
    }
    if path.contains(['\\', '\0']) || parts.iter().any(|part| matches!(*part, "" | "." | "..")) {
        return refused("it is not a plain path below the bank");
    }
    if parts.iter().any(|part| is_reserved(part)) {
        return refused("the name belongs to the server or to version control");
    }
    if parts.iter().any(|part| part.len() > limits::NAME_BYTES) {
        return refused(&format!("a name takes at most {} bytes", limits::NAME_BYTES));
    }
    Ok(())
}

/// Whether this is the name of a mode's rules file.
#[must_use]
pub fn is_rules_file(name: &str) -> bool {
    let mode = RULES_PREFIXES.iter().find_map(|prefix| name.strip_prefix(prefix));
    mode.is_some_and(|mode| mode.parse::<Mode>().is_ok())
}
