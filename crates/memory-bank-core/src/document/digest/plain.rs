//! The digest as plain text.

use super::digest;
use super::types::{DIGEST_TOKENS, DigestBounds, DigestExtras, DigestSource};
use crate::document::clip;

/// The digest as plain text of at most `max_chars` characters: parts separated by blank lines, without empty ones.
#[must_use]
pub fn plain_digest(sources: &[DigestSource<'_>], max_chars: usize) -> String {
    const MAX_LISTED: usize = 8;
    let bounds =
        DigestBounds { progress_entries: 5, decisions: 3, system_patterns: false, tokens: DIGEST_TOKENS };
    let digest = digest(sources, &DigestExtras::default(), bounds);
    let context = &digest.current_context;
    let mut parts = Vec::new();
    parts.extend(digest.focus.iter().map(|focus| format!("Focus: {focus}")));
    parts.extend(digest.project_state.iter().map(|state| format!("Status: {state}")));
    for (label, items) in [
        ("Tasks", &context.tasks),
        ("Issues", &context.issues),
        ("Next", &context.next_steps),
        ("Questions", &context.questions),
    ] {
        if !items.is_empty() {
            let shown: Vec<&str> = items.iter().take(MAX_LISTED).map(String::as_str).collect();
            parts.push(format!("{label}: {}", shown.join("; ")));
        }
    }
    if !digest.recent_progress.is_empty() {
        parts.push(format!("Recent progress:\n{}", digest.recent_progress.join("\n")));
    }
    if !digest.recent_decisions.is_empty() {
        let shown: Vec<String> = digest
            .recent_decisions
            .iter()
            .map(|one| {
                if one.summary.is_empty() {
                    format!("- {}", one.title)
                } else {
                    format!("- {}: {}", one.title, one.summary)
                }
            })
            .collect();
        parts.push(format!("Decisions:\n{}", shown.join("\n")));
    }
    if let Some(excerpt) = &digest.excerpt {
        parts.push(format!("{}: {}", excerpt.document, excerpt.beginning));
        parts.extend((!excerpt.latest.is_empty()).then(|| excerpt.latest.clone()));
    }
    clip(&parts.join("\n\n"), max_chars)
}
