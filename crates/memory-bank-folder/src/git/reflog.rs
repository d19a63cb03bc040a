//! The reflog of a working copy: commits and checkouts since a moment. It must not know where the text comes from.

use std::collections::BTreeSet;

use jiff::Timestamp;

use super::GitCommit;

/// The commits and checkouts in a reflog.
#[derive(Default)]
pub(super) struct Log {
    pub(super) commits: Vec<GitCommit>,
    /// When files were changed by git itself, in seconds.
    pub(super) checkouts: Vec<i64>,
}

impl Log {
    /// The commits and checkouts in the text of a reflog since the moment at which the commit `head` was checked out.
    pub(super) fn since(text: &str, moment: Timestamp, head: Option<&str>) -> Self {
        let mut log = Self::default();
        let mut lines: Vec<Line<'_>> = text
            .lines()
            .rev()
            .filter_map(Line::parse)
            .take_while(|line| line.seconds >= moment.as_second())
            .collect();
        // The session began where that commit was left first: it may have returned there since, such as after work on a branch.
        match lines.iter().rposition(|line| head == Some(line.old)) {
            Some(first) => lines.truncate(first + 1),
            None if lines.first().is_some_and(|line| head == Some(line.new)) => lines.clear(),
            None => {}
        }
        for line in &lines {
            let (action, subject) = line.message.split_once(": ").unwrap_or((line.message, ""));
            if action.starts_with("commit") || matches!(action, "cherry-pick" | "revert") {
                let commit = GitCommit { id: short(line.new), subject: subject.to_owned() };
                log.commits.push(commit);
                continue;
            }
            // A merge that is no fast-forward is a commit of this working copy, though git wrote its files.
            if action.starts_with("merge ") && subject.starts_with("Merge made by") {
                log.commits.push(GitCommit { id: short(line.new), subject: action.to_owned() });
            }
            log.checkouts.push(line.seconds);
        }
        // A commit that was amended is in the log, too.
        let amended: BTreeSet<String> = lines
            .iter()
            .filter(|line| line.message.starts_with("commit (amend)"))
            .map(|line| short(line.old))
            .collect();
        log.commits.retain(|commit| !amended.contains(&commit.id));
        log
    }
}

/// Whether a text is the id of a commit: SHA-1 or SHA-256.
pub(super) fn is_id(text: &str) -> bool {
    matches!(text.len(), 40 | 64) && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// An abbreviated id.
pub(super) fn short(id: &str) -> String {
    id.chars().take(8).collect()
}

/// A line of a reflog.
pub(super) struct Line<'t> {
    old: &'t str,
    /// The commit that was checked out by it.
    pub(super) new: &'t str,
    seconds: i64,
    message: &'t str,
}

impl<'t> Line<'t> {
    /// `<old> <new> <name> <<address>> <seconds> <zone>\t<message>`; commands such as `git symbolic-ref` write no message, and no tab.
    pub(super) fn parse(line: &'t str) -> Option<Self> {
        let (before, message) = line.split_once('\t').unwrap_or((line, ""));
        let (ids, times) = before.rsplit_once("> ")?;
        let mut ids = ids.split(' ');
        let (old, new) = (ids.next()?, ids.next()?);
        let seconds = times.split(' ').next()?.parse().ok()?;
        (is_id(old) && is_id(new)).then_some(Self { old, new, seconds, message })
    }
}

#[cfg(unix)]
#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;
    use crate::git_for_tests::git;

    #[test]
    fn a_line_without_a_message_is_a_change_and_no_commit() {
        let (old, new) = ("1".repeat(40), "2".repeat(40));
        let text = format!("{old} {new} a <a@b> 100 +0000\n");
        assert_eq!(Line::parse(text.trim_end()).map(|line| line.new), Some(new.as_str()));
        let log = Log::since(&text, Timestamp::UNIX_EPOCH, Some(&old));
        assert!(log.commits.is_empty());
        assert_eq!(log.checkouts, [100]);
        assert!(Log::since(&text, Timestamp::UNIX_EPOCH, Some(&new)).checkouts.is_empty());
    }

    #[test]
    fn a_merge_right_behind_a_checkout_is_a_commit_and_a_fast_forward_is_none() {
        let temp = TempDir::new().unwrap();
        let root = temp.path().join("r");
        git(temp.path(), &["init", "-q", "-b", "main", "r"]);
        git(&root, &["commit", "-q", "--allow-empty", "-m", "before"]);
        for branch in ["refunds", "invoices"] {
            git(&root, &["checkout", "-q", "-b", branch, "main"]);
            git(&root, &["commit", "-q", "--allow-empty", "-m", branch]);
        }
        git(&root, &["checkout", "-q", "main"]);
        let read = || std::fs::read_to_string(root.join(".git/logs/HEAD")).unwrap();
        let before = read();
        let log = || Log::since(read().strip_prefix(&before).unwrap(), Timestamp::UNIX_EPOCH, None);
        git(&root, &["merge", "-q", "refunds"]);
        assert!(log().commits.is_empty(), "a fast-forward");
        git(&root, &["checkout", "-q", "--detach"]);
        git(&root, &["checkout", "-q", "main"]);
        git(&root, &["merge", "-q", "--no-edit", "invoices"]);
        let log = log();
        let subjects: Vec<&str> = log.commits.iter().map(|commit| commit.subject.as_str()).collect();
        assert_eq!((subjects, log.checkouts.len()), (vec!["merge invoices"], 4));
    }
}
