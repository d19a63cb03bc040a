//! Queries of a whole graph or around a node: sub-graphs, the digest's summary, names for completion.

use std::collections::{BTreeMap, HashMap, HashSet};

use crate::compact_sort::CompactSort as _;
use crate::error::GraphError;
use crate::graph::bounded::{BitSet, BoundedItems, entity_bytes, observation_bytes, relation_bytes};
use crate::graph::facts::ShownFacts;
use crate::graph::ids::normalise;
use crate::graph::naming::MAX_SUGGESTIONS;
use crate::graph::state::GraphState;
use crate::graph::timestamp::instant;
use crate::graph::{Entity, FactView, Observation, Relation};
use crate::store::{EntityRef, GraphSummary, Subgraph};

/// How many types and entities a summary names.
const SUMMARY_ITEMS: usize = 5;

impl GraphState {
    /// The given entities with `depth` rounds of neighbours, in storage order, as far as they fit into `bytes`.
    ///
    /// # Errors
    /// Unknown names and ids, all listed, with suggestions; or an ambiguous name.
    pub fn open(
        &self,
        nodes: &[EntityRef],
        depth: u32,
        bytes: usize,
        view: FactView,
    ) -> Result<Subgraph, GraphError> {
        let start = self.resolve_all(nodes)?;
        Ok(self.neighbourhood(start.into_iter().map(|entity| entity.id.as_str()), depth, bytes, view))
    }

    /// The entities that the caller names.
    ///
    /// # Errors
    /// Unknown names and ids, all listed, with suggestions; or an ambiguous name.
    pub fn resolve_all(&self, nodes: &[EntityRef]) -> Result<Vec<&Entity>, GraphError> {
        let mut start = Vec::new();
        let mut missing = Vec::new();
        let mut closest: Vec<String> = Vec::new();
        for node in nodes {
            match self.resolve(node) {
                Ok(entity) => start.push(entity),
                Err(GraphError::EntityNotFound { name, suggestions }) => {
                    missing.push(name);
                    closest.extend(suggestions);
                }
                Err(other) => return Err(other),
            }
        }
        if !missing.is_empty() {
            let mut seen = HashSet::new();
            closest.retain(|name| seen.insert(name.clone()));
            closest.truncate(MAX_SUGGESTIONS);
            return Err(GraphError::EntitiesNotFound { missing, suggestions: closest });
        }
        Ok(start)
    }

    /// The entities with these ids and `depth` rounds of neighbours over relations in both directions, their
    /// observations, and the relations among them. Unknown ids are ignored. The nearest come first: entities and
    /// relations take at most half of `bytes` each, observations at most `bytes`. `view` selects the facts.
    #[must_use]
    pub fn neighbourhood<'a>(
        &'a self,
        ids: impl IntoIterator<Item = &'a str>,
        depth: u32,
        bytes: usize,
        view: FactView,
    ) -> Subgraph {
        let rounds = self.rounds(ids, depth, view);
        let facts = ShownFacts::new(self, view);
        let mut ended_left = 0;
        // An end without an entity (which old logs may have) is shown with the other end.
        let inside =
            |id: &str| self.entity_order(id).is_none_or(|order| rounds.iter().any(|round| round.has(order)));
        let (mut entities, mut relations) = (BoundedItems::new(bytes / 2), BoundedItems::new(bytes / 2));
        let mut observations = BoundedItems::new(bytes);
        let mut seen = BitSet::new(self.orders());
        for order in rounds.iter().flat_map(BitSet::iter) {
            let Some(entity) = self.entity_at(order) else { continue };
            entities.offer(order, entity, entity_bytes(entity));
            let count = facts.count_of(&entity.id);
            ended_left += facts.left_out_of(&entity.id).len();
            let newest = if observations.is_full() {
                Vec::new()
            } else {
                facts.newest_of(&entity.id, observations.most())
            };
            let unread = count.saturating_sub(newest.len());
            for observation in newest {
                observations.offer(order, observation, observation_bytes(observation));
            }
            observations.leave(unread);
            for (order, relation) in self.relations_with_order(&entity.id) {
                let is_shown =
                    view.knows(&relation.created_at) && inside(&relation.from_id) && inside(&relation.to_id);
                if is_shown && seen.insert(order) {
                    relations.offer(order, relation, relation_bytes(relation));
                }
            }
        }
        let (entities, entities_left) = entities.sorted();
        let (observations, observations_left) = observations.sorted();
        let observations: Vec<&Observation> = observations.collect();
        let endings = observations.iter().filter_map(|fact| Some((fact.id.clone(), facts.ending(fact)?)));
        let (relations, relations_left) = relations.sorted();
        let relations: Vec<Relation> = relations.cloned().collect();
        let ends = relations.iter().flat_map(|relation| [&relation.from_id, &relation.to_id]);
        let names = ends.filter_map(|id| Some((id.clone(), self.entity(id)?.name.clone())));
        Subgraph {
            names: names.collect(),
            entities: entities.cloned().collect(),
            endings: endings.collect(),
            observations: observations.into_iter().cloned().collect(),
            relations,
            entities_left,
            observations_left,
            relations_left,
            ended_left,
        }
    }

    /// The positions of these entities, then those of each round of neighbours.
    fn rounds<'a>(&self, ids: impl IntoIterator<Item = &'a str>, depth: u32, view: FactView) -> Vec<BitSet> {
        let is_known = |order: u64| self.entity_at(order).is_none_or(|entity| view.knows(&entity.created_at));
        let mut reached = BitSet::new(self.orders());
        let mut first = BitSet::new(self.orders());
        let start = ids.into_iter().filter_map(|id| self.entity_order(id));
        for order in start.filter(|order| is_known(*order)) {
            reached.insert(order);
            first.insert(order);
        }
        let mut rounds = vec![first];
        for _ in 0..depth {
            let mut next = BitSet::new(self.orders());
            let mut is_over = true;
            let edge = rounds.last().into_iter().flat_map(BitSet::iter);
            for entity in edge.filter_map(|order| self.entity_at(order)) {
                for relation in self.relations_of(&entity.id).filter(|one| view.knows(&one.created_at)) {
                    for end in [&relation.from_id, &relation.to_id] {
                        let Some(order) = self.entity_order(end) else { continue };
                        if is_known(order) && reached.insert(order) {
                            next.insert(order);
                            is_over = false;
                        }
                    }
                }
            }
            if is_over {
                break;
            }
            rounds.push(next);
        }
        rounds
    }

    /// The whole graph, including observations and relations without their entities.
    #[must_use]
    pub fn export(&self) -> Subgraph {
        Subgraph {
            entities: self.entities().cloned().collect(),
            observations: self.observations().cloned().collect(),
            relations: self.relations().cloned().collect(),
            ..Subgraph::default()
        }
    }

    /// The digest's part, without the observations that have ended at a moment, if one is given. Visits every entity.
    #[must_use]
    pub fn summary(&self, holding_at: Option<i64>) -> GraphSummary {
        let mut ended: HashMap<&str, usize> = HashMap::new();
        let mut types: BTreeMap<&str, (usize, usize)> = BTreeMap::new();
        let mut busiest: Vec<((usize, i64, usize), &Entity)> = Vec::new();
        let mut recent: Vec<((i64, usize), &Entity)> = Vec::new();
        for (order, entity) in self.entities().enumerate() {
            types.entry(&entity.entity_type).or_insert((0, order)).0 += 1;
            let mut count = self.observation_count_of(&entity.id);
            if let Some(at) = holding_at.filter(|_| self.bounded_of(&entity.id).next().is_some()) {
                let left_out = self.ended_count_of(&entity.id, &self.endings_of(&entity.id, at));
                ended.insert(&entity.id, left_out);
                count = count.saturating_sub(left_out);
            }
            let links = count + self.relation_count_of(&entity.id);
            let touched = self.touched(entity);
            keep_highest(&mut busiest, (links, touched, order), entity);
            keep_highest(&mut recent, (touched, order), entity);
        }
        let named = |entity: &Entity| {
            let left_out = ended.get(entity.id.as_str()).copied().unwrap_or_default();
            let count = self.observation_count_of(&entity.id).saturating_sub(left_out);
            (entity.name.clone(), entity.entity_type.clone(), count)
        };
        let mut stats = self.stats();
        stats.observation_count = stats.observation_count.saturating_sub(ended.values().sum());
        let mut types: Vec<(&str, (usize, usize))> = types.into_iter().collect();
        types.compact_sort_by_key(|(_, (count, first))| (std::cmp::Reverse(*count), *first));
        GraphSummary {
            stats,
            types: types
                .into_iter()
                .take(SUMMARY_ITEMS)
                .map(|(name, (count, _))| (name.to_owned(), count))
                .collect(),
            busiest: busiest.into_iter().map(|(_, entity)| named(entity)).collect(),
            recent: recent.into_iter().map(|(_, entity)| named(entity)).collect(),
        }
    }

    /// The time at which an entity was last changed, observed or linked, in milliseconds since 1970.
    fn touched(&self, entity: &Entity) -> i64 {
        let observed = self.observations_of(&entity.id).map(|observation| observation.timestamp.as_str());
        let linked = self.relations_of(&entity.id).map(|relation| relation.created_at.as_str());
        std::iter::once(entity.updated_at.as_str())
            .chain(observed)
            .chain(linked)
            .filter_map(instant)
            .max()
            .unwrap_or(i64::MIN)
    }

    /// Entity names that begin with `prefix`, ignoring case and white space; sorted, each once, at most `limit`.
    #[must_use]
    pub fn names(&self, prefix: &str, limit: usize) -> Vec<String> {
        let mut names: Vec<String> = Vec::new();
        for entity in self.named_from(&normalise(prefix)) {
            if names.len() == limit {
                break;
            }
            if names.last() != Some(&entity.name) {
                names.push(entity.name.clone());
            }
        }
        names
    }
}

/// Inserts an entity into a short list, the highest rank first.
fn keep_highest<'s, R: Ord>(list: &mut Vec<(R, &'s Entity)>, rank: R, entity: &'s Entity) {
    let position = list.partition_point(|(known, _)| *known > rank);
    if position < SUMMARY_ITEMS {
        list.insert(position, (rank, entity));
        list.truncate(SUMMARY_ITEMS);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::event::Event;
    use crate::graph::ids::{entity_id, observation_id, relation_id};

    const ALL: usize = usize::MAX;
    const NOW: FactView = FactView { at: i64::MAX, is_past: false, with_ended: false };
    const TS: &str = "2026-01-01T00:00:00.000Z";

    fn chain() -> GraphState {
        let mut state = GraphState::default();
        for (name, kind) in [("A", "x"), ("B", "x"), ("C", "y"), ("D", "x")] {
            add(&mut state, name, kind);
        }
        for (from, to) in [("A", "B"), ("C", "B"), ("C", "D"), ("A", "A")] {
            let (from_id, to_id) = (id(from), id(to));
            let relation = Relation {
                id: relation_id(&from_id, "r", &to_id),
                from_id,
                to_id,
                relation_type: "r".to_owned(),
                created_at: TS.to_owned(),
            };
            state.apply(Event::RelationAdd { relation, ts: TS.to_owned() });
        }
        state
    }

    fn add(state: &mut GraphState, name: &str, kind: &str) {
        let entity = Entity {
            id: entity_id(name, kind),
            name: name.to_owned(),
            entity_type: kind.to_owned(),
            attrs: None,
            created_at: TS.to_owned(),
            updated_at: TS.to_owned(),
        };
        state.apply(Event::EntityUpsert { entity, ts: TS.to_owned() });
    }

    fn id(name: &str) -> String {
        entity_id(name, if name == "C" { "y" } else { "x" })
    }

    fn observe(state: &mut GraphState, owner: &str, text: &str, timestamp: &str) {
        let entity_id = id(owner);
        let observation = Observation {
            id: observation_id(&entity_id, text, timestamp),
            entity_id,
            text: text.to_owned(),
            source: None,
            timestamp: timestamp.to_owned(),
            author: None,
            validity: None,
        };
        state.apply(Event::ObservationAdd { observation, ts: timestamp.to_owned() });
    }

    fn opened(state: &GraphState, nodes: &[&str], depth: u32) -> (Vec<String>, usize) {
        let nodes: Vec<EntityRef> = nodes.iter().map(|node| EntityRef((*node).to_owned())).collect();
        let graph = state.open(&nodes, depth, ALL, NOW).unwrap();
        (graph.entities.into_iter().map(|entity| entity.name).collect(), graph.relations.len())
    }

    #[test]
    fn neighbours_come_in_rounds_over_both_directions_in_storage_order() {
        let state = chain();
        assert_eq!(opened(&state, &["A"], 0), (vec!["A".to_owned()], 1));
        assert_eq!(opened(&state, &["B"], 1), (vec!["A".to_owned(), "B".to_owned(), "C".to_owned()], 3));
        assert_eq!(opened(&state, &["A"], 2).0, ["A", "B", "C"]);
        assert_eq!(opened(&state, &["A"], 3).0, ["A", "B", "C", "D"]);
        assert_eq!(opened(&state, &["D", "A"], 0).0, ["A", "D"]);
    }

    #[test]
    fn every_unknown_name_and_id_is_listed() {
        let state = chain();
        let nodes = ["A", "nobody", "ent_missing00000", ""].map(|node| EntityRef(node.to_owned()));
        match state.open(&nodes, 1, ALL, NOW) {
            Err(GraphError::EntitiesNotFound { missing, .. }) => {
                assert_eq!(missing, ["nobody", "ent_missing00000", ""]);
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn names_similar_to_unknown_ones_are_suggested_once_each() {
        let mut state = GraphState::default();
        for name in ["Payment service", "Ledger"] {
            add(&mut state, name, "x");
        }
        let nodes =
            ["payment", "service", "ledgr", "entirely different"].map(|node| EntityRef(node.to_owned()));
        match state.open(&nodes, 1, ALL, NOW) {
            Err(GraphError::EntitiesNotFound { suggestions, .. }) => {
                assert_eq!(suggestions, ["Payment service", "Ledger"]);
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn observations_of_an_opened_entity_are_newest_first() {
        let mut state = chain();
        observe(&mut state, "A", "middle", "2026-02-01");
        observe(&mut state, "A", "oldest", "March 7, 2021");
        observe(&mut state, "A", "newest", "2026-03-01T00:00:00Z");
        observe(&mut state, "A", "newest too", "2026-03-01");
        let graph = state.open(&[EntityRef("A".to_owned())], 0, ALL, NOW).unwrap();
        let texts: Vec<&str> = graph.observations.iter().map(|one| one.text.as_str()).collect();
        assert_eq!(texts, ["newest too", "newest", "middle", "oldest"]);
    }

    #[test]
    fn omitted_items_are_counted_and_the_nearest_are_first() {
        let mut state = GraphState::default();
        for number in 0..40 {
            add(&mut state, &format!("spoke {number}"), "x");
        }
        add(&mut state, "hub", "x");
        for number in 0..40 {
            let (from_id, to_id) = (id(&format!("spoke {number}")), id("hub"));
            let relation = Relation {
                id: relation_id(&from_id, "r", &to_id),
                from_id,
                to_id,
                relation_type: "r".to_owned(),
                created_at: TS.to_owned(),
            };
            state.apply(Event::RelationAdd { relation, ts: TS.to_owned() });
            observe(&mut state, &format!("spoke {number}"), "near", TS);
            let minute = format!("2026-02-01T00:{number:02}:00Z");
            observe(&mut state, "hub", &format!("fact {number}"), &minute);
        }
        let hub = [EntityRef("hub".to_owned())];
        let part = state.open(&hub, 1, 4096, NOW).unwrap();
        let names: Vec<&str> = part.entities.iter().map(|one| one.name.as_str()).collect();
        assert_eq!(names.last(), Some(&"hub"));
        assert!(names.len() > 2 && names.first() == Some(&"spoke 0"), "{names:?}");
        assert_eq!(names.len() + part.entities_left, 41);
        let texts: Vec<&str> = part.observations.iter().map(|one| one.text.as_str()).collect();
        assert_eq!(texts.first(), Some(&"fact 39"));
        assert!((2..20).contains(&texts.len()), "{texts:?}");
        assert_eq!(texts.len() + part.observations_left, 80);
        assert_eq!(part.relations.len() + part.relations_left, 40);
        assert!(part.relations.iter().all(|one| part.names.contains_key(&one.from_id)));
        let whole = state.open(&hub, 1, ALL, NOW).unwrap();
        assert_eq!((whole.entities.len(), whole.observations.len(), whole.relations.len()), (41, 80, 40));
        assert_eq!((whole.entities_left, whole.observations_left, whole.relations_left), (0, 0, 0));
    }

    #[test]
    fn the_summary_names_the_most_frequent_types_and_the_busiest_entities() {
        let mut state = chain();
        observe(&mut state, "C", "one", TS);
        observe(&mut state, "C", "two", TS);
        observe(&mut state, "B", "three", TS);
        let summary = state.summary(None);
        assert_eq!(summary.types, [("x".to_owned(), 3), ("y".to_owned(), 1)]);
        let busiest: Vec<(&str, usize)> =
            summary.busiest.iter().map(|(name, _, count)| (name.as_str(), *count)).collect();
        assert_eq!(busiest, [("C", 2), ("B", 1), ("A", 0), ("D", 0)]);
        assert_eq!((summary.stats.entity_count, summary.stats.observation_count), (4, 3));
    }

    #[test]
    fn the_summary_names_the_most_recently_changed_entities() {
        let mut state = GraphState::default();
        for number in 0..20 {
            add(&mut state, &format!("E{number}"), "x");
        }
        observe(&mut state, "E3", "new", "2030-01-01T00:00:00Z");
        let names = |list: &[(String, String, usize)]| -> Vec<String> {
            list.iter().map(|(name, _, _)| name.clone()).collect()
        };
        let summary = state.summary(None);
        assert_eq!(names(&summary.busiest), ["E3", "E19", "E18", "E17", "E16"]);
        assert_eq!(names(&summary.recent), ["E3", "E19", "E18", "E17", "E16"]);
        assert_eq!(summary.recent[0].2, 1);
    }

    #[test]
    fn names_are_completed_ignoring_case() {
        let state = chain();
        assert_eq!(state.names("", 3), ["A", "B", "C"]);
        assert_eq!(state.names("b", 10), ["B"]);
        assert!(state.names("zz", 10).is_empty());
    }
}
