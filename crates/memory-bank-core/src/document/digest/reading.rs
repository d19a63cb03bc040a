//! Reads the documents of a digest: the entries and the decisions of each. Documents do not depend on each other, so a second thread
//! takes a part of a large bank.

use std::borrow::Cow;
use std::cmp::Reverse;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use super::decisions::{DecisionEntry, decisions};
use super::document_kind::DocumentKind;
use super::entries::entries;
use super::entry::Entry;
use super::types::DigestSource;
use crate::compact_sort::CompactSort as _;
use crate::document::section::Outline;

/// Fewer bytes are read before a thread has started.
const MIN_BYTES_OF_TWO_THREADS: usize = 64 * 1024;

/// The entries and decisions of a document.
pub(super) struct Reading<'t> {
    /// Its text, without prose that a rule below would make a heading.
    pub(super) text: Cow<'t, str>,
    pub(super) entries: Vec<Entry>,
    pub(super) decisions: Vec<DecisionEntry>,
}

impl<'t> Reading<'t> {
    fn of(kind: DocumentKind, source: &DigestSource<'t>) -> Self {
        let whole = Outline::of(source.text);
        match without_underlines(&whole) {
            None => Self {
                text: Cow::Borrowed(source.text),
                entries: entries(kind, &whole),
                decisions: decisions(kind, &whole),
            },
            Some(text) => {
                let outline = Outline::of(&text);
                let (entries, decisions) = (entries(kind, &outline), decisions(kind, &outline));
                Self { text: Cow::Owned(text), entries, decisions }
            }
        }
    }
}

/// Reads all documents. The result does not depend on the number of threads.
pub(super) fn read_all<'t>(documents: &[(DocumentKind, &DigestSource<'t>)]) -> Vec<Reading<'t>> {
    let total: usize = documents.iter().map(|(_, source)| source.text.len()).sum();
    if total < MIN_BYTES_OF_TWO_THREADS {
        return documents.iter().map(|(kind, source)| Reading::of(*kind, source)).collect();
    }
    // The longest first, so that both threads end at about the same time.
    let mut order: Vec<(usize, &(DocumentKind, &DigestSource<'t>))> = documents.iter().enumerate().collect();
    order.compact_sort_by_key(|(_, (_, source))| Reverse(source.text.len()));
    let next = AtomicUsize::new(0);
    let read_some = || {
        let mut read: Vec<(usize, Reading<'t>)> = Vec::new();
        while let Some((at, (kind, source))) = order.get(next.fetch_add(1, Ordering::Relaxed)) {
            read.push((*at, Reading::of(*kind, source)));
        }
        read
    };
    let mut read = thread::scope(|scope| {
        // Without a second thread, this one reads everything.
        let other = thread::Builder::new().name("digest".to_owned()).spawn_scoped(scope, read_some);
        let mut read = read_some();
        match other.map(thread::ScopedJoinHandle::join) {
            Ok(Ok(others)) => read.extend(others),
            Ok(Err(panic)) => std::panic::resume_unwind(panic),
            Err(_) => {}
        }
        read
    });
    read.compact_sort_by_key(|(at, _)| *at);
    read.into_iter().map(|(_, reading)| reading).collect()
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_threads_read_the_same_as_one() {
        let entry = |number: usize| {
            let day = number % 28 + 1;
            format!(
                "- [2026-11-{day:02}] [a] - Did: part {number}\n\n### [2026-11-{day:02}] Use {number}\n\nwords\n\n---\n"
            )
        };
        let text =
            |count: usize| format!("# Log\n\n## Done\n\n{}", (0..count).map(entry).collect::<String>());
        let texts = [text(3), text(700), text(400), text(0), text(500)];
        let names = ["active-context.md", "progress.md", "decision-log.md", "tasks.md", "notes.md"];
        let sources: Vec<DigestSource<'_>> =
            names.iter().zip(&texts).map(|(name, text)| DigestSource { name, text }).collect();
        let documents: Vec<(DocumentKind, &DigestSource<'_>)> =
            sources.iter().map(|source| (DocumentKind::of(source.name), source)).collect();
        assert!(texts.iter().map(String::len).sum::<usize>() >= MIN_BYTES_OF_TWO_THREADS);
        let read = read_all(&documents);
        assert_eq!(read.len(), documents.len());
        for ((kind, source), read) in documents.iter().zip(read) {
            let alone = Reading::of(*kind, source);
            assert_eq!(read.text, alone.text, "{}", source.name);
            assert_eq!(read.entries, alone.entries, "{}", source.name);
            assert_eq!(read.decisions, alone.decisions, "{}", source.name);
        }
    }
}
