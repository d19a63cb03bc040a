//! Turns the results of a graph search into a reply: the entities with their observations, their neighbours, and the
//! relations among them, each bounded.

use std::collections::{HashMap, HashSet};

use super::index::{EntityHit, GraphHits, Index, MatchedIn, ObservationHit};
use crate::graph::bounded::{BoundedItems, entity_bytes, observation_bytes, relation_bytes};
use crate::graph::facts::ShownFacts;
use crate::graph::ids::normalise;
use crate::graph::state::GraphState;
use crate::graph::{Entity, FactView, Observation};
use crate::limits;
use crate::store::{EntityFound, GraphFound, GraphSearch, ObservationFound, RelationFound};

/// How many of the newest observations are shown with an entity without matching ones.
const NEWEST_OBSERVATIONS: usize = 5;
/// The share of a reply's bytes that the observations of one entity may have, as a divisor.
const ENTITY_SHARE_DIVISOR: usize = 4;
/// The score of all results if everything is requested.
const FULL_SCORE: f64 = 100.0;

/// Searches a graph that is held in memory; `index` follows it. Entities with their neighbours, and relations, take
/// at most half of the bytes each, observations at most all; omitted ones are counted.
#[must_use]
pub fn search_graph(graph: &GraphState, index: &Index, request: &GraphSearch) -> GraphFound {
    let skip = request.skip;
    // Both lists are ranked up to the end of the later page.
    let limit = request.limit.saturating_add(skip.entities.max(skip.observations));
    let facts = ShownFacts::new(graph, request.view);
    let mut ended: HashSet<&str> = HashSet::new();
    let mut hits = match &request.query {
        Some(query) => index.search_graph(query, limit, |id| {
            let Some(fact) = graph.observation(id) else {
                return graph.entity(id).is_none_or(|entity| facts.knows(entity));
            };
            if facts.leaves_out(fact) {
                ended.insert(&fact.id);
            }
            facts.shows(fact)
        }),
        None => everything(graph, &facts, limit),
    };

    let more_hits = hits.more
        || hits.entities.len() > request.limit.saturating_add(skip.entities)
        || hits.observations.len() > request.limit.saturating_add(skip.observations);
    hits.entities = hits.entities.into_iter().skip(skip.entities).take(request.limit).collect();
    let mut matching: HashMap<&str, Vec<&Observation>> = HashMap::new();
    let mut observations = BoundedItems::new(request.bytes);
    for (order, (place, hit)) in (0..).zip(hits.observations.iter().enumerate()) {
        let Some(observation) = graph.observation(&hit.id) else { continue };
        if request.query.is_some() {
            matching.entry(observation.entity_id.as_str()).or_default().push(observation);
        }
        let page = skip.observations..skip.observations.saturating_add(request.limit);
        if page.contains(&place) {
            observations.offer(order, (observation, hit.score), observation_bytes(observation));
        }
    }
    let shown = Shown { graph, index, request, matching, facts: &facts };
    let found: Vec<&str> = hits.entities.iter().map(|hit| hit.id.as_str()).collect();
    let (near, more_near) = neighbours(graph, &found, request.depth, request.view);
    let entities = hits.entities.iter().filter_map(|hit| Some((hit, graph.entity(&hit.id)?)));
    let (entities, entities_left) = shown.with_facts(entities, request.bytes / 2);
    let taken: usize = entities.iter().map(|(_, facts, entity)| weight(entity, facts)).sum();
    let room = if entities_left > 0 { 0 } else { (request.bytes / 2).saturating_sub(taken) };
    let neighbours = near.iter().filter_map(|id| Some(((), graph.entity(id)?)));
    let (neighbours, neighbours_left) = shown.with_facts(neighbours, room);
    let (observations, observations_left) = observations.offered();
    let (relations, relations_left, more_relations) =
        relations(graph, &found, &near, request.bytes / 2, request.view);
    ended.extend(found.iter().chain(&near).flat_map(|id| facts.left_out_of(id)).map(|fact| fact.id.as_str()));
    let all = entities.iter().flat_map(|(_, shown, _)| shown);
    let all = all.chain(neighbours.iter().flat_map(|(_, shown, _)| shown));
    let all = all.copied().chain(observations.iter().map(|(observation, _)| *observation));
    let endings = all.filter_map(|fact| Some((fact.id.clone(), facts.ending(fact)?))).collect();
    let entities = entities
        .into_iter()
        .map(|(hit, own, entity)| entity_found(&facts, entity, hit.score, hit.matched_in.clone(), &own));
    let neighbours =
        neighbours.into_iter().map(|((), own, entity)| entity_found(&facts, entity, 0.0, Vec::new(), &own));
    let observations =
        observations.into_iter().map(|(observation, score)| observation_found(graph, observation, score));
    GraphFound {
        entities: entities.collect(),
        neighbours: neighbours.collect(),
        observations: observations.collect(),
        relations,
        more: more_hits || more_near || more_relations,
        more_hits,
        entities_left: entities_left + neighbours_left,
        observations_left,
        relations_left,
        endings,
        ended_left: ended.len(),
    }
}

fn entity_found<'g>(
    facts: &ShownFacts<'g>,
    entity: &'g Entity,
    score: f64,
    matched_in: Vec<MatchedIn>,
    observations: &[&Observation],
) -> EntityFound {
    EntityFound {
        entity: entity.clone(),
        score,
        matched_in,
        observations: observations.iter().copied().cloned().collect(),
        observation_count: facts.count_of(&entity.id),
        relation_count: facts.relation_count_of(&entity.id),
    }
}

fn observation_found(graph: &GraphState, observation: &Observation, score: f64) -> ObservationFound {
    ObservationFound {
        observation: observation.clone(),
        entity_name: graph.name_or_id(&observation.entity_id).to_owned(),
        score,
    }
}

fn weight(entity: &Entity, observations: &[&Observation]) -> usize {
    entity_bytes(entity) + observations.iter().map(|one| observation_bytes(one)).sum::<usize>()
}

/// Selects the observations that are shown with an entity.
struct Shown<'a> {
    graph: &'a GraphState,
    index: &'a Index,
    request: &'a GraphSearch,
    /// The matching observations, by entity, best first.
    matching: HashMap<&'a str, Vec<&'a Observation>>,
    facts: &'a ShownFacts<'a>,
}

/// A hit, the observations that are shown with it, and its entity.
type WithFacts<'a, T> = (T, Vec<&'a Observation>, &'a Entity);

/// Observations of one entity, and their size in bytes.
struct Facts<'a> {
    items: Vec<&'a Observation>,
    bytes: usize,
}

impl<'a> Shown<'a> {
    /// The first entities that fit with their observations, and the number of the others.
    fn with_facts<T>(
        &self,
        entities: impl Iterator<Item = (T, &'a Entity)>,
        bytes: usize,
    ) -> (Vec<WithFacts<'a, T>>, usize) {
        let mut items = BoundedItems::new(bytes);
        for (hit, entity) in entities {
            let facts = self.observations(entity);
            items.offer(0, (hit, facts.items, entity), entity_bytes(entity) + facts.bytes);
        }
        items.offered()
    }

    /// The matching observations, else the newest, as far as they fit into a part of the reply, so that an entity
    /// with many observations is shown with some of them.
    fn observations(&self, entity: &'a Entity) -> Facts<'a> {
        let mut facts = BoundedItems::new(self.request.bytes / ENTITY_SHARE_DIVISOR);
        let is_name = self
            .request
            .query
            .as_ref()
            .is_some_and(|query| normalise(query.text()) == normalise(&entity.name));
        let shown = if self.request.limit == 1 && is_name {
            self.facts.newest_of(&entity.id, facts.most())
        } else if let Some(matching) = self.matching.get(entity.id.as_str()) {
            matching.iter().copied().take(facts.most()).collect()
        } else if self.facts.shows_all_of(&entity.id) {
            newest(self.graph, self.index, &entity.id)
        } else {
            self.facts.newest_of(&entity.id, NEWEST_OBSERVATIONS)
        };
        for observation in shown {
            facts.offer(0, observation, observation_bytes(observation));
        }
        let (items, _) = facts.offered();
        let bytes = items.iter().map(|one| observation_bytes(one)).sum();
        Facts { items, bytes }
    }
}

/// The newest observations of an entity. The index has parsed all timestamps already.
fn newest<'a>(graph: &'a GraphState, index: &Index, id: &str) -> Vec<&'a Observation> {
    match index.newest_observations(id, NEWEST_OBSERVATIONS) {
        Some(ids) => ids.into_iter().filter_map(|id| graph.observation(id)).collect(),
        None => graph.newest_observations_of(id, NEWEST_OBSERVATIONS),
    }
}

/// The first of everything, in storage order.
fn everything<'g>(graph: &'g GraphState, facts: &ShownFacts<'g>, limit: usize) -> GraphHits {
    let mut known = graph.entities().filter(|entity| facts.knows(entity));
    let entities: Vec<EntityHit> = known
        .by_ref()
        .take(limit)
        .map(|entity| EntityHit { id: entity.id.clone(), score: FULL_SCORE, matched_in: Vec::new() })
        .collect();
    let mut shown = graph.observations().filter(|one| facts.shows(one));
    let observations: Vec<ObservationHit> = shown
        .by_ref()
        .take(limit)
        .map(|one| ObservationHit { id: one.id.clone(), entity_id: one.entity_id.clone(), score: FULL_SCORE })
        .collect();
    let more = known.next().is_some() || shown.next().is_some();
    GraphHits { entities, observations, more }
}

/// The entities at most `depth` relations away, nearest first; and whether there are more than the bound.
fn neighbours<'a>(
    graph: &'a GraphState,
    found: &[&'a str],
    depth: u32,
    view: FactView,
) -> (Vec<&'a str>, bool) {
    let is_known = |id: &str| graph.entity(id).is_some_and(|entity| view.knows(&entity.created_at));
    let mut reached: HashSet<&str> = found.iter().copied().collect();
    let mut edge: Vec<&str> = found.to_vec();
    let mut near = Vec::new();
    for _ in 0..depth {
        let mut next = Vec::new();
        let relations = edge.iter().flat_map(|id| graph.relations_of(id));
        for relation in relations.filter(|relation| view.knows(&relation.created_at)) {
            for end in [relation.from_id.as_str(), relation.to_id.as_str()] {
                if !is_known(end) || !reached.insert(end) {
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

/// All relations that touch the results, and those among the neighbours, as far as they fit; the number of omitted
/// ones; and whether there are more than the bound.
fn relations(
    graph: &GraphState,
    found: &[&str],
    near: &[&str],
    bytes: usize,
    view: FactView,
) -> (Vec<RelationFound>, usize, bool) {
    let is_known = |id: &str| graph.entity(id).is_none_or(|entity| view.knows(&entity.created_at));
    let inside: HashSet<&str> = found.iter().chain(near).copied().collect();
    let touching = found.iter().flat_map(|id| graph.relations_of(id));
    let among = near.iter().flat_map(|id| graph.relations_of(id)).filter(|relation| {
        inside.contains(relation.from_id.as_str()) && inside.contains(relation.to_id.as_str())
    });
    let mut seen = HashSet::new();
    let mut shown = BoundedItems::new(bytes);
    let mut more = false;
    for relation in touching.chain(among) {
        let is_shown =
            view.knows(&relation.created_at) && is_known(&relation.from_id) && is_known(&relation.to_id);
        if !is_shown || !seen.insert(relation.id.as_str()) {
            continue;
        }
        if seen.len() > limits::RELATIONS_FOUND {
            more = true;
            break;
        }
        shown.offer(0, relation, relation_bytes(relation));
    }
    let (shown, left) = shown.offered();
    let shown = shown.into_iter().map(|relation| RelationFound {
        relation: relation.clone(),
        from_name: graph.name_or_id(&relation.from_id).to_owned(),
        to_name: graph.name_or_id(&relation.to_id).to_owned(),
    });
    (shown.collect(), left, more)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::Relation;
    use crate::graph::event::Event;
    use crate::graph::ids::{entity_id, observation_id, relation_id};
    use crate::search::Query;
    use crate::store::Skip;

    const NOW: FactView = FactView { at: i64::MAX, is_past: false, with_ended: false };
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
                validity: None,
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
        search_graph(
            state,
            &index,
            &GraphSearch {
                query,
                limit,
                depth,
                bytes: limits::REPLY_BYTES,
                skip: Skip::default(),
                view: NOW,
            },
        )
    }

    fn names(found: &[EntityFound]) -> Vec<&str> {
        found.iter().map(|found| found.entity.name.as_str()).collect()
    }

    #[test]
    fn nodes_are_returned_in_storage_order() {
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
    fn consecutive_pages_contain_each_node_exactly_once() {
        let mut state = GraphState::default();
        for number in 0..25 {
            add(&mut state, &format!("word {number}"), &["a fact about word", "another"]);
        }
        let mut index = Index::default();
        index.follow_graph(&state, None);
        for query in [None, Some("word")] {
            let search = |limit, skip| {
                let query = query.map(|query| Query::parse(query).unwrap());
                let bytes = limits::REPLY_BYTES;
                search_graph(&state, &index, &GraphSearch { query, limit, depth: 0, bytes, skip, view: NOW })
            };
            let whole = search(1000, Skip::default());
            assert!(!whole.more_hits);
            let (mut skip, mut entities, mut observations) = (Skip::default(), Vec::new(), Vec::new());
            loop {
                let page = search(7, skip);
                assert!(page.entities.len() <= 7 && page.observations.len() <= 7);
                skip.entities += page.entities.len();
                skip.observations += page.observations.len();
                let more = page.more_hits;
                entities.extend(page.entities);
                observations.extend(page.observations);
                if !more {
                    break;
                }
            }
            assert_eq!(names(&entities), names(&whole.entities), "{query:?}");
            assert_eq!(observations, whole.observations, "{query:?}");
        }
    }

    #[test]
    fn a_query_of_one_exact_name_returns_all_its_observations() {
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
    fn omitted_items_are_counted_and_a_hub_keeps_some_observations() {
        let mut state = GraphState::default();
        let facts: Vec<String> =
            (0..50).map(|number| format!("word {number} {}", "x".repeat(1000))).collect();
        let facts: Vec<&str> = facts.iter().map(String::as_str).collect();
        add(&mut state, "hub", &facts);
        for number in 0..100 {
            let name = format!("spoke{number}");
            add(&mut state, &name, &[]);
            link(&mut state, "hub", &name);
        }
        let mut index = Index::default();
        index.follow_graph(&state, None);
        let request = |query: Option<&str>| GraphSearch {
            query: query.map(|query| Query::parse(query).unwrap()),
            limit: 1000,
            depth: 1,
            bytes: 16 * 1024,
            skip: Skip::default(),
            view: NOW,
        };
        for query in [Some("word"), Some("hub"), None] {
            let found = search_graph(&state, &index, &request(query));
            let texts: usize = found.observations.iter().map(|one| one.observation.text.len()).sum();
            let shown = found.entities.iter().chain(&found.neighbours);
            let with: usize = shown.clone().flat_map(|one| &one.observations).map(|one| one.text.len()).sum();
            assert!(texts <= 16 * 1024 && with <= 8 * 1024, "{query:?}: {texts} {with}");
            let hub = found.entities.iter().find(|one| one.entity.name == "hub").unwrap();
            assert!((1..10).contains(&hub.observations.len()), "{query:?}");
            assert_eq!(hub.observation_count, 50);
            assert_eq!(shown.count() + found.entities_left, 101, "{query:?}");
            assert_eq!(found.relations.len() + found.relations_left, 100, "{query:?}");
            if query != Some("hub") {
                assert_eq!(found.observations.len() + found.observations_left, 50, "{query:?}");
            }
        }
    }

    #[test]
    fn the_neighbourhood_is_bounded() {
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
