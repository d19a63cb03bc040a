//! A short view of a bank: current work, open items, finished work, decisions.
//!
//! It only reads, and supports any layout: sections are found by the role of their headings. The caller provides the
//! lines about the graph, the documents and the changes since the last session.

mod block;
mod budget;
mod collect;
mod decision_record;
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
mod note;
mod order;
mod plain;
mod select;
mod table_row;
mod tokens;
mod types;

use self::collect::collect;
use self::decisions::{DecisionEntry, decisions};
use self::document_kind::DocumentKind;
use self::entries::entries;
use self::entry::Entry;
use self::fit::fit;
pub use self::plain::plain_digest;
pub use self::select::{MAX_SOURCE_BYTES, digest_documents};
pub use self::tokens::estimated_tokens;
pub use self::types::{
    CurrentContext, DIGEST_TOKENS, DecisionSummary, Digest, DigestBounds, DigestExtras, DigestSource,
    DocumentFacts, Excerpt,
};
use crate::compact_sort::CompactSort as _;
use crate::document::roles::Role;
use crate::document::section::Outline;

const MAX_PATTERN_LINES: usize = 20;

/// Builds the digest from the documents.
#[must_use]
pub fn digest(sources: &[DigestSource<'_>], extras: &DigestExtras, bounds: DigestBounds) -> Digest {
    let mut read: Vec<(DocumentKind, &DigestSource<'_>)> = sources
        .iter()
        .map(|source| (DocumentKind::of(source.name), source))
        .filter(|(kind, _)| *kind != DocumentKind::Archive)
        .collect();
    read.compact_sort_by_key(|(kind, _)| *kind);
    let whole: Vec<Outline<'_>> = read.iter().map(|(_, source)| Outline::of(source.text)).collect();
    let texts: Vec<Option<String>> = whole.iter().map(without_underlines).collect();
    let outlines: Vec<Outline<'_>> = whole
        .into_iter()
        .zip(&texts)
        .map(|(whole, text)| text.as_ref().map_or(whole, |text| Outline::of(text)))
        .collect();
    let mut all: Vec<(DocumentKind, usize, Vec<Entry>)> = Vec::new();
    let mut decided: Vec<(DocumentKind, usize, Vec<DecisionEntry>)> = Vec::new();
    for (index, ((kind, _), outline)) in read.iter().zip(&outlines).enumerate() {
        all.push((*kind, index, entries(*kind, outline)));
        decided.push((*kind, index, decisions(*kind, outline)));
    }
    let found = collect(&all, &decided, bounds);
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
        .zip(&outlines)
        .enumerate()
        .filter(|(index, _)| nothing_recognised && found.focus.is_empty() && !shown(*index))
        .find_map(|(_, ((_, source), outline))| excerpt::excerpt(source.name, outline));
    let excerpt = excerpt.or_else(|| {
        let product = read
            .iter()
            .zip(&outlines)
            .filter(|((kind, _), _)| *kind == DocumentKind::Product && found.has_little());
        product.into_iter().find_map(|((_, source), outline)| excerpt::excerpt(source.name, outline))
    });
    let patterns = read
        .iter()
        .find(|(kind, _)| *kind == DocumentKind::Patterns)
        .filter(|(_, source)| bounds.system_patterns && !source.text.trim().is_empty())
        .map(|(_, source)| source.text.lines().take(MAX_PATTERN_LINES).collect::<Vec<_>>().join("\n"));
    fit(found, excerpt, patterns, extras, bounds)
}

/// The text with a blank line between prose and a rule directly below it, which would make the prose a heading by
/// Markdown's syntax: logs separate their entries by rules. A single short line above a rule stays a heading. None if the text
/// has nothing of this kind.
fn without_underlines(outline: &Outline<'_>) -> Option<String> {
    let mut kept = String::new();
    let mut at = 0;
    for heading in outline.headings() {
        let lines = outline.slice(&heading.range);
        let Some((above, underline)) = lines.trim_end().rsplit_once('\n') else { continue };
        let first = above.trim();
        let is_title = !above.contains('\n')
            && !first.starts_with(['*', '-', '|', '[', '`', '>'])
            && !first.ends_with(['.', ':', ';']);
        if underline.trim().chars().all(|character| character == '-') && !is_title {
            let end = heading.range.start + above.len();
            kept.push_str(outline.slice(&(at..end)));
            kept.push('\n');
            at = end;
        }
    }
    if at == 0 {
        return None;
    }
    kept.push_str(outline.slice(&(at..outline.text().len())));
    Some(kept)
}
