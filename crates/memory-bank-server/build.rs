//! Compresses the files that are embedded in the program: the description of the REST interface, the pages of MCP Apps, and the built
//! files of the console, of which it makes a list.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::write::GzEncoder;

const OPENAPI: &str = "openapi.json";
const BUILT: &str = "../../console/dist";
/// The pages of MCP Apps, below `apps` of the built files.
const APPS: [&str; 2] = ["digest", "graph"];

fn main() -> io::Result<()> {
    let folder = std::env::var_os("OUT_DIR").ok_or_else(|| io::Error::other("cargo did not set OUT_DIR"))?;
    writeln!(io::stdout(), "cargo::rerun-if-changed={OPENAPI}")?;
    compress(Path::new(OPENAPI), &Path::new(&folder).join("openapi.json.gz"))?;
    writeln!(io::stdout(), "cargo::rerun-if-changed={BUILT}")?;
    for app in APPS {
        let page = Path::new(BUILT).join("apps").join(format!("{app}.html"));
        compress(&page, &Path::new(&folder).join(format!("app-{app}.gz")))?;
    }
    let mut files: Vec<PathBuf> = vec![Path::new(BUILT).join("index.html")];
    for entry in fs::read_dir(Path::new(BUILT).join("assets"))? {
        files.push(entry?.path());
    }
    files.sort();
    let mut list = String::from("[\n");
    for (number, file) in files.iter().enumerate() {
        let compressed = Path::new(&folder).join(format!("console-{number}.gz"));
        compress(file, &compressed)?;
        let name = file.strip_prefix(BUILT).map_err(io::Error::other)?;
        let name = name.to_string_lossy().replace('\\', "/");
        list.push_str(&format!("    ({name:?}, include_bytes!({:?})),\n", compressed.to_string_lossy()));
    }
    list.push_str("]\n");
    fs::write(Path::new(&folder).join("console_files.rs"), list)
}

/// A program that is built to be small has the embedded files in fewer bytes, which takes seconds.
fn compress(file: &Path, compressed: &Path) -> io::Result<()> {
    let content = fs::read(file)?;
    if std::env::var("OPT_LEVEL").is_ok_and(|level| level == "z") {
        let mut out = Vec::new();
        zopfli::compress(zopfli::Options::default(), zopfli::Format::Gzip, content.as_slice(), &mut out)?;
        return fs::write(compressed, out);
    }
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(&content)?;
    fs::write(compressed, encoder.finish()?)
}
