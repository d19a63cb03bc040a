use super::clusters::CLUSTER_ENTITIES;
use super::*;
use crate::graph::outline::OutlineBuilder;
use crate::graph::{Entity, Relation};

fn entity(id: &str, name: &str, entity_type: &str) -> Entity {
    let created_at = "2026-01-01T00:00:00.000Z".to_owned();
    Entity {
        id: id.to_owned(),
        name: name.to_owned(),
        entity_type: entity_type.to_owned(),
        attrs: None,
        updated_at: created_at.clone(),
        created_at,
    }
}

fn relation(from: &str, to: &str, relation_type: &str) -> Relation {
    Relation {
        id: format!("{from} {relation_type} {to}"),
        from_id: from.to_owned(),
        to_id: to.to_owned(),
        relation_type: relation_type.to_owned(),
        created_at: "2026-01-01T00:00:00.000Z".to_owned(),
    }
}

/// Rings of entities; consecutive rings are linked once.
fn rings(count: usize, length: usize) -> Outline {
    let mut builder = OutlineBuilder::default();
    let id = |ring: usize, at: usize| format!("ent_{ring}_{}", at % length);
    for ring in 0..count {
        for at in 0..length {
            builder.entity(&entity(&id(ring, at), &format!("Thing {at} of {ring}"), "thing"));
        }
    }
    for ring in 0..count {
        for at in 0..length {
            builder.relation(&relation(&id(ring, at), &id(ring, at + 1), "next"));
            builder.relation(&relation(&id(ring, at), &id(ring, at + 2), "after"));
        }
        builder.relation(&relation(&id(ring, 0), &id((ring + 1) % count, 0), "bridge"));
    }
    builder.finish()
}

#[test]
fn a_small_graph_is_shown_whole_with_the_most_used_types_first() {
    let mut builder = OutlineBuilder::default();
    builder.entity(&entity("a", "A", "rare"));
    builder.entity(&entity("b", &"é".repeat(100), "frequent"));
    builder.entity(&entity("c", "C", "frequent"));
    builder.relation(&relation("a", "b", "uses"));
    builder.relation(&relation("a", "b", "calls"));
    builder.relation(&relation("b", "a", "uses"));
    builder.relation(&relation("a", "a", "itself"));
    builder.relation(&relation("a", "missing", "uses"));
    let picture = Picture::of(&builder.finish(), None).unwrap();
    assert!(!picture.is_clustered);
    let nodes: Vec<(&str, usize)> =
        picture.nodes.iter().map(|node| (node.id.as_str(), node.node_type)).collect();
    assert_eq!(nodes, [("a", 1), ("b", 0), ("c", 0)]);
    assert_eq!(picture.nodes[1].name, format!("{}…", "é".repeat(SHOWN_CHARS)));
    assert_eq!(picture.types, ["frequent", "rare"]);
    let edges: Vec<(usize, usize, usize)> =
        picture.edges.iter().map(|edge| (edge.from, edge.to, edge.relations)).collect();
    assert_eq!(edges, [(0, 1, 2), (1, 0, 1)]);
    assert_eq!((picture.entities, picture.relations, picture.entities_left), (3, 4, 0));
}

#[test]
fn a_large_graph_is_shown_as_clusters_that_can_be_opened_and_contain_everything() {
    let outline = rings(60, 200);
    let picture = Picture::of(&outline, None).unwrap();
    assert!(picture.is_clustered);
    assert!(picture.nodes.len() >= 6 && picture.nodes.len() <= 150, "{}", picture.nodes.len());
    assert_eq!(picture.nodes.iter().map(|node| node.entities).sum::<usize>(), 12_000);
    assert!(picture.nodes.iter().all(|node| node.entities <= CLUSTER_ENTITIES));
    assert_eq!(Picture::of(&outline, None).unwrap(), picture, "the same graph has the same clusters");
    for cluster in [&picture.nodes[0], picture.nodes.last().unwrap()] {
        let opened = Picture::of(&outline, Some(&cluster.id)).unwrap();
        assert!(!opened.is_clustered && opened.nodes.iter().any(|node| node.id == cluster.id));
        assert_eq!(opened.nodes.len(), cluster.entities);
        assert_eq!(opened.entities, 12_000);
    }
    assert_eq!(Picture::of(&outline, Some("ent_unknown")), None);
}

#[test]
fn entities_without_relations_are_put_together_in_parts() {
    let mut builder = OutlineBuilder::default();
    for at in 0..MOST_NODES + 1 {
        builder.entity(&entity(&format!("ent_{at}"), "Alone", if at % 2 == 0 { "even" } else { "odd" }));
    }
    let picture = Picture::of(&builder.finish(), None).unwrap();
    let sizes: Vec<usize> = picture.nodes.iter().map(|node| node.entities).collect();
    assert_eq!(sizes, [2000, 2000, 2000, 2000, 1001, 1000]);
}

#[test]
fn a_star_and_many_relations_stay_within_their_bounds() {
    let mut builder = OutlineBuilder::default();
    let names: Vec<String> = (0..400).map(|at| format!("ent_{at}")).collect();
    for name in &names {
        builder.entity(&entity(name, name, "thing"));
    }
    for from in &names {
        for to in &names {
            builder.relation(&relation(from, to, "knows"));
        }
    }
    let outline = builder.finish();
    let opened = Picture::of(&outline, Some("ent_7")).unwrap();
    assert!(opened.edges.len() <= MOST_EDGES);
    let whole = Picture::of(&outline, None).unwrap();
    assert!(whole.is_clustered);
    assert_eq!(whole.nodes.iter().map(|node| node.entities).sum::<usize>(), 400);
    let mut star = OutlineBuilder::default();
    star.entity(&entity("hub", "Hub", "hub"));
    for at in 0..MOST_NODES {
        star.entity(&entity(&format!("ent_{at}"), "Spoke", "spoke"));
        star.relation(&relation("hub", &format!("ent_{at}"), "has"));
    }
    let star = star.finish();
    let picture = Picture::of(&star, None).unwrap();
    assert!(picture.nodes.iter().all(|node| node.entities <= CLUSTER_ENTITIES));
    let hub = Picture::of(&star, Some("hub")).unwrap();
    assert!(hub.nodes.iter().any(|node| node.id == "hub") && hub.nodes.len() <= CLUSTER_ENTITIES);
}
