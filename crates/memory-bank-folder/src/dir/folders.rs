//! Folders in the bank: made, opened, renamed and removed.

use std::io;
use std::path::{Path, PathBuf};

use cap_fs_ext::DirExt;

use crate::dir::BankDir;
use crate::system;

impl BankDir {
    /// Refuses a name that is reached through a link: each of its folders, and with `itself` the name too, must be a
    /// folder of the bank or not exist.
    ///
    /// # Errors
    /// One of them is something else; the text names it.
    pub fn check_folders(&self, name: &str, itself: bool) -> io::Result<()> {
        let path = Path::new(name);
        for folder in
            path.ancestors().skip(usize::from(!itself)).filter(|folder| !folder.as_os_str().is_empty())
        {
            match self.dir.symlink_metadata(folder) {
                Ok(metadata) if metadata.is_dir() => self.check_spelling(folder)?,
                Ok(_) => {
                    let shown = folder.display();
                    return Err(io::Error::other(format!(
                        "`{shown}` is not a folder of the memory bank's own"
                    )));
                }
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Makes a folder of the bank, and those above it, if need be.
    ///
    /// # Errors
    /// The folder cannot be made.
    pub fn create_folder(&self, name: &str) -> io::Result<()> {
        if self.dir.metadata(name).is_ok_and(|metadata| metadata.is_dir()) {
            return Ok(());
        }
        system::check_name(Path::new(name))?;
        let mut folder = PathBuf::new();
        for part in Path::new(name).components() {
            let above = folder.clone();
            folder.push(part);
            match self.dir.create_dir(&folder) {
                // Each name must be on the disk before a file in it counts as written.
                Ok(()) => self.sync(&above)?,
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
        }
        if self.dir.metadata(name)?.is_dir() {
            return Ok(());
        }
        Err(io::Error::other(format!("`{name}` is not a folder")))
    }

    /// Opens a folder of this directory as a directory of its own.
    ///
    /// # Errors
    /// There is none, or it is a link that leads out.
    pub fn open_folder(&self, name: &str) -> io::Result<Self> {
        Ok(Self { dir: system::retry_open(|| self.dir.open_dir(name))? })
    }

    /// Opens a folder as [`Self::open_folder`] does, but refuses a link, wherever it leads.
    ///
    /// # Errors
    /// There is none, or it is something else.
    pub(crate) fn open_own_folder(&self, name: &str) -> io::Result<Self> {
        self.check_own_folder(Path::new(name))?;
        Ok(Self { dir: system::retry_open(|| self.dir.open_dir_nofollow(name))? })
    }

    /// Makes a folder that must not exist yet.
    ///
    /// # Errors
    /// `AlreadyExists`, or it cannot be made.
    pub fn create_new_folder(&self, name: &str) -> io::Result<Self> {
        self.dir.create_dir(name)?;
        self.open_folder(name)
    }

    /// Gives a folder another name in this one, durably.
    ///
    /// # Errors
    /// The rename failed.
    pub fn rename_folder(&self, from: &str, to: &str) -> io::Result<()> {
        system::retry_change(|| self.dir.rename(from, &self.dir, to))?;
        self.sync(Path::new(""))
    }

    /// Moves a folder into another directory, under the same name.
    ///
    /// # Errors
    /// The rename failed.
    pub(crate) fn move_folder(&self, name: &str, to: &Self) -> io::Result<()> {
        system::retry_change(|| self.dir.rename(name, &to.dir, name))
    }

    /// Removes a folder with all that is in it.
    ///
    /// # Errors
    /// It cannot be removed.
    pub fn remove_folder(&self, name: &str) -> io::Result<()> {
        system::retry_change(|| self.dir.remove_dir_all(name))
    }

    /// Refuses everything but a folder; a link to one is refused as well.
    pub(super) fn check_own_folder(&self, folder: &Path) -> io::Result<()> {
        let found = self.dir.symlink_metadata(folder);
        if let (Err(error), Some(parent)) = (&found, folder.parent())
            && error.kind() == io::ErrorKind::NotADirectory
        {
            self.check_own_folder(parent)?;
        }
        if found?.is_dir() {
            return Ok(());
        }
        Err(io::Error::other(format!("`{}` is not a folder; remove it", folder.display())))
    }
}
