//! Finds the file of a reference memory server that a bank without a graph could import.

use std::io::Read;
use std::path::Path;

use cap_std::fs::OpenOptions;
use memory_bank_core::transfer::{MEMORY_FILES, MemoryFile};

use crate::dir::{BankDir, Root};

/// How much of a file is read to recognise it.
const BEGINNING_BYTES: u64 = 64 * 1024;

/// A hint how to import a file of the reference memory server in the bank or its project, if there is one.
pub(super) fn memory_file(root: &Root, project: &Path) -> Option<String> {
    let places =
        [(root.open().ok(), "the memory bank"), (BankDir::open(project).ok(), "the project's folder")];
    for (dir, place) in places {
        let Some(dir) = dir else { continue };
        for name in MEMORY_FILES {
            if dir.stamp_own(name).is_none() {
                continue;
            }
            let Ok(mut file) = dir.open_file(name, OpenOptions::new().read(true)) else { continue };
            let mut beginning = Vec::new();
            let read = (&mut file).take(BEGINNING_BYTES).read_to_end(&mut beginning);
            if read.is_ok() && MemoryFile::is_memory_file(&beginning) {
                return Some(format!(
                    "`{name}` in {place} holds the graph of a reference memory server; `memory-bank-mcp import --from {name}`, \
                     run there, brings it into this one"
                ));
            }
        }
    }
    None
}
