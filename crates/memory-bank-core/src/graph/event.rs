//! The events of a graph log: one JSON object per line, read leniently, written strictly.
//!
//! Unknown content (another program's event type, a torn line) is never an error and never dropped: a reader gets it
//! as [`Line::Unknown`] and keeps the bytes. This module reads no files.

use std::borrow::Cow;

use serde::de::{Deserializer, Error as _};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use uuid::Uuid;

use crate::graph::ids::{self, ENTITY_PREFIX, OBSERVATION_PREFIX, RELATION_PREFIX};
use crate::graph::timestamp::instant;
use crate::graph::{Entity, Observation, ObservationSource, Relation, Validity};

/// The first line of every log, without its line feed.
pub const MARKER: &str = r#"{"type":"memory_bank_graph","source":"memory-bank-mcp","version":"1"}"#;

/// A change of the graph. The members are in the order of a log.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "type", rename_all = "snake_case", rename_all_fields = "camelCase")]
#[non_exhaustive]
pub enum Event {
    /// An entity was created or updated.
    EntityUpsert {
        /// The entity as it is now.
        entity: Entity,
        /// The time of the event.
        ts: String,
    },
    /// An observation was added.
    ObservationAdd {
        /// The fact.
        observation: Observation,
        /// The timestamp of the observation, or the time of the compaction.
        ts: String,
    },
    /// A relation was added.
    RelationAdd {
        /// The relation.
        relation: Relation,
        /// The time of the event.
        ts: String,
    },
    /// A relation was removed.
    RelationRemove {
        /// Its source.
        from_id: String,
        /// Its target.
        to_id: String,
        /// Its type, in any case.
        relation_type: String,
        /// The time of the event.
        ts: String,
    },
    /// An entity was deleted, with its observations and relations.
    EntityDelete {
        /// Which.
        entity_id: String,
        /// The time of the event.
        ts: String,
    },
    /// An observation was deleted.
    ObservationDelete {
        /// The entity that it belonged to.
        entity_id: String,
        /// Which.
        observation_id: String,
        /// The time of the event.
        ts: String,
    },
    /// The end of a compaction; no effect on the state.
    SnapshotWritten {
        /// The path of the snapshot, relative to the bank.
        snapshot_path: String,
        /// Its counts.
        stats: TypeStats,
        /// The time of the event.
        ts: String,
    },
}

/// Counts with the types in use, as a compaction's last line and the index file have them.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TypeStats {
    /// Number of entities.
    pub entity_count: usize,
    /// Number of observations.
    pub observation_count: usize,
    /// Number of relations.
    pub relation_count: usize,
    /// Entity types in the order of their first entity.
    pub entity_types: Vec<String>,
    /// Relation types in the order of their first relation.
    pub relation_types: Vec<String>,
}

impl Event {
    /// Writes the event as one line, with its line feed.
    pub fn write_line(&self, out: &mut Vec<u8>) -> Result<(), serde_json::Error> {
        serde_json::to_writer(&mut *out, self)?;
        out.push(b'\n');
        Ok(())
    }

    /// Writes the event as one line with the facts of the history, which other programs ignore.
    pub fn write_signed(&self, by: &Signature, out: &mut Vec<u8>) -> Result<(), serde_json::Error> {
        // The time is written where the event has another one.
        let at = by.at.as_ref().filter(|at| self.time() != at.as_str()).cloned();
        let signed = Signed { event: self, by: &Signature { at, ..by.clone() } };
        serde_json::to_writer(&mut *out, &signed)?;
        out.push(b'\n');
        Ok(())
    }

    /// The member `ts`.
    #[must_use]
    pub fn time(&self) -> &str {
        match self {
            Self::EntityUpsert { ts, .. }
            | Self::ObservationAdd { ts, .. }
            | Self::RelationAdd { ts, .. }
            | Self::RelationRemove { ts, .. }
            | Self::EntityDelete { ts, .. }
            | Self::ObservationDelete { ts, .. }
            | Self::SnapshotWritten { ts, .. } => ts,
        }
    }
}

/// Who made the change of a line, and when, as far as the line has it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Signature {
    /// The name of the user.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// The name of the tool.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tool: Option<String>,
    /// The session of the client.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session: Option<String>,
    /// When, if it is not the event's `ts`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at: Option<String>,
    /// The key with which it was made. Only lines that a transfer wrote have this member and the next one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<Uuid>,
    /// The number of the change; 0 if it was made while no history was kept, so that it does not count as one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub number: Option<i64>,
}

impl Signature {
    /// The signature of a line; empty if it has none. Another program may give these members another meaning.
    #[must_use]
    pub fn of_line(line: &[u8]) -> Self {
        let members: Members = serde_json::from_slice(line).unwrap_or_default();
        let text = |value: Option<Value>| value.as_ref().and_then(Value::as_str).map(str::to_owned);
        let at = text(members.at).filter(|at| instant(at).is_some());
        let key = text(members.key).and_then(|key| key.parse().ok());
        let number = members.number.as_ref().and_then(Value::as_i64);
        let (user, tool, session) = (text(members.user), text(members.tool), text(members.session));
        Self { user, tool, session, at, key, number }
    }
}

#[derive(Serialize)]
struct Signed<'a> {
    #[serde(flatten)]
    event: &'a Event,
    #[serde(flatten)]
    by: &'a Signature,
}

#[derive(Deserialize, Default)]
struct Members {
    user: Option<Value>,
    tool: Option<Value>,
    session: Option<Value>,
    at: Option<Value>,
    key: Option<Value>,
    number: Option<Value>,
}

/// The content of a log's line.
#[derive(Debug, Clone, PartialEq)]
pub enum Line {
    /// An empty line.
    Blank,
    /// The marker of the server's logs.
    Marker,
    /// A compaction's last line. It has no effect; the next compaction writes a new one.
    SnapshotWritten,
    /// An event that changes the state.
    Event(Event),
    /// Unknown; the text has the reason. Its bytes must be kept.
    Unknown(String),
}

/// Reads one line, with or without its line end.
#[must_use]
pub fn read_line(line: &[u8]) -> Line {
    let line = line.trim_ascii();
    if line.is_empty() {
        return Line::Blank;
    }
    match parse(line) {
        Ok(line) => line,
        // The TypeScript server wrote lone surrogates as escapes, which are not Unicode text; they are read as
        // U+FFFD.
        Err(reason) => match without_lone_surrogates(line) {
            Some(mended) => parse(&mended).unwrap_or(Line::Unknown(reason)),
            None => Line::Unknown(reason),
        },
    }
}

fn parse(line: &[u8]) -> Result<Line, String> {
    let kind = parse_json::<Kind<'_>>(line)?.kind;
    let event = match kind.as_ref() {
        "entity_upsert" => {
            let EntityUpsert { entity, ts } = parse_json(line)?;
            entity.check()?;
            check_time("ts", &ts)?;
            Event::EntityUpsert { entity: entity.into(), ts }
        }
        "observation_add" => {
            let ObservationAdd { observation, ts } = parse_json(line)?;
            check_id("observation.id", &observation.id, OBSERVATION_PREFIX)?;
            check_id("observation.entityId", &observation.entity_id, ENTITY_PREFIX)?;
            check_time("observation.timestamp", &observation.timestamp)?;
            check_time("ts", &ts)?;
            Event::ObservationAdd { observation: observation.into(), ts }
        }
        "relation_add" => {
            let RelationAdd { relation, ts } = parse_json(line)?;
            check_id("relation.id", &relation.id, RELATION_PREFIX)?;
            check_id("relation.fromId", &relation.from_id, ENTITY_PREFIX)?;
            check_id("relation.toId", &relation.to_id, ENTITY_PREFIX)?;
            check_label("relation.relationType", &relation.relation_type)?;
            check_time("relation.createdAt", &relation.created_at)?;
            check_time("ts", &ts)?;
            Event::RelationAdd { relation, ts }
        }
        "relation_remove" => {
            let RelationRemove { from_id, to_id, relation_type, ts } = parse_json(line)?;
            check_id("fromId", &from_id, ENTITY_PREFIX)?;
            check_id("toId", &to_id, ENTITY_PREFIX)?;
            check_label("relationType", &relation_type)?;
            check_time("ts", &ts)?;
            Event::RelationRemove { from_id, to_id, relation_type, ts }
        }
        "entity_delete" => {
            let EntityDelete { entity_id, ts } = parse_json(line)?;
            check_id("entityId", &entity_id, ENTITY_PREFIX)?;
            check_time("ts", &ts)?;
            Event::EntityDelete { entity_id, ts }
        }
        "observation_delete" => {
            let ObservationDelete { entity_id, observation_id, ts } = parse_json(line)?;
            check_id("entityId", &entity_id, ENTITY_PREFIX)?;
            check_id("observationId", &observation_id, OBSERVATION_PREFIX)?;
            check_time("ts", &ts)?;
            Event::ObservationDelete { entity_id, observation_id, ts }
        }
        "snapshot_written" => return Ok(Line::SnapshotWritten),
        "memory_bank_graph" => {
            check_marker(&parse_json(line)?)?;
            return Ok(Line::Marker);
        }
        other => return Err(format!("unknown event type `{}`", shown(other))),
    };
    Ok(Line::Event(event))
}

fn check_marker(Marker { source, version }: &Marker) -> Result<(), String> {
    if source != "memory-bank-mcp" {
        return Err(format!("the marker names another program (`source` is `{}`)", shown(source)));
    }
    if version != "1" {
        return Err(format!("the marker names another version (`version` is `{}`)", shown(version)));
    }
    Ok(())
}

fn parse_json<'a, T: Deserialize<'a>>(line: &'a [u8]) -> Result<T, String> {
    serde_json::from_slice(line).map_err(|error| error.to_string())
}

/// Foreign text in a message: short enough for a log line.
fn shown(text: &str) -> String {
    text.chars().take(80).collect()
}

fn check_id(member: &str, id: &str, prefix: &str) -> Result<(), String> {
    if id.starts_with(prefix) && id.encode_utf16().count() >= 5 {
        return Ok(());
    }
    Err(format!("`{member}` is not a `{prefix}…` id"))
}

fn check_label(member: &str, label: &str) -> Result<(), String> {
    if label.is_empty() { Err(format!("`{member}` is empty")) } else { Ok(()) }
}

fn check_time(member: &str, text: &str) -> Result<(), String> {
    instant(text).map(|_| ()).ok_or_else(|| format!("`{member}` is not a date"))
}

#[derive(Deserialize)]
struct Kind<'a> {
    #[serde(rename = "type", borrow)]
    kind: Cow<'a, str>,
}

#[derive(Deserialize)]
struct Marker {
    source: String,
    version: String,
}

#[derive(Deserialize)]
struct EntityUpsert {
    entity: StoredEntity,
    ts: String,
}

#[derive(Deserialize)]
struct ObservationAdd {
    observation: StoredObservation,
    ts: String,
}

#[derive(Deserialize)]
struct RelationAdd {
    relation: Relation,
    ts: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RelationRemove {
    from_id: String,
    to_id: String,
    relation_type: String,
    ts: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct EntityDelete {
    entity_id: String,
    ts: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ObservationDelete {
    entity_id: String,
    observation_id: String,
    ts: String,
}

/// An entity in a log: its `attrs` may be absent, but not `null`.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct StoredEntity {
    id: String,
    name: String,
    entity_type: String,
    #[serde(default, deserialize_with = "present")]
    attrs: Option<Map<String, Value>>,
    created_at: String,
    updated_at: String,
}

/// An observation in a log: its `source` may be absent, but not `null`.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct StoredObservation {
    id: String,
    entity_id: String,
    text: String,
    #[serde(default, deserialize_with = "present")]
    source: Option<ObservationSource>,
    timestamp: String,
    /// Another program may give this member another meaning, and those after it.
    #[serde(default)]
    author: Option<Value>,
    #[serde(default)]
    valid_from: Option<Value>,
    #[serde(default)]
    valid_until: Option<Value>,
    #[serde(default)]
    expires_at: Option<Value>,
    #[serde(default)]
    supersedes: Option<Value>,
}

impl StoredEntity {
    fn check(&self) -> Result<(), String> {
        check_id("entity.id", &self.id, ENTITY_PREFIX)?;
        check_label("entity.name", &self.name)?;
        check_label("entity.entityType", &self.entity_type)?;
        check_time("entity.createdAt", &self.created_at)?;
        check_time("entity.updatedAt", &self.updated_at)
    }
}

impl From<StoredEntity> for Entity {
    fn from(stored: StoredEntity) -> Self {
        let StoredEntity { id, name, entity_type, attrs, created_at, updated_at } = stored;
        Self { id, name, entity_type, attrs, created_at, updated_at }
    }
}

impl From<StoredObservation> for Observation {
    fn from(stored: StoredObservation) -> Self {
        // A value that is no time, and an id that is no text, are ignored.
        let time = |value: Option<Value>| match value {
            Some(Value::String(text)) if instant(&text).is_some() => Some(text),
            _ => None,
        };
        let ids = match stored.supersedes {
            Some(Value::Array(ids)) => ids,
            _ => Vec::new(),
        };
        let validity = Validity {
            valid_from: time(stored.valid_from),
            valid_until: time(stored.valid_until),
            expires_at: time(stored.expires_at),
            supersedes: ids.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
        };
        let StoredObservation { id, entity_id, text, source, timestamp, author, .. } = stored;
        let author = author.as_ref().and_then(Value::as_str).map(str::to_owned);
        Self { id, entity_id, text, source, timestamp, author, validity: validity.stored() }
    }
}

/// Refuses `null` as the value of a member.
fn present<'de, D: Deserializer<'de>, T: Deserialize<'de>>(from: D) -> Result<Option<T>, D::Error> {
    Option::<T>::deserialize(from)?
        .map(Some)
        .ok_or_else(|| D::Error::custom("null where a value is expected"))
}

/// The line with escapes of lone surrogates replaced by that of U+FFFD; `None` if it has no such escapes.
fn without_lone_surrogates(line: &[u8]) -> Option<Vec<u8>> {
    let text = std::str::from_utf8(line).ok()?;
    if !text.contains("\\ud") && !text.contains("\\uD") {
        return None;
    }
    let mut mended = String::with_capacity(text.len());
    let mut found = false;
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        let (before, escape) = rest.split_at(at);
        mended.push_str(before);
        let length = match (unit(escape), escape.get(6..).and_then(unit)) {
            (Some(0xd800..=0xdbff), Some(0xdc00..=0xdfff)) => 12,
            (Some(0xd800..=0xdfff), _) => {
                found = true;
                mended.push_str("\\ufffd");
                rest = escape.get(6..)?;
                continue;
            }
            _ => 2,
        };
        let (taken, left) = escape.split_at_checked(length)?;
        mended.push_str(taken);
        rest = left;
    }
    mended.push_str(rest);
    found.then(|| mended.into_bytes())
}

/// The code unit of the `\uXXXX` at the beginning of the text.
fn unit(text: &str) -> Option<u32> {
    u32::from_str_radix(text.strip_prefix("\\u")?.get(..4)?, 16).ok()
}

/// The id of the relation that a `relation_remove` means; logs do not contain it.
#[must_use]
pub fn removed_relation_id(from_id: &str, relation_type: &str, to_id: &str) -> String {
    ids::relation_id(from_id, relation_type, to_id)
}

#[cfg(test)]
mod tests;
