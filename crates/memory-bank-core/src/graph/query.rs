//! What is read out of a graph as a whole or around a node: sub-graphs, the digest's summary, names for completion.

use std::collections::{BTreeMap, HashSet};

use crate::error::GraphError;
use crate::graph::ids::normalise;
use crate::graph::naming::SUGGESTIONS;
use crate::graph::state::GraphState;
use crate::graph::timestamp::instant;
use crate::graph::{Entity, Observation, Relation};
use crate::store::{EntityRef, GraphSummary, Subgraph};

/// How many types and entities a summary names.
const SUMMARY_ITEMS: usize = 5;

impl GraphState {
    /// The given entities with `depth` rounds of neighbours, in storage order.
    ///
    /// # Errors
    /// Names and ids that are not there, all listed, with suggestions; or a name that means several entities.
    pub fn open(&self, nodes: &[EntityRef], depth: u32) -> Result<Subgraph, GraphError> {
        let mut start = Vec::new();
        let mut missing = Vec::new();
        let mut closest: Vec<String> = Vec::new();
        for node in nodes {
            match self.resolve(node) {
                Ok(entity) => start.push(entity.id.as_str()),
                Err(GraphError::EntityNotFound { asked, suggestions }) => {
                    missing.push(asked);
                    closest.extend(suggestions);
                }
                Err(other) => return Err(other),
            }
        }
        if !missing.is_empty() {
            let mut seen = HashSet::new();
            closest.retain(|name| seen.insert(name.clone()));
            closest.truncate(SUGGESTIONS);
            return Err(GraphError::EntitiesNotFound { missing, suggestions: closest });
        }
        Ok(self.around(start, depth))
    }

    /// The entities with these ids and `depth` rounds of neighbours over relations in both directions, their
    /// observations, and the relations among them. Ids of nothing are left out.
    #[must_use]
    pub fn around<'a>(&'a self, ids: impl IntoIterator<Item = &'a str>, depth: u32) -> Subgraph {
        let mut reached: HashSet<&str> = HashSet::new();
        let mut edge: Vec<&str> = ids.into_iter().filter(|id| reached.insert(*id)).collect();
        for _ in 0..depth {
            let mut next = Vec::new();
            for id in edge {
                for relation in self.relations_of(id) {
                    for end in [relation.from_id.as_str(), relation.to_id.as_str()] {
                        if reached.insert(end) {
                            next.push(end);
                        }
                    }
                }
            }
            if next.is_empty() {
                break;
            }
            edge = next;
        }
        self.among(&reached)
    }

    /// The whole graph: also observations and relations whose entities are not there.
    #[must_use]
    pub fn export(&self) -> Subgraph {
        Subgraph {
            entities: self.entities().cloned().collect(),
            observations: self.observations().cloned().collect(),
            relations: self.relations().cloned().collect(),
            observations_left: 0,
        }
    }

    /// What the digest shows. Visits every entity.
    #[must_use]
    pub fn summary(&self) -> GraphSummary {
        let mut types: BTreeMap<&str, (usize, usize)> = BTreeMap::new();
        let mut busiest: Vec<((usize, i64, usize), &Entity)> = Vec::new();
        let mut recent: Vec<((i64, usize), &Entity)> = Vec::new();
        for (order, entity) in self.entities().enumerate() {
            types.entry(&entity.entity_type).or_insert((0, order)).0 += 1;
            let links = self.observation_count_of(&entity.id) + self.relation_count_of(&entity.id);
            let touched = self.touched(entity);
            keep_highest(&mut busiest, (links, touched, order), entity);
            keep_highest(&mut recent, (touched, order), entity);
        }
        let named = |entity: &Entity| {
            (entity.name.clone(), entity.entity_type.clone(), self.observation_count_of(&entity.id))
        };
        let mut types: Vec<(&str, (usize, usize))> = types.into_iter().collect();
        types.sort_by_key(|(_, (count, first))| (std::cmp::Reverse(*count), *first));
        GraphSummary {
            stats: self.stats(),
            types: types
                .into_iter()
                .take(SUMMARY_ITEMS)
                .map(|(name, (count, _))| (name.to_owned(), count))
                .collect(),
            busiest: busiest.into_iter().map(|(_, entity)| named(entity)).collect(),
            recent: recent.into_iter().map(|(_, entity)| named(entity)).collect(),
        }
    }

    /// When an entity was changed, observed or linked last, in milliseconds.
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

    fn among(&self, ids: &HashSet<&str>) -> Subgraph {
        let mut entities: Vec<(u64, &Entity)> =
            ids.iter().filter_map(|id| self.entity_with_order(id)).collect();
        entities.sort_unstable_by_key(|(order, _)| *order);
        let entities: Vec<&Entity> = entities.into_iter().map(|(_, entity)| entity).collect();
        let observations: Vec<Observation> =
            entities.iter().flat_map(|entity| self.newest_observations_of(&entity.id)).cloned().collect();
        // An end that is no entity (an old log may have such) belongs to whoever shows the other end.
        let inside = |id: &str| ids.contains(id) || self.entity(id).is_none();
        let mut seen = HashSet::new();
        let mut relations: Vec<(u64, &Relation)> = entities
            .iter()
            .flat_map(|entity| self.relations_with_order(&entity.id))
            .filter(|(order, relation)| {
                inside(&relation.from_id) && inside(&relation.to_id) && seen.insert(*order)
            })
            .collect();
        relations.sort_unstable_by_key(|(order, _)| *order);
        Subgraph {
            entities: entities.into_iter().cloned().collect(),
            observations,
            relations: relations.into_iter().map(|(_, relation)| relation.clone()).collect(),
            observations_left: 0,
        }
    }
}

/// Puts an entity into a short list, the highest rank first.
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
        };
        state.apply(Event::ObservationAdd { observation, ts: timestamp.to_owned() });
    }

    fn opened(state: &GraphState, nodes: &[&str], depth: u32) -> (Vec<String>, usize) {
        let nodes: Vec<EntityRef> = nodes.iter().map(|node| EntityRef((*node).to_owned())).collect();
        let graph = state.open(&nodes, depth).unwrap();
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
    fn d28_every_unknown_name_and_id_is_listed() {
        let state = chain();
        let nodes = ["A", "nobody", "ent_missing00000", ""].map(|node| EntityRef(node.to_owned()));
        match state.open(&nodes, 1) {
            Err(GraphError::EntitiesNotFound { missing, .. }) => {
                assert_eq!(missing, ["nobody", "ent_missing00000", ""]);
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn d7_names_that_come_close_to_unknown_ones_are_suggested_once_each() {
        let mut state = GraphState::default();
        for name in ["Payment service", "Ledger"] {
            add(&mut state, name, "x");
        }
        let nodes =
            ["payment", "service", "ledgr", "entirely different"].map(|node| EntityRef(node.to_owned()));
        match state.open(&nodes, 1) {
            Err(GraphError::EntitiesNotFound { suggestions, .. }) => {
                assert_eq!(suggestions, ["Payment service", "Ledger"]);
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn observations_of_an_opened_entity_come_newest_first() {
        let mut state = chain();
        observe(&mut state, "A", "middle", "2026-02-01");
        observe(&mut state, "A", "oldest", "March 7, 2021");
        observe(&mut state, "A", "newest", "2026-03-01T00:00:00Z");
        observe(&mut state, "A", "newest too", "2026-03-01");
        let graph = state.open(&[EntityRef("A".to_owned())], 0).unwrap();
        let texts: Vec<&str> = graph.observations.iter().map(|one| one.text.as_str()).collect();
        assert_eq!(texts, ["newest too", "newest", "middle", "oldest"]);
    }

    #[test]
    fn the_summary_names_the_most_frequent_types_and_the_busiest_entities() {
        let mut state = chain();
        observe(&mut state, "C", "one", TS);
        observe(&mut state, "C", "two", TS);
        observe(&mut state, "B", "three", TS);
        let summary = state.summary();
        assert_eq!(summary.types, [("x".to_owned(), 3), ("y".to_owned(), 1)]);
        let busiest: Vec<(&str, usize)> =
            summary.busiest.iter().map(|(name, _, count)| (name.as_str(), *count)).collect();
        assert_eq!(busiest, [("C", 2), ("B", 1), ("A", 0), ("D", 0)]);
        assert_eq!((summary.stats.entity_count, summary.stats.observation_count), (4, 3));
    }

    #[test]
    fn the_summary_names_what_was_touched_last_and_not_what_was_there_first() {
        let mut state = GraphState::default();
        for number in 0..20 {
            add(&mut state, &format!("E{number}"), "x");
        }
        observe(&mut state, "E3", "new", "2030-01-01T00:00:00Z");
        let names = |list: &[(String, String, usize)]| -> Vec<String> {
            list.iter().map(|(name, _, _)| name.clone()).collect()
        };
        let summary = state.summary();
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
