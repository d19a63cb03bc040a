//! The files with the hooks of each agent. It must not know their content.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use super::entry::suffix;
use super::{Client, ClientPaths, DEFAULT_NAME, Scope};

impl Client {
    /// The file with the hooks of a server's name in this scope; none if it has none. A file of hooks alone has one name.
    pub(crate) fn hook_file(
        self,
        scope: Scope,
        project: &Path,
        paths: &ClientPaths,
        name: &str,
    ) -> Option<PathBuf> {
        let row = self.hook_row()?;
        let file = match scope {
            Scope::User => paths.settings_folder(self)?.join(row.user),
            Scope::Project => project.join(row.project),
            Scope::Local => project.join(row.local?),
        };
        let Some(suffix) = suffix(name).filter(|_| row.is_own) else { return Some(file) };
        let (stem, extension) = (file.file_stem()?.to_str()?, file.extension()?.to_str()?);
        Some(file.with_file_name(format!("{stem}-{suffix}.{extension}")))
    }

    /// The files with its hooks in this scope, for each server's name.
    pub(crate) fn hook_files(self, scope: Scope, project: &Path, paths: &ClientPaths) -> Vec<PathBuf> {
        let Some(file) = self.hook_file(scope, project, paths, DEFAULT_NAME) else { return Vec::new() };
        let mut files = vec![file.clone()];
        if self.has_own_hook_file() {
            files.extend(files_beside(&file));
        }
        files
    }
}

/// The files beside it whose name starts with its own, in order.
fn files_beside(file: &Path) -> Vec<PathBuf> {
    let start = file.file_stem().and_then(OsStr::to_str).map(|stem| format!("{stem}-"));
    let (Some(start), Some(entries)) = (start, file.parent().and_then(|folder| folder.read_dir().ok()))
    else {
        return Vec::new();
    };
    let is_one = |found: &PathBuf| {
        let name = found.file_name().and_then(OsStr::to_str);
        name.is_some_and(|name| name.starts_with(&start)) && found.extension() == file.extension()
    };
    let mut found: Vec<_> = entries.flatten().map(|entry| entry.path()).filter(is_one).collect();
    found.sort_unstable();
    found
}
