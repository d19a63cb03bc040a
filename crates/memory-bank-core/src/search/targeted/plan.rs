//! Selects the documents that are worth reading.

use std::cmp::Reverse;
use std::collections::HashSet;

use super::reply::{ContextPointer, TargetedBounds};
use crate::compact_sort::CompactSort as _;
use crate::document::{CORE_DOCUMENTS, DocumentPath};
use crate::graph::pointers::pointers;
use crate::search::lines::clip;
use crate::store::{DocumentsFound, GraphFound};

/// The documents that are worth reading, best first: those to which the found entities point, then those with hits;
/// the core documents if there are no others. More than `max_files`, since some may be missing.
#[must_use]
pub fn plan_pointers(
    graph: &GraphFound,
    documents: &DocumentsFound,
    bounds: &TargetedBounds,
) -> Vec<ContextPointer> {
    let is_core = |path: &str| DocumentPath::parse(path).is_ok_and(|path| path.is_core());
    let mut of_graph: Vec<(f64, ContextPointer)> = Vec::new();
    for found in &graph.entities {
        let entity = &found.entity;
        for pointer in pointers(entity, &found.observations) {
            let reason = format!("`{}` points here", clip(&entity.name, 0, 60));
            let pointer = ContextPointer {
                path: pointer.path,
                heading_hint: pointer.heading,
                reason,
                entity_id: Some(entity.id.clone()),
            };
            of_graph.push((found.score, pointer));
        }
    }
    of_graph.compact_sort_by(|(a_score, a), (b_score, b)| {
        let rank = |pointer: &ContextPointer| {
            (pointer.heading_hint.is_none(), Reverse(bounds.prefer_core && is_core(&pointer.path)))
        };
        b_score.total_cmp(a_score).then_with(|| rank(a).cmp(&rank(b))).then_with(|| a.path.cmp(&b.path))
    });
    let found =
        documents.hits.iter().map(|hit| (hit.file.clone(), "the question's words are here".to_owned()));
    let mut core: Vec<&str> = CORE_DOCUMENTS.to_vec();
    if bounds.prefer_core {
        core.compact_sort_by_key(|name| *name != "active-context.md");
    }
    let nothing = of_graph.is_empty() && documents.hits.is_empty();
    let core =
        core.into_iter().filter(|_| nothing).map(|name| (name.to_owned(), "a core document".to_owned()));
    let others = found.chain(core).map(|(path, reason)| ContextPointer {
        path,
        heading_hint: None,
        reason,
        entity_id: None,
    });
    let mut seen = HashSet::new();
    of_graph
        .into_iter()
        .map(|(_, pointer)| pointer)
        .chain(others)
        .filter(|pointer| seen.insert(pointer.path.clone()))
        .take(bounds.max_files * 2 + 5)
        .collect()
}
