//! The graph as it was at a time, made of the present one and of items as they were then.

use std::collections::BTreeMap;

use jiff::Timestamp;

use crate::compact_sort::CompactSort as _;
use crate::graph::event::Event;
use crate::graph::history::GraphItem;
use crate::graph::state::GraphState;
use crate::limits;

/// Items that changed since a time, as they were before.
#[derive(Debug)]
pub struct FormerItems {
    until: Timestamp,
    items: BTreeMap<String, Option<GraphItem>>,
    bytes: usize,
}

impl FormerItems {
    /// None that changed at this time or later.
    #[must_use]
    pub fn before(until: Timestamp) -> Self {
        Self { until, items: BTreeMap::new(), bytes: 0 }
    }

    /// Records the state of an item before a change. Only the first change of an item since the time counts: call it in the order of
    /// time.
    pub fn note(&mut self, at: Timestamp, id: &str, before: Option<GraphItem>) {
        if at < self.until || self.items.contains_key(id) || self.are_too_many() {
            return;
        }
        self.bytes += limits::GRAPH_ROW_BYTES + before.as_ref().map_or(0, GraphItem::bytes);
        self.items.insert(id.to_owned(), before);
    }

    /// Whether they have more bytes than one call rebuilds. No other is noted then.
    #[must_use]
    pub fn are_too_many(&self) -> bool {
        self.bytes > limits::PAST_GRAPH_BYTES
    }

    /// The graph before these changes, of the graph after them. Items that were deleted since come last.
    #[must_use]
    pub fn graph(mut self, now: &GraphState) -> GraphState {
        let mut then = GraphState::default();
        let mut take = |id: &str, present: GraphItem| match self.items.remove(id) {
            Some(former) => former,
            None => Some(present),
        };
        let entities = now.entities().filter_map(|one| take(&one.id, GraphItem::Entity(one.clone())));
        let entities: Vec<GraphItem> = entities.collect();
        let facts = now.observations().filter_map(|one| take(&one.id, GraphItem::Observation(one.clone())));
        let facts: Vec<GraphItem> = facts.collect();
        let relations = now.relations().filter_map(|one| take(&one.id, GraphItem::Relation(one.clone())));
        let relations: Vec<GraphItem> = relations.collect();
        let mut deleted: Vec<GraphItem> = self.items.into_values().flatten().collect();
        deleted.compact_sort_by_key(|item| match item {
            GraphItem::Entity(_) => 0,
            GraphItem::Observation(_) => 1,
            GraphItem::Relation(_) => 2,
        });
        for item in entities.into_iter().chain(facts).chain(relations).chain(deleted) {
            let ts = String::new();
            then.apply(match item {
                GraphItem::Entity(entity) => Event::EntityUpsert { entity, ts },
                GraphItem::Observation(observation) => Event::ObservationAdd { observation, ts },
                GraphItem::Relation(relation) => Event::RelationAdd { relation, ts },
            });
        }
        then
    }
}
