//! Members that tools add to their data: how much was left out, under which name a document is stored.

use memory_bank_core::document::DocumentPath;
use memory_bank_core::graph::Ending;
use memory_bank_core::graph::timestamp::spelling;
use serde_json::{Map, Value, json};

/// Adds a member to an object. Removed text is in its own members, so that a reply can omit it.
pub(crate) fn put(data: &mut Value, name: &str, value: Value) {
    if let Some(object) = data.as_object_mut() {
        object.insert(name.to_owned(), value);
    }
}

/// Adds the stored name of a document, if it differs from the requested one.
pub(crate) fn note_stored_name(data: &mut Value, requested: &str, stored: &DocumentPath) {
    if stored.as_str() != requested
        && let Some(object) = data.as_object_mut()
    {
        object.insert("storedAs".into(), json!(stored.as_str()));
    }
}

/// Adds how much of each list did not fit into a reply, and how to get it.
pub(crate) fn note_left(data: &mut Value, left: &[(&str, usize)], next: &str) {
    let left: Map<String, Value> = left
        .iter()
        .filter(|(_, count)| *count > 0)
        .map(|(name, count)| ((*name).to_owned(), json!(count)))
        .collect();
    let Some(object) = data.as_object_mut().filter(|_| !left.is_empty()) else { return };
    object.insert("truncated".into(), json!(true));
    object.insert("remaining".into(), Value::Object(left));
    object.insert("next".into(), json!(next));
}

/// Adds how many ended facts are not shown.
pub(crate) fn note_ended(data: &mut Value, left_out: usize) {
    if left_out > 0 {
        put(data, "ended", json!({"leftOut": left_out, "shownWith": "includeEnded: true"}));
    }
}

/// Adds to a fact that it has ended, when, and by which other fact.
pub(crate) fn note_ending(fact: &mut Value, ending: Option<&Ending>) {
    let Some(ending) = ending else { return };
    put(fact, "endedAt", json!(spelling(ending.at)));
    if let Some(by) = &ending.superseded_by {
        put(fact, "supersededBy", json!(by));
    }
}

/// The hint for a name that does not exist.
pub(crate) fn did_you_mean(suggestions: &[String]) -> String {
    if suggestions.is_empty() { String::new() } else { format!(" Did you mean: {}?", suggestions.join(", ")) }
}
