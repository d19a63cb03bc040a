//! Collects the entries of all documents by role, the most informative first.

use std::borrow::Cow;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use super::decisions::DecisionEntry;
use super::display_date::display_date;
use super::document_kind::DocumentKind;
use super::entry::Entry;
use super::order::{latest_first, newest_tasks_first};
use super::types::{DecisionSummary, DigestBounds};
use crate::compact_sort::CompactSort as _;
use crate::document::roles::Role;
use crate::document::section::Outline;
use crate::unicode::is_alphanumeric;

/// So few entries are little.
const FEW_ENTRIES: usize = 4;

/// Everything that was collected, before it is cut to a budget.
#[derive(Debug, Default)]
pub(super) struct Collected {
    pub(super) focus: Vec<String>,
    pub(super) state: Vec<String>,
    pub(super) tasks: Vec<String>,
    pub(super) issues: Vec<String>,
    pub(super) next_steps: Vec<String>,
    pub(super) questions: Vec<String>,
    pub(super) progress: Vec<String>,
    pub(super) decisions: Vec<DecisionSummary>,
}

/// The entries of all documents by role, the most informative first. `ended` are the titles of decisions that have ended.
pub(super) fn collect(
    all: &[(DocumentKind, usize, Vec<Entry>)],
    decided: &[(DocumentKind, usize, Vec<DecisionEntry>)],
    ended: &[String],
    documents: &[Cow<'_, str>],
    bounds: DigestBounds,
) -> Collected {
    let of = |role: Role| -> Vec<Entry> {
        all.iter()
            .flat_map(|(kind, _, entries)| {
                let mut own: Vec<Entry> =
                    entries.iter().filter(|entry| entry.role == role).cloned().collect();
                // If next steps are list_item by session, only those of the last session count.
                if matches!(role, Role::NextStep | Role::Focus | Role::Status) {
                    let newest =
                        own.iter().filter(|entry| !entry.own_date).filter_map(|entry| entry.date).max();
                    own.retain(|entry| entry.own_date || entry.date.is_none() || entry.date == newest);
                }
                // In a log of focuses, only the latest one counts.
                if role == Role::Focus {
                    let day = |entry: &Entry| entry.date.filter(|_| entry.own_date).map(|date| date.date());
                    let newest = own.iter().filter_map(day).max();
                    own.retain(|entry| day(entry).is_none() || day(entry) == newest);
                }
                if matches!(role, Role::Issue | Role::NextStep | Role::Question) {
                    own.compact_sort_by_key(|entry| Reverse(entry.date.filter(|_| entry.own_date)));
                }
                if role == Role::Task {
                    let mark = *kind;
                    own = newest_tasks_first(own);
                    own.compact_sort_by_key(|_| mark);
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
    // Dated tasks come newest first across documents, too.
    tasks.compact_sort_by_key(|entry| Reverse(entry.date));
    Collected {
        focus: texts(of(Role::Focus)),
        state: texts(of(Role::Status)),
        tasks: texts(tasks),
        issues: texts(of(Role::Issue)),
        next_steps: texts(next),
        questions: texts(of(Role::Question)),
        progress: Vec::new(),
        decisions: latest_decisions(decided, documents, bounds.decisions),
    }
    .with_progress(all, ended, bounds)
}

impl Collected {
    /// Whether so little is known that the project's description is the most informative text.
    pub(super) fn has_little(&self) -> bool {
        let lines = self.tasks.len() + self.issues.len() + self.next_steps.len() + self.progress.len();
        self.focus.is_empty() && self.state.is_empty() && lines <= FEW_ENTRIES
    }

    /// Adds the latest lines of progress: those that are shown, and enough to know whether there are few. A line that only names one of these
    /// decisions says nothing more where decisions are shown, and one that has ended is left out.
    fn with_progress(
        mut self,
        all: &[(DocumentKind, usize, Vec<Entry>)],
        ended: &[String],
        bounds: DigestBounds,
    ) -> Self {
        let shown = if bounds.decisions == 0 { &[] } else { self.decisions.as_slice() };
        let titles: BTreeSet<&str> = shown.iter().map(|one| one.title.as_str()).collect();
        let ended: BTreeSet<String> = ended.iter().map(|title| key(title)).collect();
        let is_named =
            |title: &str| titles.contains(title.trim()) || !ended.is_empty() && ended.contains(&key(title));
        let mut seen = BTreeSet::new();
        let lines = progress(all)
            .into_iter()
            .map(progress_line)
            .filter(|line| seen.insert(key(line)))
            .filter(|line| !line.split_once("Decision Made: ").is_some_and(|(_, title)| is_named(title)))
            .take(bounds.progress_entries.max(FEW_ENTRIES + 1))
            .collect();
        self.progress = lines;
        self
    }
}

/// The latest entries of progress: dated entries of all documents first, by date.
fn progress(all: &[(DocumentKind, usize, Vec<Entry>)]) -> Vec<&Entry> {
    let roles = [Role::RecentChange, Role::Done];
    let taken = |role: Role| -> Vec<&Entry> {
        all.iter()
            .flat_map(|(kind, _, entries)| {
                let own = entries.iter().filter(|entry| entry.role == role).collect();
                latest_first(own, *kind != DocumentKind::Active)
            })
            .collect()
    };
    let mut entries: Vec<&Entry> = roles.into_iter().flat_map(taken).collect();
    if entries.is_empty() {
        entries = taken(Role::Note);
    }
    let (mut dated, undated): (Vec<&Entry>, Vec<&Entry>) =
        entries.into_iter().partition(|entry| entry.date.is_some());
    dated.compact_sort_by_key(|entry| Reverse(entry.date));
    dated.extend(undated);
    dated
}

fn progress_line(entry: &Entry) -> String {
    match entry.date.filter(|_| !entry.own_date).map(display_date) {
        Some(date) => format!("- [{date}] {}", entry.source),
        None => format!("- {}", entry.source),
    }
}

fn latest_decisions(
    decided: &[(DocumentKind, usize, Vec<DecisionEntry>)],
    documents: &[Cow<'_, str>],
    most: usize,
) -> Vec<DecisionSummary> {
    let mut all: Vec<_> = decided
        .iter()
        .flat_map(|(kind, document, found)| {
            let (kind, document) = (*kind, *document);
            let rank = if kind == DocumentKind::Patterns || kind == DocumentKind::Product { 1 } else { 0 };
            found.iter().map(move |one| {
                let order = if one.newest_first || kind == DocumentKind::Active {
                    one.order
                } else {
                    usize::MAX - one.order
                };
                let log = usize::from(kind != DocumentKind::Decisions);
                ((Reverse(one.date), rank, log, Reverse(document_number(one, kind)), document, order), one)
            })
        })
        .collect();
    all.compact_sort_by_key(|(key, _)| *key);
    let mut seen = BTreeSet::new();
    let mut outlines = BTreeMap::new();
    all.into_iter()
        .filter(|(_, one)| seen.insert(key(&one.title)))
        .take(most.max(1).saturating_mul(4))
        .map(|((.., document, _), one)| {
            let text = documents.get(document).map_or("", |text| text);
            let summary = one.summary_in(outlines.entry(document).or_insert_with(|| Outline::of(text)));
            DecisionSummary { title: one.title.clone(), date: one.date_text.clone(), summary }
        })
        .collect()
}

/// The number that orders decisions with a document of their own.
fn document_number(one: &DecisionEntry, kind: DocumentKind) -> u64 {
    one.number.filter(|_| kind == DocumentKind::Decisions).unwrap_or(0)
}

/// Removes duplicates, ignoring case and punctuation.
fn unique(texts: impl Iterator<Item = String>) -> Vec<String> {
    let mut seen = BTreeSet::new();
    texts.filter(|text| seen.insert(key(text))).collect()
}

pub(super) fn key(text: &str) -> String {
    text.chars().filter(|character| is_alphanumeric(*character)).flat_map(char::to_lowercase).collect()
}
