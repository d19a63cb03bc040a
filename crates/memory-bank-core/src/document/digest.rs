//! A short view of the documents: what is being done, what was done, what was decided.
//!
//! It only reads. The graph's part and the wording around it are the caller's.

use serde::Serialize;

use crate::document::active_context::{ISSUES, NEXT_STEPS, TASKS};
use crate::document::section::{Item, Outline};
use crate::document::tasks;

/// The texts that a digest is made of; none where a document is missing.
#[derive(Debug, Clone, Copy, Default)]
pub struct DigestSources<'t> {
    /// active-context.md
    pub active_context: Option<&'t str>,
    /// progress.md
    pub progress: Option<&'t str>,
    /// decision-log.md
    pub decision_log: Option<&'t str>,
    /// system-patterns.md
    pub system_patterns: Option<&'t str>,
}

/// How much a digest holds.
#[derive(Debug, Clone, Copy)]
pub struct DigestBounds {
    /// The most entries of progress; 0 gives none.
    pub progress_entries: usize,
    /// The most decisions; 0 gives none.
    pub decisions: usize,
    /// Whether the head of system-patterns.md is shown.
    pub system_patterns: bool,
}

impl Default for DigestBounds {
    fn default() -> Self {
        Self { progress_entries: 10, decisions: 5, system_patterns: false }
    }
}

/// What `get_context_digest` shows of the documents.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Digest {
    /// The first line of the section on the state of the project.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub project_state: Option<String>,
    /// The lists of active-context.md.
    pub current_context: CurrentContext,
    /// Lines of progress, each with its bullet.
    pub recent_progress: Vec<String>,
    /// Decisions, the newest first.
    pub recent_decisions: Vec<DecisionSummary>,
    /// The first twenty lines of system-patterns.md.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub system_patterns: Option<String>,
    /// A few lines on the graph; for the caller to fill in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub graph_summary: Option<String>,
}

/// The lists of active-context.md, items without their bullet.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CurrentContext {
    /// Ongoing tasks.
    pub tasks: Vec<String>,
    /// Known issues.
    pub issues: Vec<String>,
    /// Next steps.
    pub next_steps: Vec<String>,
}

/// One decision in short.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DecisionSummary {
    /// Its heading.
    pub title: String,
    /// Its date as written; empty if there is none.
    pub date: String,
    /// What was decided.
    pub summary: String,
}

const PATTERN_LINES: usize = 20;
const UNSTATED: &str = "not stated in short; see decision-log.md";

/// Takes the digest from the documents.
#[must_use]
pub fn digest(sources: &DigestSources<'_>, bounds: DigestBounds) -> Digest {
    let active = sources.active_context.unwrap_or_default();
    let progress = sources.progress.unwrap_or_default();
    let mut recent_decisions = decisions(sources.decision_log.unwrap_or_default());
    recent_decisions.truncate(bounds.decisions);
    Digest {
        project_state: project_state(active),
        current_context: CurrentContext {
            tasks: tasks::list(active, &TASKS),
            issues: tasks::list(active, &ISSUES),
            next_steps: tasks::list(active, &NEXT_STEPS),
        },
        recent_progress: progress_lines(progress).into_iter().take(bounds.progress_entries).collect(),
        recent_decisions,
        system_patterns: sources
            .system_patterns
            .filter(|text| bounds.system_patterns && !text.trim().is_empty())
            .map(|text| text.lines().take(PATTERN_LINES).collect::<Vec<_>>().join("\n")),
        graph_summary: None,
    }
}

/// The digest as plain text of at most so many characters: parts separated by blank lines, empty ones left out.
#[must_use]
pub fn plain_digest(sources: &DigestSources<'_>, max_chars: usize) -> String {
    const LISTED: usize = 8;
    let bounds = DigestBounds { progress_entries: 5, decisions: 3, system_patterns: false };
    let digest = digest(sources, bounds);
    let context = &digest.current_context;
    let mut parts = Vec::new();
    for (label, items) in
        [("Tasks", &context.tasks), ("Issues", &context.issues), ("Next", &context.next_steps)]
    {
        if !items.is_empty() {
            let shown: Vec<&str> = items.iter().take(LISTED).map(String::as_str).collect();
            parts.push(format!("{label}: {}", shown.join("; ")));
        }
    }
    if !digest.recent_progress.is_empty() {
        parts.push(format!("Recent progress:\n{}", digest.recent_progress.join("\n")));
    }
    if !digest.recent_decisions.is_empty() {
        let shown: Vec<String> =
            digest.recent_decisions.iter().map(|one| format!("- {}: {}", one.title, one.summary)).collect();
        parts.push(format!("Decisions:\n{}", shown.join("\n")));
    }
    clip(&parts.join("\n\n"), max_chars)
}

/// The text, cut to so many characters; a cut is said on a line of its own, if there is room to say it.
#[must_use]
pub fn clip(text: &str, max_chars: usize) -> String {
    const CUT: &str = "\n...(truncated)";
    if text.chars().count() <= max_chars {
        return text.to_owned();
    }
    match max_chars.checked_sub(CUT.chars().count()) {
        Some(room) => text.chars().take(room).chain(CUT.chars()).collect(),
        None => text.chars().take(max_chars).collect(),
    }
}

fn project_state(text: &str) -> Option<String> {
    let outline = Outline::of(text);
    let section = outline.find(&["Current Project State"])?;
    outline.readable(&section.own).lines().map(str::trim).find(|line| !line.is_empty()).map(str::to_owned)
}

/// Dated items and dated headings, in the order of the document.
fn progress_lines(text: &str) -> Vec<String> {
    let outline = Outline::of(text);
    let items = outline
        .items()
        .iter()
        .filter(|item| item.text.starts_with('[') && has_date(&item.text))
        .map(|item: &Item| (item.range.start, format!("- {}", item.text)));
    let headings = outline
        .headings()
        .iter()
        .filter(|heading| heading.level == 3 && heading.source.starts_with('[') && has_year(&heading.source))
        .map(|heading| (heading.range.start, format!("- {}", heading.source)));
    let mut lines: Vec<(usize, String)> = items.chain(headings).collect();
    lines.sort_by_key(|(at, _)| *at);
    lines.into_iter().map(|(_, line)| line).collect()
}

/// The level-2 sections of the log, the last one first, since new ones are appended.
fn decisions(text: &str) -> Vec<DecisionSummary> {
    let outline = Outline::of(text);
    let mut found: Vec<DecisionSummary> = outline
        .sections()
        .filter(|section| section.heading.level == 2)
        .map(|section| {
            let body = outline.readable(&section.body);
            DecisionSummary {
                title: section.heading.source.to_string(),
                date: labelled(&body, "**Date:**").unwrap_or_default(),
                summary: labelled(&body, "**Decision:**").unwrap_or_else(|| UNSTATED.to_owned()),
            }
        })
        .collect();
    found.reverse();
    found
}

/// What stands behind this label at the head of a line; the last such line wins.
fn labelled(text: &str, label: &str) -> Option<String> {
    text.lines()
        .filter_map(|line| {
            line.trim_start().trim_start_matches(['-', '*', '+', ' ']).strip_prefix(bare(label))
        })
        .map(|rest| rest.trim().to_owned())
        .rfind(|rest| !rest.is_empty())
}

/// The stars before a label go with the bullets, which may be stars as well.
fn bare(label: &str) -> &str {
    label.trim_start_matches('*')
}

/// Whether a `YYYY-MM-DD` is in it.
fn has_date(text: &str) -> bool {
    let shape: Vec<bool> = text.chars().map(|sign| sign.is_ascii_digit()).collect();
    let signs: Vec<char> = text.chars().collect();
    shape.windows(10).zip(signs.windows(10)).any(|(digits, signs)| {
        *digits == [true, true, true, true, false, true, true, false, true, true]
            && signs.get(4) == Some(&'-')
            && signs.get(7) == Some(&'-')
    })
}

/// Whether four digits in a row are in it.
fn has_year(text: &str) -> bool {
    text.split(|sign: char| !sign.is_ascii_digit()).any(|digits| digits.len() == 4)
}
