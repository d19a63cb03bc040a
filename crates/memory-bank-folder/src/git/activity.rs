//! The activity in a repository since a moment: its branch, new commits, touched files.
//!
//! Git is never run here either: the branch is in `HEAD`, the commits are in the reflog of `HEAD`, which git appends to
//! (gitrepository-layout(5), git-reflog(1)), and files by the times in the index and on the disk. All of it may be forged by
//! a repository that somebody else has made, so each read is bounded, follows no link out of `.git`'s own files, and its
//! result is text to show, never a path to open. New files count when git knows them.

use std::collections::BTreeSet;
use std::path::{Component, Path, PathBuf};
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};

use super::reflog::{Line, Log, is_id, short};
use super::{
    FOLDER_MODE, MAX_INDEX_BYTES, OTHER_SYSTEMS, TYPE_BITS, entries, git_folder, own_git_folder, read,
};
use crate::system::{self, is_own};

/// How many folders above the project are checked for a repository.
const LEVELS: usize = 64;
/// How much of the reflog's end is read, in bytes.
const REFLOG_BYTES: u64 = 256 * 1024;
/// A larger index is not read: comparing its files would take too long.
const LARGEST_INDEX: u64 = 16 * 1024 * 1024;
/// The most commits and files that are returned; more are counted.
const RETURNED: usize = 50;
/// How far from the time of a checkout, in seconds, files count as written by it. Git writes the reflog after them.
const CHECKOUT: i64 = 2;
/// The branch that `HEAD` names in a repository whose references are not files.
const NO_BRANCH: &str = ".invalid";
/// How far the times of files may be behind the clock: file systems use that of the last tick.
const TICK: SignedDuration = SignedDuration::from_millis(20);

/// The activity in a repository.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct GitActivity {
    /// The branch, or the beginning of a commit's id.
    pub branch: Option<String>,
    /// The commits that were made here, the newest first.
    pub commits: Vec<GitCommit>,
    /// How many there are.
    pub commit_count: usize,
    /// Tracked files that were changed, by name.
    pub files: Vec<String>,
    /// How many there are.
    pub file_count: usize,
    /// When git itself changed files last, such as by a checkout of another branch, in seconds.
    pub last_checkout: Option<i64>,
}

/// A commit in the reflog.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GitCommit {
    /// The beginning of its id.
    pub id: String,
    /// The first line of its message.
    pub subject: String,
}

impl GitActivity {
    /// Whether nothing was done.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.commit_count == 0 && self.file_count == 0
    }
}

/// The activity since `since` in the repository around the project; `None` without one. `head` is the commit that
/// [`git_head`] returned then. Files below `except`, and files for which `wait` is too short, are left out.
#[must_use]
pub fn git_activity(
    project: &Path,
    since: Timestamp,
    head: Option<&str>,
    except: Option<&Path>,
    wait: Duration,
) -> Option<GitActivity> {
    let until = Instant::now() + wait;
    let repository = Repository::around(project)?;
    let mut activity = GitActivity { branch: repository.branch(), ..GitActivity::default() };
    let log = Log::since(&repository.reflog_tail().unwrap_or_default(), since, head);
    activity.commit_count = log.commits.len();
    activity.commits = log.commits;
    activity.commits.truncate(RETURNED);
    activity.last_checkout = log.checkouts.iter().max().copied();
    let except = except.and_then(|path| fs_err::canonicalize(path).ok());
    let except = except.as_deref().and_then(|path| path.strip_prefix(&repository.root).ok());
    let files = repository.touched(since, &log.checkouts, except, until);
    activity.file_count = files.len();
    activity.files = files.into_iter().take(RETURNED).collect();
    Some(activity)
}

/// The commit that is checked out, for a later [`git_activity`].
#[must_use]
pub fn git_head(project: &Path) -> Option<String> {
    let log = Repository::around(project)?.reflog_tail()?;
    let line = log.lines().next_back()?;
    Some(Line::parse(line)?.new.to_owned())
}

/// Whether version control has, or may have, a file below this folder.
#[must_use]
pub fn is_versioned(folder: &Path) -> bool {
    let Ok(folder) = fs_err::canonicalize(folder) else { return true };
    folder.ancestors().take(LEVELS).any(|above| {
        if OTHER_SYSTEMS.iter().any(|name| above.join(name).symlink_metadata().is_ok()) {
            return true;
        }
        let dot_git = above.join(".git");
        if dot_git.symlink_metadata().is_err() {
            return false;
        }
        let Ok(inner) = folder.strip_prefix(above) else { return true };
        let Some(listed) = git_folder(&dot_git).ok().and_then(|git| index(&git, MAX_INDEX_BYTES).ok()) else {
            return true;
        };
        let inner = slashed(inner);
        listed.iter().any(|entry| {
            let path = String::from_utf8_lossy(&entry.path).to_lowercase();
            path.starts_with(&inner) || entry.mode & TYPE_BITS == FOLDER_MODE && inner.starts_with(&path)
        })
    })
}

/// A folder of a repository as the index writes it, in lower case, with a slash at its end; empty for the root.
fn slashed(folder: &Path) -> String {
    folder.components().map(|part| part.as_os_str().to_string_lossy().to_lowercase() + "/").collect()
}

fn index(git: &Path, limit: u64) -> Result<Vec<super::Entry>, String> {
    let Some(bytes) = read(&git.join("index"), limit)? else { return Ok(Vec::new()) };
    entries(&bytes, 20)
        .or_else(|| entries(&bytes, 32))
        .ok_or_else(|| "its index cannot be understood".to_owned())
}

struct Repository {
    root: PathBuf,
    /// The folder with `HEAD`, the index and the logs of this working copy.
    git: PathBuf,
}

impl Repository {
    /// The innermost repository of this user around a folder.
    fn around(project: &Path) -> Option<Self> {
        let project = fs_err::canonicalize(project).ok()?;
        for level in project.ancestors().take(LEVELS) {
            let dot_git = level.join(".git");
            let Ok(metadata) = dot_git.symlink_metadata() else { continue };
            if metadata.is_symlink() || !is_own(&metadata) {
                return None;
            }
            let git = own_git_folder(&dot_git).ok()?;
            if git.join("HEAD").symlink_metadata().is_ok_and(|head| head.is_file()) {
                return Some(Self { root: level.to_owned(), git });
            }
        }
        None
    }

    fn branch(&self) -> Option<String> {
        let head = tail(&self.git.join("HEAD"), 4096)?;
        let head = head.lines().next()?.trim();
        match head.strip_prefix("ref:") {
            Some(name) => {
                let name = name.trim();
                let name = name.strip_prefix("refs/heads/").unwrap_or(name);
                // Where references are in tables (git-config(1), `extensions.refStorage`), `HEAD` names none.
                (name != NO_BRANCH).then(|| name.to_owned())
            }
            None => is_id(head).then(|| short(head)),
        }
    }

    fn reflog_tail(&self) -> Option<String> {
        tail(&self.git.join("logs").join("HEAD"), REFLOG_BYTES)
    }

    /// Tracked files that were written since the moment, but for what git itself wrote.
    fn touched(
        &self,
        since: Timestamp,
        checkouts: &[i64],
        except: Option<&Path>,
        until: Instant,
    ) -> BTreeSet<String> {
        let Ok(listed) = index(&self.git, LARGEST_INDEX) else { return BTreeSet::new() };
        let since = since.checked_sub(TICK).unwrap_or(since);
        let since = (since.as_second(), since.subsec_nanosecond());
        let except = except.map(slashed).unwrap_or_default();
        let is_later = |(seconds, nanoseconds): (i64, i32)| {
            (seconds, nanoseconds) >= since
                && !checkouts.iter().any(|at| (at - CHECKOUT..=*at).contains(&seconds))
        };
        let mut files = BTreeSet::new();
        for (number, entry) in listed.iter().enumerate() {
            if number % 64 == 0 && Instant::now() > until {
                break;
            }
            if entry.mode & TYPE_BITS == FOLDER_MODE {
                continue;
            }
            let Ok(path) = std::str::from_utf8(&entry.path) else { continue };
            if !is_inside(path) || !except.is_empty() && path.to_lowercase().starts_with(&except) {
                continue;
            }
            let seen = (i64::from(entry.modified.0), i32::try_from(entry.modified.1).unwrap_or(0));
            let file = self.root.join(path);
            let is_touched = || match modified(&file) {
                Some(at) => is_later(at),
                None => !entry.is_skipped && removed(&file, &self.root).is_some_and(is_later),
            };
            if is_later(seen) || is_touched() {
                files.insert(path.to_owned());
            }
        }
        files
    }
}

/// When the file itself was written; links are not followed.
fn modified(path: &Path) -> Option<(i64, i32)> {
    let metadata = path.symlink_metadata().ok()?;
    let at = Timestamp::try_from(metadata.modified().ok()?).ok()?;
    Some((at.as_second(), at.subsec_nanosecond()))
}

/// When a missing file may have been removed: the last change of the innermost folder above it that is there.
fn removed(file: &Path, root: &Path) -> Option<(i64, i32)> {
    file.ancestors().skip(1).take_while(|above| above.starts_with(root)).find_map(modified)
}

/// Whether a path of the index stays in the working copy.
fn is_inside(path: &str) -> bool {
    !path.is_empty() && Path::new(path).components().all(|part| matches!(part, Component::Normal(_)))
}

/// The end of a regular file, not of a link, as text from a whole line on. Never waits for a pipe.
fn tail(path: &Path, bytes: u64) -> Option<String> {
    use std::io::{Read, Seek, SeekFrom};
    if !path.symlink_metadata().ok()?.is_file() {
        return None;
    }
    let mut options = std::fs::OpenOptions::new();
    options.read(true);
    system::without_waiting_or_following(&mut options);
    let mut file = options.open(path).ok()?;
    let length = file.metadata().ok().filter(std::fs::Metadata::is_file)?.len();
    let from = length.saturating_sub(bytes);
    file.seek(SeekFrom::Start(from)).ok()?;
    let mut read = Vec::new();
    file.take(bytes).read_to_end(&mut read).ok()?;
    let text = String::from_utf8_lossy(&read).into_owned();
    if from == 0 {
        return Some(text);
    }
    text.split_once('\n').map(|(_, rest)| rest.to_owned())
}

#[cfg(unix)]
#[cfg(test)]
mod tests {
    use jiff::ToSpan;
    use tempfile::TempDir;

    use super::*;
    use crate::git_for_tests::git;

    const TIMEOUT: Duration = Duration::from_secs(60);

    fn repository() -> (TempDir, PathBuf) {
        let temp = TempDir::new().unwrap();
        let root = temp.path().canonicalize().unwrap().join("r");
        std::fs::create_dir_all(root.join("src")).unwrap();
        std::fs::create_dir_all(root.join("memory-bank")).unwrap();
        git(temp.path(), &["init", "-q", "-b", "main", "r"]);
        for name in ["src/old.rs", "src/later.rs", "memory-bank/progress.md"] {
            std::fs::write(root.join(name), "x").unwrap();
        }
        git(&root, &["add", "."]);
        git(&root, &["commit", "-qm", "before"]);
        // Existing files are an hour old.
        for name in ["src/old.rs", "src/later.rs", "memory-bank/progress.md"] {
            let file = std::fs::File::options().append(true).open(root.join(name)).unwrap();
            file.set_modified((now() - 1.hour()).into()).unwrap();
        }
        git(&root, &["update-index", "-q", "--refresh"]);
        (temp, root)
    }

    #[expect(clippy::disallowed_methods, reason = "compared with the times of files")]
    fn now() -> Timestamp {
        Timestamp::now()
    }

    fn since(root: &Path, started: Timestamp, head: Option<&str>) -> GitActivity {
        git_activity(root, started, head, Some(&root.join("memory-bank")), TIMEOUT).unwrap()
    }

    #[test]
    fn commits_and_files_since_the_start_are_found_without_git() {
        let (_temp, root) = repository();
        let (head, started) = (git_head(&root), now());
        let idle = since(&root, started, head.as_deref());
        assert!(idle.is_idle() && idle.branch.as_deref() == Some("main"), "{idle:?}");
        std::fs::write(root.join("src/new.rs"), "y").unwrap();
        git(&root, &["add", "src/new.rs"]);
        git(&root, &["commit", "-qm", "add new"]);
        git(&root, &["commit", "-q", "--amend", "-m", "add new file"]);
        std::fs::write(root.join("src/later.rs"), "not committed").unwrap();
        std::fs::write(root.join("memory-bank/progress.md"), "of the bank").unwrap();
        let done = since(&root.join("src"), started, head.as_deref());
        assert_eq!(
            done.commits.iter().map(|commit| commit.subject.as_str()).collect::<Vec<_>>(),
            ["add new file"]
        );
        assert_eq!(done.files, ["memory-bank/progress.md", "src/later.rs", "src/new.rs"]);
        let done = since(&root, started, head.as_deref());
        assert_eq!(done.files, ["src/later.rs", "src/new.rs"], "the bank's own files are no work");
    }

    #[test]
    fn a_removed_file_was_touched_but_not_one_that_a_sparse_checkout_leaves_out() {
        let (_temp, root) = repository();
        let started = now();
        std::fs::remove_dir_all(root.join("src")).unwrap();
        assert_eq!(since(&root, started, None).files, ["src/later.rs", "src/old.rs"]);
        git(&root, &["checkout", "-q", "."]);
        git(&root, &["sparse-checkout", "set", "--no-cone", "memory-bank"]);
        assert!(!root.join("src/old.rs").exists());
        // Git has just written files.
        std::thread::sleep((2 * TICK).unsigned_abs());
        let started = now();
        std::fs::write(root.join("untracked"), "x").unwrap();
        assert_eq!(since(&root, started, None).files, [""; 0]);
    }

    #[test]
    fn a_repository_with_tables_of_references_shows_no_branch() {
        let (_temp, root) = repository();
        std::fs::write(root.join(".git/HEAD"), "ref: refs/heads/.invalid\n").unwrap();
        assert_eq!(since(&root, now(), None).branch, None);
        let temp = TempDir::new().unwrap();
        git(temp.path(), &["init", "-q", "-b", "main", "--ref-format=reftable", "r"]);
        let root = temp.path().join("r");
        git(&root, &["commit", "-q", "--allow-empty", "-m", "x"]);
        assert_eq!(since(&root, now(), None).branch, None);
    }

    #[test]
    fn a_checkout_touches_nothing_and_a_worktree_has_its_own_log() {
        let (_temp, root) = repository();
        git(&root, &["worktree", "add", "-q", "-b", "other", "../w"]);
        let worktree = root.with_file_name("w");
        std::fs::write(worktree.join("src/old.rs"), "changed").unwrap();
        git(&worktree, &["commit", "-qam", "in the worktree"]);
        let started = now() - 10.seconds();
        let there = since(&worktree, started, None);
        assert_eq!(there.branch.as_deref(), Some("other"));
        assert_eq!(there.commit_count, 1, "{there:?}");
        let head = git_head(&root);
        git(&root, &["checkout", "-q", "--detach", "other"]);
        let here = since(&root, started, head.as_deref());
        assert!(here.is_idle(), "{here:?}");
        assert_eq!(here.branch.map(|branch| branch.len()), Some(8));
    }

    /// Sets the reflog back by an hour, as if everything so far was done then.
    fn age_reflog(root: &Path) {
        let file = root.join(".git/logs/HEAD");
        let aged: String = std::fs::read_to_string(&file)
            .unwrap()
            .lines()
            .map(|line| {
                let (before, rest) = line.split_once("> ").unwrap();
                let (seconds, rest) = rest.split_once(' ').unwrap();
                format!("{before}> {} {rest}\n", seconds.parse::<i64>().unwrap() - 3600)
            })
            .collect();
        std::fs::write(file, aged).unwrap();
    }

    #[test]
    fn work_on_a_branch_counts_after_the_return_to_the_first_commit_and_checkouts_alone_do_not() {
        let (_temp, root) = repository();
        git(&root, &["checkout", "-q", "-b", "refunds"]);
        git(&root, &["commit", "-q", "--allow-empty", "-m", "begin refunds"]);
        git(&root, &["checkout", "-q", "main"]);
        age_reflog(&root);
        let (head, started) = (git_head(&root), now());
        git(&root, &["checkout", "-q", "refunds"]);
        git(&root, &["checkout", "-q", "main"]);
        let idle = since(&root, started, head.as_deref());
        assert!(idle.is_idle(), "{idle:?}");
        git(&root, &["checkout", "-q", "refunds"]);
        git(&root, &["commit", "-q", "--allow-empty", "-m", "implement refunds"]);
        git(&root, &["checkout", "-q", "main"]);
        let done = since(&root, started, head.as_deref());
        let subjects: Vec<&str> = done.commits.iter().map(|commit| commit.subject.as_str()).collect();
        assert_eq!(subjects, ["implement refunds"], "{done:?}");
    }

    #[test]
    fn a_git_file_or_link_that_leads_to_the_repository_of_others_shows_nothing_of_it() {
        let (temp, victim) = repository();
        let started = now() - 10.seconds();
        for planted in ["file", "link"] {
            let archive = temp.path().join(planted);
            std::fs::create_dir_all(&archive).unwrap();
            if planted == "file" {
                std::fs::write(archive.join(".git"), format!("gitdir: {}/.git\n", victim.display())).unwrap();
            } else {
                std::os::unix::fs::symlink(victim.join(".git"), archive.join(".git")).unwrap();
            }
            assert_eq!(git_activity(&archive, started, None, None, TIMEOUT), None, "{planted}");
            assert_eq!(git_head(&archive), None, "{planted}");
        }
    }

    #[test]
    fn a_submodule_has_activity() {
        let (temp, root) = repository();
        let inner = temp.path().canonicalize().unwrap().join("inner");
        git(temp.path(), &["init", "-q", "-b", "main", "inner"]);
        git(&inner, &["commit", "-q", "--allow-empty", "-m", "inner"]);
        git(&root, &["submodule", "--quiet", "add", &inner.display().to_string(), "sub"]);
        let started = now() - 10.seconds();
        let sub = root.join("sub");
        git(&sub, &["commit", "-q", "--allow-empty", "-m", "in the submodule"]);
        assert_eq!(since(&sub, started, None).commits[0].subject, "in the submodule");
    }

    #[test]
    fn a_hostile_repository_runs_nothing_and_leads_nowhere() {
        let (temp, root) = repository();
        let started = now();
        let mark = temp.path().join("was-run");
        let run = format!("sh -c 'touch {}'", mark.display());
        for (name, value) in [
            ("core.fsmonitor", run.as_str()),
            ("core.pager", &run),
            ("diff.external", &run),
            ("core.hooksPath", "/tmp"),
            ("filter.x.clean", &run),
            ("gpg.program", &run),
            ("log.showSignature", "true"),
        ] {
            // Written by hand: git itself would run some.
            let config = root.join(".git/config");
            let (section, key) = name.rsplit_once('.').unwrap();
            let section =
                section.split_once('.').map_or(section.to_owned(), |(one, two)| format!("{one} \"{two}\""));
            let text = std::fs::read_to_string(&config).unwrap();
            std::fs::write(&config, format!("{text}[{section}]\n\t{key} = {value:?}\n")).unwrap();
        }
        std::fs::write(root.join(".gitattributes"), "* filter=x diff=x\n").unwrap();
        std::fs::write(root.join("src/old.rs"), "y").unwrap();
        assert_eq!(since(&root, started, None).files, ["src/old.rs"]);
        assert!(!mark.exists(), "the repository's own program was run");
        let secret = temp.path().join("secret");
        std::fs::write(&secret, format!("{0} {0} a <b> 99999999999 +0000\tcommit: secret\n", "a".repeat(40)))
            .unwrap();
        let log = root.join(".git/logs/HEAD");
        std::fs::remove_file(&log).unwrap();
        std::os::unix::fs::symlink(&secret, &log).unwrap();
        assert_eq!(since(&root, started, None).commit_count, 0);
        std::fs::remove_file(&log).unwrap();
        assert!(std::process::Command::new("mkfifo").arg(&log).status().unwrap().success());
        assert_eq!(since(&root, started, None).commit_count, 0);
        assert_eq!(git_activity(temp.path(), started, None, None, TIMEOUT), None);
    }

    #[test]
    fn a_bank_is_versioned_if_the_index_lists_it() {
        let (temp, root) = repository();
        assert!(is_versioned(&root.join("memory-bank")));
        std::fs::create_dir(root.join("private")).unwrap();
        assert!(!is_versioned(&root.join("private")));
        assert!(!is_versioned(temp.path()));
        assert!(is_versioned(&temp.path().join("absent")), "what cannot be read may be");
        std::fs::create_dir(temp.path().join(".hg")).unwrap();
        assert!(is_versioned(temp.path()));
    }
}
