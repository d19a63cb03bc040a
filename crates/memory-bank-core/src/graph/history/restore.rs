//! The events that make an entity what it was.

use crate::caller::{Caller, Right};
use crate::error::GraphError;
use crate::graph::event::Event;
use crate::graph::history::EntitySnapshot;
use crate::graph::state::GraphState;
use crate::graph::{Entity, Relation};

/// What a restore changed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EntityRestored {
    /// The name of the entity.
    pub name: String,
    /// How many observations were added.
    pub observations_added: usize,
    /// How many were deleted.
    pub observations_deleted: usize,
    /// How many relations were added.
    pub relations_added: usize,
    /// How many were removed.
    pub relations_removed: usize,
    /// Whether the entity itself was created or changed.
    pub entity_changed: bool,
    /// Relations that did not come back, since the entity at their other end does not exist: their types and that name.
    pub relations_left: Vec<String>,
}

impl EntityRestored {
    /// Checks that the caller may delete what the restore deletes. The policies of a database have the same rule.
    ///
    /// # Errors
    /// The caller may not delete entities and observations.
    pub fn check(&self, caller: &Caller) -> Result<(), GraphError> {
        if self.observations_deleted == 0 || caller.may(Right::Admin) {
            return Ok(());
        }
        Err(GraphError::Invalid(format!(
            "this would delete {} observations that were added since, which only an owner may do",
            self.observations_deleted
        )))
    }
}

/// The events that make the entity of this graph what the snapshot has; none if it is so. A snapshot without the entity deletes
/// it.
#[must_use]
pub fn plan_restore(state: &GraphState, target: &EntitySnapshot, now: &str) -> (Vec<Event>, EntityRestored) {
    let present = EntitySnapshot::of(state, &target.id);
    let mut done = EntityRestored::default();
    let mut events = Vec::new();
    let Some(entity) = target.entity() else {
        if let Some(entity) = present.entity() {
            events.push(Event::EntityDelete { entity_id: entity.id.clone(), ts: now.to_owned() });
            done.name.clone_from(&entity.name);
            done.observations_deleted = present.observations().len();
            done.relations_removed = present.relations().len();
            done.entity_changed = true;
        }
        return (events, done);
    };
    done.name.clone_from(&entity.name);
    if present.entity().is_none_or(|present| differs(present, entity)) {
        done.entity_changed = true;
        let entity = Entity { updated_at: now.to_owned(), ..entity.clone() };
        events.push(Event::EntityUpsert { entity, ts: now.to_owned() });
    }
    let (wanted, found) = (target.observations(), present.observations());
    for gone in found.iter().filter(|one| wanted.iter().all(|wanted| wanted.id != one.id)) {
        done.observations_deleted += 1;
        events.push(Event::ObservationDelete {
            entity_id: gone.entity_id.clone(),
            observation_id: gone.id.clone(),
            ts: now.to_owned(),
        });
    }
    for new in wanted.iter().filter(|one| found.iter().all(|found| found.id != one.id)) {
        done.observations_added += 1;
        events.push(Event::ObservationAdd { observation: (*new).clone(), ts: now.to_owned() });
    }
    plan_relations(state, target, &present, now, &mut events, &mut done);
    (events, done)
}

fn plan_relations(
    state: &GraphState,
    target: &EntitySnapshot,
    present: &EntitySnapshot,
    now: &str,
    events: &mut Vec<Event>,
    done: &mut EntityRestored,
) {
    let (wanted, found) = (target.relations(), present.relations());
    for gone in found.iter().filter(|one| wanted.iter().all(|wanted| wanted.id != one.id)) {
        done.relations_removed += 1;
        let Relation { from_id, to_id, relation_type, .. } = (*gone).clone();
        events.push(Event::RelationRemove { from_id, to_id, relation_type, ts: now.to_owned() });
    }
    for new in wanted.iter().filter(|one| found.iter().all(|found| found.id != one.id)) {
        let other = if new.from_id == target.id { &new.to_id } else { &new.from_id };
        if *other != target.id && state.entity(other).is_none() {
            done.relations_left.push(format!("{} {}", new.relation_type, target.name_of(other)));
            continue;
        }
        done.relations_added += 1;
        events.push(Event::RelationAdd { relation: (*new).clone(), ts: now.to_owned() });
    }
}

/// Whether they differ in more than the time of the last change.
fn differs(one: &Entity, other: &Entity) -> bool {
    (&one.name, &one.entity_type, &one.attrs, &one.created_at)
        != (&other.name, &other.entity_type, &other.attrs, &other.created_at)
}
