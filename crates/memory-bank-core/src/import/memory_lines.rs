//! The file of the protocol's reference server for memories, read line by line: a line that cannot be used is named with
//! its number, and the others are imported, as that server does it.

use std::collections::HashMap;

use serde_json::{Map, Value};

use super::GraphItem;
use crate::graph::ids::{normalise, trim};
use crate::limits;
use crate::unicode::has_null;

/// The type of an entity that only a relation or an observation names.
const UNKNOWN_TYPE: &str = "unknown";
/// The most lines at the head of a file that are read to recognise it.
const RECOGNISED_LINES: usize = 20;

/// A line, or a part of it, that is not imported.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadLine {
    /// Its number, from 1.
    pub line: usize,
    /// The reason.
    pub reason: String,
}

/// The content of such a file.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct MemoryLines {
    /// Entities with their type, observations and relations: entities before what names them.
    pub items: Vec<GraphItem>,
    /// The lines that are not imported.
    pub bad: Vec<BadLine>,
}

impl MemoryLines {
    /// Whether one of the first lines is an entity, a relation or an observation.
    #[must_use]
    pub fn is_recognised(bytes: &[u8]) -> bool {
        let lines = lines(bytes).take(RECOGNISED_LINES);
        lines.filter_map(|(_, line)| serde_json::from_slice(line).ok()).any(|line: Value| {
            let has = |name: &str| line.get(name).is_some_and(Value::is_string);
            match line.get("type").and_then(Value::as_str) {
                Some("entity") => has("name") && has("entityType"),
                Some("relation") => has("from") && has("to") && has("relationType"),
                _ => false,
            }
        })
    }

    /// Reads a file.
    #[must_use]
    pub fn read(bytes: &[u8]) -> Self {
        let mut reader = Reader::default();
        for (line, text) in lines(bytes) {
            reader.line = line;
            match serde_json::from_slice(text) {
                Ok(Value::Object(members)) => reader.take(&members),
                Ok(_) => reader.refuse("it is not a JSON object"),
                Err(error) => reader.refuse(&format!("it is not JSON: {error}")),
            }
        }
        reader.finish()
    }
}

/// The lines that are not blank, with their numbers.
fn lines(bytes: &[u8]) -> impl Iterator<Item = (usize, &[u8])> {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let lines = bytes.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii).enumerate();
    lines.filter(|(_, line)| !line.is_empty()).map(|(at, line)| (at + 1, line))
}

/// A relation or an observation whose entities may follow.
enum DeferredItem {
    Relation { from: String, relation_type: String, to: String },
    Observation { entity: String, text: String },
}

#[derive(Default)]
struct Reader {
    line: usize,
    items: Vec<GraphItem>,
    later: Vec<DeferredItem>,
    /// The name and type of the first entity of a name.
    entities: HashMap<String, (String, String)>,
    bad: Vec<BadLine>,
}

impl Reader {
    fn refuse(&mut self, reason: &str) {
        self.bad.push(BadLine { line: self.line, reason: reason.to_owned() });
    }

    fn take(&mut self, members: &Map<String, Value>) {
        let taken = match members.get("type").and_then(Value::as_str) {
            Some("entity") => self.entity(members),
            Some("relation") => self.relation(members),
            Some("observation") => self.observation(members),
            _ => Err("its `type` is neither `entity` nor `relation` nor `observation`".to_owned()),
        };
        if let Err(reason) = taken {
            self.refuse(&reason);
        }
    }

    fn entity(&mut self, members: &Map<String, Value>) -> Result<(), String> {
        let (name, entity_type) = (label(members, &["name"])?, label(members, &["entityType"])?);
        self.note_entity(&name, &entity_type);
        let observations = match members.get("observations") {
            None | Some(Value::Null) => &Vec::new(),
            Some(Value::Array(observations)) => observations,
            Some(_) => {
                self.refuse("its `observations` are not a list; the entity is imported without them");
                &Vec::new()
            }
        };
        for observation in observations {
            match fact(observation) {
                Ok(Some(text)) => self
                    .items
                    .push(GraphItem::Observation { entity: (name.clone(), entity_type.clone()), text }),
                Ok(None) => {}
                Err(reason) => self.refuse(&reason),
            }
        }
        Ok(())
    }

    fn note_entity(&mut self, name: &str, entity_type: &str) {
        let entity = (name.to_owned(), entity_type.to_owned());
        self.entities.entry(normalise(name)).or_insert_with(|| entity.clone());
        self.items.push(GraphItem::Entity(entity));
    }

    fn relation(&mut self, members: &Map<String, Value>) -> Result<(), String> {
        let (from, to) = (label(members, &["from"])?, label(members, &["to"])?);
        let relation_type = label(members, &["relationType"])?;
        self.later.push(DeferredItem::Relation { from, relation_type, to });
        Ok(())
    }

    fn observation(&mut self, members: &Map<String, Value>) -> Result<(), String> {
        let entity = label(members, &["entityName", "entity", "name"])?;
        let contents =
            ["contents", "observations", "content", "text"].iter().find_map(|name| members.get(*name));
        let contents = contents.ok_or("it has no `contents`")?;
        let single = std::slice::from_ref(contents);
        for observation in contents.as_array().map_or(single, Vec::as_slice) {
            match fact(observation) {
                Ok(Some(text)) => self.later.push(DeferredItem::Observation { entity: entity.clone(), text }),
                Ok(None) => {}
                Err(reason) => self.refuse(&reason),
            }
        }
        Ok(())
    }

    /// Relations and observations name entities by their name alone; one that has no line is made.
    fn finish(mut self) -> MemoryLines {
        for later in std::mem::take(&mut self.later) {
            let item = match later {
                DeferredItem::Observation { entity, text } => {
                    GraphItem::Observation { entity: self.named(&entity), text }
                }
                DeferredItem::Relation { from, relation_type, to } => {
                    GraphItem::Relation { from: self.named(&from), relation_type, to: self.named(&to) }
                }
            };
            self.items.push(item);
        }
        MemoryLines { items: self.items, bad: self.bad }
    }

    fn named(&mut self, name: &str) -> (String, String) {
        if let Some(entity) = self.entities.get(&normalise(name)) {
            return entity.clone();
        }
        self.note_entity(name, UNKNOWN_TYPE);
        (name.to_owned(), UNKNOWN_TYPE.to_owned())
    }
}

/// A name or type.
fn label(members: &Map<String, Value>, names: &[&str]) -> Result<String, String> {
    let name = names.first().copied().unwrap_or_default();
    let text = names.iter().find_map(|name| members.get(*name)?.as_str());
    let text = trim(text.ok_or_else(|| format!("its `{name}` is missing or not a text"))?);
    if text.is_empty() {
        return Err(format!("its `{name}` is blank"));
    }
    if text.len() > limits::LABEL_BYTES {
        return Err(format!(
            "its `{name}` has {} bytes, at most {} are allowed",
            text.len(),
            limits::LABEL_BYTES
        ));
    }
    if has_null(text) { Err(format!("its `{name}` has a null character")) } else { Ok(text.to_owned()) }
}

/// The text of an observation; none if it is blank.
fn fact(observation: &Value) -> Result<Option<String>, String> {
    let text = trim(observation.as_str().ok_or("an observation is not a text and is left out")?);
    if text.len() > limits::OBSERVATION_BYTES {
        let most = limits::OBSERVATION_BYTES;
        return Err(format!(
            "an observation has {} bytes, at most {most} are allowed; it is left out",
            text.len()
        ));
    }
    if has_null(text) {
        return Err("an observation has a null character and is left out".to_owned());
    }
    Ok((!text.is_empty()).then(|| text.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = concat!(
        "\u{feff}",
        r#"{"type":"relation","from":"Auth","to":"Postgres","relationType":"reads from"}"#,
        "\r\n",
        r#"{"type":"entity","name":"Auth","entityType":"service","observations":["uses JWT",7," "]}"#,
        "\n\nnonsense\n[1]\n",
        r#"{"type":"entity","name":" ","entityType":"x"}"#,
        "\n",
        r#"{"type":"observation","entityName":"auth","contents":["in Rust"]}"#,
        "\n",
        r#"{"type":"other"}"#,
    );

    #[test]
    fn bad_lines_are_named_and_the_rest_is_read() {
        assert!(MemoryLines::is_recognised(FILE.as_bytes()));
        let read = MemoryLines::read(FILE.as_bytes());
        let bad: Vec<usize> = read.bad.iter().map(|bad| bad.line).collect();
        assert_eq!(bad, [2, 4, 5, 6, 8]);
        let auth = ("Auth".to_owned(), "service".to_owned());
        let postgres = ("Postgres".to_owned(), "unknown".to_owned());
        assert_eq!(
            read.items,
            [
                GraphItem::Entity(auth.clone()),
                GraphItem::Observation { entity: auth.clone(), text: "uses JWT".to_owned() },
                GraphItem::Entity(postgres.clone()),
                GraphItem::Relation {
                    from: auth.clone(),
                    relation_type: "reads from".to_owned(),
                    to: postgres
                },
                GraphItem::Observation { entity: auth, text: "in Rust".to_owned() },
            ]
        );
    }

    #[test]
    fn other_files_are_not_recognised() {
        for text in ["", "{}", "nonsense", r#"{"type":"memory_bank_graph"}"#, r#"{"type":"entity"}"#, "[]"] {
            assert!(!MemoryLines::is_recognised(text.as_bytes()), "{text}");
        }
        let damaged_first = format!("broken\n{FILE}");
        assert!(MemoryLines::is_recognised(damaged_first.as_bytes()));
    }

    #[test]
    fn bounds_are_those_of_the_graph() {
        let long = "x".repeat(limits::LABEL_BYTES + 1);
        let huge = "x".repeat(limits::OBSERVATION_BYTES + 1);
        let file = format!(
            "{}\n{}\n{}",
            serde_json::json!({"type": "entity", "name": long, "entityType": "t"}),
            serde_json::json!({"type": "entity", "name": "A", "entityType": "t", "observations": [huge, "b"]}),
            "[".repeat(100_000),
        );
        let read = MemoryLines::read(file.as_bytes());
        assert_eq!(read.bad.iter().map(|bad| bad.line).collect::<Vec<_>>(), [1, 2, 3]);
        assert_eq!(read.items.len(), 2);
    }
}
