//! The file of the protocol's reference server for memories (`memory.json`, `memory.jsonl`): a graph in lines of
//! JSON, each an entity with its observations, or a relation between two names.

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::Value;

use super::{BankCopy, NotTransferable};
use crate::clock::iso_millis;
use crate::graph::event::Event;
use crate::graph::ids::{entity_id, normalise, observation_id, relation_id, trim};
use crate::graph::state::GraphState;
use crate::graph::{Entity, Observation, Relation};

/// The names of such files.
pub const MEMORY_FILES: [&str; 2] = ["memory.json", "memory.jsonl"];
/// The type of an entity that only a relation names.
const UNKNOWN_TYPE: &str = "unknown";

/// The content of such a file.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct MemoryFile {
    /// The entities, in their order.
    pub entities: Vec<MemoryFileEntity>,
    /// The relations, in their order.
    pub relations: Vec<MemoryFileRelation>,
}

/// An entity with its facts.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct MemoryFileEntity {
    /// Its name, by which the file identifies it.
    pub name: String,
    /// Its type.
    pub entity_type: String,
    /// Its observations.
    #[serde(default)]
    pub observations: Vec<String>,
}

/// A relation between two entities.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct MemoryFileRelation {
    /// The name of the source.
    pub from: String,
    /// The name of the target.
    pub to: String,
    /// The type of the relation.
    pub relation_type: String,
}

impl MemoryFile {
    /// Whether the bytes begin like such a file.
    #[must_use]
    pub fn is_memory_file(bytes: &[u8]) -> bool {
        let text = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes).trim_ascii_start();
        let line = text.split(|byte| *byte == b'\n').next().unwrap_or_default();
        let Ok(Value::Object(members)) = serde_json::from_slice::<Value>(line) else { return false };
        let has = |names: &[&str]| names.iter().all(|name| members.get(*name).is_some_and(Value::is_string));
        match members.get("type").and_then(Value::as_str) {
            Some("entity") => has(&["name", "entityType"]),
            Some("relation") => has(&["from", "to", "relationType"]),
            _ => false,
        }
    }

    /// Parses such a file. Nothing is skipped: an unknown line is an error with its number. An entity that only a
    /// relation names is created.
    ///
    /// # Errors
    /// A line is neither.
    pub fn read(bytes: &[u8]) -> Result<Self, NotTransferable> {
        let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
        let mut file = Self::default();
        for (at, line) in bytes.split(|byte| *byte == b'\n').enumerate() {
            let line = line.trim_ascii();
            if line.is_empty() {
                continue;
            }
            let refused = |why: &dyn std::fmt::Display| {
                NotTransferable(format!(
                    "line {} is neither an entity nor a relation of a memory file: {why}",
                    at + 1
                ))
            };
            let value: Value = serde_json::from_slice(line).map_err(|error| refused(&error))?;
            match value.get("type").and_then(Value::as_str) {
                Some("entity") => {
                    let entity = serde_json::from_value(value).map_err(|error| refused(&error))?;
                    file.entities.push(entity);
                }
                Some("relation") => {
                    let relation = serde_json::from_value(value).map_err(|error| refused(&error))?;
                    file.relations.push(relation);
                }
                _ => return Err(refused(&"its `type` is neither `entity` nor `relation`")),
            }
        }
        let named = file.relations.iter().flat_map(|relation| [&relation.from, &relation.to]);
        let mut known: std::collections::HashSet<String> =
            file.entities.iter().map(|entity| normalise(&entity.name)).collect();
        let missing: Vec<String> = named.filter(|name| known.insert(normalise(name))).cloned().collect();
        file.entities.extend(missing.into_iter().map(|name| MemoryFileEntity {
            name,
            entity_type: UNKNOWN_TYPE.to_owned(),
            observations: Vec::new(),
        }));
        Ok(file)
    }

    /// A bank with this graph only, with the times `now`. Duplicate observations are stored once.
    #[must_use]
    pub fn to_bank(&self, now: Timestamp) -> BankCopy {
        let ts = iso_millis(now);
        let mut graph = GraphState::default();
        let mut ids: std::collections::HashMap<String, String> = std::collections::HashMap::new();
        for remembered in &self.entities {
            let (name, entity_type) = (trim(&remembered.name), trim(&remembered.entity_type));
            let id = entity_id(name, entity_type);
            ids.entry(normalise(name)).or_insert_with(|| id.clone());
            let entity = Entity {
                id: id.clone(),
                name: name.to_owned(),
                entity_type: entity_type.to_owned(),
                attrs: None,
                created_at: ts.clone(),
                updated_at: ts.clone(),
            };
            graph.apply(Event::EntityUpsert { entity, ts: ts.clone() });
            for text in remembered.observations.iter().map(|text| trim(text)).filter(|text| !text.is_empty())
            {
                let observation = Observation {
                    author: None,
                    validity: None,
                    id: observation_id(&id, text, &ts),
                    entity_id: id.clone(),
                    text: text.to_owned(),
                    source: None,
                    timestamp: ts.clone(),
                };
                graph.apply(Event::ObservationAdd { observation, ts: ts.clone() });
            }
        }
        for MemoryFileRelation { from, to, relation_type } in &self.relations {
            let ends = (ids.get(&normalise(from)), ids.get(&normalise(to)));
            let (Some(from_id), Some(to_id)) = ends else { continue };
            let relation_type = trim(relation_type);
            let relation = Relation {
                id: relation_id(from_id, relation_type, to_id),
                from_id: from_id.clone(),
                to_id: to_id.clone(),
                relation_type: relation_type.to_owned(),
                created_at: ts.clone(),
            };
            graph.apply(Event::RelationAdd { relation, ts: ts.clone() });
        }
        BankCopy { graph, ..BankCopy::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = concat!(
        r#"{"type":"entity","name":"Auth","entityType":"service","observations":["uses JWT","uses JWT","in Rust"]}"#,
        "\n\n",
        r#"{"type":"relation","from":"Auth","to":"Postgres","relationType":"reads from"}"#,
        "\r\n",
        r#"{"type":"entity","name":"Caf\u00e9","entityType":"place","observations":[]}"#,
    );

    #[test]
    fn a_memory_file_is_recognised_and_read() {
        assert!(MemoryFile::is_memory_file(FILE.as_bytes()));
        let file = MemoryFile::read(FILE.as_bytes()).unwrap();
        let names: Vec<&str> = file.entities.iter().map(|entity| entity.name.as_str()).collect();
        assert_eq!(names, ["Auth", "Caf\u{e9}", "Postgres"]);
        let bank = file.to_bank(Timestamp::UNIX_EPOCH);
        let stats = bank.graph.stats();
        assert_eq!((stats.entity_count, stats.observation_count, stats.relation_count), (3, 2, 1));
        bank.check_for_rows().unwrap();
    }

    #[test]
    fn other_files_are_not_recognised() {
        for text in [
            "",
            "{}",
            "[]",
            "nonsense",
            r#"{"type":"memory_bank_graph","version":"1"}"#,
            r#"{"type":"entity"}"#,
            r#"{"type":"entity","name":7,"entityType":"x"}"#,
            r#"{"type":"relation","from":"a"}"#,
            r#"{"type":"entity_upsert","entity":{}}"#,
        ] {
            assert!(!MemoryFile::is_memory_file(text.as_bytes()), "{text}");
        }
    }

    #[test]
    fn unknown_lines_are_named_by_their_number() {
        for line in ["nonsense", "{}", r#"{"type":"entity","name":"A"}"#, r#"{"type":"other"}"#] {
            let why = MemoryFile::read(format!("{FILE}\n{line}").as_bytes()).unwrap_err().to_string();
            assert!(why.starts_with("line 5 "), "{why}");
        }
    }
}
