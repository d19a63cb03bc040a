//! Atomic replacement of a file: the new content is on the disk before it has the file's name.

use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use cap_std::fs::{File, OpenOptions};

use crate::dir::BankDir;
use crate::dir::names::STAGE;
use crate::system;

/// A draft beside its file that is older belongs to a program that was killed: no write takes so long.
pub(crate) const DRAFT_LIFETIME: Duration = Duration::from_secs(60);

/// When new content is on the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Flush {
    /// Before it has its name.
    ToDisk,
    /// When the system writes it.
    Later,
}

/// New content that is on disk but not yet under its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Staged {
    path: PathBuf,
}

impl Staged {
    /// A staged file known by its name in the staging folder, as the journal writes it down.
    #[must_use]
    pub fn named(name: &str) -> Self {
        Self { path: Path::new(STAGE).join(name) }
    }

    /// A file of the internal folder, to be renamed.
    pub(crate) fn at(path: &str) -> Self {
        Self { path: PathBuf::from(path) }
    }

    /// Its name in the staging folder.
    #[must_use]
    pub fn name(&self) -> String {
        self.path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
    }
}

impl BankDir {
    /// Replaces a file atomically and durably: a reader, before or after a crash, sees the old content or the new
    /// one. Mode bits are kept; a link inside the bank is written through. The caller holds the bank's lock.
    ///
    /// # Errors
    /// The new content could not be written; the old one is unchanged and no leftovers remain.
    pub fn replace(&self, name: &str, content: &[u8]) -> io::Result<()> {
        let target = self.target(name)?;
        let staged = self.stage(&target, content)?;
        self.publish(&staged, &target).inspect_err(|_| self.discard(&staged))
    }

    /// Replaces a file that only the server writes: a link in its place is replaced and never written through. A
    /// repository may bring links along, and one of them could lead to a document.
    ///
    /// # Errors
    /// As [`Self::replace`], or its folder is not a folder of the bank itself.
    pub fn replace_own(&self, name: &str, content: &[u8]) -> io::Result<()> {
        let target = Path::new(name);
        if let Some(parent) = target.parent().filter(|parent| !parent.as_os_str().is_empty()) {
            self.check_own_folder(parent)?;
        }
        let staged = self.stage(target, content)?;
        self.publish(&staged, target).inspect_err(|_| self.discard(&staged))
    }

    /// Replaces a file where the server has no folder of its own, atomically and durably: the new content is made beside
    /// it, under a name that is not taken, for its owner alone, or with the mode bits of the file that it replaces. A link
    /// to another place in this directory is written through.
    ///
    /// # Errors
    /// As [`Self::replace`].
    pub fn replace_beside(&self, name: &str, content: &[u8]) -> io::Result<()> {
        self.put_beside(name, content, Flush::ToDisk)
    }

    /// [`Self::replace_beside`] without waiting for the disk: after a crash of the program a reader sees the old content or the new one,
    /// after a crash of the system it may see none.
    ///
    /// # Errors
    /// As [`Self::replace`].
    pub fn replace_beside_without_flush(&self, name: &str, content: &[u8]) -> io::Result<()> {
        self.put_beside(name, content, Flush::Later)
    }

    fn put_beside(&self, name: &str, content: &[u8], flush: Flush) -> io::Result<()> {
        let target = self.target(name)?;
        let folder = target.parent().unwrap_or(Path::new(""));
        let plain = target.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let plain = plain.trim_start_matches('.');
        let (mut file, draft) = self.new_draft(true, |number| {
            folder.join(draft_of(plain, &format!("{}-{number}", std::process::id())))
        })?;
        let written = (|| {
            file.write_all(content)?;
            if let Ok(metadata) = self.dir.symlink_metadata(&target)
                && metadata.is_file()
            {
                file.set_permissions(metadata.permissions())?;
            }
            match flush {
                Flush::ToDisk => file.sync_all(),
                Flush::Later => Ok(()),
            }
        })();
        drop(file);
        let published = written.and_then(|()| match flush {
            Flush::ToDisk => self.publish(&draft, &target),
            Flush::Later => self.rename_staged(&draft, &target),
        });
        published.inspect_err(|_| self.discard(&draft))?;
        if let Err(error) = self.discard_old_drafts(folder, plain) {
            tracing::warn!(%error, "the drafts of programs that were killed were not removed");
        }
        Ok(())
    }

    /// Removes the drafts of a file that killed programs left beside it. A fresh draft may be of a program that runs.
    fn discard_old_drafts(&self, folder: &Path, plain: &str) -> io::Result<()> {
        let here = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
        for entry in self.dir.read_dir(here)? {
            let name = entry?.file_name();
            if !name.to_str().is_some_and(|name| is_draft_of(name, plain)) {
                continue;
            }
            let draft = Staged { path: folder.join(&name) };
            let written = self.dir.symlink_metadata(&draft.path).and_then(|metadata| metadata.modified());
            if written.is_ok_and(|at| at.into_std().elapsed().is_ok_and(|age| age > DRAFT_LIFETIME)) {
                self.discard(&draft);
            }
        }
        Ok(())
    }

    /// Writes content durably into the staging folder, with the mode bits of the file it is meant to replace.
    ///
    /// # Errors
    /// The disk is full, or the folder is read-only.
    pub fn stage(&self, target: &Path, content: &[u8]) -> io::Result<Staged> {
        self.stage_from(target, &mut io::Cursor::new(content))
    }

    /// Stages content that need not be in memory.
    ///
    /// # Errors
    /// The source cannot be read, the disk is full, or the folder is read-only.
    pub fn stage_from(&self, target: &Path, content: &mut dyn Read) -> io::Result<Staged> {
        let (mut file, staged) = self.new_staged()?;
        let written = (|| {
            io::copy(content, &mut file)?;
            if let Ok(metadata) = self.dir.symlink_metadata(target)
                && metadata.is_file()
            {
                file.set_permissions(metadata.permissions())?;
            }
            file.sync_all()
        })();
        drop(file);
        written.inspect_err(|_| self.discard(&staged))?;
        Ok(staged)
    }

    /// Gives staged content its name, durably.
    ///
    /// # Errors
    /// The rename failed; the target is as before.
    pub fn publish(&self, staged: &Staged, target: &Path) -> io::Result<()> {
        self.rename_staged(staged, target)?;
        self.sync(target.parent().unwrap_or(Path::new("")))
    }

    fn rename_staged(&self, staged: &Staged, target: &Path) -> io::Result<()> {
        system::check_name(target)?;
        system::retry_change(|| self.dir.rename(&staged.path, &self.dir, target))
    }

    /// Whether this staged content still waits to be published.
    #[must_use]
    pub fn is_staged(&self, staged: &Staged) -> bool {
        self.dir.symlink_metadata(&staged.path).is_ok_and(|metadata| metadata.is_file())
    }

    /// Removes staged content. A leftover does no harm, so a failure is only logged.
    pub fn discard(&self, staged: &Staged) {
        if let Err(error) = system::retry_change(|| self.dir.remove_file(&staged.path))
            && error.kind() != io::ErrorKind::NotFound
        {
            tracing::warn!(%error, "a staged file could not be removed");
        }
    }

    /// Removes everything in the staging folder. The caller holds the bank's lock.
    pub fn discard_all_staged(&self) {
        // Through a link this would remove documents.
        if let Err(error) = self.check_internal() {
            tracing::warn!(%error, "the staging folder was not cleaned up");
            return;
        }
        let Ok(entries) = self.dir.read_dir(STAGE) else { return };
        for entry in entries.flatten() {
            self.discard(&Staged { path: Path::new(STAGE).join(entry.file_name()) });
        }
    }

    fn new_staged(&self) -> io::Result<(File, Staged)> {
        self.prepare_internal()?;
        self.new_draft(false, |number| Path::new(STAGE).join(format!("{}-{number}.tmp", std::process::id())))
    }

    /// A new file under the first of these names that is free.
    fn new_draft(&self, is_private: bool, name: impl Fn(u64) -> PathBuf) -> io::Result<(File, Staged)> {
        static COUNTER: AtomicU64 = AtomicU64::new(0);
        let mut options = OpenOptions::new();
        options.write(true).create_new(true);
        if is_private {
            system::private(&mut options);
        }
        for _ in 0..1000 {
            let path = name(COUNTER.fetch_add(1, Ordering::Relaxed));
            match self.dir.open_with(&path, &options) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                result => return result.map(|file| (file, Staged { path })),
            }
        }
        Err(io::Error::other("no free name for a temporary file"))
    }
}

/// The name of a draft beside its file.
fn draft_of(plain: &str, id: &str) -> String {
    format!(".{plain}.{id}.tmp")
}

fn is_draft_of(name: &str, plain: &str) -> bool {
    let id = name
        .strip_prefix('.')
        .and_then(|rest| rest.strip_prefix(plain))
        .and_then(|rest| rest.strip_prefix('.'))
        .and_then(|rest| rest.strip_suffix(".tmp"))
        .and_then(|id| id.split_once('-'));
    let is_number = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    id.is_some_and(|(process, number)| is_number(process) && is_number(number))
}
