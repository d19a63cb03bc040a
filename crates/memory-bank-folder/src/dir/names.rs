//! Names that do not belong to the bank, and messages about files that cannot be used.

use std::io;

use cap_std::fs::Metadata;
use memory_bank_core::document::INTERNAL_FOLDER;

/// The hidden folder in which the server keeps its lock, its journal and staged files. Not part of the bank.
pub const INTERNAL: &str = INTERNAL_FOLDER;

/// The folder in it for files that are staged.
pub(super) const STAGE: &str = ".mbmcp/stage";

/// The folder in it for versions of documents.
pub(super) const HISTORY: &str = ".mbmcp/history";

/// The text of a file: invalid UTF-8 becomes U+FFFD, a byte order mark is kept.
#[must_use]
pub fn text_of(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned())
}

/// The reason of an error, without a path of the host.
#[must_use]
pub fn reason(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => "there is no such file".to_owned(),
        io::ErrorKind::PermissionDenied => "permission denied".to_owned(),
        io::ErrorKind::IsADirectory => "it is a folder".to_owned(),
        io::ErrorKind::InvalidFilename => "the file system does not take such a name".to_owned(),
        _ => error.to_string(),
    }
}

pub(super) fn not_a_file(metadata: &Metadata) -> String {
    let what = if metadata.is_dir() { "a folder" } else { "not a regular file" };
    format!("it is {what}")
}

pub(super) fn too_large(got: u64, limit: u64) -> String {
    format!("it is {got} bytes long, at most {limit} can be read")
}

/// Whether a name in this folder is neither a file nor a folder of the bank.
pub(super) fn is_passed_over(folder: &str, name: &str) -> bool {
    (folder.is_empty() && name == INTERNAL) || is_foreign_leftover(name)
}

/// The original's temporary files, `.<name>.<epoch milliseconds>.tmp`, which it leaves behind when it fails.
pub(super) fn is_foreign_leftover(name: &str) -> bool {
    let stamp = name
        .strip_prefix('.')
        .and_then(|rest| rest.strip_suffix(".tmp"))
        .and_then(|rest| rest.rsplit_once('.'));
    stamp.is_some_and(|(_, digits)| digits.len() >= 13 && digits.bytes().all(|byte| byte.is_ascii_digit()))
}
