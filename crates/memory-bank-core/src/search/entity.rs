//! Cuts an entity of the graph into units: the entity, and each observation on it.

use std::sync::Arc;

use serde_json::Value;

use super::unit::{Unit, UnitKind, link_neighbours};
use crate::graph::timestamp::instant;
use crate::graph::{Entity, Observation};

/// The units of an entity with its observations, in the order given.
#[must_use]
pub fn entity_units<'a>(
    entity: &Entity,
    observations: impl IntoIterator<Item = &'a Observation>,
) -> Vec<Unit> {
    let path: Arc<[String]> = Arc::from([entity.name.clone()]);
    let mut text = format!("{}\n{}", entity.name, entity.entity_type);
    for (key, value) in entity.attrs.iter().flatten() {
        text.push('\n');
        text.push_str(key);
        flatten(value, &mut text);
    }
    let unit = |kind, text, parent| Unit {
        kind,
        text,
        line: 0,
        lines: 0,
        from: 0,
        path: Arc::clone(&path),
        parent,
        previous: None,
        next: None,
    };
    let mut units = vec![unit(UnitKind::Entity, text, None)];
    units.extend(
        observations
            .into_iter()
            .map(|observation| unit(UnitKind::Observation, observation.text.clone(), Some(0))),
    );
    link_neighbours(&mut units);
    units
}

/// A stored time in milliseconds since 1970, to sort by. Old graphs have dates of any form; one that cannot be parsed
/// counts as the oldest.
#[must_use]
pub fn recency(stored: &str) -> i64 {
    instant(stored).unwrap_or(i64::MIN)
}

fn flatten(value: &Value, text: &mut String) {
    match value {
        Value::String(value) => {
            text.push(' ');
            text.push_str(value);
        }
        Value::Array(values) => values.iter().for_each(|value| flatten(value, text)),
        Value::Object(members) => {
            for (key, value) in members {
                text.push(' ');
                text.push_str(key);
                flatten(value, text);
            }
        }
        Value::Null => {}
        Value::Bool(_) | Value::Number(_) => {
            text.push(' ');
            text.push_str(&value.to_string());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_of_any_form_are_put_in_order() {
        assert!(recency("2026-11-22T09:30:07.062Z") > recency("2026-11-22T09:30:07Z"));
        assert!(recency("2026-11-22") > recency("2026-11-21T23:59:59Z"));
        assert!(recency("March 7, 2021") < recency("2026-11-22"));
        assert_eq!(recency("x"), i64::MIN);
    }
}
