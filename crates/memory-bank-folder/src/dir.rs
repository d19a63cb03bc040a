//! One bank's directory, as a capability: nothing outside of it can be reached by any name.
//!
//! Names go through `cap-std`, so `..`, absolute paths and links that lead out fail in the operating system's own
//! resolution, not in a check with a race. Links that stay inside are followed, for reading and writing. This module
//! knows files and bytes; it must not know documents, graphs or locks.

mod entries;
mod folders;
mod internal;
mod names;
mod root;
mod spelling;
mod staged;

use std::io::{self, Read};
use std::path::{Component, Path, PathBuf};
use std::time::SystemTime;

use cap_fs_ext::{FollowSymlinks, MetadataExt, OpenOptionsFollowExt, OpenOptionsSyncExt};
use cap_std::ambient_authority;
use cap_std::fs::{Dir, File, Metadata, OpenOptions};
use jiff::Timestamp;
pub use memory_bank_core::document::is_reserved;
use memory_bank_core::error::StoreError;
use memory_bank_core::limits;

pub use crate::dir::entries::FolderEntry;
pub use crate::dir::names::{INTERNAL, reason, text_of};
use crate::dir::names::{not_a_file, too_large};
pub(crate) use crate::dir::root::flush_name_in;
pub use crate::dir::root::{LeadsOut, Root};
pub(crate) use crate::dir::staged::DRAFT_LIFETIME;
pub use crate::dir::staged::Staged;
use crate::system;

/// A bank's directory, opened. Keep it for one operation only: after a folder was deleted and created again (as a
/// change of branch does), an old handle would write into the deleted one.
#[derive(Debug)]
pub struct BankDir {
    dir: Dir,
}

/// A file's version: equal stamps mean equal content, as far as the file system knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct FileStamp {
    /// Size in bytes.
    pub bytes: u64,
    /// When it was last written.
    pub modified: SystemTime,
    /// The file's number; an atomic replacement gives it another one.
    pub inode: u64,
}

impl FileStamp {
    /// When the file was last written; the epoch if the time is out of range.
    #[must_use]
    pub fn updated_at(&self) -> Timestamp {
        Timestamp::try_from(self.modified).unwrap_or(Timestamp::UNIX_EPOCH)
    }

    /// The stamp of a file that is open.
    pub(crate) fn of(metadata: &Metadata) -> Self {
        Self {
            bytes: metadata.len(),
            modified: metadata.modified().map_or(SystemTime::UNIX_EPOCH, cap_std::time::SystemTime::into_std),
            inode: metadata.ino(),
        }
    }
}

/// The result of reading one file.
#[derive(Debug)]
pub enum FileRead {
    /// Its bytes.
    Found(Vec<u8>, FileStamp),
    /// The file does not exist.
    Missing,
    /// It cannot be read as a file of the bank; the text has the reason, without a host path.
    Unreadable(String),
}

impl BankDir {
    /// Opens the directory. The path itself is the user's choice and may be a link.
    ///
    /// # Errors
    /// There is no such directory, or it may not be opened.
    pub fn open(path: &Path) -> io::Result<Self> {
        system::check_place(path)?;
        Ok(Self { dir: system::retry_open(|| Dir::open_ambient_dir(path, ambient_authority()))? })
    }

    /// Opens the directory, making it first if need be.
    ///
    /// # Errors
    /// It cannot be made, or something else has its name.
    pub fn create(path: &Path) -> io::Result<Self> {
        Dir::create_ambient_dir_all(path, ambient_authority())?;
        Self::open(path)
    }

    /// Size, time and number of a regular file; none if there is none or it cannot be reached.
    #[must_use]
    pub fn stamp(&self, name: &str) -> Option<FileStamp> {
        let metadata = self.dir.metadata(name).ok()?;
        metadata.is_file().then(|| FileStamp::of(&metadata))
    }

    /// Size, time and number of the file with this name, without following a link; none if there is none.
    #[must_use]
    pub fn stamp_itself(&self, name: &str) -> Option<FileStamp> {
        self.dir.symlink_metadata(name).ok().map(|metadata| FileStamp::of(&metadata))
    }

    /// [`Self::stamp`] of a regular file, but none for a link to one.
    #[must_use]
    pub fn stamp_own(&self, name: &str) -> Option<FileStamp> {
        let metadata = self.dir.symlink_metadata(name).ok()?;
        metadata.is_file().then(|| FileStamp::of(&metadata))
    }

    /// Whether anything has this name.
    #[must_use]
    pub fn exists(&self, name: &str) -> bool {
        self.dir.symlink_metadata(name).is_ok()
    }

    /// Whether the name certainly does not exist. If it cannot be checked, it may exist.
    #[must_use]
    pub(crate) fn is_missing(&self, name: &str) -> bool {
        self.dir.symlink_metadata(name).is_err_and(|error| error.kind() == io::ErrorKind::NotFound)
    }

    /// Reads one file. Never blocks on a pipe or a device, never reads more than `limit` bytes.
    ///
    /// # Errors
    /// The disk failed. A file that cannot be served is [`FileRead::Unreadable`].
    pub fn read_up_to(&self, name: &str, limit: u64) -> Result<FileRead, StoreError> {
        let target = match self.resolve(name) {
            Ok(Some(target)) => target,
            Ok(None) => return Ok(FileRead::Missing),
            Err(error) => return Ok(FileRead::Unreadable(reason(&error))),
        };
        let file = match self.open_found(&target, OpenOptions::new().read(true)) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(FileRead::Missing),
            Err(error) => return Ok(FileRead::Unreadable(reason(&error))),
        };
        let metadata = file.metadata().map_err(StoreError::io(format!("cannot examine `{name}`")))?;
        if metadata.len() > limit {
            return Ok(FileRead::Unreadable(too_large(metadata.len(), limit)));
        }
        let mut bytes = Vec::with_capacity(usize::try_from(metadata.len()).unwrap_or(0));
        // The file may grow during the read.
        let read = (&file).take(limit.saturating_add(1)).read_to_end(&mut bytes);
        match read {
            Err(error) => Ok(FileRead::Unreadable(reason(&error))),
            Ok(got) if got as u64 > limit => Ok(FileRead::Unreadable(too_large(got as u64, limit))),
            Ok(_) => Ok(FileRead::Found(bytes, FileStamp::of(&metadata))),
        }
    }

    /// [`Self::read_up_to`] with [`limits::READABLE_BYTES`].
    ///
    /// # Errors
    /// The disk failed.
    pub fn read(&self, name: &str) -> Result<FileRead, StoreError> {
        self.read_up_to(name, limits::READABLE_BYTES)
    }

    /// Opens a regular file of the bank, for readers and appenders that go on by themselves. Never blocks.
    ///
    /// # Errors
    /// It does not exist (and `options` do not create it), leads out of the bank, or is not a regular file.
    pub fn open_file(&self, name: &str, options: &mut OpenOptions) -> io::Result<File> {
        let target = self.resolve(name)?.unwrap_or_else(|| PathBuf::from(name));
        self.open_found(&target, options)
    }

    /// Opens a regular file that is not a link. Checks before it opens, since opening a device may do something, and
    /// again afterwards, since another file may have the name by then.
    fn open_found(&self, target: &Path, options: &mut OpenOptions) -> io::Result<File> {
        match self.dir.symlink_metadata(target) {
            Ok(metadata) if !metadata.is_file() => return Err(io::Error::other(not_a_file(&metadata))),
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        options.nonblock(true).follow(FollowSymlinks::No);
        let file = system::retry_open(|| self.dir.open_with(target, options))?;
        let metadata = file.metadata()?;
        if metadata.is_file() { Ok(file) } else { Err(io::Error::other(not_a_file(&metadata))) }
    }

    /// Opens a regular file for its lock, making it if need be, for its owner alone. Follows no link and never blocks.
    ///
    /// # Errors
    /// It cannot be opened, or is something else.
    pub(crate) fn open_lock(&self, name: &str) -> io::Result<std::fs::File> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true);
        system::private(&mut options);
        self.open_found(Path::new(name), &mut options).map(File::into_std)
    }

    /// Takes from others the right to enter the directory.
    pub(crate) fn close_to_others(&self) -> io::Result<()> {
        system::close_to_others(&self.dir)
    }

    /// Metadata of the directory itself.
    pub(crate) fn metadata(&self) -> io::Result<std::fs::Metadata> {
        self.dir.try_clone()?.into_std_file().metadata()
    }

    /// The number of the directory itself.
    pub(crate) fn number(&self) -> io::Result<u64> {
        Ok(self.dir.dir_metadata()?.ino())
    }

    /// The target of a write to `name`: the name itself, or the target of a link.
    ///
    /// # Errors
    /// It is a link that leads out of the bank or nowhere, or not a regular file.
    pub fn target(&self, name: &str) -> io::Result<PathBuf> {
        let Some(target) = self.resolve(name)? else { return Ok(PathBuf::from(name)) };
        let metadata = self.dir.metadata(&target)?;
        if metadata.is_file() { Ok(target) } else { Err(io::Error::other(not_a_file(&metadata))) }
    }

    /// Writes a file that must not exist yet, durably.
    ///
    /// # Errors
    /// `AlreadyExists`, or it cannot be written.
    pub fn write_new(&self, name: &str, content: &mut dyn Read) -> io::Result<()> {
        system::check_name(Path::new(name))?;
        let mut file = self.dir.open_with(name, OpenOptions::new().write(true).create_new(true))?;
        io::copy(content, &mut file)?;
        file.sync_all()
    }

    /// Writes a new file with a given time of modification.
    ///
    /// # Errors
    /// As [`Self::write_new`].
    pub fn write_new_at(&self, name: &str, content: &[u8], modified: Timestamp) -> io::Result<()> {
        self.write_new(name, &mut io::Cursor::new(content))?;
        let file = self.dir.open_with(name, OpenOptions::new().write(true))?.into_std();
        file.set_modified(SystemTime::from(modified))?;
        file.sync_all()
    }

    /// Makes the names in this directory durable.
    ///
    /// # Errors
    /// The disk failed.
    pub fn sync_names(&self) -> io::Result<()> {
        self.sync(Path::new(""))
    }

    /// Removes a file (of a link: the link), durably. A missing file is not an error.
    ///
    /// # Errors
    /// It cannot be removed.
    pub fn remove(&self, name: &str) -> io::Result<()> {
        match system::retry_change(|| self.dir.remove_file(name)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(error),
            Ok(()) => self.sync(Path::new(name).parent().unwrap_or(Path::new(""))),
        }
    }

    /// Removes files of this folder as [`Self::remove`] does, and makes all of it durable at once. One that cannot be removed does not
    /// keep the others.
    ///
    /// # Errors
    /// One cannot be removed.
    pub fn remove_all<'n>(&self, names: impl IntoIterator<Item = &'n str>) -> io::Result<()> {
        let mut first_error = None;
        let mut is_changed = false;
        for name in names {
            match system::retry_change(|| self.dir.remove_file(name)) {
                Ok(()) => is_changed = true,
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => first_error = first_error.or(Some(error)),
            }
        }
        if is_changed {
            self.sync(Path::new(""))?;
        }
        first_error.map_or(Ok(()), Err)
    }

    /// Removes a file as [`Self::remove`] does, and the folders that are empty then.
    ///
    /// # Errors
    /// The file cannot be removed.
    pub fn remove_with_folders(&self, name: &str) -> io::Result<()> {
        self.remove(name)?;
        for folder in Path::new(name).ancestors().skip(1).filter(|folder| !folder.as_os_str().is_empty()) {
            // A folder that is not empty stays, and so do those above it.
            if self.dir.remove_dir(folder).is_err() {
                break;
            }
            self.sync(folder.parent().unwrap_or(Path::new("")))?;
        }
        Ok(())
    }

    /// Makes names in a folder durable.
    pub(crate) fn sync(&self, folder: &Path) -> io::Result<()> {
        let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
        system::sync_folder(&self.dir, folder)
    }

    /// The target of a name: the name itself, or the target of a link; none if there is none.
    fn resolve(&self, name: &str) -> io::Result<Option<PathBuf>> {
        system::check_name(Path::new(name))?;
        match self.dir.symlink_metadata(name) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
            Ok(metadata) if !metadata.is_symlink() => return Ok(Some(PathBuf::from(name))),
            Ok(_) => {}
        }
        let target = self.dir.canonicalize(name).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => io::Error::other("it is a link that leads nowhere"),
            io::ErrorKind::PermissionDenied => {
                io::Error::other("it is a link that leads out of the memory bank")
            }
            _ => error,
        })?;
        let first = target.components().find(|part| matches!(part, Component::Normal(_)));
        if first.is_some_and(|part| part.as_os_str().eq_ignore_ascii_case(INTERNAL)) {
            return Err(io::Error::other("it is a link into the server's own folder"));
        }
        self.check_spelling(&target)?;
        Ok(Some(target))
    }
}

#[cfg(unix)]
#[cfg(test)]
mod tests;
