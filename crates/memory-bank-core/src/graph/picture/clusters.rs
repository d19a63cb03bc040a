//! Clusters of a graph: label propagation with a bound on the size of a cluster (Meyerhenke, Sanders, Schulz: Partitioning
//! complex networks via size-constrained clustering, 2014), repeated on the graph of the clusters while there are many. The same graph
//! always has the same clusters.

use std::cmp::Reverse;
use std::collections::HashMap;

use crate::compact_sort::CompactSort as _;
use crate::graph::outline::Outline;

/// The most entities of a cluster.
pub(super) const CLUSTER_ENTITIES: usize = 2000;
/// A smaller cluster is put together with others.
const SMALLEST: usize = 3;
/// The most clusters that are not put together.
const MOST: usize = 1000;
const ROUNDS: usize = 10;
/// Above this number, clusters are clustered again.
const MANY: usize = 150;
/// The most levels of clusters.
const LEVELS: usize = 6;

/// What the propagation works on: neighbours with the number of relations to each, and how many entities a node stands for.
struct Level {
    around: Vec<Vec<(usize, usize)>>,
    sizes: Vec<usize>,
}

/// The neighbours of each entity, without itself.
pub(super) fn neighbours(outline: &Outline) -> Vec<Vec<usize>> {
    let mut all = vec![Vec::new(); outline.entities.len()];
    for relation in &outline.relations {
        if relation.from == relation.to {
            continue;
        }
        for (one, other) in [(relation.from, relation.to), (relation.to, relation.from)] {
            if let Some(of_one) = all.get_mut(one) {
                of_one.push(other);
            }
        }
    }
    all
}

/// The clusters, the largest first; each has its entities, the one with the most relations first.
pub(super) fn clusters(outline: &Outline) -> Vec<Vec<usize>> {
    let neighbours = neighbours(outline);
    let degree = |at: usize| neighbours.get(at).map_or(0, Vec::len);
    let mut groups: HashMap<usize, Vec<usize>> = HashMap::new();
    for (at, label) in labels_of(&neighbours).into_iter().enumerate() {
        groups.entry(label).or_default().push(at);
    }
    let mut groups: Vec<Vec<usize>> = groups.into_values().collect();
    groups.compact_sort_by_key(|group| (Reverse(group.len()), group.first().copied()));
    let kept = groups.iter().take(MOST).take_while(|group| group.len() >= SMALLEST).count();
    let rest = groups.split_off(kept);
    groups.extend(by_type(outline, rest));
    for group in &mut groups {
        group.compact_sort_by_key(|at| (Reverse(degree(*at)), *at));
    }
    groups.compact_sort_by_key(|group| (Reverse(group.len()), group.first().copied()));
    groups
}

/// Puts small clusters together by the type of their first entity.
fn by_type(outline: &Outline, small: Vec<Vec<usize>>) -> Vec<Vec<usize>> {
    let mut of_types: HashMap<Option<usize>, Vec<usize>> = HashMap::new();
    for group in small {
        let first = group.first().and_then(|at| outline.entities.get(*at));
        of_types.entry(first.map(|entity| entity.entity_type)).or_default().extend(group);
    }
    // Many types with few entities each are one group.
    let (large, few): (Vec<_>, Vec<_>) =
        of_types.into_iter().partition(|(_, group)| group.len() >= CLUSTER_ENTITIES / 100);
    let few: Vec<usize> = few.into_iter().flat_map(|(_, group)| group).collect();
    let mut parts = Vec::new();
    for mut group in large.into_iter().map(|(_, group)| group).chain([few]) {
        group.sort_unstable();
        parts.extend(group.chunks(CLUSTER_ENTITIES).map(<[usize]>::to_vec));
    }
    parts
}

/// The label of the cluster of each entity.
fn labels_of(neighbours: &[Vec<usize>]) -> Vec<usize> {
    let around = neighbours.iter().map(|others| others.iter().map(|other| (*other, 1)).collect()).collect();
    let mut level = Level { around, sizes: vec![1; neighbours.len()] };
    let mut of_entities: Vec<usize> = (0..neighbours.len()).collect();
    for _ in 0..LEVELS {
        let (labels, count) = numbered(&labels(&level));
        for label in &mut of_entities {
            *label = labels.get(*label).copied().unwrap_or_default();
        }
        if count <= MANY || count == level.sizes.len() {
            break;
        }
        level = contracted(&level, &labels, count);
    }
    of_entities
}

/// The labels as numbers without gaps, and how many there are.
fn numbered(labels: &[usize]) -> (Vec<usize>, usize) {
    let mut indices: HashMap<usize, usize> = HashMap::new();
    let numbers = labels.iter().map(|label| {
        let next = indices.len();
        *indices.entry(*label).or_insert(next)
    });
    let numbers: Vec<usize> = numbers.collect();
    (numbers, indices.len())
}

/// The graph of the clusters.
fn contracted(level: &Level, labels: &[usize], count: usize) -> Level {
    let mut sizes = vec![0_usize; count];
    let mut links: Vec<HashMap<usize, usize>> = vec![HashMap::new(); count];
    for ((others, size), &label) in level.around.iter().zip(&level.sizes).zip(labels) {
        if let Some(total) = sizes.get_mut(label) {
            *total += size;
        }
        let Some(of_label) = links.get_mut(label) else { continue };
        for (other, relations) in others {
            if let Some(&other) = labels.get(*other)
                && other != label
            {
                *of_label.entry(other).or_default() += relations;
            }
        }
    }
    let sorted = |links: HashMap<usize, usize>| {
        let mut links: Vec<(usize, usize)> = links.into_iter().collect();
        links.sort_unstable();
        links
    };
    Level { around: links.into_iter().map(sorted).collect(), sizes }
}

/// The label of the cluster of each node.
fn labels(level: &Level) -> Vec<usize> {
    let mut labels: Vec<usize> = (0..level.sizes.len()).collect();
    let mut sizes = level.sizes.clone();
    let mut order = labels.clone();
    // Those with few relations decide first, so that hubs do not swallow everything.
    order.compact_sort_by_key(|at| (level.around.get(*at).map_or(0, Vec::len), *at));
    for _ in 0..ROUNDS {
        let mut moved = 0_usize;
        for &at in &order {
            let (Some(around), Some(&own), Some(&size)) =
                (level.around.get(at), labels.get(at), level.sizes.get(at))
            else {
                continue;
            };
            let chosen = choose(around, (&labels, &sizes), (own, size));
            if chosen == own {
                continue;
            }
            moved += 1;
            if let Some(left) = sizes.get_mut(own) {
                *left = left.saturating_sub(size);
            }
            if let Some(joined) = sizes.get_mut(chosen) {
                *joined += size;
            }
            if let Some(label) = labels.get_mut(at) {
                *label = chosen;
            }
        }
        if moved * 100 < order.len() {
            break;
        }
    }
    labels
}

/// The label with most relations whose cluster has room; of equal ones its own, and else the lowest.
fn choose(
    around: &[(usize, usize)],
    (labels, sizes): (&[usize], &[usize]),
    (own, size): (usize, usize),
) -> usize {
    let mut found: Vec<(usize, usize)> =
        around.iter().filter_map(|(other, relations)| Some((*labels.get(*other)?, *relations))).collect();
    found.sort_unstable();
    let mut best = (0, own);
    for group in found.chunk_by(|one, other| one.0 == other.0) {
        let Some(&(label, _)) = group.first() else { continue };
        let relations: usize = group.iter().map(|(_, relations)| relations).sum();
        let has_room = label == own || sizes.get(label).is_some_and(|taken| taken + size <= CLUSTER_ENTITIES);
        if has_room && (relations > best.0 || (relations == best.0 && label == own)) {
            best = (relations, label);
        }
    }
    best.1
}
