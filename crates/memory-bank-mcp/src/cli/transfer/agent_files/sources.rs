//! Reads the files that were found, within bounds.

use std::io::Read;
use std::path::{Path, PathBuf};

use memory_bank_core::document::is_leftover;
use memory_bank_core::import::{Layout, LayoutMatch, MemoryLines, decode};
use memory_bank_core::limits;
use memory_bank_core::transfer::MEMORY_FILES;

use super::options::AgentFiles;
use super::scan::{Scan, scan};

/// The most files of one import.
const MAX_FILES: usize = 5_000;
/// The most bytes of the texts of one import.
const MAX_TOTAL_BYTES: u64 = 128 * 1024 * 1024;
/// The largest text: a document of the bank with the note of its origin.
const MAX_TEXT_BYTES: u64 = limits::DOCUMENT_BYTES as u64 - 4096;
/// The largest file of a memory server.
const MAX_MEMORY_FILE_BYTES: u64 = 64 * 1024 * 1024;

/// Where an import reads.
#[derive(Debug, Clone)]
pub(super) struct Start {
    /// The folder.
    pub(super) folder: PathBuf,
    /// The name of the project that distinguishes its sources from those of others, if the bank may have those.
    pub(super) label: Option<String>,
    /// The folder of the bank, if it is a folder.
    pub(super) own: Option<PathBuf>,
}

impl Start {
    /// The origin of a file that is noted in the bank.
    pub(super) fn origin(&self, path: &str) -> String {
        self.label.as_ref().map_or_else(|| path.to_owned(), |label| format!("{label}/{path}"))
    }
}

/// One file to import.
#[derive(Debug)]
pub(super) struct SourceFile {
    /// Its path below the start.
    pub(super) path: String,
    /// Its path with the label of the start.
    pub(super) from: String,
    /// The layout that it belongs to.
    pub(super) layout_match: LayoutMatch,
    /// Its text.
    pub(super) text: String,
}

/// The files to import.
#[derive(Debug, Default)]
pub(super) struct Sources {
    pub(super) files: Vec<SourceFile>,
    pub(super) skipped: Vec<(String, String)>,
    pub(super) warnings: Vec<String>,
}

/// Searches and reads.
///
/// # Errors
/// The folder cannot be read.
pub(super) fn read(start: &Start, options: &AgentFiles) -> anyhow::Result<Sources> {
    let Scan { files, source_folders, skipped, warnings } = scan(&start.folder, start.own.as_deref())?;
    let mut sources = Sources { files: Vec::new(), skipped, warnings };
    let mut bytes = 0;
    for path in files {
        let Some(layout_match) =
            source_folders.layout_match(&path).filter(|layout_match| options.takes(layout_match.layout))
        else {
            continue;
        };
        if is_leftover(&path) {
            sources.skipped.push((path, "it is a leftover of an editor or a sync tool".to_owned()));
            continue;
        }
        if sources.files.len() >= MAX_FILES || bytes >= MAX_TOTAL_BYTES {
            sources.warnings.push(format!(
                "`{path}` and what follows was not read: one import takes {MAX_FILES} files and {MAX_TOTAL_BYTES} bytes; import the rest \
                 with `--in` or `--only`"
            ));
            break;
        }
        match text_of(&start.folder.join(&path), layout_match.layout) {
            Ok(Some(text)) => {
                bytes += text.len() as u64;
                sources.files.push(SourceFile { from: start.origin(&path), path, layout_match, text });
            }
            Ok(None) => {}
            Err(reason) => sources.skipped.push((path, reason)),
        }
    }
    Ok(sources)
}

/// The text of a file; none if it only has the name of a memory server's file.
fn text_of(file: &Path, layout: Layout) -> Result<Option<String>, String> {
    if layout != Layout::MemoryServer {
        let bytes = bytes_of(file, MAX_TEXT_BYTES)?;
        return decode(&bytes).map(Some).map_err(|reason| format!("it {reason}"));
    }
    let bytes = bytes_of(file, MAX_MEMORY_FILE_BYTES)?;
    if !MemoryLines::is_recognised(&bytes) {
        let is_named_so =
            file.file_name().is_some_and(|name| MEMORY_FILES.iter().any(|known| name == *known));
        let why = "it has no lines of the reference memory server";
        return if is_named_so { Err(why.to_owned()) } else { Ok(None) };
    }
    // A damaged line is named by its number later; it must not hide the others.
    Ok(Some(String::from_utf8_lossy(&bytes).into_owned()))
}

fn bytes_of(file: &Path, most: u64) -> Result<Vec<u8>, String> {
    let fault = |error: std::io::Error| format!("it cannot be read: {error}");
    // Opening a pipe would wait for a writer.
    let metadata = std::fs::symlink_metadata(file).map_err(fault)?;
    if !metadata.is_file() {
        return Err("it is not a regular file".to_owned());
    }
    let too_large = |bytes: u64| format!("it has {bytes} bytes, at most {most} are imported");
    if metadata.len() > most {
        return Err(too_large(metadata.len()));
    }
    let mut bytes = Vec::new();
    let opened = std::fs::File::open(file).map_err(fault)?;
    opened.take(most + 1).read_to_end(&mut bytes).map_err(fault)?;
    if bytes.len() as u64 > most { Err(too_large(bytes.len() as u64)) } else { Ok(bytes) }
}
