//! The facts of a graph that one reply shows.

use std::cell::RefCell;
use std::collections::HashMap;

use crate::graph::state::{GraphState, newest_first};
use crate::graph::{Ending, Endings, Entity, FactView, Observation};

/// The facts of a graph in a view. Which facts of an entity have ended is computed once.
#[derive(Debug)]
pub(crate) struct ShownFacts<'g> {
    graph: &'g GraphState,
    view: FactView,
    endings: RefCell<HashMap<&'g str, Endings<'g>>>,
}

impl<'g> ShownFacts<'g> {
    pub(crate) fn new(graph: &'g GraphState, view: FactView) -> Self {
        Self { graph, view, endings: RefCell::default() }
    }

    /// Whether all facts of an entity are shown, so that none needs a look.
    pub(crate) fn shows_all_of(&self, entity_id: &str) -> bool {
        !self.view.is_past && (self.view.with_ended || self.graph.bounded_of(entity_id).next().is_none())
    }

    fn with_endings<T>(&self, entity_id: &'g str, read: impl FnOnce(&Endings<'g>) -> T) -> T {
        let mut endings = self.endings.borrow_mut();
        let endings =
            endings.entry(entity_id).or_insert_with(|| self.graph.endings_of(entity_id, self.view.at));
        read(endings)
    }

    /// Whether an entity was known.
    pub(crate) fn knows(&self, entity: &Entity) -> bool {
        self.view.knows(&entity.created_at)
    }

    /// Whether a fact is shown.
    pub(crate) fn shows(&self, fact: &'g Observation) -> bool {
        self.shows_all_of(&fact.entity_id)
            || (self.was_known(fact) && (self.view.with_ended || !self.has_ended(fact)))
    }

    /// Whether a fact and its entity were known. A fact that begins later is shown as one that will hold.
    fn was_known(&self, fact: &Observation) -> bool {
        let owner = self.graph.entity(&fact.entity_id);
        self.view.knows(&fact.timestamp) && owner.is_none_or(|owner| self.knows(owner))
    }

    fn has_ended(&self, fact: &'g Observation) -> bool {
        self.with_endings(&fact.entity_id, |endings| endings.get(fact).is_some())
    }

    /// Whether a fact is left out because it has ended.
    pub(crate) fn leaves_out(&self, fact: &'g Observation) -> bool {
        !self.view.with_ended
            && self.graph.bounded_of(&fact.entity_id).next().is_some()
            && self.was_known(fact)
            && self.has_ended(fact)
    }

    /// The end of a fact that has ended.
    pub(crate) fn ending(&self, fact: &'g Observation) -> Option<Ending> {
        self.graph.bounded_of(&fact.entity_id).next()?;
        self.with_endings(&fact.entity_id, |endings| endings.get(fact).cloned())
    }

    /// The facts of an entity that are left out because they have ended.
    pub(crate) fn left_out_of(&self, entity_id: &'g str) -> Vec<&'g Observation> {
        if self.view.with_ended || self.graph.bounded_of(entity_id).next().is_none() {
            return Vec::new();
        }
        self.with_endings(entity_id, |endings| {
            let facts = endings.ids().filter_map(|id| self.graph.observation(id));
            let ended = facts.filter(|fact| endings.get(fact).is_some() && self.was_known(fact));
            ended.filter(|fact| fact.entity_id == entity_id).collect()
        })
    }

    /// How many facts of an entity are shown.
    pub(crate) fn count_of(&self, entity_id: &'g str) -> usize {
        if self.view.is_past {
            return self.graph.observations_of(entity_id).filter(|fact| self.shows(fact)).count();
        }
        self.graph.observation_count_of(entity_id).saturating_sub(self.left_out_of(entity_id).len())
    }

    /// The newest facts of an entity that are shown, newest first.
    pub(crate) fn newest_of(&self, entity_id: &'g str, most: usize) -> Vec<&'g Observation> {
        if self.shows_all_of(entity_id) {
            return self.graph.newest_observations_of(entity_id, most);
        }
        let shown = self.graph.observations_of(entity_id).filter(|fact| self.shows(fact));
        let mut newest = newest_first(shown.collect());
        newest.truncate(most);
        newest
    }

    /// How many relations touch an entity.
    pub(crate) fn relation_count_of(&self, entity_id: &str) -> usize {
        if !self.view.is_past {
            return self.graph.relation_count_of(entity_id);
        }
        let relations = self.graph.relations_of(entity_id);
        relations.filter(|relation| self.view.knows(&relation.created_at)).count()
    }
}
