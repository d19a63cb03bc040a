//! One bank's directory, as a capability: whatever name is asked for, nothing outside of it can be reached.
//!
//! Names go through `cap-std`, so `..`, absolute paths and links that lead out fail in the operating system's own
//! resolution, not in a check that could be raced. Links that stay inside are followed, on reading and on writing.
//! This module knows files and bytes; it must not know documents, graphs or locks.

use std::io::{self, Read};
use std::path::{Component, Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

use cap_fs_ext::{FollowSymlinks, MetadataExt, OpenOptionsFollowExt, OpenOptionsSyncExt};
use cap_std::ambient_authority;
use cap_std::fs::{Dir, File, Metadata, OpenOptions};
use jiff::Timestamp;
use memory_bank_core::error::StoreError;
use memory_bank_core::limits;

/// The hidden folder in which the server keeps its lock, its journal and what it stages. Not part of the bank.
pub const INTERNAL: &str = ".mbmcp";
const STAGE: &str = ".mbmcp/stage";

/// A bank's directory, opened. Keep it for one operation only: a folder that was deleted and made anew (a change of
/// branch does that) is another directory, and an old handle would write where nobody looks.
#[derive(Debug)]
pub struct BankDir {
    dir: Dir,
}

/// What tells whether a file changed: two equal stamps mean the same content for all that the file system says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileStamp {
    /// Size in bytes.
    pub bytes: u64,
    /// When it was last written.
    pub modified: SystemTime,
    /// The file's number; an atomic replacement gives it another one.
    pub inode: u64,
}

impl FileStamp {
    /// When the file was last written; the epoch if the file system says nonsense.
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

/// What reading one file gave.
#[derive(Debug)]
pub enum FileRead {
    /// Its bytes.
    Found(Vec<u8>, FileStamp),
    /// There is no such file.
    Missing,
    /// There is something that cannot be read as a file of the bank; the text says why, without a host path.
    Unreadable(String),
}

/// One name in a folder of the bank.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FolderEntry {
    /// The name; what is not valid Unicode in it became U+FFFD.
    pub name: String,
    /// Whether a regular file is there (links inside the bank followed).
    pub is_file: bool,
    /// Whether a folder is there, itself and not a link to one.
    pub is_folder: bool,
    /// Size and time.
    pub stamp: FileStamp,
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

    /// A file of the server's own folder, to be given another name.
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
    /// Opens the directory. The path itself is the user's choice and may be a link.
    ///
    /// # Errors
    /// There is no such directory, or it may not be opened.
    pub fn open(path: &Path) -> io::Result<Self> {
        Ok(Self { dir: Dir::open_ambient_dir(path, ambient_authority())? })
    }

    /// Opens the directory, making it first if need be.
    ///
    /// # Errors
    /// It cannot be made, or something else has its name.
    pub fn create(path: &Path) -> io::Result<Self> {
        Dir::create_ambient_dir_all(path, ambient_authority())?;
        Self::open(path)
    }

    /// The names in a folder of the bank (`""` is the bank itself), sorted, without the server's own folder and
    /// without leftovers of interrupted writes.
    ///
    /// # Errors
    /// The folder cannot be read; `NotFound` if there is none.
    pub fn entries(&self, folder: &str) -> io::Result<Vec<FolderEntry>> {
        let base = if folder.is_empty() { Path::new(".") } else { Path::new(folder) };
        let mut entries = Vec::new();
        for entry in self.dir.read_dir(base)? {
            let entry = entry?;
            let raw = entry.file_name();
            let name = raw.to_string_lossy().into_owned();
            if is_passed_over(folder, &name) {
                continue;
            }
            // A link is described by what it leads to; one that leads out or nowhere, by itself.
            let path = base.join(&raw);
            let Ok(itself) = self.dir.symlink_metadata(&path) else { continue };
            let metadata = self.dir.metadata(&path).unwrap_or_else(|_| itself.clone());
            entries.push(FolderEntry {
                name,
                is_file: metadata.is_file(),
                is_folder: itself.is_dir(),
                stamp: FileStamp::of(&metadata),
            });
        }
        entries.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(entries)
    }

    /// The names in a folder that [`Self::entries`] passes over.
    ///
    /// # Errors
    /// The folder cannot be read.
    pub fn passed_over(&self, folder: &str) -> io::Result<Vec<String>> {
        let base = if folder.is_empty() { Path::new(".") } else { Path::new(folder) };
        let mut names = Vec::new();
        for entry in self.dir.read_dir(base)? {
            let name = entry?.file_name().to_string_lossy().into_owned();
            if is_passed_over(folder, &name) {
                names.push(name);
            }
        }
        names.sort();
        Ok(names)
    }

    /// The names in the bank itself, in no order, without a look at what they name.
    ///
    /// # Errors
    /// The folder cannot be read.
    pub fn names(&self) -> io::Result<impl Iterator<Item = String>> {
        let names =
            self.dir.entries()?.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned());
        Ok(names.filter(|name| name != INTERNAL && !is_foreign_leftover(name)))
    }

    /// Size, time and number of a regular file; none if there is none or it cannot be reached.
    #[must_use]
    pub fn stamp(&self, name: &str) -> Option<FileStamp> {
        let metadata = self.dir.metadata(name).ok()?;
        metadata.is_file().then(|| FileStamp::of(&metadata))
    }

    /// Size, time and number of what has this name itself, a link not followed; none if there is nothing.
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

    /// Whether the name is taken, by whatever.
    #[must_use]
    pub fn exists(&self, name: &str) -> bool {
        self.dir.symlink_metadata(name).is_ok()
    }

    /// Reads one file. Never blocks on a pipe or a device, never takes more than `limit` bytes.
    ///
    /// # Errors
    /// The disk failed. What merely cannot be served is [`FileRead::Unreadable`].
    pub fn read_up_to(&self, name: &str, limit: u64) -> Result<FileRead, StoreError> {
        let target = match self.resolve(name) {
            Ok(Some(target)) => target,
            Ok(None) => return Ok(FileRead::Missing),
            Err(error) => return Ok(FileRead::Unreadable(reason(&error))),
        };
        let file = match self.dir.open_with(&target, OpenOptions::new().read(true).nonblock(true)) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(FileRead::Missing),
            Err(error) => return Ok(FileRead::Unreadable(reason(&error))),
        };
        let metadata = file.metadata().map_err(StoreError::io(format!("cannot examine `{name}`")))?;
        if !metadata.is_file() {
            return Ok(FileRead::Unreadable(not_a_file(&metadata)));
        }
        if metadata.len() > limit {
            return Ok(FileRead::Unreadable(too_large(metadata.len(), limit)));
        }
        let mut bytes = Vec::with_capacity(usize::try_from(metadata.len()).unwrap_or(0));
        // The file may grow while it is read.
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
        let file = self.dir.open_with(target, options.nonblock(true))?;
        let metadata = file.metadata()?;
        if metadata.is_file() { Ok(file) } else { Err(io::Error::other(not_a_file(&metadata))) }
    }

    /// Makes a folder of the bank, and those above it, if need be.
    ///
    /// # Errors
    /// The folder cannot be made.
    pub fn create_folder(&self, name: &str) -> io::Result<()> {
        if self.dir.metadata(name).is_ok_and(|metadata| metadata.is_dir()) {
            return Ok(());
        }
        self.dir.create_dir_all(name)?;
        self.sync(Path::new(name).parent().unwrap_or(Path::new("")))
    }

    /// Replaces a file atomically and durably: whoever reads it, before or after a crash, sees the old content or
    /// the new one. Mode bits are kept; a link inside the bank is written through. The caller holds the bank's lock.
    ///
    /// # Errors
    /// The new content could not be written; the old one is untouched and nothing is left lying about.
    pub fn replace(&self, name: &str, content: &[u8]) -> io::Result<()> {
        let target = self.target(name)?;
        let staged = self.stage(&target, content)?;
        self.publish(&staged, &target).inspect_err(|_| self.discard(&staged))
    }

    /// The same for a file that only the server writes: a link in its place is replaced and never written through. A
    /// repository may bring links along, and one of them could lead to a document.
    ///
    /// # Errors
    /// As [`Self::replace`], or its folder is no folder of the bank's own.
    pub fn replace_own(&self, name: &str, content: &[u8]) -> io::Result<()> {
        let target = Path::new(name);
        if let Some(parent) = target.parent().filter(|parent| !parent.as_os_str().is_empty()) {
            self.check_own_folder(parent)?;
        }
        let staged = self.stage(target, content)?;
        self.publish(&staged, target).inspect_err(|_| self.discard(&staged))
    }

    /// Where a write to `name` goes: the name itself, or what a link of that name leads to.
    ///
    /// # Errors
    /// It is a link that leads out of the bank or nowhere, or something that is not a regular file.
    pub fn target(&self, name: &str) -> io::Result<PathBuf> {
        let Some(target) = self.resolve(name)? else { return Ok(PathBuf::from(name)) };
        let metadata = self.dir.metadata(&target)?;
        if metadata.is_file() { Ok(target) } else { Err(io::Error::other(not_a_file(&metadata))) }
    }

    /// Writes content durably into the staging folder, with the mode bits of the file it is meant to replace.
    ///
    /// # Errors
    /// The disk is full, or the folder is read-only.
    pub fn stage(&self, target: &Path, content: &[u8]) -> io::Result<Staged> {
        self.stage_from(target, &mut io::Cursor::new(content))
    }

    /// The same with content that need not be in memory.
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
        written.inspect_err(|_| self.discard(&staged))?;
        Ok(staged)
    }

    /// Gives staged content its name, durably.
    ///
    /// # Errors
    /// The rename failed; the target is as before.
    pub fn publish(&self, staged: &Staged, target: &Path) -> io::Result<()> {
        self.dir.rename(&staged.path, &self.dir, target)?;
        self.sync(target.parent().unwrap_or(Path::new("")))
    }

    /// Whether this staged content still waits to be published.
    #[must_use]
    pub fn is_staged(&self, staged: &Staged) -> bool {
        self.dir.symlink_metadata(&staged.path).is_ok_and(|metadata| metadata.is_file())
    }

    /// Removes staged content. A leftover does no harm, so a failure is only logged.
    pub fn discard(&self, staged: &Staged) {
        if let Err(error) = self.dir.remove_file(&staged.path)
            && error.kind() != io::ErrorKind::NotFound
        {
            tracing::warn!(%error, "a staged file could not be removed");
        }
    }

    /// Removes everything in the staging folder. The caller holds the bank's lock.
    pub fn discard_all_staged(&self) {
        // Through a link this would remove documents.
        if let Err(error) = self.check_internal() {
            tracing::warn!(%error, "the staging folder was not swept");
            return;
        }
        let Ok(entries) = self.dir.read_dir(STAGE) else { return };
        for entry in entries.flatten() {
            self.discard(&Staged { path: Path::new(STAGE).join(entry.file_name()) });
        }
    }

    /// Opens a folder in this one, as a directory of its own.
    ///
    /// # Errors
    /// There is none, or it is a link that leads out.
    pub fn open_folder(&self, name: &str) -> io::Result<Self> {
        Ok(Self { dir: self.dir.open_dir(name)? })
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
        self.dir.rename(from, &self.dir, to)?;
        self.sync(Path::new(""))
    }

    /// Removes a folder with all that is in it.
    ///
    /// # Errors
    /// It cannot be removed.
    pub fn remove_folder(&self, name: &str) -> io::Result<()> {
        self.dir.remove_dir_all(name)
    }

    /// Writes a file that must not exist yet, durably.
    ///
    /// # Errors
    /// `AlreadyExists`, or it cannot be written.
    pub fn write_new(&self, name: &str, content: &mut dyn Read) -> io::Result<()> {
        let mut file = self.dir.open_with(name, OpenOptions::new().write(true).create_new(true))?;
        io::copy(content, &mut file)?;
        file.sync_all()
    }

    /// The same, with the time at which it is to have been written.
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

    /// Removes a file (of a link: the link), durably. One that is not there is no error.
    ///
    /// # Errors
    /// It cannot be removed.
    pub fn remove(&self, name: &str) -> io::Result<()> {
        match self.dir.remove_file(name) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(error),
            Ok(()) => self.sync(Path::new(name).parent().unwrap_or(Path::new(""))),
        }
    }

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
            match self.write_new(&format!("{INTERNAL}/.gitignore"), &mut "*\n".as_bytes()) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                written => written?,
            }
        }
        self.check_internal()
    }

    fn check_internal(&self) -> io::Result<()> {
        self.check_own_folder(Path::new(INTERNAL))?;
        self.check_own_folder(Path::new(STAGE))
    }

    fn check_own_folder(&self, folder: &Path) -> io::Result<()> {
        if self.dir.symlink_metadata(folder)?.is_dir() {
            return Ok(());
        }
        Err(io::Error::other(format!("`{}` is not a folder; remove it", folder.display())))
    }

    /// Opens a regular file of the server's own folder, making it if `create`. Follows no link and never blocks.
    ///
    /// # Errors
    /// It cannot be opened, or is something else.
    pub fn open_internal(&self, name: &str, create: bool) -> io::Result<std::fs::File> {
        let path = Path::new(INTERNAL).join(name);
        let mut options = OpenOptions::new();
        options.read(true).nonblock(true).follow(FollowSymlinks::No);
        if create {
            options.write(true).create(true);
        }
        match self.dir.symlink_metadata(&path) {
            Ok(metadata) if !metadata.is_file() => {
                return Err(io::Error::other(format!("`{name}` in it is not a regular file; remove it")));
            }
            Err(error) if !create || error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let file = self.dir.open_with(path, &options)?;
        let metadata = file.metadata()?;
        if metadata.is_file() { Ok(file.into_std()) } else { Err(io::Error::other(not_a_file(&metadata))) }
    }

    /// Whether this is the very directory that `path` names now.
    #[must_use]
    pub fn is_at(&self, path: &Path) -> bool {
        let here = self.dir.dir_metadata();
        let there = Dir::open_ambient_dir(path, ambient_authority()).and_then(|dir| dir.dir_metadata());
        matches!((here, there), (Ok(a), Ok(b)) if a.ino() == b.ino() && a.dev() == b.dev())
    }

    /// Makes names in a folder durable.
    pub(crate) fn sync(&self, folder: &Path) -> io::Result<()> {
        if cfg!(not(unix)) {
            // Elsewhere a directory cannot be flushed; the rename itself is journalled by the file system.
            return Ok(());
        }
        let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
        self.dir.open(folder)?.sync_all()
    }

    fn new_staged(&self) -> io::Result<(File, Staged)> {
        static COUNTER: AtomicU64 = AtomicU64::new(0);
        self.prepare_internal()?;
        for _ in 0..1000 {
            let number = COUNTER.fetch_add(1, Ordering::Relaxed);
            let staged = Staged::named(&format!("{}-{number}.tmp", std::process::id()));
            match self.dir.open_with(&staged.path, OpenOptions::new().write(true).create_new(true)) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                result => return result.map(|file| (file, staged)),
            }
        }
        Err(io::Error::other("no free name for a temporary file"))
    }

    /// What a name leads to: the name, or the target of a link; none if there is nothing.
    fn resolve(&self, name: &str) -> io::Result<Option<PathBuf>> {
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
        if first.is_some_and(|part| part.as_os_str() == INTERNAL) {
            return Err(io::Error::other("it is a link into the server's own folder"));
        }
        Ok(Some(target))
    }
}

/// The text of a file: what is not UTF-8 becomes U+FFFD, a byte order mark is kept.
#[must_use]
pub fn text_of(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned())
}

/// Whether a file or folder of this name is none of the bank's: the server's own folder, and what version control keeps,
/// where a file put in place could be a program that is run.
#[must_use]
pub fn is_reserved(name: &str) -> bool {
    [INTERNAL, ".git", ".hg", ".svn"].iter().any(|reserved| name.eq_ignore_ascii_case(reserved))
}

/// What went wrong, in words that show no path of the host.
#[must_use]
pub fn reason(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => "there is no such file".to_owned(),
        io::ErrorKind::PermissionDenied => "permission denied".to_owned(),
        io::ErrorKind::IsADirectory => "it is a folder".to_owned(),
        io::ErrorKind::InvalidFilename => "the file system does not take such a name".to_owned(),
        _ => error.to_string(),
    }
}

fn not_a_file(metadata: &Metadata) -> String {
    let what = if metadata.is_dir() { "a folder" } else { "not a regular file" };
    format!("it is {what}")
}

fn too_large(got: u64, limit: u64) -> String {
    format!("it is {got} bytes long, at most {limit} can be read")
}

/// Whether a name in this folder is neither a file nor a folder of the bank.
fn is_passed_over(folder: &str, name: &str) -> bool {
    (folder.is_empty() && name == INTERNAL) || is_foreign_leftover(name)
}

/// The original's temporary files, `.<name>.<epoch milliseconds>.tmp`, which it leaves behind when it fails.
fn is_foreign_leftover(name: &str) -> bool {
    let stamp = name
        .strip_prefix('.')
        .and_then(|rest| rest.strip_suffix(".tmp"))
        .and_then(|rest| rest.rsplit_once('.'));
    stamp.is_some_and(|(_, digits)| digits.len() >= 13 && digits.bytes().all(|byte| byte.is_ascii_digit()))
}

#[cfg(unix)]
#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use tempfile::TempDir;

    use super::*;

    fn bank() -> (TempDir, BankDir) {
        let temp = TempDir::new().unwrap();
        let bank = BankDir::create(&temp.path().join("memory-bank")).unwrap();
        (temp, bank)
    }

    fn unreadable(dir: &BankDir, name: &str) -> String {
        match dir.read(name).unwrap() {
            FileRead::Unreadable(why) => why,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn d53_a_link_out_of_the_bank_is_neither_read_nor_written() {
        let (temp, dir) = bank();
        std::fs::write(temp.path().join("secret.md"), "secret").unwrap();
        let path = temp.path().join("memory-bank");
        symlink(temp.path().join("secret.md"), path.join("absolute.md")).unwrap();
        symlink("../secret.md", path.join("relative.md")).unwrap();
        for name in ["absolute.md", "relative.md"] {
            let why = unreadable(&dir, name);
            assert!(!why.contains("secret") && why.contains("link"), "{why}");
            dir.replace(name, b"gone").unwrap_err();
        }
        assert_eq!(std::fs::read_to_string(temp.path().join("secret.md")).unwrap(), "secret");
    }

    #[test]
    fn a_link_inside_the_bank_is_written_through() {
        let (temp, dir) = bank();
        let path = temp.path().join("memory-bank");
        dir.replace("notes.md", b"old").unwrap();
        symlink("notes.md", path.join("link.md")).unwrap();
        dir.replace("link.md", b"new").unwrap();
        assert!(path.join("link.md").is_symlink());
        assert_eq!(std::fs::read_to_string(path.join("notes.md")).unwrap(), "new");
    }

    #[test]
    fn a_planted_link_for_the_staging_folder_does_not_get_documents_swept() {
        for (link, target) in [(".mbmcp/stage", ".."), (".mbmcp", "graph")] {
            let (temp, dir) = bank();
            let path = temp.path().join("memory-bank");
            for folder in [".mbmcp", "graph/stage"] {
                std::fs::create_dir_all(path.join(folder)).unwrap();
            }
            std::fs::write(path.join("notes.md"), "precious").unwrap();
            std::fs::write(path.join("graph/stage/log"), "precious").unwrap();
            if link == ".mbmcp" {
                std::fs::remove_dir(path.join(link)).unwrap();
            }
            symlink(target, path.join(link)).unwrap();
            dir.discard_all_staged();
            assert!(path.join("notes.md").exists() && path.join("graph/stage/log").exists(), "{link}");
            let error = dir.replace("notes.md", b"x").unwrap_err();
            assert!(error.to_string().contains("not a folder"), "{error}");
        }
    }

    #[test]
    fn planted_links_for_the_server_s_own_files_are_not_written_through() {
        let (temp, dir) = bank();
        let path = temp.path().join("memory-bank");
        for folder in [".mbmcp", "graph"] {
            std::fs::create_dir(path.join(folder)).unwrap();
        }
        std::fs::write(path.join("notes.md"), "precious").unwrap();
        for link in [".mbmcp/.gitignore", ".mbmcp/lock", ".mbmcp/backup-folders", "graph/graph.md"] {
            symlink("../notes.md", path.join(link)).unwrap();
        }
        dir.prepare_internal().unwrap();
        dir.open_internal("lock", true).unwrap_err();
        dir.replace_own(".mbmcp/backup-folders", b"x").unwrap();
        dir.replace_own("graph/graph.md", b"x").unwrap();
        assert_eq!(std::fs::read_to_string(path.join("notes.md")).unwrap(), "precious");
        std::fs::remove_dir_all(path.join("graph")).unwrap();
        symlink(".", path.join("graph")).unwrap();
        dir.replace_own("graph/notes.md", b"x").unwrap_err();
        assert_eq!(std::fs::read_to_string(path.join("notes.md")).unwrap(), "precious");
    }

    #[test]
    fn a_pipe_is_refused_without_blocking() {
        let (temp, dir) = bank();
        let made = std::process::Command::new("mkfifo")
            .arg(temp.path().join("memory-bank/pipe.md"))
            .status()
            .unwrap();
        assert!(made.success());
        assert_eq!(unreadable(&dir, "pipe.md"), "it is not a regular file");
        dir.replace("pipe.md", b"x").unwrap_err();
    }

    #[test]
    fn a_file_that_is_too_large_is_refused_by_its_size() {
        let (_temp, dir) = bank();
        dir.replace("big.md", b"12345").unwrap();
        assert!(
            matches!(dir.read_up_to("big.md", 4).unwrap(), FileRead::Unreadable(why) if why.contains("5 bytes"))
        );
        assert!(
            matches!(dir.read_up_to("big.md", 5).unwrap(), FileRead::Found(bytes, _) if bytes == b"12345")
        );
    }

    #[test]
    fn a_replacement_keeps_the_mode_and_leaves_nothing_behind() {
        let (temp, dir) = bank();
        let path = temp.path().join("memory-bank");
        dir.replace("a.md", b"one").unwrap();
        std::fs::set_permissions(path.join("a.md"), std::fs::Permissions::from_mode(0o640)).unwrap();
        dir.replace("a.md", b"two").unwrap();
        assert_eq!(std::fs::metadata(path.join("a.md")).unwrap().permissions().mode() & 0o777, 0o640);
        assert_eq!(std::fs::read_dir(path.join(STAGE)).unwrap().count(), 0);
        assert_eq!(std::fs::read_to_string(path.join(INTERNAL).join(".gitignore")).unwrap(), "*\n");
    }

    #[test]
    fn d6_a_failed_replacement_leaves_no_temporary_file() {
        let (temp, dir) = bank();
        let path = temp.path().join("memory-bank");
        std::fs::create_dir(path.join("folder.md")).unwrap();
        dir.replace("folder.md", b"x").unwrap_err();
        assert!(std::fs::read_dir(path.join(STAGE)).map_or(0, Iterator::count) == 0);
    }

    #[test]
    fn the_list_hides_the_server_s_folder_and_leftovers_of_the_original() {
        let (temp, dir) = bank();
        dir.replace("b.md", b"").unwrap();
        dir.replace("a.md", b"").unwrap();
        dir.create_folder("graph").unwrap();
        std::fs::write(temp.path().join("memory-bank/.a.md.1763800000000.tmp"), "").unwrap();
        std::fs::write(temp.path().join("memory-bank/.hidden.md"), "").unwrap();
        let names: Vec<_> = dir.entries("").unwrap().into_iter().map(|entry| entry.name).collect();
        assert_eq!(names, [".hidden.md", "a.md", "b.md", "graph"]);
    }

    #[test]
    fn invalid_utf_8_is_replaced_and_a_byte_order_mark_kept() {
        assert_eq!(text_of(vec![0xEF, 0xBB, 0xBF, b'a', 0xFF]), "\u{feff}a\u{fffd}");
    }
}
