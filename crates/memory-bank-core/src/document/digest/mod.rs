//! A short view of a bank: current work, open items, finished work, decisions.
//!
//! It only reads, and supports any layout: sections are found by the role of their headings. The caller provides the
//! lines about the graph, the documents and the changes since the last session.

mod block;
mod budget;
mod collect;
mod decision_columns;
pub(in crate::document) mod decision_record;
mod decisions;
mod details;
mod display_date;
mod document_kind;
mod entries;
mod entry;
mod excerpt;
mod fit;
mod heading_words;
mod line_context;
mod line_state;
mod log_line;
mod note;
mod order;
mod plain;
mod reading;
mod select;
mod table_row;
mod tokens;
mod types;

use std::borrow::Cow;

use self::collect::{Collected, collect};
use self::decisions::DecisionEntry;
use self::document_kind::{DocumentKind, names_decisions};
use self::entry::Entry;
use self::fit::fit;
pub use self::plain::plain_digest;
use self::reading::read_all;
pub use self::select::{MAX_SOURCE_BYTES, digest_documents};
pub use self::tokens::estimated_tokens;
pub use self::types::{
    CurrentContext, DIGEST_TOKENS, DecisionSummary, Digest, DigestBounds, DigestExtras, DigestSource,
    DocumentFacts, Excerpt,
};
use crate::compact_sort::CompactSort as _;
use crate::document::decision_marks::{self, HoldingDecisions};
use crate::document::roles::Role;
use crate::document::section::Outline;

const MAX_PATTERN_LINES: usize = 20;

/// Builds the digest from the documents.
#[must_use]
pub fn digest(sources: &[DigestSource<'_>], extras: &DigestExtras, bounds: DigestBounds) -> Digest {
    DigestContent::of(sources, &[], bounds).digest(extras, bounds)
}

/// The content of the documents for a digest, before it is cut to a budget.
#[derive(Debug)]
pub struct DigestContent {
    found: Collected,
    excerpt: Option<Excerpt>,
    patterns: Option<String>,
}

impl DigestContent {
    /// Reads the documents. Lines of progress that only name one of the `ended` decisions are left out. The bound on tokens does not
    /// count here.
    #[must_use]
    pub fn of(sources: &[DigestSource<'_>], ended: &[String], bounds: DigestBounds) -> Self {
        read_content(sources, ended, bounds)
    }

    /// The digest with these lines of the store.
    #[must_use]
    pub fn digest(self, extras: &DigestExtras, bounds: DigestBounds) -> Digest {
        fit(self.found, self.excerpt, self.patterns, extras, bounds)
    }
}

/// The decisions of a document that hold at this moment, in milliseconds since 1970. `None` if all of it counts, as it does in
/// documents other than logs of decisions.
#[must_use]
pub fn holding_decisions<'t>(name: &str, text: &'t str, at: i64) -> Option<HoldingDecisions<'t>> {
    let holding = is_decision_log(name).then(|| decision_marks::holding(text, at))?;
    matches!(holding.text, Cow::Owned(_)).then_some(holding)
}

/// Whether a document is a log of decisions, so that marks end its entries.
pub(crate) fn is_decision_log(name: &str) -> bool {
    names_decisions(name)
}

fn read_content(sources: &[DigestSource<'_>], ended: &[String], bounds: DigestBounds) -> DigestContent {
    let mut read: Vec<(DocumentKind, &DigestSource<'_>)> = sources
        .iter()
        .map(|source| (DocumentKind::of(source.name), source))
        .filter(|(kind, _)| *kind != DocumentKind::Archive)
        .collect();
    read.compact_sort_by_key(|(kind, _)| *kind);
    let readings = read_all(&read);
    let mut all: Vec<(DocumentKind, usize, Vec<Entry>)> = Vec::with_capacity(read.len());
    let mut decided: Vec<(DocumentKind, usize, Vec<DecisionEntry>)> = Vec::with_capacity(read.len());
    let mut texts: Vec<Cow<'_, str>> = Vec::with_capacity(read.len());
    for (index, ((kind, _), reading)) in read.iter().zip(readings).enumerate() {
        all.push((*kind, index, reading.entries));
        decided.push((*kind, index, reading.decisions));
        texts.push(reading.text);
    }
    let found = collect(&all, &decided, ended, &texts, bounds);
    // Whether nothing was recognised in the document on current work, or the one that replaces it.
    let nothing_recognised = all.first().is_none_or(|(_, _, entries)| {
        !entries.iter().any(|entry| !matches!(entry.role, Role::Note | Role::Done | Role::Decision))
    });
    // Do not repeat items that are shown above.
    let shown = |index: usize| {
        let is_content = |entry: &Entry| entry.role != Role::Note;
        all.iter().any(|(_, at, entries)| *at == index && entries.iter().any(is_content))
            || decided.iter().any(|(_, at, found)| *at == index && !found.is_empty())
    };
    let excerpt = read
        .iter()
        .zip(&texts)
        .enumerate()
        .filter(|(index, _)| nothing_recognised && found.focus.is_empty() && !shown(*index))
        .find_map(|(_, ((_, source), text))| excerpt::excerpt(source.name, &Outline::of(text)));
    let excerpt = excerpt.or_else(|| {
        let product = read
            .iter()
            .zip(&texts)
            .filter(|((kind, _), _)| *kind == DocumentKind::Product && found.has_little());
        product.into_iter().find_map(|((_, source), text)| excerpt::excerpt(source.name, &Outline::of(text)))
    });
    let patterns = read
        .iter()
        .find(|(kind, _)| *kind == DocumentKind::Patterns)
        .filter(|(_, source)| bounds.system_patterns && !source.text.trim().is_empty())
        .map(|(_, source)| source.text.lines().take(MAX_PATTERN_LINES).collect::<Vec<_>>().join("\n"));
    DigestContent { found, excerpt, patterns }
}
