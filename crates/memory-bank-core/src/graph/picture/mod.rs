//! What a picture of a graph shows: every entity and relation of a graph that a screen has room for, else clusters of them,
//! of which one can be opened. It knows no coordinates.

mod clusters;
#[cfg(test)]
mod tests;

use std::cmp::Reverse;
use std::collections::HashMap;

use self::clusters::{clusters, neighbours};
use crate::compact_sort::CompactSort as _;
use crate::graph::outline::{Outline, OutlineEntity};

/// The most entities, or clusters, of a picture.
pub const MOST_NODES: usize = 10_000;
/// The most relations, or bundles of them.
pub const MOST_EDGES: usize = 30_000;
/// The most characters of a name or type; an entity's page shows all of it.
pub const SHOWN_CHARS: usize = 60;
/// The most bytes of all names, types and ids.
const TEXT_BYTES: usize = 2 * 1024 * 1024;

/// An entity, or a cluster, which has the id, name and type of its entity with the most relations.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PictureNode {
    /// The id of the entity.
    pub id: String,
    /// Its name, cut to [`SHOWN_CHARS`].
    pub name: String,
    /// Its type, as an index into [`Picture::types`].
    pub node_type: usize,
    /// How many entities it contains: 1 if it is not a cluster.
    pub entities: usize,
}

/// A relation, or all relations from one cluster to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PictureEdge {
    /// The index of its source in [`Picture::nodes`].
    pub from: usize,
    /// The index of its target.
    pub to: usize,
    /// Its type, as an index into [`Picture::relation_types`]; of several relations the most frequent one.
    pub edge_type: usize,
    /// How many relations it stands for.
    pub relations: usize,
}

/// The part of the graph that is drawn.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Picture {
    /// Whether the nodes are clusters.
    pub is_clustered: bool,
    /// Those with the most relations first.
    pub nodes: Vec<PictureNode>,
    /// Between these nodes; relations within a cluster are left out.
    pub edges: Vec<PictureEdge>,
    /// The types of the nodes, the most frequent first.
    pub types: Vec<String>,
    /// The types of the edges, the most frequent first.
    pub relation_types: Vec<String>,
    /// How many entities the outline has.
    pub entities: usize,
    /// How many relations it has.
    pub relations: usize,
    /// Entities that are in no node, for lack of room.
    pub entities_left: usize,
    /// Edges that are left out, for lack of room.
    pub edges_left: usize,
}

impl Picture {
    /// The picture of an outline, or of the cluster that contains the entity of this id; `None` if no cluster does.
    #[must_use]
    pub fn of(outline: &Outline, cluster: Option<&str>) -> Option<Self> {
        let is_large = outline.entities.len() > MOST_NODES || outline.relations.len() > MOST_EDGES;
        let picture = match cluster {
            None if is_large => drawn(outline, &clusters(outline), true),
            None => {
                let around = neighbours(outline);
                let mut all: Vec<usize> = (0..outline.entities.len()).collect();
                all.compact_sort_by_key(|at| (Reverse(around.get(*at).map_or(0, Vec::len)), *at));
                drawn(outline, &alone(all), false)
            }
            Some(id) => {
                let at = outline.entities.iter().position(|entity| entity.id == id)?;
                let members = if is_large {
                    clusters(outline).into_iter().find(|members| members.contains(&at))?
                } else {
                    (0..outline.entities.len()).collect()
                };
                drawn(outline, &alone(members), false)
            }
        };
        Some(picture)
    }
}

fn alone(members: Vec<usize>) -> Vec<Vec<usize>> {
    members.into_iter().map(|at| vec![at]).collect()
}

/// The picture of groups of entities, each of which becomes a node.
fn drawn(outline: &Outline, groups: &[Vec<usize>], is_clustered: bool) -> Picture {
    let mut nodes = Vec::new();
    let mut node_of: HashMap<usize, usize> = HashMap::new();
    let (mut room, mut entities_left) = (TEXT_BYTES, 0);
    for group in groups {
        let Some(first) = group.first().and_then(|at| outline.entities.get(*at)) else { continue };
        let bytes = first.id.len() + shown(&first.name).len();
        if nodes.len() >= MOST_NODES || bytes > room {
            entities_left += group.len();
            continue;
        }
        room -= bytes;
        node_of.extend(group.iter().map(|at| (*at, nodes.len())));
        nodes.push(node(first, group.len()));
    }
    let (edges, edges_left) = edges(outline, &node_of);
    let mut picture = Picture {
        is_clustered,
        nodes,
        edges,
        types: outline.types.clone(),
        relation_types: outline.relation_types.clone(),
        entities: outline.entities.len(),
        relations: outline.relations.len(),
        entities_left,
        edges_left,
    };
    rank(&mut picture.types, &mut picture.nodes, |node| (&mut node.node_type, node.entities));
    rank(&mut picture.relation_types, &mut picture.edges, |edge| (&mut edge.edge_type, edge.relations));
    picture
}

fn node(entity: &OutlineEntity, entities: usize) -> PictureNode {
    let OutlineEntity { id, name, entity_type } = entity;
    PictureNode { id: id.clone(), name: shown(name), node_type: *entity_type, entities }
}

fn shown(text: &str) -> String {
    match text.char_indices().nth(SHOWN_CHARS) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text.to_owned(),
    }
}

/// The edges between nodes, and how many are left out.
fn edges(outline: &Outline, node_of: &HashMap<usize, usize>) -> (Vec<PictureEdge>, usize) {
    let mut bundles: HashMap<(usize, usize), HashMap<usize, usize>> = HashMap::new();
    for relation in &outline.relations {
        let (Some(&from), Some(&to)) = (node_of.get(&relation.from), node_of.get(&relation.to)) else {
            continue;
        };
        if from != to {
            *bundles.entry((from, to)).or_default().entry(relation.relation_type).or_default() += 1;
        }
    }
    let mut edges: Vec<PictureEdge> = bundles
        .into_iter()
        .filter_map(|((from, to), types)| {
            let relations = types.values().sum();
            let (edge_type, _) = types.into_iter().max_by_key(|(kind, count)| (*count, Reverse(*kind)))?;
            Some(PictureEdge { from, to, edge_type, relations })
        })
        .collect();
    edges.compact_sort_by_key(|edge| (Reverse(edge.relations), edge.from, edge.to));
    let left = edges.len().saturating_sub(MOST_EDGES);
    edges.truncate(MOST_EDGES);
    (edges, left)
}

/// Orders words by how often they are used, and drops those that are not.
fn rank<T>(words: &mut Vec<String>, used_by: &mut [T], use_of: impl Fn(&mut T) -> (&mut usize, usize)) {
    let mut counts = vec![0_usize; words.len()];
    for one in used_by.iter_mut() {
        let (word, times) = use_of(one);
        if let Some(count) = counts.get_mut(*word) {
            *count += times;
        }
    }
    let mut order: Vec<usize> =
        (0..words.len()).filter(|at| counts.get(*at).is_some_and(|count| *count > 0)).collect();
    order.compact_sort_by_key(|at| (Reverse(counts.get(*at).copied()), *at));
    let indices: HashMap<usize, usize> = order.iter().enumerate().map(|(index, at)| (*at, index)).collect();
    for one in used_by.iter_mut() {
        let (word, _) = use_of(one);
        *word = indices.get(word).copied().unwrap_or_default();
    }
    let ranked = order.iter().filter_map(|at| words.get(*at)).map(|word| shown(word)).collect();
    *words = ranked;
}
