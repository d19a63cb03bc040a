//! Permissions of new files and flushes of folders, on each system.

use std::io;
use std::path::Path;

/// Files that are made are readable for their owner, writable for nobody.
#[cfg(unix)]
pub(crate) fn read_only_for_owner(builder: &mut tempfile::Builder<'_, '_>) {
    use std::os::unix::fs::PermissionsExt;
    builder.permissions(std::fs::Permissions::from_mode(0o400));
}

/// There are no such bits: a file inherits the access control list of its folder.
#[cfg(windows)]
pub(crate) fn read_only_for_owner(_builder: &mut tempfile::Builder<'_, '_>) {}

/// Makes the names in a folder durable.
#[cfg(unix)]
pub(crate) fn sync_folder(folder: &Path) -> io::Result<()> {
    fs_err::File::open(folder)?.sync_all()
}

/// Programs cannot count on a flush of a folder there; the journal of the file system keeps the name whole.
#[cfg(windows)]
pub(crate) fn sync_folder(_folder: &Path) -> io::Result<()> {
    Ok(())
}
