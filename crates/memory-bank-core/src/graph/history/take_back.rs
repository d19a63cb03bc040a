//! Takes back some changes of one item of the graph, and keeps the others: of an entity each attribute counts by itself.

use serde_json::{Map, Value};

use crate::graph::Entity;
use crate::graph::history::{GraphChange, GraphItem};
use crate::history::live;

/// The tool that brings former versions back.
const TOOL: &str = "history";

/// Why changes of an item cannot be taken back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ItemObstacle {
    /// It was changed since.
    ChangedSince,
    /// It was deleted since.
    DeletedSince,
    /// They deleted it, and it exists again.
    ExistsAgain,
}

/// The result of taking changes back.
#[derive(Debug, Clone, PartialEq)]
pub struct ItemTakenBack {
    /// The item without the changes; `None` if it is to be deleted.
    pub item: Option<GraphItem>,
    /// How many changes were taken back.
    pub changes: usize,
}

/// Takes back those changes of an item, newest first, that are `mine`, as [`crate::history::take_back`] does with versions. The
/// newest change leads to the item as it is now.
///
/// # Errors
/// The changes cannot be taken back.
pub fn take_back_item(
    changes: &[GraphChange],
    mine: &dyn Fn(&GraphChange) -> bool,
) -> Result<ItemTakenBack, ItemObstacle> {
    let live = live(changes, GraphChange::facts, mine, |newer, place| restores(changes, newer, place));
    let count = live.iter().filter(|is_live| **is_live).count();
    let now = changes.first().and_then(|change| change.after.as_ref());
    let Some(oldest) = live.iter().rposition(|is_live| *is_live) else {
        return Ok(ItemTakenBack { item: now.cloned(), changes: count });
    };
    let mut item = now.cloned();
    // The item after the changes that are being taken back as one.
    let mut run: Option<Option<&GraphItem>> = None;
    for (place, (change, is_live)) in changes.iter().zip(&live).enumerate() {
        if *is_live {
            run.get_or_insert(change.after.as_ref());
        } else if let Some(after) = run.take() {
            item = merged(change.after.as_ref(), after, item)?;
        }
        if place == oldest {
            if let Some(after) = run.take() {
                item = merged(change.before.as_ref(), after, item)?;
            }
            break;
        }
    }
    Ok(ItemTakenBack { item, changes: count })
}

/// Whether a newer change that is no undo brought back the item as it was before the change at this place: a restore, or a change
/// of the session that made this change.
fn restores(changes: &[GraphChange], newer: usize, place: usize) -> bool {
    let (Some(newer), Some(change)) = (changes.get(newer), changes.get(place)) else { return false };
    let is_own = newer.session.is_some() && newer.session == change.session;
    newer.undoes.is_none()
        && (is_own || newer.tool.as_deref() == Some(TOOL))
        && is_same_item(newer.after.as_ref(), change.before.as_ref())
}

/// Whether two items are the same but for the time of an entity's last change.
#[must_use]
pub fn is_same_item(one: Option<&GraphItem>, other: Option<&GraphItem>) -> bool {
    match (one, other) {
        (Some(GraphItem::Entity(one)), Some(GraphItem::Entity(other))) => {
            (&one.id, &one.name, &one.entity_type, &one.created_at)
                == (&other.id, &other.name, &other.entity_type, &other.created_at)
                && one.attrs.as_ref().filter(|attrs| !attrs.is_empty())
                    == other.attrs.as_ref().filter(|attrs| !attrs.is_empty())
        }
        (one, other) => one == other,
    }
}

/// The current item without the change from `before` to `after`.
fn merged(
    before: Option<&GraphItem>,
    after: Option<&GraphItem>,
    current: Option<GraphItem>,
) -> Result<Option<GraphItem>, ItemObstacle> {
    if is_same_item(current.as_ref(), after) {
        return Ok(before.cloned());
    }
    if is_same_item(current.as_ref(), before) || is_same_item(before, after) {
        return Ok(current);
    }
    match (before, after, current) {
        (_, _, None) => Err(ItemObstacle::DeletedSince),
        (_, None, Some(_)) => Err(ItemObstacle::ExistsAgain),
        (
            Some(GraphItem::Entity(before)),
            Some(GraphItem::Entity(after)),
            Some(GraphItem::Entity(current)),
        ) => merged_entity(before, after, current).map(GraphItem::Entity).map(Some),
        _ => Err(ItemObstacle::ChangedSince),
    }
}

/// Takes the change of an entity back: its names, and each attribute.
fn merged_entity(before: &Entity, after: &Entity, current: Entity) -> Result<Entity, ItemObstacle> {
    let name = merged_value(&before.name, &after.name, current.name)?;
    let entity_type = merged_value(&before.entity_type, &after.entity_type, current.entity_type)?;
    let created_at = merged_value(&before.created_at, &after.created_at, current.created_at)?;
    let none = Map::new();
    let (was, is) = (before.attrs.as_ref().unwrap_or(&none), after.attrs.as_ref().unwrap_or(&none));
    let mut attrs = current.attrs.clone().unwrap_or_default();
    let changed = was.keys().chain(is.keys()).filter(|key| was.get(*key) != is.get(*key));
    for key in changed {
        let value: Option<Value> =
            merged_value(&was.get(key).cloned(), &is.get(key).cloned(), attrs.get(key).cloned())?;
        match value {
            Some(value) => {
                attrs.insert(key.clone(), value);
            }
            None => {
                attrs.shift_remove(key);
            }
        }
    }
    let attrs = Some(attrs).filter(|attrs| !attrs.is_empty() || before.attrs.is_some());
    Ok(Entity { name, entity_type, created_at, attrs, ..current })
}

fn merged_value<T: PartialEq + Clone>(before: &T, after: &T, current: T) -> Result<T, ItemObstacle> {
    if before == after || current == *before {
        Ok(current)
    } else if current == *after {
        Ok(before.clone())
    } else {
        Err(ItemObstacle::ChangedSince)
    }
}
