//! Where a bank is: from a user's path to a project's directory and the bank's directory in it.

use std::path::{Component, Path, PathBuf};

use cap_std::ambient_authority;
use cap_std::fs::Dir;
use memory_bank_core::document::CORE_DOCUMENTS;
use memory_bank_core::error::WorkspaceError;

use crate::dir::{BankDir, FolderEntry, Root, flush_name_in, reason};
use crate::documents::is_document;
use crate::path_check;

/// The four core documents under the names that the original once gave them.
pub(crate) const OLD_CORE_NAMES: [&str; 4] =
    ["productContext.md", "activeContext.md", "decisionLog.md", "systemPatterns.md"];

/// A project's directory, and the directory of its bank.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct BankPaths {
    /// The project.
    pub(crate) project: PathBuf,
    /// The bank.
    pub(crate) bank: PathBuf,
}

/// The folder that paths are relative to.
#[derive(Debug, Clone)]
pub(crate) struct Origin {
    /// Relative paths start here.
    pub(crate) working_directory: PathBuf,
    /// The directory that replaces `~`.
    pub(crate) home: Option<PathBuf>,
    /// The name of a bank's folder in its project.
    pub(crate) folder: String,
    /// Whether a bank may be reached through a link out of its project. Only the user who starts the server decides.
    pub(crate) follow_links: bool,
}

impl Origin {
    /// The absolute path that a user's text means.
    ///
    /// # Errors
    /// It has a form that cannot be meant ([`path_check`]), or starts with a `~` without a home directory.
    pub(crate) fn absolute(&self, text: &str) -> Result<PathBuf, WorkspaceError> {
        path_check::check(text).map_err(WorkspaceError::Refused)?;
        let path = match text.strip_prefix('~') {
            None => self.working_directory.join(text),
            Some(rest) if rest.is_empty() || rest.starts_with(['/', '\\']) => {
                let home = self.home.as_ref().ok_or_else(|| {
                    WorkspaceError::Refused(format!(
                        "`{text}`: there is no home directory; give an absolute path"
                    ))
                })?;
                home.join(rest.trim_start_matches(['/', '\\']))
            }
            Some(_) => {
                return Err(WorkspaceError::Refused(format!(
                    "`{text}`: another user's home is not looked up; give an absolute path, or `./{text}`"
                )));
            }
        };
        Ok(normalised(&path))
    }

    /// The place that a path means to a server of this project. Reads the disk.
    #[must_use]
    pub(crate) fn paths_for(&self, project: &Path, path: &Path) -> BankPaths {
        let is_own = path == project
            || matches!((fs_err::canonicalize(path), fs_err::canonicalize(project)), (Ok(a), Ok(b)) if a == b);
        if is_own { self.inside(path) } else { self.paths(path) }
    }

    /// The place with this project; the disk is not read.
    pub(crate) fn inside(&self, path: &Path) -> BankPaths {
        BankPaths { project: path.to_owned(), bank: path.join(&self.folder) }
    }

    /// The place where the path has the bank in it, or the bank's own name.
    pub(crate) fn named(&self, path: &Path) -> Option<BankPaths> {
        let inside = self.inside(path);
        if is_bank(&self.root(&inside)) {
            return Some(inside);
        }
        // A repository may be called like the folder; then it is a project, unless it holds a bank's documents.
        let is_named_so = path.file_name().is_some_and(|name| name == self.folder.as_str())
            && (path.join(".git").symlink_metadata().is_err() || has_core_document(path));
        let parent = path.parent().filter(|_| is_named_so)?;
        Some(BankPaths { project: parent.to_owned(), bank: path.to_owned() })
    }

    /// The place that a project path, or the path of the bank folder itself, means. Reads the disk.
    #[must_use]
    pub(crate) fn paths(&self, path: &Path) -> BankPaths {
        if let Some(paths) = self.named(path) {
            return paths;
        }
        match path.parent() {
            Some(_) if has_core_document(path) => {
                // The bank itself was named, so a link of that name is the user's.
                let real = fs_err::canonicalize(path).unwrap_or_else(|_| path.to_owned());
                let bank = if path.is_symlink() { real } else { path.to_owned() };
                let project = bank.parent().map_or_else(|| bank.clone(), Path::to_owned);
                BankPaths { project, bank }
            }
            _ => self.inside(path),
        }
    }

    /// The way to the bank of a place.
    #[must_use]
    pub(crate) fn root(&self, paths: &BankPaths) -> Root {
        if self.follow_links {
            return Root::anywhere(paths.bank.clone());
        }
        Root::within(&paths.project, paths.bank.clone())
    }
}

/// The name of a project that has no registered id.
pub(crate) fn base_name(path: &Path) -> String {
    path.file_name().map_or_else(|| path.display().to_string(), |name| name.to_string_lossy().into_owned())
}

/// The message for a link that is not followed. Remote clients do not see the path.
pub(crate) fn leads_out(link: &Path, to: &Path, shows_paths: bool) -> String {
    const ADVICE: &str =
        "it is not followed; if you made it yourself, start the server with `--follow-links`, else remove it";
    // On Windows `to` may be canonical.
    let to = dunce::simplified(to);
    if shows_paths {
        return format!("`{}` leads out of the project, to `{}`; {ADVICE}", link.display(), to.display());
    }
    tracing::warn!(link = %link.display(), to = %to.display(), "a link leads out of the project and is not followed");
    format!("the memory bank's folder is a link that leads out of the project; {ADVICE}")
}

/// The real location of a path below `project`, if it differs: a part of it may be a link.
pub(crate) fn real_path_outside(project: &Path, path: &Path) -> Option<PathBuf> {
    if !path.starts_with(project) {
        return None;
    }
    let project_itself = fs_err::canonicalize(project).ok()?;
    let there = path.ancestors().find(|part| part.symlink_metadata().is_ok())?;
    let real = fs_err::canonicalize(there).unwrap_or_else(|_| {
        let link = std::fs::read_link(there).unwrap_or_default();
        there.parent().unwrap_or(there).join(link)
    });
    (!real.starts_with(&project_itself)).then_some(real)
}

/// Makes a project's folder, if need be, where there is one to make it in. Whether it was made.
///
/// # Errors
/// It cannot be made; the text names the first folder that is missing.
pub(crate) fn make_project(project: &Path) -> Result<bool, String> {
    if project.is_dir() {
        return Ok(false);
    }
    let shown = project.display();
    let missing = project.ancestors().skip(1).take_while(|above| above.symlink_metadata().is_err()).last();
    if let Some(missing) = missing {
        return Err(format!(
            "`{shown}` cannot be made: there is no folder `{}`; give the path of a project that exists, or make that folder \
             first",
            missing.display()
        ));
    }
    let failed = |error: std::io::Error| format!("`{shown}` cannot be made: {}", reason(&error));
    fs_err::create_dir(project).map_err(failed)?;
    let above = project.parent().unwrap_or(project);
    Dir::open_ambient_dir(above, ambient_authority())
        .and_then(|above| flush_name_in(&above))
        .map_err(failed)?;
    Ok(true)
}

/// Whether this is a bank: a folder with at least one `*.md`, in it or in a folder below. A repository of that name is one
/// only if it holds a document that every bank has: others contain sources and their documentation.
#[must_use]
pub(crate) fn is_bank(root: &Root) -> bool {
    let Ok(dir) = root.open() else { return false };
    let is_document =
        |entry: &FolderEntry| is_document(entry) && entry.name.to_ascii_lowercase().ends_with(".md");
    // The bank itself is checked first, since that is where most banks have documents.
    let holds_one = || {
        dir.entries("").is_ok_and(|entries| entries.iter().any(is_document))
            || dir.walk().is_ok_and(|entries| entries.iter().any(is_document))
    };
    if dir.exists(".git") { has_core(&dir) } else { holds_one() }
}

fn has_core_document(path: &Path) -> bool {
    BankDir::open(path).is_ok_and(|dir| has_core(&dir))
}

fn has_core(dir: &BankDir) -> bool {
    CORE_DOCUMENTS.iter().chain(&OLD_CORE_NAMES).any(|name| dir.stamp(name).is_some())
}

/// Without `.` parts, and with `..` taken back where that changes nothing but the spelling.
fn normalised(path: &Path) -> PathBuf {
    let mut tidy = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir if !tidy.is_symlink() && tidy.file_name().is_some() => {
                tidy.pop();
            }
            part => tidy.push(part),
        }
    }
    tidy
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;

    fn origin() -> Origin {
        Origin {
            working_directory: PathBuf::from("/srv/dir"),
            home: Some(PathBuf::from("/home/alice")),
            folder: "memory-bank".to_owned(),
            follow_links: false,
        }
    }

    #[test]
    fn a_tilde_is_the_home_directory() {
        assert_eq!(origin().absolute("~/mb").unwrap(), Path::new("/home/alice/mb"));
        assert_eq!(origin().absolute("~").unwrap(), Path::new("/home/alice"));
        origin().absolute("~bob/mb").unwrap_err();
        let homeless = Origin { home: None, ..origin() };
        homeless.absolute("~/mb").unwrap_err();
    }

    #[test]
    fn relative_paths_start_at_the_working_directory() {
        assert_eq!(origin().absolute("./a/../b/").unwrap(), Path::new("/srv/dir/b"));
        assert_eq!(origin().absolute("/x").unwrap(), Path::new("/x"));
        origin().absolute(" ").unwrap_err();
        origin().absolute("a\0").unwrap_err();
    }

    #[test]
    fn the_bank_folder_itself_means_its_project() {
        let temp = TempDir::new().unwrap();
        let project = temp.path().join("p");
        let paths = BankPaths { project: project.clone(), bank: project.join("memory-bank") };
        assert_eq!(origin().paths(&project), paths);
        assert_eq!(origin().paths(&project.join("memory-bank")), paths);
    }

    #[test]
    fn a_project_that_is_called_like_the_folder_keeps_its_bank() {
        let temp = TempDir::new().unwrap();
        let project = temp.path().join("memory-bank");
        std::fs::create_dir_all(project.join("memory-bank")).unwrap();
        std::fs::write(project.join("memory-bank/progress.md"), "").unwrap();
        assert_eq!(origin().paths(&project).bank, project.join("memory-bank"));
    }

    #[test]
    fn a_project_with_a_readme_is_not_taken_for_a_bank() {
        let temp = TempDir::new().unwrap();
        std::fs::write(temp.path().join("README.md"), "").unwrap();
        assert_eq!(origin().paths(temp.path()).bank, temp.path().join("memory-bank"));
        std::fs::write(temp.path().join("progress.md"), "").unwrap();
        assert_eq!(origin().paths(temp.path()).bank, temp.path());
    }
}
