//! A short view of a bank: current work, open items, finished work, decisions.
//!
//! It only reads, and supports any layout: sections are found by the role of their headings. The caller adds the
//! graph's part, the changes since the last session and the wording.

mod block;
mod budget;
mod decisions;
mod excerpt;
mod kind;
mod line;
mod order;
mod tokens;
mod walk;

use std::borrow::Cow;
use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Serialize;

use self::budget::{List, Shares, fill_roomily};
use self::decisions::{Decided, decisions};
use self::kind::Kind;
use self::order::{latest_first, newest_tasks_first};
pub use self::tokens::estimated_tokens;
use self::walk::{Entry, entries};
use crate::document::roles::Role;
use crate::document::section::Outline;

/// The tokens that a digest may take unless the caller gives more.
pub const DIGEST_TOKENS: usize = 600;

/// How many documents are read for a digest, and how many bytes of them at most.
const DOCUMENTS: usize = 40;
const DOCUMENT_BYTES: u64 = 2 * 1024 * 1024;

/// A text that a digest is made of.
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

/// The documents that a digest reads, the most informative first. Archives and documents other than Markdown are
/// excluded.
#[must_use]
pub fn digest_documents<'t>(present: &[DocumentFacts<'t>]) -> Vec<&'t str> {
    let mut wanted: Vec<(Kind, std::cmp::Reverse<Timestamp>, &DocumentFacts<'t>)> = present
        .iter()
        .filter(|document| document.name.to_lowercase().ends_with(".md"))
        .map(|document| (Kind::of(document.name), std::cmp::Reverse(document.updated_at), document))
        .filter(|(kind, _, _)| *kind != Kind::Archive)
        .collect();
    wanted.sort_by(|a, b| (a.0, a.1, a.2.name).cmp(&(b.0, b.1, b.2.name)));
    let mut bytes: u64 = 0;
    wanted
        .into_iter()
        .filter(|(_, _, document)| {
            let fits = bytes.saturating_add(document.bytes) <= DOCUMENT_BYTES;
            bytes = if fits { bytes.saturating_add(document.bytes) } else { bytes };
            fits
        })
        .take(DOCUMENTS)
        .map(|(_, _, document)| document.name)
        .collect()
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
    /// The most tokens of the whole, as JSON without blanks.
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
    /// A few lines on the graph: the first says what it holds, each other one names an entity.
    pub graph: Vec<String>,
    /// The documents that exist, with size and last change, the last changed first.
    pub documents: Vec<String>,
    /// The changes since the caller's last session.
    pub since: Option<String>,
}

/// The documents' part of `get_context_digest`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Digest {
    /// How the project stands.
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
    /// The documents that exist, with size and last change.
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

/// One decision in short.
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
    /// How it begins.
    pub beginning: String,
    /// Its latest part, unless the beginning has it.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub latest: String,
}

const PATTERN_LINES: usize = 20;
/// How many lines of the focus are shown at most.
const FOCUS: usize = 5;
const UNSTATED: &str = "not stated in short; see decision-log.md";

/// Everything that was collected, before it is cut to a budget.
#[derive(Debug, Default)]
struct Found {
    focus: Vec<String>,
    state: Vec<String>,
    tasks: Vec<String>,
    issues: Vec<String>,
    next_steps: Vec<String>,
    questions: Vec<String>,
    progress: Vec<String>,
    decisions: Vec<DecisionSummary>,
}

/// Takes the digest from the documents.
#[must_use]
pub fn digest(sources: &[DigestSource<'_>], extras: &DigestExtras, bounds: DigestBounds) -> Digest {
    let mut read: Vec<(Kind, &DigestSource<'_>)> = sources
        .iter()
        .map(|source| (Kind::of(source.name), source))
        .filter(|(kind, _)| *kind != Kind::Archive)
        .collect();
    read.sort_by_key(|(kind, _)| *kind);
    let texts: Vec<Cow<'_, str>> = read.iter().map(|(_, source)| without_underlines(source.text)).collect();
    let outlines: Vec<Outline<'_>> = texts.iter().map(|text| Outline::of(text)).collect();
    let mut all: Vec<(Kind, usize, Vec<Entry>)> = Vec::new();
    let mut decided: Vec<(Kind, usize, Vec<Decided>)> = Vec::new();
    for (index, ((kind, _), outline)) in read.iter().zip(&outlines).enumerate() {
        all.push((*kind, index, entries(*kind, outline)));
        decided.push((*kind, index, decisions(*kind, outline)));
    }
    let found = found(&all, &decided, bounds);
    // The document on what is going on, or the one that is nearest to it, has nothing that was recognised.
    let silent = all.first().is_none_or(|(_, _, entries)| {
        !entries.iter().any(|entry| !matches!(entry.role, Role::Note | Role::Done | Role::Decision))
    });
    // Do not repeat items that are shown above.
    let shown = |index: usize| {
        let says = |entry: &Entry| entry.role != Role::Note;
        all.iter().any(|(_, at, entries)| *at == index && entries.iter().any(says))
            || decided.iter().any(|(_, at, found)| *at == index && !found.is_empty())
    };
    let excerpt = read
        .iter()
        .zip(&outlines)
        .enumerate()
        .filter(|(index, _)| silent && found.focus.is_empty() && !shown(*index))
        .find_map(|(_, ((_, source), outline))| excerpt::excerpt(source.name, outline));
    let excerpt = excerpt.or_else(|| {
        let product =
            read.iter().zip(&outlines).filter(|((kind, _), _)| *kind == Kind::Product && found.says_little());
        product.into_iter().find_map(|((_, source), outline)| excerpt::excerpt(source.name, outline))
    });
    let patterns = read
        .iter()
        .find(|(kind, _)| *kind == Kind::Patterns)
        .filter(|(_, source)| bounds.system_patterns && !source.text.trim().is_empty())
        .map(|(_, source)| source.text.lines().take(PATTERN_LINES).collect::<Vec<_>>().join("\n"));
    fitted(found, excerpt, patterns, extras, bounds)
}

/// The text without rules right below prose, which underline it by the letter of Markdown only: logs set their entries
/// apart by rules. A line of a few words that stands alone is a heading.
fn without_underlines(text: &str) -> Cow<'_, str> {
    let outline = Outline::of(text);
    let mut kept = String::new();
    let mut at = 0;
    for heading in outline.headings() {
        let lines = outline.slice(&heading.range);
        let Some((above, underline)) = lines.trim_end().rsplit_once('\n') else { continue };
        let first = above.trim();
        let is_title = !above.contains('\n')
            && !first.starts_with(['*', '-', '|', '[', '`', '>'])
            && !first.ends_with(['.', ':', ';']);
        if underline.trim().chars().all(|sign| sign == '-') && !is_title {
            let end = heading.range.start + above.len();
            kept.push_str(outline.slice(&(at..end)));
            kept.push('\n');
            at = end;
        }
    }
    if at == 0 {
        return Cow::Borrowed(text);
    }
    kept.push_str(outline.slice(&(at..text.len())));
    Cow::Owned(kept)
}

/// The entries of all documents by what they are, most telling first.
fn found(
    all: &[(Kind, usize, Vec<Entry>)],
    decided: &[(Kind, usize, Vec<Decided>)],
    bounds: DigestBounds,
) -> Found {
    let of = |role: Role| -> Vec<Entry> {
        all.iter()
            .flat_map(|(kind, _, entries)| {
                let mut own: Vec<Entry> =
                    entries.iter().filter(|entry| entry.role == role).cloned().collect();
                // Of next steps that were written down session by session only the last ones are next.
                if matches!(role, Role::NextStep | Role::Focus | Role::Status) {
                    let newest =
                        own.iter().filter(|entry| !entry.own_date).filter_map(|entry| entry.date).max();
                    own.retain(|entry| entry.own_date || entry.date.is_none() || entry.date == newest);
                }
                // A log of what was in focus ends with what is.
                if role == Role::Focus {
                    let day = |entry: &Entry| entry.date.filter(|_| entry.own_date).map(|date| date.date());
                    let newest = own.iter().filter_map(day).max();
                    own.retain(|entry| day(entry).is_none() || day(entry) == newest);
                }
                if matches!(role, Role::Issue | Role::NextStep | Role::Question) {
                    own.sort_by_key(|entry| std::cmp::Reverse(entry.date.filter(|_| entry.own_date)));
                }
                if role == Role::Task {
                    let mark = *kind;
                    own = newest_tasks_first(own);
                    own.sort_by_key(|_| mark);
                }
                own
            })
            .collect()
    };
    let texts = |entries: Vec<Entry>| unique(entries.into_iter().map(|entry| entry.text));
    let next = of(Role::NextStep);
    let mut tasks = of(Role::Task);
    if tasks.is_empty() {
        tasks = next.iter().filter(|entry| entry.unticked).cloned().collect();
    }
    // Across documents, too, dated ones come newest first.
    tasks.sort_by_key(|entry| std::cmp::Reverse(entry.date));
    Found {
        focus: texts(of(Role::Focus)),
        state: texts(of(Role::Status)),
        tasks: texts(tasks),
        issues: texts(of(Role::Issue)),
        next_steps: texts(next),
        questions: texts(of(Role::Question)),
        progress: Vec::new(),
        decisions: latest_decisions(decided, bounds.decisions),
    }
    .with_progress(progress(all))
}

impl Found {
    /// Whether so little is known that what the project is tells most.
    fn says_little(&self) -> bool {
        const LITTLE: usize = 4;
        let lines = self.tasks.len() + self.issues.len() + self.next_steps.len() + self.progress.len();
        self.focus.is_empty() && self.state.is_empty() && lines <= LITTLE
    }

    /// Adds the lines of progress, except those that only name one of these decisions.
    fn with_progress(mut self, mut lines: Vec<String>) -> Self {
        let titles: std::collections::BTreeSet<&str> =
            self.decisions.iter().map(|one| one.title.as_str()).collect();
        lines.retain(|line| {
            !line.split_once("Decision Made: ").is_some_and(|(_, title)| titles.contains(title.trim()))
        });
        self.progress = lines;
        self
    }
}

/// The latest entries of progress. What has a date comes first, by date, of whatever document.
fn progress(all: &[(Kind, usize, Vec<Entry>)]) -> Vec<String> {
    let roles = [Role::RecentChange, Role::Done];
    let taken = |role: Role| -> Vec<Entry> {
        all.iter()
            .flat_map(|(kind, _, entries)| {
                let own = entries.iter().filter(|entry| entry.role == role).cloned().collect();
                latest_first(own, *kind != Kind::Active)
            })
            .collect()
    };
    let mut entries: Vec<Entry> = roles.into_iter().flat_map(taken).collect();
    if entries.is_empty() {
        entries = taken(Role::Note);
    }
    let (mut dated, undated): (Vec<Entry>, Vec<Entry>) =
        entries.into_iter().partition(|entry| entry.date.is_some());
    dated.sort_by_key(|entry| std::cmp::Reverse(entry.date));
    unique(dated.into_iter().chain(undated).map(|entry| {
        let date = entry.date.filter(|_| !entry.own_date).map(decisions::shown);
        match date {
            Some(date) => format!("- [{date}] {}", entry.source),
            None => format!("- {}", entry.source),
        }
    }))
}

fn latest_decisions(decided: &[(Kind, usize, Vec<Decided>)], most: usize) -> Vec<DecisionSummary> {
    let mut all: Vec<_> = decided
        .iter()
        .cloned()
        .flat_map(|(kind, document, found)| {
            let rank = if kind == Kind::Patterns || kind == Kind::Product { 1 } else { 0 };
            found.into_iter().map(move |one| {
                let order =
                    if one.newest_first || kind == Kind::Active { one.order } else { usize::MAX - one.order };
                let log = usize::from(kind != Kind::Decisions);
                (
                    (
                        std::cmp::Reverse(one.date),
                        rank,
                        log,
                        std::cmp::Reverse(document_number(&one, kind)),
                        document,
                        order,
                    ),
                    one,
                )
            })
        })
        .collect();
    all.sort_by_key(|(key, _)| *key);
    let mut seen = std::collections::BTreeSet::new();
    all.into_iter()
        .map(|(_, one)| one)
        .filter(|one| seen.insert(key(&one.title)))
        .map(|one| DecisionSummary { title: one.title, date: one.date_text, summary: one.summary })
        .take(most.max(1).saturating_mul(4))
        .collect()
}

/// Records of a document each are in the order of their numbers.
fn document_number(one: &Decided, kind: Kind) -> u64 {
    one.number.filter(|_| kind == Kind::Decisions).unwrap_or(0)
}

/// Fits the collected entries into the budget.
fn fitted(
    found: Found,
    excerpt: Option<Excerpt>,
    patterns: Option<String>,
    extras: &DigestExtras,
    bounds: DigestBounds,
) -> Digest {
    let state =
        found.state.first().filter(|state| found.focus.first().is_none_or(|focus| key(focus) != key(state)));
    let graph_head = extras.graph.first().cloned().unwrap_or_default();
    let excerpt_text = excerpt.as_ref().map(|excerpt| serde_json::to_string(excerpt).unwrap_or_default());
    let fixed =
        [patterns.as_deref(), extras.since.as_deref(), Some(graph_head.as_str()), excerpt_text.as_deref()]
            .into_iter()
            .flatten()
            .map(estimated_tokens)
            .sum::<usize>();
    let room = bounds.tokens.saturating_sub(budget::SKELETON).saturating_sub(fixed);
    let decisions: Vec<String> =
        found.decisions.iter().map(|one| serde_json::to_string(one).unwrap_or_default()).collect();
    let focus: Vec<String> = found.focus.iter().take(FOCUS).cloned().collect();
    // Without a focus, the status says what is being done: it takes the room of both.
    let (states, state_share) = if focus.is_empty() { (3, 18) } else { (1, 6) };
    let state: Vec<String> = state
        .into_iter()
        .chain(found.state.iter().skip(1).filter(|state| states > 1 && state.split(' ').count() > 3))
        .take(states)
        .cloned()
        .collect();
    let lists = vec![
        List { items: focus, share: 12, most: FOCUS, least: 1 },
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
    let mut shown =
        fill_roomily(lists, Shares { room, longest: budget::longest_item(bounds.tokens) }).into_iter();
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
        project_state: (!state.items.is_empty()).then(|| excerpt::joined(state.items.into_iter())),
        focus: (!focus.items.is_empty()).then(|| excerpt::joined(focus.items.into_iter())),
        current_context: CurrentContext {
            tasks: tasks.items,
            issues: issues.items,
            next_steps: steps.items,
            questions: questions.items,
        },
        recent_progress: progress.items,
        recent_decisions: found
            .decisions
            .into_iter()
            .zip(decided.items)
            .map(|(decision, fitted)| {
                budget::cut_decision(decision, &fitted, budget::longest_item(bounds.tokens))
            })
            .collect(),
        excerpt,
        since_last_session: extras.since.clone(),
        documents: documents.items,
        system_patterns: patterns,
        graph_summary,
        left_out,
    }
}

/// The digest as plain text of at most so many characters: parts separated by blank lines, empty ones left out.
#[must_use]
pub fn plain_digest(sources: &[DigestSource<'_>], max_chars: usize) -> String {
    const LISTED: usize = 8;
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
            let shown: Vec<&str> = items.iter().take(LISTED).map(String::as_str).collect();
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

/// The text, cut to so many characters; a note on its own line reports the cut, if there is room.
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

/// Each text once, whatever its case and signs.
fn unique(texts: impl Iterator<Item = String>) -> Vec<String> {
    let mut seen = std::collections::BTreeSet::new();
    texts.filter(|text| seen.insert(key(text))).collect()
}

fn key(text: &str) -> String {
    text.chars().filter(|sign| sign.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}
