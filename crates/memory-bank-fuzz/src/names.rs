//! Names of documents, files and users, and files of other programs.

use std::path::{Component, Path};

use memory_bank_core::document::DocumentPath;
use memory_bank_core::identity::parse_user_name;
use memory_bank_core::import::{MemoryLines, Note, decode};
use memory_bank_core::transfer::{BankCopy, FileCopy, MemoryFile, safe_path};

use crate::input::texts;

/// Names of documents, paths in an archive, and names of users.
pub(crate) fn names(data: &[u8]) {
    let texts = texts(data, 16);
    for name in &texts {
        if let Ok(path) = DocumentPath::parse(name) {
            check_document(&path);
        }
        if safe_path(name).is_ok() {
            check_inside(name);
        }
        if let Ok(user) = parse_user_name(name) {
            assert_eq!(parse_user_name(&user).ok(), Some(user), "a name of a user stays");
        }
    }
    let files = texts.iter().map(|path| FileCopy {
        path: path.clone(),
        bytes: b"# A\n".to_vec(),
        modified: jiff::Timestamp::UNIX_EPOCH,
    });
    if let Ok(bank) = BankCopy::from_files(files) {
        for file in bank.to_files(jiff::Timestamp::UNIX_EPOCH).unwrap_or_default() {
            check_inside(&file.path);
        }
    }
}

fn check_document(path: &DocumentPath) {
    assert_eq!(
        DocumentPath::parse(path.as_str()).ok().as_ref(),
        Some(path),
        "a name is read as it is written"
    );
    let canonical = path.canonical();
    assert_eq!(canonical.canonical(), canonical, "a canonical name stays");
    assert!(
        path.spellings().iter().all(|spelling| DocumentPath::parse(spelling).is_ok()),
        "each spelling is a name"
    );
    check_inside(path.as_str());
    if path.check_new().is_ok() {
        check_portable(path.as_str());
    }
}

/// A path leads to a file in the folder.
fn check_inside(path: &str) {
    let inside = Path::new(path).components().all(|part| matches!(part, Component::Normal(_)));
    assert!(inside && !path.split('/').any(|part| matches!(part, "." | "..")), "{path:?} leaves its folder");
    assert!(!path.is_empty() && !path.contains(['\0', '\\']), "{path:?} is another path elsewhere");
}

/// The name of a new document is the name of a file on every system.
fn check_portable(path: &str) {
    assert!(!path.contains([':', '*', '?', '"', '<', '>', '|']), "{path:?} is no name on Windows");
    assert!(!path.chars().any(char::is_control), "{path:?} has a control character");
    assert!(
        !path.split('/').any(|part| part.is_empty() || part.ends_with(['.', ' '])),
        "{path:?} loses its end on Windows"
    );
}

/// Files of other programs: lines of a memory server, and notes.
pub(crate) fn imports(data: &[u8]) {
    let _ = MemoryLines::is_recognised(data);
    let lines = MemoryLines::read(data);
    assert_eq!(MemoryLines::read(data), lines, "the same file gives the same items");
    if MemoryFile::is_memory_file(data)
        && let Ok(file) = MemoryFile::read(data)
    {
        let bank = file.to_bank(jiff::Timestamp::UNIX_EPOCH);
        assert!(bank.graph.entities().count() <= data.len(), "an entity has a line");
    }
    if let Ok(text) = decode(data) {
        let note = Note::read(&text);
        assert!(note.links.len() + note.tags.len() <= text.len(), "a link has characters");
    }
}
