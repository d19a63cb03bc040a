//! How a server of folders is started, and the checks of its options.

use std::path::{Path, PathBuf};

use memory_bank_core::error::WorkspaceError;

use crate::bank_paths::Origin;
use crate::dir::is_reserved;
use crate::path_check;
use crate::state_folder::StateFolder;

/// How a server was started.
#[derive(Debug, Clone)]
pub struct FolderOptions {
    /// `--path`; the working directory when absent. The only place that is searched for a bank by default.
    pub path: Option<String>,
    /// `--folder`; `memory-bank` when absent.
    pub folder: Option<String>,
    /// The directory in which the process was started.
    pub working_directory: PathBuf,
    /// The directory that replaces `~`.
    pub home: Option<PathBuf>,
    /// Whether to watch the active bank for changes by others.
    pub watch: bool,
    /// Whether clients are on this machine, and so may see and send paths.
    pub shows_paths: bool,
    /// Whether a bank may be reached through a link out of its project. Nothing in a repository decides this.
    pub follow_links: bool,
    /// Where registered folders outside of the project are stored; without, they are valid for this process only.
    pub state: Option<StateFolder>,
}

/// The project that `path` means, as `FolderWorkspace::start` finds it: the bank's folder itself may have been named, and
/// without `path` the bank may be above the working directory.
///
/// # Errors
/// `path` is not usable.
pub fn project_of(
    path: Option<&str>,
    folder: &str,
    working_directory: &Path,
    home: Option<PathBuf>,
) -> Result<PathBuf, WorkspaceError> {
    let origin = Origin {
        working_directory: working_directory.to_owned(),
        home,
        folder: folder.to_owned(),
        follow_links: false,
    };
    Ok(origin.project(path)?.0)
}

/// Whether a bank's folder may be called so: one name below the project.
///
/// # Errors
/// It may not; the message has the reason.
pub fn check_folder_name(name: &str) -> Result<(), String> {
    path_check::check(name)?;
    if name.contains(['/', '\\']) || matches!(name, "." | ".." | "~") {
        return Err(format!("`{name}` is not one name; give the name of one folder, without `/`"));
    }
    if is_reserved(name) {
        return Err(format!("`{name}` belongs to version control or to the server; choose another name"));
    }
    Ok(())
}
