//! The user's state folder, for data that must not be in a project, since a project may come from another person: API
//! keys, and registered folders outside of the project. This module must not know the data.

use std::io;
use std::path::{Path, PathBuf};

use memory_bank_core::identity::KeyHash;

use crate::dir::{BankDir, reason};
use crate::git::{Tracked, tracked};
use crate::system;
pub(crate) use crate::system::check_owner;

/// The user's state folder of this program. It is created when something is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StateFolder {
    path: PathBuf,
}

impl StateFolder {
    /// The folder at `path`.
    #[must_use]
    pub fn new(path: PathBuf) -> Self {
        Self { path }
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Opens a folder in it that only its owner may enter, making it if need be.
    ///
    /// # Errors
    /// It cannot be made, or belongs to somebody else.
    pub(crate) fn open(&self, name: &str) -> io::Result<BankDir> {
        let path = self.path.join(name);
        let mut builder = std::fs::DirBuilder::new();
        builder.recursive(true);
        system::private_folders(&mut builder);
        builder.create(&path)?;
        let dir = self.own_folder(name)?;
        check_owner(&dir.metadata()?)?;
        dir.close_to_others()?;
        Ok(dir)
    }

    /// Opens a folder as [`Self::open`] does, but changes nothing; none if there is none.
    ///
    /// # Errors
    /// It cannot be opened, or belongs to somebody else.
    pub(crate) fn open_existing(&self, name: &str) -> io::Result<Option<BankDir>> {
        let dir = match self.own_folder(name) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            dir => dir?,
        };
        check_owner(&dir.metadata()?)?;
        Ok(Some(dir))
    }

    /// A folder in it that is not a link: where the state folder lies in a project, a link there would have files made, and
    /// rights taken, wherever it leads.
    fn own_folder(&self, name: &str) -> io::Result<BankDir> {
        BankDir::open(&self.path)?.open_own_folder(name)
    }
}

/// Shows that a folder was made on this machine.
const MADE_HERE: &str = "made-here";

/// Makes such a mark where a folder of a state folder in the project is new, with nothing but locks in it. What a project brings along
/// has none: an archive sets neither the number of a file nor the time at which it was made.
pub(crate) fn mark_new(dir: &BankDir, path: &Path, project: &Path) -> io::Result<()> {
    if !is_in(path, project)? || dir.names_in("").iter().any(|name| !name.ends_with(".lock")) {
        return Ok(());
    }
    let mut options = cap_std::fs::OpenOptions::new();
    let mut file = dir.open_file(MADE_HERE, options.write(true).create_new(true))?.into_std();
    let own = identity(dir, &file)?;
    io::Write::write_all(&mut file, own.as_bytes())?;
    file.sync_all()
}

/// Whether data in a folder of the state folder can be of this machine: the state folder is not in the project, or the folder was made
/// here.
///
/// # Errors
/// It cannot; the message has the reason and the remedy.
pub(crate) fn check_made_here(dir: &BankDir, path: &Path, project: &Path) -> Result<(), String> {
    let is_made_here = || -> io::Result<bool> {
        if !is_in(path, project)? {
            return Ok(true);
        }
        let mut options = cap_std::fs::OpenOptions::new();
        let file = match dir.open_file(MADE_HERE, options.read(true)) {
            Ok(file) => file.into_std(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(error),
        };
        let own = identity(dir, &file)?;
        let mut found = String::new();
        io::Read::read_to_string(&mut io::Read::take(file, 256), &mut found)?;
        Ok(found == own)
    };
    match is_made_here() {
        Ok(true) => Ok(()),
        Ok(false) => Err(
            "the state folder is in the project and was not made on this machine, so it may be another person's; remove it, or name a \
             folder elsewhere with `--state-dir`"
                .to_owned(),
        ),
        Err(error) => Err(reason(&error)),
    }
}

fn is_in(path: &Path, project: &Path) -> io::Result<bool> {
    let project = fs_err::canonicalize(project).unwrap_or_else(|_| project.to_owned());
    Ok(fs_err::canonicalize(path)?.starts_with(project))
}

/// The number of the mark in the file system, and the time at which it was made there.
fn identity(dir: &BankDir, file: &std::fs::File) -> io::Result<String> {
    let inode = dir.stamp_own(MADE_HERE).map(|stamp| stamp.inode).ok_or(io::ErrorKind::NotFound)?;
    let made = system::made_at(file)?;
    Ok(format!("{inode} {}\n", made.as_nanos()))
}

/// A file name for data of the folder at this canonical path.
pub(crate) fn name_for(path: &Path) -> String {
    KeyHash::of(path.as_os_str().as_encoded_bytes()).to_hex().chars().take(32).collect()
}

/// Whether a file in the state folder can be trusted: this user's, closed to others, and, where the state folder lies in
/// the project, not in its repository.
///
/// # Errors
/// It cannot; the message has the reason and the remedy.
pub(crate) fn check_file(dir: &BankDir, name: &str, path: &Path, project: &Path) -> Result<(), String> {
    let mut options = cap_std::fs::OpenOptions::new();
    let file = dir.open_file(name, options.read(true)).map_err(|error| reason(&error))?;
    let metadata = file.into_std().metadata().map_err(|error| reason(&error))?;
    check_owner(&metadata).map_err(|error| error.to_string())?;
    if system::is_open_to_others(&metadata) {
        return Err("others may read or change it; check its content, then `chmod 600` it".to_owned());
    }
    let real = fs_err::canonicalize(path).map_err(|error| reason(&error))?;
    if real.starts_with(project) && tracked(&real) != Tracked::No {
        return Err(
            "it lies in the project's repository, and may be another person's; name a folder elsewhere with \
                    `--state-dir`"
                .to_owned(),
        );
    }
    Ok(())
}
