//! The lines of a digest about the list of documents and about the graph.

use std::collections::BTreeSet;

use memory_bank_core::compact_sort::CompactSort as _;
use memory_bank_core::document::DocumentEntry;
use memory_bank_core::graph::FactView;
use memory_bank_core::store::{Bank, GraphSearch, GraphSummary, Skip};

use crate::mcp::tools::past_graph::ViewedGraph;
use crate::mcp::tools::reply::Failure;
use crate::mcp::tools::tool::Call;

/// Length of a name.
const MAX_NAME_CHARS: usize = 40;
/// The most entities of a former graph that are counted, and the bytes that are loaded for it.
const COUNTED: usize = 1000;
const COUNTED_BYTES: usize = 1024 * 1024;

/// A few lines on the graph as it was at a time, and what of it is not as it was.
pub(super) async fn former_graph_lines(
    call: &Call,
    bank: &dyn Bank,
    view: FactView,
) -> Result<(Vec<String>, Option<&'static str>), Failure> {
    let (limit, bytes, skip) = (COUNTED, COUNTED_BYTES, Skip::default());
    let query = GraphSearch { query: None, limit, depth: 0, bytes, skip, view };
    let graph = ViewedGraph::of(bank, &call.caller, view).await?;
    let found = graph.search(&query).await?;
    if found.entities.is_empty() {
        return Ok((Vec::new(), graph.note()));
    }
    let entities = found.entities.len() + found.entities_left;
    let more = if found.more_hits { "more than " } else { "" };
    let facts: usize = found.entities.iter().map(|one| one.observation_count).sum();
    let facts = if found.entities_left > 0 { format!("at least {facts}") } else { facts.to_string() };
    let head = format!("## Knowledge Graph\n{more}{entities} entities, {more}{facts} observations");
    let mut lines = vec![head];
    lines.extend(found.entities.iter().map(|one| {
        let entity = &one.entity;
        format!("- {} [{}] ({} obs)", short(&entity.name), short(&entity.entity_type), one.observation_count)
    }));
    Ok((lines, graph.note()))
}

/// The documents with size and last change, the last changed first.
pub(super) fn document_lines(present: &[DocumentEntry]) -> Vec<String> {
    let mut documents: Vec<&DocumentEntry> = present.iter().filter(|entry| entry.path.is_some()).collect();
    documents.compact_sort_by(|a, b| b.updated_at.cmp(&a.updated_at).then_with(|| a.name.cmp(&b.name)));
    documents
        .into_iter()
        .map(|entry| {
            format!("{} {} {}", entry.name, size(entry.bytes), entry.updated_at.strftime("%Y-%m-%d"))
        })
        .collect()
}

pub(super) fn size(bytes: u64) -> String {
    if bytes < 1000 { format!("{bytes} B") } else { format!("{} KB", bytes.div_ceil(1000)) }
}

/// The graph in a few lines of Markdown: counts, then entities.
pub(super) fn graph_lines(summary: &GraphSummary) -> Vec<String> {
    let stats = summary.stats;
    let mut head = format!(
        "## Knowledge Graph\n{} entities, {} observations, {} relations",
        stats.entity_count, stats.observation_count, stats.relation_count
    );
    if !summary.types.is_empty() {
        let types: Vec<String> =
            summary.types.iter().map(|(name, count)| format!("{} ({count})", short(name))).collect();
        head.push_str(&format!("\nTypes: {}", types.join(", ")));
    }
    let mut seen = BTreeSet::new();
    // Alternate between connected and recent entities: a small budget shows both.
    let entities = interleaved(&summary.busiest, &summary.recent)
        .filter(|(name, kind, _)| seen.insert((name, kind)))
        .map(|(name, kind, count)| format!("- {} [{}] ({count} obs)", short(name), short(kind)));
    std::iter::once(head).chain(entities).collect()
}

fn interleaved<'t, T>(one: &'t [T], other: &'t [T]) -> impl Iterator<Item = &'t T> {
    (0..one.len().max(other.len())).flat_map(|at| one.get(at).into_iter().chain(other.get(at)))
}

/// The head of a name.
pub(super) fn short(name: &str) -> String {
    if name.chars().count() <= MAX_NAME_CHARS {
        return name.to_owned();
    }
    name.chars().take(MAX_NAME_CHARS).chain(['…']).collect()
}
