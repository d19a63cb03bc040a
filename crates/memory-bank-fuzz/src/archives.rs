//! Backup files, which may come from anybody.

use std::fs;
use std::io::Write;
use std::path::Path;

use jiff::Timestamp;
use memory_bank_archive::{Reader, Writer};
use memory_bank_core::identity::KeyHash;
use memory_bank_core::transfer::{BankCopy, ProjectCopy};
use serde_json::json;
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

use crate::input::texts;

/// A backup file; or the names and contents of its files, in turn, from which one with a true manifest is made.
pub(crate) fn archives(data: &[u8]) {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("a.zip");
    if data.starts_with(b"PK") {
        fs::write(&file, data).expect("a file");
    } else {
        write_archive(&file, &texts(data, 32));
    }
    let Ok((copy, backups)) = read(&file) else { return };
    // What a backup file holds comes out of the next one as it is.
    let again = folder.path().join("b.zip");
    let mut writer = Writer::create(&again).expect("a new file");
    writer.project(&copy, Timestamp::UNIX_EPOCH).expect("a copy that was read can be written");
    for (id, backup) in &backups {
        writer.backup(id, backup, Timestamp::UNIX_EPOCH).expect("a copy that was read can be written");
    }
    writer.finish("project", Timestamp::UNIX_EPOCH).expect("a copy that was read can be written");
    let (copy_again, backups_again) = read(&again).expect("a file that was written can be read");
    assert_eq!(copy_again, copy, "a project comes back");
    assert_eq!(backups_again, backups, "backups come back");
}

type Read = (ProjectCopy, Vec<(String, BankCopy)>);

fn read(file: &Path) -> Result<Read, String> {
    let shown = |error: &dyn std::fmt::Display| format!("{error:#}");
    let mut reader = Reader::open(file).map_err(|error| shown(&error))?;
    let ids = reader.check().map_err(|error| shown(&error))?;
    let copy = reader.project().map_err(|error| shown(&error))?;
    let mut backups = Vec::new();
    for (id, _) in ids {
        backups.push((id.clone(), reader.backup(&id).map_err(|error| shown(&error))?));
    }
    for path in reader.histories() {
        let _ = reader.history(&path);
    }
    let _ = reader.graph_history();
    Ok((copy, backups))
}

fn write_archive(to: &Path, texts: &[String]) {
    let mut zip = ZipWriter::new(fs::File::create(to).expect("a file"));
    let mut files = Vec::new();
    for pair in texts.chunks_exact(2) {
        let [name, content] = pair else { continue };
        // A name that occurs twice is refused by the library.
        if zip.start_file(name.as_str(), SimpleFileOptions::default()).is_err() {
            return;
        }
        zip.write_all(content.as_bytes()).expect("a file");
        let hash = KeyHash::of(content.as_bytes()).to_hex();
        files.push(
            json!({"path": name, "bytes": content.len(), "sha256": hash, "modified": "1970-01-01T00:00:00Z"}),
        );
    }
    let manifest = json!({
        "format": "memory-bank-mcp backup", "version": 1, "project": "project", "createdAt": "1970-01-01T00:00:00Z",
        "server": "0", "files": files,
    });
    if zip.start_file("manifest.json", SimpleFileOptions::default()).is_ok() {
        zip.write_all(manifest.to_string().as_bytes()).expect("a file");
        zip.finish().expect("a file");
    }
}
