//! The record of a session, from git and the agent's events. No model, no secrets.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::compact_sort::CompactSort as _;
use crate::secrets::masked;

/// The most commits that a record names.
pub const RECORDED_COMMITS: usize = 12;
/// The most files that a record names.
pub const RECORDED_FILES: usize = 15;
/// The most tools that a record names.
const MAX_TOOLS: usize = 10;
/// Characters of a subject, a path, a branch, a tool, and a prompt.
const SUBJECT_CHARS: usize = 100;
const PATH_CHARS: usize = 120;
const BRANCH_CHARS: usize = 80;
const TOOL_CHARS: usize = 60;
const PROMPT_CHARS: usize = 120;

/// A commit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordedCommit {
    /// The short id.
    pub id: String,
    /// The first line of its message.
    pub subject: String,
}

/// The record of a session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AgentSessionRecord {
    /// An id that is the same for all events of the session, of hexadecimal digits.
    pub id: String,
    /// The agent.
    pub agent: String,
    /// The first event.
    pub started: Timestamp,
    /// The last event.
    pub ended: Timestamp,
    /// The branch at the end.
    pub branch: Option<String>,
    /// The commits, the newest first.
    pub commits: Vec<RecordedCommit>,
    /// How many there are.
    pub commit_count: usize,
    /// The files.
    pub files: Vec<String>,
    /// How many there are.
    pub file_count: usize,
    /// How often each tool was called.
    pub tools: BTreeMap<String, u32>,
    /// The first line of the first prompt, if the user allows it.
    pub prompt: Option<String>,
}

impl AgentSessionRecord {
    /// The record as an item of a list, with a line for each part.
    #[must_use]
    pub(super) fn item(&self) -> String {
        let mut head = format!("- [{}] ", self.started.strftime("%Y-%m-%d %H:%M:%S UTC"));
        head.push_str(&format!("session {} of {}", code(&self.id, 16), words(&self.agent, 40)));
        if let Some(branch) = &self.branch {
            head.push_str(&format!(" on {}", code(branch, BRANCH_CHARS)));
        }
        head.push_str(&format!(", {}", length(self.started, self.ended)));
        let mut lines = vec![head];
        if self.commit_count > 0 {
            let shown: Vec<String> = self
                .commits
                .iter()
                .take(RECORDED_COMMITS)
                .map(|commit| format!("{} {}", code(&commit.id, 12), quoted(&commit.subject, SUBJECT_CHARS)))
                .collect();
            lines.push(counted("commits", self.commit_count, &shown));
        }
        if self.file_count > 0 {
            let shown: Vec<String> =
                self.files.iter().take(RECORDED_FILES).map(|file| code(file, PATH_CHARS)).collect();
            lines.push(counted("files", self.file_count, &shown));
        }
        if !self.tools.is_empty() {
            let mut tools: Vec<(&String, &u32)> = self.tools.iter().collect();
            tools.compact_sort_by(|a, b| b.1.cmp(a.1).then(a.0.cmp(b.0)));
            let shown: Vec<String> = tools
                .iter()
                .take(MAX_TOOLS)
                .map(|(tool, count)| format!("{} {count}", code(tool, TOOL_CHARS)))
                .collect();
            lines.push(counted("tools", tools.len(), &shown));
        }
        if let Some(prompt) = self.prompt.as_deref().filter(|prompt| !prompt.trim().is_empty()) {
            lines.push(format!("  - first prompt: {}", quoted(prompt, PROMPT_CHARS)));
        }
        lines.join("\n")
    }
}

/// `  - files (7): a, b and 5 more`.
fn counted(name: &str, count: usize, shown: &[String]) -> String {
    let left = count.saturating_sub(shown.len());
    let more = if left > 0 { format!(" and {left} more") } else { String::new() };
    format!("  - {name} ({count}): {}{more}", shown.join(", "))
}

/// Between the first and the last event.
fn length(started: Timestamp, ended: Timestamp) -> String {
    let minutes = ended.duration_since(started).as_secs().max(0) / 60;
    if minutes < 60 { format!("{minutes} min") } else { format!("{} h {} min", minutes / 60, minutes % 60) }
}

/// A text of somebody else as code: no markup, no secret, on one line, cut.
fn code(text: &str, most: usize) -> String {
    format!("`{}`", words(text, most).replace(['`', '<'], "'"))
}

/// A text of another author in quotes, for sentences.
fn quoted(text: &str, most: usize) -> String {
    format!("\"{}\"", words(text, most).replace('"', "'").replace(['`', '<'], "'"))
}

/// The text on one line without secrets, cut.
fn words(text: &str, most: usize) -> String {
    // Masked before it is cut, because a part of a secret is not recognised.
    let first: String = text.chars().take(16 * 1024).collect();
    let line = masked(&first).split_whitespace().collect::<Vec<_>>().join(" ");
    if line.chars().count() <= most {
        return line;
    }
    line.chars().take(most).chain(['…']).collect()
}
