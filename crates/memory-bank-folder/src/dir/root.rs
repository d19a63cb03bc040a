//! Where a bank's directory is, and from where on links are not trusted: a repository may contain a bank's folder
//! that is a link, and its name was not chosen by the user.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use cap_fs_ext::{DirExt, MetadataExt};
use cap_std::ambient_authority;
use cap_std::fs::Dir;
use memory_bank_core::document::is_reserved;

use crate::dir::BankDir;
use crate::system;

/// The way to a bank's directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Root {
    path: PathBuf,
    /// The project, and the bank's path in it; none where links are followed.
    within: Option<(PathBuf, PathBuf)>,
}

/// A link that is not followed, since it leads out of the project.
#[derive(Debug)]
pub struct LeadsOut {
    /// Where it leads.
    pub to: PathBuf,
}

impl fmt::Display for LeadsOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("its folder is a link that leads out of the project")
    }
}

impl std::error::Error for LeadsOut {}

impl Root {
    /// The directory `path`, with all links: the user who starts the server chose it.
    #[must_use]
    pub fn anywhere(path: PathBuf) -> Self {
        Self { path, within: None }
    }

    /// The directory `path`, which is below `project` and must really be there. How `project` itself is reached was
    /// chosen by the user.
    #[must_use]
    pub fn within(project: &Path, path: PathBuf) -> Self {
        let inner = path.strip_prefix(project).ok().map(Path::to_owned);
        let within = inner.map(|inner| (project.to_owned(), inner));
        Self { path, within }
    }

    /// The directory's path on the host.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Opens the directory.
    ///
    /// # Errors
    /// There is none, or it leads out of the project ([`LeadsOut`]).
    pub fn open(&self) -> io::Result<BankDir> {
        let Some((project, inner)) = &self.within else { return BankDir::open(&self.path) };
        system::check_place(project)?;
        let project = system::retry_open(|| Dir::open_ambient_dir(project, ambient_authority()))?;
        let inner = if inner.as_os_str().is_empty() { Path::new(".") } else { inner };
        // A link, also an absolute one, may lead to another place in the project; there it is opened without links.
        let is_link = project.symlink_metadata(inner).is_ok_and(|metadata| metadata.is_symlink());
        if !is_link {
            return Ok(BankDir { dir: system::retry_open(|| project.open_dir_nofollow(inner))? });
        }
        match (self.leads_out(), self.real_inner()) {
            (Some(to), _) => Err(io::Error::other(LeadsOut { to })),
            (None, Some(real)) => Ok(BankDir { dir: project.open_dir_nofollow(real)? }),
            (None, None) => Err(io::Error::from(io::ErrorKind::NotFound)),
        }
    }

    /// Opens the directory, and creates it if it is missing. Its parent must exist.
    ///
    /// # Errors
    /// It cannot be made, or as [`Self::open`].
    pub fn create(&self) -> io::Result<BankDir> {
        let (above, name) = match &self.within {
            Some((project, inner)) => (project.as_path(), inner.as_path()),
            None => (
                self.path.parent().unwrap_or(&self.path),
                self.path.file_name().map_or(Path::new(""), Path::new),
            ),
        };
        if !name.as_os_str().is_empty() {
            let above = system::retry_open(|| Dir::open_ambient_dir(above, ambient_authority()))?;
            match above.create_dir(name) {
                Ok(()) => flush_name_in(&above)?,
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return self.open().map_err(|_| error),
            }
        }
        self.open()
    }

    /// Where the path leads, if that is not in the project.
    #[must_use]
    pub fn leads_out(&self) -> Option<PathBuf> {
        let (project, _) = self.within.as_ref()?;
        if !self.path.is_symlink() || self.real_inner().is_some() {
            return None;
        }
        let named = || {
            let link = std::fs::read_link(&self.path).unwrap_or_else(|_| self.path.clone());
            project.join(link)
        };
        Some(fs_err::canonicalize(&self.path).unwrap_or_else(|_| named()))
    }

    /// The path in the project that a link leads to.
    fn real_inner(&self) -> Option<PathBuf> {
        let (project, _) = self.within.as_ref()?;
        let (project, real) = (fs_err::canonicalize(project).ok()?, fs_err::canonicalize(&self.path).ok()?);
        let inner = real.strip_prefix(project).ok()?;
        // Version control's folders do not belong to the project: a file put there could be a program that is run.
        if inner.components().any(|part| is_reserved(&part.as_os_str().to_string_lossy())) {
            return None;
        }
        Some(if inner.as_os_str().is_empty() { PathBuf::from(".") } else { inner.to_owned() })
    }
}

/// Makes a new name in a folder durable: what is written below it is lost with it.
///
/// # Errors
/// The file system failed. A folder that may be changed and not read cannot be flushed, and is no error.
pub(crate) fn flush_name_in(folder: &Dir) -> io::Result<()> {
    match system::sync_folder(folder, Path::new(".")) {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Ok(()),
        flushed => flushed,
    }
}

impl BankDir {
    /// Whether this is the very directory that `root` leads to now.
    #[must_use]
    pub fn is_at(&self, root: &Root) -> bool {
        let here = self.dir.dir_metadata();
        let there = root.open().and_then(|there| there.dir.dir_metadata());
        matches!((here, there), (Ok(a), Ok(b)) if a.ino() == b.ino() && a.dev() == b.dev())
    }
}
