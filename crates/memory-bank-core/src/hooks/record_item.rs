//! The lines of the document of session records: the item of a session, and the line of a week or a year. A line counts as
//! one of the hook's only if it is one as a whole; what a person added to it stays.

use std::collections::BTreeSet;

use jiff::civil::Date;

/// The most branches of a week.
const MAX_BRANCHES_PER_WEEK: usize = 4;
/// How the lines below the first one of an item begin.
const PARTS: [&str; 4] = ["  - commits (", "  - files (", "  - tools (", "  - first prompt: "];

/// A record that the document has.
pub(super) struct Item {
    /// The hook's own lines.
    pub(super) text: String,
    /// The lines that a person has added.
    pub(super) notes: Vec<String>,
    /// When it began; none if that cannot be read.
    pub(super) at: Option<String>,
    pub(super) session: Option<String>,
}

impl Item {
    /// The item of a first line and the indented ones below it, without or with the carriage returns at their ends.
    pub(super) fn of<'t>(lines: impl IntoIterator<Item = &'t str>) -> Self {
        let (mut text, mut notes) = (String::new(), Vec::new());
        for line in lines {
            let bare = line.trim_end();
            if text.is_empty() {
                let (head, remark) = without_remark(bare);
                text.push_str(head);
                notes.extend(remark.map(|remark| format!("  - {remark}")));
            } else if PARTS.iter().any(|part| bare.starts_with(part)) {
                text.push('\n');
                text.push_str(bare);
            } else {
                notes.push(line.to_owned());
            }
        }
        let head = text.lines().next().unwrap_or_default();
        let at = between(head, "- [", " UTC]").filter(|_| head.starts_with("- [")).map(str::to_owned);
        let at = at.filter(|at| date(at).is_some());
        let session = between(head, " UTC] session `", "`").map(str::to_owned);
        Self { text, notes, at, session }
    }

    pub(super) fn date(&self) -> Option<Date> {
        self.at.as_deref().and_then(date)
    }

    /// The item as the line of its week counts it.
    pub(super) fn folded(&self) -> Folded {
        let branches = self.branch().map(|name| name.trim_matches('`').to_owned()).into_iter().collect();
        Folded { sessions: 1, commits: self.count("commits"), files: self.count("files"), branches }
    }

    /// The number in `  - commits (3): `.
    fn count(&self, name: &str) -> usize {
        let lines = self.text.lines().filter_map(|line| line.strip_prefix("  - "));
        let numbers =
            lines.filter_map(|line| between(line.strip_prefix(name)?, " (", ")")?.parse::<usize>().ok());
        numbers.sum()
    }

    fn branch(&self) -> Option<&str> {
        between(self.text.lines().next()?, "` on ", ",")
            .or_else(|| between(self.text.lines().next()?, " on `", "`"))
    }
}

/// The first line of an item, and what follows the length of the session, which the hook does not write.
fn without_remark(head: &str) -> (&str, Option<&str>) {
    let remark = behind_length(head).map(str::trim).filter(|remark| !remark.is_empty());
    let own = remark.and_then(|remark| head.strip_suffix(remark)).map_or(head, str::trim_end);
    (own, remark)
}

/// What follows the length, such as `35 min` or `1 h 5 min`.
fn behind_length(head: &str) -> Option<&str> {
    let (_, rest) = head.split_once("` of ")?;
    // A branch may contain anything but a grave accent.
    let length = match rest.split_once(" on `") {
        Some((_, branch)) => branch.split_once("`, ")?.1,
        None => rest.split_once(", ")?.1,
    };
    let rest = without_digits(length);
    rest.strip_prefix(" h ").map_or(rest, without_digits).strip_prefix(" min")
}

fn without_digits(text: &str) -> &str {
    text.trim_start_matches(|character: char| character.is_ascii_digit())
}

pub(super) fn date(text: &str) -> Option<Date> {
    text.get(..10)?.parse().ok()
}

fn between<'t>(text: &'t str, before: &str, after: &str) -> Option<&'t str> {
    let (_, rest) = text.split_once(before)?;
    rest.split_once(after).map(|(inside, _)| inside)
}

/// The folded sessions of a week or a year.
#[derive(Default, Clone, PartialEq, Eq)]
pub(super) struct Folded {
    pub(super) sessions: usize,
    commits: usize,
    files: usize,
    branches: BTreeSet<String>,
}

impl Folded {
    /// `- Week of 2026-11-16: 12 sessions, 31 commits, 80 files; on main, refunds`; none for a line that the hook would write
    /// in another way, such as one with a remark.
    pub(super) fn parse(line: &str) -> Option<(String, Self)> {
        let (label, rest) = line.strip_prefix("- ")?.split_once(": ")?;
        let is_label = label
            .strip_prefix("Week of ")
            .is_some_and(|day| day.len() == 10 && date(day).is_some())
            || label.strip_prefix("Year ").is_some_and(|year| year.len() == 4 && year.parse::<u16>().is_ok());
        let (counts, branches) = rest.split_once("; on ").unwrap_or((rest, ""));
        let (sessions, counts) = counts.split_once(" sessions, ")?;
        let (commits, files) = counts.split_once(" commits, ")?;
        let number = |text: &str| text.parse::<usize>().ok();
        let branches: BTreeSet<String> =
            branches.split(", ").filter(|name| !name.is_empty()).map(str::to_owned).collect();
        // Git takes no blank in the name of a branch.
        let is_own = is_label && !branches.iter().any(|name| name.contains(char::is_whitespace));
        let folded = Self {
            sessions: number(sessions)?,
            commits: number(commits)?,
            files: number(files.strip_suffix(" files")?)?,
            branches,
        };
        (is_own && folded.line(label) == line).then(|| (label.to_owned(), folded))
    }

    pub(super) fn add(&mut self, other: Self) {
        self.sessions = self.sessions.saturating_add(other.sessions);
        self.commits = self.commits.saturating_add(other.commits);
        self.files = self.files.saturating_add(other.files);
        self.branches.extend(other.branches);
        while self.branches.len() > MAX_BRANCHES_PER_WEEK {
            self.branches.pop_last();
        }
    }

    pub(super) fn line(&self, label: &str) -> String {
        let branches: Vec<&str> = self.branches.iter().map(String::as_str).collect();
        let on = if branches.is_empty() { String::new() } else { format!("; on {}", branches.join(", ")) };
        format!("- {label}: {} sessions, {} commits, {} files{on}", self.sessions, self.commits, self.files)
    }
}
