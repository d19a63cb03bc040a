//! Which folders may be opened: paths of clients, and entries of the registry. Both may lead to unintended places,
//! through links and files that came with the project. This module must not know what a bank contains.

use std::path::{Path, PathBuf};

use memory_bank_core::error::WorkspaceError;
use memory_bank_core::store::{RegisteredStore, StoreKind};

use crate::approved_folders::ApprovedFolders;
use crate::bank_paths::{BankPaths, Origin, leads_out, real_path_outside};

/// The place that `path` means.
///
/// # Errors
/// Links lead out of the server's project on the way there, or out of the bank's own. Reads the disk.
pub(crate) fn confined(
    origin: &Origin,
    project: &Path,
    path: &Path,
    shows_paths: bool,
) -> Result<BankPaths, WorkspaceError> {
    let refused = |link: &Path, to: &Path| WorkspaceError::Refused(leads_out(link, to, shows_paths));
    // A repository may be called like the folder; then it is the bank, and its links lead out of it.
    for folder in [project, &project.join(&origin.folder)] {
        if !origin.follow_links
            && let Some(to) = real_path_outside(folder, path)
        {
            return Err(refused(path, &to));
        }
    }
    let paths = origin.paths_for(project, path);
    match origin.root(&paths).leads_out() {
        Some(to) => Err(refused(&paths.bank, &to)),
        None => Ok(paths),
    }
}

/// Which entries of the registry are used.
#[derive(Clone)]
pub(crate) struct RegistryAccess {
    pub(crate) origin: Origin,
    /// The server's own project.
    pub(crate) project: PathBuf,
    pub(crate) approved: ApprovedFolders,
}

impl RegistryAccess {
    /// Whether a path is in the server's project, or was registered by the user. Blocks.
    pub(crate) fn allows(&self, path: &str) -> bool {
        let there = Path::new(path);
        let is_inside = || {
            let project = fs_err::canonicalize(&self.project).unwrap_or_else(|_| self.project.clone());
            let real = fs_err::canonicalize(there);
            match real {
                Ok(real) => real.starts_with(project),
                Err(_) => {
                    there.starts_with(&self.project) && real_path_outside(&self.project, there).is_none()
                }
            }
        };
        self.origin.follow_links || self.approved.holds(path) || is_inside()
    }

    /// The place of an entry; none if it is not on this machine, or not to be used. Blocks.
    pub(crate) fn paths(&self, store: &RegisteredStore) -> Option<BankPaths> {
        let is_used = store.kind == StoreKind::Local && self.allows(&store.project_path);
        is_used.then(|| self.origin.paths_for(&self.project, Path::new(&store.project_path)))
    }
}
