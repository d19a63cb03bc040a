//! Linux and macOS.

use std::fs::{DirBuilder, File, Metadata, TryLockError};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;
use std::time::Duration;

use cap_std::fs::{Dir, OpenOptions};

/// Whether the watcher reports that the watched folder itself is gone.
pub(crate) const REPORTS_A_REMOVED_FOLDER: bool = cfg!(target_os = "linux");

/// Whether a second watch of a path takes the place of the first one.
pub(crate) const WATCHES_ARE_RENEWED: bool = cfg!(target_os = "linux");

/// Whether others cannot read a file while it is locked.
pub(crate) const LOCKED_FILES_ARE_CLOSED: bool = false;

/// When the file was made in its file system, since 1970.
///
/// # Errors
/// The file system does not keep that time.
#[cfg(target_os = "linux")]
pub(crate) fn made_at(file: &File) -> io::Result<Duration> {
    use rustix::fs::{AtFlags, StatxFlags, statx};
    // Rust's `Metadata::created` works with glibc only, and the released program is linked with musl.
    let found = statx(file, "", AtFlags::EMPTY_PATH, StatxFlags::BTIME)?;
    if found.stx_mask & StatxFlags::BTIME.bits() == 0 {
        return Err(no_time_of_making());
    }
    let seconds = u64::try_from(found.stx_btime.tv_sec).map_err(io::Error::other)?;
    Ok(Duration::new(seconds, found.stx_btime.tv_nsec))
}

#[cfg(target_os = "linux")]
fn no_time_of_making() -> io::Error {
    let message =
        "the file system does not keep when a file was made; name a folder on another one with `--state-dir`";
    io::Error::new(io::ErrorKind::Unsupported, message)
}

/// When the file was made in its file system, since 1970.
///
/// # Errors
/// The file system does not keep that time.
#[cfg(not(target_os = "linux"))]
#[expect(clippy::disallowed_methods, reason = "this system has it")]
pub(crate) fn made_at(file: &File) -> io::Result<Duration> {
    file.metadata()?.created()?.duration_since(std::time::UNIX_EPOCH).map_err(io::Error::other)
}

/// Whether this user owns it.
pub(crate) fn is_own(metadata: &Metadata) -> bool {
    metadata.uid() == rustix::process::geteuid().as_raw()
}

/// The file system that this is on.
pub(crate) fn device(path: &Path) -> Option<u64> {
    path.symlink_metadata().ok().map(|metadata| metadata.dev())
}

/// Refuses a file or folder of another user.
pub(crate) fn check_owner(metadata: &Metadata) -> io::Result<()> {
    if is_own(metadata) {
        return Ok(());
    }
    let user = rustix::process::geteuid().as_raw();
    Err(io::Error::other(format!(
        "it belongs to user {}, and this is user {user}; run as that user, or give another folder with `--state-dir`",
        metadata.uid()
    )))
}

/// Whether others than the owner may read or change a file.
pub(crate) fn is_open_to_others(metadata: &Metadata) -> bool {
    metadata.permissions().mode() & 0o077 != 0
}

/// Refuses a file that this program cannot have made: of another mode, or with another name.
pub(crate) fn check_private(metadata: &Metadata) -> Result<(), String> {
    let mode = metadata.permissions().mode() & 0o7777;
    if mode != 0o600 {
        return Err(format!("its mode is {mode:04o}, and this program makes it 0600"));
    }
    if metadata.nlink() != 1 {
        return Err("it has another name, too".to_owned());
    }
    Ok(())
}

/// New files are readable for their owner only.
pub(crate) fn private(options: &mut OpenOptions) {
    cap_std::fs::OpenOptionsExt::mode(options, 0o600);
}

/// New folders may be entered by their owner only.
pub(crate) fn private_folders(builder: &mut DirBuilder) {
    builder.mode(0o700);
}

/// Takes from others the right to enter a folder.
pub(crate) fn close_to_others(dir: &Dir) -> io::Result<()> {
    use cap_std::fs::PermissionsExt;
    let mut permissions = dir.dir_metadata()?.permissions();
    if permissions.mode() & 0o077 != 0 {
        permissions.set_mode(0o700);
        dir.set_permissions(".", permissions)?;
    }
    Ok(())
}

/// Opening a pipe does not wait for its writer.
pub(crate) fn without_waiting(options: &mut std::fs::OpenOptions) {
    flags(options, rustix::fs::OFlags::NONBLOCK);
}

/// Opening a pipe does not wait for its writer, and a link is not followed.
pub(crate) fn without_waiting_or_following(options: &mut std::fs::OpenOptions) {
    flags(options, rustix::fs::OFlags::NONBLOCK | rustix::fs::OFlags::NOFOLLOW);
}

fn flags(options: &mut std::fs::OpenOptions, flags: rustix::fs::OFlags) {
    options.custom_flags(i32::try_from(flags.bits()).unwrap_or(0));
}

/// Makes the names in a folder durable.
pub(crate) fn sync_folder(dir: &Dir, folder: &Path) -> io::Result<()> {
    dir.open(folder)?.sync_all()
}

/// Opens a file; another program cannot prevent it.
pub(crate) fn retry_open<T>(attempt: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    once(attempt)
}

/// Renames or removes; another program cannot prevent it.
pub(crate) fn retry_change<T>(attempt: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    once(attempt)
}

fn once<T>(mut attempt: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    attempt()
}

/// Every name means itself.
pub(crate) fn check_name(_name: &Path) -> io::Result<()> {
    Ok(())
}

/// A bank may be anywhere.
pub(crate) fn check_place(_path: &Path) -> io::Result<()> {
    Ok(())
}

/// This system refuses no form of a path by itself.
pub(crate) fn unusable_form(_words: &str) -> Option<&'static str> {
    None
}

/// The right to use a folder alone, until it is dropped or the process ends.
#[derive(Debug)]
pub(crate) struct FolderLock(#[expect(dead_code, reason = "open, it is locked")] File);

impl FolderLock {
    /// Takes the right; none while another holder has it.
    pub(crate) fn take(folder: &Path) -> io::Result<Option<Self>> {
        Self::hold(folder)
    }

    /// A file that is locked already.
    pub(crate) fn of(file: File) -> Self {
        Self(file)
    }

    /// Takes the lock of an existing file.
    pub(crate) fn hold(file: &Path) -> io::Result<Option<Self>> {
        let file = File::open(file)?;
        match file.try_lock() {
            Ok(()) => Ok(Some(Self(file))),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }
}
