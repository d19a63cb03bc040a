//! The input and the form of a digest.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Serialize;

/// A document as input of a digest.
#[derive(Debug, Clone, Copy)]
pub struct DigestSource<'t> {
    /// The name as stored.
    pub name: &'t str,
    /// The text.
    pub text: &'t str,
}

/// Metadata of a document.
#[derive(Debug, Clone, Copy)]
pub struct DocumentFacts<'t> {
    /// The name as stored.
    pub name: &'t str,
    /// Its size.
    pub bytes: u64,
    /// When it was last written.
    pub updated_at: Timestamp,
}

/// Bounds of a digest.
#[derive(Debug, Clone, Copy)]
pub struct DigestBounds {
    /// The most entries of progress; 0 gives none.
    pub progress_entries: usize,
    /// The most decisions; 0 gives none.
    pub decisions: usize,
    /// Whether the head of system-patterns.md is shown.
    pub system_patterns: bool,
    /// The most tokens of the digest, as JSON without blanks.
    pub tokens: usize,
}

impl Default for DigestBounds {
    fn default() -> Self {
        Self { progress_entries: 10, decisions: 5, system_patterns: false, tokens: DIGEST_TOKENS }
    }
}

/// Additional lines of a store, the most informative first.
#[derive(Debug, Clone, Default)]
pub struct DigestExtras {
    /// A few lines on the graph: the first has the counts, each other line names an entity.
    pub graph: Vec<String>,
    /// The documents with size and time of the last change, the last changed first.
    pub documents: Vec<String>,
    /// The changes since the caller's last session.
    pub since: Option<String>,
}

/// The documents' part of `get_context_digest`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Digest {
    /// The state of the project.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub project_state: Option<String>,
    /// Current work.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub focus: Option<String>,
    /// Open items.
    pub current_context: CurrentContext,
    /// Lines of progress, each with its bullet, the latest first.
    pub recent_progress: Vec<String>,
    /// Decisions, the newest first.
    pub recent_decisions: Vec<DecisionSummary>,
    /// Parts of the most informative document, if no section has a role.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub excerpt: Option<Excerpt>,
    /// The changes since the caller's last session.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since_last_session: Option<String>,
    /// The documents with size and time of the last change.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub documents: Vec<String>,
    /// The first twenty lines of system-patterns.md.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub system_patterns: Option<String>,
    /// A few lines on the graph.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub graph_summary: Option<String>,
    /// How many entries of each list are not shown.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub left_out: BTreeMap<&'static str, usize>,
}

/// Open items without their bullet.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CurrentContext {
    /// Open tasks.
    pub tasks: Vec<String>,
    /// Issues and blockers.
    pub issues: Vec<String>,
    /// Next steps.
    pub next_steps: Vec<String>,
    /// Open questions.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub questions: Vec<String>,
}

/// A summary of one decision.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DecisionSummary {
    /// Its heading.
    pub title: String,
    /// Its date as written; empty without a date.
    pub date: String,
    /// Decisions.
    pub summary: String,
}

/// Parts of a document whose sections have no role.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Excerpt {
    /// The document.
    pub document: String,
    /// Its headings.
    pub headings: Vec<String>,
    /// Its beginning.
    pub beginning: String,
    /// Its latest part, unless the beginning contains it.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub latest: String,
}

/// The default for the most tokens of a digest.
pub const DIGEST_TOKENS: usize = 600;
