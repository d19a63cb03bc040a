//! Whether version control tracks a file. This module reads the index, and git is never run: a repository's own
//! configuration can name programs for git to start. An unreadable or unknown index counts as tracking the file.
//!
//! The format is gitformat-index(5), versions 2 to 4.

mod activity;
mod reflog;

use std::io::Read;
use std::path::{Path, PathBuf};

pub use self::activity::{GitActivity, GitCommit, git_activity, git_head, is_versioned};
use crate::system;

/// The largest index that is read, in bytes.
const MAX_INDEX_BYTES: u64 = 512 * 1024 * 1024;
/// The largest `.git` file that is read, in bytes.
const MAX_POINTER_BYTES: u64 = 64 * 1024;
/// Folders of other version control systems. They may track the file, too.
const OTHER_SYSTEMS: [&str; 8] = [".hg", ".svn", ".jj", ".bzr", ".sl", ".pijul", ".fslckout", "_FOSSIL_"];
/// Type bits of an entry's mode.
const TYPE_BITS: u32 = 0o170_000;
/// A folder that a sparse index does not list in detail.
const FOLDER_MODE: u32 = 0o040_000;

/// The state of a file in git.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Tracked {
    /// No repository above it tracks it.
    No,
    /// This repository tracks it.
    By(PathBuf),
    /// This repository could not be read; the text has the reason.
    Unknown(PathBuf, String),
}

/// Checks every repository that contains the file. The path is canonical.
pub(crate) fn tracked(file: &Path) -> Tracked {
    for above in file.ancestors().skip(1) {
        if let Some(other) = OTHER_SYSTEMS.iter().find(|name| above.join(name).symlink_metadata().is_ok()) {
            return Tracked::Unknown(
                above.to_owned(),
                format!(
                    "`{other}` belongs to another version control system, whose list of files cannot be read"
                ),
            );
        }
        let dot_git = above.join(".git");
        if dot_git.symlink_metadata().is_err() {
            continue;
        }
        let Ok(inner) = file.strip_prefix(above) else { continue };
        match lists(&dot_git, inner) {
            Ok(false) => {}
            Ok(true) => return Tracked::By(above.to_owned()),
            Err(why) => return Tracked::Unknown(above.to_owned(), why),
        }
    }
    Tracked::No
}

/// The reason why a secret must not be written into this file: a repository tracks it, or may track it. `None` if none does. The
/// file may be absent; its folder may be, too.
#[must_use]
pub fn tracked_by(file: &Path) -> Option<String> {
    let shown = |repository: &Path| dunce::simplified(repository).display().to_string();
    match tracked(&canonical(file)) {
        Tracked::No => None,
        Tracked::By(repository) => Some(format!("the git repository `{}` tracks it", shown(&repository))),
        Tracked::Unknown(repository, why) => {
            Some(format!("whether the repository `{}` tracks it cannot be seen: {why}", shown(&repository)))
        }
    }
}

/// The path with its links followed, as far as it exists.
fn canonical(file: &Path) -> PathBuf {
    for (above, rest) in file.ancestors().map(|above| (above, file.strip_prefix(above))) {
        if let (Ok(real), Ok(rest)) = (fs_err::canonicalize(above), rest) {
            return if rest.as_os_str().is_empty() { real } else { real.join(rest) };
        }
    }
    file.to_owned()
}

fn lists(dot_git: &Path, inner: &Path) -> Result<bool, String> {
    let folder = git_folder(dot_git)?;
    // Names that differ in case are one file on some systems.
    let searched = inner.components().map(|part| part.as_os_str().to_string_lossy().to_lowercase());
    let searched = searched.collect::<Vec<_>>().join("/");
    let Some(bytes) = read(&folder.join("index"), MAX_INDEX_BYTES)? else { return Ok(false) };
    // Whether hashes are SHA-1 or SHA-256 is not in the index; only one of them makes sense of it to the end.
    let entries = entries(&bytes, 20).or_else(|| entries(&bytes, 32));
    let entries =
        entries.ok_or("its index cannot be understood (a split or damaged one, or of a newer git)")?;
    Ok(entries.iter().any(|entry| {
        let path = String::from_utf8_lossy(&entry.path).to_lowercase();
        if entry.mode & TYPE_BITS == FOLDER_MODE { searched.starts_with(&path) } else { path == searched }
    }))
}

/// The folder with the index: `.git` itself, or where a file of that name points, as in worktrees and submodules.
fn git_folder(dot_git: &Path) -> Result<PathBuf, String> {
    if dot_git.is_dir() {
        return Ok(dot_git.to_owned());
    }
    let text = read(dot_git, MAX_POINTER_BYTES)?.ok_or("its `.git` leads nowhere")?;
    let text = String::from_utf8(text).map_err(|_| "its `.git` is not text")?;
    let to = text.strip_prefix("gitdir:").ok_or("its `.git` names no folder")?.trim();
    let folder = dot_git.parent().unwrap_or(dot_git).join(to);
    if folder.is_dir() { Ok(folder) } else { Err("its `.git` names a folder that is not there".to_owned()) }
}

/// As [`git_folder`], where that folder points back: to the `.git` file of this worktree, or to the folder of this submodule. An
/// archive can come with a `.git` file or link that leads to a repository of somebody else.
fn own_git_folder(dot_git: &Path) -> Result<PathBuf, String> {
    let folder = git_folder(dot_git)?;
    if dot_git.symlink_metadata().is_ok_and(|metadata| metadata.is_dir()) {
        return Ok(folder);
    }
    let is_same = |there: &Path, here: &Path| matches!((there.canonicalize(), here.canonicalize()), (Ok(there), Ok(here)) if there == here);
    let text_of = |name: &str| -> Result<String, String> {
        let bytes = read(&folder.join(name), MAX_POINTER_BYTES)?.unwrap_or_default();
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    };
    let is_file = dot_git.symlink_metadata().is_ok_and(|metadata| metadata.is_file());
    let back = text_of("gitdir")?;
    if is_file && !back.trim().is_empty() && is_same(&folder.join(back.trim()), dot_git) {
        return Ok(folder);
    }
    let config = text_of("config")?;
    let worktrees = config.lines().filter_map(|line| line.trim().strip_prefix("worktree"));
    let mut worktrees = worktrees.filter_map(|rest| Some(rest.trim_start().strip_prefix('=')?.trim()));
    let root = dot_git.parent().unwrap_or(dot_git);
    if is_file && worktrees.any(|to| is_same(&folder.join(to.trim_matches('"')), root)) {
        return Ok(folder);
    }
    Err("its `.git` leads to a repository that does not know it".to_owned())
}

/// The bytes of a regular file; none if there is none. Never waits for a pipe.
fn read(path: &Path, limit: u64) -> Result<Option<Vec<u8>>, String> {
    let fault = |error: std::io::Error| format!("`{}` cannot be read: {error}", path.display());
    match std::fs::metadata(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound && !path.is_symlink() => return Ok(None),
        Err(error) => return Err(fault(error)),
        Ok(metadata) if !metadata.is_file() || metadata.len() > limit => {
            return Err(format!("`{}` is not a file of at most {limit} bytes", path.display()));
        }
        Ok(_) => {}
    }
    let mut options = std::fs::OpenOptions::new();
    options.read(true);
    system::without_waiting(&mut options);
    let file = options.open(path).map_err(fault)?;
    if !file.metadata().map_err(fault)?.is_file() {
        return Err(format!("`{}` is not a regular file", path.display()));
    }
    let mut bytes = Vec::new();
    file.take(limit + 1).read_to_end(&mut bytes).map_err(fault)?;
    if bytes.len() as u64 > limit {
        return Err(format!("`{}` has more than {limit} bytes", path.display()));
    }
    Ok(Some(bytes))
}

struct Entry {
    mode: u32,
    /// When the file was changed last as git saw it: seconds and nanoseconds.
    modified: (u32, u32),
    /// The file is not in the working copy, by a sparse checkout.
    is_skipped: bool,
    path: Vec<u8>,
}

/// All entries, if the bytes are an index to their very end.
fn entries(bytes: &[u8], hash: usize) -> Option<Vec<Entry>> {
    let version = number(bytes, 4)?;
    if !bytes.starts_with(b"DIRC") || !(2..=4).contains(&version) {
        return None;
    }
    let count = usize::try_from(number(bytes, 8)?).ok()?;
    let end = bytes.len().checked_sub(hash)?;
    let mut entries: Vec<Entry> = Vec::new();
    let mut at = 12;
    for _ in 0..count {
        let start = at;
        let modified = (number(bytes, at + 8)?, number(bytes, at + 12)?);
        let mode = number(bytes, at + 24)?;
        at += 40 + hash;
        let flags = bytes.get(at..at + 2)?;
        let is_extended = version >= 3 && flags.first()? & 0x40 != 0;
        let is_skipped = is_extended && bytes.get(at + 2)? & 0x40 != 0;
        at += if is_extended { 4 } else { 2 };
        let mut path = Vec::new();
        if version == 4 {
            let before = entries.last().map_or(&[][..], |entry| &entry.path);
            let dropped = offset(bytes, &mut at)?;
            path.extend_from_slice(before.get(..before.len().checked_sub(dropped)?)?);
        }
        let length = bytes.get(at..end)?.iter().position(|byte| *byte == 0)?;
        path.extend_from_slice(bytes.get(at..at + length)?);
        at += length + 1;
        if version < 4 {
            // One to eight zeros, so that the entry's length is a multiple of eight.
            let padded = start + (at - start).div_ceil(8) * 8;
            if bytes.get(at..padded)?.iter().any(|byte| *byte != 0) {
                return None;
            }
            at = padded;
        }
        entries.push(Entry { mode, modified, is_skipped, path });
    }
    while at < end {
        let signature = bytes.get(at..at + 4)?;
        // `link` names another index that has the rest. One in small letters must be understood.
        if signature.first()?.is_ascii_lowercase() && signature != b"sdir" {
            return None;
        }
        at = at.checked_add(8)?.checked_add(usize::try_from(number(bytes, at + 4)?).ok()?)?;
    }
    (at == end).then_some(entries)
}

fn number(bytes: &[u8], at: usize) -> Option<u32> {
    let four: [u8; 4] = bytes.get(at..at.checked_add(4)?)?.try_into().ok()?;
    Some(u32::from_be_bytes(four))
}

/// A number as in the offsets of a pack: seven bits a byte, each further byte counting from one more.
fn offset(bytes: &[u8], at: &mut usize) -> Option<usize> {
    let mut value = 0_usize;
    loop {
        let byte = *bytes.get(*at)?;
        *at += 1;
        value = value.checked_add(usize::from(byte & 0x7f))?;
        if byte & 0x80 == 0 {
            return Some(value);
        }
        value = value.checked_add(1)?.checked_mul(128)?;
    }
}

#[cfg(unix)]
#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;
    use crate::git_for_tests::git;

    fn repository(options: &[&str]) -> (TempDir, PathBuf) {
        let temp = TempDir::new().unwrap();
        let root = temp.path().canonicalize().unwrap().join("r");
        std::fs::create_dir_all(root.join("a/b")).unwrap();
        git(temp.path(), &[&["init", "-q"], options, &["r"]].concat());
        for name in ["a/b/tracked", "a/b/tracked-too", "a/untracked", "zz"] {
            std::fs::write(root.join(name), "x").unwrap();
        }
        git(&root, &["add", "a/b", "zz"]);
        (temp, root)
    }

    #[test]
    fn each_version_of_the_index_and_both_hashes_are_read() {
        for (options, version) in [
            (&[][..], "2"),
            (&[], "3"),
            (&[], "4"),
            (&["--object-format=sha256"], "2"),
            (&["--object-format=sha256"], "4"),
        ] {
            let (_temp, root) = repository(options);
            if version == "3" {
                std::fs::write(root.join("later"), "x").unwrap();
                git(&root, &["add", "--intent-to-add", "later"]);
            }
            git(&root, &["update-index", "--index-version", version]);
            for name in ["a/b/tracked", "a/b/tracked-too", "zz", "A/b/TRACKED"] {
                assert_eq!(
                    tracked(&root.join(name)),
                    Tracked::By(root.clone()),
                    "{name} in version {version}"
                );
            }
            for name in ["a/untracked", "tracked", "a/b", "z"] {
                assert_eq!(tracked(&root.join(name)), Tracked::No, "{name} in version {version}");
            }
        }
    }

    #[test]
    fn a_worktree_and_a_submodule_have_an_index_elsewhere() {
        let (temp, root) = repository(&[]);
        git(&root, &["commit", "-qm", "x"]);
        git(&root, &["worktree", "add", "-q", "../w"]);
        let worktree = root.with_file_name("w");
        std::fs::write(worktree.join("new"), "x").unwrap();
        assert_eq!(tracked(&worktree.join("zz")), Tracked::By(worktree.clone()));
        assert_eq!(tracked(&worktree.join("new")), Tracked::No);
        git(temp.path(), &["init", "-q", "outer"]);
        let outer = root.with_file_name("outer");
        git(&outer, &["submodule", "--quiet", "add", root.to_str().unwrap(), "sub"]);
        assert_eq!(tracked(&outer.join("sub/zz")), Tracked::By(outer.join("sub")));
        assert_eq!(tracked(&outer.join("sub/new")), Tracked::No);
    }

    #[test]
    fn the_enclosing_repository_is_checked_too() {
        let (_temp, root) = repository(&[]);
        std::fs::create_dir(root.join("a/b/.git")).unwrap();
        assert_eq!(tracked(&root.join("a/b/tracked")), Tracked::By(root));
    }

    #[test]
    fn an_index_that_cannot_be_read_is_unknown() {
        let (_temp, root) = repository(&[]);
        git(&root, &["update-index", "--split-index"]);
        assert!(matches!(tracked(&root.join("zz")), Tracked::Unknown(..)));
        let index = root.join(".git/index");
        for bytes in
            [&b""[..], b"DIRC", b"DIRC\0\0\0\x02\xff\xff\xff\xff", b"nonsense nonsense nonsense nonsense"]
        {
            std::fs::write(&index, bytes).unwrap();
            assert!(matches!(tracked(&root.join("new")), Tracked::Unknown(..)), "{bytes:?}");
        }
        std::fs::remove_file(&index).unwrap();
        assert!(std::process::Command::new("mkfifo").arg(&index).status().unwrap().success());
        assert!(matches!(tracked(&root.join("new")), Tracked::Unknown(..)));
        std::fs::remove_file(&index).unwrap();
        assert_eq!(tracked(&root.join("new")), Tracked::No);
    }

    #[test]
    fn other_version_control_is_neither_queried_nor_trusted() {
        for name in OTHER_SYSTEMS {
            let temp = TempDir::new().unwrap();
            std::fs::create_dir_all(temp.path().join("a")).unwrap();
            assert_eq!(tracked(&temp.path().join("a/new")), Tracked::No);
            std::fs::create_dir(temp.path().join(name)).unwrap();
            assert!(matches!(tracked(&temp.path().join("a/new")), Tracked::Unknown(..)), "{name}");
        }
    }

    #[test]
    fn a_cut_or_changed_index_never_panics() {
        let (_temp, root) = repository(&[]);
        let bytes = std::fs::read(root.join(".git/index")).unwrap();
        for at in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[at] ^= 0xff;
            let _ = (entries(&bytes[..at], 20), entries(&changed, 20), entries(&changed, 32));
        }
    }
}
