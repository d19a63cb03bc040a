//! A part of a graph, as a graph of its own.

use crate::graph::event::Event;
use crate::graph::state::GraphState;
use crate::store::GraphPart;

impl GraphState {
    /// The items of a part, as far as they exist. They are few, so this does not depend on the size of the graph.
    #[must_use]
    pub fn part(&self, part: &GraphPart) -> Self {
        let mut found = Self::default();
        let ts = String::new;
        for entity in part.entities.iter().filter_map(|id| self.entity(id)).cloned() {
            found.apply(Event::EntityUpsert { entity, ts: ts() });
        }
        let others = |id| self.observations_of(id).find(|one| !part.observations.contains(&one.id));
        let others = part.emptied.iter().filter_map(|id| others(id));
        let named = part.observations.iter().filter_map(|id| self.observation(id));
        let held = part.holding.iter().filter_map(|id| self.observation(id));
        let successors = held.flat_map(|held| {
            self.bounded_of(&held.entity_id).filter(|one| one.validity().supersedes.contains(&held.id))
        });
        for observation in named.chain(others).chain(successors).cloned() {
            found.apply(Event::ObservationAdd { observation, ts: ts() });
        }
        let others = |id| self.relations_of(id).find(|one| !part.relations.contains(&one.id));
        let others = part.emptied.iter().filter_map(|id| others(id));
        let named = part.relations.iter().filter_map(|id| self.relation(id));
        for relation in named.chain(others).cloned() {
            found.apply(Event::RelationAdd { relation, ts: ts() });
        }
        found
    }
}
