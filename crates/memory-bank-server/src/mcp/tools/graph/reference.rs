//! Accepts a graph batch in the form of the reference memory server, which models know: observations within their
//! entity, and several observations of one entity in a list. The schema does not show it. Ambiguous input stays
//! unchanged.

use serde_json::{Map, Value, json};

use crate::mcp::tools::graph::record::{BATCH_ENTITY, BATCH_OBSERVATION};
use crate::mcp::tools::lenient;
use crate::mcp::tools::schema::Kind;

/// Moves the observations of a batch into `observations`, one each.
pub(crate) fn translate(arguments: &mut Map<String, Value>) {
    let mut facts = Vec::new();
    if let Some(entities) = arguments.get_mut("entities") {
        lenient::coerce(Kind::Objects(BATCH_ENTITY), entities);
        for entity in entities.as_array_mut().into_iter().flatten().filter_map(Value::as_object_mut) {
            take_facts(entity, &mut facts);
        }
    }
    let mut all = match arguments.shift_remove("observations") {
        None | Some(Value::Null) => Vec::new(),
        Some(Value::String(text)) if text.is_empty() => Vec::new(),
        Some(mut given) => {
            lenient::coerce(Kind::Objects(BATCH_OBSERVATION), &mut given);
            match given {
                Value::Array(items) => items.into_iter().flat_map(one_each).collect(),
                // The check reports its error.
                other => {
                    arguments.insert("observations".to_owned(), other);
                    return;
                }
            }
        }
    };
    all.append(&mut facts);
    if !all.is_empty() {
        arguments.insert("observations".to_owned(), Value::Array(all));
    }
}

/// Moves the observations out of an entity.
fn take_facts(entity: &mut Map<String, Value>, facts: &mut Vec<Value>) {
    let Some(name) = entity.get("name").and_then(Value::as_str).map(str::to_owned) else { return };
    let kind = ["entityType", "entity_type"].iter().find_map(|key| entity.get(*key)).and_then(Value::as_str);
    let whole = match kind {
        Some(kind) => format!("{} [{}]", name.trim(), kind.trim()),
        None => name,
    };
    let Some(given) = entity.get("observations").and_then(facts_in) else { return };
    entity.shift_remove("observations");
    for mut fact in given {
        fact.insert("entity".to_owned(), json!(whole));
        facts.push(Value::Object(fact));
    }
}

/// An observation for each of the `contents` of one.
fn one_each(item: Value) -> Vec<Value> {
    let Value::Object(mut members) = item else { return vec![item] };
    for name in ["entityName", "entity_name"] {
        if !members.contains_key("entity")
            && let Some(entity) = members.shift_remove(name)
        {
            members.insert("entity".to_owned(), entity);
        }
    }
    let Some(mut facts) = members.get("contents").and_then(facts_in) else {
        return vec![Value::Object(members)];
    };
    members.shift_remove("contents");
    if let Some(Value::String(text)) = members.shift_remove("text")
        && !text.is_empty()
    {
        facts.insert(0, Map::from_iter([("text".to_owned(), json!(text))]));
    }
    let with = |fact: Map<String, Value>| {
        let mut one = members.clone();
        one.extend(fact);
        Value::Object(one)
    };
    facts.into_iter().map(with).collect()
}

/// Facts, alone or in a list, as plain texts or as objects with `text` and bounds.
fn facts_in(value: &Value) -> Option<Vec<Map<String, Value>>> {
    let mut value = value.clone();
    lenient::coerce(Kind::Texts, &mut value);
    let fact = |item: &Value| {
        let text = item.get("text").or_else(|| item.get("content")).unwrap_or(item).as_str()?;
        let mut fact = Map::from_iter([("text".to_owned(), json!(text))]);
        for bound in ["validFrom", "validUntil", "expiresAt", "supersedes"] {
            fact.extend(item.get(bound).map(|value| (bound.to_owned(), value.clone())));
        }
        Some(fact)
    };
    value.as_array()?.iter().map(fact).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn translated(mut given: Value) -> Value {
        translate(given.as_object_mut().unwrap());
        given
    }

    #[test]
    fn facts_in_the_shape_of_the_reference_server_are_accepted() {
        let given = json!({
            "entities": [{"name": "Ada", "entityType": "person", "observations": ["likes tea", {"text": "is here", "validUntil": "2026-12-01"}]}],
            "observations": [
                {"entityName": "Bob", "contents": ["a", "b"], "source": "x"},
                {"entity": "Cy", "text": "c"},
            ],
        });
        let batch = json!({
            "entities": [{"name": "Ada", "entityType": "person"}],
            "observations": [
                {"entity": "Bob", "source": "x", "text": "a"},
                {"entity": "Bob", "source": "x", "text": "b"},
                {"entity": "Cy", "text": "c"},
                {"entity": "Ada [person]", "text": "likes tea"},
                {"entity": "Ada [person]", "text": "is here", "validUntil": "2026-12-01"},
            ],
        });
        assert_eq!(translated(given.clone()), batch);
        let as_text = json!({
            "entities": given["entities"].to_string(),
            "observations": given["observations"].to_string(),
        });
        assert_eq!(translated(as_text), batch);
    }

    #[test]
    fn ambiguous_facts_are_not_changed() {
        for given in [
            json!({"entities": [{"name": "Ada", "entityType": "p", "observations": [1]}]}),
            json!({"observations": 5}),
            json!({"entities": "x", "relations": []}),
            json!({"observations": [{"entity": "a", "text": "b"}, 7]}),
        ] {
            assert_eq!(translated(given.clone()), given);
        }
    }
}
