//! Compresses the SQL scripts, which are embedded in the program: they have 180 KB, and 40 KB compressed.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

use flate2::Compression;
use flate2::write::ZlibEncoder;

const SCRIPTS: &str = "../../migrations";

fn main() -> io::Result<()> {
    let folder = std::env::var_os("OUT_DIR").ok_or_else(|| io::Error::other("cargo did not set OUT_DIR"))?;
    writeln!(io::stdout(), "cargo::rerun-if-changed={SCRIPTS}")?;
    for entry in fs::read_dir(SCRIPTS)? {
        let entry = entry?;
        let script = File::create(Path::new(&folder).join(entry.file_name()))?;
        let mut compressed = ZlibEncoder::new(script, Compression::best());
        compressed.write_all(&fs::read(entry.path())?)?;
        compressed.finish()?;
    }
    Ok(())
}
