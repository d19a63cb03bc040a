//! An entity as lines of text, to read and to compare; a change in a few words.

use std::fmt::Write as _;

use crate::graph::history::{EntitySnapshot, GraphChange, GraphItem};

/// The entity as lines of text: its name and type, its attributes, its observations, its relations. Empty if it did not exist.
#[must_use]
pub fn render(snapshot: &EntitySnapshot) -> String {
    let mut text = String::new();
    let Some(entity) = snapshot.entity() else { return text };
    let _ = writeln!(text, "{} [{}]", entity.name, entity.entity_type);
    for (name, value) in entity.attrs.iter().flatten() {
        let _ = writeln!(text, "{name} = {value}");
    }
    for observation in snapshot.observations() {
        let indented = observation.text.replace('\n', "\n  ");
        let _ = write!(text, "- {}: {indented}", observation.timestamp);
        if let Some(source) = &observation.source {
            let reference = source.reference.as_ref().map(|one| format!(", {one}")).unwrap_or_default();
            let _ = write!(text, " ({}{reference})", source.kind.as_str());
        }
        text.push('\n');
    }
    for relation in snapshot.relations() {
        let (from, to) = (snapshot.name_of(&relation.from_id), snapshot.name_of(&relation.to_id));
        let _ = writeln!(text, "{from} -> {} -> {to}", relation.relation_type);
    }
    text
}

/// What a change was about: the text of an observation, the ends of a relation, the type and attributes of an entity; at most so
/// many characters.
#[must_use]
pub fn summary(change: &GraphChange, most: usize) -> String {
    change.item().map_or_else(String::new, |item| summary_of(item, change.other.as_deref(), most))
}

/// The same of an item; `other` is the name of the target of a relation.
#[must_use]
pub fn summary_of(item: &GraphItem, other: Option<&str>, most: usize) -> String {
    let text = match item {
        GraphItem::Observation(observation) => observation.text.clone(),
        GraphItem::Relation(relation) => {
            format!("{} -> {}", relation.relation_type, other.unwrap_or(&relation.to_id))
        }
        GraphItem::Entity(entity) => {
            let attrs = entity.attrs.as_ref().filter(|attrs| !attrs.is_empty());
            let attrs = attrs.and_then(|attrs| serde_json::to_string(attrs).ok());
            [Some(entity.entity_type.clone()), attrs].into_iter().flatten().collect::<Vec<_>>().join(" ")
        }
    };
    match text.char_indices().nth(most) {
        Some((at, _)) => format!("{}…", text.get(..at).unwrap_or_default()),
        None => text,
    }
}
