//! The differences between operating systems: owners and permissions, names that the system reads as something else,
//! files that another program holds open, and flushes of folders. Every `cfg` of this crate's own code is here or in the
//! two files below; the guarantees that a system lacks are listed in `docs/install.md`.
//!
//! This module must not know banks, documents or locks.

#[cfg(unix)]
mod unix;
#[cfg(windows)]
mod windows;

#[cfg(unix)]
pub(crate) use self::unix::*;
#[cfg(windows)]
pub(crate) use self::windows::*;

/// Whether a path begins with a drive, and `\\` separates folders.
pub(crate) const PATHS_HAVE_DRIVES: bool = cfg!(windows);

/// Whether one file may be reached by several names: in another letter case, composed otherwise, or by a short form.
pub(crate) const NAMES_HAVE_ALIASES: bool = cfg!(any(windows, target_os = "macos"));
