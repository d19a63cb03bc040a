//! The ranking suite: questions of people and models on the bank of a synthetic project, with the expected units. It
//! does not know how a backend searches, so it applies to every store.

use std::collections::BTreeMap;

use memory_bank_core::graph::event::Event;
use memory_bank_core::graph::ids::{entity_id, observation_id};
use memory_bank_core::graph::state::GraphState;
use memory_bank_core::graph::{Entity, Observation};
use serde::Deserialize;
use serde_json::{Map, Value};

/// The time of all facts in the suite's graph.
pub const MADE: &str = "2026-11-01T00:00:00.000Z";

/// The documents of the bank, by name.
pub const DOCUMENTS: [(&str, &str); 10] = [
    ("active-context.md", include_str!("bank/active-context.md")),
    ("api-guide.md", include_str!("bank/api-guide.md")),
    ("data-model.md", include_str!("bank/data-model.md")),
    ("decision-log.md", include_str!("bank/decision-log.md")),
    ("onboarding.md", include_str!("bank/onboarding.md")),
    ("product-context.md", include_str!("bank/product-context.md")),
    ("progress.md", include_str!("bank/progress.md")),
    ("runbook.md", include_str!("bank/runbook.md")),
    ("settings.json", include_str!("bank/settings.json")),
    ("system-patterns.md", include_str!("bank/system-patterns.md")),
];

/// One question.
#[derive(Debug, Clone, Deserialize)]
pub struct Question {
    /// Its text.
    pub ask: String,
    /// The expected hit: `file#text of a line`, `@entity`, or `@entity#text of an observation`.
    pub win: Vec<String>,
    /// `graph`, or documents.
    #[serde(rename = "in", default)]
    pub place: String,
}

/// A result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// Lines of a document, from the first to the last.
    Lines(String, usize, usize),
    /// An entity by its name.
    Entity(String),
    /// An observation: the name of its entity, its text.
    Observation(String, String),
}

/// A way to search the bank of the suite.
pub trait Backend {
    /// The best hits of a search in the documents, best first.
    fn documents(&self, query: &str, limit: usize) -> Vec<Found>;
    /// The best hits of a search in the graph, best first.
    fn graph(&self, query: &str, limit: usize) -> Vec<Found>;
}

/// The share of the wanted units that were among the first.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Recall {
    /// Among the first five.
    pub at5: f64,
    /// Among the first ten.
    pub at10: f64,
}

/// All questions.
pub fn questions() -> Vec<Question> {
    serde_json::from_str(include_str!("queries.json")).unwrap()
}

/// Questions with a misspelt name, each with the entity that was meant.
pub fn typos() -> Vec<Question> {
    serde_json::from_str(include_str!("typos.json")).unwrap()
}

/// Asks every question and returns those whose answer is not in the top ten.
pub fn run(backend: &dyn Backend) -> (Recall, Vec<String>) {
    let questions = questions();
    let (mut at5, mut at10, mut missed) = (0.0, 0.0, Vec::new());
    for question in &questions {
        let found = if question.place == "graph" {
            backend.graph(&question.ask, 10)
        } else {
            backend.documents(&question.ask, 10)
        };
        let share = |count: usize| {
            let best = &found[..count.min(found.len())];
            let hits =
                question.win.iter().filter(|wanted| best.iter().any(|found| is(found, wanted))).count();
            f64::from(u32::try_from(hits).unwrap()) / f64::from(u32::try_from(question.win.len()).unwrap())
        };
        at5 += share(5);
        at10 += share(10);
        if share(10) < 1.0 {
            missed.push(question.ask.clone());
        }
    }
    let count = f64::from(u32::try_from(questions.len()).unwrap());
    (Recall { at5: at5 / count, at10: at10 / count }, missed)
}

/// The graph of the bank.
pub fn graph() -> GraphState {
    #[derive(Deserialize)]
    struct Node {
        name: String,
        #[serde(rename = "type")]
        kind: String,
        attrs: Option<Map<String, Value>>,
        observations: Vec<String>,
    }
    let nodes: Vec<Node> = serde_json::from_str(include_str!("graph.json")).unwrap();
    let mut graph = GraphState::default();
    let ts = || MADE.to_owned();
    for node in nodes {
        let id = entity_id(&node.name, &node.kind);
        let entity = Entity {
            id: id.clone(),
            name: node.name,
            entity_type: node.kind,
            attrs: node.attrs,
            created_at: ts(),
            updated_at: ts(),
        };
        graph.apply(Event::EntityUpsert { entity, ts: ts() });
        for text in node.observations {
            let observation = Observation {
                id: observation_id(&id, &text, MADE),
                entity_id: id.clone(),
                text,
                source: None,
                timestamp: ts(),
                author: None,
                validity: None,
            };
            graph.apply(Event::ObservationAdd { observation, ts: ts() });
        }
    }
    graph
}

fn is(found: &Found, wanted: &str) -> bool {
    let (place, text) = wanted.split_once('#').map_or((wanted, None), |(place, text)| (place, Some(text)));
    match (found, place.strip_prefix('@'), text) {
        (Found::Lines(file, first, last), None, Some(text)) => {
            let line = line_of(place, text);
            file == place && (*first..=*last).contains(&line)
        }
        (Found::Entity(name), Some(entity), None) => name == entity,
        (Found::Observation(name, fact), Some(entity), Some(text)) => name == entity && fact.contains(text),
        _ => false,
    }
}

/// The line of a document that contains the text; the suite is wrong if there is none.
pub fn line_of(file: &str, text: &str) -> usize {
    let documents: BTreeMap<&str, &str> = DOCUMENTS.into_iter().collect();
    let at = documents[file].lines().position(|line| line.contains(text));
    at.unwrap_or_else(|| panic!("`{file}` has no line with `{text}`")) + 1
}
