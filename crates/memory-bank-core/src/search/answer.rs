//! Turns what a search of the graph found into an answer: the entities with their observations, their neighbours, and
//! the relations among them, each bounded.

use std::collections::{HashMap, HashSet};

use super::index::{EntityHit, GraphHits, Index, ObservationHit};
use crate::graph::ids::normalise;
use crate::graph::state::GraphState;
use crate::graph::{Entity, Observation};
use crate::limits;
use crate::store::{EntityFound, GraphFound, GraphSearch, ObservationFound, RelationFound};

/// How many of its newest observations stand with an entity of which none was found.
const NEWEST: usize = 5;
/// What everything scores when everything is asked for.
const FULL: f64 = 100.0;

/// Searches a graph that is held in memory; `index` follows it.
#[must_use]
pub fn search_graph(graph: &GraphState, index: &Index, wanted: &GraphSearch) -> GraphFound {
    let limit = wanted.limit;
    let hits = match &wanted.query {
        Some(query) => index.search_graph(query, limit),
        None => everything(graph, limit),
    };
    let is_name =
        |name: &str| wanted.query.as_ref().is_some_and(|query| normalise(query.text()) == normalise(name));
    let mut matching: HashMap<&str, Vec<&Observation>> = HashMap::new();
    let mut observations = Vec::new();
    for hit in &hits.observations {
        let Some(observation) = graph.observation(&hit.id) else { continue };
        if wanted.query.is_some() {
            matching.entry(observation.entity_id.as_str()).or_default().push(observation);
        }
        observations.push(ObservationFound {
            observation: observation.clone(),
            entity_name: graph.name_or_id(&observation.entity_id).to_owned(),
            score: hit.score,
        });
    }
    let show = |entity: &Entity, score: f64, matched_in| {
        let shown: Vec<&Observation> = if limit == 1 && is_name(&entity.name) {
            graph.newest_observations_of(&entity.id)
        } else if let Some(matching) = matching.get(entity.id.as_str()) {
            matching.clone()
        } else {
            newest(graph, index, &entity.id)
        };
        EntityFound {
            entity: entity.clone(),
            score,
            matched_in,
            observations: shown.into_iter().cloned().collect(),
            observation_count: graph.observation_count_of(&entity.id),
            relation_count: graph.relation_count_of(&entity.id),
        }
    };
    let entities: Vec<EntityFound> = hits
        .entities
        .iter()
        .filter_map(|hit| Some(show(graph.entity(&hit.id)?, hit.score, hit.matched_in.clone())))
        .collect();
    let found: Vec<&str> = hits.entities.iter().map(|hit| hit.id.as_str()).collect();
    let (near, more_near) = neighbours(graph, &found, wanted.depth);
    let neighbours =
        near.iter().filter_map(|id| graph.entity(id)).map(|entity| show(entity, 0.0, Vec::new())).collect();
    let (relations, more_relations) = relations(graph, &found, &near);
    let more = hits.more || more_near || more_relations;
    GraphFound { entities, neighbours, observations, relations, more }
}

/// The newest observations of an entity. The index has read all times already; the graph would read them again.
fn newest<'a>(graph: &'a GraphState, index: &Index, id: &str) -> Vec<&'a Observation> {
    match index.newest_observations(id, NEWEST) {
        Some(ids) => ids.into_iter().filter_map(|id| graph.observation(id)).collect(),
        None => graph.newest_observations_of(id).into_iter().take(NEWEST).collect(),
    }
}

/// The first of everything, in storage order.
fn everything(graph: &GraphState, limit: usize) -> GraphHits {
    let entities: Vec<EntityHit> = graph
        .entities()
        .take(limit)
        .map(|entity| EntityHit { id: entity.id.clone(), score: FULL, matched_in: Vec::new() })
        .collect();
    let observations = graph
        .observations()
        .take(limit)
        .map(|one| ObservationHit { id: one.id.clone(), entity_id: one.entity_id.clone(), score: FULL })
        .collect();
    let stats = graph.stats();
    GraphHits { entities, observations, more: stats.entity_count > limit || stats.observation_count > limit }
}

/// The entities that are at most `depth` relations away, nearest first; and whether there are more than the bound.
fn neighbours<'a>(graph: &'a GraphState, found: &[&'a str], depth: u32) -> (Vec<&'a str>, bool) {
    let mut reached: HashSet<&str> = found.iter().copied().collect();
    let mut edge: Vec<&str> = found.to_vec();
    let mut near = Vec::new();
    for _ in 0..depth {
        let mut next = Vec::new();
        for relation in edge.iter().flat_map(|id| graph.relations_of(id)) {
            for end in [relation.from_id.as_str(), relation.to_id.as_str()] {
                if graph.entity(end).is_none() || !reached.insert(end) {
                    continue;
                }
                if near.len() == limits::NEIGHBOURS {
                    return (near, true);
                }
                near.push(end);
                next.push(end);
            }
        }
        edge = next;
    }
    (near, false)
}

/// All relations that touch what was found, and those among the neighbours; and whether there are more than the bound.
fn relations(graph: &GraphState, found: &[&str], near: &[&str]) -> (Vec<RelationFound>, bool) {
    let inside: HashSet<&str> = found.iter().chain(near).copied().collect();
    let touching = found.iter().flat_map(|id| graph.relations_of(id));
    let among = near.iter().flat_map(|id| graph.relations_of(id)).filter(|relation| {
        inside.contains(relation.from_id.as_str()) && inside.contains(relation.to_id.as_str())
    });
    let mut seen = HashSet::new();
    let mut shown = Vec::new();
    for relation in touching.chain(among) {
        if !seen.insert(relation.id.as_str()) {
            continue;
        }
        if shown.len() == limits::RELATIONS_FOUND {
            return (shown, true);
        }
        shown.push(RelationFound {
            relation: relation.clone(),
            from_name: graph.name_or_id(&relation.from_id).to_owned(),
            to_name: graph.name_or_id(&relation.to_id).to_owned(),
        });
    }
    (shown, false)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::Relation;
    use crate::graph::event::Event;
    use crate::graph::ids::{entity_id, observation_id, relation_id};
    use crate::search::Query;

    const TS: &str = "2026-01-01T00:00:00.000Z";

    fn add(state: &mut GraphState, name: &str, facts: &[&str]) {
        let entity = Entity {
            id: entity_id(name, "x"),
            name: name.to_owned(),
            entity_type: "x".to_owned(),
            attrs: None,
            created_at: TS.to_owned(),
            updated_at: TS.to_owned(),
        };
        let owner = entity.id.clone();
        state.apply(Event::EntityUpsert { entity, ts: TS.to_owned() });
        for text in facts {
            let observation = Observation {
                id: observation_id(&owner, text, TS),
                entity_id: owner.clone(),
                text: (*text).to_owned(),
                source: None,
                timestamp: TS.to_owned(),
                author: None,
            };
            state.apply(Event::ObservationAdd { observation, ts: TS.to_owned() });
        }
    }

    fn link(state: &mut GraphState, from: &str, to: &str) {
        let (from_id, to_id) = (entity_id(from, "x"), entity_id(to, "x"));
        let relation = Relation {
            id: relation_id(&from_id, "r", &to_id),
            from_id,
            to_id,
            relation_type: "r".to_owned(),
            created_at: TS.to_owned(),
        };
        state.apply(Event::RelationAdd { relation, ts: TS.to_owned() });
    }

    fn search(state: &GraphState, query: Option<&str>, limit: usize, depth: u32) -> GraphFound {
        let mut index = Index::default();
        index.follow_graph(state, None);
        let query = query.map(|query| Query::parse(query).unwrap());
        search_graph(state, &index, &GraphSearch { query, limit, depth })
    }

    fn names(found: &[EntityFound]) -> Vec<&str> {
        found.iter().map(|found| found.entity.name.as_str()).collect()
    }

    #[test]
    fn everything_comes_in_storage_order() {
        let mut state = GraphState::default();
        for name in ["zeta", "alpha", "beta"] {
            add(&mut state, name, &["fact"]);
        }
        let found = search(&state, None, 2, 0);
        assert_eq!(names(&found.entities), ["zeta", "alpha"]);
        assert_eq!(found.observations.len(), 2);
        assert!(found.more);
    }

    #[test]
    fn an_exact_name_asked_for_alone_comes_with_all_its_observations() {
        let mut state = GraphState::default();
        let facts: Vec<String> = (0..20).map(|number| format!("fact {number} about auth")).collect();
        let facts: Vec<&str> = facts.iter().map(String::as_str).collect();
        add(&mut state, "Auth Service", &facts);
        add(&mut state, "auth", &[]);
        let found = search(&state, Some("auth service"), 1, 0);
        assert_eq!(names(&found.entities), ["Auth Service"]);
        assert_eq!(found.entities[0].observations.len(), 20);
        assert_eq!(found.entities[0].observation_count, 20);
    }

    #[test]
    fn d29_the_neighbourhood_is_bounded() {
        let mut state = GraphState::default();
        add(&mut state, "hub", &[]);
        for number in 0..limits::NEIGHBOURS + 10 {
            let name = format!("spoke{number}");
            add(&mut state, &name, &[]);
            link(&mut state, "hub", &name);
        }
        let found = search(&state, Some("hub"), 1, 1);
        assert_eq!(found.neighbours.len(), limits::NEIGHBOURS);
        assert!(found.more);
    }
}
