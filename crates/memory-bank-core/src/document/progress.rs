//! Finished work: one line or a structured entry in the history of progress.md. [`super::placement`] finds its position.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::document::active_context::add_change_line;
use crate::document::argument;
use crate::document::entry::entry;
use crate::document::known_section::KnownSection;
use crate::document::open_block::front_matter_is_open;
use crate::document::placement::{insert_block, insert_item};
use crate::document::section::Outline;
use crate::document::{CoreDocument, DocumentPath};
use crate::error::EditError;
use crate::store::Drafts;
use crate::words::word_enum;

/// One line of progress: arguments of `track_progress`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TrackProgress {
    /// The kind of step, in a word or two.
    pub action: String,
    /// The work that was done.
    pub description: String,
    /// Whether the line is also added to the session notes; the default is true.
    #[serde(default = "default_true")]
    pub update_active_context: bool,
}

impl TrackProgress {
    /// The documents that the edit needs. Active-context.md is omitted if it was not requested.
    #[must_use]
    pub fn paths(&self) -> Vec<DocumentPath> {
        let mut paths = CoreDocument::Progress.paths();
        if self.update_active_context {
            paths.extend(CoreDocument::ActiveContext.paths());
        }
        paths
    }
}

/// The text that [`track_progress`] wrote, with line breaks folded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProgressTracked {
    /// The action.
    pub action: String,
    /// The description.
    pub description: String,
}

/// Writes one line of progress, and mirrors it in the session notes, or else in the recent changes. Missing documents
/// start from their template.
///
/// # Errors
/// An argument is blank or too long, or a document would become too large. Nothing was written then.
pub fn track_progress(
    drafts: &mut Drafts,
    request: &TrackProgress,
    at: Timestamp,
    author: &str,
) -> Result<ProgressTracked, EditError> {
    let action = argument::written_line("action", &request.action)?;
    let description = argument::written_line("description", &request.description)?;
    let line = entry(at, author, &action, &description);
    CoreDocument::Progress.rewrite(drafts, |text| {
        insert_item(text, |outline| KnownSection::History.find(outline), KnownSection::History.title(), &line)
    })?;
    if request.update_active_context {
        add_change_line(drafts, &line)?;
    }
    Ok(ProgressTracked { action, description })
}

word_enum! {
    /// The kind of a structured entry.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub enum EntryType {
        /// Something new.
        Feature = "feature",
        /// A corrected defect.
        Fix = "fix",
        /// A better structure with the same behaviour.
        Refactor = "refactor",
        /// Documentation.
        Docs = "docs",
        /// Tests.
        Test = "test",
        /// Maintenance.
        Chore = "chore",
        /// Anything else.
        Other = "other",
    }
}

impl EntryType {
    fn label(self) -> &'static str {
        match self {
            Self::Feature => "✨ Feature",
            Self::Fix => "🐛 Fix",
            Self::Refactor => "♻️ Refactor",
            Self::Docs => "📚 Docs",
            Self::Test => "🧪 Test",
            Self::Chore => "🔧 Chore",
            Self::Other => "📝 Other",
        }
    }
}

/// A structured entry: arguments of `add_progress_entry`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AddProgressEntry {
    /// The kind.
    #[serde(rename = "type")]
    pub kind: EntryType,
    /// The finished work, in a line.
    pub summary: String,
    /// More about it, in Markdown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub details: Option<String>,
    /// The files it touched.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub files: Vec<String>,
    /// Search terms.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
}

impl AddProgressEntry {
    /// The documents that the edit needs.
    #[must_use]
    pub fn paths() -> Vec<DocumentPath> {
        CoreDocument::Progress.paths()
    }
}

/// The text that [`add_progress_entry`] wrote.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProgressEntryAdded {
    /// `p_`, the UTC date, `_`, the milliseconds since 1970 in base 36; unique in the document.
    pub entry_id: String,
    /// The kind.
    pub kind: EntryType,
    /// The summary, with line breaks folded.
    pub summary: String,
}

/// Writes a structured entry. A missing document starts from its template.
///
/// # Errors
/// An argument is blank or too long, or the document would become too large.
pub fn add_progress_entry(
    drafts: &mut Drafts,
    request: &AddProgressEntry,
    at: Timestamp,
    author: &str,
) -> Result<ProgressEntryAdded, EditError> {
    let summary = argument::written_line("summary", &request.summary)?;
    let details = argument::text("details", request.details.as_deref().unwrap_or_default())?;
    let files = argument::lines("files", &request.files)?;
    let tags = argument::lines("tags", &request.tags)?;
    let mut entry_id = String::new();
    CoreDocument::Progress.rewrite(drafts, |text| {
        entry_id = unused_id(text, at);
        let open = front_matter_is_open(text);
        let heading = entry(at, author, request.kind.label(), &summary);
        let mut block = format!("### {heading}\n<!-- ID: {entry_id} -->\n");
        if !details.is_empty() {
            // A line of three dashes would close open front matter and hide everything above.
            let details = if open && details.lines().any(|line| matches!(line.trim_end(), "---" | "...")) {
                quoted(&details)
            } else {
                contained(&details)
            };
            block.push_str(&format!("\n{details}\n"));
        }
        if !files.is_empty() {
            let list: Vec<String> = files.iter().map(|file| format!("- {}", code(file))).collect();
            block.push_str(&format!("\n**Affected files:**\n{}\n", list.join("\n")));
        }
        if !tags.is_empty() {
            let list: Vec<String> = tags.iter().map(|tag| code(tag)).collect();
            block.push_str(&format!("\n**Tags:** {}\n", list.join(", ")));
        }
        block.push_str(if open { "\n***" } else { "\n---" });
        insert_block(
            text,
            |outline| KnownSection::History.find(outline),
            KnownSection::History.title(),
            &block,
        )
    })?;
    Ok(ProgressEntryAdded { entry_id, kind: request.kind, summary })
}

/// The id of this moment. If entries have it already, the next id after the last of them: older entries may have
/// moved to an archive, and their ids must not be reused.
fn unused_id(text: &str, at: Timestamp) -> String {
    /// The most milliseconds by which an id may be ahead of its moment.
    const MAX_AHEAD_MS: u64 = 1_000_000;
    let used: BTreeSet<&str> =
        text.split("<!-- ID: ").skip(1).filter_map(|rest| rest.split(" -->").next()).collect();
    let date = at.strftime("%Y-%m-%d").to_string();
    let now = u64::try_from(at.as_millisecond()).unwrap_or(0);
    let moments =
        used.iter().filter_map(|id| u64::from_str_radix(id.strip_prefix("p_")?.rsplit('_').next()?, 36).ok());
    let last = moments.filter(|millis| (now..now.saturating_add(MAX_AHEAD_MS)).contains(millis)).max();
    let first = last.map_or(now, |last| last + 1);
    // One more candidate than ids in use, so that one is free.
    let candidates = (first..).take(used.len() + 1).map(|millis| format!("p_{date}_{}", base36(millis)));
    let mut last = String::new();
    for id in candidates {
        if !used.contains(id.as_str()) {
            return id;
        }
        last = id;
    }
    last
}

fn base36(mut number: u64) -> String {
    let mut digits = Vec::new();
    loop {
        let digit = u32::try_from(number % 36).unwrap_or(0);
        digits.push(char::from_digit(digit, 36).unwrap_or('0'));
        number /= 36;
        if number == 0 {
            return digits.iter().rev().collect();
        }
    }
}

/// The text as inline code, with as many backticks as necessary.
fn code(text: &str) -> String {
    if text.contains('`') { format!("`` {text} ``") } else { format!("`{text}`") }
}

/// A text that can be part of an entry. A text that would open a section or hide the following text (a heading, an
/// open code fence or comment) becomes a quote, which ends with the text.
pub(super) fn contained(text: &str) -> String {
    const SENTINEL: &str = "\n\n# .\n";
    let tried = format!("{text}{SENTINEL}");
    if Outline::of(&tried).headings().iter().map(|heading| &*heading.title).eq(["."]) {
        return text.to_owned();
    }
    quoted(text)
}

fn quoted(text: &str) -> String {
    text.lines().map(|line| format!("> {line}").trim_end().to_owned()).collect::<Vec<_>>().join("\n")
}

fn default_true() -> bool {
    true
}
