//! Permissions of new files and flushes of folders, on each system.

use std::io;
use std::path::Path;

/// Makes new files readable for their owner only, and read-only.
#[cfg(unix)]
pub(crate) fn read_only_for_owner(builder: &mut tempfile::Builder<'_, '_>) {
    use std::os::unix::fs::PermissionsExt;
    builder.permissions(std::fs::Permissions::from_mode(0o400));
}

/// Does nothing: on Windows, a file inherits the access control list of its folder.
#[cfg(windows)]
pub(crate) fn read_only_for_owner(_builder: &mut tempfile::Builder<'_, '_>) {}

/// Flushes a folder, so that the names in it are durable.
#[cfg(unix)]
pub(crate) fn sync_folder(folder: &Path) -> io::Result<()> {
    fs_err::File::open(folder)?.sync_all()
}

/// Does nothing: Windows does not flush folders reliably, and the journal of its file system protects names.
#[cfg(windows)]
pub(crate) fn sync_folder(_folder: &Path) -> io::Result<()> {
    Ok(())
}
