//! Reads the file of a reference memory server.

use std::io::Read;
use std::path::Path;

use anyhow::{Context, bail};
use memory_bank_core::transfer::MemoryFile;

/// The largest file that is read, in bytes.
const FILE_BYTES: u64 = 64 * 1024 * 1024;

/// Reads the file.
pub(super) fn read(from: &Path) -> anyhow::Result<MemoryFile> {
    // Check the type first: opening a pipe waits for a writer.
    let metadata = fs_err::metadata(from)?;
    if !metadata.is_file() || metadata.len() > FILE_BYTES {
        bail!("`{}` is not a file of at most {FILE_BYTES} bytes", from.display());
    }
    let mut bytes = Vec::new();
    fs_err::File::open(from)?.take(FILE_BYTES + 1).read_to_end(&mut bytes)?;
    if !MemoryFile::is_memory_file(&bytes) {
        bail!(
            "`{}` is not the file of a reference memory server, whose lines are entities and relations; give such a file, or \
             the folder of a memory bank",
            from.display()
        );
    }
    MemoryFile::read(&bytes).with_context(|| format!("`{}` was not imported", from.display()))
}
