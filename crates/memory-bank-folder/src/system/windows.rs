//! Windows.
//!
//! Files are opened so that others may rename and remove them meanwhile, but other programs (editors, virus scanners,
//! indexers) may prevent it; it is tried again for a bounded time.

use std::fs::{DirBuilder, File, Metadata};
use std::io;
use std::os::windows::fs::OpenOptionsExt;
use std::path::{Component, Path, Prefix};
use std::time::{Duration, Instant};

use cap_std::fs::{Dir, OpenOptions};

/// The watcher ends silently with the folder that it watches.
pub(crate) const REPORTS_A_REMOVED_FOLDER: bool = false;

/// A second watch of a path adds to the first one.
pub(crate) const WATCHES_ARE_RENEWED: bool = false;

/// Nobody else can read a file while it is locked.
pub(crate) const LOCKED_FILES_ARE_CLOSED: bool = true;

/// When the file was made in its file system, since 1970.
///
/// # Errors
/// The file system does not keep that time.
#[expect(clippy::disallowed_methods, reason = "Windows has it")]
pub(crate) fn made_at(file: &File) -> io::Result<Duration> {
    file.metadata()?.created()?.duration_since(std::time::UNIX_EPOCH).map_err(io::Error::other)
}

/// How long other programs may prevent something.
const RETRY_TIMEOUT: Duration = Duration::from_secs(2);
/// The longest pause between two attempts.
const MAX_PAUSE: Duration = Duration::from_millis(50);

const ERROR_INVALID_FUNCTION: i32 = 1;
const ERROR_ACCESS_DENIED: i32 = 5;
const ERROR_INVALID_HANDLE: i32 = 6;
const ERROR_SHARING_VIOLATION: i32 = 32;
const ERROR_LOCK_VIOLATION: i32 = 33;
const ERROR_NOT_SUPPORTED: i32 = 50;
const ERROR_INVALID_PARAMETER: i32 = 87;
const ERROR_INVALID_NAME: i32 = 123;
const ERROR_DELETE_PENDING: i32 = 303;
const ERROR_USER_MAPPED_FILE: i32 = 1224;

const FILE_FLAG_BACKUP_SEMANTICS: u32 = 0x0200_0000;
const FILE_FLAG_OPEN_REPARSE_POINT: u32 = 0x0020_0000;
const FILE_FLAG_DELETE_ON_CLOSE: u32 = 0x0400_0000;
const GENERIC_WRITE: u32 = 0x4000_0000;
const DELETE: u32 = 0x0001_0000;

/// Owners cannot be determined without unsafe code, so nothing counts as the user's own, and no folder above the start is
/// searched.
pub(crate) fn is_own(_metadata: &Metadata) -> bool {
    false
}

/// Not determined, as [`is_own`].
pub(crate) fn device(_path: &Path) -> Option<u64> {
    None
}

/// The folder of a user's state is in the user's profile, which the system closes to others.
pub(crate) fn check_owner(_metadata: &Metadata) -> io::Result<()> {
    Ok(())
}

/// There are no such bits; the access control list is inherited from the folder.
pub(crate) fn is_open_to_others(_metadata: &Metadata) -> bool {
    false
}

/// There are no such bits.
pub(crate) fn check_private(_metadata: &Metadata) -> Result<(), String> {
    Ok(())
}

/// A new file inherits the access control list of its folder.
pub(crate) fn private(_options: &mut OpenOptions) {}

/// A new folder inherits the access control list of the folder above.
pub(crate) fn private_folders(_builder: &mut DirBuilder) {}

/// The access control list is the user's; it is left as it is.
pub(crate) fn close_to_others(_dir: &Dir) -> io::Result<()> {
    Ok(())
}

/// Pipes have no names in the file system.
pub(crate) fn without_waiting(_options: &mut std::fs::OpenOptions) {}

/// A link itself is opened, which is not a regular file.
pub(crate) fn without_waiting_or_following(options: &mut std::fs::OpenOptions) {
    options.custom_flags(FILE_FLAG_OPEN_REPARSE_POINT);
}

/// Flushes a folder where the file system can; where it cannot, its own journal keeps a rename whole, and it may be lost in
/// the last moments before a power cut.
pub(crate) fn sync_folder(dir: &Dir, folder: &Path) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.read(true).write(true);
    cap_std::fs::OpenOptionsExt::custom_flags(&mut options, FILE_FLAG_BACKUP_SEMANTICS);
    match dir.open_with(folder, &options).and_then(|folder| folder.sync_all()) {
        Err(error) if !cannot_flush(&error) => Err(error),
        _ => Ok(()),
    }
}

fn cannot_flush(error: &io::Error) -> bool {
    matches!(
        error.raw_os_error(),
        Some(
            ERROR_INVALID_FUNCTION
                | ERROR_ACCESS_DENIED
                | ERROR_INVALID_HANDLE
                | ERROR_SHARING_VIOLATION
                | ERROR_NOT_SUPPORTED
                | ERROR_INVALID_PARAMETER
        )
    )
}

/// Opens a file, also if another program holds it for a moment.
pub(crate) fn retry_open<T>(attempt: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    retry(attempt, |code| matches!(code, ERROR_SHARING_VIOLATION | ERROR_LOCK_VIOLATION))
}

/// Renames or removes, also if another program holds the file for a moment. Some file systems report that as a denied
/// access.
pub(crate) fn retry_change<T>(attempt: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    retry(attempt, |code| {
        matches!(
            code,
            ERROR_ACCESS_DENIED
                | ERROR_SHARING_VIOLATION
                | ERROR_LOCK_VIOLATION
                | ERROR_DELETE_PENDING
                | ERROR_USER_MAPPED_FILE
        )
    })
}

fn retry<T>(mut attempt: impl FnMut() -> io::Result<T>, is_busy: impl Fn(i32) -> bool) -> io::Result<T> {
    let deadline = Instant::now() + RETRY_TIMEOUT;
    let mut pause = Duration::from_millis(1);
    loop {
        match attempt() {
            Err(error) if error.raw_os_error().is_some_and(&is_busy) && Instant::now() < deadline => {
                std::thread::sleep(pause);
                pause = (pause * 2).min(MAX_PAUSE);
            }
            result => return result,
        }
    }
}

/// Refuses a name that the system reads as something else: a device, a stream of another file, a pattern, or a name
/// without its last dots and blanks.
pub(crate) fn check_name(name: &Path) -> io::Result<()> {
    let is_itself = name.components().all(|part| match part {
        Component::Normal(part) => {
            let part = part.to_string_lossy();
            !part.ends_with(['.', ' '])
                && !part.chars().any(|character| character.is_control() || "<>:\"|?*".contains(character))
                && !is_device(&part)
        }
        // A drive, as in `a:b.md`.
        Component::Prefix(_) => false,
        // They leave the bank, which `cap-std` refuses.
        Component::CurDir | Component::ParentDir | Component::RootDir => true,
    });
    if is_itself { Ok(()) } else { Err(io::Error::from_raw_os_error(ERROR_INVALID_NAME)) }
}

/// Whether the system takes this for a device, with any extension.
fn is_device(part: &str) -> bool {
    let stem = part.split('.').next().unwrap_or(part).trim_end().to_uppercase();
    if matches!(stem.as_str(), "CON" | "PRN" | "AUX" | "NUL" | "CONIN$" | "CONOUT$" | "CLOCK$") {
        return true;
    }
    let number = stem.strip_prefix("COM").or_else(|| stem.strip_prefix("LPT"));
    number.is_some_and(|number| {
        let mut letters = number.chars();
        letters.next().is_some_and(|digit| digit.is_ascii_digit() || matches!(digit, '¹' | '²' | '³'))
            && letters.next().is_none()
    })
}

/// Refuses a folder on the network: names in it cannot be resolved within the folder there, and locks may not be seen by
/// other machines.
pub(crate) fn check_place(path: &Path) -> io::Result<()> {
    let is_remote = |path: &Path| {
        let first = path.components().next();
        matches!(
            first,
            Some(Component::Prefix(prefix)) if matches!(prefix.kind(), Prefix::UNC(..) | Prefix::VerbatimUNC(..))
        )
    };
    if is_remote(path) || fs_err::canonicalize(path).is_ok_and(|real| is_remote(&real)) {
        return Err(io::Error::new(
            io::ErrorKind::Unsupported,
            "a memory bank cannot be used over the network; copy the project to a local drive, or run the server on the \
             machine that holds it (for a project in WSL: inside WSL)",
        ));
    }
    Ok(())
}

/// The forms of a path that no folder can have.
pub(crate) fn unusable_form(words: &str) -> Option<&'static str> {
    let mut parts = Path::new(words).components();
    match (parts.next(), parts.next()) {
        (Some(Component::Prefix(prefix)), next) => match prefix.kind() {
            Prefix::DeviceNS(_) => Some("is a device; give the path of a folder"),
            Prefix::Disk(_) if next != Some(Component::RootDir) => Some(
                "depends on the current folder of that drive; give the whole path, such as C:\\Users\\me\\project",
            ),
            _ => None,
        },
        _ => None,
    }
}

/// The right to use a folder alone, until it is dropped or the process ends: a file in it that nobody else can open
/// meanwhile, and that goes with its last handle.
#[derive(Debug)]
pub(crate) struct FolderLock(#[expect(dead_code, reason = "open, nobody else can open it")] File);

/// The file that [`FolderLock`] holds.
const HELD: &str = ".in-use";

impl FolderLock {
    /// Takes the right; none while another holder has it.
    pub(crate) fn take(folder: &Path) -> io::Result<Option<Self>> {
        Self::hold(&folder.join(HELD))
    }

    /// A file that is locked already.
    pub(crate) fn of(file: File) -> Self {
        Self(file)
    }

    /// Takes the lock of a file that exists only while it is held.
    pub(crate) fn hold(file: &Path) -> io::Result<Option<Self>> {
        let mut options = std::fs::OpenOptions::new();
        options.create(true).truncate(false).write(true).access_mode(GENERIC_WRITE | DELETE).share_mode(0);
        options.custom_flags(FILE_FLAG_DELETE_ON_CLOSE | FILE_FLAG_OPEN_REPARSE_POINT);
        match options.open(file) {
            Ok(file) => Ok(Some(Self(file))),
            Err(error)
                if matches!(
                    error.raw_os_error(),
                    Some(ERROR_SHARING_VIOLATION | ERROR_DELETE_PENDING | ERROR_ACCESS_DENIED)
                ) && file.parent().is_some_and(Path::is_dir) =>
            {
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use rstest::rstest;
    use tempfile::TempDir;

    use super::*;
    use crate::dir::BankDir;

    #[rstest]
    #[case("con.md")]
    #[case("Nul .json")]
    #[case("adr/COM1.md")]
    #[case("lpt¹.md")]
    #[case("notes.md:stream.md")]
    #[case("a:b.md")]
    #[case("graph::$INDEX_ALLOCATION/graph.md")]
    #[case("adr./x.md")]
    #[case("adr /x.md")]
    #[case("a?.md")]
    fn a_name_with_another_meaning_is_neither_read_nor_created(#[case] name: &str) {
        check_name(Path::new(name)).unwrap_err();
        let temp = TempDir::new().unwrap();
        let dir = BankDir::open(temp.path()).unwrap();
        dir.replace("notes.md", b"text").unwrap();
        dir.replace(name, b"x").unwrap_err();
        dir.write_new(name, &mut "x".as_bytes()).unwrap_err();
        assert!(!matches!(dir.read(name).unwrap(), crate::dir::FileRead::Found(..)));
        assert_eq!(dir.entries("").unwrap().len(), 1, "nothing was made");
    }

    #[rstest]
    #[case("notes.md")]
    #[case("v1..2.md")]
    #[case("console.md")]
    #[case("com10.md")]
    #[case("größe 日本.md")]
    #[case(".mbmcp/stage/1-1.tmp")]
    fn an_ordinary_name_means_itself(#[case] name: &str) {
        check_name(Path::new(name)).unwrap();
    }

    /// Opens the file like programs that prevent its replacement.
    fn held(path: &Path) -> File {
        const FILE_SHARE_READ: u32 = 1;
        std::fs::OpenOptions::new().read(true).share_mode(FILE_SHARE_READ).open(path).unwrap()
    }

    #[test]
    fn a_briefly_held_file_is_replaced_and_removed_afterwards() {
        let temp = TempDir::new().unwrap();
        let dir = BankDir::open(temp.path()).unwrap();
        for change in ["replace", "remove"] {
            dir.replace("a.md", b"old").unwrap();
            let (holding, is_held) = mpsc::channel();
            let path = temp.path().join("a.md");
            let other = std::thread::spawn(move || {
                let file = held(&path);
                holding.send(()).unwrap();
                std::thread::sleep(Duration::from_millis(300));
                drop(file);
            });
            is_held.recv().unwrap();
            match change {
                "replace" => dir.replace("a.md", b"new").unwrap(),
                _ => dir.remove("a.md").unwrap(),
            }
            other.join().unwrap();
            let left = std::fs::read(temp.path().join("a.md")).ok();
            assert_eq!(left.as_deref(), (change == "replace").then_some(&b"new"[..]));
        }
    }

    #[test]
    fn a_file_that_stays_held_is_not_changed_after_a_bounded_time() {
        let temp = TempDir::new().unwrap();
        let dir = BankDir::open(temp.path()).unwrap();
        dir.replace("a.md", b"old").unwrap();
        let file = held(&temp.path().join("a.md"));
        dir.replace("a.md", b"new").unwrap_err();
        drop(file);
        assert_eq!(std::fs::read(temp.path().join("a.md")).unwrap(), b"old");
        assert_eq!(
            std::fs::read_dir(temp.path().join(".mbmcp/stage")).unwrap().count(),
            0,
            "no draft is left"
        );
    }

    #[test]
    fn a_reader_does_not_prevent_a_replacement() {
        let temp = TempDir::new().unwrap();
        let dir = BankDir::open(temp.path()).unwrap();
        dir.replace("a.md", b"old").unwrap();
        let mut options = OpenOptions::new();
        let reader = dir.open_file("a.md", options.read(true)).unwrap();
        dir.replace("a.md", b"new").unwrap();
        drop(reader);
        assert_eq!(std::fs::read(temp.path().join("a.md")).unwrap(), b"new");
    }

    #[test]
    fn a_folder_has_one_holder_at_a_time_which_leaves_nothing_in_it() {
        let temp = TempDir::new().unwrap();
        let first = FolderLock::take(temp.path()).unwrap().unwrap();
        assert!(FolderLock::take(temp.path()).unwrap().is_none());
        drop(first);
        assert_eq!(std::fs::read_dir(temp.path()).unwrap().count(), 0);
        drop(FolderLock::take(temp.path()).unwrap().unwrap());
    }

    #[rstest]
    #[case("\\\\server\\share\\project")]
    #[case("\\\\wsl$\\Debian\\home")]
    #[case("\\\\?\\UNC\\server\\share")]
    fn a_network_folder_is_refused_with_advice(#[case] path: &str) {
        assert!(check_place(Path::new(path)).unwrap_err().to_string().contains("local drive"));
    }

    #[test]
    fn paths_relative_to_a_drive_and_device_paths_are_refused() {
        assert!(unusable_form("C:project").is_some());
        assert!(unusable_form("\\\\.\\pipe\\x").is_some());
        assert!(unusable_form("C:\\project").is_none());
        assert!(unusable_form("project").is_none());
    }

    #[test]
    fn a_path_of_more_than_260_characters_is_read_and_written() {
        let temp = TempDir::new().unwrap();
        let deep =
            temp.path().canonicalize().unwrap().join(["a-folder-with-a-rather-long-name"; 10].join("\\"));
        std::fs::create_dir_all(&deep).unwrap();
        let dir = BankDir::open(&deep).unwrap();
        dir.create_folder("adr/deeper").unwrap();
        dir.replace("adr/deeper/notes.md", b"text").unwrap();
        dir.replace("adr/deeper/notes.md", b"again").unwrap();
        assert!(
            matches!(dir.read("adr/deeper/notes.md").unwrap(), crate::dir::FileRead::Found(text, _) if text == b"again")
        );
        assert_eq!(dir.walk().unwrap().len(), 3);
        dir.remove_with_folders("adr/deeper/notes.md").unwrap();
    }
}
