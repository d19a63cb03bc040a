//! Batches of changes of the graph: checked before anything is read, then planned in order on the existing graph and
//! the batch itself. Either all items are valid, or nothing changes.

use crate::error::GraphError;
use crate::graph::event::Event;
use crate::graph::naming::Lookup;
use crate::graph::rules::{EntityPlan, ObservationPlan, plan_relation};
use crate::graph::state::GraphState;
use crate::graph::{Entity, Relation};
use crate::limits;
use crate::store::{
    BatchApplied, BatchObservation, EntityChange, EntityRef, GraphBatch, ObservationAdded, RelationDraft,
};

/// A batch that passed all checks that do not need the graph.
#[derive(Debug, Clone, PartialEq)]
pub struct BatchPlan {
    /// The entities to create or update.
    pub entities: Vec<EntityPlan>,
    /// The observations to add, with their entities.
    pub observations: Vec<(EntityRef, ObservationPlan)>,
    /// The relations to create.
    pub relations: Vec<RelationDraft>,
}

impl BatchPlan {
    /// Checks a batch.
    ///
    /// # Errors
    /// It is empty or exceeds a bound, or an item breaks a rule; the item is named by its list and index, from 0.
    pub fn new(batch: GraphBatch) -> Result<Self, GraphError> {
        let items = batch.entities.len() + batch.observations.len() + batch.relations.len();
        if items == 0 {
            return Err(GraphError::Invalid(
                "the batch is empty; give `entities`, `observations` or `relations`".to_owned(),
            ));
        }
        if items > limits::GRAPH_BATCH_ITEMS {
            let most = limits::GRAPH_BATCH_ITEMS;
            return Err(GraphError::Invalid(format!(
                "the batch has {items} items, at most {most} are allowed; send it in several calls"
            )));
        }
        let bytes = batch.bytes();
        if bytes > limits::GRAPH_BATCH_BYTES {
            let most = limits::GRAPH_BATCH_BYTES;
            return Err(GraphError::Invalid(format!(
                "the batch has {bytes} bytes of text, at most {most} are allowed; send it in several calls"
            )));
        }
        let GraphBatch { entities, observations, relations } = batch;
        let entities = entities
            .into_iter()
            .enumerate()
            .map(|(index, draft)| EntityPlan::new(draft).map_err(|error| at("entities", index, error)))
            .collect::<Result<_, _>>()?;
        let compared =
            (limits::BATCH_COMPARED_FACTS / observations.len().max(1)).clamp(8, limits::COMPARED_FACTS);
        let observations = observations
            .into_iter()
            .enumerate()
            .map(|(index, BatchObservation { entity, draft })| {
                let plan = ObservationPlan::new(draft).map_err(|error| at("observations", index, error))?;
                Ok((entity, plan.compared_with(compared)))
            })
            .collect::<Result<_, GraphError>>()?;
        for (index, relation) in relations.iter().enumerate() {
            plan_relation("", &relation.relation_type, "", "")
                .map_err(|error| at("relations", index, error))?;
        }
        Ok(Self { entities, observations, relations })
    }

    /// The batch with an author for its observations.
    #[must_use]
    pub fn signed(mut self, author: &str) -> Self {
        self.observations =
            self.observations.into_iter().map(|(entity, plan)| (entity, plan.signed(author))).collect();
        self
    }

    /// The events to store and the result. `known` must contain every entity that the batch may name, with the
    /// observations of the batch that they have, and the relations among them. Existing items do not change and are
    /// reported as such.
    ///
    /// # Errors
    /// An item names an entity that neither exists nor is created by the batch, or an ambiguous one.
    pub fn apply(&self, known: &GraphState, now: &str) -> Result<(Vec<Event>, BatchApplied), GraphError> {
        let mut made = BatchState { known, state: GraphState::default(), events: Vec::new(), now };
        let mut applied = BatchApplied::default();
        for (index, plan) in self.entities.iter().enumerate() {
            let change = made.entity(plan).map_err(|error| at("entities", index, error))?;
            applied.entities.push(change);
        }
        // One event per entity, however often the batch has it.
        let upserted: Vec<Entity> = made.state.entities().cloned().collect();
        made.events =
            upserted.into_iter().map(|entity| Event::EntityUpsert { entity, ts: now.to_owned() }).collect();
        for (index, (entity, plan)) in self.observations.iter().enumerate() {
            let observed =
                made.observation(entity, plan).map_err(|error| at("observations", index, error))?;
            applied.observations.push(observed);
        }
        for (index, draft) in self.relations.iter().enumerate() {
            let related = made.relation(draft).map_err(|error| at("relations", index, error))?;
            applied.relations.push(related);
        }
        Ok((made.events, applied))
    }
}

fn at(list: &str, index: usize, error: GraphError) -> GraphError {
    GraphError::InBatch { at: format!("`{list}[{index}]`"), error: Box::new(error) }
}

/// The items that the batch creates, beside existing ones.
struct BatchState<'a> {
    known: &'a GraphState,
    state: GraphState,
    events: Vec<Event>,
    now: &'a str,
}

impl BatchState<'_> {
    fn entity(&mut self, plan: &EntityPlan) -> Result<(Entity, EntityChange), GraphError> {
        let existing = self.state.entity(&plan.id).or_else(|| self.known.entity(&plan.id)).cloned();
        let entity = plan.clone().apply(existing.as_ref(), self.now)?;
        let change = match existing {
            // Another spelling of the name is not a change, so that a repeated batch changes nothing.
            Some(existing) if existing.attrs == entity.attrs => return Ok((existing, EntityChange::Existed)),
            Some(_) => EntityChange::Updated,
            None => EntityChange::Created,
        };
        self.state.apply(Event::EntityUpsert { entity: entity.clone(), ts: self.now.to_owned() });
        Ok((entity, change))
    }

    fn observation(
        &mut self,
        entity: &EntityRef,
        plan: &ObservationPlan,
    ) -> Result<ObservationAdded, GraphError> {
        let id = self.resolve(entity)?;
        let observed = plan.apply(&id, &[self.known, &self.state], self.now)?;
        if !observed.existed {
            let observation = observed.observation.clone();
            let event = Event::ObservationAdd { ts: observation.timestamp.clone(), observation };
            self.state.apply(event.clone());
            self.events.push(event);
        }
        Ok(observed)
    }

    fn relation(&mut self, draft: &RelationDraft) -> Result<(Relation, bool), GraphError> {
        let (from, to) = (self.resolve(&draft.from)?, self.resolve(&draft.to)?);
        let relation = plan_relation(&from, &draft.relation_type, &to, self.now)?;
        let known = self.state.relation(&relation.id).or_else(|| self.known.relation(&relation.id));
        if let Some(known) = known {
            return Ok((known.clone(), true));
        }
        let event = Event::RelationAdd { relation: relation.clone(), ts: self.now.to_owned() };
        self.state.apply(event.clone());
        self.events.push(event);
        Ok((relation, false))
    }

    /// The id of the named entity, which the batch creates or which exists.
    fn resolve(&self, entity: &EntityRef) -> Result<String, GraphError> {
        let lookup = Lookup::of(entity);
        let mut candidates: Vec<&Entity> = Vec::new();
        for state in [&self.state, self.known] {
            let typed = lookup.typed.iter().flat_map(|(name, _)| state.named(name));
            let named = (!lookup.name.is_empty()).then(|| state.named(&lookup.name)).into_iter().flatten();
            for candidate in state.entity(&lookup.id).into_iter().chain(named).chain(typed) {
                if candidates.iter().all(|known| known.id != candidate.id) {
                    candidates.push(candidate);
                }
            }
        }
        let chosen = lookup.choose(&candidates).map_err(|error| match error {
            GraphError::EntityNotFound { name, .. } => {
                let suggestions = self.known.suggestions(&name);
                GraphError::EntityNotFound { name, suggestions }
            }
            other => other,
        })?;
        Ok(chosen.id.clone())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::graph::{ObservationSource, SourceKind};
    use crate::store::{EntityDraft, ObservationDraft};

    const NOW: &str = "2026-01-01T00:00:00.000Z";

    fn entity(name: &str, attrs: Option<serde_json::Value>) -> EntityDraft {
        let attrs = attrs.and_then(|attrs| attrs.as_object().cloned());
        EntityDraft { name: name.to_owned(), entity_type: "service".to_owned(), attrs }
    }

    fn fact(entity: &str, text: &str) -> BatchObservation {
        let draft = ObservationDraft { text: text.to_owned(), ..ObservationDraft::default() };
        BatchObservation { entity: EntityRef(entity.to_owned()), draft }
    }

    fn relation(from: &str, to: &str) -> RelationDraft {
        RelationDraft {
            from: EntityRef(from.to_owned()),
            relation_type: "uses".to_owned(),
            to: EntityRef(to.to_owned()),
        }
    }

    fn batch() -> GraphBatch {
        GraphBatch {
            entities: vec![entity("A", Some(json!({"port": 80}))), entity("B", None)],
            observations: vec![fact("A", "is fast"), fact("b [service]", "is slow"), fact("a", "is fast")],
            relations: vec![relation("A", "B"), relation("a", "B")],
        }
    }

    fn apply(state: &mut GraphState, batch: GraphBatch, now: &str) -> BatchApplied {
        let (events, applied) = BatchPlan::new(batch).unwrap().apply(state, now).unwrap();
        for event in events {
            state.apply(event);
        }
        applied
    }

    #[test]
    fn a_batch_creates_its_items_and_a_repeated_batch_changes_nothing() {
        let mut state = GraphState::default();
        let first = apply(&mut state, batch(), NOW);
        assert!(first.entities.iter().all(|(_, change)| *change == EntityChange::Created));
        let existed = |applied: &BatchApplied| -> Vec<bool> {
            applied
                .observations
                .iter()
                .map(|one| one.existed)
                .chain(applied.relations.iter().map(|one| one.1))
                .collect()
        };
        assert_eq!(existed(&first), [false, false, true, false, true]);
        assert_eq!(
            (state.entities().count(), state.observations().count(), state.relations().count()),
            (2, 2, 1)
        );
        let before = state.clone();
        let (events, again) =
            BatchPlan::new(batch()).unwrap().apply(&state, "2026-02-02T00:00:00.000Z").unwrap();
        assert_eq!(events, []);
        assert!(again.entities.iter().all(|(_, change)| *change == EntityChange::Existed));
        assert!(existed(&again).into_iter().all(|existed| existed));
        assert_eq!(state, before);
    }

    #[test]
    fn attributes_merge_and_an_entity_is_written_once() {
        let mut state = GraphState::default();
        apply(&mut state, batch(), NOW);
        let entities = vec![entity("a", Some(json!({"host": "x"}))), entity("A", Some(json!({"port": 81})))];
        let changes = GraphBatch { entities, ..GraphBatch::default() };
        let (events, applied) = BatchPlan::new(changes).unwrap().apply(&state, NOW).unwrap();
        assert_eq!(events.len(), 1);
        assert!(applied.entities.iter().all(|(_, change)| *change == EntityChange::Updated));
        assert_eq!(json!(applied.entities[1].0.attrs), json!({"port": 81, "host": "x"}));
    }

    #[test]
    fn the_same_text_from_two_sources_is_two_observations() {
        let mut state = GraphState::default();
        let mut sourced = fact("A", "is fast");
        sourced.draft.source = Some(ObservationSource { kind: SourceKind::Tool, reference: None });
        let two = GraphBatch {
            entities: vec![entity("A", None)],
            observations: vec![fact("A", "is fast"), sourced],
            ..GraphBatch::default()
        };
        let applied = apply(&mut state, two.clone(), NOW);
        assert_eq!(state.observations().count(), 2);
        assert_ne!(applied.observations[0].observation.id, applied.observations[1].observation.id);
        assert!(apply(&mut state, two, NOW).observations.iter().all(|one| one.existed));
    }

    #[test]
    fn an_invalid_item_is_named_by_its_index_and_nothing_is_planned() {
        let refused = |batch: GraphBatch| match BatchPlan::new(batch) {
            Ok(plan) => plan.apply(&GraphState::default(), NOW).unwrap_err().to_string(),
            Err(error) => error.to_string(),
        };
        let mut unknown = batch();
        unknown.observations.push(fact("nobody", "x"));
        assert_eq!(refused(unknown), "`observations[3]`: Entity not found: nobody");
        let mut blank = batch();
        blank.entities.push(entity(" ", None));
        assert!(refused(blank).starts_with("`entities[2]`: name is blank"));
        let mut untyped = batch();
        untyped.relations[1].relation_type = String::new();
        assert!(refused(untyped).starts_with("`relations[1]`: relationType is blank"));
        let mut unclear = batch();
        unclear.entities.push(EntityDraft { entity_type: "person".to_owned(), ..entity("A", None) });
        assert!(refused(unclear).starts_with("`observations[0]`: several entities are called"));
        assert!(refused(GraphBatch::default()).contains("empty"));
        let many = GraphBatch { observations: vec![fact("A", "x"); 501], ..GraphBatch::default() };
        assert!(refused(many).contains("501 items"));
        let long = "x".repeat(60_000);
        let large = GraphBatch { observations: vec![fact("A", &long); 5], ..GraphBatch::default() };
        assert!(refused(large).contains("bytes"));
    }
}
