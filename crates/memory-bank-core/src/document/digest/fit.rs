//! Fits the collected entries into the budget of a digest.

use std::collections::BTreeMap;

use super::budget::{self, List, Shares, fill_preferring_whole_items};
use super::collect::{Collected, key};
use super::excerpt;
use super::tokens::estimated_tokens;
use super::types::{CurrentContext, DecisionSummary, Digest, DigestBounds, DigestExtras, Excerpt};

/// The most lines of the focus.
const MAX_FOCUS_LINES: usize = 5;

/// Fits the collected entries into the budget.
pub(super) fn fit(
    found: Collected,
    excerpt: Option<Excerpt>,
    patterns: Option<String>,
    extras: &DigestExtras,
    bounds: DigestBounds,
) -> Digest {
    let graph_head = extras.graph.first().cloned().unwrap_or_default();
    let excerpt_text = excerpt.as_ref().map(|excerpt| serde_json::to_string(excerpt).unwrap_or_default());
    let fixed =
        [patterns.as_deref(), extras.since.as_deref(), Some(graph_head.as_str()), excerpt_text.as_deref()]
            .into_iter()
            .flatten()
            .map(estimated_tokens)
            .sum::<usize>();
    let room = bounds.tokens.saturating_sub(budget::MEMBERS_OVERHEAD_TOKENS).saturating_sub(fixed);
    let longest = budget::longest_item(bounds.tokens);
    let (lists, decisions) = lists(found, extras, bounds);
    let mut shown = fill_preferring_whole_items(&lists, Shares { room, longest }).into_iter();
    let mut next = || shown.next().unwrap_or_default();
    let mut left_out = BTreeMap::new();
    let mut note = |name: &'static str, left: usize| {
        if left > 0 {
            left_out.insert(name, left);
        }
    };
    let (focus, state, tasks, issues, steps) = (next(), next(), next(), next(), next());
    let (progress, decided, questions, graph, documents) = (next(), next(), next(), next(), next());
    note("tasks", tasks.left);
    note("issues", issues.left);
    note("nextSteps", steps.left);
    note("questions", questions.left);
    note("documents", documents.left);
    let graph_summary = (!graph_head.is_empty())
        .then(|| std::iter::once(graph_head).chain(graph.items).collect::<Vec<_>>().join("\n"));
    Digest {
        project_state: (!state.items.is_empty()).then(|| excerpt::join_lines(state.items.into_iter())),
        focus: (!focus.items.is_empty()).then(|| excerpt::join_lines(focus.items.into_iter())),
        current_context: CurrentContext {
            tasks: tasks.items,
            issues: issues.items,
            next_steps: steps.items,
            questions: questions.items,
        },
        recent_progress: progress.items,
        recent_decisions: decisions
            .into_iter()
            .zip(decided.items)
            .map(|(decision, fitted)| budget::cut_decision(decision, &fitted, longest))
            .collect(),
        excerpt,
        since_last_session: extras.since.clone(),
        documents: documents.items,
        system_patterns: patterns,
        graph_summary,
        left_out,
    }
}

/// The lists with their shares of the room, in the order in which [`fit`] reads them; and the decisions.
fn lists(found: Collected, extras: &DigestExtras, bounds: DigestBounds) -> (Vec<List>, Vec<DecisionSummary>) {
    let state =
        found.state.first().filter(|state| found.focus.first().is_none_or(|focus| key(focus) != key(state)));
    let decisions: Vec<String> =
        found.decisions.iter().map(|one| serde_json::to_string(one).unwrap_or_default()).collect();
    let focus: Vec<String> = found.focus.iter().take(MAX_FOCUS_LINES).cloned().collect();
    // Without a focus, the status describes the current work: it gets the room of both.
    let (states, state_share) = if focus.is_empty() { (3, 18) } else { (1, 6) };
    let state: Vec<String> = state
        .into_iter()
        .chain(found.state.iter().skip(1).filter(|state| states > 1 && state.split(' ').count() > 3))
        .take(states)
        .cloned()
        .collect();
    let lists = vec![
        List { items: focus, share: 12, most: MAX_FOCUS_LINES, least: 1 },
        List { items: state, share: state_share, most: states, least: 0 },
        List { items: found.tasks, share: 18, most: usize::MAX, least: 2 },
        List { items: found.issues, share: 13, most: usize::MAX, least: 1 },
        List { items: found.next_steps, share: 11, most: usize::MAX, least: 1 },
        List { items: found.progress, share: 14, most: bounds.progress_entries, least: 1 },
        List { items: decisions, share: 16, most: bounds.decisions, least: 1 },
        List { items: found.questions, share: 4, most: usize::MAX, least: 0 },
        List { items: extras.graph.iter().skip(1).cloned().collect(), share: 7, most: 8, least: 0 },
        List { items: extras.documents.clone(), share: 11, most: usize::MAX, least: 0 },
    ];
    (lists, found.decisions)
}
