//! The derived files of a graph: snapshot, index and a page for people, rendered from the state.
//!
//! They are written for other programs and for readers; this server never reads them. Rendering touches no file.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use jiff::{SignedDuration, Timestamp};
use memory_bank_core::clock::iso_millis;
use memory_bank_core::graph::compact::SNAPSHOT_PATH;
use memory_bank_core::graph::event::TypeStats;
use memory_bank_core::graph::ids::{is_whitespace, normalise};
use memory_bank_core::graph::state::{GraphState, newest_first};
use memory_bank_core::graph::timestamp::instant;
use memory_bank_core::graph::{Entity, Observation, Relation};
use serde::Serialize;
use serde_json::{Map, Value};

/// The files, by their names in the bank, in the order in which they are to be written.
pub(crate) const DERIVED_FILES: [&str; 3] = [SNAPSHOT_PATH, "graph/graph.index.json", "graph/graph.md"];

/// How many observations the page shows as recent activity, and how much of each.
const MAX_RECENT: usize = 10;
const MAX_RECENT_CHARS: usize = 80;
/// How many observations the page shows of an entity, and how much of each.
const MAX_FACTS: usize = 3;
const MAX_FACT_CHARS: usize = 100;
/// How many relations the page shows of an entity, in each direction.
const MAX_EDGES: usize = 20;

/// Values of the files besides the state.
pub(crate) struct DerivedFileValues<'a> {
    /// The store's id: the name of the bank's folder.
    pub(crate) store_id: &'a str,
    /// The current time.
    pub(crate) now: Timestamp,
    /// The number of lines of the log that are not blank.
    pub(crate) lines: usize,
}

/// The contents of [`DERIVED_FILES`].
pub(crate) fn render(
    state: &GraphState,
    about: &DerivedFileValues<'_>,
) -> Result<[Vec<u8>; 3], serde_json::Error> {
    Ok([snapshot(state, about)?, index(state, about)?, page(state, about).into_bytes()])
}

#[derive(Serialize)]
struct Snapshot<'a> {
    meta: Meta<'a>,
    entities: Vec<&'a Entity>,
    observations: Vec<&'a Observation>,
    relations: Vec<&'a Relation>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Meta<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    version: &'static str,
    store_id: &'a str,
    created_at: String,
    source: &'static str,
}

fn snapshot(state: &GraphState, about: &DerivedFileValues<'_>) -> Result<Vec<u8>, serde_json::Error> {
    serde_json::to_vec_pretty(&Snapshot {
        meta: Meta {
            kind: "memory_bank_graph",
            version: "1",
            store_id: about.store_id,
            created_at: iso_millis(about.now),
            source: "memory-bank-mcp",
        },
        entities: state.entities().collect(),
        observations: state.observations().collect(),
        relations: state.relations().collect(),
    })
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Index {
    last_event_line_count: usize,
    snapshot_built_at: String,
    jsonl_modified_at: String,
    stats: TypeStats,
    name_to_entity_id: Map<String, Value>,
}

fn index(state: &GraphState, about: &DerivedFileValues<'_>) -> Result<Vec<u8>, serde_json::Error> {
    let names =
        state.entities().map(|entity| (normalise(&entity.name), Value::String(entity.id.clone()))).collect();
    serde_json::to_vec_pretty(&Index {
        last_event_line_count: about.lines,
        snapshot_built_at: iso_millis(about.now),
        jsonl_modified_at: iso_millis(about.now),
        stats: state.type_stats(),
        name_to_entity_id: names,
    })
}

/// The page. Writing into a `String` cannot fail, so the results are dropped.
fn page(state: &GraphState, about: &DerivedFileValues<'_>) -> String {
    let mut page = String::new();
    let stats = state.type_stats();
    let _ = writeln!(page, "# Knowledge Graph\n");
    let _ = writeln!(page, "> Store: {}", one_line(about.store_id, MAX_FACT_CHARS));
    let _ = writeln!(page, "> Generated: {}", iso_millis(about.now));
    let _ = writeln!(page, "> Version: 1\n");
    let _ = writeln!(page, "## Statistics\n\n| Metric | Count |\n|---|---|");
    let _ = writeln!(page, "| Entities | {} |", stats.entity_count);
    let _ = writeln!(page, "| Observations | {} |", stats.observation_count);
    let _ = writeln!(page, "| Relations | {} |\n", stats.relation_count);
    for (title, types) in [("Entity types", &stats.entity_types), ("Relation types", &stats.relation_types)] {
        if !types.is_empty() {
            let types: Vec<String> = types.iter().map(|name| one_line(name, MAX_FACT_CHARS)).collect();
            let _ = writeln!(page, "**{title}:** {}\n", types.join(", "));
        }
    }
    recent(&mut page, state, about);
    entities(&mut page, state, about);
    relations(&mut page, state);
    page
}

fn recent(page: &mut String, state: &GraphState, about: &DerivedFileValues<'_>) {
    let newest = newest_first(state.observations().collect());
    if newest.is_empty() {
        return;
    }
    let _ = writeln!(page, "## Recent Activity\n");
    for observation in newest.into_iter().take(MAX_RECENT) {
        let _ = writeln!(
            page,
            "- **{}** ({}): {}",
            one_line(state.name_or_id(&observation.entity_id), MAX_FACT_CHARS),
            age(&observation.timestamp, about.now),
            one_line(&observation.text, MAX_RECENT_CHARS)
        );
    }
    page.push('\n');
}

fn entities(page: &mut String, state: &GraphState, about: &DerivedFileValues<'_>) {
    let mut by_type: BTreeMap<&str, Vec<&Entity>> = BTreeMap::new();
    for entity in state.entities() {
        by_type.entry(&entity.entity_type).or_default().push(entity);
    }
    if by_type.is_empty() {
        return;
    }
    let _ = writeln!(page, "## Entities\n");
    for (entity_type, entities) in by_type {
        let _ = writeln!(page, "### {} ({})\n", one_line(entity_type, MAX_FACT_CHARS), entities.len());
        for entity in entities {
            write_entity(page, state, entity, about);
        }
    }
}

fn write_entity(page: &mut String, state: &GraphState, entity: &Entity, about: &DerivedFileValues<'_>) {
    let _ = writeln!(page, "#### {}\n", one_line(&entity.name, MAX_FACT_CHARS));
    let _ = writeln!(page, "- ID: `{}`", one_line(&entity.id, MAX_FACT_CHARS));
    let _ = writeln!(page, "- Updated: {}", age(&entity.updated_at, about.now));
    for (key, value) in entity.attrs.iter().flatten() {
        let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        let _ = writeln!(page, "- {}: {}", one_line(key, MAX_FACT_CHARS), one_line(&value, MAX_FACT_CHARS));
    }
    let outgoing = state.relations_of(&entity.id).filter(|one| one.from_id == entity.id);
    write_edges(
        page,
        outgoing.map(|one| format!("→ {} → {}", one.relation_type, state.name_or_id(&one.to_id))),
    );
    let incoming = state.relations_of(&entity.id).filter(|one| one.to_id == entity.id);
    write_edges(
        page,
        incoming.map(|one| format!("← {} ← {}", one.relation_type, state.name_or_id(&one.from_id))),
    );
    for fact in state.newest_observations_of(&entity.id, MAX_FACTS) {
        let _ = writeln!(page, "- {}", one_line(&fact.text, MAX_FACT_CHARS));
    }
    let count = state.observation_count_of(&entity.id);
    if count > MAX_FACTS {
        let _ = writeln!(page, "- … and {} more", count - MAX_FACTS);
    }
    page.push('\n');
}

fn write_edges(page: &mut String, edges: impl Iterator<Item = String>) {
    let mut left_out = 0_usize;
    for (number, edge) in edges.enumerate() {
        if number < MAX_EDGES {
            let _ = writeln!(page, "- {}", one_line(&edge, 3 * MAX_FACT_CHARS));
        } else {
            left_out += 1;
        }
    }
    if left_out > 0 {
        let _ = writeln!(page, "- … and {left_out} more relations");
    }
}

fn relations(page: &mut String, state: &GraphState) {
    let mut by_type: BTreeMap<&str, Vec<&Relation>> = BTreeMap::new();
    for relation in state.relations() {
        by_type.entry(&relation.relation_type).or_default().push(relation);
    }
    if by_type.is_empty() {
        return;
    }
    let _ = writeln!(page, "## Relations\n");
    for (relation_type, relations) in by_type {
        let _ = writeln!(
            page,
            "### {} ({})\n\n```text",
            one_line(relation_type, MAX_FACT_CHARS),
            relations.len()
        );
        for relation in relations {
            let (from, to) = (state.name_or_id(&relation.from_id), state.name_or_id(&relation.to_id));
            let line = format!("{} -> {}", one_line(from, MAX_FACT_CHARS), one_line(to, MAX_FACT_CHARS));
            let _ = writeln!(page, "{}", line.replace("```", "'''"));
        }
        let _ = writeln!(page, "```\n");
    }
}

/// The text on one line, cut to a number of characters.
fn one_line(text: &str, chars: usize) -> String {
    let words: Vec<&str> = text.split(is_whitespace).filter(|word| !word.is_empty()).collect();
    let line = words.join(" ");
    match line.char_indices().nth(chars) {
        None => line,
        Some((end, _)) => format!("{}…", line.get(..end).unwrap_or_default().trim_end()),
    }
}

/// How long ago a stored timestamp is, in the largest unit that fits.
fn age(timestamp: &str, now: Timestamp) -> String {
    let Some(then) = instant(timestamp) else { return one_line(timestamp, MAX_RECENT_CHARS) };
    let passed = SignedDuration::from_millis(now.as_millisecond().saturating_sub(then));
    let units = [
        (passed.as_hours() / (24 * 365), "year"),
        (passed.as_hours() / (24 * 30), "month"),
        (passed.as_hours() / 24, "day"),
        (passed.as_hours(), "hour"),
        (passed.as_mins(), "minute"),
    ];
    match units.into_iter().find(|(number, _)| *number > 0) {
        None => "just now".to_owned(),
        Some((1, unit)) => format!("1 {unit} ago"),
        Some((number, unit)) => format!("{number} {unit}s ago"),
    }
}

#[cfg(test)]
mod tests {
    use memory_bank_core::graph::event::{Line, read_line};
    use serde_json::json;

    use super::*;

    fn example() -> GraphState {
        let lines = [
            r#"{"type":"entity_upsert","entity":{"id":"ent_a0000","name":"Rust  Lang","entityType":"lang","attrs":{"k":"v"},"createdAt":"2026-01-01","updatedAt":"2026-01-01"},"ts":"2026"}"#,
            r#"{"type":"entity_upsert","entity":{"id":"ent_b0000","name":"Axum","entityType":"lib","createdAt":"2026-01-01","updatedAt":"2026-01-01"},"ts":"2026"}"#,
            r#"{"type":"observation_add","observation":{"id":"obs_a0000","entityId":"ent_a0000","text":"one\n# two","timestamp":"2026-01-01"},"ts":"2026"}"#,
            r#"{"type":"relation_add","relation":{"id":"rel_a0000","fromId":"ent_b0000","toId":"ent_gone0","relationType":"uses","createdAt":"2026"},"ts":"2026"}"#,
        ];
        let mut state = GraphState::default();
        for line in lines {
            match read_line(line.as_bytes()) {
                Line::Event(event) => state.apply(event),
                other => panic!("{other:?}"),
            }
        }
        state
    }

    fn rendered() -> [String; 3] {
        let now = "2026-01-03T00:00:00Z".parse().unwrap();
        let about = DerivedFileValues { store_id: "memory-bank", now, lines: 5 };
        render(&example(), &about).unwrap().map(|bytes| String::from_utf8(bytes).unwrap())
    }

    #[test]
    fn the_snapshot_and_the_index_have_the_members_of_the_format_in_their_order() {
        let [snapshot, index, _] = rendered();
        assert!(snapshot.starts_with("{\n  \"meta\": {\n    \"type\": \"memory_bank_graph\",\n    \"version\": \"1\",\n    \"storeId\": \"memory-bank\",\n    \"createdAt\": \"2026-01-03T00:00:00.000Z\",\n    \"source\": \"memory-bank-mcp\"\n  },\n  \"entities\": ["));
        let index: Value = serde_json::from_str(&index).unwrap();
        assert_eq!(
            index.to_string(),
            json!({
                "lastEventLineCount": 5,
                "snapshotBuiltAt": "2026-01-03T00:00:00.000Z",
                "jsonlModifiedAt": "2026-01-03T00:00:00.000Z",
                "stats": {"entityCount": 2, "observationCount": 1, "relationCount": 1,
                          "entityTypes": ["lang", "lib"], "relationTypes": ["uses"]},
                "nameToEntityId": {"rust lang": "ent_a0000", "axum": "ent_b0000"},
            })
            .to_string()
        );
    }

    #[test]
    fn the_page_shows_each_item_on_one_line() {
        let [_, _, page] = rendered();
        for part in [
            "| Entities | 2 |",
            "- **Rust Lang** (2 days ago): one # two",
            "### lang (1)",
            "- k: v",
            "- → uses → ent_gone0",
            "```text\nAxum -> ent_gone0\n```",
        ] {
            assert!(page.contains(part), "{part} is missing in\n{page}");
        }
    }
}
