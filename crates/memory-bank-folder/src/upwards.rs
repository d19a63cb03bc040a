//! Finds the bank of a server that was started below a project's root, or in another working copy of it.
//!
//! The search goes from the start folder up to the root of its repository, and from a linked worktree of git on to
//! the main checkout. Each folder on the way must belong to this user, be on the same file system, and not be a link;
//! without a repository nothing above is checked. A worktree's `.git` file may be forged, so the main repository must
//! know the worktree, too: its record must lead back to this very file. Git is never run, its environment is not
//! used, and all reads are short.

use std::path::{Path, PathBuf};

use memory_bank_core::error::WorkspaceError;

use crate::bank_paths::{BankPaths, Origin, is_bank};
use crate::system::{self, device, is_own};

/// How many folders above the start are checked.
const MAX_LEVELS: usize = 64;
/// The largest of git's files that contain a path, in bytes.
const MAX_POINTER_BYTES: u64 = 16 * 1024;

/// A project that was found, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Found {
    /// The folder that holds the bank.
    pub(crate) project: PathBuf,
    /// Whether it is in the main checkout of the worktree in which the server was started.
    pub(crate) in_main_checkout: bool,
}

impl Origin {
    /// The project that `--path` means. Without it: the working directory, or the folder above it that [`find`] finds,
    /// which is returned, too.
    ///
    /// # Errors
    /// As [`Self::absolute`].
    pub(crate) fn project(&self, path: Option<&str>) -> Result<(PathBuf, Option<Found>), WorkspaceError> {
        let start = match path {
            None => self.working_directory.clone(),
            Some(path) => self.absolute(path)?,
        };
        if let Some(paths) = self.named(&start) {
            return Ok((paths.project, None));
        }
        if path.is_none()
            && let Some(found) = find(self)
        {
            return Ok((found.project.clone(), Some(found)));
        }
        // Documents beside the sources make no bank of them: then the project would be the folder above, with all in it.
        Ok((self.inside(&start).project, None))
    }
}

/// Searches for the bank's folder above the folder in which the process was started. Reads the disk.
pub(crate) fn find(origin: &Origin) -> Option<Found> {
    let start = fs_err::canonicalize(&origin.working_directory).ok()?;
    let repository = Repository::containing(&start)?;
    let levels = || start.ancestors().take_while(|level| level.starts_with(&repository.root));
    if let Some(level) = levels().find(|level| has_bank(origin, level)) {
        return Some(Found { project: level.to_owned(), in_main_checkout: false });
    }
    let main = repository.main_checkout()?;
    let inner = levels().filter_map(|level| level.strip_prefix(&repository.root).ok());
    let mut there = inner.map(|inner| main.join(inner));
    let project = there.find(|level| is_reached(&main, level) && has_bank(origin, level))?;
    Some(Found { project, in_main_checkout: true })
}

/// The project above this one, in the same repository, that has a bank. Reads the disk.
pub(crate) fn above(origin: &Origin, project: &Path) -> Option<PathBuf> {
    let is_root =
        |real: PathBuf| Repository::containing(&real).is_some_and(|repository| repository.root == real);
    if fs_err::canonicalize(project).is_ok_and(is_root) {
        return None;
    }
    // The project's own folder may not be there yet.
    let start = project.ancestors().skip(1).find(|level| level.is_dir())?.to_owned();
    find(&Origin { working_directory: start, ..origin.clone() }).map(|found| found.project)
}

/// Whether this folder holds a bank that is this user's own.
fn has_bank(origin: &Origin, level: &Path) -> bool {
    let paths = BankPaths { project: level.to_owned(), bank: level.join(&origin.folder) };
    is_own_folder(&paths.bank) && is_bank(&origin.root(&paths))
}

/// Whether every folder from `top` down to `level` is this user's own.
fn is_reached(top: &Path, level: &Path) -> bool {
    level.ancestors().take_while(|folder| folder.starts_with(top)).all(is_own_folder)
}

/// A working copy.
#[derive(Debug)]
struct Repository {
    root: PathBuf,
    /// Whether its `.git` is a file that leads elsewhere.
    is_linked: bool,
}

impl Repository {
    /// The innermost working copy around a folder, if all the way up to it is this user's own.
    fn containing(start: &Path) -> Option<Self> {
        let device = device(start)?;
        for level in start.ancestors().take(MAX_LEVELS) {
            if !is_own_folder(level) || system::device(level) != Some(device) {
                return None;
            }
            let dot_git = level.join(".git");
            match dot_git.symlink_metadata() {
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                // A folder that only has this name is not a repository; the real one may be further up.
                Ok(metadata) if is_own(&metadata) && metadata.is_dir() && !has_head(&dot_git) => {}
                Ok(metadata) if is_own(&metadata) && (metadata.is_dir() || metadata.is_file()) => {
                    return Some(Self { root: level.to_owned(), is_linked: metadata.is_file() });
                }
                // A link, or another user's: its meaning is unknown.
                _ => return None,
            }
        }
        None
    }

    /// The main checkout of which this is a linked worktree, if both confirm it. A submodule has none.
    fn main_checkout(&self) -> Option<PathBuf> {
        if !self.is_linked {
            return None;
        }
        let dot_git = self.root.join(".git");
        let to = pointer(&dot_git)?;
        let own = fs_err::canonicalize(self.root.join(to.strip_prefix("gitdir:")?.trim_start())).ok()?;
        // `<main>/.git/worktrees/<name>`
        let worktrees =
            own.parent().filter(|folder| folder.file_name().is_some_and(|name| name == "worktrees"))?;
        let common =
            worktrees.parent().filter(|folder| folder.file_name().is_some_and(|name| name == ".git"))?;
        let main = common.parent()?;
        if ![&own, worktrees, common, main].into_iter().all(is_own_folder) || main == self.root {
            return None;
        }
        let shared = own.join(pointer(&own.join("commondir"))?);
        let back = own.join(pointer(&own.join("gitdir"))?);
        let leads_back = is_same(&shared, common) && is_same(&back, &dot_git);
        (leads_back && pointer(&common.join("HEAD")).is_some()).then(|| main.to_owned())
    }
}

/// Whether a folder `.git` is git's: its head names a branch or a commit.
fn has_head(dot_git: &Path) -> bool {
    pointer(&dot_git.join("HEAD")).is_some_and(|head| {
        let head = head.trim_end();
        head.starts_with("ref:")
            || matches!(head.len(), 40 | 64) && head.bytes().all(|byte| byte.is_ascii_hexdigit())
    })
}

/// Whether two paths lead to one place.
fn is_same(one: &Path, other: &Path) -> bool {
    matches!((fs_err::canonicalize(one), fs_err::canonicalize(other)), (Ok(one), Ok(other)) if one == other)
}

/// The line of text that a small file of this user's own holds. Follows no link and waits for no pipe.
fn pointer(path: &Path) -> Option<String> {
    use std::io::Read;
    let mut options = std::fs::OpenOptions::new();
    options.read(true);
    system::without_waiting_or_following(&mut options);
    // Before it is opened, since opening a device may do something.
    if !path.symlink_metadata().ok()?.is_file() {
        return None;
    }
    let file = options.open(path).ok()?;
    let metadata = file.metadata().ok()?;
    if !metadata.is_file() || !is_own(&metadata) {
        return None;
    }
    let mut text = String::new();
    file.take(MAX_POINTER_BYTES + 1).read_to_string(&mut text).ok()?;
    let line = text.trim_end_matches(['\n', '\r']);
    let is_one = text.len() as u64 <= MAX_POINTER_BYTES && !line.is_empty() && !line.contains(['\n', '\0']);
    is_one.then(|| line.to_owned())
}

/// Whether this is a folder, not a link to one, and this user's own.
fn is_own_folder(path: &Path) -> bool {
    path.symlink_metadata().is_ok_and(|metadata| metadata.is_dir() && is_own(&metadata))
}

#[cfg(unix)]
#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use tempfile::TempDir;

    use super::*;
    use crate::git_for_tests::git;

    struct Scene {
        _temp: TempDir,
        top: PathBuf,
    }

    impl Scene {
        fn new() -> Self {
            let temp = TempDir::new().unwrap();
            let top = temp.path().canonicalize().unwrap();
            Self { _temp: temp, top }
        }

        /// A repository with one commit.
        fn repository(&self, name: &str) -> PathBuf {
            let root = self.folder(name);
            git(&root, &["init", "-q"]);
            std::fs::write(root.join("readme"), "x").unwrap();
            git(&root, &["add", "readme"]);
            git(&root, &["commit", "-qm", "x"]);
            root
        }

        fn folder(&self, name: &str) -> PathBuf {
            let folder = self.top.join(name);
            std::fs::create_dir_all(&folder).unwrap();
            folder
        }

        fn bank(&self, project: &str) -> PathBuf {
            let folder = self.folder(project);
            std::fs::create_dir_all(folder.join("memory-bank")).unwrap();
            std::fs::write(folder.join("memory-bank/progress.md"), "").unwrap();
            folder
        }

        fn found(&self, start: &str) -> Option<(PathBuf, bool)> {
            let origin = Origin {
                working_directory: self.folder(start),
                home: None,
                folder: "memory-bank".to_owned(),
                follow_links: false,
            };
            find(&origin).map(|found| (found.project, found.in_main_checkout))
        }
    }

    #[test]
    fn the_nearest_bank_up_to_the_repository_s_root_is_found() {
        let scene = Scene::new();
        scene.repository("r");
        scene.bank("");
        // Above the repository is another project.
        assert_eq!(scene.found("r/a/b"), None);
        let root = scene.bank("r");
        assert_eq!(scene.found("r/a/b"), Some((root, false)));
        let package = scene.bank("r/a");
        assert_eq!(scene.found("r/a/b"), Some((package.clone(), false)));
        assert_eq!(scene.found("r/a/memory-bank/adr"), Some((package, false)));
    }

    #[test]
    fn without_a_repository_no_folder_above_is_searched() {
        let scene = Scene::new();
        scene.bank("p");
        assert_eq!(scene.found("p/a"), None);
    }

    #[test]
    fn a_folder_that_is_only_named_like_git_s_is_not_a_repository() {
        let scene = Scene::new();
        let root = scene.bank("p");
        let dot_git = scene.folder("p/.git");
        assert_eq!(scene.found("p/a"), None);
        for text in ["", "nonsense\n", "ref\n", "0123\n"] {
            std::fs::write(dot_git.join("HEAD"), text).unwrap();
            assert_eq!(scene.found("p/a"), None, "{text:?}");
        }
        for text in ["ref: refs/heads/main\n", "0123456789012345678901234567890123456789\n"] {
            std::fs::write(dot_git.join("HEAD"), text).unwrap();
            assert_eq!(scene.found("p/a"), Some((root.clone(), false)), "{text:?}");
        }
        std::fs::rename(dot_git.join("HEAD"), scene.top.join("head")).unwrap();
        symlink(scene.top.join("head"), dot_git.join("HEAD")).unwrap();
        assert_eq!(scene.found("p/a"), None);
        // An empty `.git` below a real repository does not hide that repository.
        scene.repository("r");
        let root = scene.bank("r");
        scene.folder("r/a/.git");
        assert_eq!(scene.found("r/a/b"), Some((root, false)));
    }

    #[test]
    fn a_worktree_has_the_bank_of_its_main_checkout() {
        let scene = Scene::new();
        let main = scene.repository("r");
        git(&main, &["worktree", "add", "-q", "../w"]);
        assert_eq!(scene.found("w/a"), None);
        scene.bank("r");
        assert_eq!(scene.found("w"), Some((main.clone(), true)));
        assert_eq!(scene.found("w/a/b"), Some((main.clone(), true)));
        let package = scene.bank("r/a");
        assert_eq!(scene.found("w/a/b"), Some((package, true)));
        assert_eq!(scene.found("w"), Some((main, true)));
        // Its own bank is nearer.
        let own = scene.bank("w");
        assert_eq!(scene.found("w/a/b"), Some((own, false)));
    }

    #[test]
    fn a_submodule_is_a_separate_project() {
        let scene = Scene::new();
        let inner = scene.repository("inner");
        let outer = scene.repository("outer");
        git(&outer, &["submodule", "--quiet", "add", inner.to_str().unwrap(), "sub"]);
        scene.bank("outer");
        assert_eq!(scene.found("outer/sub"), None);
        let own = scene.bank("outer/sub");
        assert_eq!(scene.found("outer/sub/a"), Some((own, false)));
    }

    #[test]
    fn a_planted_pointer_opens_no_bank_that_does_not_point_back() {
        let scene = Scene::new();
        let main = scene.repository("r");
        git(&main, &["worktree", "add", "-q", "../w"]);
        scene.bank("r");
        let (git_folder, own) = (main.join(".git"), main.join(".git/worktrees/w"));
        let evil = scene.folder("evil");
        for to in [&own, &git_folder, &main, &scene.top] {
            std::fs::write(evil.join(".git"), format!("gitdir: {}\n", to.display())).unwrap();
            assert_eq!(scene.found("evil"), None, "{}", to.display());
        }
        for text in
            ["", "gitdir:", "gitdir: \n", "gitdir: ../r/.git/worktrees/w\nmore", "gitdir: a\0b", "nonsense"]
        {
            std::fs::write(evil.join(".git"), text).unwrap();
            assert_eq!(scene.found("evil"), None, "{text:?}");
        }
        // A forged worktree leads to the real repository, which does not lead back to it.
        let made_up = scene.folder("evil/x/.git/worktrees/w");
        std::fs::write(evil.join(".git"), format!("gitdir: {}\n", made_up.display())).unwrap();
        std::fs::write(made_up.join("gitdir"), format!("{}\n", evil.join(".git").display())).unwrap();
        std::fs::write(made_up.join("commondir"), format!("{}\n", git_folder.display())).unwrap();
        assert_eq!(scene.found("evil"), None);
        // A worktree that was moved by hand is not known any more.
        std::fs::rename(scene.top.join("w"), scene.top.join("moved")).unwrap();
        assert_eq!(scene.found("moved"), None);
    }

    #[test]
    fn links_are_not_followed() {
        let scene = Scene::new();
        let main = scene.repository("r");
        git(&main, &["worktree", "add", "-q", "../w"]);
        let outside = scene.bank("outside");
        symlink(outside.join("memory-bank"), main.join("memory-bank")).unwrap();
        assert_eq!(scene.found("r/a"), None);
        assert_eq!(scene.found("w"), None);
        std::fs::remove_file(main.join("memory-bank")).unwrap();
        scene.bank("r");
        // A `.git` that is a link.
        let linked = scene.folder("linked");
        symlink(main.join(".git"), linked.join(".git")).unwrap();
        scene.bank("linked");
        assert_eq!(scene.found("linked/a"), None);
        // Git's own files as links.
        let back = main.join(".git/worktrees/w/gitdir");
        std::fs::rename(&back, scene.top.join("elsewhere")).unwrap();
        symlink(scene.top.join("elsewhere"), &back).unwrap();
        assert_eq!(scene.found("w"), None);
    }

    #[test]
    fn a_pipe_or_a_large_file_does_not_block_the_search() {
        let scene = Scene::new();
        let main = scene.repository("r");
        git(&main, &["worktree", "add", "-q", "../w"]);
        scene.bank("r");
        let back = main.join(".git/worktrees/w/gitdir");
        std::fs::remove_file(&back).unwrap();
        assert!(std::process::Command::new("mkfifo").arg(&back).status().unwrap().success());
        assert_eq!(scene.found("w"), None);
        let large = scene.folder("large");
        std::fs::File::create(large.join(".git")).unwrap().set_len(1 << 40).unwrap();
        assert_eq!(scene.found("large"), None);
    }

    /// Only root can give a folder to another user.
    #[test]
    fn folders_of_another_user_are_not_opened() {
        if !rustix::process::geteuid().is_root() {
            return;
        }
        let scene = Scene::new();
        let main = scene.repository("r");
        git(&main, &["worktree", "add", "-q", "../w"]);
        let root = scene.bank("r");
        scene.folder("r/a/b");
        assert_eq!(scene.found("r/a/b"), Some((root.clone(), false)));
        let back = "r/.git/worktrees/w/gitdir";
        for (name, start) in [
            ("r/memory-bank", "r/a/b"),
            ("r", "r/a/b"),
            ("r/a", "r/a/b"),
            ("r/a/b", "r/a/b"),
            ("r/.git", "r/a/b"),
            ("r/memory-bank", "w"),
            ("r", "w"),
            ("r/.git", "w"),
            ("r/.git/worktrees/w", "w"),
            (back, "w"),
            ("w/.git", "w"),
            ("w", "w"),
        ] {
            let path = scene.top.join(name);
            std::os::unix::fs::chown(&path, Some(65534), None).unwrap();
            assert_eq!(scene.found(start), None, "{name} from {start}");
            std::os::unix::fs::chown(&path, Some(0), None).unwrap();
        }
        assert_eq!(scene.found("w"), Some((root, true)));
    }
}
