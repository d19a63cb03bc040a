//! Files of the protocol's reference server for memories. The record has every item that was imported, so that one which
//! was deleted in the bank does not return when the file grows.

use std::collections::HashSet;

use memory_bank_core::document::Etag;
use memory_bank_core::import::{GRAPH_PREFIX, GraphItem, ImportEntry, ImportRecord, MemoryLines, batches};

use super::graph::GraphWriter;
use super::report::{GraphCounts, Report};
use super::sources::SourceFile;

/// The most items that one entry of the record has.
const MAX_ENTRY_ITEMS: usize = 4_000;

/// Imports the files.
///
/// # Errors
/// The store fails. Earlier writes are recorded.
pub(super) async fn import(
    graph: &mut GraphWriter<'_>,
    record: &mut ImportRecord,
    files: &[&SourceFile],
    report: &mut Report,
) -> anyhow::Result<()> {
    for file in files {
        let source = Etag::of(&file.text);
        let first = record.get(&key(&file.from, 0));
        let is_known = first.is_some();
        if first.is_some_and(|entry| entry.source == source) {
            report.memory(file, is_known, &GraphCounts::default());
            continue;
        }
        let lines = MemoryLines::read(file.text.as_bytes());
        report.bad_lines(&file.from, lines.bad);
        report.secrets_of(file);
        let imported = imported(record, &file.from);
        let (mut new, mut seen) = (Vec::new(), HashSet::new());
        let known = graph.known().await?;
        let mut present = Vec::new();
        for item in &lines.items {
            let key = item.key();
            if imported.contains(&key) || !seen.insert(key.clone()) {
                continue;
            }
            if known.add(item) { new.push(item) } else { present.push(key) }
        }
        let mut counts = GraphCounts::default();
        if report.is_dry_run() {
            counts.add(new.iter().copied());
            report.memory(file, is_known, &counts);
            continue;
        }
        let written = write(graph, record, file, &source, &new, present, &mut counts).await;
        report.memory(file, is_known, &counts);
        written?;
    }
    Ok(())
}

async fn write(
    graph: &GraphWriter<'_>,
    record: &mut ImportRecord,
    file: &SourceFile,
    source: &Etag,
    new: &[&GraphItem],
    present: Vec<String>,
    counts: &mut GraphCounts,
) -> anyhow::Result<()> {
    let mut at = 0;
    for batch in batches(new.iter().map(|item| (*item, file.from.as_str()))) {
        let items = batch.keys.len();
        graph.batch(batch.batch).await?;
        graph.remember(record, with_items(record, &file.from, batch.keys)).await?;
        counts.add(new.iter().skip(at).take(items).copied());
        at += items;
    }
    // The whole file is imported now.
    let mut entries = with_items(record, &file.from, present);
    let first = key(&file.from, 0);
    let known = entries.iter().position(|(key, _)| *key == first).map(|at| entries.swap_remove(at).1);
    let entry = known.or_else(|| record.get(&first).cloned()).unwrap_or_default();
    let from = file.from.clone();
    entries.push((first, ImportEntry { from, source: source.clone(), written: source.clone(), ..entry }));
    graph.remember(record, entries).await
}

/// The key of an entry of the record.
fn key(from: &str, number: usize) -> String {
    format!("{GRAPH_PREFIX}{from}#{number}")
}

fn imported(record: &ImportRecord, from: &str) -> HashSet<String> {
    let entries = (0..).map_while(|number| record.get(&key(from, number)));
    entries.flat_map(|entry| entry.items.iter().cloned()).collect()
}

/// The entries with further items.
fn with_items(record: &ImportRecord, from: &str, items: Vec<String>) -> Vec<(String, ImportEntry)> {
    let mut number =
        (0..).take_while(|number| record.get(&key(from, *number)).is_some()).count().saturating_sub(1);
    let mut entries = Vec::new();
    let mut rest = items.into_iter().peekable();
    while rest.peek().is_some() {
        let known = record.get(&key(from, number)).cloned();
        let mut entry =
            known.unwrap_or_else(|| ImportEntry { from: from.to_owned(), ..ImportEntry::default() });
        let room = MAX_ENTRY_ITEMS.saturating_sub(entry.items.len());
        entry.items.extend(rest.by_ref().take(room));
        entries.push((key(from, number), entry));
        number += 1;
    }
    entries
}
