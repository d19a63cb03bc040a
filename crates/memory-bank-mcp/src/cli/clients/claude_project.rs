//! The name under which Claude Code keeps a project in the user's file: the root of its repository, which is that of the
//! main checkout for a worktree, or else the folder itself. It must not know the file.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use anyhow::Context;

/// The largest file of a repository that is read, in bytes.
const POINTER_BYTES: u64 = 4096;

/// The member of `projects` in Claude Code's file for this folder, which is absolute and without links.
///
/// # Errors
/// The path is not UTF-8.
pub(crate) fn claude_project(folder: &Path) -> anyhow::Result<String> {
    let checkout = folder.ancestors().find(|above| above.join(".git").exists());
    let root = checkout.map_or_else(
        || folder.to_owned(),
        |checkout| main_checkout(checkout).unwrap_or_else(|| checkout.to_owned()),
    );
    let text = root.to_str().context("the project's path is not UTF-8")?;
    Ok(if cfg!(windows) { slashed(text) } else { text.to_owned() })
}

/// A path of Windows as Claude Code writes it: with slashes, and without the beginning of canonical paths.
fn slashed(path: &str) -> String {
    let plain = match path.strip_prefix(r"\\?\UNC\") {
        Some(share) => format!(r"\\{share}"),
        None => path.trim_start_matches(r"\\?\").to_owned(),
    };
    plain.replace('\\', "/")
}

/// The main checkout of a worktree; none for everything else. Both must name each other, so that a file in a project alone
/// cannot lead to another project.
fn main_checkout(worktree: &Path) -> Option<PathBuf> {
    let pointer = worktree.join(".git");
    let own = worktree.join(line(&pointer)?.strip_prefix("gitdir:")?.trim()).canonicalize().ok()?;
    let common = own.join(line(&own.join("commondir"))?).canonicalize().ok()?;
    let back = own.join(line(&own.join("gitdir"))?).canonicalize().ok()?;
    let is_worktree = own.parent()? == common.join("worktrees") && back == pointer.canonicalize().ok()?;
    let root = common.parent().filter(|_| common.file_name().is_some_and(|name| name == ".git"))?;
    is_worktree.then(|| root.to_owned())
}

/// The text of a small regular file, without blanks around it.
fn line(file: &Path) -> Option<String> {
    // Opening a pipe would wait for a writer.
    if !std::fs::metadata(file).ok()?.is_file() {
        return None;
    }
    let mut text = String::new();
    File::open(file).ok()?.take(POINTER_BYTES).read_to_string(&mut text).ok()?;
    Some(text.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn git(folder: &Path, words: &[&str]) {
        let done = std::process::Command::new("git")
            .args(["-c", "user.name=a", "-c", "user.email=a@b"])
            .args(words)
            .current_dir(folder)
            .output()
            .unwrap();
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    }

    #[test]
    fn a_path_of_windows_is_written_as_claude_code_writes_it() {
        assert_eq!(slashed(r"C:\Users\jo\shop"), "C:/Users/jo/shop");
        assert_eq!(slashed(r"\\?\C:\Users\jo\shop"), "C:/Users/jo/shop");
        assert_eq!(slashed(r"\\?\UNC\server\share\shop"), "//server/share/shop");
    }

    #[cfg(unix)]
    #[test]
    fn a_folder_has_the_name_of_its_repository_and_a_worktree_that_of_the_main_checkout() {
        let folder = tempfile::TempDir::new().unwrap();
        let root = folder.path().canonicalize().unwrap();
        let (main, tree, plain) = (root.join("main"), root.join("tree"), root.join("plain"));
        for folder in [&main.join("a/b"), &plain] {
            std::fs::create_dir_all(folder).unwrap();
        }
        git(&main, &["init", "--quiet"]);
        git(&main, &["commit", "--quiet", "--allow-empty", "--message", "x"]);
        git(&main, &["worktree", "add", "--quiet", tree.to_str().unwrap()]);
        let of = |folder: &Path| PathBuf::from(claude_project(folder).unwrap());
        assert_eq!(of(&main.join("a/b")), main);
        assert_eq!(of(&tree), main);
        assert_eq!(of(&plain), plain);
        // A file that claims to be of a worktree of another repository.
        std::fs::copy(tree.join(".git"), plain.join(".git")).unwrap();
        assert_eq!(of(&plain), plain);
    }
}
