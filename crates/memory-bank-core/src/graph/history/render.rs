//! An entity as lines of text, to read and to compare; a change in a few words.

use std::fmt::Write as _;

use crate::graph::history::{EntitySnapshot, GraphChange, GraphItem};
use crate::graph::{Observation, Validity};

/// The entity as lines of text: its name and type, its attributes, its observations, its relations. Empty if it did not exist.
#[must_use]
pub fn render(snapshot: &EntitySnapshot) -> String {
    let mut text = String::new();
    let Some(entity) = snapshot.entity() else { return text };
    let _ = writeln!(text, "{} [{}]", entity.name, entity.entity_type);
    for (name, value) in entity.attrs.iter().flatten() {
        let _ = writeln!(text, "{name} = {value}");
    }
    let observations = snapshot.observations();
    for observation in &observations {
        let indented = observation.text.replace('\n', "\n  ");
        let _ = write!(text, "- {}: {indented}", observation.timestamp);
        if let Some(source) = &observation.source {
            let reference = source.reference.as_ref().map(|one| format!(", {one}")).unwrap_or_default();
            let _ = write!(text, " ({}{reference})", source.kind.as_str());
        }
        text.push_str(&bounds(observation.validity(), &observations));
        text.push('\n');
    }
    for relation in snapshot.relations() {
        let (from, to) = (snapshot.name_of(&relation.from_id), snapshot.name_of(&relation.to_id));
        let _ = writeln!(text, "{from} -> {} -> {to}", relation.relation_type);
    }
    text
}

/// From when until when a fact holds and which it replaces, by their texts.
fn bounds(validity: &Validity, known: &[&Observation]) -> String {
    /// The most characters of a replaced text.
    const MOST: usize = 60;
    let Validity { valid_from, valid_until, expires_at, supersedes } = validity;
    let times = [("from", valid_from), ("until", valid_until), ("expires", expires_at)];
    let times = times.into_iter().filter_map(|(word, time)| Some(format!("{word} {}", time.as_ref()?)));
    let replaced = supersedes.iter().map(|id| match known.iter().find(|fact| fact.id == *id) {
        Some(fact) => format!("replaces \"{}\"", clip(&fact.text, MOST)),
        None => format!("replaces {id}"),
    });
    let bounds: Vec<String> = times.chain(replaced).collect();
    if bounds.is_empty() { String::new() } else { format!(" [{}]", bounds.join(", ")) }
}

/// The first characters, with an ellipsis if there are more.
fn clip(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        Some((at, _)) => format!("{}…", text.get(..at).unwrap_or_default()),
        None => text.to_owned(),
    }
}

/// What a change was about: the text of an observation, the ends of a relation, the type and attributes of an entity; at most
/// `most` characters.
#[must_use]
pub fn summary(change: &GraphChange, most: usize) -> String {
    change.item().map_or_else(String::new, |item| summary_of(item, change.other.as_deref(), most))
}

/// Summarises an item; `other` is the name of the target of a relation.
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
    clip(&text, most)
}
