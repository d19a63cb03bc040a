//! The graph as lines in which passages for a prompt are found: one line for each fact, relation and node with attributes. It
//! must not know where the graph is stored.

use std::collections::HashMap;

use memory_bank_core::store::Subgraph;
use serde_json::{Map, Value};

/// The name of the graph beside those of documents.
pub(super) const GRAPH: &str = "the graph";
/// The most bytes of lines.
const MOST_BYTES: usize = 4 * 1024 * 1024;
/// The most characters of an attribute.
const ATTRIBUTE_CHARS: usize = 200;

/// The lines of a graph, the newest facts first, within a bound.
pub(super) fn lines_of_graph(graph: &Subgraph) -> String {
    let names: HashMap<&str, &str> =
        graph.entities.iter().map(|entity| (entity.id.as_str(), entity.name.as_str())).collect();
    let name = |id: &str| names.get(id).copied().unwrap_or_default();
    let mut text = Lines::default();
    for observation in graph.observations.iter().rev() {
        text.push(&[name(&observation.entity_id), ": ", &observation.text]);
    }
    for relation in graph.relations.iter().rev() {
        let (from, to) = (name(&relation.from_id), name(&relation.to_id));
        text.push(&[from, " ", &relation.relation_type, " ", to]);
    }
    for entity in graph.entities.iter().rev() {
        text.push(&[&entity.name, " (", &entity.entity_type, ")", &attributes(entity.attrs.as_ref())]);
    }
    text.0
}

/// The lines of a reply of `graph_search`.
pub(super) fn lines_of_reply(reply: &Value) -> String {
    let list = |name: &str| reply.get(name).and_then(Value::as_array).into_iter().flatten();
    let member =
        |item: &Value, name: &str| item.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    let mut text = Lines::default();
    for fact in list("observations") {
        text.push(&[&member(fact, "entityName"), ": ", &member(fact, "text")]);
    }
    for node in list("entities") {
        for fact in node.get("observations").and_then(Value::as_array).into_iter().flatten() {
            text.push(&[&member(node, "name"), ": ", &member(fact, "text")]);
        }
        let attributes = attributes(node.get("attrs").and_then(Value::as_object));
        text.push(&[&member(node, "name"), " (", &member(node, "entityType"), ")", &attributes]);
    }
    for relation in list("relations") {
        let parts = ["from", "relationType", "to"].map(|name| member(relation, name));
        text.push(&[&parts.join(" ")]);
    }
    text.0
}

#[derive(Default)]
struct Lines(String);

impl Lines {
    /// Adds the parts as one list item, unless there is no room for it.
    fn push(&mut self, parts: &[&str]) {
        let bytes: usize = parts.iter().map(|part| part.len()).sum();
        if self.0.len() + bytes > MOST_BYTES {
            return;
        }
        self.0.push_str("- ");
        for part in parts {
            // A text of several lines is one passage, and no text begins another section.
            self.0.extend(part.chars().map(|sign| if sign == '\n' || sign == '\r' { ' ' } else { sign }));
        }
        self.0.push('\n');
    }
}

fn attributes(attributes: Option<&Map<String, Value>>) -> String {
    let shown: Vec<String> = attributes
        .into_iter()
        .flatten()
        .map(|(name, value)| {
            let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            format!("{name} {}", value.chars().take(ATTRIBUTE_CHARS).collect::<String>())
        })
        .collect();
    if shown.is_empty() { String::new() } else { format!(": {}", shown.join(", ")) }
}

#[cfg(test)]
mod tests {
    use memory_bank_core::hooks::{PassageText, PromptTerms, matching_passages};
    use serde_json::json;

    use super::*;

    #[test]
    fn a_fact_answers_a_prompt_by_the_words_of_its_node_and_its_own() {
        let facts: Vec<Value> = (0..40)
            .map(
                |n| json!({"entityName": format!("component {n}"), "text": format!("it writes the log {n}")}),
            )
            .chain([
                json!({"entityName": "ledger\n# Not a heading", "text": "invoices are rounded\nhalf-even"}),
            ])
            .collect();
        let lines = lines_of_reply(&json!({
            "observations": facts,
            "entities": [{"name": "billing", "entityType": "service", "attrs": {"owner": "Jo"}, "observations": []}],
            "relations": [{"from": "billing", "relationType": "depends-on", "to": "ledger"}],
        }));
        assert!(lines.lines().all(|line| line.starts_with("- ")), "{lines}");
        let texts = [PassageText { document: GRAPH, text: &lines }];
        let found = |prompt| matching_passages(&PromptTerms::of(prompt), &texts, true, |_| false);
        let invoices = found("how does the ledger round invoices?");
        assert!(invoices[0].text.contains("half-even") && invoices[0].document == GRAPH, "{invoices:?}");
        assert!(found("who is the owner of billing?")[0].text.contains("owner Jo"));
        assert!(found("what about zeppelins and quantum physics?").is_empty());
    }

    #[test]
    fn a_huge_graph_stays_within_its_bound() {
        let facts: Vec<Value> =
            (0..40).map(|_| json!({"entityName": "x", "text": "y ".repeat(200_000)})).collect();
        assert!(lines_of_reply(&json!({"observations": facts})).len() < MOST_BYTES + 1024);
    }
}
