//! Where a bank is: from what a user wrote to a project's directory and the bank's directory in it.

use std::path::{Component, Path, PathBuf};

use memory_bank_core::document::CORE_DOCUMENTS;
use memory_bank_core::error::WorkspaceError;

use crate::dir::BankDir;

/// The four core documents under the names that the original once gave them.
pub(crate) const OLD_CORE_NAMES: [&str; 4] =
    ["productContext.md", "activeContext.md", "decisionLog.md", "systemPatterns.md"];

/// A project's directory, and the directory of its bank.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Place {
    /// The project.
    pub(crate) project: PathBuf,
    /// The bank.
    pub(crate) bank: PathBuf,
}

/// What paths are relative to.
#[derive(Debug, Clone)]
pub(crate) struct Origin {
    /// Relative paths start here.
    pub(crate) working_directory: PathBuf,
    /// What `~` stands for.
    pub(crate) home: Option<PathBuf>,
    /// The name of a bank's folder in its project.
    pub(crate) folder: String,
}

impl Origin {
    /// The absolute path that a user's words mean.
    ///
    /// # Errors
    /// It is empty, has a null byte, or starts with a `~` that stands for nothing.
    pub(crate) fn absolute(&self, words: &str) -> Result<PathBuf, WorkspaceError> {
        if words.trim().is_empty() || words.contains('\0') {
            return Err(WorkspaceError::Refused(format!("`{}` is not a path", words.escape_debug())));
        }
        let path = match words.strip_prefix('~') {
            None => self.working_directory.join(words),
            Some(rest) if rest.is_empty() || rest.starts_with(['/', '\\']) => {
                let home = self.home.as_ref().ok_or_else(|| {
                    WorkspaceError::Refused(format!(
                        "`{words}`: there is no home directory; give an absolute path"
                    ))
                })?;
                home.join(rest.trim_start_matches(['/', '\\']))
            }
            Some(_) => {
                return Err(WorkspaceError::Refused(format!(
                    "`{words}`: another user's home is not looked up; give an absolute path, or `./{words}`"
                )));
            }
        };
        Ok(tidied(&path))
    }

    /// The place that a project path, or the path of the bank folder itself, means. Looks at the disk.
    #[must_use]
    pub(crate) fn place(&self, path: &Path) -> Place {
        let inside = Place { project: path.to_owned(), bank: path.join(&self.folder) };
        if is_bank(&inside.bank) {
            return inside;
        }
        let is_named_so = path.file_name().is_some_and(|name| name == self.folder.as_str());
        match path.parent() {
            Some(parent) if is_named_so || has_core_document(path) => {
                Place { project: parent.to_owned(), bank: path.to_owned() }
            }
            _ => inside,
        }
    }
}

/// Whether this is a bank: a folder with at least one `*.md`.
#[must_use]
pub(crate) fn is_bank(path: &Path) -> bool {
    let Ok(entries) = BankDir::open(path).and_then(|dir| dir.entries("")) else { return false };
    entries.iter().any(|entry| entry.is_file && entry.name.to_ascii_lowercase().ends_with(".md"))
}

fn has_core_document(path: &Path) -> bool {
    let Ok(dir) = BankDir::open(path) else { return false };
    CORE_DOCUMENTS.iter().chain(&OLD_CORE_NAMES).any(|name| dir.stamp(name).is_some())
}

/// Without `.` parts, and with `..` taken back where that changes nothing but the spelling.
fn tidied(path: &Path) -> PathBuf {
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
        }
    }

    #[test]
    fn d51_a_tilde_is_the_home_directory() {
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
    fn d18_the_bank_folder_itself_means_its_project() {
        let temp = TempDir::new().unwrap();
        let project = temp.path().join("p");
        let place = Place { project: project.clone(), bank: project.join("memory-bank") };
        assert_eq!(origin().place(&project), place);
        assert_eq!(origin().place(&project.join("memory-bank")), place);
    }

    #[test]
    fn a_project_that_is_called_like_the_folder_keeps_its_bank() {
        let temp = TempDir::new().unwrap();
        let project = temp.path().join("memory-bank");
        std::fs::create_dir_all(project.join("memory-bank")).unwrap();
        std::fs::write(project.join("memory-bank/progress.md"), "").unwrap();
        assert_eq!(origin().place(&project).bank, project.join("memory-bank"));
    }

    #[test]
    fn a_project_with_a_readme_is_not_taken_for_a_bank() {
        let temp = TempDir::new().unwrap();
        std::fs::write(temp.path().join("README.md"), "").unwrap();
        assert_eq!(origin().place(temp.path()).bank, temp.path().join("memory-bank"));
        std::fs::write(temp.path().join("progress.md"), "").unwrap();
        assert_eq!(origin().place(temp.path()).bank, temp.path());
    }
}
