//! The server's own folder in the bank ([`INTERNAL`]). Another program may have put anything there, so no link is followed.

use std::io;
use std::path::Path;

use cap_std::fs::{File, Metadata, OpenOptions};
use jiff::Timestamp;

use crate::dir::names::{HISTORY, INTERNAL, STAGE};
use crate::dir::{BankDir, FileStamp};
use crate::system;

/// The most things that are set aside from one place.
const MAX_SET_ASIDE: u32 = 100;

impl BankDir {
    /// Makes the server's own folder, with a note to git to leave it alone.
    ///
    /// # Errors
    /// The bank is read-only, or something else has the folder's name: a link there is never followed.
    pub fn prepare_internal(&self) -> io::Result<()> {
        if self.dir.symlink_metadata(STAGE).is_err() {
            if self.dir.symlink_metadata(INTERNAL).is_ok() {
                self.check_own_folder(Path::new(INTERNAL))?;
            }
            self.dir.create_dir_all(STAGE)?;
            self.sync(Path::new(INTERNAL))?;
            self.sync(Path::new(""))?;
            match self.write_new(&format!("{INTERNAL}/.gitignore"), &mut "*\n".as_bytes()) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                written => written?,
            }
        }
        self.check_internal()
    }

    pub(super) fn check_internal(&self) -> io::Result<()> {
        self.check_own_folder(Path::new(INTERNAL))?;
        self.check_own_folder(Path::new(STAGE))
    }

    /// Opens a regular file of the server's own folder, making it if `create`. Follows no link and never blocks.
    ///
    /// # Errors
    /// It cannot be opened, or is something else.
    pub fn open_internal(&self, name: &str, create: bool) -> io::Result<std::fs::File> {
        let path = Path::new(INTERNAL).join(name);
        let mut options = OpenOptions::new();
        options.read(true);
        if create {
            options.write(true).create(true);
        }
        if self.dir.symlink_metadata(&path).is_ok_and(|metadata| !metadata.is_file()) {
            return Err(io::Error::other(format!("`{name}` in it is not a regular file; remove it")));
        }
        self.open_found(&path, &mut options).map(File::into_std)
    }

    /// Opens a file of the history, making it and its folder if `create`, for its owner alone. With `create` it renames
    /// anything else in their places: a repository may bring that along. Follows no link.
    ///
    /// # Errors
    /// It cannot be opened, or it or the folder is something else.
    pub(crate) fn open_history(&self, name: &str, create: bool) -> io::Result<std::fs::File> {
        if create {
            self.set_aside_unless(Path::new(HISTORY), Metadata::is_dir)?;
            if self.dir.symlink_metadata(HISTORY).is_err() {
                self.prepare_internal()?;
                self.dir.create_dir(HISTORY)?;
                self.sync(Path::new(INTERNAL))?;
            }
            self.set_aside_unless(&Path::new(HISTORY).join(name), Metadata::is_file)?;
        }
        self.check_own_folder(Path::new(INTERNAL))?;
        self.check_own_folder(Path::new(HISTORY))?;
        let mut options = OpenOptions::new();
        options.read(true);
        if create {
            options.write(true).create(true);
            system::private(&mut options);
        }
        self.open_found(&Path::new(HISTORY).join(name), &mut options).map(File::into_std)
    }

    /// A file of the history to be read, if there is a regular file of this name.
    ///
    /// # Errors
    /// It cannot be opened.
    pub(crate) fn find_history(&self, name: &str) -> io::Result<Option<std::fs::File>> {
        match self.dir.symlink_metadata(Path::new(HISTORY).join(name)) {
            Ok(metadata) if metadata.is_file() => {}
            _ => return Ok(None),
        }
        match self.open_history(name, false) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            file => file.map(Some),
        }
    }

    /// Renames an entry that is not of this kind.
    fn set_aside_unless(&self, path: &Path, is_right: impl Fn(&Metadata) -> bool) -> io::Result<()> {
        let Ok(metadata) = self.dir.symlink_metadata(path) else { return Ok(()) };
        if is_right(&metadata) {
            return Ok(());
        }
        self.check_own_folder(Path::new(INTERNAL))?;
        let plain = path.to_string_lossy();
        let mut free = (0..MAX_SET_ASIDE)
            .map(|number| format!("{plain}.foreign-{number}"))
            .filter(|name| self.dir.symlink_metadata(name).is_err());
        let free = free.next().ok_or_else(|| {
            io::Error::other(format!(
                "too many files were set aside for `{plain}`; remove some of those beside it"
            ))
        })?;
        tracing::warn!(%plain, free, "something else was in the place of the history and was renamed");
        self.dir.rename(path, &self.dir, free)
    }

    /// The names and sizes of the files of the history with this ending, of at most `most` files, in no order; none without the
    /// folder.
    ///
    /// # Errors
    /// The folder cannot be read, or is something else.
    pub(crate) fn history_files(&self, most: usize, ending: &str) -> io::Result<Vec<(String, u64)>> {
        match self.check_own_folder(Path::new(HISTORY)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            checked => checked?,
        }
        let mut files = Vec::new();
        for entry in self.dir.read_dir(HISTORY)?.take(most) {
            let entry = entry?;
            let metadata = entry.metadata()?;
            let name = entry.file_name().to_string_lossy().into_owned();
            if metadata.is_file() && name.ends_with(ending) {
                files.push((name, metadata.len()));
            }
        }
        Ok(files)
    }

    /// When a file of the history last changed.
    pub(crate) fn history_changed_at(&self, name: &str) -> Option<Timestamp> {
        let metadata = self.dir.symlink_metadata(Path::new(HISTORY).join(name)).ok()?;
        Some(FileStamp::of(&metadata).updated_at())
    }

    /// Whether there is a history.
    pub(crate) fn has_history(&self) -> bool {
        self.history_files(1, "").is_ok_and(|files| !files.is_empty())
    }

    /// Makes the names of the history durable.
    pub(crate) fn sync_history(&self) -> io::Result<()> {
        self.sync(Path::new(HISTORY))
    }

    /// Deletes a file of the history.
    pub(crate) fn remove_history(&self, name: &str) -> io::Result<()> {
        self.check_own_folder(Path::new(HISTORY))?;
        self.dir.remove_file(Path::new(HISTORY).join(name))
    }

    /// Replaces a file of the history atomically.
    pub(crate) fn replace_history(&self, name: &str, content: &[u8]) -> io::Result<()> {
        self.set_aside_unless(&Path::new(HISTORY).join(name), Metadata::is_file)?;
        self.replace_own(&format!("{HISTORY}/{name}"), content)
    }
}
